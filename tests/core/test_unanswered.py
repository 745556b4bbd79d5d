"""Money that may have been spent for nothing: a call that was sent and brought no usable answer is counted."""

from __future__ import annotations

import asyncio
import json
import signal
import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from contextvars import copy_context
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ragweft.errors import BudgetExceeded, MissingExtra, ProviderError, RecipeError
from ragweft.providers.background import awaited
from ragweft.providers.dialogue import answered, answered_async
from ragweft.providers.metering import Charge, Meter, charge, metered, reserved
from ragweft.providers.policy import Caller, Policy

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

FAST = Policy(attempts=3, seconds=5.0, timeout=1.0, first_wait=0.001, longest_wait=0.002)
SIGNALS = pytest.mark.skipif(
    not hasattr(signal, "pthread_kill"), reason="a signal cannot be sent to a thread here"
)


class Refused(Exception):
    def __init__(self, status: int) -> None:
        super().__init__("refused")
        self.status_code = status


class ReadTimeout(Exception):
    """Named as in httpx and httpx2."""


class LocalProtocolError(Exception):
    """Named as in httpx: what was to be sent is no request."""


def about(usd: float | None = 0.5) -> Charge:
    return Charge(model="some:model", purpose="query", tokens=10, usd=usd)


def held(usd: float | None = 0.5) -> Any:
    return partial(reserved, 1.0, "some:model", estimate=lambda: about(usd))


def purposes(meter: Meter) -> list[str]:
    return [charged.purpose for charged in meter.charges]


# ------------------------------------------------------------------------------------------------ what counts

SENT: list[BaseException] = [
    ReadTimeout(),
    ConnectionResetError("gone"),
    json.JSONDecodeError("half", "{", 1),
    KeyError("embeddings"),
    ProviderError("an answer without vectors", retryable=False),
    ZeroDivisionError("a mistake behind the answer"),
    asyncio.CancelledError(),
    KeyboardInterrupt(),
    SystemExit(),
]
NOT_SENT: list[BaseException] = [
    Refused(400),
    Refused(401),
    Refused(429),
    Refused(500),
    Refused(529),
    RecipeError("there is no key"),
    MissingExtra(package="cohere", extra="cohere"),
    BudgetExceeded("over the cap"),
    ModuleNotFoundError("half of an SDK"),
    UnicodeEncodeError("ascii", "key", 0, 1, "a key that is no header"),
    LocalProtocolError("illegal header value"),
]


@pytest.mark.parametrize("error", SENT, ids=lambda error: type(error).__name__)
def test_what_was_sent_and_not_answered_counts_apart(error: BaseException) -> None:
    meter = Meter()
    with pytest.raises(type(error)), metered(meter), held()():
        raise error
    (charged,) = meter.charges
    assert charged == Charge(model="some:model", purpose="query, unanswered", tokens=10, usd=0.5)
    assert meter.usage.calls == 1


@pytest.mark.parametrize("error", NOT_SENT, ids=lambda error: f"{type(error).__name__} {error}")
def test_what_was_refused_or_never_sent_does_not(error: BaseException) -> None:
    meter = Meter()
    with pytest.raises(type(error)), metered(meter), held()():
        raise error
    assert meter.charges == []


def test_an_answer_is_charged_by_whoever_got_it() -> None:
    with metered(Meter()) as meter:
        with held()():
            pass
        charge(about())
    assert purposes(meter) == ["query"]


def test_nobody_collects_nobody_is_charged() -> None:
    with pytest.raises(ReadTimeout), held()():
        raise ReadTimeout


def test_an_unknown_price_is_counted_as_unknown() -> None:
    meter = Meter()
    with pytest.raises(ReadTimeout), metered(meter), held(None)():
        raise ReadTimeout
    assert (meter.usage.unpriced, meter.usage.tokens) == (1, 10)


def test_a_connection_that_fails_is_told_from_one_that_breaks() -> None:
    def connect_tcp() -> None:
        raise ConnectionResetError("in the middle of a handshake")

    def read() -> None:
        raise ConnectionResetError("in the middle of an answer")

    for way, expected in ((connect_tcp, []), (read, ["query, unanswered"])):
        meter = Meter()
        with pytest.raises(ConnectionResetError), metered(meter), held()():
            way()
        assert purposes(meter) == expected


