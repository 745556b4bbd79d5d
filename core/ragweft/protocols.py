"""Every contract on one page.

One verb each; batches in, sequences out. An extra ability is a second Protocol beside the first, tested
with `isinstance`, so that a plain implementation stays plain. Implementations take collaborators, not
settings, and are safe to call from several threads at once.
"""

from __future__ import annotations

from collections.abc import Awaitable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    from ragweft.caching.hits import CacheHit
    from ragweft.caching.making import Found
    from ragweft.types import (
        Chunk,
        Document,
        Encoding,
        Hit,
        Json,
        Judgement,
        Metadata,
        Ranking,
        Results,
        Rows,
        Space,
        TokenIds,
        Vector,
        Vectors,
    )


@runtime_checkable
class Loader(Protocol):
    """Files to documents."""

    def load(self, path: Path) -> Document:
        """Read one file.

        Raises:
            LoadError: the file cannot be read, is too large, or is not text.
        """
        ...


@runtime_checkable
class Tokenizer(Protocol):
    """Counts text as an embedder will; what a chunker measures with."""

    def encode(self, text: str) -> Encoding:
        """Token numbers of *text* and where each begins."""
        ...


@runtime_checkable
class Chunker(Protocol):
    """Documents to chunks."""

    @property
    def fingerprint(self) -> str:
        """Everything that decides the cut, in one line: a changed fingerprint re-chunks."""
        ...

    def chunk(self, document: Document) -> Sequence[Chunk]:
        """Cut *document*; for every chunk `document.text[span.start:span.end] == chunk.text`."""
        ...


@runtime_checkable
class Contextualizer(Protocol):
    """Chunks to chunks that know where they stand."""

    @property
    def fingerprint(self) -> str:
        """Everything that decides the context, in one line: a changed fingerprint re-contextualises."""
        ...

    def contextualize(self, document: Document, chunks: Sequence[Chunk]) -> Sequence[Chunk]:
        """The same chunks in the same order, with `context` filled in."""
        ...


@runtime_checkable
class PlacelessContextualizer(Protocol):
    """A contextualizer that can tell a context from the name of the file it came from."""

    def placeless(self, document: Document, chunk: Chunk) -> str:
        """The context of *chunk* without that name: what a paid embedder is sent: moving files is free."""
        ...


@runtime_checkable
class Embedder(Protocol):
    """Texts to unit vectors of one space. Two methods, so that nobody embeds a query as a document."""

    @property
    def space(self) -> Space:
        """The space the vectors live in."""
        ...

    def embed_documents(self, texts: Sequence[str]) -> Vectors:
        """Embed texts to be found: float32, shape (len(texts), dims), unit rows, in order.

        Raises:
            ProviderError: a service failed or answered with a wrong count, size or NaN.
        """
        ...

    def embed_query(self, text: str) -> Vector:
        """Embed a text to find with: float32, shape (dims,), unit length."""
        ...


@runtime_checkable
class TokenEmbedder(Protocol):
    """An embedder that can start from its own token numbers, so that a text is tokenised once."""

    def encode(self, text: str) -> Encoding:
        """As `Tokenizer.encode`."""
        ...

    def embed_tokens(self, batch: Sequence[TokenIds]) -> Vectors:
        """Equal to `embed_documents` of the texts the token numbers came from."""
        ...


@runtime_checkable
class BatchEmbedder(Protocol):
    """An embedder that answers piece by piece, so that what was paid for is kept if the next piece fails."""

    def embed_batches(self, texts: Sequence[str]) -> Iterator[tuple[Sequence[int], Vectors]]:
        """Places of *texts* and their vectors, in any order, each place once.

        Raises:
            ProviderError: as `Embedder.embed_documents`, after what had come was yielded.
        """
        ...


@runtime_checkable
class ContextualEmbedder(Protocol):
    """An embedder that reads a passage within its document: equal texts of two documents get two vectors."""

    def stretches(self, texts: Sequence[str]) -> Sequence[int]:
        """How many of a document's passages it reads together at a time, from the first to the last.

        A passage's vector depends on its stretch and on nothing else; the same texts are always divided alike.
        """
        ...

    def embed_groups(self, groups: Sequence[Sequence[str]]) -> Iterator[tuple[int, Vectors]]:
        """Place of a group and the vectors of its texts, in any order; a group is a stretch of passages.

        Raises:
            ProviderError: as `Embedder.embed_documents`, after what had come was yielded.
        """
        ...


@runtime_checkable
class SparseEmbedder(Protocol):
    """An embedder that weighs words, too (learned sparse weights), unless `has_lexical_weights` is false."""

    def lexical_weights(self, texts: Sequence[str]) -> Sequence[Mapping[int, float]]:
        """For each text token number to weight, above 0: of a document and of a query alike.

        Two texts match by the sum, over the tokens they share, of the products of their weights.

        Raises:
            ProviderError: the model failed.
        """
        ...


@runtime_checkable
class QueryWeigher(Protocol):
    """A `SparseEmbedder` that weighs a query in the same pass that embeds it, whichever is asked for first."""

    def query_weights(self, text: str) -> Mapping[int, float]:
        """As `SparseEmbedder.lexical_weights` of one query."""
        ...


class SparseOutputs(Protocol):
    """What one pass of a model made of some texts."""

    @property
    def vectors(self) -> Vectors:
        """As `Embedder.embed_documents`."""
        ...

    @property
    def lexical_weights(self) -> Sequence[Mapping[int, float]]:
        """As `SparseEmbedder.lexical_weights`."""
        ...


@runtime_checkable
class OnePassEmbedder(Protocol):
    """A `SparseEmbedder` that computes vectors and word weights of documents in one pass."""

    def outputs(self, texts: Sequence[str]) -> SparseOutputs:
        """Both of them; what comes besides is dropped, so few texts are given at a time.

        Raises:
            ProviderError: the model failed.
        """
        ...


