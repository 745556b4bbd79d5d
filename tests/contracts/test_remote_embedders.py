"""Every embedding service behind one contract: real SDKs over HTTP against a local double of each service."""

from __future__ import annotations

import _thread
import asyncio
import gc
import logging
import os
import re
import threading
import time
import traceback
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from provider_double import BAD_KEY, ProviderDouble
from ragweft.embedding import remote
from ragweft.embedding.services import SERVICES, connect
from ragweft.errors import BudgetExceeded, ProviderError, RecipeError
from ragweft.protocols import ContextualEmbedder
from ragweft.providers.metering import UNANSWERED, Charge, Meter, metered
from ragweft.providers.policy import Policy
from ragweft.recipe import Embedding

if TYPE_CHECKING:
    from ragweft.embedding.remote import RemoteEmbedder

# The voyageai SDK tells of a broken answer through Logger.warn.
pytestmark = pytest.mark.filterwarnings("ignore:The 'warn' method is deprecated:DeprecationWarning")
KEY = "sk-test-0123456789abcdefghij"
TEXTS = ["alpha beta gamma", "delta epsilon", "zeta eta theta iota"]


@dataclass(frozen=True, kw_only=True)
class Case:
    provider: str
    model: str
    dims: int
    document: object
    """What the wire shows of a document's role: the value of `field`."""
    query: object
    field: str

    def __str__(self) -> str:
        return f"{self.provider}:{self.model}"


CASES = [
    Case(
        provider="cohere",
        model="embed-v4.0",
        dims=1536,
        field="input_type",
        document="search_document",
        query="search_query",
    ),
    Case(
        provider="cohere",
        model="embed-english-v3.0",
        dims=1024,
        field="input_type",
        document="search_document",
        query="search_query",
    ),
    Case(
        provider="voyage", model="voyage-4", dims=1024, field="input_type", document="document", query="query"
    ),
    Case(
        provider="voyage",
        model="voyage-context-4",
        dims=1024,
        field="input_type",
        document="document",
        query="query",
    ),
    Case(
        provider="voyage",
        model="voyage-multimodal-3.5",
        dims=1024,
        field="input_type",
        document="document",
        query="query",
    ),
    Case(provider="openai", model="text-embedding-3-small", dims=1536, field="task", document=None, query=None),
    Case(
        provider="jina",
        model="jina-embeddings-v3",
        dims=1024,
        field="task",
        document="retrieval.passage",
        query="retrieval.query",
    ),
    Case(provider="mistral", model="mistral-embed", dims=1024, field="task", document=None, query=None),
    Case(
        provider="nomic",
        model="nomic-embed-text-v1.5",
        dims=768,
        field="task_type",
        document="search_document",
        query="search_query",
    ),
    Case(
        provider="google",
        model="gemini-embedding-001",
        dims=3072,
        field="taskType",
        document="RETRIEVAL_DOCUMENT",
        query="RETRIEVAL_QUERY",
    ),
    Case(provider="google", model="gemini-embedding-2", dims=3072, field="taskType", document=None, query=None),
]
BY_SERVICE = list({case.provider: case for case in CASES}.values())


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """The policy of production with waits that a test can afford."""
    fast = Policy(attempts=4, seconds=20.0, timeout=5.0, first_wait=0.01, longest_wait=0.05)
    monkeypatch.setattr(remote, "DOCUMENTS", fast)
    monkeypatch.setattr(remote, "QUERIES", replace(fast, attempts=3))


def embedder(double: ProviderDouble, case: Case, *, key: str = KEY, **settings: Any) -> RemoteEmbedder:
    chosen = Embedding(model=str(case), base_url=double.base(case.provider), **settings)
    return connect(case.provider, case.model, chosen, key=key)


