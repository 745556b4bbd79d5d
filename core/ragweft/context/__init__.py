"""Chunks to chunks that know where they stand in their document."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ragweft.context.outline import NoContext, OutlineContextualizer

if TYPE_CHECKING:
    from ragweft.context.llm import LLMContextualizer

__all__ = ["LLMContextualizer", "NoContext", "OutlineContextualizer"]


def __getattr__(name: str) -> object:
    if name == "LLMContextualizer":
        from ragweft.context.llm import LLMContextualizer

        return LLMContextualizer
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
