"""Questions asked of embedders that cost money, for tests of how they are remembered."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

from conftest import FLAT
from ragweft import Document, Index, Recipe
from ragweft.testing import HashEmbedder

if TYPE_CHECKING:
    from ragweft.types import Results, Vector

QUESTION = "who makes honey in the hive"
PAGES = [
    Document(id="bees", text="Bees make honey in a hive and dance to tell where flowers are."),
    Document(id="clocks", text="A clock has hands and a pendulum that swings."),
]
REMEMBERED = "the query's vector was remembered"


class Service:
    """An embedding service behind the methods of LangChain's `Embeddings`; keeps the queries it is sent."""

    model = "embed-2"

    def __init__(self, *, dims: int = 32) -> None:
        self._hash = HashEmbedder(dims=dims)
        self.queries: list[str] = []

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        return [[float(value) for value in row] for row in self._hash.embed_documents(texts)]

    def embed_query(self, text: str) -> list[float]:
        self.queries.append(text)
        return [float(value) for value in self._hash.embed_query(text)]


class Priced(HashEmbedder):
    """An embedder of one's own that costs money."""

    usd_per_million = 1.0
    query_fingerprint: str | None = ""

    def __init__(self, *, dims: int = 32, model: str = "hash:paid") -> None:
        super().__init__(dims=dims, model=model)
        self.asked: list[str] = []

    def tokens(self, texts: Sequence[str]) -> int:
        return sum(len(text) for text in texts)

    def embed_query(self, text: str) -> Vector:
        self.asked.append(text)
        return super().embed_query(text)


def filled(folder: Path, embedder: object | None = None, recipe: Recipe = FLAT) -> Path:
    with Index.open(folder, recipe=recipe, embedder=embedder) as index:
        index.add(PAGES)
    return folder


def note(results: Results) -> str:
    (found,) = [stage.note for stage in results.trace.stages if stage.name == "dense"]
    return found


def rows(folder: Path) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(folder / "vectors.db")) as file:
        return file.execute("SELECT space, digest, vector, used FROM query_vectors").fetchall()
