"""What a service will not take at once, what it answers that is no vector, and where a cap is near."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from provider_double import ProviderDouble
from ragweft import Index
from ragweft.embedding import remote
from ragweft.embedding.services import connect
from ragweft.errors import BudgetExceeded, ProviderError
from ragweft.protocols import ContextualEmbedder
from ragweft.providers.metering import Meter, metered
from ragweft.providers.policy import Policy
from ragweft.recipe import Chunking, Dense, Embedding, Recipe, Retrieval

if TYPE_CHECKING:
    from ragweft.embedding.remote import RemoteEmbedder

pytestmark = pytest.mark.filterwarnings("ignore:The 'warn' method is deprecated:DeprecationWarning")
KEY = "sk-test-0123456789abcdefghij"
OPEN: list[RemoteEmbedder] = []
"""Closed after each test."""
FAST = Policy(attempts=4, seconds=20.0, timeout=5.0, first_wait=0.01, longest_wait=0.05)


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(remote, "DOCUMENTS", FAST)
    monkeypatch.setattr(remote, "QUERIES", replace(FAST, attempts=3))
    yield
    while OPEN:
        OPEN.pop().close()


def embedder(double: ProviderDouble, provider: str, model: str, **settings: Any) -> RemoteEmbedder:
    chosen = Embedding(model=f"{provider}:{model}", base_url=double.base(provider), **settings)
    OPEN.append(connect(provider, model, chosen, key=KEY))
    return OPEN[-1]


def unlisted(double: ProviderDouble, **settings: Any) -> RemoteEmbedder:
    """A server of the user's own with a model nobody has listed."""
    chosen = Embedding(model="openai:all-minilm", base_url=double.base("ollama"), dims=384, **settings)
    OPEN.append(connect("openai", "all-minilm", chosen))
    return OPEN[-1]


def sent(double: ProviderDouble, *, status: int | None = 200) -> list[list[str]]:
    bodies = [request.body for request in double.requests if status is None or request.status == status]
    return [list(body.get("texts") or body.get("input") or ()) for body in bodies]


# ---- what is too much at once


def test_a_model_nobody_has_listed_is_sent_few_texts_at_once(double: ProviderDouble) -> None:
    one = unlisted(double)
    one.embed_documents([f"text {n}" for n in range(150)])
    assert max(map(len, sent(double))) == 64


def test_a_window_nobody_knows_is_warned_of(double: ProviderDouble) -> None:
    assert "[embedding] window" in unlisted(double).warning
    assert unlisted(double, window=256).warning == ""
    assert embedder(double, "openai", "text-embedding-3-small").warning == ""
    assert embedder(double, "voyage", "voyage-9", dims=8).warning == "", "it is told to refuse, not to cut"


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (400, "input batch size 100 > maximum allowed batch size 64"),
        (400, "batch size is invalid, it should not be larger than 10.: input.contents"),
        (
            429,
            "Request too large for text-embedding-3-small on tokens per min (TPM): Limit 40000, Requested 50000.",
        ),
    ],
)
def test_a_batch_is_halved_for_every_servers_word_for_it(
    double: ProviderDouble, status: int, words: str
) -> None:
    one = embedder(double, "openai", "text-embedding-3-small")
    double.fail("openai", status=status, message=words)
    texts = [f"text {n}" for n in range(100)]
    found = one.embed_documents(texts)
    assert [len(batch) for batch in sent(double, status=None)] == [100, 50, 50]
    assert np.allclose(found[70], one.embed_documents(texts[70:71])[0], atol=1e-6)


def test_a_batch_that_took_too_long_is_halved_and_later_ones_are_smaller(
    double: ProviderDouble, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remote, "DOCUMENTS", replace(FAST, timeout=0.8))
    one = unlisted(double, at_once=1)
    one.embed_documents(["what loads the SDK"])
    double.fail("ollama", delay=1.6)
    texts = [f"text {n}" for n in range(128)]
    before = len(double.requests)
    found = one.embed_documents(texts)
    sizes = [len(batch) for batch in sent(double, status=None)[before:]]
    assert sizes[:3] == [64, 32, 32], "not the whole batch again"
    assert sizes[3] <= 64
    assert sum(sizes) == 64 + 128
    assert np.allclose(found[127], one.embed_documents(texts[127:])[0], atol=1e-6)


