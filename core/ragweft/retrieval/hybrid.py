"""Hybrid retrieval: legs side by side, settled against the ledger, fused, hydrated.

The order of things makes every answer consistent. The legs are asked first; then one snapshot of the ledger is
opened, which is at least as new as anything a leg has applied. Against that snapshot dead rows are dropped,
rows a leg has not applied yet are scored from the ledger, and a leg that lost too many candidates is asked for
more. So a reader never sees half a document and never misses a committed one.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from ragweft.errors import RagweftError
from ragweft.flow import Failed, Flow, Step, arun, one, run
from ragweft.ledger.profile import Profiles
from ragweft.ledger.scope import Scope, Scopes
from ragweft.loading import source_path
from ragweft.retrieval.fusion import Fused, fuse
from ragweft.retrieval.legs import Answer, Leg
from ragweft.types import Citation, Hit, Origin, Ranking, Results, Stage, Trace

if TYPE_CHECKING:
    from ragweft.ledger.ledger import Ledger
    from ragweft.ledger.snapshot import Snapshot, StoredChunk
    from ragweft.retrieval.balance import Balance
    from ragweft.retrieval.second_look import Look, SecondLook
    from ragweft.types import Metadata, Tuning

__all__ = ["Hybrid"]

T = TypeVar("T")

_MANY = 2_000
"""Rows a leg may lack before its index is brought level in the background; a choice, not measured."""
_LATE = "words of the query met close together"
_DEEPER = 4
"""Factor by which a leg's list grows when too few of its candidates were admitted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Query:
    text: str
    k: int
    where: Metadata | None
    sources: Sequence[str] | None
    min_score: float | None


