"""A retriever in front of another one that gives what was found before, as long as a search would find it now.

Only which rows were found is kept, with their scores: the passages are read from the index when they are
served, so that no text is ever older than the index.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from ragweft.caching.values import Cost
from ragweft.retrieval.hybrid import cite
from ragweft.types import Hit, Origin, Results, Span, Stage, Trace

if TYPE_CHECKING:
    from ragweft.caching.cache import CacheHit, SemanticCache
    from ragweft.protocols import Retriever
    from ragweft.types import Json, Metadata

__all__ = ["Cached"]

_log = logging.getLogger(__name__)


class Cached:
    """A `Retriever`: what another one found, kept in a cache."""

    def __init__(
        self, retriever: Retriever, cache: SemanticCache, *, scope: Mapping[str, Json] | None = None
    ) -> None:
        """*scope* has to be equal too: a tenant, say. Who retrieves, `k` and the filter always have."""
        self._retriever = retriever
        self._cache = cache
        self._scope = dict(scope or {})

    def __repr__(self) -> str:
        return f"Cached({self._retriever!r})"

    def retrieve(self, query: str, *, k: int = 5, where: Metadata | None = None) -> Results:
        """At most *k* hits for *query*, as of now; the trace says where they come from.

        Raises:
            InvalidFilter: *where* is malformed.
        """
        found = self._kept(query, k, where)
        if found is not None:
            return found
        started = time.perf_counter()
        return self._keep(self._retriever.retrieve(query, k=k, where=where), query, k, where, started)

    async def aretrieve(self, query: str, *, k: int = 5, where: Metadata | None = None) -> Results:
        """As `retrieve`, without blocking the running loop."""
        found = await asyncio.to_thread(self._kept, query, k, where)
        if found is not None:
            return found
        started = time.perf_counter()
        native = getattr(self._retriever, "aretrieve", None)
        if native is None:
            new = await asyncio.to_thread(partial(self._retriever.retrieve, query, k=k, where=where))
        else:
            new = await native(query, k=k, where=where)
        return await asyncio.to_thread(self._keep, new, query, k, where, started)

    def _asked(self, k: int, where: Metadata | None) -> dict[str, Json]:
        return {"own": self._scope, "retriever": repr(self._retriever), "k": k, "where": where}

    def _kept(self, query: str, k: int, where: Metadata | None) -> Results | None:
        started = time.perf_counter()
        hit = self._cache.lookup(query, scope=self._asked(k, where), kind="results")
        return None if hit is None else self._read(hit, query, started)

    def _read(self, hit: CacheHit, query: str, started: float) -> Results | None:
        said: Any = hit.answer
        with self._cache.watch.ledger.snapshot() as snapshot:
            stored = snapshot.hydrate([one["row"] for one in said])
            generation = snapshot.generation
        if len(stored) < len(said):
            return None  # died, and was cleared away, since it was looked at
        hits = tuple(
            Hit(
                chunk=stored[one["row"]].chunk,
                score=one["score"],
                origins={name: Origin(**origin) for name, origin in one["origins"].items()},
                citation=cite(stored[one["row"]]),
                row=one["row"],
                highlights=tuple(Span(start=start, end=end) for start, end in one["highlights"]),
            )
            for one in said
        )
        note = "the same words" if hit.level == "exact" else f"{hit.likeness:.3f} like {hit.query!r}"
        ms = (time.perf_counter() - started) * 1000
        trace = Trace(
            stages=(Stage(name="cache", ms=ms, candidates=len(hits), note=f"{note}, {hit.age:.0f} s old"),),
            generation=generation,
            cache=hit.level,
        )
        return Results(hits=hits, query=query, trace=trace)

    def _keep(self, found: Results, query: str, k: int, where: Metadata | None, started: float) -> Results:
        evidence = self._cache.watch.evidence(found, where=where)
        if evidence is None:
            return replace(found, trace=replace(found.trace, cache="miss, not kept"))
        cost = Cost(
            ms=(time.perf_counter() - started) * 1000, tokens=found.usage.tokens, usd=found.usage.usd or 0.0
        )
        self._cache.store(
            query, _said(found), evidence=evidence, scope=self._asked(k, where), cost=cost, kind="results"
        )
        return replace(found, trace=replace(found.trace, cache="miss"))


def _said(found: Results) -> Sequence[Json]:
    return [
        {
            "row": hit.row,
            "score": hit.score,
            "origins": {name: asdict(origin) for name, origin in hit.origins.items()},
            "highlights": [[span.start, span.end] for span in hit.highlights],
        }
        for hit in found
    ]
