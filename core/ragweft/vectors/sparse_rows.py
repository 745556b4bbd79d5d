"""Word weights of texts as arrays, and as the bytes they are kept in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["SparseRows", "asked_weights", "packed", "products", "unpacked"]

_PAIR = np.dtype([("token", "<i4"), ("weight", "<f4")])


@dataclass(frozen=True, slots=True, kw_only=True)
class SparseRows:
    """The weights of some texts, one text after the other (compressed sparse rows)."""

    lengths: NDArray[np.int64]
    """Tokens of each text, shape (texts,)."""
    tokens: NDArray[np.int32]
    """Token numbers, at least 0, rising within a text: shape (sum of lengths,)."""
    weights: NDArray[np.float32]
    """Their weights, above 0, in the same order."""

    def __len__(self) -> int:
        return len(self.lengths)


def packed(weights: Mapping[int, float]) -> bytes:
    """The weights of one text: pairs of int32 and float32, little-endian, by rising token; zeros are left out.

    Raises:
        ValueError: a token number is below 0 or too large, or a weight is negative, infinite or NaN.
    """
    tokens = np.fromiter(weights.keys(), dtype=np.int64, count=len(weights))
    with np.errstate(over="ignore"):
        values = np.fromiter(weights.values(), dtype=np.float64, count=len(weights)).astype(np.float32)
    if not np.isfinite(values).all() or (values < 0).any():
        raise ValueError("a weight is negative, infinite or NaN")
    if len(tokens) and (tokens.min() < 0 or tokens.max() > np.iinfo(np.int32).max):
        raise ValueError("a token number is below 0 or above 2**31 - 1")
    present = values > 0
    tokens, values = tokens[present], values[present]
    order = np.argsort(tokens)
    pairs = np.empty(len(tokens), dtype=_PAIR)
    pairs["token"], pairs["weight"] = tokens[order], values[order]
    return pairs.tobytes()


def unpacked(kept: Sequence[bytes]) -> SparseRows:
    """The weights of several texts from what `packed` made of each.

    Raises:
        ValueError: one is cut short.
    """
    sizes = np.fromiter(map(len, kept), dtype=np.int64, count=len(kept))
    if (sizes % _PAIR.itemsize).any():
        raise ValueError("word weights are cut short")
    pairs = np.frombuffer(b"".join(kept), dtype=_PAIR)
    return SparseRows(
        lengths=sizes // _PAIR.itemsize,
        tokens=pairs["token"].astype(np.int32),
        weights=pairs["weight"].astype(np.float32),
    )


def asked_weights(weights: Mapping[int, float]) -> SparseRows:
    """The weights of one query, as those of one text are kept: a text finds itself by the same numbers.

    Raises:
        ValueError: as `packed`.
    """
    return unpacked([packed(weights)])


def products(rows: SparseRows, asked: SparseRows) -> NDArray[np.float64]:
    """For each text the sum over shared tokens of both weights' product, float64, shape (len(rows),).

    Summed by rising token as in `SparseIndex.search`, so that both give equal numbers. Above 0 exactly where
    a token is shared: no product of two positive float32 numbers is too small for a float64.
    """
    sums = np.zeros(len(rows), dtype=np.float64)
    if not len(asked.tokens):
        return sums
    places = np.minimum(np.searchsorted(asked.tokens, rows.tokens), len(asked.tokens) - 1)
    shared = asked.tokens[places] == rows.tokens
    owners = np.repeat(np.arange(len(rows)), rows.lengths)[shared]
    terms = np.multiply(rows.weights[shared], asked.weights[places[shared]], dtype=np.float64)
    np.add.at(sums, owners, terms)
    return sums
