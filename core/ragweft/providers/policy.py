"""One policy for every service: how often, how long and how many at once it is asked.

The SDKs' own retries are switched off: they differ in what they retry, ignore what the service asks for, and
cannot see a budget. Waiting is `tenacity`'s business; what is worth waiting for is `failures`'.

Their time-outs are no bound either: most count from one byte to the next, and start anew with every try. So a
call somebody waits for is a coroutine, which can be cut off wherever it is, and lets go of its connection then;
`background` runs it for those who block.
"""

from __future__ import annotations

import asyncio
import re
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

from ragweft.errors import ProviderError, RagweftError
from ragweft.providers.accounts import Account, account_of
from ragweft.providers.failures import Failure, failure_of, proxy_before, scrubbed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tenacity import RetryCallState

__all__ = [
    "DOCUMENTS",
    "QUERIES",
    "Caller",
    "Deadline",
    "Interrupted",
    "Policy",
    "TooLong",
    "caller_of",
]

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """How patient one kind of call is."""

    attempts: int
    """Calls in all, at most."""
    seconds: float
    """What a service asks to wait is included. `Caller.acall` is cut off after so long, wherever it is;
    `Caller.call` begins no other try."""
    timeout: float
    """What an SDK is told for one call; to most of them, from one byte to the next."""
    first_wait: float = 0.5
    """Mean of the first wait; doubled each time, with full jitter (Brooker, "Exponential Backoff And Jitter",
    AWS Architecture Blog, 2015)."""
    longest_wait: float = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Deadline:
    """Until when somebody waits: one for all the calls a question takes."""

    seconds: float
    """In all."""
    begun: float = field(default_factory=time.monotonic)

    @property
    def left(self) -> float:
        """Seconds from now; 0 when it has passed."""
        return max(0.0, self.begun + self.seconds - time.monotonic())


_UNREADABLE = (LookupError, TypeError, AttributeError, ValueError)
"""What SDKs, and the wires around them, stumble with over an answer of another shape."""
_KEY = re.compile(r"api.?key", re.IGNORECASE)
"""Gemini refuses a wrong key with 400."""

DOCUMENTS = Policy(attempts=8, seconds=300.0, timeout=120.0)
"""A sync can wait: rate limits pass within a minute or two."""
QUERIES = Policy(attempts=3, seconds=8.0, timeout=8.0, first_wait=0.2, longest_wait=2.0)
"""A person waits: after that the other leg answers alone."""

_KNOCKS = (0.3, 0.7, 1.5)
"""Seconds before each further try where nobody has ever listened: a service may be starting just now."""


class TooLong(Exception):
    """A service refused its input as too long or too many; the caller sends less at once."""

    def __init__(self, refused: ProviderError) -> None:
        super().__init__(str(refused))
        self.refused = refused
        """What to raise where there is no less to send."""


class Interrupted(Exception):
    """A job was told to stop while it waited to try again."""


class _Again(Exception):
    """Worth another try, after so many seconds."""

    def __init__(self, failure: Failure, wait: float) -> None:
        super().__init__("worth another try")
        self.failure = failure
        self.wait = wait


def caller_of(service: str, *, model: str, base_url: str, key: str, at_once: int = 4) -> Caller:
    """Calls *model* with *key*, sharing the account that it opens; see `Caller`."""
    return Caller(
        service,
        secrets=(key,),
        at_once=at_once,
        account=account_of(service, base_url=base_url, key=key, at_once=at_once),
        model=model,
        base_url=base_url,
    )


