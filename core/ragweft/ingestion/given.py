"""Texts from a program: documents to be cut, and chunks that were cut already."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from ragweft.errors import LoadError
from ragweft.ingestion.pipeline import Loaded, checked_chunk, checked_document
from ragweft.types import Chunk, Document

__all__ = ["grouped"]


def grouped(items: Iterable[Document | Chunk]) -> Iterator[Loaded]:
    """Check what was given and gather chunks by document; the ledger joins them to those it has.

    Documents stream through; chunks are held until the end, because those of one document are committed as one.

    Raises:
        LoadError: an id comes twice, an item is neither Document nor Chunk, or cannot be stored.
    """
    seen: set[str] = set()
    given: dict[str, dict[str, Chunk]] = {}
    for item in items:
        if isinstance(item, Document):
            if item.id in seen:
                raise LoadError(f"document {item.id!r} is given twice in one call; ids must be unique")
            seen.add(item.id)
            yield Loaded(document=checked_document(item))
        elif isinstance(item, Chunk):
            chunk = checked_chunk(item)
            siblings = given.setdefault(chunk.document_id, {})
            if chunk.id in siblings:
                raise LoadError(f"chunk {chunk.id!r} is given twice in one call; ids must be unique")
            siblings[chunk.id] = chunk
        else:
            kind = type(item).__name__
            raise LoadError(f"add takes Document and Chunk, got {kind}; wrap the text in a Document")
    for document_id, fresh in given.items():
        if document_id in seen:
            raise LoadError(f"document {document_id!r} is given both whole and in chunks; choose one")
        chunks = [replace(chunk, ordinal=place) for place, chunk in enumerate(fresh.values())]
        yield Loaded(document=Document(id=document_id, text=""), chunks=chunks)
