"""Texts in requests a service takes: what is over the window in parts, what is too much for it in halves."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, TypeAlias, TypeVar

import numpy as np

from ragweft.providers.failures import failure_of
from ragweft.providers.policy import TooLong
from ragweft.providers.windows import in_parts, joined

if TYPE_CHECKING:
    from ragweft.providers.policy import Caller, Deadline
    from ragweft.types import Vectors

__all__ = ["Portion", "Requests", "divisible", "requests"]

T = TypeVar("T")
_FAST = 0.25
"""Of the time a call may take: an answer that came sooner leaves room for twice the texts."""

Requests: TypeAlias = Generator[Sequence[str], "Vectors", "Vectors"]
"""Texts of one request after the other, each answered with their vectors or a `TooLong` raised there."""


class Portion:
    """How many texts go out at once: half after a time-out, twice as many again while answers come fast."""

    def __init__(self, most: int) -> None:
        self._most = self._now = most
        self._lock = threading.Lock()

    @property
    def now(self) -> int:
        """Texts of the next request, at most."""
        return self._now

    def learning(self, send: Callable[[], T], size: int, *, timeout: float) -> Callable[[], T]:
        """*send*, which asks for *size* texts within *timeout* seconds, with an eye on how long it takes."""

        def sent() -> T:
            begun = time.monotonic()
            try:
                answer = send()
            except Exception as error:
                failure = failure_of(error)
                if failure is not None and failure.timed_out:
                    with self._lock:
                        self._now = max(1, min(self._now, size // 2))
                raise
            if time.monotonic() - begun < timeout * _FAST and size >= self._now:
                with self._lock:
                    self._now = min(self._most, self._now * 2)
            return answer

        return sent


def divisible(
    holding: Callable[[], AbstractContextManager[None]], caller: Caller, *, until: Deadline
) -> Callable[[], AbstractContextManager[None]]:
    """*holding*, for calls that ask for several things: a time-out means that they are too many, until *until*.

    As they are they would most likely take too long again. A service that hangs is another matter, so there is
    an end to it. *holding* itself is left by the time-out as it was raised.
    """

    @contextmanager
    def held() -> Iterator[None]:
        try:
            with holding():
                yield
        except Exception as error:
            failure = failure_of(error)
            if failure is None or not failure.timed_out or not until.left:
                raise
            raise TooLong(caller.refused(failure)) from None

    return held


def requests(
    texts: Sequence[str],
    *,
    most: int,
    window: int | None,
    count: Callable[[str], int],
    noted: Callable[[str], None],
) -> Requests:
    """Asks for *most* texts at once, none over *window* by *count*, and returns a unit vector for each text.

    *noted* hears of every text that only the service found too long.

    Raises:
        ProviderError: the service finds a text too long that cannot be split any more.
    """

    def each(batches: Sequence[Sequence[str]]) -> Requests:
        found = []
        for batch in batches:
            vectors = yield from halved(batch)
            found.append(vectors)
        return np.concatenate(found)

    def halved(batch: Sequence[str]) -> Requests:
        """Unit vectors of *batch*; where it is too much for the service, of halves asked for one by one."""
        try:
            return (yield batch)
        except TooLong as error:
            refused = error
        if len(batch) > 1:
            middle = len(batch) // 2
            return (yield from each((batch[:middle], batch[middle:])))
        # The bound on its tokens was no bound for this tokenizer.
        (text,) = batch
        parts, sizes = in_parts(batch, window=max(1, count(text) * 2 // 3), count=count)
        if len(parts) == 1:
            raise refused.refused from refused.__cause__
        vectors = yield from each([[part] for part in parts])
        noted(text)
        return joined(vectors, parts, sizes, count=count)

    parts, sizes = in_parts(texts, window=window, count=count)
    vectors = yield from each([parts[start : start + most] for start in range(0, len(parts), most)])
    return joined(vectors, parts, sizes, count=count)
