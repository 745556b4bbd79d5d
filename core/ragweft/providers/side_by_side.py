"""Several paid calls at a time, of which none is paid for nothing."""

from __future__ import annotations

import contextvars
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import TypeVar

from ragweft.errors import BudgetExceeded
from ragweft.providers.policy import Interrupted

__all__ = ["affordable", "side_by_side"]

T = TypeVar("T")
S = TypeVar("S")
_LOOK = 0.5
"""Seconds after which a waiting main thread looks whether it was interrupted; Windows would not tell it."""


def side_by_side(sends: Sequence[Callable[[threading.Event], T]], *, at_once: int) -> Iterator[tuple[int, T]]:
    """Place of each of *sends* and what it gave, as they come; each is given an event that ends its waits.

    When one fails, or Ctrl-C is pressed, no more are begun and none waits to try again. What is under way is
    still awaited and yielded before the error is raised, for it was paid for. A second Ctrl-C gives it up.
    """
    stop = threading.Event()
    waiting = iter(enumerate(sends))
    running: dict[Future[T], int] = {}
    error: BaseException | None = None
    pool = ThreadPoolExecutor(at_once, thread_name_prefix="ragweft-embed")
    try:
        while True:
            try:
                while error is None and len(running) < at_once:
                    number, send = next(waiting, (-1, None))
                    if send is None:
                        break
                    running[pool.submit(contextvars.copy_context().run, send, stop)] = number
                if not running:
                    break
                done, _ = wait(running, timeout=_LOOK, return_when=FIRST_COMPLETED)
            except KeyboardInterrupt as pressed:
                if error is not None:
                    raise
                error = pressed
                stop.set()
                continue
            for future in done:
                number = running.pop(future)
                try:
                    found = future.result()
                except Interrupted:
                    continue
                except Exception as raised:  # noqa: BLE001  # raised below, once what was paid for is kept
                    error = error or raised
                    stop.set()
                else:
                    yield number, found
    finally:
        stop.set()
        pool.shutdown(wait=False, cancel_futures=True)
    if error is not None:
        raise error


def affordable(
    batches: Iterable[Sequence[S]], send: Callable[[Sequence[S]], T]
) -> Iterator[tuple[Sequence[S], T]]:
    """Each of *batches*, or part of one, and what *send* gave for it, one call at a time, while a cap lasts.

    What a call may cost is bounded from above before it is sent, and calls side by side are bounded together:
    near a cap one at a time may be sent where several may not, and half a batch where a whole one may not.

    Raises:
        BudgetExceeded: what is left is not enough for the next one by itself.
    """
    waiting = deque(batches)
    while waiting:
        batch = waiting.popleft()
        try:
            found = send(batch)
        except BudgetExceeded:
            if len(batch) < 2:
                raise
            middle = len(batch) // 2
            waiting.extendleft((batch[middle:], batch[:middle]))
            continue
        yield batch, found
