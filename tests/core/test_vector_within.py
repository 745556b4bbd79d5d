"""The vector of a question for the cache: had within a leg's time, or told that it was not."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from ragweft import Document, Index, Recipe
from ragweft.embedding.adapters import as_embedder
from ragweft.errors import ProviderError
from ragweft.recipe import Cache
from ragweft.retrieval.asking import vector_within
from ragweft.retrieval.legs import DenseLeg

if TYPE_CHECKING:
    from ragweft.types import Vector

QUERY = "when are keys rotated"


class Stuck:
    """Embeds texts at once, and a question when it is let."""

    def __init__(self) -> None:
        self.let = threading.Event()
        self.asked = 0

    def __call__(self, texts: list[str]) -> list[list[float]]:
        if texts == [QUERY]:
            self.asked += 1
            self.let.wait(20)
        return [[1.0, float(len(text)), 0.5, 0.25] for text in texts]


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(2) as made:
        yield made


class Leg(DenseLeg):
    """Only its vector is asked for."""

    def __init__(self, give: Vector | Exception, *, waits: bool) -> None:
        self.give = give
        self.waits = waits

    def vector(self, query: str) -> Vector:
        if isinstance(self.give, Exception):
            raise self.give
        return self.give


@pytest.mark.parametrize("waits", [False, True])
def test_the_vector_is_the_leg_s_own(threads: ThreadPoolExecutor, waits: bool) -> None:
    vector = np.array([1.0, 0.0], np.float32)
    assert vector_within(5.0, Leg(vector, waits=waits), QUERY, threads) is vector


def test_why_there_is_none_is_told(threads: ThreadPoolExecutor) -> None:
    with pytest.raises(ProviderError, match="could not be embedded: no numbers today"):
        vector_within(5.0, Leg(ValueError("no numbers today"), waits=True), QUERY, threads)
    refused = ProviderError("a key is wanted", retryable=False)
    with pytest.raises(ProviderError) as told:
        vector_within(5.0, Leg(refused, waits=True), QUERY, threads)
    assert told.value is refused


def test_a_search_through_the_cache_waits_for_no_embedder_longer_than_without(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ragweft.assembly.DEADLINE", 0.05)
    stuck = Stuck()
    recipe = Recipe(cache=Cache(results="semantic"))
    embedder = as_embedder(stuck, model="acme:stuck", dims=4)
    with Index.open(tmp_path / "kb", embedder=embedder, recipe=recipe) as index:
        index.add(Document(id="a", text="Keys are rotated every ninety days."))
        assert index.cache().lookup(QUERY) is None  # while the embedder is at it
        stuck.let.set()
        assert index.cache().stats().looks.failed == 1
        assert [hit.chunk.document_id for hit in index.search(QUERY)] == ["a"]
