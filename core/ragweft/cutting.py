"""From a recipe to chunker and contextualizer, and what they make of one document."""

from __future__ import annotations

from dataclasses import dataclass
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
from ragweft.loading import FileLoader, Limits
from ragweft.protocols import ContextualEmbedder, Tokenizer

if TYPE_CHECKING:
    from ragweft.embedding.static import StaticEmbedder
    from ragweft.protocols import Chunker, Contextualizer, Embedder
    from ragweft.recipe import Recipe
    from ragweft.types import Chunk, Document

__all__ = ["Cutters", "Inspection", "build_cutters", "build_loader", "inspect"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Cutters:
    """What cuts documents and says where the pieces stand, and what measures them."""

    chunker: Chunker
    contextualizer: Contextualizer
    tokenizer: Tokenizer
    """The embedder's where it has one; otherwise the static table's, a fair estimate of any other."""


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


def build_loader(recipe: Recipe) -> FileLoader:
    """What reads files, within the limits of *recipe*."""
    settings = recipe.loading
    limits = Limits(
        max_pages=settings.max_pages, max_seconds=settings.max_seconds, max_memory=settings.max_memory
    )
    return FileLoader(max_bytes=settings.max_bytes, limits=limits)


def build_cutters(recipe: Recipe, embedder: Embedder | None, vocabulary: StaticEmbedder) -> Cutters:
    """The chunker and contextualizer of *recipe*; the tokens of *embedder*, or else *vocabulary*, count."""
    tokenizer = embedder if isinstance(embedder, Tokenizer) else vocabulary
    # Read one after the other, what two passages share would be read twice.
    overlap = 0.0 if isinstance(embedder, ContextualEmbedder) else recipe.chunking.overlap
    return Cutters(
        chunker=_chunker(recipe, tokenizer, overlap, vocabulary),
        contextualizer=_contextualizer(recipe, tokenizer),
        tokenizer=tokenizer,
    )


def inspect(document: Document, recipe: Recipe, cutters: Cutters) -> Inspection:
    """What *cutters* make of *document*; nothing is embedded or stored."""
    chunks = cutters.contextualizer.contextualize(document, cutters.chunker.chunk(document))
    count = cutters.tokenizer.encode
    return Inspection(
        document=document,
        chunks=tuple(numbered(document, chunks)),
        tokens=tuple(len(count(chunk.text).ids) for chunk in chunks),
        context_tokens=tuple(len(count(chunk.context).ids) for chunk in chunks),
        size=recipe.chunking.size,
        fingerprint=f"{cutters.chunker.fingerprint} | {cutters.contextualizer.fingerprint}",
    )


def _chunker(recipe: Recipe, tokenizer: Tokenizer, overlap: float, vocabulary: StaticEmbedder) -> Chunker:
    settings = recipe.chunking
    size, reserve = settings.size, recipe.context.max_tokens if recipe.context.kind != "none" else 0
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


def _contextualizer(recipe: Recipe, tokenizer: Tokenizer) -> Contextualizer:
    if recipe.context.kind == "none":
        return NoContext()
    return OutlineContextualizer(tokenizer=tokenizer, max_tokens=recipe.context.max_tokens)
