"""Hybrid retrieval: legs side by side, settled against the ledger, fused, looked at again, hydrated."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from copy import deepcopy
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from ragweft.errors import RagweftError
from ragweft.flow import Failed, Flow, Step, arun, one, run
from ragweft.ledger.profile import Profiles
from ragweft.ledger.scope import Scope, Scopes
from ragweft.places import cited
from ragweft.retrieval.asking import DEADLINE, aask, ask, complete, deeper, settled
from ragweft.retrieval.balance import leg_weights
from ragweft.retrieval.fusion import BOUNDED, fuse
from ragweft.retrieval.legs import Answer
from ragweft.retrieval.origins import leg_origins
from ragweft.types import Citation, Hit, Results, Stage, Trace
from ragweft.uris import source_path

if TYPE_CHECKING:
    from ragweft.ledger.ledger import Ledger
    from ragweft.ledger.snapshot import StoredChunk
    from ragweft.retrieval.asking import Settled
    from ragweft.retrieval.balance import Balance
    from ragweft.retrieval.legs import Leg
    from ragweft.retrieval.second_look import Look, SecondLook
    from ragweft.types import Metadata, Origin, Ranking

__all__ = ["Hybrid"]

T = TypeVar("T")

_MANY = 2_000
"""Rows a leg may lack before its index is brought level in the background; a choice, not measured."""
_LATE = "words of the query met close together"


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
        sparse_weight: float = 0.0,
        deadline: float | None = DEADLINE,
    ) -> None:
        """*pool* candidates of each leg are fused as *balance* and *sparse_weight* say.

        A leg has *deadline* seconds.
        """
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
        self._sparse_weight = sparse_weight
        self._deadline = deadline

    def __repr__(self) -> str:
        return f"Hybrid({', '.join(map(repr, self._legs))})"

    @property
    def legs(self) -> Sequence[Leg]:
        """What is asked, side by side."""
        return self._legs

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
        asked = _Query(text=query, k=k, where=deepcopy(where), sources=sources, min_score=min_score)
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
        asked = _Query(text=query, k=k, where=deepcopy(where), sources=sources, min_score=min_score)
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
                acall=partial(aask, leg, query.text, n, scope, self._threads) if leg.aask else None,
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
        def again(answer: Answer, scope: Scope) -> Answer | None:
            return self._tried(partial(deeper, answer, scope), answer.leg, degraded)

        n = max(self._pool, query.k)
        with settled(self._ledger, answers, scope, n=n, again=again) as state:
            return self._finish(query, scope, state, stages, degraded)

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
        state: Settled,
        stages: Sequence[Stage],
        degraded: list[str],
    ) -> Results:
        n = max(self._pool, query.k)
        snapshot, admitted = state.snapshot, state.admitted
        lines = list(stages)
        rankings: dict[str, Ranking] = {}
        gaps: list[str] = []
        for answer in state.answers:
            started = time.perf_counter()
            done = self._tried(partial(complete, answer, admitted, snapshot, scope, n), answer.leg, degraded)
            if done is None:
                continue
            ranking, unseen = done
            rankings[answer.leg.name] = ranking
            spent = answer.ms + _since(started)
            note = answer.question.note
            if gap := answer.question.gap:
                gaps.append(gap)
            if unseen:
                note += f", {unseen:,} rows scored from the ledger"
            if unseen > _MANY:
                answer.leg.mend()
            lines.append(Stage(name=answer.leg.name, ms=spent, candidates=len(ranking.rows), note=note))
        started = time.perf_counter()
        profile = self._profiles.newest(snapshot)
        tuning = self._balance.of(profile)
        weights = leg_weights(tuning.dense_weight, self._sparse_weight)
        fused = fuse(rankings, weights, method=self._method, k=self._rrf_k)
        said = f"{self._method}, dense {tuning.dense_weight:g} ({tuning.origin})"
        if self._sparse_weight:
            said += f", sparse {self._sparse_weight:g}"
        lines.append(Stage(name="fuse", ms=_since(started), candidates=len(fused.rows), note=said))
        started = time.perf_counter()
        look = self._second_look.take(
            query.text,
            fused,
            tuning=tuning,
            profile=profile,
            snapshot=snapshot,
            documents=admitted,
            bounded=self._method in BOUNDED,
        )
        if look.late is not None:
            lines.append(Stage(name="late", ms=_since(started), candidates=len(look.late), note=_LATE))
        best = _best(look, query.k, query.min_score)
        started = time.perf_counter()
        rows = [row for row, _ in best]
        stored = snapshot.hydrate(rows)
        legs, second = leg_origins(rankings, fused, rows, scale=look.scale), look.origins(rows)
        hits = tuple(_hit(stored[row], score, legs[row] | second[row]) for row, score in best)
        lines.append(Stage(name="hydrate", ms=_since(started), candidates=len(hits)))
        trace = Trace(
            stages=tuple(lines),
            generation=snapshot.generation,
            degraded=(*degraded, *gaps),
            floors={leg: float(r.scores[-1]) for leg, r in rankings.items() if len(r.rows) >= n},
            tuning=tuning,
            index=self._ledger.uuid,
            asked=query.text,
            legs=tuple(rankings),
            k=query.k if query.min_score is None else 0,
            where=query.where,
            sources=None if query.sources is None else tuple(query.sources),
        )
        return Results(hits=hits, query=query.text, trace=trace)


def _best(look: Look, k: int, min_score: float | None) -> list[tuple[int, float]]:
    pairs = zip(look.rows[:k].tolist(), look.scores[:k].tolist(), strict=True)
    return [(row, score) for row, score in pairs if min_score is None or score >= min_score]


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
        place=cited(*chunk.place) if chunk.place else "",
    )


def _readable(uri: str) -> str:
    path = source_path(uri)
    if path is None:
        return uri
    here = Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) else str(path)


def _since(started: float) -> float:
    return (time.perf_counter() - started) * 1000
