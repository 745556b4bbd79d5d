"""The leg that answers by words: an analyzer of our own before tantivy's BM25."""

from __future__ import annotations

from ragweft.lexical.analyzer import Analyzer
from ragweft.lexical.tantivy_index import TantivyIndex

__all__ = ["Analyzer", "TantivyIndex"]
