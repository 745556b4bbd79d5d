"""Chunkers that do not look at the format: windows, the common recursive splitter, whole sentences."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, ClassVar

from ragweft.chunking.blocks import Block, tiles
from ragweft.chunking.pieces import Cutter, Piece, chunks, trim
from ragweft.chunking.ruler import Ruler
from ragweft.chunking.separators import PLAIN, SENTENCES
from ragweft.chunking.sizes import Reserve, Room, Sizes

if TYPE_CHECKING:
    from ragweft.chunking.separators import Ladder
    from ragweft.protocols import Tokenizer
    from ragweft.types import Chunk, Document

_WORD = re.compile(r"\S")


class _Sized:
    """What knows its tokenizer and its sizes, and is told by them and its rules alone."""

    _rules: ClassVar[str]
    """Their name and version."""

    def __init__(
        self, *, tokenizer: Tokenizer, size: int = 480, overlap: float = 0.15, reserve: Reserve = 0
    ) -> None:
        self._tokenizer = tokenizer
        self._sizes = Sizes(size=size, overlap=overlap, reserve=reserve)

    @property
    def fingerprint(self) -> str:
        """The sizes and the version of the rules."""
        return f"{self._rules} {self._sizes}"


class FixedChunker(_Sized):
    """Windows of `size - reserve` tokens, each repeating the last `overlap` times `size` of the one before.

    Cuts fall between words, nowhere better.

    Args:
        tokenizer: the embedder's; the document is encoded once.
        size: tokens a chunk and its context may hold together.
        overlap: share of `size`, from 0 to 0.5.
        reserve: tokens kept free for the context that will be put in front, or what tells them of a document.

    Raises:
        RecipeError: a number is out of range.
    """

    _rules = "fixed/1"

    def chunk(self, document: Document) -> Sequence[Chunk]:
        """Cut *document* into windows."""
        ruler = Ruler(document.text, self._tokenizer)
        return chunks(document, _windows(ruler, self._sizes.of(document)))


def _windows(ruler: Ruler, room: Room) -> Iterator[Piece]:
    text, start, stop = ruler.text, 0, 0
    while stop < len(text):
        reached = ruler.reach(start, len(text), room.capacity)
        if reached <= stop:
            start = stop
            continue
        stop = reached
        first, last = trim(text, start, stop)
        start = stop
        if first >= last:
            continue
        yield Piece(start=first, end=last)
        if room.repeated and _WORD.search(text, stop):
            again = ruler.back(stop, room.repeated)
            start = again if again > first else stop


class RecursiveChunker(_Sized):
    """Paragraphs, then lines, then sentences, then words, whatever the format: the field's common splitter.

    Unlike that one it measures tokens in linear time, keeps exact spans, cuts at the least harmful place
    instead of the last one, and repeats only whole paragraphs after a cut between paragraphs, whole lines after
    one between lines, whole sentences otherwise.

    Args:
        tokenizer: the embedder's; the document is encoded once.
        size: tokens a chunk and its context may hold together.
        overlap: share of `size`, from 0 to 0.5.
        reserve: tokens kept free for the context that will be put in front, or what tells them of a document.

    Raises:
        RecipeError: a number is out of range.
    """

    _rules = "recursive/3"

    def __init__(
        self, *, tokenizer: Tokenizer, size: int = 500, overlap: float = 0.1, reserve: Reserve = 0
    ) -> None:
        super().__init__(tokenizer=tokenizer, size=size, overlap=overlap, reserve=reserve)

    def chunk(self, document: Document) -> Sequence[Chunk]:
        """Cut *document* at the coarsest separators that leave small enough pieces."""
        return _climbed(document, PLAIN, self._tokenizer, self._sizes)


class SentenceChunker(_Sized):
    """Fills each chunk with whole sentences and looks at nothing else.

    A sentence ends at its full stop, in scripts with a full stop of their own too, at a blank line, and at the
    end of a line that was not merely wrapped. Thai and Lao, which have no full stop, are cut at their spaces. A
    sentence that is too long for one chunk is cut between lines, then between words.

    Args:
        tokenizer: the embedder's; the document is encoded once.
        size: tokens a chunk and its context may hold together.
        overlap: share of `size`, from 0 to 0.5; whole sentences are repeated.
        reserve: tokens kept free for the context that will be put in front, or what tells them of a document.

    Raises:
        RecipeError: a number is out of range.
    """

    _rules = "sentence/1"

    def chunk(self, document: Document) -> Sequence[Chunk]:
        """Cut *document* between sentences."""
        return _climbed(document, SENTENCES, self._tokenizer, self._sizes)


def _climbed(document: Document, ladder: Ladder, tokenizer: Tokenizer, sizes: Sizes) -> Sequence[Chunk]:
    end, room = len(document.text), sizes.of(document)
    cutter = Cutter(Ruler(document.text, tokenizer), capacity=room.capacity, overlap=room.repeated)
    units = cutter.units(tiles((Block(start=0, ladder=ladder),), 0, end))
    return chunks(document, cutter.pieces(units, end=end))
