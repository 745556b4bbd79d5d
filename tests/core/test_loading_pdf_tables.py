"""Lines of a PDF that are rows become rows; lines that only look so from afar stay what they are."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from made_files import pdf, text_page
from ragweft.loading.converters.pdf_layout import Line, write_pages
from ragweft.loading.converters.pdf_tables import Cell, find_tables
from ragweft.loading.converters.writing import Limits, Writer

PARTS = [
    ["Part", "Count", "Price in EUR", "Remark"],
    ["Rotor blade", "24", "1,200.00", "forged steel"],
    ["Bearing", "3", "80.50", ""],
    ["Seal ring", "12", "4.75", "rubber, two kinds"],
    ["Bolt M8", "100", "0.10", "x"],
]
PROSE = "The table below names what every part costs. " * 4


def read(data: bytes) -> str:
    pytest.importorskip("pypdfium2")
    from ragweft.loading.converters.pdf import read as read_pdf

    return read_pdf(data, Limits()).text


def drawn(rows: Sequence[Sequence[Any]], *style: tuple[Any, ...]) -> bytes:
    platypus = pytest.importorskip("reportlab.platypus")
    body = pytest.importorskip("reportlab.lib.styles").getSampleStyleSheet()["BodyText"]
    made = io.BytesIO()
    table = platypus.Table(rows, style=platypus.TableStyle(style))
    platypus.SimpleDocTemplate(made, invariant=1).build(
        [platypus.Paragraph(PROSE, body), table, platypus.Paragraph(PROSE, body)]
    )
    return made.getvalue()


@pytest.mark.parametrize(
    "style",
    [
        (),
        (("ALIGN", (1, 0), (2, -1), "RIGHT"),),
        (("ALIGN", (0, 0), (-1, -1), "CENTER"),),
        (("FONTNAME", (0, 0), (-1, 0), "Helvetica-Bold"), ("BOTTOMPADDING", (0, 0), (-1, 0), 12)),
    ],
)
def test_a_table_is_one(style: tuple[Any, ...]) -> None:
    text = read(drawn(PARTS, *style))
    assert (
        "\n\n| Part | Count | Price in EUR | Remark |\n| --- | --- | --- | --- |\n"
        "| Rotor blade | 24 | 1,200.00 | forged steel |\n| Bearing | 3 | 80.50 |\n"
        "| Seal ring | 12 | 4.75 | rubber, two kinds |\n| Bolt M8 | 100 | 0.10 | x |\n\n"
    ) in text
    assert text.count("what every part costs.") == 8


def test_two_columns_are_a_table_unless_one_only_counts() -> None:
    assert "| Part | Price |\n| --- | --- |\n| Axle | 3 |\n" in read(
        drawn([["Part", "Price"], ["Axle", "3"], ["Blade", "4"]])
    )
    steps = read(drawn([["1.", "Open the door"], ["2.", "Close the door"], ["3.", "Go home"]]))
    assert "|" not in steps
    assert "1. Open the door\n2. Close the door\n3. Go home" in steps


def test_cells_over_several_lines_leave_the_lines_as_they_are() -> None:
    platypus = pytest.importorskip("reportlab.platypus")
    body = pytest.importorskip("reportlab.lib.styles").getSampleStyleSheet()["BodyText"]
    long = [[platypus.Paragraph(f"{row[0]} that goes on over some lines", body), *row[1:]] for row in PARTS]
    assert "|" not in read(drawn(long))


def test_code_with_its_own_spaces_is_no_table() -> None:
    lines = [(10.0, 700.0 - 12 * n, f"{name} = {n}      # the {name}") for n, name in enumerate("abcdef")]
    assert "|" not in read(pdf(text_page(*lines)))


def test_two_rows_are_none() -> None:
    assert "|" not in read(drawn(PARTS[:2]))
    assert "|" in read(drawn(PARTS[:3]))


def row(top: float, *cells: tuple[float, str], size: float = 10.0) -> Line:
    """Letters of half their size."""
    placed = [Cell(text=text, left=left, right=left + len(text) * size / 2) for left, text in cells]
    text = " ".join(cell.text for cell in placed)
    return Line(
        text=text,
        size=size,
        top=top,
        bottom=top,
        left=placed[0].left,
        right=placed[-1].right,
        cells=placed if len(placed) > 1 else (),
    )


def tables(*lines: Line) -> list[tuple[int, int]]:
    return [(start, end) for start, end, _ in find_tables(lines)]


def test_columns_of_text_side_by_side_are_no_table() -> None:
    prose = [
        "the quick brown fox jumps ove",
        "r the lazy dog and then back",
        "to where it all had begun on",
        "ce",
    ]
    lines = [row(700 - 12 * n, (72, text), (240, text[::-1])) for n, text in enumerate(prose[:3] * 4)]
    assert tables(*lines) == []


def test_rows_that_are_not_even_are_left() -> None:
    rows = [row(700 - top, (72, f"name {n}"), (200, f"{n}")) for n, top in enumerate((0, 18, 30, 48, 60))]
    assert tables(*rows) == []
    assert tables(*(row(700 - 18 * n, (72, f"name {n}"), (200, f"{n}")) for n in range(5))) == [(0, 5)]


def test_what_may_be_more_of_a_cell_leaves_all_as_it_is() -> None:
    rows = [row(700 - 14 * n, (72, f"some name {n}"), (200, f"{n}")) for n in range(4)]
    more = row(700 - 14 * 4, (72, "of it"))
    assert tables(*rows) == [(0, 4)]
    assert tables(*rows, more) == []
    assert tables(*rows, row(700 - 14 * 4, (72, "a line that goes on below all of the columns"))) == [(0, 4)]
    assert tables(*rows, row(700 - 14 * 6, (72, "of it"))) == [(0, 4)]


def test_without_a_strip_between_columns_there_are_none() -> None:
    rows = [row(700 - 14 * n, (72 + 20 * n, f"name {n}"), (140 + 20 * n, f"{n}")) for n in range(6)]
    assert all(end - start < 5 for start, end in tables(*rows))


CELLS = st.lists(
    st.tuples(st.integers(0, 5), st.text(st.sampled_from("ab| #-1."), min_size=1, max_size=9).map(str.strip)),
    min_size=1,
    max_size=4,
    unique_by=lambda each: each[0],
)


@given(st.lists(st.tuples(CELLS, st.sampled_from([12.0, 12.0, 12.0, 14.0, 30.0])), max_size=9))
def test_the_words_of_rows_are_those_of_their_lines_in_their_order(
    made: list[tuple[list[tuple[int, str]], float]],
) -> None:
    lines: list[Line] = []
    top = 800.0
    for cells, down in made:
        top -= down
        lines.append(row(top, *((100.0 * place, text or "b") for place, text in sorted(cells))))
    writer = Writer()
    write_pages([lines], writer)
    text = writer.converted().text
    said = [char for char in text if char in "ab1"]
    assert said == [char for line in lines for char in line.text if char in "ab1"]
    for start, end, rows in find_tables(lines):
        assert end - start >= 3
        assert len({len(each) for each in rows}) == 1
        assert [" ".join(filter(None, each)) for each in rows] == [line.text for line in lines[start:end]]
