"""The flat index: exact answers whatever the layout, compaction, damage, and other processes."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ragweft.errors import IndexDamaged, IndexLocked
from ragweft.types import Space
from ragweft.vectors import snapshot
from ragweft.vectors.cosine import cosines, unit_rows
from ragweft.vectors.flat import FlatIndex
from ragweft.vectors.segments import MANIFEST, Manifest, Stamp, read_manifest

if TYPE_CHECKING:
    from ragweft.types import Rows, Vector, Vectors

DIMS = 12
SPACE = Space(model="test:flat", dims=DIMS)
NONE: Rows = np.empty(0, dtype=np.int64)


def vectors_of(rows: Rows) -> Vectors:
    """A vector that follows from its row, one in five equal to another row's, one in nine all zero."""
    vectors = np.empty((len(rows), DIMS), dtype=np.float32)
    for place, row in enumerate(rows.tolist()):
        seed = row // 2 if row % 5 == 0 else row
        vectors[place] = np.random.default_rng(seed).standard_normal(DIMS) * (row % 9 != 0)
    return vectors


def reference(rows: Rows, query: Vector, n: int) -> tuple[list[int], list[float]]:
    """The exact answer by definition: every cosine in float64, sorted by score and row."""
    units, blank = unit_rows(vectors_of(rows))
    scores = cosines(units, query.astype(np.float64) / np.linalg.norm(query.astype(np.float64)))
    ranked = sorted(
        (-score, row)
        for score, row, zero in zip(scores.tolist(), rows.tolist(), blank.tolist(), strict=True)
        if not zero
    )
    return [row for _, row in ranked[:n]], [-score for score, _ in ranked[:n]]


def opened(folder: Path, *, segment_rows: int = 64, read_only: bool = False) -> FlatIndex:
    return FlatIndex(folder, space=SPACE, ledger="L", segment_rows=segment_rows, read_only=read_only)


def filled(folder: Path, count: int = 100) -> FlatIndex:
    index = opened(folder)
    rows = np.arange(count)
    index.apply(rows=rows, vectors=vectors_of(rows), removed=NONE, generation=1)
    index.apply(rows=NONE, vectors=vectors_of(NONE), removed=np.array([3, 70]), generation=2)
    return index


STEPS = st.lists(
    st.tuples(
        st.integers(0, 40),  # rows added
        st.integers(1, 4),  # distance between their numbers
        st.lists(st.integers(0, 400), max_size=25),  # rows removed
        st.booleans(),  # apply twice
        st.booleans(),  # reopen afterwards
    ),
    min_size=1,
    max_size=6,
)


@settings(max_examples=40, deadline=None)
@given(steps=STEPS, segment_rows=st.integers(1, 50), n=st.integers(1, 60), seed=st.integers(0, 5))
def test_answers_equal_the_definition_after_any_history(
    steps: list[tuple[int, int, list[int], bool, bool]], segment_rows: int, n: int, seed: int
) -> None:
    query = np.random.default_rng(seed).standard_normal(DIMS).astype(np.float32)
    with tempfile.TemporaryDirectory() as folder:
        index = opened(Path(folder), segment_rows=segment_rows)
        held: set[int] = set()
        top = 0
        for generation, (count, distance, removed, twice, reopen) in enumerate(steps, start=1):
            rows = top + distance * np.arange(1, count + 1)
            top = int(rows[-1]) if count else top
            for _ in range(1 + twice):
                index.apply(
                    rows=rows,
                    vectors=vectors_of(rows),
                    removed=np.array(removed, dtype=np.int64),
                    generation=generation,
                )
            held = (held | set(rows.tolist())) - set(removed)
            if reopen:
                index.close()
                index = opened(Path(folder), segment_rows=segment_rows)
            live = np.array(sorted(held), dtype=np.int64)
            found = index.search(query, n=n)
            assert (found.rows.tolist(), found.scores.tolist()) == reference(live, query, n)
            assert (len(index), index.applied_generation, found.generation) == (
                len(held),
                generation,
                generation,
            )
            among = np.array(removed + live[::3].tolist(), dtype=np.int64)
            some = index.search(query, n=n, among=among)
            assert (some.rows.tolist(), some.scores.tolist()) == reference(live[np.isin(live, among)], query, n)
        index.close()


