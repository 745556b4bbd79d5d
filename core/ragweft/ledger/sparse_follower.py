"""The index of learned word weights that each process keeps in memory, level with the ledger.

It is filled from the ledger and vectors.db by the first search of a process; every later one brings in what was
committed since, by whichever process. Rows without word weights (added while nobody wanted any) are remembered
and taken in once their weights are there.
"""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING

import numpy as np

from ragweft.errors import RagweftError
from ragweft.vectors.sparse import SparseIndex
from ragweft.vectors.sparse_rows import unpacked

if TYPE_CHECKING:
    from ragweft.ledger.ledger import Ledger
    from ragweft.ledger.snapshot import Snapshot
    from ragweft.ledger.vector_store import VectorStore
    from ragweft.types import Rows

__all__ = ["SparseFollower"]

_BATCH = 2_048
"""Rows read at once: a few MB of weights."""
_PATIENCE = 2.0
"""Seconds a search waits while another thread reads; longer, and it would hold a thread the other legs need."""
_NO_ROWS = np.empty(0, dtype=np.int64)


class SparseFollower:
    """Keeps one `SparseIndex` level; safe to use from several threads and after a fork."""

    def __init__(self, ledger: Ledger, store: VectorStore) -> None:
        """Nothing is read before `get`."""
        self._ledger = ledger
        self._store = store
        self._held = (SparseIndex(), _NO_ROWS)
        # Rows without weights, by digest; some may have died since. Touched by the thread that reads.
        self._awaited: dict[bytes, set[int]] = {}
        self._seen = 0
        """The newest weights there were when rows without any were last looked for."""
        self._reading = threading.Lock()
        self._pid = os.getpid()

    def get(self) -> tuple[SparseIndex, Rows]:
        """The index, as new as every commit before this call, and the rows that have no word weights, rising.

        While another thread brings it level, what there was before is given after a short wait.

        Raises:
            RagweftError: there was nothing before.
            IndexDamaged: vectors.db holds what cannot be read.
        """
        if self._pid != os.getpid():
            # In a forked child the thread that may have held the lock does not exist.
            self._reading, self._pid = threading.Lock(), os.getpid()
        if self._level():
            return self._held
        if self._reading.acquire(timeout=_PATIENCE):
            try:
                self._catch_up()
            finally:
                self._reading.release()
        elif not self._held[0].applied_generation:
            raise RagweftError("the word weights are still being read into memory; search again in a moment")
        return self._held

    def _level(self) -> bool:
        index, lacking = self._held
        with self._ledger.snapshot() as snapshot:
            if snapshot.generation != index.applied_generation:
                return False
        return not len(lacking) or self._store.newest_weights() == self._seen

    def _catch_up(self) -> None:
        index, lacking = self._held
        # Before anything else: weights that are put from now on are news for the next search.
        newest = self._store.newest_weights()
        with self._ledger.snapshot() as snapshot:
            generation = snapshot.generation
            if index.applied_generation > generation:  # an older ledger was put in this one's place
                index, lacking = SparseIndex(), _NO_ROWS
                self._awaited.clear()
            added, removed = _changes(snapshot, index, lacking)
        arrived = self._store.weighed_after(self._seen) if len(lacking) else []
        back = [row for digest in arrived for row in self._awaited.get(digest, ())]
        added = np.union1d(added, np.intersect1d(np.array(back, dtype=np.int64), lacking))
        batches = [added[start : start + _BATCH] for start in range(0, len(added), _BATCH)]
        absent = [np.setdiff1d(lacking, added), *(self._take(index, rows) for rows in batches)]
        for digest in arrived:
            self._awaited.pop(digest, None)
        self._seen = newest
        self._held = (index, np.setdiff1d(np.concatenate(absent), removed))
        # Last: from here on other threads take what is held for level.
        index.apply(rows=_NO_ROWS, weights=unpacked([]), removed=removed, generation=generation)

    def _take(self, index: SparseIndex, rows: Rows) -> Rows:
        """Bring *rows* into *index*; those that have no weights."""
        with self._ledger.snapshot() as snapshot:
            rows, digests = snapshot.digests(rows.tolist())
        weights, known = self._store.weights(digests)
        # Not yet level: what is applied when all rows are in says so.
        since = index.applied_generation
        index.apply(rows=rows[known], weights=weights, removed=_NO_ROWS, generation=since)
        for place in np.flatnonzero(~known).tolist():
            self._awaited.setdefault(digests[place], set()).add(int(rows[place]))
        return rows[~known]


def _changes(snapshot: Snapshot, index: SparseIndex, lacking: Rows) -> tuple[Rows, Rows]:
    """Rows to add to what is known of, and rows to drop from it."""
    since = index.applied_generation
    if since and since >= int(snapshot.fact("floor")):
        changes = snapshot.changes(since)
        return changes.added, changes.removed
    # Nothing was read yet, or the journal does not reach back any more: what lives decides.
    living, known = snapshot.born_after(0), np.union1d(index.rows, lacking)
    return np.setdiff1d(living, known), np.setdiff1d(known, living)
