"""The tree a document is cut along."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

from ragweft.chunking.separators import PROSE, Ladder, lines, sentences


class Header(NamedTuple):
    """The head of a table."""

    names: str
    """Those of its columns, on one line."""
    until: int
    """Where its rows begin."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """A stretch of a document that belongs together.

    It reaches to where the next one begins, the last to where its parent ends: no text can fall between blocks.
    """

    start: int
    ladder: Ladder = PROSE
    """How it is divided where it has no parts."""
    title: str | None = None
    """For a section or a definition: what it adds to the heading path of everything inside."""
    keep: bool = False
    """It says nothing without what follows (a heading, a signature): no cut right after it."""
    announces: bool = False
    """It leads in to a list, a table or code: no cut right after it, where there is a choice."""
    goes_on: bool = False
    """It goes on with the paragraph before it: a cut right before it hurts as any between sentences."""
    header: Header | None = None
    """What names the columns of a table: the heading of every chunk that begins further down in it."""
    parts: Callable[[], Sequence[Block]] | None = None
    """The blocks inside, the first of which begins where this one does; asked for only if it is too large."""


BlockReader: TypeAlias = Callable[[str], Sequence[Block]]
"""Divides the text of one format into blocks, the first of which begins at 0."""


class Tile(NamedTuple):
    """A block with its range."""

    block: Block
    start: int
    end: int


def tiles(blocks: Sequence[Block], start: int, end: int) -> Iterator[Tile]:
    """*blocks* laid side by side so that they cover the range from *start* to *end*."""
    for number, block in enumerate(blocks, 1):
        stop = min(end, blocks[number].start) if number < len(blocks) else end
        if stop > start:
            yield Tile(block, start, stop)
            start = stop


def line_starts(text: str) -> array[int]:
    """Where each line begins, and at last the length of the text."""
    starts = array("q", (0,))
    starts.extend(lines(text, 0, len(text)))
    starts.append(len(text))
    return starts


def leading_in(text: str, start: int, end: int) -> list[Block]:
    """A paragraph before a list, a table or code: what it says before, and the sentence that leads in to it."""
    last = max(sentences(text, start, end), default=start)
    said = [Block(start=start)] if last > start else []
    return [*said, Block(start=last, announces=True, goes_on=bool(said))]


class Heading(NamedTuple):
    """A block that opens a section: everything up to the next heading of the same or a higher rank."""

    level: int
    block: Block
    title: str


@dataclass(slots=True)
class _Open:
    level: int
    start: int
    title: str
    parts: list[Block]


def nest(flat: Sequence[Block | Heading]) -> list[Block]:
    """Put the blocks that follow a heading into a section, and sections into those of higher rank."""
    root: list[Block] = []
    open_sections: list[_Open] = []

    def close() -> None:
        section = open_sections.pop()
        parts = section.parts
        add(Block(start=section.start, title=section.title, parts=lambda: parts))

    def add(block: Block) -> None:
        (open_sections[-1].parts if open_sections else root).append(block)

    for item in flat:
        if isinstance(item, Block):
            add(item)
            continue
        while open_sections and open_sections[-1].level >= item.level:
            close()
        open_sections.append(_Open(item.level, item.block.start, item.title, [item.block]))
    while open_sections:
        close()
    return root
