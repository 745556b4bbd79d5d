"""What names the columns of a table: read once, because every chunk of its rows wants to be told."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Sequence
from itertools import islice

from ragweft.chunking.blocks import Block, Header
from ragweft.chunking.separators import CODE, ROWS, Ladder, rows
from ragweft.chunking.titles import markdown_title, rst_title

_LONGEST = 300
"""Characters of a header; the opening line of a context has as many."""
_LONGEST_ROW = 10_000
_DELIMITERS = "\t,;|"
_CELL_END = re.compile(r"(?<!\\)\|")
_NUMBER = re.compile(r"(?!(?:19|20)\d\d$)[-+\d.,:/%$€£ ]*\d[-\d.,:/%$€£ ]*$")
"""Years stand above columns too."""


def table_blocks(text: str) -> Sequence[Block]:
    """Comma, tab or semicolon separated values: the row of names, if there is one, and the rows."""
    first = len(text) - len(text.lstrip())
    second = next(rows(text, first, len(text)), 0)
    names = _names(_cells(text[first:second])) if 0 < second - first <= _LONGEST_ROW else ""
    return (headed(0, second, names, ladder=ROWS),)


def headed(start: int, until: int, names: str, *, ladder: Ladder = CODE, rows: Sequence[int] = ()) -> Block:
    """A table from *start* on whose rows begin at *until*; without *names* it is nothing but rows.

    *rows* are where they begin, if that is not told by *ladder*.
    """
    if not names:
        return Block(start=start, ladder=ladder)
    parts = [Block(start=start, ladder=ladder, keep=True)]
    parts += [Block(start=at, ladder=ladder) for at in (rows or (until,))]
    return Block(start=start, ladder=ladder, header=Header(names, until), parts=lambda: parts)


def pipe_names(row: str) -> str:
    """The names in the first row of a Markdown table."""
    cells = _CELL_END.split(row.strip().strip("|")[:_LONGEST_ROW])
    return _line(markdown_title(cell) for cell in cells)


def grid_names(lines: Sequence[str]) -> str:
    """The names in the lines above the border of double dashes in a grid table of reStructuredText."""
    cells = [line.strip().strip("|").split("|") for line in lines if line.lstrip().startswith("|")]
    return _columns(cells)


def ruled_names(border: str, lines: Sequence[str]) -> str:
    """The names in the lines between the first two borders of a simple table of reStructuredText."""
    spans = [found.span() for found in re.finditer(r"=+", border)]
    ends = [begin for begin, _ in spans[1:]]
    return _columns(
        [[line[a:b] for (a, _), b in zip(spans, [*ends, len(line)], strict=True)] for line in lines]
    )


def separated_names(row: str) -> str:
    """The names in the `:header:` of a csv-table or in its first row."""
    return _line(rst_title(cell) for cell in _cells(row))


def listed_names(lines: Iterable[str]) -> str:
    """The names in the first row of a list-table, a bullet list of bullet lists."""
    said = (re.sub(r"^\s*(?:\*\s+)?-\s*", "", line) for line in lines)
    return _line(rst_title(cell) for cell in said)


def _columns(lines: Sequence[Sequence[str]]) -> str:
    """Cells that go over several lines, put together by their columns."""
    if not lines or any(len(line) != len(lines[0]) for line in lines):
        return ""
    return _line(rst_title(" ".join(cells)) for cells in zip(*lines, strict=True))


def _cells(row: str) -> list[str]:
    """The fields of a row, by the delimiter there is most of."""
    delimiter = max(_DELIMITERS, key=row.count)
    try:
        return next(
            iter(csv.reader(row.splitlines(keepends=True), delimiter=delimiter, skipinitialspace=True)), []
        )
    except csv.Error:
        return row.split(delimiter)


def _names(cells: Sequence[str]) -> str:
    """*cells* as one line if they name columns: several, most of them said, none twice, none a number."""
    said = [cell.strip() for cell in cells if cell.strip()]
    if len(cells) < 2 or 2 * len(said) < len(cells) or len(set(said)) < len(said):
        return ""
    return "" if any(_NUMBER.match(cell) for cell in said) else _line(said)


def _line(cells: Iterable[str]) -> str:
    """*cells* side by side; nothing if none of them holds a letter."""
    said = [" ".join(cell.split()) for cell in islice(cells, _LONGEST)]
    line = " | ".join(cell for cell in said if cell)
    if not any(character.isalpha() for character in line):
        return ""
    return line if len(line) <= _LONGEST else line[: _LONGEST - 1].rstrip(" |") + "…"