def test_score_does_not_depend_on_where_a_vector_lies() -> None:
    rng = np.random.default_rng(0)
    for dims in (1, 7, 256, 1000):
        vectors, _ = unit_rows(rng.standard_normal((700, dims)).astype(np.float32))
        query = rng.standard_normal(dims)
        query /= np.linalg.norm(query)
        whole = cosines(vectors, query)
        for start in (0, 1, 3, 255, 699):
            assert np.array_equal(cosines(vectors[start:], query), whole[start:])


def test_compaction_keeps_answers_and_drops_files(tmp_path: Path) -> None:
    index = opened(tmp_path, segment_rows=700)
    rows = np.arange(3_000)
    index.apply(rows=rows, vectors=vectors_of(rows), removed=NONE, generation=1)
    query = vectors_of(np.array([1]))[0]
    before = {path.name for path in tmp_path.iterdir()}
    index.apply(rows=NONE, vectors=vectors_of(NONE), removed=rows[:1_000], generation=2)
    assert read_manifest(tmp_path)[0].dead.rows == 1_000, "1,000 dead rows are still carried"
    index.apply(rows=NONE, vectors=vectors_of(NONE), removed=rows[1_000:1_001], generation=3)
    manifest, _ = read_manifest(tmp_path)
    assert (manifest.dead.rows, manifest.rows) == (0, 1_999)
    assert before & {path.name for path in tmp_path.iterdir()} == {MANIFEST}
    live = rows[1_001:]
    for reader in (index, opened(tmp_path, read_only=True)):
        found = reader.search(query, n=50)
        assert (found.rows.tolist(), found.scores.tolist()) == reference(live, query, 50)
        assert (len(reader), reader.applied_generation) == (1_999, 3)
    index.apply(rows=rows[:5], vectors=vectors_of(rows[:5]), removed=NONE, generation=4)
    assert len(index) == 1_999, "a row that was compacted away does not come back"


def test_a_reader_that_has_old_files_mapped_goes_on(tmp_path: Path) -> None:
    writer = opened(tmp_path)
    rows = np.arange(2_000)
    writer.apply(rows=rows, vectors=vectors_of(rows), removed=NONE, generation=1)
    reader = opened(tmp_path, read_only=True)
    query = vectors_of(np.array([1]))[0]
    held = reader._current()
    writer.apply(rows=NONE, vectors=vectors_of(NONE), removed=rows[:1_500], generation=2)
    unit = query.astype(np.float64) / np.linalg.norm(query.astype(np.float64))
    assert held.nearest(unit, 20, None)[0].tolist() == reference(rows, query, 20)[0]
    assert reader.search(query, n=20).rows.tolist() == reference(rows[1_500:], query, 20)[0]