def test_a_server_that_stays_slow_is_asked_for_little_and_recovers(
    double: ProviderDouble, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remote, "DOCUMENTS", replace(FAST, timeout=0.8))
    one = unlisted(double, at_once=1)
    one.embed_documents(["what loads the SDK"])
    double.latency = 0.3  # in time, but not fast
    double.fail("ollama", delay=1.6, times=2)
    before = len(double.requests)
    one.embed_documents([f"text {n}" for n in range(80)])
    assert [len(batch) for batch in sent(double, status=None)[before:]] == [64, 32, 16, 16, 32, 16]
    double.latency = 0.0
    before = len(double.requests)
    one.embed_documents([f"text {n}" for n in range(64 * 4)])
    sizes = [len(batch) for batch in sent(double)[before:]]
    assert sizes[0] == 16
    assert max(sizes) == 64


def test_a_single_text_that_took_too_long_is_sent_again(
    double: ProviderDouble, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remote, "DOCUMENTS", replace(FAST, timeout=0.3))
    one = unlisted(double)
    double.fail("ollama", delay=0.6)
    assert one.embed_documents(["one alone"]).shape == (1, 384)
    assert sent(double, status=None) == [["one alone"], ["one alone"]]


def test_documents_that_took_too_long_together_go_out_in_halves_but_whole(
    double: ProviderDouble, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remote, "DOCUMENTS", replace(FAST, timeout=0.8))
    monkeypatch.setattr("ragweft.embedding.contextual.DOCUMENTS", replace(FAST, timeout=0.8))
    one = embedder(double, "voyage", "voyage-context-4", at_once=1)
    assert isinstance(one, ContextualEmbedder)
    one.embed_documents(["what loads the SDK"])
    groups = [[f"passage {n} of {m}" for n in range(3)] for m in range(4)]
    double.fail("voyage", delay=1.6, times=3)
    before = len(double.requests)
    found = dict(one.embed_groups(groups))
    asked = [request.body["inputs"] for request in double.requests[before:]]
    assert [len(inputs) for inputs in asked] == [4, 2, 1, 1, 1, 2], "one document is sent again as it is"
    assert all(group in groups for inputs in asked for group in inputs), "no document is torn"
    assert sorted(found) == [0, 1, 2, 3]


def test_halving_ends_when_the_patience_for_a_batch_does(
    double: ProviderDouble, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remote, "DOCUMENTS", replace(FAST, seconds=0.5, timeout=0.2, attempts=2))
    one = unlisted(double, at_once=1)
    double.fail("ollama", delay=0.5, times=20)
    with pytest.raises(ProviderError, match="try again later") as raised:
        one.embed_documents([f"text {n}" for n in range(64)])
    assert raised.value.retryable
    sizes = [len(batch) for batch in sent(double, status=None)]
    assert min(sizes) > 4, "a service that hangs is not asked for ever less"


# ---- what is no vector


def openai_says(*embeddings: object, **usage: object) -> Mapping[str, Any]:
    data = [{"object": "embedding", "index": n, "embedding": each} for n, each in enumerate(embeddings)]
    return {"object": "list", "model": "m", "data": data, "usage": usage or {"total_tokens": 1}}


ONES = [0.1] * 1536
WRONG: list[tuple[str, object, str]] = [
    ("null", None, "1 of 2 vectors are missing"),
    ("null within", [None, *ONES[1:]], "NaN or infinity"),
    ("words", ["x", *ONES[1:]], "something else than numbers"),
    ("objects", [{}, *ONES[1:]], "something else than numbers"),
    ("nested", [[0.1], *ONES[1:]], "something else than numbers"),
    ("empty", [], "vectors of 0, 1536 numbers"),
    ("infinite", [1e309, *ONES[1:]], "NaN or infinity"),
    ("zeros", [0.0] * 1536, "only zeros came back for 'beta'"),
]


@pytest.mark.parametrize(("wrong", "said"), [pytest.param(wrong, said, id=name) for name, wrong, said in WRONG])
def test_what_is_no_vector_is_an_error(double: ProviderDouble, wrong: object, said: str) -> None:
    double.fail("openai", status=200, body=openai_says(ONES, wrong))
    one = embedder(double, "openai", "text-embedding-3-small")
    with metered(Meter()) as meter, pytest.raises(ProviderError, match=said) as raised:
        one.embed_documents(["alpha", "beta"])
    assert "openai:text-embedding-3-small" in str(raised.value)
    assert "\n" not in str(raised.value)
    assert meter.usage.calls == 1, "a wrong answer is paid like a right one"


