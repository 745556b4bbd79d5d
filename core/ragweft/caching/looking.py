"""One look for an answer: the same words, else the nearest questions through the gate, each by its evidence."""

from __future__ import annotations

import json
import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from functools import lru_cache, partial
from typing import TYPE_CHECKING

import numpy as np

from ragweft.caching.freshness import LOOKED_INTO
from ragweft.caching.gate import Reading, doubts
from ragweft.caching.hits import CacheHit, Level, Looked, Passed
from ragweft.caching.standard import DEFAULT
from ragweft.caching.table import Table
from ragweft.caching.values import normalised
from ragweft.errors import IndexDamaged, IndexLocked, ProviderError, RagweftError
from ragweft.ledger.snapshot import Moment

if TYPE_CHECKING:
    from ragweft.caching.likeness import Likeness
    from ragweft.caching.notes import Notes
    from ragweft.caching.standard import Standard
    from ragweft.caching.store import CacheStore
    from ragweft.caching.table import Near
    from ragweft.caching.values import Evidence, Scope, Stored
    from ragweft.caching.watching import Watch
    from ragweft.types import Json, Vector

__all__ = ["Check", "Looking", "unit"]

_log = logging.getLogger(__name__)

Check = Callable[[str, str], bool]
"""Asked about two questions: whether the answer to the second answers the first."""

