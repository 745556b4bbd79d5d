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
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from ragweft.caching.flights import Flights
from ragweft.caching.hits import CacheHit, Looked
from ragweft.caching.looking import Looking, unit
from ragweft.caching.notes import Notes
from ragweft.caching.standard import EXACTLY, Standard, read_standard
from ragweft.caching.stats import SEARCH, Held, stats_of
from ragweft.caching.values import Cost, Entry, normalised, scope_of
from ragweft.errors import RagweftError
from ragweft.types import digest_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from ragweft.caching.likeness import Likeness
    from ragweft.caching.looking import Check
    from ragweft.caching.stats import CacheStats
    from ragweft.caching.store import CacheStore
    from ragweft.caching.values import Evidence, Kind, Scope
    from ragweft.caching.watching import Watch
    from ragweft.types import Json, Metadata, Vector

__all__ = ["SemanticCache"]

_log = logging.getLogger(__name__)
_ERA = "era"
_JUDGED = "judged before"


class SemanticCache:
    """Answers of one index, for any number of processes. Safe to use from many threads."""

    def __init__(
        self,
        store: CacheStore,
        watch: Watch,
        embed: Callable[[str], Vector],
        likeness: Likeness,
        *,
        embedded: str,
        within: Mapping[str, Json],
        threshold: float | None = None,
        seconds: float | None = None,
    ) -> None:
        """*embed* gives a question's vector, the one retrieval uses.

        Args:
            store: where entries lie; closed with the cache.
            watch: the index the answers rest on.
            embed: question to vector.
            likeness: compares words.
            embedded: how questions are embedded; what was calibrated holds for that.
            within: part of every scope: what of the index decides its answers.
            threshold: cosine from which on an entry is near enough; above 1: only the same words are served;
                None: what was calibrated, or 0.95.
            seconds: how long an answer is kept; None: until its evidence changes.
        """
        self._store = store
        self._watch = watch
        self._embed = embed
        self._likeness = likeness
        self._calibrated = f"standard {embedded}"
        self._within = dict(within)
        self._given = None if threshold is None else Standard(threshold=threshold)
        self._seconds = seconds
        self._notes = Notes(store)
        self._flights = Flights(store.leases)
        self._looking = Looking(store, watch, embed, likeness, self._notes, fact=self._calibrated)

    @contextmanager
    def opened(self) -> Iterator[SemanticCache]:
        """Itself; what stands for a cache lends it for a while."""
        yield self

    @property
    def given(self) -> Mapping[str, Json]:
        """Parts of every scope that whoever uses it has named: none."""
        return {}

    @property
    def watch(self) -> Watch:
        """The index the entries rest on."""
        return self._watch

    @property
    def flights(self) -> Flights:
        """Work on answers that are not here yet."""
        return self._flights

    @property
    def likeness(self) -> Likeness:
        """Compares the words of questions."""
        return self._likeness

    def asked(self, *, most: int) -> list[tuple[str, tuple[int, ...]]]:
        """The latest questions that were stored, and the rows their answers rest on."""
        found = map(self._store.get, self._store.within(self._within)[-most:])
        return [
            (stored.entry.query, stored.entry.evidence.rows)
            for stored in found
            if stored is not None and stored.entry.evidence is not None
        ]

    @property
    def standard(self) -> Standard:
        """From which likeness on an entry is near enough, by which measure, and why."""
        return self._given or read_standard(self._store.fact(self._calibrated))

    def keep_standard(self, standard: Standard) -> None:
        """Go by *standard* from now on, in every process.

        Raises:
            IndexLocked: the cache cannot be written.
        """
        if standard.measure != self.standard.measure:
            self._store.harden()
        # What was said of hits by another standard tells nothing of those by this one.
        tally = self.tally()
        before = {what: tally[what][0] for what in ("right", "wrong") if what in tally}
        self._store.set_fact(_JUDGED, json.dumps(before))
        self._store.set_fact(self._calibrated, standard.to_json())

    def lookup(
        self,
        query: str,
        *,
        scope: Mapping[str, Json] | None = None,
        kind: Kind = "answer",
        check: Check | None = None,
    ) -> CacheHit | None:
        """What was stored for *query*, or for one that asks the same; None if there is nothing.

        Raises:
            RagweftError: a part of *scope* cannot be compared.
        """
        return self.look(query, scope=scope, kind=kind, check=check).hit

    def look(
        self,
        query: str,
        *,
        scope: Mapping[str, Json] | None = None,
        kind: Kind = "answer",
        exactly: bool = False,
        counting: bool = True,
        check: Check | None = None,
    ) -> Looked:
        """As `lookup`, and what else was near and why it was passed over; *exactly*: the same words only.

        A cache that cannot be read is a miss, and says so. Without *counting*, `count` is left to the caller.
        *check* is asked about an entry that is not quite near enough.

        Raises:
            RagweftError: a part of *scope* cannot be compared.
        """
        asked = self._scope(scope, kind)
        normalised(query)  # what is no text is no fault of the cache
        try:
            looked = self._looking.look(query, asked, self._bar(exactly), check=check)
        except RagweftError as error:
            _log.warning("the cache could not be asked: %s", error)
            looked = Looked(hit=None, why=f"the cache could not be asked: {error}", failed=True)
        if counting:
            self.count(looked, kind)
        return looked

    def count(self, looked: Looked, kind: Kind = "answer") -> None:
        """Note what came of a look."""
        who = SEARCH if kind == "results" else ""
        if looked.hit is None:
            self._notes.count(who + ("failed" if looked.failed else "miss"))
        else:
            self._notes.count(f"{who}hit {looked.hit.level}", looked.hit.saved, served=looked.hit.number)

    def key(self, query: str, *, scope: Mapping[str, Json] | None = None) -> bytes | None:
        """What tells the work on an answer apart from other work: words and scope; None without words.

        Raises:
            RagweftError: a part of *scope* cannot be compared.
        """
        words = normalised(query)
        asked = self._scope(scope, "answer")
        return digest_of(f"{asked.digest.hex()} {words}") if words else None

    def explain(
        self,
        query: str,
        *,
        scope: Mapping[str, Json] | None = None,
        kind: Kind = "answer",
        exactly: bool = False,
        check: Check | None = None,
    ) -> Looked:
        """What `look` would do and why; nothing is counted, and what is stale stays where it is.

        Raises:
            RagweftError: as `lookup`; or the cache cannot be read.
        """
        asked = self._scope(scope, kind)
        return self._looking.look(query, asked, self._bar(exactly), check=check, explaining=True)

    def era(self) -> str:
        """Another one after every `clear` and `invalidate`, in whichever process.

        What was begun in an era and is stored in another might be what was to be forgotten.
        """
        try:
            return self._store.fact(_ERA) or ""
        except RagweftError as error:
            _log.warning("the cache could not be asked: %s", error)
            return "unknown"

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
        around: bool = True,
        era: str | None = None,
    ) -> int | None:
        """Keep *answer*; its number, or None if it could not be kept.

        *evidence* is what it rests on (`Watch.evidence`); without any it is not kept, for nobody could say when
        it is wrong. *around*: more of its documents may have been read than the passages, as `as_context` does.
        Nor is it kept if *era*, that in which it was begun, is over.

        Raises:
            RagweftError: the answer is not JSON, or a part of *scope* cannot be compared.
        """
        asked = self._scope(scope, kind)
        if evidence is None or not normalised(query):
            self._notes.count("refused no evidence")
            return None
        if era is not None and era != self.era():
            self._notes.count("refused begun before a clear")
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
                vector=unit(self._looking.vector(query)),
                tokens=self._likeness.spoken(query).tokens,
                payload=payload,
                # Results are as old as their scores, whichever rows a search would find again.
                evidence=replace(evidence, k=0) if kind == "results" else replace(evidence, around=around),
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

    def feedback(self, hit: CacheHit, *, ok: bool) -> bool:
        """Say whether an answer that was served did answer the question; whether that could be kept.

        One that did not is served only to questions nearer than that from now on; if the words were the same,
        it is forgotten.

        Raises:
            RagweftError: *hit* is none.
        """
        if not isinstance(hit, CacheHit):
            raise RagweftError(
                f"feedback: {hit!r} is no hit; give what lookup has served, and nothing for a miss"
            )
        self._notes.count("right" if ok else "wrong")
        if ok:
            return True
        try:
            if hit.level == "exact":
                self._looking.drop([hit.number], "feedback")
            else:
                self._store.demand(hit.number, float(np.nextafter(np.float32(hit.likeness), np.float32(2.0))))
        except RagweftError as error:
            _log.warning("that an answer was wrong could not be kept: %s", error)
            return False
        return True

    def clear(self, *, scope: Mapping[str, Json] | None = None) -> int:
        """Forget the answers whose scope has all parts of *scope*, without any: all; how many there were.

        Raises:
            RagweftError: the cache cannot be written; nothing is forgotten.
        """
        numbers = self._store.within({**self._within, **_named(scope)})
        return self._forget(numbers, "cleared")

    def invalidate(self, *, ids: Sequence[str], sources: Sequence[str] | None, where: Metadata | None) -> int:
        """Forget the answers that rest on chunks of these documents, from these URIs, or that satisfy *where*.

        Raises:
            InvalidFilter: *where* is malformed.
            RagweftError: the cache cannot be written; nothing is forgotten.
        """
        rows = self._watch.touching(self._store.rows_in_use(), ids=ids, sources=sources, where=where)
        return self._forget(self._store.resting_on(rows), "invalidated")

    def scopes(self) -> list[Held]:
        """Every scope that has entries, those with the most first; also of what the index was before."""
        return [
            Held(scope=scope, entries=entries, live=self._within.items() <= scope.parts.items())
            for scope, entries in self._store.scopes()
        ]

    def empty(self, scopes: Iterable[Scope]) -> int:
        """Forget everything in these scopes; how many entries there were."""
        numbers = [number for scope in scopes for number in self._store.numbers(scope)]
        return self._forget(numbers, "cleared")

    def stats(self) -> CacheStats:
        """What is held, and what happened so far, in every process."""
        entries, size = self._store.sizes()
        return stats_of(
            self.tally(),
            entries=entries,
            size=size,
            limits=self._store.limits,
            standard=self.standard,
            before=json.loads(self._store.fact(_JUDGED) or "{}"),
        )

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

    def _forget(self, numbers: list[int], why: str) -> int:
        # Before anything is forgotten: what is stored from now on, and was begun before, is not kept.
        self._store.set_fact(_ERA, uuid.uuid4().hex)
        return self._looking.drop(numbers, why)

    def _bar(self, exactly: bool) -> Callable[[str | None], Standard]:
        def bar(kept: str | None) -> Standard:
            return EXACTLY if exactly else self._given or read_standard(kept)

        return bar

    def _scope(self, given: Mapping[str, Json] | None, kind: Kind) -> Scope:
        return scope_of({**self._within, **_named(given), "kind": kind})


def _named(given: Mapping[str, Json] | None) -> dict[str, Json]:
    """The caller's parts under names that are nobody else's, or one could stand in the place of one of ours."""
    return {f"scope.{name}": part for name, part in (given or {}).items()}
