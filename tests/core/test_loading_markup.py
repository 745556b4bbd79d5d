from __future__ import annotations

import re

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from ragweft.loading.html import extract_html
from ragweft.loading.markdown import cleaned, escaped, fenced, on_one_line, table_lines, tidy_block
from ragweft.loading.markup import read_markup

LONG = "This paragraph holds what people come to the page for. " * 6


def text(source: str) -> str:
    return read_markup(source).text


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("", ""),
        ("plain", "plain"),
        ("<h1>T</h1><p>one</p><p>two", "# T\n\none\n\ntwo"),
        ("a<b>b</b>c <i> d</i>", "abc d"),
        ("<p>one<br>two<br/>three</p>", "one\ntwo\nthree"),
        ("<p>one\n  two\tthree</p>", "one two three"),
        ("<h2>a<br>b</h2>", "## a b"),
        ("<ul><li>a<li>b<ul><li>c</ul><li>d</ul>", "- a\n- b\n  - c\n- d"),
        ("<ol><li>a</li><li><p>b</p><p>more</p></li></ol><p>after", "1. a\n2. b\n\n   more\n\nafter"),
        ("<ul><li>a</ul><ol><li>b</ol>", "- a\n\n1. b"),
        ("<ul><li><h3>Card</h3><p>text</p></li><li><h3>Next</h3></li></ul>", "### Card\n\ntext\n\n### Next"),
        ("<blockquote><p>q</p><blockquote>qq</blockquote></blockquote>x", "> q\n\n> > qq\n\nx"),
        ("<pre>a\n  b\n\nc</pre>", "```\na\n  b\n\nc\n```"),
        ('<pre class="x"><code class="language-rust">fn</code></pre>', "```rust\nfn\n```"),
        ("<pre>``` x</pre>", "````\n``` x\n````"),
        (
            "<p># a</p><p>```</p><p>---</p><p>&gt; b</p><p>&lt;div&gt;</p>",
            "\\# a\n\n\\```\n\n\\---\n\n\\> b\n\n\\<div>",
        ),
        ('<img alt="A cat"> <img alt="x.png"> <img alt=" "> <img>', "![A cat]"),
        ("<dl><dt>term<dd>meaning</dl>", "term\n\nmeaning"),
        ("<script>x</script><style>y</style><template>z</template>a<svg><text>b</text></svg>", "a"),
        ("<p style='display: none'>preview</p><p>shown</p>", "shown"),
        ("<nav>a</nav><footer>b</footer>", "a\n\nb"),
        ("<h1>A<a class='headerlink'>¶</a></h1>", "# A"),
        ("</p></ul></table></td></blockquote>x", "x"),
        ("<!DOCTYPE x [<!ENTITY a 'b'>\n]>\n<p>&a;</p>", "&a;"),
        ("a\x00b\x07c", "abc"),
    ],
)
def test_pieces(source: str, expected: str) -> None:
    assert text(source) == expected


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        (
            "<table><tr><th>A<th>B|b</tr><tr><td><p>1</p><p>2</p><td></table>",
            "| A | B\\|b |\n| --- | --- |\n| 1 2 |",
        ),
        (
            "<table><caption>About</caption><tr><td>a<td>b<tr><td colspan=2>c<tr></table>x",
            "About\n\n| a | b |\n| --- | --- |\n| c |\n\nx",
        ),
        (
            "<table><tr><td>a<td colspan=2>b</tr><tr><td>c<td>d<td>e</table>",
            "| a | b |  |\n| --- | --- | --- |\n| c | d | e |",
        ),
        ("<table><tr><td>only<td>row</table>", "only\n\nrow"),
        ("<table><tr><td>one<tr><td>column</table>", "one\n\ncolumn"),
        (
            "<table><tr><td><table><tr><td>in<td>side<tr><td>a<td>b</table></table>",
            "| in | side |\n| --- | --- |\n| a | b |",
        ),
        (f"<table><tr><td>{'x' * 2_000}<td>b<tr><td>c<td>d</table>", f"{'x' * 2_000}\n\nb\n\nc\n\nd"),
        ("<table><tr><td><h2>T</h2><td>b<tr><td>c<td>d</table>", "## T\n\nb\n\nc\n\nd"),
        (
            "<table><tr><td><ul><li>a<li>b</ul><td>c<tr><td>d<td>e</table>",
            "| - a - b | c |\n| --- | --- |\n| d | e |",
        ),
        (
            "<ul><li>a<table><tr><td>1<td>2<tr><td>3<td>4</table></ul>",
            "- a\n\n  | 1 | 2 |\n  | --- | --- |\n  | 3 | 4 |",
        ),
        ("<td>a<tr>b<th>c", "a\n\nb\n\nc"),
        ("<table><tr><td>a", "a"),
    ],
)
def test_tables(source: str, expected: str) -> None:
    assert text(source) == expected


