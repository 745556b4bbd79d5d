"""Passages another index holds, taken over: texts, metadata, and vectors where they are of the same space."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from ragweft.errors import LoadError, RecipeError
from ragweft.ingestion.given import checked_chunk
from ragweft.ingestion.pipeline import Loaded
from ragweft.protocols import ContextualEmbedder
from ragweft.reports import Failure
from ragweft.types import Chunk, Document

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ragweft.assembly import Parts
    from ragweft.ingestion.sync import Tally
    from ragweft.ledger.writer import Commit, Prepared
    from ragweft.protocols import Progress
    from ragweft.types import Vectors
    from ragweft.vectors.chroma_foreign import Record

__all__ = ["Page", "Reuse", "Takeover", "check_takeover"]

Reuse = Literal["auto", "never"]
Page = tuple[Sequence["Record"], "Vectors | None"]

_OWNERS = ("ref_doc_id", "document_id", "doc_id", "source", "file_path", "url")
"""Where a record's document is named: LlamaIndex, ragweft, LangChain, loaders."""
_INTERNAL = frozenset({"_node_content", "_node_type"})
"""A LlamaIndex node said once more, as JSON."""
_ASKED = 8
"""Texts embedded to see whether stored vectors are of our embedder."""
_MOST_KEYS = 20
"""Metadata keys that are named in a message."""
_ALIKE = 0.999
"""Cosine of two embeddings of one text by one model: batches and machines differ in the last digits."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Entry:
    chunk: Chunk
    vector: NDArray[np.float32] | None


class Takeover:
    """Brings pages of records into one index; what was brought in before is not done again."""

    def __init__(self, parts: Parts, *, owner: str | None, reuse: Reuse, progress: Progress) -> None:
        """*owner* is the metadata key that names a record's document; None: the first usual one it has."""
        self._parts = parts
        self._owner = owner
        self._reuse = reuse
        self._progress = progress
        self.reused = 0
        """Vectors taken over."""
        self.embedded = 0
        """Texts that were embedded although a vector of theirs was, or might have been, there."""
        self.why = ""
        """What keeps the stored vectors from being taken over, if something does."""
        self._same: bool | None = None
        self._written: set[str] = set()
        self._unchanged: set[str] = set()
        self._keys: set[str] = set()
        self._unnamed: list[Failure] = []

    def run(self, pages: Iterable[Page], *, total: int, tally: Tally) -> None:
        """Commit page by page; records without text are skipped, faulty ones named.

        Raises:
            ProviderError: the embedder failed; pages before it are kept.
            LoadError: the records' documents were given whole before, or no record says which is its own.
        """
        done = taken = 0
        for page in pages:
            self._progress("taking over", done, total)
            entries = list(self._entries(page, tally))
            self._take(page, entries, tally)
            taken += len(entries)
            done += len(page[0])
        self._progress("taking over", done, total)
        if self._unnamed and not taken:
            there = f"its keys are {_listed(self._keys)}" if self._keys else "they have no metadata at all"
            raise LoadError(f"no record has {self._owner!r}; {there}")
        tally.failed += self._unnamed

    def _take(self, page: Page, entries: Sequence[_Entry], tally: Tally) -> None:
        parts = self._parts
        prepared = parts.pipeline.cut(_by_document(entries))
        missing = parts.pipeline.missing(prepared)
        if missing:
            # Only now: who takes over again what is there already pays for no sample.
            if self._same is None:
                self._same, self.why = self._compared(page)
            vectors = {entry.chunk.id: entry.vector for entry in entries if entry.vector is not None}
            stored = {
                digest: vectors[chunk.id]
                for item in prepared
                for chunk, digest in zip(item.chunks, item.inputs, strict=True)
                if self._same and digest in missing and chunk.id in vectors
            }
            if stored:
                parts.store.put(list(stored), np.array(list(stored.values()), dtype=np.float32))
                self.reused += len(stored)
            self.embedded += len(missing) - len(stored)
            parts.pipeline.embed(prepared)
        if prepared:
            self._count(parts.ledger.commit(prepared, kind="add"), prepared, tally)

    def _count(self, commit: Commit, prepared: Sequence[Prepared], tally: Tally) -> None:
        """Add up a commit; a document over several pages is one, and changed if some page of it is."""
        tally.count(commit)
        names = {item.document.id for item in prepared}
        written = names - commit.unchanged
        tally.updated -= len(written & self._written)
        tally.unchanged -= len(written & self._unchanged)
        tally.unchanged -= len(commit.unchanged & (self._written | self._unchanged))
        self._unchanged = (self._unchanged | commit.unchanged) - self._written - written
        self._written |= written

    def _compared(self, page: Page) -> tuple[bool, str]:
        """Whether the stored vectors are what our embedder makes of the texts, and if not, why."""
        records, matrix = page
        embedder = self._parts.embedder
        if self._reuse == "never" or isinstance(embedder, ContextualEmbedder):
            return False, ""
        if matrix is None:
            return False, "the collection holds none"
        theirs, ours = matrix.shape[1], embedder.space.dims
        if theirs != ours:
            return False, f"theirs have {theirs:,} numbers, those of {embedder.space.model} have {ours:,}"
        places = [place for place, record in enumerate(records) if record.text.strip()][:_ASKED]
        if not places:
            return False, ""
        own = embedder.embed_documents([records[place].text for place in places])
        lowest = float((own * _unit(matrix[places])).sum(axis=1).min())
        if lowest >= _ALIKE:
            return True, ""
        model = embedder.space.model
        return False, f"theirs are not of {model}: cosine {lowest:.3f} of the same text, below {_ALIKE}"

    def _entries(self, page: Page, tally: Tally) -> Iterator[_Entry]:
        records, matrix = page
        units = None if matrix is None else _unit(matrix)
        for place, record in enumerate(records):
            if not record.text.strip():
                tally.skipped["no text"] = tally.skipped.get("no text", 0) + 1
                continue
            self._keys.update(record.metadata)
            owner = self._document(record)
            if owner is None:
                reason = f"record {record.id!r}: its metadata has no {self._owner!r}; name another key"
                self._unnamed.append(Failure(source=record.id, reason=reason))
                continue
            metadata = {key: value for key, value in record.metadata.items() if key not in _INTERNAL}
            try:
                chunk = checked_chunk(
                    Chunk(
                        id=record.id,
                        document_id=owner,
                        text=record.text,
                        ordinal=place,
                        headings=(),
                        metadata=metadata,
                    )
                )
            except LoadError as error:
                tally.failed.append(Failure(source=record.id, reason=str(error)))
                continue
            vector = None if units is None or not np.isfinite(units[place]).all() else units[place]
            yield _Entry(chunk=chunk, vector=vector if vector is not None and vector.any() else None)

    def _document(self, record: Record) -> str | None:
        """The document a record is of; None if its metadata does not say."""
        if self._owner is not None:
            named = record.metadata.get(self._owner)
            return str(named) if _names(named) else None
        found = next((record.metadata[key] for key in _OWNERS if _names(record.metadata.get(key))), None)
        return record.id if found is None else str(found)


