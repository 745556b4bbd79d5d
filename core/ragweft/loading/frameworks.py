"""Documents of LangChain loaders and LlamaIndex readers, known by their methods and attributes alone.

Loaders cut one file into many documents (a page, a row, an element each) and often name none of them. Here
every one gets an id of its own that is the same next time, so that adding again replaces and never merges.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from enum import Enum
from pathlib import Path, PurePath
from typing import Any

from ragweft.errors import LoadError, RagweftError
from ragweft.loading.converters import CONVERTERS
from ragweft.loading.formats import file_format, file_suffix
from ragweft.loading.markdown import cleaned
from ragweft.loading.titles import find_title, tidy_title
from ragweft.places import Place
from ragweft.types import Document, Json
from ragweft.uris import source_uri

__all__ = ["documents_from"]

_SOURCES = ("source", "file_path", "url", "source_url", "URL", "path", "filename", "file_name")
"""Where loaders say what they read, the surest first."""
_PAGES = ("page", "page_number", "page_label", "slide", "slide_number")
_LOCATORS = (
    "sheet",
    "sheet_name",
    "page_name",
    "row",
    "row_idx",
    "seq_num",
    "start_index",
    "part",
    "chunk",
    "element_id",
)
"""Where loaders say which part of it they made a document of."""
_PASSING = frozenset(("last_accessed", "last_accessed_date", "last_accessed_datetime"))
"""Changes when a file is only looked at."""
_RANDOM_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", re.IGNORECASE)
_LONGEST = 10_000
"""Characters of a value of metadata: longer ones repeat the text in another form; nobody filters by them."""
_DEEPEST = 8
_SCALARS = (str, int, float, bool)


def documents_from(given: object) -> Iterator[Document]:
    """What a LangChain loader, a LlamaIndex reader, or an iterable of their documents holds, to be added.

    The id is the one the document was given; else what it was read from and which part
    (`file:///a.pdf#page=3`); else a digest of what it says. Random ids, which LlamaIndex gives where nobody
    gave one, are not kept. Where several documents would have one id, all but the first get a number:
    `…~2`.

    Metadata keeps what JSON knows and filters can use; dates become ISO 8601. A page number becomes a
    place, so that a citation names it. Line numbers are never cited: they would be those of what the loader
    made of the file.

    Args:
        given: an object with `lazy_load()`, `load()` or `load_data()`, or documents with `metadata` and
            `page_content` or `text`. Documents of ragweft pass as they are.

    Raises:
        LoadError: it is none of these, or its loader failed. What came before was yielded.
    """
    used: dict[str, int] = {}
    for item in _items(given):
        if isinstance(item, Document):
            yield item
            continue
        document = _document(item)
        name = document.id
        while name in used:
            used[document.id] += 1
            name = f"{document.id}~{used[document.id]}"
        used[name] = 1
        yield document if name == document.id else _renamed(document, name)


def _renamed(document: Document, name: str) -> Document:
    return Document(
        id=name,
        text=document.text,
        metadata=document.metadata,
        source=document.source,
        title=document.title,
        format=document.format,
        places=document.places,
    )


def _items(given: object) -> Iterator[object]:
    """The documents of a loader, or those that were given."""
    if isinstance(given, Document) or _text(given) is not None:
        yield given
        return
    name = type(given).__name__
    found: object = given
    try:
        for method in ("lazy_load", "load", "load_data"):
            if callable(call := getattr(given, method, None)):
                found = call()
                break
        if isinstance(found, (str, bytes, Mapping)) or not isinstance(found, Iterable):
            raise LoadError(
                f"{name} is no loader: give an object with lazy_load(), load() or load_data(), or its documents"
            )
        yield from found
    except RagweftError:
        raise
    except TypeError as error:
        raise LoadError(
            f"{name} failed ({error}); if it wants arguments, call it yourself and give what it returns"
        ) from error
    except Exception as error:  # a loader may fail of anything
        said = " ".join(str(error).split())[:300]
        raise LoadError(f"{name} failed ({type(error).__name__}: {said}); mend that and add again") from error


def _text(item: object) -> str | None:
    """The text of another framework's document, or None if it is no document."""
    if not isinstance(getattr(item, "metadata", None), Mapping):
        return None
    for attribute in ("page_content", "text"):
        text = getattr(item, attribute, None)
        if isinstance(text, str):
            return text
    return None


