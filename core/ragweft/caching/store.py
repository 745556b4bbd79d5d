"""cache.db: entries of the cache, shared by every process that opens the index.

A file of its own: it may be deleted at any time, and nobody who writes the ledger waits for it. Nothing here
judges whether an entry is right; see `freshness`. Which go when there are too many is decided by what a hit
saves, how often there was one, and how much room it takes (GreedyDual-Size-Frequency, Cherkasova, HP Labs
1998), or by the last use alone.
"""

from __future__ import annotations

import json
import logging
import time
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeAlias

import numpy as np
from sqlalchemy import bindparam, func, select, update
from sqlalchemy.dialects.sqlite import insert

from ragweft.caching.file import PATIENT, QUICK, CacheFile, set_aside
from ragweft.caching.leases import Leases
from ragweft.caching.room import added, clock, forget, held, make_room, saving, set_fact, sweep, worth
from ragweft.caching.rows import LONGEST, UNREADABLE, UTF8, EntryRow, Listed, listed_in, stored_in
from ragweft.caching.schema import entries, facts, rows_used, scopes, tallies
from ragweft.caching.values import Cost, Scope, normalised
from ragweft.errors import IndexDamaged, IndexLocked, RagweftError
from ragweft.ledger.database import MEMORY, first, in_batches
from ragweft.types import digest_of

if TYPE_CHECKING:
    from ragweft.caching.values import Entry, Evidence, Stored
    from ragweft.ledger.snapshot import Moment

__all__ = ["CacheStore", "Eviction", "Limits", "Listed", "open_store"]

Eviction: TypeAlias = Literal["cost", "lru"]

_log = logging.getLogger(__name__)
_ROOM = 400
"""Bytes of an entry beside its query, vector and payload, about."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How much is kept."""

    entries: int = 100_000
    bytes: int = 512 * 2**20
    largest: int = 2**20
    """Bytes of a single entry; larger ones are refused."""
    eviction: Eviction = "cost"


class Glance(NamedTuple):
    """What every look begins with."""

    exact: Stored | None
    """The entry for the same words."""
    fact: str | None
    """A single value that was asked for."""
    newest: int
    """As `CacheStore.newest`."""


