"""Vectors and scores that can be computed by hand: the same for every run, near for texts that share words."""

from __future__ import annotations

import base64
import hashlib
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

Vector = npt.NDArray[np.float64]

DTYPES: Mapping[str, Any] = {
    "float": np.float32,
    "int8": np.int8,
    "uint8": np.uint8,
    "binary": np.int8,
    "ubinary": np.uint8,
}
"""Every output type, and how its numbers are laid out in base64 (little-endian)."""

_WORD = re.compile(r"\w+")
_ROLE_SHARE = 0.2
_CONTEXT_SHARE = 0.5


def words(text: str) -> list[str]:
    """The words of a text in lower case; its characters when it holds no word."""
    return _WORD.findall(text.lower()) or list(text) or [""]


def embed(
    text: str,
    *,
    dims: int,
    full: int | None = None,
    role: str | None = None,
    context: str | None = None,
    unit: bool = True,
) -> Vector:
    """A bag of words, each word a row of hashed signs; float64, shape (dims,).

    A shorter vector is the beginning of the longer one, as with models trained to be truncated; `unit=False` leaves
    it as long as cutting it from the unit vector of `full` numbers made it. `role` turns the vector a little (the
    same text as a query and as a document has a cosine near 0.96), `context` turns it towards the text it was
    taken from.
    """
    size = max(full or dims, dims)
    vector = _bag(words(text), size)
    if context is not None:
        vector = vector + _CONTEXT_SHARE * _bag(words(context), size)
    if role:
        vector = vector + _ROLE_SHARE * _bag([f"role:{role}"], size)
    vector = _unit(vector)[:dims]
    return _unit(vector) if unit else vector


def relevance(query: str, text: str) -> float:
    """What the rerankers of the double answer: between 0.02 and 0.98, mostly the share of the query's words found."""
    wanted = set(words(query))
    share = len(wanted & set(words(text))) / len(wanted)
    near = max(0.0, float(embed(query, dims=256) @ embed(text, dims=256)))
    return round(0.02 + 0.68 * share + 0.28 * min(1.0, near), 6)


def encode(vector: Vector, dtype: str = "float", *, as_base64: bool = False) -> list[float] | list[int] | str:
    """One vector as a provider sends it: a JSON array, or the bytes of `DTYPES[dtype]` in base64.

    Raises:
        ValueError: The vector holds a NaN, which no integer can carry.
    """
    numbers = _quantised(vector, dtype)
    if as_base64:
        return base64.b64encode(numbers.astype(DTYPES[dtype]).tobytes()).decode("ascii")
    values: list[float] | list[int] = numbers.tolist()
    return values


def _quantised(vector: Vector, dtype: str) -> npt.NDArray[Any]:
    if dtype == "float":
        return np.round(vector, 8)
    if np.isnan(vector).any():
        raise ValueError(f"a NaN cannot be sent as {dtype}")
    if dtype in ("binary", "ubinary"):
        packed = np.packbits(vector > 0).astype(np.int16)
        return packed - 128 if dtype == "binary" else packed
    # Providers calibrate the range of each dimension; scaling by the largest keeps the direction as well.
    scaled: npt.NDArray[np.int16] = np.rint(vector / np.abs(vector).max() * 127).astype(np.int16)
    return scaled + 128 if dtype == "uint8" else scaled


def _bag(terms: Sequence[str], size: int) -> Vector:
    counts = Counter(terms)
    rows = np.stack([_signs(term, size) for term in counts])
    return _unit(np.array(list(counts.values()), dtype=np.float64) @ rows)


@lru_cache(maxsize=4096)
def _signs(term: str, size: int) -> Vector:
    """Plus and minus ones; those of a shorter size are the beginning of these."""
    digest = hashlib.shake_256(term.encode("utf-8", "surrogatepass")).digest(-(-size // 8))
    bits = np.unpackbits(np.frombuffer(digest, dtype=np.uint8))[:size]
    return bits.astype(np.float64) * 2 - 1


def _unit(vector: Vector) -> Vector:
    norm = float(np.linalg.norm(vector))
    if norm == 0.0:
        return np.full_like(vector, len(vector) ** -0.5)
    return np.divide(vector, norm, dtype=np.float64)
