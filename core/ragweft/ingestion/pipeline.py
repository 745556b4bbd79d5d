"""Documents to committed rows: chunk, contextualise, embed, commit.

Each step is keyed by a digest of everything that went into it, so a crash or an edit redoes only what changed.
Vectors are durable in vectors.db before the ledger refers to them.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from ragweft.chunking.lines import numbered
from ragweft.errors import LoadError, ProviderError
from ragweft.ingestion.word_weights import small_batches
from ragweft.ledger.filters import clean_metadata
from ragweft.ledger.writer import Prepared, digest_of
from ragweft.places import packed_places
from ragweft.protocols import (
    BatchEmbedder,
    ContextualEmbedder,
    PlacelessContextualizer,
    PricedEmbedder,
    TokenEmbedder,
    WindowedEmbedder,
)

if TYPE_CHECKING:
    from ragweft.ingestion.word_weights import WordWeights
    from ragweft.ledger.ledger import Ledger
    from ragweft.ledger.vector_store import VectorStore
    from ragweft.protocols import Chunker, Contextualizer, Embedder, OnePassEmbedder, Progress, Tokenizer
    from ragweft.types import Chunk, Document, TokenIds, Vectors

__all__ = ["Loaded", "Pipeline", "batched"]

_BATCH_CHARACTERS = 64 * 2**20
_FIRST_BATCH = 2**18
_BATCH_SECONDS = 2.0
_EMBED_BATCH = 1_024
"""Texts embedded and stored at once: bounds what a crash can lose of paid work."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """A document on its way in, or pre-chunked input for one."""

    document: Document
    chunks: Sequence[Chunk] | None = None
    """Given by the caller; None: to be cut."""
    size: int | None = None
    mtime_ns: int | None = None


class Pipeline:
    """Chunker, contextualiser and embedder of one index."""

    def __init__(
        self,
        *,
        chunker: Chunker,
        contextualizer: Contextualizer,
        embedder: Embedder,
        vocabulary: Tokenizer,
        store: VectorStore,
        words: WordWeights | None = None,
    ) -> None:
        """*vocabulary* gives the tokens that are stored with every chunk, for late interaction.

        *words* has word weights stored beside the vectors.
        """
        self._chunker = chunker
        self._contextualizer = contextualizer
        self.embedder = embedder
        self._vocabulary = vocabulary
        # An embedder that works from these very tokens is spared reading the text again.
        same = id(embedder) == id(vocabulary)
        self._by_tokens = embedder if same and isinstance(embedder, TokenEmbedder) else None
        self._store = store
        self._words = words
        # What a service is paid for is sent without the name of its file, so that moving it costs nothing.
        self._placeless = (
            contextualizer
            if isinstance(embedder, PricedEmbedder) and isinstance(contextualizer, PlacelessContextualizer)
            else None
        )
        sent = " | placeless" if self._placeless is not None else ""
        sent += " | in stretches" if isinstance(embedder, ContextualEmbedder) else ""
        self.fingerprint = f"{chunker.fingerprint} | {contextualizer.fingerprint}{sent}"
        """How documents are cut, placed and sent: a stored document with another one is cut anew."""
        self.given = f"given{sent}"
        """The same of documents that are given in chunks."""

    def __repr__(self) -> str:
        return f"Pipeline({self.fingerprint} | {self.embedder.space})"

    def digest(self, document: Document) -> bytes:
        """Of everything a document is made of: equal digests need no work."""
        metadata = json.dumps(document.metadata, sort_keys=True, ensure_ascii=False)
        said = (document.text, document.title or "", document.format, document.source or "", metadata)
        places = () if document.places is None else (packed_places(document.places),)
        return digest_of(*said, *places)

    def prepare(self, batch: Sequence[Loaded]) -> list[Prepared]:
        """Cut, place and embed; on return every vector of the batch is durable.

        Raises:
            ProviderError: the embedder failed or answered with wrong counts or values.
        """
        prepared = [self.cut(loaded) for loaded in batch]
        self.embed(prepared)
        return prepared

    def cut(self, loaded: Loaded) -> Prepared:
        """Cut and place one document; nothing is embedded."""
        document = loaded.document
        if loaded.chunks is None:
            bare = self._chunker.chunk(document)
            placed = self._contextualizer.contextualize(document, bare)
            if len(placed) != len(bare):
                raise ProviderError(
                    f"{document.id}: the contextualizer returned {len(placed)} of {len(bare)} chunks; "
                    'fix it or set [context] kind = "none"',
                    retryable=False,
                )
            chunks = numbered(document, placed)
        else:
            chunks = list(loaded.chunks)
        digest = self.digest(document)
        # Where a document came from is not for its metadata to say: `sources` and removal rely on it.
        own = {} if document.source is None else {"source": document.source}
        document = replace(document, metadata={**document.metadata, **own})
        chunks = [replace(c, metadata={**document.metadata, **c.metadata, **own}) for c in chunks]
        sent, groups, inputs = self._embedded(document, chunks)
        tokens = [self._vocabulary.encode(c.indexed_text).ids.astype("<i4").tobytes() for c in chunks]
        return Prepared(
            document=document,
            digest=digest,
            pipeline=self.fingerprint if loaded.chunks is None else self.given,
            chunks=chunks,
            sent=sent,
            groups=groups,
            inputs=inputs,
            tokens=tokens,
            joins=loaded.chunks is not None,
            size=loaded.size,
            mtime_ns=loaded.mtime_ns,
        )

    def fill_in(self, ledger: Ledger, progress: Progress) -> None:
        """Have every chunk that was added without word weights get them, if they are wanted.

        Raises:
            ProviderError: the model failed; what came before is kept.
        """
        if self._words is not None:
            self._words.fill(ledger, progress)

    def missing(self, prepared: Sequence[Prepared]) -> dict[bytes, str]:
        """What of *prepared* would have to be embedded: digest to text, each once."""
        wanted = {
            digest: text for item in prepared for text, digest in zip(item.sent, item.inputs, strict=True)
        }
        known = self._store.known(list(wanted))
        return {digest: text for digest, text in wanted.items() if digest not in known}

    def embed(self, prepared: Sequence[Prepared]) -> None:
        """Embed what is not known; on return every vector of *prepared* is durable.

        Raises:
            ProviderError: as `prepare`.
        """
        if isinstance(self.embedder, ContextualEmbedder):
            self._embed_in_groups(self.embedder, prepared)
            return
        missing = self.missing(prepared)
        digests, texts = list(missing), list(missing.values())
        if self._words is not None and (embedder := self._words.one_pass) is not None:
            self._embed_in_one_pass(embedder, missing)
            return
        if isinstance(self.embedder, BatchEmbedder):
            for places, vectors in self.embedder.embed_batches(texts):
                self._put([digests[place] for place in places], [texts[place] for place in places], vectors)
            return
        tokens = {d: t for item in prepared for d, t in zip(item.inputs, item.tokens, strict=True)}
        for start in range(0, len(digests), _EMBED_BATCH):
            some = digests[start : start + _EMBED_BATCH]
            own = texts[start : start + _EMBED_BATCH]
            if self._by_tokens is not None:
                ids: list[TokenIds] = [np.frombuffer(tokens[digest], dtype="<i4") for digest in some]
                vectors = self._by_tokens.embed_tokens(ids)
            else:
                vectors = self.embedder.embed_documents(own)
            self._put(some, own, vectors)

    def _embed_in_one_pass(self, embedder: OnePassEmbedder, missing: Mapping[bytes, str]) -> None:
        digests = list(missing)
        for places in small_batches(list(missing.values())):
            some = [digests[place] for place in places]
            own = [missing[digest] for digest in some]
            found = embedder.outputs(own)
            self._put(some, own, found.vectors, found.lexical_weights)

    def _embed_in_groups(self, embedder: ContextualEmbedder, prepared: Sequence[Prepared]) -> None:
        missing = self.missing(prepared)
        # A passage's vector depends on the passages around it: a stretch is embedded whole or not at all. Equal
        # ones are one.
        groups: dict[tuple[bytes, ...], Sequence[str]] = {}
        for item in prepared:
            start = 0
            for size in item.groups:
                digests = tuple(item.inputs[start : start + size])
                if any(digest in missing for digest in digests):
                    groups[digests] = item.sent[start : start + size]
                start += size
        keys, texts = list(groups), list(groups.values())
        for place, vectors in embedder.embed_groups(texts):
            self._put(keys[place], texts[place], vectors)

    def _put(
        self,
        digests: Sequence[bytes],
        texts: Sequence[str],
        vectors: Vectors,
        weights: Sequence[Mapping[int, float]] | None = None,
    ) -> None:
        """Store what came back for *texts*, once it is seen to be what was asked for.

        Word *weights* that are wanted and did not come with the vectors are asked for.
        """
        name = self.embedder.space.model
        expected = (len(digests), self.embedder.space.dims)
        if vectors.shape != expected:
            raise ProviderError(
                f"{name}: {vectors.shape} vectors came back for {expected}; nothing was stored, sync again or "
                "choose another model",
                retryable=True,
            )
        if not np.isfinite(vectors).all():
            raise ProviderError(
                f"{name}: a vector holds NaN or infinity; nothing was stored, sync again", retryable=True
            )
        long: Sequence[int] = ()
        if isinstance(self.embedder, WindowedEmbedder):
            long = self.embedder.too_long(texts)
        packed = self._words.packed(texts, weights) if self._words is not None else None
        self._store.put(digests, vectors, long=[digests[place] for place in long], weights=packed)
        self._store.checkpoint()

    def _embedded(
        self, document: Document, chunks: Sequence[Chunk]
    ) -> tuple[list[str], list[int], list[bytes]]:
        """What is embedded for each chunk, in which groups, and digests of all that a vector depends on."""
        texts = [chunk.indexed_text for chunk in chunks]
        if self._placeless is not None:
            contexts = [self._placeless.placeless(document, chunk) for chunk in chunks]
            texts = [replace(c, context=new).indexed_text for c, new in zip(chunks, contexts, strict=True)]
        if not isinstance(self.embedder, ContextualEmbedder):
            return texts, [], [digest_of(text) for text in texts]
        sent: list[str] = []
        inputs: list[bytes] = []
        groups = list(self.embedder.stretches(texts)) if texts else []
        for size in groups:
            start = len(sent)
            # One context is enough for a stretch: repeated, it would be read as part of the document.
            own = [texts[start], *(chunk.text for chunk in chunks[start + 1 : start + size])]
            sent += own
            inputs += [digest_of(str(place), *own) for place in range(size)]
        return sent, groups, inputs


def batched(items: Iterable[Loaded]) -> Iterator[list[Loaded]]:
    """Group documents into commits: whole documents, about two seconds of work and at most 64 MB of text each.

    How much text two seconds are is learned from the batches before; it depends on the embedder.
    """
    limit = _FIRST_BATCH
    batch: list[Loaded] = []
    size, started = 0, time.monotonic()
    for item in items:
        batch.append(item)
        size += len(item.document.text) if item.chunks is None else sum(len(c.text) for c in item.chunks)
        if size >= limit or time.monotonic() - started >= _BATCH_SECONDS:
            yield batch
            spent = max(time.monotonic() - started, 0.01)
            limit = int(min(max(size * _BATCH_SECONDS / spent, limit / 4, _FIRST_BATCH / 16), limit * 4))
            limit = min(limit, _BATCH_CHARACTERS)
            batch, size, started = [], 0, time.monotonic()
    if batch:
        yield batch


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
