"""Files have names on disk and names in the index: paths, and URIs that stay the same whoever asks."""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import quote_from_bytes, unquote_to_bytes

__all__ = ["display_path", "is_valid_text", "source_path", "source_uri"]

_SCHEME = "file://"


def source_uri(path: Path) -> str:
    """The `file:` URI a file or folder is known by in the index.

    Relative paths and symbolic links are resolved first, so that every way to a file gives one URI. The file
    need not exist. Any name the file system can hold survives the way there and back.
    """
    return real_path_uri(os.path.realpath(path))


def real_path_uri(path: str) -> str:
    """As `source_uri` for an absolute path that is known to hold no symbolic link; does not touch the disk."""
    raw = os.fsencode(path)
    if os.name == "nt":
        return _windows_uri(raw)
    return _SCHEME + quote_from_bytes(raw)


def _windows_uri(raw: bytes) -> str:
    raw = raw.replace(b"\\", b"/").removeprefix(b"//?/")
    if raw.startswith(b"//"):
        return f"file:{quote_from_bytes(raw)}"
    return f"{_SCHEME}/{quote_from_bytes(raw, safe='/:')}"


def source_path(uri: str) -> Path | None:
    """The path of a `file:` URI made by `source_uri`; None for a URI of another kind or of another machine."""
    if not uri.startswith(_SCHEME) or not is_valid_text(uri):
        return None
    rest = uri[len(_SCHEME) :]
    host, slash, below = rest.partition("/")
    if os.name == "nt" and host:
        return Path(f"//{os.fsdecode(unquote_to_bytes(rest))}")
    if not slash or host not in ("", "localhost"):
        return None
    name = os.fsdecode(unquote_to_bytes(below))
    if "\0" in name:
        return None
    return Path(name if os.name == "nt" else f"/{name}")


def display_path(path: Path | str) -> str:
    r"""*path* on one line of valid text, for messages: unprintable characters and stray bytes as ``\x…``."""
    text = str(path)
    if text.isprintable():
        return text
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape", "surrogatepass").decode("ascii")
        for char in text
    )


def is_valid_text(name: str) -> bool:
    """Whether a file name can be stored as text: its bytes were UTF-8, or whatever the file system uses."""
    if name.isascii():
        return True
    try:
        name.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True
