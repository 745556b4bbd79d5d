"""What is in a folder: every entry found, skipped for a stated reason, or failed."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from pathlib import Path
from stat import S_ISDIR, S_ISREG
from typing import TypeAlias

from ragweft.errors import LoadError
from ragweft.loading.converters import EXTRA, missing_package
from ragweft.loading.files import MAX_BYTES, too_large
from ragweft.loading.formats import file_format
from ragweft.loading.ignore import IGNORE_FILES, IgnoreRules, rules_above
from ragweft.uris import display_path, is_valid_text, real_path_uri

__all__ = ["NOT_INSTALLED", "Discovery", "Failed", "Found", "Skipped", "discover"]

NOT_INSTALLED = f"needs  pip install 'ragweft[{EXTRA}]'"
"""Why files are skipped that only an optional package can read."""


_TOOL_DIRECTORIES = frozenset(
    (
        ".git",
        ".hg",
        ".idea",
        ".mypy_cache",
        ".pytest_cache",
        ".ragweft",
        ".ruff_cache",
        ".svn",
        ".tox",
        ".venv",
        "__pycache__",
        "node_modules",
    )
)
_INDEX_MARKS = frozenset(("ragweft.toml", "ledger.db"))
_VENV_MARK = "pyvenv.cfg"
_OF_INTEREST = frozenset((*IGNORE_FILES, *_INDEX_MARKS, _VENV_MARK))


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A file to be loaded."""

    path: Path
    """Absolute, without symbolic links."""
    size: int
    """In bytes, when it was found."""
    mtime_ns: int
    """Time of the last change, in nanoseconds since 1970, when it was found."""
    format: str
    """As in `formats.FileFormat`; HTML and what is converted become Markdown when they are loaded."""

    @property
    def uri(self) -> str:
        """`source_uri(path)`, without asking the disk again."""
        return real_path_uri(str(self.path))


@dataclass(frozen=True, slots=True, kw_only=True)
class Skipped:
    """An entry left out by rule. A folder left out is one entry, whatever it holds."""

    path: Path
    reason: str
    """One of "unsupported type", "ignored" (by an ignore file), "hidden" (a name with a leading dot), "tool
    directory" (caches, version control, environments, dependencies), "ragweft index", "duplicate" (a link to
    a file that is taken under its own name), "link to a directory", "link leads outside", "not a regular
    file", or `NOT_INSTALLED`."""

    @property
    def unread(self) -> bool:
        """Whether another installation would read it: what that one knows of it is not to be forgotten."""
        return self.reason == NOT_INSTALLED

    @property
    def uri(self) -> str:
        """`source_uri(path)`, without asking the disk again."""
        return real_path_uri(str(self.path))


@dataclass(frozen=True, slots=True, kw_only=True)
class Failed:
    """A file of a supported type, or a folder, that should have been taken in and cannot be."""

    path: Path
    reason: str
    transient: bool = False
    """The reason may pass (permissions, input/output): nothing is known about the present content."""
    directory: bool = False
    """Nothing below it was looked at."""

    @property
    def uri(self) -> str:
        """`source_uri(path)`, without asking the disk again."""
        return real_path_uri(str(self.path))


Discovery: TypeAlias = Found | Skipped | Failed


def discover(root: Path, *, max_bytes: int = MAX_BYTES) -> Iterator[Discovery]:
    """Everything at and below *root*, in an order that depends on names alone.

    Ignore files are obeyed, those above *root* in its repository too. *root* itself is taken whatever its name
    and whatever they say, since it was named on purpose. Links to directories are not followed: inside *root*
    the target is met under its own name, outside it does not belong. A link to a file inside *root* is taken
    once, under its real name, where the file alone would have been left out because it is hidden.

    Args:
        root: a directory, or a single file.
        max_bytes: larger files fail.

    Raises:
        LoadError: *root* does not exist or cannot be looked at.
    """
    shown = display_path(root)
    try:
        real = os.path.realpath(root, strict=True)
        is_directory = S_ISDIR(Path(real).stat().st_mode)
    except (OSError, ValueError) as error:
        reason = (isinstance(error, OSError) and error.strerror) or str(error)
        raise LoadError(f"{shown}: cannot be found ({reason}); check the name and try again") from error
    if not is_valid_text(real):
        raise LoadError(f"{shown}: its path is not valid text; rename it and try again")
    return _Walk(real, max_bytes).run() if is_directory else _single(real, max_bytes)