def role_field(body: object, name: str) -> object:
    assert isinstance(body, dict)
    if "requests" in body:
        return body["requests"][0].get(name)
    return body.get(name)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_documents_and_queries_go_out_in_their_roles(double: ProviderDouble, case: Case) -> None:
    one = embedder(double, case)
    vectors = one.embed_documents(TEXTS)
    query = one.embed_query("alpha gamma")
    one.close()
    assert vectors.shape == (3, case.dims)
    assert vectors.dtype == np.float32
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1.0, atol=1e-5)
    assert query.shape == (case.dims,)
    assert int(np.argmax(vectors @ query)) == 0
    assert one.space.dims == case.dims
    bodies = [request.body for request in double.requests]
    assert [role_field(body, case.field) for body in bodies] == [case.document, case.query]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_the_native_coroutine_gives_the_same_vector(double: ProviderDouble, case: Case) -> None:
    one = embedder(double, case)
    blocking = embedder(double, case)

    async def ask() -> np.ndarray:
        try:
            return await one.aembed_query("alpha gamma")
        finally:
            await one.aclose()

    assert np.allclose(asyncio.run(ask()), blocking.embed_query("alpha gamma"), atol=1e-6)
    one.close()
    blocking.close()


@pytest.mark.parametrize("way", ["sync", "async"])
@pytest.mark.parametrize(
    "fault",
    [
        {"status": 429, "headers": {"retry-after": "0.05"}},
        {"status": 500},
        {"status": 503, "times": 2},
        {"drop": True},
        {"truncate": True},
    ],
    ids=["429", "500", "503 twice", "dropped", "truncated"],
)
@pytest.mark.parametrize("case", BY_SERVICE, ids=str)
def test_what_passes_is_tried_again(
    double: ProviderDouble, case: Case, fault: dict[str, Any], way: str
) -> None:
    double.fail(case.provider, **fault)
    one = embedder(double, case)
    vector = ask(one, way)
    one.close()
    assert vector.shape == (case.dims,)
    assert len(double.requests) == 1 + int(fault.get("times", 1))


@pytest.mark.parametrize("way", ["sync", "async"])
@pytest.mark.parametrize("case", BY_SERVICE, ids=str)
def test_a_service_that_does_not_answer_in_time_is_an_error(
    double: ProviderDouble, case: Case, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remote, "QUERIES", Policy(attempts=1, seconds=2.0, timeout=0.2))
    double.fail(case.provider, delay=0.6)
    one = embedder(double, case)
    with pytest.raises(ProviderError, match="try again later") as raised:
        ask(one, way)
    one.close()
    assert raised.value.retryable


# One for each HTTP library.
APART = [case for case in BY_SERVICE if case.provider in ("cohere", "voyage", "google")]
SLOW = [
    *[pytest.param(case, {"drip": 0.05}, "sync", id=f"{case}-body-sync") for case in BY_SERVICE],
    *[pytest.param(case, {"drip": 0.05}, "async", id=f"{case}-body-async") for case in APART],
    *[pytest.param(case, {"drip_head": 0.05}, "sync", id=f"{case}-head") for case in APART],
    pytest.param(APART[0], {"delay": 0.2, "status": 503, "times": 9}, "sync", id="retries-sync"),
    pytest.param(APART[0], {"delay": 0.2, "status": 503, "times": 9}, "async", id="retries-async"),
]