class CacheStore:
    """Entries in one file. Safe to use from many threads, processes, and after a fork."""

    def __init__(self, path: Path, *, limits: Limits | None = None) -> None:
        """Open *path*, creating it; `MEMORY`: nothing is on disk.

        Raises:
            IndexDamaged: the file is not a database.
            IndexLocked: it cannot be written or shared.
        """
        self._file = CacheFile(path)
        self.leases = Leases(self._file) if self._file.shared else None
        """Who works on an answer; None: no other process sees this store."""
        self.limits = Limits() if limits is None else limits

    @property
    def edition(self) -> int:
        """Another one than before: it began anew, and numbers of entries from before mean nothing."""
        return self._file.edition

    def glance(self, scope: Scope, query: str, *, fact: str) -> Glance:
        """What every look begins with, in one read: three take as long as the rest of it."""
        with self._file.read() as connection:
            row = first(connection, _EXACT, (scope.digest, _key(query)))
            said = first(connection, _FACT, (fact,))
            newest = first(connection, _NEWEST)
        return Glance(exact=self._read(row), fact=said and said[0], newest=newest[0] if newest else 0)

    def exact(self, scope: Scope, query: str) -> Stored | None:
        """The entry for the same words."""
        return self._first(_EXACT, (scope.digest, _key(query)))

    def get(self, number: int) -> Stored | None:
        """An entry; None if it is gone."""
        return self._first(_ONE, (number,))

    def get_in(self, scope: Scope, number: int) -> Stored | None:
        """An entry, if it is of *scope*; None if it is gone. Whatever became of the file, nothing crosses."""
        return self._first(_ONE_IN, (number, scope.digest))

    def newest(self) -> int:
        """The highest number so far: who knows the entries up to it knows all that were added."""
        with self._file.read() as connection:
            return int((first(connection, _NEWEST) or (0,))[0])

    def listed(self, scope: Scope, *, after: int = 0) -> Listed:
        """The entries of *scope* with a number higher than *after*, by number."""
        with self._file.read() as connection:
            rows = connection.execute(_LISTED, {"digest": scope.digest, "after": after}).all()
        return listed_in(rows)

    def numbers(self, scope: Scope) -> list[int]:
        """The numbers of all entries of *scope*."""
        with self._file.read() as connection:
            return list(connection.execute(_NUMBERS, {"digest": scope.digest}).scalars())

    def count(self, scope: Scope) -> int:
        """How many entries *scope* has."""
        with self._file.read() as connection:
            return int(connection.execute(_COUNTED, {"digest": scope.digest}).scalar_one())

    def scopes(self) -> list[tuple[Scope, int]]:
        """Every scope that has entries, and how many: those with the most first."""
        with self._file.read() as connection:
            rows = connection.execute(_SCOPES).all()
        return [(Scope(digest=row.digest, parts=json.loads(row.parts)), int(row.held)) for row in rows]

    def put(self, scope: Scope, entry: Entry) -> tuple[int, int]:
        """Keep *entry* in the place of one for the same words; its number, and how many had to go for it.

        Raises:
            RagweftError: it is larger than a single entry may be.
            IndexLocked: the file cannot be written.
        """
        _refuse_poison(entry)
        payload, query = zlib.compress(entry.payload, 1), entry.query.encode(*UTF8)
        size = _ROOM + len(payload) + entry.vector.nbytes + entry.tokens.nbytes + len(query)
        if size > self.limits.largest:
            raise RagweftError(
                f"cache: an entry of {size:,} bytes is not kept, {self.limits.largest:,} are the most; "
                "raise largest under [cache], or cache less of it"
            )
        evidence = entry.evidence
        row = {
            "key": _key(entry.query),
            "query": query,
            "vector": entry.vector.astype("<f4").tobytes(),
            "spoken": entry.tokens.astype("<i4").tobytes(),
            "payload": payload,
            "evidence": None if evidence is None else json.dumps(asdict(evidence)),
            "valid_through": 0 if evidence is None else evidence.generation,
            "committed": 0.0 if evidence is None else evidence.committed,
            "created": entry.created,
            "expires": entry.expires,
            "used": entry.created,
            "hits": 0,
            "ms": entry.cost.ms,
            "tokens": entry.cost.tokens,
            "usd": entry.cost.usd,
            "bytes": size,
        }
        with self._file.write(patience=PATIENT) as connection:
            adding = insert(scopes).values(digest=scope.digest, parts=json.dumps(scope.parts, sort_keys=True))
            connection.execute(adding.on_conflict_do_nothing())
            own = select(scopes.c.id).where(scopes.c.digest == scope.digest)
            number = int(connection.execute(own).scalar_one())
            former = (entries.c.scope == number) & (entries.c.key == row["key"])
            forget(connection, list(connection.execute(select(entries.c.number).where(former)).scalars()))
            row["worth"] = clock(connection) + worth(hits=1, cost=entry.cost, size=size)
            added(connection, 1, size)
            made = connection.execute(insert(entries).values(**row, scope=number)).lastrowid
            if evidence is not None and evidence.rows:
                used = [{"row": one, "entry": made} for one in dict.fromkeys(evidence.rows)]
                connection.execute(insert(rows_used), used)
            evicted = make_room(connection, self.limits, keep=made)
            if evicted:
                sweep(connection)
        self._file.checkpoint()
        return int(made), evicted

    def advance(self, numbers: Iterable[int], *, through: Moment) -> None:
        """Note that the evidence of these holds up to a commit; one that is farther stays so."""
        rows = [
            {"b_number": number, "b_through": through.generation, "b_committed": through.committed}
            for number in numbers
        ]
        if rows:
            with self._file.write() as connection:
                connection.execute(_ADVANCE, rows)

    def renew(self, number: int, evidence: Evidence) -> None:
        """Have an entry rest on *evidence* of the same rows, which was found later."""
        noted = update(entries).where(entries.c.number == number)
        with self._file.write(patience=QUICK) as connection:
            said = json.dumps(asdict(evidence))
            through = {"valid_through": evidence.generation, "committed": evidence.committed}
            connection.execute(noted.values(evidence=said, **through))

    def note(self, served: Mapping[int, int], tally: Mapping[str, tuple[int, Cost]]) -> None:
        """Count hits by entry, and what happened: what, to how often and what that saved."""
        now = time.time()
        day = time.strftime("%Y-%m-%d", time.gmtime(now))
        with self._file.write() as connection:
            now_worth = clock(connection)
            rows = [
                {"b_number": number, "b_more": more, "b_used": now, "b_clock": now_worth}
                for number, more in served.items()
            ]
            if rows:
                connection.execute(_SERVED, rows)
            for what, (times, saved) in tally.items():
                adding = insert(tallies).values(day=day, what=what, times=times, **asdict(saved))
                names = ("times", "ms", "tokens", "usd")
                sums = {name: tallies.c[name] + adding.excluded[name] for name in names}
                connection.execute(adding.on_conflict_do_update(index_elements=["day", "what"], set_=sums))
        self._file.checkpoint()

    def tally(self) -> dict[str, tuple[int, Cost]]:
        """Everything that was counted: what, to how often and what that saved."""
        t = tallies.c
        query = select(t.what, *(func.sum(c).label(c.name) for c in (t.times, t.ms, t.tokens, t.usd)))
        with self._file.read() as connection:
            rows = connection.execute(query.group_by(t.what)).all()
        return {r.what: (int(r.times), Cost(ms=r.ms, tokens=int(r.tokens), usd=r.usd)) for r in rows}

    def demand(self, number: int, threshold: float) -> None:
        """Have an entry served only from a likeness of *threshold* on."""
        with self._file.write(patience=PATIENT) as connection:
            connection.execute(update(entries).where(entries.c.number == number).values(threshold=threshold))

    def harden(self) -> None:
        """Have what was wrong once served to the same words only: its threshold was one of another measure."""
        with self._file.write(patience=PATIENT) as connection:
            hardened = update(entries).where(entries.c.threshold.is_not(None))
            connection.execute(hardened.values(threshold=2.0))

    def drop(self, numbers: Sequence[int], *, patient: bool = True) -> int:
        """Forget entries; how many of them were there. Unless *patient*, who writes is not waited for long."""
        with self._file.write(patience=PATIENT if patient else QUICK) as connection:
            gone = forget(connection, numbers)
            if gone:
                sweep(connection)
            return gone

    def resting_on(self, rows: Sequence[int]) -> list[int]:
        """Numbers of the entries whose evidence holds one of *rows*."""
        found: set[int] = set()
        with self._file.read() as connection:
            for some in in_batches(rows):
                query = select(rows_used.c.entry).where(rows_used.c.row.in_(some))
                found.update(connection.execute(query).scalars())
        return sorted(found)

    def rows_in_use(self) -> list[int]:
        """The rows of the ledger that any entry rests on."""
        with self._file.read() as connection:
            return list(connection.execute(select(rows_used.c.row).distinct()).scalars())

    def within(self, parts: Mapping[str, Any]) -> list[int]:
        """Numbers of the entries whose scope has all these *parts*; of every entry, without any."""
        with self._file.read() as connection:
            said = connection.execute(select(scopes.c.id, scopes.c.parts)).all()
            fitting = [row.id for row in said if _holds(json.loads(row.parts), parts)]
            found: list[int] = []
            for some in in_batches(fitting):
                query = select(entries.c.number).where(entries.c.scope.in_(some))
                found.extend(connection.execute(query).scalars())
        return sorted(found)

    def sizes(self) -> tuple[int, int]:
        """Entries, and the bytes they take."""
        with self._file.read() as connection:
            return held(connection)

    def fact(self, name: str) -> str | None:
        """A single value; None if it was never set."""
        with self._file.read() as connection:
            return connection.execute(select(facts.c.value).where(facts.c.name == name)).scalar()

    def set_fact(self, name: str, value: str) -> None:
        """Set a single value."""
        with self._file.write(patience=PATIENT) as connection:
            set_fact(connection, name, value)

    def close(self) -> None:
        """Close the file; idempotent."""
        self._file.close()

    def _first(self, query: str, asked: tuple[Any, ...]) -> Stored | None:
        with self._file.read() as connection:
            row = first(connection, query, asked)
        return self._read(row)

    def _read(self, found: Any) -> Stored | None:
        if found is None:
            return None
        row = EntryRow._make(found)
        try:
            return stored_in(row)
        except UNREADABLE as error:
            _log.warning("%s: an entry cannot be read and is forgotten: %s", self._file.path, error)
        self.drop([row.number], patient=False)
        return None


