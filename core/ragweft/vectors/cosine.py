"""Cosine arithmetic both indexes share: checked input, unit vectors, scores that do not depend on layout."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ragweft.errors import IndexDamaged, SpaceMismatch

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ragweft.types import Rows, Space, Vector, Vectors

BLOCK_BYTES = 4 << 20
"""Working set of a pass over vectors: large enough for full speed, small enough to forget."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What one `apply` asks for, checked: nothing in it can fail half-way through a write."""

    rows: Rows
    """Rows to add, strictly rising; those that the same change removes are already left out."""
    vectors: Vectors
    """Their vectors, float32, shape (len(rows), dims), finite."""
    removed: Rows
    """Rows to drop, strictly rising."""
    generation: int
    last_row: int
    """The highest row the change speaks of adding, -1 if none: all up to it have been seen."""


def checked_change(
    *, rows: Rows, vectors: Vectors, removed: Rows, generation: int, space: Space, place: str
) -> Change:
    """Refuse what no index may store, before anything is written.

    Raises:
        SpaceMismatch: the vectors have another size than *space*, or hold NaN or infinity.
        IndexDamaged: *rows* do not rise or do not match the vectors in number: the ledger contradicts itself.
    """
    rows = np.asarray(rows, dtype=np.int64).reshape(-1)
    vectors = np.asarray(vectors, dtype=np.float32)
    if not len(rows) and not vectors.size:
        vectors = np.empty((0, space.dims), dtype=np.float32)
    if vectors.ndim != 2 or vectors.shape[1] != space.dims:
        raise SpaceMismatch(
            f"{place} holds vectors of {space} and was given an array of shape {vectors.shape}: "
            "embed with the model the index was built with, or rebuild the index"
        )
    if len(rows) != len(vectors) or (len(rows) and (rows[0] < 0 or bool(np.any(np.diff(rows) <= 0)))):
        raise IndexDamaged(
            f"{place} was given {len(rows)} rows for {len(vectors)} vectors, or rows that do not rise: "
            "the ledger is inconsistent, rebuild the index from its documents"
        )
    for block in blocks(*vectors.shape):
        if not np.isfinite(vectors[block]).all():
            raise SpaceMismatch(
                f"{place} was given a vector with NaN or infinity, which no space holds: "
                "embed the text again, or report the embedder"
            )
    removed = np.unique(np.asarray(removed, dtype=np.int64).reshape(-1))
    last_row = int(rows[-1]) if len(rows) else -1
    doomed = np.isin(rows, removed)
    if doomed.any():
        rows, vectors = rows[~doomed], vectors[~doomed]
    return Change(rows=rows, vectors=vectors, removed=removed, generation=int(generation), last_row=last_row)


def blocks(count: int, dims: int) -> Iterator[slice]:
    """Slices that cover *count* vectors of *dims* float32 numbers, each of about `BLOCK_BYTES`."""
    step = max(1, BLOCK_BYTES // (dims * 4))
    for start in range(0, count, step):
        yield slice(start, min(start + step, count))


def unit_rows(vectors: Vectors) -> tuple[Vectors, NDArray[np.bool_]]:
    """*vectors* scaled to unit length, and which of them are all zero and stay so.

    The length is taken in float64, so that no finite vector overflows and equal vectors stay equal.
    """
    wide = vectors.astype(np.float64)
    norms = np.sqrt(np.einsum("ij,ij->i", wide, wide))
    blank = norms == 0.0
    norms[blank] = 1.0
    wide /= norms[:, None]
    return wide.astype(np.float32), blank


def unit_query(vector: Vector, *, space: Space, place: str) -> NDArray[np.float64] | None:
    """*vector* scaled to unit length, float64, shape (dims,); None when it is all zero and near to nothing.

    Raises:
        SpaceMismatch: the vector has another size than *space*, or holds NaN or infinity.
    """
    query = np.asarray(vector, dtype=np.float64).reshape(-1)
    if len(query) != space.dims or not np.isfinite(query).all():
        raise SpaceMismatch(
            f"{place} holds vectors of {space} and was asked with one of {len(query)} numbers"
            f"{'' if np.isfinite(query).all() else ', some not finite'}: "
            "embed the query with the model the index was built with"
        )
    norm = float(np.sqrt(query @ query))
    return query / norm if norm else None


def cosines(vectors: Vectors, query: NDArray[np.float64]) -> Vector:
    """Cosine of each unit row of *vectors* with the unit *query*, float32, shape (len(vectors),).

    BLAS sums in another order depending on where a row lies, so that equal vectors may differ in the last
    digit. Here every row is summed alone, in float64, always in the same order: equal vectors score equal.
    """
    scores = np.empty(len(vectors), dtype=np.float32)
    for block in blocks(*vectors.shape):
        scores[block] = np.multiply(vectors[block], query, dtype=np.float64).sum(axis=1)
    return np.clip(scores, -1.0, 1.0, out=scores)


def best(rows: Rows, scores: Vector, n: int) -> tuple[Rows, Vector]:
    """The *n* highest, by falling score, ties by rising row."""
    order = np.lexsort((rows, -scores))[:n]
    return rows[order], scores[order]
