"""contexts.db: every context a language model was paid for, what is missing, and batches that are under way.

A file of its own beside vectors.db: it is there only where a recipe asks for such contexts, and it is written
while calls are under way, one short transaction for each answer, so that a kill loses none; in vectors.db these
would make whoever writes vectors wait. Contexts belong to no vector space, either: another embedder finds them
as they are. What they are kept by, and when they fit, is said in `context.identity`.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import (
    Boolean,
    Column,
    Connection,
    Executable,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Row,
    String,
    Table,
    Text,
    UniqueConstraint,
    bindparam,
    delete,
    func,
    select,
    update,
)
from sqlalchemy.dialects.sqlite import insert

from ragweft.context.memory import Kept, Measure, Missing, OpenBatch, Pending
from ragweft.errors import IndexLocked
from ragweft.ledger.database import Database, in_batches

if TYPE_CHECKING:
    from ragweft.reports import BatchUnderWay

__all__ = ["CONTEXTS", "ContextStore"]

CONTEXTS = MetaData()

makers = Table(
    "makers",
    CONTEXTS,
    Column("id", Integer, primary_key=True),
    Column("name", String, nullable=False, unique=True),
)
"""Model, prompt and length: what decides a context besides its document."""

kept_contexts = Table(
    "contexts",
    CONTEXTS,
    Column("id", Integer, primary_key=True),
    Column("maker", Integer, ForeignKey("makers.id"), nullable=False),
    Column("document_id", String, nullable=False),
    Column("near", LargeBinary, nullable=False),
    Column("document", LargeBinary, nullable=False),
    Column("text", Text, nullable=False),
    Column("own", Text),
    Column("made", Float, nullable=False),
    UniqueConstraint("maker", "document_id", "near"),
)
"""`near` is the digest of the chunk and what stands around it, `document` that of the whole text it was made
from or last found to fit; `own` is JSON, the words that text does not hold, NULL where they are not known."""

Index("contexts_document", kept_contexts.c.maker, kept_contexts.c.document)

missing_contexts = Table(
    "missing",
    CONTEXTS,
    Column("maker", Integer, ForeignKey("makers.id"), primary_key=True),
    Column("document_id", String, primary_key=True),
    Column("near", LargeBinary, primary_key=True),
    Column("reason", Text, nullable=False),
    Column("tries", Integer, nullable=False),
    Column("last", Float, nullable=False),
)
"""Chunks that have kept their outline context, and why."""

measures = Table(
    "measures",
    CONTEXTS,
    Column("model", String, primary_key=True),
    Column("quarters", Float, nullable=False),
    Column("prompt", Integer, nullable=False),
    Column("output", Integer, nullable=False),
    Column("replies", Integer, nullable=False),
)
"""What the calls of a model came to, for estimates."""

batches = Table(
    "batches",
    CONTEXTS,
    Column("id", Integer, primary_key=True),
    Column("mark", String, nullable=False, unique=True),
    Column("model", String, nullable=False),
    Column("remote", String),
    Column("created", Float, nullable=False),
)
"""Batches handed over and not yet taken in; `remote` is NULL until the service's name for it is known."""

pendings = Table(
    "pending",
    CONTEXTS,
    Column("batch", Integer, ForeignKey("batches.id"), primary_key=True),
    Column("name", String, primary_key=True),
    Column("maker", Integer, ForeignKey("makers.id"), nullable=False),
    Column("document_id", String, nullable=False),
    Column("document", LargeBinary, nullable=False),
    Column("near", LargeBinary, nullable=False),
    Column("done", Boolean, nullable=False),
)
"""The prompts of these batches."""

_SUMS = ("quarters", "prompt", "output", "replies")
_FIND = select(kept_contexts).where(
    kept_contexts.c.maker == bindparam("maker"),
    kept_contexts.c.near.in_(bindparam("nears", expanding=True)),
    (kept_contexts.c.document_id == bindparam("document_id"))
    | (kept_contexts.c.document == bindparam("document")),
)


