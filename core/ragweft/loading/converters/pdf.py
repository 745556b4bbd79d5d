"""PDF: the text of every page, read by pdfium.

Pictures of text have none: a file without a text layer is refused, not taken in empty.
"""

from __future__ import annotations

import ctypes
import math
from typing import TYPE_CHECKING, Any, TypeAlias

from ragweft.errors import LoadError
from ragweft.loading.converters.pdf_layout import BREAK, Bookmark, Line, write_pages
from ragweft.loading.converters.pdf_tables import Cell
from ragweft.loading.converters.pdf_title import chosen_title
from ragweft.loading.converters.writing import Converted, Limits, Writer
from ragweft.loading.markdown import cleaned

if TYPE_CHECKING:
    from collections.abc import Callable

    from ragweft.types import Json

    _SidesOf: TypeAlias = Callable[[int], tuple[float, float] | None]

__all__ = ["read"]

_HYPHENS = ("\x02", "\ufffe")
"""What pdfium puts in the place of a hyphen and the line end after it."""
_WIDE_GAP = 0.8
"""Of the size of letters: no space is so wide, not even in lines that are spread to the margin."""


def read(data: bytes, limits: Limits) -> Converted:
    """The pages of a PDF, as places `p.1`, `p.2` and so on.

    Raises:
        LoadError: it is protected by a password, damaged, without any text, or has too many pages.
    """
    from pypdfium2 import PdfDocument, PdfiumError  # type: ignore[import-untyped]

    try:
        document = PdfDocument(data)
    except PdfiumError as error:
        if "password" in str(error).lower():
            raise LoadError("is protected by a password; save it without one") from error
        raise LoadError("is damaged, or no PDF; save it anew") from error
    try:
        count = len(document)
        if count > limits.max_pages:
            raise LoadError(
                f"has {count:,} pages, more than {limits.max_pages:,}; split it, or raise max_pages under "
                "[loading] in ragweft.toml"
            )
        pages = [_lines(document, number) for number in range(count)]
        outline, title = _outline(document), cleaned(document.get_metadata_value("Title"))
    finally:
        document.close()
    writer = Writer()
    heading = write_pages(pages, writer, outline)
    metadata: dict[str, Json] = {"pages": count}
    converted = writer.converted(title=chosen_title(title, heading, pages), metadata=metadata)
    if not converted.text:
        raise LoadError(
            "holds no text, only pictures of it; have a program for text recognition (OCR) add a text layer"
        )
    return converted


def _outline(document: Any) -> list[Bookmark]:
    found: list[Bookmark] = []
    for entry in document.get_toc():
        target = entry.get_dest()
        page = None if target is None else target.get_index()
        if page is not None:
            found.append(Bookmark(title=cleaned(entry.get_title()), page=page, depth=entry.level))
    return found


def _lines(document: Any, number: int) -> list[Line]:
    from pypdfium2 import PdfiumError

    try:
        page = document[number]
        try:
            text_page = page.get_textpage()
            try:
                return _text_lines(text_page)
            finally:
                text_page.close()
        finally:
            page.close()
    except PdfiumError as error:
        raise LoadError(f"is damaged: page {number + 1} cannot be read; save it anew") from error


