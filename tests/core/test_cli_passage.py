from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ragweft.cli.passage import Line, best_window, crop, fold, passage
from ragweft.cli.wording import counted, human_bytes, printable
from ragweft.excerpts import Mark
from ragweft.lexical import Analyzer
from ragweft.lexical.finding import WordFinder

ANALYZER = Analyzer()


def marked(query: str, text: str) -> list[str]:
    return [text[mark.start : mark.end] for mark in WordFinder(query, ANALYZER).find(text)]


@pytest.mark.parametrize(
    ("query", "text", "expected"),
    [
        ("how are followers caught up", "A follower follows; it is caught.", ["follower", "follows", "caught"]),
        ("line", "def parseLine(lines): ...", ["Line", "lines"]),
        ("parse header", "call parse_header now", ["parse_header"]),
        ("header", "call parse_header now", ["header"]),
        ("parse_line", "parseLine, parse-line", ["parseLine", "parse-line"]),
        ("github", "GitHub and github", ["GitHub", "github"]),
        ("python 3.11", "Python 3.11.2 or 3.12", ["Python", "3", "11", "3"]),
        ("C++", "in C++, not C", ["C++"]),
        ("東京", "私は東京都に住む", ["東京"]),
        ("file", "the \ufb01le is here", ["\ufb01le"]),
        ("the of and", "the end of it", []),
        ("timeout", "nothing of the kind", []),
    ],
)
def test_words_are_marked_as_the_lexical_leg_sees_them(query: str, text: str, expected: list[str]) -> None:
    assert marked(query, text) == expected


@given(st.text(max_size=80), st.text(max_size=80))
def test_marks_are_in_order_and_inside_the_text(query: str, text: str) -> None:
    place = 0
    for mark in WordFinder(query, ANALYZER).find(text):
        assert place <= mark.start < mark.end <= len(text)
        assert mark.terms
        place = mark.end


@given(st.text(alphabet="ab_Cd1é \t-", max_size=60))
def test_a_text_that_is_its_own_query_is_marked_wherever_it_has_terms(text: str) -> None:
    found = WordFinder(text, ANALYZER).find(text)
    assert bool(found) == bool(ANALYZER.query_terms(text) and ANALYZER.terms(text))


found_terms = st.lists(st.frozensets(st.sampled_from("abcd"), max_size=3), min_size=1, max_size=30)


@given(found_terms, st.integers(1, 9), st.data())
def test_no_window_holds_more_terms(found: list[frozenset[str]], size: int, data: st.DataObject) -> None:
    count = len(found)
    begins = data.draw(st.lists(st.booleans(), min_size=count, max_size=count))
    start, end = best_window(found, [False] * count, begins, size)
    assert 0 <= start < end <= count
    assert end - start <= size

    def terms(first: int) -> int:
        return len(frozenset[str]().union(*found[first : first + size]))

    assert len(frozenset[str]().union(*found[start:end])) == max(map(terms, range(count)))


def test_the_earliest_of_equals_is_shown_with_some_lines_before_it() -> None:
    found = [frozenset[str]()] * 10 + [frozenset("a")] + [frozenset[str]()] * 10 + [frozenset("a")]
    begins = [True] * len(found)
    assert best_window(found, [False] * len(found), begins, 7) == (8, 15)


def test_lines_before_the_match_do_not_begin_in_the_middle_of_another_paragraph() -> None:
    found = [frozenset[str]()] * 4 + [frozenset("a")] + [frozenset[str]()] * 9
    begins = [True, False, False, False, True] + [False] * 9
    assert best_window(found, [False] * 14, begins, 7) == (4, 11)


def test_blank_lines_at_the_ends_are_left_out_and_without_a_match_the_text_begins() -> None:
    blank = [True, True, False, True, False, True, True]
    assert best_window([frozenset[str]()] * 7, blank, [True] * 7, 4) == (2, 5)


WIDE = {"東": 2, "京": 2, "都": 2}


