"""The content words of a text in order, each with what stands before it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

__all__ = ["DENIAL", "Sequence", "SequenceBuilder", "shared_words"]

DENIAL = "¬"
"""Stands for every negator."""

NAMED, MANNER, PARTICIPLE = 1, 2, 4
"""Flags of a word: part of a name, an adverb of manner, what may be a participle."""

JOIN, COMMA, BRACKET, CLAUSE, RELATIVE, REST = "&", ",", "(", "|", "who", "."
BE, THE, AGENT, GENITIVE = "be", "the", "agent", "'s"
"""Marks in a lead. A preposition is "p:" and its role; AGENT follows one that may name the doer."""

POINTING = ("p:from", "p:to", "p:before", "p:after", "p:than", AGENT)
"""Marks that give the word after them a part of its own."""


@dataclass(frozen=True, slots=True)
class Sequence:
    """`leads[i]` is what stands before content word `keys[i]`; the last lead is what ends the text."""

    keys: tuple[str, ...]
    leads: tuple[tuple[str, ...], ...]
    flags: tuple[int, ...]
    counts: Counter[str]
    passive: bool
    """Whether a form of "to be" stands before a participle."""
    pointed: dict[str, set[str]]
    """What each pointing preposition goes with."""

    def near(self, place: int) -> str:
        """The word at *place*, "" beyond the ends."""
        return self.keys[place] if 0 <= place < len(self.keys) else ""


class SequenceBuilder:
    """Collects a `Sequence` word by word."""

    def __init__(self) -> None:
        self._keys: list[str] = []
        self._leads: list[tuple[str, ...]] = []
        self._flags: list[int] = []
        self._lead: list[str] = [REST]

    def add(self, key: str, *, named: bool = False, manner: bool = False, participle: bool = False) -> None:
        """A content word."""
        self._keys.append(key)
        self._leads.append(tuple(self._lead))
        self._flags.append(NAMED * named | MANNER * manner | PARTICIPLE * participle)
        self._lead = []

    def replace(self, key: str) -> None:
        """Another spelling of the last word."""
        if self._keys:
            self._keys[-1] = key

    def genitive(self) -> None:
        """An "'s"."""
        self._put(GENITIVE)

    def be(self) -> None:
        """A form of "to be"."""
        self._put(BE)

    def determiner(self) -> None:
        """An article or possessive."""
        self._put(THE)

    def preposition(self, role: str, *, agent: bool) -> None:
        """A preposition by its role."""
        self._put(f"p:{role}")
        if agent:
            self._put(AGENT)

    def join(self) -> None:
        """An "and"."""
        self._put(JOIN)

    def comma(self) -> None:
        """A comma."""
        self._put(COMMA)

    def bracket(self) -> None:
        """A bracket, opened or closed."""
        self._put(BRACKET)

    def clause(self) -> None:
        """A conjunction whose clause may move."""
        self._put(CLAUSE)

    def relative(self) -> None:
        """A relative pronoun, or a conjunction whose clause stays."""
        self._put(RELATIVE)

    def swap(self) -> None:
        """The last two words the other way round: "4 November" is spelled "November 4"."""
        if len(self._keys) > 1 and not self._leads[-1]:
            self._keys[-2:] = self._keys[:-3:-1]

    def rest(self) -> None:
        """The end of a sentence."""
        self._put(REST)

    def _put(self, mark: str) -> None:
        if mark not in self._lead:
            self._lead.append(mark)

    def build(self) -> Sequence:
        """All that was added."""
        keys = tuple(self._keys)
        pointed: dict[str, set[str]] = {}
        pointing: list[str] = []
        for key, lead in zip(keys, self._leads, strict=True):
            if not lead or any(mark not in (JOIN, COMMA, THE) for mark in lead):  # or else the next of a list
                pointing = [mark for mark in lead if mark in POINTING]
            for mark in pointing if key != DENIAL else ():
                pointed.setdefault(mark, set()).add(key)
        return Sequence(
            keys, (*self._leads, tuple(self._lead)), tuple(self._flags), Counter(keys), self._passive(), pointed
        )

    def _passive(self) -> bool:
        return any(
            flags & PARTICIPLE and (BE in lead or (place and BE in self._leads[place - 1]))
            for place, (lead, flags) in enumerate(zip(self._leads, self._flags, strict=True))
        )


def shared_words(a: Sequence, b: Sequence) -> int:
    """How many content words two texts have in common."""
    one, other = (a.counts, b.counts) if len(a.counts) < len(b.counts) else (b.counts, a.counts)
    return sum(min(count, other[word]) for word, count in one.items() if word in other)
