"""Python: definitions are whole where they fit, named where they do not; odd sources do not get in the way."""

from __future__ import annotations

import sys
import threading
import warnings

import pytest

from doubles_chunking import WordTokenizer, cut, outline
from ragweft.chunking import StructureChunker
from ragweft.types import Document

BODY = "\n".join(f"        value_{n} = compute(value_{n}, {n})" for n in range(12))
SOURCE = f'''\
#!/usr/bin/env python
"""What the module is for."""

import os
import sys

LIMIT = 3


# Why the decorator.
@decorated(
    by="this",
)
class Outer(Base):
    """Doc of Outer."""

    attribute = 1

    # About the method.
    @property
    def first(self, a, /, b, *rest, key=None, **more) -> int:
        """Doc of first."""
{BODY}

    async def second(self, *, only):
{BODY}

    class Inner:
        def third(self):
{BODY.replace("        ", "            ")}

# Trailing words.
'''


def test_definitions_become_the_path_and_keep_decorators_and_comments() -> None:
    assert outline(SOURCE, "python", size=130) == [
        ("class Outer", "#!/usr/bin/env python"),
        ("class Outer > def first(self, a, /, b, *rest, key, **more)", "# About the method."),
        ("class Outer > async def second(self, *, only)", "async def second(self, *, only):"),
        ("class Outer > class Inner > def third(self)", "class Inner:"),
    ]


def test_small_definitions_share_a_chunk_under_the_common_path() -> None:
    methods = "\n\n".join(f"    def m{n}(self):\n        return {n} + one + two" for n in range(12))
    chunks = cut(f"class A:\n{methods}\n", "python", size=60)
    assert {chunk.headings for chunk in chunks} == {("class A",)}
    assert all(chunk.text.count("def ") >= 2 for chunk in chunks)


def test_only_definition_of_a_class_names_the_chunk() -> None:
    assert outline("class A:\n    def only(self):\n        return 1\n", "python") == [
        ("class A > def only(self)", "class A:")
    ]


def test_large_function_is_cut_between_statements() -> None:
    branches = "\n".join(f"    if a == {n}:\n        call(a)\n        return {n}" for n in range(40))
    for chunk in cut(f"def f(a):\n{branches}\n", "python", size=60, overlap=0.0)[1:]:
        assert chunk.text.startswith("    if a ==")
        assert chunk.headings == ("def f(a)",)


def test_definitions_inside_a_condition_are_found() -> None:
    text = f"if True:\n    class A:\n        def f(self):\n{BODY.replace('        ', '            ')}\nelse:\n    A = None\n"
    assert ("class A > def f(self)", "if True:") in outline(text, "python", size=110)


def test_long_chain_of_elif_is_divided() -> None:
    text = "def f(a):\n    if a == 0:\n        b()\n" + "".join(
        f"    elif a == {n}:\n        call({n})\n" for n in range(300)
    )
    chunks = cut(text, "python", size=50)
    assert all(chunk.text.lstrip().startswith(("def f", "elif", "if")) for chunk in chunks)


def test_indentation_of_the_first_line_stays() -> None:
    second = next(chunk for chunk in cut(SOURCE, "python", size=130) if "async" in chunk.text)
    assert second.text.startswith("    async def")


@pytest.mark.parametrize(
    "source",
    [
        "print 'Python 2'\n\ndef f():\n    return 1\n",
        "def f(:\n",
        "a = '\x00'\n",
        "a = '\ud800'\n",
        "a = " + "-" * 20_000 + "1\n",
        "a = b" + ".c" * 20_000 + "\n",
        "a = " + "(" * 500 + "\n",
        "%matplotlib inline\nimport os\n",
    ],
    ids=["python 2", "broken", "nul", "surrogate", "deep minus", "deep attribute", "deep bracket", "notebook"],
)
def test_source_that_does_not_parse_is_read_as_code(source: str) -> None:
    words = [word for chunk in cut(source, "python", size=100) for word in chunk.text.split()]
    assert "".join(words) == "".join(source.split())


def test_byte_order_mark_and_old_line_ends_parse() -> None:
    for newline in ("\n", "\r\n", "\r"):
        source = "\ufeff" + SOURCE.replace("\n", newline)
        paths = [path for path, _ in outline(source, "python", size=130)]
        assert paths[:2] == ["class Outer", "class Outer > def first(self, a, /, b, *rest, key, **more)"]


def test_warnings_about_foreign_code_stay_inside_from_many_threads() -> None:
    chunker = StructureChunker(tokenizer=WordTokenizer())
    document = Document(
        id="a", text="import re\nre.compile('\\d')\nassert (1, 'x')\nif x is 1: pass\n", format="python"
    )
    failed: list[BaseException] = []

    def work() -> None:
        try:
            for _ in range(100):
                assert chunker.chunk(document)[0].text == document.text.strip()
        except BaseException as error:  # noqa: BLE001 (handed to the test)
            failed.append(error)

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        before = list(warnings.filters)
        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        sys.setswitchinterval(interval)
        assert list(warnings.filters) == before
    assert (failed, caught) == ([], [])
