"""One file to one document."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from ragweft.errors import LoadError
from ragweft.loading.decoding import NotText, decode
from ragweft.loading.formats import FileFormat, file_format, file_suffix
from ragweft.loading.html import extract_html
from ragweft.loading.titles import find_title
from ragweft.loading.uris import display_path, is_valid_text, real_path_uri
from ragweft.types import Document, Json

__all__ = ["MAX_BYTES", "FileLoader", "too_large"]

MAX_BYTES = 50_000_000
"""Larger files are left out unless the caller says otherwise: a megabyte of text is a long book already."""


class FileLoader:
    """Reads text files of the types in `formats.SUFFIXES`; a `protocols.Loader`.

    The text is exactly what the file holds, line ends included; only a byte order mark is dropped. HTML is the
    exception: its readable text is extracted as Markdown with the same line numbers (see `html.extract_html`).
    An empty file is an empty document.

    Args:
        max_bytes: larger files are refused, also those that grow while they are read.
    """

    def __init__(self, *, max_bytes: int = MAX_BYTES) -> None:
        self._max_bytes = max_bytes

    def __repr__(self) -> str:
        return f"FileLoader(max_bytes={self._max_bytes})"

    def load(self, path: Path) -> Document:
        """Read one file.

        The id is the URI of the file with symbolic links resolved. Metadata: `file_name`, `suffix` (lower case)
        and, for code, `code_language`. The time of the last change is left out: it would make a touched file a
        changed document.

        Raises:
            LoadError: the file cannot be read (`__cause__` is then the OSError: it may be readable later), is
                not a regular file of a supported type, is too large, or is not text.
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
        try:
            text = decode(data)
        except NotText as error:
            raise LoadError(f"{shown}: {error}; save it as UTF-8, or exclude it in .ragweftignore") from error
        return _document(real, text, written)

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


def _document(real: str, text: str, written: FileFormat) -> Document:
    name = Path(real).name
    metadata: dict[str, Json] = {"file_name": name, "suffix": file_suffix(name)}
    if written.language is not None:
        metadata["code_language"] = written.language
    uri = real_path_uri(real)
    if written.format == "html":
        page = extract_html(text)
        return Document(
            id=uri, source=uri, text=page.text, title=page.title, format="markdown", metadata=metadata
        )
    title = find_title(text, written.format)
    return Document(id=uri, source=uri, text=text, title=title, format=written.format, metadata=metadata)
