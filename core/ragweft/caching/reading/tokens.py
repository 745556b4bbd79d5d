"""A question cut into tokens, and the language it is most likely in."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from functools import cache
from typing import NamedTuple

from ragweft.lexical.stopwords import stop_words

__all__ = ["Token", "language_of", "normal", "tokens_of"]

_LANGUAGES = (
    "danish dutch english finnish french german hungarian italian norwegian polish portuguese romanian spanish "
    "swedish turkish"
)
_JUDGED_WORDS = 200
"""Of a text, to tell its language."""

_HAN = "\u3005-\u3007\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
_KANA = "\u3041-\u3096\u30a1-\u30fa\u30fc-\u30fe"
_EAST_ASIAN = re.compile(f"[{_HAN}{_KANA}]+")
_LETTERS = re.compile(
    f"(?P<han>[{_HAN}]+)|(?P<kana>[{_KANA}]+)|(?P<korean>[\uac00-\ud7a3]+)|(?P<latin>[A-Za-z\u00c0-\u024f]+)"
    "|(?P<cyrillic>[\u0400-\u052f]+)|(?P<greek>[\u0370-\u03ff]+)|(?P<arabic>[\u0600-\u06ff]+)"
    "|(?P<hebrew>[\u0590-\u05ff]+)|(?P<devanagari>[\u0900-\u097f]+)|(?P<thai>[\u0e01-\u0e4e]+)"
)
_TELLING = {"ñ": "spanish", "¿": "spanish", "¡": "spanish", "ß": "german", "ã": "portuguese", "õ": "portuguese"}

_PLAIN = str.maketrans({"’": "'", "‘": "'", "\u02bc": "'", "‐": "-", "‑": "-", "\u00ad": "", "\u200b": ""})
_TEX_QUOTES = re.compile(r"``\s?([^`\n]{1,200}?)\s?''")
_TOKEN = re.compile(
    r"""
    (?P<code>`[^`\n]{1,200}`)
    |(?P<link>(?:https?://|www\.)[^\s<>"'`]+)
    |(?P<path>(?<![\w./\\])(?:[A-Za-z]:|~|\.{1,2})?[/\\][\w.@+-]+(?:[/\\][\w.@+-]+)*)
    |(?P<flag>(?<![\w-])(?:--[A-Za-z][\w-]+|-[A-Za-z](?![\w-])))
    |(?P<date>(?<![\d.-])(?:\d{4}[-/.]\d{1,2}[-/.]\d{1,2}|\d{1,2}[./]\d{1,2}[./]\d{4})(?!\d))
    |(?P<time>\b\d{1,2}:\d{2}\b)
    |(?P<number>\d+(?:[.,]\d+)*)
    |(?P<word>[cC]\+\+|[cCfF]\#|[^\W\d]\w*(?:(?:\.|::|')\w+)*(?:-\d[\w.]*\w|-\d)?)
    |(?P<sign>[$€£¥₹₩₽₿¢%°])
    |(?P<stop>[.?!;:…。？！；：]+|\n|--+|[–—])
    |(?P<comma>[,、，・/&+])
    |(?P<bracket>[(){}\[\]])
    |(?P<quote>["“”„«»「」『』])
    """,
    re.VERBOSE,
)


class Token(NamedTuple):
    """A piece of a text: `kind` is the name of its pattern, or "asian" for a run of Han and kana."""

    kind: str
    text: str
    start: int
    end: int


def normal(text: str) -> str:
    """*text* with one spelling for what Unicode spells in several ways."""
    if text.isascii() and "``" not in text:
        return text
    text = unicodedata.normalize("NFKC", text).translate(_PLAIN)
    return _TEX_QUOTES.sub(r"“\1”", text)


def tokens_of(text: str) -> list[Token]:
    """The tokens of a text that `normal` has seen, in order; what asks nothing is left out."""
    if text.isascii():
        return _tokens(text, 0)
    found: list[Token] = []
    last = 0
    for run in _EAST_ASIAN.finditer(text):
        found += _tokens(text[last : run.start()], last)
        found.append(Token("asian", run.group(), *run.span()))
        last = run.end()
    return found + _tokens(text[last:], last)


def _tokens(text: str, offset: int) -> list[Token]:
    return [
        Token(str(match.lastgroup), match.group(), match.start() + offset, match.end() + offset)
        for match in _TOKEN.finditer(text)
    ]


def language_of(text: str, spelled: list[str]) -> tuple[str, bool]:
    """The language of *text*, "" for none, and whether that is sure; *spelled* are its words in lower case.

    A script that only few languages use stands for them ("cyrillic"). Languages in Latin letters are told by
    their stop words.
    """
    counts: Counter[str] = Counter()
    for run in _LETTERS.finditer(text, 0, 4000):
        counts[str(run.lastgroup)] += len(run.group())
    if not counts:
        return "", False
    counts["latin"] -= 2 * (
        counts["han"] + counts["kana"] + counts["korean"]
    )  # a letter there is a syllable or a word
    if counts["kana"] and counts["kana"] + counts["han"] > counts["latin"]:
        return "japanese", True
    script, letters = counts.most_common(1)[0]
    if script == "han":
        return "chinese", letters > 1
    if script != "latin":
        return script, letters > 1
    scores: Counter[str] = Counter()
    telling = _stop_word_languages()
    for word in spelled[:_JUDGED_WORDS]:
        for language in telling.get(word, ()):
            scores[language] += 1
    for char, language in _TELLING.items():
        if char in text:
            scores[language] += 1
    if not scores:
        return "", False
    (best, most), (_, second) = [*scores.most_common(2), ("", 0)][:2]
    if scores["english"] == most:
        best = "english"
    return best, most >= 2 and most > second + (most > 5)


@cache
def _stop_word_languages() -> dict[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {}
    for language in _LANGUAGES.split():
        for word in stop_words(language):
            if len(word) > 1 or language == "english":
                found[word] = (*found.get(word, ()), language)
    return found
