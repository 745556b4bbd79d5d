"""What the parts of `cache.py` share: collections, questions compared as the cache does it, tables."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ragweft.caching.calibrating import Pair
from ragweft.caching.gate import Reading, doubts
from ragweft.caching.likeness import Likeness
from ragweft.caching.looking import NEAR
from ragweft.caching.parlance import Parlance
from ragweft.embedding.static import StaticEmbedder

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ragweft.caching.values import Measure
    from ragweft.protocols import Embedder
    from ragweft.types import Vector, Vectors

__all__ = ["Banking", "Comparing", "Found", "Section", "load_banking", "load_pairs", "most", "percent", "table"]

_NOT_SERVED = -9.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """What one part found."""

    title: str
    text: str
    """Markdown."""
    numbers: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Banking:
    """Questions with intents: what was asked before, and what is sent now."""

    cached: Sequence[str]
    cached_intents: NDArray[np.str_]
    sent: Sequence[str]
    sent_intents: NDArray[np.str_]


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """For every question that was sent, the entry it would be served."""

    scores: NDArray[np.float64]
    """Its likeness; below any threshold where nothing may be served."""
    places: NDArray[np.int64]


def load_banking(data: Path) -> Banking:
    """cache_banking77."""
    rows = _lines(data / "cache_banking77" / "items.jsonl")
    cached = [row for row in rows if row["split"] == "train"]
    sent = [row for row in rows if row["split"] == "test"]
    return Banking(
        cached=[row["text"] for row in cached],
        cached_intents=np.array([row["intent"] for row in cached]),
        sent=[row["text"] for row in sent],
        sent_intents=np.array([row["intent"] for row in sent]),
    )


def load_pairs(file: Path) -> list[Pair]:
    """Pairs of questions with a label, 1 for the same."""
    return [Pair(asked=row["a"], other=row["b"], same=bool(row["label"])) for row in _lines(file)]


def _lines(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines() if line]


class Comparing:
    """Questions in one scope, compared as `ragweft.caching.looking` does: of the nearest by cosine, the most alike
    that the gate does not doubt."""

    def __init__(self, embedder: Embedder, cached: Sequence[str]) -> None:
        self._embedder = embedder
        self._likeness = Likeness(StaticEmbedder())
        self.cached = cached
        self.vectors: Vectors = unit_rows(embedder.embed_documents(cached))
        self._spoken = [self._likeness.spoken(text) for text in cached]
        self._parlance = Parlance()
        self._parlance.add(self._spoken)
        self._readings: dict[str, Reading] = {}
        self._doubted: dict[tuple[str, str, frozenset[str], bool], bool] = {}

    def doubted(self, asked: str, other: str, parlance: Parlance | None = None, *, words: bool = False) -> bool:
        """Whether the gate finds that they ask different things; *words*: as while nothing is calibrated."""
        usual = (parlance or self._parlance).usual
        known = self._doubted.get((asked, other, usual, words))
        if known is None:
            known = bool(doubts(self._reading(asked), self._reading(other), usual=usual, words=words))
            self._doubted[asked, other, usual, words] = known
        return known

    def nearest(self, asked: Sequence[str]) -> tuple[NDArray[np.int64], Vectors]:
        """Places of the nearest entries by cosine, the nearest first, and their cosines."""
        vectors = unit_rows(self._embedder.embed_documents(asked))
        places = np.empty((len(asked), min(NEAR, len(self.cached))), np.int64)
        cosines = np.empty(places.shape, np.float32)
        for start in range(0, len(asked), 512):
            near = vectors[start : start + 512] @ self.vectors.T
            order = np.argsort(-near, axis=1, kind="stable")[:, : places.shape[1]]
            places[start : start + 512] = order
            cosines[start : start + 512] = np.take_along_axis(near, order, 1)
        return places, cosines

    def alike(
        self,
        asked: str,
        places: Sequence[int],
        cosines: Vector,
        *,
        measure: Measure,
        parlance: Parlance | None = None,
    ) -> Vector:
        """How alike a question is to some entries; *parlance* None: as the entries are put."""
        spoken, others = self._likeness.spoken(asked), [self._spoken[place] for place in places]
        return self._likeness.of(spoken, others, cosines, parlance or self._parlance, measure=measure)

    def found(
        self,
        asked: Sequence[str],
        near: tuple[NDArray[np.int64], Vectors],
        *,
        measure: Measure,
        gate: bool,
        parlance: Parlance | None = None,
        words: bool = False,
    ) -> Found:
        """What each of *asked* would be served, of those `nearest`."""
        scores = np.full(len(asked), _NOT_SERVED)
        chosen = np.zeros(len(asked), np.int64)
        for number, (text, places, cosines) in enumerate(zip(asked, *near, strict=True)):
            alike = self.alike(text, places.tolist(), cosines, measure=measure, parlance=parlance)
            for place in np.argsort(-alike, kind="stable").tolist():
                other = self.cached[int(places[place])]
                if not gate or not self.doubted(text, other, parlance, words=words):
                    scores[number], chosen[number] = alike[place], places[place]
                    break
        return Found(scores=scores, places=chosen)

    def _reading(self, text: str) -> Reading:
        found = self._readings.get(text)
        if found is None:
            found = self._readings[text] = Reading.of(text)
        return found


def unit_rows(vectors: Vectors) -> Vectors:
    """Rows of length 1; a zero row stays zero."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    made: Vectors = (vectors / np.where(lengths > 0, lengths, 1)).astype(np.float32)
    return made


def most(found: Found, right: NDArray[np.bool_], *, precision: float) -> tuple[float, float]:
    """The largest share that can be served with that *precision*, and from which score on.

    Those with the same score are served together or not at all.
    """
    order = np.argsort(-found.scores, kind="stable")
    scores = found.scores[order]
    reached = np.cumsum(right[order]) / np.arange(1, len(order) + 1)
    last = np.r_[scores[1:] != scores[:-1], True] & (scores > _NOT_SERVED)
    places = np.flatnonzero((reached >= precision) & last)
    if not len(places):
        return 0.0, float("inf")
    return (int(places[-1]) + 1) / len(order), float(scores[places[-1]])


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [f"| {' | '.join(header)} |", "|---" * len(header) + "|"]
    return "\n".join([*lines, *(f"| {' | '.join(row)} |" for row in rows)])


def percent(share: float) -> str:
    """A share in percent, one digit."""
    return f"{100 * share:.1f} %"
