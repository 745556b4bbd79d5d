"""What to read around a chunk that was found: the largest section that fits, else its neighbours."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from doubles_chunking import WordTokenizer
from ragweft.chunking import StructureChunker, parent
from ragweft.types import Document

PATHS = [
    ("Guide",),
    ("Guide", "Install"),
    ("Guide", "Install"),
    ("Guide", "Install", "Linux"),
    ("Guide", "Use"),
    ("Guide", "Use", "Name | Qty"),
    ("Licence",),
]
TOKENS = [10] * len(PATHS)


@pytest.mark.parametrize(
    ("place", "budget", "expected"),
    [
        (2, 1_000, range(7)),
        (2, 69, range(6)),
        (2, 59, range(1, 4)),
        (2, 29, range(2, 4)),
        (2, 19, range(2, 3)),
        (2, 1, range(2, 3)),
        (3, 59, range(1, 4)),
        (3, 29, range(3, 4)),
        (5, 20, range(4, 6)),
        (6, 30, range(6, 7)),
        (0, 59, range(5)),
    ],
)
def test_largest_section_that_fits(place: int, budget: int, expected: range) -> None:
    assert parent(PATHS, TOKENS, place, budget=budget) == expected


def test_without_headings_neighbours_are_taken_on_both_sides() -> None:
    nothing: list[tuple[str, ...]] = [()] * 9
    assert parent(nothing, [10] * 9, 4, budget=50) == range(2, 7)
    assert parent(nothing, [10] * 9, 4, budget=45) == range(3, 7)
    assert parent(nothing, [10] * 9, 0, budget=30) == range(3)
    assert parent(nothing, [10] * 9, 8, budget=30) == range(6, 9)
    assert parent(nothing, [10, 10, 10, 10, 99, 10, 10, 10, 10], 3, budget=40) == range(4)


def test_sections_of_the_same_name_apart_are_two() -> None:
    paths = [("A",), ("Notes",), ("B",), ("Notes",)]
    assert parent(paths, [10] * 4, 3, budget=30) == range(3, 4)


@settings(max_examples=200)
@given(
    chunks=st.lists(
        st.tuples(st.lists(st.sampled_from("ab"), max_size=3).map(tuple), st.integers(0, 40)),
        min_size=1,
        max_size=20,
    ),
    share=st.floats(0, 1),
    budget=st.integers(0, 200),
)
def test_any_headings(chunks: list[tuple[tuple[str, ...], int]], share: float, budget: int) -> None:
    headings, tokens = [path for path, _ in chunks], [count for _, count in chunks]
    place = min(int(share * len(chunks)), len(chunks) - 1)
    found = parent(headings, tokens, place, budget=budget)
    assert place in found
    assert 0 <= found.start < found.stop <= len(chunks)
    assert sum(tokens[at] for at in found) <= max(budget, tokens[place])
    if sum(tokens) <= budget:
        assert found == range(len(chunks))
    larger = parent(headings, tokens, place, budget=budget + 50)
    assert sum(tokens[at] for at in larger) >= min(sum(tokens[at] for at in found), budget)


def test_text_of_a_parent_is_the_documents_own() -> None:
    section = "Some words make a sentence here. " * 30
    text = "\n\n".join(f"# Part {n}\n\n{section}" for n in range(4))
    chunks = StructureChunker(tokenizer=WordTokenizer(), size=60).chunk(
        Document(id="a", text=text, format="markdown")
    )
    tokens = [len(WordTokenizer().encode(chunk.text).ids) for chunk in chunks]
    place = next(place for place, chunk in enumerate(chunks) if chunk.headings == ("Part 2",))
    found = parent([chunk.headings for chunk in chunks], tokens, place, budget=400)
    first, last = chunks[found.start].span, chunks[found.stop - 1].span
    assert first is not None
    assert last is not None
    assert text[first.start : last.end] == f"# Part 2\n\n{section}".rstrip()
