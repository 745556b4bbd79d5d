"""The lines of a PDF's pages to Markdown: paragraphs, headings, words broken at line ends, running headers.

A PDF says where glyphs stand, not what they are. What is read off here is what survives everywhere: distances
between lines, and sizes of letters against those of most of the text. Columns and tables come as the file has
them.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median
from typing import TYPE_CHECKING, TypeAlias

from ragweft.loading.markdown import escaped, on_one_line

if TYPE_CHECKING:
    from ragweft.loading.converters.writing import Writer

__all__ = ["BREAK", "Bookmark", "Line", "write_pages"]

BREAK = "\ufffe"
"""Stands in a line where a hyphen and the end of a line were."""

_LARGER = 1.12
"""A heading's letters against those of most of the text. Small capitals and larger code fonts stay below."""
_LONGEST_HEADING = 200
_MOST_HEADINGS = 0.25
"""Where more of the text is large than this, size means nothing."""
_LEVELS = 4
_GAP = 1.35
"""A blank line is where the distance to the next line is this much above the usual one."""
_REPEATED = 3
_TITLE_PAGES = 2
_WORD = re.compile(r"[^\W\d_]+")
_LEADERS = re.compile(r"[ \u00a0]*(?:(?:\.[ \u00a0]?){4,}|…{2,})[ \u00a0]*")
"""Dots that lead to a page number: a line of a table of contents."""
_FEWEST_ENTRIES = 3
_PARTS = re.compile(rf"(\w*){BREAK}(\w*)")
_HYPHENATED = re.compile(r"\w+(?:-\w+)+")
_NUMBER = re.compile(r"\d{1,6}|\b(?=[ivxlc])(?:c{0,3})(?:xc|xl|l?x{0,3})(?:ix|iv|v?i{0,3})\b")
_ROMAN = {"i": 1, "v": 5, "x": 10, "l": 50, "c": 100}


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One line of a page."""

    text: str
    size: float
    """Of its letters, in points; 0 if not known."""
    top: float
    """The base line of its beginning above the lower edge of the page, in points."""
    bottom: float
    """That of its end: lower where it was put together from several."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bookmark:
    """An entry of the file's own outline."""

    title: str
    page: int
    """Counted from 0."""
    depth: int
    """From 0."""


_Mark: TypeAlias = tuple[int, int]
"""What a line is: level of its heading, 0 for text, and the number of the outline's entry it belongs to."""


def write_pages(
    pages: Sequence[Sequence[Line]], writer: Writer, outline: Sequence[Bookmark] = ()
) -> str | None:
    """Append all pages, each a place; the title is what the largest letters of the first ones say."""
    marks, title = _headings(pages, outline)
    usual = _usual_distance(pages)
    words, hyphenated = _vocabulary(pages)
    running = _running(pages)
    for number, lines in enumerate(pages, 1):
        kept = [
            (line, marks[number - 1][place])
            for place, line in enumerate(lines)
            if (number, place) not in running or marks[number - 1][place][0]
        ]
        label = "p."
        for level, block in _blocks(kept, usual):
            text = "\n".join(_rejoined(line.text, words, hyphenated) for line in block)
            text = f"{'#' * level} {on_one_line(text)}" if level else escaped(text)
            writer.add(text, label=label, number=number)
            label = "" if text.strip() else label
    return title


def _headings(
    pages: Sequence[Sequence[Line]], outline: Sequence[Bookmark]
) -> tuple[list[list[_Mark]], str | None]:
    """What each line is, by the outline if most of it is found in the text, else by the size of letters."""
    by_size = _by_size(pages)
    title = _title(pages, by_size)
    by_outline, found = _by_outline(pages, outline)
    sized = sum(level > 0 for marks in by_size for level, _ in marks)
    if found >= max(_FEWEST_ENTRIES, len(outline) / 2, sized / 2):
        return by_outline, title
    return by_size, title


def _title(pages: Sequence[Sequence[Line]], marks: Sequence[Sequence[_Mark]]) -> str | None:
    for lines, kinds in zip(pages[:_TITLE_PAGES], marks, strict=False):
        said = [line.text for line, (level, _) in zip(lines, kinds, strict=True) if level == 1]
        if said:
            return on_one_line(" ".join(said).replace(BREAK, ""))
    return None


def _by_outline(pages: Sequence[Sequence[Line]], outline: Sequence[Bookmark]) -> tuple[list[list[_Mark]], int]:
    """Lines that say what the outline says, on the page it names, and how many of its entries have one."""
    marks: list[list[_Mark]] = [[(0, 0)] * len(lines) for lines in pages]
    letters = [[_letters(line.text) for line in lines] for lines in pages]
    entries = 0
    for number, entry in enumerate(outline, 1):
        wanted = _letters(entry.title)
        if not wanted or not 0 <= entry.page < len(pages):
            continue
        said = letters[entry.page]
        for place, text in enumerate(said):
            if not text or marks[entry.page][place][0] or not wanted.startswith(text):
                continue
            end = place + 1
            while end < len(said) and len(text) < len(wanted):
                text += said[end]
                end += 1
            if text == wanted:
                marks[entry.page][place:end] = [(min(entry.depth, 5) + 1, number)] * (end - place)
                entries += 1
                break
    return marks, entries