@pytest.mark.parametrize(("case", "fault", "way"), SLOW)
def test_a_query_is_cut_off_when_its_time_is_up(
    double: ProviderDouble, case: Case, fault: dict[str, Any], way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = embedder(double, case)
    ask(one, way, "what loads the SDK")
    monkeypatch.setattr(remote, "QUERIES", Policy(attempts=9, seconds=0.5, timeout=60.0, first_wait=0.001))
    double.fail(case.provider, **fault)
    before = len(double.requests)
    with metered(Meter()) as meter, pytest.raises(ProviderError) as raised:
        ask(one, way)
    assert re.match(rf"{case.provider}: no answer within 0\.5 s.*; try again later$", str(raised.value))
    assert ("503: The service is overloaded" in str(raised.value)) is ("status" in fault)
    assert raised.value.retryable
    sent = len(double.requests) > before
    assert sent or way == "async", "a loop of its own may not have connected yet"
    purposes = [charge.purpose for charge in meter.charges]
    assert purposes in ([], [f"query{UNANSWERED}"]), "what was cut off is counted apart, and once"
    assert purposes or not sent or "status" in fault, "a refusal costs nothing"
    assert all_closed(double), "a connection that still drips is not left behind"
    one.close()


def test_parts_of_a_query_share_its_time(double: ProviderDouble, monkeypatch: pytest.MonkeyPatch) -> None:
    for way in ("sync", "async"):
        one = embedder(double, CASES[0])
        ask(one, way, "what loads the SDK")
        monkeypatch.setattr(remote, "QUERIES", Policy(attempts=9, seconds=2.0, timeout=60.0))
        double.fail("cohere", too_long=True)
        double.fail("cohere", delay=1.2, times=2)
        before = len(double.requests)
        with metered(Meter()) as meter, pytest.raises(ProviderError, match=r"no answer within 2 s"):
            ask(one, way, "alpha beta gamma delta " * 20)
        assert len(double.requests) == before + 3, "each of them alone would have been in time"
        purposes = [charge.purpose for charge in meter.charges]
        assert purposes == ["query", f"query{UNANSWERED}"], "what came is charged, and what was cut off apart"
        one.close()


def test_queries_side_by_side_are_charged_to_who_asked(double: ProviderDouble) -> None:
    double.latency = 0.05
    double.fail("cohere", status=500, times=2)
    one = embedder(double, CASES[0])
    heard: set[str] = set()

    def billed(text: str) -> int:
        with metered(Meter(record=lambda _: heard.add(threading.current_thread().name))) as meter:
            one.embed_query(text)
        return meter.usage.calls

    with ThreadPoolExecutor(8, thread_name_prefix="asking") as threads:
        assert list(threads.map(billed, (f"text {n}" for n in range(8)))) == [1] * 8
    one.close()
    assert all(name.startswith("asking") for name in heard), "a ledger is not written to where all calls wait"
    assert len(double.requests) == 10


def test_no_threads_are_left_behind(double: ProviderDouble, monkeypatch: pytest.MonkeyPatch) -> None:
    with closing(embedder(double, CASES[0])) as other:
        other.embed_query("what loads the SDK")
    assert all_closed(double)
    one = embedder(double, CASES[0])
    monkeypatch.setattr(remote, "QUERIES", Policy(attempts=1, seconds=0.1, timeout=60.0))
    double.fail("cohere", drip=0.05, times=9)
    double.fail("cohere", drip_head=0.05, times=9)
    before = {thread.name for thread in threading.enumerate() if not _of_the_double(thread)}

    def cut_off(text: str) -> None:
        with pytest.raises(ProviderError, match="no answer within"):
            one.embed_query(text)

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(cut_off, (f"text {n}" for n in range(12))))
    assert {thread.name for thread in threading.enumerate() if not _of_the_double(thread)} == before
    assert all_closed(double), "before the embedder is"


@pytest.mark.parametrize("case", BY_SERVICE, ids=str)
def test_what_nobody_closed_is_closed_when_it_is_collected(double: ProviderDouble, case: Case) -> None:
    one = embedder(double, case)
    one.embed_query("alpha")
    assert double.connections == 1
    del one
    gc.collect()
    assert all_closed(double)


def _of_the_double(thread: threading.Thread) -> bool:
    return "process_request_thread" in thread.name


def all_closed(double: ProviderDouble) -> bool:
    """Whether all connections are closed, in seconds: the double learns it with the next byte it sends."""
    until = time.monotonic() + 5
    while double.connections and time.monotonic() < until:
        time.sleep(0.02)
    return not double.connections


