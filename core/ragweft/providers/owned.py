"""What belongs to one event loop or to one process, and is of no use, or does harm, in another."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable
from typing import Generic, TypeVar

__all__ = ["PerLoop", "PerProcess"]

T = TypeVar("T")


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
            for key, (other, _) in list(self._held.items()):
                if other.is_closed():
                    self._held.pop(key, None)
            found = self._held[id(loop)] = (loop, self._make())
        return found[1]

    def peek(self) -> T | None:
        """The running loop's own; None if there is none."""
        found = self._held.get(id(asyncio.get_running_loop()))
        return found[1] if found is not None else None

    def pop(self) -> T | None:
        """The running loop's own, forgotten; None if there is none."""
        found = self._held.pop(id(asyncio.get_running_loop()), None)
        return found[1] if found is not None else None


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
