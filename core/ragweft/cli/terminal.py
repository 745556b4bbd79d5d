"""The terminal's side of rendering: colours, links and widths, by rich."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, NoReturn

from rich.cells import cell_len
from rich.console import Console
from rich.style import Style
from rich.text import Text

from ragweft.cli.render import WINDOW, heading_path, shown
from ragweft.cli.wording import printable

if TYPE_CHECKING:
    from collections.abc import Callable

    from ragweft.cli.passage import Line
    from ragweft.cli.render import Shown
    from ragweft.excerpts import Mark
    from ragweft.types import Citation, Hit

__all__ = ["Terminal", "say_softly"]

_MATCH = Style(color="red", bold=True)
_DIM = Style(dim=True)
_NARROWEST = 20
"""Cells below which headings get a line of their own."""


class _Console(Console):
    def on_broken_pipe(self) -> NoReturn:
        """Leave it to the verb, which may still have work to do."""
        raise BrokenPipeError


class Terminal:
    """Prints hits for a person."""

    def __init__(self) -> None:
        self._console = _Console(file=sys.stdout, force_terminal=True, highlight=False, emoji=False)

    @property
    def width(self) -> int:
        """Cells in a line."""
        return self._console.width

    def hit(
        self,
        hit: Hit,
        find: Callable[[str], tuple[Mark, ...]],
        *,
        rank: int | None = None,
        of: int = 0,
        size: int = WINDOW,
        above: Iterable[str] = (),
        below: Iterable[str] = (),
    ) -> None:
        """One hit of *of*: citation and headings, at most *size* lines of passage between asides."""
        indent = len(str(of)) + 2 if rank is not None else 0
        last = hit.chunk.lines[1] if hit.chunk.lines else 0
        gutter = len(str(last)) + 2 if last else 0
        width = max(_NARROWEST, self.width - indent - gutter)
        item = shown(hit, find, rank=rank, width=width, size=size, measure=cell_len)
        self._head(item, indent)
        self.dim(above, indent=indent)
        self.lines(item.lines, indent=indent, gutter=gutter)
        self.dim(below, indent=indent)

    def lines(self, lines: Sequence[Line], *, indent: int, gutter: int) -> None:
        """Lines of a text with their numbers, matches marked."""
        for line in lines:
            number = str(line.number) if line.first and line.number is not None else ""
            text = Text(" " * indent)
            if gutter:
                text.append(f"{number:>{gutter - 2}}  ", _DIM)
            body = Text(line.text)
            for mark in line.marks:
                body.stylize(_MATCH, mark.start, mark.end)
            self._print(text.append_text(body))

    def dim(self, lines: Iterable[str], *, indent: int = 0) -> None:
        """Asides."""
        for line in lines:
            self._print(Text(" " * indent + line, _DIM))

    def gap(self) -> None:
        """An empty line."""
        self._print(Text())

    def _head(self, item: Shown, indent: int) -> None:
        citation = item.hit.citation
        head = Text()
        if item.rank is not None:
            head.append(f"{item.rank:>{indent - 2}}  ", Style(bold=True))
        head.append(item.place, _link(citation))
        headings = heading_path(citation)
        left = self.width - cell_len(head.plain) - 2
        if headings and (cell_len(headings) <= left or left >= _NARROWEST):
            head.append("  ")
            head.append(_shortened(headings, left), _DIM)
            headings = ""
        self._print(head)
        if headings:
            self.dim([_shortened(headings, self.width - indent)], indent=indent)

    def _print(self, text: Text) -> None:
        # Lines are measured already; what is longer still, such as a path, is left to the terminal so that it
        # can be copied in one piece.
        self._console.print(text, no_wrap=True, overflow="ignore", crop=False)


def say_softly(message: str) -> None:
    """One line on stderr, dim on a terminal."""
    console = Console(stderr=True, highlight=False, emoji=False)
    console.print(Text(printable(message), _DIM), no_wrap=True, overflow="ignore", crop=False)


def _link(citation: Citation) -> Style:
    uri = citation.uri if citation.uri.startswith("file://") and citation.uri.isprintable() else None
    return Style(color="magenta", link=uri)


def _shortened(headings: str, width: int) -> str:
    """A heading path within *width* cells: the innermost heading says most, so the outer ones go first."""
    if cell_len(headings) <= width:
        return headings
    parts = headings.split(" › ")
    while len(parts) > 1:
        parts.pop(0)
        shorter = "… › " + " › ".join(parts)
        if cell_len(shorter) <= width:
            return shorter
    text = Text(parts[0])
    text.truncate(max(1, width), overflow="ellipsis")
    return text.plain
