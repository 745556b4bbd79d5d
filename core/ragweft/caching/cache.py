"""Answers that were given before, served again to the same question, or one that asks the same.

    found = cache.lookup(query, scope={"tenant": "a"})
    if found is None:
        answer = ...                    # retrieve, ask a model
        cache.store(query, answer, evidence=results, scope={"tenant": "a"})

What is in a scope has to be equal; then the words are compared, and if they are not the same, the meaning. An
entry near enough is served only where the gate finds no reason why the two questions ask different things, and
only as long as what its answer rests on is as it was (`freshness`). A cache that fails costs an answer its
speed, never the answer: the failure is told, and counted.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import numpy as np

from ragweft.caching.hits import Looked
from ragweft.caching.looking import Grey, Looking, unit
from ragweft.caching.notes import Notes
from ragweft.caching.standard import EXACTLY, Standard, read_standard
from ragweft.caching.values import Cost, Entry, scope_of
from ragweft.errors import RagweftError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ragweft.caching.hits import CacheHit
    from ragweft.caching.likeness import Likeness
    from ragweft.caching.looking import Check
    from ragweft.caching.store import CacheStore
    from ragweft.caching.values import Evidence, Kind, Scope
    from ragweft.caching.watching import Watch
    from ragweft.types import Json, Vector

__all__ = ["SemanticCache"]

_log = logging.getLogger(__name__)
_GREY = 0.1
"""How far below the threshold a check is still asked; a choice, not measured."""


class SemanticCache:
    """Answers of one index, for any number of processes. Safe to use from many threads."""

    def __init__(
        self,
        store: CacheStore,
        watch: Watch,
        embed: Callable[[str], Vector],
        likeness: Likeness,
        *,
        space: str,
        within: Mapping[str, Json],
        threshold: float | None = None,
        seconds: float | None = None,
        check: Check | None = None,
    ) -> None:
        """*embed* gives a question's vector, the one retrieval uses.

        Args:
            store: where entries lie; closed with the cache.
            watch: the index the answers rest on.
            embed: question to vector.
            likeness: compares words.
            space: of the vectors; what was calibrated holds for one.
            within: part of every scope: what of the index decides its answers.
            threshold: cosine from which on an entry is near enough; above 1: only the same words are served;
                None: what was calibrated, or 0.95.
            seconds: how long an answer is kept; None: until its evidence changes.
            check: asked about an entry that is not quite near enough.
        """
        self._store = store
        self._watch = watch
        self._embed = embed
        self._likeness = likeness
        self._calibrated = f"standard {space}"
        self._within = dict(within)
        self._given = None if threshold is None else Standard(threshold=threshold)
        self._seconds = seconds
        self._notes = Notes(store)
        grey = None if check is None else Grey(check=check, width=_GREY)
        self._looking = Looking(store, watch, embed, likeness, self._notes, grey=grey)

    @property
    def watch(self) -> Watch:
        """The index the entries rest on."""
        return self._watch

    @property
    def standard(self) -> Standard:
        """From which likeness on an entry is near enough, by which measure, and why."""
        return self._given or read_standard(self._store.fact(self._calibrated))

    def keep_standard(self, standard: Standard) -> None:
        """Go by *standard* from now on, in every process.

        Raises:
            IndexLocked: the cache cannot be written.
        """
        self._store.set_fact(self._calibrated, standard.to_json())

    def lookup(
        self, query: str, *, scope: Mapping[str, Json] | None = None, kind: Kind = "answer"
    ) -> CacheHit | None:
        """What was stored for *query*, or for one that asks the same; None if there is nothing.

        Raises:
            RagweftError: a part of *scope* cannot be compared.
        """
        return self.look(query, scope=scope, kind=kind).hit

    def look(
        self,
        query: str,
        *,
        scope: Mapping[str, Json] | None = None,
        kind: Kind = "answer",
        exactly: bool = False,
    ) -> Looked:
        """As `lookup`, and what else was near and why it was passed over; *exactly*: the same words only.

        A cache that cannot be read is a miss, and says so.

        Raises:
            RagweftError: a part of *scope* cannot be compared.
        """
        asked = self._scope(scope, kind)
        try:
            looked = self._looking.look(query, asked, lambda: EXACTLY if exactly else self.standard)
        except RagweftError as error:
            _log.warning("the cache could not be asked: %s", error)
            self._notes.count("failed")
            return Looked(hit=None, why=f"the cache could not be asked: {error}", failed=True)
        if looked.hit is None:
            self._notes.count("miss")
        else:
            self._notes.count(f"hit {looked.hit.level}", looked.hit.saved, served=looked.hit.number)
        return looked

    def explain(self, query: str, *, scope: Mapping[str, Json] | None = None, kind: Kind = "answer") -> Looked:
        """What `lookup` would do and why; nothing is counted.

        Raises:
            RagweftError: as `lookup`; or the cache cannot be read.
        """
        return self._looking.look(query, self._scope(scope, kind), lambda: self.standard)

    def store(
        self,
        query: str,
        answer: Json,
        *,
        evidence: Evidence | None,
        scope: Mapping[str, Json] | None = None,
        cost: Cost | None = None,
        seconds: float | None = None,
        kind: Kind = "answer",
    ) -> int | None:
        """Keep *answer*; its number, or None if it could not be kept.

        *evidence* is what it rests on (`Watch.evidence`); without any it is not kept, for nobody could say when
        it is wrong.

        Raises:
            RagweftError: the answer is not JSON, or a part of *scope* cannot be compared.
        """
        asked = self._scope(scope, kind)
        if evidence is None or not query.strip():
            self._notes.count("refused no evidence")
            return None
        try:
            payload = json.dumps(answer, ensure_ascii=False, allow_nan=False).encode("utf-8", "surrogatepass")
        except (TypeError, ValueError) as error:
            raise RagweftError(
                f"cache: the answer is not JSON ({error}); store text, or what JSON can say"
            ) from None
        now = time.time()
        lasts = self._seconds if seconds is None else seconds
        try:
            entry = Entry(
                query=query,
                vector=unit(self._embed(query)),
                tokens=self._likeness.spoken(query).tokens,
                payload=payload,
                evidence=evidence,
                cost=Cost() if cost is None else cost,
                created=now,
                expires=None if lasts is None else now + lasts,
            )
            number, evicted = self._store.put(asked, entry)
        except RagweftError as error:
            _log.warning("an answer could not be cached: %s", error)
            self._notes.count("refused")
            return None
        if evicted:
            self._notes.count("evicted", times=evicted)
        return number

    def feedback(self, hit: CacheHit, *, ok: bool) -> None:
        """Say whether an answer that was served did answer the question.

        One that did not is served only to questions nearer than that from now on; if the words were the same,
        it is forgotten.
        """
        self._notes.count("right" if ok else "wrong")
        if ok:
            return
        if hit.level == "exact":
            self._looking.drop([hit.number], "feedback")
        else:
            self._store.demand(hit.number, float(np.nextafter(np.float32(hit.likeness), np.float32(2.0))))

    def clear(self, *, scope: Mapping[str, Json] | None = None) -> int:
        """Forget the answers whose scope has all parts of *scope*, without any: all; how many there were."""
        numbers = self._store.within({**self._within, **_named(scope)})
        return self._looking.drop(numbers, "cleared")

    def invalidate(self, rows: Sequence[int]) -> int:
        """Forget the answers that rest on any of these versions of chunks; how many there were."""
        return self._looking.drop(self._store.resting_on(rows), "invalidated")

    def tally(self) -> dict[str, tuple[int, Cost]]:
        """What happened so far, in every process, and what it saved."""
        self.flush()
        return self._store.tally()

    def flush(self) -> None:
        """Write down what was counted. What cannot be written is told and forgotten: it is only counted."""
        self._notes.flush()

    def close(self) -> None:
        """Write down what is to be noted, and close the file. Idempotent."""
        self.flush()
        self._store.close()

    def _scope(self, given: Mapping[str, Json] | None, kind: Kind) -> Scope:
        return scope_of({**self._within, **_named(given), "kind": kind})


def _named(given: Mapping[str, Json] | None) -> dict[str, Json]:
    """The caller's parts under names that are nobody else's, or one could stand in the place of one of ours."""
    return {f"scope.{name}": part for name, part in (given or {}).items()}
