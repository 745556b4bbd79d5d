"""What is sent of hits to a reranking service, and hits' scores out of what comes back."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ragweft.providers.windows import in_parts
from ragweft.types import Judgement, Span

if TYPE_CHECKING:
    from ragweft.types import Hit

__all__ = ["Piece", "Scored", "batches_of", "merged", "parts_of"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """What is sent of one hit: its passage, or a part of a long one."""

    place: int
    """Of the hit."""
    text: str
    start: int
    """Where it begins in the passage."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scored:
    """What the service says of a piece."""

    piece: Piece
    score: float
    spans: Sequence[tuple[int, int]]
    """Relevant ones within the piece, half open, in code points."""


def parts_of(piece: Piece, window: int | None, count: Callable[[str], int]) -> Iterator[Piece]:
    """*piece*, or parts of it of at most *window* tokens."""
    start = 0
    for part in in_parts([piece.text], window=window, count=count)[0]:
        start = max(start, piece.text.find(part, start))
        yield Piece(place=piece.place, text=part, start=piece.start + start)
        start += len(part)


def batches_of(
    pieces: Sequence[Piece], sizes: Sequence[int], *, most: int, tokens: int | None
) -> Iterator[list[Piece]]:
    """Pieces for one request each: at most *most*, and together no more than *tokens* by their *sizes*."""
    batch: list[Piece] = []
    held = 0
    for piece, size in zip(pieces, sizes, strict=True):
        if batch and (len(batch) == most or (tokens is not None and held + size > tokens)):
            yield batch
            batch, held = [], 0
        batch.append(piece)
        held += size
    if batch:
        yield batch


def merged(scored: Sequence[Scored], hits: Sequence[Hit]) -> list[Judgement]:
    """For each hit the best of its pieces; one of which nothing was sent comes last."""
    worst = min(each.score for each in scored)
    found = [Judgement(score=worst) for _ in hits]
    for each in scored:
        place, start = each.piece.place, each.piece.start
        spans = [(first + start, last + start) for first, last in each.spans]
        old = found[place]
        highlights = (*old.highlights, *_own(hits[place], spans))
        found[place] = Judgement(score=max(old.score, each.score), highlights=highlights)
    return found


def _own(hit: Hit, spans: Sequence[tuple[int, int]]) -> tuple[Span, ...]:
    """*spans* of what was sent as spans of the chunk's own text; what lies in its context is left out."""
    shift = hit.chunk.text_start
    found = []
    for start, end in spans:
        start, end = max(start - shift, 0), min(end - shift, len(hit.chunk.text))
        if start < end:
            found.append(Span(start=start, end=end))
    return tuple(found)
