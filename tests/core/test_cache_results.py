"""What a search found before: served as it would be found now, with the text as it is now."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from cache_made import QUERY, Opened, corpus
from ragweft import Document
from ragweft.caching.cache import SemanticCache
from ragweft.caching.cached import Cached
from ragweft.caching.likeness import Likeness
from ragweft.caching.store import CacheStore
from ragweft.protocols import AsyncRetriever, Retriever

if TYPE_CHECKING:
    from ragweft.types import Metadata, Results

NEAR = "how often is the signing key rotated"


class Counting:
    """Counts what it is asked."""

    def __init__(self, opened: Opened) -> None:
        self._opened = opened
        self.asked: list[str] = []

    def __repr__(self) -> str:
        return "Counting()"

    def retrieve(self, query: str, *, k: int = 5, where: Metadata | None = None) -> Results:
        self.asked.append(query)
        return self._opened.search(query, k=k, where=where)


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Opened]:
    made = Opened(tmp_path / "kb")
    made.index.add(corpus())
    yield made
    made.close()


@pytest.fixture
def cache(opened: Opened) -> Iterator[SemanticCache]:
    made = SemanticCache(
        CacheStore(opened.parts.folder / "cache.db"),
        opened.watch,
        opened.embedder.embed_query,
        Likeness(opened.embedder),
        embedded="s",
        within={"index": opened.parts.ledger.uuid},
        threshold=0.9,
    )
    yield made
    made.close()


def test_found_again_without_searching(opened: Opened, cache: SemanticCache) -> None:
    inner = Counting(opened)
    cached = Cached(inner, cache, name="inner")
    assert isinstance(cached, Retriever)
    assert isinstance(cached, AsyncRetriever)
    first = cached.retrieve(QUERY, k=3)
    for query, level in ((QUERY, "exact"), (NEAR, "semantic")):
        again = cached.retrieve(query, k=3)
        assert again.hits == first.hits
        assert again.query == query
        assert again.trace.cache == level
        assert again.trace.stages[0].name == "cache"
    assert (first.trace.cache, inner.asked) == ("miss", [QUERY])
    assert repr(cached) == "Cached(Counting())"


def test_without_blocking(opened: Opened, cache: SemanticCache) -> None:
    inner = Counting(opened)
    cached = Cached(inner, cache, name="inner")

    async def ask() -> list[Results]:
        return [await cached.aretrieve(QUERY, k=3) for _ in range(2)]

    first, again = asyncio.run(ask())
    assert again.hits == first.hits
    assert inner.asked == [QUERY]


def test_number_filter_scope_and_retriever_are_told_apart(opened: Opened, cache: SemanticCache) -> None:
    inner = Counting(opened)
    cached = Cached(inner, cache, name="inner")
    cached.retrieve(QUERY, k=3)
    assert len(cached.retrieve(QUERY, k=2)) == 2
    assert all(hit.chunk.metadata["team"] == 1 for hit in cached.retrieve(QUERY, k=3, where={"team": 1}))
    assert all(hit.chunk.metadata["team"] == 2 for hit in cached.retrieve(QUERY, k=3, where={"team": 2}))
    Cached(inner, cache, name="inner", scope={"tenant": "b"}).retrieve(QUERY, k=3)
    assert len(inner.asked) == 5
    cached.retrieve(QUERY, k=3, where={"team": 2})
    assert len(inner.asked) == 5


def test_an_edit_is_seen(opened: Opened, cache: SemanticCache) -> None:
    inner = Counting(opened)
    cached = Cached(inner, cache, name="inner")
    best = cached.retrieve(QUERY, k=3)[0].chunk
    changed = next(document for document in corpus() if document.id == best.document_id)
    opened.index.add([replace(changed, text=changed.text.replace("ninety", "thirty"))])
    again = cached.retrieve(QUERY, k=3)
    assert again.trace.cache == "miss"
    assert again.hits == opened.search(QUERY, k=3).hits
    assert best.id not in [hit.chunk.id for hit in again]
    opened.index.add([Document(id="far", text="The orchestra tunes its violins.")])
    assert cached.retrieve(QUERY, k=3).trace.cache == "exact"
    opened.index.add([Document(id="near", text="The signing key is rotated every ten days.")])
    assert "near" in [hit.chunk.document_id for hit in cached.retrieve(QUERY, k=3)]


def test_what_had_failed_in_part_is_not_kept(opened: Opened, cache: SemanticCache) -> None:
    class Failing(Counting):
        def retrieve(self, query: str, *, k: int = 5, where: Metadata | None = None) -> Results:
            found = super().retrieve(query, k=k, where=where)
            return replace(found, trace=replace(found.trace, degraded=("dense search failed",)))

    inner = Failing(opened)
    cached = Cached(inner, cache, name="inner")
    assert [cached.retrieve(QUERY).trace.cache for _ in range(2)] == ["miss, not kept"] * 2
    assert len(inner.asked) == 2
