"""A seal on Chroma's index files: what they looked like when they were last known to be whole.

Chroma keeps records and its write-ahead log in SQLite, which survives a kill, and the HNSW graph in plain
files that it overwrites in place every `sync_threshold` records. A kill in between leaves files that fail to
load, or load and crash the process (3 of 20 kills aimed at it). Observed with chromadb 1.5.9: the files change
only inside a write call, or inside the first read after opening when the log left to replay is longer than the
threshold; nothing changes after such a call has returned, or at `close`.

So each time a call has returned and the files have changed, their sizes and checksums are written beside them,
after an fsync of the files. Opening compares first: a graph whose save was cut short differs from its seal, and
Chroma is never shown it. A kill during a small write touches no file of the graph and costs nothing.
"""

from __future__ import annotations

import json
import os
import zlib
from pathlib import Path

from ragweft.errors import IndexDamaged, IndexLocked
from ragweft.vectors.segments import sync_directory

SEAL = "ragweft-seal.json"
DATABASE = "chroma.sqlite3"

_CHUNK_BYTES = 1 << 20

_Look = dict[str, tuple[int, int, int]]


class Seal:
    """The seal of one Chroma directory."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._looked: _Look | None = None

    def check(self) -> None:
        """Compare the index files with the seal; a new directory gets its first, empty one.

        Call this before Chroma opens the directory.

        Raises:
            IndexDamaged: the files are not as they were when the last save was complete.
            IndexLocked: the directory holds a Chroma database that ragweft did not make.
        """
        path = self._directory / SEAL
        try:
            raw = path.read_bytes()
        except FileNotFoundError:
            if (self._directory / DATABASE).exists():
                raise IndexLocked(
                    f"{self._directory} holds a Chroma database that is not ragweft's: move it away, "
                    "or keep this index elsewhere"
                ) from None
            self._write({})
            self._looked = {}
            return
        try:
            sealed = {name: (int(size), int(crc)) for name, (size, crc) in json.loads(raw)["files"].items()}
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise IndexDamaged(f"{path} is unreadable ({error}): rebuild the Chroma index") from error
        look = self._look()
        if {name: size for name, (size, _, _) in look.items()} != {n: size for n, (size, _) in sealed.items()}:
            raise self._broken()
        for name, (_, crc) in sealed.items():
            if _crc32(self._directory / name) != crc:
                raise self._broken()
        self._looked = look

    def renew(self) -> None:
        """Seal the index files anew if they have changed; call this when a write to Chroma has returned."""
        look = self._look()
        if look == self._looked:
            return
        files: dict[str, tuple[int, int]] = {}
        for name, (size, _, _) in look.items():
            path = self._directory / name
            with path.open("rb+") as file:
                os.fsync(file.fileno())
            files[name] = (size, _crc32(path))
        self._write(files)
        self._looked = look

    def _look(self) -> _Look:
        """Size, modification time and inode of every file in the folders Chroma keeps one for each index."""
        look: _Look = {}
        for folder in os.scandir(self._directory):
            if folder.is_dir():
                for file in os.scandir(folder.path):
                    status = file.stat()
                    look[f"{folder.name}/{file.name}"] = (status.st_size, status.st_mtime_ns, status.st_ino)
        return look

    def _write(self, files: dict[str, tuple[int, int]]) -> None:
        fresh = self._directory / f"{SEAL}.new"
        with fresh.open("w", encoding="utf-8") as file:
            json.dump({"format": 1, "files": files}, file, indent=1, sort_keys=True)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(self._directory / SEAL)
        sync_directory(self._directory)

    def _broken(self) -> IndexDamaged:
        return IndexDamaged(
            f"{self._directory} was being saved when its process died, or was changed from outside: "
            "rebuild the Chroma index from the stored vectors"
        )


def _crc32(path: Path) -> int:
    checksum = 0
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            checksum = zlib.crc32(chunk, checksum)
    return checksum
