"""A tokenizer for tests: the cut rule of the real one, with tokens that can be counted by hand; odd texts."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from ragweft.chunking import StructureChunker
from ragweft.types import Chunk, Document, Encoding, chunk_id

_LONGEST_WORD = 64
_LETTERS_PER_TOKEN = 4
_RUN = re.compile(r"\S+")


ODD_TEXTS = {
    "empty": "",
    "white space": " \n\t\r\n  \u3000\n" * 50,
    "one word": "word",
    "nul": "a\x00b\x00\n\n\x00",
    "carriage returns": "# One\r\rtext here\r\r```\rcode\r```\rmore",
    "crlf": "# One\r\n\r\ntext here.\r\n\r\n- a\r\n- b\r\n\r\n| a | b |\r\n|---|---|\r\n| 1 | 2 |\r\n" * 20,
    "one long line": "lorem ipsum dolor " * 11_000,
    "one long word": "x" * 200_000,
    "no spaces": "这是一个句子。那是另一个句子！" * 300,
    "right to left": "هل هذا سؤال؟ نعم، هذا سؤال. " * 200 + "זה משפט בעברית. " * 200,
    "emoji": "👩‍👩‍👧‍👦🏳️‍🌈👍🏽" * 200,
    "combining": "e\u0301\u0323" * 500,
    "only marks": "\u0301" * 500,
    "dots": "." * 5_000 + " x" + "!?" * 3_000,
    "line separators": "a\u2028b\u2029c\x85d\x0be\x0cf\x1cg" * 100,
    "deep indentation": "\n".join(" " * n + "x = 1" for n in range(400)),
    "deep quotes": ">" * 3_000 + " a\n" + "- " * 1_000 + "b",
    "deep sections": "\n\n".join("#" * (1 + n % 6) + f" {n}" for n in range(600)),
    "open fence": "```\n" + "code\n\n" * 300,
    "open comment": "<!-- " + "a\n\n" * 300,
    "spaces in a row": "a" + " " * 20_000 + "b\n" + "| " * 5_000 + "\n" + "-" * 500 + " " * 20_000 + "x",
    "backticks": "`" * 3_000 + "\n===\n" + "*_" * 2_000 + "\n---\n",
    "thai": "ประโยคแรกของย่อหน้านี้ ประโยคที่สองตามมา " * 200,
    "every full stop": "".join(f"word{stop} " for stop in "।၊။።។᠃。꘎．！｡؟۔։") * 60,
    "unclosed": "function f() {\n  g(`" + "(" * 500 + "\n" * 300,
    "angles": "a < b < " * 700,
    "quotation marks": '"a\nb",c\n' * 300 + '"',
}


class WordTokenizer:
    """Words are what white space leaves, cut every 64 characters; each has one token per 4 letters begun."""

    def __init__(self) -> None:
        self.calls = 0

    def encode(self, text: str) -> Encoding:
        self.calls += 1
        words: list[int] = []
        counts: list[int] = []
        for run in _RUN.finditer(text):
            for begin in range(run.start(), run.end(), _LONGEST_WORD):
                length = min(_LONGEST_WORD, run.end() - begin)
                words.append(begin)
                counts.append(-(-length // _LETTERS_PER_TOKEN))
        starts = np.repeat(np.array(words, dtype=np.int32), np.array(counts, dtype=np.int32))
        return Encoding(ids=np.arange(len(starts), dtype=np.int32), starts=starts.astype(np.int32))


def assert_sound(document: Document, chunks: Sequence[Chunk], *, capacity: int) -> None:
    """What every chunker promises, whatever the document holds."""
    text, tokenizer = document.text, WordTokenizer()
    covered = bytearray(len(text))
    before = -1
    for number, chunk in enumerate(chunks):
        span = chunk.span
        assert span is not None
        assert text[span.start : span.end] == chunk.text
        assert (chunk.ordinal, chunk.document_id, chunk.lines) == (number, document.id, None)
        assert chunk.id == chunk_id(document.id, span, chunk.text)
        assert dict(chunk.metadata) == dict(document.metadata)
        assert chunk.text.strip()
        assert chunk.text.rstrip() == chunk.text
        assert chunk.text.splitlines()[0].strip(), "begins with a blank line"
        assert span.start > before
        before = span.start
        covered[span.start : span.end] = b"\x01" * (span.end - span.start)
        tokens = len(tokenizer.encode(chunk.text).ids)
        unsplittable = len(chunk.text) <= _LONGEST_WORD and len(chunk.text.split()) == 1
        assert tokens <= capacity or unsplittable, f"{tokens} tokens, {capacity} allowed"
    assert len({chunk.id for chunk in chunks}) == len(chunks)
    lost = "".join(char for char, seen in zip(text, covered, strict=True) if not seen)
    assert not lost.strip(), f"no chunk holds {lost.split()[:3]}"


def cut(text: str, format_: str, *, size: int = 480, overlap: float = 0.0) -> Sequence[Chunk]:
    """The chunks the structure-aware chunker makes of a text."""
    chunker = StructureChunker(tokenizer=WordTokenizer(), size=size, overlap=overlap)
    return chunker.chunk(Document(id="doc", text=text, format=format_))


def outline(text: str, format_: str, *, size: int = 480, overlap: float = 0.0) -> list[tuple[str, str]]:
    """For each chunk its heading path and its first line."""
    chunks = cut(text, format_, size=size, overlap=overlap)
    return [(" > ".join(chunk.headings), chunk.text.splitlines()[0].strip()) for chunk in chunks]
