"""Text to the terms a lexical index counts.

A word becomes its Snowball stem. An identifier (camelCase, snake_case, kebab-case) becomes its parts and,
joined, itself: `parseLine`, `parse_line` and `parse-line` share one term besides their parts, so each finds the
others first, and "GitHub" finds "github". Scripts written without spaces become overlapping pairs of letters.
"""

from __future__ import annotations

import re
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import pairwise
from typing import Any

from ragweft.errors import RecipeError
from ragweft.lexical.scripts import fold, is_han, letters, lower, parts, raw_words, runs, script_of
from ragweft.lexical.stopwords import stop_words

LONGEST_TERM = 64
"""Characters. A longer word, such as a base64 run, is known by its parts only, and those are cut to this."""

_VERSION = 1
_REMEMBERED_WORDS = 100_000

# Snowball's name of the language that stands for each script when the analyzer's own language is written in
# another; Latin words in such a corpus are mostly English.
_LANGUAGE_OF_SCRIPT = {
    "arabic": "arabic",
    "armenian": "armenian",
    "cyrillic": "russian",
    "devanagari": "hindi",
    "greek": "greek",
    "latin": "english",
    "tamil": "tamil",
}
_SCRIPTS_OF_LANGUAGE = {
    "arabic": ("arabic",),
    "armenian": ("armenian",),
    "greek": ("greek",),
    "hindi": ("devanagari",),
    "nepali": ("devanagari",),
    "persian": ("arabic",),
    "russian": ("cyrillic",),
    "serbian": ("cyrillic", "latin"),
    "tamil": ("tamil",),
    "yiddish": ("hebrew",),
}
_NUMBER_WITH_DOTS = re.compile(r"([0-9]+(?:\.[0-9]+)+)")
_DIGIT = re.compile(r"\d")


class _Memo(dict[str, str]):
    """Word to its terms, joined by spaces; filled on demand and emptied when it has grown too large.

    Reading and writing single entries of a dict is atomic, so threads share it without a lock; at worst two of
    them compute the same entry.
    """

    __slots__ = ("_compute",)

    def __init__(self, compute: Callable[[str], str]) -> None:
        super().__init__()
        self._compute = compute

    def __missing__(self, word: str) -> str:
        terms = self._compute(word)
        if len(word) <= LONGEST_TERM:
            if len(self) >= _REMEMBERED_WORDS:
                self.clear()
            self[word] = terms
        return terms


class Analyzer:
    """Terms of documents and queries; safe to share between threads.

    *language* is a Snowball algorithm's name ("english", "german", …) and decides stems and stop words of the
    script that language is written in; text in another script is treated as that script's main language.
    "none" neither stems nor drops stop words.

    Raises:
        RecipeError: no stemmer is known by that name.
    """

    def __init__(self, *, language: str = "english") -> None:
        available = set(_snowball().algorithms())
        if language != "none" and language not in available:
            names = ", ".join(sorted(available))
            raise RecipeError(f"no stemmer for language {language!r}: choose one of none, {names}")
        self._language = language
        self._language_of_script: dict[str, str] = {}
        if language != "none":
            own = dict.fromkeys(_SCRIPTS_OF_LANGUAGE.get(language, ("latin",)), language)
            spoken = _LANGUAGE_OF_SCRIPT | own
            self._language_of_script = {script: name for script, name in spoken.items() if name in available}
        self._threads = threading.local()
        self._memo = _Memo(lambda word: " ".join(self._analyse(word, query=False)))

    @property
    def fingerprint(self) -> str:
        """Names everything that decides the terms: an index made under another fingerprint is rebuilt.

        The release of PyStemmer is left out on purpose: two environments that share an index would each rebuild
        what the other has built, for the sake of a handful of stems.
        """
        return f"words-{_VERSION}/{self._language}"

    def terms(self, text: str) -> list[str]:
        """The terms of a document, stop words left out, in no particular order.

        A term holds no white space and at most `LONGEST_TERM` characters.
        """
        return " ".join(map(self._memo.__getitem__, raw_words(text))).split()

    def query_terms(self, text: str) -> dict[str, int]:
        """The terms of a query and how often each stands in it, in order of appearance.

        Empty when *text* holds nothing but stop words and punctuation.
        """
        words = raw_words(text)
        if text.isupper():
            # Capitals set an acronym apart from a stop word ("WHO", "IT") only where not all is in capitals.
            found = self._count(word.lower() for word in words)
            if found:
                return found
        return self._count(words)

    def _count(self, words: Iterable[str]) -> dict[str, int]:
        return dict(Counter(term for word in words for term in self._analyse(word, query=True)))

    def _analyse(self, word: str, *, query: bool) -> Iterator[str]:
        if word.endswith(("+", "#")):
            yield word.lower()
            return
        pieces = word.split("-")
        for piece in pieces:
            for position, run in enumerate(_NUMBER_WITH_DOTS.split(piece)):
                if position % 2:
                    yield from (number[:LONGEST_TERM] for number in (run, *run.split(".")))
                elif run.isascii():
                    yield from self._identifier(run, alone=run == word)
                else:
                    yield from self._any_script(run, alone=run == word, query=query)
        if len(pieces) > 1:
            yield from self._whole(pieces)

    def _any_script(self, word: str, *, alone: bool, query: bool) -> Iterator[str]:
        for kind, run in runs(word):
            if kind == "word":
                yield from self._identifier(run, alone=alone)
                continue
            units = letters(run)
            if kind == "hangul" or len(units) == 1:
                yield run[:LONGEST_TERM]
            if kind != "hangul" or len(units) > 2:
                yield from (f"{first}{second}"[:LONGEST_TERM] for first, second in pairwise(units))
            if len(units) > 1 and not query:
                # A query of one character must find it inside a longer run; a longer query needs pairs only.
                yield from filter(is_han, units)

    def _identifier(self, word: str, *, alone: bool) -> Iterator[str]:
        names = parts(word)
        acronym = alone and len(names) == 1 and len(word) > 1 and word.isupper()
        for name in names:
            spelled = lower(name)[:LONGEST_TERM]
            if spelled and (acronym or not self._is_stop_word(spelled)):
                yield self._term(spelled)
        if len(names) > 1:
            yield from self._whole(names)

    def _whole(self, names: Sequence[str]) -> Iterator[str]:
        if sum(map(len, names)) <= LONGEST_TERM:
            spelled = lower("".join(names).replace("_", ""))
            if spelled and not spelled.isdecimal():
                yield self._term(spelled)

    def _is_stop_word(self, spelled: str) -> bool:
        language = self._language_of_script.get(script_of(spelled))
        return language is not None and spelled in stop_words(language)

    def _term(self, spelled: str) -> str:
        script = script_of(spelled)
        language = self._language_of_script.get(script)
        if script == "latin" and language in {None, "english"}:
            # English words take their accents from elsewhere and are as often written without: "resume".
            spelled = fold(spelled)
        if language is not None and not _DIGIT.search(spelled):
            spelled = self._stem(spelled, language)
        if script == "latin":
            spelled = fold(spelled)
        return spelled[:LONGEST_TERM]

    def _stem(self, word: str, language: str) -> str:
        # A Snowball stemmer has state: one per thread, which is also safe in a forked child, unlike a lock.
        stemmers: dict[str, Callable[[str], str]] = self._threads.__dict__
        stem = stemmers.get(language)
        if stem is None:
            stem = stemmers[language] = _snowball().Stemmer(language, 0).stemWord
        return stem(word) or word


def _snowball() -> Any:
    import Stemmer  # type: ignore[import-not-found]  # compiled, without type stubs

    return Stemmer
