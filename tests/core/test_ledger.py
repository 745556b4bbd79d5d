from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from ragweft.errors import IndexDamaged, IndexLocked, RagweftError, SpaceMismatch
from ragweft.ledger.database import Database, refuse_network_filesystem
from ragweft.ledger.ledger import Ledger
from ragweft.ledger.schema import LEDGER
from ragweft.ledger.vector_store import VectorStore
from ragweft.ledger.writer import DocumentState, Prepared
from ragweft.types import Chunk, Document, Metadata, Space, digest_of

SPACE = Space(model="test:x", dims=4)


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    opened = Ledger(tmp_path, space=str(SPACE))
    yield opened
    opened.close()


def prepared(name: str, *texts: str, metadata: Metadata | None = None, context: str = "") -> Prepared:
    document = Document(id=name, text="\n".join(texts), metadata=metadata or {}, source=f"file:///{name}")
    chunks = [
        Chunk(
            id=f"{name}/{text}",
            document_id=name,
            text=text,
            ordinal=i,
            context=context,
            metadata=metadata or {},
        )
        for i, text in enumerate(texts)
    ]
    return Prepared(
        sent=[chunk.indexed_text for chunk in chunks],
        groups=[],
        document=document,
        digest=digest_of(document.text),
        pipeline="p1",
        chunks=chunks,
        inputs=[digest_of(chunk.indexed_text) for chunk in chunks],
        tokens=[b""] * len(chunks),
        size=len(document.text),
    )


def texts_of(ledger: Ledger, name: str) -> list[str]:
    with ledger.snapshot() as snapshot:
        return [stored.chunk.text for stored in snapshot.chunks_of(name)]


def test_a_commit_is_one_generation_of_whole_documents(ledger: Ledger) -> None:
    commit = ledger.commit([prepared("a", "one", "two"), prepared("b", "three")], kind="add")
    assert (commit.generation, commit.added, commit.rows_born) == (1, 2, 3)
    assert texts_of(ledger, "a") == ["one", "two"]
    assert ledger.text_of("a") == "one\ntwo"


def test_unchanged_chunks_keep_their_rows_and_changed_ones_get_new_rows(ledger: Ledger) -> None:
    ledger.commit([prepared("a", "one", "two", "three")], kind="add")
    with ledger.snapshot() as snapshot:
        before = {s.chunk.text: s.row for s in snapshot.chunks_of("a")}
    commit = ledger.commit([prepared("a", "one", "TWO", "three")], kind="add")
    with ledger.snapshot() as snapshot:
        after = {s.chunk.text: s.row for s in snapshot.chunks_of("a")}
        changes = snapshot.changes(1)
    assert after["one"] == before["one"]
    assert after["three"] == before["three"]
    assert after["TWO"] > max(before.values())
    assert (commit.rows_born, commit.rows_died) == (1, 1)
    assert changes.added.tolist() == [after["TWO"]]
    assert changes.removed.tolist() == [before["two"]]


@pytest.mark.parametrize("change", ["metadata", "context"])
def test_new_metadata_or_context_means_new_rows(ledger: Ledger, change: str) -> None:
    ledger.commit([prepared("a", "one")], kind="add")
    changed = (
        prepared("a", "one", metadata={"v": 2}) if change == "metadata" else prepared("a", "one", context="c")
    )
    assert ledger.commit([changed], kind="add").rows_born == 1
    with ledger.snapshot() as snapshot:
        assert len(snapshot.chunks_of("a")) == 1


def test_rows_are_never_used_twice(ledger: Ledger) -> None:
    ledger.commit([prepared("a", "one")], kind="add")
    with ledger.snapshot() as snapshot:
        first = snapshot.chunks_of("a")[0].row
    ledger.commit([], removed=["a"], kind="remove")
    ledger.report({"flat": 2})
    ledger.commit([prepared("a", "one")], kind="add")
    with ledger.snapshot() as snapshot:
        assert snapshot.chunks_of("a")[0].row > first


def test_removal_and_what_followers_see_of_it(ledger: Ledger) -> None:
    ledger.commit([prepared("a", "one"), prepared("b", "two")], kind="add")
    commit = ledger.commit([], removed=["a", "unknown"], kind="remove")
    assert commit.removed == 1
    with ledger.snapshot() as snapshot:
        assert snapshot.count_documents() == 1
        assert len(snapshot.changes(1).removed) == 1
        assert snapshot.changes(1).held == 1
        assert snapshot.changes(0).held == 0, "a follower that has seen nothing holds nothing"
        assert len(snapshot.changes(0).added) == 1


def test_a_commit_of_nothing_is_no_generation(ledger: Ledger) -> None:
    assert ledger.commit([], removed=["unknown"], kind="remove").generation == 0


