"""Answers kept beside an index, for whoever makes them: `Index.cache`.

    with Index.open("kb") as index:
        cache = index.cache(scope={"model": "anthropic:claude-haiku-5-5", "prompt": "v3"})
        hit = cache.lookup(question, scope={"tenant": "a"})
        if hit is None:
            found = index.search(question)
            answer = ask_a_model(found.as_context())
            cache.store(question, answer, evidence=found, scope={"tenant": "a"})

An answer is served as long as what it rests on is as it was; see `ragweft.caching`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar, cast, overload

from ragweft.caching.calls import Calls, as_scope, plain
from ragweft.caching.flights import WAIT
from ragweft.caching.making import amake_answer, keep_answer, make_answer, results_in
from ragweft.caching.standard import CONFIDENCE, TARGET
from ragweft.errors import InvalidFilter, RagweftError
from ragweft.opening import as_uris
from ragweft.progress import silent

if TYPE_CHECKING:
    import os
    from collections.abc import Awaitable

    from ragweft.caching.cache import SemanticCache
    from ragweft.caching.calibrating import Pair
    from ragweft.caching.hits import CacheHit, Looked
    from ragweft.caching.looking import Check
    from ragweft.caching.making import Answerer, Found, Made
    from ragweft.caching.standard import Standard
    from ragweft.caching.stats import CacheStats, Held
    from ragweft.caching.values import Cost, Kind
    from ragweft.protocols import Progress
    from ragweft.serving import Serving
    from ragweft.types import Json, Metadata

__all__ = ["Answers"]

_log = logging.getLogger(__name__)
P = ParamSpec("P")
T = TypeVar("T", bound="Json")


class Answers:
    """What a program answered, kept in an index's folder for every process that opens it. Thread-safe.

    It follows the index when that is made over; answers from before are then misses. The index closes it.
    """

    def __init__(
        self, serving: Serving, *, scope: Mapping[str, Json], check: Check | None, around: bool
    ) -> None:
        """Made by `Index.cache`."""
        self._serving = serving
        self._scope = as_scope(scope)
        if check is not None and not callable(check):
            raise RagweftError(f"cache: check = {check!r} cannot be asked; give a function of two questions")
        self._check = check
        self._around = around

    @property
    def given(self) -> Mapping[str, Json]:
        """Parts of every scope."""
        return self._scope

    @contextmanager
    def opened(self) -> Iterator[SemanticCache]:
        """The cache of the index as it is now; what it is charged is written down.

        Raises:
            RagweftError: the index is closed.
        """
        with self._serving.use() as engine, engine.answering.collecting():
            yield engine.answering.cache

    def lookup(self, query: str, *, scope: Mapping[str, Json] | None = None) -> CacheHit | None:
        """What was stored for *query*, or one that asks the same, in this *scope*; None if there is nothing.

        A cache that fails is a miss, is logged, and counted.

        Raises:
            RagweftError: a part of *scope* is not JSON.
        """
        with self.opened() as cache:
            return cache.lookup(query, scope=self._within(scope), check=self._check)

    def store(
        self,
        query: str,
        answer: Json,
        *,
        evidence: Found,
        scope: Mapping[str, Json] | None = None,
        cost: Cost | None = None,
        seconds: float | None = None,
    ) -> bool:
        """Keep *answer*; whether it is kept.

        Not without *evidence*, what the searches found that it was made from, or nobody could say when it is
        wrong; nor when a part of a search had failed, or when it is larger than `[cache] largest`.

        Args:
            query: the question, as it is asked.
            answer: text, or whatever JSON can say.
            evidence: results of `Index.search`, one or several.
            scope: what else has to be equal for it to be served: a tenant, a user's rights.
            cost: what it took to make, and a hit saves.
            seconds: how long it may be served; None: as `[cache] seconds` says.

        Raises:
            RagweftError: the answer, or a part of *scope*, is not JSON, or an argument is of no use.
        """
        found = results_in(evidence)
        within = self._within(scope)
        with self.opened() as cache:
            kept = partial(keep_answer, cache, query, answer, found, scope=within, cost=cost)
            return kept(seconds=seconds, around=self._around)

    @overload
    def answers(
        self, function: Callable[P, Coroutine[Any, Any, tuple[T, Found]]], /
    ) -> Callable[P, Coroutine[Any, Any, T]]: ...

    @overload
    def answers(self, function: Callable[P, tuple[T, Found]], /) -> Callable[P, T]: ...

    @overload
    def answers(
        self, /, *, scope: Mapping[str, Json] | None = None, seconds: float | None = None, wait: float = WAIT
    ) -> Answerer: ...

    def answers(
        self,
        function: Callable[..., Any] | None = None,
        /,
        *,
        scope: Mapping[str, Json] | None = None,
        seconds: float | None = None,
        wait: float = WAIT,
    ) -> Any:
        """Have a function's answers kept: a decorator, `@cache.answers` or `@cache.answers(scope=…)`.

        The function, plain or `async def`, takes a question first and gives its answer together with the
        results it was made from, or None in their place if it shall not be kept; what is left of it gives the
        answer alone. Which function it is, all its other arguments with their defaults (also `*args` and
        `**kwargs`) and *scope* have to be equal for an answer to be served again. What it closes over is not
        looked at: name in *scope* what of that may differ, a model or a prompt's version. An argument is a part
        of the scope by its own name, so that `clear(scope={"tenant": "a"})` finds it. Of a method decorate
        what is bound, with a *scope* that tells the object from others.

        The same question, asked again while somebody is at it, waits for that (`once`); an exception passes
        through, and nothing is kept.

        Raises:
            RagweftError: the function cannot be told from others, streams, takes no question, or a parameter
                has the name of a part of the scope. When it is called: an argument is not JSON, or it does not
                give an answer and its evidence. An answer that is not JSON is given, and not kept.
        """
        if function is None:
            return partial(self._decorated, scope=scope, seconds=seconds, wait=wait)
        return self._decorated(function, scope=scope, seconds=seconds, wait=wait)

    def once(
        self,
        query: str,
        make: Callable[[], tuple[T, Found]],
        *,
        scope: Mapping[str, Json] | None = None,
        seconds: float | None = None,
        wait: float = WAIT,
    ) -> T:
        """What is kept for *query*, else what *make* makes, once, however many ask at the same time.

        Others, in all threads and processes, wait while somebody is at the same words in the same scope. Who
        is at an answer itself waits for nobody, nor does who stands in the thread of a running loop. If it
        fails, one of those who wait takes it over; if it is not kept, each makes its own. A cache that fails
        is a miss.

        Args:
            query: the question.
            make: gives an answer, and what it was made from, as `store` takes it.
            scope: what else has to be equal, as for `lookup`.
            seconds: how long it may be served, as for `store`.
            wait: seconds that others are waited for at most; then it is made all the same.

        Raises:
            RagweftError: a part of *scope* is not JSON, or *make* gives no pair of an answer and its evidence.
            Exception: whatever *make* raises; nothing is kept.
        """
        with self._serving.use() as engine:
            cache, within = engine.answering.cache, self._settled(scope)
            found = cache.flights.once(
                cache.key(query, scope=within),
                partial(self._look, query, within),
                partial(make_answer, make, cache.era),
                partial(self._keep, query, within, seconds),
                told=cache.count,
                wait=wait,
            )
        return cast("T", found.answer)

    async def aonce(
        self,
        query: str,
        make: Callable[[], Awaitable[tuple[T, Found]]],
        *,
        scope: Mapping[str, Json] | None = None,
        seconds: float | None = None,
        wait: float = WAIT,
    ) -> T:
        """As `once`, without blocking the running loop. A thread does not wait for a coroutine."""
        with self._serving.use() as engine:
            cache: SemanticCache = await asyncio.to_thread(lambda: engine.answering.cache)
            within = self._settled(scope)
            found = await cache.flights.aonce(
                cache.key(query, scope=within),
                partial(self._look, query, within),
                partial(amake_answer, make, cache.era),
                partial(self._keep, query, within, seconds),
                told=cache.count,
                wait=wait,
            )
        return cast("T", found.answer)

    def explain(self, query: str, *, scope: Mapping[str, Json] | None = None, kind: Kind = "answer") -> Looked:
        """What `lookup` would do and why; nothing is counted, and what is stale stays where it is.

        Of *kind* "results", what a search by `[cache] results` would do; its scope is one of `scopes`.

        Raises:
            RagweftError: a part of *scope* is not JSON, or the cache cannot be read.
        """
        with self._serving.use() as engine, self.opened() as cache:
            exactly = kind == "results" and engine.parts.recipe.cache.results == "exact"
            within = self._within(scope)
            return cache.explain(query, scope=within, kind=kind, exactly=exactly, check=self._check)

    def stats(self) -> CacheStats:
        """What the cache of this index holds and what it did so far, in every process and every scope.

        Raises:
            RagweftError: the cache cannot be read.
        """
        with self.opened() as cache:
            return cache.stats()

    def scopes(self) -> list[Held]:
        """Every scope of this index's cache that has entries, whoever stored them, those with the most first.

        Raises:
            RagweftError: the cache cannot be read.
        """
        with self.opened() as cache:
            return cache.scopes()

    def empty(self, scopes: Iterable[Held]) -> int:
        """Forget everything in these of the `scopes`; how many entries there were.

        Raises:
            RagweftError: the cache cannot be written.
        """
        with self.opened() as cache:
            return cache.empty(held.scope for held in scopes)

    def feedback(self, hit: CacheHit, *, ok: bool) -> bool:
        """Say whether an answer that was served did answer the question; False if that could not be kept.

        One that did not is served only to questions nearer than that from now on; if the words were the same,
        it is forgotten. What is said is what `ragweft cache stats` estimates the share of wrong hits from.
        """
        with self.opened() as cache:
            return cache.feedback(hit, ok=ok)

    def calibrate(
        self,
        pairs: Iterable[Pair] | None = None,
        *,
        target: float = TARGET,
        confidence: float = CONFIDENCE,
        keep: bool = True,
        progress: Progress = silent,
    ) -> Standard:
        """Find the likeness from which on an answer is served to a question in other words, and *keep* to it.

        Args:
            pairs: questions, and whether one answer serves both; None: the questions kept here and those the
                corpus asks itself, each with the nearest that has another answer, and with small changes.
            target: share of questions whose own answer is not there that may be served another one's.
            confidence: how sure it shall be that not more are.
            keep: go by it from now on, in every process; `[cache] threshold`, if it is a number, stands.
            progress: told how far the embedding has come.

        Returns:
            What was found; its `semantic` is false where no threshold keeps below the target, and then only the
            same words are served.

        Raises:
            RagweftError: there are too few pairs with different answers.
            ProviderError: the embedder failed.
            IndexLocked: the index is read-only.
        """
        from ragweft.tuning.cache_standard import find_standard

        with self._serving.use(writing=keep) as engine, engine.billed(progress=progress):
            cache = engine.answering.cache
            found = find_standard(
                engine.parts, cache, pairs, target=target, confidence=confidence, progress=progress
            )
            if keep:
                cache.keep_standard(found)
            return found

    def clear(self, *, scope: Mapping[str, Json] | None = None) -> int:
        """Forget the answers whose scope has all parts of *scope*, without any: all of this object's.

        Raises:
            RagweftError: the cache cannot be written; nothing is forgotten.
        """
        with self.opened() as cache:
            return cache.clear(scope=self._within(scope))

    def invalidate(
        self,
        *,
        source: str | os.PathLike[str] | None = None,
        ids: Sequence[str] | None = None,
        where: Metadata | None = None,
    ) -> int:
        """Forget what rests on some documents, in every scope, results of searches too; how many there were.

        Named as for `Index.remove`: by the file, folder or URI they came from, by id, or by a filter on their
        chunks. An edit or a removal needs none of this: what rests on a passage that is gone is never served.

        Raises:
            InvalidFilter: *where* is malformed or empty.
            RagweftError: nothing was named, or the cache cannot be written; nothing is forgotten.
        """
        if source is None and ids is None and where is None:
            raise RagweftError("invalidate: name a source, ids or a where filter; clear() forgets everything")
        if where is not None and not where:
            raise InvalidFilter("invalidate: an empty filter means everything; use clear()")
        uris = as_uris(source)
        with self.opened() as cache:
            return cache.invalidate(ids=ids or (), sources=uris, where=where)

    def _decorated(
        self,
        function: Callable[..., Any],
        /,
        *,
        scope: Mapping[str, Json] | None,
        seconds: float | None,
        wait: float,
    ) -> Callable[..., Any]:
        calls = Calls(function, scope=self._settled(scope), told=scope is not None)
        once = partial(self.once, seconds=seconds, wait=wait)
        return calls.decorated(function, once, partial(self.aonce, seconds=seconds, wait=wait))

    def _look(self, query: str, within: Mapping[str, Json]) -> Looked:
        with self.opened() as cache:
            return cache.look(query, scope=within, counting=False, check=self._check)

    def _keep(self, query: str, within: Mapping[str, Json], seconds: float | None, made: Made) -> bool:
        if made.lacking:
            _log.warning("an answer that is not JSON (%s) is given, and not kept", made.lacking)
            return False
        try:
            with self.opened() as cache:
                kept = partial(keep_answer, cache, query, made.answer, made.found, scope=within, cost=made.cost)
                return kept(seconds=seconds, around=self._around, era=made.era)
        except RagweftError as error:  # the index was closed meanwhile, say: the answer is there
            _log.warning("an answer could not be kept: %s", error)
            return False

    def _settled(self, scope: Mapping[str, Json] | None) -> dict[str, Json]:
        """The scope as it is now, whatever becomes of the objects it was given in."""
        try:
            return {name: plain(part) for name, part in self._within(scope).items()}
        except (ValueError, RecursionError) as error:
            raise RagweftError(
                f"cache scope {scope!r}: {error}; give text, numbers, true, false, null, lists and objects"
            ) from None

    def _within(self, scope: Mapping[str, Json] | None) -> dict[str, Json]:
        return {**self._scope, **as_scope(scope)}
