"""A cache that is poisoned, damaged, deleted, full or locked costs time, never an answer."""

from __future__ import annotations

import os
import resource
import shutil
import signal
import sqlite3
import traceback
import zlib
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from cache_made import QUERY, corpus
from ragweft import Document, Index
from ragweft.caching import store
from ragweft.caching.rows import LONGEST
from ragweft.caching.store import CacheStore
from ragweft.caching.values import Cost, Entry, Evidence, scope_of
from ragweft.errors import RagweftError
from ragweft.ledger import database
from ragweft.recipe import Cache, Dense, Recipe

if TYPE_CHECKING:
    from ragweft.answers import Answers

NEAR = "how often is the signing key rotated"
PUDDING = "how is bread and butter pudding baked"
NEAR_PUDDING = "how is the bread and butter pudding baked"
FLAT = Recipe(dense=Dense(engine="flat"), cache=Cache(threshold=0.9))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made") / "kb"
    with Index.open(folder, recipe=FLAT) as opened:
        opened.add(corpus(15))
    return folder


@pytest.fixture
def index(made: Path, tmp_path: Path) -> Iterator[Index]:
    shutil.copytree(made, tmp_path / "kb")
    with Index.open(tmp_path / "kb", recipe=FLAT) as opened:
        yield opened


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the cache lies."""
    return tmp_path / "kb" / "cache.db"


@pytest.fixture
def cache(index: Index) -> Answers:
    found = index.cache()
    assert found.store(QUERY, "ninety days", evidence=index.search(QUERY))
    assert found.lookup(QUERY)
    assert found.lookup(NEAR)
    return found


def changed(path: Path, column: str, value: object) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(f"UPDATE entries SET {column} = ?", (value,))


def floats(*values: float) -> bytes:
    return np.array(values, "<f4").tobytes()


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("payload", b"not packed"),
        ("payload", zlib.compress(b"not JSON")),
        ("payload", zlib.compress(b"NaN")),
        ("payload", zlib.compress(b'["\xff"]')),
        ("payload", zlib.compress(b"[" * 200_000)),
        ("payload", zlib.compress(b'"whole"')[:-2]),
        ("payload", zlib.compress(b" " * (LONGEST + 1) + b"1")),
        ("payload", 7),
        ("vector", floats(float("nan"), *[0.1] * 255)),
        ("vector", floats(*[float("inf")] * 256)),
        ("vector", floats(*[0.0] * 256)),
        ("vector", b"odd"),
        ("vector", b""),
        ("evidence", None),
        ("evidence", "{"),
        ("evidence", "[]"),
        ("evidence", "{}"),
        ("spoken", b"odd"),
        ("query", "no bytes"),
        ("query", b"\xff\xfe"),
    ],
)
def test_a_poisoned_entry_is_dropped(
    index: Index, cache: Answers, path: Path, column: str, value: object, caplog: pytest.LogCaptureFixture
) -> None:
    changed(path, column, value)
    assert cache.lookup(QUERY) is None
    assert cache.lookup(NEAR) is None
    assert cache.stats().entries == 0
    assert cache.store(QUERY, "anew", evidence=index.search(QUERY))
    found = cache.lookup(QUERY)
    assert found is not None
    assert found.answer == "anew"


def test_a_poisoned_vector_is_compared_with_nothing(index: Index, cache: Answers, path: Path) -> None:
    """Whoever reads the entries for the first time meets it beside sound ones."""
    cache.store(PUDDING, "under custard", evidence=index.search(PUDDING))
    for number, vector in enumerate((floats(1.0, 2.0), floats(*[float("nan")] * 256), b"odd")):
        cache.store(f"note {number}", "x", evidence=index.search(PUDDING))
        with closing(sqlite3.connect(path)) as connection, connection:
            connection.execute(
                "UPDATE entries SET vector = ? WHERE number = (SELECT max(number) FROM entries)", (vector,)
            )
    with Index.open(path.parent) as other:
        found = other.cache().lookup(NEAR)
        assert found is not None
        assert found.answer == "ninety days"
        assert other.cache().lookup(NEAR_PUDDING) is not None


def test_poison_is_refused(tmp_path: Path) -> None:
    scope = scope_of({})
    sound = Entry(
        query="q",
        vector=np.ones(4, np.float32),
        tokens=np.array([1], np.int32),
        payload=b"1",
        evidence=Evidence(rows=(1,), generation=1),
        cost=Cost(),
        created=0.0,
    )
    with closing(CacheStore(tmp_path / "cache.db")) as kept:
        for vector in (
            np.zeros(4, np.float32),
            np.full(4, np.nan, np.float32),
            np.full(4, np.inf, np.float32),
            np.ones((2, 2), np.float32),
            np.empty(0, np.float32),
        ):
            with pytest.raises(RagweftError, match="no vector that can be compared"):
                kept.put(scope, replace(sound, vector=vector))
        with pytest.raises(RagweftError, match="bytes is not kept"):
            kept.put(scope, replace(sound, payload=b" " * (LONGEST + 1)))
        assert kept.sizes()[0] == 0


def working(index: Index, cache: Answers) -> None:
    """The cache keeps and serves again."""
    assert cache.store(QUERY, "anew", evidence=index.search(QUERY))
    for query in (QUERY, NEAR):
        found = cache.lookup(query)
        assert found is not None
        assert found.answer == "anew"


def answering(index: Index, cache: Answers) -> None:
    """Whatever is the matter, a function gives its answer."""
    assert cache.once(PUDDING, lambda: ("under custard", index.search(PUDDING))) == "under custard"


def spoil(path: Path) -> None:
    with path.open("r+b") as out:
        out.write(b"\xa5" * path.stat().st_size)


def cut_off(path: Path) -> None:
    os.truncate(path, 0)


def cut_in_half(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


@pytest.mark.parametrize("damage", [spoil, cut_off, cut_in_half])
def test_a_file_that_is_damaged_in_the_middle_begins_anew(
    index: Index, cache: Answers, path: Path, damage: Callable[[Path], None], caplog: pytest.LogCaptureFixture
) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    damage(path)
    for _ in range(3):
        assert cache.lookup(NEAR) is None
        assert cache.lookup(QUERY) is None
        answering(index, cache)
    assert path.with_name("cache.db.damaged").exists()
    assert "begins anew" in caplog.text
    working(index, cache)
    with Index.open(path.parent) as other:
        assert other.cache().lookup(QUERY) is not None


def test_several_processes_that_meet_the_damage_share_one_new_file(
    index: Index, cache: Answers, path: Path
) -> None:
    with Index.open(path.parent) as other:
        theirs = other.cache()
        assert theirs.lookup(NEAR) is not None
        with closing(sqlite3.connect(path)) as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        spoil(path)
        for _ in range(2):
            assert [one.lookup(NEAR) for one in (cache, theirs)] == [None, None]
        working(index, cache)
        found = theirs.lookup(NEAR)
        assert found is not None
        assert found.answer == "anew"


@pytest.mark.parametrize("logs", [True, False])
def test_a_file_that_is_deleted_in_the_middle_begins_anew(
    index: Index, cache: Answers, path: Path, *, logs: bool
) -> None:
    for name in ("cache.db", "cache.db-wal", "cache.db-shm") if logs else ("cache.db",):
        (path.parent / name).unlink(missing_ok=True)
    assert cache.lookup(NEAR) is None
    assert cache.lookup(QUERY) is None
    answering(index, cache)
    working(index, cache)
    with Index.open(path.parent) as other:
        assert other.cache().lookup(QUERY) is not None


def test_numbers_of_another_file_mean_nothing(index: Index, cache: Answers, path: Path) -> None:
    """The first entry of the new file is another tenant's, and has the number of one that is in memory."""
    mine, theirs = index.cache(scope={"tenant": "a"}), {"tenant": "b"}
    path.unlink()
    assert mine.store(QUERY, "mine", evidence=index.search(QUERY))
    found = mine.lookup(NEAR)
    assert found is not None
    assert found.number == 1
    path.unlink()
    with Index.open(path.parent) as other:
        assert other.cache(scope=theirs).store(QUERY, "theirs", evidence=other.search(QUERY))
    assert mine.lookup(NEAR) is None
    assert mine.lookup(QUERY) is None
    path.unlink()
    assert mine.store(PUDDING, "under custard", evidence=index.search(PUDDING))
    assert mine.lookup(NEAR_PUDDING) is not None, "the new first entry is not taken for the old one"
    with Index.open(path.parent) as other:
        assert other.cache(scope=theirs).store(QUERY, "theirs", evidence=other.search(QUERY))
    again = index.cache(scope=theirs).lookup(NEAR)
    assert again is not None
    assert (again.answer, again.number) == ("theirs", 2)


