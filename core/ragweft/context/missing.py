"""Contexts that could not be had: why, and which of them are not asked for again for now."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from ragweft.reports import Failure

if TYPE_CHECKING:
    from ragweft.context.memory import ContextMemory
    from ragweft.context.planning import Job

__all__ = ["MissingContexts"]

_MOST_REFUSED = 3
"""Times a chunk is asked for that its service or model refuses."""

Whose = str | bytes
"""A document by its name, or every document of a text by the text's digest."""


class MissingContexts:
    """What one contextualizer could not get; safe to use from several threads."""

    def __init__(self, memory: ContextMemory, maker: str) -> None:
        """*memory* is told, under *maker*."""
        self._memory = memory
        self._maker = maker
        self._lock = threading.Lock()
        self._reasons: dict[Whose, dict[bytes, str]] = {}
        self._refusals: Counter[tuple[Whose, bytes]] = Counter()
        self._failures: dict[str, tuple[Failure, ...]] = {}
        self._counted: set[tuple[str, bytes]] = set()

    def leave_alone(self, job: Job) -> None:
        """Take from what *job* wants that which could not be had before, for this document or a copy of it."""
        with self._lock:
            failed = self._reasons.get(job.digest, {}) | self._reasons.get(job.document.id, {})
        for place in job.wanted:
            if job.nears[place] in failed:
                job.fail(place, failed[job.nears[place]])
        job.wanted = [place for place in job.wanted if place not in job.reasons]

    def note(self, jobs: Sequence[Job]) -> int:
        """Note what *jobs* lack; returns how many chunks that are since `take`, each counted once."""
        before = {one.document_id for one in self._memory.missing(self._maker)}
        # Of copies one was asked for: their text was refused once, each of their names too.
        refused = {
            (whose, job.nears[place])
            for job in jobs
            for place in job.refused
            for whose in (job.document.id, job.digest)
        }
        with self._lock:
            self._refusals.update(refused)
        return sum(self._noted(job, before) for job in jobs)

    def of(self, document_id: str) -> tuple[Failure, ...]:
        """Why chunks of that document lack a context."""
        with self._lock:
            return self._failures.get(document_id, ())

    def take(self) -> tuple[Failure, ...]:
        """All of it; from now on it is asked for again, but what was refused too often."""
        with self._lock:
            found = tuple(one for some in self._failures.values() for one in some)
            self._failures.clear()
            self._counted.clear()
            for whose, reasons in list(self._reasons.items()):
                self._reasons[whose] = {
                    near: reason
                    for near, reason in reasons.items()
                    if self._refusals[whose, near] >= _MOST_REFUSED
                }
        return found

    def _noted(self, job: Job, before: set[str]) -> int:
        name = job.document.id
        reasons = {job.nears[place]: reason for place, reason in job.reasons.items()}
        if reasons or name in before:
            self._memory.note_missing(self._maker, name, reasons)
        present = set(job.nears)
        with self._lock:
            # Documents of one text may be cut in more than one way.
            others = self._reasons.get(job.digest, {}).items()
            of_text = {near: reason for near, reason in others if near not in present} | reasons
            for whose, some in ((name, reasons), (job.digest, of_text)):
                self._reasons[whose] = some
                if not some:
                    del self._reasons[whose]
            self._failures[name] = _listed(job)
            if not reasons:
                del self._failures[name]
            fresh = sum((name, job.nears[place]) not in self._counted for place in job.reasons)
            self._counted.update((name, near) for near in reasons)
        return fresh


def _listed(job: Job) -> tuple[Failure, ...]:
    """One line for each reason: hundreds of chunks may have the same."""
    source = job.document.source or job.document.id
    found = []
    for reason, count in Counter(job.reasons.values()).items():
        places = [place + 1 for place, why in job.reasons.items() if why == reason]
        which = f"chunk {places[0]}" if count == 1 else f"{count} of {len(job.chunks)} chunks"
        found.append(Failure(source=source, reason=f"{which} kept the outline context: {reason}"))
    return tuple(found)
