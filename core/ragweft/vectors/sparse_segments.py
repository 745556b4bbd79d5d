"""Inverted lists of word weights over a range of rows: how they are made, searched and made small again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ragweft.types import Rows
    from ragweft.vectors.sparse_rows import SparseRows

__all__ = ["Segment", "made", "merged"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """Some rows, and for every token which of them hold it (compressed sparse columns); never changed."""

    rows: Rows
    """Rising."""
    dead: NDArray[np.bool_]
    """Which of the rows are never returned any more."""
    tokens: NDArray[np.int32]
    """Every token any row holds, rising."""
    starts: NDArray[np.int64]
    """Where each token's list begins, and at last where the lists end: shape (len(tokens) + 1,)."""
    places: NDArray[np.int32]
    """Positions in `rows`, list after list."""
    weights: NDArray[np.float32]
    """What the token weighs in each of these rows."""

    @property
    def living(self) -> Rows:
        """Rows that are not dead."""
        return self.rows[~self.dead]

    def positions(self, rows: Rows) -> NDArray[np.intp]:
        """Positions of those of *rows* that are held, dead or not, in the order of *rows*."""
        if not len(self.rows):
            return np.empty(0, dtype=np.intp)
        at = np.minimum(np.searchsorted(self.rows, rows), len(self.rows) - 1)
        found: NDArray[np.intp] = at[self.rows[at] == rows]
        return found

    def without(self, removed: Rows) -> Segment:
        """The same with the rows *removed* dead."""
        gone = self.positions(removed)
        if self.dead[gone].all():
            return self
        dead = self.dead.copy()
        dead[gone] = True
        return replace(self, dead=dead)

    def matches(self, asked: SparseRows, among: Rows | None) -> tuple[Rows, NDArray[np.float32]]:
        """The living rows, of all or *among* these, that share a token with *asked*, and their scores."""
        scores = np.zeros(len(self.rows), dtype=np.float64)
        lists = np.searchsorted(self.tokens, asked.tokens)
        known = lists < len(self.tokens)
        known[known] = self.tokens[lists[known]] == asked.tokens[known]
        # By rising token, as `products` sums. A row comes once in a list, so that += adds every weight.
        for place, weight in zip(lists[known].tolist(), asked.weights[known], strict=True):
            held = slice(self.starts[place], self.starts[place + 1])
            scores[self.places[held]] += np.multiply(self.weights[held], weight, dtype=np.float64)
        if among is None:
            found = np.flatnonzero((scores > 0) & ~self.dead)
        else:
            offered = self.positions(among)
            found = offered[(scores[offered] > 0) & ~self.dead[offered]]
        return self.rows[found], scores[found].astype(np.float32)


def made(rows: Rows, weights: SparseRows) -> Segment:
    """A segment of *rows* with one text's weights each."""
    owners = np.repeat(np.arange(len(rows), dtype=np.int32), weights.lengths)
    return _sorted(rows, owners, weights.tokens, weights.weights)


def merged(segments: Sequence[Segment]) -> Segment:
    """One segment of the living rows of *segments*, which have no row in common."""
    owners, tokens, weights = [], [], []
    held = 0
    for segment in segments:
        alive = ~segment.dead
        kept = alive[segment.places]
        numbers = np.cumsum(alive, dtype=np.int32) + np.int32(held - 1)
        owners.append(numbers[segment.places[kept]])
        tokens.append(np.repeat(segment.tokens, np.diff(segment.starts))[kept])
        weights.append(segment.weights[kept])
        held += int(np.count_nonzero(alive))
    rows = np.concatenate([segment.living for segment in segments])
    return _sorted(rows, np.concatenate(owners), np.concatenate(tokens), np.concatenate(weights))


def _sorted(
    rows: Rows, owners: NDArray[np.int32], tokens: NDArray[np.int32], weights: NDArray[np.float32]
) -> Segment:
    """A segment from *rows* and their entries, both in any order; *owners* are positions in *rows*."""
    by_row = np.argsort(rows)
    rank = np.empty(len(rows), dtype=np.int32)
    rank[by_row] = np.arange(len(rows), dtype=np.int32)
    # The stable sort merges runs that are in order already, of which two segments are only two.
    by_token = np.argsort(tokens, kind="stable")
    tokens = tokens[by_token]
    begins = np.ones(len(tokens), dtype=np.bool_)
    begins[1:] = tokens[1:] != tokens[:-1]
    firsts = np.flatnonzero(begins)
    return Segment(
        rows=rows[by_row],
        dead=np.zeros(len(rows), dtype=np.bool_),
        tokens=tokens[firsts],
        starts=np.append(firsts, len(tokens)),
        places=rank[owners[by_token]],
        weights=weights[by_token],
    )