@pytest.mark.parametrize(
    ("fault", "said", "retryable"),
    [
        ({"wrong_count": True}, r"\d vectors came back for 3 texts", True),
        ({"wrong_dims": True}, "were asked for; check the model and its dims", False),
        ({"nan": True}, "NaN or infinity", True),
    ],
    ids=["count", "dims", "NaN"],
)
@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_wrong_answer_is_an_error_and_is_paid(
    double: ProviderDouble, case: Case, fault: dict[str, Any], said: str, retryable: bool
) -> None:
    double.fail(case.provider, **fault)
    one = embedder(double, case)
    meter = Meter()
    with metered(meter), pytest.raises(ProviderError, match=said) as raised:
        one.embed_documents(TEXTS)
    one.close()
    assert raised.value.retryable is retryable
    assert "\n" not in str(raised.value)
    assert meter.usage.calls == 1


@pytest.mark.parametrize("case", BY_SERVICE, ids=str)
def test_a_bad_key_is_said_without_repeating_it(
    double: ProviderDouble, case: Case, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    one = embedder(double, case, key=BAD_KEY)
    with pytest.raises(ProviderError, match="check the key") as raised:
        one.embed_documents(TEXTS)
    one.close()
    assert not raised.value.retryable
    assert len(double.requests) == 1, "a refused key is not tried again"
    printed = "".join(capfd.readouterr()) + caplog.text + repr(one) + str(raised.value) + repr(raised.value)
    assert BAD_KEY not in printed
    assert BAD_KEY[:8] not in printed


@pytest.mark.parametrize("case", BY_SERVICE, ids=str)
def test_a_batch_the_service_finds_too_long_is_halved(double: ProviderDouble, case: Case) -> None:
    double.fail(case.provider, too_long=True)
    one = embedder(double, case)
    whole = one.embed_documents(TEXTS)
    assert np.allclose(whole, one.embed_documents(TEXTS), atol=1e-6)
    one.close()
    sent = [request.status for request in double.requests]
    assert sent[0] in (400, 413, 422)
    assert sent[1:] == [200, 200, 200], "two halves, then the whole batch"


@pytest.mark.parametrize("case", BY_SERVICE, ids=str)
def test_a_text_the_service_finds_too_long_is_embedded_in_parts(double: ProviderDouble, case: Case) -> None:
    double.fail(case.provider, too_long=True)
    one = embedder(double, case)
    text = "alpha beta gamma delta " * 20
    (vector,) = one.embed_documents([text])
    one.close()
    assert np.linalg.norm(vector) == pytest.approx(1.0, abs=1e-5)
    assert [request.status for request in double.requests][1:] == [200, 200]


def test_texts_over_the_window_are_embedded_in_parts_and_counted(double: ProviderDouble) -> None:
    case = CASES[1]  # 512 tokens
    one = embedder(double, case)
    long = " ".join(f"word{n}" for n in range(900))
    assert one.too_long(["short", long]) == [1]
    vectors = one.embed_documents(["short", long])
    one.close()
    sent = [str(text) for request in double.requests for text in _sent(request.body)]
    assert " ".join(sent[1:]).split() == long.split(), "every word is sent"
    assert len(sent) > 3
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1.0, atol=1e-5)


@pytest.mark.parametrize("case", BY_SERVICE, ids=str)
def test_large_jobs_go_out_in_batches_side_by_side(double: ProviderDouble, case: Case) -> None:
    double.latency = 0.05
    one = embedder(double, case, at_once=3)
    limit = min(one.limits.texts, 40)
    one.limits = replace(one.limits, texts=limit)
    texts = [f"text number {n}" for n in range(2 * limit + 3)]
    vectors = one.embed_documents(texts)
    single = embedder(double, case)
    double.latency = 0.0
    assert np.allclose(vectors[-1], single.embed_documents([texts[-1]])[0], atol=1e-5)
    one.close()
    single.close()
    assert 1 < double.most_at_once <= 3
    assert max(len(_sent(request.body)) for request in double.requests) <= limit