def test_what_failed_before_says_nothing_of_this_call() -> None:
    def connect_tcp() -> None:
        raise ConnectionRefusedError

    def read() -> None:
        raise ReadTimeout

    meter = Meter()
    try:
        connect_tcp()
    except ConnectionRefusedError:
        with pytest.raises(ReadTimeout), metered(meter), held()():
            read()
    assert purposes(meter) == ["query, unanswered"]


@given(st.lists(st.tuples(st.floats(0.0, 1.0), st.booleans()), max_size=20), st.floats(0.0, 5.0))
def test_a_cap_knows_of_it_and_is_never_passed(calls: list[tuple[float, bool]], cap: float) -> None:
    with metered(Meter(max_usd=cap)) as meter:
        for usd, breaks in calls:
            with suppress(BudgetExceeded, ReadTimeout):
                with reserved(usd, "some:model", estimate=partial(about, usd)):
                    if breaks:
                        raise ReadTimeout
                charge(about(usd))
        assert meter.usage.usd <= cap + 1e-9
        assert meter.usage.calls == len(meter.charges)


# ------------------------------------------------------------------------------------------------ tries


def run(caller: Caller, send: Callable[[], str], way: str, policy: Policy = FAST) -> str:
    async def asend() -> str:
        return send()

    if way == "sync":
        return caller.call(send, policy, holding=held())
    return asyncio.run(caller.acall(asend, policy, holding=held()))


@pytest.mark.parametrize("way", ["sync", "async"])
def test_every_try_that_was_sent_counts_once_and_the_answer_once(way: str) -> None:
    failures: list[Exception] = [ReadTimeout(), Refused(503), ConnectionResetError("gone")]

    def send() -> str:
        if failures:
            raise failures.pop()
        return "answer"

    with metered(Meter()) as meter:
        assert run(Caller("some"), send, way, Policy(attempts=9, seconds=5.0, timeout=1.0, first_wait=0.001))
        charge(about())
    assert purposes(meter) == ["query, unanswered", "query, unanswered", "query"]


@pytest.mark.parametrize("way", ["sync", "async"])
def test_an_answer_nobody_can_read_counts(way: str) -> None:
    def send() -> str:
        answer: dict[str, str] = {}
        return answer["embeddings"]

    with metered(Meter()) as meter, pytest.raises(ProviderError, match="could not be read"):
        run(Caller("some"), send, way)
    assert purposes(meter) == ["query, unanswered"]


@pytest.mark.parametrize("way", ["sync", "async"])
def test_an_interrupt_is_no_answer_and_ends_the_questions(way: str) -> None:
    seen: list[str] = []

    def questions() -> Generator[str, str, str]:
        try:
            return (yield "who?")
        except BaseException as error:
            seen.append(type(error).__name__)
            raise

    def interrupted(_question: str) -> str:
        raise KeyboardInterrupt

    async def cancelled(_question: str) -> str:
        raise asyncio.CancelledError

    asking = questions()
    with pytest.raises(KeyboardInterrupt if way == "sync" else asyncio.CancelledError):
        answered(asking, interrupted) if way == "sync" else asyncio.run(answered_async(asking, cancelled))
    assert seen == ["GeneratorExit"]


async def hang() -> str:
    await asyncio.sleep(60)
    return "late"


def test_a_deadline_that_cuts_a_call_off_counts_it_and_a_wait_for_a_place_does_not() -> None:
    brief = Policy(attempts=3, seconds=0.1, timeout=60.0)

    async def both() -> list[list[str]]:
        caller = Caller("some", at_once=1)

        async def one() -> list[str]:
            with metered(Meter()) as meter:
                with pytest.raises(ProviderError, match="no answer within"):
                    await caller.acall(hang, brief, holding=held())
                return purposes(meter)

        return list(await asyncio.gather(one(), one()))

    assert asyncio.run(both()) == [["query, unanswered"], []]


def test_a_cancelled_task_counts() -> None:
    meter = Meter()

    async def main() -> None:
        with metered(meter):
            task = asyncio.create_task(Caller("some").acall(hang, FAST, holding=held()))
            await asyncio.sleep(0.01)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

    asyncio.run(main())
    assert purposes(meter) == ["query, unanswered"]