@pytest.mark.parametrize(
    ("provider", "model", "body"),
    [
        ("cohere", "embed-v4.0", {"id": "x", "embeddings": {"float": None}, "meta": {}}),
        ("cohere", "embed-v4.0", {"id": "x", "embeddings": {"float": [None]}, "meta": {}}),
        ("cohere", "embed-v4.0", {"id": "x"}),
        ("voyage", "voyage-4", {"data": [{"index": 0, "embedding": None}], "usage": {"total_tokens": 1}}),
        ("voyage", "voyage-4", {"data": None, "usage": {"total_tokens": 1}}),
        ("google", "gemini-embedding-001", {"embeddings": [{"values": None}]}),
        ("google", "gemini-embedding-001", {"embeddings": None}),
        ("nomic", "nomic-embed-text-v1.5", {"embeddings": None, "usage": {"total_tokens": 1}}),
        ("nomic", "nomic-embed-text-v1.5", {"embeddings": [None], "usage": {"total_tokens": 1}}),
        ("nomic", "nomic-embed-text-v1.5", {"embeddings": {"a": 1}, "usage": [1]}),
        ("nomic", "nomic-embed-text-v1.5", {"embeddings": 7}),
    ],
)
def test_nulls_are_an_error_of_the_service_everywhere(
    double: ProviderDouble, provider: str, model: str, body: Mapping[str, Any]
) -> None:
    double.fail(provider, status=200, body=body, times=9)
    one = embedder(double, provider, model)
    with pytest.raises(ProviderError) as documents:
        one.embed_documents(["alpha"])
    with pytest.raises(ProviderError) as query:
        one.embed_query("alpha")
    assert "\n" not in f"{documents.value} {query.value}"


@pytest.mark.parametrize("dims", [None, []])
def test_a_probe_that_brings_no_vector_is_an_error(double: ProviderDouble, dims: object) -> None:
    double.fail("openai", status=200, body=openai_says(dims))
    with pytest.raises(ProviderError, match=r"set \[embedding\] dims"):
        embedder(double, "openai", "unlisted")


@pytest.mark.parametrize("size", [1e38, 3e38, 1e200, 1e-38, 1e-44, 1e-300])
def test_the_length_of_a_vector_neither_overflows_nor_vanishes(double: ProviderDouble, size: float) -> None:
    row = [size, -size] * 768
    double.fail("openai", status=200, body=openai_says(row))
    one = embedder(double, "openai", "text-embedding-3-small")
    (found,) = one.embed_documents(["alpha"])
    expected = np.array([1.0, -1.0] * 768) / math.sqrt(1536)
    assert found.dtype == np.float32
    assert np.allclose(found, expected, atol=1e-6)


@pytest.mark.parametrize("tokens", [-5, None])
def test_nobody_is_paid_for_calling(double: ProviderDouble, tokens: int | None) -> None:
    double.fail("openai", status=200, body=openai_says(ONES, total_tokens=tokens))
    one = embedder(double, "openai", "text-embedding-3-small")
    with metered(Meter()) as meter:
        one.embed_documents(["alpha beta gamma"])
    assert meter.usage.tokens >= 3
    assert meter.usage.usd > 0


# ---- what only the service found too long


def test_a_text_the_service_found_too_long_is_known_to_be() -> None:
    texts = ["short", "alpha beta gamma delta " * 20, "another"]
    with ProviderDouble(chars_per_token=0.5) as double:
        one = embedder(double, "cohere", "embed-english-v3.0")
        assert list(one.too_long(texts)) == []
        batches = list(one.embed_batches(texts))
        one.close()
    assert [place for places, _ in batches for place in places] == [0, 1, 2]
    assert list(one.too_long(texts)) == [1]
    assert list(one.too_long(["alpha beta", *texts[1:2]])) == [1]
    parts = [part for batch in sent(double) for part in batch if "gamma" in part]
    assert len(parts) > 1
    assert _words(parts) == _words(texts[1:2])


def test_it_is_counted_warned_of_and_shown(tmp_path: Path) -> None:
    docs = tmp_path / "docs"
    docs.mkdir()
    (docs / "long.txt").write_text(" ".join(f"word{n}" for n in range(150)))
    (docs / "short.txt").write_text("short one")
    with ProviderDouble(chars_per_token=1.0) as double:
        recipe = Recipe(
            embedding=Embedding(model="cohere:embed-english-v3.0", base_url=double.base("cohere")),
            chunking=Chunking(size=500, strategy="fixed"),
            dense=Dense(engine="flat"),
            retrieval=Retrieval(dense_weight=0.5),
        )
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("CO_API_KEY", KEY)
            with Index.open(tmp_path / "kb", recipe=recipe) as index:
                report = index.sync(docs)
                assert any("window" in warning for warning in report.warnings), report.warnings
                assert index.status().long_texts == 1
                assert index.sync(docs).warnings == ()
            with Index.open(tmp_path / "kb") as index:
                assert index.status().long_texts == 1
        assert 400 in [request.status for request in double.requests]