def test_a_rate_limit_makes_every_thread_wait(double: ProviderDouble) -> None:
    double.fail("cohere", status=429, headers={"retry-after": "0.4"})
    one = embedder(double, CASES[0], at_once=4)
    one.embed_documents([f"text {n}" for n in range(96 * 6)])
    one.close()
    statuses = [request.status for request in double.requests]
    assert statuses.count(429) == 1
    assert statuses.count(200) == 6


def test_what_was_paid_for_is_given_before_the_error(double: ProviderDouble) -> None:
    double.fail("cohere", status=400, message="no such thing", after=2, times=9)
    one = embedder(double, CASES[0], at_once=1)
    kept: list[int] = []
    with pytest.raises(ProviderError, match="no such thing"):
        for places, _ in one.embed_batches([f"text {n}" for n in range(96 * 4)]):
            kept += places
    one.close()
    assert kept == list(range(96 * 2))


def test_costs_are_what_the_service_bills(double: ProviderDouble) -> None:
    for case in CASES:
        one = embedder(double, case)
        charges: list[Charge] = []
        before = len(double.requests)
        with metered(Meter(record=charges.append)) as meter:
            one.embed_documents(TEXTS)
            one.embed_query("alpha")
            one.embed_query("alpha")  # remembered
        one.close()
        billed = sum(request.tokens for request in double.requests[before:])
        assert [charge.purpose for charge in charges] == ["documents", "query"], case
        assert meter.usage.calls == 2
        if billed:
            assert meter.usage.tokens == billed, case
        price = one.usd_per_million
        if price is None:
            assert meter.usage.unpriced == 2
        else:
            assert meter.usage.usd == pytest.approx(meter.usage.tokens * price / 1e6)


def test_a_cap_cannot_hold_what_has_no_known_price(double: ProviderDouble) -> None:
    unpriced = next(case for case in CASES if case.provider == "jina")
    one = embedder(double, unpriced)
    with metered(Meter(max_usd=5.0)), pytest.raises(BudgetExceeded, match="usd_per_million"):
        one.embed_documents(TEXTS)
    one.close()
    assert double.requests == []
    priced = embedder(double, unpriced, usd_per_million=0.5)
    with metered(Meter(max_usd=5.0)) as meter:
        priced.embed_documents(TEXTS)
    priced.close()
    assert meter.usage.usd == pytest.approx(meter.usage.tokens * 0.5 / 1e6)


@pytest.mark.parametrize(
    "case", [case for case in CASES if case.model in ("voyage-4", "text-embedding-3-small")], ids=str
)
def test_vectors_go_by_the_numbers_the_service_gives_them(double: ProviderDouble, case: Case) -> None:
    one = embedder(double, case)
    expected = one.embed_documents(TEXTS)
    double.fail(case.provider, out_of_order=True)
    assert np.allclose(one.embed_documents(TEXTS), expected, atol=1e-6)
    one.close()


def test_a_prompt_is_billed_and_capped_with_its_text(double: ProviderDouble) -> None:
    case = next(case for case in CASES if case.provider == "openai")
    prompt = "represent this sentence for search " * 20
    one = embedder(double, case, document_prompt=prompt)
    plain = embedder(double, case)
    assert one.tokens(["alpha"]) > plain.tokens(["alpha"]) + 50
    assert one.space != plain.space
    with metered(Meter(max_usd=1e-7)), pytest.raises(BudgetExceeded):
        one.embed_documents(["alpha"])
    one.embed_documents(["alpha"])
    one.close()
    plain.close()
    (request,) = double.requests
    assert _sent(request.body) == [f"{prompt}alpha"]


