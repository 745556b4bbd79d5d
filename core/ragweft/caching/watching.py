"""An index as the cache sees it: what a search rested on, and whether that still holds."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ragweft.caching.freshness import Freshness
from ragweft.caching.values import Evidence
from ragweft.ledger.profile import Profiles
from ragweft.ledger.scope import Scopes
from ragweft.retrieval.legs import DenseLeg

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ragweft.ledger.ledger import Ledger
    from ragweft.ledger.snapshot import Snapshot
    from ragweft.retrieval.balance import Balance
    from ragweft.retrieval.legs import Leg, Question
    from ragweft.types import Results, Tuning, Vector

__all__ = ["Watch"]


class Watch:
    """The legs of one index, asked about what is new."""

    def __init__(self, legs: Sequence[Leg], ledger: Ledger, balance: Balance) -> None:
        self.ledger = ledger
        self._legs = {leg.name: leg for leg in legs}
        self._balance = balance
        self._profiles = Profiles()
        self.freshness = Freshness(Scopes(), self._ask, tuning=self.tuning)

    def tuning(self, snapshot: Snapshot) -> str:
        """How the legs are weighed in that state."""
        return _weighed(self._balance.of(self._profiles.newest(snapshot)))

    def evidence(self, *found: Results) -> Evidence | None:
        """What *found* rest on; None if that cannot be said, or if a part of a search had failed.

        Which legs were asked is told by the trace. Of a search that was put together from several questions, or
        of several searches, it is not known how near something new would have to come: then anything new counts
        that their filters let through.
        """
        if not found:
            return None
        for each in found:
            trace = each.trace
            if trace.degraded or trace.tuning is None or any(hit.row is None for hit in each):
                return None
        first = found[0].trace
        alone = len(found) == 1
        alike = all((each.trace.where, each.trace.sources) == (first.where, first.sources) for each in found)
        if first.tuning is None or any(_weighed(each.trace.tuning) != _weighed(first.tuning) for each in found):
            return None
        with self.ledger.snapshot() as snapshot:
            born, living = snapshot.ever_born(), snapshot.count_live()
        return Evidence(
            rows=tuple(dict.fromkeys(hit.row for each in found for hit in each if hit.row is not None)),
            generation=min(each.trace.generation for each in found),
            floors=dict(first.floors) if alone else {},
            legs=tuple(stage.name for stage in first.stages if stage.name in self._legs) if alone else (),
            where=first.where if alike else None,
            sources=first.sources if alike else None,
            tuning=_weighed(first.tuning),
            born=born,
            living=living,
        )

    def _ask(self, leg: str, query: str, vector: Vector) -> Question | None:
        found = self._legs.get(leg)
        if isinstance(found, DenseLeg):
            return found.about(vector)
        return None if found is None else found.ask(query)


def _weighed(tuning: Tuning | None) -> str:
    """The weights alone: when and from what they were found changes no ranking."""
    if tuning is None:
        return ""
    return f"{tuning.dense_weight:g} {tuning.late_weight:g} {tuning.document_weight:g}"