class Hybrid:
    """A `Retriever` over one index; with a single leg it is that leg alone."""

    def __init__(
        self,
        legs: Sequence[Leg],
        ledger: Ledger,
        *,
        scopes: Scopes,
        threads: Executor,
        balance: Balance,
        second_look: SecondLook,
        method: str = "convex",
        rrf_k: int = 60,
        pool: int = 100,
        deadline: float | None = 10.0,
    ) -> None:
        """*pool* candidates of each leg are fused as *balance* says; a leg has *deadline* seconds."""
        self._legs = tuple(legs)
        self._ledger = ledger
        self._scopes = scopes
        self._threads = threads
        self._balance = balance
        self._second_look = second_look
        self._profiles = Profiles()
        self._method = method
        self._rrf_k = rrf_k
        self._pool = pool
        self._deadline = deadline

    def __repr__(self) -> str:
        return f"Hybrid({', '.join(map(repr, self._legs))})"

    def retrieve(
        self,
        query: str,
        *,
        k: int = 5,
        where: Metadata | None = None,
        sources: Sequence[str] | None = None,
        min_score: float | None = None,
    ) -> Results:
        """At most *k* hits that satisfy *where*, from documents at or below the URIs *sources*, best first.

        Raises:
            InvalidFilter: *where* is malformed.
            RagweftError: every leg failed.
        """
        asked = _Query(text=query, k=k, where=where, sources=sources, min_score=min_score)
        return run(self._flow(asked), self._threads)

    async def aretrieve(
        self,
        query: str,
        *,
        k: int = 5,
        where: Metadata | None = None,
        sources: Sequence[str] | None = None,
        min_score: float | None = None,
    ) -> Results:
        """As `retrieve`, without blocking the running loop."""
        asked = _Query(text=query, k=k, where=where, sources=sources, min_score=min_score)
        return await arun(self._flow(asked), self._threads)

    def _flow(self, query: _Query) -> Flow[Results]:
        started = time.perf_counter()
        scope = Scope()
        if query.where or query.sources is not None:
            scope = yield from one(Step(call=partial(self._resolve, query), quick=True))
        stages = []
        if scope.verdicts is not None:
            found = len(scope.among) if scope.among is not None else -1
            note = f"scans {found:,} rows" if found >= 0 else "tested on candidates"
            stages.append(Stage(name="filter", ms=_since(started), candidates=max(found, 0), note=note))
        n = max(self._pool, query.k)
        steps = [
            Step(
                call=partial(ask, leg, query.text, n, scope),
                acall=partial(_aask, leg, query.text, n, scope, self._threads) if leg.aask else None,
                tolerant=len(self._legs) > 1,
                quick=not leg.waits,
                seconds=self._deadline if leg.waits else None,
            )
            for leg in self._legs
        ]
        outcomes = yield steps
        answers = [outcome for outcome in outcomes if isinstance(outcome, Answer)]
        degraded = [
            f"{leg.name} search failed: {outcome.error}"
            for leg, outcome in zip(self._legs, outcomes, strict=True)
            if isinstance(outcome, Failed)
        ]
        if not answers:
            raise RagweftError("; ".join(degraded) + "; see `ragweft status`") from outcomes[0].error
        settle = partial(self._settle, query, scope, answers, stages, degraded)
        return (yield from one(Step(call=settle, quick=True)))

    def _resolve(self, query: _Query) -> Scope:
        with self._ledger.snapshot() as snapshot:
            return self._scopes.resolve(snapshot, query.where, query.sources)

    def _settle(
        self,
        query: _Query,
        scope: Scope,
        answers: Sequence[Answer],
        stages: Sequence[Stage],
        degraded: list[str],
    ) -> Results:
        n = max(self._pool, query.k)
        while True:
            with self._ledger.snapshot() as snapshot:
                admitted = scope.admit(snapshot, list({r for a in answers for r in a.ranking.rows.tolist()}))
                short = [_may_hold_more(answer, admitted, n) for answer in answers]
                if not any(short):
                    return self._finish(query, scope, answers, admitted, snapshot, stages, degraded)
            # Asked outside the snapshot: the next one must be at least as new as what the legs have applied.
            tried = [
                self._tried(partial(_deeper, answer, scope), answer.leg, degraded) if more else answer
                for answer, more in zip(answers, short, strict=True)
            ]
            answers = [answer for answer in tried if answer is not None]

    def _tried(self, call: Callable[[], T], leg: Leg, degraded: list[str]) -> T | None:
        """The call's result; None if the leg failed and another one is left to answer."""
        try:
            return call()
        except RagweftError as error:
            degraded.append(f"{leg.name} search failed: {error}")
            if len(degraded) >= len(self._legs):
                raise
            return None

    def _finish(
        self,
        query: _Query,
        scope: Scope,
        answers: Sequence[Answer],
        admitted: dict[int, int],
        snapshot: Snapshot,
        stages: Sequence[Stage],
        degraded: list[str],
    ) -> Results:
        n = max(self._pool, query.k)
        lines = list(stages)
        rankings: dict[str, Ranking] = {}
        for answer in answers:
            started = time.perf_counter()
            done = self._tried(partial(complete, answer, admitted, snapshot, scope, n), answer.leg, degraded)
            if done is None:
                continue
            ranking, unseen = done
            rankings[answer.leg.name] = ranking
            spent = answer.ms + _since(started)
            note = answer.question.note
            if unseen:
                note += f", {unseen:,} rows scored from the ledger"
            if unseen > _MANY:
                answer.leg.mend()
            lines.append(Stage(name=answer.leg.name, ms=spent, candidates=len(ranking.rows), note=note))
        started = time.perf_counter()
        profile = self._profiles.newest(snapshot)
        tuning = self._balance.of(profile)
        weights = {leg: _weight(leg, tuning) for leg in rankings}
        fused = fuse(rankings, weights, method=self._method, k=self._rrf_k)
        said = f"{self._method}, dense {tuning.dense_weight:g} ({tuning.origin})"
        lines.append(Stage(name="fuse", ms=_since(started), candidates=len(fused.rows), note=said))
        started = time.perf_counter()
        look = self._second_look.take(
            query.text,
            fused,
            tuning=tuning,
            profile=profile,
            snapshot=snapshot,
            documents=admitted,
            bounded=self._method == "convex",
        )
        if look.looked_at:
            lines.append(Stage(name="late", ms=_since(started), candidates=look.looked_at, note=_LATE))
        best = _best(look, query.k, query.min_score)
        started = time.perf_counter()
        stored = snapshot.hydrate([row for row, _ in best])
        origins = _origins(rankings, fused, weights, look, [row for row, _ in best])
        hits = tuple(_hit(stored[row], score, origins[row]) for row, score in best)
        lines.append(Stage(name="hydrate", ms=_since(started), candidates=len(hits)))
        trace = Trace(
            stages=tuple(lines),
            generation=snapshot.generation,
            degraded=tuple(degraded),
            floors={leg: float(r.scores[-1]) for leg, r in rankings.items() if len(r.rows) >= n},
            tuning=tuning,
        )
        return Results(hits=hits, query=query.text, trace=trace)


