"""Where a query's words stand in a text, found as the index finds them."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING

from ragweft.excerpts import Mark
from ragweft.lexical.scripts import parts, raw_words, runs

if TYPE_CHECKING:
    from ragweft.lexical.analyzer import Analyzer

__all__ = ["WordFinder"]

_TOKEN = re.compile(r"\S+")


class WordFinder:
    """Finds a query's words in text the way the lexical leg does: by stem, and inside identifiers."""

    def __init__(self, query: str, analyzer: Analyzer) -> None:
        self._analyzer = analyzer
        self._wanted = frozenset(analyzer.query_terms(query))
        self._known: dict[str, frozenset[str]] = {}

    def find(self, text: str) -> tuple[Mark, ...]:
        """The matching words of *text*, or the matching parts of an identifier, in order."""
        return tuple(self._find(text)) if self._wanted else ()

    def _find(self, text: str) -> Iterator[Mark]:
        for token in _TOKEN.finditer(text):
            found: list[Mark] = []
            cursor = token.start()
            for word in raw_words(token.group()):
                start = text.find(word, cursor, token.end())
                if start < 0:  # normalised to another spelling, such as a ligature's: mark all of it
                    terms = self._wanted.intersection(self._analyzer.terms(token.group()))
                    found = [Mark(start=token.start(), end=token.end(), terms=terms)] if terms else []
                    break
                cursor = start + len(word)
                found += self._within(word, start)
            yield from found

    def _shared(self, word: str) -> frozenset[str]:
        if word not in self._known:
            self._known[word] = self._wanted.intersection(self._analyzer.terms(word))
        return self._known[word]

    def _within(self, word: str, offset: int) -> Iterator[Mark]:
        terms = self._shared(word)
        if not terms:
            return
        pieces = list(_pieces(word, terms))
        matching = [(start, end, self._shared(word[start:end])) for start, end in pieces]
        found = [(start, end, shared) for start, end, shared in matching if shared]
        if not found or len(found) == len(pieces):
            yield Mark(start=offset, end=offset + len(word), terms=terms)
            return
        for start, end, shared in found:
            yield Mark(start=offset + start, end=offset + end, terms=shared)


def _pieces(word: str, terms: Collection[str]) -> Iterator[tuple[int, int]]:
    """Where the parts of an identifier stand in it; of a script without spaces, the matching *terms*."""
    offset = 0
    for kind, run in runs(word):
        if kind == "word":
            cursor = 0
            for part in parts(run):
                start = run.find(part, cursor)
                cursor = start + len(part)
                yield offset + start, offset + cursor
        else:
            yield from _occurrences(run, terms, offset)
        offset += len(run)


def _occurrences(run: str, terms: Collection[str], offset: int) -> Iterator[tuple[int, int]]:
    covered = [False] * (len(run) + 1)
    for term in terms:
        start = run.find(term)
        while start >= 0:
            covered[start : start + len(term)] = [True] * len(term)
            start = run.find(term, start + 1)
    start = 0
    for place in range(1, len(run) + 1):
        if covered[place] != covered[start] or place == len(run):
            yield offset + start, offset + place
            start = place
