"""Every setting of a recipe: its meaning, its default, what is allowed. `recipe` reads and writes them.

Keys of providers are never among them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeVar

__all__ = [
    "FEWEST",
    "OUTLINED",
    "Cache",
    "Chroma",
    "Chunking",
    "Context",
    "Dense",
    "Embedding",
    "Lexical",
    "Loading",
    "Rerank",
    "Retrieval",
    "setting",
]

T = TypeVar("T")

OUTLINED = 60
"""Tokens of a context put together from a document's own title, headings and opening line."""
_WRITTEN = 100
"""Of one that a model writes: "usually 50-100 tokens" (Anthropic, "Introducing Contextual Retrieval", 2024)."""
FEWEST = 8
"""Tokens below which a context says nothing."""


def setting(
    default: T,
    doc: str,
    *,
    choices: tuple[str, ...] = (),
    low: float | None = None,
    high: float | None = None,
    word: str = "",
) -> T:
    """*word* is allowed in the place of a number."""
    bounds = {"doc": doc, "choices": choices, "low": low, "high": high, "word": word}
    value: T = field(default=default, metadata=bounds)
    return value


@dataclass(frozen=True, slots=True, kw_only=True)
class Embedding:
    """What turns texts into vectors."""

    model: str = setting("static", '"static" (built in), or "provider:model"; see `ragweft models`')
    dims: int = setting(
        0, "vector size, one the model offers; 0: its own, written down when it is known", low=0, high=65_536
    )
    dtype: str = setting(
        "float",
        "what a service sends: float; int8 and binary are smaller and coarser, where it offers them",
        choices=("float", "int8", "uint8", "binary", "ubinary"),
    )
    query_model: str = setting("", "another model of the same vector space, for queries only; empty: the same")
    query_prompt: str = setting(
        "", "put in front of queries, for models that want it; empty: as the model is known to"
    )
    document_prompt: str = setting("", "put in front of texts to be found, likewise")
    base_url: str = setting("", "where the service is; empty: the provider's own address")
    late_chunking: bool = setting(
        False, "embed a passage with its document in view, where the service can (Jina); costs the same"
    )
    window: int = setting(
        0, "tokens of the longest text embedded whole; 0: as the model is known to", low=0, high=10_000_000
    )
    send_dims: bool = setting(False, "ask a model that `ragweft models` does not list for `dims`")
    usd_per_million: float = setting(-1.0, "price of a million tokens, for counting; -1: as known", low=-1.0)
    at_once: int = setting(4, "requests under way at a time", low=1, high=256)


@dataclass(frozen=True, slots=True, kw_only=True)
class Chunking:
    """How documents are cut."""

    strategy: str = setting(
        "structure",
        "structure: by headings, definitions, sentences; sentence; semantic: where the meaning turns; "
        "recursive: paragraphs and lines; fixed: windows",
        choices=("structure", "sentence", "semantic", "recursive", "fixed"),
    )
    size: int = setting(480, "tokens of a chunk together with its context", low=32, high=100_000)
    overlap: float = setting(0.15, "share of a chunk repeated from the one before it", low=0.0, high=0.5)
    breakpoints: str = setting(
        "percentile",
        "semantic: cut at the largest distances, or where they rise most",
        choices=("percentile", "gradient"),
    )
    threshold: float = setting(95.0, "semantic: percentile of these that cuts", low=0.0, high=100.0)
    group: int = setting(5, "semantic: sentences compared on either side", low=1, high=100)
    minimum: float = setting(0.25, "semantic: share of the size below which nothing is cut", low=0.0, high=0.5)


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """What is put beside a chunk before it is indexed. Settings from `model` on are of kind llm."""

    kind: str = setting(
        "outline",
        "outline: title, headings, file name, or the opening line; llm: written by a language model that has "
        "read the document; none",
        choices=("outline", "llm", "none"),
    )
    max_tokens: int = setting(
        0, "the context's share of the chunk size; 0: 60 of an outline, 100 of a model", low=0, high=4_000
    )
    model: str = setting("", '"provider:model", as in "anthropic:claude-haiku-5-5"')
    base_url: str = setting("", "where the model is; empty: the provider's own address")
    placement: str = setting(
        "prepend", "prepend: before the chunk; append: after it", choices=("prepend", "append")
    )
    batch: bool = setting(
        False, "the provider's batches: half the price, within a day and mostly an hour; anthropic and openai"
    )
    window: int = setting(
        0, "tokens of question and answer; 0: as the model is known to read", low=0, high=10_000_000
    )
    usd_input: float = setting(-1.0, "price of a million tokens it reads, for counting; -1: as known", low=-1.0)
    usd_output: float = setting(-1.0, "price of a million tokens it writes, likewise", low=-1.0)
    at_once: int = setting(4, "questions under way at a time", low=1, high=256)

    @property
    def room(self) -> int:
        """Tokens a context may have."""
        if self.kind == "none":
            return 0
        return self.max_tokens or (_WRITTEN if self.kind == "llm" else OUTLINED)

    @property
    def indexing(self) -> Context:
        """What of it decides what is stored: how a model is reached, asked and paid does not."""
        if self.kind != "llm":
            return Context(kind=self.kind, max_tokens=self.room)
        return Context(kind="llm", max_tokens=self.room, model=self.model, placement=self.placement)


