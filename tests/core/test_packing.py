"""Hits into a prompt: exact texts, whole sections, no repetition, never a token too many."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ragweft.excerpts import Mark
from ragweft.packing import Context, pack
from ragweft.types import Chunk, Citation, Hit, Span

if TYPE_CHECKING:
    from ragweft.types import Vectors


def words(text: str) -> int:
    return len(re.findall(r"\S+", text))


@dataclass
class Shelf:
    """Documents and their chunks, in memory."""

    texts: dict[str, str] = field(default_factory=dict)
    pieces: dict[str, list[Chunk]] = field(default_factory=dict)

    def add(self, name: str, sections: Sequence[tuple[tuple[str, ...], Sequence[str]]]) -> None:
        """A document of sections: heading path and paragraphs, each a chunk."""
        text, chunks = "", list[Chunk]()
        for headings, paragraphs in sections:
            for paragraph in paragraphs:
                start = len(text)
                text += paragraph + "\n\n"
                span = Span(start=start, end=start + len(paragraph))
                line = text.count("\n", 0, start) + 1
                chunks.append(
                    Chunk(
                        id=f"{name}{len(chunks)}",
                        document_id=name,
                        text=paragraph,
                        ordinal=len(chunks),
                        span=span,
                        headings=headings,
                        lines=(line, line + paragraph.count("\n")),
                    )
                )
        self.texts[name], self.pieces[name] = text, chunks

    def text(self, document_id: str) -> str | None:
        return self.texts.get(document_id)

    def chunks(self, document_id: str) -> Sequence[Chunk]:
        return self.pieces.get(document_id, [])

    def vectors(self, rows: Sequence[int]) -> Vectors:
        found: Vectors = np.eye(64, dtype=np.float32)[np.array(rows) % 64]
        return found

    def count(self, text: str) -> int:
        return words(text)

    def hit(self, name: str, number: int, score: float = 1.0, row: int | None = None) -> Hit:
        chunk = self.pieces[name][number]
        citation = Citation(
            source=f"{name}.md", uri=name, title=name, lines=chunk.lines, headings=chunk.headings
        )
        return Hit(chunk=chunk, score=score, origins={}, citation=citation, row=row)


@pytest.fixture
def shelf() -> Shelf:
    made = Shelf()
    made.add(
        "guide",
        [
            (("Keys",), ["keys are many things", "a key opens the door", "a key may be lost"]),
            (("Keys", "Rotating"), ["turn the key slowly", "then turn it again"]),
            (("Doors",), ["a door has hinges", "and a handle too"]),
        ],
    )
    made.add("other", [((), ["rivers run to the sea", "lakes stand still there"])])
    return made


def test_neighbours_become_one_passage_with_all_their_lines(shelf: Shelf) -> None:
    hits = [shelf.hit("guide", 1), shelf.hit("other", 0), shelf.hit("guide", 2)]
    packed = pack(hits, max_tokens=200, count=words, library=shelf, expand="none")
    first, second = packed.passages
    assert first.text == "a key opens the door\n\na key may be lost"
    assert first.chunk_ids == ("guide1", "guide2")
    assert (first.citation.lines, first.number) == ((3, 5), 1)
    assert first.heading == "[1] guide.md:3 — guide › Keys"
    assert second.text == "rivers run to the sea"
    assert str(packed) == f"{first}\n\n{second}"
    assert packed.tokens == words(str(packed))
    assert (packed.left_out, packed.repeated) == (0, 0)


def test_overlapping_hits_are_not_said_twice_even_without_the_document(shelf: Shelf) -> None:
    text = "one two three four five six seven eight"
    hits = [
        Hit(
            chunk=Chunk(id=f"c{a}", document_id="d", text=text[a:b], span=Span(start=a, end=b)),
            score=1.0,
            origins={},
            citation=Citation(source="d", uri="d"),
        )
        for a, b in ((14, 39), (0, 23))
    ]
    (passage,) = pack(hits, max_tokens=100, count=words).passages
    assert passage.text == text
    assert passage.chunk_ids == ("c14", "c0")


def test_what_is_left_goes_to_the_section_around(shelf: Shelf) -> None:
    hits = [shelf.hit("guide", 3)]
    section = pack(hits, max_tokens=100, count=words, library=shelf)
    assert section.passages[0].text == "turn the key slowly\n\nthen turn it again"
    whole = pack(hits, max_tokens=100, count=words, library=shelf, expand="document")
    assert whole.passages[0].text == shelf.texts["guide"].rstrip("\n")
    assert pack(hits, max_tokens=100, count=words, library=shelf, expand="none").passages[0].text == (
        "turn the key slowly"
    )
    tight = pack(hits, max_tokens=12, count=words, library=shelf)
    assert tight.passages[0].text == "turn the key slowly"


def test_a_wider_passage_takes_in_the_others_of_its_section(shelf: Shelf) -> None:
    hits = [shelf.hit("guide", 0), shelf.hit("guide", 2)]
    packed = pack(hits, max_tokens=100, count=words, library=shelf)
    (passage,) = packed.passages
    assert passage.text.startswith("keys are")
    assert passage.chunk_ids == ("guide0", "guide2")
    assert "[2]" not in str(packed)


def test_a_document_that_has_changed_is_not_read_from(shelf: Shelf) -> None:
    hits = [shelf.hit("guide", 3)]
    shelf.texts["guide"] = "all of it is new " * 20
    packed = pack(hits, max_tokens=100, count=words, library=shelf)
    assert packed.passages[0].text == "turn the key slowly"


def test_copies_are_left_out_and_counted(shelf: Shelf) -> None:
    text = " ".join(f"word{n}" for n in range(40))
    shelf.add("one", [((), [text])])
    shelf.add("two", [((), [text.upper() + "."])])
    shelf.add("more", [((), [text + " " + " ".join(f"more{n}" for n in range(40))])])
    hits = [shelf.hit("one", 0), shelf.hit("two", 0), shelf.hit("more", 0)]
    packed = pack(hits, max_tokens=500, count=words, library=shelf)
    assert [passage.document_id for passage in packed.passages] == ["one", "more"]
    assert packed.repeated == 1


def test_what_does_not_fit_is_left_out_and_counted(shelf: Shelf) -> None:
    hits = [shelf.hit("guide", 1), shelf.hit("other", 0), shelf.hit("other", 1)]
    packed = pack(hits, max_tokens=20, count=words, library=shelf)
    assert [passage.chunk_ids for passage in packed.passages] == [("guide1",), ("other0",)]
    assert packed.left_out == 1
    assert packed.tokens <= 20


def test_a_passage_longer_than_everything_is_cut_and_says_so(shelf: Shelf) -> None:
    shelf.add("long", [((), [" ".join(f"word{n}" for n in range(500))])])
    packed = pack([shelf.hit("long", 0)], max_tokens=50, count=words, library=shelf)
    (passage,) = packed.passages
    assert passage.cut
    assert passage.text.endswith("[…]")
    assert packed.tokens <= 50
    assert words(passage.text) > 40
    nothing = pack([shelf.hit("long", 0)], max_tokens=1, count=words, library=shelf)
    assert (nothing.passages, nothing.left_out) == ((), 1)


def numbered(name: str, first: int, last: int) -> str:
    return " ".join(f"{name}{n}" for n in range(first, last))


def test_the_first_that_does_not_fit_is_cut_to_what_is_left(shelf: Shelf) -> None:
    for name in ("one", "two", "three"):
        shelf.add(name, [((), [numbered(name, 0, 40)])])
    hits = [shelf.hit(name, 0) for name in ("one", "two", "three")]
    packed = pack(hits, max_tokens=70, count=words, library=shelf)
    whole, begun = packed.passages
    assert (whole.cut, begun.cut, packed.left_out) == (False, True, 1)
    assert whole.text == numbered("one", 0, 40)
    assert packed.tokens == 70
    assert begun.text == f"{numbered('two', 0, words(begun.text) - 1)} […]"
    assert [p.document_id for p in pack(hits, max_tokens=50, count=words, library=shelf).passages] == ["one"], (
        "a few words of the second are not worth its citation"
    )


def test_what_is_cut_goes_on_where_another_ended_and_has_its_lines(shelf: Shelf) -> None:
    shelf.add(
        "long", [((), [numbered("first", 0, 30), numbered("second", 0, 20) + "\n" + numbered("third", 0, 20)])]
    )
    down = pack([shelf.hit("long", n) for n in (0, 1)], max_tokens=55, count=words, library=shelf)
    (joined,) = down.passages
    assert joined.cut
    assert joined.text.startswith(f"{numbered('first', 0, 30)}\n\nsecond0 second1")
    assert joined.citation.lines == (1, 3), "its fourth line is not there any more"
    up = pack([shelf.hit("long", n) for n in (1, 0)], max_tokens=65, count=words, library=shelf)
    assert [(p.cut, p.citation.lines) for p in up.passages] == [(False, (3, 4)), (True, (1, 1))]


def test_diversity_takes_other_things_first(shelf: Shelf) -> None:
    hits = [
        shelf.hit("guide", 0, 1.0, row=1),
        shelf.hit("guide", 5, 0.9, row=1),
        shelf.hit("other", 0, 0.8, row=2),
    ]
    plain = pack(hits, max_tokens=60, count=words, library=shelf, expand="none")
    assert [p.chunk_ids[0] for p in plain.passages] == ["guide0", "guide5", "other0"]
    mixed = pack(hits, max_tokens=60, count=words, library=shelf, expand="none", diversity=0.5)
    assert [p.chunk_ids[0] for p in mixed.passages] == ["guide0", "other0", "guide5"]


@pytest.mark.parametrize(("max_tokens", "diversity"), [(0, 0.0), (10, 1.5), (10, -0.1)])
def test_numbers_out_of_range(max_tokens: int, diversity: float) -> None:
    with pytest.raises(ValueError, match="must be"):
        pack([], max_tokens=max_tokens, count=words, diversity=diversity)


def test_no_hits_are_no_context() -> None:
    assert pack([], max_tokens=10, count=words) == Context()
    assert str(Context()) == ""


@settings(deadline=None)
@given(st.data())
def test_every_word_comes_from_its_document_and_the_limit_holds(data: st.DataObject) -> None:
    shelf = Shelf()
    paragraph = st.lists(st.sampled_from(["alpha", "beta", "gamma", "delta"]), min_size=1, max_size=12).map(
        " ".join
    )
    path = st.lists(st.sampled_from("AB"), max_size=2).map(tuple)
    sections = st.lists(st.tuples(path, st.lists(paragraph, min_size=1, max_size=4)), min_size=1, max_size=4)
    for name in "xyz":
        shelf.add(name, data.draw(sections))
    every = [(name, number) for name in "xyz" for number in range(len(shelf.pieces[name]))]
    chosen = data.draw(st.lists(st.sampled_from(every), unique=True, max_size=8))
    hits = [shelf.hit(name, number, 1.0 - place / 10, row=place) for place, (name, number) in enumerate(chosen)]
    limit = data.draw(st.integers(1, 150))
    packed = pack(
        hits,
        max_tokens=limit,
        count=words,
        library=data.draw(st.sampled_from([shelf, None])),
        expand=data.draw(st.sampled_from(["none", "section", "document"])),
        diversity=data.draw(st.sampled_from([0.0, 0.3])),
    )
    assert words(str(packed)) <= limit
    assert [passage.number for passage in packed.passages] == list(range(1, len(packed.passages) + 1))
    used = [name for passage in packed.passages for name in passage.chunk_ids]
    assert len(used) == len(set(used)) == len(hits) - packed.left_out - packed.repeated
    for passage in packed.passages:
        assert passage.text.endswith(" […]") == passage.cut
        assert passage.text.removesuffix(" […]") in shelf.texts[passage.document_id]
        for name in passage.chunk_ids:
            chunk = next(chunk for chunk in shelf.pieces[passage.document_id] if chunk.id == name)
            assert passage.cut or chunk.text in passage.text


@dataclass
class Searchable(Shelf):
    """A shelf that finds a question's words as they are."""

    def finder(self, query: str) -> Callable[[str], Sequence[Mark]]:
        wanted = set(query.split())

        def find(text: str) -> Sequence[Mark]:
            return [
                Mark(start=match.start(), end=match.end(), terms=frozenset({match[0]}))
                for match in re.finditer(r"\S+", text)
                if match[0] in wanted
            ]

        return find


