"""How the questions of one place are put: what makes a word telling there."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from ragweft.caching.reading.question import Reading

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from ragweft.types import Json, TokenIds

__all__ = ["Parlance", "Spoken"]

_SAMPLE = 500
"""Questions that are read for the names they have in common; enough to know a tenth from a twentieth."""
_FEWEST = 30
_USUAL = 0.1
"""Share of the questions in which a name tells none from another."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Spoken:
    """A question as it is compared."""

    text: str
    tokens: TokenIds


class Parlance:
    """How the questions of one scope are put: how common each token is, and which names most of them have."""

    def __init__(self) -> None:
        self._containing: Counter[int] = Counter()
        self._questions = 0
        self._names: Counter[str] = Counter()
        self._read = 0

    def add(self, questions: Sequence[Spoken]) -> None:
        """Hear more of them."""
        for spoken in questions:
            self._containing.update(set(spoken.tokens.tolist()))
        self._questions += len(questions)
        if self._read < _SAMPLE:
            for spoken in questions[: _SAMPLE - self._read]:
                self._names.update(Reading.of(spoken.text).names)
                self._read += 1

    def to_json(self) -> dict[str, Json]:
        """The form it is kept in."""
        return {
            "containing": {str(token): count for token, count in self._containing.items()},
            "questions": self._questions,
            "names": dict(self._names),
            "read": self._read,
        }

    @classmethod
    def from_json(cls, said: Any) -> Self:
        """What `to_json` gave.

        Raises:
            ValueError, TypeError, KeyError, AttributeError: it gave something else.
        """
        made = cls()
        made._containing.update({int(token): int(count) for token, count in said["containing"].items()})
        made._questions = int(said["questions"])
        made._names.update({str(name): int(count) for name, count in said["names"].items()})
        made._read = int(said["read"])
        return made

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Parlance) and self.to_json() == other.to_json()

    __hash__ = None  # type: ignore[assignment]

    def weights(self, tokens: TokenIds) -> NDArray[np.float32]:
        """How rare each of *tokens* is: BM25's idf (Robertson and Zaragoza, 2009), always above 0."""
        containing = np.array([self._containing[token] for token in tokens.tolist()], np.float32)
        rare = np.log1p((self._questions - containing + 0.5) / (containing + 0.5))
        return rare.astype(np.float32, copy=False)

    @property
    def usual(self) -> frozenset[str]:
        """Names that stand in so many questions that some leave them out: the product all ask about."""
        if self._read < _FEWEST:
            return frozenset()
        return frozenset(name for name, count in self._names.items() if count > _USUAL * self._read)
