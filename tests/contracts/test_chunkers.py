"""What every chunker keeps for every format and every text."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from doubles_chunking import ODD_TEXTS, WordTokenizer, assert_sound
from ragweft.chunking import (
    FORMATS,
    FixedChunker,
    Grammars,
    RecursiveChunker,
    SemanticChunker,
    SentenceChunker,
    StructureChunker,
)
from ragweft.embedding import StaticEmbedder
from ragweft.errors import RecipeError
from ragweft.protocols import Chunker, Tokenizer
from ragweft.testing import HashEmbedder
from ragweft.types import Document, Encoding

Make = Callable[..., Chunker]

CHUNKERS: dict[str, Make] = {
    "structure": StructureChunker,
    "structure, code by indentation": partial(StructureChunker, grammars=Grammars(languages=())),
    "recursive": RecursiveChunker,
    "sentence": SentenceChunker,
    "semantic": partial(SemanticChunker, embedder=HashEmbedder(dims=16)),
    "semantic, by gradient": partial(
        SemanticChunker, embedder=HashEmbedder(dims=16), method="gradient", threshold=70, group=2, minimum=0.0
    ),
    "fixed": FixedChunker,
}
WITH_FORMAT = [
    pytest.param(maker, format_, id=f"{name}-{format_}")
    for name, maker in CHUNKERS.items()
    for format_ in ([*FORMATS, "unheard of"] if name.startswith("structure") else ["markdown"])
]
"""The others look at no format."""
LANGUAGES = ("javascript", "c", "ruby", "php", "bash", "rust", "scala", None)
LONG = 100_000
FRAGMENTS = (
    *("# Title", "## Part *two*", "Title\n=====", "under\n---", "=====\nOver\n=====", "#### `code` here"),
    *(
        "```py\nx = 1\n\n# no heading\n```",
        "~~~\nopen",
        "    indented",
        "> quote\nlazy",
        "***",
        "---",
        "<div>\n# no\n</div>",
    ),
    *(
        "- item\n- item two\n\n  more",
        "1. one\n2. two",
        "| a | b |\n|---|---|\n| 1 | 2 |",
        "Words follow:",
        "[link]: /url",
    ),
    *(
        ".. note:: body\n\n   text",
        ".. function:: f(x)\n\n   Does.",
        "Literal::\n\n  code",
        "+--+\n|  |\n+--+",
        ":field: value",
    ),
    *(
        "import os",
        "class A:\n    def f(self):\n        return 1",
        "def g(): pass",
        "if x:\n    y = 2\nelse:\n    z = 3",
    ),
    *(
        '"""Doc.\n\nString."""',
        "@decorated\n# why\nasync def h(*a, **k):\n    pass",
        "int f(int a) {\n  return a;\n}",
        "}",
    ),
    *(
        "a,b,c",
        '"x\ny",z',
        "\t\tdeep",
        "name,qty\nscrew,3\nnut,4",
        "ประโยคแรก ประโยคที่สอง",
        "A sentence. Another one! 第三句。第四句？ 'Yes.' No",
        "e.g. this Mr. X",
        "\\",
        "\x0c",
    ),
    *("word " * 40, "x" * 150, "文" * 150, "é\u0301" * 50, "👨‍👩‍👧" * 30, "؟ كلمة", "\u2028", ""),
)
documents = st.one_of(
    st.text(max_size=400),
    st.text(alphabet="ab \n\r\t#`-=.>|\"'。é\u0301", max_size=400),
    st.builds(
        lambda parts, glue: glue.join(parts),
        st.lists(st.one_of(st.sampled_from(FRAGMENTS), st.text(max_size=20)), max_size=25),
        st.sampled_from(["\n\n", "\n", "\r\n", "\r\n\r\n", " "]),
    ),
)


@pytest.fixture(params=list(CHUNKERS.values()), ids=list(CHUNKERS))
def make(request: pytest.FixtureRequest) -> Make:
    maker: Make = request.param
    return maker


def check(
    make: Make,
    text: str,
    format_: str,
    size: int,
    overlap: float = 0.15,
    reserve: int = 0,
    language: str | None = None,
) -> None:
    chunker = make(tokenizer=WordTokenizer(), size=size, overlap=overlap, reserve=reserve)
    document = Document(id="doc", text=text, format=format_, metadata={"code_language": language})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        chunks = chunker.chunk(document)
    assert_sound(document, chunks, capacity=size - reserve)
    assert chunker.chunk(document) == chunks


@pytest.mark.parametrize(("make", "format_"), WITH_FORMAT)
@settings(max_examples=40, deadline=None)
@given(
    text=documents,
    size=st.sampled_from([1, 2, 5, 16, 40, 480]),
    overlap=st.sampled_from([0.0, 0.15, 0.5]),
    reserved=st.sampled_from([0.0, 0.3]),
    language=st.sampled_from(LANGUAGES),
)
def test_any_text(
    make: Make, format_: str, text: str, size: int, overlap: float, reserved: float, language: str | None
) -> None:
    check(make, text, format_, size, overlap, int(size * reserved), language)


@pytest.mark.parametrize(("make", "format_"), WITH_FORMAT)
@pytest.mark.parametrize("text", ODD_TEXTS.values(), ids=list(ODD_TEXTS))
def test_odd_text(make: Make, format_: str, text: str) -> None:
    check(make, text, format_, 120, reserve=20)


def mixed(size: int) -> str:
    """*size* characters of fragments in every script, in an order that does not repeat."""
    rng = np.random.default_rng(0)
    filled = [fragment for fragment in FRAGMENTS if fragment]
    parts: list[str] = []
    length = 0
    while length < size:
        parts += [filled[place] for place in rng.integers(len(filled), size=200)]
        length = sum(map(len, parts)) + 2 * len(parts)
    return "\n\n".join(parts)[:size]


@pytest.mark.parametrize("shape", ["mixed", "one line", "one word", "crlf"])
@pytest.mark.parametrize("size", [LONG, pytest.param(10_000_000, marks=pytest.mark.slow)])
def test_large_text(make: Make, shape: str, size: int) -> None:
    text = mixed(size) if shape in ("mixed", "crlf") else "lorem ipsum dolor. " * (size // 19)
    text = {"one word": "x" * size, "crlf": text.replace("\n", "\r\n")}.get(shape, text)
    document = Document(id="doc", text=text, format="markdown")
    assert_sound(document, make(tokenizer=WordTokenizer(), size=400).chunk(document), capacity=400)


def test_nothing_to_say_makes_no_chunk(make: Make) -> None:
    chunker = make(tokenizer=WordTokenizer())
    assert [list(chunker.chunk(Document(id="a", text=text))) for text in ("", " \n\r\n\t", "\u3000")] == [
        [],
        [],
        [],
    ]


def test_document_is_encoded_once(make: Make) -> None:
    tokenizer = WordTokenizer()
    make(tokenizer=tokenizer, size=50).chunk(
        Document(id="a", text="Some words stand here. " * 500, format="markdown")
    )
    assert tokenizer.calls == 1


class SilentTokenizer:
    """Drops what it does not know, as tokenizers do with control characters; it knows nothing."""

    def encode(self, text: str) -> Encoding:
        nothing = np.empty(0, dtype=np.int32)
        return Encoding(ids=nothing, starts=nothing)


@pytest.mark.parametrize(("make", "format_"), WITH_FORMAT)
def test_text_without_tokens_is_not_lost(make: Make, format_: str) -> None:
    document = Document(id="a", text=" \x01\x02 \x03\n\n\x04" * 50, format=format_)
    (chunk,) = make(tokenizer=SilentTokenizer(), size=20).chunk(document)
    assert chunk.text == document.text.rstrip()


def test_sizes_hold_in_the_tokens_of_the_built_in_embedder(make: Make) -> None:
    embedder = StaticEmbedder()
    chunker = make(tokenizer=embedder, size=64, overlap=0.2, reserve=4)
    for text in (*ODD_TEXTS.values(), "\n\n".join(FRAGMENTS)):
        for chunk in chunker.chunk(Document(id="doc", text=text, format="markdown")):
            unsplittable = len(chunk.text) <= 64 and len(chunk.text.split()) == 1
            assert len(embedder.encode(chunk.text).ids) <= 60 or unsplittable


def test_is_a_chunker_with_a_telling_fingerprint(make: Make) -> None:
    tokenizer: Tokenizer = WordTokenizer()
    assert isinstance(make(tokenizer=tokenizer), Chunker)
    prints = {
        make(tokenizer=tokenizer, size=size, overlap=overlap, reserve=reserve).fingerprint
        for size, overlap, reserve in [(480, 0.15, 0), (481, 0.15, 0), (480, 0.1, 0), (480, 0.15, 1)]
    }
    assert len(prints) == 4
    assert all("\n" not in fingerprint for fingerprint in prints)


@pytest.mark.parametrize(
    "numbers",
    [
        {"size": 0},
        {"size": 100, "reserve": 100},
        {"size": 100, "reserve": -1},
        {"size": 100, "overlap": -0.1},
        {"size": 100, "overlap": 0.6},
    ],
)
def test_impossible_sizes_are_refused(make: Make, numbers: dict[str, float]) -> None:
    with pytest.raises(RecipeError, match="chunk") as caught:
        make(tokenizer=WordTokenizer(), **numbers)
    assert "\n" not in str(caught.value)


def test_each_document_may_say_what_its_contexts_need(make: Make) -> None:
    document = Document(id="a", text=f"# Title\n\n{'One two three four. ' * 300}", format="markdown")
    told = make(
        tokenizer=WordTokenizer(), size=100, reserve=lambda one: lambda _: 20 if one is document else 60
    )
    assert told.chunk(document) == make(tokenizer=WordTokenizer(), size=100, reserve=20).chunk(document)
    with pytest.raises(RecipeError, match="reserve of 100"):
        make(tokenizer=WordTokenizer(), size=100, reserve=lambda _: lambda _: 100).chunk(document)


def words(texts: Sequence[str]) -> int:
    return sum(len(text.split()) for text in texts)


def test_overlap_repeats_words_and_none_does_not(make: Make) -> None:
    document = Document(id="a", text="One two three four. " * 400)
    apart = make(tokenizer=WordTokenizer(), size=100, overlap=0.0).chunk(document)
    over = make(tokenizer=WordTokenizer(), size=100, overlap=0.2).chunk(document)
    assert words([chunk.text for chunk in apart]) == words([document.text])
    assert words([document.text]) < words([chunk.text for chunk in over]) < 1.4 * words([document.text])
