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
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np

from ragweft.caching.gate import Reading, doubts
from ragweft.caching.table import Table
from ragweft.caching.values import Cost, Entry, scope_of
from ragweft.errors import RagweftError

if TYPE_CHECKING:
    from ragweft.caching.store import CacheStore
    from ragweft.caching.values import Evidence, Kind, Scope, Stored
    from ragweft.caching.watching import Watch
    from ragweft.types import Json, Vector

__all__ = ["CacheHit", "Level", "Looked", "Passed", "SemanticCache"]

_log = logging.getLogger(__name__)

Level: TypeAlias = Literal["exact", "semantic"]
NEAR = 8
"""Entries looked at for one question: the nearest of another wording are rarely farther down."""
THRESHOLD = 0.95
"""Cosine from which on an entry is near enough, while nothing was calibrated."""
_NOTED = 64
"""Things that are noted together, in one write."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheHit:
    """An answer that was given before."""

    answer: Json
    number: int
    """What `SemanticCache.feedback` is told."""
    level: Level
    likeness: float
    """Cosine of the two questions; 1 for the same words."""
    query: str
    """The question it was given to."""
    age: float
    """Seconds since then."""
    saved: Cost


@dataclass(frozen=True, slots=True, kw_only=True)
class Passed:
    """An entry that was near, and why it was not served."""

    number: int
    query: str
    likeness: float
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Looked:
    """What came of one look."""

    hit: CacheHit | None
    passed: tuple[Passed, ...] = ()
    """The nearest first."""
    why: str = ""
    """Of a miss, in one sentence."""


@dataclass(slots=True)
class _Notes:
    served: Counter[int] = field(default_factory=Counter[int])
    tally: dict[str, tuple[int, Cost]] = field(default_factory=dict[str, tuple[int, Cost]])
    held: dict[int, set[int]] = field(default_factory=dict[int, set[int]])
    """Generation to the entries that were seen to hold at it."""

    def count(self, what: str, saved: Cost | None = None) -> None:
        times, cost = self.tally.get(what, (0, Cost()))
        self.tally[what] = times + 1, cost + (saved or Cost())

    def __len__(self) -> int:
        return sum(times for times, _ in self.tally.values())


class SemanticCache:
    """Answers of one index, for any number of processes. Safe to use from many threads."""

    def __init__(
        self,
        store: CacheStore,
        watch: Watch,
        embed: Callable[[str], Vector],
        *,
        within: Mapping[str, Json],
        threshold: float | None = None,
        seconds: float | None = None,
    ) -> None:
        """*embed* gives a question's vector, the one retrieval uses.

        Args:
            store: where entries lie; closed with the cache.
            watch: the index the answers rest on.
            embed: question to vector.
            within: part of every scope: what of the index decides its answers.
            threshold: likeness from which on an entry is near enough; above 1: only the same words are served;
                None: what was calibrated, or `THRESHOLD`.
            seconds: how long an answer is kept; None: until its evidence changes.
        """
        self._store = store
        self._watch = watch
        self._embed = embed
        self._within = dict(within)
        self._threshold = threshold
        self._seconds = seconds
        self._tables: dict[bytes, Table] = {}
        self._notes = _Notes()
        self._lock = threading.Lock()

    @property
    def watch(self) -> Watch:
        """The index the entries rest on."""
        return self._watch

    @property
    def threshold(self) -> float:
        """Likeness from which on an entry is near enough."""
        if self._threshold is not None:
            return self._threshold
        said = self._store.fact("threshold")
        return THRESHOLD if said is None else float(said)

    def lookup(
        self, query: str, *, scope: Mapping[str, Json] | None = None, kind: Kind = "answer"
    ) -> CacheHit | None:
        """What was stored for *query*, or for one that asks the same; None if there is nothing.

        Raises:
            RagweftError: a part of *scope* cannot be compared.
        """
        asked = self._scope(scope, kind)
        try:
            looked = self._look(query, asked)
        except RagweftError as error:
            _log.warning("the cache could not be asked: %s", error)
            self._count("failed")
            return None
        if looked.hit is None:
            self._count("miss")
        else:
            self._count(f"hit {looked.hit.level}", looked.hit.saved, served=looked.hit.number)
        return looked.hit

    def explain(self, query: str, *, scope: Mapping[str, Json] | None = None, kind: Kind = "answer") -> Looked:
        """What `lookup` would do and why; nothing is counted.

        Raises:
            RagweftError: as `lookup`; or the cache cannot be read.
        """
        return self._look(query, self._scope(scope, kind))

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
            self._count("refused no evidence")
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
                vector=_unit(self._embed(query)),
                payload=payload,
                evidence=evidence,
                cost=Cost() if cost is None else cost,
                created=now,
                expires=None if lasts is None else now + lasts,
            )
            number, evicted = self._store.put(asked, entry)
        except RagweftError as error:
            _log.warning("an answer could not be cached: %s", error)
            self._count("refused")
            return None
        for _ in range(evicted):
            self._count("evicted")
        return number

    def feedback(self, hit: CacheHit, *, ok: bool) -> None:
        """Say whether an answer that was served did answer the question.

        One that did not is served only to questions nearer than that from now on; if the words were the same,
        it is forgotten.
        """
        self._count("right" if ok else "wrong")
        if ok:
            return
        if hit.level == "exact":
            self._drop([hit.number], "feedback")
        else:
            self._store.demand(hit.number, float(np.nextafter(np.float32(hit.likeness), np.float32(2.0))))

    def clear(self, *, scope: Mapping[str, Json] | None = None) -> int:
        """Forget the answers whose scope has all parts of *scope*, without any: all; how many there were."""
        numbers = self._store.within({**self._within, **_named(scope)})
        return self._drop(numbers, "cleared")

    def tally(self) -> dict[str, tuple[int, Cost]]:
        """What happened so far, in every process, and what it saved."""
        self.flush()
        return self._store.tally()

    def flush(self) -> None:
        """Write down what was counted. What cannot be written is told and forgotten: it is only counted."""
        with self._lock:
            notes, self._notes = self._notes, _Notes()
        if not notes.tally and not notes.held:
            return
        try:
            for generation, numbers in notes.held.items():
                self._store.advance(numbers, through=generation)
            self._store.note(notes.served, notes.tally)
        except RagweftError as error:
            _log.warning("what the cache did could not be written down: %s", error)

    def close(self) -> None:
        """Write down what is to be noted, and close the file. Idempotent."""
        self.flush()
        self._store.close()

    def _scope(self, given: Mapping[str, Json] | None, kind: Kind) -> Scope:
        return scope_of({**self._within, **_named(given), "kind": kind})

    def _look(self, query: str, scope: Scope) -> Looked:
        if not query.strip():
            return Looked(hit=None, why="there is no question")
        passed: list[Passed] = []
        found = self._store.exact(scope, query)
        if found is not None:
            hit = self._served(found, "exact", 1.0, passed)
            if hit is not None:
                return Looked(hit=hit)
        threshold = self.threshold
        if threshold > 1:
            return Looked(hit=None, passed=tuple(passed), why="the same words were not asked before")
        vector = self._embed(query)
        if not vector.any():
            return Looked(hit=None, passed=tuple(passed), why="the question has no content to compare")
        near, asked = self._table(scope).near(_unit(vector), n=NEAR), Reading.of(query)
        for number, likeness, other in zip(near.numbers, near.cosines.tolist(), near.queries, strict=True):
            if found is not None and number == found.number:
                continue
            if likeness < threshold:
                passed.append(
                    Passed(number=number, query=other, likeness=likeness, why=f"below {threshold:.3g}")
                )
                break
            if against := doubts(asked, other):
                said = "; ".join(f"{doubt.kind}: {doubt.what}" for doubt in against)
                passed.append(Passed(number=number, query=other, likeness=likeness, why=said))
                continue
            stored = self._store.get(number)
            if stored is None:
                self._table(scope).forget(number)
                continue
            hit = self._served(stored, "semantic", likeness, passed)
            if hit is not None:
                return Looked(hit=hit, passed=tuple(passed))
        why = "nothing near enough that asks the same" if passed else "nothing like it was asked in this scope"
        return Looked(hit=None, passed=tuple(passed), why=why)

    def _served(self, stored: Stored, level: Level, likeness: float, passed: list[Passed]) -> CacheHit | None:
        """The entry as a hit, if it is still right; else why not, and what is wrong is forgotten."""
        entry = stored.entry
        now = time.time()
        why = ""
        if entry.expires is not None and entry.expires <= now:
            why = "expired"
        elif stored.threshold is not None and likeness < stored.threshold and level == "semantic":
            passed.append(
                Passed(
                    number=stored.number,
                    query=entry.query,
                    likeness=likeness,
                    why=f"below {stored.threshold:.3g}, which it needs since it was wrong once",
                )
            )
            return None
        else:
            with self._watch.ledger.snapshot() as snapshot:
                verdict = self._watch.freshness.judge(snapshot, stored)
            if verdict.drop is not None:
                why = f"stale, {verdict.drop}" + (f": {verdict.what}" if verdict.what else "")
            elif verdict.through > stored.valid_through:
                with self._lock:
                    self._notes.held.setdefault(verdict.through, set()).add(stored.number)
        if why:
            passed.append(Passed(number=stored.number, query=entry.query, likeness=likeness, why=why))
            self._drop([stored.number], why.partition(":")[0])
            return None
        return CacheHit(
            answer=json.loads(entry.payload),
            number=stored.number,
            level=level,
            likeness=likeness,
            query=entry.query,
            age=max(0.0, now - entry.created),
            saved=entry.cost,
        )

    def _table(self, scope: Scope) -> Table:
        with self._lock:
            return self._tables.setdefault(scope.digest, Table(self._store, scope))

    def _drop(self, numbers: list[int], why: str) -> int:
        gone = self._store.drop(numbers)
        with self._lock:
            tables = list(self._tables.values())
        for table in tables:
            for number in numbers:
                table.forget(number)
        for _ in range(gone):
            self._count(f"dropped {why}")
        return gone

    def _count(self, what: str, saved: Cost | None = None, *, served: int | None = None) -> None:
        with self._lock:
            self._notes.count(what, saved)
            if served is not None:
                self._notes.served[served] += 1
            full = len(self._notes) >= _NOTED
        if full:
            self.flush()


def _named(given: Mapping[str, Json] | None) -> dict[str, Json]:
    """The caller's parts under names that are nobody else's, or one could stand in the place of one of ours."""
    return {f"scope.{name}": part for name, part in (given or {}).items()}


def _unit(vector: Vector) -> Vector:
    length = float(np.linalg.norm(vector))
    unit: Vector = (vector / length).astype(np.float32) if length else vector.astype(np.float32)
    return unit
