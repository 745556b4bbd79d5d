"""What the cache says when it is asked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

if TYPE_CHECKING:
    from ragweft.caching.values import Cost
    from ragweft.types import Json

__all__ = ["CacheHit", "Level", "Looked", "Passed"]

Level: TypeAlias = Literal["exact", "semantic"]


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheHit:
    """An answer that was given before."""

    answer: Json
    number: int
    """What `SemanticCache.feedback` is told."""
    level: Level
    likeness: float
    """Of the two questions, by the measure in force; 1 for the same words."""
    query: str
    """The question it was given to."""
    age: float
    """Seconds since then."""
    saved: Cost
    through: int
    """The generation of the index at which it was seen to be right."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Passed:
    """An entry that was near, and why it was not served."""

    number: int
    query: str
    likeness: float
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Looked:
    """What came of one look."""

    hit: CacheHit | None
    passed: tuple[Passed, ...] = ()
    """The nearest first."""
    why: str = ""
    """Of a miss, in one sentence."""
    failed: bool = False
    """Whether the cache could not be asked."""
