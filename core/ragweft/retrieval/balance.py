"""How much meaning, words, closeness and the document count: by recipe, by labels or by the corpus itself."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from ragweft.types import Tuning

if TYPE_CHECKING:
    from ragweft.ledger.profile import Profile
    from ragweft.recipe import Retrieval

__all__ = ["Balance", "default_tuning", "leg_weights"]

STATIC_WEIGHT = 0.3
"""Of the built-in static vectors: the best single weight over six collections
(benchmarks/results/quality.md)."""
OTHER_WEIGHT = 0.5
"""Of an embedder nothing is known of."""


def default_tuning(settings: Retrieval, *, static: bool) -> Tuning:
    """What holds before an index has found out anything: the recipe's numbers, or a guess by embedder."""
    if isinstance(settings.dense_weight, str):
        weight = STATIC_WEIGHT if static else OTHER_WEIGHT
        origin, reason = "default", f"meaning {weight:g} as for any corpus: the index has too few texts to tell"
    else:
        weight = settings.dense_weight
        origin, reason = "recipe", f"meaning {weight:g}, as the recipe says"
    return Tuning(
        dense_weight=weight,
        late_weight=settings.late_weight,
        document_weight=settings.document_weight,
        origin=origin,
        reason=reason,
    )


def leg_weights(dense_weight: float, sparse_weight: float = 0.0) -> dict[str, float]:
    """The weight of each leg by name; they sum to 1.

    Learned word weights count *sparse_weight*; of what that leaves, meaning counts *dense_weight* and words the
    rest.
    """
    others = 1.0 - sparse_weight
    return {
        "dense": dense_weight * others,
        "lexical": (1.0 - dense_weight) * others,
        "sparse": sparse_weight,
    }


class Balance:
    """Chooses the tuning of one search."""

    def __init__(self, settings: Retrieval, *, static: bool) -> None:
        """*static*: whether the index is embedded by the built-in static vectors."""
        self._settings = settings
        self._default = default_tuning(settings, static=static)

    def of(self, profile: Profile | None) -> Tuning:
        """The recipe's numbers where it gives any, else what the index found out, else the default.

        A part that the recipe switches off stays off.
        """
        found = profile.tuning if profile is not None else None
        if found is None or not isinstance(self._settings.dense_weight, str):
            return self._default
        if found.origin == "labels":
            return replace(
                found,
                late_weight=found.late_weight if self._settings.late_weight else 0.0,
                document_weight=found.document_weight if self._settings.document_weight else 0.0,
            )
        return replace(
            found,
            late_weight=self._settings.late_weight,
            document_weight=self._settings.document_weight,
        )