def test_a_hit_is_cut_to_where_it_answers() -> None:
    shelf = Searchable()
    lines = [f"sentence {n} says thing{n} and no more." for n in range(20)]
    shelf.add("long", [(("Things",), ["An opening.", "\n".join(lines)])])
    hits = [shelf.hit("long", 1)]
    packed = pack(hits, max_tokens=30, count=words, library=shelf, query="what is thing7 exactly")
    (passage,) = packed.passages
    assert passage.text.startswith("[…] sentence 7 says thing7")
    assert passage.text.endswith(" […]")
    assert (passage.cut, passage.citation.lines) == (True, (10, 13))
    assert passage.heading.startswith("[1] long.md:10 ")
    last = pack(hits, max_tokens=30, count=words, library=shelf, query="thing19").passages[0]
    assert last.text.startswith("[…] sentence 17 ")
    assert last.text.endswith("thing19 and no more."), "nothing is missing behind"
    assert (last.cut, last.citation.lines) == (True, (20, 22))
    alone = pack(hits, max_tokens=30, count=words, query="thing19").passages[0]
    assert alone.text.startswith("sentence 0 "), "nobody there to find its words"


def test_a_hit_is_cut_to_what_a_reranker_found(shelf: Shelf) -> None:
    shelf.add("long", [((), [numbered("word", 0, 50) + ". " + numbered("last", 0, 50) + "."])])
    hit = shelf.hit("long", 0)
    start = hit.chunk.text.index("last0")
    pointed = replace(hit, highlights=(Span(start=start, end=start + 30),))
    for library in (shelf, None):
        (passage,) = pack([pointed], max_tokens=40, count=words, library=library).passages
        assert passage.text.startswith("[…] last0 last1")


