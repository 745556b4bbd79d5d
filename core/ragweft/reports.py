"""What a verb that writes did, or would do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from ragweft.types import Usage

__all__ = ["Estimate", "Failure", "SyncReport"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """What a sync would do, and about what it would cost."""

    documents: int = 0
    """New or changed."""
    unchanged: int = 0
    failed: tuple[Failure, ...] = ()
    chunks: int = 0
    """Of the new and changed documents."""
    texts: int = 0
    """Of these chunks, those whose vector is not known yet."""
    tokens: int = 0
    """About what these texts are billed as, and `tuning_tokens`."""
    tuning_tokens: int = 0
    """Of these, what asking the corpus for its weights would take."""
    usd: float | None = 0.0
    """None if the price is not known."""
    long_texts: int = 0
    """Texts above the embedder's window, which would be embedded in parts."""
    seconds: float = 0.0
    """What the estimate itself took."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """A source that was not taken in, and why."""

    source: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncReport:
    """What a `sync`, `add` or `remove` did. Once it is returned, everything it counts is acknowledged."""

    added: int = 0
    updated: int = 0
    removed: int = 0
    unchanged: int = 0
    failed: tuple[Failure, ...] = ()
    """Sources of a supported type that could not be read; they make the exit status 3."""
    skipped: Mapping[str, int] = field(default_factory=dict[str, int])
    """Files left out by rule, counted by reason (unsupported type, binary, ignored …)."""
    chunks: int = 0
    """Chunks written by this call."""
    seconds: float = 0.0
    generation: int = 0
    usage: Usage = field(default_factory=Usage)
    warnings: tuple[str, ...] = ()
    reused: int = 0
    """Vectors taken over from elsewhere."""

    @property
    def changed(self) -> int:
        """Documents added, updated or removed."""
        return self.added + self.updated + self.removed