class ContextStore:
    """A `ContextMemory` in one SQLite file; safe to use from several threads, processes and after a fork."""

    def __init__(self, path: Path, *, read_only: bool = False) -> None:
        """Open *path*. A file that is not there is an empty one, made by the first that is kept in it.

        Raises:
            IndexDamaged: the file is not a database.
            IndexLocked: it cannot be written or shared.
        """
        self._path = path
        self._read_only = read_only
        self._lock = threading.Lock()
        self._database: Database | None = None
        self._found()

    def __len__(self) -> int:
        query = select(func.count()).select_from(kept_contexts)
        found = self._read(query, {})
        return int(found[0][0]) if found else 0

    def find(
        self, maker: str, *, document_id: str, document: bytes, nears: Sequence[bytes]
    ) -> dict[bytes, Kept]:
        """As `ContextMemory.find`."""
        number = self._known_maker(maker)
        found: dict[bytes, Kept] = {}
        if number is None:
            return found
        asked = {"maker": number, "document_id": document_id, "document": document}
        for batch in in_batches(list(dict.fromkeys(nears))):
            for row in self._read(_FIND, {**asked, "nears": batch}):
                if row.near not in found or row.document_id == document_id:
                    found[row.near] = Kept(
                        document_id=row.document_id,
                        near=row.near,
                        document=row.document,
                        text=row.text,
                        own=None if row.own is None else frozenset(json.loads(row.own)),
                    )
        return found

    def keep(self, maker: str, document_id: str, kept: Sequence[Kept]) -> None:
        """As `ContextMemory.keep`."""
        if kept:
            database = self._writing()
            with database.write() as connection:
                _keep(connection, _maker(connection, maker), document_id, kept)
            database.checkpoint()

    def note_missing(self, maker: str, document_id: str, reasons: Mapping[bytes, str]) -> None:
        """As `ContextMemory.note_missing`."""
        with self._writing().write() as connection:
            number = _maker(connection, maker)
            own = (missing_contexts.c.maker == number) & (missing_contexts.c.document_id == document_id)
            tries = {row.near: row.tries for row in connection.execute(select(missing_contexts).where(own))}
            connection.execute(delete(missing_contexts).where(own))
            rows = [
                {
                    "maker": number,
                    "document_id": document_id,
                    "near": near,
                    "reason": reason,
                    "tries": tries.get(near, 0) + 1,
                    "last": time.time(),
                }
                for near, reason in reasons.items()
            ]
            if rows:
                connection.execute(insert(missing_contexts), rows)

    def missing(self, maker: str) -> list[Missing]:
        """As `ContextMemory.missing`."""
        number = self._known_maker(maker)
        query = select(missing_contexts).where(missing_contexts.c.maker == number)
        rows = self._read(query, {}) if number is not None else []
        return [
            Missing(document_id=row.document_id, near=row.near, reason=row.reason, tries=row.tries)
            for row in rows
        ]

    def measure(self, model: str) -> Measure:
        """As `ContextMemory.measure`."""
        rows = self._read(select(measures).where(measures.c.model == model), {})
        return Measure(**{name: getattr(rows[0], name) for name in _SUMS}) if rows else Measure()

    def add_measure(self, model: str, more: Measure) -> None:
        """As `ContextMemory.add_measure`."""
        adding = insert(measures).values(model=model, **{name: getattr(more, name) for name in _SUMS})
        sums = {name: measures.c[name] + adding.excluded[name] for name in _SUMS}
        with self._writing().write() as connection:
            connection.execute(adding.on_conflict_do_update(index_elements=["model"], set_=sums))

    def open_batches(self, model: str) -> list[OpenBatch]:
        """As `ContextMemory.open_batches`."""
        rows = self._read(select(batches).where(batches.c.model == model).order_by(batches.c.id), {})
        return [
            OpenBatch(mark=row.mark, remote=row.remote, created=row.created, pending=self._pending(row.id))
            for row in rows
        ]

    def begin_batch(self, model: str, mark: str, pending: Sequence[Pending]) -> None:
        """As `ContextMemory.begin_batch`."""
        with self._writing().write() as connection:
            batch = insert(batches).values(mark=mark, model=model, remote=None, created=time.time())
            number = connection.execute(batch).lastrowid
            by = {maker: _maker(connection, maker) for maker in {one.maker for one in pending}}
            rows = [
                {
                    "batch": number,
                    "name": one.name,
                    "maker": by[one.maker],
                    "document_id": one.document_id,
                    "document": one.document,
                    "near": one.near,
                    "done": one.done,
                }
                for one in pending
            ]
            if rows:
                connection.execute(insert(pendings), rows)

    def name_batch(self, mark: str, remote: str) -> bool:
        """As `ContextMemory.name_batch`."""
        naming = update(batches).where(batches.c.mark == mark).values(remote=remote)
        with self._writing().write() as connection:
            return bool(connection.execute(naming).rowcount)

    def take_in(self, mark: str, name: str, kept: Kept | None) -> None:
        """As `ContextMemory.take_in`."""
        of_batch = pendings.c.batch == select(batches.c.id).where(batches.c.mark == mark).scalar_subquery()
        own = of_batch & (pendings.c.name == name)
        with self._writing().write() as connection:
            row = connection.execute(select(pendings).where(own)).first()
            if row is not None:
                connection.execute(update(pendings).where(own).values(done=True))
                if kept is not None:
                    _keep(connection, row.maker, row.document_id, [kept])

    def end_batch(self, mark: str) -> None:
        """As `ContextMemory.end_batch`."""
        with self._writing().write() as connection:
            number = connection.execute(select(batches.c.id).where(batches.c.mark == mark)).scalar()
            if number is not None:
                connection.execute(delete(pendings).where(pendings.c.batch == number))
                connection.execute(delete(batches).where(batches.c.id == number))

    def under_way(self) -> list[BatchUnderWay]:
        """Batches of every model that are not taken in yet, oldest first."""
        models = self._read(select(batches.c.model).distinct(), {})
        found = [batch.told(row.model) for row in models for batch in self.open_batches(row.model)]
        return sorted(found, key=lambda batch: batch.since)

    def close(self) -> None:
        """Close the file; idempotent."""
        if self._database is not None:
            self._database.close()

    def _pending(self, batch: int) -> dict[str, Pending]:
        query = (
            select(pendings, makers.c.name.label("maker_name"))
            .join(makers, makers.c.id == pendings.c.maker)
            .where(pendings.c.batch == batch)
        )
        return {
            row.name: Pending(
                name=row.name,
                maker=row.maker_name,
                document_id=row.document_id,
                document=row.document,
                near=row.near,
                done=bool(row.done),
            )
            for row in self._read(query, {})
        }

    def _known_maker(self, name: str) -> int | None:
        rows = self._read(select(makers.c.id).where(makers.c.name == name), {})
        return int(rows[0][0]) if rows else None

    def _writing(self) -> Database:
        if self._read_only:
            raise IndexLocked("contexts.db: the index is read-only; open it where it can be written")
        with self._lock:
            if self._database is None:
                self._database = Database(self._path, CONTEXTS)
            return self._database

    def _found(self) -> Database | None:
        """The file, if there is one by now."""
        if self._database is None:
            with self._lock:
                if self._database is None and self._path.exists():
                    self._database = Database(self._path, CONTEXTS, read_only=self._read_only)
        return self._database

    def _read(self, query: Executable, values: Mapping[str, Any]) -> list[Row[Any]]:
        database = self._found()
        if database is None:
            return []
        with database.read() as connection:
            return list(connection.execute(query, values).all())


def _maker(connection: Connection, name: str) -> int:
    connection.execute(insert(makers).values(name=name).on_conflict_do_nothing())
    return int(connection.execute(select(makers.c.id).where(makers.c.name == name)).scalar_one())


def _keep(connection: Connection, maker: int, document_id: str, kept: Sequence[Kept]) -> None:
    rows = [
        {
            "maker": maker,
            "document_id": document_id,
            "near": one.near,
            "document": one.document,
            "text": one.text,
            "own": None if one.own is None else json.dumps(sorted(one.own), ensure_ascii=False),
            "made": time.time(),
        }
        for one in kept
    ]
    adding = insert(kept_contexts)
    renewed = {name: adding.excluded[name] for name in ("document", "text", "own", "made")}
    connection.execute(
        adding.on_conflict_do_update(index_elements=["maker", "document_id", "near"], set_=renewed), rows
    )