def test_titles() -> None:
    assert read_markup("<title> A\n page </title><h1>H</h1>").title == "A page"
    assert read_markup("<h1>A <em>b</em></h1>").title == "A b"
    assert read_markup("<p>x").title is None


# Main text ---------------------------------------------------------------------------------------------------

NOISY = [
    "<nav>NOISE</nav>",
    '<div role="navigation">NOISE</div>',
    '<div class="a sidebar b">NOISE</div>',
    '<div id="breadcrumbs">NOISE</div>',
    "<footer>NOISE</footer>",
    '<section role="complementary">NOISE</section>',
    '<div role="dialog">NOISE</div>',
]


@pytest.mark.parametrize("noise", NOISY)
@pytest.mark.parametrize("frame", ["{noise}\n<p>{text}</p>\n", "<main>\n<p>{text}</p>\n{noise}</main>\n"])
def test_what_is_around_a_page_is_left_out(noise: str, frame: str) -> None:
    source = frame.format(noise=noise, text=LONG)
    for said in (read_markup(source, page=True).text, extract_html(source).text):
        assert "NOISE" not in said
        assert said.count("what people come") == 6
    assert "NOISE" in read_markup(source).text


@pytest.mark.parametrize(
    "main",
    [
        "<main>{}</main>",
        '<div role="main">{}</div>',
        "<article>{}</article>",
        '<div class="x entry-content">{}</div>',
        '<div id="mw-content-text">{}</div>',
        '<div itemprop="articleBody">{}</div>',
    ],
)
def test_a_page_that_says_where_its_text_is(main: str) -> None:
    source = f"<title>T</title><div>Home</div>\n<h1>Site</h1>\n{main.format(f'<h2>Here</h2><p>{LONG}</p>')}\n<div>Imprint</div>"
    page = read_markup(source, page=True)
    assert page.text == f"## Here\n\n{LONG.strip()}"
    assert page.title == "T"
    kept = extract_html(source).text
    assert "Home" not in kept
    assert "Imprint" not in kept
    assert kept.count("\n") == source.count("\n")


@pytest.mark.parametrize(
    "source",
    [
        f"<article>short</article><p>{LONG}</p>",
        f"<article>{LONG}</article><article>{LONG}</article><article>{LONG}</article>",
        f'<div class="sidebar">{LONG}</div><p>{LONG[:50]}</p>',
        f"<main></main><p>{LONG}</p>",
        f"<body class='sidebar'><p>{LONG}</p></body>",
        f"<nav>never closed<p>{LONG}</p>",
        f'<div class="sidebar">never closed<p>{LONG}</p>',
        f"<blockquote>{LONG}<footer>Who said it</footer></blockquote>",
    ],
)
def test_in_doubt_text_stays(source: str) -> None:
    said = " ".join(re.findall(r"\w+", read_markup(source, page=True).text))
    assert said == " ".join(re.findall(r"\w+", re.sub(r"<[^>]*>", " ", source)))


def test_the_innermost_of_equal_parts_is_the_page() -> None:
    source = f'<div id="content">Menu<div class="post-content"><p>{LONG}</p></div></div>'
    assert read_markup(source, page=True).text == LONG.strip()


# Invariants --------------------------------------------------------------------------------------------------

TAGS = (
    "p div h1 h2 pre ul ol li table tr td th nav main article footer script style svg a b br title template body head"
    " blockquote dl dd code noscript section"
)
PIECES = st.one_of(
    st.sampled_from([f"<{tag}>" for tag in TAGS.split()] + [f"</{tag}>" for tag in TAGS.split()]),
    st.sampled_from(
        ["<td colspan=3>", "<td colspan=x>", "<div class=sidebar>", "<div role=main>", "<img alt='[p]'>"]
    ),
    st.sampled_from(
        ["<", ">", "&", "&#", "</", "<!", "<!--", "-->", "<![", "]]>", "<!DOCTYPE x [", "]>", "\n", " "]
    ),
    st.text(max_size=4),
)


@given(st.lists(PIECES, max_size=40).map("".join), st.booleans())
@settings(max_examples=200, deadline=None)
@example("<textarea>\n<p>\n", True)
def test_any_text_gives_blocks(source: str, page: bool) -> None:
    found = read_markup(source, page=page)
    for block in found.blocks:
        assert block.strip()
        assert block == block.rstrip("\n")
    found.text.encode("utf-8")
    assert found.title is None or found.title == found.title.strip() != ""