def cells(text: str) -> int:
    return sum(WIDE.get(character, 1) for character in text)


prose = st.text(alphabet="ab東京都 ", max_size=120)


@given(prose, st.integers(4, 30))
def test_folding_loses_nothing_but_spaces_and_keeps_within_the_width(text: str, width: int) -> None:
    text = text.rstrip()
    marks = tuple(Mark(start=i, end=i + 1, terms=frozenset(c)) for i, c in enumerate(text) if not c.isspace())
    pieces = fold(Line(text=text, number=3, marks=marks), width, cells)
    assert "".join("".join(piece.text.split()) for piece in pieces) == "".join(text.split())
    assert all(cells(piece.text) <= width for piece in pieces)
    assert [piece.first for piece in pieces] == [place == 0 for place in range(len(pieces))]
    for piece in pieces:
        assert [piece.text[m.start : m.end] for m in piece.marks] == ["".join(m.terms) for m in piece.marks]
    assert sum(len(piece.marks) for piece in pieces) == len(marks)


@given(prose, st.integers(6, 30), st.data())
def test_cropping_keeps_the_first_match_in_sight(text: str, width: int, data: st.DataObject) -> None:
    marks: tuple[Mark, ...] = ()
    if text:
        start = data.draw(st.integers(0, len(text) - 1))
        marks = (Mark(start=start, end=start + 1, terms=frozenset("q")),)
    line = crop(Line(text=text, number=1, marks=marks), width, cells)
    assert cells(line.text) <= width
    assert line.text.strip("…") in text
    assert [line.text[m.start : m.end] for m in line.marks] == [text[m.start : m.end] for m in marks]
    assert (line.text == text) == (cells(text) <= width)


CODE = """import os


def walk(root):
    for name in os.listdir(root):
        if name.startswith("."):
            continue
        yield name


def last():
    return None
"""


def test_a_passage_keeps_the_indentation_and_numbers_of_code() -> None:
    find = WordFinder("listdir", ANALYZER).find
    lines = passage(CODE, first_line=40, find=find, size=5, width=30, code=True)
    assert [line.number for line in lines] == [43, 44, 45, 46, 47]
    assert lines[1].text == "    for name in os.listdir(ro…"
    assert [lines[1].text[m.start : m.end] for m in lines[1].marks] == ["listdir"]


def test_a_long_paragraph_is_folded_around_its_match() -> None:
    text = "filler words " * 200 + "the needle stands here " + "more filler " * 200
    lines = passage(text, first_line=9, find=WordFinder("needle", ANALYZER).find, size=4, width=40, code=False)
    assert len(lines) == 4
    assert any("needle" in line.text for line in lines)
    assert [line.number for line in lines] == [9] * 4
    assert [line.first for line in lines] == [True, False, False, False]


def test_text_without_lines_has_no_numbers() -> None:
    (line,) = passage("one line", first_line=None, find=lambda _: (), size=4, width=None, code=False)
    assert (line.text, line.number) == ("one line", None)


@given(st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=60))
def test_nothing_a_terminal_obeys_is_printed(text: str) -> None:
    shown = printable(text)
    assert not any(ord(character) < 32 or 127 <= ord(character) < 160 for character in shown)


def test_tabs_become_spaces_and_escapes_become_visible() -> None:
    assert printable("\tif x:\r\n") == "    if x:"
    assert printable("\x1b[31mred") == "\N{REPLACEMENT CHARACTER}[31mred"


def test_numbers_read_well() -> None:
    assert [counted(n, "file") for n in (0, 1, 1200)] == ["0 files", "1 file", "1,200 files"]
    assert [human_bytes(n) for n in (0, 999, 31_400, 3_140_000, 314_000_000, 2_500_000_000, 7 * 10**13)] == [
        "0 bytes",
        "999 bytes",
        "31 kB",
        "3.1 MB",
        "314 MB",
        "2.5 GB",
        "70.0 TB",
    ]
