"""A tokenizer for tests: the cut rule of the real one, with tokens that can be counted by hand."""

from __future__ import annotations

import re

import numpy as np

from ragweft.types import Encoding

_LONGEST_WORD = 64
_LETTERS_PER_TOKEN = 4
_RUN = re.compile(r"\S+")


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
