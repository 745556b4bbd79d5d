"""A cache that lies in memory: for an index that is read-only, or where nothing can be written."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from cache_made import QUERY, corpus
from ragweft import Index
from ragweft.caching.schema import CACHE, facts
from ragweft.caching.store import CacheStore, Limits, open_store
from ragweft.caching.table import Table
from ragweft.caching.values import Cost, Entry, Evidence, scope_of
from ragweft.errors import IndexLocked, RagweftError
from ragweft.ledger import database
from ragweft.ledger.database import MEMORY, Database
from ragweft.recipe import Cache, Dense, Recipe

if TYPE_CHECKING:
    from ragweft.types import Results

NEAR = "how often is the signing key rotated"
SCOPE, OTHER = scope_of({"tenant": "a"}), scope_of({"tenant": "b"})


def entry(query: str, *, payload: bytes = b'"answer"') -> Entry:
    vector = np.zeros(8, np.float32)
    vector[len(query) % 8] = 1.0
    return Entry(
        query=query,
        vector=vector,
        tokens=np.array([len(query)], np.int32),
        payload=payload,
        evidence=Evidence(rows=(len(query),), generation=1),
        cost=Cost(ms=1.0),
        created=time.time(),
    )


@pytest.fixture
def store() -> Iterator[CacheStore]:
    with closing(CacheStore(MEMORY)) as made:
        yield made


def test_kept_found_and_forgotten(store: CacheStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    first, _ = store.put(SCOPE, entry("one"))
    second, _ = store.put(OTHER, entry("one", payload=b'"theirs"'))
    found = store.exact(SCOPE, "one")
    assert found is not None
    assert (found.number, found.entry.payload) == (first, b'"answer"')
    assert store.within({"tenant": "b"}) == [second]
    assert store.resting_on([3]) == [first, second]
    store.note({first: 2}, {"hit exact": (2, Cost(ms=2.0))})
    assert store.tally() == {"hit exact": (2, Cost(ms=2.0))}
    assert store.drop([first]) == 1
    assert store.exact(SCOPE, "one") is None
    assert store.leases is None
    assert list(tmp_path.iterdir()) == [], "nothing is on disk"


def test_two_stores_share_nothing(store: CacheStore) -> None:
    store.put(SCOPE, entry("one"))
    with closing(open_store(None, limits=Limits())) as other:
        assert other.exact(SCOPE, "one") is None


def test_many_threads(store: CacheStore) -> None:
    def work(number: int) -> None:
        table = Table(store, SCOPE)
        for n in range(15):
            query = "x" * (1 + 15 * number + n)
            made, _ = store.put(SCOPE, entry(query))
            found = store.exact(SCOPE, query)
            assert found is not None
            assert found.number == made
            assert table.near(entry(query).vector, n=200).numbers.count(made) == 1

    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(work, range(8))) == [None] * 8
    assert store.sizes()[0] == 120
    assert len(store.listed(SCOPE).numbers) == 120


def test_limits_hold(store: CacheStore) -> None:
    noise = np.random.default_rng(0)
    with closing(CacheStore(MEMORY, limits=Limits(entries=5, bytes=9_000, largest=4_000))) as small:
        for n in range(20):
            small.put(SCOPE, entry("x" * (n + 1), payload=noise.bytes(10)))
            assert small.sizes()[0] <= 5
        for n in range(20):
            small.put(SCOPE, entry("y" * (n + 1), payload=noise.bytes(3_000)))
            assert small.sizes()[1] <= 9_000
        with pytest.raises(RagweftError, match="4,000 are the most"):
            small.put(SCOPE, entry("z", payload=noise.bytes(4_000)))


def test_a_forked_child_begins_with_nothing_and_takes_nothing_away(store: CacheStore) -> None:
    number, _ = store.put(SCOPE, entry("parent"))
    child = os.fork()
    if child == 0:
        signal.alarm(20)
        missing = store.exact(SCOPE, "parent") is None
        store.put(SCOPE, entry("child"))
        found = store.exact(SCOPE, "child")
        store.close()
        os._exit(0 if missing and found is not None else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    found = store.exact(SCOPE, "parent")
    assert found is not None
    assert found.number == number
    assert store.exact(SCOPE, "child") is None


def test_a_fork_while_another_thread_writes() -> None:
    kept = Database(MEMORY, CACHE)
    held, leave = threading.Event(), threading.Event()

    def hold() -> None:
        with kept.write():
            held.set()
            leave.wait(30)

    holder = threading.Thread(target=hold)
    holder.start()
    assert held.wait(10)
    child = os.fork()
    if child == 0:
        signal.alarm(20)
        with kept.write() as connection:
            connection.execute(facts.insert().values(name="child", value="1"))
        os._exit(0)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    leave.set()
    holder.join()
    assert status == 0
    kept.close()


def test_a_lost_connection_loses_what_it_held_and_no_more() -> None:
    """SQLAlchemy drops a connection that Ctrl-C interrupts."""
    kept = Database(MEMORY, CACHE)

    def said() -> list[str]:
        with kept.read() as connection:
            return list(connection.execute(facts.select().with_only_columns(facts.c.name)).scalars())

    with kept.write() as connection:
        connection.execute(facts.insert().values(name="a", value="1"))
    assert said() == ["a"]
    with pytest.raises(KeyboardInterrupt), kept.write() as connection:
        connection.invalidate()
        raise KeyboardInterrupt
    assert said() == []
    with kept.write() as connection:
        connection.execute(facts.insert().values(name="b", value="1"))
    assert said() == ["b"]
    kept.close()


class Emptied:
    """A store that began anew: its numbers start from one again."""

    def __init__(self) -> None:
        self.now = CacheStore(MEMORY)

    def __getattr__(self, name: str) -> object:
        return getattr(self.now, name)


def test_a_table_sees_that_its_store_began_anew() -> None:
    emptied = Emptied()
    table = Table(emptied, SCOPE)  # type: ignore[arg-type]
    for query in ("a", "bb", "ccc"):
        emptied.now.put(SCOPE, entry(query))
    assert len(table.near(entry("a").vector, n=9).numbers) == 1
    emptied.now = CacheStore(MEMORY)
    emptied.now.put(SCOPE, entry("bb"))
    assert table.near(entry("a").vector, n=9).numbers == []
    found = table.near(entry("bb").vector, n=9)
    assert [spoken.text for spoken in found.questions] == ["bb"]


def test_who_waits_for_the_one_connection_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "_OPENING_SECONDS", 0.05)
    kept = Database(MEMORY, CACHE, patience=0.05)
    with kept.read(), pytest.raises(IndexLocked, match="in use for too long"), kept.read():
        pass
    with kept.read():
        pass
    kept.close()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    recipe = Recipe(dense=Dense(engine="flat"), cache=Cache(threshold=0.9))
    with Index.open(tmp_path / "kb", recipe=recipe) as opened:
        opened.add(corpus(15))
    return tmp_path / "kb"


def test_a_read_only_index_has_its_own(folder: Path) -> None:
    calls: list[str] = []
    with Index.open(folder, read_only=True) as index, Index.open(folder, read_only=True) as other:

        def answer(question: str) -> tuple[str, Results]:
            calls.append(question)
            time.sleep(0.1)
            return f"answer {len(calls)}", index.search(question)

        asked = index.cache().answers(answer)
        with ThreadPoolExecutor(6) as threads:
            assert list(threads.map(asked, [QUERY] * 6)) == ["answer 1"] * 6
        assert len(calls) == 1
        assert asked(NEAR) == "answer 1"
        assert other.cache().lookup(QUERY) is None
        stats = index.cache().stats()
        assert (stats.entries, stats.looks.exact + stats.looks.misses, stats.looks.semantic) == (1, 6, 1)
        assert index.cache().invalidate(ids=[hit.chunk.document_id for hit in index.search(QUERY)]) == 1
        assert asked(QUERY) == "answer 2"
    assert not list(folder.glob("cache.db*"))


def test_a_read_only_index_sees_what_others_edit(folder: Path) -> None:
    with Index.open(folder, read_only=True) as index, Index.open(folder) as writer:
        cache = index.cache()
        assert cache.store(QUERY, "ninety days", evidence=index.search(QUERY))
        assert cache.lookup(NEAR) is not None
        best = index.search(QUERY)[0].chunk.document_id
        changed = next(document for document in corpus() if document.id == best)
        writer.add([replace(changed, text=changed.text.replace("ninety", "thirty"))])
        assert cache.lookup(NEAR) is None


def test_a_read_only_index_after_a_fork(folder: Path) -> None:
    with Index.open(folder, read_only=True) as index:
        assert index.cache().store(QUERY, "ninety days", evidence=index.search(QUERY))
        child = os.fork()
        if child == 0:
            signal.alarm(20)
            cache = index.cache()
            found = cache.lookup(QUERY) is None and cache.store(QUERY, "x", evidence=index.search(QUERY))
            os._exit(0 if found and cache.lookup(NEAR) is not None else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert index.cache().lookup(QUERY) is not None