@runtime_checkable
class WindowedEmbedder(Protocol):
    """An embedder that knows what is too long for its model; it embeds such a text in parts."""

    @property
    def window(self) -> int | None:
        """Tokens of the longest text embedded whole; None: not known."""
        ...

    def too_long(self, texts: Sequence[str]) -> Sequence[int]:
        """Places of the texts above the window; of what was embedded, also those found too long only then."""
        ...


@runtime_checkable
class PricedEmbedder(Protocol):
    """An embedder that costs money, and says how much before it is spent.

    Vectors of queries are kept where an attribute `query_fingerprint` says what decides them beside the space.
    """

    @property
    def usd_per_million(self) -> float | None:
        """US dollars for a million tokens; None: not known."""
        ...

    def tokens(self, texts: Sequence[str]) -> int:
        """A bound on the tokens that *texts* are billed as."""
        ...


@runtime_checkable
class VectorIndex(Protocol):
    """A follower that answers by meaning. Keys are rows; the ledger says which rows are alive."""

    @property
    def applied_generation(self) -> int:
        """The ledger generation this index has caught up with, as durable on its own disk."""
        ...

    def __len__(self) -> int:
        """Rows held that are not known to be dead."""
        ...

    def apply(self, *, rows: Rows, vectors: Vectors, removed: Rows, generation: int) -> None:
        """Add *rows* with their *vectors*, drop *removed*, then record *generation*; idempotent.

        Raises:
            IndexDamaged: the index on disk cannot be written; the caller moves it aside and rebuilds.
        """
        ...

    def search(self, vector: Vector, *, n: int, among: Rows | None = None) -> Ranking:
        """The *n* rows of highest cosine, of all rows or exactly *among* these."""
        ...

    def close(self) -> None:
        """Let go of files, locks and clients; idempotent."""
        ...


@runtime_checkable
class LexicalIndex(Protocol):
    """A follower that answers by words."""

    @property
    def applied_generation(self) -> int:
        """The ledger generation this index has caught up with, as durable on its own disk."""
        ...

    def __len__(self) -> int:
        """Rows held."""
        ...

    def apply(
        self,
        *,
        rows: Rows,
        texts: Sequence[str],
        contexts: Sequence[str],
        removed: Rows,
        generation: int,
    ) -> None:
        """Add *rows* with their indexed *texts*, drop *removed*, then record *generation*; idempotent.

        *contexts* repeats the part of each text that says where it stands, "" for none: words there may count
        for more.

        Raises:
            IndexDamaged: the index on disk cannot be written; the caller moves it aside and rebuilds.
        """
        ...

    def search(self, text: str, *, n: int, among: Rows | None = None) -> Ranking:
        """The *n* rows that match best; rows that share no word with *text* are never returned."""
        ...

    def score(self, text: str, texts: Sequence[str], contexts: Sequence[str]) -> Vector:
        """Score texts that are not applied yet, on the scale of `search`; 0 where no word is shared.

        *texts* and *contexts* as in `apply`.
        """
        ...

    def close(self) -> None:
        """Let go of files and locks; idempotent."""
        ...


@runtime_checkable
class Retriever(Protocol):
    """Anything that answers a query; retrievers compose by wrapping."""

    def retrieve(self, query: str, *, k: int = 5, where: Metadata | None = None) -> Results:
        """At most *k* hits for *query*, all of which satisfy *where*, best first.

        Raises:
            InvalidFilter: *where* is malformed.
        """
        ...


@runtime_checkable
class AsyncRetriever(Protocol):
    """A retriever with a native coroutine; without it, `retrieve` runs in a worker thread."""

    async def aretrieve(self, query: str, *, k: int = 5, where: Metadata | None = None) -> Results:
        """As `Retriever.retrieve`."""
        ...


@runtime_checkable
class Reranker(Protocol):
    """Puts a short list in a better order."""

    @property
    def name(self) -> str:
        """Short name for origins and traces."""
        ...

    def rerank(self, query: str, hits: Sequence[Hit]) -> Sequence[float]:
        """One relevance score for each hit, in the order given; higher is better, any scale."""
        ...


@runtime_checkable
class HighlightingReranker(Protocol):
    """A reranker that also says which words of a passage made it relevant."""

    def judge(self, query: str, hits: Sequence[Hit]) -> Sequence[Judgement]:
        """As `Reranker.rerank`, with spans."""
        ...


class Cache(Protocol):
    """Answers given before: `Index.cache()`. What is in a scope has to be equal before meaning is looked at."""

    def lookup(self, query: str, *, scope: Mapping[str, Json] | None = None) -> CacheHit | None:
        """What was stored for *query* or for one that asks the same, if it is still right; else None."""
        ...

    def store(
        self, query: str, answer: Json, *, evidence: Found, scope: Mapping[str, Json] | None = None
    ) -> bool:
        """Keep *answer*, which was made from *evidence*; whether it is kept."""
        ...


class Generate(Protocol):
    """Prompt to text: any function or coroutine function, such as one call of a language model.

    An object may be both: called as it is where code may block, and by a coroutine `agenerate(prompt)` of the
    same meaning where it may not. Without one, `aretrieve` calls it in a worker thread.
    """

    def __call__(self, prompt: str, /) -> str | Awaitable[str]:
        """What is said to *prompt*; any exception means that nothing could be said."""
        ...


class Progress(Protocol):
    """Hears how a long job goes on; called often, from one thread, and must return fast."""

    def __call__(self, stage: str, done: int, total: int | None, /) -> None:
        """*done* of *total* units (None: not known yet) of *stage* are finished."""
        ...
