"""Texts from a program: documents to be cut, and chunks that were cut already."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from ragweft.errors import LoadError
from ragweft.ingestion.pipeline import Loaded, checked_chunk, checked_document
from ragweft.types import Chunk, Document

if TYPE_CHECKING:
    from ragweft.ledger.ledger import Ledger

__all__ = ["grouped"]


def grouped(items: Iterable[Document | Chunk], ledger: Ledger) -> Iterator[Loaded]:
    """Check what was given and gather chunks by document.

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
        yield _joined(document_id, fresh, ledger)


def _joined(document_id: str, fresh: dict[str, Chunk], ledger: Ledger) -> Loaded:
    """The chunks the document already has, with *fresh* ones in their places or after them."""
    state = ledger.states_of([document_id]).get(document_id)
    if state is not None and state.pipeline != "given":
        raise LoadError(f"document {document_id!r} was given whole before; remove it first or use another id")
    with ledger.snapshot() as snapshot:
        kept = [stored.chunk for stored in snapshot.chunks_of(document_id)]
    places = {chunk.id: place for place, chunk in enumerate(kept)}
    for chunk in fresh.values():
        if chunk.id in places:
            kept[places[chunk.id]] = chunk
        else:
            kept.append(chunk)
    chunks = [replace(chunk, ordinal=place) for place, chunk in enumerate(kept)]
    return Loaded(document=Document(id=document_id, text=""), chunks=chunks)
