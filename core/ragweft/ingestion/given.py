"""Texts from a program: documents to be cut, and chunks that were cut already."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from ragweft.errors import LoadError
from ragweft.ingestion.pipeline import Loaded
from ragweft.ledger.filters import clean_metadata
from ragweft.types import Chunk, Document

__all__ = ["checked_chunk", "checked_document", "grouped"]


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


def checked_document(document: Document) -> Document:
    """A document given by a program, with its metadata as it will be stored.

    Raises:
        LoadError: the id is empty, the text is not text, or the metadata cannot be stored.
    """
    owner = f"document {document.id!r}"
    if not isinstance(document.id, str) or not document.id:
        raise LoadError(f"{owner}: the id must be text and not empty")
    for text in (document.id, document.text, document.title or "", document.source or "", document.format):
        _check_text(text, owner)
    metadata = clean_metadata(document.metadata, owner=owner)
    named = metadata.get("source")
    source = document.source or (named if isinstance(named, str) and named else None)
    return replace(document, metadata=metadata, source=source)


def checked_chunk(chunk: Chunk) -> Chunk:
    """A chunk given by a program, with its metadata as it will be stored.

    Raises:
        LoadError: an id is empty, a text is not text, or the metadata cannot be stored.
    """
    owner = f"chunk {chunk.id!r}"
    if not chunk.id or not chunk.document_id:
        raise LoadError(f"{owner}: id and document_id must not be empty")
    for text in (chunk.id, chunk.document_id, chunk.text, chunk.context, *chunk.headings):
        _check_text(text, owner)
    return replace(chunk, metadata=clean_metadata(chunk.metadata, owner=owner))


def _check_text(text: str, owner: str) -> None:
    if not isinstance(text, str):
        raise LoadError(f"{owner}: the text is a {type(text).__name__}; decode it to str first")
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise LoadError(
            f"{owner}: a lone surrogate at offset {error.start} of a text cannot be stored; "
            "clean the text with .encode('utf-8', 'replace').decode()"
        ) from None
