"""One policy for every service: how often, how long and how many at once it is asked.

The SDKs' own retries are switched off: they differ in what they retry, ignore what the service asks for, and
cannot see a budget. Waiting is `tenacity`'s business; what is worth waiting for is `failures`'.
"""

from __future__ import annotations

import asyncio
import re
import threading
import time
import weakref
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, NoReturn, TypeVar

from ragweft.errors import ProviderError, RagweftError
from ragweft.providers.failures import Failure, failure_of, scrubbed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tenacity import RetryCallState

__all__ = ["DOCUMENTS", "QUERIES", "Caller", "PerLoop", "Policy", "TooLong"]

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


_UNREADABLE = (LookupError, TypeError, AttributeError, ValueError)
"""What SDKs, and the wires around them, stumble with over an answer of another shape."""
_KEY = re.compile(r"api.?key", re.IGNORECASE)
"""Gemini refuses a wrong key with 400."""

DOCUMENTS = Policy(attempts=8, seconds=300.0, timeout=120.0)
"""A sync can wait: rate limits pass within a minute or two."""
QUERIES = Policy(attempts=3, seconds=8.0, timeout=8.0, first_wait=0.2, longest_wait=2.0)
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
        self._held: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, T] = weakref.WeakKeyDictionary()

    def get(self) -> T:
        """The running loop's own."""
        loop = asyncio.get_running_loop()
        if loop not in self._held:
            self._held[loop] = self._make()
        return self._held[loop]

    def pop(self) -> T | None:
        """The running loop's own, forgotten; None if there is none."""
        return self._held.pop(asyncio.get_running_loop(), None)


class _Again(Exception):
    """Worth another try."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.message)
        self.failure = failure


class Caller:
    """Calls one service for one account: retries, waits for all when told to, limits how many are under way."""

    def __init__(self, service: str, *, secrets: Sequence[str] = (), at_once: int = 4) -> None:
        """*service* names it in errors; *secrets* never appear in them; at most *at_once* calls at a time."""
        self._service = service
        self._secrets = tuple(secrets)
        self._slots = threading.BoundedSemaphore(at_once)
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
    ) -> T:
        """What *send* returns, tried again as *policy* allows; *holding* is entered for every try.

        Raises:
            TooLong: the service will not take so much at once.
            ProviderError: it failed, and waiting longer is not allowed or would not help.
        """
        from tenacity import Retrying

        for attempt in Retrying(**self._rules(policy), sleep=time.sleep):
            with attempt:
                time.sleep(self._to_wait())
                with self._slots, holding():
                    try:
                        return send()
                    except (RagweftError, TooLong):
                        raise
                    except Exception as error:  # noqa: BLE001  # judged, and raised again as one kind or another
                        self._judge(error)
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

        async for attempt in AsyncRetrying(**self._rules(policy), sleep=asyncio.sleep):
            with attempt:
                await asyncio.sleep(self._to_wait())
                async with self._loop_slots.get():
                    with holding():
                        try:
                            return await send()
                        except (RagweftError, TooLong):
                            raise
                        except Exception as error:  # noqa: BLE001  # as in `call`
                            self._judge(error)
        raise AssertionError("tenacity ends with a result or an error")

    def refused(self, failure: Failure) -> ProviderError:
        """*failure* as the error a user sees."""
        said = scrubbed(failure.message, self._secrets)
        status = f"{failure.status}: " if failure.status is not None else ""
        advice = _advice(failure)
        return ProviderError(f"{self._service}: {status}{said}; {advice}", retryable=failure.retryable)

    def _judge(self, error: Exception) -> NoReturn:
        failure = failure_of(error)
        if failure is None:
            if not isinstance(error, _UNREADABLE):
                raise error
            said = scrubbed(f"{type(error).__name__}: {error}", self._secrets)
            raise ProviderError(
                f"{self._service}: its answer could not be read ({said}); try again", retryable=True
            ) from error
        if failure.status == 429 or failure.retry_after:
            # The limit is the account's: whoever else calls would only meet it too.
            with self._lock:
                wait = failure.retry_after or 0.0
                self._not_before = max(self._not_before, time.monotonic() + wait)
        if failure.retryable:
            raise _Again(failure) from error
        if failure.too_long:
            raise TooLong(self.refused(failure)) from error
        raise self.refused(failure) from error

    def _to_wait(self) -> float:
        with self._lock:
            return max(0.0, self._not_before - time.monotonic())

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
            failure = _failure(state)
            raise self.refused(failure) from (state.outcome.exception() if state.outcome else None)

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
