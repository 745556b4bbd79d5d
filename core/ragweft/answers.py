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

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from ragweft.types import Results

if TYPE_CHECKING:
    from ragweft.caching.hits import CacheHit, Looked
    from ragweft.caching.values import Cost
    from ragweft.serving import Serving
    from ragweft.types import Json

__all__ = ["Answers"]


class Answers:
    """What a program answered, kept in an index's folder for every process that opens it. Thread-safe.

    It follows the index when that is made over; answers from before are then misses. It is closed with the
    index.
    """

    def __init__(self, serving: Serving, *, scope: Mapping[str, Json]) -> None:
        """Made by `Index.cache`."""
        self._serving = serving
        self._scope = dict(scope)

    def lookup(self, query: str, *, scope: Mapping[str, Json] | None = None) -> CacheHit | None:
        """What was stored for *query*, or one that asks the same, in this *scope*; None if there is nothing.

        A cache that fails is a miss, is logged, and counted.

        Raises:
            RagweftError: a part of *scope* is not JSON.
        """
        with self._serving.use() as engine, engine.answering.collecting():
            return engine.answering.cache.lookup(query, scope=self._within(scope))

    def store(
        self,
        query: str,
        answer: Json,
        *,
        evidence: Results | Sequence[Results] | None,
        scope: Mapping[str, Json] | None = None,
        cost: Cost | None = None,
        seconds: float | None = None,
    ) -> bool:
        """Keep *answer*; whether it is kept.

        It is not without *evidence*, what the searches found that it was made from: nobody could say when it is
        wrong. Nor is it when a part of a search had failed, or when it is larger than `[cache] largest`.

        Args:
            query: the question, as it is asked.
            answer: text, or whatever JSON can say.
            evidence: results of `Index.search`, one or several.
            scope: what else has to be equal for it to be served: a tenant, a user's rights.
            cost: what it took to make, and a hit saves.
            seconds: how long it may be served; None: as `[cache] seconds` says.

        Raises:
            RagweftError: the answer, or a part of *scope*, is not JSON.
        """
        found = (evidence,) if isinstance(evidence, Results) else tuple(evidence or ())
        with self._serving.use() as engine, engine.answering.collecting():
            cache = engine.answering.cache
            number = cache.store(
                query,
                answer,
                evidence=cache.watch.evidence(*found),
                scope=self._within(scope),
                cost=cost,
                seconds=seconds,
            )
        return number is not None

    def explain(self, query: str, *, scope: Mapping[str, Json] | None = None) -> Looked:
        """What `lookup` would do and why; nothing is counted.

        Raises:
            RagweftError: a part of *scope* is not JSON, or the cache cannot be read.
        """
        with self._serving.use() as engine, engine.answering.collecting():
            return engine.answering.cache.explain(query, scope=self._within(scope))

    def feedback(self, hit: CacheHit, *, ok: bool) -> None:
        """Say whether an answer that was served did answer the question.

        One that did not is served only to questions nearer than that from now on; if the words were the same,
        it is forgotten. What is said is what `ragweft cache stats` estimates the share of wrong hits from.
        """
        with self._serving.use() as engine:
            engine.answering.cache.feedback(hit, ok=ok)

    def clear(self, *, scope: Mapping[str, Json] | None = None) -> int:
        """Forget the answers whose scope has all parts of *scope*, without any: all of this object's."""
        with self._serving.use() as engine:
            return engine.answering.cache.clear(scope=self._within(scope))

    def _within(self, scope: Mapping[str, Json] | None) -> dict[str, Json]:
        return {**self._scope, **(scope or {})}
