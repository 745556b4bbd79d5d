"""What goes wrong on purpose arrives at the providers' own SDKs, sync and async, and leaves nothing behind."""

from __future__ import annotations

import asyncio
import math
import threading
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import aiohttp
import cohere
import httpx
import httpx2
import openai
import pytest
import requests
import voyageai
from cohere.core.api_error import ApiError
from google import genai
from google.genai import errors as google_errors
from google.genai import types as google_types
from voyageai.client import Client as VoyageClient
from voyageai.client_async import AsyncClient as AsyncVoyageClient
from voyageai.error import Timeout as VoyageTimeout
from voyageai.error import VoyageError

from provider_double import BAD_KEY, ProviderDouble
from provider_double.sample import BEES, CLOCKS, KEY, TEXTS, billed

Rows = list[list[float]]
Post = Callable[..., httpx.Response]
DIMS = 256
BROKEN = {
    "cohere": (httpx.HTTPError,),
    "google": (httpx2.HTTPError,),
    "openai": (openai.APIConnectionError,),
    "voyage": (VoyageError, aiohttp.ClientError),
}
TIMED_OUT = {
    "cohere": httpx.ReadTimeout,
    "google": httpx2.ReadTimeout,
    "openai": openai.APITimeoutError,
    "voyage": VoyageTimeout,
}
REFUSED = (ApiError, google_errors.APIError, openai.APIStatusError, VoyageError)


def ask_cohere(base: str, timeout: float) -> Any:
    with cohere.ClientV2(KEY, base_url=base, max_retries=0, timeout=timeout) as client:
        answer = client.embed(model="embed-v4.0", input_type="search_query", texts=TEXTS, output_dimension=DIMS)
    return answer.embeddings.float_


async def aask_cohere(base: str, timeout: float) -> Any:
    async with cohere.AsyncClientV2(KEY, base_url=base, max_retries=0, timeout=timeout) as client:
        answer = await client.embed(
            model="embed-v4.0", input_type="search_query", texts=TEXTS, output_dimension=DIMS
        )
    return answer.embeddings.float_


def ask_voyage(base: str, timeout: float) -> Any:
    client = VoyageClient(KEY, base_url=base, timeout=timeout)
    with ThreadPoolExecutor(1) as thread:  # where no session is kept from before
        answer = thread.submit(client.embed, TEXTS, model="voyage-4", output_dimension=DIMS).result()
    return answer.embeddings


async def aask_voyage(base: str, timeout: float) -> Any:
    client = AsyncVoyageClient(KEY, base_url=base, timeout=timeout)
    return (await client.embed(TEXTS, model="voyage-4", output_dimension=DIMS)).embeddings


def ask_openai(base: str, timeout: float) -> Any:
    with openai.OpenAI(api_key=KEY, base_url=base, max_retries=0, timeout=timeout) as client:
        answer = client.embeddings.create(model="text-embedding-3-small", input=TEXTS, dimensions=DIMS)
    return [item.embedding for item in answer.data]


async def aask_openai(base: str, timeout: float) -> Any:
    async with openai.AsyncOpenAI(api_key=KEY, base_url=base, max_retries=0, timeout=timeout) as client:
        answer = await client.embeddings.create(model="text-embedding-3-small", input=TEXTS, dimensions=DIMS)
    return [item.embedding for item in answer.data]


GEMINI: dict[str, Any] = {
    "model": "gemini-embedding-001",
    "contents": TEXTS,
    "config": google_types.EmbedContentConfig(output_dimensionality=DIMS),
}


def ask_google(base: str, timeout: float) -> Any:
    options = google_types.HttpOptions(base_url=base, timeout=int(timeout * 1000))
    client = genai.Client(api_key=KEY, http_options=options)
    try:
        return [item.values for item in client.models.embed_content(**GEMINI).embeddings or []]
    finally:
        client.close()


