"""Questions in more words than their own: retrievers that ask a text generator before they search.

Both search with the query as it is and with what the generator said, and join the answers. The query keeps at
least half of the weight by default: with convex fusion no passage that only the generator's words have found
comes before the query's own best. A generator that fails, overruns its deadline or says nothing of use leaves
the query to answer alone, and the trace says so.

What the generator is asked is counted, in `results.usage` and the ledger of the index that is searched: of a
function by an estimate of what it reads and writes. A `Generator`, such as `as_generator` makes of a chat
model, counts by itself.
"""

from __future__ import annotations

import inspect
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from ragweft.flow import Failed, Flow, Step, arun, one, run
from ragweft.generation.counted import Counted, Prices
from ragweft.providers.metering import overheard
from ragweft.retrieval.fusion import METHODS
from ragweft.retrieval.joined import Search, join, level, reason, search_step
from ragweft.retrieval.replies import IMAGINE, REPHRASE, prompt_for, read_passage, read_rephrasings
from ragweft.types import Results, Stage

if TYPE_CHECKING:
    from ragweft.generation import Generator
    from ragweft.protocols import Generate, Retriever
    from ragweft.types import Metadata

__all__ = ["HyDE", "MultiQuery"]


class MultiQuery:
    """A `Retriever`: another one, asked the query and rephrasings of it that a text generator writes.

    For questions in words that the documents do not use. One call of the generator for each question.
    """

    def __init__(
        self,
        retriever: Retriever,
        generate: Generate | Generator,
        *,
        queries: int = 3,
        original_weight: float = 0.5,
        pool: int = 50,
        deadline: float | None = 10.0,
        prompt: str = REPHRASE,
        fusion: str = "convex",
        usd_per_million: Prices | None = None,
    ) -> None:
        """Ask for *queries* rephrasings by *prompt*, in which `{queries}` stands for their number.

        The query itself is appended to the prompt. Each search contributes *pool* hits, or k if that is more;
        the query's own weigh *original_weight*, those of the rephrasings have equal parts of the rest. The
        generator has *deadline* seconds; a blocking one that overruns is no longer waited for, but goes on.
        *usd_per_million* is what a function's model costs, in US dollars for a million tokens it reads and a
        million it writes: (0, 0) is free; None not known, so that its calls are counted and no cap holds them.

        Raises:
            ValueError: a setting is out of range.
            RecipeError: the prices are none, or *generate* counts by itself.
        """
        if queries < 1:
            raise ValueError(f"queries must be at least 1, got {queries}")
        self._retriever = retriever
        self._queries = queries
        self._weight = original_weight
        self._expansion = _Expansion(
            stage="rephrase",
            generate=Counted(generate, purpose="expand", taker="MultiQuery", usd_per_million=usd_per_million),
            instructions=prompt.replace("{queries}", str(queries)),
            weight=original_weight,
            pool=pool,
            deadline=deadline,
            fusion=fusion,
        )

    def __repr__(self) -> str:
        return f"MultiQuery({self._retriever!r}, queries={self._queries})"

    def retrieve(self, query: str, *, k: int = 5, where: Metadata | None = None) -> Results:
        """At most *k* hits; `origins` has "original" or "rephrasing 1", … for every search that found one.

        Raises:
            InvalidFilter: *where* is malformed.
            TypeError: the generator is asynchronous; use `aretrieve`.
        """
        return self._expansion.run(self._original(query), partial(self._rephrasings, query), k=k, where=where)

    async def aretrieve(self, query: str, *, k: int = 5, where: Metadata | None = None) -> Results:
        """As `retrieve`, without blocking the running loop."""
        original, others = self._original(query), partial(self._rephrasings, query)
        return await self._expansion.arun(original, others, k=k, where=where)

    def _original(self, query: str) -> Search:
        return Search(name="original", text=query, retriever=self._retriever, weight=self._weight)

    def _rephrasings(self, query: str, reply: str) -> list[Search]:
        weight = (1 - self._weight) / self._queries
        return [
            Search(name=f"rephrasing {number}", text=text, retriever=self._retriever, weight=weight)
            for number, text in enumerate(read_rephrasings(reply, query=query, limit=self._queries), start=1)
        ]