def check_takeover(parts: Parts) -> None:
    """See that records can be taken into the index at all.

    Raises:
        RecipeError: its embedder reads passages within documents, which records are not.
    """
    if isinstance(parts.embedder, ContextualEmbedder):
        raise RecipeError(
            f"{parts.embedder.space.model} reads passages within their document, which the records of a "
            "collection do not hold; import into an index of another model, or sync the files"
        )


def _listed(keys: Iterable[str]) -> str:
    shown = sorted(set(keys) - _INTERNAL)
    more = f" and {len(shown) - _MOST_KEYS:,} more" if len(shown) > _MOST_KEYS else ""
    return ", ".join(map(repr, shown[:_MOST_KEYS])) + more


def _names(value: object) -> bool:
    return (isinstance(value, str) and bool(value.strip())) or (
        isinstance(value, int) and not isinstance(value, bool)
    )


def _by_document(entries: Sequence[_Entry]) -> list[Loaded]:
    documents: dict[str, dict[str, Chunk]] = {}
    for entry in entries:
        documents.setdefault(entry.chunk.document_id, {})[entry.chunk.id] = entry.chunk
    return [
        Loaded(document=Document(id=name, text=""), chunks=list(chunks.values()))
        for name, chunks in documents.items()
    ]


def _unit(matrix: NDArray[np.float32]) -> NDArray[np.float32]:
    wide = matrix.astype(np.float64)
    lengths = np.linalg.norm(wide, axis=1, keepdims=True)
    unit = np.divide(wide, lengths, out=np.zeros_like(wide), where=lengths > 0)
    single: NDArray[np.float32] = unit.astype(np.float32)
    return single
