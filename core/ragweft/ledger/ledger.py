"""The ledger: what is in the index, committed a batch of whole documents at a time.

`Ledger.commit` is the atomic point of ragweft. When it returns, its documents are acknowledged: on disk, and
seen by every search in every process that starts afterwards.
"""

from __future__ import annotations

import time
import uuid
import zlib
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import ColumnElement, Connection, bindparam, delete, func, select, update
from sqlalchemy.dialects.sqlite import insert

from ragweft.errors import IndexDamaged, IndexLocked, SpaceMismatch
from ragweft.ledger import schema
from ragweft.ledger.database import Database, in_batches, quick_check
from ragweft.ledger.locks import FolderLock, Timeout
from ragweft.ledger.schema import chunks, documents, facts, followers, profiles
from ragweft.ledger.snapshot import Snapshot
from ragweft.ledger.word_weights import WEIGHED
from ragweft.ledger.writer import Commit, DocumentState, Prepared, write_batch

__all__ = ["Ledger"]

_LOCK_SECONDS = 300.0
"""A commit holds the lock for at most a few seconds; waiting longer means its holder hangs."""
_KEPT_SECONDS = 7 * 86_400.0
_JOURNAL_SLACK = 1_000
"""Dead rows kept beyond what followers need, so that caches can replay recent history."""


