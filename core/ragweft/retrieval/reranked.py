"""A second, closer look at the head of another retriever's answer."""

from __future__ import annotations

import math
import time
from concurrent.futures import Executor
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from ragweft.errors import ProviderError
from ragweft.flow import Failed, Flow, Step, arun, one, run
from ragweft.protocols import HighlightingReranker
from ragweft.providers.metering import overheard
from ragweft.types import Judgement, Origin, Results, Stage

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ragweft.protocols import Reranker, Retriever
    from ragweft.types import Hit, Metadata

__all__ = ["Reranked"]


class Reranked:
    """A `Retriever`: the best *pool* hits of another one, reordered by a reranker.

    A reranker that fails or overruns its deadline leaves the order as it was; the trace says so. What it costs
    is added to the bill of the answer.
    """

    def __init__(
        self,
        retriever: Retriever,
        reranker: Reranker,
        *,
        threads: Executor,
        pool: int = 50,
        deadline: float | None = 10.0,
    ) -> None:
        self._retriever = retriever
        self._reranker = reranker
        self._threads = threads
        self._pool = pool
        self._deadline = deadline
        self._loaded = False

    def __repr__(self) -> str:
        return f"Reranked({self._retriever!r}, {self._reranker.name}, pool={self._pool})"

    def retrieve(self, query: str, *, k: int = 5, where: Metadata | None = None) -> Results:
        """At most *k* hits, in the reranker's order."""
        with overheard() as meter:
            base = self._retriever.retrieve(query, k=max(k, self._pool), where=where)
            found = self.reorder(base, k=k)
        return replace(found, usage=found.usage + meter.usage)

    async def aretrieve(self, query: str, *, k: int = 5, where: Metadata | None = None) -> Results:
        """As `retrieve`, without blocking the running loop."""
        native = getattr(self._retriever, "aretrieve", None)
        pool = max(k, self._pool)
        with overheard() as meter:
            if native is None:
                call = partial(self._retriever.retrieve, query, k=pool, where=where)
                base = await arun(one(Step(call=call)), self._threads)
            else:
                base = await native(query, k=pool, where=where)
            found = await self.areorder(base, k=k)
        return replace(found, usage=found.usage + meter.usage)

    def reorder(self, base: Results, *, k: int) -> Results:
        """The best *k* of *base* in the reranker's order."""
        return run(self._flow(base, k), self._threads)

    async def areorder(self, base: Results, *, k: int) -> Results:
        """As `reorder`, without blocking the running loop."""
        return await arun(self._flow(base, k), self._threads)

    def _flow(self, base: Results, k: int) -> Flow[Results]:
        if not base.hits:
            return base
        reranker = self._reranker
        load = getattr(reranker, "load", None)
        if load is not None and not self._loaded:
            # Reading gigabytes once is no reason to do without the reranker.
            yield (Step(call=load, tolerant=True),)
            self._loaded = True
        started = time.perf_counter()
        native = getattr(reranker, "ajudge", None) or getattr(reranker, "arerank", None)
        call = reranker.judge if isinstance(reranker, HighlightingReranker) else reranker.rerank
        step: Step[list[Judgement]] = Step(
            call=partial(_asked, call, base.query, base.hits),
            acall=partial(_aasked, native, base.query, base.hits) if native is not None else None,
            tolerant=True,
            seconds=self._deadline,
        )
        (judged,) = yield (step,)
        name = reranker.name
        if not isinstance(judged, Failed) and len(judged) != len(base.hits):
            text = f"{name} gave {len(judged)} scores for {len(base.hits)} passages"
            judged = Failed(ProviderError(text, retryable=True))
        elif not isinstance(judged, Failed) and not all(math.isfinite(each.score) for each in judged):
            judged = Failed(ProviderError(f"{name} gave a score that is no number", retryable=True))
        ms = (time.perf_counter() - started) * 1000
        stage = Stage(name="rerank", ms=ms, candidates=len(base.hits), note=name)
        trace = replace(base.trace, stages=(*base.trace.stages, stage))
        if isinstance(judged, Failed):
            told = f"reranker {name} failed, the fused order stands: {judged.error}"
            trace = replace(trace, degraded=(*trace.degraded, told))
            return replace(base, hits=base.hits[:k], trace=trace)
        return replace(base, hits=tuple(_reordered(base.hits, judged)[:k]), trace=trace)


def _asked(call: Callable[..., Any], query: str, hits: Sequence[Hit]) -> list[Judgement]:
    return [_judgement(each) for each in call(query, hits)]


async def _aasked(call: Callable[..., Any], query: str, hits: Sequence[Hit]) -> list[Judgement]:
    return [_judgement(each) for each in await call(query, hits)]


def _judgement(given: Judgement | float) -> Judgement:
    return given if isinstance(given, Judgement) else Judgement(score=float(given))


def _reordered(hits: Sequence[Hit], judged: Sequence[Judgement]) -> list[Hit]:
    scores = [each.score for each in judged]
    # Ties keep the order they came in.
    order = sorted(range(len(hits)), key=lambda i: (-scores[i], i))
    low, high = min(scores), max(scores)
    out = []
    for place, i in enumerate(order):
        normalised = (scores[i] - low) / (high - low) if high > low else 1.0
        opinion = Origin(rank=place + 1, score=scores[i], normalised=normalised, share=float(i - place))
        origins = {**hits[i].origins, "rerank": opinion}
        out.append(replace(hits[i], score=scores[i], origins=origins, highlights=judged[i].highlights))
    return out
