"""The making of an answer: what comes of it, and what it took."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, ParamSpec, Protocol, TypeAlias, TypeVar, cast, overload

from ragweft.caching.calls import plain
from ragweft.caching.values import Cost
from ragweft.errors import RagweftError
from ragweft.providers.metering import overheard
from ragweft.types import Results

if TYPE_CHECKING:
    from ragweft.caching.cache import SemanticCache
    from ragweft.types import Json

__all__ = ["Answerer", "Found", "Made", "amake_answer", "keep_answer", "make_answer", "results_in"]

_log = logging.getLogger(__name__)

P = ParamSpec("P")
T = TypeVar("T", bound="Json")

Found: TypeAlias = "Results | Sequence[Results] | None"
"""What the searches found that an answer was made from; without any, it is not kept."""


class Answerer(Protocol):
    """Has a function's answers kept; the function left gives the answer alone."""

    @overload
    def __call__(
        self, function: Callable[P, Coroutine[Any, Any, tuple[T, Found]]], /
    ) -> Callable[P, Coroutine[Any, Any, T]]: ...

    @overload
    def __call__(self, function: Callable[P, tuple[T, Found]], /) -> Callable[P, T]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """An answer that was made."""

    answer: Any
    """As it is read from the cache: whoever asks first gets the same as whoever asks later."""
    found: tuple[Results, ...]
    cost: Cost
    era: str
    """In which it was begun: `SemanticCache.era`."""
    lacking: str = ""
    """Why it cannot be kept: it is not JSON, and `answer` is what was made."""


@contextmanager
def _measured(era: str) -> Iterator[Callable[[object], Made]]:
    """Gives what makes a `Made` of an answer and its evidence, with what the block took so far.

    Tokens and dollars are what calls of ragweft's own were charged: searches, rerankers, models of
    `ragweft.generation`. What a program asks of a service by itself is known by its time alone.
    """
    started = time.perf_counter()
    with overheard() as meter:

        def made(answered: object) -> Made:
            answer, found = _read(answered)
            lacking = ""
            try:
                answer = plain(answer)
            except (ValueError, RecursionError) as error:
                lacking = str(error)
            usage = sum((results.usage for results in found), meter.usage)
            ms = (time.perf_counter() - started) * 1000
            cost = Cost(ms=ms, tokens=usage.tokens, usd=usage.usd)
            return Made(answer=answer, found=found, cost=cost, era=era, lacking=lacking)

        yield made


def make_answer(make: Callable[[], object], era: Callable[[], str]) -> Made:
    """What *make* makes, begun in *era*.

    Raises:
        RagweftError: it is not an answer with its evidence.
    """
    with _measured(era()) as made:
        return made(make())


async def amake_answer(make: Callable[[], Awaitable[object]], era: Callable[[], str]) -> Made:
    """As `make_answer`."""
    with _measured(await asyncio.to_thread(era)) as made:
        return made(await make())


def keep_answer(
    cache: SemanticCache,
    query: str,
    answer: Json,
    found: Sequence[Results],
    *,
    scope: Mapping[str, Json],
    cost: Cost | None,
    seconds: float | None,
    around: bool,
    era: str | None = None,
) -> bool:
    """Put an answer made of what was *found* into *cache*; whether it is there. See `SemanticCache.store`.

    Raises:
        RagweftError: the cost or the seconds are none, or as there.
    """
    if cost is not None and not isinstance(cost, Cost):
        raise RagweftError(f"cache: cost = {cost!r} is no Cost of ragweft.caching.values; give ms, tokens, usd")
    if seconds is not None and not seconds > 0:
        raise RagweftError(f"cache: seconds = {seconds!r}; give more than 0, or None: as [cache] seconds says")
    try:
        evidence = cache.watch.evidence(*found)
    except RagweftError as error:
        _log.warning("what an answer rests on could not be noted: %s", error)
        evidence = None
    kept = partial(cache.store, query, answer, evidence=evidence, scope=scope, cost=cost)
    return kept(seconds=seconds, around=around, era=era) is not None


def _read(answered: Any) -> tuple[Any, tuple[Results, ...]]:
    if not isinstance(answered, tuple) or len(answered) != 2:
        raise RagweftError(
            f"cache: (answer, evidence) was expected, not {type(answered).__name__}; evidence is what the "
            "searches found, or None"
        )
    answer, evidence = answered
    return answer, results_in(evidence)


def results_in(evidence: Found) -> tuple[Results, ...]:
    """What is given as evidence, one by one.

    Raises:
        RagweftError: it is something else.
    """
    found: tuple[object, ...]
    if evidence is None or isinstance(evidence, Results):
        found = () if evidence is None else (evidence,)
    else:
        found = tuple(evidence) if isinstance(evidence, Iterable) else (evidence,)
    if odd := [each for each in found if not isinstance(each, Results)]:
        raise RagweftError(
            f"cache: the evidence holds {type(odd[0]).__name__}; give the results of searches, or None"
        )
    return cast("tuple[Results, ...]", found)