class HyDE:
    """A `Retriever`: another one, asked the query and a passage that a text generator imagines as its answer.

    In meaning the passage is near to real answers [Gao et al. 2023, ACL], but its names and numbers may be
    invented. So *passages*, the retriever asked the passage, is best one that searches by meaning alone.
    Without it the wrapped one is asked both, and the query's weight keeps invented words from leading.
    """

    def __init__(
        self,
        retriever: Retriever,
        generate: Generate | Generator,
        *,
        passages: Retriever | None = None,
        original_weight: float = 2 / 3,
        pool: int = 50,
        deadline: float | None = 10.0,
        prompt: str = IMAGINE,
        fusion: str = "convex",
        usd_per_million: Prices | None = None,
    ) -> None:
        """Ask for a passage by *prompt*, to which the query is appended.

        Each of the two searches contributes *pool* hits, or k if that is more; the query's own weigh
        *original_weight*, the passage's the rest. The generator has *deadline* seconds; a blocking one that
        overruns is no longer waited for, but goes on. *usd_per_million* is that of `MultiQuery`.

        Raises:
            ValueError: a setting is out of range.
            RecipeError: as `MultiQuery`.
        """
        self._retriever = retriever
        self._passages = passages
        self._weight = original_weight
        self._expansion = _Expansion(
            stage="imagine",
            generate=Counted(generate, purpose="expand", taker="HyDE", usd_per_million=usd_per_million),
            instructions=prompt,
            weight=original_weight,
            pool=pool,
            deadline=deadline,
            fusion=fusion,
        )

    def __repr__(self) -> str:
        passages = f", passages={self._passages!r}" if self._passages is not None else ""
        return f"HyDE({self._retriever!r}{passages})"

    def retrieve(self, query: str, *, k: int = 5, where: Metadata | None = None) -> Results:
        """At most *k* hits; `origins` has "question", "passage" or both, as they found one.

        Raises:
            InvalidFilter: *where* is malformed.
            TypeError: the generator is asynchronous; use `aretrieve`.
        """
        return self._expansion.run(self._question(query), partial(self._passage, query), k=k, where=where)

    async def aretrieve(self, query: str, *, k: int = 5, where: Metadata | None = None) -> Results:
        """As `retrieve`, without blocking the running loop."""
        question, others = self._question(query), partial(self._passage, query)
        return await self._expansion.arun(question, others, k=k, where=where)

    def _question(self, query: str) -> Search:
        return Search(name="question", text=query, retriever=self._retriever, weight=self._weight)

    def _passage(self, query: str, reply: str) -> list[Search]:
        text = read_passage(reply, query=query)
        asked = self._passages if self._passages is not None else self._retriever
        return [Search(name="passage", text=text, retriever=asked, weight=1 - self._weight)] if text else []


@dataclass(frozen=True, slots=True, kw_only=True)
class _Said:
    """What came back from the generator: text, if it keeps its protocol."""

    reply: object
    ms: float


