"""An exact inverted index over learned word weights, in the memory of one process."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ragweft.types import Ranking
from ragweft.vectors.cosine import best
from ragweft.vectors.sparse_rows import SparseRows, asked_weights
from ragweft.vectors.sparse_segments import Segment, made, merged

if TYPE_CHECKING:
    from ragweft.types import Rows, Vector

__all__ = ["SparseIndex"]

_SEGMENT_ENTRIES = 2**22
"""Weights of a merged segment, at most: 34 MB, some 20,000 chunks of BGE-M3. It bounds what a merge takes for a
moment, and keeps the scores of a segment in the processor's cache."""
_DEAD_SHARE = 0.3
"""Of the rows of a segment, above which it is made anew without them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _State:
    generation: int = 0
    segments: tuple[Segment, ...] = ()


class SparseIndex:
    """Sums of weight products over every living row. It takes 8 bytes for each token of each row.

    Nothing is written to disk: it is filled from what is. A search looks at one state from its beginning to its
    end, and needs no lock; any number of threads may search while one applies.
    """

    def __init__(self, *, segment_entries: int = _SEGMENT_ENTRIES) -> None:
        """Empty, at generation 0."""
        self._most = segment_entries
        self._state = _State()
        self._applying = threading.Lock()

    @property
    def applied_generation(self) -> int:
        """The ledger generation it has caught up with."""
        return self._state.generation

    @property
    def rows(self) -> Rows:
        """Every row held and not known to be dead, rising."""
        return np.sort(np.concatenate([_NO_ROWS, *(segment.living for segment in self._state.segments)]))

    def __len__(self) -> int:
        return sum(len(segment.living) for segment in self._state.segments)

    def apply(self, *, rows: Rows, weights: SparseRows, removed: Rows, generation: int) -> None:
        """Add *rows* with their *weights*, drop *removed*, then note *generation*; idempotent.

        A row never changes its text, so that one that is held already is left as it is.
        """
        with self._applying:
            segments = [segment.without(removed) for segment in self._state.segments]
            if len(rows):
                segments.append(_fresh(rows, weights, removed, segments))
            self._state = _State(generation=generation, segments=self._tidied(segments))

    def search(self, weights: Mapping[int, float], *, n: int, among: Rows | None = None) -> Ranking:
        """The *n* rows of the highest sum, of all rows or exactly *among* these, ties by rising row.

        Rows that share no token with *weights* (token number to weight) are never returned.

        Raises:
            ValueError: a weight is negative, infinite or NaN.
        """
        state = self._state
        asked = asked_weights(weights)
        found = [segment.matches(asked, among) for segment in state.segments]
        total = sum(len(rows) for rows, _ in found)
        heads = [_head(rows, scores, n) for rows, scores in found]
        rows, scores = best(
            np.concatenate([_NO_ROWS, *(rows for rows, _ in heads)]),
            np.concatenate([np.empty(0, np.float32), *(scores for _, scores in heads)]),
            max(n, 0),
        )
        return Ranking(rows=rows, scores=scores, generation=state.generation, exhausted=len(rows) == total)

    def _tidied(self, segments: Sequence[Segment]) -> tuple[Segment, ...]:
        """*segments* without those that are dead, thinned where much is, and merged where they are small.

        A segment is merged with its neighbour before it unless that is more than twice as large, so that each
        entry is copied a few times only, and few segments are left for a search to go through.
        """
        kept: list[Segment] = []
        for segment in segments:
            gone = int(np.count_nonzero(segment.dead))
            if gone == len(segment.rows):
                continue
            kept.append(merged([segment]) if gone > _DEAD_SHARE * len(segment.rows) else segment)
            while len(kept) > 1 and self._belong_together(*kept[-2:]):
                kept[-2:] = [merged(kept[-2:])]
        return tuple(kept)

    def _belong_together(self, one: Segment, other: Segment) -> bool:
        first, second = len(one.places), len(other.places)
        return first <= 2 * second and first + second <= self._most


_NO_ROWS = np.empty(0, dtype=np.int64)


def _fresh(rows: Rows, weights: SparseRows, removed: Rows, segments: Sequence[Segment]) -> Segment:
    """A segment of those of *rows* that no segment holds; the ones *removed* are dead in it."""
    held = [segment.rows[segment.positions(rows)] for segment in segments]
    known = np.isin(rows, np.concatenate([_NO_ROWS, *held]))
    if known.any():
        entries = np.repeat(~known, weights.lengths)
        rows = rows[~known]
        weights = SparseRows(
            lengths=weights.lengths[~known], tokens=weights.tokens[entries], weights=weights.weights[entries]
        )
    return made(rows, weights).without(removed)


def _head(rows: Rows, scores: Vector, n: int) -> tuple[Rows, Vector]:
    """The *n* highest and whatever ties with the last of them, in the order given."""
    if n <= 0 or n >= len(rows):
        return (rows, scores) if n > 0 else (rows[:0], scores[:0])
    floor = np.partition(scores, len(scores) - n)[len(scores) - n]
    kept = scores >= floor
    return rows[kept], scores[kept]
