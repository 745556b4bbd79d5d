"""One SQLite file: how it is opened, shared by processes, survived across forks, and kept small.

WAL with `synchronous=FULL`: a commit is on disk when it returns, readers never wait for writers. Automatic
checkpoints are off; the caller checkpoints under the index's commit lock (see `Database.checkpoint`).
"""

from __future__ import annotations

import logging
import os
import shutil
import sqlite3
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar, cast

from sqlalchemy import Connection, Engine, MetaData, create_engine, event, text
from sqlalchemy.dialects.sqlite import dialect as sqlite_dialect
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.pool import QueuePool
from sqlalchemy.schema import CreateIndex, CreateTable

from ragweft.errors import IndexDamaged, IndexLocked, RagweftError

__all__ = ["MEMORY", "Database", "first", "if_there", "in_batches", "refuse_network_filesystem"]

T = TypeVar("T")
U = TypeVar("U")

_log = logging.getLogger(__name__)
MEMORY = Path(":memory:")
"""In the place of a file: nothing is on disk, and every process, also a forked child, has its own."""
_BUSY_SECONDS = 60.0
"""How long a statement waits for another process's lock; commits are serialised outside, so it rarely waits."""
_OPENING_SECONDS = 2.0
"""The least that is waited for while a connection is opened, which may wait for another one's first."""
_POOL_SECONDS = 30.0
"""The most that a thread waits for one of its process's own connections."""
_CHECKPOINT_BYTES = 64 * 2**20
_BATCH = 500
"""Values asked for in one statement; SQLite takes 32,766 parameters, larger batches are no faster."""
_NETWORK = frozenset(
    {
        "nfs",
        "nfs3",
        "nfs4",
        "cifs",
        "smb",
        "smb2",
        "smb3",
        "smbfs",
        "afs",
        "davfs",
        "fuse.sshfs",
        "fuse.davfs2",
    }
)

# Engines inherited through fork. Closing an inherited SQLite handle in a child could checkpoint or unlink files
# its parent still uses, so a child only forgets them: they are kept here, never closed.
_inherited: list[Engine] = []


