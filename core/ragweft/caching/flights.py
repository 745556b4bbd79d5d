"""The same question, asked many times at once, is worked on once: by threads, coroutines and processes.

The others wait, look again, and find what was kept. Nobody waits who might be waited for: who is at an answer
itself, or stands in the thread of a running loop, and a thread does not wait for a coroutine. Every wait has a
bound. If the work fails, one of those who wait takes it over; if it gives nothing that is kept, they all work.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import os
import random
import threading
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, TypeVar
from weakref import WeakValueDictionary

from ragweft.caching.leases import Lease
from ragweft.flow import Flow, Step, arun, one, run

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ragweft.caching.hits import CacheHit, Looked
    from ragweft.caching.leases import Leases, Outcome

__all__ = ["WAIT", "Flights"]

T = TypeVar("T")

WAIT = 60.0
"""Seconds that others' work is waited for; about what a long answer of a large model takes."""
_FIRST_PAUSE = 0.02
_LONGEST_PAUSE = 0.5

_WORKING: ContextVar[bool] = ContextVar("ragweft_cache_working", default=False)
"""Whether an answer is being made here: who works waits for nobody, or two might wait for each other."""


@dataclass(slots=True, kw_only=True, weakref_slot=True)
class _Flight:
    """Work that is under way."""

    key: bytes
    awaited: bool
    """Whether a coroutine does it."""
    pid: int = field(default_factory=os.getpid)
    landed: Future[Outcome] = field(default_factory=Future)
    lease: Lease | None = None


