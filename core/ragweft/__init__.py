"""ragweft: contextual chunking and hybrid retrieval over one index on disk.

Names are resolved on first use, so that importing the package loads no heavy module.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ragweft.deferred import names_of

if TYPE_CHECKING:
    from ragweft.caching.cached import Cached
    from ragweft.errors import RagweftError
    from ragweft.index import Index
    from ragweft.recipe import Recipe
    from ragweft.reindexing import estimate_reindex, reindex
    from ragweft.reports import SyncReport
    from ragweft.retrieval.expanded import HyDE, MultiQuery
    from ragweft.types import (
        Chunk,
        Citation,
        Document,
        Hit,
        Origin,
        Results,
        Span,
        Trace,
        Usage,
    )

__all__ = [
    "Cached",
    "Chunk",
    "Citation",
    "Document",
    "Hit",
    "HyDE",
    "Index",
    "MultiQuery",
    "Origin",
    "RagweftError",
    "Recipe",
    "Results",
    "Span",
    "SyncReport",
    "Trace",
    "Usage",
    "estimate_reindex",
    "reindex",
]
__version__ = "0.1.0"

_HOME = {
    "Cached": "ragweft.caching.cached",
    "HyDE": "ragweft.retrieval.expanded",
    "Index": "ragweft.index",
    "MultiQuery": "ragweft.retrieval.expanded",
    "RagweftError": "ragweft.errors",
    "Recipe": "ragweft.recipe",
    "SyncReport": "ragweft.reports",
    "estimate_reindex": "ragweft.reindexing",
    "reindex": "ragweft.reindexing",
}


__getattr__ = names_of(__name__, {name: _HOME.get(name, "ragweft.types") for name in __all__})


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
