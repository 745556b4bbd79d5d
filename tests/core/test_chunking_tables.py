"""Tables too large for one chunk: every chunk that begins among the rows is told what the columns are called."""

from __future__ import annotations

import csv
import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from doubles_chunking import WordTokenizer, cut, outline
from ragweft.chunking import StructureChunker
from ragweft.context import OutlineContextualizer
from ragweft.types import Document

ROWS = range(10, 50)
MARKDOWN = "| **Name** | Qty \\| pieces |\n|:--|--:|\n" + "".join(f"| item {n} | {n} |\n" for n in ROWS)
GRID = "+---------+--------+\n| Name    | Qty    |\n| of item | pieces |\n+=========+========+\n" + "".join(
    f"| item {n} | {n}     |\n+---------+--------+\n" for n in ROWS
)
SIMPLE = (
    "=========  ========\n*Name*     Qty\nof item    pieces\n=========  ========\n"
    + "".join(f"item {n}    {n}\n" for n in ROWS)
    + "=========  ========\n"
)
CSV_OPTION = '.. csv-table:: Stock\n   :header: "Name", "Qty, pieces"\n   :widths: 20, 10\n\n' + "".join(
    f"   item {n}, {n}\n" for n in ROWS
)
CSV_ROW = ".. csv-table:: Stock\n   :header-rows: 1\n\n   Name, Qty\n" + "".join(
    f"   item {n}, {n}\n" for n in ROWS
)
LIST = ".. list-table:: Stock\n   :header-rows: 1\n\n   * - Name\n     - Qty\n" + "".join(
    f"   * - item {n}\n     - {n}\n" for n in ROWS
)
TABLES = {
    "markdown": ("markdown", MARKDOWN, "Name | Qty | pieces"),
    "comma": ("table", "Name,Qty\n" + "".join(f"item {n},{n}\n" for n in ROWS), "Name | Qty"),
    "tab": (
        "table",
        "\n\nName\tQty, pieces\n" + "".join(f"item {n}\t{n}\n" for n in ROWS),
        "Name | Qty, pieces",
    ),
    "semicolon": (
        "table",
        "Name;2019;2020\n" + "".join(f"item {n};1,5;{n}\n" for n in ROWS),
        "Name | 2019 | 2020",
    ),
    "quoted": (
        "table",
        '"Name\nof item","Q"\n' + "".join(f'"item\n{n}",{n}\n' for n in ROWS),
        "Name of item | Q",
    ),
    "grid": ("rst", GRID, "Name of item | Qty pieces"),
    "simple": ("rst", SIMPLE, "Name of item | Qty pieces"),
    "csv-table by option": ("rst", CSV_OPTION, "Name | Qty, pieces"),
    "csv-table by row": ("rst", CSV_ROW, "Name | Qty"),
    "list-table": ("rst", LIST, "Name | Qty"),
}


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
@pytest.mark.parametrize(("format_", "table", "names"), TABLES.values(), ids=list(TABLES))
def test_further_chunks_have_the_names_of_the_columns(
    format_: str, table: str, names: str, newline: str
) -> None:
    heading = {"markdown": "# Stock\n\n", "rst": "Stock\n=====\n\n"}.get(format_, "")
    chunks = cut((heading + table).replace("\n", newline), format_, size=50)
    first, *further = chunks
    path = ("Stock",) if heading else ()
    assert first.headings == path
    assert len(further) > 1
    assert {chunk.headings for chunk in further} == {(*path, names)}


@pytest.mark.parametrize(("format_", "table", "names"), TABLES.values(), ids=list(TABLES))
def test_cuts_fall_between_rows(format_: str, table: str, names: str) -> None:
    for chunk in cut(table, format_, size=60)[1:]:
        lines = chunk.text.strip().splitlines()
        assert "item" in lines[0], f"{names}: begins inside a row"


@pytest.mark.parametrize(("format_", "table", "names"), TABLES.values(), ids=list(TABLES))
def test_table_that_fits_is_whole_and_needs_no_names(format_: str, table: str, names: str) -> None:
    (chunk,) = cut(table, format_, size=2_000)
    assert chunk.headings == ()
    assert names.split(" ")[0] in chunk.text


def test_context_says_the_names_where_the_chunk_does_not() -> None:
    tokenizer = WordTokenizer()
    document = Document(id="stock.md", title="Stock", text=MARKDOWN, format="markdown")
    chunks = StructureChunker(tokenizer=tokenizer, size=60, overlap=0.0).chunk(document)
    first, *further = OutlineContextualizer(tokenizer=tokenizer).contextualize(document, chunks)
    assert "Name | Qty" not in first.context
    assert all("Name | Qty | pieces" in chunk.context for chunk in further)


