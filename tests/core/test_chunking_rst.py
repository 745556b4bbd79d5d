"""reStructuredText: titles by order of appearance, directives, literal blocks, tables, lists."""

from __future__ import annotations

import pytest

from doubles_chunking import cut, outline

LONG = "word " * 40


def test_levels_follow_the_order_of_appearance() -> None:
    text = f"""\
=====
Whole
=====

First
#####

{LONG}

Inner
+++++

{LONG}

Second
######

{LONG}
"""
    assert outline(text, "rst", size=60) == [
        ("Whole > First", "====="),
        ("Whole > First > Inner", "Inner"),
        ("Whole > Second", "Second"),
    ]


@pytest.mark.parametrize(
    ("raw", "title"),
    [
        (":mod:`json` --- JSON encoder", "json --- JSON encoder"),
        ("The ``code`` of *this* **thing**", "The code of this thing"),
        ("`Link <https://example.org>`_ and :ref:`text <target>`", "Link and text"),
        ("Escaped \\* star and a|b", "Escaped * star and a|b"),
    ],
)
def test_titles_are_read_without_markup(raw: str, title: str) -> None:
    assert cut(f"{raw}\n{'=' * len(raw)}\n\ntext", "rst")[0].headings == (title,)


@pytest.mark.parametrize(
    "text",
    [
        "text\n\n----\n\nmore text",
        "A long enough line\n--\n\ntext",
        ".. code::\n\n   Not\n   ===\n\n   a title",
        "=====  =====\nsome   table\n=====  =====\n\ntext",
        "+-----+\n| x   |\n+-----+\n\ntext",
        "Literal::\n\n   Not\n   ---",
    ],
)
def test_what_is_no_title(text: str) -> None:
    assert cut(text, "rst")[0].headings == ()


def test_target_before_a_title_belongs_to_its_section() -> None:
    text = f"One\n===\n\n{LONG}\n\n.. _two:\n.. index:: two\n\nTwo\n===\n\n{LONG}"
    assert [chunk.text.splitlines()[0] for chunk in cut(text, "rst", size=60)] == ["One", ".. _two:"]


def test_described_objects_are_part_of_the_path() -> None:
    text = f"""\
Module
======

.. class:: Parser(*, strict=True)

   {LONG}

   .. method:: Parser.parse(text)

      {LONG}

.. py:function:: load(file)

   {LONG}
"""
    assert outline(text, "rst", size=60) == [
        ("Module > class Parser(*, strict=True)", "Module"),
        ("Module > class Parser(*, strict=True) > method Parser.parse(text)", ".. method:: Parser.parse(text)"),
        ("Module > function load(file)", ".. py:function:: load(file)"),
    ]


@pytest.mark.parametrize(
    "block",
    [
        ".. code-block:: python\n\n   a = 1\n\n   b = 2\n\n   c = 3",
        ".. note:: First words.\n\n   Second words.\n\n   Third words.",
        "+---+---+\n| a | b |\n+===+===+\n| 1 | 2 |\n|   |   |\n+---+---+",
        "=== ===\na   b\n=== ===\n1   2\n\n3   4\n=== ===",
        "* one\n\n  more of one\n\n* two\n* three",
        "#. one\n#. two\n\n   more",
        ":field: body\n   of it\n:other: body",
        ">>> 1 + 1\n2\n>>> 3\n3",
        "term\n   definition of it\n   goes on",
    ],
)
def test_blocks_are_whole_where_they_fit(block: str) -> None:
    text = f"{'prose ' * 14}\n\n{block}\n\n{'prose ' * 14}"
    chunks = cut(text, "rst", size=46)
    assert len(chunks) > 1
    assert sum(block in chunk.text for chunk in chunks) == 1


def test_literal_block_stays_with_the_words_that_announce_it() -> None:
    text = f"{'prose ' * 14}\n\nLike this::\n\n   code here\n\n   more code\n\n{'prose ' * 14}"
    chunks = cut(text, "rst", size=36)
    assert any("Like this::\n\n   code here\n\n   more code" in chunk.text for chunk in chunks)


def test_initial_is_not_an_enumerator() -> None:
    text = "A. Einstein was a\nphysicist. " + "He thought a lot. " * 30
    assert cut(text, "rst", size=60)[1].text.startswith("He thought")


def test_deep_nesting_does_not_end_in_a_stack_overflow() -> None:
    text = "".join(" " * 3 * n + ".. note::\n\n" for n in range(400)) + " " * 1200 + "end"
    assert "end" in cut(text, "rst", size=20)[-1].text