class Caller:
    """Calls one model of a service: retries, waits for all when told to, limits how many are under way."""

    def __init__(
        self,
        service: str,
        *,
        secrets: Sequence[str] = (),
        at_once: int = 4,
        account: Account | None = None,
        model: str = "",
        base_url: str = "",
    ) -> None:
        """*service* names it in errors; *secrets* never appear in them; at most *at_once* calls at a time.

        Whoever shares an *account* (None: one of its own) shares its places, and the pauses of *model*. Queries
        do not queue behind documents: `acall` has places of its own in every loop. *base_url*: where the user
        says that the service is, "" if he does not.
        """
        self._service = service
        self._secrets = tuple(secret for secret in secrets if secret)
        self._account = account or Account(at_once)
        self._model = model
        self._base_url = base_url
        self._met = False
        """Somebody has answered, whatever was said."""
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

        *holding* is left by whatever *send* raised, before it is judged. For work that can wait: a try that was
        begun is waited for, however long it takes.

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

        deadline = Deadline(seconds=policy.seconds)
        for attempt in Retrying(**self._rules(policy, deadline, waits=True), sleep=sleep):
            with attempt:
                while True:
                    sleep(self._wait_within(deadline))
                    with self._account.places:
                        # Whoever was before it may have met a limit meanwhile.
                        if not self._wait_within(deadline):
                            with self._judging(policy, attempt.retry_state, waits=True), holding():
                                found = send()
                            self._met = True
                            return found
        raise AssertionError("tenacity ends with a result or an error")

    async def acall(
        self,
        send: Callable[[], Awaitable[T]],
        policy: Policy,
        *,
        deadline: Deadline | None = None,
        holding: Callable[[], AbstractContextManager[None]] = nullcontext,
    ) -> T:
        """As `call`, but cut off at *deadline*, which calls may share; None: after the seconds of *policy*.

        For work that somebody waits for: connecting, tries, waits and the reading of an answer all count.

        Raises:
            TooLong: as `call`.
            ProviderError: as `call`, or the time is up.
        """
        from tenacity import AsyncRetrying

        until = deadline or Deadline(seconds=policy.seconds)
        failed: list[Failure] = []
        rules = self._rules(policy, until)
        try:
            async with asyncio.timeout(until.left):
                async for attempt in AsyncRetrying(
                    **rules, sleep=asyncio.sleep, before_sleep=lambda state: failed.append(_failure(state))
                ):
                    with attempt:
                        while True:
                            await asyncio.sleep(self._wait_within(until))
                            async with self._account.loop_places:
                                if not self._wait_within(until):
                                    with self._judging(policy, attempt.retry_state), holding():
                                        found = await send()
                                    self._met = True
                                    return found
        except TimeoutError:
            raise self._overrun(until, failed) from None
        raise AssertionError("tenacity ends with a result or an error")

    def refused(self, failure: Failure, *, waits: bool = False) -> ProviderError:
        """*failure* as the error a user sees; *waits*: of work that was given the time for it to pass."""
        said = scrubbed(failure.message, self._secrets)
        status = f"{failure.status}: " if failure.status is not None else ""
        if failure.nobody and not self._met:
            said = self._unanswered(failure.nobody)
            return ProviderError(f"{self._service}: {said}", retryable=failure.retryable and not waits)
        advice = _advice(failure)
        return ProviderError(f"{self._service}: {status}{said}; {advice}", retryable=failure.retryable)

    def _unanswered(self, address: str) -> str:
        """That nobody listens at *address*, and what to do."""
        proxy = proxy_before(address)
        if proxy is not None:
            where, variable = proxy
            return (
                f"the proxy {where} does not answer, on the way to {address}; "
                f"see to {variable}, or name the host in NO_PROXY"
            )
        if self._service == "ollama":
            advice = "is Ollama running? Start it with  ollama serve  , or set base_url to where it is"
        elif self._base_url:
            advice = "is the server running, and is base_url where it is?"
        else:
            advice = "check the network, then try again"
        return f"nothing answers at {address}; {advice}"

    def _overrun(self, deadline: Deadline, failed: Sequence[Failure]) -> ProviderError:
        said = f"no answer within {deadline.seconds:g} s"
        if failed:
            status = f"{failed[-1].status}: " if failed[-1].status is not None else ""
            said += f" (before that, {status}{failed[-1].message})"
        return self.refused(Failure(status=None, message=said, timed_out=True))

    @contextmanager
    def _judging(self, policy: Policy, state: RetryCallState, *, waits: bool = False) -> Iterator[None]:
        """*waits*: there is time for many tries, and so to say after a few that nobody will ever answer."""
        try:
            yield
        except (RagweftError, TooLong):
            raise
        except Exception as error:  # noqa: BLE001  # judged, and raised again as one kind or another
            judged = self._judged(error, policy, state, waits=waits)
            raise judged from judged.__cause__

    def _judged(self, error: Exception, policy: Policy, state: RetryCallState, *, waits: bool) -> Exception:
        """What to raise for *error*. Its cause is a stand-in: SDKs' own errors show keys in a traceback."""
        failure = failure_of(error)
        told = scrubbed(f"{type(error).__name__}: {error}", self._secrets)
        judged: Exception
        self._met = self._met or (failure is not None and failure.status is not None)
        if failure is None:
            if not isinstance(error, _UNREADABLE):
                return error
            said = f"{self._service}: its answer could not be read ({told}); try again"
            judged = ProviderError(said, retryable=True)
        elif failure.nobody and waits and not self._met:
            tried = state.attempt_number
            knocks = tried <= len(_KNOCKS)
            judged = _Again(failure, _KNOCKS[tried - 1]) if knocks else self.refused(failure, waits=True)
        elif failure.retryable:
            by_service = failure.retry_after is not None
            wait = failure.retry_after if failure.retry_after is not None else _backoff(policy, state)
            if failure.status == 429 or failure.retry_after:
                # The limit is the account's: whoever else calls would only meet it too.
                self._account.pause(self._model, wait, told=by_service)
            judged = _Again(failure, wait)
        elif failure.too_long:
            judged = TooLong(self.refused(failure))
        else:
            judged = self.refused(failure)
        judged.__cause__ = ProviderError(told, retryable=False)
        return judged

    def _wait_within(self, deadline: Deadline) -> float:
        """Seconds until the service may be called again.

        Raises:
            ProviderError: the service said that it is after *deadline*.
        """
        told, guessed = self._account.waits(self._model)
        if told > deadline.left:
            raise ProviderError(
                f"{self._service}: it asked not to be called for another {told:.0f} s; try again later",
                retryable=True,
            )
        # Nobody gives up on a guess: who cannot wait for its end tries.
        return max(told, guessed if guessed < deadline.left else 0.0)

    def _rules(self, policy: Policy, deadline: Deadline, *, waits: bool = False) -> dict[str, Any]:
        from tenacity import retry_if_exception_type, stop_after_attempt

        tried = stop_after_attempt(policy.attempts)

        def wait(state: RetryCallState) -> float:
            error = state.outcome.exception() if state.outcome is not None else None
            return error.wait if isinstance(error, _Again) else 0.0

        def stop(state: RetryCallState) -> bool:
            return bool(tried(state)) or state.upcoming_sleep >= deadline.left

        def give_up(state: RetryCallState) -> NoReturn:
            last = state.outcome.exception() if state.outcome else None
            raise self.refused(_failure(state), waits=waits) from (last.__cause__ if last else None)

        return {
            "retry": retry_if_exception_type(_Again),
            "wait": wait,
            "stop": stop,
            "retry_error_callback": give_up,
        }


def _backoff(policy: Policy, state: RetryCallState) -> float:
    """Seconds to wait after a failure that names none."""
    from tenacity import wait_random_exponential

    return float(wait_random_exponential(multiplier=policy.first_wait, max=policy.longest_wait)(state))


def _failure(state: RetryCallState) -> Failure:
    error = state.outcome.exception() if state.outcome is not None else None
    return error.failure if isinstance(error, _Again) else Failure(status=None, message="no answer")


def _advice(failure: Failure) -> str:
    if failure.status in (401, 403) or (failure.status == 400 and _KEY.search(failure.message)):
        return "check the key and what it may do"
    if failure.status == 404:
        return "check the model's name and the address"
    if failure.daily:
        return "the quota of the day is used up: go on tomorrow, or raise it at the provider"
    if failure.permanent:
        return "the account has no money or quota left: see to it at the provider"
    if failure.status == 429:
        return "the rate limit or quota is reached: try again later, or raise it at the provider"
    if failure.status is None and not failure.timed_out:
        return "check the network and the address, then try again"
    return "try again later" if failure.retryable else "mend the request and try again"
