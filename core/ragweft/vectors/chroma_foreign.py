"""Reading a Chroma collection somebody else has made. Nothing of it is changed."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import numpy as np

from ragweft.errors import LoadError
from ragweft.vectors.chroma_client import Backend, cloud_backend, foreign_backend, http_backend

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ragweft.types import Vectors

__all__ = ["ForeignCollection", "Record", "foreign_collection"]

_PAGE = 300
"""Records in one read: what every kind of Chroma allows."""
_DATABASE = "chroma.sqlite3"


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One entry of a collection."""

    id: str
    text: str
    """"" for an entry of a vector alone."""
    metadata: Mapping[str, Any]


class ForeignCollection:
    """The records of a collection, page by page."""

    def __init__(self, backend: Backend, name: str) -> None:
        """Find it.

        Raises:
            LoadError: there is no collection of that name.
            ProviderError: the server cannot be reached, or refuses.
        """
        found = backend.find(name)
        if found is None:
            with backend.calling("list the collections"):
                known = sorted(each.name for each in backend.client.list_collections())
            there = f"there are {', '.join(map(repr, known))}" if known else "there is none at all"
            raise LoadError(f"{backend.place}: no collection {name!r}; {there}")
        self._backend = backend
        self._collection = found

    @property
    def place(self) -> str:
        """For messages."""
        return self._backend.place

    def __len__(self) -> int:
        with self._backend.calling("count the records"):
            return int(self._collection.count())

    def pages(self) -> Iterator[tuple[Sequence[Record], Vectors | None]]:
        """Records with their vectors as they are stored: float32, shape (n, dims)."""
        offset = 0
        while True:
            with self._backend.calling("read records"):
                answer = self._collection.get(
                    limit=_PAGE, offset=offset, include=["embeddings", "documents", "metadatas"]
                )
            ids = answer["ids"]
            texts = answer["documents"] or [""] * len(ids)
            metadatas = answer["metadatas"] or [{}] * len(ids)
            records = [
                Record(id=name, text=text or "", metadata=dict(metadata or {}))
                for name, text, metadata in zip(ids, texts, metadatas, strict=True)
            ]
            vectors = answer["embeddings"]
            matrix = None if vectors is None else np.asarray(vectors, dtype=np.float32)
            if records:
                yield records, matrix if matrix is not None and matrix.ndim == 2 else None
            offset += len(ids)
            if len(ids) < _PAGE:
                return


@contextmanager
def foreign_collection(
    place: str | Path, name: str, *, headers: Mapping[str, str], tenant: str, database: str
) -> Iterator[ForeignCollection]:
    """The collection *name* of the Chroma folder or server at *place*; "cloud" is Chroma Cloud.

    A folder is copied first: opening it would lock it, and bring it to the format of this version of Chroma.

    Raises:
        LoadError: there is no Chroma, or no such collection, at *place*.
        ProviderError: the server cannot be reached, or refuses.
    """
    text = str(place)
    if text == "cloud":
        with closing(cloud_backend(tenant=tenant or None, database=database or None, api_key=None)) as backend:
            yield ForeignCollection(backend, name)
        return
    if "://" in text:
        url = urlsplit(text)
        if url.scheme not in ("http", "https") or not url.hostname:
            raise LoadError(f"{text}: is no address of a Chroma server; write it as http://host:8000")
        ssl = url.scheme == "https"
        server = http_backend(
            url.hostname,
            port=url.port or (443 if ssl else 8000),
            ssl=ssl,
            headers=headers,
            tenant=tenant or "default_tenant",
            database=database or "default_database",
            ef_search=100,
        )
        with closing(server) as backend:
            yield ForeignCollection(backend, name)
        return
    folder = Path(text).expanduser()
    if not (folder / _DATABASE).is_file():
        raise LoadError(f"{folder}: holds no Chroma database ({_DATABASE}); name the folder Chroma was given")
    with tempfile.TemporaryDirectory(prefix="ragweft-chroma-", ignore_cleanup_errors=True) as scratch:
        copy = Path(scratch) / "chroma"
        try:
            shutil.copytree(folder, copy)
        except OSError as error:
            raise LoadError(f"{folder}: cannot be copied to be read ({error}); free some space") from None
        opened = foreign_backend(copy, called=str(folder), tenant=tenant, database=database)
        with closing(opened) as backend:
            yield ForeignCollection(backend, name)