async def aask_google(base: str, timeout: float) -> Any:
    async with httpx2.AsyncClient() as http:
        options = google_types.HttpOptions(base_url=base, timeout=int(timeout * 1000), httpx_async_client=http)
        client = genai.Client(api_key=KEY, http_options=options)
        try:
            return [item.values for item in (await client.aio.models.embed_content(**GEMINI)).embeddings or []]
        finally:
            client.close()


ASYNC: dict[str, Callable[[str, float], Awaitable[Any]]] = {
    "cohere": aask_cohere,
    "google": aask_google,
    "openai": aask_openai,
    "voyage": aask_voyage,
}
SYNC: dict[str, Callable[[str, float], Any]] = {
    "cohere": ask_cohere,
    "google": ask_google,
    "openai": ask_openai,
    "voyage": ask_voyage,
}


@pytest.fixture(autouse=True)
def voyage_session(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with requests.Session() as session:
        monkeypatch.setattr(voyageai, "requestssession", session)
        yield


@pytest.fixture(params=["sync", "async"])
def ask(request: pytest.FixtureRequest, provider: str, double: ProviderDouble) -> Callable[..., Rows]:
    """Asks the provider of the test for the vectors of TEXTS."""

    def once(timeout: float = 10.0) -> Rows:
        if request.param == "sync":
            rows: Rows = SYNC[provider](double.base(provider), timeout)
            return rows
        return asyncio.run(awaited(ASYNC[provider](double.base(provider), timeout)))

    return once


async def awaited(answer: Awaitable[Rows]) -> Rows:
    return await answer


def status_of(error: Exception) -> int | None:
    for name in ("status_code", "http_status", "code"):
        if isinstance(getattr(error, name, None), int):
            return int(getattr(error, name))
    return None


def headers_of(error: Any) -> Any:
    return error.response.headers if hasattr(error, "response") else error.headers


every_sdk = pytest.mark.parametrize("provider", list(SYNC))


@every_sdk
def test_statuses_come_in_order_with_headers(
    provider: str, ask: Callable[..., Rows], double: ProviderDouble
) -> None:
    double.fail(provider, status=429, times=2, headers={"retry-after": "7"}, message="Slow down, please.")
    double.fail(provider, status=503)
    for expected in (429, 429, 503):
        with pytest.raises(REFUSED) as refused:
            ask()
        assert status_of(refused.value) == expected
        if expected == 429:
            assert "Slow down, please." in str(refused.value)
            assert {name.lower(): value for name, value in headers_of(refused.value).items()}[
                "retry-after"
            ] == "7"
    assert len(ask()) == 3
    assert [request.status for request in double.requests] == [429, 429, 503, 200]


@every_sdk
@pytest.mark.filterwarnings("ignore:The 'warn' method is deprecated:DeprecationWarning")  # by voyageai
def test_connections_break(provider: str, ask: Callable[..., Rows], double: ProviderDouble) -> None:
    double.fail(provider, drop=True)
    double.fail(provider, truncate=True)
    for status in (None, 200):
        with pytest.raises(BROKEN[provider]):
            ask()
        assert double.requests[-1].status == status


@every_sdk
def test_answers_come_too_late(provider: str, ask: Callable[..., Rows], double: ProviderDouble) -> None:
    double.fail(provider, delay=60)
    with pytest.raises(TIMED_OUT[provider]):
        ask(timeout=0.2)
    assert [request.status for request in double.requests] == [None]


@every_sdk
def test_keys_and_lengths_are_refused_in_the_providers_words(
    provider: str, ask: Callable[..., Rows], double: ProviderDouble
) -> None:
    double.fail(provider, bad_key=True)
    double.fail(provider, too_long=True)
    with pytest.raises(REFUSED) as key:
        ask()
    with pytest.raises(REFUSED) as length:
        ask()
    words = {
        "cohere": (
            "invalid api token",
            "too many tokens: total number of tokens in the prompt cannot exceed 128000",
        ),
        "google": (
            "API_KEY_INVALID",
            "The input token count (2049) exceeds the maximum number of tokens allowed",
        ),
        "openai": (
            f"Incorrect API key provided: {KEY}.",
            "Invalid 'input[0]': maximum input length is 8192 tokens.",
        ),
        "voyage": ("Provided API key is invalid.", "The max allowed tokens per submitted batch is 320000."),
    }[provider]
    assert words[0] in str(key.value)
    assert words[1] in str(length.value)
    assert status_of(key.value) == (400 if provider == "google" else 401)
    assert status_of(length.value) == 400


@every_sdk
def test_answers_are_spoilt(provider: str, ask: Callable[..., Rows], double: ProviderDouble) -> None:
    double.fail(provider, wrong_count=True)
    double.fail(provider, wrong_dims=True)
    double.fail(provider, nan=True)
    few, short, hole = (ask() for _ in range(3))
    assert [len(row) for row in few] == [DIMS] * 2
    assert [len(row) for row in short] == [DIMS // 2] * 3
    assert [math.isnan(number) for row in hole for number in row].count(True) == 1


@pytest.fixture(scope="module")
def post() -> Iterator[Post]:
    """Posts a body to a path of a provider of a double; one client for all tests, since making one takes longest."""
    with httpx.Client(verify=False) as client:

        def send(double: ProviderDouble, provider: str, path: str, body: Any, key: str = KEY) -> httpx.Response:
            headers = {"authorization": f"Bearer {key}"} if key else {}
            return client.post(f"{double.base(provider)}{path}", json=body, headers=headers)

        yield send


EMBED: dict[str, tuple[str, dict[str, Any]]] = {
    "cohere": ("/v2/embed", {"model": "embed-v4.0", "input_type": "search_query", "texts": ["a"]}),
    "google": (
        "/v1/models/gemini-embedding-001:batchEmbedContents",
        {"requests": [{"content": {"parts": [{"text": "a"}]}}]},
    ),
    "jina": ("/embeddings", {"model": "jina-embeddings-v3", "input": ["a"]}),
    "mistral": ("/embeddings", {"model": "mistral-embed", "input": ["a"]}),
    "nomic": ("/embedding/text", {"model": "nomic-embed-text-v1", "texts": ["a"]}),
    "openai": ("/embeddings", {"model": "text-embedding-3-small", "input": ["a"]}),
    "voyage": ("/embeddings", {"model": "voyage-4", "input": ["a"]}),
}
RERANK = {
    "cohere": ("/v2/rerank", "rerank-v3.5", "results"),
    "jina": ("/rerank", "jina-reranker-v2-base-multilingual", "results"),
    "voyage": ("/rerank", "rerank-2.5", "data"),
}


@pytest.mark.parametrize("provider", EMBED)
def test_no_provider_takes_a_wrong_key_or_none(provider: str, double: ProviderDouble, post: Post) -> None:
    path, body = EMBED[provider]
    assert [post(double, provider, path, body, key).status_code for key in (KEY, BAD_KEY, "")] == [
        200,
        400 if provider == "google" else 401,
        403 if provider == "google" else 401,
    ]
    assert post(double, provider, f"{path}/elsewhere", body).status_code == 404


@pytest.mark.parametrize("provider", RERANK)
def test_rankings_are_spoilt(provider: str, double: ProviderDouble, post: Post) -> None:
    path, model, field = RERANK[provider]
    body = {"model": model, "query": "warm hive", "documents": [CLOCKS, BEES]}
    double.fail(provider, wrong_count=True)
    double.fail(provider, wrong_index=True)
    double.fail(provider, nan=True)
    few, beyond, hole = (post(double, provider, path, body).json()[field] for _ in range(3))
    assert [result["index"] for result in few] == [1]
    assert [result["index"] for result in beyond] == [1, 2]
    assert [math.isnan(result["relevance_score"]) for result in hole] == [True, False]


@pytest.mark.parametrize("provider", ["jina", "mistral", "openai", "voyage"])
def test_an_index_tells_the_order_when_nothing_else_does(
    provider: str, double: ProviderDouble, post: Post
) -> None:
    path, body = EMBED[provider]
    body = {**body, "input": TEXTS}
    double.fail(provider, out_of_order=True)
    turned, right = (post(double, provider, path, body).json()["data"] for _ in range(2))
    assert [item["index"] for item in turned] == [2, 1, 0]
    assert turned[::-1] == right


def test_faults_wait_for_their_requests(double: ProviderDouble, post: Post) -> None:
    def statuses(*calls: tuple[str, dict[str, Any]]) -> list[int]:
        return [post(double, "cohere", path, body).status_code for path, body in calls]

    embed = EMBED["cohere"]
    rerank = ("/v2/rerank", {"model": "rerank-v3.5", "query": "a", "documents": ["a"]})
    double.fail("cohere", status=500, after=1, times=2, path="/rerank")
    double.fail("cohere", status=503)
    double.fail("voyage", status=500)
    assert statuses(embed, rerank, rerank, embed, rerank, rerank) == [503, 200, 500, 200, 500, 200]
    assert [call.path for call in double.calls("cohere", status=500)] == ["/v2/rerank"] * 2
    assert len(double.calls("cohere", "/embed")) == 1


def test_a_test_may_write_the_answer_itself(double: ProviderDouble, post: Post) -> None:
    double.fail("openai", status=429, body={"error": {"code": "insufficient_quota"}})
    answer = post(double, "openai", *EMBED["openai"])
    assert (answer.status_code, answer.json()) == (429, {"error": {"code": "insufficient_quota"}})
    with pytest.raises(ValueError, match="needs a status"):
        double.fail("openai", message="never sent")
    assert httpx.post(f"{double.base('openai')}/embeddings", content=b"[").status_code == 400
    assert httpx.post(f"{double.base('openai').removesuffix('/openai/v1')}/nobody").status_code == 404


def test_requests_at_once_are_counted(double: ProviderDouble, post: Post) -> None:
    together = threading.Barrier(3)
    double.reply = lambda messages: str(together.wait(timeout=10))
    body = {"model": "m", "messages": [{"role": "user", "content": "go"}]}
    with ThreadPoolExecutor(3) as threads:
        answers = [threads.submit(post, double, "openai", "/chat/completions", body) for _ in range(3)]
        assert [answer.result().status_code for answer in answers] == [200] * 3
    assert double.most_at_once == 3


def test_requests_one_after_another_are_never_at_once(double: ProviderDouble, post: Post) -> None:
    for _ in range(20):
        post(double, "openai", *EMBED["openai"])
    assert double.most_at_once == 1


def test_texts_may_hold_more_tokens_than_guessed(post: Post) -> None:
    with ProviderDouble(chars_per_token=1.0) as double:
        path, body = EMBED["openai"]
        answer = post(double, "openai", path, {**body, "input": ["word" * 2048, "w"]}).json()
        assert answer["usage"]["total_tokens"] == 8193 == double.requests[0].tokens > billed("word" * 2048, "w")
        assert post(double, "openai", path, {**body, "input": "word" * 2049}).status_code == 400


def test_what_is_wrong_with_the_double_or_its_use_is_raised(post: Post) -> None:
    hangs_up = pytest.raises(httpx.RemoteProtocolError)
    changes_nothing = pytest.raises(ValueError, match="this fault changes nothing at cohere/v2/embed")
    with changes_nothing, ProviderDouble() as double, hangs_up:
        double.fail("cohere", wrong_index=True)
        post(double, "cohere", *EMBED["cohere"])
    with pytest.raises(LookupError, match="set no `reply`"), ProviderDouble() as double, hangs_up:
        post(double, "openai", "/chat/completions", {"model": "m", "messages": []})


def test_nothing_is_left_open(post: Post) -> None:
    threads = threading.active_count()
    path, body = EMBED["openai"]
    with httpx.Client() as idle:
        with ProviderDouble() as double:
            headers = {"authorization": f"Bearer {KEY}"}
            assert idle.post(f"{double.base('openai')}{path}", json=body, headers=headers).status_code == 200
            assert threading.active_count() > threads
        assert threading.active_count() == threads
        with pytest.raises(httpx.ConnectError):
            post(double, "openai", path, body)
