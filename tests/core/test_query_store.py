"""Vectors of questions on disk: what is kept, for how long, and by which key."""

from __future__ import annotations

import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cli_runner import environment
from ragweft.errors import IndexDamaged, IndexLocked
from ragweft.ledger import query_store
from ragweft.ledger.query_store import query_digest
from ragweft.ledger.vector_store import VectorStore
from ragweft.types import Space, digest_of

if TYPE_CHECKING:
    from ragweft.types import Vector

SPACE = Space(model="test:model", dims=8)
WRITER = """
import sys
import numpy as np
from pathlib import Path
from ragweft.ledger.vector_store import VectorStore
from ragweft.types import Space

store = VectorStore(Path(sys.argv[1]), Space(model="test:model", dims=8))
print("ready", flush=True)
for number in range(int(sys.argv[2])):
    vector = np.zeros(8, np.float32)
    vector[number % 8] = 1
    store.queries.put({f"{sys.argv[3]}{number}".encode(): vector})
store.close()
"""


def unit(seed: int, dims: int = 8) -> Vector:
    drawn = np.random.default_rng(seed).normal(size=dims).astype(np.float32)
    return drawn / np.float32(np.linalg.norm(drawn))


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Callable[..., VectorStore]]:
    every: list[VectorStore] = []

    def opens(space: Space = SPACE, *, read_only: bool = False) -> VectorStore:
        every.append(VectorStore(tmp_path / "vectors.db", space, read_only=read_only))
        return every[-1]

    yield opens
    for store in every:
        store.close()


def held(tmp_path: Path) -> list[bytes]:
    with closing(sqlite3.connect(tmp_path / "vectors.db")) as file:
        return [row[0] for row in file.execute("SELECT digest FROM query_vectors ORDER BY used, id")]


def test_what_is_put_comes_back_and_nothing_else(opened: Callable[..., VectorStore]) -> None:
    store = opened().queries
    store.put({b"a": unit(1), b"b": unit(2)})
    found = store.get([b"a", b"missing", b"b"])
    assert sorted(found) == [b"a", b"b"]
    np.testing.assert_array_equal(found[b"a"].vector, unit(1))
    assert found[b"a"].vector.dtype == np.float32
    assert store.get([]) == {}
    assert len(opened()) == 0, "documents' vectors are counted without them"


def test_a_space_knows_only_its_own(opened: Callable[..., VectorStore]) -> None:
    other = Space(model="test:model", dims=8, revision="prompted")
    opened().queries.put({b"a": unit(1)})
    assert opened(other).queries.get([b"a"]) == {}
    opened(other).queries.put({b"a": unit(2)})
    np.testing.assert_array_equal(opened().queries.get([b"a"])[b"a"].vector, unit(1))
    assert opened(Space(model="never:written", dims=8), read_only=True).queries.get([b"a"]) == {}


def test_what_a_corpus_asks_itself_is_found_too(opened: Callable[..., VectorStore]) -> None:
    store = opened()
    store.put([b"own"], unit(3)[None])
    np.testing.assert_array_equal(store.queries.get([b"own"])[b"own"].vector, unit(3))
    assert not store.queries.get([b"own"])[b"own"].aging, "it is never pruned"


@pytest.mark.parametrize(
    "vector",
    [np.zeros(8), np.full(8, np.nan), np.full(8, np.inf), np.ones(8), unit(1, 4), unit(1)[None]],
    ids=["zero", "nan", "infinite", "long", "small", "matrix"],
)
def test_what_is_no_unit_vector_is_not_kept(opened: Callable[..., VectorStore], vector: Vector) -> None:
    store = opened().queries
    store.put({b"bad": np.asarray(vector, dtype=np.float32), b"good": unit(1)})
    assert list(store.get([b"bad", b"good"])) == [b"good"]


@pytest.mark.parametrize(
    "damage",
    [
        b"",
        b"odd",
        unit(1, 7).tobytes(),
        np.full(8, np.nan, "<f4").tobytes(),
        np.ones(8, "<f4").tobytes(),
        "text",
    ],
    ids=["empty", "odd", "short", "nan", "long", "no bytes"],
)
def test_a_damaged_vector_is_not_there_and_put_anew(
    opened: Callable[..., VectorStore], tmp_path: Path, damage: object
) -> None:
    store = opened()
    store.queries.put({b"a": unit(1), b"b": unit(2)})
    store.put([b"own"], unit(3)[None])
    with closing(sqlite3.connect(tmp_path / "vectors.db")) as file, file:
        file.execute("UPDATE query_vectors SET vector = ? WHERE digest = ?", (damage, b"a"))
        file.execute("UPDATE vectors SET vector = ?", (damage,))
    assert list(store.queries.get([b"a", b"b", b"own"])) == [b"b"]
    store.queries.put({b"a": unit(1), b"own": unit(3)})
    assert sorted(store.queries.get([b"a", b"b", b"own"])) == [b"a", b"b", b"own"]


def test_a_damaged_date_is_no_obstacle(opened: Callable[..., VectorStore], tmp_path: Path) -> None:
    store = opened().queries
    store.put({b"a": unit(1)})
    with closing(sqlite3.connect(tmp_path / "vectors.db")) as file, file:
        file.execute("UPDATE query_vectors SET used = 'never'")
    assert store.get([b"a"])[b"a"].aging
    store.put({}, used=[b"a"])
    assert not store.get([b"a"])[b"a"].aging


