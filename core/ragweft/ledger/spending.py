"""What was paid for through an index, kept beside what it was paid for."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from sqlalchemy import Connection, func, select
from sqlalchemy.dialects.sqlite import insert
from sqlalchemy.exc import OperationalError

from ragweft.ledger.schema import charges
from ragweft.types import Spent, Usage

if TYPE_CHECKING:
    from ragweft.ledger.ledger import Ledger
    from ragweft.providers.metering import Charge

__all__ = ["record", "spent_on"]

_SUMS = ("tokens", "usd", "calls", "unpriced")


def record(ledger: Ledger, charged: Charge) -> None:
    """Add *charged* to its day, model and purpose; durable on return."""
    usage = charged.usage
    line = {name: getattr(usage, name) for name in _SUMS}
    day = time.strftime("%Y-%m-%d", time.gmtime())

    def add(connection: Connection) -> None:
        adding = insert(charges).values(day=day, model=charged.model, purpose=charged.purpose, **line)
        sums = {name: charges.c[name] + adding.excluded[name] for name in _SUMS}
        connection.execute(adding.on_conflict_do_update(index_elements=["day", "model", "purpose"], set_=sums))

    ledger.change(add, lasting=True)


def spent_on(ledger: Ledger) -> tuple[Spent, ...]:
    """Everything paid for through this index so far, one line for a model and purpose."""
    keys = (charges.c.model, charges.c.purpose)
    query = (
        select(*keys, *(func.sum(charges.c[name]).label(name) for name in _SUMS))
        .group_by(*keys)
        .order_by(*keys)
    )
    with ledger.reading() as connection:
        try:
            found = connection.execute(query).all()
        except OperationalError as error:
            if "no such table" in str(error.orig):  # read-only, and made before anything was counted
                return ()
            raise
    return tuple(
        Spent(
            model=r.model,
            purpose=r.purpose,
            usage=Usage(tokens=r.tokens, usd=r.usd, calls=r.calls, unpriced=r.unpriced),
        )
        for r in found
    )
