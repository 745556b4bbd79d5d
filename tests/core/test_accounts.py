"""One account of a service in a process: places for calls, and who waits when one meets a rate limit."""

from __future__ import annotations

import asyncio
import gc
import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import count
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ragweft.errors import ProviderError
from ragweft.providers.accounts import Account, account_of
from ragweft.providers.policy import Caller, Interrupted, Policy

PATIENT = Policy(attempts=4, seconds=300.0, timeout=1.0, first_wait=60.0, longest_wait=60.0)


class Limited(Exception):
    """As an SDK would raise it."""

    status_code = 429

    def __init__(self, headers: dict[str, str] | None = None) -> None:
        super().__init__("slow down")
        self.headers = headers or {}


@pytest.fixture(autouse=True)
def no_jitter(monkeypatch: pytest.MonkeyPatch) -> None:
    """Full jitter may draw no wait at all."""
    monkeypatch.setattr("tenacity.wait.random.uniform", lambda low, high: high)


def limited() -> str:
    raise Limited


def answer() -> str:
    return "answer"


# ------------------------------------------------------------------------------------------------ pauses


def test_the_first_rate_limit_holds_the_others_of_the_account() -> None:
    account, stop = Account(at_once=2), threading.Event()
    callers = [Caller("some", account=account, model="m") for _ in range(10)]
    asked, met = count(), threading.Event()
    entered = threading.Barrier(2)

    def send() -> str:
        next(asked)
        entered.wait(timeout=10)  # two are under way, eight wait for a place
        met.set()
        raise Limited

    def call(caller: Caller) -> str:
        try:
            return caller.call(send, PATIENT, stop=stop)
        except Interrupted:
            return "held"

    with ThreadPoolExecutor(10) as threads:
        held = [threads.submit(call, caller) for caller in callers]
        assert met.wait(10)
        time.sleep(0.2)  # whoever would not wait would have asked by now
        stop.set()
        assert [each.result() for each in held] == ["held"] * 10
    assert next(asked) == 2, "what was under way could not be held any more"


def test_coroutines_are_held_too() -> None:
    asked: list[int] = []

    async def limited_once() -> str:
        asked.append(1)
        if len(asked) == 1:
            raise Limited
        return "answer"

    async def main() -> list[str]:
        caller = Caller("some", at_once=1)
        patient = replace(PATIENT, first_wait=0.2)
        calls = [asyncio.create_task(caller.acall(limited_once, patient)) for _ in range(5)]
        await asyncio.sleep(0.1)
        assert len(asked) == 1
        return await asyncio.gather(*calls)

    assert asyncio.run(main()) == ["answer"] * 5
    assert len(asked) == 6


def test_a_guess_turns_nobody_away_but_a_word_of_the_service_does() -> None:
    hasty = Policy(attempts=1, seconds=5.0, timeout=1.0, first_wait=60.0, longest_wait=60.0)

    def told() -> str:
        raise Limited({"retry-after": "60"})

    for met, refused in ((limited, False), (told, True)):
        caller = Caller("some", model="m")
        with pytest.raises(ProviderError, match="rate limit"):
            caller.call(met, hasty)
        if refused:
            with pytest.raises(ProviderError, match="asked not to be called for another 60 s"):
                caller.call(answer, hasty)
        else:
            assert caller.call(answer, hasty) == "answer", "its eight seconds end before the pause does"


def test_another_model_of_the_account_goes_on() -> None:
    account, hasty = Account(), replace(PATIENT, attempts=1)
    embedder, reranker = (Caller("some", account=account, model=model) for model in ("embed", "rerank"))
    with pytest.raises(ProviderError):
        reranker.call(limited, hasty)
    assert account.waits("rerank")[1] > 50
    assert account.waits("embed") == (0.0, 0.0)
    assert embedder.call(answer, PATIENT) == "answer"