def test_a_reader_that_a_compaction_overtakes_reads_the_new_manifest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The files go between reading the manifest that names them and opening them."""
    writer = opened(tmp_path)
    rows = np.arange(2_000)
    writer.apply(rows=rows, vectors=vectors_of(rows), removed=NONE, generation=1)
    reads = 0

    def overtaken(folder: Path) -> tuple[Manifest, Stamp]:
        nonlocal reads
        reads += 1
        answer = read_manifest(folder)
        if reads == 1:
            writer.apply(rows=NONE, vectors=vectors_of(NONE), removed=rows[:1_500], generation=2)
            assert not (folder / f"{answer[0].segments[0].name}.rows").exists()
        return answer

    monkeypatch.setattr(snapshot, "read_manifest", overtaken)
    reader = opened(tmp_path, read_only=True)
    assert (len(reader), reader.applied_generation) == (500, 2)


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="finds files by /proc")
def test_data_is_durable_before_the_manifest_counts_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    durable: set[tuple[int, int]] = set()
    commits: list[set[tuple[int, int]]] = []
    sync, replace = os.fsync, Path.replace

    def identity(path: Path) -> tuple[int, int]:
        status = path.stat()
        return status.st_ino, 0 if path.is_dir() else status.st_size

    def fsync(handle: int) -> None:
        durable.add(identity(Path(f"/proc/self/fd/{handle}")))
        sync(handle)

    def commit(source: Path, target: Path) -> Path:
        present = {identity(path) for path in tmp_path.iterdir() if path.name != MANIFEST}
        commits.append((present | {identity(tmp_path)}) - durable)
        durable.discard(identity(tmp_path))
        return replace(source, target)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(Path, "replace", commit)
    filled(tmp_path)
    assert commits == [set(), set()]
    assert identity(tmp_path) in durable


def test_bytes_that_no_manifest_counts_do_not_exist(tmp_path: Path) -> None:
    index = filled(tmp_path)
    query = vectors_of(np.array([1]))[0]
    expected = index.search(query, n=100)
    for path in tmp_path.iterdir():
        if path.suffix in {".vectors", ".rows"}:
            with path.open("ab") as file:
                file.write(b"\x7f" * 1_001)
    (tmp_path / "segment-000099.vectors").write_bytes(b"left by a crash")
    (tmp_path / "manifest.json.new").write_bytes(b"left by a crash")
    (tmp_path / "notes.txt").write_text("not ours")
    again = opened(tmp_path)
    assert again.search(query, n=100).rows.tolist() == expected.rows.tolist()
    rows = np.arange(100, 120)
    again.apply(rows=rows, vectors=vectors_of(rows), removed=np.array([5]), generation=3)
    live = np.array([row for row in range(120) if row not in {3, 5, 70}], dtype=np.int64)
    assert opened(tmp_path).search(query, n=200).rows.tolist() == reference(live, query, 200)[0]
    left = {path.name for path in tmp_path.iterdir()}
    assert "notes.txt" in left
    assert not left & {"segment-000099.vectors", "manifest.json.new"}


def damage_last_byte(path: Path) -> None:
    raw = bytearray(path.read_bytes())
    raw[-1] ^= 1
    path.write_bytes(raw)


def cut_in_half(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


@pytest.mark.parametrize("damage", [damage_last_byte, cut_in_half, Path.unlink], ids=["flip", "cut", "unlink"])
@pytest.mark.parametrize("kind", ["segment-000001.vectors", "segment-000002.rows", "dead", "blank"])
def test_a_damaged_file_is_never_answered_from(
    tmp_path: Path, kind: str, damage: Callable[[Path], None]
) -> None:
    filled(tmp_path).close()
    (path,) = (path for path in tmp_path.iterdir() if path.name.startswith(kind))
    damage(path)
    for read_only in (False, True):
        with pytest.raises(IndexDamaged) as caught:
            opened(tmp_path, read_only=read_only)
        assert str(tmp_path) in str(caught.value)
        assert "\n" not in str(caught.value)


def test_every_byte_of_vectors_and_rows_is_checked(tmp_path: Path) -> None:
    filled(tmp_path, count=5).close()
    for path in sorted(tmp_path.iterdir()):
        raw = path.read_bytes()
        for place in range(0, len(raw), 3):
            path.write_bytes(raw[:place] + bytes([raw[place] ^ 1]) + raw[place + 1 :])
            with pytest.raises(IndexDamaged):
                opened(tmp_path)
        path.write_bytes(raw)
    assert len(opened(tmp_path)) == 4


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b"null", b"\xff\xfe", b'{"checksum": 1}', b"[" * 9])
def test_a_manifest_that_is_none_is_damage(tmp_path: Path, content: bytes) -> None:
    filled(tmp_path).close()
    (tmp_path / MANIFEST).write_bytes(content)
    with pytest.raises(IndexDamaged, match=r"manifest\.json"):
        opened(tmp_path)


def test_damage_done_while_open_is_seen_by_the_next_refresh(tmp_path: Path) -> None:
    index, other = filled(tmp_path), opened(tmp_path)
    rows = np.array([200])
    other.apply(rows=rows, vectors=vectors_of(rows), removed=NONE, generation=3)
    damage_last_byte(tmp_path / "segment-000002.vectors")
    with pytest.raises(IndexDamaged):
        index.search(vectors_of(np.array([1]))[0], n=1)


def test_a_folder_that_is_moved_away_leaves_an_empty_index(tmp_path: Path) -> None:
    index = filled(tmp_path / "flat")
    (tmp_path / "flat").rename(tmp_path / "aside")
    found = index.search(vectors_of(np.array([1]))[0], n=5)
    assert (found.rows.tolist(), found.generation, found.exhausted) == ([], 0, True)
    rows = np.arange(4)
    index.apply(rows=rows, vectors=vectors_of(rows), removed=NONE, generation=9)
    assert (len(index), index.applied_generation) == (4, 9)


def test_read_only_never_writes(tmp_path: Path) -> None:
    missing = tmp_path / "missing"
    index = opened(missing, read_only=True)
    assert (len(index), index.applied_generation) == (0, 0)
    assert index.search(np.ones(DIMS, dtype=np.float32), n=1).exhausted
    with pytest.raises(IndexLocked, match="read-only"):
        index.apply(rows=NONE, vectors=vectors_of(NONE), removed=NONE, generation=1)
    assert not missing.exists()


def test_a_folder_that_cannot_be_written_is_said_so(tmp_path: Path) -> None:
    index = opened(tmp_path / "flat")
    (tmp_path / "flat").write_text("a file stands where the folder should be")
    with pytest.raises(IndexDamaged, match="cannot be written") as caught:
        index.apply(rows=NONE, vectors=vectors_of(NONE), removed=NONE, generation=3)
    assert "\n" not in str(caught.value)
    assert index.applied_generation == 0


def test_opening_writes_nothing(tmp_path: Path) -> None:
    opened(tmp_path / "flat").close()
    assert not (tmp_path / "flat").exists()


WRITER = """
import sys, numpy as np
from pathlib import Path
sys.path.insert(0, str(Path({tests!r})))
import test_flat as t
index = t.opened(Path(sys.argv[1]))
for generation in range(1, 61):
    rows = np.arange(generation * 50, generation * 50 + 50)
    removed = rows[:45] - 50
    index.apply(rows=rows, vectors=t.vectors_of(rows), removed=removed, generation=generation)
