"""A question read once: what it counts, dates, names, denies and asks, and its words in order."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ragweft.caching.reading import asian
from ragweft.caching.reading.asking import Asked, asked_by
from ragweft.caching.reading.reader import Reader
from ragweft.caching.reading.tokens import language_of, normal, tokens_of
from ragweft.lexical.scripts import fold

if TYPE_CHECKING:
    from ragweft.caching.reading.sequence import Sequence

__all__ = ["Reading"]

_QUOTED = re.compile(
    r'"([^"\n]{1,200})"|“([^”\n]{1,200})”|«([^»\n]{1,200})»|„([^“”\n]{1,200})[“”]|「([^」\n]{1,200})」|『([^』\n]{1,200})』'
)
_PLAIN_QUOTED = re.compile(r"(?<!\w)'([^'\n]{1,80})'(?!\w)")
_WORD = re.compile(r"\w+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What the gate compares. Sets hold spelled-out values: "5", "time 17:00", "month 6"."""

    text: str
    language: str
    """Snowball's name, or that of a script ("cyrillic"); "" where it cannot be told."""
    sure: bool
    """Whether the language is beyond doubt."""
    asked: Asked
    words: frozenset[str]
    """Every word, in lower case, without accents; and its stem."""
    spelling: str
    """All letters and digits, without what stands between them."""
    initials: str
    """The first letters of all words."""
    negations: int
    half_negations: int
    numbers: frozenset[str]
    ordinals: frozenset[str]
    units: frozenset[tuple[str, str]]
    """Numbers with their units."""
    measures: frozenset[str]
    """Units and currencies, wherever they stand."""
    times: frozenset[str]
    names: frozenset[str]
    runs: Mapping[str, str]
    """Words of names that have several, to the initials of the whole: "states" -> "us"."""
    identifiers: frozenset[str]
    quotes: frozenset[str]
    opposites: frozenset[tuple[str, bool]]
    """Pairs of opposites, and which side of each stands here."""
    persons: tuple[str, ...]
    """Personal pronouns in order: "i", "you", "he", "she", "they"."""
    sequence: Sequence

    @classmethod
    def of(cls, text: str) -> Reading:
        """Read *text*: any text, in time proportional to its length (0.15 ms for a question)."""
        plain = normal(text)
        tokens = tokens_of(plain)
        spelled = [piece for token in tokens if token.kind == "word" for piece in token.text.lower().split("'")]
        language, sure = language_of(plain, spelled)
        reader = Reader(tokens, language)
        reader.read()
        if language in asian.LANGUAGES:
            asked = asian.asked_by(plain)
        else:
            asked = asked_by(reader.spoken, reader.wording, marked="?" in plain)
        return cls(
            text=text,
            language=language,
            sure=sure,
            asked=asked,
            words=frozenset(reader.words),
            spelling=_letters(plain),
            initials="".join(word[0] for word, _ in reader.spoken),
            negations=reader.negations,
            half_negations=reader.half_negations,
            numbers=frozenset(reader.numbers),
            ordinals=frozenset(reader.ordinals),
            units=frozenset(reader.units),
            measures=frozenset(reader.measures),
            times=frozenset(reader.times),
            names=frozenset(reader.names.found),
            runs=reader.names.initials(),
            identifiers=frozenset(reader.identifiers),
            quotes=_quotes(plain),
            opposites=frozenset(reader.opposites),
            persons=tuple(reader.persons),
            sequence=reader.sequence.build(),
        )


def _letters(text: str) -> str:
    return "".join(_WORD.findall(fold(text.lower()))).replace("_", "")


def _quotes(text: str) -> frozenset[str]:
    found = ["".join(groups) for groups in _QUOTED.findall(text)]
    if "'" in text:
        found += _PLAIN_QUOTED.findall(text)
    return frozenset(filter(None, map(_letters, found)))
