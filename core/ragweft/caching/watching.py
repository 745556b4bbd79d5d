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
    from ragweft.types import Metadata, Results, Tuning, Vector

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

    def evidence(
        self, found: Results, *, where: Metadata | None = None, sources: Sequence[str] | None = None
    ) -> Evidence | None:
        """What *found* rests on; None if that cannot be said, or if a part of the search had failed.

        Which legs were asked is told by the trace. Of a search that was put together from several questions it
        is not known how near something new would have to come: then anything new counts.
        """
        trace = found.trace
        if trace.degraded or trace.tuning is None or any(hit.row is None for hit in found):
            return None
        with self.ledger.snapshot() as snapshot:
            born, living = snapshot.ever_born(), snapshot.count_live()
        return Evidence(
            rows=tuple(hit.row for hit in found if hit.row is not None),
            generation=trace.generation,
            floors=dict(trace.floors),
            legs=tuple(stage.name for stage in trace.stages if stage.name in self._legs),
            where=where,
            sources=None if sources is None else tuple(sources),
            tuning=_weighed(trace.tuning),
            born=born,
            living=living,
        )

    def _ask(self, leg: str, query: str, vector: Vector) -> Question | None:
        found = self._legs.get(leg)
        if isinstance(found, DenseLeg):
            return found.about(vector)
        return None if found is None else found.ask(query)


def _weighed(tuning: Tuning) -> str:
    """The weights alone: when and from what they were found changes no ranking."""
    return f"{tuning.dense_weight:g} {tuning.late_weight:g} {tuning.document_weight:g}"
