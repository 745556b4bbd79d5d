"""How alike is alike enough: learnt from pairs of questions, at a rate of wrong answers that is asked for.

Pairs that have different answers and yet are near each other say how often an answer would be served wrongly
from a likeness on. Few pairs are seen that are as alike as a threshold for one in a hundred must be, so the
rate above what was seen is told from the slope below it: where likeness is bounded, what exceeds a high level
falls off no slower than exponentially (Pickands, "Statistical inference using extreme order statistics", 1975).
How sure that is, resampling the pairs tells (Efron, 1979). Where the threshold would lie above every likeness
there is, no threshold will do, and only the same words are served.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from ragweft.caching.estimate import at_most
from ragweft.caching.gate import Reading, doubts
from ragweft.caching.looking import unit
from ragweft.caching.parlance import Parlance
from ragweft.caching.standard import CONFIDENCE, DEFAULT, EXACTLY, TARGET, Standard
from ragweft.caching.values import MEASURES
from ragweft.errors import ProviderError, RagweftError
from ragweft.progress import silent

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ragweft.caching.likeness import Likeness
    from ragweft.caching.values import Measure
    from ragweft.protocols import Progress
    from ragweft.types import Vector

__all__ = ["ALTERED", "FEWEST", "Pair", "calibrate"]

ALTERED = "altered"
"""The kind of near-misses that the gate is there for: what it lets through of these is counted."""
FEWEST = 50
"""Near-misses below which nothing is concluded."""
_HEAD = 0.3
"""Share of the near-misses whose likeness tells how fast it falls off."""
_FEWEST_HEAD = 15
_RESAMPLED = 500
_LEAST = 0.4
"""Likeness below which nothing is served, however well the gate holds back the near-misses that were given."""
_MUCH = 0.2
"""By how much another question is nearer, in cosine, than the one a question was given with, to say that these
are far apart: in 0.2 % of PAWS, whose pairs are near by design, and in 90 % of a FAQ's different questions."""
_UNKNOWN: Measure = "cosine"
"""What is gone by where no pair has the same answer: then nobody can say what a lower threshold would win."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """Two questions, and whether the answer to one answers the other."""

    asked: str
    other: str
    same: bool
    kind: str = ""
    """Near-misses of each kind by themselves are kept below the target: no kind hides behind another."""


def calibrate(
    pairs: Iterable[Pair],
    *,
    embed: Callable[[str], Vector],
    likeness: Likeness,
    target: float = TARGET,
    confidence: float = CONFIDENCE,
    origin: str = "pairs",
    progress: Progress = silent,
) -> Standard:
    """The measure and threshold that serve most of the pairs with the same answer.

    Args:
        pairs: questions as they are asked; those with different answers should be near-misses, for of questions
            on different subjects nobody learns where to draw a line.
        embed: question to vector.
        likeness: compares words.
        target: share of the near-misses that may be served.
        confidence: how sure it shall be that not more are.
        origin: said in the standard.
        progress: told how far the embedding has come.

    Raises:
        RagweftError: there are too few near-misses, or *target* or *confidence* is no share.
        ProviderError: the embedder failed.
    """
    for name, share in (("target", target), ("confidence", confidence)):
        if not 0 < share < 1:
            raise RagweftError(f"cache calibrate: {name} = {share:g} is no share; give one between 0 and 1")
    given = list(dict.fromkeys(pair for pair in pairs if pair.asked.strip() and pair.other.strip()))
    same = np.array([pair.same for pair in given], dtype=bool)
    if (near_misses := int((~same).sum())) < FEWEST:
        raise RagweftError(
            f"cache calibrate: {near_misses} pairs with different answers are too few to tell one in "
            f"{round(1 / target)} by; give {FEWEST} or more"
        )
    seen = _Pairs(given, embed=embed, likeness=likeness, progress=progress)
    kinds = [
        (np.array([not pair.same and pair.kind == kind for pair in given], dtype=bool), kind == ALTERED)
        for kind in sorted({pair.kind for pair in given if not pair.same})
    ]
    best = EXACTLY
    for measure in MEASURES if same.any() else (_UNKNOWN,):
        alike = seen.alike(measure)
        found = [
            _counted(alike[own], seen.let_through[own], target=target)
            if altered
            else _threshold(alike[own], seen.let_through[own], target=target, confidence=confidence)
            for own, altered in kinds
        ]
        threshold = max(_LEAST if same.any() else DEFAULT.threshold, *found)
        served = (alike >= threshold) & seen.let_through
        wrong = int(served[~same].sum())
        standard = Standard(
            threshold=threshold,
            measure=measure,
            origin=origin,
            target=target,
            confidence=confidence,
            near_misses=near_misses,
            wrong=wrong,
            upper=at_most(wrong, near_misses, confidence),
            paraphrases=int(same.sum()),
            served=int(served[same].sum()),
            nearer=seen.nearer,
            parlance=seen.parlance,
        )
        if best is EXACTLY or (standard.semantic, standard.served) > (best.semantic, best.served):
            best = standard
    return best if best.semantic else replace(best, threshold=EXACTLY.threshold, served=0, wrong=0)


class _Pairs:
    """Pairs, read and embedded once for every measure."""

    def __init__(
        self, pairs: Sequence[Pair], *, embed: Callable[[str], Vector], likeness: Likeness, progress: Progress
    ) -> None:
        texts = list(dict.fromkeys(text for pair in pairs for text in (pair.asked, pair.other)))
        vectors: dict[str, Vector] = {}
        for number, text in enumerate(texts):
            progress("embedding questions", number, len(texts))
            vectors[text] = unit(embed(text))
            if not np.isfinite(vectors[text]).all():
                raise ProviderError(
                    f"cache calibrate: the embedder gives no numbers for {text[:80]!r}", retryable=False
                )
        progress("embedding questions", len(texts), len(texts))
        self._likeness = likeness
        self._spoken = {text: likeness.spoken(text) for text in texts}
        self.parlance = Parlance()
        self.parlance.add(list(self._spoken.values()))
        self._pairs = pairs
        self._cosines = np.array([vectors[p.asked] @ vectors[p.other] for p in pairs], dtype=np.float32)
        self.nearer = _nearer(pairs, vectors, self._cosines)
        """As `Standard.nearer`."""
        read, usual = {text: Reading.of(text) for text in texts}, self.parlance.usual
        through = [not doubts(read[pair.asked], read[pair.other], usual=usual) for pair in pairs]
        self.let_through: NDArray[np.bool_] = np.array(through, dtype=bool)
        """Which of them the gate lets through."""

    def alike(self, measure: Measure) -> Vector:
        """Their likeness: float32, shape (len(pairs),)."""
        if measure == "cosine":
            return self._cosines
        found = [
            self._likeness.of(
                self._spoken[pair.asked],
                [self._spoken[pair.other]],
                self._cosines[place : place + 1],
                self.parlance,
                measure=measure,
            )
            for place, pair in enumerate(self._pairs)
        ]
        return np.concatenate(found)


def _nearer(pairs: Sequence[Pair], vectors: Mapping[str, Vector], cosines: Vector) -> float:
    places = {text: place for place, text in enumerate(vectors)}
    matrix = np.array(list(vectors.values()))
    alike: dict[str, set[int]] = {}
    for pair in pairs if len(matrix) else ():
        alike.setdefault(pair.asked, {places[pair.asked]})
        if pair.same:
            alike[pair.asked].add(places[pair.other])
            alike.setdefault(pair.other, {places[pair.other]}).add(places[pair.asked])
    found = []
    for place, pair in enumerate(pairs):
        if not pair.same and pair.kind != ALTERED:
            others = matrix @ vectors[pair.asked]
            others[list(alike[pair.asked])] = -1.0
            found.append(bool(others.max() > cosines[place] + _MUCH))
    return sum(found) / len(found) if found else 0.0


def _threshold(alike: Vector, let_through: NDArray[np.bool_], *, target: float, confidence: float) -> float:
    """The likeness from which on no more than *target* of the near-misses are served, with that confidence."""
    count = len(alike)
    scores = np.sort(alike[let_through].astype(np.float64))[::-1]
    if len(scores) < 2 * _FEWEST_HEAD:
        # The gate stops nearly all of these, which says nothing of others: as if it were open.
        scores = np.sort(alike.astype(np.float64))[::-1]
    served = len(scores) / count
    drawn = np.random.default_rng(0).choice(scores, size=(_RESAMPLED, len(scores)))
    told = np.quantile([_beyond(sample, target / served) for sample in drawn], confidence)
    return max(float(told), _counted(alike, let_through, target=target))


def _counted(alike: Vector, let_through: NDArray[np.bool_], *, target: float) -> float:
    """The likeness from which on no more than *target* of the near-misses that were seen are served."""
    scores, allowed = np.sort(alike[let_through])[::-1], int(target * len(alike))
    return float(np.nextafter(scores[allowed], np.float32(2.0))) if allowed < len(scores) else 0.0


def _beyond(scores: NDArray[np.float64], share: float) -> float:
    """The level that *share* of the *scores* lie above, told from their slope where they are highest."""
    falling = np.sort(scores)[::-1]
    head = min(max(_FEWEST_HEAD, int(_HEAD * len(falling))), len(falling) - 1)
    level = falling[head]
    slope = float((falling[:head] - level).mean())
    return float(level + slope * math.log(max(1.0, head / len(falling) / share)))
