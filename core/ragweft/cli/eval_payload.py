"""The JSON of `ragweft eval`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from ragweft.cli.payload import usage_payload

if TYPE_CHECKING:
    from ragweft.evaluation import Dataset, Evaluation
    from ragweft.evaluation.compare import Comparison
    from ragweft.evaluation.values import Scores

__all__ = ["PERCENTILES", "evaluation_payload", "percentiles"]

PERCENTILES = (50, 95, 99)


def evaluation_payload(
    data: Dataset, evaluations: Sequence[Evaluation], comparison: Comparison
) -> dict[str, Any]:
    """Everything that was measured; every list of scores or times is in the order of "queries"."""
    return {
        "dataset": data.name,
        "items": len(data.items),
        "queries": list(data.queries),
        "evaluations": [_evaluation(evaluation) for evaluation in evaluations],
        "comparison": asdict(comparison),
    }


def percentiles(times: Scores) -> dict[str, float]:
    """p50, p95 and p99 of *times*."""
    import numpy as np

    return {f"p{q}": round(float(np.percentile(times, q)), 3) for q in PERCENTILES}


def _evaluation(evaluation: Evaluation) -> dict[str, Any]:
    return {
        "label": evaluation.label,
        "fingerprint": evaluation.fingerprint,
        "retriever": evaluation.expression,
        "chunks": evaluation.chunks,
        "index_seconds": round(evaluation.index_seconds, 3),
        "usage": usage_payload(evaluation.usage),
        "mean": _means(evaluation.scores),
        "legs": {
            leg: {"mean": _means(scores), "scores": _lists(scores)} for leg, scores in evaluation.legs.items()
        },
        "scores": _lists(evaluation.scores),
        "wall_ms": {**percentiles(evaluation.wall_ms), "each": _list(evaluation.wall_ms, 3)},
        "cpu_ms": {"mean": round(float(evaluation.cpu_ms.mean()), 3), "each": _list(evaluation.cpu_ms, 3)},
    }


def _means(scores: Mapping[str, Scores]) -> dict[str, float]:
    return {name: round(float(values.mean()), 6) for name, values in scores.items()}


def _lists(scores: Mapping[str, Scores]) -> dict[str, list[float]]:
    return {name: _list(values, 6) for name, values in scores.items()}


def _list(values: Scores, digits: int) -> list[float]:
    return [round(float(value), digits) for value in values]
