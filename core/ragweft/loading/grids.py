"""Tables of HTML as rows of texts: which of them are data, and what becomes of cells that span several.

Markdown tables have one header row, and one cell in each column of a row. What HTML says by spans is said again
where it holds: a row can then be read by itself, which is how a passage of a long table is read.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ragweft.loading.main_text import Attributes

__all__ = ["Cell", "flattened", "header_rows", "is_data", "spans_of"]

_WIDEST_SPAN = 20
_WIDEST = 200
"""Columns above which nobody reads a table as one."""
_TO_THE_END = 10**6
"""Rows of a cell that goes down as far as its table does."""
_LONGEST = 1_500
"""Characters of a cell above which a table is there for the looks, not for data."""
_LONGEST_REPEATED = 100
"""Characters of a cell over several rows that is said in each of them: a name, not a text."""
_REPEATED = 4
"""What is repeated comes to so many times the table at most, however many rows a page says it spans."""
# As browsers read it: what follows the digits is passed over.
_NUMBER = re.compile(r"[ \t\n\f\r]*\+?([0-9]+)")


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
    columns, rows = (_number(said.get(name, "")) for name in ("colspan", "rowspan"))
    # Over nought rows is "to the end", over nought columns a mistake.
    return min(columns or 1, _WIDEST_SPAN), rows or _TO_THE_END


def _number(said: str) -> int:
    found = _NUMBER.match(said)
    # However many digits a page writes: `int` refuses thousands of them.
    return int(found[1].lstrip("0")[:6] or "0") if found else 1


def is_data(rows: Sequence[Sequence[Cell]]) -> bool:
    """Whether a table says something by being one, and is not there to put things side by side."""
    return (
        len(rows) > 1
        and max(map(len, rows)) > 1
        and all(cell.plain and len(cell.text) <= _LONGEST for row in rows for cell in row)
        and _starts(rows) is not None
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
    over several rows is said in each. No cell's own text is left out; columns at the end of a row that say
    nothing are.

    Args:
        rows: those of a table that `is_data`.

    Raises:
        ValueError: the table is too wide to be one.
    """
    starts = _starts(rows)
    if starts is None:
        raise ValueError(f"a table of more than {_WIDEST} columns: ask is_data first")
    top = header_rows(rows)
    placed = _placed(rows, starts, top)
    head = [_together(names) for names in zip(*_even(placed[:top]), strict=True)]
    return [head, *placed[top:]]


def _starts(rows: Sequence[Sequence[Cell]]) -> list[list[int]] | None:
    """Each cell's first column, right of what hangs there from above; None if that takes too many columns."""
    free = [0] * _WIDEST
    """The row from which on each column is."""
    room = _WIDEST_SPAN * sum(map(len, rows)) + _WIDEST
    """Columns of all rows: a page cannot have thousands of blank ones written for each cell it has."""
    out: list[list[int]] = []
    for number, row in enumerate(rows):
        at = 0
        starts: list[int] = []
        for cell in row:
            while at < _WIDEST and free[at] > number:
                at += 1
            if at + cell.columns > _WIDEST:
                return None
            starts.append(at)
            if cell.rows > 1:
                free[at : at + cell.columns] = [number + cell.rows] * cell.columns
            at += cell.columns
        room -= at
        if room < 0:
            return None
        out.append(starts)
    return out


def _placed(rows: Sequence[Sequence[Cell]], starts: Sequence[Sequence[int]], top: int) -> list[list[str]]:
    room = _REPEATED * sum(len(cell.text) for row in rows for cell in row)
    hanging: dict[int, tuple[int, str]] = {}
    """Column to the rows a cell from above still goes over, and what it says."""
    out: list[list[str]] = []
    for number, row in enumerate(rows):
        line: dict[int, str] = {}
        below: dict[int, tuple[int, str]] = {}
        for column, (left, text) in hanging.items():
            if len(text) > room:
                continue
            line[column] = text
            room -= len(text)
            if left > 1:
                below[column] = (left - 1, text)
        for cell, at in zip(row, starts[number], strict=True):
            for column in range(at, at + cell.columns):
                text = cell.text if column == at or number < top > 1 else ""
                if text:
                    line.setdefault(column, text)
                if cell.rows > 1:
                    below.pop(column, None)
                    if 0 < len(text) <= _LONGEST_REPEATED:
                        below[column] = (cell.rows - 1, text)
        hanging = below
        out.append([line.get(column, "") for column in range(max(line, default=-1) + 1)])
    return out


def _even(rows: Sequence[Sequence[str]]) -> list[list[str]]:
    width = max(map(len, rows))
    return [[*row, *[""] * (width - len(row))] for row in rows]


def _together(names: Sequence[str]) -> str:
    """What stands above a column in several rows, each once."""
    return " ".join(dict.fromkeys(name for name in names if name))
