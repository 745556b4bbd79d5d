"""A retriever in front of another one that gives what was found before, as long as a search would find it now.

Only which rows were found is kept, with their scores: the passages are read from the index when they are
served, so that no text is ever older than the index.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

from ragweft.caching.values import Cost
from ragweft.errors import RagweftError
from ragweft.retrieval.hybrid import cite
from ragweft.types import Hit, Origin, Results, Span, Stage, Trace, Tuning

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from ragweft.caching.cache import SemanticCache
    from ragweft.caching.hits import CacheHit
    from ragweft.protocols import Retriever
    from ragweft.types import Json, Metadata, Usage

__all__ = ["Cached", "KeptResults", "Lends", "Missed"]

_log = logging.getLogger(__name__)


class Lends(Protocol):
    """What has a cache: `Index.cache()`."""

    @property
    def given(self) -> Mapping[str, Json]:
        """Parts of every scope."""
        ...

    def opened(self) -> AbstractContextManager[SemanticCache]:
        """The cache, within a block."""
        ...


class Cached:
    """A `Retriever`: what another one found, kept in a cache."""

    def __init__(
        self,
        retriever: Retriever,
        cache: Lends,
        *,
        name: str,
        scope: Mapping[str, Json] | None = None,
        exactly: bool = False,
    ) -> None:
        """Keep what *retriever* finds in *cache*, as `index.cache()` gives one.

        Args:
            retriever: what searches this index.
            cache: where it is kept.
            name: tells this retriever from others whose results are not the same. It is written down.
            scope: what else has to be equal: a tenant, say. Name, `k` and the filter always have.
            exactly: for the same words only.
        """
        self._name = name
        self._retriever = retriever
        self._cache = cache
        self._scope = dict(scope or {})
        self._exactly = exactly

    def __repr__(self) -> str:
        return f"Cached({self._retriever!r})"

    def retrieve(self, query: str, *, k: int = 5, where: Metadata | None = None) -> Results:
        """At most *k* hits for *query*, as of now; the trace says where they come from.

        Raises:
            InvalidFilter: *where* is malformed.
        """
        asked = self._asked(k, where)
        found = self._look(query, asked)
        if isinstance(found, Results):
            return found
        return self._keep(self._retriever.retrieve(query, k=k, where=where), query, asked, found)

    async def aretrieve(self, query: str, *, k: int = 5, where: Metadata | None = None) -> Results:
        """As `retrieve`, without blocking the running loop."""
        asked = self._asked(k, where)
        found = await asyncio.to_thread(self._look, query, asked)
        if isinstance(found, Results):
            return found
        native = getattr(self._retriever, "aretrieve", None)
        if native is None:
            new = await asyncio.to_thread(partial(self._retriever.retrieve, query, k=k, where=where))
        else:
            new = await native(query, k=k, where=where)
        return await asyncio.to_thread(self._keep, new, query, asked, found)

    def _look(self, query: str, asked: Mapping[str, Json]) -> Results | Missed:
        with self._cache.opened() as cache:
            return KeptResults(cache, exactly=self._exactly).look(query, asked)

    def _keep(self, found: Results, query: str, asked: Mapping[str, Json], missed: Missed) -> Results:
        with self._cache.opened() as cache:
            return KeptResults(cache, exactly=self._exactly).keep(found, query, asked, missed)

    def _asked(self, k: int, where: Metadata | None) -> dict[str, Json]:
        own = {**self._cache.given, **self._scope}
        return {"own": own, "retriever": self._name, "k": k, "where": where}


@dataclass(frozen=True, slots=True, kw_only=True)
class Missed:
    """Nothing was kept that could be served."""

    started: float
    why: str
    failed: bool = False
    """Whether the cache could not be asked."""


class KeptResults:
    """Results in a cache, for whoever retrieves. Safe to use from many threads."""

    def __init__(self, cache: SemanticCache, *, exactly: bool = False) -> None:
        """*exactly*: for the same words only."""
        self._cache = cache
        self._exactly = exactly

    def look(self, query: str, scope: Mapping[str, Json]) -> Results | Missed:
        """What was found for *query* before, as a search would find it now, or that there is nothing."""
        started = time.perf_counter()
        looked = self._cache.look(query, scope=scope, kind="results", exactly=self._exactly)
        try:
            found = None if looked.hit is None else self._read(looked.hit, query, started)
        except (RagweftError, KeyError, TypeError, ValueError) as error:  # anything may lie in a file
            _log.warning("what was kept could not be read: %r", error)
            return Missed(started=started, why=f"failed: what was kept could not be read: {error}")
        if found is not None:
            return found
        if looked.failed:
            return Missed(started=started, why=f"failed: {looked.why}", failed=True)
        return Missed(started=started, why="miss")

    def keep(
        self,
        found: Results,
        query: str,
        scope: Mapping[str, Json],
        missed: Missed,
        *,
        usage: Usage | None = None,
    ) -> Results:
        """Keep what was *found* after all; the same, with a word on it in the trace.

        *usage* is what was paid for it besides its own.
        """
        if missed.failed:  # who cannot be asked is not waited for once more
            return _said(found, missed.why)
        try:
            evidence = self._cache.watch.evidence(found)
        except RagweftError as error:
            return _said(found, f"failed: {error}")
        if evidence is None:
            return _said(found, f"{missed.why}, not kept")
        paid = found.usage if usage is None else found.usage + usage
        ms = (time.perf_counter() - missed.started) * 1000
        cost = Cost(ms=ms, tokens=paid.tokens, usd=paid.usd or 0.0)
        number = self._cache.store(
            query, _payload(found), evidence=evidence, scope=scope, cost=cost, kind="results"
        )
        return _said(found, missed.why if number is not None else f"{missed.why}, not kept")

    def _read(self, hit: CacheHit, query: str, started: float) -> Results | None:
        said: Any = hit.answer
        with self._cache.watch.ledger.snapshot() as snapshot:
            stored = snapshot.hydrate([one["row"] for one in said["hits"]])
        if len(stored) < len(said["hits"]):
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
            for one in said["hits"]
        )
        note = "the same words" if hit.level == "exact" else f"{hit.likeness:.3f} like {hit.query!r}"
        ms = (time.perf_counter() - started) * 1000
        trace = Trace(
            stages=(Stage(name="cache", ms=ms, candidates=len(hits), note=f"{note}, {hit.age:.0f} s old"),),
            generation=hit.through,
            cache=hit.level,
            floors=said["floors"],
            tuning=None if said["tuning"] is None else Tuning(**said["tuning"]),
            index=self._cache.watch.ledger.uuid,
            asked=said["asked"],
            legs=tuple(said["legs"]),
            k=said["k"],
            where=said["where"],
            sources=None if said["sources"] is None else tuple(said["sources"]),
        )
        return Results(hits=hits, query=query, trace=trace)


def _said(found: Results, cache: str) -> Results:
    return replace(found, trace=replace(found.trace, cache=cache))


def _payload(found: Results) -> dict[str, Json]:
    """What `_read` makes the same results of; their trace tells whoever answers from them what they rest on."""
    trace = found.trace
    hits: list[Json] = [
        {
            "row": hit.row,
            "score": float(hit.score),
            "origins": {name: asdict(origin) for name, origin in hit.origins.items()},
            "highlights": [[span.start, span.end] for span in hit.highlights],
        }
        for hit in found
    ]
    return {
        "hits": hits,
        "floors": dict(trace.floors),
        "tuning": None if trace.tuning is None else asdict(trace.tuning),
        "asked": trace.asked,
        "legs": list(trace.legs),
        "k": trace.k,
        "where": trace.where,
        "sources": None if trace.sources is None else list(trace.sources),
    }
