"""Objects of other packages cost money too: their calls are counted, held by a cap, and priced where it is said."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from conftest import FLAT
from ragweft import Chunk, Citation, Hit, Index
from ragweft.embedding.adapters import as_embedder
from ragweft.errors import BudgetExceeded, ProviderError, RecipeError
from ragweft.models import choose_models
from ragweft.protocols import BatchEmbedder, PricedEmbedder
from ragweft.providers.foreign import asking
from ragweft.providers.metering import Meter, metered
from ragweft.recipe import Embedding, Recipe
from ragweft.reranking import as_reranker
from ragweft.testing import HashEmbedder

HASH = HashEmbedder(dims=16)
HITS = [
    Hit(
        chunk=Chunk(id=text, document_id="d", text=text),
        score=0.0,
        origins={},
        citation=Citation(source="d", uri="d"),
    )
    for text in ("how to rotate a key", "bread and butter pudding")
]


class Service:
    """An embedding service behind the methods of LangChain's `Embeddings`; keeps what it is sent."""

    model = "embed-2"

    def __init__(self) -> None:
        self.sent: list[list[str]] = []

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        self.sent.append(list(texts))
        return [[float(value) for value in row] for row in HASH.embed_documents(texts)]

    def embed_query(self, text: str) -> list[float]:
        self.sent.append([text])
        return [float(value) for value in HASH.embed_query(text)]

    async def aembed_query(self, text: str) -> list[float]:
        return self.embed_query(text)


def priced(usd_per_million: float) -> Recipe:
    return replace(FLAT, embedding=Embedding(usd_per_million=usd_per_million))


@pytest.fixture
def service() -> Service:
    return Service()


def test_every_call_is_charged_with_an_estimate_of_its_tokens(service: Service) -> None:
    embedder = as_embedder(service, usd_per_million=2.0, dims=16, document_prompt="a passage: ")
    bare = as_embedder(service, usd_per_million=2.0, dims=16)
    assert isinstance(embedder, PricedEmbedder)
    assert isinstance(bare, PricedEmbedder)
    assert embedder.tokens(["key"]) > bare.tokens(["key"]), "what is put before a text is billed with it"
    with metered(Meter()) as meter:
        embedder.embed_documents(["how to rotate a key", " ", "pudding"])
        embedder.embed_documents([" "])
        embedder.embed_query("which key")
        asyncio.run(getattr(embedder, "aembed_query")("which key"))  # noqa: B009
    documents, *queries = meter.charges
    assert [(c.model, c.purpose) for c in meter.charges] == [
        (embedder.space.model, "documents"),
        *[(embedder.space.model, "query")] * 2,
    ]
    assert documents.tokens == embedder.tokens(["how to rotate a key", "pudding"])
    assert documents.usd == pytest.approx(documents.tokens * 2e-6)
    assert queries[0].tokens == queries[1].tokens > 0


def test_without_a_price_calls_are_counted_and_a_cap_is_refused(service: Service) -> None:
    embedder = as_embedder(service, dims=16)
    assert not isinstance(embedder, PricedEmbedder)
    with metered(Meter()) as meter:
        embedder.embed_documents(["key"])
    assert (meter.usage.calls, meter.usage.unpriced, meter.usage.usd) == (1, 1, 0.0)
    assert meter.usage.tokens > 0
    asks: list[Callable[[], object]] = [
        lambda: embedder.embed_documents(["key"]),
        lambda: embedder.embed_query("key"),
        lambda: asyncio.run(getattr(embedder, "aembed_query")("key")),  # noqa: B009
    ]
    service.sent.clear()
    for ask in asks:
        with metered(Meter(max_usd=5.0)), pytest.raises(BudgetExceeded, match="usd_per_million to as_embedder"):
            ask()
    assert service.sent == []


def test_what_is_free_fits_under_any_cap(service: Service) -> None:
    embedder = as_embedder(service, dims=16, usd_per_million=0)
    assert not isinstance(embedder, PricedEmbedder), "nothing of it is bought"
    with metered(Meter(max_usd=0.0)) as meter:
        embedder.embed_documents(["key"])
    assert (meter.usage.calls, meter.usage.unpriced, meter.usage.usd) == (1, 0, 0.0)


def test_a_cap_is_used_up_and_what_was_paid_for_comes_back_first(service: Service) -> None:
    texts = [f"text number {n}" for n in range(10)]
    embedder = as_embedder(service, dims=16, usd_per_million=1e6, batch=4)
    assert isinstance(embedder, BatchEmbedder)
    assert isinstance(embedder, PricedEmbedder)
    cap = float(embedder.tokens(texts[:6])) + 1
    kept: list[int] = []
    with metered(Meter(max_usd=cap)) as meter, pytest.raises(BudgetExceeded):
        for places, vectors in embedder.embed_batches(texts):
            np.testing.assert_allclose(vectors, HASH.embed_documents([texts[p] for p in places]), atol=1e-6)
            kept += places
    assert kept == [0, 1, 2, 3, 4, 5]
    assert [len(each) for each in service.sent] == [4, 1, 1]
    assert meter.usage.usd == pytest.approx(cap - 1)


