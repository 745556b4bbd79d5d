"""Whatever a page says its cells span, the page is read and no cell's text is lost."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ragweft.loading.grids import Cell, flattened, is_data, spans_of
from ragweft.loading.html import extract_html
from ragweft.loading.markup import read_markup

Reader = Callable[[str], str]
TO_THE_END = 10**6


def by_lines(source: str) -> str:
    return extract_html(source).text


def by_blocks(source: str) -> str:
    return read_markup(source).text


READERS = pytest.mark.parametrize("read", [by_lines, by_blocks])


def page(rows: Sequence[Sequence[str]]) -> str:
    """A page with a table of *rows*, each of them start tags of cells: the text of cell n is `cell{n}.`."""
    number = 0
    lines: list[str] = []
    for row in rows:
        line = "<tr>"
        for tag in row:
            line += f"<{tag}>cell{number}.</{tag.split()[0]}>"
            number += 1
        lines.append(f"{line}</tr>")
    table = "\n\n".join(lines)
    return f"<h1>Head</h1>\n<p>Words before.</p>\n<table>\n\n{table}\n</table>\n<p>Words after.</p>"


def missing(source: str, text: str) -> set[str]:
    words = re.compile(r"cell\d+\.")
    return set(words.findall(source)) - set(words.findall(text))


@pytest.mark.parametrize(
    ("colspan", "rowspan", "expected"),
    [
        (None, None, (1, 1)),
        ("", "", (1, 1)),
        ("  ", "\t", (1, 1)),
        ("3", "2", (3, 2)),
        (" 3 ", "\n2", (3, 2)),
        ("+3", "2 rows", (3, 2)),
        ("0000000003", "0000000002", (3, 2)),
        ("-3", "-2", (1, 1)),
        ("many", "all", (1, 1)),
        ("٣", "²", (1, 1)),
        ("3٣", "2²", (3, 2)),
        ("0", "0", (1, TO_THE_END)),
        ("0" * 5_000, "0" * 5_000, (1, TO_THE_END)),
        ("1000", "1000", (20, 1000)),
        ("9" * 5_000, "9" * 5_000, (20, 999_999)),
    ],
)
def test_spans_are_read_as_browsers_read_them(
    colspan: str | None, rowspan: str | None, expected: tuple[int, int]
) -> None:
    assert spans_of([("colspan", colspan), ("rowspan", rowspan)]) == expected


@READERS
@pytest.mark.parametrize("name", ["colspan", "rowspan"])
def test_a_span_of_five_thousand_digits_is_a_large_one(read: Reader, name: str) -> None:
    source = page([[f'td {name}="{"9" * 5_000}"', "td"], ["td", "td"]])
    assert not missing(source, read(source))


@READERS
@pytest.mark.parametrize(
    "rows",
    [
        [['td rowspan="2"'] * 120, ["td"] * 120, ["td"] * 3],
        [['td rowspan="0" colspan="20"'] * 4] * 4,
        [["td", "td"], ["td"] * 250],
    ],
)
def test_a_table_that_gets_too_wide_stays_as_text(read: Reader, rows: list[list[str]]) -> None:
    source = page(rows)
    text = read(source)
    assert not missing(source, text)
    assert "| --- |" not in text


@READERS
def test_a_table_of_two_hundred_columns_is_one(read: Reader) -> None:
    source = page([['td rowspan="2"'] * 100 + ["td"] * 100, ["td"] * 100])
    text = read(source)
    assert not missing(source, text)
    head, _, second = [line for line in text.split("\n") if line.startswith("|")]
    assert head.count("cell") == second.count("cell") == 200


TAGS = st.builds(
    "{} colspan={} rowspan={}".format,
    st.sampled_from(["td", "td", "th"]),
    st.sampled_from([0, 1, 1, 1, 2, 3, 7, 20, 1000]),
    st.sampled_from([0, 1, 1, 1, 2, 3, 50, 65534]),
)
ROWS = st.lists(TAGS, min_size=1, max_size=8)
WIDE_ROWS = st.builds(lambda tag, times: [tag] * times, TAGS, st.integers(1, 120))


@READERS
@settings(deadline=None, max_examples=150)
@given(rows=st.lists(ROWS | WIDE_ROWS, min_size=1, max_size=7))
def test_no_cell_is_lost(read: Reader, rows: list[list[str]]) -> None:
    source = page(rows)
    text = read(source)
    assert not missing(source, text)
    assert "Words before." in text
    assert "Words after." in text


def flat_size(rows: list[list[Cell]]) -> int:
    return sum(map(len, flattened(rows)))


def test_hostile_spans_stay_bounded() -> None:
    wide = Cell(text="x", columns=20, rows=TO_THE_END)
    assert not is_data([[wide] * 100_000, [wide]])
    assert not is_data([[wide] * 5] * 20_000)
    tall = Cell(text="x", rows=TO_THE_END)
    assert not is_data([[tall] * 199, *[[Cell(text="y")]] * 2_000]), "200 columns for each cell"
    beside = [[Cell(text="y"), *[tall] * 199], *[[Cell(text="y")]] * 2_000]
    assert is_data(beside)
    assert flat_size(beside) < 10 * sum(map(len, beside))
    with pytest.raises(ValueError, match="200 columns"):
        flattened([[wide] * 11, [wide]])
    source = page([["td colspan=1000 rowspan=0"] * 10] * 1_000)
    for read in (by_lines, by_blocks):
        text = read(source)
        assert not missing(source, text)
        assert len(text) < len(source)
