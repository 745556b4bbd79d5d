"""An index as the cache sees it: what a search rested on, and whether that still holds."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

from ragweft.caching.freshness import Freshness
from ragweft.caching.values import Evidence
from ragweft.ledger.profile import Profiles
from ragweft.ledger.scope import Scope, Scopes
from ragweft.retrieval.legs import DenseLeg

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ragweft.ledger.ledger import Ledger
    from ragweft.ledger.snapshot import Snapshot
    from ragweft.retrieval.balance import Balance
    from ragweft.retrieval.legs import Leg, Question
    from ragweft.types import Metadata, Results, Tuning, Vector

__all__ = ["Search", "Watch"]


class Search(Protocol):
    """What answers a text from all legs: `Hybrid.retrieve`."""

    def __call__(self, query: str, *, k: int, where: Metadata | None, sources: Sequence[str] | None) -> Results:
        """At most *k* hits."""
        ...


class Watch:
    """The legs of one index, asked about what is new."""

    def __init__(
        self, legs: Sequence[Leg], ledger: Ledger, balance: Balance, *, search: Search | None = None
    ) -> None:
        """*search* asks all the legs; None: what something new may have touched is not looked into."""
        self.ledger = ledger
        self._search = search
        self._legs = {leg.name: leg for leg in legs}
        self._balance = balance
        self._profiles = Profiles()
        self._scopes = Scopes()
        self.freshness = Freshness(self._scopes, self._ask, tuning=self.tuning)

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
            if trace.index != self.ledger.uuid or trace.degraded or trace.tuning is None:
                return None
            if any(hit.row is None for hit in each):
                return None
        first = found[0].trace
        # Of several searches nobody notes how near something new would have to come to each.
        alone = len(found) == 1 and bool(first.asked)
        alike = all((each.trace.where, each.trace.sources) == (first.where, first.sources) for each in found)
        if any(_weighed(each.trace.tuning) != _weighed(first.tuning) for each in found):
            return None
        with self.ledger.snapshot() as snapshot:
            born, living = snapshot.ever_born(), snapshot.count_live()
            found_at = snapshot.moment_of(min(each.trace.generation for each in found))
        return Evidence(
            rows=tuple(dict.fromkeys(hit.row for each in found for hit in each if hit.row is not None)),
            generation=found_at.generation,
            committed=found_at.committed,
            floors=dict(first.floors) if alone else {},
            legs=tuple(leg for leg in first.legs if leg in self._legs) if alone else (),
            asked=first.asked if alone else "",
            k=first.k if alone else 0,
            where=first.where if alike else None,
            sources=first.sources if alike else None,
            tuning=_weighed(first.tuning),
            born=born,
            living=living,
        )

    def touching(
        self,
        rows: Sequence[int],
        *,
        ids: Sequence[str] = (),
        sources: Sequence[str] | None = None,
        where: Metadata | None = None,
    ) -> list[int]:
        """The living ones of *rows* that are of these documents, from these URIs, or satisfy *where*.

        Raises:
            InvalidFilter: *where* is malformed.
        """
        asked: list[tuple[Metadata | None, Sequence[str] | None]] = []
        if sources is not None:
            asked.append((None, sources))
        if where is not None:
            asked.append((where, None))
        scopes = [Scope(verdicts=self._scopes.verdicts(*one)) for one in asked]
        found: set[int] = set()
        with self.ledger.snapshot() as snapshot:
            for scope in scopes:
                found.update(scope.admit(snapshot, rows))
            for one in ids:
                found.update(stored.row for stored in snapshot.chunks_of(one))
        return sorted(found)

    @property
    def searches(self) -> bool:
        """Whether `anew` can tell anything."""
        return self._search is not None

    def anew(self, evidence: Evidence, *, since: int) -> Evidence | None:
        """What a search for the same rests on now if it finds the very rows; None if not, or if none can tell.

        It is None, too, if anything around the rows has changed after generation *since*, and it matters.

        Raises:
            RagweftError: it failed.
        """
        if self._search is None or not evidence.k:
            return None
        found = self._search(evidence.asked, k=evidence.k, where=evidence.where, sources=evidence.sources)
        fresh = self.evidence(found)
        if evidence.around:
            with self.ledger.snapshot() as snapshot:  # what came while it was searched is not in `fresh`
                if snapshot.changed_around(evidence.rows, since=since) is not None:
                    return None
        return replace(fresh, around=evidence.around) if fresh and fresh.rows == evidence.rows else None

    def _ask(self, leg: str, asked: str, vector: Vector | None) -> Question | None:
        found = self._legs.get(leg)
        if isinstance(found, DenseLeg) and vector is not None:
            return found.about(vector)
        return None if found is None else found.ask(asked)


def _weighed(tuning: Tuning | None) -> str:
    """The weights alone: when and from what they were found changes no ranking."""
    if tuning is None:
        return ""
    return f"{tuning.dense_weight:g} {tuning.late_weight:g} {tuning.document_weight:g}"
