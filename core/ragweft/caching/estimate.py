"""What a count says of the share behind it: exact bounds for a binomial proportion.

Clopper and Pearson, "The use of confidence or fiducial limits illustrated in the case of the binomial",
Biometrika 26 (1934): a bound is the share at which what was counted, or something more extreme, would be only
just as improbable as allowed. No approximation, so nothing wrong in a hundred is not taken for nothing wrong.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["at_least", "at_most"]

_HALVINGS = 60
"""The bracket of a share is then as narrow as a float64 tells apart."""


def at_most(wrong: int, of: int, confidence: float) -> float:
    """The share that is not exceeded, with that *confidence*, where *wrong* things were seen among *of*.

    One-sided: of an interval with 95 % between its ends, each end has a confidence of 0.975. Nothing looked at
    says nothing: 1.

    Raises:
        ValueError: the counts contradict each other, or the confidence is not between 0 and 1.
    """
    if not 0 <= wrong <= of or not 0.0 < confidence < 1.0:
        raise ValueError(f"{wrong} of {of} at confidence {confidence}: there is no such bound")
    if wrong == of:
        return 1.0
    low, high = wrong / of, 1.0
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        if _as_few(wrong, of, middle) > 1.0 - confidence:
            low = middle
        else:
            high = middle
    return high


def at_least(wrong: int, of: int, confidence: float) -> float:
    """The share that is reached at least, with that *confidence*; see `at_most`. Nothing looked at: 0.

    Raises:
        ValueError: as `at_most`.
    """
    return 1.0 - at_most(of - wrong, of, confidence)


def _as_few(wrong: int, of: int, share: float) -> float:
    """How probable *wrong* or fewer among *of* are."""
    if share >= 1.0:
        return 0.0
    right = np.arange(of, of - wrong - 1, -1)
    logs = _ways(wrong, of) + (of - right) * np.log(share) + right * np.log1p(-share)
    return float(np.exp(logs).sum())


@lru_cache(maxsize=8)
def _ways(wrong: int, of: int) -> NDArray[np.float64]:
    """Logarithms of how many ways there are to choose 0, 1, … *wrong* among *of*."""
    steps = np.arange(1, wrong + 1, dtype=np.float64)
    return np.concatenate(([0.0], np.cumsum(np.log((of - steps + 1) / steps))))