@dataclass(frozen=True, slots=True, kw_only=True)
class Loading:
    """Which files are read."""

    max_bytes: int = setting(50_000_000, "larger files are reported and left out", low=1)
    max_pages: int = setting(10_000, "files of more pages, slides or messages are left out", low=1)
    max_seconds: float = setting(60.0, "a file that takes longer to read is left out", low=0.1)
    max_memory: int = setting(2**31, "bytes the process that reads PDF, Office and books may use", low=2**26)


@dataclass(frozen=True, slots=True, kw_only=True)
class Lexical:
    """How words are compared."""

    language: str = setting("english", 'stems and stop words of Latin-script text; "none" switches both off')
    context_weight: float = setting(
        0.25, "what a word found in a passage's context counts besides; 0: nothing", low=0.0, high=10.0
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Dense:
    """Which index answers by meaning."""

    engine: str = setting(
        "auto",
        "auto: exact search up to 50 MB of vectors, Chroma above; chroma; flat (exact, no Chroma kept)",
        choices=("auto", "chroma", "flat"),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Chroma:
    """The vector database. A token is read from CHROMA_API_KEY, never from here."""

    mode: str = setting(
        "embedded",
        "embedded: inside this folder; http: a Chroma server; cloud: Chroma Cloud",
        choices=("embedded", "http", "cloud"),
    )
    host: str = setting("localhost", "http mode")
    port: int = setting(8000, "http mode", low=1, high=65_535)
    ssl: bool = setting(False, "http mode")
    tenant: str = setting("", "cloud mode; empty: the key's own")
    database: str = setting("", "cloud mode; empty: the key's own")
    collection: str = setting("ragweft", "name of the collection")
    store_text: bool = setting(False, "put texts into Chroma too, for other Chroma clients (slower, larger)")
    ef_search: int = setting(200, "candidates HNSW examines: recall against time", low=10, high=10_000)


@dataclass(frozen=True, slots=True, kw_only=True)
class Retrieval:
    """How the legs become one answer."""

    fusion: str = setting(
        "convex",
        "convex: weighted sum of min-max scores; rrf; dbsf; zscore",
        choices=("convex", "rrf", "dbsf", "zscore"),
    )
    dense_weight: float | str = setting(
        "auto",
        'weight of meaning, 0 to 1; words get the rest; "auto": the index finds its own',
        low=0.0,
        high=1.0,
        word="auto",
    )
    sparse_weight: float = setting(
        0.0,
        "share of the embedder's own word weights, 0 to 1 (BGE-M3: 0.2); the two others get the rest; 0: off",
        low=0.0,
        high=1.0,
    )
    late_weight: float = setting(
        0.5,
        "share of the last look at how closely a passage meets every word; falls as dense_weight rises; 0: off",
        low=0.0,
        high=1.0,
    )
    late_pool: int = setting(50, "candidates that look is taken at", low=1, high=10_000)
    document_weight: float = setting(
        0.3, "what a document's best candidate lends to its others; 0: nothing", low=0.0, high=10.0
    )
    rrf_k: int = setting(60, "the constant of reciprocal rank fusion", low=0, high=10_000)
    pool: int = setting(100, "candidates each leg offers to the fusion", low=1, high=10_000)
    k: int = setting(5, "hits returned when nobody says", low=1, high=10_000)
    remember_queries: bool = setting(
        True, "keep vectors of questions that cost money, never the questions: none is paid twice"
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Rerank:
    """The last look at a short list."""

    model: str = setting("none", '"none", or "provider:model" of a reranker; see `ragweft models`')
    base_url: str = setting("", "where the reranking service is; empty: the provider's own address")
    seconds: float = setting(
        10.0, "how long a search waits for it; then the fused order stands", low=0.1, high=600.0
    )
    pool: int = setting(50, "hits the reranker sees", low=1, high=10_000)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cache:
    """Answers that are served again, as long as they are right. None of this changes what is found."""

    results: str = setting(
        "off",
        "what searches find is kept, too, for the same words (exact) or what asks the same (semantic); off",
        choices=("off", "exact", "semantic"),
    )
    threshold: float | str = setting(
        "auto",
        'cosine from which on two questions may ask the same; "auto": what `ragweft cache calibrate` '
        "has found, or 0.95",
        low=0.0,
        high=1.0,
        word="auto",
    )
    semantic: bool = setting(True, "serve what asks the same in other words; false: the same words only")
    seconds: float = setting(0.0, "how long an answer is kept; 0: until what it rests on changes", low=0.0)
    entries: int = setting(100_000, "answers kept", low=1, high=100_000_000)
    bytes: int = setting(512 * 2**20, "bytes they may take together", low=2**20)
    largest: int = setting(2**20, "bytes of a single one, larger ones are not kept", low=1_000)
    eviction: str = setting(
        "cost",
        "who goes when there are too many: cost: what saves least for its size; lru: what was not used longest",
        choices=("cost", "lru"),
    )
