from __future__ import annotations

import re

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ragweft.loading.html import extract_html

PAGE = """\
<!DOCTYPE html>

<html lang="en">
  <head>
    <meta charset="utf-8" />
    <title>json — JSON encoder &#8212; Python documentation</title>
    <style>a { color: red }
    </style>
    <script>if (a < b) { write("<h1>no</h1>") }</script>
  </head><body>
<nav><ul><li>Menu</li></ul>
</nav>
<section id="module-json">
<h1><span id="json"></span><code>json</code> — JSON encoder<a class="headerlink" href="#module-json">¶</a></h1>
<p><strong>Source code:</strong> <a class="reference external" href="x">Lib/json/__init__.py</a></p>
<p>JSON is a lightweight
  data interchange   format&nbsp;inspired by &lt;b&gt;.</p>
<!-- a
comment --><div class="highlight"><pre><span></span><span class="gp">&gt;&gt;&gt; </span><span>import</span> json
# no heading
    indented(<span>1</span>)

done
</pre></div>
<ul class="simple">
<li><p>one</p></li>
<li><p>two</p>
<ul>
<li>nested</li>
</ul>
</li>
</ul>
<table>
<tr><th>A</th><th>B</th></tr>
<tr>
<td>1</td>
<td>2</td>
</tr>
</table>
<h2
  class="x">Encoders</h2>
<p># no heading</p>
</section>
</body></html>
"""

TEXT = {
    14: "# json — JSON encoder",
    15: "Source code: Lib/json/__init__.py",
    16: "JSON is a lightweight",
    17: "data interchange format inspired by <b>.",
    19: "    >>> import json",
    20: "    # no heading",
    21: "        indented(1)",
    23: "    done",
    26: "- one",
    27: "- two",
    29: "  - nested",
    34: "| A | B |",
    35: "| --- | --- |",
    36: "| 1 | 2 |",
    41: "## Encoders",
    42: "\\# no heading",
}
"""Line number to what stands on it; every other line is empty."""


def text(source: str) -> str:
    return extract_html(source).text


def test_a_page_as_documentation_generators_write_it() -> None:
    page = extract_html(PAGE)
    assert page.title == "json — JSON encoder — Python documentation"
    assert {number: line for number, line in enumerate(page.text.split("\n"), 1) if line} == TEXT
    assert page.text.count("\n") == PAGE.count("\n")


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("", ""),
        ("plain", "plain"),
        ("a<b>b</b>c <i> d</i>", "abc d"),
        ("<p>a</p><p>b</p>", "a b"),
        ("a<br>b<br/>c", "a b c"),
        ("<h1>T</h1>", "# T"),
        ("<h6>T</h6>", "###### T"),
        ("<h2>\n  T\n</h2>", "\n## T\n"),
        ("<h1>T</h1><p>text</p>", "T text"),
        ("<p>text</p><h1>T</h1>", "text T"),
        ("<h1><div>T</div></h1>\n<p>x", "# T\nx"),
        ("<ul><li>a<li>b</ul>", "- a - b"),
        ("<ol>\n<li>a\n<li>b\n</ol>", "\n- a\n- b\n"),
        ("<li><pre>x</pre></li><li>y", "    x - y"),
        ("<dl>\n<dt>term\n<dd>meaning</dl>", "\nterm\nmeaning"),
        ("<td>a<td>b<tr><td>c", "a | b c"),
        ("<pre>a\n  b\t c\n\nd</pre>", "    a\n      b\t c\n\n    d"),
        ("x <pre>a  b</pre> y", "x a b y"),
        ("<pre>a\r\n b\r\nc</pre>", "    a\n     b\n    c"),
        ("one\rtwo\r\nthree", "one\ntwo\nthree"),
        ("a &amp; b &lt;c&gt; &copy; &#233;&#xe9; &nbsp;x", "a & b <c> © éé x"),
        ("a&#10;b&NewLine;c&#xA;d&#010e&#13;f", "a b c d e f"),
        ("&#100;&#xab;", "d«"),
        ("a &foo; b & c &", "a &foo; b & c &"),
        ("AT&T &# x", "AT&T &# x"),
        ("1 < 2 > 1", "1 < 2 > 1"),
        ("a <", "a <"),
        ("a <b", "a <b"),
        ("a </", "a </"),
        ("<script>\n<p>x</p>\n</script>y", "\n\ny"),
        ("<style>p {}</style>y<script>open", "y"),
        ("<template><p>x</p></template>y<noscript>z</noscript>", "y"),
        ("<svg><title>no</title><text>x</text></svg>y", "y"),
        ("<nav><nav>x</nav>x</nav>y", "y"),
        ("<nav>kept, for it is\n<p>never closed", "kept, for it is\nnever closed"),
        ("<svg/>y", "y"),
        ("</p></ul></h1></pre></nav>x", "x"),
        ("<!-- x\n -->y", "\ny"),
        ("<!doctype html>y<?php x ?>", "y"),
        ("<![if IE]>x<![endif]>", "x"),
        ("<![foo bar>x", "x"),
        ("<p>```\n<p>~~~\n<p>===\n<p>---\n<p>#x #", "\\```\n\\~~~\n\\===\n\\---\n#x #"),
        ("<a class='x headerlink'>¶</a><a class='x'>y</a><a class>z</a>", "yz"),
        ("<p>a\u2028b\x0bc\x85d</p>", "a b c d"),
    ],
)
def test_pieces(source: str, expected: str) -> None:
    assert text(source) == expected


