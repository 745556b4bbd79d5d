"""One pass over the tokens of a text."""

from __future__ import annotations

import re
import threading
from typing import TYPE_CHECKING, Any

from ragweft.caching.reading import asian
from ragweft.caching.reading.asking import HOW_OF
from ragweft.caching.reading.figures import (
    MERIDIEMS,
    MULTIPLES,
    ORDINAL_ENDS,
    ROMAN,
    clock,
    date,
    multiplied,
    value_of,
)
from ragweft.caching.reading.names import Names, is_identifier, name_key
from ragweft.caching.reading.sequence import DENIAL, GENITIVE, SequenceBuilder
from ragweft.caching.reading.wording import CURRENCIES, UNIT_SYMBOLS, UNITS
from ragweft.caching.reading.wordings import LANGUAGES
from ragweft.lexical.scripts import fold, parts
from ragweft.lexical.stopwords import stop_words

if TYPE_CHECKING:
    from collections.abc import Callable

    from ragweft.caching.reading.tokens import Token

__all__ = ["Reader"]

_ENGLISH = LANGUAGES["english"]
_WORD = re.compile(r"\w+")
_KEPT = frozenset("more most less least only same other all both then again once further".split())  # noqa: SIM905
"""Stop words of the search whose place in a question matters."""
_OR = frozenset({"or", "oder", "ou", "o"})
_EACH = frozenset({"a", "per", "each", "every"})
_UNSURE = frozenset({"sure", "know", "understand"})
_ALSO_VERBS = frozenset({"may", "march"})
_NOTHING = ""