@SIGNALS
@pytest.mark.parametrize("way", ["awaited", "blocking"])
def test_ctrl_c_counts_what_it_ends(way: str) -> None:
    caller = Caller("some")
    heard: list[tuple[str, str]] = []

    def wait() -> None:
        time.sleep(60)

    def note(charged: Charge) -> None:
        heard.append((charged.purpose, threading.current_thread().name))

    pressed = threading.Timer(0.2, signal.pthread_kill, (threading.get_ident(), signal.SIGINT))
    pressed.start()
    with pytest.raises(KeyboardInterrupt), metered(Meter(record=note)) as meter:
        if way == "awaited":
            awaited(partial(caller.acall, hang, Policy(attempts=1, seconds=60.0, timeout=60.0), holding=held()))
        else:
            caller.call(wait, FAST, holding=held())
    pressed.join()
    assert heard == [("query, unanswered", threading.current_thread().name)]
    assert meter.usage.calls == 1


def test_what_other_threads_are_at_is_given_up_when_ctrl_c_ends_the_work() -> None:
    begun, go_on = threading.Event(), threading.Event()
    meter = Meter()

    def call(answers: bool) -> None:
        with suppress(ReadTimeout):
            with held()():
                begun.set()
                go_on.wait(10)
                if not answers:
                    raise ReadTimeout
            charge(about())

    running: list[Future[None]] = []
    for answers in (True, False):
        before = len(meter.charges)
        with ThreadPoolExecutor(1) as threads:
            with pytest.raises(KeyboardInterrupt), metered(meter):
                running.append(threads.submit(copy_context().run, call, answers))
                assert begun.wait(10)
                raise KeyboardInterrupt
            assert purposes(meter)[before:] == ["query, unanswered"], "the program may end any moment"
            go_on.set()
            running.pop().result()
        assert purposes(meter)[before:] == ["query, unanswered"], "once, whatever comes of it"
        begun.clear()
        go_on.clear()
    with metered(meter):
        charge(about())
    assert purposes(meter)[-1] == "query", "the next answer is charged again"


# ------------------------------------------------------------------------------------------------ written down


def test_the_waiting_thread_writes_it_down_although_it_counts_at_once() -> None:
    names: list[str] = []
    counted: list[int] = []
    meter = Meter(record=lambda _: names.append(threading.current_thread().name))

    async def lost() -> None:
        with pytest.raises(ReadTimeout), held()():
            raise ReadTimeout
        counted.append(meter.usage.calls)
        assert names == [], "the loop of all queries writes to no ledger"

    with metered(meter):
        awaited(lost)
    assert counted == [1]
    assert names == [threading.current_thread().name]


def test_who_comes_after_the_thread_left_writes_for_himself() -> None:
    names: list[str] = []
    done = threading.Event()

    async def later() -> None:
        await asyncio.sleep(0.05)
        charge(about())
        done.set()

    async def leaves_a_task() -> asyncio.Task[None]:
        return asyncio.create_task(later())

    with metered(Meter(record=lambda _: names.append(threading.current_thread().name))):
        task = awaited(leaves_a_task)
        assert names == []
    assert done.wait(5)
    assert task.get_name()
    until = time.monotonic() + 5
    while not names and time.monotonic() < until:
        time.sleep(0.01)
    assert names == ["ragweft-network"]


def test_one_charge_that_cannot_be_written_loses_no_other() -> None:
    written: list[str] = []

    def note(charged: Charge) -> None:
        written.append(charged.purpose)
        if len(written) == 1:
            raise ProviderError("the ledger is locked", retryable=True)

    async def twice() -> None:
        charge(about())
        charge(about())

    with metered(Meter(record=note)) as meter, pytest.raises(ProviderError, match="locked"):
        awaited(twice)
    assert len(written) == meter.usage.calls == 2


def test_what_became_of_the_call_is_said_even_if_nothing_can_be_written(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def note(charged: Charge) -> None:
        raise RecipeError("the ledger is locked")

    meter = Meter(record=note)
    with pytest.raises(ReadTimeout), metered(meter), held()():
        raise ReadTimeout
    assert meter.usage.calls == 1
    assert "the ledger is locked" in caplog.text


def test_a_cap_holds_between_an_answer_and_its_charge() -> None:
    meter = Meter(max_usd=1.0)
    paid = Charge(model="acme:embed", purpose="query", tokens=10, usd=0.1)
    with meter.reserved(0.6, "acme:embed", estimate=lambda: paid):
        pass  # answered, and not yet charged
    with pytest.raises(BudgetExceeded), meter.reserved(0.6, "acme:embed", estimate=lambda: paid):
        pass
    meter.charge(paid)
    with meter.reserved(0.6, "acme:embed", estimate=lambda: paid):
        pass
    meter.charge(paid)
    assert meter.usage.usd == pytest.approx(0.2)
    with meter.reserved(0.8, "acme:embed"):
        pass
