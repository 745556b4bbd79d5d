"""Counts the tokens of any span of a text that was tokenised once."""

from __future__ import annotations

import unicodedata
from bisect import bisect_left, bisect_right
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from ragweft.protocols import Tokenizer
    from ragweft.types import TokenIds

_LONGEST_WORD = 64
"""Tokenizers divide a longer run of characters without white space every so many characters."""
_FARTHEST_STEP = 32
_EMOJI_MODIFIERS = range(0x1F3FB, 0x1F400)


class Ruler:
    """Measures spans of *text* in tokens.

    The text is encoded once; after that a span between two safe cuts is measured by two binary searches. A cut
    is safe in white space and where a word begins: there the tokens on both sides stay as they were. Elsewhere
    (after a full stop in Chinese, say) `index` estimates, and `reach` encodes the piece to be certain.
    """

    def __init__(self, text: str, tokenizer: Tokenizer) -> None:
        self.text = text
        self._tokenizer = tokenizer
        encoding = tokenizer.encode(text)
        self._ids = encoding.ids
        # Binary search over a memoryview: numpy's own would cast the whole int32 array for a Python int.
        self._starts = np.ascontiguousarray(encoding.starts, dtype=np.int32).data

    def is_safe(self, position: int) -> bool:
        """Whether a cut at *position* leaves the tokens on both sides as they were."""
        text = self.text
        if position <= 0 or position >= len(text) or text[position - 1].isspace() or text[position].isspace():
            return True
        at = bisect_left(self._starts, position)
        return at < len(self._starts) and self._starts[at] == position

    def index(self, position: int) -> int:
        """How many tokens lie before *position*; inside a word, its tokens are shared out by length."""
        starts, text = self._starts, self.text
        at = bisect_left(starts, position)
        if (
            position <= 0
            or position >= len(text)
            or text[position - 1].isspace()
            or text[position].isspace()
            or (at < len(starts) and starts[at] == position)
        ):
            return at
        word = starts[at - 1] if at else 0
        first = bisect_left(starts, word)
        following = starts[at] if at < len(starts) else len(text)
        length = max(1, min(following - word, _LONGEST_WORD))
        return first + -(-(at - first) * min(position - word, length) // length)

    def count(self, start: int, end: int) -> int:
        """Tokens of `text[start:end]`: exact between safe cuts, else an estimate."""
        return self.index(end) - self.index(start)

    def tokens(self, start: int, end: int) -> TokenIds:
        """Token numbers of `text[start:end]`: exact between safe cuts, else about those."""
        return self._ids[self.index(start) : self.index(end)]

    def reach(self, start: int, end: int, limit: int) -> int:
        """The farthest good cut up to *end* such that `text[start:cut]` holds at most *limit* tokens.

        Always beyond *start*: a first word that alone holds more than *limit* tokens is taken whole.
        """
        starts = self._starts
        if self.is_safe(start):
            first = bisect_left(starts, start)
            over = first + limit
            last = bisect_left(starts, end)
            if self.is_safe(end):
                if last <= over:
                    return end
            elif last == 0 or over >= last or starts[over] >= starts[last - 1]:
                return self._reach_encoded(start, end, limit)
            if starts[over] > start:
                return self._tidy(start, starts[over], limit)
            after = bisect_right(starts, starts[first])
            return self._apart(start, min(starts[after], end)) if after < len(starts) else end
        far = bisect_left(starts, start) + 2 * limit + _LONGEST_WORD
        return self._reach_encoded(start, min(end, starts[far]) if far < len(starts) else end, limit)

    def _reach_encoded(self, start: int, end: int, limit: int) -> int:
        starts = self._tokenizer.encode(self.text[start:end]).starts
        if len(starts) <= limit:
            return end
        cut = start + int(starts[limit])
        if cut > start:
            return self._tidy(start, cut, limit)
        longer = starts[starts > starts[0]]
        return self._apart(start, start + int(longer[0])) if len(longer) else end

    def _tidy(self, start: int, cut: int, limit: int) -> int:
        """Move a cut that falls inside a long run of characters to the run's begin, if that is not far."""
        text = self.text
        if text[cut - 1].isspace():
            return cut
        half = (start + cut) // 2
        blank = max(text.rfind(space, half, cut) for space in " \n\t")
        if blank > half:
            return blank + 1
        moved = self._apart(start, cut)
        if moved == cut or len(self._tokenizer.encode(text[start:moved]).ids) > limit:
            return cut
        return moved

    def _apart(self, start: int, cut: int) -> int:
        """*cut* or, where it would part what is shown as one character, a place shortly before."""
        text = self.text
        moved = cut
        while moved < len(text) and _is_joined(text, moved):
            moved -= 1
            if moved <= start or cut - moved >= _FARTHEST_STEP:
                return cut
        return moved

    def back(self, position: int, tokens: int) -> int:
        """The first begin of a word from which at most *tokens* tokens lie before *position*."""
        starts, text = self._starts, self.text
        at = max(0, self.index(position) - tokens)
        if 0 < at < len(starts) and starts[at - 1] == starts[at]:
            at = bisect_right(starts, starts[at])
        found = starts[at] if at < len(starts) else position
        while 0 < found < position and _is_joined(text, found):
            found += 1
        return min(found, position)


def _is_joined(text: str, position: int) -> bool:
    """Whether the characters around *position* are shown as one: a mark, a joiner, half a surrogate pair."""
    before, after = text[position - 1], text[position]
    return (
        unicodedata.category(after).startswith("M")
        or "\u200d" in (before, after)
        or ord(after) in _EMOJI_MODIFIERS
        or ("\ud800" <= before <= "\udbff" and "\udc00" <= after <= "\udfff")
    )
