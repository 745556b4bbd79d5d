"""Small chunks to search, large ones to read: what is read around a hit, as far as the tokens reach."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from doubles_chunking import WordTokenizer
from ragweft.chunking import StructureChunker
from ragweft.packing import Expand, pack
from ragweft.types import Chunk, Citation, Document, Hit, Span

PATHS = [
    ("Guide",),
    ("Guide", "Install"),
    ("Guide", "Install"),
    ("Guide", "Install", "Linux"),
    ("Guide", "Use"),
    ("Guide", "Use", "Name | Qty"),
    ("Licence",),
]
TENS = [10] * len(PATHS)


def words(text: str) -> int:
    return len(re.findall(r"\S+", text))


@dataclass
class OneDocument:
    """A document and its chunks, in memory."""

    whole: str
    pieces: Sequence[Chunk]

    @classmethod
    def of(cls, headings: Sequence[tuple[str, ...]], tokens: Sequence[int]) -> OneDocument:
        """Chunks of so many words each, all different, a line each."""
        whole, pieces = "", list[Chunk]()
        for number, (path, count) in enumerate(zip(headings, tokens, strict=True)):
            text = " ".join(f"w{number}.{place}" for place in range(count))
            span = Span(start=len(whole), end=len(whole) + len(text))
            pieces.append(
                Chunk(id=str(number), document_id="d", ordinal=number, text=text, span=span, headings=path)
            )
            whole += text + "\n"
        return cls(whole, pieces)

    def text(self, document_id: str) -> str | None:
        return self.whole

    def chunks(self, document_id: str) -> Sequence[Chunk]:
        return self.pieces

    def vectors(self, rows: Sequence[int]) -> None:
        return None

    def count(self, text: str) -> int:
        return words(text)

    def read(self, place: int, *, budget: int, expand: Expand) -> str:
        """What is read around the chunk at *place* with room for *budget* words of text."""
        hit = Hit(
            chunk=self.pieces[place], score=1.0, origins={}, citation=Citation(source="d", uri="d", headings=())
        )
        bare = pack([hit], max_tokens=1_000_000, count=words, library=self, expand="none")
        heading = words(bare.passages[0].heading)
        most = heading + max(budget, words(hit.chunk.text))
        (passage,) = pack([hit], max_tokens=most, count=words, library=self, expand=expand).passages
        return passage.text

    def found(self, place: int, *, budget: int, expand: Expand) -> range:
        """The same as the places of the chunks that were read."""
        text = self.read(place, budget=budget, expand=expand)
        inside = [n for n, chunk in enumerate(self.pieces) if chunk.text in text]
        assert inside == list(range(inside[0], inside[-1] + 1))
        assert text in self.whole
        return range(inside[0], inside[-1] + 1)


@pytest.mark.parametrize(
    ("place", "budget", "expand", "expected"),
    [
        (2, 1_000, "section", range(1, 4)),
        (2, 59, "section", range(1, 4)),
        (2, 29, "section", range(2, 4)),
        (2, 19, "section", range(2, 3)),
        (2, 1, "section", range(2, 3)),
        (3, 59, "section", range(3, 4)),
        (0, 1_000, "section", range(6)),
        (0, 59, "section", range(5)),
        (6, 1_000, "section", range(6, 7)),
        (2, 1_000, "document", range(7)),
        (2, 69, "document", range(6)),
        (3, 39, "document", range(1, 4)),
        (5, 20, "document", range(4, 6)),
        (6, 30, "document", range(4, 7)),
    ],
)
def test_as_much_of_the_section_as_fits(place: int, budget: int, expand: Expand, expected: range) -> None:
    assert OneDocument.of(PATHS, TENS).found(place, budget=budget, expand=expand) == expected


@pytest.mark.parametrize(
    ("sizes", "place", "budget", "expected"),
    [
        ([10] * 9, 4, 50, range(2, 7)),
        ([10] * 9, 4, 45, range(3, 7)),
        ([10] * 9, 0, 30, range(3)),
        ([10] * 9, 8, 30, range(6, 9)),
        ([10, 10, 10, 10, 99, 10, 10, 10, 10], 3, 40, range(4)),
        ([10, 10, 99, 10, 10], 3, 20, range(3, 5)),
    ],
)
def test_neighbours_are_taken_on_both_sides_and_then_on_one(
    sizes: list[int], place: int, budget: int, expected: range
) -> None:
    document = OneDocument.of([()] * len(sizes), sizes)
    assert document.found(place, budget=budget, expand="section") == expected


def test_sections_of_the_same_name_apart_are_two() -> None:
    paths = [("A",), ("Notes",), ("B",), ("Notes",)]
    assert OneDocument.of(paths, [10] * 4).found(3, budget=1_000, expand="section") == range(3, 4)


@settings(max_examples=200, deadline=None)
@given(
    chunks=st.lists(
        st.tuples(st.lists(st.sampled_from("ab"), max_size=3).map(tuple), st.integers(1, 40)),
        min_size=1,
        max_size=20,
    ),
    share=st.floats(0, 1),
    budget=st.integers(0, 200),
)
def test_any_headings(chunks: list[tuple[tuple[str, ...], int]], share: float, budget: int) -> None:
    headings, tokens = [path for path, _ in chunks], [count for _, count in chunks]
    document = OneDocument.of(headings, tokens)
    place = min(int(share * len(chunks)), len(chunks) - 1)
    found = document.found(place, budget=budget, expand="document")
    assert place in found
    read = sum(tokens[at] for at in found)
    assert read <= max(budget, tokens[place])
    if sum(tokens) <= budget:
        assert found == range(len(chunks))
    larger = document.found(place, budget=budget + 50, expand="document")
    assert sum(tokens[at] for at in larger) >= min(read, budget)
    section = document.found(place, budget=budget, expand="section")
    depth = len(headings[place])
    assert place in section
    assert all(headings[at][:depth] == headings[place] for at in section)


def test_the_text_read_is_the_documents_own() -> None:
    section = "Some words make a sentence here. " * 30
    text = "\n\n".join(f"# Part {n}\n\n{section}" for n in range(4))
    chunks = StructureChunker(tokenizer=WordTokenizer(), size=60).chunk(
        Document(id="d", text=text, format="markdown")
    )
    place = next(place for place, chunk in enumerate(chunks) if chunk.headings == ("Part 2",))
    read = OneDocument(text, chunks).read(place, budget=400, expand="section")
    assert read == f"# Part 2\n\n{section}".rstrip()
