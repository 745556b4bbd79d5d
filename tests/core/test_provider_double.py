"""The double of the providers, asked by their own SDKs: shapes, roles, limits, prices."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import cohere
import httpx2
import numpy as np
import pytest
import requests
import voyageai
from google import genai
from google.genai import errors as google_errors
from google.genai import types as google_types
from hypothesis import assume, given
from hypothesis import strategies as st
from voyageai.client import Client as VoyageClient
from voyageai.client_async import AsyncClient as AsyncVoyageClient
from voyageai.error import InvalidRequestError

from provider_double.sample import BEES, CLOCKS, KEY, TEXTS, assert_like, billed, cosines, long
from provider_double.vectors import DTYPES, embed, encode

if TYPE_CHECKING:
    from provider_double import ProviderDouble, Request


@pytest.fixture
def co(double: ProviderDouble) -> Iterator[cohere.ClientV2]:
    with cohere.ClientV2(KEY, base_url=double.base("cohere"), max_retries=0) as client:
        yield client


@pytest.fixture
def voyage(double: ProviderDouble, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Any]]:
    """Calls a method of voyageai's client in a thread of its own: the SDK keeps one session a thread, unclosed."""
    client = VoyageClient(KEY, base_url=double.base("voyage"))
    with requests.Session() as session, ThreadPoolExecutor(1) as thread:
        monkeypatch.setattr(voyageai, "requestssession", session)

        def call(method: str, *args: object, **options: object) -> Any:
            return thread.submit(getattr(client, method), *args, **options).result()

        yield call


@pytest.fixture
def gemini(double: ProviderDouble) -> Iterator[genai.Client]:
    options = google_types.HttpOptions(base_url=double.base("google"))
    client = genai.Client(api_key=KEY, http_options=options)
    yield client
    client.close()


def contents(texts: Sequence[str]) -> Any:
    return [google_types.Content(parts=[google_types.Part(text=text)]) for text in texts]


def last(double: ProviderDouble) -> Request:
    return double.requests[-1]


# --- vectors


@given(st.text(), st.sampled_from([8, 64, 256]))
def test_a_shorter_vector_is_the_beginning_of_the_longer_one(text: str, dims: int) -> None:
    whole, short = embed(text, dims=1024), embed(text, dims=dims, full=1024)
    assume(np.any(whole[:dims]))  # nothing is left of some, and of these there is no unit vector
    assert np.isclose(np.linalg.norm(whole), 1)
    assert np.allclose(short, whole[:dims] / np.linalg.norm(whole[:dims]))
    assert np.allclose(embed(text, dims=dims, full=1024, unit=False), whole[:dims])


@pytest.mark.parametrize("dtype", DTYPES)
def test_every_output_type_keeps_what_is_near(dtype: str) -> None:
    rows = [encode(embed(text, dims=512), dtype) for text in TEXTS]
    packed = np.array(
        [
            np.frombuffer(
                base64.b64decode(str(encode(embed(text, dims=512), dtype, as_base64=True))), DTYPES[dtype]
            )
            for text in TEXTS
        ]
    )
    assert np.allclose(np.array(rows), packed, atol=1e-6)
    decoded = packed.astype(float)
    if "binary" in dtype:
        decoded = (
            np.unpackbits((packed.astype(int) + (128 if dtype == "binary" else 0)).astype(np.uint8), axis=1)
            * 2.0
            - 1
        )
    elif dtype == "uint8":
        decoded -= 128
    assert_like(decoded.tolist(), 512)


def test_a_query_is_turned_from_the_document_of_the_same_text() -> None:
    query, document = embed(BEES, dims=256, role="query"), embed(BEES, dims=256, role="document")
    assert 0.9 < float(query @ document) < 0.99


# --- Cohere


def test_cohere_embeds_in_every_type_and_bills_tokens(double: ProviderDouble, co: cohere.ClientV2) -> None:
    response = co.embed(
        model="embed-v4.0",
        input_type="search_document",
        texts=TEXTS,
        output_dimension=256,
        embedding_types=["float", "int8", "ubinary", "base64"],
    )
    vectors = response.embeddings
    assert vectors.float_ is not None
    assert vectors.base64 is not None
    assert_like(vectors.float_, 256)
    assert np.allclose(
        np.frombuffer(base64.b64decode(vectors.base64[2]), np.float32), vectors.float_[2], atol=1e-6
    )
    assert np.array(vectors.int8).shape == (3, 256)
    assert np.array(vectors.ubinary).shape == (3, 32)
    assert response.meta is not None
    assert response.meta.billed_units is not None
    assert response.meta.billed_units.input_tokens == last(double).tokens == billed(*TEXTS)
    assert last(double).body["input_type"] == "search_document"
    assert last(double).headers["authorization"] == f"Bearer {KEY}"


