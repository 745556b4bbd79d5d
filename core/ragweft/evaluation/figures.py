"""The figures of the report: each plot with its caption, its legend and the same said in words."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING

import numpy as np

from ragweft.evaluation import plots
from ragweft.evaluation.markup import figure, name_of, points

if TYPE_CHECKING:
    from ragweft.evaluation.compare import Comparison
    from ragweft.evaluation.values import Evaluation, Scores

__all__ = ["figures"]


def figures(evaluations: Sequence[Evaluation], comparison: Comparison, gaps: Sequence[Scores]) -> str:
    """Every plot there are data for; *gaps* are the differences of all but the first, query by query."""
    drawn = [
        _differences(comparison, gaps) if gaps else "",
        _legs(evaluations, comparison.measure) if any(one.legs for one in evaluations) else "",
        _depths(evaluations),
        _latencies(evaluations),
    ]
    return '<div class="plots">' + "\n".join(one for one in drawn if one) + "</div>"


def _differences(comparison: Comparison, gaps: Sequence[Scores]) -> str:
    limit = max(float(np.abs(gap).max()) for gap in gaps) or 1.0
    parts: list[str] = []
    for number, (found, gap) in enumerate(zip(comparison.differences, gaps, strict=True), start=1):
        counts = f"{found.wins:,} won, {found.ties:,} tied, {found.losses:,} lost"
        alt = f"{found.label} less {comparison.baseline} on each query, sorted: {counts}"
        parts.append(f'<p class="part">{name_of(found.label, number)}<span class="sub">{counts}</span></p>')
        parts.append(plots.difference_bars(gap, limit=limit, series=number, alt=alt))
    caption = (
        f"{escape(comparison.measure)} less that of {escape(comparison.baseline)}, in points, from the query"
        " that won most to the one that lost most."
    )
    return figure("Query by query", caption, "".join(parts))


def _legs(evaluations: Sequence[Evaluation], measure: str) -> str:
    parts: list[str] = []
    for number, one in enumerate(evaluations):
        bars = [(leg, float(scores[measure].mean())) for leg, scores in one.legs.items()]
        bars.append(("together", float(one.scores[measure].mean())))
        said = ", ".join(f"{name} {points(score)}" for name, score in bars)
        parts.append(f'<p class="part">{name_of(one.label, number)}</p>')
        parts.append(plots.leg_bars(bars, series=number, alt=f"{measure} of {one.label}: {said}"))
    caption = f"{escape(measure)} of each first-stage search alone, and of the whole recipe, in points."
    return figure("Leg by leg", caption, "".join(parts))


def _depths(evaluations: Sequence[Evaluation]) -> str:
    families: dict[str, dict[int, str]] = {}
    for measure in evaluations[0].scores:
        family, _, depth = measure.partition("@")
        if depth.isdecimal() and all(measure in one.scores for one in evaluations):
            families.setdefault(family, {})[int(depth)] = measure
    several = {family: found for family, found in families.items() if len(found) > 1}
    if not several:
        return ""
    family = "Recall" if "Recall" in several else next(iter(several))
    depths = sorted(several[family])
    curves = [[float(one.scores[several[family][k]].mean()) for k in depths] for one in evaluations]
    said = "; ".join(
        f"{one.label} " + ", ".join(f"{points(y)} at {k}" for k, y in zip(depths, curve, strict=True))
        for one, curve in zip(evaluations, curves, strict=True)
    )
    svg = plots.depth_curves(depths, curves, alt=f"{family} by depth: {said}")
    caption = f"{escape(family)}@k, in points: how much of what was to be found the first k hits hold."
    return figure("Depth", caption, svg + _legend(evaluations))


def _latencies(evaluations: Sequence[Evaluation]) -> str:
    said = "; ".join(
        f"{one.label} " + ", ".join(f"p{q} {np.percentile(one.wall_ms, q):.1f}" for q in plots.PERCENTILES)
        for one in evaluations
    )
    svg = plots.latency_curves([one.wall_ms for one in evaluations], alt=f"Milliseconds of a search: {said}")
    caption = "The share of searches done within so many milliseconds, one search at a time."
    return figure("Latency", caption, svg + _legend(evaluations))


def _legend(evaluations: Sequence[Evaluation]) -> str:
    names = "".join(f"<li>{name_of(one.label, number)}</li>" for number, one in enumerate(evaluations))
    return f'<ul class="legend">{names}</ul>'
