"""What a model computed, checked before anything believes it, and brought to unit length."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ragweft.errors import ProviderError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from ragweft.types import Vectors

__all__ = ["unit_rows"]


def unit_rows(raw: ArrayLike, *, texts: int, dims: int, name: str) -> Vectors:
    """The first *dims* numbers of every row of *raw* at unit length: float32, shape (texts, dims).

    Raises:
        ProviderError: rows are missing or too short, or hold NaN.
    """
    rows = np.asarray(raw, dtype=np.float32)
    if rows.ndim != 2 or rows.shape[0] != texts or rows.shape[1] < dims:
        said = f"vectors of shape {rows.shape} came out for {texts} texts of {dims} numbers each"
        raise ProviderError(f"{name}: {said}; check the model and its dims", retryable=False)
    rows = rows[:, :dims]
    if not np.isfinite(rows).all():
        said = "a vector holds NaN or infinity"
        raise ProviderError(f"{name}: {said}; try dtype = 'float32' or device = 'cpu'", retryable=False)
    # In float64: squares of large float32 numbers overflow.
    lengths = np.linalg.norm(rows.astype(np.float64), axis=1, keepdims=True).astype(np.float32)
    unit: Vectors = np.divide(rows, lengths, out=np.zeros_like(rows), where=lengths > 0)
    return unit
