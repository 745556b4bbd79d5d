"""Where prose, code and tables may be cut, from the coarsest place to the finest.

A separator is given a text and a range and yields the positions strictly inside the range at which a new piece
may begin, rising. Every one of them works in time linear in the range, whatever the text holds.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import TypeAlias

Separator: TypeAlias = Callable[[str, int, int], Iterator[int]]

_BLANK_LINES = re.compile(r"\n(?:[^\S\n]*+\n)++")
_BLANK_LINES_ANY = re.compile(r"(?>\r\n|\r|\n)(?:[^\S\r\n]*+(?>\r\n|\r|\n))++")
_NEWLINE = re.compile(r"\n")
_NEWLINE_ANY = re.compile(r"\r\n|\r|\n")
_LINE_HEAD = re.compile(r"[\r\n][^\S\r\n]*+([^\s])")

# A western full stop ends a sentence only before white space; the full stops of scripts that do not put a space
# after one, and those that cannot stand inside a word, need none. The look-behind makes a long run of dots be
# looked at once instead of once per dot.
_SENTENCE_END = re.compile(
    r"""(?<![.!?…])(?P<western>[.!?…]++["'”’»)\]*_`]*+\s++)"""
    r"""|[。！？｡؟۔।॥።፧։។၊။]++["'”’»)\]」』】〉》）]*+\s*+"""
)
_SHORTENED = """
    mr mrs ms dr prof st jr sr vs etc cf fig figs eq no nos vol pp ch sec al approx dept est inc ltd co corp
    e.g i.e a.m p.m u.s u.k bzw z.b d.h ca usw evtl ggf nr bspw p.ex
"""
_ABBREVIATIONS = frozenset(_SHORTENED.split())
_LONGEST_ABBREVIATION = 7
_LINES_SAMPLED = 200


def paragraphs(text: str, start: int, end: int) -> Iterator[int]:
    """Begins of the lines that follow one or more blank lines."""
    pattern = _BLANK_LINES if text.find("\r", start, end) < 0 else _BLANK_LINES_ANY
    for found in pattern.finditer(text, start, end):
        if found.end() < end:
            yield found.end()


def lines(text: str, start: int, end: int) -> Iterator[int]:
    r"""Begins of lines; a line ends with ``\n``, ``\r\n`` or a lone ``\r``."""
    pattern = _NEWLINE if text.find("\r", start, end) < 0 else _NEWLINE_ANY
    for found in pattern.finditer(text, start, end):
        if found.end() < end:
            yield found.end()


def sentences(text: str, start: int, end: int) -> Iterator[int]:
    """Begins of sentences, for scripts with a full stop of their own too; a few wrong ones do no harm."""
    for found in _SENTENCE_END.finditer(text, start, end):
        at = found.end()
        if at >= end:
            return
        if found["western"] and (text[at].islower() or _is_abbreviated(text, found.start(), start)):
            continue
        yield at


def sentences_or_lines(text: str, start: int, end: int) -> Iterator[int]:
    """Sentences where lines are wrapped at will, lines where the author meant them (logs, lists, verse).

    Wrapped prose shows by its lines: many begin with a small letter, because they begin inside a sentence.
    """
    heads = [found[1] for found in islice(_LINE_HEAD.finditer(text, start, end), _LINES_SAMPLED)]
    wrapped = 5 * sum(head.islower() for head in heads) >= len(heads)
    return sentences(text, start, end) if wrapped else lines(text, start, end)


def rows(text: str, start: int, end: int) -> Iterator[int]:
    """Begins of the rows of comma or tab separated values: a line break inside quotation marks is no row's end.

    Where the quotation marks do not pair up they are taken for plain characters (inches, for one).
    """
    quoted, paired, previous = False, text.count('"', start, end) % 2 == 0, start
    for at in lines(text, start, end):
        quoted ^= paired and text.count('"', previous, at) % 2 == 1
        previous = at
        if not quoted:
            yield at


def _is_abbreviated(text: str, dot: int, start: int) -> bool:
    """Whether the full stop at *dot* belongs to an abbreviation, an initial or a list number."""
    if text[dot] != ".":
        return False
    begin = dot
    while begin > start and dot - begin <= _LONGEST_ABBREVIATION and not text[begin - 1].isspace():
        begin -= 1
    word = text[begin:dot].lstrip("([{\"'“‘«*_")
    if word.isdigit():
        return begin == start or text[begin - 1] in "\r\n"
    return (len(word) == 1 and word.isupper()) or word.lower() in _ABBREVIATIONS


@dataclass(frozen=True, slots=True, kw_only=True)
class Ladder:
    """How text without inner blocks is divided: each rung only where the one before left too much."""

    rungs: tuple[Separator, ...]
    repeat: Separator
    """The whole units an overlap is made of."""


PROSE = Ladder(rungs=(paragraphs, sentences_or_lines, sentences, lines), repeat=sentences_or_lines)
CODE = Ladder(rungs=(paragraphs, lines), repeat=lines)
ROWS = Ladder(rungs=(rows, lines), repeat=rows)
PLAIN = Ladder(rungs=(paragraphs, lines, sentences), repeat=sentences)
"""The same for every format: what recursive splitters of the field do."""