def test_a_snapshot_does_not_move(ledger: Ledger) -> None:
    ledger.commit([prepared("a", "one")], kind="add")
    with ledger.snapshot() as snapshot:
        ledger.commit([prepared("b", "two")], removed=["a"], kind="add")
        assert snapshot.generation == 1
        assert [s.chunk.text for s in snapshot.chunks_of("a")] == ["one"]
        assert snapshot.chunks_of("b") == []
    with ledger.snapshot() as snapshot:
        assert snapshot.generation == 2


def test_metadata_is_stored_once(ledger: Ledger) -> None:
    ledger.commit([prepared(f"d{i}", "x", "y", metadata={"lang": "en"}) for i in range(5)], kind="add")
    with ledger.snapshot() as snapshot:
        assert [m for _, m in snapshot.metadatas(after=0)] == [{"lang": "en"}]
        rows = snapshot.rows_with([1], limit=100)
        assert len(rows) == 10
        assert {metadata for _, metadata, _ in snapshot.live(rows.tolist())} == {1}
        assert len(snapshot.rows_with([1], limit=3)) == 3


def test_sources_are_found_by_folder_and_only_below_it(ledger: Ledger) -> None:
    names = ["docs/a", "docs/sub/b", "docs2/c", "docs"]
    ledger.commit([prepared(name, "x") for name in names], kind="add")
    assert set(ledger.synced_under("file:///docs")) == {
        "file:///docs",
        "file:///docs/a",
        "file:///docs/sub/b",
    }
    assert set(ledger.synced_under("file:///docs/sub/")) == {"file:///docs/sub/b"}


def test_touch_changes_no_generation(ledger: Ledger) -> None:
    ledger.commit([prepared("a", "x")], kind="add")
    (state,) = ledger.states_of(["a"]).values()
    ledger.touch([DocumentState(id="a", generation=1, digest=state.digest, pipeline="p1", size=9, mtime_ns=10)])
    (touched,) = ledger.states_of(["a"]).values()
    assert (touched.size, touched.mtime_ns) == (9, 10)
    with ledger.snapshot() as snapshot:
        assert snapshot.generation == 1


def test_the_journal_is_shortened_only_behind_the_slowest_follower(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ragweft.ledger.ledger._JOURNAL_SLACK", 2)
    for i in range(10):
        ledger.commit([prepared("a", f"text {i}")], kind="add")
    ledger.report({"flat": 10, "lexical": 4})
    with ledger.snapshot() as snapshot:
        # Rows died at 2..10; those up to 4 were dropped by all, two of these are kept.
        assert snapshot.changes(5).held == 1
        assert len(snapshot.changes(5).removed) == 5
        assert int(snapshot.fact("floor")) == 2
    assert ledger.follower_generations() == {"flat": 10, "lexical": 4}


def test_odd_texts_come_back_exactly(ledger: Ledger) -> None:
    odd = ["a\x00b", "", "🔑 ключ", "line\r\nline\x85", "x" * 300_000]
    ledger.commit([prepared("odd", *odd)], kind="add")
    assert texts_of(ledger, "odd") == odd
    assert ledger.text_of("odd") == "\n".join(odd)


def test_threads_commit_one_after_the_other(ledger: Ledger) -> None:
    def work(worker: int) -> None:
        for i in range(10):
            ledger.commit([prepared(f"{worker}-{i}", "x")], kind="add")

    workers = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    with ledger.snapshot() as snapshot:
        assert (snapshot.generation, snapshot.count_documents()) == (40, 40)


def test_a_forked_child_reads_and_writes(ledger: Ledger) -> None:
    ledger.commit([prepared("a", "x")], kind="add")
    child = os.fork()
    if child == 0:
        try:
            ledger.commit([prepared("b", "y")], kind="add")
            os._exit(0 if texts_of(ledger, "a") == ["x"] else 1)
        finally:
            os._exit(2)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert texts_of(ledger, "b") == ["y"]
    ledger.commit([prepared("c", "z")], kind="add")


def test_another_process_sees_a_commit_at_once(ledger: Ledger, tmp_path: Path) -> None:
    ledger.commit([prepared("a", "x")], kind="add")
    code = (
        "import sys, pathlib\n"
        "from ragweft.ledger.ledger import Ledger\n"
        "l = Ledger(pathlib.Path(sys.argv[1]), space='s')\n"
        "with l.snapshot() as s: print(s.generation, len(s.chunks_of('a')))\n"
        "l.close()\n"
    )
    out = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True
    )
    assert out.stdout.split() == ["1", "1"]