class Ledger:
    """ledger.db of one index."""

    def __init__(self, folder: Path, *, space: str, read_only: bool = False) -> None:
        """Open or create the ledger in *folder* for vectors of *space*.

        Raises:
            IndexDamaged: the file is unreadable or was written by a newer ragweft.
            IndexLocked: the folder cannot be written or shared.
        """
        self._folder = folder
        self._read_only = read_only
        self._database = Database(folder / "ledger.db", schema.LEDGER, read_only=read_only)
        self._lock = FolderLock(folder / "commit.lock")
        try:
            if not read_only:
                self._create(space)
            with self.snapshot() as snapshot:
                version = int(snapshot.fact("schema"))
                self.uuid = snapshot.fact("uuid")
                self.space = snapshot.fact("space")
                self.edition = snapshot.edition
            if version != schema.SCHEMA_VERSION:
                raise IndexDamaged(
                    f"{folder}: written by another ragweft (ledger format {version}, this one reads "
                    f"{schema.SCHEMA_VERSION}); upgrade ragweft or sync into a new index"
                )
        except BaseException:
            self._database.close()
            raise

    @contextmanager
    def snapshot(self) -> Iterator[Snapshot]:
        """One consistent state, up to date as of now."""
        with self._database.read() as connection:
            yield Snapshot(connection)

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        """Hold the commit lock of the index: one process and one thread at a time.

        Raises:
            IndexLocked: another process held it for five minutes.
        """
        try:
            self._lock.acquire(_LOCK_SECONDS)
        except Timeout:
            held = f"another process has been committing for {_LOCK_SECONDS:.0f} s"
            raise IndexLocked(f"{self._folder}: {held}; end it or try again") from None
        try:
            yield
        finally:
            self._lock.release()

    def synced_under(self, uri: str) -> dict[str, DocumentState]:
        """Documents a sync read from *uri* or from below it, by source; those a program gave are left out."""
        return self._states(_under(uri) & documents.c.size.is_not(None))

    def pipelines_under(self, uri: str) -> set[str]:
        """How the documents are marked that a sync of *uri* would look at, or write over.

        The latter are files that a program loaded and gave: a sync calls them by the same id.
        """
        d = documents.c
        query = select(d.pipeline).where(_under(uri) & (d.size.is_not(None) | (d.id == d.source))).distinct()
        with self._database.read() as connection:
            return set(connection.execute(query).scalars())

    def ids_under(self, uri: str) -> list[str]:
        """Ids of all documents whose source is *uri* or lies below it."""
        with self._database.read() as connection:
            return list(connection.execute(select(documents.c.id).where(_under(uri))).scalars())

    def states_of(self, ids: Sequence[str]) -> dict[str, DocumentState]:
        """Documents by id; unknown ids are absent."""
        found: dict[str, DocumentState] = {}
        for some in in_batches(ids):
            found |= self._states(documents.c.id.in_(some), by="id")
        return found

    def commit(
        self,
        prepared: Sequence[Prepared],
        *,
        removed: Iterable[str] = (),
        unless_since: int | None = None,
        numbers: Collection[int] = (),
        kind: str,
    ) -> Commit:
        """Write whole documents and forget others, in one transaction.

        Forgotten are the documents with ids *removed*, and the chunks whose metadata is one of *numbers*, with
        documents left without any. Documents written after generation *unless_since* are spared: whoever wrote
        them knew better. *kind* ("sync", "add", "remove") is noted in the journal. A commit that
        changes nothing a search could see leaves the generation as it is.

        Raises:
            LoadError: chunks were given for a document that was given whole.
            SpaceMismatch: the index was made over meanwhile.
        """
        with self.exclusive():
            with self._database.write() as connection:
                self._check_edition(connection)
                commit = write_batch(
                    connection, prepared, removed=removed, unless_since=unless_since, numbers=numbers, kind=kind
                )
            self._database.checkpoint()
        return commit

    def touch(self, states: Sequence[DocumentState]) -> None:
        """Note new sizes and times of files whose content proved unchanged and was not replaced meanwhile."""
        query = (
            update(documents)
            .where(documents.c.id == bindparam("b_id"), documents.c.digest == bindparam("b_digest"))
            .values(size=bindparam("b_size"), mtime_ns=bindparam("b_mtime"))
        )
        rows = [{"b_id": s.id, "b_digest": s.digest, "b_size": s.size, "b_mtime": s.mtime_ns} for s in states]
        if rows:
            with self.exclusive(), self._database.write() as connection:
                connection.execute(query, rows)

    def adopt(self, space: str) -> bool:
        """Take vectors of *space* from now on, if nothing was ever committed; whether that is so."""
        if self._read_only:
            return False
        with self.exclusive(), self._database.write() as connection:
            generation = connection.execute(select(facts.c.value).where(facts.c.name == "generation"))
            if generation.scalar_one() != "0":
                return False
            connection.execute(update(facts).where(facts.c.name == "space").values(value=space))
        self.space = space
        return True

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A read transaction, for what no search sees."""
        with self._database.read() as connection:
            yield connection

    def change(self, write: Callable[[Connection], None], *, lasting: bool = False) -> None:
        """Have *write* change what no search sees directly, in one transaction.

        *lasting* is what stays true when the index is made over, such as what was paid.

        Raises:
            SpaceMismatch: the index was made over meanwhile, and the change is not *lasting*.
        """
        with self.exclusive(), self._database.write() as connection:
            if not lasting:
                self._check_edition(connection)
            write(connection)

    def remake(
        self,
        rewritten: Callable[[Snapshot], Iterable[Sequence[Prepared]]],
        *,
        upto: int,
        space: str,
        recipe: str,
    ) -> bool:
        """Put every document of *rewritten* in the place of what it was, and go over to *space*, in one step.

        False, and nothing is done, if a document was written after generation *upto*: it has to be prepared
        first. *recipe* is the ragweft.toml of the index as it is then; see `opening` for how it gets there.

        Raises:
            SpaceMismatch: the index was made over meanwhile.
        """
        with self.exclusive():
            with self._database.write() as connection:
                self._check_edition(connection)
                snapshot = Snapshot(connection)
                if snapshot.document_keys(since=upto):
                    return False
                for batch in rewritten(snapshot):
                    write_batch(connection, batch, kind="reindex")
                told = {"space": space, "edition": str(self.edition + 1), "recipe": recipe}
                for name, value in told.items():
                    replacing = insert(facts).values(name=name, value=value)
                    replacing = replacing.on_conflict_do_update(index_elements=["name"], set_={"value": value})
                    connection.execute(replacing)
                # Vector followers of an edition lie apart.
                connection.execute(delete(followers).where(followers.c.name != "lexical"))
                if space != self.space:  # what was learned of one model is not true of another
                    connection.execute(update(profiles).values(tuning=None))
                    connection.execute(delete(facts).where(facts.c.name == WEIGHED))
            self._database.checkpoint()
        return True

    def moved_on(self) -> bool:
        """Whether the index was made over since it was opened here."""
        # Asked by every verb: one statement, for it takes a part of every search.
        with self._database.read() as connection:
            found = connection.exec_driver_sql("SELECT value FROM facts WHERE name = 'edition'").scalar()
        return int(found or 0) != self.edition

    def text_of(self, document_id: str) -> str | None:
        """A document's whole text; None if it is unknown or was given in chunks."""
        query = select(documents.c.text).where(documents.c.id == document_id)
        with self._database.read() as connection:
            raw = connection.execute(query).scalar_one_or_none()
        return None if raw is None else zlib.decompress(raw).decode("utf-8", "surrogatepass")

    def report(self, applied: Mapping[str, int]) -> None:
        """Note how far each follower has come, then shorten the journal behind the slowest of them.

        Dead rows every follower has dropped are deleted, all but the latest thousand.
        """
        if self._read_only or not applied:
            return
        rows = [{"name": name, "applied": g, "seen": time.time()} for name, g in applied.items()]
        with self.exclusive(), self._database.write() as connection:
            if Snapshot(connection).edition != self.edition:
                return  # these followers serve nobody any more
            # A follower nobody has kept for a week does not hold the journal up.
            connection.execute(delete(followers).where(followers.c.seen < time.time() - _KEPT_SECONDS))
            replacing = insert(followers)
            replacing = replacing.on_conflict_do_update(
                index_elements=["name"],
                set_={"applied": replacing.excluded.applied, "seen": replacing.excluded.seen},
            )
            connection.execute(replacing, rows)
            slowest = connection.execute(select(func.min(followers.c.applied))).scalar_one()
            dead = select(chunks.c.died).where(chunks.c.died <= slowest)
            oldest = dead.order_by(chunks.c.died.desc()).limit(1).offset(_JOURNAL_SLACK)
            floor = connection.execute(oldest).scalar()
            if floor is not None:
                connection.execute(delete(chunks).where(chunks.c.died <= floor))
                connection.execute(update(facts).where(facts.c.name == "floor").values(value=str(floor)))

    def follower_generations(self) -> dict[str, int]:
        """What the followers last reported."""
        with self._database.read() as connection:
            reported = connection.execute(select(followers.c.name, followers.c.applied))
            return {r.name: r.applied for r in reported}

    def check(self) -> str:
        """SQLite's verdict on the file: "ok" or the first fault."""
        return quick_check(self._database)

    def close(self) -> None:
        """Close the file; the last process to do so folds the log into it. Idempotent."""
        self._database.close()

    def _create(self, space: str) -> None:
        rows = [
            {"name": "uuid", "value": uuid.uuid4().hex},
            {"name": "schema", "value": str(schema.SCHEMA_VERSION)},
            {"name": "generation", "value": "0"},
            {"name": "floor", "value": "0"},
            {"name": "space", "value": space},
        ]
        with self.exclusive(), self._database.write() as connection:
            connection.execute(insert(facts).on_conflict_do_nothing(), rows)

    def _check_edition(self, connection: Connection) -> None:
        snapshot = Snapshot(connection)
        if snapshot.edition != self.edition:
            raise SpaceMismatch(
                f"{self._folder}: was made over for {snapshot.fact('space')} meanwhile, opened here with "
                f"{self.space}; open it again"
            )

    def _states(self, condition: Any, *, by: str = "source") -> dict[str, DocumentState]:
        d = documents.c
        query = select(d.id, d.source, d.generation, d.digest, d.pipeline, d.size, d.mtime_ns).where(condition)
        with self._database.read() as connection:
            return {
                getattr(r, by): DocumentState(
                    id=r.id,
                    generation=r.generation,
                    digest=r.digest,
                    pipeline=r.pipeline,
                    size=r.size,
                    mtime_ns=r.mtime_ns,
                )
                for r in connection.execute(query)
            }


def _under(uri: str) -> ColumnElement[bool]:
    folder = uri.rstrip("/")
    below = documents.c.source.between(f"{folder}/", f"{folder}/\U0010ffff")
    return (documents.c.source == folder) | below
