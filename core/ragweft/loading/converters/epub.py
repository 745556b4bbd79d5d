"""Books in EPUB: the files of the spine in reading order."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from ragweft.errors import LoadError
from ragweft.loading.converters.archive import Archive, Element, open_archive
from ragweft.loading.converters.writing import Converted, Limits, Writer
from ragweft.loading.decoding import NotText, decode
from ragweft.loading.markdown import on_one_line
from ragweft.loading.markup import read_markup

if TYPE_CHECKING:
    from ragweft.types import Json

__all__ = ["read"]

_CONTAINER = "META-INF/container.xml"
_ENCRYPTION = "META-INF/encryption.xml"
_PAGES = frozenset(("application/xhtml+xml", "text/html", "text/x-oeb1-document"))


def read(book: bytes, limits: Limits) -> Converted:
    """The text of a book as Markdown; places are `section 1`, `section 2` … in reading order.

    Raises:
        LoadError: it is encrypted, damaged, no book, or has too many sections.
    """
    archive = open_archive(book, limits)
    root = archive.xml(_CONTAINER).first("rootfile")
    path = unquote(root.attributes.get("full-path", "")) if root is not None else ""
    if not path:
        raise LoadError("is damaged: it does not say where its text is; save it anew")
    package = archive.xml(path)
    spine = list(_spine(package, posixpath.dirname(path)))
    if len(spine) > limits.max_pages:
        raise LoadError(
            f"has {len(spine):,} sections, more than {limits.max_pages:,}; raise max_pages under [loading] in "
            "ragweft.toml"
        )
    if not _encrypted(archive).isdisjoint(spine):
        raise LoadError("is encrypted for its buyer (DRM); no other program can read it")
    writer = Writer()
    missing: list[Json] = []
    for number, name in enumerate(spine, 1):
        data = archive.read(name) if name in archive.names else b""
        if not data.strip():
            missing.append(number)
            continue
        try:
            source = decode(data)
        except NotText as error:
            raise LoadError(f"is damaged: {name} {error}; save it anew") from error
        label = "section"
        for block in read_markup(source).blocks:
            writer.add(block, label=label, number=number)
            label = ""
    if spine and len(missing) == len(spine):
        raise LoadError(f"is damaged: none of its {len(spine):,} sections is there; save it anew")
    metadata = _metadata(package) | ({"missing_sections": missing} if missing else {})
    return writer.converted(title=_said(package, "title"), metadata=metadata)


def _spine(package: Element, folder: str) -> Iterator[str]:
    """Names of the files with the text, in reading order."""
    files = {item.attributes.get("id"): item.attributes for item in package.all("item")}
    for reference in package.all("itemref"):
        item = files.get(reference.attributes.get("idref"))
        if (
            item is not None
            and item.get("media-type", "") in _PAGES
            and "nav" not in item.get("properties", "").split()
        ):
            yield posixpath.normpath(posixpath.join(folder, unquote(urlsplit(item.get("href", "")).path)))


def _encrypted(archive: Archive) -> frozenset[str]:
    if _ENCRYPTION not in archive.names:
        return frozenset()
    references = archive.xml(_ENCRYPTION).all("CipherReference")
    return frozenset(unquote(reference.attributes.get("URI", "")) for reference in references)


def _metadata(package: Element) -> dict[str, Json]:
    authors = [name for each in package.all("creator") if (name := on_one_line(each.text))]
    found: dict[str, Json] = {"author": ", ".join(authors)} if authors else {}
    language = _said(package, "language")
    return found | ({"language": language} if language else {})


def _said(package: Element, name: str) -> str | None:
    element = package.first(name)
    return on_one_line(element.text) or None if element is not None else None