def _single(path: str, max_bytes: int) -> Iterator[Discovery]:
    item = _taken(path, max_bytes)
    if item is not None:
        yield item


@dataclass(slots=True)
class _Open:
    """A directory on the way down, with what is still to do in it."""

    rules: IgnoreRules
    entries: Iterator[os.DirEntry[str]]
    identity: tuple[int, int]


class _Walk:
    def __init__(self, root: str, max_bytes: int) -> None:
        self._root = root
        self._max_bytes = max_bytes
        self._way: list[_Open] = []
        self._links: list[str] = []
        self._linked: set[str] = set()

    def run(self) -> Iterator[Discovery]:
        """Depth first, without recursion: trees may be deeper than Python's stack."""
        item = self._enter(self._root, rules_above(Path(self._root)))
        if not self._way:
            gone = Failed(path=Path(self._root), reason="vanished", transient=True, directory=True)
            yield item or gone
            return
        rules = self._way[0].rules
        while self._way:
            here = self._way[-1]
            entry = next(here.entries, None)
            if entry is None:
                self._way.pop()
                continue
            item = self._look(entry, here.rules)
            if item is not None:
                yield item
        for link in self._links:
            item = self._link(link, rules)
            if item is not None:
                yield item

    def _look(self, entry: os.DirEntry[str], rules: IgnoreRules) -> Discovery | None:
        """What to say about an entry; nothing about a directory that is entered and a link left for later."""
        name, path = entry.name, entry.path
        try:
            is_link = entry.is_symlink()
            is_directory = not is_link and entry.is_dir(follow_symlinks=False)
            reason = _why_not(name, rules, directory=is_directory)
            if reason:
                return Skipped(path=Path(path), reason=reason)
            if is_link:
                self._links.append(path)
                return None
            if is_directory:
                return self._enter(path, rules.below(name))
            if not entry.is_file(follow_symlinks=False):
                return Skipped(path=Path(path), reason="not a regular file")
            written = file_format(name)
            if written is None:
                return Skipped(path=Path(path), reason="unsupported type")
            if not is_valid_text(name):
                return Failed(path=Path(path), reason="file name is not valid text")
            stat = entry.stat(follow_symlinks=False)
        except FileNotFoundError:
            # It vanished since it was listed: as good as never there.
            return None
        except OSError as error:
            return _unreadable(path, error)
        return _measured(path, stat, written.format, self._max_bytes)

    def _enter(self, path: str, rules: IgnoreRules) -> Discovery | None:
        """Put a directory on the way, or say why not; nothing about one that vanished."""
        if path != self._root and not is_valid_text(path):
            return Failed(path=Path(path), reason="folder name is not valid text", directory=True)
        try:
            stat = Path(path).stat()
            with os.scandir(path) as listing:
                entries = sorted(listing, key=_by_name)
        except FileNotFoundError:
            return None
        except OSError as error:
            return _unreadable(path, error, directory=True)
        identity = (stat.st_dev, stat.st_ino)
        # Mounts and junctions can make circles too. Some file systems number nothing.
        if stat.st_ino and any(identity == opened.identity for opened in self._way):
            return Skipped(path=Path(path), reason="duplicate")
        marks = {entry.name for entry in entries if entry.name in _OF_INTEREST}
        if marks:
            reason = _marked(marks, is_root=path == self._root)
            if reason:
                return Skipped(path=Path(path), reason=reason)
            rules = rules.with_files(Path(path), marks)
        self._way.append(_Open(rules, iter(entries), identity))
        return None

    def _link(self, link: str, rules: IgnoreRules) -> Discovery | None:
        """What to say about a link that neither its name nor an ignore file excludes."""
        path = Path(link)
        try:
            real = os.path.realpath(link, strict=True)
            mode = Path(real).stat().st_mode
        except OSError as error:
            if not os.path.lexists(link):
                return None
            if file_format(path.name) is None:
                return Skipped(path=path, reason="unsupported type")
            broken = isinstance(error, FileNotFoundError) or error.errno == errno.ELOOP
            return Failed(path=path, reason="broken link") if broken else _unreadable(link, error)
        if S_ISDIR(mode):
            return Skipped(path=path, reason="link to a directory")
        if not Path(real).is_relative_to(self._root):
            return Skipped(path=path, reason="link leads outside")
        inside = Path(real).relative_to(self._root)
        reason = _why_not_within(Path(self._root), inside, rules) or "duplicate"
        if reason != "hidden" or real in self._linked:
            return Skipped(path=path, reason="duplicate" if reason == "hidden" else reason)
        self._linked.add(real)
        return _taken(real, self._max_bytes)


