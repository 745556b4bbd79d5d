"""Reading records back from a Chroma collection, and the exact answer over them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ragweft.vectors.cosine import best, cosines, unit_rows

if TYPE_CHECKING:
    from chromadb.api.models.Collection import Collection
    from numpy.typing import NDArray

    from ragweft.types import Rows, Vector, Vectors

_DIGITS = 6
"""Chroma sums in float32: digits behind the sixth are noise, which would part equal vectors."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Records:
    """The records of a collection, read page by page: never all at once, which Chroma does not survive."""

    collection: Collection
    calling: Callable[[str], AbstractContextManager[None]]
    """Wraps each call, to translate its errors."""
    page: int
    dims: int

    def of(self, rows: Rows) -> Iterator[tuple[Rows, Vectors]]:
        """Those of *rows* that are held, with their vectors."""
        for start in range(0, len(rows), self.page):
            with self.calling("read records"):
                answer = self.collection.get(
                    ids=record_ids(rows[start : start + self.page]), include=["embeddings"]
                )
            yield self._parsed(answer["ids"], answer["embeddings"])

    def all(self) -> Iterator[tuple[Rows, Vectors]]:
        """Everything held."""
        offset = 0
        while True:
            with self.calling("read records"):
                answer = self.collection.get(limit=self.page, offset=offset, include=["embeddings"])
            yield self._parsed(answer["ids"], answer["embeddings"])
            offset += self.page
            if len(answer["ids"]) < self.page:
                return

    def blank(self, rows: Rows) -> Rows:
        """Those of *rows* whose vector is all zero."""
        found = [held[~vectors.any(axis=1)] for held, vectors in self.of(rows)]
        return np.concatenate([np.empty(0, dtype=np.int64), *found])

    def _parsed(self, ids: Sequence[str], embeddings: object) -> tuple[Rows, Vectors]:
        rows, ours = parsed_rows(ids)
        return rows, np.asarray(embeddings, dtype=np.float32).reshape(-1, self.dims)[ours]


def record_ids(rows: Rows) -> list[str]:
    """The ids of the records of *rows*."""
    return [str(row) for row in rows.tolist()]


def parsed_rows(ids: Sequence[str]) -> tuple[Rows, NDArray[np.bool_]]:
    """The rows among *ids*, and at which places they stand: others may have added records of their own."""
    ours = np.array([name.isdecimal() for name in ids], dtype=np.bool_)
    return np.array([int(name) for name in ids if name.isdecimal()], dtype=np.int64), ours


def rounded(cosine: NDArray[np.float64]) -> Vector:
    """Cosines as float32, without the digits that are noise."""
    scores: Vector = np.round(np.clip(cosine, -1.0, 1.0), _DIGITS).astype(np.float32)
    return scores


def scan(
    pages: Iterable[tuple[Rows, Vectors]], query: NDArray[np.float64], n: int
) -> tuple[Rows, Vector, bool]:
    """The *n* rows of *pages* nearest to the unit *query*, zero vectors left out, and whether that is all."""
    rows, scores = [np.empty(0, dtype=np.int64)], [np.empty(0, dtype=np.float32)]
    for held, vectors in pages:
        units, blank = unit_rows(vectors)
        rows.append(held[~blank])
        scores.append(rounded(cosines(units[~blank], query).astype(np.float64)))
    # A page may repeat a row when something is deleted between two of them.
    every, first = np.unique(np.concatenate(rows), return_index=True)
    top, values = best(every, np.concatenate(scores)[first], n)
    return top, values, n >= len(every)