@dataclass(frozen=True, slots=True, kw_only=True)
class _Expansion:
    """What both retrievers do. They differ in what they ask for, and in the searches they make of the reply."""

    stage: str
    """The generator's line in the trace."""
    generate: Counted
    instructions: str
    weight: float
    pool: int
    deadline: float | None
    fusion: str

    def __post_init__(self) -> None:
        if not 0 < self.weight < 1:
            raise ValueError(f"original_weight must lie between 0 and 1, got {self.weight}")
        if self.pool < 1:
            raise ValueError(f"pool must be at least 1, got {self.pool}")
        if self.deadline is not None and self.deadline <= 0:
            raise ValueError(f"deadline must be more than 0 seconds, got {self.deadline}")
        if self.fusion not in METHODS:
            raise ValueError(f"fusion must be one of {', '.join(sorted(METHODS))}, got {self.fusion!r}")

    def run(
        self, own: Search, others: Callable[[str], Sequence[Search]], *, k: int, where: Metadata | None
    ) -> Results:
        """Join the answers to the query's *own* search and to those that *others* makes of the reply."""
        threads = _threads()
        try:
            with overheard() as meter:
                found = run(self._flow(own, others, k, where), threads)
        finally:
            threads.shutdown(wait=False)
        return replace(found, usage=found.usage + meter.usage)

    async def arun(
        self, own: Search, others: Callable[[str], Sequence[Search]], *, k: int, where: Metadata | None
    ) -> Results:
        """As `run`, without blocking the running loop."""
        threads = _threads()
        try:
            with overheard() as meter:
                found = await arun(self._flow(own, others, k, where), threads)
        finally:
            threads.shutdown(wait=False)
        return replace(found, usage=found.usage + meter.usage)

    def _flow(
        self, own: Search, others: Callable[[str], Sequence[Search]], k: int, where: Metadata | None
    ) -> Flow[Results]:
        if k < 1:
            raise ValueError(f"k must be at least 1, got {k}")
        if not own.text.strip():
            return (yield from one(search_step(own, k=k, where=where, tolerant=False)))
        started = time.perf_counter()
        depth = max(k, self.pool)
        base, said = yield (search_step(own, k=depth, where=where, tolerant=False), self._ask(own.text))
        ms = said.ms if isinstance(said, _Said) else (time.perf_counter() - started) * 1000
        searches, complaint = _searches(said, others)
        every, outcomes = (own, *searches), [base]
        if searches:
            found = yield [search_step(search, k=depth, where=where, tolerant=True) for search in searches]
            outcomes = yield from level(every, (base, *found), k=depth, where=where)
        joined = join(every, outcomes, k=k, method=self.fusion)
        stage = Stage(name=self.stage, ms=ms, candidates=len(searches))
        degraded = joined.trace.degraded
        if not searches:
            degraded = (f"{self.stage}: {complaint}; the query answers alone", *degraded)
        trace = replace(joined.trace, stages=(stage, *joined.trace.stages), degraded=degraded)
        return replace(joined, trace=trace)

    def _ask(self, query: str) -> Step[_Said]:
        prompt = prompt_for(self.instructions, query)
        awaitable = self.generate.native is not None
        return Step(
            call=partial(_timed, self.generate, prompt),
            acall=partial(_atimed, self.generate, prompt) if awaitable else None,
            tolerant=True,
            seconds=self.deadline,
        )


def _threads() -> ThreadPoolExecutor:
    # Of each question its own: a search in it waits for the wrapped retriever, and if that had to find room in
    # the same pool, a pool full of such searches would wait for itself. Threads start as they are needed.
    return ThreadPoolExecutor(thread_name_prefix="ragweft-expand")


def _timed(generate: Counted, prompt: str) -> _Said:
    started = time.perf_counter()
    reply = generate.ask(prompt)
    return _Said(reply=reply, ms=(time.perf_counter() - started) * 1000)


async def _atimed(generate: Counted, prompt: str) -> _Said:
    started = time.perf_counter()
    reply = await generate.aask(prompt)
    return _Said(reply=reply, ms=(time.perf_counter() - started) * 1000)


def _searches(said: _Said | Failed, others: Callable[[str], Sequence[Search]]) -> tuple[Sequence[Search], str]:
    """The searches that *others* makes of what was said, or why there are none."""
    if isinstance(said, Failed):
        return (), f"the generator failed: {reason(said.error)}"
    reply = said.reply
    if inspect.isawaitable(reply):
        if inspect.iscoroutine(reply):
            reply.close()
        raise TypeError("generate returned an awaitable: give an `async def` and call aretrieve, or return str")
    if not isinstance(reply, str):
        return (), f"the generator answered with {type(reply).__name__} instead of text"
    return (searches := others(reply)), "" if searches else "the generator's reply held nothing to search with"