def test_cohere_wants_a_role_and_at_most_96_texts(co: cohere.ClientV2) -> None:
    with pytest.raises(cohere.BadRequestError, match="at most 96 - received 97"):
        co.embed(model="embed-v4.0", input_type="search_document", texts=["a"] * 97)
    with pytest.raises(cohere.BadRequestError, match="valid input_type must be provided"):
        co.embed(model="embed-v4.0", input_type="", texts=["a"])
    with pytest.raises(cohere.BadRequestError, match="output_dimension"):
        co.embed(model="embed-v4.0", input_type="search_query", texts=["a"], output_dimension=768)
    with pytest.raises(cohere.NotFoundError, match="model 'embed-v9' not found"):
        co.embed(model="embed-v9", input_type="search_query", texts=["a"])


def test_cohere_cuts_in_silence_unless_told_not_to(double: ProviderDouble, co: cohere.ClientV2) -> None:
    text = "begin " * 400 + "end " * 400
    english = "embed-english-v3.0"
    cut = co.embed(model=english, input_type="search_document", texts=[text, text[:2048], text[-2048:]])
    assert cut.embeddings.float_ is not None
    assert cut.embeddings.float_[0] == cut.embeddings.float_[1] != cut.embeddings.float_[2]
    assert last(double).tokens == 3 * 512
    with pytest.raises(cohere.BadRequestError, match=r"too many tokens: .* cannot exceed 512 - received 1000"):
        co.embed(model=english, input_type="search_document", texts=[text], truncate="NONE")


def test_cohere_reranks_and_bills_searches(double: ProviderDouble, co: cohere.ClientV2) -> None:
    response = co.rerank(model="rerank-v3.5", query="warm hive", documents=[CLOCKS, BEES, "warm"] * 40, top_n=2)
    assert [result.index for result in response.results] == [1, 4]
    assert response.results[0].relevance_score > 0.7
    assert response.meta is not None
    assert response.meta.billed_units is not None
    assert response.meta.billed_units.search_units == last(double).searches == 2
    assert last(double).tokens == 0


def test_cohere_v5_finds_spans_and_bills_tokens(double: ProviderDouble, co: cohere.ClientV2) -> None:
    query, text = "brood warm", f"{CLOCKS} {BEES} Nothing else. 🐝 The brood is warm."
    spans = cohere.RerankRelevantSpans(mode="enabled", max_spans=2)
    response = co.rerank(model="rerank-v5.0-fast", query=query, documents=[CLOCKS, text], relevant_spans=spans)
    best, other = response.results
    assert best.index == 1
    assert best.relevant_spans is not None
    assert {text[span.start : span.end] for span in best.relevant_spans} == {BEES, "🐝 The brood is warm."}
    assert other.relevant_spans is None
    assert last(double).searches == 0
    assert (
        last(double).tokens
        == 2 * billed(query) + billed(CLOCKS, text)
        == sum(call.tokens for call in double.calls("cohere"))
    )
    with pytest.raises(cohere.BadRequestError, match="relevant_spans"):
        co.rerank(model="rerank-v4.0-pro", query="warm", documents=["a"], relevant_spans=spans)


def test_cohere_async(double: ProviderDouble) -> None:
    async def ask() -> Any:
        async with cohere.AsyncClientV2(KEY, base_url=double.base("cohere"), max_retries=0) as client:
            return await client.embed(model="embed-v5.0-pro", input_type="search_query", texts=TEXTS)

    assert_like(asyncio.run(ask()).embeddings.float_, 2048)


# --- Voyage


def test_voyage_embeds_by_role_in_every_type(double: ProviderDouble, voyage: Callable[..., Any]) -> None:
    documents = voyage("embed", TEXTS, model="voyage-4", input_type="document")
    assert_like(documents.embeddings, 1024)
    assert documents.total_tokens == last(double).tokens == billed(*TEXTS)
    queries = voyage("embed", TEXTS, model="voyage-4", input_type="query", output_dimension=2048)
    assert last(double).body["input_type"] == "query"
    assert np.array(queries.embeddings).shape == (3, 2048)
    assert not np.allclose(cosines([queries.embeddings[0][:1024], documents.embeddings[0]])[0, 1], 1)
    packed = voyage("embed", TEXTS, model="voyage-4", output_dtype="binary", output_dimension=256)
    assert np.array(packed.embeddings).shape == (3, 32)
    assert min(map(min, packed.embeddings)) < 0


def test_voyage_limits(voyage: Callable[..., Any]) -> None:
    with pytest.raises(InvalidRequestError, match=r"batch size limit is 1000. Your batch size is 1001"):
        voyage("embed", ["a"] * 1001, model="voyage-4")
    with pytest.raises(
        InvalidRequestError, match=r"per submitted batch is 120000. Your batch has 128000 tokens"
    ):
        voyage("embed", [long(32_000)] * 4, model="voyage-3-large")
    with pytest.raises(InvalidRequestError, match=r"at index 1 .* context window of 32000 tokens"):
        voyage("embed", ["a", long(32_001)], model="voyage-4", truncation=False)
    with pytest.raises(InvalidRequestError, match="output_dimension=100"):
        voyage("embed", ["a"], model="voyage-4", output_dimension=100)
    with pytest.raises(InvalidRequestError, match="empty strings"):
        voyage("embed", ["a", ""], model="voyage-4")
    assert voyage("embed", [long(40_000)], model="voyage-4").total_tokens == 32_000


