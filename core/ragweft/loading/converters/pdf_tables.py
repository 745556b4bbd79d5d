"""Tables of a PDF's pages, where lines say by their gaps that they are rows.

A PDF knows no tables. Three lines or more that follow one another evenly, each of texts far apart, with a blank
strip through all of them between any two columns: that is a table. Whatever is less certain stays the lines it
is. Cells that go over several lines are such a case: which lines belong together is not to be seen.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import fmean, median
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ragweft.loading.converters.pdf_layout import Line

__all__ = ["Cell", "find_tables"]

_FEWEST_ROWS = 3
_MOST_ROWS = 1_000
_MOST_COLUMNS = 40
_EVEN = 1.15
"""How much the distance of two rows may differ from the usual one; below the header it may be more."""
_OTHER = 2.0
"""Usual distances above which what follows is no row of the same table."""
_CLOSE = 1.6
"""Sizes of letters within which a line may belong to the cell above or below it."""
_LONGEST = 100
_LONG = 15
"""Characters of an average cell above which a table might be columns of text side by side."""
_FULL = 0.85
"""Share of their columns' width that lines of text fill."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """A text of a line, with a wide gap before and behind."""

    text: str
    left: float
    """Points from the left edge of the page."""
    right: float


def find_tables(lines: Sequence[Line]) -> Iterator[tuple[int, int, list[list[str]]]]:
    """The first line of each table and the one behind its last, with the texts of its rows, each as wide."""
    start = 0
    while start < len(lines):
        end, columns, even = start, list[tuple[float, float]](), True
        stop = min(len(lines), start + _MOST_ROWS)
        while end < stop and (wider := _widened(columns, lines[end])) is not None:
            if end - start > 1:
                distances = [above.top - below.top for above, below in pairwise(lines[start : end + 1])]
                if not 0 < distances[-1] <= _OTHER * median(distances[1:-1] or distances[:-1]):
                    break
                even = even and _are_even(distances)
            columns = wider
            end += 1
        rows = lines[start:end]
        if even and len(rows) >= _FEWEST_ROWS and _is_table(rows, columns, lines[max(start - 1, 0) : end + 1]):
            yield start, end, [_placed(line.cells, columns) for line in rows]
        start = max(end, start + 1)


def _widened(columns: Sequence[tuple[float, float]], line: Line) -> list[tuple[float, float]] | None:
    """*columns* with another row among them; None if it is none, or two of its cells would fall together."""
    if len(line.cells) < 2:
        return None
    spans = sorted([*columns, *((cell.left, cell.right) for cell in line.cells)])
    merged = [spans[0]]
    for left, right in spans[1:]:
        if left <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(right, merged[-1][1]))
        else:
            merged.append((left, right))
    placed = {_column(cell.left, merged) for cell in line.cells}
    kept = {_column(left, merged) for left, _ in columns}
    apart = len(placed) == len(line.cells) and len(kept) == len(columns)
    return merged if apart and len(merged) <= _MOST_COLUMNS else None


def _column(left: float, columns: Sequence[tuple[float, float]]) -> int:
    """The column in which what begins at *left* stands; they are in order and apart."""
    return bisect_right(columns, (left, math.inf)) - 1


def _are_even(distances: Sequence[float]) -> bool:
    """Whether rows follow one another evenly, the first of them perhaps from further above."""
    usual = median(distances[1:])
    return (
        usual > 0
        and all(usual / _EVEN <= distance <= usual * _EVEN for distance in distances[1:])
        and usual / _EVEN <= distances[0] <= usual * _OTHER
    )


def _is_table(rows: Sequence[Line], columns: Sequence[tuple[float, float]], around: Sequence[Line]) -> bool:
    cells = [cell for line in rows for cell in line.cells]
    filled: list[list[Cell]] = [[] for _ in columns]
    for cell in cells:
        filled[_column(cell.left, columns)].append(cell)
    lengths = [len(cell.text) for cell in cells]
    widths = [
        (cell.right - cell.left) / (right - left)
        for (left, right), own in zip(columns, filled, strict=True)
        for cell in own
        if right > left
    ]
    return (
        all(len(own) > 1 for own in filled)
        and max(lengths) <= _LONGEST
        and not (fmean(lengths) > _LONG and fmean(widths or [0.0]) > _FULL)
        and (len(columns) > 2 or 2 * sum(_says_something(cell.text) for cell in filled[0]) > len(filled[0]))
        and not any(
            line not in rows and _may_belong(line, row, columns)
            for line, row in ((around[0], rows[0]), (around[-1], rows[-1]))
        )
    )


def _says_something(text: str) -> bool:
    """Whether a text is more than what a list puts before its items."""
    return sum(map(str.isalpha, text)) > 1


def _may_belong(line: Line, row: Line, columns: Sequence[tuple[float, float]]) -> bool:
    """Whether a line near a row is more of one of its cells."""
    near = abs(line.top - row.top) <= _CLOSE * max(line.size, row.size)
    return near and any(
        left - line.size < line.left and line.right < right + line.size for left, right in columns
    )


def _placed(cells: Sequence[Cell], columns: Sequence[tuple[float, float]]) -> list[str]:
    row = [""] * len(columns)
    for cell in cells:
        row[_column(cell.left, columns)] = cell.text
    return row
