"""What all services share: judging failures, waiting, counting money, texts over a window."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import replace
from email.utils import formatdate
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ragweft.errors import BudgetExceeded, ProviderError
from ragweft.providers.background import awaited, in_background
from ragweft.providers.failures import failure_of, scrubbed
from ragweft.providers.keys import Secret, find_key
from ragweft.providers.metering import Charge, Meter, charge, metered, reserved
from ragweft.providers.owned import PerLoop
from ragweft.providers.policy import Caller, Deadline, Policy, TooLong
from ragweft.providers.windows import in_parts, joined, long_ones, split

FAST = Policy(attempts=3, seconds=5.0, timeout=1.0, first_wait=0.001, longest_wait=0.002)


class Said(Exception):
    def __init__(
        self, status: int | None = None, body: Any = None, headers: dict[str, str] | None = None
    ) -> None:
        super().__init__(str(body))
        self.status_code = status
        self.body = body
        self.headers = headers or {}


class ReadTimeout(Exception):
    """Named as in httpx and httpx2."""


class RemoteProtocolError(Exception):
    """Named as in httpx and httpx2."""


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504, 529])
def test_statuses_that_pass_are_retryable(status: int) -> None:
    failure = failure_of(Said(status, {"message": "wait"}))
    assert failure is not None
    assert failure.retryable


@pytest.mark.parametrize("status", [400, 401, 403, 404, 422])
def test_statuses_that_stay_are_not(status: int) -> None:
    failure = failure_of(Said(status, {"error": {"message": "no such model"}}))
    assert failure is not None
    assert not failure.retryable
    assert failure.message == "no such model"


@pytest.mark.parametrize(
    "words",
    [
        "This model's maximum context length is 8192 tokens",
        "invalid request: total number of texts must be at most 96 - received 97",
        "Failed to encode text",
        "Too many inputs in request, split into more batches",
        "the input is too long",
        "max allowed tokens per submitted batch is 120000",
    ],
)
def test_too_long_is_known_by_its_many_words(words: str) -> None:
    failure = failure_of(Said(400, {"detail": words}))
    assert failure is not None
    assert failure.too_long
    assert not failure.retryable


def test_network_and_time_outs_are_known_by_name() -> None:
    for error in (ReadTimeout(), TimeoutError(), RemoteProtocolError("gone"), ConnectionResetError()):
        failure = failure_of(error)
        assert failure is not None
        assert failure.retryable
    assert failure_of(ZeroDivisionError("a mistake")) is None


def test_retry_after_is_read_in_every_form() -> None:
    for headers, expected in (
        ({"Retry-After": "2"}, 2.0),
        ({"retry-after-ms": "250"}, 0.25),
        ({"retry-after": formatdate(time.time() + 30, usegmt=True)}, 30.0),
        ({"retry-after": "soon"}, None),
        ({}, None),
    ):
        failure = failure_of(Said(429, {"message": "slow"}, headers))
        assert failure is not None
        if expected is None:
            assert failure.retry_after is None
        else:
            assert failure.retry_after == pytest.approx(expected, abs=2.0)


@given(key=st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=8, max_size=60), rest=st.text())
def test_a_key_is_scrubbed_whole_or_in_part(key: str, rest: str) -> None:
    for text in (f"{rest} {key} {rest}", f"Incorrect API key provided: {key[:8]}...{key[-4:]}."):
        assert key[:8] not in scrubbed(text, [key]) or key[:8] in "[key]" + " ".join(rest.split())
    assert "\n" not in scrubbed(f"a\n{key}\nb", [key])


def test_a_secret_is_not_printed_or_pickled() -> None:
    import pickle

    secret = Secret("sk-very-secret")
    assert "very" not in repr(secret) + str(secret) + f"{secret}"
    with pytest.raises(TypeError, match="not written"):
        pickle.dumps(secret)


def test_a_key_given_comes_before_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_KEY", "from-environment")
    assert find_key("some", ("SOME_KEY",), given="given").reveal() == "given"
    assert find_key("some", ("SOME_KEY",)).reveal() == "from-environment"


@pytest.mark.parametrize("way", ["sync", "async"])
def test_a_call_is_tried_as_often_as_the_policy_says(way: str) -> None:
    calls: list[int] = []

    def send() -> str:
        calls.append(1)
        raise Said(503, {"message": "overloaded"})

    async def asend() -> str:
        return send()

    caller = Caller("some", secrets=("sk-secret-key",))
    with pytest.raises(ProviderError, match="some: 503: overloaded; try again later") as raised:
        caller.call(send, FAST) if way == "sync" else asyncio.run(caller.acall(asend, FAST))
    assert len(calls) == 3
    assert raised.value.retryable
    assert isinstance(raised.value.__cause__, Exception)


def test_a_wait_beyond_the_policy_is_not_begun() -> None:
    def send() -> str:
        raise Said(429, {"message": "quota"}, {"retry-after": "3600"})

    started = time.monotonic()
    with pytest.raises(ProviderError, match="rate limit or quota"):
        Caller("some").call(send, FAST)
    assert time.monotonic() - started < 3


def test_a_mistake_in_a_program_is_raised_as_it_is() -> None:
    def send() -> str:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        Caller("some").call(send, FAST)


def test_what_is_awaited_is_cut_off_at_the_deadline() -> None:
    ended: list[str] = []

    async def hang() -> str:
        try:
            await asyncio.sleep(60)
        finally:
            ended.append("cut off")
        return "late"

    brief = replace(FAST, seconds=0.05)
    with pytest.raises(ProviderError, match=r"^some: no answer within 0\.05 s; try again later$") as raised:
        awaited(lambda: Caller("some").acall(hang, brief))
    assert raised.value.retryable
    assert ended == ["cut off"]
    assert raised.value.__suppress_context__, "what the library did when it was cut off is of no interest"


def test_waiting_for_a_slot_counts() -> None:
    async def answer() -> str:
        return "soon enough"

    async def both() -> str:
        caller = Caller("some", at_once=1)
        held = asyncio.create_task(caller.acall(lambda: asyncio.sleep(60, ""), FAST))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        with pytest.raises(ProviderError, match="no answer within"):
            await caller.acall(answer, replace(FAST, seconds=0.05))
        held.cancel()
        with pytest.raises(asyncio.CancelledError):
            await held
        return await caller.acall(answer, FAST)

    assert asyncio.run(both()) == "soon enough"


def test_calls_may_share_a_deadline() -> None:
    async def slow() -> str:
        await asyncio.sleep(0.3)
        return "answer"

    async def both() -> None:
        caller, deadline = Caller("some"), Deadline(seconds=0.5)
        assert await caller.acall(slow, FAST, deadline=deadline) == "answer"
        with pytest.raises(ProviderError, match=r"no answer within 0\.5 s"):
            await caller.acall(slow, FAST, deadline=deadline)
        assert deadline.left == 0.0
        assert 0 < Deadline(seconds=60.0).left <= 60

    asyncio.run(both())


@pytest.mark.parametrize("way", ["sync", "async"])
def test_a_wait_that_would_end_too_late_is_not_begun(way: str) -> None:
    calls: list[int] = []

    def send() -> str:
        calls.append(1)
        raise Said(503, {"message": "overloaded"}, {"retry-after": "0.5"})

    async def asend() -> str:
        return send()

    brief = replace(FAST, seconds=0.4)
    with pytest.raises(ProviderError, match="some: 503: overloaded; try again later"):
        Caller("some").call(send, brief) if way == "sync" else asyncio.run(Caller("some").acall(asend, brief))
    assert calls == [1]


def test_who_blocks_is_answered_in_a_context_of_its_own() -> None:
    async def answer() -> str:
        assert in_background()
        charge(paid(0.5))
        return threading.current_thread().name

    with metered(Meter()) as meter:
        names = {awaited(answer), awaited(answer)}
    assert names == {"ragweft-network"}
    assert meter.usage.calls == 2
    assert not in_background()

    async def elsewhere() -> str:
        assert not in_background()
        return await asyncio.to_thread(awaited, answer)

    assert asyncio.run(elsewhere()) == "ragweft-network"

    async def fail() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        awaited(fail)


@pytest.mark.skipif(not hasattr(signal, "pthread_kill"), reason="a signal cannot be sent to a thread here")
def test_ctrl_c_ends_a_wait() -> None:
    ended = threading.Event()

    async def hang() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            ended.set()

    pressed = threading.Timer(0.1, signal.pthread_kill, (threading.get_ident(), signal.SIGINT))
    pressed.start()
    with pytest.raises(KeyboardInterrupt):
        awaited(hang)
    pressed.join()
    assert ended.wait(5)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_child_has_a_loop_of_its_own() -> None:
    async def process() -> int:
        return os.getpid()

    assert awaited(process) == os.getpid()
    pid = os.fork()
    if pid == 0:
        os._exit(0 if awaited(process) == os.getpid() else 1)
    assert os.waitpid(pid, 0)[1] == 0


def test_an_answer_of_another_shape_is_the_services_failure() -> None:
    def send() -> str:
        answer: dict[str, str] = {}
        return answer["embeddings"]

    with pytest.raises(ProviderError, match="could not be read"):
        Caller("some").call(send, FAST)


def test_too_long_is_for_the_caller_to_split() -> None:
    def send() -> str:
        raise Said(400, {"message": "too long"})

    with pytest.raises(TooLong) as raised:
        Caller("some").call(send, FAST)
    assert "too long" in str(raised.value.refused)


def test_no_more_calls_at_once_than_allowed() -> None:
    now, most = 0, 0
    lock = threading.Lock()

    def send() -> None:
        nonlocal now, most
        with lock:
            now += 1
            most = max(most, now)
        time.sleep(0.02)
        with lock:
            now -= 1

    caller = Caller("some", at_once=2)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: caller.call(send, FAST), range(10)))
    assert most == 2


def test_every_loop_has_its_own() -> None:
    made: list[object] = []

    def make() -> object:
        made.append(object())
        return made[-1]

    held = PerLoop(make)

    async def twice() -> bool:
        return held.get() is held.get()

    assert asyncio.run(twice())
    assert asyncio.run(twice())
    assert len(made) == 2


def paid(usd: float | None, tokens: int = 10) -> Charge:
    return Charge(model="some:model", purpose="query", tokens=tokens, usd=usd)


def test_charges_go_to_whoever_collects() -> None:
    charge(paid(1.0))  # nobody
    heard: list[Charge] = []
    with metered(Meter(record=heard.append)) as outer:
        charge(paid(0.5))
        with metered(Meter()) as inner:
            charge(paid(None))
        threading.Thread(target=copy_context().run, args=(charge, paid(0.25))).run()
    assert (outer.usage.usd, outer.usage.calls, outer.usage.unpriced) == (0.75, 2, 0)
    assert (inner.usage.usd, inner.usage.calls, inner.usage.unpriced) == (0.0, 1, 1)
    assert [each.usd for each in heard] == [0.5, 0.25]


def test_searches_side_by_side_are_billed_apart() -> None:
    async def one(usd: float) -> float:
        with metered(Meter()) as meter:
            await asyncio.sleep(0)
            charge(paid(usd))
            await asyncio.sleep(0)
            return meter.usage.usd

    async def main() -> list[float]:
        return await asyncio.gather(*(one(float(n)) for n in range(5)))

    assert asyncio.run(main()) == [0.0, 1.0, 2.0, 3.0, 4.0]


@given(st.lists(st.floats(0.0, 1.0), max_size=20), st.floats(0.0, 5.0))
def test_a_cap_is_never_passed(prices: list[float], cap: float) -> None:
    with metered(Meter(max_usd=cap)) as meter:
        for usd in prices:
            try:
                with reserved(usd, "some:model"):
                    charge(paid(usd))
            except BudgetExceeded:
                continue
        assert meter.usage.usd <= cap + 1e-9


def words(text: str) -> int:
    return len(text.split())


@given(st.lists(st.text(st.characters(codec="utf-8"), max_size=200), max_size=6), st.integers(5, 12))
def test_nothing_is_cut(texts: list[str], window: int) -> None:
    parts, sizes = in_parts(texts, window=window, count=words)
    assert sum(sizes) == len(parts)
    start = 0
    for text, size in zip(texts, sizes, strict=True):
        own = parts[start : start + size]
        assert "".join("".join(own).split()) == "".join(text.split())
        assert all(words(part) <= window for part in own)
        start += size


def test_a_text_without_white_space_is_split_too() -> None:
    parts = split("x" * 100, window=10, count=len)
    assert "".join(parts) == "x" * 100
    assert max(map(len, parts)) <= 10


def test_short_texts_are_not_counted() -> None:
    def count(_text: str) -> int:
        raise AssertionError("need not be counted")

    assert long_ones(["short", ""], window=100, count=count) == []
    assert long_ones(["any" * 100], window=None, count=count) == []


def test_parts_are_weighed_by_their_tokens() -> None:
    vectors = np.array([[1.0, 0.0], [0.0, 1.0], [0.6, 0.8]], dtype=np.float32)
    out = joined(vectors, ["a b c", "d", "e"], [2, 1], count=words)
    assert np.allclose(out[0], np.array([3.0, 1.0]) / np.sqrt(10))
    assert np.array_equal(out[1], vectors[2])
