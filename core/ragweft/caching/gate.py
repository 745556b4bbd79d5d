"""The gate before a semantic hit: why two questions whose vectors are close may still ask different things.

Vectors blur what an answer hangs on: "not", a number, a name, which of two things comes first. The gate looks
for these in the words. It knows nothing of meaning: what it lets through is as close as the vectors
say, what it doubts is asked anew, at the price of one computed answer.
"""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass

from ragweft.caching.order import SAME_BAG, disorder
from ragweft.caching.reading.question import Reading
from ragweft.caching.reading.sequence import shared_words
from ragweft.caching.reading.wordings import LANGUAGES

__all__ = ["KINDS", "Doubt", "Reading", "doubts"]

KINDS = (
    "language",
    "question",
    "negation",
    "numbers",
    "units",
    "times",
    "names",
    "identifiers",
    "quotes",
    "opposites",
    "direction",
    "words",
)
"""What may speak against a hit, in the order it is looked for."""


_LOOKED_FOR = 50
"""Names and identifiers that are looked for in other spellings; more of them are another text."""
_LOOKED_INTO = 5_000
"""Words of a text in which other spellings are looked for."""


_LONG = 6
"""Letters of a word that hardly stand in other words by chance."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Doubt:
    """One reason why two questions may ask different things: one of `KINDS`, and the words it rests on."""

    kind: str
    what: str


def doubts(
    asked: str | Reading,
    cached: str | Reading,
    *,
    usual: Container[str] = frozenset(),
    words: bool = False,
) -> tuple[Doubt, ...]:
    """All that speaks against serving what was stored for *cached* to who asks *asked*; empty for nothing.

    *usual* are names (`Reading.names`) that stand in so many of a scope's questions that they tell none from
    another, such as the product all ask about: some write it, some do not. *words*: a word of content in the
    place of another is a doubt, too; for where nobody has told how alike such questions may be, and vectors say
    of "the gold plan" and "the silver plan" that they are as good as one.

    Give a `Reading` for what is compared more than once. Which side is which makes no difference to the kinds.
    """
    one = asked if isinstance(asked, Reading) else Reading.of(asked)
    other = cached if isinstance(cached, Reading) else Reading.of(cached)
    if one.text == other.text:
        return ()
    found = list(_doubts(one, other, usual))
    if words and (replaced := _replaced(one, other)):
        found.append(Doubt(kind="words", what=replaced))
    return tuple(found)


def _doubts(a: Reading, b: Reading, usual: Container[str]) -> Iterator[Doubt]:
    if a.sure and b.sure and a.language != b.language:
        yield Doubt(kind="language", what=f"{a.language} against {b.language}")
        return
    if question := _question(a, b):
        yield Doubt(kind="question", what=question)
    if negation := _negation(a, b):
        yield Doubt(kind="negation", what=negation)
    if numbers := _differ(a.numbers, b.numbers, a, b) or _differ(a.ordinals - {"1"}, b.ordinals - {"1"}, a, b):
        yield Doubt(kind="numbers", what=numbers)
    if units := _units(a, b):
        yield Doubt(kind="units", what=units)
    if times := _differ(a.times, b.times, a, b):
        yield Doubt(kind="times", what=times)
    if names := _names(a, b, usual):
        yield Doubt(kind="names", what=names)
    if identifiers := _differ(_missing(a.identifiers, b), _missing(b.identifiers, a), a, b):
        yield Doubt(kind="identifiers", what=identifiers)
    if quotes := _against(_missing(a.quotes, b), _missing(b.quotes, a)):
        yield Doubt(kind="quotes", what=quotes)
    if opposites := _opposites(a, b):
        yield Doubt(kind="opposites", what=opposites)
    if direction := _direction(a, b):
        yield Doubt(kind="direction", what=direction)


def _against(one: frozenset[str], other: frozenset[str]) -> str:
    if one == other:
        return ""
    return f"{_spelled(one - other)} against {_spelled(other - one)}"


def _differ(mine: frozenset[str], others: frozenset[str], a: Reading, b: Reading) -> str:
    """What two texts hold against each other.

    What only one of them says is a difference where the other says nothing else instead: "reset my password"
    asks for more than "reset my Gmail password". A text in other words may leave it out for its own reasons.
    """
    if mine == others:
        return ""
    more, missing = mine - others, others - mine
    if not (more and missing) and not _alike(a, b, besides=len(more or missing)):
        return ""
    return _against(mine, others)


def _spelled(values: frozenset[str]) -> str:
    return ", ".join(sorted(values)[:5]) or "nothing"


def _question(a: Reading, b: Reading) -> str:
    one, other = a.asked, b.asked
    if one == other or not one.kind or not other.kind or not _alike(a, b):
        return ""
    if one.kind == other.kind:
        if one.kind == "yes-no" and {one.force, other.force} == {"can", "must"}:
            return f"{one.force} against {other.force}"
        if (
            {one.force, other.force} == {"subject", "object"}
            and _same_content(a, b)
            and not (a.sequence.passive or b.sequence.passive)
        ):
            return f"{one.kind} as {one.force} against as {other.force}"
        return ""
    if {one.kind, other.kind} == {"what", "yes-no"} and "exists" in {one.force, other.force}:
        return ""  # "What fees are there", "Are there fees"
    if "what" in {one.kind, other.kind} and "yes-no" not in {one.kind, other.kind} and not _same_content(a, b):
        return ""  # "What is the treatment of …", "How is … treated"
    return f"{one.kind} against {other.kind}"


def _same_content(a: Reading, b: Reading) -> bool:
    one, other = a.sequence.counts, b.sequence.counts
    return one == other


def _negation(a: Reading, b: Reading) -> str:
    turned = _turned(a, b)
    if bool(a.negations) == bool(b.negations):
        if turned:
            return f"{turned[0]} against {turned[1]}"
        halves = bool(a.half_negations) != bool(b.half_negations)
        return "half denied against affirmed" if halves and not a.negations and _alike(a, b) else ""
    denied, affirmed = (a, b) if a.negations else (b, a)
    if turned or affirmed.half_negations:
        return ""  # "not safe", "unsafe"; "does not work", "fails to work"
    return "denied against affirmed" if denied is a else "affirmed against denied"


def _alike(a: Reading, b: Reading, *, besides: int = 0) -> bool:
    """Whether two texts say much the same, *besides* so many words that only one of them has."""
    return 2 * shared_words(a.sequence, b.sequence) >= SAME_BAG * (
        len(a.sequence.keys) + len(b.sequence.keys) - besides
    )


def _turned(a: Reading, b: Reading) -> tuple[str, str] | None:
    """A word of one text that the other has with a prefix that denies it: safe, unsafe."""
    prefixes = LANGUAGES.get(a.language, LANGUAGES["english"]).un_prefixes
    only_a, only_b = a.words - b.words, b.words - a.words
    for mine, others in ((only_a, only_b), (only_b, only_a)):
        for word in sorted(mine):
            for prefix in prefixes:
                base = word.removeprefix(prefix)
                if len(base) >= (4 if prefix in {"un", "non"} else 5) and base != word and base in others:
                    return word, base
            if word.endswith("less") and word[:-4] + "ful" in others:
                return word, word[:-4] + "ful"
    return None


def _units(a: Reading, b: Reading) -> str:
    if a.units != b.units:
        one, other = _by_number(a), _by_number(b)
        for number in sorted(one.keys() & other.keys()):
            if one[number].isdisjoint(other[number]):
                return f"{number} {min(one[number])} against {number} {min(other[number])}"
    if a.measures - b.measures and b.measures - a.measures:
        return _against(a.measures, b.measures)
    return ""


def _by_number(text: Reading) -> dict[str, set[str]]:
    units: dict[str, set[str]] = {}
    for number, unit in text.units:
        units.setdefault(number, set()).add(unit)
    return units


def _names(a: Reading, b: Reading, usual: Container[str]) -> str:
    if a.names <= b.names and b.names <= a.names:
        return ""
    one = _unnamed(a.names - b.names, b, a.runs, usual)
    other = _unnamed(b.names - a.names, a, b.runs, usual)
    return _differ(one, other, a, b)


def _unnamed(
    names: frozenset[str], text: Reading, runs: Mapping[str, str], usual: Container[str]
) -> frozenset[str]:
    if len(names) > _LOOKED_FOR or len(text.words) > _LOOKED_INTO:
        return names
    return frozenset(name for name in names if name not in usual and not _named_in(name, text, runs))


def _named_in(name: str, text: Reading, runs: Mapping[str, str]) -> bool:
    if (
        name in text.words
        or (_has_plural(name) and name.rstrip("s") in text.words)
        or (len(name) >= 5 and name in text.spelling)
    ):
        return True
    if 2 <= len(name) <= 6 and name.isalpha() and name in text.initials:
        return True
    short = runs.get(name)
    if short is not None and short in text.names:
        return True
    roots = _roots(name)
    return any(
        word[0] == name[0] and (not roots.isdisjoint(_roots(word)) or _misspelled(name, word))
        for word in text.words
        if word
    )


_VOWELS = frozenset("aeiouy")
_ORIGINS = ("ians", "ian", "ans", "an", "ese", "ish", "ns", "n", "ia", "y", "s", "a")


def _has_plural(name: str) -> bool:
    """Whether an "s" at its end may be one of grammar: not that of HTTPS or DNS, which nobody can pronounce."""
    return not _VOWELS.isdisjoint(name)


def _roots(name: str) -> frozenset[str]:
    """A country's name without what makes it an adjective or a plural: Italy, Italian."""
    if not name.isalpha() or not _has_plural(name):
        return frozenset((name,))
    return frozenset(
        (
            name,
            *(name.removesuffix(end) for end in _ORIGINS if name.endswith(end) and len(name) - len(end) >= 4),
        )
    )


