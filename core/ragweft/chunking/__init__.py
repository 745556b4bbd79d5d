"""Documents to chunks: exact spans, sizes in the embedder's own tokens, cuts where the document allows them."""

from __future__ import annotations

from ragweft.chunking.fixed import FixedChunker, RecursiveChunker, SentenceChunker
from ragweft.chunking.grammars import Grammars
from ragweft.chunking.semantic import SemanticChunker
from ragweft.chunking.structure import FORMATS, StructureChunker

__all__ = [
    "FORMATS",
    "FixedChunker",
    "Grammars",
    "RecursiveChunker",
    "SemanticChunker",
    "SentenceChunker",
    "StructureChunker",
]
