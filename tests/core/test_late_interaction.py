"""Late interaction against a slow reference that follows its description word by word."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ragweft.reranking import late_interaction, token_weights
from ragweft.reranking.late_interaction import MOST_QUERY_TOKENS

VOCABULARY = 300
LENGTHS = (0, 1, 2, 15, 16, 17, 31, 32, 33, 47, 48, 49, 63, 64, 65, 80, 130)
BLOCK = 16


def table(seed: int = 0, dims: int = 8) -> np.ndarray:
    drawn = np.random.default_rng(seed).normal(size=(VOCABULARY, dims))
    unit: np.ndarray = (drawn / np.linalg.norm(drawn, axis=1, keepdims=True)).astype(np.float32)
    return unit


def reference(query: np.ndarray, weights: np.ndarray, passage: np.ndarray, vectors: np.ndarray) -> float:
    heaviest = sorted(range(len(query)), key=lambda place: (-weights[place], place))[:MOST_QUERY_TOKENS]
    total = sum(float(weights[place]) for place in heaviest)
    if not len(passage) or total <= 0:
        return 0.0
    sizes = []
    for size in (2 * BLOCK, 4 * BLOCK):
        best = 0.0
        for start in range(0, len(passage), BLOCK):
            window = passage[start : start + size]
            value = 0.0
            for place in heaviest:
                nearest = max(float(vectors[query[place]] @ vectors[token]) for token in window)
                value += float(weights[place]) / total * max(nearest, 0.0) ** 2
            best = max(best, value)
        sizes.append(best)
    return sum(sizes) / 2


@st.composite
def questions(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, list[np.ndarray], np.ndarray]:
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    asked = draw(st.sampled_from((1, 2, 5, 12)))
    query = random.choice(VOCABULARY, size=asked, replace=False).astype(np.int32)
    weights = random.exponential(size=asked).astype(np.float32) * (random.random(asked) < 0.9)
    lengths = draw(st.lists(st.sampled_from(LENGTHS), min_size=1, max_size=5))
    passages = [random.integers(0, VOCABULARY, size=length).astype(np.int32) for length in lengths]
    vectors = table(seed=draw(st.integers(0, 50)), dims=draw(st.sampled_from((2, 8))))
    return query, weights.astype(np.float32), passages, vectors


@settings(max_examples=60, deadline=None)
@given(questions())
def test_scores_are_those_of_the_reference(
    asked: tuple[np.ndarray, np.ndarray, list[np.ndarray], np.ndarray],
) -> None:
    query, weights, passages, vectors = asked
    scores = late_interaction(query, weights, passages, vectors)
    assert scores.dtype == np.float32
    assert scores.shape == (len(passages),)
    assert scores.tolist() == pytest.approx(
        [reference(query, weights, passage, vectors) for passage in passages], abs=2e-5
    )
    assert (scores >= 0).all()
    assert (scores <= 1 + 1e-5).all()


@settings(max_examples=40, deadline=None)
@given(questions(), st.randoms(use_true_random=False))
def test_a_passage_scores_the_same_among_any_others(
    asked: tuple[np.ndarray, np.ndarray, list[np.ndarray], np.ndarray], random: object
) -> None:
    query, weights, passages, vectors = asked
    together = late_interaction(query, weights, passages, vectors)
    order = list(range(len(passages)))
    random.shuffle(order)  # type: ignore[attr-defined]  # hypothesis hands a random.Random
    shuffled = late_interaction(query, weights, [passages[place] for place in order], vectors)
    assert shuffled.tolist() == pytest.approx(together[order].tolist(), abs=1e-6)
    alone = [float(late_interaction(query, weights, [passage], vectors)[0]) for passage in passages]
    assert alone == pytest.approx(together.tolist(), abs=1e-6)


def test_of_a_long_query_the_heaviest_tokens_count() -> None:
    random = np.random.default_rng(3)
    query = np.arange(MOST_QUERY_TOKENS + 36, dtype=np.int32)
    weights = random.permutation(np.arange(1, len(query) + 1)).astype(np.float32)
    passages = [random.integers(0, VOCABULARY, size=length).astype(np.int32) for length in (10, 70)]
    scores = late_interaction(query, weights, passages, table())
    expected = [reference(query, weights, passage, table()) for passage in passages]
    assert scores.tolist() == pytest.approx(expected, abs=2e-5)
    everything = weights / weights.sum()
    nearest = np.maximum(table()[query] @ table()[passages[0]].T, 0).max(axis=1) ** 2
    assert abs(float(everything @ nearest) - expected[0]) > 1e-3, "the light ones would have changed the score"


@pytest.mark.parametrize("length", [1, 15, 16, 17, 31, 32])
def test_a_passage_that_is_the_query_scores_one(length: int) -> None:
    query = np.arange(length, dtype=np.int32)
    weights = np.linspace(1, 2, length, dtype=np.float32)
    scores = late_interaction(query, weights, [query, query[::-1]], table())
    assert scores.tolist() == pytest.approx([1.0, 1.0], abs=1e-5)


def test_words_met_close_together_beat_words_far_apart() -> None:
    vectors = np.eye(VOCABULARY, dtype=np.float32)
    query, weights = np.array([1, 2], np.int32), np.ones(2, np.float32)
    filler = np.full(200, 9, dtype=np.int32)
    near, middle, far = filler.copy(), filler.copy(), filler.copy()
    near[[0, 31]] = middle[[0, 63]] = far[[0, 64]] = 1, 2
    scores = late_interaction(query, weights, [near, middle, far], vectors)
    assert scores.tolist() == pytest.approx([1.0, 0.75, 0.5])


def test_what_fills_up_a_block_meets_nothing() -> None:
    # Token 0 is in the query: padding that stood for token 0, or for the next passage's, would meet it.
    vectors = np.eye(VOCABULARY, dtype=np.float32)
    query, weights = np.array([0, 5], np.int32), np.ones(2, np.float32)
    passages = [np.array([7], np.int32), np.array([0, 5], np.int32), np.array([], np.int32)]
    assert late_interaction(query, weights, passages, vectors).tolist() == [0.0, 1.0, 0.0]


def test_without_words_or_weights_everything_scores_nothing() -> None:
    passages = [np.arange(3, dtype=np.int32)]
    none = np.empty(0, np.int32)
    assert late_interaction(none, np.empty(0, np.float32), passages, table()).tolist() == [0.0]
    assert late_interaction(passages[0], np.zeros(3, np.float32), passages, table()).tolist() == [0.0]
    assert late_interaction(passages[0], np.ones(3, np.float32), [], table()).shape == (0,)
    assert late_interaction(passages[0], np.ones(3, np.float32), [none], table()).tolist() == [0.0]


def test_a_large_pool_is_scored_as_a_small_one() -> None:
    random = np.random.default_rng(8)
    drawn = random.normal(size=(20_000, 64)).astype(np.float32)
    vectors = drawn / np.linalg.norm(drawn, axis=1, keepdims=True)
    query = random.choice(20_000, size=60, replace=False).astype(np.int32)
    weights = np.ones(60, np.float32)
    passages = [random.integers(0, 20_000, size=300).astype(np.int32) for _ in range(30)]
    together = late_interaction(query, weights, passages, vectors)
    alone = [float(late_interaction(query, weights, [passage], vectors)[0]) for passage in passages]
    assert together.tolist() == pytest.approx(alone, abs=1e-5)


def test_token_weights_fall_with_frequency_and_are_never_negative() -> None:
    containing = np.array([0, 1, 5, 10, 40], np.int32)
    ids = np.arange(5, dtype=np.int32)
    weights = token_weights(ids, containing=containing, chunks=10)
    assert weights.dtype == np.float32
    assert weights[1] == pytest.approx(np.log(1 + 9.5 / 1.5), abs=1e-6)
    assert (np.diff(weights[:4]) < 0).all()
    assert weights[4] == weights[3], "a stale count above the number of chunks counts as all of them"
    assert (weights > 0).all()
