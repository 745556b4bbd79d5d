"""Which commit a follower was last brought level with, in a file beside it.

A ledger restored from a backup gives the numbers of commits and rows again, to others. A follower goes by these
numbers: one that saw what was lost would take what came instead for known. The stamp says which commit it was.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from ragweft.errors import IndexDamaged
from ragweft.ledger.snapshot import Moment

if TYPE_CHECKING:
    from pathlib import Path

    from ragweft.ledger.ledger import Ledger

__all__ = ["check_stamp", "put_stamp"]


def put_stamp(path: Path, moment: Moment) -> None:
    """Say that the follower is being brought level with *moment*; before it is, or it were ahead of this."""
    # In place: half a line, were the machine to stop now, is no stamp, and nothing else depends on it.
    path.write_text(json.dumps(moment), encoding="utf-8")


def check_stamp(path: Path, ledger: Ledger, *, applied: int) -> None:
    """Whether a follower that has *applied* so much followed this very ledger; without a stamp none can tell.

    Raises:
        IndexDamaged: it followed one that had other commits.
    """
    stamp = _read(path) if applied else None
    if stamp is None:
        return
    with ledger.snapshot() as snapshot:
        known = snapshot.moment_of(stamp.generation) == stamp
    if not known or applied > stamp.generation:
        raise IndexDamaged(
            f"{path.stem}: holds what the ledger, restored from a backup, does not; run `ragweft verify`"
        )


def _read(path: Path) -> Moment | None:
    try:
        generation, committed = json.loads(path.read_bytes())
        return Moment(int(generation), float(committed))
    except (OSError, ValueError, TypeError):
        return None
