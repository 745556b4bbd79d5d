"""Texts longer than a model's window: embedded in parts and averaged, never cut in silence.

A model reads so many tokens of a text and most services drop the rest without a word. Here such a text is split
in white space into parts that fit; its vector is the mean of theirs, weighted by their tokens and brought back
to unit length.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from ragweft.types import Vectors

__all__ = ["in_parts", "joined", "long_ones", "split"]

Count = Callable[[str], int]
"""Tokens of a text, or a bound above them."""

_MARKS = 4
"""Tokens a model adds of its own, such as [CLS] and [SEP]."""
_SPACE = re.compile(r"\s+")


def long_ones(texts: Sequence[str], *, window: int | None, count: Count) -> list[int]:
    """Places of the texts of more than *window* tokens; none if the window is not known."""
    if window is None:
        return []
    # A token stands for a byte at least, so short texts need no counting.
    return [p for p, text in enumerate(texts) if len(text.encode()) + _MARKS > window and count(text) > window]


def in_parts(texts: Sequence[str], *, window: int | None, count: Count) -> tuple[list[str], list[int]]:
    """Every text, or the parts of a long one, in order; and how many parts each text became."""
    long = set(long_ones(texts, window=window, count=count))
    parts: list[str] = []
    sizes: list[int] = []
    for place, text in enumerate(texts):
        pieces = split(text, window=window, count=count) if place in long and window is not None else [text]
        parts += pieces
        sizes.append(len(pieces))
    return parts, sizes


def split(text: str, *, window: int, count: Count) -> list[str]:
    """Parts of *text* of at most *window* tokens each, cut in white space where there is any."""
    if len(text) < 2 or count(text) <= window:
        return [text]
    middle = len(text) // 2
    cut = _cut_near(text, middle)
    return [
        part
        for half in (text[:cut], text[cut:])
        if half.strip()
        for part in split(half.strip(), window=window, count=count)
    ] or [text]


def joined(vectors: Vectors, parts: Sequence[str], sizes: Sequence[int], *, count: Count) -> Vectors:
    """One unit vector for each text from those of its parts: float32, shape (len(sizes), dims)."""
    out = np.empty((len(sizes), vectors.shape[1]), dtype=np.float32)
    start = 0
    for place, size in enumerate(sizes):
        some = vectors[start : start + size]
        if size == 1:
            out[place] = some[0]
        else:
            weights = np.array([max(1, count(part)) for part in parts[start : start + size]], dtype=np.float64)
            mean = weights @ some.astype(np.float64) / weights.sum()
            length = float(np.linalg.norm(mean))
            out[place] = mean / length if length else mean
        start += size
    return out


def _cut_near(text: str, middle: int) -> int:
    """A place in white space near *middle*, within a quarter of the text; *middle* itself if there is none."""
    reach = len(text) // 4
    after = _SPACE.search(text, middle, middle + reach)
    before = max(text.rfind(mark, middle - reach, middle) for mark in (" ", "\n", "\t"))
    places = [place for place in (after.start() if after else -1, before) if place > 0]
    return min(places, key=lambda place: abs(place - middle)) if places else middle
