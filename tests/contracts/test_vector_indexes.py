"""What every vector index must do, run over the flat index, embedded Chroma and a real Chroma server."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from chroma_server import chroma_server
from ragweft.errors import IndexDamaged, IndexLocked, SpaceMismatch
from ragweft.protocols import VectorIndex
from ragweft.types import Chunk, Space
from ragweft.vectors import ChromaIndex, FlatIndex

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ragweft.types import Rows, Vectors

DIMS = 16
SPACE = Space(model="test:contract", dims=DIMS)
NONE: Rows = np.empty(0, dtype=np.int64)
CLOSE = 2e-6

Open = Callable[..., VectorIndex]


def rows_of(*numbers: int) -> Rows:
    return np.array(numbers, dtype=np.int64)


def random_vectors(count: int, seed: int = 0) -> Vectors:
    vectors = np.random.default_rng(seed).standard_normal((count, DIMS)).astype(np.float32)
    units: Vectors = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return units


def axis(number: int) -> Vectors:
    vector = np.zeros((1, DIMS), dtype=np.float32)
    vector[0, number] = 1.0
    return vector


def describe(rows: Rows) -> Sequence[Chunk]:
    return [Chunk(id=f"c{row}", document_id=f"d{row // 4}", text=f"text {row}") for row in rows.tolist()]


def cosine(vectors: Vectors, query: NDArray[np.float32]) -> NDArray[np.float64]:
    wide = vectors.astype(np.float64)
    exact: NDArray[np.float64] = (wide @ query.astype(np.float64)) / (
        np.linalg.norm(wide, axis=1) * np.linalg.norm(query.astype(np.float64))
    )
    return exact


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    with chroma_server(tmp_path_factory.mktemp("server") / "data") as port:
        yield port


@pytest.fixture(params=["flat", "chroma-embedded", "chroma-http"])
def open_index(
    request: pytest.FixtureRequest, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Open]:
    """Opens the same index each time it is called; all that were opened are closed at the end."""
    opened: list[VectorIndex] = []
    name = f"contract-{tmp_path.name.replace('_', '-')[-40:]}".strip("-")

    def opener(*, space: Space = SPACE, ledger: str = "ledger-1") -> VectorIndex:
        index: VectorIndex
        if request.param == "flat":
            index = FlatIndex(tmp_path / "flat", space=space, ledger=ledger, segment_rows=50)
        elif request.param == "chroma-embedded":
            index = ChromaIndex.embedded(tmp_path / "chroma", space=space, ledger=ledger, describe=describe)
        else:
            port: int = request.getfixturevalue("server")
            index = ChromaIndex.http(
                "127.0.0.1", port=port, space=space, ledger=ledger, describe=describe, collection=name
            )
        opened.append(index)
        return index

    yield opener
    for index in opened:
        index.close()


@pytest.fixture
def index(open_index: Open) -> VectorIndex:
    return open_index()


def test_empty_index_has_nothing_and_says_so(index: VectorIndex) -> None:
    found = index.search(random_vectors(1)[0], n=5)
    assert (len(index), index.applied_generation) == (0, 0)
    assert (found.rows.tolist(), found.exhausted, found.generation) == ([], True, 0)
    assert found.rows.dtype == np.int64
    assert found.scores.dtype == np.float32


def test_nearest_rows_come_first_with_their_cosine(index: VectorIndex) -> None:
    vectors, query = random_vectors(120), random_vectors(1, seed=9)[0]
    index.apply(rows=np.arange(10, 130), vectors=vectors, removed=NONE, generation=3)
    found = index.search(query, n=20)
    exact = cosine(vectors, query)
    expected = np.argsort(-exact)[:20]
    assert found.rows.tolist() == (expected + 10).tolist()
    np.testing.assert_allclose(found.scores, exact[expected], atol=CLOSE)
    assert found.scores.dtype == np.float32
    assert (found.generation, found.exhausted, len(index)) == (3, False, 120)


def test_equal_vectors_score_equal_and_stand_by_rising_row(index: VectorIndex) -> None:
    vectors = random_vectors(100)
    for place in (3, 17, 50, 51, 98):
        vectors[place] = vectors[0]
    index.apply(rows=np.arange(60), vectors=vectors[:60], removed=NONE, generation=1)
    index.apply(rows=np.arange(60, 100), vectors=vectors[60:], removed=NONE, generation=2)
    found = index.search(vectors[0] + 0.1 * vectors[1], n=6)
    assert found.rows.tolist() == [0, 3, 17, 50, 51, 98]
    assert len(set(found.scores.tolist())) == 1
    assert index.search(vectors[0], n=3).rows.tolist() == [0, 3, 17]


def test_asking_for_nothing_gives_nothing(index: VectorIndex) -> None:
    index.apply(rows=rows_of(1), vectors=axis(0), removed=NONE, generation=1)
    for n in (0, -1):
        assert index.search(axis(0)[0], n=n).rows.tolist() == []


def test_exhausted_when_every_row_was_returned(index: VectorIndex) -> None:
    index.apply(rows=np.arange(5), vectors=random_vectors(5), removed=NONE, generation=1)
    for n, exhausted in ((4, False), (5, True), (50, True)):
        found = index.search(random_vectors(1, seed=3)[0], n=n)
        assert (len(found.rows), found.exhausted) == (min(n, 5), exhausted)


def test_removed_rows_are_gone(index: VectorIndex) -> None:
    vectors = random_vectors(10)
    index.apply(rows=np.arange(10), vectors=vectors, removed=NONE, generation=1)
    index.apply(rows=NONE, vectors=vectors[:0], removed=rows_of(7, 2), generation=2)
    found = index.search(vectors[2], n=10)
    assert sorted(found.rows.tolist()) == [0, 1, 3, 4, 5, 6, 8, 9]
    assert (len(index), found.exhausted, found.generation) == (8, True, 2)
    assert index.search(vectors[2], n=3, among=rows_of(2, 7, 9)).rows.tolist() == [9]


def test_unknown_removed_rows_are_ignored(index: VectorIndex) -> None:
    index.apply(rows=rows_of(5, 6), vectors=random_vectors(2), removed=rows_of(999, 0), generation=1)
    index.apply(rows=NONE, vectors=random_vectors(0), removed=rows_of(5, 5, 12), generation=2)
    index.apply(rows=NONE, vectors=random_vectors(0), removed=rows_of(5), generation=3)
    assert (len(index), index.applied_generation) == (1, 3)


def test_a_row_added_and_removed_at_once_is_not_held(index: VectorIndex) -> None:
    index.apply(rows=rows_of(1, 2, 3), vectors=random_vectors(3), removed=rows_of(2), generation=1)
    assert sorted(index.search(random_vectors(1)[0], n=9).rows.tolist()) == [1, 3]


def test_the_same_change_may_be_applied_again(index: VectorIndex) -> None:
    vectors, query = random_vectors(20), random_vectors(1, seed=5)[0]
    index.apply(rows=np.arange(15), vectors=vectors[:15], removed=NONE, generation=1)
    for _ in range(3):
        index.apply(rows=np.arange(10, 20), vectors=vectors[10:], removed=rows_of(0, 4), generation=2)
        found = index.search(query, n=20)
        expected = [row for row in np.argsort(-cosine(vectors, query)).tolist() if row not in {0, 4}]
        assert found.rows.tolist() == expected
        assert (len(index), index.applied_generation) == (18, 2)


def test_one_generation_may_come_in_parts(index: VectorIndex) -> None:
    vectors = random_vectors(9)
    for start in (0, 3, 6):
        rows = np.arange(start, start + 3)
        index.apply(rows=rows, vectors=vectors[rows], removed=NONE, generation=7 if start == 6 else 0)
    assert (len(index), index.applied_generation) == (9, 7)


def test_generation_never_goes_back(index: VectorIndex) -> None:
    index.apply(rows=rows_of(1), vectors=axis(0), removed=NONE, generation=5)
    index.apply(rows=rows_of(1), vectors=axis(0), removed=NONE, generation=2)
    assert index.applied_generation == 5


def test_a_change_without_rows_still_moves_the_generation(index: VectorIndex) -> None:
    index.apply(rows=NONE, vectors=np.empty((0, 0), dtype=np.float32), removed=NONE, generation=4)
    assert (index.applied_generation, len(index)) == (4, 0)
    assert index.search(axis(0)[0], n=1).generation == 4


def test_among_is_exact_and_forgives_unknown_unsorted_and_repeated_rows(index: VectorIndex) -> None:
    vectors, query = random_vectors(90), random_vectors(1, seed=11)[0]
    index.apply(rows=np.arange(90), vectors=vectors, removed=rows_of(33), generation=1)
    wanted = np.array([70, 3, 3, 33, 12_345, 41, 8, -1], dtype=np.int64)
    found = index.search(query, n=3, among=wanted)
    exact = cosine(vectors, query)
    expected = sorted((3, 8, 41, 70), key=lambda row: -exact[row])
    assert found.rows.tolist() == expected[:3]
    np.testing.assert_allclose(found.scores, exact[expected[:3]], atol=CLOSE)
    assert not found.exhausted
    everything = index.search(query, n=4, among=wanted)
    assert (everything.rows.tolist(), everything.exhausted) == (expected, True)


def test_among_nothing_finds_nothing(index: VectorIndex) -> None:
    index.apply(rows=rows_of(1), vectors=axis(0), removed=NONE, generation=1)
    found = index.search(axis(0)[0], n=3, among=NONE)
    assert (found.rows.tolist(), found.exhausted) == ([], True)


def test_zero_vectors_are_held_and_never_returned(index: VectorIndex) -> None:
    vectors = np.concatenate([axis(0), 0 * axis(0), axis(1), 0 * axis(0), -axis(0)])
    index.apply(rows=np.arange(5), vectors=vectors, removed=NONE, generation=1)
    assert len(index) == 5
    for n in (2, 3, 5):
        found = index.search(axis(0)[0], n=n)
        assert found.rows.tolist() == [0, 2, 4][:n]
        assert found.scores.tolist() == [1.0, 0.0, -1.0][:n]
        assert found.exhausted == (n >= 3)
    assert index.search(axis(0)[0], n=2, among=rows_of(1, 2, 3)).rows.tolist() == [2]
    index.apply(rows=NONE, vectors=axis(0)[:0], removed=rows_of(3), generation=2)
    assert len(index) == 4


def test_a_zero_query_is_near_to_nothing(index: VectorIndex) -> None:
    index.apply(rows=rows_of(1), vectors=axis(0), removed=NONE, generation=1)
    found = index.search(np.zeros(DIMS, dtype=np.float32), n=3)
    assert (found.rows.tolist(), found.exhausted, found.generation) == ([], True, 1)


def test_length_does_not_matter(index: VectorIndex) -> None:
    scales = np.array([[1e-30], [1.0], [1e30]], dtype=np.float32)
    index.apply(rows=np.arange(3), vectors=random_vectors(1) * scales, removed=NONE, generation=1)
    found = index.search(1e20 * random_vectors(1)[0], n=3)
    assert found.rows.tolist() == [0, 1, 2]
    np.testing.assert_allclose(found.scores, 1.0, atol=CLOSE)


def test_vectors_of_another_size_are_refused_whole(index: VectorIndex) -> None:
    for shape in ((2, DIMS + 1), (2, DIMS - 1), (2,)):
        vectors = np.ones(shape, dtype=np.float32)
        with pytest.raises(SpaceMismatch, match="test:contract"):
            index.apply(rows=rows_of(1, 2), vectors=vectors, removed=NONE, generation=1)
    assert (len(index), index.applied_generation) == (0, 0)


def test_vectors_that_are_not_finite_are_refused_whole(index: VectorIndex) -> None:
    for value in (np.nan, np.inf, -np.inf):
        vectors = random_vectors(3)
        vectors[2, 5] = value
        with pytest.raises(SpaceMismatch, match="NaN or infinity"):
            index.apply(rows=rows_of(1, 2, 3), vectors=vectors, removed=NONE, generation=1)
        with pytest.raises(SpaceMismatch, match="not finite"):
            index.search(vectors[2], n=1)
    assert (len(index), index.applied_generation) == (0, 0)


def test_a_query_of_another_size_is_refused(index: VectorIndex) -> None:
    with pytest.raises(SpaceMismatch, match="17 numbers"):
        index.search(np.ones(DIMS + 1, dtype=np.float32), n=1)


def test_rows_that_do_not_rise_or_fit_are_refused_whole(index: VectorIndex) -> None:
    for rows in (rows_of(2, 1), rows_of(1, 1), rows_of(-1, 3), rows_of(1)):
        with pytest.raises(IndexDamaged):
            index.apply(rows=rows, vectors=random_vectors(2), removed=NONE, generation=1)
    assert (len(index), index.applied_generation) == (0, 0)


def test_everything_is_there_after_reopening(open_index: Open) -> None:
    vectors, query = random_vectors(130), random_vectors(1, seed=2)[0]
    first = open_index()
    first.apply(rows=np.arange(130), vectors=vectors, removed=NONE, generation=1)
    first.apply(rows=NONE, vectors=vectors[:0], removed=rows_of(0, 129), generation=2)
    before = first.search(query, n=128)
    first.close()
    second = open_index()
    after = second.search(query, n=128)
    assert (len(second), second.applied_generation) == (128, 2)
    assert after.rows.tolist() == before.rows.tolist()
    assert after.scores.tolist() == before.scores.tolist()
    second.apply(rows=rows_of(130), vectors=query[None, :], removed=NONE, generation=3)
    assert second.search(query, n=1).rows.tolist() == [130]


def test_an_index_of_another_ledger_is_locked_and_untouched(open_index: Open) -> None:
    first = open_index()
    first.apply(rows=rows_of(1), vectors=axis(0), removed=NONE, generation=6)
    first.close()
    with pytest.raises(IndexLocked, match="ledger-1"):
        open_index(ledger="ledger-2")
    again = open_index()
    assert (len(again), again.applied_generation) == (1, 6)


def test_an_index_of_another_space_is_refused(open_index: Open) -> None:
    first = open_index()
    first.apply(rows=rows_of(1), vectors=axis(0), removed=NONE, generation=6)
    first.close()
    for space in (Space(model="test:other", dims=DIMS), Space(model="test:contract", dims=8)):
        with pytest.raises(SpaceMismatch):
            open_index(space=space)
    assert open_index().applied_generation == 6


def test_closing_twice_is_harmless_and_ends_all_use(index: VectorIndex) -> None:
    index.apply(rows=rows_of(1), vectors=axis(0), removed=NONE, generation=1)
    index.close()
    index.close()
    with pytest.raises(IndexLocked, match="closed"):
        index.search(axis(0)[0], n=1)
    with pytest.raises(IndexLocked, match="closed"):
        index.apply(rows=rows_of(2), vectors=axis(0), removed=NONE, generation=2)


def test_errors_are_one_line(open_index: Open) -> None:
    index = open_index()
    index.apply(rows=rows_of(1), vectors=axis(0), removed=NONE, generation=1)
    wrong: list[Callable[[], object]] = [
        lambda: index.search(np.ones(3, dtype=np.float32), n=1),
        lambda: index.apply(rows=rows_of(2, 1), vectors=random_vectors(2), removed=NONE, generation=1),
        lambda: open_index(ledger="ledger-2"),
        lambda: open_index(space=Space(model="test:other", dims=DIMS)),
    ]
    for call in wrong:
        with pytest.raises((SpaceMismatch, IndexDamaged, IndexLocked)) as caught:
            call()
        assert "\n" not in str(caught.value)
        assert ": " in str(caught.value)


def test_searches_run_beside_an_apply(index: VectorIndex) -> None:
    vectors = random_vectors(400)
    index.apply(rows=np.arange(100), vectors=vectors[:100], removed=NONE, generation=1)
    query = random_vectors(1, seed=4)[0]
    exact = cosine(vectors, query)
    failures: list[object] = []
    done = threading.Event()

    def read() -> None:
        seen = 0
        try:
            while not done.is_set():
                found = index.search(query, n=30)
                np.testing.assert_allclose(found.scores, exact[found.rows], atol=CLOSE)
                if len(found.rows) != 30 or found.generation < seen:
                    failures.append(found)
                seen = found.generation
        except Exception as error:  # noqa: BLE001 - handed to the test
            failures.append(error)

    readers = [threading.Thread(target=read) for _ in range(2)]
    for reader in readers:
        reader.start()
    try:
        for step in range(100, 400, 20):
            rows = np.arange(step, step + 20)
            index.apply(rows=rows, vectors=vectors[rows], removed=rows[:1] - 100, generation=step)
    finally:
        done.set()
        for reader in readers:
            reader.join(timeout=30)
    assert not failures
    assert len(index) == 385
