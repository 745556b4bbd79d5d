"""Where contexts that were paid for are kept: a contract, and its plainest form.

An index keeps them in `contexts.db` (`ledger/context_store.py`).
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from ragweft.reports import BatchUnderWay

__all__ = ["ContextMemory", "Kept", "Measure", "Missing", "OpenBatch", "PassingMemory", "Pending"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """One context."""

    document_id: str
    near: bytes
    """Of its chunk and what stands around it, see `identity`."""
    document: bytes
    """Digest of the text of the document it was made from, or last found to fit."""
    text: str
    own: frozenset[str] | None
    """Its words that the document did not hold; None: not known, so it fits that very text only."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Missing:
    """A chunk without such a context, and why."""

    document_id: str
    near: bytes
    reason: str
    tries: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure:
    """What one model's calls came to: estimates go by it."""

    quarters: float = 0.0
    """Four-byte pieces of text that were sent."""
    prompt: int = 0
    """Tokens they were billed as."""
    output: int = 0
    """Tokens that came back."""
    replies: int = 0

    def __add__(self, other: Measure) -> Measure:
        return Measure(
            quarters=self.quarters + other.quarters,
            prompt=self.prompt + other.prompt,
            output=self.output + other.output,
            replies=self.replies + other.replies,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Pending:
    """One prompt of a batch that is under way."""

    name: str
    maker: str
    document_id: str
    document: bytes
    near: bytes
    done: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenBatch:
    """A batch that was handed over and not yet taken in."""

    mark: str
    """Our name for it."""
    remote: str | None
    """The service's; None: the process ended before it could be noted."""
    created: float
    """Unix time."""
    pending: Mapping[str, Pending] = field(default_factory=dict[str, Pending])
    """By name."""

    def told(self, model: str) -> BatchUnderWay:
        """The batch as reports tell it, of *model*."""
        left = sum(not one.done for one in self.pending.values())
        return BatchUnderWay(model=model, name=self.remote or "", contexts=left, since=self.created)


class ContextMemory(Protocol):
    """Keeps contexts, what is missing, what calls came to, and batches under way; durable on return.

    *maker* names model, prompt and length: everything but the document that decides a context.
    """

    def find(
        self, maker: str, *, document_id: str, document: bytes, nears: Sequence[bytes]
    ) -> dict[bytes, Kept]:
        """What is kept of *nears* for that document, or else for any document of the same text."""
        ...

    def keep(self, maker: str, document_id: str, kept: Sequence[Kept]) -> None:
        """Add contexts, or put them in the place of those with the same `near`."""
        ...

    def note_missing(self, maker: str, document_id: str, reasons: Mapping[bytes, str]) -> None:
        """Say which chunks of the document lack a context and why, in the place of what was said before."""
        ...

    def missing(self, maker: str) -> Sequence[Missing]:
        """Every chunk that lacks one."""
        ...

    def measure(self, model: str) -> Measure:
        """What the calls of *model* came to."""
        ...

    def add_measure(self, model: str, more: Measure) -> None:
        """Count more calls."""
        ...

    def open_batches(self, model: str) -> Sequence[OpenBatch]:
        """Batches of *model* under way, oldest first."""
        ...

    def begin_batch(self, model: str, mark: str, pending: Sequence[Pending]) -> None:
        """Note a batch before it is handed over."""
        ...

    def name_batch(self, mark: str, remote: str) -> bool:
        """Note how the service calls it; False if the batch is not noted (any more)."""
        ...

    def take_in(self, mark: str, name: str, kept: Kept | None) -> None:
        """Keep the context that came for the prompt *name*, or note that none did: it is done in one step."""
        ...

    def end_batch(self, mark: str) -> None:
        """Forget a batch."""
        ...


class PassingMemory:
    """A `ContextMemory` that lasts as long as its process."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._kept: dict[tuple[str, str, bytes], Kept] = {}
        self._missing: dict[tuple[str, str], dict[bytes, Missing]] = {}
        self._measures: dict[str, Measure] = {}
        self._batches: dict[str, tuple[str, OpenBatch]] = {}

    def find(
        self, maker: str, *, document_id: str, document: bytes, nears: Sequence[bytes]
    ) -> dict[bytes, Kept]:
        """As `ContextMemory.find`."""
        wanted = set(nears)
        with self._lock:
            found = {
                near: kept
                for (by, _, near), kept in self._kept.items()
                if by == maker and near in wanted and kept.document == document
            }
            own = {near: self._kept.get((maker, document_id, near)) for near in wanted}
        return found | {near: kept for near, kept in own.items() if kept is not None}

    def keep(self, maker: str, document_id: str, kept: Sequence[Kept]) -> None:
        """As `ContextMemory.keep`."""
        with self._lock:
            self._kept.update({(maker, document_id, one.near): one for one in kept})

    def note_missing(self, maker: str, document_id: str, reasons: Mapping[bytes, str]) -> None:
        """As `ContextMemory.note_missing`."""
        with self._lock:
            before = self._missing.get((maker, document_id), {})
            self._missing[maker, document_id] = {
                near: Missing(
                    document_id=document_id,
                    near=near,
                    reason=reason,
                    tries=before[near].tries + 1 if near in before else 1,
                )
                for near, reason in reasons.items()
            }

    def missing(self, maker: str) -> list[Missing]:
        """As `ContextMemory.missing`."""
        with self._lock:
            return [one for (by, _), held in self._missing.items() if by == maker for one in held.values()]

    def measure(self, model: str) -> Measure:
        """As `ContextMemory.measure`."""
        with self._lock:
            return self._measures.get(model, Measure())

    def add_measure(self, model: str, more: Measure) -> None:
        """As `ContextMemory.add_measure`."""
        with self._lock:
            self._measures[model] = self._measures.get(model, Measure()) + more

    def open_batches(self, model: str) -> list[OpenBatch]:
        """As `ContextMemory.open_batches`."""
        with self._lock:
            return [batch for by, batch in self._batches.values() if by == model]

    def begin_batch(self, model: str, mark: str, pending: Sequence[Pending]) -> None:
        """As `ContextMemory.begin_batch`."""
        by_name = {one.name: one for one in pending}
        with self._lock:
            batch = OpenBatch(mark=mark, remote=None, created=time.time(), pending=by_name)
            self._batches[mark] = (model, batch)

    def name_batch(self, mark: str, remote: str) -> bool:
        """As `ContextMemory.name_batch`."""
        with self._lock:
            if mark in self._batches:
                model, batch = self._batches[mark]
                self._batches[mark] = (model, replace(batch, remote=remote))
            return mark in self._batches

    def take_in(self, mark: str, name: str, kept: Kept | None) -> None:
        """As `ContextMemory.take_in`."""
        with self._lock:
            model, batch = self._batches[mark]
            one = batch.pending[name]
            pending = {**batch.pending, name: replace(one, done=True)}
            self._batches[mark] = (model, replace(batch, pending=pending))
            if kept is not None:
                self.keep(one.maker, one.document_id, [kept])

    def end_batch(self, mark: str) -> None:
        """As `ContextMemory.end_batch`."""
        with self._lock:
            self._batches.pop(mark, None)
