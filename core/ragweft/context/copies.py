"""Documents with the same text that are given together: their contexts are asked for once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from ragweft.context.identity import unsaid
from ragweft.context.memory import Kept

if TYPE_CHECKING:
    from ragweft.context.memory import ContextMemory
    from ragweft.context.planning import Job

__all__ = ["Copy", "Supposed", "asked_once", "not_twice", "settle"]

Supposed: TypeAlias = set[tuple[bytes, bytes]]
"""Chunks of texts, by digests, whose contexts an estimate has counted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Copy:
    """A chunk that has what becomes of an equal one, in another document of the same text."""

    job: Job
    place: int
    of: Job
    at: int
    """Place of the equal chunk in `of`."""


def asked_once(jobs: Sequence[Job]) -> list[Copy]:
    """Leave each chunk wanted by the first of *jobs* with its text, and by no other; returns the others'."""
    first: dict[tuple[bytes, bytes], tuple[Job, int]] = {}
    for job in jobs:
        for place in job.wanted:
            first.setdefault((job.digest, job.nears[place]), (job, place))
    copies = []
    for job in jobs:
        left = []
        # What is left alone in this document may still be asked for in another one.
        for place in [*job.wanted, *job.reasons]:
            of, at = first.get((job.digest, job.nears[place]), (job, place))
            if of is not job:
                copies.append(Copy(job=job, place=place, of=of, at=at))
            elif place not in job.reasons:
                left.append(place)
        job.wanted = left
    return copies


def not_twice(jobs: Sequence[Job], supposed: Supposed) -> None:
    """Leave nothing wanted that is *supposed* to be there, and suppose the rest."""
    for job in jobs:
        job.wanted = [place for place in job.wanted if (job.digest, job.nears[place]) not in supposed]
        supposed.update((job.digest, job.nears[place]) for place in job.wanted)


def settle(copies: Sequence[Copy], memory: ContextMemory, maker: str) -> int:
    """Give *copies* the contexts that came, or the reasons why none did; returns how many have one.

    Each is kept as of its own document too, which may change, or outlive the other.
    """
    kept: dict[str, list[Kept]] = {}
    for copy in copies:
        job, of = copy.job, copy.of
        context = of.contexts.get(copy.at)
        if context is not None:
            job.settle(copy.place, context)
            one = Kept(
                document_id=job.document.id,
                near=job.nears[copy.place],
                document=job.digest,
                text=context,
                own=unsaid(context, of.said),
            )
            kept.setdefault(job.document.id, []).append(one)
        elif copy.at in of.reasons:
            job.fail(copy.place, of.reasons[copy.at])
            if copy.at in of.refused:
                job.refused.add(copy.place)
    for name, some in kept.items():
        memory.keep(maker, name, some)
    return sum(len(some) for some in kept.values())
