"""One file to one document."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING

from ragweft.errors import LoadError
from ragweft.loading.apart import Apart
from ragweft.loading.converters import CONVERTERS, TASK, Limits
from ragweft.loading.formats import file_format, file_suffix
from ragweft.loading.reading import read_converted, read_text
from ragweft.uris import display_path, is_valid_text, real_path_uri

if TYPE_CHECKING:
    from ragweft.types import Document, Json

__all__ = ["MAX_BYTES", "FileLoader", "too_large"]

MAX_BYTES = 50_000_000
"""Larger files are left out unless the caller says otherwise: a megabyte of text is a long book already."""


class FileLoader:
    """Reads files of the types in `formats.SUFFIXES`; a `protocols.Loader`.

    Of a text file the text is exactly what it holds, line ends included; only a byte order mark is dropped.
    Of HTML the readable text is extracted as Markdown with the same line numbers (see `html.extract_html`),
    unless a program wrote it without regard to lines. An empty file is an empty document.

    PDF, Office files, books, mail and notebooks are converted to Markdown in a process of its own, within
    *limits*, because they may be damaged or made to do harm. It is started for the first of them, used for
    all that follow, and gone when the loader is. What comes of them is a `Document`.

    Args:
        max_bytes: larger files are refused, also those that grow while they are read.
        limits: what converting one file may take.
    """

    def __init__(self, *, max_bytes: int = MAX_BYTES, limits: Limits | None = None) -> None:
        self._max_bytes = max_bytes
        self._limits = limits or Limits()
        self._apart = Apart(TASK, seconds=self._limits.max_seconds, memory=self._limits.max_memory)

    def __repr__(self) -> str:
        return f"FileLoader(max_bytes={self._max_bytes})"

    def close(self) -> None:
        """End the process that converts, if there is one; the next file that needs it starts another."""
        self._apart.close()

    def load(self, path: Path) -> Document:
        """Read one file.

        The id is the URI of the file with symbolic links resolved. Metadata: `file_name`, `suffix` (lower case)
        and, for code, `code_language`. The time of the last change is left out: it would make a touched file a
        changed document. Converted files add what they say of themselves (see `converters`).

        Raises:
            LoadError: the file cannot be read (`__cause__` is then the OSError: it may be readable later), is
                not a regular file of a supported type, is too large, is not text, or cannot be converted.
            MissingExtra: converting it needs a package that is not installed.
        """
        shown = display_path(path)
        try:
            real = os.path.realpath(path, strict=True)
            written = file_format(Path(real).name)
            if written is None:
                raise LoadError(
                    f"{shown}: files of this type are not read; convert it to text, or add a Document"
                )
            data = self._read(real, shown)
        except OSError as error:
            reason = error.strerror or type(error).__name__
            raise LoadError(f"{shown}: cannot be read ({reason}); check its name and permissions") from error
        except ValueError as error:
            raise LoadError(f"{shown}: is no path ({error}); check its name") from error
        if not is_valid_text(real):
            raise LoadError(f"{shown}: its path is not valid text; rename it")
        name = Path(real).name
        metadata: dict[str, Json] = {"file_name": name, "suffix": file_suffix(name)}
        uri = real_path_uri(real)
        try:
            if written.format in CONVERTERS:
                return read_converted(
                    data, written.format, uri=uri, metadata=metadata, apart=self._apart, limits=self._limits
                )
            return read_text(data, written, uri=uri, metadata=metadata)
        except LoadError as error:
            # The cause says whether trying again may help: time and memory may be there next time.
            raise LoadError(f"{shown}: {error}") from error.__cause__

    def _read(self, real: str, shown: str) -> bytes:
        if not stat.S_ISREG(Path(real).stat().st_mode):
            raise LoadError(f"{shown}: is not a regular file; name a file, or sync the folder")
        with open(real, "rb", buffering=0, opener=_open_at_once) as file:
            now = os.fstat(file.fileno())
            if not stat.S_ISREG(now.st_mode):
                raise LoadError(f"{shown}: is not a regular file any more; sync again")
            pieces: list[bytes] = []
            left = self._max_bytes + 1
            # One byte more than is expected, so that the common case needs no second look for the end.
            wanted = now.st_size + 1
            while left > 0:
                piece = file.read(min(wanted, left))
                if not piece:
                    break
                pieces.append(piece)
                left -= len(piece)
                wanted = 1 << 20
        if left <= 0:
            raise LoadError(f"{shown}: {too_large(self._max_bytes)}")
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)


def too_large(max_bytes: int) -> str:
    """The reason given for a file over the limit, as the end of a sentence about it."""
    return f"larger than {max_bytes:,} bytes; split it, or raise max_bytes under [loading] in ragweft.toml"


def _open_at_once(path: str, flags: int) -> int:
    # Should a pipe have taken the file's place, opening it must not wait for a writer.
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))