def test_reading_without_writing(tmp_path: Path) -> None:
    writer = Ledger(tmp_path, space="s")
    writer.commit([prepared("a", "x")], kind="add")
    # The writer lives: its last commits are in the log only.
    reader = Ledger(tmp_path, space="s", read_only=True)
    assert texts_of(reader, "a") == ["x"]
    with pytest.raises(IndexLocked, match="read-only"):
        reader.commit([prepared("b", "y")], kind="add")
    reader.close()
    writer.close()
    again = Ledger(tmp_path, space="s", read_only=True)
    assert texts_of(again, "a") == ["x"]
    again.close()
    assert not (tmp_path / "ledger.db-wal").exists()


def test_a_garbled_ledger_is_named(tmp_path: Path) -> None:
    (tmp_path / "ledger.db").write_bytes(b"this is no database" * 100)
    with pytest.raises(IndexDamaged, match=r"ledger\.db"):
        Ledger(tmp_path, space="s")


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="finds open files by /proc")
@pytest.mark.parametrize(("older", "read_only"), [(False, False), (False, True), (True, True)])
def test_a_ledger_that_cannot_be_opened_is_not_left_open(tmp_path: Path, older: bool, read_only: bool) -> None:
    path = tmp_path / "ledger.db"
    if older:
        Ledger(tmp_path, space="s").close()
        with closing(sqlite3.connect(path)) as file, file:
            file.execute("ALTER TABLE documents DROP COLUMN places")
    else:
        path.write_bytes(b"this is no database" * 100)
    with pytest.raises(RagweftError) as raised:
        Database(path, LEDGER, read_only=read_only)
    held = [os.path.realpath(link) for link in Path("/proc/self/fd").iterdir()]
    assert not [name for name in held if name.startswith(str(tmp_path))], str(raised.value)


def test_a_ledger_of_another_version_is_refused(tmp_path: Path) -> None:
    Ledger(tmp_path, space="s").close()
    connection = sqlite3.connect(tmp_path / "ledger.db")
    connection.execute("UPDATE facts SET value = '99' WHERE name = 'schema'")
    connection.commit()
    connection.close()
    with pytest.raises(IndexDamaged, match="format 99"):
        Ledger(tmp_path, space="s")


def test_the_log_is_folded_in(ledger: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ragweft.ledger.database._CHECKPOINT_BYTES", 100_000)
    for i in range(5):
        ledger.commit([prepared(f"d{i}", "x" * 200_000)], kind="add")
    assert (tmp_path / "ledger.db-wal").stat().st_size < 300_000
    assert texts_of(ledger, "d0") == ["x" * 200_000]


def test_network_file_systems_are_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    refuse_network_filesystem(tmp_path)
    real = Path.read_text

    def mounts(self: Path, encoding: str | None = None, errors: str | None = None) -> str:
        if str(self) == "/proc/mounts":
            return f"/dev/root / ext4 rw 0 0\nserver:/x {tmp_path} nfs4 rw 0 0\n"
        return real(self, encoding, errors)

    monkeypatch.setattr(Path, "read_text", mounts)
    with pytest.raises(IndexLocked, match="nfs4"):
        refuse_network_filesystem(tmp_path / "index")


def store_at(path: Path, space: Space = SPACE, *, read_only: bool = False) -> VectorStore:
    return VectorStore(path / "vectors.db", space, read_only=read_only)


def test_vectors_come_back_in_the_order_asked_for(tmp_path: Path) -> None:
    store = store_at(tmp_path)
    digests = [digest_of(str(i)) for i in range(1200)]
    matrix = np.random.default_rng(0).normal(size=(1200, 4)).astype(np.float32)
    store.put(digests, matrix)
    store.put(digests[:3], np.zeros((3, 4), np.float32))  # known already: the first stays
    order = [7, 1100, 7, 0]
    np.testing.assert_array_equal(store.get([digests[i] for i in order]), matrix[order])
    assert store.known([digests[5], digest_of("new")]) == {digests[5]}
    assert len(store) == 1200
    assert store.get([]).shape == (0, 4)
    store.close()
    reopened = store_at(tmp_path)
    np.testing.assert_array_equal(reopened.get(digests), matrix)
    with pytest.raises(IndexDamaged, match="1 vectors are missing"):
        reopened.get([digest_of("new"), digests[0]])
    reopened.close()


def test_spaces_never_meet(tmp_path: Path) -> None:
    first, second = store_at(tmp_path), store_at(tmp_path, Space(model="test:y", dims=4))
    first.put([digest_of("a")], np.ones((1, 4), np.float32))
    assert second.known([digest_of("a")]) == set()
    first.close()
    second.close()
    connection = sqlite3.connect(tmp_path / "vectors.db")
    connection.execute("UPDATE spaces SET dims = 5")
    connection.commit()
    connection.close()
    with pytest.raises(SpaceMismatch, match="5 dims"):
        store_at(tmp_path)