_NOT_ASKED = "the same words were not asked before"
NEAR = 10
"""Entries looked at for one question: the nearest of another wording are rarely farther down."""
_GREY = 0.1
"""How far below the threshold a check is still asked; a choice, not measured."""
_TABLES = 256
"""Scopes whose entries are kept in memory; others are read again when they are asked: a scope may be a user."""
_READ = 4_096
"""Questions that are kept as they were read."""


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
        fact: str,
    ) -> None:
        self._store = store
        self._watch = watch
        self._embed = embed
        self._likeness = likeness
        self._notes = notes
        self._fact = fact
        self._tables: OrderedDict[bytes, Table] = OrderedDict()
        self._refused: OrderedDict[tuple[str, str], None] = OrderedDict()
        self._edition = store.edition
        self._lock = threading.Lock()
        self._reading = lru_cache(maxsize=_READ)(Reading.of)

    def look(
        self,
        query: str,
        scope: Scope,
        standard: Callable[[str | None], Standard],
        *,
        check: Check | None = None,
        explaining: bool = False,
    ) -> Looked:
        """What is served to *query*, and what else was near.

        *standard* is told what lies in the store under the name of `fact`. *explaining*, all that are near are
        told of, also those that are too far to be served, and nothing is changed: what is stale stays.
        *check* is asked about who is not quite near enough.

        Raises:
            RagweftError: the store or the index cannot be read.
            ProviderError: the embedder failed.
        """
        if not normalised(query):
            return Looked(hit=None, why="there is no question")
        passed: list[Passed] = []
        glance = self._store.glance(scope, query, fact=self._fact)
        found = glance.exact
        check = check and _one_call(check)
        served = partial(self._served, passed=passed, dropping=not explaining)
        if found is not None and (hit := served(found, "exact", 1.0)) is not None:
            return Looked(hit=hit)
        bar = standard(glance.fact)
        if not bar.semantic and not explaining:
            return Looked(hit=None, passed=tuple(passed), why=_NOT_ASKED)
        vector = self.vector(query)
        if not vector.any():
            return Looked(hit=None, passed=tuple(passed), why="the question has no content to compare")
        near = self._near(vector, scope, bar, newest=glance.newest)
        alike = self._likeness.of(
            self._likeness.spoken(query),
            near.questions,
            near.cosines,
            bar.parlance or near.parlance,
            measure=bar.measure,
        )
        for place in np.argsort(-alike, kind="stable").tolist():
            if found is not None and near.numbers[place] == found.number:
                continue
            likeness = float(alike[place])
            if why := self._against(query, near, place, likeness, bar, check, explaining=explaining):
                number, other = near.numbers[place], near.questions[place].text
                passed.append(Passed(number=number, query=other, likeness=likeness, why=why))
                if likeness < _lowest(bar, check) and not explaining:
                    break
                continue
            stored = self._store.get_in(scope, near.numbers[place])
            if stored is None or stored.entry.query != near.questions[place].text:
                self.table(scope).forget(near.numbers[place])
            elif (hit := served(stored, "semantic", likeness)) is not None:
                return Looked(hit=hit, passed=tuple(passed))
        why = "nothing near enough that asks the same" if passed else "nothing like it was asked in this scope"
        if not bar.semantic:
            why = _NOT_ASKED
        return Looked(hit=None, passed=tuple(passed), why=why)

    def vector(self, query: str) -> Vector:
        """The vector of *query*.

        Raises:
            ProviderError: the embedder failed.
        """
        try:
            return self._embed(query)
        except RagweftError:
            raise
        except Exception as error:  # an embedder of anybody's: a search is made without it, too
            raise ProviderError(f"the question could not be embedded: {error}", retryable=True) from error

    def _near(self, vector: Vector, scope: Scope, bar: Standard, *, newest: int) -> Near:
        near = self.table(scope).near(unit(vector), n=NEAR, newest=newest)
        return near if bar.parlance is None else near._replace(parlance=bar.parlance)

    def table(self, scope: Scope) -> Table:
        """The entries of a scope, in memory."""
        with self._lock:
            if self._edition != self._store.edition:
                self._tables, self._edition = OrderedDict(), self._store.edition
            found = self._tables.setdefault(scope.digest, Table(self._store, scope))
            self._tables.move_to_end(scope.digest)
            while len(self._tables) > _TABLES:
                self._tables.popitem(last=False)
            return found

    def drop(self, numbers: list[int], why: str, *, patient: bool = True) -> int:
        """Forget entries; how many of them were there. Unless *patient*, who writes is not waited for long.

        Raises:
            IndexLocked: the store cannot be written.
        """
        gone = self._store.drop(numbers, patient=patient)
        with self._lock:
            tables = list(self._tables.values())
        for table in tables:
            for number in numbers:
                table.forget(number)
        if gone:
            self._notes.count(f"dropped {why}", times=gone)
        return gone

    def _against(
        self,
        query: str,
        near: Near,
        place: int,
        likeness: float,
        bar: Standard,
        check: Check | None,
        *,
        explaining: bool,
    ) -> str:
        """What speaks against an entry, by the words; "" for nothing. *explaining*, all of it."""
        other = near.questions[place].text
        found: list[str] = []
        if likeness < _lowest(bar, check):
            found.append(f"below {bar.threshold:.3g}" if bar.semantic else "not the same words")
            if not explaining:
                return found[0]
        one, two = self._reading(query), self._reading(other)
        against = doubts(one, two, usual=near.parlance.usual, words=bar.origin == DEFAULT.origin)
        found.extend(f"{doubt.kind}: {doubt.what}" for doubt in against)
        if not found and likeness < bar.threshold and check:
            if explaining:
                found.append(f"below {bar.threshold:.3g}: the check would be asked")
            elif not self._checked(check, query, other):
                found.append(f"below {bar.threshold:.3g}, and the check does not take them for the same")
        return "; ".join(found)

    def _checked(self, check: Check, query: str, other: str) -> bool:
        """What the check says; a "no" is remembered, for it may have been paid for."""
        if (query, other) in self._refused:
            return False
        self._notes.count("checked")
        try:
            if check(query, other):
                return True
        except Exception as error:  # noqa: BLE001  # anybody's code; a doubt is a miss
            _log.warning("the check of two questions failed, which counts as different: %s", error)
            self._notes.count("check failed")
            return False
        with self._lock:
            self._refused[query, other] = None
            while len(self._refused) > _READ:
                self._refused.popitem(last=False)
        return False

    def _served(
        self, stored: Stored, level: Level, likeness: float, passed: list[Passed], *, dropping: bool
    ) -> CacheHit | None:
        """The entry as a hit, if it is still right; else why not; *dropping*, what is stale is forgotten."""
        entry = stored.entry
        now = time.time()
        if level == "semantic" and stored.threshold is not None and likeness < stored.threshold:
            why = f"below {stored.threshold:.3g}, which it needs since it was wrong once"
            passed.append(Passed(number=stored.number, query=entry.query, likeness=likeness, why=why))
            return None
        answer: Json = None
        through = stored.valid_through
        try:
            over = entry.expires is not None and entry.expires <= now
            drop, what, through = ("expired", "", through) if over else self._judged(stored, noting=dropping)
            if not drop:
                answer = json.loads(entry.payload, parse_constant=_refused)
        except (ValueError, RecursionError) as error:
            drop, what = "unreadable", str(error)
        if drop:
            why = f"{drop}: {what}" if what else drop
            passed.append(Passed(number=stored.number, query=entry.query, likeness=likeness, why=why))
            if dropping:
                self._drop_if_free(stored.number, drop)
            return None
        return CacheHit(
            answer=answer,
            number=stored.number,
            level=level,
            likeness=likeness,
            query=entry.query,
            age=max(0.0, now - entry.created),
            saved=entry.cost,
            through=through.generation,
        )

    def _drop_if_free(self, number: int, why: str) -> None:
        """Forget an entry, unless somebody else is writing for long: it is not served in any case."""
        try:
            self.drop([number], why, patient=False)
        except (IndexLocked, IndexDamaged) as error:
            _log.warning("an entry that is %s could not be dropped: %s", why, error)

    def _judged(self, stored: Stored, *, noting: bool) -> tuple[str, str, Moment]:
        """Why the entry is stale, and what shows it, empty if it is not; and the commit judged at."""
        with self._watch.ledger.snapshot() as snapshot:
            verdict = self._watch.freshness.judge(snapshot, stored)
        evidence = stored.entry.evidence
        turned = verdict.turned and self._watch.searches and evidence is not None and bool(evidence.k)
        if verdict.drop is None and not turned:
            if noting and verdict.through > stored.valid_through:
                self._notes.held(stored.number, through=verdict.through)
            return "", "", verdict.through
        if evidence is not None and (turned or verdict.drop in LOOKED_INTO):
            # What may have made it stale did not, if a search finds the very rows again.
            fresh = self._watch.anew(evidence, since=stored.valid_through.generation)
            if fresh is not None:
                if noting:
                    self._renew(stored.number, fresh)
                return "", "", Moment(fresh.generation, fresh.committed)
        return f"stale, {verdict.drop or 'drift'}", verdict.what, verdict.through

    def _renew(self, number: int, evidence: Evidence) -> None:
        self._notes.count("renewed")
        try:
            self._store.renew(number, evidence)
        except (IndexLocked, IndexDamaged) as error:
            _log.warning("that an entry holds could not be noted: %s", error)


def _one_call(check: Check) -> Check:
    """*check* for the first pair, "no" for others: they are farther away, and a call may cost money."""
    left = [check]
    return lambda asked, cached: bool(left) and left.pop()(asked, cached)


def _lowest(bar: Standard, check: Check | None) -> float:
    """The likeness below which nothing is served."""
    return bar.threshold - (_GREY if check else 0.0)


def _refused(constant: str) -> Json:
    raise ValueError(f"{constant} is not JSON")


def unit(vector: Vector) -> Vector:
    """*vector* with length 1, float32; zero stays zero."""
    length = float(np.linalg.norm(vector))
    made: Vector = (vector / length if length else vector).astype(np.float32)
    return made
