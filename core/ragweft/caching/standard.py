"""How alike two questions must be for an answer to be served again, and where that comes from."""

from __future__ import annotations

import json
from dataclasses import dataclass, fields
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from ragweft.caching.values import MEASURES

if TYPE_CHECKING:
    from ragweft.caching.parlance import Parlance
    from ragweft.caching.values import Measure

__all__ = ["CONFIDENCE", "DEFAULT", "EXACTLY", "TARGET", "Standard", "read_standard"]

TARGET = 0.01
"""Share of questions whose own answer is not kept that may be served another one's."""
CONFIDENCE = 0.95
"""How sure it shall be that not more are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Standard:
    """A measure, and the likeness from which on an entry is near enough."""

    threshold: float
    """Above 1: only the same words are served."""
    measure: Measure = "cosine"
    origin: str = "given"
    """"given", "default", or what it was calibrated with."""
    target: float | None = None
    """Share of questions whose answer is not kept that may be served another one's."""
    confidence: float | None = None
    """How sure it is that the share is not above the target."""
    near_misses: int = 0
    """Pairs with different answers that were looked at."""
    wrong: int = 0
    """How many of them would have been served."""
    upper: float | None = None
    """Share of such pairs that is not exceeded, with that confidence, by counting alone (exact binomial)."""
    paraphrases: int = 0
    """Pairs with the same answer that were looked at."""
    served: int = 0
    """How many of them would have been served."""
    nearer: float = 0.0
    """Share of the near-misses whose question is much nearer to another one that was given, which has not its
    answer. Where most are, they are hardly near-misses: nearer ones will come than the threshold knows of."""
    parlance: Parlance | None = None
    """How the questions it was calibrated with are put: a threshold holds for words counted as they were then.
    None: as those in the cache are."""

    @property
    def semantic(self) -> bool:
        """Whether anything but the same words is served."""
        return self.threshold <= 1.0

    def to_json(self) -> str:
        """The form it is kept in."""
        said = {field.name: getattr(self, field.name) for field in fields(self)}
        return json.dumps(said | {"parlance": None if self.parlance is None else self.parlance.to_json()})


DEFAULT = Standard(threshold=0.95, origin="default")
"""What holds while nothing was calibrated. Plain cosine: the measure is known to nobody's questions yet."""


EXACTLY = Standard(threshold=2.0)
"""The same words only."""


@lru_cache(maxsize=8)
def read_standard(said: str | None) -> Standard:
    """What was kept; `DEFAULT` if nothing was, or nothing that can be understood."""
    from ragweft.caching.parlance import Parlance

    try:
        found: Any = json.loads(said or "")
        if found.get("parlance") is not None:
            found["parlance"] = Parlance.from_json(found["parlance"])
        standard = Standard(**found)
        known = standard.measure in MEASURES and isinstance(standard.threshold, float)
    except (ValueError, TypeError, KeyError, AttributeError):
        return DEFAULT
    return standard if known else DEFAULT