def _misspelled(one: str, other: str) -> bool:
    """Whether two long words of letters are one edit or one swap apart."""
    if (
        min(len(one), len(other)) < 6
        or abs(len(one) - len(other)) > 1
        or not (one.isalpha() and other.isalpha())
    ):
        return False
    start = 0
    while start < min(len(one), len(other)) and one[start] == other[start]:
        start += 1
    rest, others = one[start:], other[start:]
    return (
        rest[1:] == others[1:]
        or rest[1:] == others
        or rest == others[1:]
        or (rest[2:] == others[2:] and rest[:2] == others[1::-1])
    )


def _missing(values: frozenset[str], text: Reading) -> frozenset[str]:
    """Those of *values* that *text* does not spell."""
    if len(values) > _LOOKED_FOR:
        return values
    return frozenset(value for value in values if value not in text.words and not _spells(text, value))


def _spells(text: Reading, value: str) -> bool:
    letters = "".join(filter(str.isalnum, value))
    if len(letters) < 3 or letters not in text.spelling:
        return False
    # "json.load" stands in "json.loads", and is another function.
    others = ("".join(filter(str.isalnum, other)) for other in text.identifiers)
    return not any(other.startswith(letters) and other != letters for other in others)


def _opposites(a: Reading, b: Reading) -> str:
    if a.opposites == b.opposites:
        return ""
    for pair, side in sorted(a.opposites - b.opposites):
        if (pair, not side) in b.opposites and (pair, not side) not in a.opposites:
            return pair
    return ""