def _document(item: object) -> Document:
    text = _text(item)
    if text is None:
        raise LoadError(
            f"a {type(item).__name__} is no document: it has no page_content or text with metadata; wrap it in "
            "ragweft.Document"
        )
    raw: Mapping[object, object] = getattr(item, "metadata", {})
    metadata = {str(key): _plain(value, 0) for key, value in raw.items()}
    metadata = {key: value for key, value in metadata.items() if value is not None and key not in _PASSING}
    text = cleaned(text)
    source = _source(metadata)
    written = file_format(PurePath(source or "").name)
    how = (
        "text"
        if written is None or written.format in CONVERTERS or written.format == "html"
        else written.format
    )
    title = metadata.get("title")
    return Document(
        id=_given_id(item) or _made_id(source, text, metadata),
        text=text,
        metadata=metadata,
        source=source,
        title=(tidy_title(title) if isinstance(title, str) else None) or find_title(text, how),
        format=how,
        places=_places(metadata, source),
    )


def _given_id(item: object) -> str:
    """The id somebody gave it; "" if it has none, or one that will be another next time."""
    given = getattr(item, "id", None) if hasattr(item, "page_content") else getattr(item, "id_", None)
    if not isinstance(given, str) or not given.strip():
        return ""
    # LangChain leaves an id out, LlamaIndex invents one.
    invented = not hasattr(item, "page_content") and _RANDOM_ID.fullmatch(given) is not None
    return "" if invented else cleaned(given)


def _made_id(source: str | None, text: str, metadata: Mapping[str, Json]) -> str:
    if source is None:
        said = json.dumps([text, metadata], sort_keys=True, ensure_ascii=True)
        return f"text:{hashlib.blake2b(said.encode('ascii'), digest_size=16).hexdigest()}"
    page = next((key for key in _PAGES if key in metadata), None)
    keys = [*([page] if page else []), *(key for key in _LOCATORS if key in metadata)]
    parts = [f"{key}={metadata[key]}" for key in keys if isinstance(metadata[key], _SCALARS)]
    return f"{source}#{'&'.join(parts)}" if parts else source


def _source(metadata: Mapping[str, Json]) -> str | None:
    """A URI of what the document was read from, or what the loader calls it; None if it does not say."""
    said = next(
        (value for key in _SOURCES if isinstance(value := metadata.get(key), str) and value.strip()), None
    )
    if said is None or "://" in said:
        return said
    try:
        path = Path(said)
        return source_uri(path) if path.exists() else said
    except (OSError, ValueError):
        return said


def _places(metadata: Mapping[str, Json], source: str | None) -> tuple[Place, ...]:
    """The page, slide or row a document is, if its loader says so."""
    suffix = file_suffix(PurePath(source or "").name)
    label = "slide" if suffix == ".pptx" or "slide" in metadata or "slide_number" in metadata else "p."
    # Loaders of LangChain count `page` and `row` from 0; a label is what people see.
    counted: tuple[tuple[str, str, int], ...] = (
        ("page_label", label, 0),
        ("page_number", label, 0),
        ("slide_number", label, 0),
        ("slide", label, 0),
        ("page", label, 1),
        *((("row", "row", 2),) if suffix in (".csv", ".tsv") else ()),
    )
    for key, called, more in counted:
        value = metadata.get(key)
        if isinstance(value, str) and value.strip().isdecimal():
            value = int(value)
        if isinstance(value, int) and not isinstance(value, bool) and value + more >= 0:
            return (Place(start=0, label=called, number=value + more),)
    return ()


def _plain(value: object, depth: int) -> Json:
    """A value of metadata as JSON; None for what cannot be kept."""
    if isinstance(value, str):
        return cleaned(value) if len(value) <= _LONGEST else None
    if value is None or isinstance(value, (bool, int)):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if depth > _DEEPEST:
        return None
    if isinstance(value, Mapping):
        return {str(key): _plain(inner, depth + 1) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(inner, depth + 1) for inner in value]
    if isinstance(value, (set, frozenset)):
        return sorted((_plain(inner, depth + 1) for inner in value), key=repr)
    return _converted(value, depth)


def _converted(value: object, depth: int) -> Json:
    if isinstance(value, (dt.datetime, dt.date, dt.time)):
        return value.isoformat()
    if isinstance(value, PurePath):
        return str(value)
    if isinstance(value, Enum):
        return _plain(value.value, depth + 1)
    item: Callable[[], Any] | None = getattr(value, "item", None)
    if callable(item) and getattr(value, "ndim", None) == 0:
        return _plain(item(), depth + 1)
    return None
