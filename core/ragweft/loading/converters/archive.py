"""Compressed folders of XML (Office, EPUB): opened only once their table of contents is believable."""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import IO, TYPE_CHECKING, Any
from xml.parsers import expat

from ragweft.errors import LoadError

if TYPE_CHECKING:
    from ragweft.loading.converters.writing import Limits

__all__ = ["Archive", "Element", "open_archive", "read_xml", "refuse_locked"]

_MOST_ENTRIES = 65_536
_RATIO = 300
"""Unpacked size against packed. Spreadsheets of equal rows come to 150; bombs begin at 1,000."""
_ALWAYS_FINE = 50 * 2**20
"""Bytes unpacked below which the ratio is of no interest."""
_COMPOUND_FILE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_ENCRYPTED_PACKAGE = "EncryptedPackage".encode("utf-16-le")
_UNPACKING = (zipfile.BadZipFile, zlib.error, EOFError, OSError, NotImplementedError, RuntimeError)
"""What goes wrong with an entry that is damaged or lies about itself."""
_PIECE = 65_536
_XML_SUFFIXES = (".xml", ".rels")


@dataclass(slots=True)
class Element:
    """An element of an XML file: what is needed of it here, and no more."""

    name: str
    """Without its namespace."""
    attributes: dict[str, str]
    """By names without namespaces."""
    children: list[Element] = field(default_factory=list["Element"])
    text: str = ""

    def all(self, name: str) -> list[Element]:
        """The elements of this name below this one, in document order."""
        found: list[Element] = []
        waiting: list[Element] = [self]
        while waiting:
            element = waiting.pop()
            if element.name == name and element is not self:
                found.append(element)
            waiting.extend(reversed(element.children))
        return found

    def first(self, name: str) -> Element | None:
        """The first of `all`."""
        found = self.all(name)
        return found[0] if found else None


class Archive:
    """A checked archive."""

    def __init__(self, file: zipfile.ZipFile) -> None:
        self._file = file
        self.names = frozenset(file.namelist())

    def read(self, name: str) -> bytes:
        """An entry's bytes.

        Raises:
            LoadError: there is no such entry, or it is damaged.
        """
        try:
            return self._file.read(name)
        except KeyError as error:
            raise LoadError(f"is damaged: it has no {name}; save it anew") from error
        except _UNPACKING as error:
            raise LoadError(f"is damaged: {name} cannot be unpacked; save it anew") from error

    def xml(self, name: str) -> Element:
        """An entry's elements.

        Raises:
            LoadError: it is missing, damaged, no XML, or declares entities.
        """
        return read_xml(self.read(name), name)

    def check_root(self, name: str, root: str) -> None:
        """See that an entry is XML to its end, below an element *root*; readers may find nothing in others.

        Raises:
            LoadError: it is not, or cannot be unpacked.
        """
        parser = expat.ParserCreate(namespace_separator=" ")
        found: list[str] = []

        def start(tag: str, _attributes: dict[str, str]) -> None:
            found.append(_local(tag))
            parser.StartElementHandler = None

        parser.StartElementHandler = start
        try:
            with self._file.open(name) as part:
                parser.ParseFile(part)
        except (*_UNPACKING, expat.ExpatError, LookupError, ValueError) as error:
            raise LoadError(f"is damaged: {name} is no XML ({error}); save it anew") from error
        if found != [root]:
            raise LoadError(f"is damaged: {name} holds no {root}; save it anew")

    def forbid_declarations(self, names: Iterable[str] | None = None) -> None:
        """Office files declare no document types: what does is made to hurt its reader.

        Args:
            names: the entries to look at; None: all that are XML by their names.

        Raises:
            LoadError: an entry declares one, or cannot be read as far as its root: other readers know encodings
                in which this one would not see a declaration.
        """
        for name in sorted(self.names if names is None else self.names.intersection(names)):
            if name.lower().endswith(_XML_SUFFIXES):
                try:
                    with self._file.open(name) as part:
                        _check_prolog(part, name)
                except _UNPACKING:
                    # Nobody can unpack it, and whoever needs it will say so.
                    continue
                except (expat.ExpatError, LookupError, ValueError) as error:
                    raise LoadError(f"is damaged: {name} is no XML ({error}); save it anew") from error