def _by_name(entry: os.DirEntry[str]) -> str:
    return entry.name


def _why_not(name: str, rules: IgnoreRules, *, directory: bool) -> str:
    """Why an entry is left out because of its name; "" if it is not."""
    if directory and name in _TOOL_DIRECTORIES:
        return "tool directory"
    verdict = rules.verdict(name, directory=directory)
    if verdict == "ignored":
        return verdict
    return "hidden" if name.startswith(".") and verdict != "wanted" else ""


def _marked(marks: AbstractSet[str], *, is_root: bool) -> str:
    """Why a directory is left out because of what it holds; "" if it is not."""
    if marks >= _INDEX_MARKS:
        return "ragweft index"
    # A project may have been made an environment itself.
    return "tool directory" if _VENV_MARK in marks and not is_root else ""


def _why_not_within(root: Path, inside: Path, rules: IgnoreRules) -> str:
    """Why the walk leaves out the file at *inside* below *root*: "hidden" if nothing else speaks against it."""
    path = root
    hidden = False
    for directory in inside.parts[:-1]:
        reason = _why_not(directory, rules, directory=True)
        if reason and reason != "hidden":
            return reason
        hidden = hidden or bool(reason)
        path /= directory
        marks = {mark for mark in _OF_INTEREST if (path / mark).exists()}
        if marked := _marked(marks, is_root=False):
            return marked
        rules = rules.below(directory).with_files(path, marks)
    reason = _why_not(inside.name, rules, directory=False)
    return "hidden" if hidden and not reason else reason


def _taken(path: str, max_bytes: int) -> Discovery | None:
    """What to say about a file that was named, or linked to, on purpose."""
    try:
        stat = Path(path).stat()
    except FileNotFoundError:
        return None
    except OSError as error:
        return _unreadable(path, error)
    if not S_ISREG(stat.st_mode):
        return Skipped(path=Path(path), reason="not a regular file")
    written = file_format(Path(path).name)
    if written is None:
        return Skipped(path=Path(path), reason="unsupported type")
    if not is_valid_text(path):
        return Failed(path=Path(path), reason="file name is not valid text")
    return _measured(path, stat, written.format, max_bytes)


def _measured(path: str, stat: os.stat_result, written: str, max_bytes: int) -> Discovery:
    if stat.st_size > max_bytes:
        return Failed(path=Path(path), reason=too_large(max_bytes))
    if missing_package(written) is not None:
        return Skipped(path=Path(path), reason=NOT_INSTALLED)
    return Found(path=Path(path), size=stat.st_size, mtime_ns=stat.st_mtime_ns, format=written)


def _unreadable(path: str, error: OSError, *, directory: bool = False) -> Failed:
    reason = f"cannot be read ({error.strerror or type(error).__name__})"
    return Failed(path=Path(path), reason=reason, transient=True, directory=directory)
