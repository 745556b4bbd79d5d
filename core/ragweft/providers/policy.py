"""One policy for every service: how often, how long and how many at once it is asked.

The SDKs' own retries are switched off: they differ in what they retry, ignore what the service asks for, and
cannot see a budget. Waiting is `tenacity`'s business; what is worth waiting for is `failures`'.
"""

from __future__ import annotations

import asyncio
import os
import re
import threading
import time
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, NoReturn, TypeVar

from ragweft.errors import ProviderError, RagweftError
from ragweft.providers.failures import Failure, failure_of, scrubbed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tenacity import RetryCallState

__all__ = ["DOCUMENTS", "QUERIES", "Caller", "Interrupted", "PerLoop", "PerProcess", "Policy", "TooLong"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """How patient one kind of call is."""

    attempts: int
    """Calls in all, at most."""
    seconds: float
    """From the first call to the last retry, at most; what a service asks to wait is included."""
    timeout: float
    """Of one call."""
    first_wait: float = 0.5
    """Mean of the first wait; doubled each time, with full jitter (Brooker, "Exponential Backoff And Jitter",
    AWS Architecture Blog, 2015)."""
    longest_wait: float = 30.0
    urgent: bool = False
    """Whether somebody waits for the answer."""


_UNREADABLE = (LookupError, TypeError, AttributeError, ValueError)
"""What SDKs, and the wires around them, stumble with over an answer of another shape."""
_KEY = re.compile(r"api.?key", re.IGNORECASE)
"""Gemini refuses a wrong key with 400."""

DOCUMENTS = Policy(attempts=8, seconds=300.0, timeout=120.0)
"""A sync can wait: rate limits pass within a minute or two."""
QUERIES = Policy(attempts=3, seconds=8.0, timeout=8.0, first_wait=0.2, longest_wait=2.0, urgent=True)
"""A person waits: after that the other leg answers alone."""


class TooLong(Exception):
    """A service refused its input as too long or too many; the caller sends less at once."""

    def __init__(self, refused: ProviderError) -> None:
        super().__init__(str(refused))
        self.refused = refused
        """What to raise where there is no less to send."""


class PerLoop(Generic[T]):
    """One object for every running event loop: clients and semaphores belong to the loop they were made in."""

    def __init__(self, make: Callable[[], T]) -> None:
        self._make = make
        self._held: dict[int, tuple[asyncio.AbstractEventLoop, T]] = {}

    def get(self) -> T:
        """The running loop's own."""
        loop = asyncio.get_running_loop()
        found = self._held.get(id(loop))
        if found is None or found[0] is not loop:
            # What belongs to a loop that has ended cannot be closed any more, only let go of.
            self._held = {key: pair for key, pair in self._held.items() if not pair[0].is_closed()}
            found = self._held[id(loop)] = (loop, self._make())
        return found[1]

    def pop(self) -> T | None:
        """The running loop's own, forgotten; None if there is none."""
        found = self._held.pop(id(asyncio.get_running_loop()), None)
        return found[1] if found is not None else None

    def clear(self) -> None:
        """Forget all of them."""
        self._held = {}


class PerProcess(Generic[T]):
    """One object for every process, made at first use: a forked child never writes to its parent's sockets."""

    def __init__(self, make: Callable[[], T]) -> None:
        self._make = make
        self._pid = 0
        self._held: T | None = None
        self._lock = threading.Lock()
        self._inherited: list[T] = []

    def get(self) -> T:
        """The one of the running process."""
        if self._pid != os.getpid():
            # The parent's lock may have been held when it forked. Its object is its own: kept, never closed.
            if self._held is not None:
                self._inherited.append(self._held)
            self._lock, self._held, self._pid = threading.Lock(), None, os.getpid()
        with self._lock:
            if self._held is None:
                self._held = self._make()
            return self._held

    def peek(self) -> T | None:
        """The one of the running process, if it was made."""
        return self._held if self._pid == os.getpid() else None


class Interrupted(Exception):
    """A job was told to stop while it waited to try again."""


class _Again(Exception):
    """Worth another try."""

    def __init__(self, failure: Failure) -> None:
        super().__init__("worth another try")
        self.failure = failure


class Caller:
    """Calls one service for one account: retries, waits for all when told to, limits how many are under way."""

    def __init__(self, service: str, *, secrets: Sequence[str] = (), at_once: int = 4) -> None:
        """*service* names it in errors; *secrets* never appear in them; at most *at_once* calls at a time.

        Queries do not queue behind documents: each kind has so many slots.
        """
        self._service = service
        self._secrets = tuple(secret for secret in secrets if secret)
        self._slots = {True: threading.BoundedSemaphore(at_once), False: threading.BoundedSemaphore(at_once)}
        self._loop_slots = PerLoop(lambda: asyncio.Semaphore(at_once))
        self._lock = threading.Lock()
        self._not_before = 0.0
        self.at_once = at_once

    def call(
        self,
        send: Callable[[], T],
        policy: Policy,
        *,
        holding: Callable[[], AbstractContextManager[None]] = nullcontext,
        stop: threading.Event | None = None,
    ) -> T:
        """What *send* returns, tried again as *policy* allows; *holding* is entered for every try.

        Raises:
            TooLong: the service will not take so much at once.
            Interrupted: *stop* was set while it waited.
            ProviderError: it failed, and waiting longer is not allowed or would not help.
        """
        from tenacity import Retrying

        def sleep(seconds: float) -> None:
            if stop is None:
                time.sleep(seconds)
            elif stop.wait(seconds):
                raise Interrupted

        started = time.monotonic()
        for attempt in Retrying(**self._rules(policy), sleep=sleep):
            with attempt:
                sleep(self._wait_within(policy, started))
                with self._slots[policy.urgent], holding():
                    try:
                        return send()
                    except (RagweftError, TooLong):
                        raise
                    except Exception as error:  # noqa: BLE001  # judged, and raised again as one kind or another
                        judged = self._judged(error)
                        raise judged from judged.__cause__
        raise AssertionError("tenacity ends with a result or an error")

    async def acall(
        self,
        send: Callable[[], Awaitable[T]],
        policy: Policy,
        *,
        holding: Callable[[], AbstractContextManager[None]] = nullcontext,
    ) -> T:
        """As `call`, without blocking the running loop."""
        from tenacity import AsyncRetrying

        started = time.monotonic()
        async for attempt in AsyncRetrying(**self._rules(policy), sleep=asyncio.sleep):
            with attempt:
                await asyncio.sleep(self._wait_within(policy, started))
                async with self._loop_slots.get():
                    with holding():
                        try:
                            return await send()
                        except (RagweftError, TooLong):
                            raise
                        except Exception as error:  # noqa: BLE001  # as in `call`
                            judged = self._judged(error)
                            raise judged from judged.__cause__
        raise AssertionError("tenacity ends with a result or an error")

    def refused(self, failure: Failure) -> ProviderError:
        """*failure* as the error a user sees."""
        said = scrubbed(failure.message, self._secrets)
        status = f"{failure.status}: " if failure.status is not None else ""
        advice = _advice(failure)
        return ProviderError(f"{self._service}: {status}{said}; {advice}", retryable=failure.retryable)

    def _judged(self, error: Exception) -> Exception:
        """What to raise for *error*. Its cause is a stand-in: SDKs' own errors show keys in a traceback."""
        failure = failure_of(error)
        told = scrubbed(f"{type(error).__name__}: {error}", self._secrets)
        judged: Exception
        if failure is None:
            if not isinstance(error, _UNREADABLE):
                return error
            said = f"{self._service}: its answer could not be read ({told}); try again"
            judged = ProviderError(said, retryable=True)
        elif failure.retryable:
            if failure.status == 429 or failure.retry_after:
                # The limit is the account's: whoever else calls would only meet it too.
                with self._lock:
                    wait = failure.retry_after or 0.0
                    self._not_before = max(self._not_before, time.monotonic() + wait)
            judged = _Again(failure)
        elif failure.too_long:
            judged = TooLong(self.refused(failure))
        else:
            judged = self.refused(failure)
        judged.__cause__ = ProviderError(told, retryable=False)
        return judged

    def _wait_within(self, policy: Policy, started: float) -> float:
        """Seconds until the service may be called again.

        Raises:
            ProviderError: that is longer than *policy* waits.
        """
        with self._lock:
            wait = max(0.0, self._not_before - time.monotonic())
        if time.monotonic() + wait - started > policy.seconds:
            raise ProviderError(
                f"{self._service}: it asked not to be called for another {wait:.0f} s; try again later",
                retryable=True,
            )
        return wait

    def _rules(self, policy: Policy) -> dict[str, Any]:
        from tenacity import retry_if_exception_type, stop_after_attempt, wait_random_exponential

        jittered = wait_random_exponential(multiplier=policy.first_wait, max=policy.longest_wait)
        tried = stop_after_attempt(policy.attempts)

        def wait(state: RetryCallState) -> float:
            asked = _failure(state).retry_after
            return float(jittered(state)) if asked is None else asked

        def stop(state: RetryCallState) -> bool:
            spent = time.monotonic() - state.start_time
            return bool(tried(state)) or spent + (_failure(state).retry_after or 0.0) > policy.seconds

        def give_up(state: RetryCallState) -> NoReturn:
            last = state.outcome.exception() if state.outcome else None
            raise self.refused(_failure(state)) from (last.__cause__ if last else None)

        return {
            "retry": retry_if_exception_type(_Again),
            "wait": wait,
            "stop": stop,
            "retry_error_callback": give_up,
        }


def _failure(state: RetryCallState) -> Failure:
    error = state.outcome.exception() if state.outcome is not None else None
    return error.failure if isinstance(error, _Again) else Failure(status=None, message="no answer")


def _advice(failure: Failure) -> str:
    if failure.status in (401, 403) or (failure.status == 400 and _KEY.search(failure.message)):
        return "check the key and what it may do"
    if failure.status == 404:
        return "check the model's name and the address"
    if failure.status == 429:
        return "the rate limit or quota is reached: try again later, or raise it at the provider"
    if failure.status is None and not failure.timed_out:
        return "check the network and the address, then try again"
    return "try again later" if failure.retryable else "mend the request and try again"
