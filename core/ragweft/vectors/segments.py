"""The flat index on disk: append-only segments behind a manifest that is replaced in one step.

    manifest.json              what counts: names, row counts and checksums; the commit point
    segment-000001.vectors     float32, little endian, unit length, one after the other
    segment-000001.rows        int64, little endian, the row of each vector, rising
    dead-000003.rows           int64, rows removed since the last compaction
    blank-000002.rows          int64, rows whose vector is all zero: held, never returned

Data is written and fsynced behind what the manifest counts, then the manifest is replaced. Bytes it does not
count do not exist: readers never look at them, the next writer cuts them off. File names are never used twice.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import time
import zlib
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ragweft.errors import IndexDamaged, IndexLocked
from ragweft.vectors.cosine import blocks, unit_rows

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ragweft.types import Rows, Vectors

FORMAT = 1
MANIFEST = "manifest.json"
SEGMENT_ROWS = 65_536

_OURS = re.compile(r"(segment-\d{6}\.(vectors|rows)|(dead|blank)-\d{6}\.rows|manifest\.json\.new)\Z")


@dataclass(frozen=True, slots=True, kw_only=True)
class SegmentEntry:
    """One segment as the manifest counts it."""

    name: str
    rows: int = 0
    rows_crc32: int = 0
    vectors_crc32: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class LogEntry:
    """One append-only list of rows as the manifest counts it; an empty name means no file yet."""

    name: str = ""
    rows: int = 0
    crc32: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """Everything that counts."""

    ledger: str
    space: str
    dims: int
    generation: int = 0
    last_row: int = -1
    """The highest row ever seen: a lower one that is not held has been removed and compacted away."""
    serial: int = 0
    """Number of the last file name given out."""
    segments: tuple[SegmentEntry, ...] = ()
    dead: LogEntry = LogEntry()
    blank: LogEntry = LogEntry()

    @property
    def rows(self) -> int:
        """Rows in the segments, dead ones included."""
        return sum(segment.rows for segment in self.segments)


Stamp = tuple[int, int, int]
"""Inode, modification time in ns and size of a manifest: what tells one version from the next."""


def stamp_of(directory: Path) -> Stamp | None:
    """The stamp of the manifest that lies in *directory* now; None when there is none."""
    try:
        status = (directory / MANIFEST).stat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    return status.st_ino, status.st_mtime_ns, status.st_size


def read_manifest(directory: Path) -> tuple[Manifest, Stamp]:
    """Read the manifest in *directory*.

    Raises:
        FileNotFoundError: there is none.
        IndexDamaged: it is not what a writer left there.
        IndexLocked: a newer ragweft wrote it.
    """
    path = directory / MANIFEST
    with path.open("rb") as file:
        status = os.fstat(file.fileno())
        raw = file.read()
    try:
        body = json.loads(raw)
        checksum = body.pop("checksum")
        if checksum != _checksum(body):
            raise ValueError("checksum differs")
        written = body.pop("format")
        if written != FORMAT:
            raise IndexLocked(
                f"{path} has format {written}, this version knows {FORMAT}: upgrade ragweft, "
                "or delete the folder and let it be rebuilt"
            )
        body["segments"] = tuple(SegmentEntry(**entry) for entry in body["segments"])
        body["dead"], body["blank"] = LogEntry(**body["dead"]), LogEntry(**body["blank"])
        manifest = Manifest(**body)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise IndexDamaged(f"{path} is unreadable ({error}): rebuild the flat index") from error
    return manifest, (status.st_ino, status.st_mtime_ns, status.st_size)


def write_manifest(directory: Path, manifest: Manifest, *, after: Stamp | None) -> None:
    """Replace the manifest in one step: before it nothing of a change counts, after it all does.

    *after* is the stamp of the manifest being replaced. The new one is dated later by force, because two
    replacements within one tick of the file system's clock may otherwise share inode, time and size, and a
    reader would miss the second.
    """
    body: dict[str, Any] = {"format": FORMAT, **asdict(manifest)}
    body["checksum"] = _checksum(body)
    path, fresh = directory / MANIFEST, directory / f"{MANIFEST}.new"
    with fresh.open("wb") as file:
        file.write(json.dumps(body, indent=1).encode())
        file.flush()
        now = max(time.time_ns(), after[1] + 1_000 if after else 0)
        os.utime(fresh, ns=(now, now))
        os.fsync(file.fileno())
    sync_directory(directory)
    _replace(fresh, path)
    sync_directory(directory)


def _checksum(body: dict[str, Any]) -> int:
    return zlib.crc32(json.dumps(body, sort_keys=True, separators=(",", ":")).encode())


def _replace(source: Path, target: Path) -> None:
    """`os.replace`, patient with Windows, where a reader that has the target open forbids it for a moment."""
    for pause in (0.001, 0.01, 0.05, 0.2, 1.0):
        try:
            source.replace(target)
        except PermissionError:
            time.sleep(pause)
        else:
            return
    source.replace(target)


def sync_directory(directory: Path) -> None:
    """Make names created, replaced and deleted in *directory* durable; Windows does so by itself."""
    if os.name == "nt":
        return
    handle = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def tidy(directory: Path, manifest: Manifest) -> None:
    """Delete files of ours that *manifest* does not name: left by a crash or by a compaction.

    A file that another process has mapped cannot be deleted on Windows; it goes at a later call.
    """
    kept = {manifest.dead.name, manifest.blank.name}
    for segment in manifest.segments:
        kept |= {f"{segment.name}.vectors", f"{segment.name}.rows"}
    for path in directory.iterdir():
        if path.name not in kept and _OURS.match(path.name):
            with contextlib.suppress(PermissionError):
                path.unlink(missing_ok=True)


class Appender:
    """Writes behind what *manifest* counts; nothing of it exists until the manifest it returns is written."""

    def __init__(self, directory: Path, manifest: Manifest, *, segment_rows: int) -> None:
        self._directory = directory
        self._manifest = manifest
        self._segment_rows = segment_rows
        self._touched: list[Path] = []

    def add(self, rows: Rows, vectors: Vectors) -> None:
        """Append *vectors* of *rows*, scaled to unit length, block by block."""
        for block in blocks(*vectors.shape):
            units, blank = unit_rows(vectors[block])
            self._add_units(rows[block], units)
            if blank.any():
                self.log("blank", rows[block][blank])

    def copy(self, rows: Rows, units: Vectors, kept: NDArray[np.bool_]) -> None:
        """Append those of *rows* that are *kept*; *units* have unit length already and stay bit for bit."""
        for block in blocks(*units.shape):
            self._add_units(rows[block][kept[block]], units[block][kept[block]])

    def log(self, kind: str, rows: Rows) -> None:
        """Append *rows* to the `dead` or the `blank` list."""
        entry: LogEntry = getattr(self._manifest, kind)
        if not entry.name:
            entry = LogEntry(name=f"{self._next_name(kind)}.rows")
        raw = np.ascontiguousarray(rows, dtype="<i8").tobytes()
        self._append(entry.name, entry.rows * 8, raw)
        entry = replace(entry, rows=entry.rows + len(rows), crc32=zlib.crc32(raw, entry.crc32))
        if kind == "dead":
            self._manifest = replace(self._manifest, dead=entry)
        else:
            self._manifest = replace(self._manifest, blank=entry)

    def finish(self) -> Manifest:
        """Make everything written durable and say what a manifest must count."""
        for path in self._touched:
            with path.open("rb+") as file:
                os.fsync(file.fileno())
        return self._manifest

    def _add_units(self, rows: Rows, units: Vectors) -> None:
        while len(rows):
            segments = self._manifest.segments
            if not segments or segments[-1].rows >= self._segment_rows:
                segments = (*segments, SegmentEntry(name=self._next_name("segment")))
            tail = segments[-1]
            room = self._segment_rows - tail.rows
            raw_rows = np.ascontiguousarray(rows[:room], dtype="<i8").tobytes()
            raw_units = np.ascontiguousarray(units[:room], dtype="<f4").tobytes()
            self._append(f"{tail.name}.rows", tail.rows * 8, raw_rows)
            self._append(f"{tail.name}.vectors", tail.rows * units.shape[1] * 4, raw_units)
            tail = replace(
                tail,
                rows=tail.rows + len(rows[:room]),
                rows_crc32=zlib.crc32(raw_rows, tail.rows_crc32),
                vectors_crc32=zlib.crc32(raw_units, tail.vectors_crc32),
            )
            self._manifest = replace(self._manifest, segments=(*segments[:-1], tail))
            rows, units = rows[room:], units[room:]

    def _append(self, name: str, counted: int, raw: bytes) -> None:
        path = self._directory / name
        with path.open("rb+" if path.exists() else "xb") as file:
            file.truncate(counted)
            file.seek(counted)
            file.write(raw)
        if path not in self._touched:
            self._touched.append(path)

    def _next_name(self, kind: str) -> str:
        self._manifest = replace(self._manifest, serial=self._manifest.serial + 1)
        return f"{kind}-{self._manifest.serial:06d}"
