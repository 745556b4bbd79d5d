"""From blocks to pieces: divide what is too large, join what is small, cut where it hurts least."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain, pairwise, takewhile
from typing import TYPE_CHECKING, NamedTuple

from ragweft.chunking.blocks import Tile, tiles
from ragweft.chunking.separators import PROSE, Ladder
from ragweft.types import Chunk, Span, chunk_id

if TYPE_CHECKING:
    from ragweft.chunking.ruler import Ruler
    from ragweft.types import Document

_DEEPEST = 40
"""Blocks nested deeper are divided by lines: data may be nested a thousand deep, Python's stack is not."""
_LOOSE = 100
"""Weight of a cut between the paragraphs, lines or sentences of one block; more for the finer ones."""
_TORN = 1000
"""Weight of a cut inside a sentence or a line; one more inside a word."""
_LINE_BREAKS = "\n\r\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029"


@dataclass(frozen=True, slots=True, kw_only=True)
class Unit:
    """A stretch small enough for one piece that is not cut."""

    start: int
    end: int
    upto: int
    """Tokens of the document before `end`."""
    weight: int = 0
    """How much a cut right before it hurts; nothing where a section or definition begins."""
    keep: bool = False
    """No cut right after it, if that can be helped."""
    ladder: Ladder = PROSE
    path: tuple[str, ...] = ()
    tile: Tile | None = None
    """The one section or definition it is, if it is one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """The range of a chunk, without blank lines around it, and the headings that hold for all of it."""

    start: int
    end: int
    path: tuple[str, ...] = ()
    tile: Tile | None = None
    columns: str | None = None
    """What names the columns, for a piece that begins among the rows of a table."""

    @property
    def headings(self) -> tuple[str, ...]:
        """Those of the chunk it becomes."""
        return (*self.path, self.columns) if self.columns else self.path


class _Rows(NamedTuple):
    """The rows of a table below its header."""

    start: int
    end: int
    columns: str


class Cutter:
    """Divides blocks into units and joins units into pieces of at most *capacity* tokens.

    Args:
        ruler: measures the document.
        capacity: tokens a piece may hold.
        overlap: tokens a piece may repeat from the one before it.
    """

    def __init__(self, ruler: Ruler, *, capacity: int, overlap: int) -> None:
        self.ruler = ruler
        self.capacity = capacity
        self.overlap = min(overlap, capacity // 2)
        self._tables: deque[_Rows] = deque()

    def units(
        self,
        blocks: Iterable[Tile],
        *,
        path: tuple[str, ...] = (),
        weight: int = 0,
        depth: int = 0,
        held: int = 0,
    ) -> Iterator[Unit]:
        """The units of blocks that say one thing together, in order.

        *weight* is that of a cut before the first unit; *held* tokens before it want to stay with it.
        """
        for block, start, end in blocks:
            tokens = self.ruler.count(start, end)
            weight = _LOOSE + 1 if block.goes_on else weight
            if block.header is not None:
                self._tables.append(_Rows(block.header.until, end, block.header.names))
            if tokens <= self.capacity - held:
                keep = block.keep or block.announces
                yield self._unit(start, end, block.ladder, path, weight, keep=keep)
            elif depth < _DEEPEST and block.parts is not None and (parts := block.parts()):
                inner = tiles(parts, start, end)
                yield from self.units(inner, path=path, weight=weight, depth=depth + 1, held=held)
            else:
                yield from self._climb(start, end, block.ladder, path=path, weight=weight, rung=0, held=held)
            keeps = (block.keep or block.announces) and held + tokens <= self.capacity // 2
            held = held + tokens if keeps else 0
            weight = 2 * (depth + 1) + (0 if self._is_after_blank_line(end) else 1)

    def _climb(
        self, start: int, end: int, ladder: Ladder, *, path: tuple[str, ...], weight: int, rung: int, held: int
    ) -> Iterator[Unit]:
        if self.ruler.count(start, end) <= self.capacity - held:
            yield self._unit(start, end, ladder, path, weight)
            return
        if rung == len(ladder.rungs):
            yield from self._words(start, end, ladder, path, weight)
            return
        for cut in chain(ladder.rungs[rung](self.ruler.text, start, end), (end,)):
            yield from self._climb(start, cut, ladder, path=path, weight=weight, rung=rung + 1, held=held)
            start, held, weight = cut, 0, _LOOSE + rung

    def _words(
        self, start: int, end: int, ladder: Ladder, path: tuple[str, ...], weight: int
    ) -> Iterator[Unit]:
        text, few = self.ruler.text, max(1, self.capacity // 16)
        while start < end:
            cut = self.ruler.reach(start, end, few)
            yield self._unit(start, cut, ladder, path, weight)
            start, weight = cut, _TORN if text[cut - 1].isspace() else _TORN + 1

    def _unit(
        self, start: int, end: int, ladder: Ladder, path: tuple[str, ...], weight: int, *, keep: bool = False
    ) -> Unit:
        upto = self.ruler.index(end)
        return Unit(start=start, end=end, upto=upto, weight=weight, keep=keep, ladder=ladder, path=path)

    def _is_after_blank_line(self, position: int) -> bool:
        return self.ruler.text.endswith(("\n\n", "\n\r\n"), max(0, position - 3), position)

    def pieces(self, units: Iterable[Unit], *, end: int) -> Iterator[Piece]:
        """Join *units*, the last of which ends at *end*, into pieces.

        A piece is filled as far as the next unit allows, then cut at the least harmful place in its second
        half. What would leave a small rest is divided evenly instead. Where the cut is not at the begin of a
        section, the next piece repeats what came right before: units as coarse as those the cut is between.
        """
        source = iter(units)
        ahead = next(source, None)
        pending: list[Unit] = []
        start = ahead.start if ahead else end
        last = self.ruler.index(end)
        while pending or ahead:
            base = self.ruler.index(start)
            while ahead and (not pending or pending[-1].upto - base <= self.capacity):
                pending.append(ahead)
                ahead = next(source, None)
            taken = len(pending)
            if pending[-1].upto - base > self.capacity:
                taken = self._choose(pending, base, last)
            taken, stop = self._fit(pending, start, taken)
            if stop <= pending[0].start:
                start = pending[0].start
                continue
            piece = self._piece(pending[:taken] or pending[:1], start, stop)
            if piece:
                yield piece
            before = pending[: max(1, taken)]
            del pending[:taken]
            if not taken:
                pending[0] = replace(pending[0], start=stop, weight=_TORN)
            following = pending[0] if pending else ahead
            start = stop
            if self.overlap and piece and following and following.weight:
                start = self._repeated(piece.start, stop, before, following)

    def _choose(self, pending: Sequence[Unit], base: int, last: int) -> int:
        """How many of the units, which are too many, make the next piece."""
        rest, few = last - base, self.capacity // 4
        reserve = self.overlap if pending[-1].weight else 0
        if rest + reserve <= 2 * self.capacity:
            aim, low, high = rest // 2, max(rest + reserve - self.capacity, few), rest - few
        else:
            aim, low, high = self.capacity, self.capacity // 2, self.capacity
        best, least = 1, (True, 4, 0, 0)
        for taken, (unit, following) in enumerate(pairwise(pending), 1):
            size = unit.upto - base
            if size > self.capacity:
                break
            bad = (not low <= size <= high) + (size < few)
            within_word = following.weight > _TORN
            harm = (unit.keep, bad + within_word, 0 if bad else following.weight, abs(aim - size))
            if harm <= least:
                best, least = taken, harm
        return best

    def _fit(self, pending: Sequence[Unit], start: int, taken: int) -> tuple[int, int]:
        """The most units up to *taken* that truly fit and where they end; 0 if the first must be cut."""
        while True:
            stop = pending[taken - 1].end
            reached = self.ruler.reach(start, stop, self.capacity)
            if reached >= stop:
                return taken, stop
            taken = sum(unit.end <= reached for unit in pending[:taken])
            if not taken:
                return 0, reached

    def _piece(self, units: Sequence[Unit], start: int, stop: int) -> Piece | None:
        start, stop = trim(self.ruler.text, start, stop)
        if start >= stop:
            return None
        path = common(unit.path for unit in units)
        tile = units[0].tile if len(units) == 1 else None
        return Piece(start=start, end=stop, path=path, tile=tile, columns=self._columns(start))

    def _columns(self, position: int) -> str | None:
        """What names the columns of the table whose rows *position* is among; positions only rise."""
        while self._tables and self._tables[0].end <= position:
            self._tables.popleft()
        rows = self._tables[0] if self._tables else None
        return rows.columns if rows is not None and rows.start <= position else None

    def _repeated(self, previous: int, cut: int, before: Sequence[Unit], following: Unit) -> int:
        """Where the piece after *cut* begins so as to repeat the end of the one before, made of *before*.

        Of prose, a cut between paragraphs repeats no part of a paragraph: what that belongs to was not torn
        (`benchmarks/chunking.py`: recall 95.0 to 95.2, with a tenth fewer chunks). In code lines do better
        (`benchmarks/golden.py`: 89.3 to 90.4).
        """
        text = self.ruler.text
        again = self.ruler.back(cut, self.overlap)
        low, start = max(again, previous + 1), cut
        torn = following.weight >= _TORN
        ladder = before[-1].ladder
        if torn or not ladder.coarse:
            start = again if torn and again > previous else cut
            begins = ladder.repeat(text, max(previous, low - 8), cut)
        else:
            begins = (unit.start for unit in before if unit.weight <= following.weight)
        start = next((begin for begin in begins if begin >= low), start)
        if start >= cut or not text[previous:start].strip():
            return cut
        return start if self.ruler.count(start, following.end) <= self.capacity else cut


def common(paths: Iterable[tuple[str, ...]]) -> tuple[str, ...]:
    """The longest path that all *paths* begin with."""
    first, *others = paths
    for other in others:
        same = takewhile(lambda pair: pair[0] == pair[1], zip(first, other, strict=False))
        first = tuple(name for name, _ in same)
    return first


def trim(text: str, start: int, end: int) -> tuple[int, int]:
    """The range without blank lines and trailing white space; the indentation of its first line stays."""
    passage = text[start:end]
    stripped = passage.lstrip()
    if not stripped:
        return end, end
    lead = passage[: len(passage) - len(stripped)]
    broken = max(lead.rfind(mark) for mark in _LINE_BREAKS)
    indented = broken >= 0 or start == 0 or text[start - 1] in _LINE_BREAKS
    return start + (broken + 1 if indented else len(lead)), start + len(passage.rstrip())


def chunks(document: Document, pieces: Iterable[Piece]) -> list[Chunk]:
    """Name and number *pieces* as the chunks of *document*."""
    metadata = dict(document.metadata)
    made: list[Chunk] = []
    for piece in pieces:
        span = Span(start=piece.start, end=piece.end)
        text = document.text[piece.start : piece.end]
        made.append(
            Chunk(
                id=chunk_id(document.id, span, text),
                document_id=document.id,
                text=text,
                ordinal=len(made),
                span=span,
                headings=piece.headings,
                metadata=metadata,
            )
        )
    return made