def _letters(text: str) -> str:
    """What a line says, without spaces, marks and the number it may begin with."""
    said = "".join(filter(str.isalnum, text.lower()))
    return said.lstrip("0123456789") or said


def _by_size(pages: Sequence[Sequence[Line]]) -> list[list[_Mark]]:
    levels = _levels(pages)

    def mark(line: Line) -> _Mark:
        level = levels.get(_rounded(line.size), 0)
        is_heading = (
            level
            and len(line.text) <= _LONGEST_HEADING
            and _WORD.search(line.text)
            and not _LEADERS.search(line.text)
        )
        return (level, 0) if is_heading else (0, 0)

    return [[mark(line) for line in lines] for lines in pages]


def _rounded(size: float) -> float:
    return round(size * 2) / 2


def _levels(pages: Sequence[Sequence[Line]]) -> dict[float, int]:
    """Sizes of letters, in half points, to levels of headings from 1."""
    letters: Counter[float] = Counter()
    for lines in pages:
        for line in lines:
            letters[_rounded(line.size)] += sum(map(len, _WORD.findall(line.text)))
    letters.pop(0.0, None)
    if not letters:
        return {}
    body = max(letters, key=lambda size: (letters[size], -size))
    large = sorted((size for size in letters if letters[size] and size >= body * _LARGER), reverse=True)
    if sum(letters[size] for size in large) > _MOST_HEADINGS * letters.total():
        return {}
    return {size: min(rank, _LEVELS) for rank, size in enumerate(large, 1)}


def _usual_distance(pages: Sequence[Sequence[Line]]) -> float:
    """Of one line to the next within a paragraph, in sizes of its letters."""
    found = [
        (above.bottom - below.top) / above.size
        for lines in pages
        for above, below in pairwise(lines)
        if above.size > 0 and _rounded(above.size) == _rounded(below.size)
    ]
    return median([distance for distance in found if 0.8 < distance < 3.0] or [1.2])


def _blocks(lines: Sequence[tuple[Line, _Mark]], usual: float) -> Iterator[tuple[int, list[Line]]]:
    """Paragraphs and headings, of one or more lines, with the level of the heading."""
    block: list[Line] = []
    before: _Mark = (0, 0)
    for line, mark in lines:
        if block:
            above = block[-1]
            down = above.bottom - line.top
            size = max(above.size, line.size)
            apart = size > 0 and (down > usual * size * _GAP or down < -2 * size)
            if mark != before or (apart and not mark[1]):
                yield before[0], block
                block = []
        block.append(line)
        before = mark
    if block:
        yield before[0], block


def _vocabulary(pages: Sequence[Sequence[Line]]) -> tuple[frozenset[str], frozenset[str]]:
    """The words that stand whole somewhere, and those with a hyphen in them, in small letters."""
    words: set[str] = set()
    hyphenated: set[str] = set()
    for lines in pages:
        for line in lines:
            text = line.text.lower()
            words.update(word for piece in text.split(BREAK) for word in _WORD.findall(piece))
            for compound in _HYPHENATED.findall(text):
                hyphenated.update("-".join(pair) for pair in pairwise(compound.split("-")))
    return frozenset(words), frozenset(hyphenated)


def _rejoined(text: str, words: frozenset[str], hyphenated: frozenset[str]) -> str:
    """*text* without leaders, and with words put together again that were broken at the end of a line.

    The document's other words decide whether the hyphen belongs to the word. If they say nothing, it does not,
    unless a part is no word of small letters.
    """

    def join(found: re.Match[str]) -> str:
        left, right = found[1], found[2]
        whole, compound = f"{left}{right}", f"{left}-{right}"
        if compound.lower() in hyphenated:
            return compound
        if whole.lower() in words:
            return whole
        plain = left[-1:].isalpha() and left[-1:].islower() and right[:1].isalpha() and right[:1].islower()
        return whole if plain else compound

    return _LEADERS.sub(" … ", _PARTS.sub(join, text) if BREAK in text else text)


def _running(pages: Sequence[Sequence[Line]]) -> set[tuple[int, int]]:
    """Page number and place on it of first and last lines that come again and again.

    They say the same, but for a number that counts the pages. The first of them stays, unless it is that number
    alone: nothing that is said is lost, and "Total: 120" under another total is no running line.
    """
    found: set[tuple[int, int]] = set()
    for edge in (0, -1):
        alike: dict[tuple[str, int], list[tuple[int, int]]] = {}
        for number, lines in enumerate(pages, 1):
            if lines:
                for key in _skeletons(on_one_line(lines[edge].text).lower(), number):
                    alike.setdefault(key, []).append((number, range(len(lines))[edge]))
        for (said, _), places in alike.items():
            if len(places) >= _REPEATED:
                found.update(places[1:] if any(map(str.isalnum, said)) else places)
    return found


def _skeletons(text: str, page: int) -> Iterator[tuple[str, int]]:
    """*text*, and for each number in it the rest with how far the number is from that of the page."""
    yield text, 0
    for found in filter(lambda each: each[0], _NUMBER.finditer(text)):
        yield f"{text[: found.start()]}\0{text[found.end() :]}", _value(found[0]) - page


def _value(number: str) -> int:
    if number.isdecimal():
        return int(number)
    values = [_ROMAN[letter] for letter in number]
    return sum(
        -value if value < after else value for value, after in zip(values, [*values[1:], 0], strict=True)
    )
