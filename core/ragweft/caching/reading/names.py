"""Which words are names: acronyms, products with their versions, capitals inside a sentence."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ragweft.caching.reading.figures import ROMAN
from ragweft.lexical.scripts import fold

if TYPE_CHECKING:
    from ragweft.caching.reading.tokens import Token

__all__ = ["Names", "is_identifier", "name_key"]

_IDENTIFIER = re.compile(r"[a-z\d][A-Z]|[A-Z]{2}[a-z]{2}|\w_\w|[A-Za-z]\.\w|::")
_NO_ACRONYMS = frozenset({"i", "ok"})
_ALIASES = {"usa": "us"}
_HEADLINE = 0.9
"""Share of longer words in capitals above which capitals tell nothing."""


def is_identifier(written: str) -> bool:
    """Whether a word is spelled as programs spell theirs: camelCase, snake_case, with dots inside."""
    return bool(_IDENTIFIER.search(written)) and not written.replace(".", "").isupper()


def name_key(lower: str) -> str:
    """One spelling of a name: "covid-19" and "covid19"."""
    key = fold(lower).replace("-", "")
    return _ALIASES.get(key, key)


class Names:
    """The names of one text, found word by word."""

    def __init__(self, tokens: list[Token], language: str) -> None:
        self._tokens = tokens
        self._nouns_have_capitals = language == "german"
        self._capitals_tell = not self._nouns_have_capitals and not _is_headline(tokens)
        self._runs: list[list[str]] = []
        self._running = False
        self._acronym = ""
        self.found: set[str] = set()

    def pause(self) -> None:
        """What follows is no part of the name before."""
        self._running = False

    def initials(self) -> dict[str, str]:
        """Words of names that have several, to the initials of the whole."""
        return {word: "".join(part[0] for part in run) for run in self._runs if len(run) > 1 for word in run}

    def dates(self, written: str, *, first: bool) -> bool:
        """Whether the capital of a word tells a month ("May") from a verb."""
        return written[0].isupper() and self._capitals_tell and not first

    def version(self, place: int, value: str) -> str:
        """The name that the number at *place* belongs to ("COVID 19", "GPT 4"), with it; "" for none."""
        token, before = self._tokens[place], self._tokens[place - 1] if place else None
        if before is None or before.text in ROMAN or not before.text.isupper() or len(before.text) < 2:
            return ""
        if (
            token.start - before.end != 1
            or len(token.text) > 3
            or name_key(before.text.lower()) != self._acronym
        ):
            return ""
        self.found.discard(self._acronym)
        self.found.add(self._acronym + value)
        return self._acronym + value

    def named(self, written: str, place: int, *, first: bool, stop_word: bool, initials: str) -> bool:
        """Whether the word at *place* is (part of) a name; one that tells questions apart is remembered.

        *first* in its sentence, a word has a capital anyway. *initials* are those of the words before it.
        """
        lower = written.lower()
        if any(map(str.isdigit, written)) or self._is_acronym(written):
            if self._introduced(lower, place, initials):
                return True
            self._acronym = name_key(lower)
            self.found.add(self._acronym)
            self._running = True
            return True
        if not self._capitals_tell or not written[0].isupper() or written == "I":
            self._running = False
            return False
        key = name_key(lower)
        if first and not self._running:
            self._running = not stop_word and self._capital_follows(place)
            if self._running:
                self._runs.append([key])
            return self._running
        if stop_word:
            return self._running
        if self._running and self._runs:
            self._runs[-1].append(key)
        else:
            self._runs.append([key])
        self._running = True
        self.found.add(key)
        return True

    def _is_acronym(self, written: str) -> bool:
        telling = self._capitals_tell or self._nouns_have_capitals
        return telling and len(written) > 1 and written.isupper() and written.lower() not in _NO_ACRONYMS

    def _introduced(self, lower: str, place: int, initials: str) -> bool:
        """Whether the words before a bracket say what stands in it: "value added tax (VAT)"."""
        return place > 0 and self._tokens[place - 1].text == "(" and initials.endswith(lower.removesuffix("s"))

    def _capital_follows(self, place: int) -> bool:
        following = self._tokens[place + 1] if place + 1 < len(self._tokens) else None
        return (
            following is not None
            and following.kind == "word"
            and following.text[0].isupper()
            and following.text != "I"
        )


def _is_headline(tokens: list[Token]) -> bool:
    longer = [token.text for token in tokens if token.kind == "word" and len(token.text) > 3]
    return len(longer) > 2 and sum(word[0].isupper() for word in longer) >= _HEADLINE * len(longer)
