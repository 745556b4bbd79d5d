"""What a verb that writes did, or would do."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field

from ragweft.types import Usage

__all__ = ["BatchUnderWay", "Contexts", "Estimate", "Failure", "SyncReport"]


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchUnderWay:
    """Contexts that were handed over to a service and are not taken in yet."""

    model: str
    name: str
    """What the service calls the batch; "" if that is not known yet."""
    contexts: int
    """How many have not been taken in."""
    since: float
    """When it was handed over: Unix time."""

    def __str__(self) -> str:
        begun = time.localtime(self.since)
        today = begun[:3] == time.localtime()[:3]
        clock = time.strftime("%H:%M" if today else "%Y-%m-%d %H:%M", begun)
        named = f"{self.name}, " if self.name else ""
        return f"a batch of {self.contexts:,} ({named}handed over at {clock})"


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
    """Of everything, contexts included; None if a price is not known."""
    contexts: int = 0
    """Contexts a language model would be asked for."""
    contexts_under_way: int = 0
    """Contexts that are in a batch under way, and are not paid for again; no price counts them."""
    context_model: str = ""
    """Which one; "" if none would."""
    context_tokens: int = 0
    """About what it would be billed for, read and written."""
    context_usd: float | None = 0.0
    """About what that costs; None if the price is not known."""
    context_usd_at_most: float | None = 0.0
    """A bound, however long its answers are and whatever its service keeps."""
    context_basis: str = ""
    """What the count of these tokens rests on, in words."""
    long_texts: int = 0
    """Texts above the embedder's window, which would be embedded in parts."""
    seconds: float = 0.0
    """What the estimate itself took."""
    warnings: tuple[str, ...] = ()
    """What stands in the way, or should be known before."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Contexts:
    """What a language model wrote, and the tokens its service billed by what became of them."""

    written: int = 0
    kept: int = 0
    """Contexts that were known already, of documents that were looked at."""
    failed: int = 0
    """Chunks left with their outline context."""
    under_way: int = 0
    """Contexts in batches that have not ended: these chunks are among the `failed` for now."""
    fresh: int = 0
    """Tokens read for the first time and not kept."""
    stored: int = 0
    """Tokens read and kept by the service, for the next chunk of the document."""
    reread: int = 0
    """Tokens taken from what was kept: about a tenth of the price."""
    answered: int = 0
    """Tokens written."""

    @property
    def mostly_failed(self) -> bool:
        """Whether more could not be had than there are: then more is wrong than a chunk or two."""
        return not self.under_way and self.failed > self.written + self.kept

    def __sub__(self, before: Contexts) -> Contexts:
        return Contexts(
            written=self.written - before.written,
            kept=self.kept - before.kept,
            failed=self.failed - before.failed,
            under_way=self.under_way,
            fresh=self.fresh - before.fresh,
            stored=self.stored - before.stored,
            reread=self.reread - before.reread,
            answered=self.answered - before.answered,
        )


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
    contexts: Contexts = field(default_factory=Contexts)
    """What of that went to contexts."""
    warnings: tuple[str, ...] = ()
    reused: int = 0
    """Vectors taken over from elsewhere."""
    embedded_anew: int = 0
    """Texts whose vector was there, or should have been, and was not taken over."""
    why_anew: str = ""
    """Why not; "" if that was asked for, or there are none."""

    @property
    def changed(self) -> int:
        """Documents added, updated or removed."""
        return self.added + self.updated + self.removed
