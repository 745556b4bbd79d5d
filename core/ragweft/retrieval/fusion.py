"""Fusion: several rankings of the same rows become one. Pure functions, no I/O.

Every method gives each row the sum over legs of `weight x normalised score`; they differ in how a leg's raw
scores are normalised. A row a leg did not return gets that leg's worst value: 0, or its lowest z-score.

    convex   (s - min) / (max - min) over the leg's pool                       [Bruch et al. 2023, TOIS]
    rrf      1 / (k + rank), k = 60                                            [Cormack et al. 2009, SIGIR]
    dbsf     (s - (m - 3d)) / 6d clipped to [0, 1]; m, d: mean and deviation   [Mazzeschi, Distribution-Based
             Score Fusion (DBSF), 2023]
    zscore   (s - m) / d
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ragweft.types import Ranking, Rows

    Scores = NDArray[np.float64]

__all__ = ["BOUNDED", "METHODS", "Fused", "convex", "dbsf", "fuse", "rrf", "zscore"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fused:
    """Rows of all legs together, by falling score, ties by rising row."""

    rows: Rows
    scores: Scores
    """float64 sums, shape (n,)."""
    normalised: Mapping[str, Scores]
    """For each leg that counts, its normalised scores in the order of its ranking."""
    weights: Mapping[str, float]
    """What each of these legs counts; they sum to 1."""


def convex(scores: Scores, *, k: int = 60) -> Scores:  # noqa: ARG001
    """Min-max over the pool; a pool of equal scores counts as all best."""
    low, high = float(scores.min()), float(scores.max())
    if high == low:
        return np.ones_like(scores)
    return (scores - low) / (high - low)


def rrf(scores: Scores, *, k: int = 60) -> Scores:
    """Reciprocal ranks; *scores* must already fall, as in a `Ranking`."""
    ranks: Scores = np.arange(1, len(scores) + 1, dtype=np.float64)
    return 1.0 / (k + ranks)


def dbsf(scores: Scores, *, k: int = 60) -> Scores:  # noqa: ARG001
    """Three deviations around the mean mapped to [0, 1]; equal scores count as the middle."""
    mean, deviation = float(scores.mean()), float(scores.std())
    if deviation == 0:
        return np.full_like(scores, 0.5)
    return np.clip((scores - (mean - 3 * deviation)) / (6 * deviation), 0.0, 1.0)


def zscore(scores: Scores, *, k: int = 60) -> Scores:  # noqa: ARG001
    """Deviations from the mean; equal scores are all 0."""
    deviation = float(scores.std())
    if deviation == 0:
        return np.zeros_like(scores)
    return (scores - float(scores.mean())) / deviation


METHODS: Mapping[str, Callable[..., Scores]] = {"convex": convex, "rrf": rrf, "dbsf": dbsf, "zscore": zscore}

BOUNDED = frozenset({"convex", "dbsf"})
"""Methods whose sums lie between 0 and 1 by themselves."""


def fuse(
    rankings: Mapping[str, Ranking], weights: Mapping[str, float], *, method: str = "convex", k: int = 60
) -> Fused:
    """Fuse *rankings* by leg name. The inputs are left as they are.

    Weights are scaled to sum to 1 over the legs that returned something, so that a silent or failed leg
    leaves the scale of the others alone.
    """
    speaking = {leg: ranking for leg, ranking in rankings.items() if len(ranking.rows) and weights[leg] > 0}
    if not speaking:
        # Whoever has a weight is silent: better the others' answer than none.
        speaking = {leg: ranking for leg, ranking in rankings.items() if len(ranking.rows)}
        weights = dict.fromkeys(speaking, 1.0)
    total = sum(weights[leg] for leg in speaking)
    shares = {leg: weights[leg] / total for leg in speaking}
    every = (
        np.unique(np.concatenate([r.rows for r in speaking.values()])) if speaking else np.empty(0, np.int64)
    )
    scores = np.zeros(len(every), dtype=np.float64)
    normalised: dict[str, Scores] = {}
    for leg, ranking in speaking.items():
        values = normalised[leg] = METHODS[method](ranking.scores.astype(np.float64), k=k)
        worst = min(0.0, float(values.min())) if method == "zscore" else 0.0
        column = np.full(len(every), worst)
        column[np.searchsorted(every, ranking.rows)] = values
        scores += shares[leg] * column
    # Rounding lets rows tie that differ by summation order alone; ties then fall to the lower row.
    scores = np.round(scores, 9)
    order = np.lexsort((every, -scores))
    return Fused(rows=every[order], scores=scores[order], normalised=normalised, weights=shares)
