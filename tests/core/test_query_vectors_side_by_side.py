"""Equal questions asked at the same time are one call, and nobody waits for a call that never ends."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from paid_questions import QUESTION, Priced, filled
from ragweft.errors import BudgetExceeded, ProviderError
from ragweft.ledger.vector_store import VectorStore
from ragweft.recipe import Recipe
from ragweft.retrieval.query_vectors import QueryVectors, remembering

if TYPE_CHECKING:
    from ragweft.ledger.query_store import QueryStore
    from ragweft.types import Vector


class Slow(Priced):
    """Answers, or fails, when it is told to."""

    def __init__(self, *errors: BaseException) -> None:
        super().__init__()
        self.errors = list(errors)
        self.begun = threading.Semaphore(0)
        self.go = threading.Event()

    def embed_query(self, text: str) -> Vector:
        self.asked.append(text)
        self.begun.release()
        assert self.go.wait(10)
        if self.errors:
            raise self.errors.pop(0)
        return super(Priced, self).embed_query(text)

    async def aembed_query(self, text: str) -> Vector:
        self.asked.append(text)
        await asyncio.sleep(0.05)
        if self.errors:
            raise self.errors.pop(0)
        return super(Priced, self).embed_query(text)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[QueryStore]:
    slow = Slow()
    filled(tmp_path / "kb", slow)
    opened = VectorStore(tmp_path / "kb" / "vectors.db", space=slow.space)
    yield opened.queries
    opened.close()


def remembers(embedder: Slow, store: QueryStore) -> QueryVectors:
    made = remembering(embedder, store, Recipe(), threads=None)
    assert made is not None
    return made


def test_threads_wait_for_the_first(store: QueryStore) -> None:
    slow = Slow()
    vectors = remembers(slow, store)
    with ThreadPoolExecutor(6) as threads:
        waiting = [threads.submit(vectors.get, QUESTION) for _ in range(6)]
        assert slow.begun.acquire(timeout=10)
        slow.go.set()
        found = [each.result(10) for each in waiting]
    assert slow.asked == [QUESTION]
    assert sorted(remembered for _, remembered in found) == [False, *[True] * 5]
    assert all(np.array_equal(vector, found[0][0]) for vector, _ in found)


def test_coroutines_wait_for_the_first(store: QueryStore) -> None:
    slow = Slow()
    vectors = remembers(slow, store)

    async def ask() -> list[bool]:
        found = await asyncio.gather(*(vectors.aget(QUESTION, slow.aembed_query) for _ in range(6)))
        return [remembered for _, remembered in found]

    assert sorted(asyncio.run(ask())) == [False, *[True] * 5]
    assert slow.asked == [QUESTION]


def test_what_failed_fails_for_all_who_waited(store: QueryStore) -> None:
    slow = Slow(*(ProviderError("down; try again", retryable=True) for _ in range(6)))
    vectors = remembers(slow, store)

    async def ask() -> list[object]:
        asked = (vectors.aget(QUESTION, slow.aembed_query) for _ in range(6))
        return list(await asyncio.gather(*asked, return_exceptions=True))

    assert {str(error) for error in asyncio.run(ask())} == {"down; try again"}
    assert slow.asked == [QUESTION]
    slow.errors.clear()
    slow.go.set()
    assert vectors.get(QUESTION)[1] is False, "who comes later tries"


def test_anothers_cap_is_nobody_elses(store: QueryStore) -> None:
    slow = Slow(BudgetExceeded("the cap; raise it"))
    vectors = remembers(slow, store)

    async def ask() -> list[object]:
        asked = (vectors.aget(QUESTION, slow.aembed_query) for _ in range(3))
        return list(await asyncio.gather(*asked, return_exceptions=True))

    # Who looks at the disk soonest is the first to ask.
    (failed,) = (each for each in asyncio.run(ask()) if isinstance(each, BaseException))
    assert isinstance(failed, BudgetExceeded)
    assert slow.asked == [QUESTION] * 2


def test_who_is_cancelled_holds_nobody_up(store: QueryStore) -> None:
    slow = Slow()
    vectors = remembers(slow, store)

    async def ask() -> bool:
        first = asyncio.create_task(vectors.aget(QUESTION, slow.aembed_query))
        while not slow.asked:
            await asyncio.sleep(0)
        second = asyncio.create_task(vectors.aget(QUESTION, slow.aembed_query))
        await asyncio.sleep(0.01)
        first.cancel()
        return (await second)[1]

    assert asyncio.run(ask()) is False
    assert slow.asked == [QUESTION] * 2


def test_who_blocks_a_loop_does_not_wait_for_its_coroutines(store: QueryStore) -> None:
    slow = Slow()
    slow.go.set()
    vectors = remembers(slow, store)

    async def ask() -> None:
        first = asyncio.create_task(vectors.aget(QUESTION, slow.aembed_query))
        while not slow.asked:
            await asyncio.sleep(0)
        vectors.get(QUESTION)
        await first

    asyncio.run(asyncio.wait_for(ask(), 10))
    assert slow.asked == [QUESTION] * 2
