"""One look for an answer: the same words, else the nearest questions through the gate, each by its evidence."""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from ragweft.caching.gate import Reading, doubts
from ragweft.caching.hits import CacheHit, Level, Looked, Passed
from ragweft.caching.table import Table

if TYPE_CHECKING:
    from ragweft.caching.likeness import Likeness
    from ragweft.caching.notes import Notes
    from ragweft.caching.standard import Standard
    from ragweft.caching.store import CacheStore
    from ragweft.caching.table import Near
    from ragweft.caching.values import Scope, Stored
    from ragweft.caching.watching import Watch
    from ragweft.types import Vector

__all__ = ["Check", "Looking", "unit"]

_log = logging.getLogger(__name__)

Check = Callable[[str, str], bool]
"""Asked about two questions: whether the answer to the second answers the first."""

NEAR = 10
"""Entries looked at for one question: the nearest of another wording are rarely farther down."""
_READ = 4_096
"""Questions that are kept as they were read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Grey:
    """What a check decides."""

    check: Check
    width: float
    """How far below the threshold an entry is still put to it."""


class Looking:
    """Looks into one store. Safe to use from many threads."""

    def __init__(
        self,
        store: CacheStore,
        watch: Watch,
        embed: Callable[[str], Vector],
        likeness: Likeness,
        notes: Notes,
        *,
        grey: Grey | None = None,
    ) -> None:
        self._store = store
        self._watch = watch
        self._embed = embed
        self._likeness = likeness
        self._notes = notes
        self._grey = grey
        self._tables: dict[bytes, Table] = {}
        self._lock = threading.Lock()
        self._reading = lru_cache(maxsize=_READ)(Reading.of)

    def look(self, query: str, scope: Scope, standard: Callable[[], Standard]) -> Looked:
        """What is served to *query*, and what else was near.

        Raises:
            RagweftError: the store or the index cannot be read.
            ProviderError: the embedder failed.
        """
        if not query.strip():
            return Looked(hit=None, why="there is no question")
        passed: list[Passed] = []
        found = self._store.exact(scope, query)
        if found is not None and (hit := self._served(found, "exact", 1.0, passed)) is not None:
            return Looked(hit=hit)
        bar = standard()
        if not bar.semantic:
            return Looked(hit=None, passed=tuple(passed), why="the same words were not asked before")
        vector = self._embed(query)
        if not vector.any():
            return Looked(hit=None, passed=tuple(passed), why="the question has no content to compare")
        near = self.table(scope).near(unit(vector), n=NEAR)
        alike = self._likeness.of(
            self._likeness.spoken(query), near.questions, near.cosines, near.parlance, measure=bar.measure
        )
        for place in np.argsort(-alike, kind="stable").tolist():
            if found is not None and near.numbers[place] == found.number:
                continue
            likeness = float(alike[place])
            if self._refused(query, near, place, likeness, bar, passed):
                if likeness < bar.threshold - (self._grey.width if self._grey else 0.0):
                    break
                continue
            stored = self._store.get(near.numbers[place])
            if stored is None:
                self.table(scope).forget(near.numbers[place])
            elif (hit := self._served(stored, "semantic", likeness, passed)) is not None:
                return Looked(hit=hit, passed=tuple(passed))
        why = "nothing near enough that asks the same" if passed else "nothing like it was asked in this scope"
        return Looked(hit=None, passed=tuple(passed), why=why)

    def table(self, scope: Scope) -> Table:
        """The entries of a scope, in memory."""
        with self._lock:
            return self._tables.setdefault(scope.digest, Table(self._store, scope))

    def drop(self, numbers: list[int], why: str) -> int:
        """Forget entries; how many of them were there."""
        gone = self._store.drop(numbers)
        with self._lock:
            tables = list(self._tables.values())
        for table in tables:
            for number in numbers:
                table.forget(number)
        if gone:
            self._notes.count(f"dropped {why}", times=gone)
        return gone

    def _refused(
        self, query: str, near: Near, place: int, likeness: float, bar: Standard, passed: list[Passed]
    ) -> bool:
        """Whether the words speak against an entry; why is added to *passed*."""
        grey = self._grey
        other = near.questions[place].text
        why = ""
        if likeness < bar.threshold - (grey.width if grey else 0.0):
            why = f"below {bar.threshold:.3g}"
        elif against := doubts(self._reading(query), self._reading(other), usual=near.parlance.usual):
            why = "; ".join(f"{doubt.kind}: {doubt.what}" for doubt in against)
        elif likeness < bar.threshold and grey is not None and not self._checked(grey, query, other):
            why = f"below {bar.threshold:.3g}, and the check does not take them for the same"
        if why:
            number = near.numbers[place]
            passed.append(Passed(number=number, query=other, likeness=likeness, why=why))
        return bool(why)

    def _checked(self, grey: Grey, query: str, other: str) -> bool:
        self._notes.count("checked")
        try:
            return bool(grey.check(query, other))
        except Exception as error:  # noqa: BLE001  # anybody's code; a doubt is a miss
            _log.warning("the check of two questions failed, which counts as different: %s", error)
            self._notes.count("check failed")
            return False

    def _served(self, stored: Stored, level: Level, likeness: float, passed: list[Passed]) -> CacheHit | None:
        """The entry as a hit, if it is still right; else why not, and what is wrong is forgotten."""
        entry = stored.entry
        now = time.time()
        if level == "semantic" and stored.threshold is not None and likeness < stored.threshold:
            why = f"below {stored.threshold:.3g}, which it needs since it was wrong once"
            passed.append(Passed(number=stored.number, query=entry.query, likeness=likeness, why=why))
            return None
        drop, what = (
            ("expired", "") if entry.expires is not None and entry.expires <= now else self._judged(stored)
        )
        if drop:
            why = f"{drop}: {what}" if what else drop
            passed.append(Passed(number=stored.number, query=entry.query, likeness=likeness, why=why))
            self.drop([stored.number], drop)
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

    def _judged(self, stored: Stored) -> tuple[str, str]:
        """Why the entry is stale, and what shows it; empty if it is not."""
        with self._watch.ledger.snapshot() as snapshot:
            verdict = self._watch.freshness.judge(snapshot, stored)
        if verdict.drop is not None:
            return f"stale, {verdict.drop}", verdict.what
        if verdict.through > stored.valid_through:
            self._notes.held(stored.number, through=verdict.through)
        return "", ""


def unit(vector: Vector) -> Vector:
    """*vector* with length 1, float32; zero stays zero."""
    length = float(np.linalg.norm(vector))
    made: Vector = (vector / length if length else vector).astype(np.float32)
    return made
