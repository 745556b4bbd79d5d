"""One commit of the ledger, inside its transaction."""

from __future__ import annotations

import json
import time
import zlib
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, RowMapping, Table, bindparam, delete, func, select, update
from sqlalchemy.dialects.sqlite import insert

from ragweft.errors import LoadError
from ragweft.ledger.database import in_batches
from ragweft.ledger.schema import ALIVE, chunks, contexts, documents, facts, journal, metadatas
from ragweft.places import packed_places
from ragweft.types import digest_of

if TYPE_CHECKING:
    from ragweft.types import Chunk, Document, Metadata

__all__ = ["Commit", "DocumentState", "Prepared", "write_batch"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """A document ready to be committed; the vectors of its chunks are already durable."""

    document: Document
    digest: bytes
    """Of text, title, format and metadata: an equal digest and pipeline means there is nothing to do."""
    pipeline: str
    chunks: Sequence[Chunk]
    sent: Sequence[str]
    """For each chunk the text that is embedded."""
    groups: Sequence[int]
    """How many chunks each stretch of them has that is embedded together; empty: each by itself."""
    inputs: Sequence[bytes]
    """For each chunk the digest of what its vector depends on."""
    tokens: Sequence[bytes]
    """Of each chunk's indexed text in the static table, little-endian int32."""
    joins: bool = False
    """Pre-chunked input: the chunks join those the document has, by id, and it has no text of its own."""
    size: int | None = None
    mtime_ns: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DocumentState:
    """What the ledger knows of a document before it is read again."""

    id: str
    generation: int
    """When it was last written."""
    digest: bytes
    pipeline: str
    size: int | None
    mtime_ns: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Commit:
    """What one commit did."""

    generation: int
    added: int
    updated: int
    removed: int
    rows_born: int
    rows_died: int
    unchanged: frozenset[str] = frozenset()
    """Ids of documents given in chunks that have these very chunks: they were left as they are."""

    @property
    def documents(self) -> int:
        """Documents written or forgotten."""
        return self.added + self.updated + self.removed


def write_batch(
    connection: Connection,
    prepared: Sequence[Prepared],
    *,
    removed: Iterable[str] = (),
    unless_since: int | None = None,
    numbers: Collection[int] = (),
    kind: str,
) -> Commit:
    """Replace the documents of *prepared*, forget those with ids *removed*, and count one generation on.

    Chunks whose metadata is one of *numbers* are forgotten too, with documents left without any; a document
    given whole goes with its first such chunk.

    Raises:
        LoadError: chunks were given for a document that was given whole.
    """
    return _Batch(connection, prepared, kind).write(removed, unless_since, numbers)


class _Batch:
    def __init__(self, connection: Connection, prepared: Sequence[Prepared], kind: str) -> None:
        self._connection = connection
        self._prepared = prepared
        self._kind = kind
        self._born = 0
        self._died = 0
        self._places: dict[str, int] = {}
        every = [chunk for item in prepared for chunk in item.chunks]
        owners = [item.document for item in prepared]
        self._contexts = self._intern(contexts, "text", {chunk.context for chunk in every})
        self._metadatas = self._intern(
            metadatas, "json", {_json(m) for m in (*(c.metadata for c in every), *(d.metadata for d in owners))}
        )

    def write(self, removed: Iterable[str], unless_since: int | None, numbers: Collection[int]) -> Commit:
        execute = self._connection.execute
        current = int(execute(select(facts.c.value).where(facts.c.name == "generation")).scalar_one())
        generation = current + 1
        ids = [item.document.id for item in self._prepared]
        known = self._keys(ids)
        self._refuse_mixtures(ids)
        unchanged = self._unchanged(known)
        if unchanged:
            self._prepared = [item for item in self._prepared if item.document.id not in unchanged]
            ids = [item.document.id for item in self._prepared]
            known = {name: key for name, key in known.items() if name not in unchanged}
        forgotten = self._keys(sorted(set(removed).difference(ids, unchanged)), unless_since)
        forgotten |= self._kill_by(numbers, generation)
        self._put_documents(known, generation)
        self._put_chunks(known, generation)
        for key in forgotten.values():
            self._kill(chunks.c.document == key, generation)
            execute(delete(documents).where(documents.c.key == key))
        touched = len(ids) + len(forgotten)
        if touched or self._died:
            execute(update(facts).where(facts.c.name == "generation").values(value=str(generation)))
            line = {"generation": generation, "committed": time.time(), "kind": self._kind}
            execute(insert(journal).values(**line, documents=touched, born=self._born, died=self._died))
        return Commit(
            generation=generation if touched or self._died else current,
            added=len(ids) - len(known),
            updated=len(known),
            removed=len(forgotten),
            rows_born=self._born,
            rows_died=self._died,
            unchanged=unchanged,
        )

    def _unchanged(self, known: Mapping[str, int]) -> frozenset[str]:
        """Ids of the documents whose chunks join those they are already."""
        found: set[str] = set()
        joining = {
            item.document.id: item for item in self._prepared if item.joins and item.document.id in known
        }
        for some in in_batches(list(joining)):
            query = select(documents.c.id, documents.c.digest, documents.c.pipeline).where(
                documents.c.id.in_(some)
            )
            for state in self._connection.execute(query):
                item = joining[state.id]
                if (state.digest, state.pipeline) == (item.digest, item.pipeline):
                    rows = [self._row(item, place, known[state.id], 0) for place in range(len(item.chunks))]
                    living = self._living(known[state.id])
                    _joined(rows, living)
                    if all(_identity(row) in living for row in rows):
                        found.add(state.id)
        return frozenset(found)

    def _kill_by(self, numbers: Collection[int], generation: int) -> dict[str, int]:
        """Kill the chunks of some metadata; the documents, by id, that have no chunk left because of it."""
        emptied: dict[str, int] = {}
        for some in in_batches(sorted(numbers)):
            touched = select(chunks.c.document).where(chunks.c.metadata.in_(some), chunks.c.died == ALIVE)
            # A document without chunks is judged by its own metadata.
            living = select(chunks.c.row).where(chunks.c.document == documents.c.key, chunks.c.died == ALIVE)
            bare = select(documents.c.key).where(documents.c.metadata.in_(some), ~living.exists())
            keys = set(self._connection.execute(touched.distinct()).scalars())
            keys |= set(self._connection.execute(bare).scalars())
            self._kill(chunks.c.metadata.in_(some), generation)
            for those in in_batches(sorted(keys)):
                # A document given whole is one thing: it goes whole, or its text would have holes.
                whole = select(documents.c.key).where(documents.c.key.in_(those), documents.c.text.is_not(None))
                self._kill(chunks.c.document.in_(whole), generation)
                found = select(documents.c.id, documents.c.key).where(
                    documents.c.key.in_(those), ~living.exists()
                )
                emptied.update((r.id, r.key) for r in self._connection.execute(found))
        return emptied

    def _keys(self, ids: Sequence[str], written_by: int | None = None) -> dict[str, int]:
        found: dict[str, int] = {}
        latest = ALIVE if written_by is None else written_by
        for some in in_batches(ids):
            query = select(documents.c.id, documents.c.key).where(
                documents.c.id.in_(some), documents.c.generation <= latest
            )
            found.update((r.id, r.key) for r in self._connection.execute(query))
        return found

    def _refuse_mixtures(self, ids: Sequence[str]) -> None:
        for name, times in Counter(ids).items():
            if times > 1:
                raise LoadError(f"document {name!r} comes {times} times in one batch; ids must be unique")
        joining = [item.document.id for item in self._prepared if item.joins]
        for some in in_batches(joining):
            query = select(documents.c.id).where(documents.c.id.in_(some), documents.c.text.is_not(None))
            for whole in self._connection.execute(query).scalars():
                raise LoadError(
                    f"document {whole!r} was given whole before; remove it first or give the chunks another "
                    "document_id"
                )

    def _put_documents(self, known: dict[str, int], generation: int) -> None:
        last = self._connection.execute(select(func.max(documents.c.key))).scalar() or 0
        self._places = {}
        for item in self._prepared:
            if item.document.id not in known:
                last += 1
            self._places[item.document.id] = known.get(item.document.id, last)
        new = [self._document(p, generation) for p in self._prepared if p.document.id not in known]
        old = [self._document(p, generation) for p in self._prepared if p.document.id in known]
        if new:
            self._connection.execute(insert(documents), new)
        if old:
            self._connection.execute(_REPLACE, [{f"b_{name}": v for name, v in row.items()} for row in old])

    def _document(self, item: Prepared, generation: int) -> dict[str, Any]:
        document = item.document
        raw = document.text.encode("utf-8", "surrogatepass")
        return {
            "key": self._places[document.id],
            "id": document.id,
            "source": document.source,
            "title": document.title,
            "format": document.format,
            "metadata": self._metadatas[_json(document.metadata)],
            "digest": item.digest,
            "pipeline": item.pipeline,
            "text": None if item.joins else zlib.compress(raw, 1),
            "size": item.size,
            "mtime_ns": item.mtime_ns,
            "generation": generation,
            "places": None if document.places is None else packed_places(document.places),
        }

    def _put_chunks(self, known: dict[str, int], generation: int) -> None:
        fresh: list[dict[str, Any]] = []
        gone: list[int] = []
        for item in self._prepared:
            key = self._places[item.document.id]
            old = self._living(key) if item.document.id in known else {}
            rows = [self._row(item, place, key, generation) for place in range(len(item.chunks))]
            if item.joins:
                old = _joined(rows, old)
            fresh += [row for row in rows if old.pop(_identity(row), None) is None]
            gone += old.values()
        for some in in_batches(sorted(gone)):
            self._kill(chunks.c.row.in_(some), generation)
        if fresh:
            self._connection.execute(insert(chunks), fresh)
            self._born += len(fresh)

    def _living(self, key: int) -> dict[tuple[Any, ...], int]:
        found = self._connection.execute(_LIVING, {"document": key}).mappings()
        return {_identity(row): row["row"] for row in found}

    def _row(self, item: Prepared, place: int, key: int, generation: int) -> dict[str, Any]:
        chunk = item.chunks[place]
        return {
            "chunk_id": chunk.id,
            "document": key,
            "ordinal": chunk.ordinal,
            "text": chunk.text,
            "context": self._contexts[chunk.context],
            "headings": json.dumps(chunk.headings, ensure_ascii=False),
            "start": chunk.span.start if chunk.span else None,
            "end": chunk.span.end if chunk.span else None,
            "first_line": chunk.lines[0] if chunk.lines else None,
            "last_line": chunk.lines[1] if chunk.lines else None,
            "first_place": chunk.place[0] if chunk.place else None,
            "last_place": chunk.place[1] if chunk.place else None,
            "metadata": self._metadatas[_json(chunk.metadata)],
            "digest": item.inputs[place],
            "tokens": item.tokens[place],
            "context_last": chunk.context_last or None,
            "born": generation,
            "died": ALIVE,
        }

    def _kill(self, condition: Any, generation: int) -> None:
        query = update(chunks).where(condition, chunks.c.died == ALIVE).values(died=generation)
        self._died += self._connection.execute(query).rowcount

    def _intern(self, table: Table, column: str, texts: set[str]) -> dict[str, int]:
        """Store each distinct text once; its number by text."""
        digests = {digest_of(text): text for text in texts}
        rows = [{"digest": digest, column: text} for digest, text in digests.items()]
        if rows:
            self._connection.execute(insert(table).on_conflict_do_nothing(), rows)
        numbers: dict[str, int] = {}
        for some in in_batches(list(digests)):
            query = select(table.c.digest, table.c.id).where(table.c.digest.in_(some))
            numbers.update((digests[r.digest], r.id) for r in self._connection.execute(query))
        return numbers


_SAME = (
    *("chunk_id", "ordinal", "digest", "metadata", "headings"),
    *("first_line", "last_line", "first_place", "last_place", "context", "context_last", "start", "end"),
)

_LIVING = select(chunks.c.row, *(chunks.c[name] for name in _SAME)).where(
    chunks.c.document == bindparam("document"), chunks.c.died == ALIVE
)
_REPLACE = (
    update(documents)
    .where(documents.c.key == bindparam("b_key"))
    .values({column.name: bindparam(f"b_{column.name}") for column in documents.c if column.name != "key"})
)


def _identity(row: Mapping[str, Any] | RowMapping) -> tuple[Any, ...]:
    """What must be equal for a row to live on: everything a search can see of it."""
    return tuple(row[name] for name in _SAME)


def _joined(rows: Sequence[dict[str, Any]], old: Mapping[tuple[Any, ...], int]) -> dict[tuple[Any, ...], int]:
    """Put *rows* in the places of the chunks they replace, or after the last; the old rows that concerns."""
    names, places = _SAME.index("chunk_id"), _SAME.index("ordinal")
    ordinals = {identity[names]: identity[places] for identity in old}
    following = max(ordinals.values(), default=-1) + 1
    for row in rows:
        if row["chunk_id"] not in ordinals:
            ordinals[row["chunk_id"]] = following
            following += 1
        row["ordinal"] = ordinals[row["chunk_id"]]
    given = {row["chunk_id"] for row in rows}
    return {identity: number for identity, number in old.items() if identity[names] in given}


def _json(metadata: Metadata) -> str:
    return json.dumps(metadata, sort_keys=True, ensure_ascii=False)