def open_archive(data: bytes, limits: Limits) -> Archive:
    """Look at the table of contents of a compressed folder.

    Raises:
        LoadError: it is none, is protected by a password, or would unpack to more than it may.
    """
    if data.startswith(_COMPOUND_FILE):
        refuse_locked(data)
        raise LoadError("is in an older format than its name says; save it in the current one")
    try:
        file = zipfile.ZipFile(io.BytesIO(data))
        entries = file.infolist()
    except (zipfile.BadZipFile, ValueError, OSError, NotImplementedError, UnicodeDecodeError) as error:
        raise LoadError("is damaged, or not what its name says; save it anew") from error
    if len(entries) > _MOST_ENTRIES:
        raise LoadError(f"holds {len(entries):,} parts, more than {_MOST_ENTRIES:,}; it is no document")
    if any(entry.flag_bits & 1 for entry in entries):
        raise LoadError("is protected by a password; save it without one")
    # An entry is never unpacked beyond the size it states, so these sizes can be relied on.
    unpacked = sum(entry.file_size for entry in entries)
    if unpacked > limits.max_unpacked:
        raise LoadError(f"would unpack to {unpacked:,} bytes, more than {limits.max_unpacked:,}; split it")
    if unpacked > _ALWAYS_FINE and unpacked > _RATIO * len(data):
        raise LoadError(f"would unpack to {unpacked / len(data):,.0f} times its size; it is no document")
    return Archive(file)


def refuse_locked(data: bytes) -> None:
    """Office files with a password are files of the older format that hold the encrypted one.

    Raises:
        LoadError: this is one.
    """
    if data.startswith(_COMPOUND_FILE) and _ENCRYPTED_PACKAGE in data:
        raise LoadError("is protected by a password; save it without one")


class _Stop(Exception):  # not an error
    """The root element has begun."""


def _check_prolog(part: IO[bytes], name: str) -> None:
    """Read as far as the root element."""
    parser = expat.ParserCreate()

    def refuse(*_: Any) -> None:
        raise LoadError(f"declares a document type in {name}, which documents never do; save it anew")

    def stop(*_: Any) -> None:
        raise _Stop

    parser.StartDoctypeDeclHandler = refuse
    parser.StartElementHandler = stop
    with suppress(_Stop):
        while piece := part.read(_PIECE):
            parser.Parse(piece, False)


def read_xml(data: bytes, name: str) -> Element:
    """All elements of an XML file, below one without a name.

    Raises:
        LoadError: it is no XML, or declares entities; *name* is what the message calls it.
    """
    parser = expat.ParserCreate(namespace_separator=" ")
    parser.buffer_text = True
    way: list[Element] = [Element("", {})]

    def start(tag: str, attributes: dict[str, str]) -> None:
        element = Element(_local(tag), {_local(key): value for key, value in attributes.items()})
        way[-1].children.append(element)
        way.append(element)

    def end(_tag: str) -> None:
        way.pop()

    def text(said: str) -> None:
        way[-1].text += said

    def refuse(*_: Any) -> None:
        raise LoadError(f"declares entities in {name}, which documents never do; save it anew")

    parser.StartElementHandler = start
    parser.EndElementHandler = end
    parser.CharacterDataHandler = text
    parser.EntityDeclHandler = refuse
    try:
        parser.Parse(data, True)
    except expat.ExpatError as error:
        raise LoadError(f"is damaged: {name} is no XML ({error}); save it anew") from error
    return way[0]


def _local(name: str) -> str:
    return name.rpartition(" ")[2]