@pytest.mark.parametrize("case", [CASES[0], CASES[5]], ids=str)
def test_settings_a_provider_would_ignore_are_refused(double: ProviderDouble, case: Case) -> None:
    taken = SERVICES[case.provider].taken
    others: list[tuple[str, Any]] = [("query_prompt", "q: "), ("late_chunking", True), ("dtype", "int8")]
    for name, value in others:
        if name not in taken:
            with pytest.raises(RecipeError, match=f"{name} = .*does not take it"):
                embedder(double, case, **{name: value})


def test_a_key_is_not_sent_to_somebody_elses_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.delenv("RAGWEFT_API_KEY", raising=False)
    settings = Embedding(model="cohere:embed-v4.0", base_url="https://models.example.com/v1")
    monkeypatch.setenv("CO_API_KEY", KEY)
    with pytest.raises(RecipeError, match=r"models\.example\.com.*RAGWEFT_API_KEY"):
        connect("cohere", "embed-v4.0", settings).embed_query("alpha")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
@pytest.mark.parametrize("case", BY_SERVICE, ids=str)
def test_a_forked_child_has_connections_of_its_own(double: ProviderDouble, case: Case) -> None:
    one = embedder(double, case)
    one.embed_query("alpha")
    other = embedder(double, case)
    expected = other.embed_query("beta")
    other.close()
    before = one.connection
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        own = one.connection is not before and one.connection.wires["query"] is not before.wires["query"]
        same = np.allclose(one.embed_query("beta"), expected, atol=1e-5)
        filled = np.allclose(one.embed_documents(["beta"])[0], one.embed_documents(["beta", "alpha"])[0])
        os.write(write, b"y" if own and same and filled else b"n")
        os._exit(0)
    os.close(write)
    os.waitpid(pid, 0)
    assert os.read(read, 1) == b"y"
    os.close(read)
    assert one.connection is before
    one.close()


@pytest.mark.parametrize("case", BY_SERVICE, ids=str)
def test_a_query_the_service_finds_too_long_is_embedded_in_parts_both_ways(
    double: ProviderDouble, case: Case
) -> None:
    text = "alpha beta gamma delta " * 20
    for way in ("sync", "async"):
        double.fail(case.provider, too_long=True)
        one = embedder(double, case)
        vector = ask(one, way, text)
        one.close()
        assert np.linalg.norm(vector) == pytest.approx(1.0, abs=1e-5)


def test_a_wait_of_hours_is_refused_at_once(double: ProviderDouble) -> None:
    double.fail("cohere", status=429, headers={"retry-after": "7200"})
    one = embedder(double, CASES[0])
    for _ in range(2):
        started = time.monotonic()
        with pytest.raises(ProviderError, match="try again later"):
            one.embed_query("alpha")
        assert time.monotonic() - started < 5
    one.close()
    assert len(double.requests) == 1


def test_another_price_for_queries_of_another_model(double: ProviderDouble) -> None:
    large = replace(CASES[2], model="voyage-4-large")
    one = embedder(double, large, query_model="voyage-4-lite")
    charges: list[Charge] = []
    with metered(Meter(record=charges.append)):
        one.embed_documents(TEXTS)
        one.embed_query("alpha")
    one.close()
    assert [charge.model for charge in charges] == ["voyage:voyage-4-large", "voyage:voyage-4-lite"]
    prices = [(charge.usd or 0.0) / charge.tokens for charge in charges]
    assert prices[0] > prices[1] > 0


def test_no_key_is_in_a_traceback(double: ProviderDouble) -> None:
    for case in BY_SERVICE:
        one = embedder(double, case, key=BAD_KEY)
        with pytest.raises(ProviderError) as raised:
            one.embed_documents(TEXTS)
        shown = "".join(traceback.format_exception(raised.value))
        assert BAD_KEY[:8] not in shown, case
        one.close()


