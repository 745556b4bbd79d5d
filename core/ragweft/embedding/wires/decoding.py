"""Quantised vectors as services send them, back to numbers."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from ragweft.errors import ProviderError

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["decoded", "from_base64", "in_order"]

T = TypeVar("T")
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


def in_order(model: str, numbered: Sequence[tuple[Any, T]]) -> list[T]:
    """What a service has numbered, in the order of its numbers; as it came where nothing is numbered.

    Raises:
        ProviderError: numbers are missing or come twice: nobody can say which text a vector belongs to.
    """
    numbers = [number for number, _ in numbered]
    if not any(numbers):  # a server that numbers nothing keeps the order; one that does means it
        return [each for _, each in numbered]
    if sorted(numbers) != list(range(len(numbered))):
        said = "its vectors are numbered neither in order nor completely"
        raise ProviderError(f"{model}: {said}; none was used, try again", retryable=True)
    return [each for _, each in sorted(numbered, key=lambda pair: pair[0])]


def from_base64(text: str, dtype: str = "float") -> list[float]:
    """One vector out of base64, little-endian."""
    return np.frombuffer(base64.b64decode(text), dtype=_BYTES[dtype]).astype(np.float64).tolist()  # type: ignore[no-any-return]