def _replaced(a: Reading, b: Reading) -> str:
    mine, others = _lacking(a, b), _lacking(b, a)
    if len(mine) + len(others) > _LOOKED_FOR:
        return _against(mine, others)
    one = frozenset(word for word in mine if not any(_misspelled(word, each) for each in others))
    other = frozenset(word for word in others if not any(_misspelled(word, each) for each in mine))
    return _against(one, other) if one and other else ""


def _lacking(text: Reading, other: Reading) -> frozenset[str]:
    """Words of content of *text* that *other* does not have, not even in pieces: "web site" has "website"."""
    words = (word for word in text.sequence.counts if word not in other.sequence.counts)
    return frozenset(
        word
        for word in words
        if word not in other.words and not (len(word) >= _LONG and word in other.spelling)
    )


def _direction(a: Reading, b: Reading) -> str:
    if a.persons != b.persons and len(set(a.persons)) > 1 and sorted(a.persons) == sorted(b.persons):
        return f"{' … '.join(a.persons[:4])} against {' … '.join(b.persons[:4])}"
    first, second = sorted((a, b), key=lambda text: text.text)  # which one is asked makes no difference
    loose = any(text.asked.kind or "i" in text.persons for text in (a, b))
    return disorder(first.sequence, second.sequence, loose=loose) or ""
