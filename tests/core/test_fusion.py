from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ragweft.retrieval.fusion import METHODS, fuse
from ragweft.types import Ranking


def ranking(scores: dict[int, float]) -> Ranking:
    rows = np.array(sorted(scores, key=lambda row: (-scores[row], row)), dtype=np.int64)
    values = np.array([scores[int(row)] for row in rows], dtype=np.float32)
    return Ranking(rows=rows, scores=values, generation=1)


def order(**legs: dict[int, float]) -> list[int]:
    fused = fuse({name: ranking(scores) for name, scores in legs.items()}, dict.fromkeys(legs, 0.5))
    return [int(row) for row in fused.rows]


def test_convex_by_hand() -> None:
    fused = fuse(
        {"dense": ranking({1: 0.9, 2: 0.5, 3: 0.1}), "lexical": ranking({2: 8.0, 4: 4.0})},
        {"dense": 0.3, "lexical": 0.7},
    )
    assert dict(zip(fused.rows.tolist(), fused.scores.tolist(), strict=True)) == pytest.approx(
        {2: 0.85, 1: 0.3, 3: 0.0, 4: 0.0}, abs=1e-6
    )
    assert fused.rows.tolist() == [2, 1, 3, 4]
    assert fused.normalised["lexical"].tolist() == [1.0, 0.0]
    assert fused.weights == {"dense": 0.3, "lexical": 0.7}


def test_rrf_by_hand() -> None:
    legs = {"dense": ranking({1: 9.0, 2: 8.0}), "lexical": ranking({2: 1.0, 3: 0.5})}
    fused = fuse(legs, {"dense": 0.5, "lexical": 0.5}, method="rrf", k=60)
    by_row = dict(zip(fused.rows.tolist(), fused.scores.tolist(), strict=True))
    assert by_row == pytest.approx({2: 0.5 / 62 + 0.5 / 61, 1: 0.5 / 61, 3: 0.5 / 62}, abs=1e-9)


def test_zscore_gives_absent_rows_the_legs_worst() -> None:
    legs = {"dense": ranking({1: 3.0, 2: 1.0}), "lexical": ranking({3: 1.0})}
    fused = fuse(legs, {"dense": 0.5, "lexical": 0.5}, method="zscore")
    by_row = dict(zip(fused.rows.tolist(), fused.scores.tolist(), strict=True))
    assert by_row[3] == pytest.approx(by_row[2])
    assert by_row[1] > by_row[2]


def test_a_silent_leg_leaves_the_other_on_its_own_scale() -> None:
    fused = fuse({"dense": ranking({1: 0.9, 2: 0.1}), "lexical": ranking({})}, {"dense": 0.3, "lexical": 0.7})
    assert fused.scores.tolist() == [1.0, 0.0]


def test_nothing_found_is_nothing_fused() -> None:
    assert len(fuse({"dense": ranking({}), "lexical": ranking({})}, {"dense": 0.3, "lexical": 0.7}).rows) == 0


def test_ties_fall_to_the_lower_row() -> None:
    assert order(a={7: 1.0, 3: 1.0, 5: 1.0}) == [3, 5, 7]


rankings = st.dictionaries(st.integers(0, 30), st.floats(-5, 50, width=32), max_size=12)


@given(a=rankings, b=rankings, method=st.sampled_from(sorted(METHODS)), weight=st.floats(0, 1))
def test_invariants(a: dict[int, float], b: dict[int, float], method: str, weight: float) -> None:
    legs = {"a": ranking(a), "b": ranking(b)}
    before = {name: (leg.rows.copy(), leg.scores.copy()) for name, leg in legs.items()}
    fused = fuse(legs, {"a": weight, "b": 1 - weight}, method=method)
    speaking = (set(a) if weight > 0 else set()) | (set(b) if weight < 1 else set()) or set(a) | set(b)
    assert sorted(fused.rows.tolist()) == sorted(speaking)
    assert (np.diff(fused.scores) <= 0).all()
    assert np.isfinite(fused.scores).all()
    for name, leg in legs.items():
        assert (leg.rows == before[name][0]).all()
        assert (leg.scores == before[name][1]).all()


@given(a=rankings, method=st.sampled_from(sorted(METHODS)))
def test_one_leg_keeps_its_own_order(a: dict[int, float], method: str) -> None:
    leg = ranking(a)
    fused = fuse({"a": leg}, {"a": 1.0}, method=method)
    places = {int(row): place for place, row in enumerate(leg.rows)}
    scores = dict(zip(leg.rows.tolist(), leg.scores.tolist(), strict=True))
    out = fused.rows.tolist()
    for first, second in zip(out, out[1:], strict=False):
        assert places[first] < places[second] or scores[first] == pytest.approx(scores[second], abs=1e-4)
