"""The bytes of one file or page to one document, whoever fetched them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from ragweft.errors import LoadError
from ragweft.loading.converters import CONVERTERS, ask
from ragweft.loading.decoding import NotText, decode
from ragweft.loading.html import extract_html
from ragweft.loading.markup import read_markup
from ragweft.loading.titles import find_title
from ragweft.types import Document

if TYPE_CHECKING:
    from ragweft.loading.apart import Apart
    from ragweft.loading.converters import Limits
    from ragweft.loading.formats import FileFormat
    from ragweft.types import Json

__all__ = ["read_converted", "read_page", "read_text"]


def read_text(data: bytes, written: FileFormat, *, uri: str, metadata: Mapping[str, Json]) -> Document:
    """The document of a text file, or of an HTML file.

    Raises:
        LoadError: it is no text; the message is a reason, without the name of the file.
    """
    try:
        text = decode(data)
    except NotText as error:
        raise LoadError(f"{error}; save it as UTF-8, or exclude it in .ragweftignore") from error
    if written.language is not None:
        metadata = {**metadata, "code_language": written.language}
    if written.format == "html":
        page = extract_html(text)
        if page.crowded:
            return read_page(text, uri=uri, metadata=metadata)
        return Document(id=uri, source=uri, text=page.text, title=page.title, format="page", metadata=metadata)
    title = find_title(text, written.format)
    return Document(id=uri, source=uri, text=text, title=title, format=written.format, metadata=metadata)


def read_page(source: str, *, uri: str, metadata: Mapping[str, Json]) -> Document:
    """The document of an HTML page whose lines mean nothing."""
    page = read_markup(source, page=True)
    return Document(
        id=uri,
        source=uri,
        text=page.text,
        title=page.title,
        format="markdown",
        metadata=metadata,
        places=(),
    )


def read_converted(
    data: bytes, kind: str, *, uri: str, metadata: Mapping[str, Json], apart: Apart, limits: Limits
) -> Document:
    """The document of a file that is no text; *kind* is a key of `converters.CONVERTERS`.

    Raises:
        LoadError: it cannot be converted; the message is a reason, without the name of the file.
        MissingExtra: that needs a package that is not installed.
    """
    if kind not in CONVERTERS:
        raise LoadError("files of this type are not read; convert it to text, or add a Document")
    if not data:
        return Document(id=uri, source=uri, text="", format="markdown", metadata=metadata, places=())
    found = ask(apart, kind, data, limits)
    return Document(
        id=uri,
        source=uri,
        text=found.text,
        title=found.title,
        format="markdown",
        metadata={**found.metadata, **metadata},
        places=found.places,
    )
