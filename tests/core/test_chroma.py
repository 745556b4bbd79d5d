"""Embedded Chroma: what it stores, when it refuses, and that damage is found before Chroma is."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import chromadb
import numpy as np
import pytest
from chromadb.config import Settings

from ragweft.errors import IndexDamaged, IndexLocked
from ragweft.types import Chunk, Space
from ragweft.vectors.chroma import ChromaIndex
from ragweft.vectors.chroma_seal import SEAL

if TYPE_CHECKING:
    from ragweft.types import Rows, Vectors

DIMS = 8
SPACE = Space(model="test:chroma", dims=DIMS)
NONE: Rows = np.empty(0, dtype=np.int64)


def describe(rows: Rows) -> Sequence[Chunk]:
    return [
        Chunk(id=f"c{row}", document_id=f"d{row}", text=f"text {row}", metadata={"page": row, "lang": None})
        for row in rows.tolist()
    ]


def random_vectors(count: int) -> Vectors:
    return np.random.default_rng(0).standard_normal((count, DIMS)).astype(np.float32)


def opened(folder: Path, *, store_text: bool = False, collection: str = "ragweft") -> ChromaIndex:
    return ChromaIndex.embedded(
        folder,
        space=SPACE,
        ledger="L",
        describe=describe,
        store_text=store_text,
        collection=collection,
        sync_threshold=100,
    )


def filled(folder: Path, count: int = 150) -> ChromaIndex:
    index = opened(folder)
    index.apply(rows=np.arange(count), vectors=random_vectors(count), removed=NONE, generation=1)
    return index


def test_any_chroma_client_can_read_the_collection(tmp_path: Path) -> None:
    index = opened(tmp_path)
    index.apply(
        rows=np.array([41, 42]), vectors=3 * np.eye(2, DIMS, dtype=np.float32), removed=NONE, generation=5
    )
    index.close()
    with_text = opened(tmp_path, store_text=True, collection="with-text")
    with_text.apply(rows=np.array([1]), vectors=random_vectors(1), removed=NONE, generation=1)
    with_text.close()
    client = chromadb.PersistentClient(tmp_path, settings=Settings(anonymized_telemetry=False))
    try:
        stored = client.get_collection("ragweft", embedding_function=None).get(
            include=["metadatas", "documents", "embeddings"]
        )
        assert stored["ids"] == ["41", "42"]
        assert stored["metadatas"] is not None
        assert stored["metadatas"][0] == {"row": 41, "chunk_id": "c41", "document_id": "d41", "page": 41}
        assert not any(stored["documents"] or [])
        assert np.array_equal(np.array(stored["embeddings"]), np.eye(2, DIMS))
        text = client.get_collection("with-text", embedding_function=None).get(include=["documents"])
        assert text["documents"] == ["text 1"]
    finally:
        client.close()  # type: ignore[attr-defined] # chromadb's own type lacks it


def test_marker_survives_beside_metadata_of_others(tmp_path: Path) -> None:
    index = filled(tmp_path)
    marker = dict(index._collection.metadata or {})
    index._collection.modify(metadata={**marker, "team": "search"})
    index.apply(rows=NONE, vectors=random_vectors(0), removed=np.array([3]), generation=2)
    index.close()
    again = opened(tmp_path)
    assert again.applied_generation == 2
    assert (again._collection.metadata or {})["team"] == "search"
    again.close()


def test_every_row_is_found_where_the_graph_does_not_reach_it(tmp_path: Path) -> None:
    """Chroma's graph finds 996 of these 2,100 records, three heaps of equal vectors, however many are asked for."""
    index = opened(tmp_path)
    vectors = np.repeat(random_vectors(3), 700, axis=0)
    index.apply(rows=np.arange(2_100), vectors=vectors, removed=NONE, generation=1)
    reached = index._collection.query(query_embeddings=vectors[0], n_results=2_100, include=["distances"])
    assert len(reached["ids"][0]) < 2_100
    found = index.search(vectors[0], n=2_100)
    assert sorted(found.rows.tolist()) == list(range(2_100))
    assert found.exhausted
    most = index.search(vectors[0], n=2_000)
    assert (most.rows.tolist(), most.exhausted) == (found.rows[:2_000].tolist(), False)
    index.close()


