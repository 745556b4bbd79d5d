"""What is shown of a text there is no room for: the stretch that answers, from the begin of a sentence."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ragweft.excerpts import Mark, excerpt

PROSE = (
    "Rows are immutable. A row is one version of a chunk, and no number is\nused twice. Followers know rows "
    "only.\n\nEach follower remembers what it has applied. After a crash it is caught up\nfrom the ledger. "
    "Nothing is embedded again. The end comes here."
)


def marks(text: str, *wanted: str) -> list[Mark]:
    found = [
        Mark(start=match.start(), end=match.end(), terms=frozenset({word}))
        for word in wanted
        for match in re.finditer(re.escape(word), text)
    ]
    return sorted(found, key=lambda mark: mark.start)


def shown(text: str, room: int, *wanted: str, lines: bool = False, least: float = 0.0) -> str | None:
    """With room for so many words."""

    def fits(start: int, end: int) -> bool:
        return len(text[start:end].split()) <= room

    found = excerpt(text, marks(text, *wanted), fits=fits, lines=lines, least=least)
    return None if found is None else text[slice(*found)]


def test_the_begin_where_nothing_matches_or_the_match_is_there() -> None:
    begin = "Rows are immutable. A row is one version"
    assert shown(PROSE, 8) == begin
    assert shown(PROSE, 8, "version") == begin
    assert shown(PROSE, 8, "nothing like it") == begin


def test_from_the_begin_of_the_sentence_that_matches_best() -> None:
    assert (
        shown(PROSE, 12, "crash", "caught up") == "After a crash it is caught up\nfrom the ledger. Nothing is"
    )
    assert shown(PROSE, 8, "applied") == "Each follower remembers what it has applied. After"
    assert shown(PROSE, 9, "row", "crash", "caught up") == "After a crash it is caught up\nfrom the", (
        "two words beat one that comes first"
    )


def test_room_behind_the_end_is_used_before_the_begin() -> None:
    assert shown(PROSE, 20, "The end") == (
        "After a crash it is caught up\nfrom the ledger. Nothing is embedded again. The end comes here."
    )


def test_a_sentence_longer_than_the_room_begins_in_its_middle() -> None:
    long = " ".join(f"word{n}" for n in range(100))
    assert shown(long, 5, "word70") == "word70 word71 word72 word73 word74"
    assert shown(long, 5, "word98") == "word98 word99"


def test_code_begins_with_a_line() -> None:
    code = "def first():\n    return 1\n\n\ndef second(a):\n    b = a + 1\n    return b * 2\n"
    assert shown(code, 5, "b * 2", lines=True) == "return b * 2\n"
    assert shown(code, 6, "a + 1", lines=True) == "b = a + 1\n    return"


def test_scripts_without_spaces_are_cut_too() -> None:
    text = "分块是什么。每一行都是不可变的。崩溃之后从账本恢复。"

    def fits(start: int, end: int) -> bool:
        return end - start <= 12

    found = excerpt(text, marks(text, "崩溃"), fits=fits)
    assert found is not None
    assert text[slice(*found)] == "崩溃之后从账本恢复。"


def test_too_little_is_nothing() -> None:
    assert shown(PROSE, 5, least=0.25) is None
    assert shown(PROSE, 12, least=0.25) is not None
    assert shown(PROSE, 0) is None
    assert shown("word", 0) is None
    assert shown("", 0) is None


def test_a_word_that_never_fits_leaves_the_begin() -> None:
    text = "one two three " + "x" * 100 + " four five"

    def fits(start: int, end: int) -> bool:
        return end - start <= 20

    assert excerpt(text, marks(text, "x" * 100), fits=fits) == (0, len("one two three"))


def test_a_large_text_is_walked_through_once() -> None:
    class Counted(frozenset[str]):
        """Counts how often it is looked at."""

        looks = 0

        def __iter__(self) -> Iterator[str]:
            Counted.looks += 1
            return super().__iter__()

    text = "alpha beta gamma words " * 3_000 + "alpha beta gamma delta"
    marks = [
        Mark(start=found.start(), end=found.end(), terms=Counted({found.group()}))
        for found in re.finditer("alpha|beta|gamma|delta", text)
    ]
    start, end = excerpt(text, marks, fits=lambda start, end: end - start <= 4_000) or (0, 0)
    assert text[start:end].endswith("alpha beta gamma delta")
    assert Counted.looks < 10 * len(marks)


def test_a_mark_longer_than_the_room_is_shown_from_its_begin() -> None:
    assert shown(PROSE, 4, "After a crash it is caught up\nfrom the ledger.") == "After a crash it"


@settings(deadline=None)
@given(
    st.lists(
        st.sampled_from(["aa", "bb.", "cc\n", "dd!\n\n", "字字。", "needle"]), min_size=1, max_size=40
    ).map(" ".join),
    st.integers(0, 30),
    st.booleans(),
)
def test_it_always_fits_and_holds_the_best_word_if_one_word_does(text: str, room: int, lines: bool) -> None:
    def fits(start: int, end: int) -> bool:
        return len(re.sub(r"\s", "", text[start:end])) <= room

    if fits(0, len(text)):
        return
    found = excerpt(text, marks(text, "needle"), fits=fits, lines=lines)
    if found is None:
        return
    assert fits(*found)
    assert 0 <= found[0] < found[1] <= len(text)
    assert found != (0, len(text))
    if "needle" in text and room >= len("needle"):
        assert "needle" in text[slice(*found)]


@pytest.mark.parametrize("end", ["Dr. Who? (Yes!) ", "so it was.” ", "**bold.** "])
def test_ends_of_sentences(end: str) -> None:
    text = f"The first sentence has a few words {end}Then comes needle here and something more follows it"
    assert (shown(text, 6, "needle") or "").startswith("Then comes needle")
