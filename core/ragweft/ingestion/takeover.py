"""Passages another index holds, taken over: texts, metadata, and vectors where they are of the same space."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
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

    def run(self, pages: Iterable[Page], *, total: int, tally: Tally) -> None:
        """Commit page by page; records without text are skipped, faulty ones named.

        Raises:
            ProviderError: the embedder failed; pages before it are kept.
            LoadError: the records' documents were given whole before.
        """
        parts = self._parts
        done, seen = 0, set[str]()
        paged = iter(pages)
        first = [page for page in [next(paged, None)] if page is not None]
        same = bool(first) and self._same(first[0])
        for page in chain(first, paged):
            self._progress("taking over", done, total)
            entries = list(self._entries(page, tally))
            prepared = parts.pipeline.cut(_by_document(entries))
            vectors = {entry.chunk.id: entry.vector for entry in entries if entry.vector is not None}
            if same:
                digests = {
                    digest: vectors[chunk.id]
                    for item in prepared
                    for chunk, digest in zip(item.chunks, item.inputs, strict=True)
                    if chunk.id in vectors
                }
                missing = set(parts.pipeline.missing(prepared)) & set(digests)
                kept = [digest for digest in digests if digest in missing]
                if kept:
                    parts.store.put(kept, np.array([digests[digest] for digest in kept], dtype=np.float32))
                    self.reused += len(kept)
            parts.pipeline.embed(prepared)
            if prepared:
                tally.count(parts.ledger.commit(prepared, kind="add"))
                names = {item.document.id for item in prepared}
                tally.updated -= len(names & seen)  # one document over two pages is one
                seen |= names
            done += len(page[0])
        self._progress("taking over", done, total)

    def _same(self, page: Page) -> bool:
        """Whether the stored vectors are what our embedder makes of the texts."""
        records, matrix = page
        embedder = self._parts.embedder
        if self._reuse == "never" or isinstance(embedder, ContextualEmbedder):
            return False
        if matrix is None or matrix.shape[1] != embedder.space.dims:
            return False
        places = [place for place, record in enumerate(records) if record.text.strip()][:_ASKED]
        if not places:
            return False
        own = embedder.embed_documents([records[place].text for place in places])
        cosines = (own * _unit(matrix[places])).sum(axis=1)
        return bool((cosines >= _ALIKE).all())

    def _entries(self, page: Page, tally: Tally) -> Iterator[_Entry]:
        records, matrix = page
        units = None if matrix is None else _unit(matrix)
        for place, record in enumerate(records):
            if not record.text.strip():
                tally.skipped["no text"] = tally.skipped.get("no text", 0) + 1
                continue
            metadata = {key: value for key, value in record.metadata.items() if key not in _INTERNAL}
            try:
                chunk = checked_chunk(
                    Chunk(
                        id=record.id,
                        document_id=self._document(record),
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

    def _document(self, record: Record) -> str:
        if self._owner is not None:
            named = record.metadata.get(self._owner)
            if not _names(named):
                raise LoadError(f"record {record.id!r}: its metadata has no {self._owner!r}; name another key")
            return str(named)
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
