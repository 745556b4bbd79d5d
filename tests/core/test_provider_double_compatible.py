"""The double of OpenAI and of who speaks its wire, asked by OpenAI's SDK; Jina's and Nomic's own calls by HTTP."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import httpx
import openai
import pytest

from provider_double.sample import BEES, CLOCKS, KEY, TEXTS, assert_like, billed, cosines, long

if TYPE_CHECKING:
    from provider_double import ProviderDouble, Request


@pytest.fixture
def sdk(double: ProviderDouble) -> Iterator[Callable[[str], openai.OpenAI]]:
    """OpenAI's client for any provider that speaks its wire."""
    opened: list[openai.OpenAI] = []

    def make(provider: str) -> openai.OpenAI:
        opened.append(openai.OpenAI(api_key=KEY, base_url=double.base(provider), max_retries=0))
        return opened[-1]

    yield make
    for client in opened:
        client.close()


def last(double: ProviderDouble) -> Request:
    return double.requests[-1]


@pytest.mark.parametrize("encoding", ["float", "base64"])
def test_openai_embeds(encoding: Any, double: ProviderDouble, sdk: Callable[[str], openai.OpenAI]) -> None:
    if encoding == "base64":  # what the SDK asks for, and decodes, by itself
        response = sdk("openai").embeddings.create(model="text-embedding-3-small", input=TEXTS, dimensions=256)
    else:
        response = sdk("openai").embeddings.create(
            model="text-embedding-3-small", input=TEXTS, dimensions=256, encoding_format=encoding
        )
    assert last(double).body["encoding_format"] == encoding
    assert_like([item.embedding for item in response.data], 256)
    assert [item.index for item in response.data] == [0, 1, 2]
    assert response.usage.total_tokens == last(double).tokens == billed(*TEXTS)


@pytest.mark.parametrize(
    ("texts", "words"),
    [
        (["a", ""], r"'\$\.input' is invalid"),
        (["a"] * 2049, "maximum length 2048, but got an array with length 2049"),
        (["a", long(8193)], r"Invalid 'input\[1\]': maximum input length is 8192 tokens"),
        ([long(8000)] * 38, "Requested 304000 tokens, max 300000 tokens per request"),
    ],
    ids=["empty", "many", "long", "sum"],
)
def test_openai_limits(texts: list[str], words: str, sdk: Callable[[str], openai.OpenAI]) -> None:
    with pytest.raises(openai.BadRequestError, match=words):
        sdk("openai").embeddings.create(model="text-embedding-3-large", input=texts)


def test_openai_knows_its_models(sdk: Callable[[str], openai.OpenAI]) -> None:
    with pytest.raises(openai.NotFoundError, match="`text-embedding-9` does not exist"):
        sdk("openai").embeddings.create(model="text-embedding-9", input="a")
    with pytest.raises(openai.BadRequestError, match=r"\$\.dimensions"):
        sdk("openai").embeddings.create(model="text-embedding-ada-002", input="a", dimensions=256)


def test_openai_async(double: ProviderDouble) -> None:
    async def ask() -> list[list[float]]:
        async with openai.AsyncOpenAI(api_key=KEY, base_url=double.base("openai"), max_retries=0) as client:
            response = await client.embeddings.create(model="text-embedding-3-small", input=TEXTS)
            return [item.embedding for item in response.data]

    assert_like(asyncio.run(ask()), 1536)


def test_a_chat_completion_says_what_the_test_lets_it_say(
    double: ProviderDouble, sdk: Callable[[str], openai.OpenAI]
) -> None:
    double.reply = lambda messages: f"{len(messages)}: {messages[-1]['content'][::-1]}"
    chat = sdk("openai").chat.completions
    answer = chat.create(
        model="gpt-6-luna",
        messages=[{"role": "system", "content": "Rank."}, {"role": "user", "content": "abc"}],
    )
    assert answer.choices[0].message.content == "2: cba"
    assert answer.usage is not None
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (3, 2)
    short = chat.create(model="m", messages=[{"role": "user", "content": "abcdefgh"}], max_completion_tokens=1)
    assert (short.choices[0].message.content, short.choices[0].finish_reason) == ("1: h", "length")