def test_ctrl_c_keeps_what_is_under_way(double: ProviderDouble) -> None:
    double.latency = 0.3
    one = embedder(double, CASES[0], at_once=2)
    texts = [f"text {n}" for n in range(96 * 8)]
    pressed = threading.Timer(0.45, _thread.interrupt_main)
    pressed.start()
    kept = 0
    with metered(Meter()) as meter, pytest.raises(KeyboardInterrupt):
        for places, _ in one.embed_batches(texts):
            kept += len(places)
    one.close()
    assert kept == 96 * meter.usage.calls, "what was charged was given"
    assert 0 < kept < len(texts)


def test_a_cap_stops_before_it_is_passed(double: ProviderDouble) -> None:
    one = embedder(double, CASES[0], at_once=2)
    texts = [f"a text of some length, number {n}" for n in range(96 * 10)]
    price = one.usd_per_million
    assert price is not None
    cap = one.tokens(texts) * price / 1e6 * 0.4
    kept = 0
    with metered(Meter(max_usd=cap)) as meter, pytest.raises(BudgetExceeded, match="raise the cap"):
        for places, _ in one.embed_batches(texts):
            kept += len(places)
    one.close()
    assert 0 < kept < len(texts)
    assert meter.usage.usd <= cap


@pytest.mark.parametrize("dtype", ["int8", "uint8", "binary", "ubinary"])
@pytest.mark.parametrize("case", [CASES[0], CASES[2]], ids=str)
def test_quantised_vectors_are_decoded(double: ProviderDouble, case: Case, dtype: str) -> None:
    one, exact = embedder(double, case, dtype=dtype), embedder(double, case)
    coarse, fine = one.embed_documents(TEXTS), exact.embed_documents(TEXTS)
    one.close()
    exact.close()
    assert coarse.shape == fine.shape
    assert np.allclose(np.linalg.norm(coarse, axis=1), 1.0, atol=1e-5)
    agreement = (coarse * fine).sum(axis=1)
    assert (agreement > (0.95 if "int" in dtype else 0.1)).all()
    assert one.space != exact.space


@pytest.mark.parametrize("case", [CASES[0], CASES[2], CASES[5], CASES[6], CASES[8], CASES[9]], ids=str)
def test_a_smaller_size_is_asked_for_and_brought_to_unit_length(double: ProviderDouble, case: Case) -> None:
    one = embedder(double, case, dims=256)
    vectors = one.embed_documents(TEXTS)
    one.close()
    assert vectors.shape == (3, 256)
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1.0, atol=1e-5)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_blank_texts_are_not_sent_and_shift_nothing(double: ProviderDouble, case: Case) -> None:
    one = embedder(double, case)
    texts = ["", TEXTS[0], " \n\t", TEXTS[1]]
    vectors = one.embed_documents(texts)
    assert not vectors[[0, 2]].any()
    assert np.allclose(vectors[[1, 3]], one.embed_documents(TEXTS[:2]), atol=1e-6)
    assert not one.embed_query("  ").any()
    if isinstance(one, ContextualEmbedder):
        ((_, rows),) = one.embed_groups([texts])
        assert [bool(row.any()) for row in rows] == [False, True, False, True]
    one.close()
    for request in double.requests:
        assert "" not in [str(text).strip() for text in _sent(request.body)]


def test_a_size_the_model_does_not_offer_is_refused_before_anything_is_sent(double: ProviderDouble) -> None:
    with pytest.raises(RecipeError, match="256"):
        embedder(double, CASES[0], dims=333)
    assert double.requests == []


def test_an_error_said_with_status_200_is_repeated(double: ProviderDouble) -> None:
    case = next(case for case in CASES if case.provider == "openai")
    double.fail("openai", status=200, body={"error": {"message": "the model is loading"}})
    one = embedder(double, case)
    with pytest.raises(ProviderError, match="the model is loading"):
        one.embed_documents(TEXTS)
    one.close()


