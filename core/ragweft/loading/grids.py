"""Tables of HTML as rows of texts: which of them are data, and what becomes of cells that span several.

Markdown tables have one header row, and one cell in each column of a row. What HTML says by spans is said again
where it holds: a row can then be read by itself, which is how a passage of a long table is read.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ragweft.loading.main_text import Attributes

__all__ = ["Cell", "flattened", "header_rows", "is_data", "spans_of"]

_WIDEST_SPAN = 20
_WIDEST = 200
"""Columns above which nobody reads a table as one."""
_LONGEST = 1_500
"""Characters of a cell above which a table is there for the looks, not for data."""
_LONGEST_REPEATED = 100
"""Characters of a cell over several rows that is said in each of them: a name, not a text."""
_REPEATED = 4
"""What is repeated comes to so many times the table at most, however many rows a page says it spans."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """A cell as HTML has it."""

    text: str = ""
    columns: int = 1
    rows: int = 1
    header: bool = False
    """Written as `<th>`."""
    plain: bool = True
    """Holds nothing but text and lists."""


def spans_of(attrs: Attributes) -> tuple[int, int]:
    """Over how many columns and rows a cell goes."""
    said = {name: value or "" for name, value in attrs}
    columns, rows = (said.get(name, "") for name in ("colspan", "rowspan"))
    wide = min(int(columns), _WIDEST_SPAN) if columns.isascii() and columns.isdigit() else 1
    # Nought is "to the end".
    high = int(rows[:6]) or 10**6 if rows.isascii() and rows.isdigit() else 1
    return max(wide, 1), high


def is_data(rows: Sequence[Sequence[Cell]]) -> bool:
    """Whether a table says something by being one, and is not there to put things side by side."""
    return (
        len(rows) > 1
        and max(map(len, rows)) > 1
        and all(cell.plain and len(cell.text) <= _LONGEST for row in rows for cell in row)
        and all(sum(cell.columns for cell in row) <= _WIDEST for row in rows)
    )


def header_rows(rows: Sequence[Sequence[Cell]]) -> int:
    """How many rows at the top name the columns together; 1 if there are none, as Markdown takes the first."""
    if len(rows[0]) < 2:
        return 1
    count = next((n for n, row in enumerate(rows) if not all(cell.header for cell in row)), len(rows))
    return min(max(count, 1), len(rows) - 1)


def flattened(rows: Sequence[Sequence[Cell]]) -> list[list[str]]:
    """One text for each column of each row, those of `header_rows` put together as the first.

    A cell over several columns is said in the first of them, one over the names of several in each; a short one
    over several rows is said in each.
    """
    top = header_rows(rows)
    placed = _placed(rows, top)
    head = [_together(names) for names in zip(*_even(placed[:top]), strict=True)]
    return [head, *placed[top:]]


def _placed(rows: Sequence[Sequence[Cell]], top: int) -> list[list[str]]:
    room = _REPEATED * sum(len(cell.text) for row in rows for cell in row)
    hanging: dict[int, tuple[int, str]] = {}
    """Column to the rows a cell from above still goes over, and what it says."""
    out: list[list[str]] = []
    for number, row in enumerate(rows):
        line: dict[int, str] = {}
        below: dict[int, tuple[int, str]] = {}
        for column, (left, text) in hanging.items():
            line[column] = text if len(text) <= room else ""
            room -= len(line[column])
            if left > 1:
                below[column] = (left - 1, text)
        at = 0
        for cell in row:
            while at in line:
                at += 1
            for column in range(at, at + cell.columns):
                text = cell.text if column == at or number < top > 1 else ""
                line.setdefault(column, text)
                if cell.rows > 1:
                    below[column] = (cell.rows - 1, text if len(text) <= _LONGEST_REPEATED else "")
            at += cell.columns
        hanging = {column: said for column, said in below.items() if column < _WIDEST}
        out.append([line.get(column, "") for column in range(min(max(line, default=-1) + 1, _WIDEST))])
    return out


def _even(rows: Sequence[Sequence[str]]) -> list[list[str]]:
    width = max(map(len, rows))
    return [[*row, *[""] * (width - len(row))] for row in rows]


def _together(names: Sequence[str]) -> str:
    """What stands above a column in several rows, each once."""
    return " ".join(dict.fromkeys(name for name in names if name))
