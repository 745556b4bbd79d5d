"""Tables of HTML pages are tables: one Markdown row each, on its own line, and rows are kept together when cut."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from doubles_chunking import WordTokenizer
from ragweft.chunking import StructureChunker
from ragweft.loading.grids import Cell, flattened, is_data
from ragweft.loading.html import extract_html
from ragweft.loading.markup import read_markup
from ragweft.types import Chunk, Document

SPHINX = """\
<section id="to-json">
<h2>Conversions</h2>
<p>Supports the following objects by default:</p>
<table class="docutils align-default">
<thead>
<tr class="row-odd"><th class="head"><p>Python</p></th>
<th class="head"><p>JSON</p></th>
</tr>
</thead>
<tbody>
<tr class="row-even"><td><p>dict</p></td>
<td><p>object</p></td>
</tr>
<tr class="row-odd"><td><p>list, <code>tuple</code></p></td>
<td><p>array | <em>list</em></p></td>
</tr>
<tr class="row-even"><td><p>None</p></td>
<td><p>null</p></td>
</tr>
</tbody>
</table>
<p>To extend this, subclass it.</p>
</section>
"""
INFOBOX = """\
<div class="mw-parser-output">
<table class="infobox vcard"><tbody>
<tr><th colspan="2" class="infobox-above"><div class="fn">Ada Lovelace</div></th></tr>
<tr><td colspan="2" class="infobox-image"><img alt="Portrait of Ada" src="a.jpg">
<div class="infobox-caption">Daguerreotype, 1843</div></td></tr>
<tr><th scope="row" class="infobox-label">Born</th>
<td class="infobox-data">10 December 1815<br>London</td></tr>
<tr><th scope="row" class="infobox-label">Known for</th>
<td class="infobox-data"><div class="hlist"><ul>
<li>Mathematics</li>
<li>Computing</li></ul></div></td></tr>
</tbody></table>
<p>Augusta Ada King was an English mathematician.</p>
</div>
"""
WIKITABLE = """\
<p>The years of the engines:</p>
<table class="wikitable">
<caption>Engines of Babbage</caption>
<tbody>
<tr>
<th rowspan="2">Engine</th>
<th colspan="2">Years</th>
<th rowspan="2">Parts</th>
</tr>
<tr>
<th>begun</th>
<th>ended</th>
</tr>
<tr>
<td rowspan="2">Difference</td>
<td>1822</td>
<td>1833</td>
<td>25,000</td>
</tr>
<tr>
<td>1847</td>
<td>1849</td>
<td>8,000</td>
</tr>
<tr>
<td>Analytical</td>
<td colspan="2">never</td>
<td></td>
</tr>
</tbody></table>
<p>None was finished.</p>
"""
BY_HAND = """\
<p>Prices:</p>
<table>
  <tr><th>Door</th><th>Price</th></tr>
  <tr><td>front</td><td>12</td></tr>
  <tr><td>back</td><td>7</td></tr>