def test_passages_the_service_found_too_long_are_known_too(double: ProviderDouble) -> None:
    one = embedder(double, "voyage", "voyage-context-4")
    assert isinstance(one, ContextualEmbedder)
    text = "alpha beta gamma delta " * 20
    double.fail("voyage", too_long=True, times=2)
    ((_, vectors),) = one.embed_groups([[text]])
    assert vectors.shape == (1, 1024)
    assert list(one.too_long(["short", text])) == [1]


def test_the_half_that_was_answered_is_kept_when_the_other_fails(double: ProviderDouble) -> None:
    one = embedder(double, "openai", "text-embedding-3-small")
    texts = [f"text number {n}" for n in range(8)]
    double.fail("openai", status=400, message="maximum context length is 8 tokens, however you requested 9")
    double.fail("openai", after=1, status=401)
    kept: list[str] = []
    rows: list[Any] = []
    with pytest.raises(ProviderError, match="401"):
        for places, vectors in one.embed_batches(texts):
            assert vectors.shape == (len(places), one.space.dims)
            kept += [texts[place] for place in places]
            rows += [*vectors]
    assert sent(double) == [kept] == [texts[:4]], "what was paid for was given"
    assert np.allclose(one.embed_documents(texts[:1])[0], rows[0], atol=1e-6)


def test_documents_that_were_answered_are_kept_when_others_of_their_request_fail(
    double: ProviderDouble,
) -> None:
    one = embedder(double, "voyage", "voyage-context-4")
    assert isinstance(one, ContextualEmbedder)
    groups = [[f"passage {n} of {m}" for n in range(3)] for m in range(4)]
    double.fail("voyage", too_long=True)
    double.fail("voyage", after=1, status=401)
    found: dict[int, Any] = {}
    with pytest.raises(ProviderError, match="401"):
        found.update(one.embed_groups(groups))
    assert list(found) == [0, 1]
    assert [request.body["inputs"] for request in double.requests if request.status == 200] == [groups[:2]]
    again = dict(one.embed_groups(groups[:2]))
    assert all(np.allclose(again[place], found[place], atol=1e-6) for place in again)


# ---- near a cap


def test_a_cap_is_neared_in_few_requests(double: ProviderDouble) -> None:
    one = embedder(double, "voyage", "voyage-4")
    texts = [f"a text of some length number {n} " * 10 for n in range(3_000)]
    price = one.usd_per_million
    assert price is not None
    double.chars_per_token = sum(map(len, texts)) / one.tokens(texts)  # as was estimated
    cap = one.tokens(texts) * price / 1e6 * 0.9
    kept = np.zeros(len(texts), dtype=int)
    with metered(Meter(max_usd=cap)) as meter, pytest.raises(BudgetExceeded, match="raise the cap"):
        for places, vectors in one.embed_batches(texts):
            assert len(places) == len(vectors)
            kept[list(places)] += 1
    batches = sent(double)
    assert len(batches) < 50
    assert kept.max() == 1
    assert sum(map(len, batches)) == kept.sum(), "what was paid for was given"
    assert cap * 0.98 < meter.usage.usd <= cap


def test_no_part_of_a_long_text_is_paid_twice_near_a_cap(double: ProviderDouble) -> None:
    one = embedder(double, "cohere", "embed-english-v3.0", at_once=2)
    texts = [" ".join(f"w{n}x{m}" for m in range(400)) for n in range(90)]
    assert len(one.too_long(texts)) == 90
    price = one.usd_per_million
    assert price is not None
    cap = sum(map(len, texts)) / double.chars_per_token * price / 1e6 * 0.9
    kept: list[str] = []
    with metered(Meter(max_usd=cap)) as meter, pytest.raises(BudgetExceeded):
        for places, _ in one.embed_batches(texts):
            kept += [texts[place] for place in places]
    assert 0 < len(kept) < 90
    assert meter.usage.usd <= cap
    assert max(map(len, sent(double))) <= 96
    assert _words(part for batch in sent(double) for part in batch) == _words(kept)


def _words(texts: Iterator[str] | Sequence[str]) -> list[str]:
    return sorted(word for text in texts for word in text.split())