class Reader:
    """Collects what `Reading` holds. Create, `read()`, look."""

    def __init__(self, tokens: list[Token], language: str) -> None:
        self.language = language
        self.wording = LANGUAGES.get(language, _ENGLISH)
        self.spoken: list[tuple[str, int]] = []
        """Words in lower case, with what stood before each: 2 a sentence's end, 1 a comma, 0 nothing."""
        self.words: set[str] = set()
        self.numbers: set[str] = set()
        self.ordinals: set[str] = set()
        self.units: set[tuple[str, str]] = set()
        self.measures: set[str] = set()
        self.times: set[str] = set()
        self.identifiers: set[str] = set()
        self.opposites: set[tuple[str, bool]] = set()
        self.persons: list[str] = []
        self.negations = self.half_negations = 0
        self.names = Names(tokens, language)
        self.sequence = SequenceBuilder()
        self._tokens = tokens
        self._stops = stop_words(self.wording.language)
        self._stem = _stemmer(self.wording.language)
        self._previous = ""
        self._pause = 2
        self._number: tuple[str, int] | None = None
        """The number just read and where it ends."""

    def read(self) -> None:
        """Read all tokens."""
        for place, token in enumerate(self._tokens):
            match token.kind:
                case "word":
                    self._read_word(token, place)
                case "number":
                    self._read_number(token, place)
                case "asian":
                    self._read_asian(token)
                case "stop" | "comma" | "bracket":
                    self._read_pause(token)
                case "sign":
                    self._read_sign(token)
                case "date":
                    self._read_date(token.text)
                case "time":
                    self._read_time(token, place)
                case "quote":
                    pass
                case _:
                    self._read_identifier(token.text.strip("`").rstrip(".,"))

    def _following(self, place: int) -> str:
        return self._tokens[place + 1].text.lower() if place + 1 < len(self._tokens) else _NOTHING

    # Signs

    def _read_pause(self, token: Token) -> None:
        self.names.pause()
        if token.kind == "stop":
            self._number = None
            if token.text != "." or len(self._previous) != 1:  # not after an initial: "J. Smith"
                self._pause = 2
                self.sequence.rest()
            return
        self._pause = max(self._pause, 1)
        if token.kind == "bracket":
            self.sequence.bracket()
        elif token.text == "&":
            self.sequence.join()
        else:
            self.sequence.comma()

    def _read_sign(self, token: Token) -> None:
        unit = CURRENCIES.get(token.text) or UNIT_SYMBOLS[token.text]
        self.measures.add(unit)
        if self._number and token.start - self._number[1] <= 1:
            self.units.add((self._number[0], unit))
        self._previous = token.text

    # Figures

    def _read_number(self, token: Token, place: int) -> None:
        after = self._tokens[place + 1] if place + 1 < len(self._tokens) else None
        glued = after.text.lower() if after and after.kind == "word" and after.start == token.end else ""
        value = value_of(token.text, self.language)
        self._pause = 0
        if glued in ORDINAL_ENDS:
            self.ordinals.add(value)
            self.sequence.add(f"{value}.")
        elif glued in MULTIPLES and (glued != "m" or self._previous in CURRENCIES):
            self._count(multiplied(value, MULTIPLES[glued]), token)
        elif version := self.names.version(place, value):
            self.sequence.replace(version)
        elif glued.isalpha() and glued not in UNIT_SYMBOLS and glued not in MERIDIEMS and glued != "s":
            self.names.found.add(value + fold(glued))  # "3d", "4k"
            self.sequence.add(value)
        elif self._following(place) in MERIDIEMS:
            self.times.add(clock(value, "00", self._following(place)))
            self.sequence.add(value)
        else:
            self._count(value, token)
        self._previous = token.text

    def _count(self, value: str, token: Token) -> None:
        self.numbers.add(value)
        if self._previous in CURRENCIES:
            self.units.add((value, CURRENCIES[self._previous]))
        self._number = (value, token.end)
        self.sequence.add(value)

    def _read_date(self, text: str) -> None:
        found = date(text)
        if found is None:
            self.times.add(text)
            self.sequence.add(text)
            return
        year, month, day = found
        self.times.add(f"month {month}")
        self.numbers |= {str(day), str(year)}
        self.sequence.add(f"{year}-{month}-{day}")

    def _read_time(self, token: Token, place: int) -> None:
        hour, minutes = token.text.split(":")
        self.times.add(clock(hour, minutes, self._following(place)))
        self.sequence.add(token.text)

    # Words

    def _read_word(self, token: Token, place: int) -> None:
        pause, self._pause = self._pause, 0
        for piece in _pieces(token.text):
            if piece == "not":
                self._deny(place)
            elif piece == GENITIVE:
                self.sequence.genitive()
            else:
                self._read_piece(piece, token, place, pause)
                pause = 0

    def _read_piece(self, written: str, token: Token, place: int, pause: int) -> None:
        lower = written.lower()
        self.spoken.append((lower, pause))
        number, self._number = self._number, None
        if lower in MERIDIEMS and number is None and self._previous[:1].isdigit():
            self._previous = lower
            return
        if is_identifier(written):
            self._read_identifier(written)
            return
        stem = fold(self._stem(lower))
        self.words |= {fold(lower), stem}
        previous, self._previous = self._previous, lower
        self.opposites |= self.wording.opposites.get(lower, frozenset())
        if lower in self.wording.negators:
            self._deny(place)
            return
        self.half_negations += lower in self.wording.half_negators
        if lower in self.wording.persons and written != "US":
            self.persons.append(self.wording.persons[lower])
        if self._is_number(written, number, token) or self._is_date(written, previous, place, first=pause == 2):
            return
        self._measure(lower, number)
        initials = "".join(word[0] for word, _ in self.spoken[-8:-1])
        named = self.names.named(
            written, place, first=pause == 2, stop_word=lower in self._stops, initials=initials
        )
        if not (lower in HOW_OF and previous in self.wording.asks):  # "how long" is in what is asked
            self._arrange(written, stem, named=named)

    def _deny(self, place: int) -> None:
        following = self._following(place)
        if self._previous in {"no", "non"} and following in {".", "!", ","}:
            return  # "no. 5", "oh no!"
        if following in _UNSURE:
            after = self._following(place + 1)
            if after in self.wording.asks or after in {"if", "whether"}:
                return  # "I am not sure why"
        if len(self.spoken) > 1 and self.spoken[-2][0] in _OR:
            return  # "whether or not"
        self.negations += 1
        self.sequence.add(DENIAL)

    def _is_number(self, written: str, number: tuple[str, int] | None, token: Token) -> bool:
        lower, wording = written.lower(), self.wording
        if written in ROMAN:
            value = ROMAN[written]
        elif lower in wording.scales:
            value = multiplied(number[0] if number else "1", wording.scales[lower])
            self.numbers.discard(number[0] if number else _NOTHING)
        elif lower in wording.numbers and lower != "-":
            value = str(wording.numbers[lower])
            if number and len(value) == 1 and number[0] in {"20", "30", "40", "50", "60", "70", "80", "90"}:
                self.numbers.discard(number[0])
                value = str(int(number[0]) + int(value))  # "twenty-five"
        elif lower in wording.ordinals and not (
            lower == "second" and len(self.spoken) > 1 and self.spoken[-2][0] in _EACH
        ):
            self.ordinals.add(str(wording.ordinals[lower]))
            self.sequence.add(f"{wording.ordinals[lower]}.")
            return True
        else:
            return False
        self.numbers.add(value)
        self._number = (value, token.end)
        self.sequence.add(value)
        return True

    def _is_date(self, written: str, previous: str, place: int, *, first: bool) -> bool:
        lower, wording = written.lower(), self.wording
        if lower in wording.months and self._is_month(written, previous, place, first=first):
            value = f"month {wording.months[lower]}"
        elif lower in wording.weekdays:
            value = f"weekday {wording.weekdays[lower]}"
        elif lower in wording.relative:
            value = wording.relative[lower]
        elif previous in wording.near and (lower in wording.periods or lower in wording.weekdays):
            value = f"{wording.near[previous]} {lower}"
        else:
            return False
        self.times.add(value)
        self.sequence.add(value)
        if value.startswith("month") and previous.isdecimal() and len(previous) < 3:
            self.sequence.swap()
        return True

    def _is_month(self, written: str, previous: str, place: int, *, first: bool) -> bool:
        lower = written.lower()
        if self.wording is not _ENGLISH:
            return True
        if lower in _ALSO_VERBS:
            return (
                self._following(place).isdecimal()
                or previous.isdecimal()
                or self.names.dates(written, first=first)
            )
        return len(lower) > 3 or written[0].isupper()

    def _measure(self, lower: str, number: tuple[str, int] | None) -> None:
        if number is not None and (unit := self.wording.units.get(lower) or UNIT_SYMBOLS.get(lower)):
            self.units.add((number[0], unit))
        unit = UNITS.get(lower) or (CURRENCIES.get(lower) if len(lower) > 2 and lower != "won" else None)
        if unit:
            self.measures.add(unit)
            if number is not None:
                self.units.add((number[0], unit))

    def _arrange(self, written: str, stem: str, *, named: bool) -> None:
        lower, wording = written.lower(), self.wording
        if named:
            self.sequence.add(name_key(lower) if any(map(str.isdigit, lower)) else stem, named=True)
        elif lower in wording.joints:
            self.sequence.join()
        elif lower in wording.breaks:
            self.sequence.relative()
        elif lower in wording.adverbial:
            self.sequence.clause()
        elif lower in wording.be:
            self.sequence.be()
        elif lower in wording.determiners:
            self.sequence.determiner()
        elif lower in wording.prepositions:
            self.sequence.preposition(wording.prepositions[lower], agent=lower in wording.agents)
        elif self._has_content(written):
            self.sequence.add(
                stem,
                manner=lower.endswith("ly") and len(lower) > 4,
                participle=lower.endswith(("ed", "en", "wn", "ght")) or lower in wording.participles,
            )

    def _has_content(self, written: str) -> bool:
        lower = written.lower()
        if lower in self.wording.light:
            return False
        return lower not in self._stops or lower in _KEPT or (written.isupper() and len(written) > 1)

    def _read_identifier(self, written: str) -> None:
        key = fold(written.lower())
        self.identifiers.add(key)
        self.words.add(key)
        self.words |= {fold(part.lower()) for part in parts(written)}
        self.sequence.add("".join(_WORD.findall(key)).replace("_", "") or key, named=True)
        self._previous = written.lower()
        self.names.pause()

    def _read_asian(self, token: Token) -> None:
        run = token.text
        self._pause = 0
        self.names.pause()
        self.negations += asian.negations(run)
        self.numbers |= asian.numbers(run)
        self.times |= asian.times(run)
        self.opposites |= asian.opposites(run)
        for kind, piece in asian.pieces(run):
            if kind == "word":
                self.words.add(piece)
                self.sequence.add(piece)
            elif kind == "join":
                self.sequence.join()
            else:
                self.sequence.preposition(piece, agent=False)


