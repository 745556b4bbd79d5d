"""The tables of the report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING

import numpy as np

from ragweft.evaluation import plots
from ragweft.evaluation.compare import differences
from ragweft.evaluation.markup import coloured, interval_of, name_of, note, points, table
from ragweft.evaluation.significance import macro

if TYPE_CHECKING:
    from ragweft.evaluation.compare import Comparison
    from ragweft.evaluation.values import Evaluation, Scores

__all__ = ["changed_queries", "decision", "measures", "recipes"]

_SHOWN = 10
"""Queries listed that won most, and that lost most."""


def decision(evaluations: Sequence[Evaluation], comparison: Comparison) -> str:
    """The measure that decides: every recipe's mean, and its difference to the baseline's."""
    measure, found = comparison.measure, comparison.differences
    limit = max(abs(end) for one in found for end in (one.interval.low, one.interval.high)) or 1.0
    means = [points(float(one.scores[measure].mean())) for one in evaluations]
    rows = [[name_of(comparison.baseline, 0), means[0], "", "", "", "", "", ""]]
    for number, one in enumerate(found, start=1):
        said = interval_of(one.interval)
        rows.append(
            [
                name_of(one.label, number),
                means[number],
                coloured(one.interval.mean),
                plots.interval_mark(one.interval, limit=limit, series=number, alt=f"{said} points"),
                said,
                _p(one.p, one.p_floor),
                _p(one.adjusted, min(1.0, one.p_floor * one.among)),
                f"{one.wins:,} / {one.ties:,} / {one.losses:,}",
            ]
        )
    level = f"{comparison.level * 100:g} %"
    head = [
        "Recipe", escape(measure), "Difference", "", f"{level} interval", "p", "p, corrected",
        "Won / tied / lost",
    ]  # fmt: skip
    return table(head, rows, title=f"{escape(measure)} against the baseline") + note(
        f"Scores are in points; 100 is perfect. Intervals come from {comparison.resamples:,} bootstrap"
        f" resamples of the queries (seed\N{NO-BREAK SPACE}{comparison.seed}). p comes from a paired"
        " randomisation test, and is corrected by Holm’s method for the number of recipes compared."
    )


def measures(evaluations: Sequence[Evaluation], comparison: Comparison) -> str:
    """The mean of every measure all recipes have, with the differences to the baseline."""
    baseline, *others = evaluations
    common = [name for name in baseline.scores if all(name in one.scores for one in others)]
    rows: list[list[str]] = []
    for name in common:
        row = [escape(name), points(float(baseline.scores[name].mean()))]
        for one in others:
            gap = differences(one, baseline, measure=name)
            found = macro([gap], seed=comparison.seed, resamples=comparison.resamples, level=comparison.level)
            mean = points(float(one.scores[name].mean()))
            said = f'{coloured(found.mean)}<span class="sub">{interval_of(found)}</span>'
            row += [mean, said]
        rows.append(row)
    head = ["Measure", name_of(baseline.label, 0)]
    for number, one in enumerate(others, start=1):
        head += [name_of(one.label, number), "Difference"]
    decides = common.index(comparison.measure) if comparison.measure in common else None
    said = note(
        f"{escape(comparison.measure)} decides. The intervals of the other measures describe; they are not"
        " corrected for being many, so one that leaves out 0 proves nothing by itself."
    )
    kind = "" if others else "narrow"
    return table(head, rows, title="Every measure", decides=decides, kind=kind) + (said if others else "")


def changed_queries(
    baseline: Evaluation, comparison: Comparison, gaps: Sequence[Scores], texts: Mapping[str, str]
) -> str:
    """For each recipe the queries that won most and those that lost most; *gaps* as `figures` has them."""
    before = baseline.scores[comparison.measure]
    parts: list[str] = []
    for number, (found, gap) in enumerate(zip(comparison.differences, gaps, strict=True), start=1):
        rising = [int(place) for place in np.argsort(gap, kind="stable")]
        ends = {
            "Won most": [place for place in rising[::-1][:_SHOWN] if gap[place] > 0],
            "Lost most": [place for place in rising[:_SHOWN] if gap[place] < 0],
        }
        pair: list[str] = []
        for title, places in ends.items():
            rows = [
                [
                    _query(baseline.queries[place], texts, before[place], before[place] + gap[place]),
                    coloured(float(gap[place])),
                ]
                for place in places
            ]
            head = ["Query", "Difference"]
            none = f"<p><strong>{title}</strong>: none.</p>"
            pair.append(table(head, rows, title=title, caption=True, kind="queries") if rows else none)
        summary = f"{name_of(found.label, number)} against {escape(comparison.baseline)}"
        shut = "" if number > 1 else " open"
        parts.append(
            f'<details{shut}><summary>{summary}</summary><div class="pair">{"".join(pair)}</div></details>'
        )
    return "\n".join(parts)


def recipes(evaluations: Sequence[Evaluation]) -> str:
    """What each recipe is, and what it took."""
    rows: list[list[str]] = []
    for number, one in enumerate(evaluations):
        what = f"<code>{escape(one.expression)}</code>"
        if one.fingerprint:
            what += f", fingerprint <code>{escape(one.fingerprint)}</code>"
        rows.append(
            [
                f'{name_of(one.label, number)}<span class="sub">{what}</span>',
                *(f"{np.percentile(one.wall_ms, q):,.1f}" for q in plots.PERCENTILES),
                f"{one.cpu_ms.mean():,.1f}",
                f"{one.chunks:,}",
                f"{one.index_seconds:,.1f}",
                f"{one.usage.tokens:,}",
                f"{one.usage.usd:,.4f}",
            ]
        )
    head = [
        "Recipe", *(f"p{q}, ms" for q in plots.PERCENTILES), "CPU ms, mean", "Chunks", "Seconds to index",
        "Paid tokens", "USD",
    ]  # fmt: skip
    return table(head, rows, title="Recipes, time and cost")


def _query(query: str, texts: Mapping[str, str], before: float, after: float) -> str:
    name, text = escape(query), texts.get(query)
    change = f"{points(before)} → {points(after)}"
    if text is None:
        return f'{name}<span class="sub">{change}</span>'
    return f'{escape(text)}<span class="sub">{name}, {change}</span>'


def _p(p: float, floor: float) -> str:
    """A p at the floor of the test is only known to be at most that."""
    digits = 4 if p < 0.001 else 3
    return f"{'≤ ' if p <= floor < 1 else ''}{p:.{digits}f}"
