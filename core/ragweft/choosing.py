"""Which hits are worth reading: no copies, and on request not all of the same."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ragweft.packing import Library
    from ragweft.types import Hit

__all__ = ["diverse", "without_copies"]

_SHINGLE = 5
"""Words in a row: texts that share most of these are copies, not merely alike (Broder, "On the resemblance and
containment of documents", 1997)."""
_SAME = 0.9
"""Share of a text's shingles above which it says nothing new."""


def without_copies(hits: Sequence[Hit]) -> list[Hit]:
    """*hits* without those that say nothing a better one does not say."""
    kept: list[Hit] = []
    known: list[frozenset[tuple[str, ...]]] = []
    for hit in hits:
        own = _shingles(hit.chunk.text)
        if not any(_copied(own, other) for other in known):
            kept.append(hit)
            known.append(own)
    return kept


def _shingles(text: str) -> frozenset[tuple[str, ...]]:
    words = re.findall(r"\w+", text.casefold())
    return frozenset(tuple(words[n : n + _SHINGLE]) for n in range(max(1, len(words) - _SHINGLE + 1)))


def _copied(one: frozenset[tuple[str, ...]], other: frozenset[tuple[str, ...]]) -> bool:
    """Whether nearly all that *one* says stands in *other*."""
    return len(one & other) >= _SAME * len(one)


def diverse(hits: Sequence[Hit], diversity: float, library: Library | None) -> list[Hit]:
    """By maximal marginal relevance: close to the question, and unlike what was taken before."""
    alike = _similarities(hits, library)
    low, high = min((hit.score for hit in hits), default=0.0), max((hit.score for hit in hits), default=0.0)
    worth = [(hit.score - low) / (high - low) if high > low else 1.0 for hit in hits]
    left, taken = list(range(len(hits))), list[int]()
    while left:
        gains = [
            (1 - diversity) * worth[n] - diversity * max((alike(n, other) for other in taken), default=0.0)
            for n in left
        ]
        taken.append(left.pop(max(range(len(left)), key=gains.__getitem__)))
    return [hits[n] for n in taken]


def _similarities(hits: Sequence[Hit], library: Library | None) -> Callable[[int, int], float]:
    rows = [hit.row for hit in hits if hit.row is not None]
    if library is not None and len(rows) == len(hits) and hits:
        vectors = library.vectors(rows)
        if vectors is not None:
            return lambda one, other: float(vectors[one] @ vectors[other])
    shingles = [frozenset(re.findall(r"\w+", hit.chunk.text.casefold())) for hit in hits]
    return lambda one, other: (
        len(shingles[one] & shingles[other]) / max(1, len(shingles[one] | shingles[other]))
    )
