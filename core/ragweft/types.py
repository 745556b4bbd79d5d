"""The values that travel between rooms: frozen, keyword-only, free of heavy imports.

Offsets are Unicode code points into `Document.text`, half open. Lines are counted from 1, inclusive.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias, overload

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ragweft.packing import Context, Expand, Library
    from ragweft.places import Place

    Vector: TypeAlias = NDArray[np.float32]
    """One embedding, shape (dims,), unit length."""
    Vectors: TypeAlias = NDArray[np.float32]
    """Embeddings, shape (n, dims), every row of unit length (or all zero for a text without content)."""
    Rows: TypeAlias = NDArray[np.int64]
    """Row numbers, shape (n,): the immutable keys the indexes know chunks by."""
    TokenIds: TypeAlias = NDArray[np.int32]
    """Token numbers of one text in an embedder's own vocabulary, shape (n,)."""

Json: TypeAlias = "str | int | float | bool | None | Sequence[Json] | Mapping[str, Json]"
Metadata: TypeAlias = Mapping[str, Any]
"""Keys to JSON-like values, and in filters and given metadata dates too. `Any`, because a reader who tests or
compares a value knows its type and a checker cannot."""


def no_metadata() -> Metadata:
    """An empty metadata mapping (a typed default factory)."""
    return {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """The half-open range [start, end) of code points a chunk covers in its document's text."""

    start: int
    end: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """A text as it was loaded or given."""

    id: str
    """Stable: the source URI, or the caller's own name. The same id again replaces the document."""
    text: str
    metadata: Metadata = field(default_factory=no_metadata)
    """JSON-like values a `where` filter can test. Dates are stored as ISO 8601 strings; NaN is refused."""
    source: str | None = None
    """URI of the file the text came from; None for a text given by a program."""
    title: str | None = None
    format: str = "text"
    """How the text is written, which decides where it may be cut: a key of `chunking.FORMATS`
    ("markdown", "page", "rst", "python", "code", "table", "text"); anything else is treated as "text"."""
    places: Sequence[Place] | None = None
    """Pages, slides, rows …, by rising start, where the file is read by these and not by lines; empty where it
    has no parts with names, as Word's. None: the lines of the text are the file's own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Chunk:
    """A passage of a document that is indexed and returned as one."""

    id: str
    """Digest of document id, span and text (see `chunk_id`), or the caller's own for pre-chunked input."""
    document_id: str
    text: str
    ordinal: int = 0
    """Position among the chunks of the document, from 0."""
    context: str = ""
    """What the chunk cannot say by itself (title, section, opening line …); indexed beside the text."""
    context_last: bool = False
    """The context stands after the text, not before it."""
    span: Span | None = None
    """Where `text` stands in the document's text; None only for chunks given without their document."""
    headings: tuple[str, ...] = ()
    """Heading path or enclosing definitions, outermost first; for rows further down in a table, the names of
    its columns last."""
    lines: tuple[int, int] | None = None
    """First and last line in the source, counted from 1."""
    place: tuple[str, str] | None = None
    """First and last page, slide, row … instead of lines, as they are cited; see `places.ends_of`."""
    metadata: Metadata = field(default_factory=no_metadata)

    @property
    def indexed_text(self) -> str:
        """What embedders and the lexical index see: the context, a blank line, the text; or the text first."""
        return joined(self.context, self.text, last=self.context_last)

    @property
    def text_start(self) -> int:
        """Where `text` begins in `indexed_text`."""
        return 0 if self.context_last else len(self.indexed_text) - len(self.text)


def joined(context: str, text: str, *, last: bool = False) -> str:
    """What is indexed of a *text* and its *context*, which may be "" and may come *last*."""
    if not context:
        return text
    return f"{text}\n\n{context}" if last else f"{context}\n\n{text}"


def digest_of(*parts: str) -> bytes:
    """16 bytes of BLAKE2b over length-prefixed *parts*: the key of everything that is stored once."""
    digest = hashlib.blake2b(digest_size=16)
    for part in parts:
        raw = part.encode("utf-8", "surrogatepass")
        digest.update(len(raw).to_bytes(8, "little"))
        digest.update(raw)
    return digest.digest()


def chunk_id(document_id: str, span: Span, text: str) -> str:
    """Name a chunk by what it is: 32 hex digits of BLAKE2b over document id, span and text.

    36 bytes is the longest key Chroma Cloud takes; 16 bytes of digest keep collisions out of reach.
    """
    return digest_of(document_id, f"{span.start}:{span.end}", text).hex()


@dataclass(frozen=True, slots=True, kw_only=True)
class Space:
    """What makes vectors comparable: vectors of different spaces never meet in one index."""

    model: str
    """Provider and model, as in `"static:l2-supercat"`."""
    dims: int
    dtype: str = "float32"
    revision: str = ""
    """Whatever else changes the numbers: prompt, role handling, tokenisation, weights digest."""

    def __str__(self) -> str:
        revision = f"@{self.revision}" if self.revision else ""
        return f"{self.model}{revision}/{self.dims}/{self.dtype}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Encoding:
    """A text as an embedder's tokenizer sees it."""

    ids: TokenIds
    """Token numbers, shape (n,), int32."""
    starts: TokenIds
    """For each token the code point where its word begins: nondecreasing, shape (n,), int32. A cut at a
    value of `starts` or in white space leaves the tokens on both sides as they were."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ranking:
    """What a leg returns: rows by falling score, ties by rising row."""

    rows: Rows
    scores: Vector
    """The leg's own raw scores, float32, shape (n,)."""
    generation: int
    """The ledger generation the index had applied when it answered."""
    exhausted: bool = False
    """True when the leg has nothing more to offer below these rows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """One stage's opinion of one hit."""

    rank: int
    """Position in that leg's list, from 1."""
    score: float
    """The leg's raw score: cosine for dense, BM25 for lexical, the reranker's own for a reranker."""
    normalised: float
    """The raw score as the fusion saw it, after normalisation over the pool."""
    share: float
    """What this stage added to the final score; for a reranker, how many places it moved the hit up.

    With the fusions "convex" and "dbsf" the shares of a hit sum to its score. "rrf" and "zscore" have no
    bounds of their own: where a second look follows, the sum is larger by what the last candidate scored."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Citation:
    """Where a hit can be looked up. `str()` of it is `path:line`, as editors understand it, or `path p.12`."""

    source: str
    """Path below the working directory if it lies there, absolute path otherwise; or the document id."""
    uri: str
    """The document's stable id."""
    title: str | None = None
    lines: tuple[int, int] | None = None
    headings: tuple[str, ...] = ()
    place: str = ""
    """Page, slide, row … of a file that has no lines, as `p.12-13`."""

    def __str__(self) -> str:
        if self.place:
            return f"{self.source} {self.place}"
        return f"{self.source}:{self.lines[0]}" if self.lines else self.source


@dataclass(frozen=True, slots=True, kw_only=True)
class Hit:
    """A chunk that answers, with the reasons it ranked where it did."""

    chunk: Chunk
    score: float
    """Final score; comparable within one Results only."""
    origins: Mapping[str, Origin]
    """Stage name ("dense", "lexical", …) to its opinion; a leg that did not find the chunk is absent."""
    citation: Citation
    row: int | None = None
    """The ledger's immutable key of this version of the chunk; None outside an index."""
    highlights: tuple[Span, ...] = ()
    """What of the chunk's text a reranker found relevant, in code points of `chunk.text`, best first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """What a reranker says of one hit."""

    score: float
    """Higher is better, on any scale."""
    highlights: tuple[Span, ...] = ()
    """In code points of the chunk's own text, best first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tuning:
    """How much each part of a search counts in one index, and how that was found out."""

    dense_weight: float
    """Weight of meaning in the fusion, from 0 to 1; words get the rest."""
    late_weight: float
    """Share of late interaction in the last look where meaning weighs nothing; it falls as meaning rises."""
    document_weight: float
    """What the best candidate of a document lends to the document's others."""
    origin: str
    """"default", "recipe", "texts" (found from the corpus itself) or "labels" (found by `tune`)."""
    reason: str
    """One sentence for people."""
    queries: int = 0
    """How many questions decided."""
    generation: int = 0
    """The ledger generation it was found at."""
    chunks: int = 0
    """How many chunks the index had then."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """What was paid for: tokens sent to providers, and US dollars."""

    tokens: int = 0
    usd: float = 0.0
    calls: int = 0
    unpriced: int = 0
    """Calls whose price is not known: they are missing from `usd`."""
    unanswered: int = 0
    """Calls that were sent and brought no usable answer, counted at their estimate: they may be billed."""

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            tokens=self.tokens + other.tokens,
            usd=self.usd + other.usd,
            calls=self.calls + other.calls,
            unpriced=self.unpriced + other.unpriced,
            unanswered=self.unanswered + other.unanswered,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Spent:
    """What one model was paid for one purpose."""

    model: str
    purpose: str
    """"documents", "query", "rerank", "expand" or "context"; ", unanswered" behind it where no usable answer
    came."""
    usage: Usage


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """One line of a trace."""

    name: str
    ms: float
    candidates: int = 0
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trace:
    """What happened on the way to an answer."""

    stages: tuple[Stage, ...] = ()
    generation: int = 0
    """The ledger generation the answer was read at."""
    degraded: tuple[str, ...] = ()
    """One sentence for each stage that failed or was skipped."""
    cache: str = "off"
    floors: Mapping[str, float] = field(default_factory=dict[str, float])
    """For each leg the raw score at the bottom of its pool: what a new chunk must beat to matter."""
    tuning: Tuning | None = None
    """How much each part counted, and why; None if nothing was ranked."""
    asked: str = ""
    """The text the legs were asked, which another stage may have written; "" if there were several."""
    legs: tuple[str, ...] = ()
    """Those that answered it."""
    k: int = 0
    """Hits that were asked for; 0 where something else cut them off, too."""
    index: str = ""
    """The ledger that was asked."""
    where: Metadata | None = None
    """The filter the hits satisfy."""
    sources: tuple[str, ...] | None = None
    """URIs at or below which their documents lie."""

    @property
    def ms(self) -> float:
        """Sum of the stages, in milliseconds; legs that ran side by side count each."""
        return sum(stage.ms for stage in self.stages)


@dataclass(frozen=True, slots=True, kw_only=True)
class Results(Sequence[Hit]):
    """Hits, best first, with the trace and what they cost."""

    hits: tuple[Hit, ...] = ()
    query: str = ""
    trace: Trace = field(default_factory=Trace)
    usage: Usage = field(default_factory=Usage)
    library: Library | None = field(default=None, repr=False, compare=False)
    """Where `as_context` reads around the hits; not kept when results are pickled."""

    @overload
    def __getitem__(self, index: int) -> Hit: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Hit]: ...
    def __getitem__(self, index: int | slice) -> Hit | Sequence[Hit]:
        """The hit at a position, or a tuple of hits for a slice."""
        return self.hits[index]

    def __len__(self) -> int:
        return len(self.hits)

    def __repr__(self) -> str:
        """Short enough for a prompt: the question and where the hits are."""
        where = ", ".join(f"{hit.score:.2f} {hit.citation}" for hit in self.hits)
        return f"Results({self.query!r}: {where or 'no hits'})"

    def __iter__(self) -> Iterator[Hit]:
        return iter(self.hits)

    def __reduce__(self) -> tuple[object, ...]:
        return _results, (self.hits, self.query, self.trace, self.usage)

    def as_context(
        self,
        *,
        max_tokens: int = 4_000,
        expand: Expand = "section",
        diversity: float = 0.0,
        count: Callable[[str], int] | None = None,
    ) -> Context:
        """The hits as numbered passages for a prompt, with their citations; `str()` of it is the text.

        Neighbouring hits are merged, copies left out, and what is left of *max_tokens* goes to the sections
        around them. See `packing.pack`; *count* None: by the index's own tokens, a fair estimate of a model's.

        Raises:
            TypeError: something that should be a number is none.
            ValueError: a number is out of range, or *expand* is none of its words.
        """
        from ragweft.packing import characters, pack

        shelf = self.library
        count = count or (shelf.count if shelf is not None else characters)
        return pack(
            self.hits,
            max_tokens=max_tokens,
            count=count,
            library=shelf,
            expand=expand,
            diversity=diversity,
            query=self.query,
        )


def _results(hits: tuple[Hit, ...], query: str, trace: Trace, usage: Usage) -> Results:
    return Results(hits=hits, query=query, trace=trace, usage=usage)
