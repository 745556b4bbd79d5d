"""Our own BM25 against numbers worked out elsewhere."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ragweft.lexical.bm25 import Collection, collection_of, idf, kept_length, scores


@pytest.mark.parametrize(
    ("length", "kept"),
    # From the table of 256 lengths Lucene and tantivy share.
    [(0, 0), (1, 1), (39, 39), (40, 40), (41, 40), (55, 54), (57, 56), (59, 56), (60, 60), (87, 84), (88, 88)],
)
def test_lengths_are_kept_in_one_byte(length: int, kept: int) -> None:
    assert kept_length(length) == kept


@given(st.integers(0, 2**31 - 1))
def test_a_kept_length_is_never_more_and_hardly_less(length: int) -> None:
    kept = kept_length(length)
    assert kept <= length
    assert length - kept <= max(0, length - 24) / 8
    assert kept_length(kept) == kept


def test_there_are_no_more_kept_lengths_than_bytes() -> None:
    assert len({kept_length(length) for length in range(100_000)}) < 256


def test_idf_is_positive_even_for_a_word_everybody_uses() -> None:
    assert idf(documents=10, containing=10) == pytest.approx(math.log(1 + 0.5 / 10.5))
    assert idf(documents=10, containing=1) > idf(documents=10, containing=2) > 0


def test_a_score_worked_out_by_hand() -> None:
    collection = Collection(documents=4, average_length=3.0, containing={"cat": 1, "dog": 2})
    found = scores({"cat": 2, "dog": 1}, [["cat", "cat", "dog"], ["fish"], []], collection=collection)
    cat = 2 * math.log(1 + 3.5 / 1.5) * 2.2 * 2 / (2 + 1.2)
    dog = math.log(1 + 2.5 / 2.5) * 2.2 * 1 / (1 + 1.2)
    assert found.tolist() == pytest.approx([cat + dog, 0.0, 0.0])


def test_statistics_of_texts() -> None:
    collection = collection_of([["a", "a", "b"], ["a"]])
    assert (collection.documents, collection.average_length) == (2, 2.0)
    assert dict(collection.containing) == {"a": 2, "b": 1}
    assert collection_of([]).documents == 0
