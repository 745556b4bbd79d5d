"""Every fault of every service, for whoever waits blocking and for whoever awaits: what happens is the same."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

from provider_double import BAD_KEY, ProviderDouble
from ragweft.embedding import remote as embedders
from ragweft.embedding.services import connect as connect_embedder
from ragweft.errors import ProviderError
from ragweft.providers.policy import Policy
from ragweft.recipe import Embedding, Rerank
from ragweft.reranking import remote as rerankers
from ragweft.reranking.services import connect as connect_reranker
from ragweft.types import Chunk, Citation, Hit

# The voyageai SDK tells of a broken answer through Logger.warn.
pytestmark = pytest.mark.filterwarnings("ignore:The 'warn' method is deprecated:DeprecationWarning")
KEY = "sk-test-0123456789abcdefghij"
TEXT = "bees make honey"
EMBEDDERS = [
    "cohere:embed-v4.0",
    "voyage:voyage-4",
    "openai:text-embedding-3-small",
    "jina:jina-embeddings-v3",
    "mistral:mistral-embed",
    "nomic:nomic-embed-text-v1.5",
    "google:gemini-embedding-001",
]
RERANKERS = ["cohere:rerank-v3.5", "voyage:rerank-2.5", "jina:jina-reranker-v2-base-multilingual"]


@dataclass(frozen=True, kw_only=True)
class Fault:
    """What goes wrong, and what becomes of it."""

    name: str
    planned: dict[str, Any] = field(default_factory=dict)
    key: str = KEY
    heals: bool = False
    """The next try succeeds."""
    said: str = ""
    """Of the error, where there is one."""
    seconds: float = 1.5
    """That the caller waits."""

    def __str__(self) -> str:
        return self.name


FAULTS = [
    Fault(name="none", heals=True),
    Fault(name="429 with Retry-After", planned={"status": 429, "headers": {"retry-after": "0"}}, heals=True),
    Fault(name="500", planned={"status": 500}, heals=True),
    Fault(name="dropped connection", planned={"drop": True}, heals=True),
    Fault(name="truncated body", planned={"truncate": True}, heals=True),
    Fault(name="500 again and again", planned={"status": 500, "times": 9}, said="500"),
    Fault(
        name="no answer in time",
        planned={"delay": 3.0, "times": 9},
        said="no answer within|timed out",
        seconds=0.4,
    ),
    Fault(name="wrong count", planned={"wrong_count": True, "times": 9}, said="came back|came without"),
    Fault(name="bad key", key=BAD_KEY, said="check the key"),
]
WAYS = ["blocking", "awaited"]


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch, fault: Fault) -> None:
    fast = Policy(attempts=3, seconds=fault.seconds, timeout=fault.seconds, first_wait=0.01, longest_wait=0.05)
    monkeypatch.setattr(embedders, "QUERIES", fast)
    monkeypatch.setattr(rerankers, "QUERIES", fast)


def judged(double: ProviderDouble, provider: str, fault: Fault, ask: Callable[[], Any]) -> Any:
    """What *ask* gives where the fault heals; None where it is the error it has to be."""
    if fault.planned:
        double.fail(provider, **fault.planned)
    if fault.heals:
        return ask()
    with pytest.raises(ProviderError) as raised:
        ask()
    said = str(raised.value)
    assert re.search(fault.said, said)
    assert "\n" not in said
    assert KEY not in said
    assert BAD_KEY not in said
    return None


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("fault", FAULTS, ids=str)
@pytest.mark.parametrize("model", EMBEDDERS)
def test_a_query_is_embedded_or_refused_alike(
    double: ProviderDouble, model: str, fault: Fault, way: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    provider, _, name = model.partition(":")
    settings = Embedding(model=model, base_url=double.base(provider))
    one = connect_embedder(provider, name, settings, key=fault.key)

    async def awaited() -> np.ndarray:
        try:
            return await one.aembed_query(TEXT)
        finally:
            await one.aclose()

    found = judged(
        double,
        provider,
        fault,
        (lambda: one.embed_query(TEXT)) if way == "blocking" else (lambda: asyncio.run(awaited())),
    )
    one.close()
    if found is not None:
        assert found.shape == (one.space.dims,)
        assert float(np.linalg.norm(found)) == pytest.approx(1.0, abs=1e-4)
    assert fault.key not in caplog.text


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("fault", FAULTS, ids=str)
@pytest.mark.parametrize("model", RERANKERS)
def test_passages_are_ranked_or_refused_alike(
    double: ProviderDouble, model: str, fault: Fault, way: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    provider, _, name = model.partition(":")
    one = connect_reranker(provider, name, Rerank(model=model, base_url=double.base(provider)), key=fault.key)
    hits = [
        Hit(
            chunk=Chunk(id=str(n), document_id="d", text=text),
            score=1.0,
            origins={},
            citation=Citation(source="d", uri="d"),
        )
        for n, text in enumerate(["clocks have hands", "bees make honey in a hive", "rivers run"])
    ]

    async def awaited() -> list[float]:
        try:
            return await one.arerank(TEXT, hits)
        finally:
            await one.aclose()

    found = judged(
        double,
        provider,
        fault,
        (lambda: one.rerank(TEXT, hits)) if way == "blocking" else (lambda: asyncio.run(awaited())),
    )
    one.close()
    if found is not None:
        assert found.index(max(found)) == 1
    assert fault.key not in caplog.text
