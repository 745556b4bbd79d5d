"""The file the cache lies in: nobody waits long for it, and it may go, or be damaged, while it is in use.

SQLite goes on with a file that was deleted or replaced, for itself alone: numbers of entries would mean other
entries to the next connection. So whoever comes looks whether the file is still the one that was opened.
"""

from __future__ import annotations

import logging
import os
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import FileLock, Timeout
from sqlalchemy.exc import DBAPIError

from ragweft.caching.schema import CACHE
from ragweft.errors import IndexDamaged, IndexLocked
from ragweft.ledger.database import MEMORY, Database

if TYPE_CHECKING:
    from sqlalchemy import Connection

__all__ = ["PATIENT", "QUICK", "CacheFile", "set_aside"]

_log = logging.getLogger(__name__)
QUICK = 0.25
"""Seconds a lookup waits for another process's lock: it is a miss then."""
PATIENT = 2.0
"""Seconds that whoever stores waits: what it took to make an answer is longer."""
_BEYOND_USE = ("malformed", "not a database", "no such table", "no such column")


class CacheFile:
    """Transactions in one file. Safe to use from many threads, processes, and after a fork."""

    def __init__(self, path: Path) -> None:
        """Open *path*, creating it; `MEMORY`: nothing is on disk.

        Raises:
            IndexDamaged: the file is not a database.
            IndexLocked: it cannot be written or shared.
        """
        self.path = path
        self.edition = 0
        """Counts how often it began anew: numbers of entries from before mean nothing since."""
        # A forked child would inherit a lock as it was, held by a thread that it does not have.
        self._locks: dict[int, threading.Lock] = {}
        self._database = Database(path, CACHE, patience=QUICK)
        self._opened = _identity(path)
        self._closed = False

    @property
    def shared(self) -> bool:
        """Whether other processes see it."""
        return self.path != MEMORY

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A read transaction.

        Raises:
            IndexDamaged: the file is damaged, or an entry in it; a file beyond use is set aside.
            IndexLocked: it is locked, or cannot be opened.
        """
        database = self._present()
        with self._watched(database), database.read() as connection:
            yield connection

    @contextmanager
    def write(self, *, patience: float = QUICK) -> Iterator[Connection]:
        """A write transaction; another writer is waited for *patience* seconds. Raises as `read`."""
        database = self._present()
        with self._watched(database), database.write(patience=patience) as connection:
            yield connection

    def checkpoint(self) -> None:
        """Fold the log into the file when it has grown long."""
        self._database.checkpoint()

    def close(self) -> None:
        """Close the file; idempotent."""
        self._closed = True
        self._database.close()

    def _present(self) -> Database:
        """The database in the file that is there now."""
        if self._closed:
            raise IndexLocked(f"{self.path.name}: the cache was closed with its index")
        if not self.shared or _identity(self.path) == self._opened:
            return self._database
        with self._lock():
            if _identity(self.path) != self._opened:
                _log.warning(
                    "%s: was deleted or replaced while in use; the cache goes on with what is there", self.path
                )
                self._reopen()
        return self._database

    @contextmanager
    def _watched(self, database: Database) -> Iterator[None]:
        try:
            yield
        except IndexDamaged as error:
            if self.shared and _beyond_use(error):
                self._begin_anew(database, error)
            raise

    def _begin_anew(self, damaged: Database, error: IndexDamaged) -> None:
        with self._lock():
            if self._database is not damaged:
                return
            try:
                # Two that set aside at once would take away each other's new file.
                with FileLock(f"{self.path}.lock", timeout=QUICK):
                    if _identity(self.path) == self._opened:
                        damaged.close()  # or Windows would not let it be renamed
                        set_aside(self.path, error)
                self._reopen()
            except (OSError, Timeout, IndexDamaged, IndexLocked) as also:
                _log.warning("%s: cannot begin anew yet: %s", self.path, also)

    def _reopen(self) -> None:
        before = self._database
        self._database = Database(self.path, CACHE, patience=QUICK)
        self._opened = _identity(self.path)
        self.edition += 1
        before.close()

    def _lock(self) -> threading.Lock:
        return self._locks.setdefault(os.getpid(), threading.Lock())


def set_aside(path: Path, error: IndexDamaged) -> None:
    """Give a damaged file another name, and with it the way free for a new one.

    Raises:
        OSError: it cannot be renamed.
    """
    aside = path.with_name(f"{path.name}.damaged")
    _log.warning("the cache begins anew, what it was is now %s: %s", aside, error)
    path.replace(aside)
    for log in ("-wal", "-shm"):
        path.with_name(path.name + log).unlink(missing_ok=True)


def _identity(path: Path) -> tuple[int, int] | None:
    """Which file that is; None if there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _beyond_use(error: IndexDamaged) -> bool:
    """Whether the file itself is damaged, not one entry, and not the disk."""
    cause = error.__cause__
    reason = cause.orig if isinstance(cause, DBAPIError) else cause
    return isinstance(reason, sqlite3.Error) and any(said in str(reason).lower() for said in _BEYOND_USE)
