"""Markdown: blocks held against markdown-it-py, and what chunks are made of them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from doubles_chunking import cut, outline
from ragweft.chunking.blocks import Block, line_starts
from ragweft.chunking.markdown import markdown_blocks

ORACLE = MarkdownIt("commonmark").enable("table")

# Each is a block by itself; joined by single line breaks some of them run together, interrupt or continue one another.
BLOCKS = (
    *(
        "# One",
        "## Two ##",
        "### Three *and* `code`",
        "####### seven",
        "#tag",
        "Under\n=====",
        "Two lines\nunder\n---",
    ),
    *(
        "A paragraph.",
        "Two lines\nof text",
        "Text with | a pipe",
        "\\# no heading",
        "1986. A year",
        "-dash",
        "**bold**",
    ),
    *(
        "```\n# no heading\n\nstill\n```",
        "~~~ py\n```\n~~~",
        "````\n```\n````",
        "   ```\n   x\n   ```",
        "```a`b",
    ),
    *("    indented\n\n    # code", "> quote\n> # inside", "> quote\nlazy", "> - a\n> - b", ">\n> x"),
    *(
        "- a\n- b",
        "* a\n\n  # inside\n\n* b",
        "1. a\n2. b",
        "2) x",
        "+ a\n  - b\n    - c",
        "- ```\n  # code\n  ```",
    ),
    *("- a\nlazy\n", "- a\n\n      code", "10. a\n\n    more", "- [ ] task", "- a\n\n\n- b"),
    *("| a | b |\n|---|---|\n| 1 | 2 |", "a | b\n--|:-:\n1 | 2", "| a |\n|---|", "| a | b |\n|---|\n"),
    *(
        "---",
        "***",
        "- - -",
        "_ _ _",
        "<div>\n# no\n</div>",
        "<!-- # no\n\n# no -->",
        "<br>\ntext",
        "<pre>\n\n# no\n</pre>",
    ),
    *("<https://example.org>", "<a href='x'>", "[text](url)", "![image](url)", "Words:", "a\\\nb", "\ttabbed"),
)


def starts_by_oracle(text: str) -> list[tuple[int, str]]:
    return [
        (token.map[0], token.tag if token.type == "heading_open" else "")
        for token in ORACLE.parse(text)
        if token.level == 0 and token.nesting >= 0 and token.map
    ]


def flat(blocks: Sequence[Block], level: int = 0) -> Iterator[tuple[Block, bool]]:
    for block in blocks:
        if block.goes_on:
            continue  # the last sentence of a paragraph, which leads in to what follows
        if block.title is None or block.parts is None:
            yield block, False
            continue
        heading, *rest = block.parts()
        yield heading, True
        yield from flat(rest, level + 1)


def starts_by_us(text: str) -> list[tuple[int, str]]:
    lines = {start: number for number, start in enumerate(line_starts(text)[:-1])}
    raw = text.splitlines()
    found = []
    for block, is_heading in flat(markdown_blocks(text)):
        line = lines[block.start]
        hashes = re.match(r" {0,3}(#{1,6})(?:\s|$)", raw[line])
        level = len(hashes[1]) if hashes else 0
        below = next((row for row in raw[line:] if set(row.strip()) in ({"="}, {"-"})), "=")
        found.append((line, f"h{level or (1 if '=' in below else 2)}" if is_heading else ""))
    return found


@settings(max_examples=400, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from(BLOCKS), st.sampled_from(["\n", "\n\n", "\n\n\n"])), min_size=1, max_size=8
    )
)
def test_blocks_begin_where_commonmark_says(parts: list[tuple[str, str]]) -> None:
    # The empty line keeps what looks like front matter, which CommonMark does not know, from being read as such.
    text = "\n" + "".join(block + glue for block, glue in parts)
    assert starts_by_us(text) == starts_by_oracle(text)


@pytest.mark.parametrize("newline", ["\r\n", "\r"])
def test_other_line_ends_read_the_same(newline: str) -> None:
    text = "# One\n\ntext\n\nUnder\n---\n\n```\n# no\n```\n\n## Two\n\n- a\n- b\n"
    assert outline(text, "markdown", size=6) == outline(text.replace("\n", newline), "markdown", size=6)


@pytest.mark.parametrize(
    ("raw", "title"),
    [
        ("# Plain", "Plain"),
        ("## The `__init__` of *two* __bold words__ ##", "The __init__ of two bold words"),
        ("# [Link](https://example.org) and ![alt](x.png) {#anchor}", "Link and alt"),
        ("# <a name='x'></a>Tag &amp; entity \\*", "Tag & entity *"),
        ("# snake_case and __dunder__ stay", "snake_case and __dunder__ stay"),
        ("Two\nlines\n=====", "Two lines"),
        ("# " + "long " * 60, ("long " * 60)[:99].rstrip() + "…"),
    ],
)
def test_headings_are_read_without_markup(raw: str, title: str) -> None:
    assert cut(f"{raw}\n\ntext", "markdown")[0].headings == (title,)


def test_sections_become_the_heading_path() -> None:
    text = (
        "# Top\n\nintro here\n\n## A\n\n"
        + "alpha " * 30
        + "\n\n### A1\n\n"
        + "beta " * 30
        + "\n\n## B\n\n"
        + "gamma " * 30
    )
    assert outline(text, "markdown", size=70) == [
        ("Top", "# Top"),
        ("Top > A", "## A"),
        ("Top > A > A1", "### A1"),
        ("Top > B", "## B"),
    ]


def test_small_sibling_sections_share_a_chunk_under_the_common_path() -> None:
    text = "# Top\n\n" + "\n\n".join(f"## S{n}\n\n" + "Word. " * 10 for n in range(8))
    chunks = cut(text, "markdown", size=50, overlap=0.4)
    assert [chunk.headings for chunk in chunks] == [("Top",)] * len(chunks)
    assert all(chunk.text.count("## S") >= 2 for chunk in chunks)
    assert sum(len(chunk.text.split()) for chunk in chunks) == len(text.split()), "repeats across headings"


@pytest.mark.parametrize("size", [12, 20, 33, 70])
def test_a_heading_stays_with_what_follows(size: int) -> None:
    text = "".join(f"{'#' * (1 + n % 3)} H{n}\n\n" + "word " * (7 * n) + "\n\n" for n in range(1, 12))
    for chunk in cut(text, "markdown", size=size, overlap=0.2):
        assert not chunk.text.splitlines()[-1].startswith("#")


def test_heading_without_text_goes_to_the_next_section() -> None:
    text = "# T\n\n## Empty\n\n## Full\n\n" + "word " * 60 + "\n\n## Last"
    first, second = cut(text, "markdown", size=50)
    assert (first.headings, second.headings) == (("T", "Full"), ("T", "Full"))
    assert first.text.startswith("# T\n\n## Empty\n\n## Full\n\nword")
    assert second.text.endswith("## Last")


def test_fences_tables_and_lists_are_whole_where_they_fit() -> None:
    fence = "```python\n" + "\n\n".join(f"x{n} = {n}" for n in range(8)) + "\n```"
    table = "| a | b |\n|---|---|\n" + "\n".join(f"| {n} | {n} |" for n in range(6))
    listed = "- one\n- two\n\n  more of two\n- three"
    text = "\n\n".join([fence, "prose " * 12, table, "prose " * 12, listed, "prose " * 12])
    chunks = cut(text, "markdown", size=50)
    for block in (fence, table, listed):
        assert sum(block in chunk.text for chunk in chunks) == 1


def test_large_table_is_cut_between_rows() -> None:
    rows = [f"| row {n} | value {n} |" for n in range(60)]
    chunks = cut("\n".join(["| a | b |", "|---|---|", *rows]), "markdown", size=60)
    assert len(chunks) > 5
    assert all(
        line in {"| a | b |", "|---|---|", *rows} for chunk in chunks for line in chunk.text.splitlines()
    )


def test_words_before_a_colon_stay_with_what_they_announce() -> None:
    text = "prose " * 14 + "\n\nFor example:\n\n```\n" + "code\n" * 30 + "```\n\n" + "prose " * 14
    chunks = cut(text, "markdown", size=50)
    assert any("For example:\n\n```" in chunk.text for chunk in chunks)


def test_front_matter_is_no_heading_and_no_chunk_of_its_own() -> None:
    chunks = cut("---\ntitle: Some page\ntags: [a]\n---\n\n# Page\n\nText of it.", "markdown")
    assert [chunk.headings for chunk in chunks] == [("Page",)]
    assert cut("---\n\n# Page\n\nText of it.", "markdown")[0].headings == ("Page",)


def test_overlap_does_not_cross_headings() -> None:
    text = "\n\n".join(f"# H{n}\n\n" + "Some words make a sentence here. " * 20 for n in range(4))
    chunks = cut(text, "markdown", size=60, overlap=0.3)
    spans = [chunk.span for chunk in chunks if chunk.span]
    repeated = [earlier.end > later.start for earlier, later in zip(spans, spans[1:], strict=False)]
    begins = [chunk.text.startswith("#") for chunk in chunks[1:]]
    assert True in repeated
    assert [again for again, begin in zip(repeated, begins, strict=True) if begin] == [False] * 3
    for chunk, again in zip(chunks[1:], repeated, strict=True):
        assert not again or chunk.text.startswith("Some words")
