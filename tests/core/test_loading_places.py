from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ragweft.places import Place, cited, ends_of, place_of

PAGES = [Place(start=start, label="p.", number=number) for number, start in enumerate((0, 10, 20, 20, 30), 1)]
SHEETS = [
    Place(start=0, label="Sheet1 row", number=1),
    Place(start=10, label="Sheet1 row", number=5),
    Place(start=20, label="Zwei row", number=1),
]


@pytest.mark.parametrize(
    ("start", "end", "cited"),
    [
        (0, 10, "p.1"),
        (9, 10, "p.1"),
        (9, 11, "p.1-2"),
        (10, 10, "p.2"),
        (15, 25, "p.2-4"),
        (20, 21, "p.4"),
        (0, 1_000, "p.1-5"),
    ],
)
def test_pages(start: int, end: int, cited: str) -> None:
    assert place_of(PAGES, start, end) == cited


@pytest.mark.parametrize(
    ("start", "end", "cited"),
    [
        (0, 5, "Sheet1 row 1"),
        (0, 15, "Sheet1 rows 1-5"),
        (10, 25, "Sheet1 row 5 to Zwei row 1"),
    ],
)
def test_sheets(start: int, end: int, cited: str) -> None:
    assert place_of(SHEETS, start, end) == cited


def test_what_lies_before_the_first_place_has_none() -> None:
    late = [Place(start=5, label="slide", number=1), Place(start=9, label="slide", number=2)]
    assert place_of(late, 0, 5) == ""
    assert place_of(late, 0, 6) == "slide 1"
    assert place_of(late, 0, 10) == "slides 1-2"
    assert place_of([], 0, 10) == ""
    assert ends_of([], 0, 10) == ("", "")


LABELS = st.sampled_from(["p.", "slide", "message", "Sheet1 row", "Q1 - 2 to 3 row", "v. 2 row"])


@given(
    st.lists(st.tuples(st.integers(1, 50), LABELS), min_size=1, max_size=30),
    st.integers(0, 400),
    st.integers(1, 60),
    st.integers(0, 60),
    st.integers(1, 60),
)
def test_passages_side_by_side_are_cited_as_one(
    parts: list[tuple[int, str]], start: int, first: int, gap: int, second: int
) -> None:
    places = []
    at = 0
    for number, (length, label) in enumerate(parts, 1):
        places.append(Place(start=at, label=label, number=number))
        at += length
    end = start + first + gap + second
    begin, _ = ends_of(places, start, start + first)
    _, finish = ends_of(places, end - second, end)
    assert cited(begin, finish) == place_of(places, start, end)
    named = [place for place in places if str(place) in (begin, finish)]
    assert begin == str(named[0])
    assert finish == str(named[-1])
    if begin != finish and named[0].label == named[-1].label:
        assert " to " not in place_of(places, start, end).removeprefix(named[0].label)
