"""The free context: what it says, what it leaves out, and that it fits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from doubles_chunking import WordTokenizer
from ragweft.chunking import StructureChunker
from ragweft.context import NoContext, OutlineContextualizer
from ragweft.errors import RecipeError
from ragweft.protocols import Contextualizer
from ragweft.types import Chunk, Document, Span

GUIDE = """\
---
description: not this
---

# Guide

[![badge](x.svg)](y)

> Copyright somebody.

The *quick* tour of [the thing](https://example.org), wrapped
over two lines. And a second sentence.

## Install

{words}

### On Linux

{words}
""".format(words="word " * 60)


def contexts(document: Document, *, size: int = 80, max_tokens: int = 60) -> list[str]:
    tokenizer = WordTokenizer()
    chunks = StructureChunker(tokenizer=tokenizer, size=size, overlap=0.0).chunk(document)
    made = OutlineContextualizer(tokenizer=tokenizer, max_tokens=max_tokens).contextualize(document, chunks)
    assert [chunk.text for chunk in made] == [chunk.text for chunk in chunks]
    assert all(len(tokenizer.encode(chunk.context).ids) <= max_tokens for chunk in made)
    return [chunk.context for chunk in made]


def context_of(document: Document, *, text: str, headings: Sequence[str] = (), max_tokens: int = 60) -> str:
    start = document.text.find(text)
    span = Span(start=start, end=start + len(text)) if start >= 0 else None
    chunk = Chunk(id="c", document_id=document.id, text=text, span=span, headings=tuple(headings))
    (made,) = OutlineContextualizer(tokenizer=WordTokenizer(), max_tokens=max_tokens).contextualize(
        document, [chunk]
    )
    return made.context


def test_title_headings_and_file() -> None:
    document = Document(
        id="file:///home/me/docs/my%20guide.md",
        source="file:///home/me/docs/my%20guide.md",
        text=GUIDE,
        title="The guide",
        format="markdown",
    )
    assert contexts(document) == [
        "The guide\ndocs/my guide.md",
        "The guide › Guide\ndocs/my guide.md",
        "The guide › Guide › Install\ndocs/my guide.md",
    ]


def test_file_name_and_opening_line_stand_in_for_a_title() -> None:
    document = Document(id="a", source="file:///x/docs/guide.md", text=GUIDE, format="markdown")
    assert contexts(document)[2] == (
        "docs/guide.md › Guide › Install\nThe quick tour of the thing, wrapped over two lines."
    )


def test_document_that_is_no_file_has_no_file_name() -> None:
    assert (
        context_of(Document(id="doc-17", text="Long enough opening. X y"), text="X y") == "Long enough opening."
    )
    assert context_of(Document(id="notes/a.txt", text="x y"), text="x y") == "notes/a.txt"
    assert (
        context_of(Document(id="https://example.org/a/page.html?q=1", text="x y"), text="x y") == "a/page.html"
    )


def test_what_the_chunk_says_is_not_repeated() -> None:
    document = Document(id="a", text="Opening words of it all. Then more.", title="The Title")
    assert context_of(document, text="In the title it says", headings=["The title", "Part"]) == "Part"
    assert context_of(document, text="x", headings=["Part", "part"]) == "The Title › Part"
    untitled = Document(id="a", text="Opening words of it all. Then more.", title=" ")
    assert context_of(untitled, text="x", headings=["Part"]) == "Part\nOpening words of it all."
    assert context_of(untitled, text="Opening words of it all.", headings=["Part"]) == "Part"
    assert context_of(untitled, text="said: *opening words* of it all!") == ""


def test_definition_whose_begin_is_in_the_chunk_is_not_repeated() -> None:
    document = Document(id="a", text="x", format="python")
    path = ["class Foo", "def bar(self, x)"]
    assert context_of(document, text="def bar(self, x: int = 3) -> None:", headings=path) == "class Foo"
    assert context_of(document, text="return rebar", headings=path) == "class Foo › def bar(self, x)"


@pytest.mark.parametrize(
    ("format_", "text", "opening"),
    [
        (
            "python",
            '#!/usr/bin/env python\n# -*- coding: utf-8 -*-\n"""What it does.\n\nMore."""\n',
            "What it does.",
        ),
        ("python", "# Copyright 2020 Somebody\n\nr'Does one thing well'\nimport os\n", "Does one thing well"),
        ("python", '"""Copyright (c) me.\n\nWhat it really does."""', "What it really does."),
        ("python", "# Helpers for the tests.\nimport os\n", "Helpers for the tests."),
        ("python", "import os\n\nx = 1\n# A detail of no interest.\n", ""),
        (
            "code",
            "// Licensed under the MIT License\n// of somebody.\n//\n// Sorts large files.\n",
            "Sorts large files.",
        ),
        ("code", "#!/bin/sh\n# Deploys the whole site.\nset -e\n", "Deploys the whole site."),
        ("code", "/*\n * Reads the tables. And more.\n */\n#include <x.h>\n", "Reads the tables."),
        ("code", "#include <stdio.h>\nint main() {\n  // Only a detail here\n}", ""),
        ("markdown", "# Only a heading\n\n- a list item\n\n| a | table |\n|---|---|\n", ""),
        ("markdown", "Title line\n===\nFirst real sentence here.", "First real sentence here."),
        (
            "markdown",
            "```\ncode is not prose\n```\n\n<p>html is not</p>\n\nBut this one is.",
            "But this one is.",
        ),
        ("rst", "=====\nTitle\n=====\n\n:orphan:\n\n.. _x:\n\nUses :mod:`json` and ``x``.", "Uses json and x."),
        ("text", "\n\n   第一句就是这样的开头。第二句。\n", "第一句就是这样的开头。"),
        ("text", "It cost 3.5 e.g. dollars in all. Next.", "It cost 3.5 e.g. dollars in all."),
        ("table", "\nid,name,price\n1,x,2\n", "id,name,price"),
    ],
)
def test_opening_line(format_: str, text: str, opening: str) -> None:
    assert context_of(Document(id="a", text=text, format=format_), text="elsewhere") == opening


def by_room(*rooms: int, title: str | None) -> dict[int, str]:
    text = "One two three four five six seven eight nine ten eleven."
    document = Document(id="a", source="file:///d/f.md", title=title, text=text)
    names = ["outer", "middle", "inner"]
    return {room: context_of(document, text="body", headings=names, max_tokens=room) for room in rooms}


def test_opening_line_goes_first_when_room_is_short_then_outer_headings() -> None:
    assert by_room(40, 24, 20, 14, 10, 6, 3, 1, title=None) == {
        40: "d/f.md › outer › middle › inner\nOne two three four five six seven eight nine ten eleven.",
        24: "d/f.md › outer › middle › inner\nOne two three four five six seven eight nine …",
        20: "d/f.md › outer › middle › inner\nOne two three four five six …",
        14: "d/f.md › outer › middle › inner",
        10: "d/f.md › middle › inner",
        6: "d/f.md › inner",
        3: "inner",
        1: "",
    }


def test_under_a_title_outer_headings_go_first_when_room_is_short_then_the_file() -> None:
    assert by_room(40, 14, 10, 6, 3, 1, title="Title") == {
        40: "Title › outer › middle › inner\nd/f.md",
        14: "Title › outer › middle › inner\nd/f.md",
        10: "Title › middle › inner\nd/f.md",
        6: "Title › inner",
        3: "inner",
        1: "",
    }


@settings(max_examples=150, deadline=None)
@given(
    title=st.one_of(st.none(), st.text(max_size=80)),
    headings=st.lists(st.text(max_size=120), max_size=6),
    text=st.text(max_size=300),
    body=st.text(max_size=100),
    room=st.integers(min_value=1, max_value=80),
    format_=st.sampled_from(["markdown", "rst", "python", "code", "table", "text"]),
)
def test_context_always_fits(
    title: str | None, headings: list[str], text: str, body: str, room: int, format_: str
) -> None:
    document = Document(id="a/b.md", text=text, title=title, format=format_)
    context = context_of(document, text=body, headings=headings, max_tokens=room)
    assert len(WordTokenizer().encode(context).ids) <= room
    assert context == context.strip()
    assert context.count("\n") <= 1


@settings(max_examples=150, deadline=None)
@given(
    title=st.one_of(st.none(), st.text(max_size=80)),
    name=st.one_of(st.sampled_from(["a/b.md", "notes", "https://example.org/long/path/of/it.html"]), st.text()),
    opening=st.text(max_size=200),
    headings=st.lists(st.text(max_size=60), min_size=1, max_size=8),
    kind=st.sampled_from(["markdown", "rst", "python", "code", "table", "text"]),
    most=st.integers(min_value=1, max_value=80),
)
def test_what_is_kept_free_holds_every_context(
    title: str | None, name: str, opening: str, headings: list[str], kind: str, most: int
) -> None:
    tokenizer = WordTokenizer()
    sections = "".join(
        f"{'#' * n} {heading}\n\n{'Some words, a few. ' * 40}\n\n" for n, heading in enumerate(headings, 1)
    )
    document = Document(id=name, text=f"{opening}\n\n{sections}", title=title, format=kind)
    outline = OutlineContextualizer(tokenizer=tokenizer, max_tokens=most)
    room = outline.room(document)
    bare = StructureChunker(tokenizer=tokenizer, size=170, reserve=outline.room).chunk(document)
    for chunk in outline.contextualize(document, bare):
        said = len(tokenizer.encode(chunk.context).ids)
        assert said <= room(chunk.headings) <= most
        assert said + len(tokenizer.encode(chunk.text).ids) <= 170


def test_what_a_context_does_not_take_is_left_to_the_text() -> None:
    tokenizer = WordTokenizer()
    outline = OutlineContextualizer(tokenizer=tokenizer, max_tokens=60)
    chunker = StructureChunker(tokenizer=tokenizer, size=100, overlap=0.0, reserve=outline.room)
    document = Document(id="a", title="Title", text="word " * 400, format="text")
    assert outline.room(document)(()) == 2
    assert 90 < len(tokenizer.encode(chunker.chunk(document)[0].text).ids) <= 98
    deep = replace(document, text=f"# Heading number one\n\n## Below it\n\n{document.text}", format="markdown")
    path = ("Heading number one", "Below it")
    sizes = [len(tokenizer.encode(chunk.text).ids) for chunk in chunker.chunk(deep)]
    assert 80 < max(sizes) <= 100 - outline.room(deep)(path)
    assert "reserve=each" in chunker.fingerprint


def test_contracts() -> None:
    tokenizer = WordTokenizer()
    plain, outline = NoContext(), OutlineContextualizer(tokenizer=tokenizer)
    assert isinstance(plain, Contextualizer)
    assert isinstance(outline, Contextualizer)
    prints = {
        plain.fingerprint,
        outline.fingerprint,
        OutlineContextualizer(tokenizer=tokenizer, max_tokens=9).fingerprint,
    }
    assert len(prints) == 3
    document = Document(id="a", text="x")
    chunk = Chunk(id="c", document_id="a", text="x")
    assert list(plain.contextualize(document, [chunk])) == [chunk]
    assert list(outline.contextualize(document, [])) == []
    with pytest.raises(RecipeError, match="at least 1"):
        OutlineContextualizer(tokenizer=tokenizer, max_tokens=0)
