"""How far the word weights of an index are complete: a number in the ledger, for any process to go on from."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import Connection, select
from sqlalchemy.dialects.sqlite import insert

from ragweft.ledger.schema import facts

if TYPE_CHECKING:
    from ragweft.ledger.ledger import Ledger

__all__ = ["WEIGHED", "note_weighed", "weighed_through"]

WEIGHED = "weighed"
"""The fact that holds it."""


def weighed_through(ledger: Ledger) -> int:
    """The generation up to which the word weights of every living row are in vectors.db; 0 before any are."""
    with ledger.reading() as connection:
        found = connection.execute(select(facts.c.value).where(facts.c.name == WEIGHED)).scalar()
    return int(found or 0)


def note_weighed(ledger: Ledger, generation: int) -> None:
    """Have `weighed_through` say *generation* from now on."""

    def note(connection: Connection) -> None:
        line = insert(facts).values(name=WEIGHED, value=str(generation))
        connection.execute(
            line.on_conflict_do_update(index_elements=["name"], set_={"value": line.excluded.value})
        )

    ledger.change(note)