@pytest.mark.parametrize("expand", ["foo", "", None, ["none"]])
def test_a_word_that_is_none_of_the_choices(expand: Any) -> None:
    with pytest.raises(ValueError, match='expand must be one of "none", "section", "document", got'):
        pack([], max_tokens=10, count=words, expand=expand)


@pytest.mark.parametrize("max_tokens", ["60", 60.0, None, True])
def test_a_limit_that_is_no_number(max_tokens: Any) -> None:
    with pytest.raises(TypeError, match="max_tokens must be a whole number, got "):
        pack([], max_tokens=max_tokens, count=words)
    assert (
        pack([], max_tokens=cast("int", np.int64(10)), count=words, diversity=cast("float", np.float32(0.5)))
        == Context()
    )
    with pytest.raises(TypeError, match=r"diversity must be a number from 0 to 1, got '0\.3'"):
        pack([], max_tokens=10, count=words, diversity=cast("Any", "0.3"))


@settings(deadline=None)
@given(st.data())
def test_what_is_cut_to_the_question_is_exact_and_within_the_limit(data: st.DataObject) -> None:
    shelf = Searchable()
    sentence = st.lists(st.sampled_from(["alpha", "beta.", "gamma\n", "delta"]), min_size=1, max_size=20).map(
        " ".join
    )
    paragraph = sentence.map(lambda text: text.strip())
    for name in "xy":
        shelf.add(name, data.draw(st.lists(st.tuples(st.just(("H",)), st.lists(paragraph, min_size=1)))))
    every = [(name, number) for name in "xy" for number in range(len(shelf.pieces[name]))]
    chosen = data.draw(st.lists(st.sampled_from(every), unique=True, max_size=6)) if every else []
    hits = [shelf.hit(name, number, 1.0 - place / 10, row=place) for place, (name, number) in enumerate(chosen)]
    limit = data.draw(st.integers(1, 60))
    packed = pack(
        hits,
        max_tokens=limit,
        count=words,
        library=shelf,
        expand=data.draw(st.sampled_from(["none", "section", "document"])),
        query=data.draw(st.sampled_from(["", "beta.", "delta gamma", "other"])),
    )
    assert words(str(packed)) <= limit
    used = [name for passage in packed.passages for name in passage.chunk_ids]
    assert len(used) == len(set(used)) == len(hits) - packed.left_out - packed.repeated
    for passage in packed.passages:
        bare = passage.text.removeprefix("[…] ").removesuffix(" […]")
        assert (bare != passage.text) == passage.cut
        whole = shelf.texts[passage.document_id]
        assert bare in whole
        assert passage.citation.lines is not None
        first, last = passage.citation.lines
        assert bare in "\n".join(whole.split("\n")[first - 1 : last])
        for name in passage.chunk_ids:
            chunk = next(chunk for chunk in shelf.pieces[passage.document_id] if chunk.id == name)
            assert passage.cut or chunk.text.strip("\n") in passage.text
