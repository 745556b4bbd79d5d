"""From how well each weight answered to the weight to use: an estimate that knows how little it may know.

Every question is answered at every weight of a grid. A weight is plausible as far as its mean utility is within
the standard error of the best one's (of the paired differences, so that hard questions cancel out), and as far
as a prior allows; the choice is the mean over what is plausible. With few or undecided questions it stays at
the prior, with many clear ones it leaves it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["GRID", "Estimate", "Prior", "estimate"]

GRID = np.round(np.linspace(0.0, 1.0, 11), 1)
"""Weights of meaning that are tried, shape (11,)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Prior:
    """What is believed of a weight before anything was asked: a normal distribution cut to [0, 1]."""

    mean: float
    deviation: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """A weight and what speaks for it."""

    weight: float
    """Rounded to hundredths."""
    best: float
    """The weight of the grid with the highest mean utility."""
    means: NDArray[np.float64]
    """Mean utility at each weight of the grid."""
    questions: int


def estimate(utilities: NDArray[np.float64], prior: Prior) -> Estimate:
    """Weigh *utilities*, shape (questions, len(GRID)), each from 0 to 1, against *prior*."""
    means = utilities.mean(axis=0)
    best = int(means.argmax())
    differences = utilities - utilities[:, [best]]
    count = len(utilities)
    errors = differences.std(axis=0, ddof=1) / np.sqrt(count) if count > 1 else np.ones(len(GRID))
    # Differences equal for every question leave no spread to estimate from: one more question may differ by 1.
    apart = (means[best] - means) / np.where(errors > 0, errors, 1.0 / count)
    belief = -((GRID - prior.mean) ** 2) / (2 * prior.deviation**2) - apart**2 / 2
    plausible = np.exp(belief - belief.max())
    weight = float((plausible * GRID).sum() / plausible.sum())
    return Estimate(weight=round(weight, 2), best=float(GRID[best]), means=means, questions=count)
