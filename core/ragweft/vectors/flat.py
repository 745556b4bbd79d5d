"""An exact vector index over memory-mapped float32 that any number of processes may read at once."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ragweft.errors import IndexDamaged, IndexLocked
from ragweft.types import Ranking
from ragweft.vectors.cosine import Change, checked_change, unit_query
from ragweft.vectors.segments import SEGMENT_ROWS, Appender, LogEntry, stamp_of, tidy, write_manifest
from ragweft.vectors.snapshot import Snapshot, take_snapshot

if TYPE_CHECKING:
    from ragweft.types import Rows, Space, Vector, Vectors

_COMPACT_DEAD = 1_000
_COMPACT_SHARE = 0.3


class FlatIndex:
    """Cosine over every live row: exact, no build step, nothing to load but the pages a search touches.

    One writer at a time, which the caller sees to; readers need no lock, in this process or another. A search
    looks at the manifest first (some microseconds) and so sees every `apply` that has returned, anywhere.
    A kill at any moment leaves the state before or after an `apply`, never one between. Rows whose vector
    is all zero are held and counted, and never returned.
    """

    def __init__(
        self,
        directory: Path,
        *,
        space: Space,
        ledger: str,
        read_only: bool = False,
        segment_rows: int = SEGMENT_ROWS,
    ) -> None:
        """Open the index in *directory*; a missing one is empty, at generation 0, and made by `apply`.

        Opening reads every vector once to compare it with its checksum (4 GB/s where it was measured).

        Args:
            directory: the folder the index owns.
            space: the space the vectors live in.
            ledger: UUID of the ledger the index follows.
            read_only: refuse `apply` and never write.
            segment_rows: rows in one segment file.

        Raises:
            IndexDamaged: a file is missing, short, or differs from its checksum.
            IndexLocked: the index follows another ledger, or a newer ragweft wrote it.
            SpaceMismatch: it holds vectors of another space.
        """
        self._directory = directory
        self._space = space
        self._ledger = ledger
        self._read_only = read_only
        self._segment_rows = segment_rows
        self._writing = threading.Lock()
        self._snapshot: Snapshot | None = None
        self._closed = False
        self._current()

    @property
    def applied_generation(self) -> int:
        """The ledger generation the index on disk has caught up with."""
        return self._current().manifest.generation

    def __len__(self) -> int:
        """Rows held that are not known to be dead."""
        return self._current().live

    def apply(self, *, rows: Rows, vectors: Vectors, removed: Rows, generation: int) -> None:
        """Add *rows* with their *vectors*, drop *removed*, then record *generation*; idempotent.

        Rows up to the highest ever seen are taken as present, because rows only rise; unknown *removed* rows
        are ignored; a generation lower than the recorded one leaves it as it is.

        Raises:
            SpaceMismatch: the vectors have another size, or hold NaN or infinity; nothing is written.
            IndexDamaged: the index cannot be written, or *rows* do not rise.
            IndexLocked: the index is read-only, closed, or follows another ledger.
        """
        if self._read_only:
            raise IndexLocked(f"{self._directory} was opened read-only: open it for writing to apply changes")
        change = checked_change(
            rows=rows,
            vectors=vectors,
            removed=removed,
            generation=generation,
            space=self._space,
            place=str(self._directory),
        )
        with self._writing:
            try:
                self._directory.mkdir(parents=True, exist_ok=True)
                self._append(self._current(), change)
                snapshot = self._current()
                dead = snapshot.manifest.dead.rows
                if dead > _COMPACT_DEAD and dead > _COMPACT_SHARE * len(snapshot.rows):
                    self._compact(snapshot)
            except OSError as error:
                raise IndexDamaged(
                    f"{self._directory} cannot be written ({error.strerror}): free space or fix permissions, "
                    "then repeat; what was applied before is whole"
                ) from error

    def search(self, vector: Vector, *, n: int, among: Rows | None = None) -> Ranking:
        """The *n* rows of highest cosine, of all rows or exactly *among* these; nothing for a zero *vector*.

        Raises:
            SpaceMismatch: *vector* has another size, or holds NaN or infinity.
            IndexDamaged: the files changed in a way no writer changes them.
        """
        query = unit_query(vector, space=self._space, place=str(self._directory))
        snapshot = self._current()
        generation = snapshot.manifest.generation
        if query is None:
            nothing = np.empty(0, dtype=np.int64)
            return Ranking(
                rows=nothing, scores=nothing.astype(np.float32), generation=generation, exhausted=True
            )
        found, scores, exhausted = snapshot.nearest(query, n, among)
        return Ranking(rows=found, scores=scores, generation=generation, exhausted=exhausted)

    def close(self) -> None:
        """Let go of the maps; idempotent. A search that is still running finishes on the maps it has."""
        self._closed = True
        self._snapshot = None

    def _current(self) -> Snapshot:
        # No lock: two threads that refresh at once do the same work, and whichever snapshot stays behind is
        # compared with the manifest again by the next search.
        if self._closed:
            raise IndexLocked(f"{self._directory} was closed: open the index again")
        snapshot = self._snapshot
        if snapshot is None or snapshot.stamp != stamp_of(self._directory):
            snapshot = take_snapshot(self._directory, space=self._space, ledger=self._ledger, previous=snapshot)
            self._snapshot = snapshot
        return snapshot

    def _append(self, snapshot: Snapshot, change: Change) -> None:
        old = snapshot.manifest
        new = change.rows > old.last_row
        gone = snapshot.positions(change.removed)
        gone = gone[~snapshot.dead[gone]]
        tidy(self._directory, old)
        appender = Appender(self._directory, old, segment_rows=self._segment_rows)
        if new.any():
            first = int(np.argmax(new))
            appender.add(change.rows[first:], change.vectors[first:])
        if len(gone):
            appender.log("dead", snapshot.rows[gone])
        manifest = replace(
            appender.finish(),
            generation=max(old.generation, change.generation),
            last_row=max(old.last_row, change.last_row),
        )
        if manifest != old:
            write_manifest(self._directory, manifest, after=snapshot.stamp)

    def _compact(self, snapshot: Snapshot) -> None:
        """Copy what is alive into fresh segments, swap, and delete the old ones.

        Readers that have the old files mapped go on with them; Windows keeps such files until a later `apply`.
        """
        empty = replace(snapshot.manifest, segments=(), dead=LogEntry(), blank=LogEntry())
        appender = Appender(self._directory, empty, segment_rows=self._segment_rows)
        start = 0
        for segment in snapshot.segments:
            alive = ~snapshot.dead[start : start + len(segment.rows)]
            appender.copy(segment.rows, segment.vectors, alive)
            start += len(segment.rows)
        blank = snapshot.rows[snapshot.hidden & ~snapshot.dead]
        if len(blank):
            appender.log("blank", blank)
        write_manifest(self._directory, appender.finish(), after=snapshot.stamp)
        tidy(self._directory, self._current().manifest)