def test_rows_repeated_by_an_overlap_have_the_names_too() -> None:
    text = f"# Stock\n\n{MARKDOWN}\n" + "What follows the table is prose. " * 60
    chunks = cut(text, "markdown", size=60, overlap=0.3)
    for chunk in chunks:
        in_rows = chunk.text.startswith("| item")
        assert (chunk.headings[-1] == "Name | Qty | pieces") == in_rows


def test_names_end_with_their_table() -> None:
    other = MARKDOWN.replace("**Name**", "Colour").replace("item", "paint")
    chunks = cut(f"{MARKDOWN}\nBetween the two.\n\n{other}", "markdown", size=60)
    for chunk in chunks:
        if chunk.text.startswith("| paint"):
            assert chunk.headings == ("Colour | Qty | pieces",)
        elif chunk.text.startswith("| item"):
            assert chunk.headings == ("Name | Qty | pieces",)


def test_header_is_never_parted_from_its_first_row() -> None:
    for words in range(30, 60):
        chunks = cut("word " * words + "\n\n" + MARKDOWN, "markdown", size=60)
        (header,) = (chunk for chunk in chunks if "|:--|" in chunk.text)
        assert "item 10" in header.text


@pytest.mark.parametrize(
    "table",
    [
        "1,2\n" + "3,4\n" * 80,
        "alone\n" + "word\n" * 80,
        ",\n" + "a,b\n" * 80,
        "same,same\n" + "a,b\n" * 80,
        "a,b",
        '"never closed,b\n' + "a,b\n" * 80,
    ],
)
def test_what_names_no_columns(table: str) -> None:
    chunks = cut(table, "table", size=60)
    assert {chunk.headings for chunk in chunks} == {()} or "never" in table


def test_long_names_are_shortened() -> None:
    names = ",".join(f"column number {n}" for n in range(90))
    chunks = cut(names + "\n" + (",".join("1" * 90) + "\n") * 30, "table", size=400)
    header = chunks[-1].headings[-1]
    assert len(header) <= 300
    assert header.startswith("column number 0 | column number 1 |")
    assert header.endswith("…")


@settings(max_examples=60, deadline=None)
@given(
    names=st.lists(
        st.text(alphabet="abcdefgh xyz", min_size=1, max_size=12), min_size=2, max_size=5, unique=True
    ),
    cells=st.lists(st.text(alphabet='ab1,"\n;', max_size=12), min_size=40, max_size=80),
    size=st.sampled_from([30, 80]),
)
def test_any_table_written_by_the_csv_module(names: list[str], cells: list[str], size: int) -> None:
    names = [f"n{name.strip()}-{number}" for number, name in enumerate(names)]
    written = io.StringIO()
    writer = csv.writer(written)
    writer.writerow(names)
    writer.writerows([cell] * len(names) for cell in cells)
    chunks = cut(written.getvalue(), "table", size=size)
    rows_begin = len(",".join(names)) + 1
    for chunk in chunks:
        assert chunk.span is not None
        assert bool(chunk.headings) == (chunk.span.start >= rows_begin)
        assert chunk.headings in ((), (" | ".join(" ".join(name.split()) for name in names),))


LIST_ITEMS = "".join(f"- option {n} does one thing\n" for n in range(30))


@pytest.mark.parametrize("format_", ["markdown", "rst"])
@pytest.mark.parametrize("words", range(36, 56, 2))
def test_lead_in_sentence_stays_with_its_list(format_: str, words: int) -> None:
    prose = "A sentence of four words. " * (words // 5) + "more " * (words % 5)
    text = f"{prose}.\n\nWhat it is. It has these options:\n\n{LIST_ITEMS}"
    chunks = cut(text, format_, size=60)
    (leading,) = (chunk for chunk in chunks if "these options:" in chunk.text)
    assert "It has these options:\n\n- option 0" in leading.text


def test_lead_in_goes_with_a_list_that_just_fits_alone() -> None:
    items = "".join(f"- option {n} here\n" for n in range(9))
    text = f"{'Words in front of it. ' * 9}The options are these:\n\n{items}\n{'Words behind it. ' * 9}"
    for size in range(40, 60):
        chunks = cut(text, "markdown", size=size)
        (leading,) = (chunk for chunk in chunks if "these:" in chunk.text)
        assert "these:\n\n- option 0" in leading.text


def test_line_directly_above_a_list_leads_in_without_a_colon() -> None:
    for words in range(30, 60):
        text = f"{'word ' * words}\n\nThe options\n{LIST_ITEMS}"
        chunks = cut(text, "markdown", size=60)
        assert any("The options\n- option 0" in chunk.text for chunk in chunks)


def test_what_is_before_the_lead_in_may_be_cut_off() -> None:
    prose = "This is a sentence that says something. " * 5
    chunks = outline(f"{prose}The options are:\n\n{LIST_ITEMS}", "markdown", size=60)
    assert ("", "The options are:") in chunks