def open_store(path: Path | None, *, limits: Limits) -> CacheStore:
    """The store in file *path*, None: in memory. A damaged file is set aside, a locked one done without."""
    if path is None:
        return CacheStore(MEMORY, limits=limits)
    try:
        try:
            return CacheStore(path, limits=limits)
        except IndexDamaged as error:
            set_aside(path, error)
            return CacheStore(path, limits=limits)
    except (IndexLocked, IndexDamaged, OSError) as error:
        _log.warning("the cache is kept in memory only: %s", error)
        return CacheStore(MEMORY, limits=limits)


# Written out: these few are asked at every look, and SQLAlchemy needs as long for one as SQLite for ten.
_ENTRY = f"SELECT {', '.join(EntryRow._fields)} FROM entries WHERE "
_ONE = f"{_ENTRY} number = ?"
_ONE_IN = f"{_ENTRY} number = ? AND scope = (SELECT id FROM scopes WHERE digest = ?)"
_EXACT = f"{_ENTRY} scope = (SELECT id FROM scopes WHERE digest = ?) AND key = ?"
_FACT = "SELECT value FROM facts WHERE name = ?"
_NEWEST = "SELECT seq FROM sqlite_sequence WHERE name = 'entries'"
_OF_SCOPE = (
    entries.c.scope == select(scopes.c.id).where(scopes.c.digest == bindparam("digest")).scalar_subquery()
)
_LISTED = (
    select(entries.c.number, entries.c.query, entries.c.vector, entries.c.spoken)
    .where(_OF_SCOPE, entries.c.number > bindparam("after"))
    .order_by(entries.c.number)
)
_NUMBERS = select(entries.c.number).where(_OF_SCOPE)
_COUNTED = select(func.count()).select_from(entries).where(_OF_SCOPE)
_SCOPES = (
    select(scopes.c.digest, scopes.c.parts, func.count().label("held"))
    .join(entries, entries.c.scope == scopes.c.id)
    .group_by(scopes.c.id)
    .order_by(func.count().desc(), scopes.c.id)
)
_SERVED = (
    update(entries)
    .where(entries.c.number == bindparam("b_number"))
    .values(
        hits=entries.c.hits + bindparam("b_more"),
        used=bindparam("b_used"),
        worth=bindparam("b_clock")
        + (entries.c.hits + bindparam("b_more") + 1) * saving(entries.c) / entries.c.bytes,
    )
)
_ADVANCE = (
    update(entries)
    .where(entries.c.number == bindparam("b_number"), entries.c.valid_through < bindparam("b_through"))
    .values(valid_through=bindparam("b_through"), committed=bindparam("b_committed"))
)


def _refuse_poison(entry: Entry) -> None:
    vector = entry.vector
    if vector.ndim != 1 or not np.isfinite(vector).all() or not vector.any():
        raise RagweftError("cache: the question has no vector that can be compared; it is not kept")
    if len(entry.payload) > LONGEST:
        raise RagweftError(
            f"cache: an answer of {len(entry.payload):,} bytes is not kept, {LONGEST:,} are the most"
        )


def _key(query: str) -> bytes:
    return digest_of(normalised(query))


def _holds(said: Mapping[str, Any], parts: Mapping[str, Any]) -> bool:
    return all(name in said and said[name] == part for name, part in parts.items())
