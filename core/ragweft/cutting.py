"""From a recipe to what reads, cuts and places documents, and what that makes of one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ragweft.chunking import (
    FixedChunker,
    RecursiveChunker,
    SemanticChunker,
    SentenceChunker,
    StructureChunker,
)
from ragweft.chunking.lines import numbered
from ragweft.context import NoContext, OutlineContextualizer
from ragweft.context.asked import AskingContextualizer
from ragweft.embedding.words import measure_of
from ragweft.ingestion.pipeline import Pipeline
from ragweft.ingestion.word_weights import WordWeights
from ragweft.loading import FileLoader, Limits
from ragweft.protocols import ContextualEmbedder, Tokenizer
from ragweft.settings import OUTLINED

if TYPE_CHECKING:
    from ragweft.chunking.sizes import Reserve
    from ragweft.context.memory import ContextMemory
    from ragweft.embedding.static import StaticEmbedder
    from ragweft.generation import Generator
    from ragweft.ingestion.pipeline import Closing
    from ragweft.ledger.vector_store import VectorStore
    from ragweft.protocols import Chunker, Contextualizer, Embedder, SparseEmbedder
    from ragweft.recipe import Recipe
    from ragweft.types import Chunk, Document

__all__ = ["Cutters", "Inspection", "build_cutters", "build_loader", "build_pipeline", "inspect", "writer_of"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Cutters:
    """What cuts documents and says where the pieces stand, and what measures them."""

    chunker: Chunker
    contextualizer: Contextualizer
    tokenizer: Tokenizer
    """The embedder's where it has one; otherwise the static table's, a fair estimate of any other."""
    size: int
    """What a chunk and its context may hold together: the recipe's size, or less for a smaller window."""

    def close(self) -> None:
        """Let go of what they reach services by, if they do. Idempotent."""
        close = getattr(self.contextualizer, "close", None)
        if close is not None:
            close()


@dataclass(frozen=True, slots=True, kw_only=True)
class Inspection:
    """A document and its chunks, as an index of a recipe would hold them."""

    document: Document
    chunks: tuple[Chunk, ...]
    tokens: tuple[int, ...]
    """Of each chunk's own text."""
    context_tokens: tuple[int, ...]
    """Of each chunk's context."""
    size: int
    """What a chunk and its context may hold together."""
    fingerprint: str
    """How it was cut and placed."""
    unwritten: int = 0
    """Chunks whose context a model would still have to write; they are shown with what stands in."""


def build_loader(recipe: Recipe) -> FileLoader:
    """What reads files, within the limits of *recipe*."""
    settings = recipe.loading
    limits = Limits(
        max_pages=settings.max_pages, max_seconds=settings.max_seconds, max_memory=settings.max_memory
    )
    return FileLoader(max_bytes=settings.max_bytes, limits=limits)


def build_cutters(
    recipe: Recipe,
    embedder: Embedder | None,
    vocabulary: StaticEmbedder,
    *,
    chunker: Chunker | None = None,
    contextualizer: Contextualizer | None = None,
    memory: Callable[[], ContextMemory] | None = None,
) -> Cutters:
    """The chunker and contextualizer of *recipe*; the tokens of *embedder*, or else *vocabulary*, count.

    Where *embedder* can tell how many of its own tokens it reads at once, chunks fit into that, whatever size
    is asked for. *chunker* and *contextualizer* take the place of the recipe's. *memory* opens what keeps the
    contexts that a model writes, if one is to; without it they are kept in this process.

    Raises:
        RecipeError: the recipe's language model is none, or takes no batches.
    """
    own = measure_of(embedder)
    tokenizer = embedder if isinstance(embedder, Tokenizer) else vocabulary if own is None else own.tokenizer
    # Read one after the other, what two passages share would be read twice.
    overlap = 0.0 if isinstance(embedder, ContextualEmbedder) else recipe.chunking.overlap
    if contextualizer is None:
        contextualizer, most = _contextualizer(recipe, tokenizer, memory), recipe.context.room
    else:
        contextualizer, most = _given(contextualizer, recipe, tokenizer, memory)
    size = recipe.chunking.size
    if own is not None and own.room is not None:
        # A window too small for a context and as much text again is read in parts: better than scraps.
        size = min(size, max(own.room, 2 * most))
    reserve = contextualizer.room if isinstance(contextualizer, OutlineContextualizer) else most
    return Cutters(
        chunker=chunker or _chunker(recipe, tokenizer, size, overlap, reserve, vocabulary),
        contextualizer=contextualizer,
        tokenizer=tokenizer,
        size=size,
    )


