"""Counting tokens of spans, and cutting where the count holds, held against encoding every piece."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from doubles_chunking import WordTokenizer
from ragweft.chunking.ruler import Ruler

TOKENIZER = WordTokenizer()
pieces = st.sampled_from(
    ["a", "word", "文", "。", "x" * 70, " ", "  ", "\n", "e\u0301", "👩\u200d👧", "👍🏽", "a\u0301\u0323" * 30]
)
texts = st.lists(pieces, max_size=40).map("".join)


def tokens(text: str) -> int:
    return len(TOKENIZER.encode(text).ids)


@settings(max_examples=300, deadline=None)
@given(text=texts, data=st.data())
def test_spans_between_safe_cuts_are_counted_exactly(text: str, data: st.DataObject) -> None:
    ruler = Ruler(text, TOKENIZER)
    safe = [position for position in range(len(text) + 1) if ruler.is_safe(position)]
    start, end = sorted(data.draw(st.tuples(st.sampled_from(safe), st.sampled_from(safe))))
    assert ruler.count(start, end) == tokens(text[start:end])
    assert sorted(ruler.index(position) for position in range(len(text) + 1)) == [
        ruler.index(position) for position in range(len(text) + 1)
    ]


@settings(max_examples=500, deadline=None)
@given(text=texts.filter(bool), limit=st.integers(min_value=1, max_value=40), data=st.data())
def test_reach_gives_a_piece_that_fits(text: str, limit: int, data: st.DataObject) -> None:
    start = data.draw(st.integers(min_value=0, max_value=len(text) - 1))
    end = data.draw(st.integers(min_value=start + 1, max_value=len(text)))
    cut = Ruler(text, TOKENIZER).reach(start, end, limit)
    piece = text[start:cut]
    assert start < cut <= end
    assert tokens(piece) <= limit or (len(piece.strip()) <= 64 and len(piece.split()) == 1)
    if tokens(text[start:end]) <= limit:
        assert cut == end


def test_reach_is_right_everywhere_in_a_small_text() -> None:
    text = "longer words, a b c d e " + "x" * 70 + " f g\n" + "文。" * 40 + " h i j"
    ruler = Ruler(text, TOKENIZER)
    for limit in (1, 2, 5, 9, 18):
        for start in range(len(text)):
            for end in range(start + 1, len(text) + 1, 7):
                piece = text[start : ruler.reach(start, end, limit)]
                assert tokens(piece) <= limit or (len(piece.strip()) <= 64 and len(piece.split()) == 1)


@pytest.mark.parametrize("cluster", ["e\u0301\u0323", "👩\u200d👩\u200d👧", "👍🏽"])
@pytest.mark.parametrize("lead", ["", "x", "word word "])
def test_cuts_in_a_run_without_spaces_do_not_part_characters(cluster: str, lead: str) -> None:
    text = lead + cluster * 200
    ruler = Ruler(text, TOKENIZER)
    at = len(lead)
    while at < len(text):
        at = ruler.reach(at, len(text), 40)
        assert (at - len(lead)) % len(cluster) == 0


@settings(max_examples=200, deadline=None)
@given(text=texts.filter(bool), wanted=st.integers(min_value=0, max_value=30), data=st.data())
def test_back_leaves_at_most_so_many_tokens(text: str, wanted: int, data: st.DataObject) -> None:
    ruler = Ruler(text, TOKENIZER)
    position = data.draw(st.sampled_from([p for p in range(len(text) + 1) if ruler.is_safe(p)]))
    found = ruler.back(position, wanted)
    assert 0 <= found <= position
    assert ruler.count(found, position) <= wanted
