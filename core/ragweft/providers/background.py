"""A loop of ragweft's own, for those who block until a coroutine has ended.

A blocking call cannot be cut off: its thread would live on, with its connection, until the last byte has come.
A coroutine can, and every service's client has an asynchronous form. So there is one thread in a process,
whatever hangs, and nothing is left behind when somebody stops waiting.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import threading
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from ragweft.providers.metering import written_here
from ragweft.providers.owned import PerProcess

__all__ = ["abandoned", "awaited", "in_background", "released"]

T = TypeVar("T")
_MOMENT = 1.0


def awaited(begin: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """What the coroutine of *begin* returns, run on the loop in the background in the caller's context.

    It is cancelled when the caller is interrupted. What it is charged the caller writes down. Not to be called
    on that loop, which would wait for itself.
    """
    ended = threading.Event()

    async def whole() -> T:
        try:
            return await begin()
        finally:
            ended.set()

    with written_here():
        future = asyncio.run_coroutine_threadsafe(whole(), _LOOP.get())
        try:
            return future.result()
        except BaseException:
            if future.cancel():
                # A request that was cut off is charged when it is left.
                ended.wait(_MOMENT)
            raise


def released(close: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Have *close* let go of what was opened on the loop in the background; nothing, where there is none."""
    if _LOOP.peek() is not None:
        awaited(close)


def abandoned(close: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """As `released`, out of a finaliser: that may run anywhere, so no lock is taken, and the wait is short."""
    if (loop := _LOOP.peek()) is not None:
        future = asyncio.run_coroutine_threadsafe(close(), loop)
        if not in_background():
            concurrent.futures.wait([future], timeout=_MOMENT)


def in_background() -> bool:
    """Whether the caller runs on the loop in the background: others end whenever they like."""
    try:
        return asyncio.get_running_loop() is _LOOP.peek()
    except RuntimeError:
        return False


def _running() -> asyncio.AbstractEventLoop:
    loop = asyncio.new_event_loop()
    # A daemon: a program that ends does not wait for a service.
    threading.Thread(target=loop.run_forever, name="ragweft-network", daemon=True).start()
    return loop


_LOOP = PerProcess(_running)
"""Made by the first who blocks."""