def test_an_answer_that_is_wrong_costs_like_a_right_one_and_a_refusal_nothing() -> None:
    class Refused(Exception):
        status_code = 401

    def refuse(texts: list[str]) -> Any:
        raise Refused

    with metered(Meter()) as meter, pytest.raises(ProviderError):
        as_embedder(refuse, model="m", dims=2, usd_per_million=1.0).embed_query("key")
    assert meter.usage.calls == 0
    with metered(Meter()) as meter, pytest.raises(ProviderError):
        as_embedder(lambda texts: [[1.0]], model="m", dims=2, usd_per_million=1.0).embed_query("key")
    assert meter.usage.calls == 1


@pytest.mark.parametrize("price", [-1.0, float("nan"), float("inf")])
def test_a_price_that_is_none_is_refused(service: Service, price: float) -> None:
    with pytest.raises(RecipeError, match="usd_per_million"):
        as_embedder(service, usd_per_million=price)
    with pytest.raises(RecipeError, match="usd_per_million"):
        as_reranker(lambda query, texts: [0.0], usd_per_million=price)


def test_an_embedder_that_counts_by_itself_takes_no_price() -> None:
    with pytest.raises(RecipeError, match="price"):
        as_embedder(HASH, usd_per_million=1.0)


# ------------------------------------------------------------------------------------------------ rerankers


def overlap(query: str, texts: Sequence[str]) -> list[float]:
    return [float(len(set(query.split()) & set(text.split()))) for text in texts]


async def overlap_later(query: str, texts: Sequence[str]) -> list[float]:
    return overlap(query, texts)


@pytest.mark.parametrize("later", [False, True])
def test_a_reranking_is_charged_and_held(later: bool) -> None:
    def rerank(price: float | None) -> list[float]:
        reranker = as_reranker(overlap_later if later else overlap, name="mine", usd_per_million=price)
        if later:
            return list(asyncio.run(getattr(reranker, "arerank")("a key", HITS)))  # noqa: B009
        return list(reranker.rerank("a key", HITS))

    with metered(Meter()) as meter:
        assert rerank(3.0) == [2.0, 0.0]
    (charged,) = meter.charges
    assert (charged.model, charged.purpose) == ("mine", "rerank")
    assert charged.tokens > 2 * 4
    assert charged.usd == pytest.approx(charged.tokens * 3e-6)
    with metered(Meter()) as meter:
        rerank(None)
    assert meter.usage.unpriced == 1
    with metered(Meter(max_usd=1.0)), pytest.raises(BudgetExceeded, match="usd_per_million to as_reranker"):
        rerank(None)
    with metered(Meter(max_usd=0.0)):
        assert rerank(0) == [2.0, 0.0]


# ------------------------------------------------------------------------------------------------ in an index


def test_a_sync_says_what_it_cost_and_stops_at_a_cap(service: Service, tmp_path: Path, docs: Path) -> None:
    embedder = as_embedder(service, dims=16, usd_per_million=1.0)
    with Index.open(tmp_path / "kb", recipe=FLAT, embedder=embedder) as index:
        estimate = index.estimate(docs)
        assert estimate.usd is not None
        assert estimate.tokens > 0
        with pytest.raises(BudgetExceeded):
            index.sync(docs, max_usd=0.0)
        assert service.sent == []
        report = index.sync(docs)
        assert report.usage.calls > 0
        assert 0 < report.usage.usd <= estimate.usd
        results = index.search("rotate a signing key")
        assert (results.usage.calls, results.usage.unpriced) == (1, 0)
        spent = index.status().spent
    assert spent.usd == pytest.approx(report.usage.usd + results.usage.usd)


def test_a_price_of_the_recipe_is_taken_and_one_of_the_program_comes_first(service: Service) -> None:
    for given, expected in ((None, 0.5), (2.0, 2.0), (0.0, 0.0)):
        embedder = as_embedder(service, dims=16, usd_per_million=given)
        chosen = choose_models(priced(0.5), embedder=embedder, reranker=None).embedder
        assert getattr(chosen, "price") == expected  # noqa: B009
    chosen = choose_models(priced(0.0), embedder=service, reranker=None).embedder
    with metered(Meter(max_usd=0.0)):
        chosen.embed_query("key")
    assert choose_models(priced(0.5), embedder=HASH, reranker=None).embedder is HASH


@pytest.mark.parametrize(("price", "named"), [(None, True), (0.0, True), (1.0, False)])
def test_only_an_object_with_a_price_is_spared_the_names_of_files(
    tmp_path: Path, price: float | None, named: bool
) -> None:
    service, docs = Service(), tmp_path / "docs"
    docs.mkdir()
    (docs / "ledger_of_spring.txt").write_text("Nobody counted the falcons.\n")
    with Index.open(
        tmp_path / "kb", recipe=FLAT, embedder=as_embedder(service, usd_per_million=price)
    ) as index:
        index.sync(docs)
        sent = [text for texts in service.sent for text in texts if "falcons" in text]
        assert any("spring" in text for text in sent) is named
        (docs / "ledger_of_spring.txt").rename(docs / "moved_to_autumn.txt")
        service.sent.clear()
        index.sync(docs)
        assert bool(service.sent) is named


