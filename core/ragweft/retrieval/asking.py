"""Asking the legs, and settling what they say against one state of the ledger.

The order of things makes every answer consistent. The legs are asked first; then a snapshot of the ledger is
opened, which is at least as new as anything a leg has applied. Against that snapshot dead rows are dropped,
rows a leg has not applied yet are scored from the ledger, and a leg that lost too many candidates is asked for
more. So a reader never sees half a document and never misses a committed one.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from ragweft.errors import ProviderError, RagweftError
from ragweft.flow import Failed, Step, one, run
from ragweft.retrieval.legs import Answer, DenseLeg, Leg
from ragweft.types import Ranking

if TYPE_CHECKING:
    from ragweft.ledger.ledger import Ledger
    from ragweft.ledger.scope import Scope
    from ragweft.ledger.snapshot import Snapshot
    from ragweft.types import Vector

__all__ = ["DEADLINE", "Settled", "aask", "ask", "complete", "deeper", "settled", "vector_within"]

DEADLINE = 10.0
"""Seconds a leg has for its answer."""

_DEEPER = 4
"""Factor by which a leg's list grows when too few of its candidates were admitted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settled:
    """Answers and the state of the ledger they hold for."""

    snapshot: Snapshot
    answers: Sequence[Answer]
    admitted: dict[int, int]
    """Rows of the answers that are alive and in scope, each with its document's key."""


def ask(leg: Leg, text: str, n: int, scope: Scope) -> Answer:
    """The leg's *n* best for a query of that *text*."""
    started = time.perf_counter()
    question = leg.ask(text)
    ranking = question.search(n=n, among=scope.among)
    return Answer(leg=leg, question=question, ranking=ranking, asked=n, ms=_since(started))


async def aask(leg: Leg, text: str, n: int, scope: Scope, threads: Executor) -> Answer:
    """As `ask`, for a leg that can be asked without blocking."""
    started = time.perf_counter()
    assert leg.aask is not None
    question = await leg.aask(text)
    # Only the embedding is a coroutine: the index may have to be opened, or be a server.
    search = partial(question.search, n=n, among=scope.among)
    ranking = await asyncio.get_running_loop().run_in_executor(threads, search)
    return Answer(leg=leg, question=question, ranking=ranking, asked=n, ms=_since(started))


def vector_within(seconds: float, leg: DenseLeg, query: str, threads: Executor) -> Vector:
    """The vector *leg* compares with, as it would have been had in a search: nobody waits longer for it.

    Raises:
        ProviderError: the embedder failed, or has not answered by then.
    """
    if not leg.waits:
        return leg.vector(query)
    got = run(one(Step(call=partial(leg.vector, query), tolerant=True, seconds=seconds)), threads)
    if not isinstance(got, Failed):
        return got
    if isinstance(got.error, RagweftError):
        raise got.error
    raise ProviderError(f"the question could not be embedded: {got.error}", retryable=True) from got.error


def deeper(answer: Answer, scope: Scope) -> Answer:
    """A longer list from the same leg."""
    started = time.perf_counter()
    asked = answer.asked * _DEEPER
    ranking = answer.question.search(n=asked, among=scope.among)
    return replace(answer, ranking=ranking, asked=asked, ms=answer.ms + _since(started))


@contextmanager
def settled(
    ledger: Ledger,
    answers: Sequence[Answer],
    scope: Scope,
    *,
    n: int,
    again: Callable[[Answer, Scope], Answer | None] = deeper,
) -> Iterator[Settled]:
    """Within the block, *answers* of which each holds *n* admitted rows or all its leg has to offer.

    *again* asks for a longer list; None from it leaves the leg out.
    """
    while True:
        with ledger.snapshot() as snapshot:
            admitted = scope.admit(snapshot, list({r for a in answers for r in a.ranking.rows.tolist()}))
            short = [_may_hold_more(answer, admitted, n) for answer in answers]
            if not any(short):
                yield Settled(snapshot=snapshot, answers=answers, admitted=admitted)
                return
        # Asked outside the snapshot: the next one must be at least as new as what the legs have applied.
        tried = [again(answer, scope) if more else answer for answer, more in zip(answers, short, strict=True)]
        answers = [answer for answer in tried if answer is not None]


def complete(
    answer: Answer, admitted: dict[int, int], snapshot: Snapshot, scope: Scope, n: int
) -> tuple[Ranking, int]:
    """The leg's *n* best of the rows *admitted* and of those it has not applied yet; how many these were.

    The latter are added to *admitted*.
    """
    ranking = answer.ranking
    alive = np.array([row in admitted for row in ranking.rows.tolist()], dtype=bool)
    rows, scores = ranking.rows[alive], ranking.scores[alive]
    known = ranking.generation if scope.among is None else min(ranking.generation, scope.since)
    lacking = 0
    if known < snapshot.generation:
        unseen = np.setdiff1d(snapshot.born_after(known), ranking.rows)
        wanted = scope.admit(snapshot, unseen.tolist())
        lacking = len(wanted)
        admitted |= wanted
        if wanted:
            extra = answer.question.score(snapshot, np.array(sorted(wanted), dtype=np.int64))
            rows, scores = np.concatenate([rows, extra.rows]), np.concatenate([scores, extra.scores])
            order = np.lexsort((rows, -scores))
            rows, scores = rows[order], scores[order]
    best = Ranking(
        rows=rows[:n], scores=scores[:n], generation=snapshot.generation, exhausted=ranking.exhausted
    )
    return best, lacking


def _may_hold_more(answer: Answer, admitted: Mapping[int, int], n: int) -> bool:
    """Whether a leg that lost candidates to the scope has others to offer."""
    ranking = answer.ranking
    kept = sum(row in admitted for row in ranking.rows.tolist())
    return kept < n and not ranking.exhausted and len(ranking.rows) >= answer.asked


def _since(started: float) -> float:
    return (time.perf_counter() - started) * 1000
