"""What the cache holds, what it did so far, and how often it was wrong, as far as anybody knows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from ragweft.caching.estimate import at_least, at_most
from ragweft.caching.values import Cost

if TYPE_CHECKING:
    from ragweft.caching.standard import Standard
    from ragweft.caching.store import Limits
    from ragweft.caching.values import Kind, Scope
    from ragweft.types import Json

__all__ = ["SEARCH", "CacheStats", "Held", "Looks", "WrongHits", "stats_of"]

SEARCH = "search "
"""Begins the name under which is counted what came of looks for the results of searches."""

CONFIDENCE = 0.95
"""Of the interval around the share of wrong hits: it holds the true share so often."""
_OWN = "scope."


@dataclass(frozen=True, slots=True, kw_only=True)
class WrongHits:
    """How often an answer was served that does not answer, by what is known of it."""

    basis: Literal["feedback", "calibration"]
    """feedback: of hits that were judged. calibration: of pairs of near questions with different answers."""
    wrong: int
    of: int
    share: float
    low: float
    """Of the interval, exact (Clopper-Pearson); 0 of a calibration, which only asks for the upper end."""
    high: float
    confidence: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Looks:
    """What came of looks for one kind of entries."""

    exact: int
    """Hits for the same words."""
    semantic: int
    """Hits for other words."""
    misses: int
    failed: int
    """Looks that were a miss because the cache could not be asked."""

    def __add__(self, other: Looks) -> Looks:
        return Looks(
            exact=self.exact + other.exact,
            semantic=self.semantic + other.semantic,
            misses=self.misses + other.misses,
            failed=self.failed + other.failed,
        )

    @property
    def total(self) -> int:
        """Questions the cache was asked."""
        return self.exact + self.semantic + self.misses + self.failed

    @property
    def hit_rate(self) -> float:
        """Share that was served; 0 without any."""
        return (self.exact + self.semantic) / self.total if self.total else 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheStats:
    """The cache of an index at a glance, all processes and all days together."""

    entries: int
    bytes: int
    limits: Limits
    standard: Standard
    """From which likeness on an entry is near enough, and where that comes from."""
    answers: Looks
    """What came of looks for a program's answers."""
    searches: Looks
    """What came of looks for what a search finds. One who asks for an answer, and searches where there is none,
    looks for both."""
    saved: Cost
    """By all hits together."""
    renewed: int
    """Entries that something new came near to, and that a search found the very passages of again."""
    evicted: int
    """Entries that had to go for others."""
    dropped: Mapping[str, int]
    """Entries that were forgotten, by reason: "stale, evidence", "expired", "feedback", "cleared" …"""
    refused: Mapping[str, int]
    """Answers that were not kept, by reason; "" where none was noted."""
    right: int
    """Hits of which somebody said that they did answer."""
    wrong: int
    """Hits of which somebody said that they did not."""
    wrong_hits: WrongHits | None
    """By what was said since the last calibration, or by that. None: nothing is known yet."""
    other: Mapping[str, int]
    """Whatever else was counted."""

    @property
    def looks(self) -> Looks:
        """Both kinds together."""
        return self.answers + self.searches


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """A scope that has entries."""

    scope: Scope
    entries: int
    live: bool
    """Whether the index as it is now looks here; not after it was made over."""

    @property
    def kind(self) -> Kind:
        """What its entries hold."""
        return "results" if self.scope.parts.get("kind") == "results" else "answer"

    @property
    def own(self) -> dict[str, Json]:
        """The parts that a program or a search gave."""
        return {name.removeprefix(_OWN): p for name, p in self.scope.parts.items() if name.startswith(_OWN)}


def stats_of(
    tally: Mapping[str, tuple[int, Cost]],
    *,
    entries: int,
    size: int,
    limits: Limits,
    standard: Standard,
    before: Mapping[str, int],
) -> CacheStats:
    """What a *tally* says, beside the *entries* and bytes that are held now.

    *before* is how often hits were judged "right" and "wrong" when another standard was in force.
    """
    left = {what: times for what, (times, _) in tally.items()}
    dropped = _by_reason(left, "dropped")
    refused = _by_reason(left, "refused")
    right, wrong = left.pop("right", 0), left.pop("wrong", 0)
    return CacheStats(
        entries=entries,
        bytes=size,
        limits=limits,
        standard=standard,
        answers=_looks(left, ""),
        searches=_looks(left, SEARCH),
        saved=sum((cost for _, cost in tally.values()), Cost()),
        renewed=left.pop("renewed", 0),
        evicted=left.pop("evicted", 0),
        dropped=dropped,
        refused=refused,
        right=right,
        wrong=wrong,
        wrong_hits=_judged(right - before.get("right", 0), wrong - before.get("wrong", 0))
        or _calibrated(standard),
        other=left,
    )


def _looks(left: dict[str, int], who: str) -> Looks:
    return Looks(
        exact=left.pop(f"{who}hit exact", 0),
        semantic=left.pop(f"{who}hit semantic", 0),
        misses=left.pop(f"{who}miss", 0),
        failed=left.pop(f"{who}failed", 0),
    )


def _by_reason(left: dict[str, int], what: str) -> dict[str, int]:
    """What was counted as *what*, by reason, those of most first; taken out of *left*."""
    found = {name: left.pop(name) for name in list(left) if name.partition(" ")[0] == what}
    ordered = sorted(found.items(), key=lambda item: (-item[1], item[0]))
    return {name.removeprefix(what).strip(): times for name, times in ordered}


def _judged(right: int, wrong: int) -> WrongHits | None:
    if not (judged := right + wrong):
        return None
    each = (1.0 + CONFIDENCE) / 2
    return WrongHits(
        basis="feedback",
        wrong=wrong,
        of=judged,
        share=wrong / judged,
        low=at_least(wrong, judged, each),
        high=at_most(wrong, judged, each),
        confidence=CONFIDENCE,
    )


def _calibrated(standard: Standard) -> WrongHits | None:
    if standard.upper is None or not standard.near_misses or not standard.semantic:
        return None
    return WrongHits(
        basis="calibration",
        wrong=standard.wrong,
        of=standard.near_misses,
        share=standard.wrong / standard.near_misses,
        low=0.0,
        high=standard.upper,
        confidence=standard.confidence or CONFIDENCE,
    )