</table>
<p>All in euros.</p>
"""


def lines(source: str) -> dict[int, str]:
    text = extract_html(source).text
    assert text.count("\n") == source.count("\n")
    return {number: line for number, line in enumerate(text.split("\n"), 1) if line}


def line_of(source: str, words: str) -> int:
    return source.count("\n", 0, source.index(words)) + 1


def test_a_table_of_documentation() -> None:
    assert lines(SPHINX) == {
        2: "## Conversions",
        3: "Supports the following objects by default:",
        6: "| Python | JSON |",
        7: "| --- | --- |",
        11: "| dict | object |",
        14: "| list, tuple | array \\| list |",
        17: "| None | null |",
        22: "To extend this, subclass it.",
    }


def test_an_infobox() -> None:
    assert lines(INFOBOX) == {
        2: "| Ada Lovelace |  |",
        3: "| --- | --- |",
        4: "| ![Portrait of Ada] Daguerreotype, 1843 |",
        6: "| Born | 10 December 1815 London |",
        8: "| Known for | Mathematics Computing |",
        13: "Augusta Ada King was an English mathematician.",
    }


def test_names_over_names_and_cells_over_rows() -> None:
    assert lines(WIKITABLE) == {
        1: "The years of the engines:",
        3: "Engines of Babbage",
        6: "| Engine | Years begun | Years ended | Parts |",
        7: "| --- | --- | --- | --- |",
        15: "| Difference | 1822 | 1833 | 25,000 |",
        21: "| Difference | 1847 | 1849 | 8,000 |",
        26: "| Analytical | never |",
        31: "None was finished.",
    }


def test_rows_of_one_line_keep_their_lines_and_the_names_move_up_one() -> None:
    assert lines(BY_HAND) == {
        1: "Prices:",
        2: "| Door | Price |",
        3: "| --- | --- |",
        4: "| front | 12 |",
        5: "| back | 7 |",
        7: "All in euros.",
    }


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        # Nothing but places for things: one row, or one column.
        ("<table>\n<tr>\n<td>menu</td>\n<td>text</td>\n</tr>\n</table>", ["menu", "| text"]),
        ("<table>\n<tr>\n<td>one</td>\n</tr>\n<tr>\n<td>two</td>\n</tr>\n</table>", ["one", "two"]),
        # A page laid out by a table, with headings in it.
        (
            "<table>\n<tr>\n<td>\n<h2>Left</h2>\n<td>menu\n</tr>\n<tr>\n<td>\n<p>text\n<td>foot\n</table>",
            ["## Left", "| menu", "text", "| foot"],
        ),
        (
            "<table>\n<tr>\n<td>a\n<td>b\n<tr>\n<td>" + "x " * 800 + "\n<td>c\n</table>",
            ["a", "| b", "x " * 799 + "x", "| c"],
        ),
        # No line for the row of dashes, and rows that share one.
        ("<table><tr><th>a<th>b</tr>\n<tr><td>c<td>d</tr></table>", ["a | b", "c | d"]),
        ("<table>\n\n<tr><th>a<th>b</tr><tr><td>c<td>d</tr></table>", ["a | b c | d"]),
        # Text beside it, on its first and its last line.
        ("see <table><tr><td>a<td>b</tr>\n\n<tr><td>c<td>d</tr></table>", ["see a | b", "c | d"]),
        ("<table>\n<tr><td>a<td>b</tr>\n\n<tr><td>c<td>d</tr></table> and so on", ["a | b", "c | d and so on"]),
        ("<table>\n<tr><td>a<td>b</tr>\nbetween\n<tr><td>c<td>d</tr></table>", ["a | b", "between", "c | d"]),
    ],
)
def test_what_is_no_table_stays_as_it_stands(source: str, expected: list[str]) -> None:
    assert list(lines(source).values()) == expected


def test_a_table_within_a_table_is_one_where_it_is_one() -> None:
    inner = "<table>\n<tr><th>a</th>\n<th>b</th></tr>\n<tr><td>1</td>\n<td>2</td></tr>\n</table>"
    around = f"<table>\n<tr>\n<td>menu</td>\n<td>\n{inner}\n</td>\n</tr>\n<tr>\n<td>x</td>\n<td>y</td>\n</tr></table>"
    assert list(lines(around).values()) == ["menu", "| a | b |", "| --- | --- |", "| 1 | 2 |", "x", "| y"]
    layout = "<table>\n<tr><td>deep</td></tr>\n</table>"
    around = (
        f"<table>\n<tr>\n<td>k</td>\n<td>\n{layout}\n</td>\n</tr>\n<tr>\n<td>x</td>\n<td>y</td>\n</tr></table>"
    )
    assert list(lines(around).values()) == ["| k | deep |", "| --- | --- |", "| x | y |"]


@pytest.mark.parametrize("source", [SPHINX, INFOBOX, WIKITABLE, BY_HAND])
def test_pages_without_lines_flatten_cells_alike(source: str) -> None:
    lined = [line for line in lines(source).values() if line.startswith("| ")]
    found = [line for line in read_markup(source.replace("\n", " ")).text.split("\n") if line.startswith("| ")]
    # There a cell keeps the marks of its list.
    assert [line.replace("- ", "") for line in found] == [line.replace("- ", "") for line in lined]


def long_table(rows: int) -> str:
    body = "".join(
        f"<tr><td><p>option_{n}</p></td>\n<td><p>what option number {n} is good for</p></td>\n</tr>\n"
        for n in range(rows)
    )
    head = "<tr><th><p>Option</p></th>\n<th><p>Meaning</p></th>\n</tr>\n"
    return f"<h1>Settings</h1>\n<p>All of them:</p>\n<table>\n{head}{body}</table>\n<p>That is all.</p>\n"


def cut(source: str, size: int) -> tuple[str, list[Chunk]]:
    text = extract_html(source).text
    chunker = StructureChunker(tokenizer=WordTokenizer(), size=size, overlap=0.0)
    return text, list(chunker.chunk(Document(id="page", text=text, format="page")))


def test_rows_are_kept_together_and_named_by_their_columns() -> None:
    source = long_table(60)
    text, chunks = cut(source, 120)
    among = [chunk for chunk in chunks if chunk.headings[-1:] == ("Option | Meaning",)]
    assert len(among) > 2
    for chunk in chunks:
        assert chunk.span is not None
        assert text[chunk.span.start : chunk.span.end] == chunk.text
        for line in chunk.text.splitlines():
            assert not line.startswith("|") or re.fullmatch(r"\| .* \|", line), "a row in two"
    for chunk in among:
        assert chunk.span is not None
        first = text.count("\n", 0, chunk.span.start) + 1
        option = re.search(r"option_\d+", chunk.text)
        assert option is not None
        assert first == line_of(source, f"<p>{option[0]}</p>")


def test_a_small_table_is_not_cut() -> None:
    _, chunks = cut(SPHINX, 60)
    (chunk,) = [chunk for chunk in chunks if "dict" in chunk.text]
    assert {"Python", "object", "null"} <= set(re.findall(r"\w+", chunk.text))


CELLS = st.builds(
    Cell,
    text=st.text(alphabet="ab |\n", max_size=5),
    columns=st.integers(1, 20),
    rows=st.sampled_from([1, 1, 2, 3, 10**6]),
    header=st.booleans(),
)


@settings(deadline=None)
@given(st.lists(st.lists(CELLS, max_size=6), min_size=2, max_size=8))
def test_whatever_cells_span_nothing_is_lost_and_nothing_explodes(rows: list[list[Cell]]) -> None:
    if not is_data(rows):
        return
    flat = flattened(rows)
    said = [text for row in flat for text in row]
    for cell in (cell for row in rows for cell in row if cell.text):
        assert any(cell.text in text for text in said)
    own = sum(len(cell.text) for row in rows for cell in row)
    assert sum(map(len, said)) <= 20 * own + 8 * 200


def test_a_cell_over_a_million_rows_is_said_in_those_there_are() -> None:
    tall = Cell(text="x" * 90, rows=10**6)
    rows = [[Cell(text="a"), Cell(text="b")], [tall, Cell(text="1")], *[[Cell(text="2")] for _ in range(5_000)]]
    flat = flattened(rows)
    assert len(flat) == len(rows)
    assert flat[1][0] == flat[2][0] == tall.text
    assert sum(len(text) for row in flat for text in row) < 40_000