def build_pipeline(
    folder: Path,
    recipe: Recipe,
    embedder: Embedder,
    store: VectorStore,
    vocabulary: StaticEmbedder,
    *,
    chunker: Chunker | None = None,
    contextualizer: Contextualizer | None = None,
    weigher: SparseEmbedder | None = None,
    read_only: bool = False,
) -> Pipeline:
    """The way in, as *recipe* describes it; given parts take the place of the recipe's. Close it when done.

    *vocabulary* also measures texts for an embedder without a tokenizer: a fair estimate of any other's.
    *weigher* gives word weights, if they are wanted. Contexts a model writes are kept in *folder*.

    Raises:
        RecipeError: the recipe's language model is none, or takes no batches.
        IndexDamaged: contexts.db cannot be read.
    """
    owned: list[Closing] = []

    def memory() -> ContextMemory:
        from ragweft.ledger.context_store import ContextStore

        store = ContextStore(folder / "contexts.db", read_only=read_only)
        owned.append(store)
        return store

    try:
        cutters = build_cutters(
            recipe, embedder, vocabulary, chunker=chunker, contextualizer=contextualizer, memory=memory
        )
    except BaseException:
        for part in owned:
            part.close()
        raise
    if contextualizer is None:  # a caller's own is the caller's to close
        owned.append(cutters)
    return Pipeline(
        chunker=cutters.chunker,
        contextualizer=cutters.contextualizer,
        owned=owned,
        embedder=embedder,
        vocabulary=vocabulary,
        store=store,
        words=None if weigher is None else WordWeights(weigher, store, model=embedder.space.model),
    )


def inspect(document: Document, cutters: Cutters) -> Inspection:
    """What *cutters* make of *document*; nothing is embedded or stored, and no model asked for a context."""
    contextualizer, bare = cutters.contextualizer, cutters.chunker.chunk(document)
    unwritten = 0
    if isinstance(contextualizer, AskingContextualizer):
        unwritten = contextualizer.estimate_all([(document, bare)], counted=False).calls
        contextualizer = contextualizer.known
    chunks = contextualizer.contextualize(document, bare)
    count = cutters.tokenizer.encode
    return Inspection(
        document=document,
        chunks=tuple(numbered(document, chunks)),
        tokens=tuple(len(count(chunk.text).ids) for chunk in chunks),
        context_tokens=tuple(len(count(chunk.context).ids) for chunk in chunks),
        size=cutters.size,
        fingerprint=f"{cutters.chunker.fingerprint} | {cutters.contextualizer.fingerprint}",
        unwritten=unwritten,
    )


def writer_of(recipe: Recipe) -> Generator:
    """The language model that writes *recipe*'s contexts; nothing is sent, and its package not loaded yet.

    Raises:
        RecipeError: there is no such model, a setting is out of range, or its service takes no batches.
    """
    from ragweft.context.writing import batching_generator
    from ragweft.generation import Generation, resolve_generator

    settings = recipe.context
    generator = resolve_generator(
        Generation(
            model=settings.model,
            base_url=settings.base_url,
            window=settings.window,
            usd_input=settings.usd_input,
            usd_output=settings.usd_output,
            at_once=settings.at_once,
        )
    )
    if settings.batch:
        batching_generator(generator)
    return generator


def _chunker(
    recipe: Recipe,
    tokenizer: Tokenizer,
    size: int,
    overlap: float,
    reserve: Reserve,
    vocabulary: StaticEmbedder,
) -> Chunker:
    settings = recipe.chunking
    match settings.strategy:
        case "fixed":
            return FixedChunker(tokenizer=tokenizer, size=size, overlap=overlap, reserve=reserve)
        case "recursive":
            return RecursiveChunker(tokenizer=tokenizer, size=size, overlap=overlap, reserve=reserve)
        case "sentence":
            return SentenceChunker(tokenizer=tokenizer, size=size, overlap=overlap, reserve=reserve)
        case "semantic":
            # By the static table, whatever embeds the chunks: a dry run cuts too, and must cost nothing.
            return SemanticChunker(
                tokenizer=tokenizer,
                embedder=vocabulary,
                size=size,
                overlap=overlap,
                reserve=reserve,
                method="gradient" if settings.breakpoints == "gradient" else "percentile",
                threshold=settings.threshold,
                group=settings.group,
                minimum=settings.minimum,
            )
        case _:
            return StructureChunker(tokenizer=tokenizer, size=size, overlap=overlap, reserve=reserve)


def _contextualizer(
    recipe: Recipe, tokenizer: Tokenizer, memory: Callable[[], ContextMemory] | None
) -> Contextualizer:
    settings = recipe.context
    if settings.kind == "none":
        return NoContext()
    if settings.kind == "outline":
        return OutlineContextualizer(tokenizer=tokenizer, max_tokens=settings.room)
    from ragweft.context.llm import LLMContextualizer

    return LLMContextualizer(
        writer_of(recipe),
        outline=OutlineContextualizer(tokenizer=tokenizer, max_tokens=min(OUTLINED, settings.room)),
        tokenizer=tokenizer,
        memory=None if memory is None else memory(),
        max_tokens=settings.room,
        placement=settings.placement,
        batch=settings.batch,
    )


def _given(
    contextualizer: Contextualizer,
    recipe: Recipe,
    tokenizer: Tokenizer,
    memory: Callable[[], ContextMemory] | None,
) -> tuple[Contextualizer, int]:
    """*contextualizer* with what it lacks, and the tokens its contexts may have."""
    if isinstance(contextualizer, AskingContextualizer):
        from ragweft.context.llm import LLMContextualizer

        if isinstance(contextualizer, LLMContextualizer):
            reserve = contextualizer.max_tokens
            if memory is not None:
                contextualizer = contextualizer.settled(tokenizer=tokenizer, memory=memory)
            return contextualizer, reserve
    return contextualizer, recipe.context.room
