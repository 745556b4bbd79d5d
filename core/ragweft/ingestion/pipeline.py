"""Documents to committed rows: chunk, contextualise, embed, commit.

Each step is keyed by a digest of everything that went into it, so a crash or an edit redoes only what changed.
Vectors are durable in vectors.db before the ledger refers to them.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

import numpy as np

from ragweft.errors import ProviderError
from ragweft.ingestion.placing import Placing
from ragweft.ingestion.word_weights import small_batches
from ragweft.ledger.schema import INCOMPLETE
from ragweft.ledger.writer import Prepared
from ragweft.places import packed_places
from ragweft.progress import silent
from ragweft.protocols import (
    BatchEmbedder,
    ContextualEmbedder,
    PlacelessContextualizer,
    PricedEmbedder,
    TokenEmbedder,
    WindowedEmbedder,
)
from ragweft.types import digest_of

if TYPE_CHECKING:
    from ragweft.context.copies import Supposed
    from ragweft.context.estimating import ContextEstimate
    from ragweft.ingestion.word_weights import WordWeights
    from ragweft.ledger.ledger import Ledger
    from ragweft.ledger.vector_store import VectorStore
    from ragweft.protocols import Chunker, Contextualizer, Embedder, OnePassEmbedder, Progress, Tokenizer
    from ragweft.reports import Contexts, Failure
    from ragweft.types import Chunk, Document, TokenIds, Vectors

__all__ = ["Closing", "Loaded", "Pipeline", "batched"]

_BATCH_CHARACTERS = 64 * 2**20
_FIRST_BATCH = 2**18
_BATCH_SECONDS = 2.0
_ASKED_SECONDS = 30.0
"""Of a batch whose contexts are asked for: these are kept one by one, and the more are asked for together the
more go side by side."""
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


class Closing(Protocol):
    """What has something open."""

    def close(self) -> None:
        """Let go of it; idempotent."""
        ...


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
        owned: Sequence[Closing] = (),
    ) -> None:
        """*vocabulary* gives the tokens that are stored with every chunk, for late interaction.

        *words* has word weights stored beside the vectors. *owned* are closed with it.
        """
        self._placing = Placing(chunker, contextualizer)
        self._owned = owned
        self.seconds = _ASKED_SECONDS if self._placing.asks else _BATCH_SECONDS
        """About how long the work of one commit should take; see `batched`."""
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
        self.fingerprint = f"{self._placing.fingerprint}{sent}"
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

    def ahead(self, loaded: Iterable[Loaded], *, progress: Progress = silent) -> Iterator[Loaded]:
        """Every document that will be prepared, on its way there; see `Placing.ahead`.

        Raises:
            ProviderError: as `prepare`.
            BudgetExceeded: as `prepare`.
        """
        return self._placing.ahead(loaded, progress=progress)

    def prepare(self, batch: Sequence[Loaded], *, progress: Progress = silent) -> list[Prepared]:
        """Cut, place and embed; on return every vector of the batch is durable.

        Raises:
            ProviderError: the embedder, or the model that writes contexts, failed or answered with wrong counts
                or values; what came is kept.
            BudgetExceeded: going on might cost more than whoever collects allows; likewise.
        """
        whole = [loaded.document for loaded in batch if loaded.chunks is None]
        prepared = self._prepared(batch, self._placing.chunks(whole, progress=progress))
        self.embed(prepared)
        return prepared

    def cut(self, batch: Sequence[Loaded]) -> list[Prepared]:
        """Cut and place; nothing is embedded and nobody asked for a context that is not there."""
        whole = [loaded.document for loaded in batch if loaded.chunks is None]
        return self._prepared(batch, self._placing.known(whole))

    def suppose(
        self, batch: Sequence[Loaded], supposed: Supposed
    ) -> tuple[list[Prepared], ContextEstimate | None]:
        """As `cut`, with stand-ins for the contexts `prepare` would ask for, and what asking would take.

        *supposed* holds what the batches before would have asked for.
        """
        whole = [loaded.document for loaded in batch if loaded.chunks is None]
        chunks, asking = self._placing.supposed(whole, supposed)
        return self._prepared(batch, chunks), asking

    def take_failures(self) -> Sequence[Failure]:
        """Why contexts could not be had since this was last called; from now on they are asked for again."""
        return self._placing.take_failures()

    def telling(self) -> AbstractContextManager[None]:
        """As `Placing.telling`."""
        return self._placing.telling()

    @property
    def contexts(self) -> Contexts:
        """What a language model has written so far."""
        return self._placing.contexts

    def close(self) -> None:
        """Let go of what was opened for it. Idempotent."""
        for part in self._owned:
            part.close()

    def _prepared(self, batch: Sequence[Loaded], cut: Sequence[Sequence[Chunk]]) -> list[Prepared]:
        """*cut* are the chunks of those documents that were not given in chunks."""
        own = iter(cut)
        return [self._ready(loaded, next(own) if loaded.chunks is None else loaded.chunks) for loaded in batch]

    def _ready(self, loaded: Loaded, chunks: Sequence[Chunk]) -> Prepared:
        document = loaded.document
        pipeline = self.given
        if loaded.chunks is None:
            pipeline = f"{self.fingerprint}{INCOMPLETE if self._placing.unfinished(document) else ''}"
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
            pipeline=pipeline,
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


def batched(items: Iterable[Loaded], *, seconds: float = _BATCH_SECONDS) -> Iterator[list[Loaded]]:
    """Group documents into commits: whole documents, about *seconds* of work and at most 64 MB of text each.

    How much text that is is learned from the batches before; it depends on the embedder.
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
            limit = int(min(max(size * seconds / spent, limit / 4, _FIRST_BATCH / 16), limit * 4))
            limit = min(limit, _BATCH_CHARACTERS)
            batch, size, started = [], 0, time.monotonic()
    if batch:
        yield batch
