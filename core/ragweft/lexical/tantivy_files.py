"""tantivy's files: their schema, how they are opened, and what their failures are called here."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import weakref
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from ragweft.errors import IndexDamaged, IndexLocked

if TYPE_CHECKING:
    import tantivy

ROW = "row"
BODY = "body"
"""The terms of a row's whole indexed text, its context included."""
CONTEXT = "context"
"""The terms of its context once more, alone."""
MARKER = "marker"
MARKER_TERM = "!marker"
"""The one term of the marker's text fields; no analyzer makes a term that begins with a punctuation mark."""

_META = "meta.json"
_COPY_ATTEMPTS = 5
_MAGIC = 1337
_BLOCK = 1 << 20


def schema() -> tantivy.Schema:
    """Row number, terms of both fields (frequencies, no positions, text not stored) and the stored marker."""
    import tantivy

    builder = tantivy.SchemaBuilder()
    builder.add_unsigned_field(ROW, fast=True, indexed=True)
    for name in (BODY, CONTEXT):
        builder.add_text_field(name, tokenizer_name="whitespace", index_option="freq")
    builder.add_bytes_field(MARKER, stored=True)
    return builder.build()


@contextmanager
def tantivy_errors(directory: Path, doing: str) -> Iterator[None]:
    """Give whatever tantivy raises while *doing* something its name in ragweft's tree.

    Raises:
        IndexLocked: another writer holds tantivy's own lock.
        IndexDamaged: anything else, a Rust panic included.
    """
    try:
        yield
    except (OSError, SystemError, ValueError) as error:
        raise _translated(error, directory, doing) from error
    except BaseException as error:
        # pyo3's PanicException derives from BaseException alone and cannot be imported to be named here.
        if type(error).__name__ != "PanicException":
            raise
        raise _translated(error, directory, doing) from error


def _translated(error: BaseException, directory: Path, doing: str) -> IndexDamaged | IndexLocked:
    if "LockBusy" in str(error):
        return IndexLocked(
            f"another process is writing the lexical index {directory}: try again when it is done"
        )
    reason = " ".join(str(error).split())[:200]
    return IndexDamaged(
        f"cannot {doing} the lexical index {directory} ({reason}): remove it to have it rebuilt"
    )


def exists(directory: Path) -> bool:
    """Whether an index has been made in *directory*; tantivy writes this file last."""
    with tantivy_errors(directory, "open"):
        return (directory / _META).exists()


def open_for_reading(directory: Path) -> tantivy.Index:
    """Open an existing index; its searchers change only on `reload`."""
    import tantivy

    with tantivy_errors(directory, "open"):
        index = tantivy.Index.open(str(directory))
        index.config_reader("manual")
        if index.schema != schema():
            raise ValueError("another schema")
    return index


def open_for_writing(directory: Path) -> tantivy.Index:
    """Open the index, or make an empty one.

    Each writer wants an index opened anew: tantivy reads its list of files to collect only when opening.
    """
    import tantivy

    with tantivy_errors(directory, "open"):
        directory.mkdir(parents=True, exist_ok=True)
        index = tantivy.Index(schema(), path=str(directory))
        index.config_reader("manual")
    return index


def check_segments(directory: Path, known: frozenset[str] = frozenset()) -> frozenset[str]:
    """Compare the files of the newest commit with their checksums, but for those *known* to be sound.

    Segment files never change once written. tantivy opens files with a damaged middle, answers wrongly, and on
    merging them aborts the process; so they are read once (2.4 GB/s) before anything relies on them. Returns
    the names of the files that are sound now.

    Raises:
        IndexDamaged: a file is not what was written.
    """
    sound: set[str] = set()
    with tantivy_errors(directory, "read"):
        for segment in json.loads((directory / _META).read_bytes())["segments"]:
            name = segment["segment_id"].replace("-", "")
            deletes = segment["deletes"]
            # A writer at work may be writing a later list of deleted documents beside the one in force.
            in_force = f"{name}.{deletes['opstamp']}.del" if deletes else ""
            for file in directory.glob(f"{name}.*"):
                if file.suffix == ".del" and file.name != in_force:
                    continue
                if file.name in known or _is_sound(file):
                    sound.add(file.name)
    return frozenset(sound)


def _is_sound(path: Path) -> bool:
    """True, or False for a file that a merge has taken away meanwhile.

    tantivy ends a file with a footer of JSON that holds the CRC-32 of what is before it, the footer's length
    and a magic number, both four bytes, little endian.
    """
    try:
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(size - 8, 0))
            length = int.from_bytes(file.read(4), "little")
            body = size - 8 - length
            if int.from_bytes(file.read(4), "little") != _MAGIC or body < 0:
                raise ValueError(f"{path.name} is cut short")
            file.seek(body)
            footer = json.loads(file.read(length))
            file.seek(0)
            crc = 0
            while body and (block := file.read(min(body, _BLOCK))):
                crc = zlib.crc32(block, crc)
                body -= len(block)
    except FileNotFoundError:
        return False
    if footer.get("crc") != crc:
        raise ValueError(f"{path.name} does not match its checksum")
    return True


class TemporaryCopy:
    """A writable stand-in for an index in a directory where tantivy cannot put its lock files.

    Segment files never change, so they are linked where the system allows it and copied otherwise.
    """

    def __init__(self, source: Path) -> None:
        self.path = Path(tempfile.mkdtemp(prefix="ragweft-lexical-"))
        self._finalizer = weakref.finalize(self, _remove, self.path, os.getpid())
        with tantivy_errors(source, "copy"):
            for _ in range(_COPY_ATTEMPTS):
                if _copy(source, self.path):
                    break

    def close(self) -> None:
        """Remove the copy; idempotent."""
        self._finalizer()


def _copy(source: Path, target: Path) -> bool:
    """Whether the copy is whole: a writer elsewhere may have merged segments away meanwhile."""
    commit = (source / _META).read_bytes()
    for file in source.iterdir():
        copy = target / file.name
        if file.suffix not in {".lock", ".json"} and not copy.exists():
            try:
                copy.symlink_to(file.resolve())
            except OSError:
                shutil.copyfile(file, copy)
    (target / _META).write_bytes(commit)
    return (source / _META).read_bytes() == commit


def _remove(path: Path, owner: int) -> None:
    # A forked child inherits the finalizer, but the directory is its parent's.
    if os.getpid() == owner:
        shutil.rmtree(path, ignore_errors=True)
