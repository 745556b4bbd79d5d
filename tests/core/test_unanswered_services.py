"""What a call costs whose answer never came, with real SDKs over HTTP, and what an index says of it."""

from __future__ import annotations

import asyncio
import gc
import socket
from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from provider_double import ProviderDouble
from ragweft import Index
from ragweft.embedding import remote
from ragweft.embedding.services import connect
from ragweft.errors import ProviderError
from ragweft.providers.background import awaited
from ragweft.providers.metering import Meter, metered
from ragweft.providers.policy import Policy
from ragweft.recipe import Dense, Embedding, Recipe, Rerank, Retrieval
from ragweft.reranking import remote as reranking
from ragweft.types import Document

if TYPE_CHECKING:
    from pathlib import Path

    from ragweft.embedding.remote import RemoteEmbedder

KEY = "sk-test-0123456789abcdefghij"

CASES = {
    "cohere": "embed-v4.0",  # httpx
    "voyage": "voyage-4",  # requests and aiohttp
    "openai": "text-embedding-3-small",  # httpx2, wrapped
    "google": "gemini-embedding-001",  # httpx2
}


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of servers elsewhere."""
    monkeypatch.setenv("RAGWEFT_API_KEY", KEY)


def purposes(meter: Meter) -> list[str]:
    return [charged.purpose for charged in meter.charges]


@pytest.fixture
def silent() -> Iterator[int]:
    """The port of a server that takes a connection and says nothing."""
    with socket.create_server(("127.0.0.1", 0), backlog=50) as server:
        yield server.getsockname()[1]
    # What a library leaves of a handshake that was cut off is closed by the collector.
    awaited(partial(asyncio.sleep, 0))
    gc.collect()


def embedder(provider: str, base_url: str) -> RemoteEmbedder:
    model = CASES[provider]
    return connect(provider, model, Embedding(model=f"{provider}:{model}", base_url=base_url), key=KEY)


def ask(one: RemoteEmbedder, way: str, text: str) -> None:
    async def asynchronously() -> None:
        try:
            await one.aembed_query(text)
        finally:
            await one.aclose()

    if way == "documents":
        one.embed_documents([text])
    elif way == "query":
        one.embed_query(text)
    else:
        asyncio.run(asynchronously())


@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.parametrize("way", ["documents", "query"])
@pytest.mark.parametrize("provider", CASES)
def test_no_connection_no_charge(provider: str, way: str, silent: int, monkeypatch: pytest.MonkeyPatch) -> None:
    brief = Policy(attempts=1, seconds=0.25, timeout=0.2)
    monkeypatch.setattr(remote, "QUERIES", brief)
    monkeypatch.setattr(remote, "DOCUMENTS", brief)
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    for address in (f"http://127.0.0.1:{port}/v1", f"https://127.0.0.1:{silent}/v1"):
        one = embedder(provider, address)
        with metered(Meter()) as meter, pytest.raises(ProviderError):
            ask(one, way, "who makes honey")
        one.close()
        assert meter.charges == [], f"{address} was never connected to"


@pytest.mark.parametrize("provider", CASES)
def test_a_request_that_went_out_is_charged_its_estimate(
    provider: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with ProviderDouble() as double:
        one = embedder(provider, double.base(provider))
        for way in ("documents", "query"):
            ask(one, way, "what loads the SDK and connects")
        brief = Policy(attempts=1, seconds=0.5, timeout=0.5)
        monkeypatch.setattr(remote, "QUERIES", brief)
        monkeypatch.setattr(remote, "DOCUMENTS", brief)
        for way in ("documents", "query"):
            double.fail(provider, delay=30.0)
            with metered(Meter()) as meter, pytest.raises(ProviderError):
                ask(one, way, "bees make honey")
            assert purposes(meter) == [f"{way}, unanswered"]
            tokens, price = one.tokens(["bees make honey"]), one.usd_per_million
            assert price is not None
            assert meter.usage.tokens == tokens > 0
            assert meter.usage.usd == pytest.approx(tokens * price / 1e6)
        one.close()


@pytest.mark.filterwarnings("ignore:The 'warn' method is deprecated:DeprecationWarning")
@pytest.mark.parametrize(
    ("way", "fault"),
    [
        ("documents", {"drop": True}),
        ("documents", {"truncate": True}),
        ("query", {"truncate": True}),
        ("async", {"drop": True}),
    ],
    ids=["documents-dropped", "documents-truncated", "query-truncated", "async-dropped"],
)
@pytest.mark.parametrize("provider", CASES)
def test_a_try_whose_answer_was_lost_is_counted_beside_the_one_that_came(
    provider: str, way: str, fault: dict[str, Any]
) -> None:
    purpose = "documents" if way == "documents" else "query"
    with ProviderDouble() as double:
        double.fail(provider, **fault)
        one = embedder(provider, double.base(provider))
        with metered(Meter()) as meter:
            ask(one, way, "bees make honey")
        one.close()
        assert purposes(meter) == [f"{purpose}, unanswered", purpose]
        assert meter.charges[1].tokens == double.requests[1].tokens


def test_an_index_shows_it_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CO_API_KEY", KEY)
    monkeypatch.setenv("VOYAGE_API_KEY", KEY)
    with ProviderDouble() as double:
        recipe = Recipe(
            embedding=Embedding(model="cohere:embed-v4.0", base_url=double.base("cohere")),
            rerank=Rerank(model="voyage:rerank-2.5", base_url=double.base("voyage")),
            dense=Dense(engine="flat"),
            retrieval=Retrieval(dense_weight=0.5),
        )
        with Index.open(tmp_path / "kb", recipe=recipe) as index:
            double.fail("cohere", drop=True)
            report = index.add(Document(id="a", text="# Bees\n\nBees make honey."))
            assert report.usage.calls == 2, "the report knows of both tries"
            index.search("what loads the SDKs")
            brief = Policy(attempts=1, seconds=0.3, timeout=60.0)
            monkeypatch.setattr(remote, "QUERIES", brief)
            monkeypatch.setattr(reranking, "QUERIES", brief)
            double.fail("cohere", drip=0.05)
            assert index.search("who makes honey").usage.calls == 2
            double.fail("voyage", drip=0.05)
            assert index.search("who keeps bees").usage.calls == 2
        with Index.open(tmp_path / "kb") as index:
            spent = {(line.model, line.purpose): line.usage for line in index.status().spent_on}
    assert {name: usage.calls for name, usage in spent.items()} == {
        ("cohere:embed-v4.0", "documents"): 1,
        ("cohere:embed-v4.0", "documents, unanswered"): 1,
        ("cohere:embed-v4.0", "query"): 2,
        ("cohere:embed-v4.0", "query, unanswered"): 1,
        ("voyage:rerank-2.5", "rerank"): 2,
        ("voyage:rerank-2.5", "rerank, unanswered"): 1,
    }
    assert all(usage.tokens > 0 and usage.usd > 0 for usage in spent.values())
