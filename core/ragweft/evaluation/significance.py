"""The statistics of paired differences: how large, whether by chance, and how small a one could be seen.

A difference is one query's score under one recipe less its score under another: float64 from -1 to 1.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ragweft.errors import MissingExtra, RagweftError

if TYPE_CHECKING:
    from ragweft.evaluation.values import Scores

__all__ = ["Interval", "detectable", "holm", "macro", "randomisation"]

_POWER = 0.8
"""The chance to notice a real difference that `Difference.detectable` is stated for [0.8: Cohen 1988]."""
_BATCH = 2_000_000
"""Resampled values held at once, 16 MB: all resamples of thousands of queries would fill the memory."""
_DIGITS = 12
"""Decimals that are kept: beyond them is the order of a summation."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """A mean with its bootstrap confidence interval, on the scale of the scores (0.01 is one point)."""

    mean: float
    low: float
    high: float
    level: float


def macro(
    per_query: Sequence[Scores], *, seed: int = 0, resamples: int = 10_000, level: float = 0.95
) -> Interval:
    """The mean over datasets of the mean difference of each, with its interval; a single dataset is allowed.

    Queries are resampled within their dataset, so that each counts the same however many queries it has. The
    interval says what other queries of *these* datasets would give, not what another dataset would.

    Percentile bootstrap [Efron & Tibshirani 1993, ch. 13; for retrieval: Sakai 2006, SIGIR]. BCa covered no
    better on the differences that rankings make (most are 0) and has no answer where all are equal. A dataset
    of one query tells nothing about its spread: the interval is then all that scores allow, -1 to 1.

    Raises:
        RagweftError: no dataset was given, or one without queries.
        MissingExtra: scipy is not installed.
    """
    stats = _stats()
    samples = [np.asarray(gap, dtype=np.float64) for gap in per_query]
    if not samples or any(sample.size == 0 for sample in samples):
        raise RagweftError("macro: there is no dataset, or one without queries; give differences for each")
    mean = round(float(_mean_of_means(*samples)), _DIGITS)
    if any(sample.size == 1 for sample in samples):
        return Interval(mean=mean, low=-1.0, high=1.0, level=level)
    found = stats.bootstrap(
        samples,
        _mean_of_means,
        n_resamples=resamples,
        batch=max(1, _BATCH // sum(sample.size for sample in samples)),
        vectorized=True,
        confidence_level=level,
        method="percentile",
        rng=np.random.default_rng(seed),
    ).confidence_interval
    low, high = round(float(found.low), _DIGITS), round(float(found.high), _DIGITS)
    return Interval(mean=mean, low=low, high=high, level=level)


def randomisation(gap: Scores, *, seed: int = 0, resamples: int = 10_000) -> tuple[float, float]:
    """Two-sided p of the paired randomisation test, and the smallest p it could have given.

    If both recipes were equally good, each query's difference could as well have had the other sign: p is the
    share of sign patterns whose mean is at least as far from 0. All patterns are tried where they are at most
    *resamples* (13 queries that differ, by default), otherwise as many random ones; the pattern that was seen
    counts too, hence never p = 0 [Smucker, Allan & Carterette 2007, CIKM; Phipson & Smyth 2010].

    Raises:
        MissingExtra: scipy is not installed.
    """
    stats = _stats()
    differing = gap[gap != 0]  # The sign of a tie changes nothing; without ties fewer patterns are left.
    if differing.size < 2:
        return 1.0, 1.0
    patterns = 2**differing.size
    test = stats.permutation_test(
        (differing,),
        _distance,
        permutation_type="samples",
        vectorized=True,
        n_resamples=resamples,
        batch=max(1, _BATCH // differing.size),
        alternative="greater",
        rng=np.random.default_rng(seed),
    )
    return float(test.pvalue), 2 / patterns if patterns <= resamples else 1 / (resamples + 1)


def holm(p_values: Sequence[float]) -> list[float]:
    """Correct p values for being several [Holm 1979]; in the order given.

    The smallest is multiplied by their number, the next by one less, and so on; never falling, at most 1.
    """
    values = np.asarray(p_values, dtype=np.float64)
    order = np.argsort(values, kind="stable")
    adjusted = np.empty_like(values)
    adjusted[order] = np.minimum(np.maximum.accumulate(values[order] * np.arange(len(values), 0, -1)), 1.0)
    return [float(value) for value in adjusted]


def detectable(gap: Scores, level: float) -> float:
    """The smallest true difference a test would show in 80 % of all samples of so many queries; at most 1.

    The minimum detectable effect: (t of the level + t of the power) x standard error of the mean difference.
    Bloom 1995, "Minimum detectable effects", Evaluation Review 19(5); two-sided, and with the t distribution
    for the sake of small datasets.

    Raises:
        MissingExtra: scipy is not installed.
    """
    if gap.size < 2:
        return 1.0
    t = _stats().t(df=gap.size - 1)
    error = float(gap.std(ddof=1)) / math.sqrt(gap.size)
    return min(1.0, (float(t.ppf((1 + level) / 2)) + float(t.ppf(_POWER))) * error)


def _mean_of_means(*samples: Scores, axis: int = -1) -> Scores:
    means: Scores = np.mean([sample.mean(axis=axis) for sample in samples], axis=0)
    return means


def _distance(gap: Scores, axis: int = -1) -> Scores:
    """How far the sum is from 0; rounded, because sums of the same terms with other signs may miss a tie."""
    distance: Scores = np.round(np.abs(gap.sum(axis=axis)), 9)
    return distance


def _stats() -> Any:
    """`scipy.stats`, which has no types."""
    try:
        from scipy import stats  # type: ignore[import-untyped]
    except ImportError:
        raise MissingExtra(package="scipy", extra="eval") from None
    return stats
