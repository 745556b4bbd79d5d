"""Where prose, code and tables may be cut, from the coarsest place to the finest.

A separator is given a text and a range and yields the positions strictly inside the range at which a new piece
may begin, rising. Every one of them works in time linear in the range, whatever the text holds.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from heapq import merge
from itertools import islice
from typing import TypeAlias

Separator: TypeAlias = Callable[[str, int, int], Iterator[int]]

_BLANK_LINES = re.compile(r"\n(?:[^\S\n]*+\n)++")
_BLANK_LINES_ANY = re.compile(r"(?>\r\n|\r|\n)(?:[^\S\r\n]*+(?>\r\n|\r|\n))++")
_NEWLINE = re.compile(r"\n")
_NEWLINE_ANY = re.compile(r"\r\n|\r|\n")
_LINE_HEAD = re.compile(r"[\r\n][^\S\r\n]*+([^\s])")

_WESTERN = ".!?…‼‽⁇⁈⁉⸮⸼⹓⹔"
# Unicode's Sentence_Terminal (PropList 16.0) but for the western ones, those of extinct scripts and the stops
# that also stand in numbers; and the Tibetan shad, which ends what other scripts end with a full stop.
_FULL_STOPS = "։؝-؟۔܀-܂߹࠷࠹࠽࠾।॥།༎၊။።፧፨᙮᜵᜶។៕᠃᠉᥄᥅᪨-᪫᭚᭛᭞᭟᰻᰼᱾᱿。꓿꘎꘏꛳꛷꡶꡷꣎꣏꤯꧈꧉꩝-꩟꫰꫱꯫︒︕︖﹒﹖﹗！？｡"
# One set of characters first, which Python's engine looks for fastest; what it means is seen afterwards.
_SENTENCE_END = re.compile(rf"""[{_WESTERN}{_FULL_STOPS}]++["'”’»›)\]*_`」』】〉》）］｝]*+\s*+""")
_SENTENCE_END_ASCII = re.compile(r"""[.!?]++["')\]*_`]*+\s++""")
# Thai and Lao have no full stop: a space parts sentences and clauses, and nothing parts words.
_UNSTOPPED = re.compile("[\u0e01-\u0e5b\u0e81-\u0edf]")
_UNSTOPPED_GAP = re.compile(rf"[^\S\r\n](?<={_UNSTOPPED.pattern}.)[^\S\r\n]*+(?={_UNSTOPPED.pattern})")

_SHORTENED = """
    mr mrs ms mx dr prof st mt jr sr vs etc cf viz al approx dept est inc ltd co corp gen col lt sgt capt rep
    sen gov rev hon messrs mme mlle ch sec ed eds fig figs eq eqs vol
    e.g i.e a.m p.m u.s u.k u.n e.u ph.d bzw z.b d.h u.a o.ä ca usw evtl ggf vgl bspw p.ex
"""
_ABBREVIATIONS = frozenset(_SHORTENED.split())
# Words of their own or ends of sentences elsewhere, abbreviations before a number.
_BEFORE_NUMBERS = """
    no nos nr n° p pp s art abs para tab ref refs v vol jan feb mar apr jun jul aug sep oct nov dec
"""
_NUMBERED = frozenset(_BEFORE_NUMBERS.split())
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
    """Begins of sentences, for scripts with a full stop of their own too; a few wrong ones do no harm.

    The rules are those of Unicode (UAX #29) as far as they pay, with abbreviations, which they leave out. No
    library is asked. Those with ICU inside weigh 42 MB. sentencex 1.0.32 wants to know the language and loses
    its way at the first quotation mark that is never closed: in a megabyte that holds 6,500 sentences it found
    1,269.
    """
    found = _stopped(text, start, end)
    if not text.isascii() and _UNSTOPPED.search(text, start, end):
        return merge(found, (gap.end() for gap in _UNSTOPPED_GAP.finditer(text, start, end)))
    return found


def _stopped(text: str, start: int, end: int) -> Iterator[int]:
    """Begins of sentences after a full stop.

    A western one ends a sentence only before white space; those of scripts that put no space after one, or that
    cannot stand inside a word, need none.
    """
    pattern = _SENTENCE_END_ASCII if text.isascii() else _SENTENCE_END
    for found in pattern.finditer(text, start, end):
        at, stop = found.end(), found.start()
        if at >= end:
            return
        if text[stop] in _WESTERN and not (
            text[at - 1].isspace() and not text[at].islower() and not _is_abbreviated(text, stop, at, start)
        ):
            continue
        yield at


def sentences_or_lines(text: str, start: int, end: int) -> Iterator[int]:
    """Sentences where lines are wrapped at will, lines where the author meant them (logs, lists, verse)."""
    return sentences(text, start, end) if _is_wrapped(text, start, end) else lines(text, start, end)


def sentences_and_lines(text: str, start: int, end: int) -> Iterator[int]:
    """Begins of sentences; blank lines end one too, and so does the end of a line the author meant."""
    meant = paragraphs if _is_wrapped(text, start, end) else lines
    previous = start
    for at in merge(sentences(text, start, end), meant(text, start, end)):
        if text[previous:at].strip():
            yield at
            previous = at


def _is_wrapped(text: str, start: int, end: int) -> bool:
    """Whether line ends mean nothing: then many lines begin with a small letter, inside a sentence."""
    heads: list[str] = [found[1] for found in islice(_LINE_HEAD.finditer(text, start, end), _LINES_SAMPLED)]
    small = sum(head.islower() for head in heads)
    return 5 * small >= len(heads)


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


def _is_abbreviated(text: str, dot: int, at: int, start: int) -> bool:
    """Whether the full stop at *dot*, text going on *at*, is one of an abbreviation, initial or list number."""
    if text[dot] != ".":
        return False
    begin = dot
    while begin > start and dot - begin <= _LONGEST_ABBREVIATION and not text[begin - 1].isspace():
        begin -= 1
    word = text[begin:dot].lstrip("([{\"'“‘«*_")
    if word.isdigit():
        return begin == start or text[begin - 1] in "\r\n"
    if len(word) == 1 and word.isupper():
        return True
    word = word.lower()
    return word in _ABBREVIATIONS or (text[at].isdigit() and word in _NUMBERED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ladder:
    """How text without inner blocks is divided: each rung only where the one before left too much."""

    rungs: tuple[Separator, ...]
    repeat: Separator
    """The whole units an overlap is made of."""
    coarse: bool = False
    """Not so where the cut is between coarser ones, paragraphs say: then it is made of whole ones of these."""


PROSE = Ladder(rungs=(paragraphs, sentences_or_lines, sentences, lines), repeat=sentences_or_lines, coarse=True)
CODE = Ladder(rungs=(paragraphs, lines), repeat=lines)
SENTENCES = Ladder(rungs=(sentences_and_lines, sentences_or_lines, lines), repeat=sentences_and_lines)
"""Whole sentences, whatever they stand in."""
ROWS = Ladder(rungs=(rows, lines), repeat=rows)
PLAIN = Ladder(rungs=(paragraphs, lines, sentences), repeat=sentences, coarse=True)
"""The same for every format: what recursive splitters of the field do."""
