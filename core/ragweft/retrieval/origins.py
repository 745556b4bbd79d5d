"""Why a hit ranked where it did: what every leg said of it, looked up for the few hits that are shown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from ragweft.types import Origin

if TYPE_CHECKING:
    from ragweft.retrieval.fusion import Fused
    from ragweft.types import Ranking

__all__ = ["leg_origins"]


def leg_origins(
    rankings: Mapping[str, Ranking], fused: Fused, rows: Sequence[int], *, scale: float = 1.0
) -> dict[int, dict[str, Origin]]:
    """For each of *rows*, the opinion of every leg that found it.

    Args:
        rankings: the legs that were fused, by name.
        fused: what became of them.
        rows: the rows asked for.
        scale: what a share of the fusion counts in the final score.
    """
    found: dict[int, dict[str, Origin]] = {row: {} for row in rows}
    for leg, ranking in rankings.items():
        weight = fused.weights.get(leg, 0.0) * scale
        values = fused.normalised.get(leg)
        places = {row: place for place, row in enumerate(ranking.rows.tolist())}
        for row in rows:
            if (place := places.get(row)) is not None:
                value = float(values[place]) if values is not None else 0.0
                found[row][leg] = Origin(
                    rank=place + 1, score=float(ranking.scores[place]), normalised=value, share=weight * value
                )
    return found