def test_records_of_others_in_the_collection_are_not_returned(tmp_path: Path) -> None:
    index = filled(tmp_path, count=5)
    index._collection.add(ids=["theirs"], embeddings=random_vectors(1))
    found = index.search(random_vectors(1)[0], n=9)
    assert sorted(found.rows.tolist()) == [0, 1, 2, 3, 4]
    index.close()


def test_two_indexes_on_one_path_share_and_close_apart(tmp_path: Path) -> None:
    first, second = filled(tmp_path), opened(tmp_path)
    second.apply(rows=np.array([500]), vectors=random_vectors(1), removed=NONE, generation=2)
    assert (len(first), len(second)) == (151, 151)
    first.close()
    assert second.search(random_vectors(1)[0], n=1).rows.tolist() == [0]
    second.close()
    again = opened(tmp_path)
    assert (len(again), again.applied_generation) == (151, 2)
    again.close()


def test_clear_goes_back_to_nothing(tmp_path: Path) -> None:
    index = filled(tmp_path)
    index.clear()
    assert (len(index), index.applied_generation) == (0, 0)
    index.apply(rows=np.array([7]), vectors=random_vectors(1), removed=NONE, generation=3)
    index.close()
    again = opened(tmp_path)
    assert (again.search(random_vectors(1)[0], n=5).rows.tolist(), again.applied_generation) == ([7], 3)
    again.close()


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="finds open files by /proc")
def test_close_lets_go_of_every_file(tmp_path: Path) -> None:
    filled(tmp_path).close()
    deadline = time.monotonic() + 10  # Chroma's threads end in their own time
    while (held := open_below(tmp_path)) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert held == []


def open_below(folder: Path) -> list[str]:
    targets = [os.path.realpath(link) for link in Path("/proc/self/fd").iterdir()]
    return [target for target in targets if target.startswith(str(folder.resolve()))]


def test_a_chroma_database_of_others_is_not_touched(tmp_path: Path) -> None:
    client = chromadb.PersistentClient(tmp_path, settings=Settings(anonymized_telemetry=False))
    client.create_collection("ragweft", embedding_function=None)
    client.close()  # type: ignore[attr-defined] # chromadb's own type lacks it
    before = sorted(path.name for path in tmp_path.iterdir())
    with pytest.raises(IndexLocked, match="not ragweft's"):
        opened(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == before


def test_a_collection_of_others_is_not_touched(tmp_path: Path) -> None:
    index = filled(tmp_path)
    theirs = index._backend.client.create_collection("theirs", embedding_function=None, metadata={"a": 1})
    with pytest.raises(IndexLocked, match="not ragweft's"):
        opened(tmp_path, collection="theirs")
    assert (theirs.count(), theirs.metadata) == (0, {"a": 1})
    index.close()


def test_a_client_with_other_settings_in_this_process_is_respected(tmp_path: Path) -> None:
    filled(tmp_path).close()
    client = chromadb.PersistentClient(tmp_path)
    try:
        with pytest.raises(IndexLocked, match="another client"):
            opened(tmp_path)
    finally:
        client.close()  # type: ignore[attr-defined] # chromadb's own type lacks it
    opened(tmp_path).close()


def flip(path: Path) -> None:
    raw = bytearray(path.read_bytes())
    raw[len(raw) // 2] ^= 1
    path.write_bytes(raw)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


@pytest.mark.parametrize("damage", [flip, cut, Path.unlink], ids=["flip", "cut", "unlink"])
@pytest.mark.parametrize("name", ["index_metadata.pickle", "data_level0.bin", "header.bin"])
def test_a_graph_that_differs_from_its_seal_is_never_shown_to_chroma(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, damage: Callable[[Path], None]
) -> None:
    filled(tmp_path).close()
    (path,) = tmp_path.glob(f"*/{name}")
    damage(path)
    shown: list[object] = []
    monkeypatch.setattr(chromadb, "PersistentClient", lambda path, settings: shown.append(path))
    with pytest.raises(IndexDamaged, match="rebuild") as caught:
        opened(tmp_path)
    assert shown == []
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"{}", b"[]", b'{"files": 3}', b'{"files": {"a": 1}}', b"\xff"])
def test_a_seal_that_is_none_is_damage(tmp_path: Path, content: bytes) -> None:
    filled(tmp_path).close()
    (tmp_path / SEAL).write_bytes(content)
    with pytest.raises(IndexDamaged):
        opened(tmp_path)