def test_those_used_least_recently_are_forgotten(
    opened: Callable[..., VectorStore], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(query_store, "MOST", 3)
    clock = iter(float(n) for n in range(1_000, 10_000_000, 100_000))
    monkeypatch.setattr(time, "time", lambda: next(clock))
    store = opened()
    store.put([b"document"], unit(9)[None])
    for name in (b"a", b"b", b"c"):
        store.queries.put({name: unit(1)})
    assert store.queries.get([b"a"])[b"a"].aging, "kept days ago"
    store.queries.put({b"d": unit(1)}, used=[b"a"])
    assert held(tmp_path) == [b"c", b"a", b"d"], "b served least recently"
    elsewhere = opened(Space(model="test:other", dims=8))
    elsewhere.queries.put({b"e": unit(1)})
    assert len(held(tmp_path)) == 3, "of all spaces together"
    assert b"c" not in held(tmp_path)
    assert store.known([b"document"]) == {b"document"}


def test_what_was_used_today_is_not_written_again(opened: Callable[..., VectorStore]) -> None:
    store = opened().queries
    store.put({b"a": unit(1)})
    assert not store.get([b"a"])[b"a"].aging


def test_pruning_reads_no_vectors(opened: Callable[..., VectorStore], tmp_path: Path) -> None:
    opened().queries.put({b"a": unit(1)})
    with closing(sqlite3.connect(tmp_path / "vectors.db")) as file:
        asked = "EXPLAIN QUERY PLAN SELECT id FROM query_vectors ORDER BY used DESC, id DESC LIMIT -1 OFFSET 9"
        plan = " ".join(str(row[3]) for row in file.execute(asked))
    assert "COVERING INDEX" in plan
    assert "TEMP B-TREE" not in plan


def test_a_file_without_the_table_is_read(opened: Callable[..., VectorStore], tmp_path: Path) -> None:
    store = opened()
    store.put([b"own"], unit(3)[None])
    with closing(sqlite3.connect(tmp_path / "vectors.db")) as file, file:
        file.execute("DROP TABLE query_vectors")
    old = opened(read_only=True)
    assert list(old.queries.get([b"own", b"a"])) == [b"own"]
    with pytest.raises(IndexLocked):
        old.queries.put({b"a": unit(1)})


def test_a_writer_waits_a_moment_and_no_longer(opened: Callable[..., VectorStore], tmp_path: Path) -> None:
    store = opened().queries
    with closing(sqlite3.connect(tmp_path / "vectors.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(IndexLocked, match=r"over 1 s"):
            store.put({b"a": unit(1)})
        assert store.get([b"a"]) == {}
        other.execute("ROLLBACK")
    store.put({b"a": unit(1)})
    assert list(store.get([b"a"])) == [b"a"]


def test_other_damage_is_said(opened: Callable[..., VectorStore], tmp_path: Path) -> None:
    store = opened().queries
    with closing(sqlite3.connect(tmp_path / "vectors.db")) as file, file:
        file.execute("DROP TABLE query_vectors")
        file.execute("CREATE TABLE query_vectors (other TEXT)")
    with pytest.raises(IndexDamaged):
        store.get([b"a"])


def writer(path: Path, count: int, name: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", WRITER, str(path), str(count), name],
        env=environment(),
        stdout=subprocess.PIPE,
        text=True,
    )


def test_two_processes_write_at_once(opened: Callable[..., VectorStore], tmp_path: Path) -> None:
    opened()
    both = [writer(tmp_path / "vectors.db", 40, name) for name in "ab"]
    assert [process.wait(timeout=60) for process in both] == [0, 0]
    for process in both:
        assert process.stdout is not None
        process.stdout.close()
    assert len(held(tmp_path)) == 80


def test_a_process_killed_while_it_writes_leaves_a_sound_file(
    opened: Callable[..., VectorStore], tmp_path: Path
) -> None:
    opened().close()
    process = writer(tmp_path / "vectors.db", 100_000, "k")
    assert process.stdout is not None
    process.stdout.readline()
    while not held(tmp_path):
        assert process.poll() is None
    process.send_signal(signal.SIGKILL)
    process.wait(timeout=60)
    process.stdout.close()
    store = opened().queries
    kept = held(tmp_path)
    assert len(store.get(kept[:500])) == min(500, len(kept))
    with closing(sqlite3.connect(tmp_path / "vectors.db")) as file:
        assert file.execute("PRAGMA integrity_check").fetchone() == ("ok",)


texts = st.text(max_size=8)
keys = st.tuples(texts, texts, texts, texts)


@given(keys, keys)
def test_keys_differ_where_anything_sent_differs(one: tuple[str, ...], other: tuple[str, ...]) -> None:
    digests = [query_digest(key[3], model=key[0], prompt=key[1], told=key[2]) for key in (one, other)]
    assert (digests[0] == digests[1]) == (one == other)


@given(keys)
def test_a_question_is_never_taken_for_a_document(key: tuple[str, ...]) -> None:
    digest = query_digest(key[3], model=key[0], prompt=key[1], told=key[2])
    assert digest not in {digest_of(part) for part in (*key, "".join(key))}
    assert digest != digest_of("masked", key[3])