@dataclass(slots=True, kw_only=True)
class _Sky:
    """What is under way in one process. What is lost with whoever did it is not waited for."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    flights: WeakValueDictionary[bytes, _Flight] = field(default_factory=WeakValueDictionary)


class Flights:
    """Work on the answers of one cache. Safe to use from many threads and loops, and after a fork."""

    def __init__(self, leases: Leases | None) -> None:
        """*leases*: how other processes are told; None: there are none."""
        self._leases = leases
        self._of: dict[int, _Sky] = {}

    def once(
        self,
        key: bytes | None,
        look: Callable[[], Looked],
        make: Callable[[], T],
        keep: Callable[[T], bool],
        *,
        told: Callable[[Looked], None],
        wait: float,
    ) -> CacheHit | T:
        """What *look* finds, else what *make* makes, by whoever comes first with *key*; None: by everybody.

        Args:
            key: the same for the same work.
            look: into the cache.
            make: the work.
            keep: puts it into the cache; whether it is there then.
            told: what was found in the end, before anything is made.
            wait: seconds that others are waited for at most.

        Raises:
            Exception: what the callables raise.
        """
        looked, flight = run(self._turn(key, look, told, awaited=False, wait=wait), None)
        if looked.hit is not None:
            return looked.hit
        with self._under_way(flight) as landed:
            made = make()
            landed(not looked.failed and keep(made))
        return made

    async def aonce(
        self,
        key: bytes | None,
        look: Callable[[], Looked],
        make: Callable[[], Awaitable[T]],
        keep: Callable[[T], bool],
        *,
        told: Callable[[Looked], None],
        wait: float,
    ) -> CacheHit | T:
        """As `once`, without blocking the running loop."""
        looked, flight = await arun(self._turn(key, look, told, awaited=True, wait=wait), None)
        if looked.hit is not None:
            return looked.hit
        with self._under_way(flight) as landed:
            made = await make()
            landed(not looked.failed and await asyncio.to_thread(keep, made))
        return made

    def _turn(
        self,
        key: bytes | None,
        look: Callable[[], Looked],
        told: Callable[[Looked], None],
        *,
        awaited: bool,
        wait: float,
    ) -> Flow[tuple[Looked, _Flight | None]]:
        """What there is, or leave to work: with a flight, if others are to wait for it."""
        looked = yield from one(Step(call=look))
        flight: _Flight | None = None
        try:
            if looked.hit is None and not looked.failed and key is not None:
                until = time.monotonic() + (wait if _may_wait(awaited=awaited) else 0.0)
                while True:
                    other, own = self._begin(key, awaited=awaited)
                    if own:
                        flight = other
                        looked = yield from self._leased(other, look, until)
                        break
                    left = until - time.monotonic()
                    if left <= 0 or (other.awaited and not awaited):
                        break
                    yield from one(_pause(left, until=other.landed))
                    if not other.landed.done() or other.landed.result() == "not kept":
                        break
                    looked = yield from one(Step(call=look))
                    if looked.hit is not None or looked.failed:
                        break
            yield from one(Step(call=partial(told, looked)))
        except BaseException:
            self._land(flight, "failed")
            raise
        if looked.hit is not None:
            self._land(flight, "kept")
            flight = None
        return looked, flight

    def _leased(self, flight: _Flight, look: Callable[[], Looked], until: float) -> Flow[Looked]:
        """What there is when no other process works on it any more, or too long."""
        if self._leases is not None:
            lease = flight.lease = Lease(key=flight.key)
            pause = _FIRST_PAUSE
            while (yield from one(Step(call=partial(self._leases.take, lease)))) == "theirs":
                left = until - time.monotonic()
                if left <= 0:
                    break
                yield from one(_pause(min(left, pause * random.uniform(0.5, 1.0))))  # noqa: S311
                pause = min(pause * 1.5, _LONGEST_PAUSE)
        # Another's work may have ended between the first look and now.
        return (yield from one(Step(call=look)))

    def _begin(self, key: bytes, *, awaited: bool) -> tuple[_Flight, bool]:
        """The flight for *key*, and whether it is the caller's own."""
        sky = self._sky()
        with sky.lock:
            other = sky.flights.get(key)
            if other is not None:
                return other, False
            own = sky.flights[key] = _Flight(key=key, awaited=awaited)
            own.landed.set_running_or_notify_cancel()  # nobody who waits for it can cancel it
            return own, True

    @contextmanager
    def _under_way(self, flight: _Flight | None) -> Iterator[Callable[[bool], None]]:
        """Work, and tell those who wait what became of it."""
        outcome: list[Outcome] = []
        working = _WORKING.set(True)
        try:
            yield lambda kept: outcome.append("kept" if kept else "not kept")
        finally:
            _WORKING.reset(working)
            self._land(flight, outcome[0] if outcome else "failed")

    def _land(self, flight: _Flight | None, outcome: Outcome) -> None:
        if flight is None or flight.pid != os.getpid():
            return
        sky = self._sky()
        with sky.lock:
            if sky.flights.get(flight.key) is flight:
                del sky.flights[flight.key]
        if not flight.landed.done():
            flight.landed.set_result(outcome)
        if self._leases is None or flight.lease is None:
            return
        release = partial(self._leases.release, flight.lease, outcome)
        try:
            asyncio.get_running_loop().run_in_executor(None, release)
        except RuntimeError:  # there is no loop, or it takes no more jobs
            release()

    def _sky(self) -> _Sky:
        # A forked child has none of the threads that fly, and locks frozen as they were.
        return self._of.setdefault(os.getpid(), _Sky())


def _may_wait(*, awaited: bool) -> bool:
    """Whether nobody can be waiting for the caller."""
    if _WORKING.get():
        return False
    if awaited:
        return True
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return True
    return False


def _pause(seconds: float, *, until: Future[Outcome] | None = None) -> Step[None]:
    """Waiting so long, or until that is done."""

    def wait() -> None:
        if until is None:
            time.sleep(seconds)
        else:
            concurrent.futures.wait([until], timeout=seconds)

    async def await_() -> None:
        if until is None:
            await asyncio.sleep(seconds)
        else:
            await asyncio.wait([asyncio.wrap_future(until)], timeout=seconds)

    return Step(call=wait, acall=await_)