def test_where_nothing_can_be_opened(index: Index, cache: Answers, path: Path) -> None:
    path.unlink()
    path.mkdir()
    for _ in range(2):
        assert cache.lookup(QUERY) is None
        answering(index, cache)
        assert not cache.store(QUERY, "anew", evidence=index.search(QUERY))
    path.rmdir()
    working(index, cache)


@contextmanager
def written_by_another(path: Path) -> Iterator[None]:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        yield


def test_a_writer_that_takes_long_holds_up_no_hit(
    index: Index, cache: Answers, path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(store, "PATIENT", 0.1)
    hit = cache.lookup(NEAR)
    assert hit is not None
    with written_by_another(path):
        assert cache.lookup(QUERY) is not None
        assert cache.lookup(NEAR) is not None
        assert not cache.store(PUDDING, "under custard", evidence=index.search(PUDDING))
        answering(index, cache)
        assert cache.feedback(hit, ok=False) is False
        with pytest.raises(RagweftError, match="held by another process"):
            cache.clear()
        with pytest.raises(RagweftError, match="held by another process"):
            cache.invalidate(where={"team": {"$gte": 0}})
    assert "could not be cached" in caplog.text
    assert cache.feedback(hit, ok=False) is True
    assert cache.lookup(NEAR) is None


def test_what_is_stale_is_not_served_where_it_cannot_be_dropped(
    index: Index, cache: Answers, path: Path
) -> None:
    document = index.search(QUERY)[0].chunk.document_id
    index.add([Document(id=document, text="The orchestra tunes its violins.")])
    with written_by_another(path):
        assert cache.lookup(QUERY) is None
    assert cache.lookup(NEAR) is None


@contextmanager
def kept_to_himself(path: Path) -> Iterator[None]:
    """Lock even readers out, as a backup program may; it can only where nobody has the file open."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA locking_mode=EXCLUSIVE")
        connection.execute("BEGIN EXCLUSIVE")
        yield


def test_who_locks_even_readers_out_is_done_without(
    made: Path, path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(database, "_OPENING_SECONDS", 0.1)
    shutil.copytree(made, path.parent)
    with Index.open(path.parent) as index:
        index.cache().store(QUERY, "ninety days", evidence=index.search(QUERY))
    with kept_to_himself(path), Index.open(path.parent) as index:
        assert index.cache().lookup(QUERY) is None
        answering(index, index.cache())
        working(index, index.cache())
    assert "in memory only" in caplog.text
    with Index.open(path.parent) as index:
        found = index.cache().lookup(QUERY)
        assert found is not None
        assert found.answer == "ninety days"


def test_a_search_says_that_the_cache_failed(
    made: Path, path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(made, tmp_path / "kb")
    results = replace(FLAT, cache=Cache(results="exact"))
    with Index.open(tmp_path / "kb", recipe=results) as index:
        assert [index.search(QUERY, k=3).trace.cache for _ in range(2)] == ["miss", "exact"]
        path.unlink()
        path.mkdir()  # nothing can be opened there
        found = index.search(QUERY, k=3)
        assert found.trace.cache.startswith("failed: ")
        assert len(found) == 3
        path.rmdir()
        assert [index.search(QUERY, k=3).trace.cache for _ in range(2)] == ["miss", "exact"]
        changed(path, "payload", zlib.compress(b'[{"row": 1}, 7]'))
        found = index.search(QUERY, k=3)
        assert found.trace.cache.startswith("failed: ")
        assert len(found) == 3
        assert index.search(QUERY, k=3).trace.cache == "exact"
        monkeypatch.setattr(store, "PATIENT", 0.1)
        with written_by_another(path):
            assert index.search(PUDDING, k=3).trace.cache == "miss, not kept"


def test_a_full_disk(index: Index, cache: Answers, path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    child = os.fork()
    if child == 0:
        signal.alarm(60)
        try:
            # A child's connections are its own; from here on no file may grow.
            assert cache.lookup(QUERY) is not None
            size = max(each.stat().st_size for each in path.parent.glob("cache.db*"))
            resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
            for number in range(20):
                question = f"{PUDDING} {number}"
                noise = os.urandom(20_000).hex()
                assert cache.once(question, lambda noise=noise: (noise, index.search(PUDDING))) == noise  # type: ignore[misc]
            assert not cache.store(PUDDING, os.urandom(100_000).hex(), evidence=index.search(PUDDING))
            assert cache.lookup(QUERY) is not None
        except BaseException:  # noqa: BLE001  # a child must not come back into the test
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0, capfd.readouterr().err
    working(index, cache)
