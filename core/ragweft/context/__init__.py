"""Chunks to chunks that know where they stand in their document."""

from __future__ import annotations

from ragweft.context.outline import NoContext, OutlineContextualizer

__all__ = ["NoContext", "OutlineContextualizer"]
