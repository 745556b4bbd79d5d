"""Texts for the double whose vectors, scores and prices are easy to foretell."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

KEY = "sk-double-right-3nTq8"
BEES = "A hive keeps its brood warm, winter and summer."
BEES_TOO = "The hive is kept warm for its brood in winter."
CLOCKS = "A quartz crystal trembles under a current."
TEXTS = [BEES, BEES_TOO, CLOCKS]
"""The first two are near each other, the third is far from both."""


def billed(*texts: str) -> int:
    """The tokens the double bills for these texts at its usual rate."""
    return sum(math.ceil(len(text) / 4) for text in texts)


def long(tokens: int) -> str:
    """A text of so many tokens."""
    return "word" * tokens


def cosines(rows: Sequence[Sequence[float]]) -> npt.NDArray[np.float64]:
    """The cosine of every row with every other."""
    matrix = np.array(rows, dtype=np.float64)
    matrix /= np.linalg.norm(matrix, axis=1, keepdims=True)
    near: npt.NDArray[np.float64] = matrix @ matrix.T
    return near


def assert_like(rows: Sequence[Sequence[float]], dims: int) -> None:
    """These are vectors of TEXTS, in their order."""
    assert np.array(rows).shape == (3, dims)
    near = cosines(rows)
    assert near[0, 1] > near[0, 2] + 0.1