def test_ollama_sends_numbers_whatever_was_asked_and_wants_no_key(
    double: ProviderDouble, sdk: Callable[[str], openai.OpenAI]
) -> None:
    response = sdk("ollama").embeddings.create(model="all-minilm", input=TEXTS)
    assert last(double).body["encoding_format"] == "base64"
    assert_like([item.embedding for item in response.data], 384)
    bare = httpx.post(f"{double.base('ollama')}/embeddings", json={"model": "bge-m3", "input": "a"})
    assert bare.status_code == 200
    with pytest.raises(openai.BadRequestError, match="the input length exceeds the context length"):
        sdk("ollama").embeddings.create(model="all-minilm", input=[long(257)])


def test_mistral_through_openais_sdk(double: ProviderDouble, sdk: Callable[[str], openai.OpenAI]) -> None:
    create = sdk("mistral").embeddings.create
    response = create(model="codestral-embed", input=TEXTS, extra_body={"output_dimension": 256})
    assert_like([item.embedding for item in response.data], 256)
    for texts, words in (
        (["a"] * 513, "Too many inputs"),
        ([long(8000)] * 3, "Too many tokens overall"),
        ([long(8193)], "Input id 0 has 8193 tokens, exceeding max 8192 tokens"),
    ):
        with pytest.raises(openai.BadRequestError, match=words):
            create(model="mistral-embed", input=texts)


def test_jina_embeds_late_chunks_through_openais_sdk(
    double: ProviderDouble, sdk: Callable[[str], openai.OpenAI]
) -> None:
    def vectors(texts: list[str], *, late: bool) -> list[list[float]]:
        response = sdk("jina").embeddings.create(
            model="jina-embeddings-v3",
            input=texts,
            encoding_format="float",
            extra_body={"late_chunking": late, "task": "retrieval.passage"},
        )
        return [item.embedding for item in response.data]

    whole, part = vectors([BEES, "It is warm."], late=True), vectors([BEES, "It is warm."], late=False)
    assert last(double).body["task"] == "retrieval.passage"
    assert cosines(whole)[0, 1] > cosines(part)[0, 1] + 0.1
    for texts, late in (([long(5000)] * 2, True), ([long(8193)], False)):
        with pytest.raises(openai.BadRequestError) as refused:
            vectors(texts, late=late)
        assert refused.value.body == {"detail": "[RID: double] Failed to encode text"}


def test_jina_reranks(double: ProviderDouble) -> None:
    body = {
        "model": "jina-reranker-v2-base-multilingual",
        "query": "warm hive",
        "documents": [CLOCKS, BEES],
        "top_n": 1,
    }
    headers = {"authorization": f"Bearer {KEY}"}
    answer = httpx.post(f"{double.base('jina')}/rerank", json=body, headers=headers).json()
    assert [set(result) for result in answer["results"]] == [{"index", "relevance_score"}]
    assert answer["results"][0]["index"] == 1
    assert (
        answer["usage"]["total_tokens"] == last(double).tokens == 2 * billed("warm hive") + billed(CLOCKS, BEES)
    )


def test_nomic_embeds_by_task(double: ProviderDouble) -> None:
    url, headers = f"{double.base('nomic')}/embedding/text", {"authorization": f"Bearer {KEY}"}
    body = {
        "model": "nomic-embed-text-v1.5",
        "texts": TEXTS,
        "task_type": "search_query",
        "dimensionality": 256,
    }
    answer = httpx.post(url, json=body, headers=headers).json()
    assert_like(answer["embeddings"], 256)
    assert answer["usage"]["total_tokens"] == last(double).tokens == billed(*TEXTS)
    for mode, tokens in (("truncate", 8192), ("mean", 9000)):
        httpx.post(url, json={**body, "texts": [long(9000)], "long_text_mode": mode}, headers=headers)
        assert last(double).tokens == tokens
