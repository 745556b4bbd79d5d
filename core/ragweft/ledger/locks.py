"""Locks between processes that survive a fork."""

from __future__ import annotations

import os
from pathlib import Path

from filelock import FileLock, Timeout

__all__ = ["FolderLock", "Timeout"]


_inherited: list[FileLock] = []


class FolderLock:
    """A file lock, reentrant per thread; held by the operating system, so a killed process lets go of it.

    A forked child starts without it: what its parent holds stays the parent's.
    """

    def __init__(self, path: Path, *, per_thread: bool = True) -> None:
        """*per_thread* False: whoever in this process took it, any thread may give it back."""
        self._path = path
        self._per_thread = per_thread
        self._pid = os.getpid()
        self._lock = FileLock(path, thread_local=per_thread)

    def acquire(self, seconds: float) -> None:
        """Wait up to *seconds* for the lock.

        Raises:
            Timeout: somebody else held it all the while.
        """
        self._own().acquire(timeout=seconds)

    def release(self) -> None:
        """Give the lock back; one release for each acquire."""
        self._own().release()

    def _own(self) -> FileLock:
        if self._pid != os.getpid():
            # Kept, not collected: some releases of filelock unlock in `__del__`, which would free the parent's.
            _inherited.append(self._lock)
            self._lock = FileLock(self._path, thread_local=self._per_thread)
            self._pid = os.getpid()
        return self._lock
