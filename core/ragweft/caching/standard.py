"""How alike two questions must be for an answer to be served again, and where that comes from."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from ragweft.caching.likeness import MEASURES

if TYPE_CHECKING:
    from ragweft.caching.likeness import Measure

__all__ = ["DEFAULT", "EXACTLY", "Standard", "read_standard"]


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

    @property
    def semantic(self) -> bool:
        """Whether anything but the same words is served."""
        return self.threshold <= 1.0

    def to_json(self) -> str:
        """The form it is kept in."""
        return json.dumps(asdict(self))


DEFAULT = Standard(threshold=0.95, origin="default")
"""What holds while nothing was calibrated. Plain cosine: the measure is known to nobody's questions yet."""


EXACTLY = Standard(threshold=2.0)
"""The same words only."""


def read_standard(said: str | None) -> Standard:
    """What was kept; `DEFAULT` if nothing was, or nothing that can be understood."""
    try:
        found: Any = json.loads(said or "")
        standard = Standard(**found)
        known = standard.measure in MEASURES and isinstance(standard.threshold, float)
    except (ValueError, TypeError):
        return DEFAULT
    return standard if known else DEFAULT
