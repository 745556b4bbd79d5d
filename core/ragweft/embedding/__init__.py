"""Texts to unit vectors. `resolve` turns a recipe's `"static"` or `"provider:model"` into an embedder."""

from __future__ import annotations

__all__ = ["StaticEmbedder"]

from ragweft.embedding.static import StaticEmbedder