def test_voyage_embeds_chunks_in_their_document(double: ProviderDouble, voyage: Callable[..., Any]) -> None:
    inputs = [[BEES, "It is warm."], [CLOCKS, "It is warm."]]
    response = voyage("contextualized_embed", inputs, model="voyage-context-4", input_type="document")
    (bees, it), (clocks, also) = (result.embeddings for result in response.results)
    near = cosines([bees, it, clocks, also])
    assert near[0, 1] > near[0, 3] + 0.1
    assert it != also
    query = voyage("contextualized_embed", [[BEES]], model="voyage-context-4", input_type="query")
    assert len(query.results[0].embeddings) == 1
    assert last(double).body["inputs"] == [[BEES]]
    with pytest.raises(InvalidRequestError, match=r"at index 1 .* 32000 .*not support truncation"):
        voyage(
            "contextualized_embed", [["a"], [long(20_000)] * 2], model="voyage-context-3", input_type="document"
        )


def test_voyage_reranks(double: ProviderDouble, voyage: Callable[..., Any]) -> None:
    response = voyage("rerank", "warm hive", [CLOCKS, BEES], model="rerank-2.5", top_k=1)
    assert [(result.index, result.document) for result in response.results] == [(1, BEES)]
    assert response.total_tokens == last(double).tokens == 2 * billed("warm hive") + billed(CLOCKS, BEES)
    with pytest.raises(InvalidRequestError, match="cannot exceed 1000"):
        voyage("rerank", "warm", ["a"] * 1001, model="rerank-3")


def test_voyage_async(double: ProviderDouble) -> None:
    client = AsyncVoyageClient(KEY, base_url=double.base("voyage"))
    response = asyncio.run(client.embed(TEXTS, model="voyage-3-lite", input_type="document"))
    assert_like(response.embeddings, 512)


# --- Google


def test_gemini_embeds_one_content_at_a_time(double: ProviderDouble, gemini: genai.Client) -> None:
    config = google_types.EmbedContentConfig(task_type="RETRIEVAL_QUERY", output_dimensionality=768)
    response = gemini.models.embed_content(
        model="gemini-embedding-001", contents=contents(TEXTS), config=config
    )
    rows = [item.values or [] for item in response.embeddings or []]
    assert_like(rows, 768)
    assert np.allclose(np.linalg.norm(rows, axis=1), 0.5, atol=0.05), "not unit below the full size"
    assert [request["taskType"] for request in last(double).body["requests"]] == ["RETRIEVAL_QUERY"] * 3
    assert response.usage_metadata is not None
    assert response.usage_metadata.total_token_count == last(double).tokens == billed(*TEXTS)
    full = gemini.models.embed_content(model="gemini-embedding-2", contents=contents(TEXTS), config=config)
    assert np.allclose(np.linalg.norm([item.values or [] for item in full.embeddings or []], axis=1), 1)


def test_gemini_2_takes_plain_strings_for_one_content(double: ProviderDouble, gemini: genai.Client) -> None:
    plain: Any = list(TEXTS)
    merged: Any = gemini.models.embed_content(model="gemini-embedding-2", contents=plain)
    assert len(merged.embeddings) == len(last(double).body["requests"]) == 1
    older: Any = gemini.models.embed_content(model="gemini-embedding-001", contents=plain)
    assert len(older.embeddings) == 3


def test_gemini_limits(gemini: genai.Client) -> None:
    embed_content = gemini.models.embed_content
    with pytest.raises(google_errors.ClientError, match="at most 100 requests can be in one batch"):
        embed_content(model="gemini-embedding-001", contents=contents(["a"] * 101))
    with pytest.raises(google_errors.ClientError, match=r"input token count \(2049\) exceeds .* \(2048\)"):
        embed_content(model="gemini-embedding-001", contents=contents([long(2049)]))
    with pytest.raises(google_errors.ClientError, match="404 NOT_FOUND"):
        embed_content(model="gemini-embedding-9", contents=contents(["a"]))


def test_gemini_async(double: ProviderDouble) -> None:
    async def ask() -> Any:
        # Left to itself the SDK takes aiohttp where it is installed, and warns about its own way of doing so.
        async with httpx2.AsyncClient() as http:
            options = google_types.HttpOptions(base_url=double.base("google"), httpx_async_client=http)
            client = genai.Client(api_key=KEY, http_options=options)
            try:
                return await client.aio.models.embed_content(
                    model="gemini-embedding-2", contents=contents(TEXTS)
                )
            finally:
                client.close()

    assert_like([item.values for item in asyncio.run(ask()).embeddings], 3072)
