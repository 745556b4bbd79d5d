"""Quantised vectors as services send them, back to numbers."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["decoded", "from_base64"]

Rows = Sequence[Sequence[float]]

_BYTES = {"float": "<f4", "int8": "i1", "binary": "i1", "uint8": "u1", "ubinary": "u1"}
"""How each dtype is laid out in base64."""


def decoded(vectors: Rows, dtype: str) -> NDArray[np.float32] | Rows:
    """*vectors* of *dtype* as numbers whose direction is the vector's; float ones as they are.

    int8 counts from -128 to 127, uint8 from 0 to 255 with 128 for zero. binary and ubinary hold eight signs in
    a number, highest bit first, binary less 128: a bit that is set is +1, one that is not -1.

    Rows of unequal lengths are left as they are, for the caller to refuse.
    """
    if dtype == "float" or len({len(row) for row in vectors}) != 1:
        return vectors
    numbers = np.asarray(vectors)
    if dtype == "int8":
        return numbers.astype(np.float32)
    if dtype == "uint8":
        return numbers.astype(np.float32) - 128.0
    packed = (numbers.astype(np.int16) + (128 if dtype == "binary" else 0)).astype(np.uint8)
    return np.unpackbits(packed, axis=1).astype(np.float32) * 2.0 - 1.0


def from_base64(text: str, dtype: str = "float") -> list[float]:
    """One vector out of base64, little-endian."""
    return np.frombuffer(base64.b64decode(text), dtype=_BYTES[dtype]).astype(np.float64).tolist()  # type: ignore[no-any-return]
