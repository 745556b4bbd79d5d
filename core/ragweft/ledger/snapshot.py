"""One consistent state of the ledger, read by a search or by a follower that catches up."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import numpy as np
from sqlalchemy import Connection, RowMapping, bindparam, func, select

from ragweft.errors import IndexDamaged
from ragweft.ledger.database import first, in_batches
from ragweft.ledger.profile import newest_number, read_profile
from ragweft.ledger.schema import ALIVE, chunks, contexts, documents, metadatas
from ragweft.places import unpacked_places
from ragweft.types import Chunk, Document, Span, joined

if TYPE_CHECKING:
    from ragweft.ledger.profile import Profile
    from ragweft.types import Metadata, Rows, TokenIds

__all__ = ["Changes", "Inputs", "Snapshot", "StoredChunk", "StoredDocument"]


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredChunk:
    """A chunk with what the ledger knows besides."""

    row: int
    chunk: Chunk
    source: str | None
    title: str | None
    digest: bytes
    """Of what was embedded."""
    tokens: bytes | None


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredDocument:
    """A document with what the ledger knows besides."""

    document: Document
    whole: bool
    """False: it was given in chunks, and has no text of its own."""
    digest: bytes
    pipeline: str
    size: int | None
    mtime_ns: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Inputs:
    """What followers are fed with, one entry for each row."""

    rows: Rows
    digests: Sequence[bytes]
    """Of what was embedded."""
    contexts: Sequence[str]
    """"" for none."""
    own_texts: Sequence[str]
    """Without their contexts."""
    lasts: Sequence[bool]
    """Whether the context stands last."""

    @property
    def texts(self) -> list[str]:
        """The indexed texts: context and own text, as `Chunk.indexed_text` joins them."""
        parts = zip(self.contexts, self.own_texts, self.lasts, strict=True)
        return [joined(context, text, last=last) for context, text, last in parts]


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """What a follower at `since` must do to be at `generation`."""

    since: int
    generation: int
    added: Rows
    removed: Rows
    """Also rows that were born after `since`: an apply that was cut short may have brought them in."""
    held: int
    """How many of `removed` every follower at `since` holds."""

    @property
    def count(self) -> int:
        """Rows to add and to remove."""
        return len(self.added) + self.held


def _asked(column: Any) -> Any:
    """`column` among the integers bound as one JSON list: one parameter and one plan for any number of them."""
    return column.in_(select(func.json_each(bindparam("asked")).table_valued("value").c.value))


_own = chunks.alias()
_FACT = "SELECT value FROM facts WHERE name = ?"
_LIVE = select(chunks.c.row, chunks.c.metadata, chunks.c.document).where(
    _asked(chunks.c.row), chunks.c.died == ALIVE
)
_CHANGED_AROUND = (
    select(chunks.c.row)
    .where(
        chunks.c.document.in_(select(_own.c.document).where(_asked(_own.c.row))),
        (chunks.c.born > bindparam("since"))
        | ((chunks.c.died != ALIVE) & (chunks.c.died > bindparam("since"))),
    )
    .limit(1)
)
_TOKENS = select(chunks.c.row, chunks.c.tokens).where(_asked(chunks.c.row))
_HYDRATE = (
    select(
        chunks,
        contexts.c.text.label("context_text"),
        metadatas.c.json,
        documents.c.id.label("document_id"),
        documents.c.source,
        documents.c.title,
    )
    .join(contexts, contexts.c.id == chunks.c.context)
    .join(metadatas, metadatas.c.id == chunks.c.metadata)
    .join(documents, documents.c.key == chunks.c.document)
)
_HYDRATE_ROWS = _HYDRATE.where(_asked(chunks.c.row))
_MATCHING = select(chunks.c.row).where(_asked(chunks.c.metadata), chunks.c.died == ALIVE)
_INPUTS = (
    select(
        chunks.c.row,
        chunks.c.digest,
        chunks.c.text,
        chunks.c.context_last,
        contexts.c.text.label("context_text"),
    )
    .join(contexts, contexts.c.id == chunks.c.context)
    .where(_asked(chunks.c.row))
    .order_by(chunks.c.row)
)
_LIVING = "SELECT count(*) FROM chunks WHERE died = ?"
_EVER_BORN = "SELECT seq FROM sqlite_sequence WHERE name = 'chunks'"
_COMMITTED = "SELECT committed FROM journal WHERE generation = ?"
_DIGESTS = select(chunks.c.row, chunks.c.digest).where(_asked(chunks.c.row)).order_by(chunks.c.row)


class Moment(NamedTuple):
    """A commit. Its number alone is no name: a ledger restored from a backup gives the same numbers again."""

    generation: int
    committed: float
    """Seconds since 1970; 0: nothing had been committed yet."""


class Snapshot:
    """Reads of one transaction; valid only inside the `with` block of `Ledger.snapshot`."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.generation = int(self.fact("generation"))

    def fact(self, name: str) -> str:
        """A single value of the ledger."""
        found = first(self._connection, _FACT, (name,))
        if found is None:
            raise IndexDamaged(f"ledger.db: has no {name}; restore it from a backup or sync into a new index")
        return str(found[0])

    @cached_property
    def moment(self) -> Moment:
        """The last commit."""
        return self.moment_of(self.generation)

    def moment_of(self, generation: int) -> Moment:
        """The commit of that number."""
        return Moment(generation, (first(self._connection, _COMMITTED, (generation,)) or (0.0,))[0])

    @cached_property
    def edition(self) -> int:
        """How many times the index was made over by another recipe: tells its vector followers apart."""
        return int((first(self._connection, _FACT, ("edition",)) or (0,))[0])

    def live(self, rows: Sequence[int]) -> list[tuple[int, int, int]]:
        """Those of *rows* that are alive, each with the id of its metadata and the key of its document."""
        found = self._connection.execute(_LIVE, {"asked": json.dumps(list(rows))})
        return cast("list[tuple[int, int, int]]", found.all())

    def changed_around(self, rows: Sequence[int], *, since: int) -> int | None:
        """A row of one of the documents of *rows* that came or went after generation *since*; None for none."""
        asked = {"asked": json.dumps(list(rows)), "since": since}
        return self._connection.execute(_CHANGED_AROUND, asked).scalar()

    def tokens(self, rows: Sequence[int]) -> dict[int, TokenIds]:
        """The tokens of *rows* in the static table; rows without any are absent."""
        found = self._connection.execute(_TOKENS, {"asked": json.dumps(list(rows))}).all()
        return {row: np.frombuffer(raw, dtype="<i4") for row, raw in found if raw}

    def sample(self, most: int) -> list[int]:
        """All living rows, or about *most* of them at even distances; rising."""
        rows: list[int] = self.born_after(0).tolist()
        step = -(-len(rows) // most) if rows else 1
        return rows[::step]

    def alone(self, rows: Sequence[int]) -> set[int]:
        """Those of *rows* whose document has no other living chunk."""
        own = chunks.alias()
        others = select(chunks.c.row).where(
            chunks.c.document == own.c.document, chunks.c.died == ALIVE, chunks.c.row != own.c.row
        )
        query = select(own.c.row).where(_asked(own.c.row), ~others.exists())
        return set(self._connection.execute(query, {"asked": json.dumps(list(rows))}).scalars())

    @cached_property
    def profile_number(self) -> int:
        """Which profile is the newest; 0 for none."""
        return newest_number(self._connection)

    def profile(self) -> Profile | None:
        """The newest profile."""
        return read_profile(self._connection)

    def metadatas(self, *, after: int) -> Iterator[tuple[int, Metadata]]:
        """Distinct metadata stored after id *after*; it never changes, so a reader need not ask twice."""
        query = select(metadatas.c.id, metadatas.c.json).where(metadatas.c.id > after)
        for number, text in self._connection.execute(query.order_by(metadatas.c.id)):
            yield number, json.loads(text)

    def rows_with(self, metadata_ids: Sequence[int], *, limit: int) -> Rows:
        """Up to *limit* living rows whose metadata is one of *metadata_ids*, rising."""
        query = _MATCHING.limit(limit)
        found = self._connection.execute(query, {"asked": json.dumps(list(metadata_ids))}).scalars().all()
        return np.sort(np.array(found, dtype=np.int64))

    def hydrate(self, rows: Sequence[int]) -> dict[int, StoredChunk]:
        """The chunks of *rows*; rows that are gone are absent."""
        found = self._connection.execute(_HYDRATE_ROWS, {"asked": json.dumps(list(rows))}).mappings()
        return {row["row"]: _stored(row) for row in found}

    def chunks_of(self, document_id: str) -> list[StoredChunk]:
        """The living chunks of a document, in order."""
        query = _HYDRATE.where(documents.c.id == document_id, chunks.c.died == ALIVE)
        found = self._connection.execute(query.order_by(chunks.c.ordinal)).mappings()
        return [_stored(row) for row in found]

    def chunks_named(self, chunk_id: str) -> list[StoredChunk]:
        """The living chunks of that id; one, unless a caller gave two documents chunks of one name."""
        query = _HYDRATE.where(chunks.c.chunk_id == chunk_id, chunks.c.died == ALIVE)
        return [_stored(row) for row in self._connection.execute(query).mappings()]

    def document_keys(self, *, since: int, unless: Sequence[str] = ()) -> list[int]:
        """Numbers of the documents written after generation *since*, rising, but for pipelines *unless*."""
        query = select(documents.c.key).where(
            documents.c.generation > since, documents.c.pipeline.not_in(unless)
        )
        return list(self._connection.execute(query.order_by(documents.c.key)).scalars())

    def document(self, key: int) -> StoredDocument | None:
        """The document of that number; None if it is gone."""
        query = select(documents, metadatas.c.json).join(metadatas, metadatas.c.id == documents.c.metadata)
        row = self._connection.execute(query.where(documents.c.key == key)).mappings().one_or_none()
        if row is None:
            return None
        text = "" if row["text"] is None else zlib.decompress(row["text"]).decode("utf-8", "surrogatepass")
        return StoredDocument(
            document=Document(
                id=row["id"],
                text=text,
                metadata=json.loads(row["json"]),
                source=row["source"],
                title=row["title"],
                format=row["format"],
                places=None if row["places"] is None else unpacked_places(row["places"]),
            ),
            whole=row["text"] is not None,
            digest=row["digest"],
            pipeline=row["pipeline"],
            size=row["size"],
            mtime_ns=row["mtime_ns"],
        )

    def inputs(self, rows: Sequence[int]) -> Inputs:
        """For followers: those of *rows* that are still stored, rising, with what is indexed for each."""
        found = self._connection.execute(_INPUTS, {"asked": json.dumps(list(rows))}).all()
        return Inputs(
            rows=np.array([r.row for r in found], dtype=np.int64),
            digests=[r.digest for r in found],
            contexts=[r.context_text for r in found],
            own_texts=[r.text for r in found],
            lasts=[bool(r.context_last) for r in found],
        )

    def digests(self, rows: Sequence[int]) -> tuple[Rows, list[bytes]]:
        """Those of *rows* that are still stored, rising, with the digest of what was embedded for each."""
        found = self._connection.execute(_DIGESTS, {"asked": json.dumps(list(rows))}).all()
        return np.array([r.row for r in found], dtype=np.int64), [r.digest for r in found]

    def changes(self, since: int) -> Changes:
        """What happened after generation *since*, as rows."""
        died = select(chunks.c.row, chunks.c.born).where(chunks.c.died > since, chunks.c.died < ALIVE)
        gone = self._connection.execute(died).all()
        return Changes(
            since=since,
            generation=self.generation,
            added=self.born_after(since),
            removed=np.array([row.row for row in gone], dtype=np.int64),
            held=sum(row.born <= since for row in gone),
        )

    def born_after(self, generation: int) -> Rows:
        """Living rows born after *generation*, rising."""
        query = select(chunks.c.row).where(chunks.c.born > generation, chunks.c.died == ALIVE)
        # Sorted here: told to sort, SQLite reads the whole table in row order instead of the index on `born`.
        found = self._connection.execute(query).scalars().all()
        return np.sort(np.array(found, dtype=np.int64))

    def count_live(self) -> int:
        """Living rows."""
        return int(first(self._connection, _LIVING, (ALIVE,))[0])

    def ever_born(self) -> int:
        """Rows there ever were, the dead ones among them."""
        return int((first(self._connection, _EVER_BORN) or (0,))[0])

    def count_inputs(self, digests: Sequence[bytes]) -> int:
        """Living rows that were embedded from one of *digests*."""
        total = 0
        for some in in_batches(digests):
            counted = select(func.count()).select_from(chunks)
            query = counted.where(chunks.c.digest.in_(some), chunks.c.died == ALIVE)
            total += int(self._connection.execute(query).scalar_one())
        return total

    def count_documents(self) -> int:
        """Documents, also those without chunks."""
        return int(self._connection.execute(select(func.count()).select_from(documents)).scalar_one())

    def pipelines(self) -> dict[str, int]:
        """How many documents were cut and placed in which way; see `schema.documents`."""
        query = select(documents.c.pipeline, func.count()).group_by(documents.c.pipeline)
        return {pipeline: int(count) for pipeline, count in self._connection.execute(query)}


def _stored(row: RowMapping) -> StoredChunk:
    span = None if row["start"] is None else Span(start=row["start"], end=row["end"])
    lines = None if row["first_line"] is None else (row["first_line"], row["last_line"])
    chunk = Chunk(
        id=row["chunk_id"],
        document_id=row["document_id"],
        text=row["text"],
        ordinal=row["ordinal"],
        context=row["context_text"],
        context_last=bool(row["context_last"]),
        span=span,
        headings=tuple(json.loads(row["headings"])),
        lines=lines,
        place=None if row["first_place"] is None else (row["first_place"], row["last_place"]),
        metadata=json.loads(row["json"]),
    )
    return StoredChunk(
        row=row["row"],
        chunk=chunk,
        source=row["source"],
        title=row["title"],
        digest=row["digest"],
        tokens=row["tokens"],
    )