@given(st.lists(st.tuples(st.floats(0.0, 100.0), st.booleans()), max_size=10))
def test_the_longest_pause_counts(pauses: list[tuple[float, bool]]) -> None:
    account = Account()
    for seconds, told in pauses:
        account.pause("m", seconds, told=told)
    for kind, left in zip((True, False), account.waits("m"), strict=True):
        longest = max((seconds for seconds, told in pauses if told is kind), default=0.0)
        assert longest - 5 < left <= longest or left == longest == 0.0


# ------------------------------------------------------------------------------------------------ places


def test_an_account_is_known_by_service_address_and_key() -> None:
    known = account_of("some", base_url="http://here/v1", key="one")
    assert account_of("some", base_url="http://here/v1/", key="one") is known
    others: list[dict[str, Any]] = [
        {"base_url": "http://there/v1", "key": "one"},
        {"base_url": "http://here/v1", "key": "two"},
    ]
    for other in others:
        assert account_of("some", **other) is not known
    assert account_of("other", base_url="http://here/v1", key="one") is not known


def test_the_table_holds_no_key_and_forgets_who_is_gone() -> None:
    from ragweft.providers import accounts

    key = "sk-very-secret-0123456789"
    account = account_of("some", base_url="http://forgotten", key=key, at_once=9)
    names = list(accounts._ACCOUNTS.get().known)
    assert any(name[1] == "http://forgotten" for name in names)
    assert "secret" not in repr(names)
    del account
    gc.collect()
    assert account_of("some", base_url="http://forgotten", key=key, at_once=2).at_once == 2


def test_the_most_anybody_asked_for_counts_for_all() -> None:
    first = Caller("some", at_once=1, account=account_of("some", key="shared", at_once=1))
    second = Caller("some", at_once=3, account=account_of("some", key="shared", at_once=3))
    third = Caller("some", at_once=2, account=account_of("some", key="shared", at_once=2))
    lock, now, most = threading.Lock(), 0, 0

    def send() -> None:
        nonlocal now, most
        with lock:
            now += 1
            most = max(most, now)
        time.sleep(0.05)
        with lock:
            now -= 1

    with ThreadPoolExecutor(12) as threads:
        list(threads.map(lambda caller: caller.call(send, PATIENT), [first, second, third] * 4))
    assert most == 3


def test_places_of_a_loop_are_shared_and_grow() -> None:
    account = Account(at_once=1)
    now = most = 0

    async def send() -> None:
        nonlocal now, most
        now += 1
        most = max(most, now)
        await asyncio.sleep(0.02)
        now -= 1

    async def both() -> int:
        nonlocal most
        most = 0
        callers = [Caller("some", account=account) for _ in range(6)]
        await asyncio.gather(*(caller.acall(send, PATIENT) for caller in callers))
        return most

    async def main() -> list[int]:
        before = await both()
        account.widen(3)
        account.widen(2)
        return [before, await both()]

    assert asyncio.run(main()) == [1, 3]
    assert asyncio.run(both()) == 3, "in another loop too"


def test_no_place_is_lost_when_a_call_fails_or_is_cut_off() -> None:
    account = Account(at_once=1)
    hasty = Policy(attempts=2, seconds=0.05, timeout=1.0, first_wait=0.001, longest_wait=0.001)
    caller = Caller("some", account=account)

    async def hang() -> str:
        await asyncio.sleep(60)
        return "late"

    async def main() -> str:
        for _ in range(3):
            with pytest.raises(ProviderError):
                await caller.acall(hang, hasty)
        async with asyncio.timeout(5):
            return await caller.acall(lambda: asyncio.sleep(0, "answer"), PATIENT)

    assert asyncio.run(main()) == "answer"
    for _ in range(3):
        with pytest.raises(ProviderError):
            caller.call(limited, hasty)
    assert account.places.acquire(timeout=5)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_child_counts_for_itself() -> None:
    held = account_of("some", key="forked")
    pid = os.fork()
    if pid == 0:
        os._exit(0 if account_of("some", key="forked") is not held else 1)
    assert os.waitpid(pid, 0)[1] == 0
