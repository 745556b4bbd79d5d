"""Tables of a page that is read line by line: Markdown rows, each on the line where it stood in the source.

Between two rows lie the lines of their other cells, now empty; `chunking.markdown` reads on over them. A table
is left as the lines it has where rows cannot stand so: two on one line, or text beside them.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import TYPE_CHECKING

from ragweft.loading.grids import Cell, flattened, header_rows, is_data, spans_of
from ragweft.loading.markdown import on_one_line, table_lines

if TYPE_CHECKING:
    from ragweft.loading.main_text import Attributes

__all__ = ["LinedTables"]

_DEEPEST = 8
_NO_TEXT = frozenset(("blockquote", "figure", "h1", "h2", "h3", "h4", "h5", "h6", "pre"))
"""What makes a cell more than a cell of a Markdown table can hold."""


@dataclass(slots=True)
class _Row:
    cells: list[Cell] = field(default_factory=list[Cell])
    line: int = 0
    """Number of the first with text; 0 for none."""


@dataclass(slots=True)
class _Grid:
    line: int
    """Of its start tag."""
    rows: list[_Row] = field(default_factory=list[_Row])
    cell: Cell | None = None
    """The one that is open, and what it says so far."""
    pieces: list[str] = field(default_factory=list[str])
    said: Counter[int] = field(default_factory=Counter[int])
    """Characters of text in its cells, by line."""

    def end_cell(self) -> None:
        """The cell that is open, if one is, has come to its end."""
        if self.cell is not None:
            self.rows[-1].cells.append(replace(self.cell, text=on_one_line("".join(self.pieces))))
            self.cell = None
            self.pieces = []


class LinedTables:
    """Hears of tags and texts with their lines, and puts the tables into the lines in the end."""

    def __init__(self) -> None:
        self._open: list[_Grid] = []
        self._buried = 0
        self._done: list[_Grid] = []
        self._said = Counter[int]()

    def begin(self, tag: str, attrs: Attributes, line: int) -> None:
        """A start tag."""
        if tag == "table":
            if len(self._open) < _DEEPEST:
                self._open.append(_Grid(line))
            else:
                self._buried += 1
        elif self._open and not self._buried:
            grid = self._open[-1]
            if tag == "tr" or (tag in ("td", "th") and not grid.rows):
                grid.end_cell()
                grid.rows.append(_Row())
            if tag in ("td", "th"):
                grid.end_cell()
                columns, rows = spans_of(attrs)
                grid.cell = Cell(columns=columns, rows=rows, header=tag == "th")
            elif tag in _NO_TEXT and grid.cell is not None:
                grid.cell = replace(grid.cell, plain=False)

    def end(self, tag: str) -> None:
        """An end tag."""
        if not self._open:
            return
        if tag == "table":
            if self._buried:
                self._buried -= 1
            else:
                self._end_table()
        elif tag in ("td", "th", "tr") and not self._buried:
            self._open[-1].end_cell()

    def say(self, text: str, line: int) -> None:
        """Text on a line, white space and all."""
        size = len(text.strip())
        self._said[line] += size
        for grid in self._open:
            if grid.cell is not None:
                grid.pieces.append(text)
                if size:
                    grid.said[line] += size
                    row = grid.rows[-1]
                    row.line = row.line or line

    def lay(self, lines: list[str]) -> None:
        """Put every table that can be one into *lines*, the first of which has number 1."""
        while self._open:
            self._end_table()
        for grid in self._done:
            self._lay(grid, lines)

    def _end_table(self) -> None:
        grid = self._open.pop()
        grid.end_cell()
        grid.rows = [row for row in grid.rows if row.line]
        if is_data([row.cells for row in grid.rows] or [[]]):
            self._done.append(grid)
            outer = self._open[-1] if self._open else None
            if outer is not None and outer.cell is not None:
                outer.cell = replace(outer.cell, plain=False)

    def _lay(self, grid: _Grid, lines: list[str]) -> None:
        cells = [row.cells for row in grid.rows]
        top = header_rows(cells)
        head, second = grid.rows[0].line, grid.rows[top].line
        if second - head == 1:
            # No line is left for the delimiter row, but above there often is: that of <table> or <tbody>.
            head -= 1
        numbers = [head, head + 1, *(row.line for row in grid.rows[top:])]
        own = range(head, max(grid.said) + 1)
        alone = all(self._said[line] == grid.said[line] for line in own)
        if head < grid.line or not alone or any(b <= a for a, b in pairwise(numbers)):
            return
        for line in own:
            lines[line - 1] = ""
        for line, text in zip(numbers, table_lines(flattened(cells)), strict=True):
            lines[line - 1] = text
