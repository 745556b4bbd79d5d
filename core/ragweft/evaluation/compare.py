"""Whether one recipe is better than another, or only luckier with these queries.

All of it is paired: two recipes answer the same queries, and what counts is their difference on each. Three
questions are answered apart: how large the difference is (a bootstrap interval), whether chance alone could
have made it (a randomisation test), and how large a difference so many queries could have shown at all.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from ragweft.errors import RagweftError
from ragweft.evaluation.significance import Interval, detectable, holm, macro, randomisation

if TYPE_CHECKING:
    from ragweft.evaluation.values import Evaluation, Scores

__all__ = ["Comparison", "Difference", "Interval", "compare", "differences", "holm", "macro", "randomisation"]

_DIGITS = 12
"""Decimals that are kept: two scores that differ by the order of a summation are a tie."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One recipe against the baseline, query by query; positive when the recipe is better."""

    label: str
    interval: Interval
    p: float
    """Of the randomisation test: how often luck alone makes a difference at least this large, either way."""
    p_floor: float
    """The smallest p this test could have given."""
    adjusted: float
    """p after Holm's correction for the number of recipes compared."""
    among: int
    """How many recipes that is."""
    wins: int
    ties: int
    losses: int
    detectable: float
    """The smallest true difference so many queries would have shown four times in five; at most 1."""
    real: bool
    """Chance is ruled out: `adjusted` is at most 1 - level, and the interval does not hold 0."""
    verdict: str
    """The same in words, with what it would take if chance cannot be ruled out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Every other recipe against the first."""

    measure: str
    dataset: str
    baseline: str
    """Label of the evaluation the others are held against."""
    queries: int
    level: float
    resamples: int
    seed: int
    differences: tuple[Difference, ...]
    """In the order of the evaluations; empty when there was only the baseline."""


def compare(
    evaluations: Sequence[Evaluation],
    *,
    measure: str = "nDCG@10",
    seed: int = 0,
    resamples: int = 10_000,
    level: float = 0.95,
) -> Comparison:
    """Hold every evaluation against the first. Equal arguments give equal numbers.

    *measure* is the one that decides; choosing it after looking at many is the error Holm's correction cannot
    mend. *level* sets the interval, and 1 - *level* the p a difference must not exceed to be called real.

    Raises:
        RagweftError: there is nothing to compare, two recipes share a label, or they answered other queries.
        MissingExtra: scipy is not installed.
    """
    if not evaluations:
        raise RagweftError("compare: no evaluations were given; evaluate at least one recipe first")
    labels = [evaluation.label for evaluation in evaluations]
    twice = next((label for label in labels if labels.count(label) > 1), None)
    if twice is not None:
        raise RagweftError(f"compare: two recipes are called {twice!r}; give each a label of its own")
    baseline, *others = evaluations
    gaps = [differences(other, baseline, measure=measure) for other in others]
    tests = [randomisation(gap, seed=seed, resamples=resamples) for gap in gaps]
    found = [
        _difference(
            label,
            gap,
            macro([gap], seed=seed, resamples=resamples, level=level),
            test=test,
            adjusted=adjusted,
            among=len(others),
        )
        for label, gap, test, adjusted in zip(labels[1:], gaps, tests, holm([p for p, _ in tests]), strict=True)
    ]
    return Comparison(
        measure=measure,
        dataset=baseline.dataset,
        baseline=baseline.label,
        queries=len(baseline.queries),
        level=level,
        resamples=resamples,
        seed=seed,
        differences=tuple(found),
    )


def differences(evaluation: Evaluation, baseline: Evaluation, *, measure: str) -> Scores:
    """Score of *evaluation* minus score of *baseline* for each query, in the baseline's order.

    Raises:
        RagweftError: they answered other queries, one lacks *measure*, or a score is not a number.
    """
    place = {query: number for number, query in enumerate(evaluation.queries)}
    if evaluation.dataset != baseline.dataset or place.keys() != set(baseline.queries):
        raise RagweftError(
            f"compare: {evaluation.label!r} answered {len(evaluation.queries)} queries of {evaluation.dataset},"
            f" {baseline.label!r} {len(baseline.queries)} of {baseline.dataset};"
            " evaluate both on the same queries"
        )
    if not place:
        raise RagweftError(f"compare: {baseline.dataset} has no queries; nothing can be told from none")
    for one in (evaluation, baseline):
        if measure not in one.scores:
            known = ", ".join(one.scores)
            raise RagweftError(f"compare: {one.label!r} was not measured by {measure}; choose one of {known}")
    order = [place[query] for query in baseline.queries]
    gap: Scores = np.round(
        np.asarray(evaluation.scores[measure], dtype=np.float64)[order] - baseline.scores[measure], _DIGITS
    )
    if not np.isfinite(gap).all():
        query = baseline.queries[int(np.flatnonzero(~np.isfinite(gap))[0])]
        raise RagweftError(
            f"compare: {measure} of query {query!r} is not a number for {evaluation.label!r} or"
            f" {baseline.label!r}; evaluate that query again"
        )
    return gap


def _difference(
    label: str, gap: Scores, interval: Interval, *, test: tuple[float, float], adjusted: float, among: int
) -> Difference:
    p, floor = test
    found = Difference(
        label=label,
        interval=interval,
        p=p,
        p_floor=floor,
        adjusted=adjusted,
        among=among,
        wins=int((gap > 0).sum()),
        ties=int((gap == 0).sum()),
        losses=int((gap < 0).sum()),
        detectable=detectable(gap, interval.level),
        real=adjusted <= _alpha(interval) and not interval.low <= 0 <= interval.high,
        verdict="",
    )
    return replace(found, verdict=_verdict(found))


def _alpha(interval: Interval) -> float:
    return round(1 - interval.level, _DIGITS)


def _verdict(found: Difference) -> str:
    if not found.wins + found.losses:
        return "the same score for every query"
    interval = found.interval
    low, high = _points(interval.low), _points(interval.high)
    said = f"{_size(interval.mean)}, {interval.level * 100:g} % interval {low} to {high}"
    return f"{said}: real" if found.real else f"{said}: cannot be told from chance{_lack(found)}"


def _size(mean: float) -> str:
    if mean == 0:
        return "no difference on average"
    size = f"{abs(mean) * 100:.1f}" if abs(mean) >= 0.0005 else "less than 0.1"
    return f"a {'gain' if mean > 0 else 'loss'} of {size} points"


def _lack(found: Difference) -> str:
    """What it would take to tell."""
    alpha, differing = _alpha(found.interval), found.wins + found.losses
    if found.p_floor > alpha:
        return f"; {_queries(differing)} with a difference cannot rule it out, however large"
    among = f" among {found.among} comparisons" if found.p <= alpha < found.adjusted else ""
    shown = (
        f"{_queries(differing + found.ties)} show differences of {found.detectable * 100:.1f} points and more"
    )
    return f"{among}; {shown}"


def _queries(number: int) -> str:
    return "1 query" if number == 1 else f"{number:,} queries"


def _points(score: float) -> str:
    return f"{round(score * 100, 1) + 0.0:.1f}".replace("-", "\N{MINUS SIGN}")
