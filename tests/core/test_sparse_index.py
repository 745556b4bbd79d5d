"""The inverted index over learned word weights by itself: exact against brute force, and small again after use."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ragweft.vectors.sparse import SparseIndex
from ragweft.vectors.sparse_rows import asked_weights, packed, products, unpacked

if TYPE_CHECKING:
    from ragweft.types import Rows


@dataclass
class Model:
    """What a `SparseIndex` should hold."""

    living: dict[int, dict[int, float]]
    last: int = 0
    generation: int = 0


tokens = st.dictionaries(st.integers(0, 12), st.floats(0, 4, allow_nan=False, width=32), max_size=6)
steps = st.lists(
    st.tuples(st.lists(tokens, max_size=8), st.sets(st.integers(0, 40), max_size=12)), min_size=1, max_size=9
)


@settings(max_examples=80, deadline=None)
@given(
    steps=steps,
    asked=tokens,
    among=st.sets(st.integers(0, 45)),
    n=st.integers(0, 12),
    most=st.integers(1, 30),
    down=st.booleans(),
)
def test_an_index_ranks_as_brute_force_does(
    steps: Sequence[tuple[Sequence[Mapping[int, float]], set[int]]],
    asked: Mapping[int, float],
    among: set[int],
    n: int,
    most: int,
    down: bool,
) -> None:
    index, model = SparseIndex(segment_entries=most), Model(living={})
    for texts, removed in steps:
        # Rows whose weights came late stand below others that are held already.
        rows = [200 - n if down else n for n in range(model.last + 1, model.last + 1 + len(texts))]
        model.last += len(texts)
        model.generation += 1
        model.living.update(zip(rows, map(dict, texts), strict=True))
        gone = {200 - n if down else n for n in removed if n <= model.last}
        model.living = {row: weights for row, weights in model.living.items() if row not in gone}
        for _ in range(2):  # applying again changes nothing
            index.apply(
                rows=np.array([row for row in rows if row not in gone], dtype=np.int64),
                weights=unpacked([packed(t) for row, t in zip(rows, texts, strict=True) if row not in gone]),
                removed=np.array(sorted(gone), dtype=np.int64),
                generation=model.generation,
            )
        assert (index.applied_generation, len(index)) == (model.generation, len(model.living))
        assert index.rows.tolist() == sorted(model.living)
        for offered in (None, np.array(sorted(200 - n if down else n for n in among), dtype=np.int64)):
            _check_ranking(index, model, asked, offered, n)


def _check_ranking(
    index: SparseIndex, model: Model, asked: Mapping[int, float], among: Rows | None, n: int
) -> None:
    scores: dict[int, np.float32] = {}
    for row, weights in model.living.items():
        shared = sorted(t for t in weights.keys() & asked.keys() if weights[t] > 0 and asked[t] > 0)
        if shared and (among is None or row in among.tolist()):
            scores[row] = np.float32(sum(float(np.float32(weights[t])) * asked[t] for t in shared))
    order = sorted(scores, key=lambda row: (-scores[row], row))
    found = index.search(asked, n=n, among=among)
    assert found.rows.tolist() == order[:n]
    assert found.scores.tolist() == [scores[row] for row in order[:n]]
    assert (str(found.rows.dtype), str(found.scores.dtype)) == ("int64", "float32")
    assert found.exhausted == (n >= len(order))
    assert found.generation == model.generation


def test_many_small_changes_leave_few_segments() -> None:
    index = SparseIndex(segment_entries=400)
    none = np.empty(0, dtype=np.int64)
    for row in range(1, 301):
        weights = unpacked([packed(dict.fromkeys(range(row % 7, row % 7 + 5), 1.0))])
        # Two of three rows die soon after they were born.
        gone = np.array([row - 9], dtype=np.int64) if row % 3 and row > 9 else none
        index.apply(rows=np.array([row]), weights=weights, removed=gone, generation=row)
    assert len(index) == len(index.rows) == 300 - 194
    segments = index._state.segments
    assert len(segments) < 12
    assert all(np.count_nonzero(segment.dead) <= 0.3 * len(segment.rows) for segment in segments)
    index.apply(rows=none, weights=unpacked([]), removed=index.rows, generation=301)
    assert not index._state.segments


def test_what_is_dead_gives_its_memory_back() -> None:
    index, none = SparseIndex(), np.empty(0, dtype=np.int64)
    index.apply(rows=np.arange(100), weights=unpacked([packed({7: 1.0})] * 100), removed=none, generation=1)
    index.apply(rows=none, weights=unpacked([]), removed=np.arange(29), generation=2)
    assert [len(segment.places) for segment in index._state.segments] == [100]
    index.apply(rows=none, weights=unpacked([]), removed=np.arange(40), generation=3)
    assert [len(segment.places) for segment in index._state.segments] == [60]


def test_scores_of_rows_that_are_not_applied_are_the_same_to_the_last_digit() -> None:
    random = np.random.default_rng(4)
    texts = [
        {int(t): float(w) for t, w in zip(random.integers(0, 400, 80), random.random(80), strict=True)}
        for _ in range(300)
    ]
    asked = {token: 0.1 + token / 777 for token in range(0, 400, 3)}
    rows = unpacked([packed(text) for text in texts])
    index = SparseIndex(segment_entries=5_000)
    for start in range(0, 300, 50):
        part = unpacked([packed(text) for text in texts[start : start + 50]])
        numbers = np.arange(start, start + 50)
        index.apply(rows=numbers, weights=part, removed=np.empty(0, np.int64), generation=1)
    found = index.search(asked, n=300)
    np.testing.assert_array_equal(
        found.scores, products(rows, asked_weights(asked)).astype(np.float32)[found.rows]
    )


@pytest.mark.parametrize("weights", [{-1: 1.0}, {2**31: 1.0}, {1: -0.5}, {1: float("nan")}, {1: 1e300}])
def test_what_is_no_weight_is_refused(weights: Mapping[int, float]) -> None:
    with pytest.raises(ValueError, match=r"weight is negative|token number"):
        packed(weights)


def test_weights_are_kept_by_rising_token_without_zeros() -> None:
    rows = unpacked([packed({9: 0.5, 3: 1.5, 4: 0.0}), packed({}), packed({2**31 - 1: 2.0})])
    assert rows.lengths.tolist() == [2, 0, 1]
    assert rows.tokens.tolist() == [3, 9, 2**31 - 1]
    assert rows.weights.tolist() == [1.5, 0.5, 2.0]
    with pytest.raises(ValueError, match="cut short"):
        unpacked([b"1234"])
