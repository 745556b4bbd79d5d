"""Vectors as services send them: put in order, back to numbers, checked, and at unit length."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from ragweft.errors import ProviderError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ragweft.embedding.connection import Rows
    from ragweft.types import Vectors

__all__ = ["decoded", "from_base64", "in_order", "unit_vectors"]

T = TypeVar("T")

_SHOWN = 40
"""Characters of a text that an error repeats."""
_BYTES = {"float": "<f4", "int8": "i1", "binary": "i1", "uint8": "u1", "ubinary": "u1"}
"""How each dtype is laid out in base64."""


def decoded(vectors: Rows, dtype: str) -> Rows:
    """*vectors* of *dtype* as numbers whose direction is the vector's; float ones as they are.

    int8 counts from -128 to 127, uint8 from 0 to 255 with 128 for zero. binary and ubinary hold eight signs in
    a number, highest bit first, binary less 128: a bit that is set is +1, one that is not -1.

    Rows of unequal lengths, or missing ones, are left as they are, for `unit_vectors` to refuse.
    """
    if dtype == "float" or len({-1 if row is None else len(row) for row in vectors}) != 1:
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


def from_base64(text: str, dtype: str = "float") -> NDArray[np.generic]:
    """One vector out of base64, little-endian."""
    return np.frombuffer(base64.b64decode(text), dtype=_BYTES[dtype])


def unit_vectors(rows: Rows, texts: Sequence[str], *, dims: int, name: str) -> Vectors:
    """What came for *texts*, none of them blank, at unit length: float32, shape (len(texts), dims).

    Raises:
        ProviderError: there are more or fewer, one has another size or is no vector, or has no direction.
    """
    if len(rows) != len(texts):
        said = f"{len(rows)} vectors came back for {len(texts)} texts"
        raise ProviderError(f"{name}: {said}; none was used, try again", retryable=True)
    if missing := sum(row is None for row in rows):
        said = f"{missing} of {len(rows)} vectors are missing"
        raise ProviderError(f"{name}: {said}; none was used, try again", retryable=True)
    try:
        sizes = sorted({len(row) for row in rows if row is not None})
        # In float64, and by their largest numbers first: squares of float32 numbers overflow and vanish.
        numbers = np.asarray(rows, dtype=np.float64) if sizes == [dims] else None
    except (TypeError, ValueError):
        said = "a vector holds something else than numbers"
        raise ProviderError(f"{name}: {said}; none was used, try again", retryable=True) from None
    if numbers is None:
        said = f"vectors of {', '.join(map(str, sizes))} numbers came back, {dims} were asked for"
        raise ProviderError(f"{name}: {said}; check the model and its dims", retryable=False)
    if not np.isfinite(numbers).all():
        said = "a vector holds NaN or infinity"
        raise ProviderError(f"{name}: {said}; none was used, try again", retryable=True)
    largest = np.abs(numbers).max(axis=1, keepdims=True)
    if not largest.all():
        text = texts[int(np.argmin(largest))][:_SHOWN]
        said = f"only zeros came back for {text!r}"
        raise ProviderError(f"{name}: {said}; none was used, try again or leave it out", retryable=True)
    numbers = numbers / largest
    unit: Vectors = (numbers / np.linalg.norm(numbers, axis=1, keepdims=True)).astype(np.float32)
    return unit
