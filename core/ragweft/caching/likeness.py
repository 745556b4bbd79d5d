"""How alike two questions are: more exactly than the cosine of their vectors tells.

A vector is a mean, and a mean forgets the one word two questions differ in. So their words are compared, too:
each with the nearest one of the other question (MaxSim; Khattab and Zaharia, "ColBERT", SIGIR 2020), counted by
how rare it is among the questions kept. Of the two directions the worse one counts, because what only one
question asks for is what sets them apart. A match that rests on few words, or on words that meet unevenly, is
less sure than its mean: two standard errors are taken off.

Which measure tells most depends on the questions, so `calibrating` tries them; see docs/caching.md for what
each reaches.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ragweft.caching.parlance import Parlance, Spoken

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from ragweft.caching.values import Measure
    from ragweft.embedding.static import StaticEmbedder
    from ragweft.types import TokenIds, Vector

__all__ = ["Likeness", "Parlance", "Spoken"]

_ERRORS = 2.0
_NOWHERE = -1.0


class Likeness:
    """Compares questions by the static table, whatever embeds them."""

    def __init__(self, vocabulary: StaticEmbedder) -> None:
        self._vocabulary = vocabulary

    def spoken(self, text: str) -> Spoken:
        """*text* cut into tokens."""
        return Spoken(text=text, tokens=self._vocabulary.encode(text).ids)

    def of(
        self,
        asked: Spoken,
        others: Sequence[Spoken],
        cosines: Vector,
        parlance: Parlance,
        *,
        measure: Measure,
    ) -> Vector:
        """How alike *asked* is to each of *others*: float32, shape (len(others),), 1 for the same words.

        Args:
            asked: a question.
            others: questions.
            cosines: of its vector and theirs, shape (len(others),).
            parlance: how questions are put where it was asked.
            measure: see `Measure`. Without a word that could be compared, a question is like no other.
        """
        if measure == "cosine" or not others:
            return cosines
        there = [place for place, other in enumerate(others) if len(other.tokens)]
        found = np.full(len(others), _NOWHERE, np.float32)
        if not len(asked.tokens) or not there:
            return found
        words, mean = self._by_words(
            asked.tokens,
            [others[place].tokens for place in there],
            parlance,
            errors=_ERRORS if measure == "mixed" else 0.0,
        )
        if measure == "words":
            found[there] = (mean + words) / 2
        else:
            found[there] = (cosines[there] + mean + 2 * words) / 4
        return found

    def _by_words(
        self, asked: TokenIds, others: Sequence[TokenIds], parlance: Parlance, *, errors: float
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """The worse direction of the words less so many standard *errors*, and the cosine of weighed means."""
        unit, table = self._vocabulary.token_vectors(), self._vocabulary.token_table()
        joined = np.concatenate(others)
        starts = np.cumsum([0, *(len(tokens) for tokens in others[:-1])])
        mine, theirs = parlance.weights(asked), parlance.weights(joined)
        near = unit[asked] @ unit[joined].T
        there = np.maximum.reduceat(near, starts, axis=1)
        share = mine / mine.sum()
        to = share @ there
        to_error = np.sqrt(share @ (there - to) ** 2 * (share**2).sum())
        back = near.max(axis=0)
        total = np.add.reduceat(theirs, starts)
        lengths = np.diff([*starts, len(joined)])
        shares = theirs / np.repeat(total, lengths)
        fro = np.add.reduceat(shares * back, starts)
        spread = np.add.reduceat(shares * (back - np.repeat(fro, lengths)) ** 2, starts)
        fro_error = np.sqrt(spread * np.add.reduceat(shares**2, starts))
        words = np.minimum(to - errors * to_error, fro - errors * fro_error)
        own = mine @ table[asked].astype(np.float32)
        means = np.add.reduceat(theirs[:, np.newaxis] * table[joined].astype(np.float32), starts, axis=0)
        lengths_of = np.linalg.norm(means, axis=1) * np.linalg.norm(own)
        mean = np.divide(means @ own, lengths_of, out=np.zeros(len(others), np.float32), where=lengths_of > 0)
        return words.astype(np.float32), mean.astype(np.float32)