def test_the_size_of_a_known_index_is_not_asked_for(service: Service) -> None:
    space = str(as_embedder(service, dims=16).space)
    chosen = choose_models(FLAT, embedder=service, reranker=None, space=space).embedder
    assert chosen.space == as_embedder(service, dims=16).space
    assert service.sent == []
    prompted = as_embedder(service, document_prompt="d: ")
    for other in (
        space.replace("embed-2", "embed-3"),
        "",
        "static",
        "a/b",
        str(as_embedder(service, dims=7).space),
    ):
        given = prompted if other.endswith("/7/float32") else as_embedder(service)
        service.sent.clear()
        with metered(Meter()) as meter:
            assert choose_models(FLAT, embedder=given, reranker=None, space=other).embedder.space.dims == 16
        assert len(service.sent) == 1, "it had to be found out"
        assert meter.usage.calls == 1


def test_a_call_for_the_size_alone_is_written_down(service: Service, tmp_path: Path) -> None:
    with Index.open(tmp_path / "kb", recipe=priced(1.0), embedder=service) as index:
        assert len(service.sent) == 1
        (spent,) = index.status().spent_on
    assert (spent.purpose, spent.usage.calls) == ("documents", 1)
    assert spent.usage.usd > 0


def test_a_size_that_turns_out_wrong_says_what_to_do(service: Service) -> None:
    space = str(as_embedder(service, dims=7).space)
    chosen = choose_models(FLAT, embedder=service, reranker=None, space=space).embedder
    with pytest.raises(ProviderError, match=r"16 values came back where 7 were expected; give the embedder"):
        chosen.embed_query("key")


def test_a_function_given_to_an_index_is_told_how_to_be_named(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"Index\.open\(…, embedder=as_embedder\(thing, model="):
        Index.open(tmp_path / "kb", embedder=lambda texts: HASH.embed_documents(texts))


# ------------------------------------------------------------------------------------------------ what it says


SECRETS = [
    "Incorrect API key provided: sk-proj-abcdef1234567890. You can find yours at https://platform.example/keys",
    "Incorrect API key provided: sk-abcd*********wxyz.",
    "headers={'Authorization': 'Bearer s3cr3t-token'}",
    'Authorization: Bearer "abc" rejected: Bearer abcdef',
    "Basic dXNlcjpwYXNzd29yZDEyMw== refused",
    "API key not valid: AIzaSyD-9tSrke72PouQMnMX-a7eZSW0jkFMBWY",
    '{"api_key": "hunter2hunter2", "model": "m"}',
    "Client(api_key='hunter2hunter2')",
    "GET https://user:hunter2@host.example/v1?key=hunter2",
    "token 5f4dcc3b5aa765d61d8327deb882cf99 is revoked",
    "token hf_abcdefghijklmnopqrstuvwxyzABCDEFGH is revoked",
    "key Zm9vYmFyYmF6cXV4/Zm9v9YmFyYmF6+cXV4MTIz== is revoked",
    "key 3fa85f64-5717-4562-b3fc-2c963f66afa6 is revoked",
]
HIDDEN = (
    "abcdef1234567890",
    "wxyz",
    "s3cr3t",
    "Bearer abcdef",
    "dXNlcjpwYXNzd29yZDEyMw",
    "AIzaSy",
    "hunter2",
    "5f4dcc3b5aa7",
    "hf_abcdef",
    "Zm9v",
    "5717-4562",
)
PLAIN = [
    "model sentence-transformers/paraphrase-multilingual-MiniLM-L12-v2 not found",
    "text-embedding-3-small-2024-01-25-preview takes 8192 tokens, 9000 were given",
    "File /usr/lib/python3.11/site-packages/langchain_openai/embeddings/base.py, line 588",
    "Invalid API key: please check that max_tokens=512 fits",
    "OpenAIEmbeddingsRateLimitErrorV2 at 2026-11-23T16:13:05.123456+00:00",
]


def said(message: str) -> str:
    with pytest.raises(ProviderError) as raised, asking("m"):
        raise ValueError(message)
    return str(raised.value)


@pytest.mark.parametrize("message", SECRETS)
def test_a_secret_in_an_objects_error_is_not_repeated(message: str) -> None:
    told = said(message)
    assert not [word for word in HIDDEN if word in told]
    assert "key" in told


@pytest.mark.parametrize("message", PLAIN)
def test_the_rest_of_an_objects_error_is_repeated(message: str) -> None:
    assert message in said(message)


def test_a_long_message_is_read_in_time_that_grows_with_its_length() -> None:
    for text in ("a1" * 50_000, "a" * 100_000, "/a1b2" * 20_000, "https://" * 12_000, "api_key" * 15_000):
        assert len(said(text)) < 400
    assert not re.search(r"(a1){20}", said("a1" * 50_000))
