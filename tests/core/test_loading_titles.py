from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ragweft.loading.titles import find_title


@pytest.mark.parametrize(
    ("text", "title"),
    [
        ("# Title\n\ntext", "Title"),
        ("   # Title ##\n", "Title"),
        ("#Title\n", None),
        ("text\n\n## Second level\n", None),
        ("text first\n\n# Title\n", "Title"),
        ("Title\n=====\n", "Title"),
        ("Two\nlines\n===\n", "Two lines"),
        ("Title\n-----\n", None),
        ("# \n\n# Real\n", "Real"),
        ("```python\n# comment\n```\n# Title\n", "Title"),
        ("````\n```\n# inside\n````\n# Title\n", "Title"),
        ("~~~\n# inside\n", None),
        ("<!--\n# licence\n-->\n# Title\n", "Title"),
        ("# [![badge](b.svg)](x) The `run` [guide](g.md)\n", "The run guide"),
        ("# ![logo](l.png)\n# Title\n", "Title"),
        ('# <img src="logo.svg"> Title\n', "Title"),
        ("# Title\r\n\r\ntext", "Title"),
        ("Title\r\n===\r\n", "Title"),
        ("# Title\rtext", "Title"),
        ("---\ntitle: From front matter\nlayout: x\n---\n# Heading\n", "From front matter"),
        ('---\ntitle: "Quoted: title"\n---\n', "Quoted: title"),
        ("---\nlayout: x\n---\n# Heading\n", "Heading"),
        ("- item\n===\n", None),
        ("    # indented code\n", None),
        ("plain text only\n", None),
        ("", None),
    ],
)
def test_markdown(text: str, title: str | None) -> None:
    assert find_title(text, "markdown") == title


@pytest.mark.parametrize(
    ("text", "title"),
    [
        ("Title\n=====\n\ntext", "Title"),
        ("=====\nTitle\n=====\n", "Title"),
        ("=======\n Title\n=======\n", "Title"),
        (".. _label:\n\nTitle\n-----\n", "Title"),
        ("Title\n~~~~\n", "Title"),
        (":mod:`json` --- JSON ``encoder``\n=====================================\n", "json --- JSON encoder"),
        ("The :class:`Foo <pkg.Foo>` class\n===================================\n", "The Foo class"),
        ("para\n\n----\n\npara\n", None),
        ("A long paragraph of text\n---\n", None),
        ("no title\n", None),
    ],
)
def test_rst(text: str, title: str | None) -> None:
    assert find_title(text, "rst") == title


@pytest.mark.parametrize(
    ("text", "title"),
    [
        ('"""First line.\n\nMore."""\n', "First line."),
        ("'''One'''\n", "One"),
        ('#!/usr/bin/env python\n# -*- coding: utf-8 -*-\n\nr"""\nBelow.\n"""\n', "Below."),
        ('"plain"\n', "plain"),
        ('x = 1\n"""not a docstring"""\n', None),
        ('"""   """\n', None),
        ("import os\n", None),
    ],
)
def test_python(text: str, title: str | None) -> None:
    assert find_title(text, "python") == title


def test_only_the_beginning_is_looked_at() -> None:
    assert find_title("text\n" * 10_000 + "# Late\n", "markdown") is None


def test_a_long_title_is_shortened() -> None:
    title = find_title("# " + "word " * 100 + "\n", "markdown")
    assert title is not None
    assert len(title) <= 200
    assert title.endswith("…")


@pytest.mark.parametrize("written", ["code", "table", "text", "html"])
def test_other_formats_have_none(written: str) -> None:
    assert find_title("# Title\n", written) is None


@given(st.text(st.sampled_from("#=-` \n\r\t\"'<>!-[]()~:x.") | st.characters(), max_size=200))
def test_any_text_is_survived_and_a_title_is_one_line_of_it(text: str) -> None:
    for written in ("markdown", "rst", "python"):
        title = find_title(text, written)
        assert title is None or (
            title.strip() == title != "" and title.splitlines() == [title] and len(title) <= 200
        )