@pytest.mark.parametrize(
    ("source", "title"),
    [
        ("<title> A\n page </title><h1>Heading</h1>", "A page"),
        ("<h1>A <em>heading</em><a class=headerlink>¶</a></h1><h1>Second</h1>", "A heading"),
        ("<title></title>\n<h1>H</h1>", "H"),
        ("<title>first</title><title>second</title>", "first"),
        ("<h2>x</h2>", None),
        ("", None),
    ],
)
def test_titles(source: str, title: str | None) -> None:
    assert extract_html(source).title == title


TAGS = [
    "p",
    "div",
    "h1",
    "h2",
    "pre",
    "ul",
    "ol",
    "li",
    "table",
    "tr",
    "td",
    "th",
    "nav",
    "script",
    "style",
    "svg",
    "a",
    "b",
    "br",
    "title",
    "template",
    "body",
    "head",
]
PIECES = st.one_of(
    st.sampled_from([f"<{tag}>" for tag in TAGS] + [f"</{tag}>" for tag in TAGS]),
    st.sampled_from(
        ["<p\nclass='a\nb'>", "<br/>", "<!-- c\n -->", "<!doctype html>", "&amp;", "&#10;", "&NewLine;"]
    ),
    st.sampled_from(
        ["<", ">", "&", "&#", "</", "<!", "<!--", "-->", "<![", "]]>", "<![CDATA[", "<?", "'", '"', "="]
    ),
    st.sampled_from(["\n", "\n\n", " ", "\t", "\r\n", "\r", "  \n  "]),
    st.text(max_size=5),
)


def line_ends(source: str) -> int:
    return len(re.findall(r"\r\n|\r|\n", source))


@given(st.lists(PIECES, max_size=40).map("".join))
@settings(max_examples=300, deadline=None)
@example("<textarea>\n<p>\n")
@example("<title>\n<h1>\n")
@example("<script>\n</p>\n<")
def test_any_text_gives_as_many_lines(source: str) -> None:
    page = extract_html(source)
    assert page.text.count("\n") == line_ends(source)
    assert "\r" not in page.text
    assert page.title is None or page.title == page.title.strip() != ""


@given(st.lists(PIECES, max_size=40))
@settings(max_examples=300, deadline=None)
def test_every_word_stays_on_its_line(pieces: list[str]) -> None:
    source, lines, line = "", {}, 0
    for number, piece in enumerate(pieces):
        word = f" qx{number}w "
        lines[word.strip()] = line + line_ends(source)
        source += word + piece
    for number, content in enumerate(text(source).split("\n")):
        for word in re.findall(r"qx\d+w", content):
            assert lines[word] == number


@given(
    st.lists(
        st.tuples(st.sampled_from(["p", "div", "h2", "li", "td", "pre", "span", "em"]), st.integers(0, 3)),
        max_size=20,
    )
)
def test_no_word_of_a_sound_page_is_lost(elements: list[tuple[str, int]]) -> None:
    source = "<body>\n" + "".join(
        f"<{tag}>word{number}{chr(10) * gap}</{tag}>\n" for number, (tag, gap) in enumerate(elements)
    )
    assert re.findall(r"word\d+", text(source)) == [f"word{number}" for number in range(len(elements))]


@pytest.mark.parametrize(
    "piece", ["<a ", "<!--", "<div a='", '<a href="', "</", "<![CDATA[", "<![x", "&#", "<nav>", "<pre>"]
)
def test_repeated_fragments_take_no_more_than_their_length(piece: str) -> None:
    """Python's parser alone takes a minute for some of these."""
    assert text(f"{piece}\n" * 30_000).count("\n") == 30_000