print("done", flush=True)
"""


def test_a_reader_follows_a_writer_in_another_process(tmp_path: Path) -> None:
    script = WRITER.format(tests=str(Path(__file__).parent))
    writer = subprocess.Popen([sys.executable, "-c", script, str(tmp_path)], stdout=subprocess.PIPE)
    query = vectors_of(np.array([1]))[0]
    reader = opened(tmp_path, read_only=True)
    seen: set[int] = set()
    try:
        while writer.poll() is None:
            found = reader.search(query, n=40)
            seen.add(found.generation)
            assert found.rows.tolist() == reference(after(found.generation), query, 40)[0]
        output, _ = writer.communicate(timeout=60)
    finally:
        writer.kill()
        writer.wait()
    assert output.strip() == b"done"
    found = reader.search(query, n=40)
    assert (found.generation, found.rows.tolist()) == (60, reference(after(60), query, 40)[0])
    assert len(seen) > 2, "the reader saw the index grow"


def after(generation: int) -> Rows:
    """Live rows once WRITER has applied *generation*: the newest 50, and the last 5 of each earlier 50."""
    blocks = [np.arange(g * 50 + 45, g * 50 + 50) for g in range(1, generation)]
    newest = np.arange(generation * 50, generation * 50 + 50) if generation else NONE
    return np.concatenate([NONE, *blocks, newest])


def answer_in_child(index: FlatIndex, query: Vector, results: multiprocessing.Queue[list[int]]) -> None:
    results.put(index.search(query, n=10).rows.tolist())


@pytest.mark.skipif(sys.platform == "win32", reason="no fork")
@pytest.mark.filterwarnings("ignore:.*use of fork:DeprecationWarning")
def test_maps_survive_a_fork(tmp_path: Path) -> None:
    index = filled(tmp_path)
    query = vectors_of(np.array([1]))[0]
    context = multiprocessing.get_context("fork")
    results: multiprocessing.Queue[list[int]] = context.Queue()
    child = context.Process(target=answer_in_child, args=(index, query, results))
    child.start()
    assert results.get(timeout=30) == index.search(query, n=10).rows.tolist()
    child.join(timeout=30)
    assert child.exitcode == 0