def ask(leg: Leg, text: str, n: int, scope: Scope) -> Answer:
    """The leg's *n* best for a query of that *text*."""
    started = time.perf_counter()
    question = leg.ask(text)
    ranking = question.search(n=n, among=scope.among)
    return Answer(leg=leg, question=question, ranking=ranking, asked=n, ms=_since(started))


async def _aask(leg: Leg, text: str, n: int, scope: Scope, threads: Executor) -> Answer:
    started = time.perf_counter()
    assert leg.aask is not None
    question = await leg.aask(text)
    # Only the embedding is a coroutine: the index may have to be opened, or be a server.
    search = partial(question.search, n=n, among=scope.among)
    ranking = await asyncio.get_running_loop().run_in_executor(threads, search)
    return Answer(leg=leg, question=question, ranking=ranking, asked=n, ms=_since(started))


def _weight(leg: str, tuning: Tuning) -> float:
    return tuning.dense_weight if leg == "dense" else 1.0 - tuning.dense_weight


def _may_hold_more(answer: Answer, admitted: Mapping[int, int], n: int) -> bool:
    """Whether a leg that lost candidates to the scope has others to offer."""
    ranking = answer.ranking
    kept = sum(row in admitted for row in ranking.rows.tolist())
    return kept < n and not ranking.exhausted and len(ranking.rows) >= answer.asked


def _deeper(answer: Answer, scope: Scope) -> Answer:
    started = time.perf_counter()
    asked = answer.asked * _DEEPER
    ranking = answer.question.search(n=asked, among=scope.among)
    return replace(answer, ranking=ranking, asked=asked, ms=answer.ms + _since(started))


def complete(
    answer: Answer, admitted: dict[int, int], snapshot: Snapshot, scope: Scope, n: int
) -> tuple[Ranking, int]:
    """The leg's *n* best of the rows *admitted* and of those it has not applied yet; how many these were."""
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
    complete = Ranking(
        rows=rows[:n], scores=scores[:n], generation=snapshot.generation, exhausted=ranking.exhausted
    )
    return complete, lacking


def _best(look: Look, k: int, min_score: float | None) -> list[tuple[int, float]]:
    pairs = zip(look.rows[:k].tolist(), look.scores[:k].tolist(), strict=True)
    return [(row, score) for row, score in pairs if min_score is None or score >= min_score]


def _origins(
    rankings: Mapping[str, Ranking],
    fused: Fused,
    weights: Mapping[str, float],
    look: Look,
    rows: Sequence[int],
) -> dict[int, dict[str, Origin]]:
    total = sum(weights[leg] for leg, ranking in rankings.items() if len(ranking.rows))
    if not total:
        # As the fusion does: with every weighted leg silent, the others count alike.
        weights = dict.fromkeys(rankings, 1.0)
        total = float(sum(len(ranking.rows) > 0 for ranking in rankings.values())) or 1.0
    found: dict[int, dict[str, Origin]] = {row: {} for row in rows}
    for leg, ranking in rankings.items():
        places = {row: place for place, row in enumerate(ranking.rows.tolist())}
        for row in rows:
            if row in places:
                value = fused.normalised[leg].get(row, 0.0)
                found[row][leg] = Origin(
                    rank=places[row] + 1,
                    score=float(ranking.scores[places[row]]),
                    normalised=value,
                    share=weights[leg] / total * value * look.scale,
                )
    for row in rows:
        found[row] |= look.origins.get(row, {})
    return found


def _hit(stored: StoredChunk, score: float, origins: Mapping[str, Origin]) -> Hit:
    return Hit(chunk=stored.chunk, score=score, origins=origins, citation=cite(stored), row=stored.row)


def bare_hit(stored: StoredChunk) -> Hit:
    """A stored chunk as a hit nobody ranked."""
    return Hit(chunk=stored.chunk, score=0.0, origins={}, citation=cite(stored), row=stored.row)


def cite(stored: StoredChunk) -> Citation:
    """Where a stored chunk can be looked up."""
    chunk = stored.chunk
    return Citation(
        source=_readable(stored.source) if stored.source else chunk.document_id,
        uri=chunk.document_id,
        title=stored.title,
        lines=chunk.lines,
        headings=chunk.headings,
    )


def _readable(uri: str) -> str:
    path = source_path(uri)
    if path is None:
        return uri
    here = Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) else str(path)


def _since(started: float) -> float:
    return (time.perf_counter() - started) * 1000