@given(st.lists(PIECES, max_size=30))
@settings(max_examples=150, deadline=None)
def test_words_stay_in_order_and_are_said_once(pieces: list[str]) -> None:
    source = "".join(f" qx{number}w {piece}" for number, piece in enumerate(pieces))
    said = [int(number) for number in re.findall(r"qx(\d+)w", read_markup(source).text)]
    assert said == sorted(set(said))


SOUND = st.recursive(
    st.sampled_from(
        ["word", "a b", "1. x", "- y", "+ z", "~~~", "===", "    four", "| a |", "[x]", "*e*", "\\"]
    ),
    lambda inner: st.tuples(
        st.sampled_from(["p", "div", "h2", "ul", "ol", "li", "blockquote", "section"]),
        st.lists(inner, max_size=3),
    ).map(lambda made: f"<{made[0]}>{''.join(made[1])}</{made[0]}>"),
    max_leaves=8,
)


@given(SOUND)
@settings(max_examples=150, deadline=None)
def test_no_word_of_a_sound_page_is_lost(source: str) -> None:
    wanted = re.findall(r"[a-z]+", re.sub(r"<[^>]*>", " ", source))
    assert re.findall(r"[a-z]+", text(source)) == wanted


@given(
    st.lists(st.sampled_from(["one", "two three", "# x", "a | b", ""]), min_size=1, max_size=5),
    st.integers(1, 6),
)
def test_headings_and_nothing_else_are_headings_to_readers_of_markdown(
    paragraphs: list[str], level: int
) -> None:
    source = "".join(f"<h{level}>H{n}</h{level}><p>{said}</p>" for n, said in enumerate(paragraphs))
    tokens = MarkdownIt("commonmark").parse(text(source))
    assert [token.tag for token in tokens if token.type == "heading_open"] == [f"h{level}"] * len(paragraphs)


@pytest.mark.parametrize(
    "piece",
    [
        "<a ",
        "<!--",
        "<div a='",
        "</",
        "<![CDATA[",
        "&#",
        "<nav>",
        "<pre>",
        "<table>",
        "<td colspan=20>",
        "<li>",
        "<ul>",
        "<blockquote>",
        "<div>",
        "</div>",
        "<table><tr><td>",
        "<!DOCTYPE x [",
        "<title>",
        "<div class=sidebar></div>",
    ],
)
def test_repeated_fragments_take_no_more_than_their_length(piece: str) -> None:
    for page in (False, True):
        assert len(read_markup(f"{piece}x\n" * 5_000, page=page).text) < 10_000_000


# Helpers -----------------------------------------------------------------------------------------------------


@given(st.text())
def test_cleaned_text_can_be_stored_and_stays_clean(said: str) -> None:
    found = cleaned(said)
    found.encode("utf-8")
    assert cleaned(found) == found
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\ufeff]", found)
    assert on_one_line(said) == on_one_line(found)
    assert tidy_block(tidy_block(said)) == tidy_block(said)


@given(st.text(st.sampled_from("#`~=->< ab\n"), max_size=30))
def test_escaped_text_holds_no_headings(said: str) -> None:
    tokens = MarkdownIt("commonmark").parse(escaped(said))
    assert not {token.type for token in tokens} & {"heading_open", "fence", "code_block", "html_block"}
    assert re.findall("[ab]", escaped(said)) == re.findall("[ab]", said)


@given(st.text(st.sampled_from("`~ab \n"), max_size=30))
def test_fenced_code_is_one_block(code: str) -> None:
    (token,) = MarkdownIt("commonmark").parse(fenced(code, "x"))
    assert token.type == "fence"
    assert token.content.rstrip() == code.rstrip()


@given(st.lists(st.lists(st.sampled_from(["", "a", "b|c", " d\ne ", "`x", "---"]), max_size=4), max_size=5))
def test_tables_are_tables_to_readers_of_markdown(rows: list[list[str]]) -> None:
    lines = table_lines(rows)
    if not any(cell for row in rows for cell in row):
        assert lines == []
        return
    tokens = MarkdownIt("commonmark").enable("table").parse("\n".join(lines))
    assert tokens[0].type == "table_open"
    cells = [token.content for token in tokens if token.type == "inline"]
    filled = [" ".join(cell.split()) for row in rows for cell in row if cell.strip()]
    assert [cell.replace("\\|", "|") for cell in cells if cell] == filled