def test_a_broken_database_is_damage(tmp_path: Path) -> None:
    filled(tmp_path).close()
    (tmp_path / "chroma.sqlite3").write_bytes(b"no database" * 1_000)
    with pytest.raises(IndexDamaged) as caught:
        opened(tmp_path)
    assert "\n" not in str(caught.value)


def test_a_collection_that_vanished_is_damage(tmp_path: Path) -> None:
    index = filled(tmp_path)
    index._backend.client.delete_collection("ragweft")
    with pytest.raises(IndexDamaged):
        index.apply(rows=np.array([900]), vectors=random_vectors(1), removed=NONE, generation=2)
    index.close()


def test_a_copied_folder_opens(tmp_path: Path) -> None:
    filled(tmp_path / "index").close()
    shutil.copytree(tmp_path / "index", tmp_path / "copy", copy_function=shutil.copy)
    copy = opened(tmp_path / "copy")
    assert len(copy) == 150
    copy.close()


def test_small_writes_leave_graph_and_seal_alone(tmp_path: Path) -> None:
    """Only because of this may a process be killed in a small write at no cost."""
    index = filled(tmp_path)
    seal = (tmp_path / SEAL).read_bytes()
    assert len(json.loads(seal)["files"]) == 5
    files = {path: path.stat().st_mtime_ns for path in tmp_path.glob("*/*")}
    for step in range(5):
        rows = np.array([200 + step])
        index.apply(rows=rows, vectors=random_vectors(1), removed=rows - 200, generation=2 + step)
    index.search(random_vectors(1)[0], n=10)
    index.close()
    assert {path: path.stat().st_mtime_ns for path in tmp_path.glob("*/*")} == files
    assert (tmp_path / SEAL).read_bytes() == seal


def test_rows_the_ledger_cannot_describe_are_refused(tmp_path: Path) -> None:
    index = ChromaIndex.embedded(tmp_path, space=SPACE, ledger="L", describe=lambda rows: describe(rows[1:]))
    with pytest.raises(IndexDamaged, match="1 chunks for 2 rows"):
        index.apply(rows=np.array([1, 2]), vectors=random_vectors(2), removed=NONE, generation=1)
    assert (len(index), index.applied_generation) == (0, 0)
    index.close()


@pytest.mark.skipif(sys.platform == "win32", reason="no fork")
@pytest.mark.filterwarnings("ignore:.*use of fork:DeprecationWarning")
def test_a_forked_child_is_refused_instead_of_hanging(tmp_path: Path) -> None:
    index = filled(tmp_path)
    child = os.fork()
    if child == 0:
        signal.alarm(20)  # Chroma's answer to a fork is to wait for ever
        refused = 0
        for use in (
            lambda: index.search(random_vectors(1)[0], n=1),
            lambda: len(index),
            lambda: opened(tmp_path),
        ):
            try:
                use()
            except IndexLocked:
                refused += 1
        index.close()
        os._exit(refused)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 3
    assert index.search(random_vectors(1)[0], n=1).rows.tolist() == [0]
    index.close()


def test_importing_the_room_does_not_import_chroma() -> None:
    code = "import sys, ragweft.vectors; sys.exit('chromadb' in sys.modules)"
    assert os.spawnv(os.P_WAIT, sys.executable, [sys.executable, "-c", code]) == 0
