"""What was paid for through an index, kept beside what it was paid for.

Calls that were sent and brought no usable answer have lines of their own, whose purpose ends in
`metering.UNANSWERED`: what they cost is an estimate from above.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from sqlalchemy import Connection, func, select
from sqlalchemy.dialects.sqlite import insert

from ragweft.ledger.database import if_there
from ragweft.ledger.schema import charges
from ragweft.providers.metering import UNANSWERED, Announced
from ragweft.types import Spent, Usage

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ragweft.ledger.ledger import Ledger
    from ragweft.providers.metering import Charge

__all__ = ["announce", "record", "spent_on"]

_SUMS = ("tokens", "usd", "calls", "unpriced")


def record(ledger: Ledger, charged: Charge) -> None:
    """Add *charged* to its day, model and purpose; durable on return."""
    announce(ledger, (Announced(charged, 1),))


def announce(ledger: Ledger, lines: Sequence[Announced]) -> None:
    """Add charges, or take them back, all in one step; durable on return."""
    day = time.strftime("%Y-%m-%d", time.gmtime())

    def add(connection: Connection) -> None:
        for charged, times in lines:
            usage = charged.usage
            line = {name: times * getattr(usage, name) for name in _SUMS}
            adding = insert(charges).values(day=day, model=charged.model, purpose=charged.purpose, **line)
            sums = {name: charges.c[name] + adding.excluded[name] for name in _SUMS}
            found = adding.on_conflict_do_update(index_elements=["day", "model", "purpose"], set_=sums)
            connection.execute(found)

    ledger.change(add, lasting=True)


def spent_on(ledger: Ledger) -> tuple[Spent, ...]:
    """Everything paid for through this index so far, one line for a model and purpose, in their order.

    So what "query" cost is followed by what "query, unanswered" may have cost.
    """
    keys = (charges.c.model, charges.c.purpose)
    query = (
        select(*keys, *(func.sum(charges.c[name]).label(name) for name in _SUMS))
        .group_by(*keys)
        .having(func.sum(charges.c.calls) != 0)
        .order_by(*keys)
    )
    with ledger.reading() as connection:
        found = if_there(lambda: list(connection.execute(query)), ())
    return tuple(
        Spent(
            model=r.model,
            purpose=r.purpose,
            usage=Usage(
                tokens=r.tokens,
                usd=r.usd,
                calls=r.calls,
                unpriced=r.unpriced,
                unanswered=r.calls if r.purpose.endswith(UNANSWERED) else 0,
            ),
        )
        for r in found
    )
