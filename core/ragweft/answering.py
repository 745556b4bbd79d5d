"""From a question to hits with their bill: what `Index.search` and `asearch` share."""

from __future__ import annotations

import asyncio
import logging
import math
from collections import deque
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from ragweft.assembly import build_cache, build_hybrid
from ragweft.caching.cached import KeptResults, Missed
from ragweft.deferred import Once
from ragweft.errors import RagweftError
from ragweft.ledger.filters import compile_filter
from ragweft.ledger.library import LedgerLibrary
from ragweft.ledger.spending import announce, record
from ragweft.opening import as_uris
from ragweft.providers.metering import Meter, metered
from ragweft.retrieval.reranked import Reranked
from ragweft.types import Results

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator, Sequence
    from concurrent.futures import Executor, Future

    from ragweft.assembly import Parts
    from ragweft.caching.cache import SemanticCache
    from ragweft.protocols import Reranker
    from ragweft.providers.metering import Charge
    from ragweft.types import Hit, Json, Metadata

__all__ = ["Answering", "meter_of"]

_log = logging.getLogger(__name__)
_WRITING = 1_000
"""Writes that `settle` remembers; older ones have long been done."""


def meter_of(parts: Parts, *, max_usd: float | None = None) -> Meter:
    """A collector whose charges are written into the index's ledger as they come, if it can be written."""
    if parts.read_only:
        return Meter(max_usd=max_usd)
    return Meter(
        max_usd=max_usd, record=partial(record, parts.ledger), announce=partial(announce, parts.ledger)
    )


class Answering:
    """The way out of one index: retrieval, reranking and what they cost."""

    def __init__(self, parts: Parts, reranker: Reranker | None, threads: Executor) -> None:
        self._parts = parts
        self._threads = threads
        self._writing: deque[Future[None]] = deque(maxlen=_WRITING)
        self._hybrid = build_hybrid(parts, threads)
        self._cache = Once(partial(build_cache, parts, self._hybrid, threads))
        self._library = LedgerLibrary(
            parts.ledger, parts.store, parts.vocabulary, language=parts.recipe.lexical.language
        )
        self._reranked = None
        self._by: dict[str, Json] = {"reranker": None if reranker is None else reranker.name}
        if reranker is not None:
            settings = parts.recipe.rerank
            self._reranked = Reranked(
                self._hybrid, reranker, threads=threads, pool=settings.pool, deadline=settings.seconds
            )

    def __repr__(self) -> str:
        return repr(self._reranked if self._reranked is not None else self._hybrid)

    def search(
        self,
        query: str,
        *,
        k: int | None,
        where: Metadata | None,
        sources: Sequence[str | os.PathLike[str]] | None,
        min_score: float | None,
    ) -> Results:
        """See `Index.search`."""
        k, pool = self._wanted(k, where)
        if not query.strip():
            return Results(query=query)
        uris = as_uris(sources)
        kept, asked = self._results, self._by | _asked(k, where, uris, min_score)
        with self.collecting() as meter:
            before = None if kept is None else kept.look(query, asked)
            if isinstance(before, Results):
                found = before
            elif self._reranked is None:
                found = self._hybrid.retrieve(query, k=pool, where=where, sources=uris, min_score=min_score)
            else:
                found = self._hybrid.retrieve(query, k=pool, where=where, sources=uris)
                found = _at_least(self._reranked.reorder(found, k=k), min_score)
            if kept is not None and isinstance(before, Missed):
                found = kept.keep(found, query, asked, before, usage=meter.usage)
        return replace(found, usage=found.usage + meter.usage, library=self._library)

    async def asearch(
        self,
        query: str,
        *,
        k: int | None,
        where: Metadata | None,
        sources: Sequence[str | os.PathLike[str]] | None,
        min_score: float | None,
    ) -> Results:
        """See `Index.asearch`."""
        k, pool = self._wanted(k, where)
        if not query.strip():
            return Results(query=query)
        uris = as_uris(sources)
        kept, asked = self._results, self._by | _asked(k, where, uris, min_score)
        with self.collecting() as meter:
            before = None if kept is None else await asyncio.to_thread(kept.look, query, asked)
            if isinstance(before, Results):
                found = before
            elif self._reranked is None:
                found = await self._hybrid.aretrieve(
                    query, k=pool, where=where, sources=uris, min_score=min_score
                )
            else:
                found = await self._hybrid.aretrieve(query, k=pool, where=where, sources=uris)
                found = _at_least(await self._reranked.areorder(found, k=k), min_score)
            if kept is not None and isinstance(before, Missed):
                found = await asyncio.to_thread(
                    partial(kept.keep, usage=meter.usage), found, query, asked, before
                )
        return replace(found, usage=found.usage + meter.usage, library=self._library)

    @property
    def cache(self) -> SemanticCache:
        """Answers that were given before; opened by the first who asks."""
        return self._cache()

    def close(self) -> None:
        """Write down what the cache has counted, and close it."""
        cache = self._cache.end()
        if cache is not None:
            cache.close()

    @property
    def _results(self) -> KeptResults | None:
        kept = self._parts.recipe.cache.results
        return None if kept == "off" else KeptResults(self.cache, exactly=kept == "exact")

    def explain(self, query: str, chunk_id: str, *, where: Metadata | None) -> Hit | None:
        """See `Index.explain`."""
        with self._parts.ledger.snapshot() as snapshot:
            total = snapshot.count_live()
        with self.collecting():
            results = self._hybrid.retrieve(query, k=max(total, 1), where=where)
        return next((hit for hit in results if hit.chunk.id == chunk_id), None)

    def settle(self) -> None:
        """Wait until everything that was charged is written down."""
        while self._writing:
            self._writing.popleft().result()

    @contextmanager
    def collecting(self) -> Iterator[Meter]:
        """Collects what is charged within the block; written into the ledger as it comes, also if it fails.

        A search waits for nobody who writes: another process may hold the ledger for seconds. What comes when
        it has given up waiting, as of a reranker over its time, is written all the same.
        """
        with metered(Meter(record=None if self._parts.read_only else self._note)) as meter:
            yield meter

    def _note(self, charged: Charge) -> None:
        try:
            self._writing.append(self._threads.submit(self._write, charged))
        except RuntimeError:  # the index is being closed, and takes no more jobs
            self._write(charged)

    def _write(self, charged: Charge) -> None:
        try:
            record(self._parts.ledger, charged)
        except RagweftError as error:
            _log.warning("what a search was charged could not be written down: %s", error)

    def _wanted(self, k: int | None, where: Metadata | None) -> tuple[int, int]:
        """Hits to return, and hits to fetch for the reranker."""
        if where is not None:
            compile_filter(where)  # a malformed filter is refused even if nothing is asked
        k = self._parts.recipe.retrieval.k if k is None else k
        if k < 1:
            raise ValueError(f"k must be at least 1, got {k}")
        return k, k if self._reranked is None else max(k, self._parts.recipe.rerank.pool)


def _asked(
    k: int, where: Metadata | None, sources: Sequence[str] | None, min_score: float | None
) -> dict[str, Json]:
    """What has to be equal for results to be served again."""
    uris: list[Json] | None = None if sources is None else [*sources]
    least = None if min_score is None else float(min_score)
    # JSON has no infinity, and a bound that is none lets everything through.
    return {"k": int(k), "where": where, "sources": uris, "min_score": least if least != -math.inf else None}


def _at_least(results: Results, min_score: float | None) -> Results:
    if min_score is None:
        return results
    return replace(results, hits=tuple(hit for hit in results.hits if hit.score >= min_score))