def _pieces(written: str) -> list[str]:
    """What is in a word with apostrophes: `don't` do, not; `Anna's` Anna, 's; `l'eau` l, eau; `U.S.` US."""
    if "." in written and all(len(piece) <= 1 for piece in written.split(".")):
        return [written.replace(".", "")]
    if "'" not in written:
        return [written]
    head, *rest = written.split("'")
    last = rest[-1].lower()
    if last == "t" and head.lower().endswith("n"):
        return [{"can": "can", "won": "will", "shan": "shall"}.get(head.lower(), head[:-1]), "not"]
    if last == "s":
        return [head, *rest[:-1], GENITIVE]
    if last in {"re", "ll", "ve", "d", "m"}:
        return [head, *rest[:-1]]
    return [head, *filter(None, rest)]


_THREAD = threading.local()


def _stemmer(language: str) -> Callable[[str], str]:
    # A Snowball stemmer has state: one per thread, which is also safe in a forked child, unlike a lock.
    stemmers: dict[str, Callable[[str], str]] = _THREAD.__dict__
    stem = stemmers.get(language)
    if stem is None:
        stem = stemmers[language] = _snowball().Stemmer(language, 0).stemWord
    return stem


def _snowball() -> Any:
    import Stemmer  # type: ignore[import-not-found]  # compiled, without type stubs

    return Stemmer