class Database:
    """A SQLite file with the tables of *tables*. Safe to use from several threads and after a fork."""

    def __init__(
        self, path: Path, tables: MetaData, *, read_only: bool = False, patience: float = _BUSY_SECONDS
    ) -> None:
        """Open *path*, creating file and tables unless *read_only*.

        Whoever locks others out is waited for *patience* seconds, where a transaction says nothing else.

        Raises:
            IndexDamaged: the file is not a database or lacks its tables.
            IndexLocked: it lies where it cannot be written or shared.
        """
        self._path = path
        self._tables = tables
        self._read_only = read_only
        self._patience = patience
        self._scratch: tempfile.TemporaryDirectory[str] | None = None
        self._guard = threading.Lock()
        self._pid = os.getpid()
        self._engine = self._make_engine()
        try:
            if read_only:
                self._refuse_older()
            else:
                with self.write(patience=max(patience, _OPENING_SECONDS)) as connection:
                    tables.create_all(connection)
                    _add_columns(connection, tables)
        except BaseException:
            self.close()
            raise

    def _refuse_older(self) -> None:
        """Say that a column is missing where it cannot be added."""
        with self.read() as connection:
            lacking = next(_missing(connection, self._tables), None)
        if lacking:
            raise IndexLocked(
                f"{self._path.parent}: an older ragweft made the index ({self._path.name} has no {lacking}), "
                "and it is read-only; open it once where it can be written"
            )

    @contextmanager
    def read(self, *, patience: float | None = None) -> Iterator[Connection]:
        """A read transaction: one consistent state of the file until it ends.

        Whoever locks others out is waited for *patience* seconds; None: as the database was opened.
        """
        with self._begin("BEGIN", patience) as connection:
            yield connection

    @contextmanager
    def write(self, *, patience: float | None = None) -> Iterator[Connection]:
        """A write transaction: committed, durable, when the block ends; rolled back if it raises.

        Another writer is waited for *patience* seconds; None: as the database was opened.
        """
        if self._read_only:
            raise IndexLocked(f"{self._path.parent}: the index is read-only; open it where it can be written")
        with self._begin("BEGIN IMMEDIATE", patience) as connection:
            yield connection

    def checkpoint(self, *, force: bool = False) -> None:
        """Fold the log into the file when it has grown past 64 MB, or at once if *force*.

        Call it under the commit lock. A reader that still needs the log makes it a shorter one, not an error.
        """
        log = self._path.with_name(self._path.name + "-wal")
        size = log.stat().st_size if log.exists() else 0
        if self._read_only or not size or (size < _CHECKPOINT_BYTES and not force):
            return
        with self._live_engine().connect() as connection:
            # Waiting for readers would hold up every other writer: try once, the next caller tries again.
            connection.exec_driver_sql("PRAGMA busy_timeout=100")
            try:
                connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
            except DBAPIError as error:
                # What was committed is in the log and stays there; only its length is at stake.
                _log.warning("%s: the log could not be folded in: %s", self._path, error.orig)
            finally:
                connection.exec_driver_sql(_timeout(self._patience))
                connection.rollback()

    def close(self) -> None:
        """Close every connection; the last one anywhere folds the log into the file. Idempotent."""
        with self._guard:
            if self._pid == os.getpid():
                self._engine.dispose()
            if self._scratch is not None:
                self._scratch.cleanup()
                self._scratch = None

    @contextmanager
    def _begin(self, statement: str, patience: float | None) -> Iterator[Connection]:
        patience = self._patience if patience is None else patience
        try:
            with self._live_engine().connect() as connection, self._waiting(connection, patience):
                driver = _driver(connection)
                driver.execute(statement)
                try:
                    yield connection
                    driver.execute("COMMIT")
                except BaseException:
                    # SQLAlchemy drops a connection that was interrupted (and with it the transaction), and a
                    # full disk may have rolled back already.
                    if not connection.invalidated and connection.connection.in_transaction:
                        connection.exec_driver_sql("ROLLBACK")
                    raise
        except (DBAPIError, sqlite3.Error) as error:
            raise _explained(error, self._path, patience) from error
        except PoolTimeout as error:
            raise IndexLocked(
                f"{self._path}: every connection has been in use for too long; try again"
            ) from error

    @contextmanager
    def _waiting(self, connection: Connection, patience: float) -> Iterator[None]:
        """Have *connection*, which goes back to its pool, wait for locks no longer than that."""
        if patience == self._patience:
            yield
            return
        connection.exec_driver_sql(_timeout(patience))
        try:
            yield
        finally:
            if not connection.invalidated:
                connection.exec_driver_sql(_timeout(self._patience))

    def _live_engine(self) -> Engine:
        if self._pid != os.getpid():
            with self._guard:
                if self._pid != os.getpid():
                    _inherited.append(self._engine)
                    self._engine = self._make_engine()
                    self._pid = os.getpid()
        return self._engine

    def _make_engine(self) -> Engine:
        # More connections than threads that search at once: a pool that runs dry would make them wait. What is
        # in memory is in one connection, and all wait for it.
        size, more = (1, 0) if self._path == MEMORY else (8, 64)
        engine = create_engine(
            "sqlite://",
            creator=self._connect,
            poolclass=QueuePool,
            pool_size=size,
            max_overflow=more,
            pool_timeout=min(_POOL_SECONDS, max(self._patience, _OPENING_SECONDS)),
        )

        # The driver must not open transactions of its own: `_begin` says when one starts and of what kind.
        @event.listens_for(engine, "connect")
        def _manual(connection: sqlite3.Connection, _record: object) -> None:
            connection.isolation_level = None
            if self._path == MEMORY:
                # What a lost connection, or a parent's, held is gone: there are only its tables.
                connection.executescript(_script(self._tables))

        return engine

    def _connect(self) -> sqlite3.Connection:
        if self._read_only:
            return self._connect_read_only()
        opening = max(self._patience, _OPENING_SECONDS)
        connection = sqlite3.connect(self._path, timeout=opening, check_same_thread=False)
        try:
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=FULL")
            connection.execute("PRAGMA wal_autocheckpoint=0")
            connection.execute("PRAGMA cache_size=-16000")
            connection.execute("PRAGMA mmap_size=268435456")
            connection.execute(_timeout(self._patience))
        except sqlite3.Error:
            connection.close()
            raise
        return connection

    def _connect_read_only(self) -> sqlite3.Connection:
        path = self._path
        if os.access(path.parent, os.W_OK):
            # Somebody may be writing: share the log with them, so that their commits are seen.
            uri = f"{path.resolve().as_uri()}?mode=rw"
            connection = sqlite3.connect(uri, uri=True, timeout=_BUSY_SECONDS, check_same_thread=False)
            connection.execute("PRAGMA query_only=ON")
            return connection
        log = path.with_name(path.name + "-wal")
        if log.exists() and log.stat().st_size:
            # `immutable` would not look into the log, where the latest commits are: read a copy of both.
            if self._scratch is None:
                self._scratch = tempfile.TemporaryDirectory(prefix="ragweft-")
                for file in (path, log):
                    shutil.copyfile(file, Path(self._scratch.name) / file.name)
            copy = Path(self._scratch.name) / path.name
            return sqlite3.connect(copy, timeout=_BUSY_SECONDS, check_same_thread=False)
        uri = f"{path.resolve().as_uri()}?mode=ro&immutable=1"
        return sqlite3.connect(uri, uri=True, timeout=_BUSY_SECONDS, check_same_thread=False)


