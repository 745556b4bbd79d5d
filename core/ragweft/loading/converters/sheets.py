"""Spreadsheets: every sheet as tables, every row of a table a place."""

from __future__ import annotations

import datetime as dt
import io
import re
import zipfile
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from ragweft.errors import LoadError
from ragweft.loading.converters.archive import Archive, open_archive, refuse_locked
from ragweft.loading.converters.writing import Converted, Limits, Writer
from ragweft.loading.markdown import escaped, on_one_line, table_lines

if TYPE_CHECKING:
    from python_calamine import CalamineSheet

    from ragweft.types import Json

__all__ = ["read"]

_MOST_CELLS = 50_000_000
"""Of a sheet, empty ones among them included: one stray cell in the last corner makes 17,000,000,000."""

_WORKBOOK = ("[Content_Types].xml", "_rels/", "xl/")
_OPEN_DOCUMENT = "content.xml"
"""Of an `.ods`, all of its sheets."""
_SHEET = re.compile(r"xl/worksheets/[^/]+\.xml", re.IGNORECASE)


def read(data: bytes, limits: Limits) -> Converted:
    """The sheets of a workbook, hidden ones too, with the values it was saved with: nothing is computed.

    Rows without anything part tables; the first row of a table is its header. A row alone is a paragraph,
    and so are rows of one cell. Places are `Sheet1 row 2`, counted as spreadsheet programs do.

    Raises:
        LoadError: it is protected by a password, damaged, no workbook, or has too many cells.
    """
    from python_calamine import CalamineError, PasswordError, SheetTypeEnum, load_workbook

    refuse_locked(data)
    archive = open_archive(data, limits) if zipfile.is_zipfile(io.BytesIO(data)) else None
    if archive is not None:
        _check(archive)
    writer = Writer()
    names: list[Json] = []
    said = True
    try:
        with load_workbook(io.BytesIO(data)) as workbook:
            for sheet in workbook.sheets_metadata:
                if sheet.typ == SheetTypeEnum.WorkSheet:
                    names.append(sheet.name)
                    said = _write(sheet.name, workbook.get_sheet_by_name(sheet.name), writer) and said
    except PasswordError as error:
        raise LoadError("is protected by a password; save it without one") from error
    except CalamineError as error:
        raise LoadError(
            f"is damaged, or no workbook ({on_one_line(str(error))[:100]}); save it anew"
        ) from error
    if archive is not None and not said:
        # calamine takes a part in which it finds no rows for a sheet without any.
        for part in sorted(filter(_SHEET.fullmatch, archive.names)):
            archive.check_root(part, "worksheet")
    return writer.converted(metadata={"sheets": names})


def _check(archive: Archive) -> None:
    """See that the parts calamine reads are what they should be: it passes over what it does not understand."""
    if _OPEN_DOCUMENT in archive.names:
        # Others of its parts, macros for one, have always declared their types.
        archive.forbid_declarations((_OPEN_DOCUMENT,))
        archive.check_root(_OPEN_DOCUMENT, "document-content")
    else:
        # Nor does anybody read a workbook's thumbnail, or what other programs keep in it.
        read = (name for name in archive.names if name.startswith(_WORKBOOK))
        archive.forbid_declarations(read)


def _write(name: str, sheet: CalamineSheet, writer: Writer) -> bool:
    """Append a sheet; False if it has no cells at all."""
    if sheet.start is None:
        return False
    cells = sheet.total_height * sheet.total_width
    if cells > _MOST_CELLS:
        raise LoadError(
            f"reaches over {cells:,} cells in sheet {name!r}, more than {_MOST_CELLS:,}; delete the empty rows "
            "and columns at its end"
        )
    shown = on_one_line(name)
    label = f"{shown} row"
    heading = f"## {shown}"
    for first, rows in _runs(sheet):
        if heading:
            writer.add(heading, label=label, number=first)
            heading = ""
        numbers = range(first, first + len(rows))
        if len(rows) > 1 and max(map(len, rows)) > 1:
            lines = table_lines(rows)
            # The delimiter row is no row of the sheet.
            writer.add_rows(zip([first, None, *numbers[1:]], lines, strict=True), label=label)
        else:
            texts = [escaped(" | ".join(filter(None, map(on_one_line, row)))) for row in rows]
            writer.add_rows(zip(numbers, texts, strict=True), label=label)
    return True


def _runs(sheet: CalamineSheet) -> Iterator[tuple[int, list[list[str]]]]:
    """Rows without an empty one between them, and the number of the first, counted from 1."""
    run: list[list[str]] = []
    number = 0
    for number, row in enumerate(sheet.iter_rows(), 1):
        cells = [_text(cell) for cell in row]
        if any(cells):
            run.append(cells)
        elif run:
            yield number - len(run), _without_margin(run)
            run = []
    if run:
        yield number + 1 - len(run), _without_margin(run)


def _without_margin(rows: Sequence[list[str]]) -> list[list[str]]:
    """*rows* without the empty columns before and behind all of them."""
    left = min(next(place for place, cell in enumerate(row) if cell) for row in rows)
    right = max(max(place for place, cell in enumerate(row) if cell) for row in rows)
    return [row[left : right + 1] for row in rows]


def _text(cell: Any) -> str:
    """A cell as spreadsheet programs show it, as far as its format does not matter."""
    if isinstance(cell, str):
        return cell.strip()
    if isinstance(cell, bool):
        return "TRUE" if cell else "FALSE"
    if isinstance(cell, float):
        # Programs keep and show 15 digits: 0.1 + 0.2 is 0.3.
        return f"{cell:.15g}"
    if isinstance(cell, dt.datetime):
        return cell.isoformat(" ", "seconds" if cell.second or cell.microsecond else "minutes")
    return str(cell)