def _text_lines(page: Any) -> list[Line]:
    # Lone surrogates are kept so that places in the text stay places in pdfium's list of UTF-16 units.
    text: str = page.get_text_range(errors="surrogatepass")
    lines: list[Line] = []
    sides = _sides_on(page)
    unit = 0
    for raw in text.split("\r\n"):
        said = raw.strip()
        if said:
            begin = raw.index(said)
            # Spaces between what is drawn apart are pdfium's own and have no size.
            half = next(place for place in range(len(said) // 2, len(said)) if not said[place].isspace())
            top, middle, bottom = (
                _measured(page, unit + _units(raw[: begin + place])) for place in (0, half, len(said) - 1)
            )
            for mark in _HYPHENS:
                said = said.replace(mark, BREAK)
            shown = BREAK.join(map(cleaned, said.split(BREAK)))
            cells = (
                _cells(page, unit + _units(raw[:begin]), said, middle[0], sides) if BREAK not in said else ()
            )
            lines.append(
                Line(
                    text=shown,
                    size=middle[0],
                    top=top[1],
                    bottom=bottom[1],
                    left=top[2],
                    right=bottom[2],
                    cells=cells,
                )
            )
        unit += _units(raw) + 2
    return lines


def _units(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode("utf-16-le", "surrogatepass")) // 2


def _cells(page: Any, unit: int, said: str, size: float, sides: _SidesOf) -> tuple[Cell, ...]:
    """The texts of the line that begins at *unit*, if gaps wider than spaces are between them."""
    import pypdfium2.raw as pdfium  # type: ignore[import-untyped]

    # Where a file has spaces of its own to set texts apart, it is code.
    if " " not in said or "  " in said or "\t" in said or size <= 0 or not said.isprintable():
        return ()
    # What was drawn in one go has no gaps, and pdfium tells that faster.
    first: int = pdfium.FPDFText_GetCharIndexFromTextIndex(page, unit)
    units = _units(said)
    if first < 0 or pdfium.FPDFText_CountRects(page, first, units) < 2:
        return ()
    last = pdfium.FPDFText_GetCharIndexFromTextIndex(page, unit + units - 1)
    # Asking for every index costs as much as all else: they follow one another unless some are not in the text.
    known = units == len(said) and last - first == units - 1

    def index(place: int) -> int:
        if known:
            return first + place
        found: int = pdfium.FPDFText_GetCharIndexFromTextIndex(page, unit + _units(said[:place]))
        return found

    edges = [sides(first)]
    starts = [0]
    widest = _WIDE_GAP * size
    place = said.find(" ")
    while place >= 0:
        after = sides(first + place + 1 if known else index(place + 1))
        before = sides(first + place - 1 if known else index(place - 1))
        if before is None or after is None:
            return ()
        if after[0] - before[1] > widest:
            edges += [before, after]
            starts.append(place + 1)
        place = said.find(" ", place + 1)
    if len(starts) < 2:
        return ()
    edges.append(sides(index(len(said) - 1)))
    ends = [*(start - 1 for start in starts[1:]), len(said)]
    cells: list[Cell] = []
    for number, (start, end) in enumerate(zip(starts, ends, strict=True)):
        left, right = edges[2 * number], edges[2 * number + 1]
        if left is None or right is None or right[1] < left[0] or (cells and left[0] <= cells[-1].right):
            return ()
        cells.append(Cell(text=cleaned(said[start:end]), left=left[0], right=right[1]))
    return tuple(cells)


def _sides_on(page: Any) -> _SidesOf:
    """Where the character of an index begins and ends, from the left edge of the page."""
    import pypdfium2.raw as pdfium

    # A page has thousands of characters: the box is made once.
    left, right, bottom, top = (ctypes.c_double() for _ in range(4))
    box = tuple(map(ctypes.byref, (left, right, bottom, top)))
    raw, measure, isfinite = page.raw, pdfium.FPDFText_GetCharBox, math.isfinite

    def sides(index: int) -> tuple[float, float] | None:
        if index < 0 or not measure(raw, index, *box):
            return None
        begin, end = left.value, right.value
        return (begin, end) if isfinite(begin) and isfinite(end) else None

    return sides


def _measured(page: Any, unit: int) -> tuple[float, float, float]:
    """Size, base line and left side of a character, in points; zero if pdfium does not say."""
    import pypdfium2.raw as pdfium

    index = pdfium.FPDFText_GetCharIndexFromTextIndex(page, unit)
    matrix = pdfium.FS_MATRIX()
    x, y = ctypes.c_double(), ctypes.c_double()
    if index < 0 or not pdfium.FPDFText_GetMatrix(page, index, ctypes.byref(matrix)):
        return 0.0, 0.0, 0.0
    pdfium.FPDFText_GetCharOrigin(page, index, ctypes.byref(x), ctypes.byref(y))
    # The font's own size means nothing without the matrix: many programs write size 1 and scale.
    size = pdfium.FPDFText_GetFontSize(page, index) * math.hypot(matrix.c, matrix.d)
    found = (size, y.value, x.value)
    return found if all(map(math.isfinite, found)) else (0.0, 0.0, 0.0)
