"""Texts to tokens word by word, so that any piece of a text is measured from one reading of all of it.

A word is a run of non-white-space, divided every 64 characters. Its tokens never depend on its neighbours:
words are tokenised once and remembered, and a chunk's tokens are a slice of its document's. Most tokenizers
work so by themselves. Those to which white space says something (byte-level ones) get a word with the white
space before it.
"""

from __future__ import annotations

import re
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import numpy as np

from ragweft.types import Encoding

if TYPE_CHECKING:
    from tokenizers import Tokenizer as HfTokenizer

    from ragweft.protocols import Tokenizer
    from ragweft.types import TokenIds

__all__ = ["Measure", "Measuring", "WordTokenizer", "measure_of", "measured_by"]

_WORD = re.compile(r"\S{1,64}")
_SPACED_WORD = re.compile(r"\s*(\S{1,64})")
_MEMO_WORDS = 400_000
"""Remembered words before the memo starts afresh; the standard library holds 186,000 distinct ones."""
_SPARE = 8
"""Tokens kept free where white space counts: what a word costs at the begin of a text may differ a little."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure:
    """How texts are measured by the model that will read them."""

    tokenizer: Tokenizer
    room: int | None
    """Tokens a text may have to be read at once, prompt and special tokens apart; None: as many as it likes."""


@runtime_checkable
class Measuring(Protocol):
    """An embedder on this machine, which can tell how its model counts."""

    @property
    def measure(self) -> Measure | None:
        """None where only the loaded model could tell."""
        ...


def measure_of(embedder: object) -> Measure | None:
    """How *embedder* counts, if it can tell without being loaded."""
    found = embedder.measure if isinstance(embedder, Measuring) else None
    return found if isinstance(found, Measure) else None


def measured_by(tokenizer: HfTokenizer, room: int | None) -> Measure:
    """The measure of a model that reads *room* tokens of its *tokenizer*."""
    words = WordTokenizer(tokenizer)
    return Measure(tokenizer=words, room=None if room is None else max(1, room - words.spare))


class WordTokenizer:
    """A `Tokenizer` over one of the library `tokenizers`, with a memory for words."""

    def __init__(self, tokenizer: HfTokenizer, *, spaced: bool | None = None) -> None:
        """*tokenizer* neither pads nor truncates. *spaced*: white space counts; None: if it does for it."""
        self._spaced = _counts_spaces(tokenizer) if spaced is None else spaced
        self._pattern = _SPACED_WORD if self._spaced else _WORD
        self._known = _Vocabulary(tokenizer)

    @property
    def spare(self) -> int:
        """Tokens by which a piece of a text may be longer than what is told of it."""
        return _SPARE if self._spaced else 0

    def encode(self, text: str) -> Encoding:
        """Token numbers of *text*, and for each the code point where its word begins."""
        words: list[str] = []
        starts: list[int] = []
        group = self._pattern.groups
        for match in self._pattern.finditer(text):
            words.append(match.group())
            starts.append(match.start(group))
        ids, lengths = self.tokens(words)
        return Encoding(ids=ids, starts=np.repeat(np.asarray(starts, dtype=np.int32), lengths))

    def words(self, text: str) -> list[str]:
        """*text* as `tokens` wants it."""
        return [match.group() for match in self._pattern.finditer(text)]

    def tokens(self, words: list[str]) -> tuple[TokenIds, TokenIds]:
        """Tokens of all *words* in a row, and how many each word has."""
        # One vocabulary object for the whole call: another thread may start a fresh one meanwhile.
        vocabulary = self._known
        if len(vocabulary) > _MEMO_WORDS:
            vocabulary = self._known = _Vocabulary(vocabulary.tokenizer)
        return vocabulary.lookup(words)


def _counts_spaces(tokenizer: HfTokenizer) -> bool:
    """Whether white space between two words makes a difference to their tokens."""

    def count(text: str) -> int:
        return len(tokenizer.encode(text, add_special_tokens=False).ids)

    apart = count("a")
    return any(count(f"a{space}a") != 2 * apart for space in (" ", "\n", "\n\n", "\t", "        "))


class _Vocabulary:
    """Words seen so far and their tokens, laid end to end so that a text is two gathers away.

    Lookups take no lock: a word's number is published in `_numbers` only after the arrays that hold its
    tokens, and those arrays only ever grow.
    """

    def __init__(self, tokenizer: HfTokenizer) -> None:
        self.tokenizer = tokenizer
        self._numbers: dict[str, int] = {}
        self._arrays = (np.zeros(1 << 12, np.int32), np.zeros(1 << 12, np.int64), np.zeros(1 << 12, np.int32))
        self._used = 0
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._numbers)

    def lookup(self, words: list[str]) -> tuple[TokenIds, TokenIds]:
        """Tokens of all *words* in a row, and how many each word has."""
        get = self._numbers.get
        found = [get(word) for word in words]
        if None in found:
            self._learn({word for word, number in zip(words, found, strict=True) if number is None})
            known = self._numbers
            found = [known[word] for word in words]
        numbers = np.array(found, dtype=np.int64)
        tokens, offsets, counts = self._arrays
        lengths = counts[numbers]
        before = np.cumsum(lengths) - lengths
        total = int(lengths.sum())
        index = np.repeat(offsets[numbers] - before, lengths) + np.arange(total)
        return tokens[index], lengths

    def _learn(self, words: set[str]) -> None:
        with self._lock:
            new = sorted(word for word in words if word not in self._numbers)
            encoded = [self.tokenizer.encode(word, add_special_tokens=False).ids for word in new]
            first = len(self._numbers)
            tokens, offsets, counts = self._arrays
            tokens = _room(tokens, self._used + sum(map(len, encoded)))
            offsets, counts = _room(offsets, first + len(new)), _room(counts, first + len(new))
            lengths = np.fromiter(map(len, encoded), dtype=np.int32, count=len(new))
            last = first + len(new)
            total = self._used + int(lengths.sum())
            tokens[self._used : total] = [token for ids in encoded for token in ids]
            counts[first:last] = lengths
            offsets[first:last] = self._used + np.cumsum(lengths) - lengths
            self._used = total
            self._arrays = tokens, offsets, counts
            self._numbers.update(zip(new, range(first, last), strict=True))


def _room(array: np.ndarray, size: int) -> np.ndarray:
    if size <= len(array):
        return array
    larger = np.zeros(max(size, 2 * len(array)), dtype=array.dtype)
    larger[: len(array)] = array
    return larger
