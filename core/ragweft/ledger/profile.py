"""What an index knows of its corpus as a whole: how common each token is, and how much each leg should count.

It lives in the ledger, so that every process ranks alike, and is replaced when the corpus has changed enough.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import numpy as np
from sqlalchemy import Connection, delete, insert, select

from ragweft.ledger.database import first, if_there
from ragweft.ledger.schema import profiles
from ragweft.types import Tuning

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ragweft.ledger.ledger import Ledger
    from ragweft.ledger.snapshot import Snapshot

__all__ = ["Profile", "Profiles"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """One state of that knowledge."""

    generation: int
    """The ledger generation it was taken at."""
    chunks: int
    """How many chunks there were."""
    containing: NDArray[np.int32]
    """For every token of the static table, how many of these chunks hold it: shape (vocabulary,).

    Of a large index an even sample was counted and scaled up."""
    tuning: Tuning | None = None
    """None while nothing was found out."""


class Profiles:
    """The profile of one ledger as a reader sees it, read again only when it was replaced."""

    def __init__(self) -> None:
        self._held: tuple[int, Profile | None] = (0, None)

    def newest(self, snapshot: Snapshot) -> Profile | None:
        """The profile in *snapshot*; None before the first was taken."""
        number, profile = self._held
        if number != snapshot.profile_number:
            number = snapshot.profile_number
            profile = snapshot.profile()
            self._held = (number, profile)
        return profile


def change_profile(ledger: Ledger, change: Callable[[Profile | None], Profile | None]) -> None:
    """Put what *change* makes of the newest profile in its place; None from it leaves everything as it is.

    Both happen in one transaction, so that nothing another process has stored meanwhile is overwritten unseen.
    """

    def rewrite(connection: Connection) -> None:
        changed = change(read_profile(connection))
        if changed is not None:
            _replace(connection, changed)

    ledger.change(rewrite)


_NEWEST = "SELECT max(id) FROM profiles"


def newest_number(connection: Connection) -> int:
    """Which profile is the newest; 0 for none, also in an index made before there were any."""
    return if_there(lambda: int(first(connection, _NEWEST)[0] or 0), 0)


def read_profile(connection: Connection) -> Profile | None:
    """The newest profile."""
    if not newest_number(connection):
        return None
    row = connection.execute(select(profiles).order_by(profiles.c.id.desc()).limit(1)).one()
    return Profile(
        generation=row.generation,
        chunks=row.chunks,
        containing=np.frombuffer(zlib.decompress(row.containing), dtype="<i4"),
        tuning=Tuning(**json.loads(row.tuning)) if row.tuning else None,
    )


def _replace(connection: Connection, profile: Profile) -> None:
    number = newest_number(connection) + 1
    values = {
        "id": number,
        "generation": profile.generation,
        "chunks": profile.chunks,
        "containing": zlib.compress(profile.containing.astype("<i4").tobytes(), 1),
        "tuning": json.dumps(asdict(profile.tuning)) if profile.tuning else None,
    }
    connection.execute(insert(profiles), values)
    connection.execute(delete(profiles).where(profiles.c.id < number))
