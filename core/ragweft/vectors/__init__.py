"""Vector indexes: followers of the ledger that answer by meaning.

`FlatIndex` is exact and read by any number of processes; `ChromaIndex` hands the vectors to Chroma, embedded,
on a server or in its cloud. Both give the same cosines for the same vectors, ties broken by rising row.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ragweft.deferred import names_of

if TYPE_CHECKING:
    from ragweft.vectors.chroma import ChromaIndex
    from ragweft.vectors.flat import FlatIndex

__all__ = ["ChromaIndex", "FlatIndex"]

__getattr__ = names_of(__name__, {"ChromaIndex": "ragweft.vectors.chroma", "FlatIndex": "ragweft.vectors.flat"})
