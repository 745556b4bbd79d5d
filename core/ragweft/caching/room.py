"""Who goes when there is no room: what saves least for its size and its use, or what was not used for longest.

By the first rule (GreedyDual-Size-Frequency; Cherkasova, HP Labs 1998) an entry is worth what a hit saves by
how often there was one, for a byte; and whoever stays loses what the last one that went was worth, or what was
once much asked for would stay for ever. How much is held is summed up as entries come and go: to count a
hundred thousand takes longer than to store one.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, delete, func, select
from sqlalchemy.dialects.sqlite import insert

from ragweft.caching.schema import entries, facts, rows_used, scopes
from ragweft.ledger.database import in_batches

if TYPE_CHECKING:
    from ragweft.caching.store import Limits
    from ragweft.caching.values import Cost

__all__ = ["added", "clock", "forget", "held", "make_room", "saving", "set_fact", "sweep", "worth"]

_ENTRIES, _BYTES = "held entries", "held bytes"
_COUNTED = select(func.count(), func.coalesce(func.sum(entries.c.bytes), 0))


def make_room(connection: Connection, limits: Limits, *, keep: int) -> int:
    """Have entries go until the rest is within the limits; how many did. What has expired goes first."""
    expired = entries.c.expires.is_not(None) & (entries.c.expires <= time.time())
    forget(connection, list(connection.execute(select(entries.c.number).where(expired)).scalars()))
    count, size = held(connection)
    evicted = 0
    by = entries.c.used if limits.eviction == "lru" else entries.c.worth
    while count > limits.entries or size > limits.bytes:
        some = select(entries.c.number, entries.c.bytes, entries.c.worth).where(entries.c.number != keep)
        going: list[int] = []
        for row in connection.execute(some.order_by(by, entries.c.number).limit(100)):
            if count <= limits.entries and size <= limits.bytes:
                break
            going.append(row.number)
            count, size = count - 1, size - row.bytes
            # Those that stay lose what the one that went was worth.
            set_fact(connection, "clock", repr(max(row.worth, clock(connection))))
        if not going:
            break
        evicted += forget(connection, going)
    return evicted


def held(connection: Connection) -> tuple[int, int]:
    """Entries, and the bytes they take."""
    said = select(facts.c.name, facts.c.value).where(facts.c.name.in_((_ENTRIES, _BYTES)))
    found = {row.name: row.value for row in connection.execute(said)}
    if len(found) == 2:
        return int(found[_ENTRIES]), int(found[_BYTES])
    count, size = connection.execute(_COUNTED).one()
    return int(count), int(size)


def added(connection: Connection, count: int, size: int) -> None:
    """Note that so many entries of *size* bytes came, or went if they are negative; within a write."""
    before, bytes_before = held(connection)
    set_fact(connection, _ENTRIES, str(before + count))
    set_fact(connection, _BYTES, str(bytes_before + size))


def worth(*, hits: int, cost: Cost, size: int) -> float:
    """Milliseconds saved for a byte."""
    return hits * float(saving(cost)) / size


def saving(cost: Any) -> Any:
    """Milliseconds a hit saves: a thousandth of a dollar counts for a second, a token for one of them.

    *cost* is a `Cost`, or has columns of its names.
    """
    return cost.ms + 1e6 * cost.usd + cost.tokens


def clock(connection: Connection) -> float:
    """What whoever went last was worth."""
    found = connection.execute(select(facts.c.value).where(facts.c.name == "clock")).scalar()
    return float(found or 0.0)


def set_fact(connection: Connection, name: str, value: str) -> None:
    """Set a single value."""
    setting = insert(facts).values(name=name, value=value)
    connection.execute(setting.on_conflict_do_update(index_elements=["name"], set_={"value": value}))


def sweep(connection: Connection) -> None:
    """Have the scopes go that have no entries any more: a scope may be a user who never comes again."""
    some = select(entries.c.number).where(entries.c.scope == scopes.c.id)
    connection.execute(delete(scopes).where(~some.exists()))


def forget(connection: Connection, numbers: Sequence[int]) -> int:
    """Have entries go; how many of them were there."""
    gone = 0
    for some in in_batches(numbers):
        count, size = connection.execute(_COUNTED.where(entries.c.number.in_(some))).one()
        if not count:
            continue
        added(connection, -int(count), -int(size))
        connection.execute(delete(rows_used).where(rows_used.c.entry.in_(some)))
        gone += connection.execute(delete(entries).where(entries.c.number.in_(some))).rowcount
    return gone