def _timeout(seconds: float) -> str:
    return f"PRAGMA busy_timeout={int(seconds * 1000)}"


def _script(tables: MetaData) -> str:
    """What makes *tables*, and their indexes, in an empty database."""
    dialect = sqlite_dialect()
    made: list[CreateTable | CreateIndex] = []
    for table in tables.sorted_tables:
        made += [
            CreateTable(table),
            *map(CreateIndex, sorted(table.indexes, key=lambda index: str(index.name))),
        ]
    return ";".join(str(one.compile(dialect=dialect)) for one in made)


def _add_columns(connection: Connection, tables: MetaData) -> None:
    """Give a file that an older ragweft made the columns it lacks; they may all be empty."""
    for name in list(_missing(connection, tables)):
        table, _, column = name.partition(".")
        kind = tables.tables[table].columns[column].type.compile(connection.dialect)
        connection.exec_driver_sql(f'ALTER TABLE {table} ADD COLUMN "{column}" {kind}')


def _missing(connection: Connection, tables: MetaData) -> Iterator[str]:
    """Columns that an older ragweft did not know, as `table.column`."""
    for table in tables.sorted_tables:
        there = {row.name for row in connection.exec_driver_sql(f"PRAGMA table_info({table.name})")}
        if there:
            yield from (f"{table.name}.{column.name}" for column in table.columns if column.name not in there)


def first(connection: Connection, query: str, asked: Sequence[Any] = ()) -> Any:
    """The first row of *query*, or None. By the driver: SQLAlchemy takes ten times as long for a small read."""
    return _driver(connection).execute(query, asked).fetchone()


def _driver(connection: Connection) -> sqlite3.Connection:
    return cast("sqlite3.Connection", connection.connection.dbapi_connection)


def if_there(read: Callable[[], T], absent: U) -> T | U:
    """What *read* finds in a table that an older ragweft did not make; *absent* where it did not."""
    try:
        return read()
    except (OperationalError, sqlite3.OperationalError) as error:
        if "no such table" in str(error):
            return absent
        raise


def in_batches(values: Sequence[T]) -> Iterator[Sequence[T]]:
    """*values* in as many at a time as one `IN` takes."""
    for start in range(0, len(values), _BATCH):
        yield values[start : start + _BATCH]


def refuse_network_filesystem(folder: Path) -> None:
    """SQLite's locks do not hold on network file systems: refuse to keep an index there.

    Raises:
        IndexLocked: *folder* is mounted from another machine (checked where /proc/mounts exists).
    """
    mounts = Path("/proc/mounts")
    if not mounts.exists():
        return
    folder = folder.resolve()
    best, kind = 0, ""
    for line in mounts.read_text(encoding="utf-8", errors="replace").splitlines():
        fields = line.split(" ")
        point = Path(fields[1].replace("\\040", " "))
        if folder.is_relative_to(point) and len(point.parts) > best:
            best, kind = len(point.parts), fields[2]
    if kind in _NETWORK:
        raise IndexLocked(f"{folder}: lies on a network file system ({kind}); keep the index on a local disk")


def _explained(error: DBAPIError | sqlite3.Error, path: Path, patience: float) -> RagweftError:
    reason = error.orig if isinstance(error, DBAPIError) else error
    said = str(reason).lower()
    if "full" in said:
        return IndexLocked(f"{path.parent}: the disk is full; what was acknowledged is kept, free some space")
    if "locked" in said or "busy" in said:
        return IndexLocked(f"{path}: held by another process for over {patience:g} s; try again")
    if "readonly" in said or "read-only" in said or "unable to open" in said:
        return IndexLocked(f"{path}: cannot be written or opened ({reason}); check its permissions")
    return IndexDamaged(f"{path}: {reason}; restore it from a backup or sync into a new index")


def quick_check(database: Database) -> str:
    """SQLite's own verdict on the file: "ok", or the first fault found."""
    with database.read() as connection:
        return str(connection.execute(text("PRAGMA quick_check(1)")).scalar_one())