def test_an_unknown_model_is_asked_for_its_size_once(double: ProviderDouble) -> None:
    unknown = replace(CASES[5], provider="ollama", model="strange-embed")
    one = embedder(double, unknown)
    assert one.space.dims == one.embed_documents(TEXTS).shape[1]
    assert len(double.requests) == 2
    one.close()


def test_another_model_of_the_space_may_embed_queries(double: ProviderDouble) -> None:
    large = replace(CASES[2], model="voyage-4-large")
    one = embedder(double, large, query_model="voyage-4-lite")
    one.embed_documents(TEXTS)
    one.embed_query("alpha")
    one.close()
    assert [role_field(request.body, "model") for request in double.requests] == [
        "voyage-4-large",
        "voyage-4-lite",
    ]
    with pytest.raises(RecipeError, match="vector space"):
        embedder(double, large, query_model="voyage-3-large")


def test_a_missing_key_names_the_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    for case in BY_SERVICE:
        for name in SERVICES[case.provider].keys:
            monkeypatch.delenv(name, raising=False)
        with pytest.raises(RecipeError, match=SERVICES[case.provider].keys[0]):
            connect(case.provider, case.model, Embedding(model=str(case))).embed_query("alpha")


@pytest.mark.parametrize(
    ("provider", "model", "settings"),
    [("voyage", "voyage-context-4", {}), ("jina", "jina-embeddings-v3", {"late_chunking": True})],
)
def test_passages_are_embedded_within_their_document(
    double: ProviderDouble, provider: str, model: str, settings: dict[str, Any]
) -> None:
    case = Case(provider=provider, model=model, dims=1024, field="", document=None, query=None)
    one = embedder(double, case, **settings)
    assert isinstance(one, ContextualEmbedder)
    bees = ["bees make honey", "they dance"]
    clocks = ["clocks have hands", "they dance"]
    found = dict(one.embed_groups([bees, [], clocks]))
    assert [found[place].shape for place in range(3)] == [(2, 1024), (0, 1024), (2, 1024)]
    alike = float(found[0][1] @ found[2][1])
    assert alike < 0.999, "equal passages of two documents have two vectors"
    assert np.allclose(np.linalg.norm(np.concatenate([found[0], found[2]]), axis=1), 1.0, atol=1e-5)
    query = one.embed_query("bees make honey")
    assert query @ found[0][0] > query @ found[2][0]
    one.close()


@pytest.mark.parametrize("provider", ["voyage", "jina"])
def test_a_document_over_the_window_goes_out_in_stretches(double: ProviderDouble, provider: str) -> None:
    model = {"voyage": "voyage-context-4", "jina": "jina-embeddings-v3"}[provider]
    case = Case(provider=provider, model=model, dims=1024, field="", document=None, query=None)
    one = embedder(double, case, window=60, at_once=1, late_chunking=provider == "jina")
    assert isinstance(one, ContextualEmbedder)
    passages = [" ".join(f"word{n}of{m}" for n in range(4)) for m in range(9)]
    ((_, vectors),) = one.embed_groups([passages])
    one.close()
    assert vectors.shape == (9, 1024)
    sent = [stretch for request in double.requests for stretch in _stretches(request.body)]
    assert [text for stretch in sent for text in stretch] == passages
    assert 1 < len(sent) < 9


def _stretches(body: object) -> list[list[str]]:
    assert isinstance(body, dict)
    inputs = body.get("inputs", body.get("input"))
    assert isinstance(inputs, list)
    return inputs if isinstance(inputs[0], list) else [inputs]


def ask(one: RemoteEmbedder, way: str, text: str = "alpha gamma") -> np.ndarray:
    if way == "sync":
        return one.embed_query(text)

    async def main() -> np.ndarray:
        try:
            return await one.aembed_query(text)
        finally:
            await one.aclose()

    return asyncio.run(main())


def _sent(body: object) -> list[object]:
    assert isinstance(body, dict)
    found = body.get("texts") or body.get("input") or body.get("inputs") or body.get("requests")
    assert isinstance(found, list)
    return found
