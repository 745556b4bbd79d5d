"""Hits on a terminal, and the same hits as plain text for a pipe."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ragweft.cli.passage import passage
from ragweft.cli.wording import money, printable, weights

if TYPE_CHECKING:
    from collections.abc import Callable

    from ragweft.cli.passage import Line
    from ragweft.excerpts import Mark
    from ragweft.types import Chunk, Citation, Hit, Origin, Results

__all__ = [
    "Shown",
    "beside",
    "explanation",
    "on_terminal",
    "place_of",
    "plain_hit",
    "shown",
    "trace_lines",
    "why",
]

WINDOW = 7
"""Lines of a passage."""
PLAIN_WIDTH = 160
"""Where prose is folded for a pipe: short enough to read in a grep's result, long enough for a sentence."""

_LEGS = {
    "lexical": ("words", "bm25"),
    "dense": ("meaning", "cos"),
    "sparse": ("weights", "dot"),
    "late": ("closeness", "maxsim"),
    "document": ("document", "best"),
}
_SECOND = ("late", "document")


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """A hit and the lines of it that are shown."""

    rank: int | None
    hit: Hit
    lines: Sequence[Line]

    @property
    def place(self) -> str:
        """`path:line` of the first line shown."""
        return place_of(self.hit.citation, self.lines[0].number if self.lines else None)


def on_terminal() -> bool:
    """Whether results are for a person's eyes: stdout is a terminal, or FORCE_COLOR says to act as if."""
    return bool(os.environ.get("FORCE_COLOR")) or sys.stdout.isatty()


def shown(
    hit: Hit,
    find: Callable[[str], tuple[Mark, ...]],
    *,
    rank: int | None = None,
    width: int | None,
    size: int = WINDOW,
    measure: Callable[[str], int] = len,
) -> Shown:
    """*hit* with the passage that matches best."""
    chunk = hit.chunk
    lines = passage(
        chunk.text,
        first_line=chunk.lines[0] if chunk.lines else None,
        find=find,
        size=size,
        width=width,
        code=is_code(hit),
        measure=measure,
    )
    return Shown(rank=rank, hit=hit, lines=lines)


def is_code(hit: Hit) -> bool:
    """Whether the chunk's line breaks and indentation carry meaning."""
    return "code_language" in hit.chunk.metadata


def place_of(citation: Citation, number: int | None) -> str:
    """`path:line`, the line being *number* or else the first of the chunk."""
    if citation.place:
        return printable(str(citation))
    line = number if number is not None else citation.lines[0] if citation.lines else None
    return printable(citation.source) + (f":{line}" if line is not None else "")


def heading_path(citation: Citation) -> str:
    """Headings outermost first, or the title where there are none."""
    return printable(" › ".join(citation.headings) or citation.title or "")


def why(hit: Hit) -> str:
    """In one line, why a hit ranked where it did."""
    # The second look follows from these; with it the line would not fit beside a hit.
    opinions = [_opinion(name, origin) for name, origin in _in_order(hit) if name not in _SECOND]
    return " · ".join([f"score {figure(hit.score)}", *opinions])


def explanation(hit: Hit, find: Callable[[str], tuple[Mark, ...]]) -> Iterator[str]:
    """Every leg's opinion of a hit, one to a line, what stands beside it, and the chunk's id."""
    rows = []
    for name, origin in _in_order(hit):
        label, unit = _LEGS.get(name, (name, "score"))
        moved = f"moved {origin.share:+.0f}" if name == "rerank" else f"share {figure(origin.share)}"
        rows.append(
            (label, f"#{origin.rank}", f"{unit} {figure(origin.score)}", figure(origin.normalised), moved)
        )
    for label, rank, score, normalised, share in rows:
        yield f"{label:<9} {rank:<5} {score:<12} normalised {normalised:<6} {share}"
    yield f"context   {beside(hit.chunk) or 'none'}{_only_beside(hit.chunk, find)}"
    yield f"chunk {printable(hit.chunk.id)}"


def beside(chunk: Chunk) -> str:
    """A chunk's context in one line."""
    return " / ".join(filter(None, map(printable, chunk.context.split("\n"))))


def _only_beside(chunk: Chunk, find: Callable[[str], tuple[Mark, ...]]) -> str:
    """The question's words that its context holds and its text does not, as they are written there."""
    seen = set[str]().union(*(mark.terms for mark in find(chunk.text)))
    shown, words = beside(chunk), list[str]()
    for mark in find(shown):
        if mark.terms - seen:
            seen |= mark.terms
            words.append(shown[mark.start : mark.end])
    return f"  (only here: {', '.join(words)})" if words else ""


def trace_lines(results: Results) -> Iterator[str]:
    """The trace as a table, and what was paid."""
    trace = results.trace
    yield f"generation {trace.generation} · {trace.ms:.1f} ms · cache {trace.cache}"
    rows = [("stage", "ms", "candidates", "note")]
    rows += [(s.name, f"{s.ms:.1f}", f"{s.candidates:,}", printable(s.note)) for s in trace.stages]
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    for name, ms, candidates, note in rows:
        yield f"{name:<{widths[0]}}  {ms:>{widths[1]}}  {candidates:>{widths[2]}}  {note}".rstrip()
    if trace.tuning is not None:
        yield f"weights: {weights(trace.tuning)}"
        yield f"because {printable(trace.tuning.reason)}"
    if results.usage.calls:
        yield f"paid: {money(results.usage)}"
    for sentence in trace.degraded:
        yield f"degraded: {printable(sentence)}"


def plain_hit(item: Shown, find: Callable[[str], tuple[Mark, ...]], *, explain: bool) -> Iterator[str]:
    """A hit for a pipe: every line begins with `path:line: `, first the reasons, then the passage."""
    headings = heading_path(item.hit.citation)
    if item.rank is not None:
        reasons = f"{item.place}: [{item.rank}] {why(item.hit)}"
        yield f"{reasons} · {headings}" if headings else reasons
    if explain:
        yield from (f"{item.place}: {line}" for line in explanation(item.hit, find))
    yield from plain_lines(item.hit.citation, item.lines)


def plain_lines(citation: Citation, lines: Sequence[Line]) -> Iterator[str]:
    """Lines of a text for a pipe, as `grep -n` writes them."""
    for line in lines:
        yield f"{place_of(citation, line.number)}: {line.text}"


def figure(value: float) -> str:
    """A score in as many digits as tell something."""
    size = abs(value)
    digits = 1 if size >= 10 else 2 if size >= 0.1 or size < 5e-5 else 3 if size >= 0.01 else 4
    return f"{value:.{digits}f}"


def _in_order(hit: Hit) -> list[tuple[str, Origin]]:
    order = {name: place for place, name in enumerate(_LEGS)}
    return sorted(hit.origins.items(), key=lambda item: order.get(item[0], len(order)))


def _opinion(name: str, origin: Origin) -> str:
    if name == "rerank":
        places = round(abs(origin.share))
        moved = f", {'up' if origin.share > 0 else 'down'} {places}" if places else ""
        return f"rerank #{origin.rank} ({figure(origin.score)}{moved})"
    label, unit = _LEGS.get(name, (name, "score"))
    return f"{label} #{origin.rank} ({unit} {figure(origin.score)})"
