"""What a reader of the flat index sees: one manifest's worth of mapped segments, checked and immutable."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ragweft.errors import IndexDamaged, IndexLocked, SpaceMismatch
from ragweft.vectors.cosine import best, blocks, cosines
from ragweft.vectors.segments import LogEntry, Manifest, SegmentEntry, Stamp, read_manifest, stamp_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ragweft.types import Rows, Space, Vector, Vectors

    Positions = NDArray[np.intp]

_OPEN_TRIES = 20
"""A compaction can take away the files a manifest names while they are being opened; each try reads it anew."""
_GATHER_SHARE = 4
"""A subset of less than this fraction of the rows is cheaper to gather than to pick from all scores."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """One segment, mapped; every byte of it has been compared with its checksum."""

    entry: SegmentEntry
    vectors: Vectors
    rows: Rows


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """The index as of one manifest. A position is a place in the segments, counted through from 0."""

    manifest: Manifest
    stamp: Stamp | None
    """Stamp of the manifest; None when there was none."""
    segments: tuple[Segment, ...]
    rows: Rows
    """The row at each position, rising."""
    dead: NDArray[np.bool_]
    """Positions whose row has been removed."""
    hidden: NDArray[np.bool_]
    """Positions that are never returned: dead, or with a vector that is all zero."""
    offered: Positions | None
    """Positions that are not hidden; None stands for all of them."""

    @property
    def live(self) -> int:
        """Rows held that are not dead."""
        return len(self.rows) - self.manifest.dead.rows

    def positions(self, rows: Rows) -> Positions:
        """Positions of those of *rows* that are held, dead or not; rising, each once."""
        wanted = np.unique(np.asarray(rows, dtype=np.int64).reshape(-1))
        found = np.searchsorted(self.rows, wanted)
        held = found < len(self.rows)
        wanted, found = wanted[held], found[held]
        positions: Positions = found[self.rows[found] == wanted]
        return positions

    def gather(self, positions: Positions) -> Vectors:
        """Vectors at rising *positions*, copied."""
        vectors = np.empty((len(positions), self.manifest.dims), dtype=np.float32)
        start = 0
        for segment in self.segments:
            low, high = np.searchsorted(positions, (start, start + len(segment.rows)))
            vectors[low:high] = segment.vectors[positions[low:high] - start]
            start += len(segment.rows)
        return vectors

    def nearest(self, query: NDArray[np.float64], n: int, among: Rows | None) -> tuple[Rows, Vector, bool]:
        """The *n* rows of highest cosine with the unit *query*, their scores, and whether there are no more.

        A float32 pass makes a shortlist of everything within its rounding error of the n-th place.
        `cosines` then decides, so that the answer is the same however the rows are spread over segments.
        """
        offered = self.offered
        if among is not None:
            offered = self.positions(among)
            offered = offered[~self.hidden[offered]]
        total = len(self.rows) if offered is None else len(offered)
        if n <= 0 or not total:
            return np.empty(0, dtype=np.int64), np.empty(0, dtype=np.float32), not total
        if n < total:
            short = self._shortlist(query.astype(np.float32), n, offered)
        else:
            short = np.arange(total) if offered is None else offered
        scores = np.empty(len(short), dtype=np.float32)
        for block in blocks(len(short), self.manifest.dims):
            scores[block] = cosines(self.gather(short[block]), query)
        rows, scores = best(self.rows[short], scores, n)
        return rows, scores, n >= total

    def _shortlist(self, query: Vector, n: int, offered: Positions | None) -> Positions:
        if offered is not None and len(offered) * _GATHER_SHARE < len(self.rows):
            scores = np.empty(len(offered), dtype=np.float32)
            for block in blocks(len(offered), self.manifest.dims):
                scores[block] = _products(self.gather(offered[block]), query)
        else:
            scores = np.empty(len(self.rows), dtype=np.float32)
            start = 0
            for segment in self.segments:
                stop = start + len(segment.rows)
                scores[start:stop] = _products(segment.vectors, query)
                start = stop
            scores = scores if offered is None else scores[offered]
        # An inner product of unit vectors summed in float32 is off by at most dims * 2**-24 (Higham,
        # Accuracy and Stability of Numerical Algorithms, 2002, §3.1): twice that parts two of them for certain.
        margin = self.manifest.dims * float(np.finfo(np.float32).eps)
        floor = np.partition(scores, len(scores) - n)[len(scores) - n] - margin
        short = np.flatnonzero(scores >= floor)
        return short if offered is None else offered[short]


def _products(vectors: Vectors, query: Vector) -> Vector:
    """Inner products, float32, without BLAS.

    A matrix-vector product is bound by memory. BLAS's threads, which spin while they wait for one another,
    double its CPU and stall it on a busy machine: 8 ms against 0.4 at 10,000 x 256.
    """
    products: Vector = np.einsum("ij,j->i", vectors, query)
    return products


def take_snapshot(directory: Path, *, space: Space, ledger: str, previous: Snapshot | None) -> Snapshot:
    """See what the manifest in *directory* counts; nothing, at generation 0, when there is none.

    What *previous* has mapped and checked already is used again.

    Raises:
        IndexDamaged: a file is missing, short, or differs from its checksum.
        IndexLocked: the index follows another ledger, or a newer ragweft wrote it.
        SpaceMismatch: it holds vectors of another space.
    """
    for _ in range(_OPEN_TRIES):
        stamp: Stamp | None
        try:
            manifest, stamp = read_manifest(directory)
        except (FileNotFoundError, NotADirectoryError):
            manifest, stamp = Manifest(ledger=ledger, space=str(space), dims=space.dims), None
        except OSError as error:
            raise _unreadable(directory, error) from error
        if manifest.ledger != ledger:
            raise IndexLocked(
                f"{directory} follows ledger {manifest.ledger}, not {ledger}: use another folder, "
                "or delete that one"
            )
        if manifest.space != str(space) or manifest.dims != space.dims:
            raise SpaceMismatch(
                f"{directory} holds vectors of {manifest.space}, not of {space}: "
                "embed with the model it was built with, or rebuild the index"
            )
        try:
            return _snapshot(directory, manifest, stamp, previous)
        except (OSError, IndexDamaged) as error:
            if stamp_of(directory) != stamp:
                continue
            if isinstance(error, IndexDamaged):
                raise
            raise _unreadable(directory, error) from error
    raise IndexDamaged(f"{directory} is being replaced faster than it can be read: stop the other writers")


def _unreadable(directory: Path, error: OSError) -> IndexDamaged:
    return IndexDamaged(f"{directory} cannot be read ({error}): fix it, or rebuild the flat index")


def _snapshot(directory: Path, manifest: Manifest, stamp: Stamp | None, previous: Snapshot | None) -> Snapshot:
    known = {segment.entry.name: segment for segment in previous.segments} if previous else {}
    segments = tuple(
        _segment(directory, entry, manifest.dims, known.get(entry.name)) for entry in manifest.segments
    )
    rows = np.concatenate([np.empty(0, dtype=np.int64), *(segment.rows for segment in segments)])
    dead = np.isin(rows, _log(directory, manifest.dead), assume_unique=True)
    hidden = dead | np.isin(rows, _log(directory, manifest.blank), assume_unique=True)
    if np.count_nonzero(dead) != manifest.dead.rows or bool(np.any(np.diff(rows) <= 0)):
        raise IndexDamaged(f"{directory} counts rows it does not hold: rebuild the flat index")
    offered = np.flatnonzero(~hidden) if hidden.any() else None
    return Snapshot(
        manifest=manifest,
        stamp=stamp,
        segments=segments,
        rows=rows,
        dead=dead,
        hidden=hidden,
        offered=offered,
    )


def _segment(directory: Path, entry: SegmentEntry, dims: int, known: Segment | None) -> Segment:
    if known and known.entry == entry:
        return known
    path = directory / f"{entry.name}.vectors"
    if path.stat().st_size < entry.rows * dims * 4:
        raise IndexDamaged(f"{path} is shorter than its manifest says: rebuild the flat index")
    # np.asarray sheds the memmap subclass, whose bookkeeping costs more than a small search.
    vectors = np.asarray(np.memmap(path, dtype="<f4", mode="r", shape=(entry.rows, dims)))
    checked, checksum = (known.entry.rows, known.entry.vectors_crc32) if known else (0, 0)
    if zlib.crc32(vectors[checked:].data, checksum) != entry.vectors_crc32:
        raise IndexDamaged(f"{path} differs from its checksum: rebuild the flat index")
    rows = _rows(directory / f"{entry.name}.rows", entry.rows, entry.rows_crc32)
    return Segment(entry=entry, vectors=vectors, rows=rows)


def _log(directory: Path, entry: LogEntry) -> Rows:
    if not entry.name:
        return np.empty(0, dtype=np.int64)
    return _rows(directory / entry.name, entry.rows, entry.crc32)


def _rows(path: Path, count: int, checksum: int) -> Rows:
    raw = np.fromfile(path, dtype="<i8", count=count)
    if len(raw) != count or zlib.crc32(raw.data) != checksum:
        raise IndexDamaged(f"{path} differs from its checksum: rebuild the flat index")
    return raw.astype(np.int64, copy=False)
