"""The lines of a PDF's pages to Markdown: paragraphs, headings, words broken at line ends.

A PDF says where glyphs stand, not what they are. What is read off here is what survives everywhere: distances
between lines, and sizes of letters against those of most of the text. Columns come as the file has them.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from statistics import median
from typing import TYPE_CHECKING, TypeAlias

from ragweft.loading.converters.pdf_running import Running, find_running
from ragweft.loading.converters.pdf_tables import Cell, find_tables
from ragweft.loading.markdown import escaped, on_one_line, table_lines

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
_HEADING_GAP = 1.25
"""The same within headings, which are set tighter than text: another one may follow at once."""
_TITLE_PAGES = 2
_WORD = re.compile(r"[^\W\d_]+")
_LEADERS = re.compile(r"[ \u00a0]*(?:(?:\.[ \u00a0]?){4,}|…{2,})[ \u00a0]*")
"""Dots that lead to a page number: a line of a table of contents."""
_FEWEST_ENTRIES = 3
_PARTS = re.compile(rf"(\w*){BREAK}(\w*)")
_HYPHENATED = re.compile(r"\w+(?:-\w+)+")


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
    left: float = 0.0
    """Where it begins, in points from the left edge of the page."""
    right: float = 0.0
    cells: Sequence[Cell] = ()
    """Its texts, from left to right, if there are wide gaps between them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bookmark:
    """An entry of the file's own outline."""

    title: str
    page: int
    """Counted from 0."""
    depth: int
    """From 0."""


@dataclass(frozen=True, slots=True)
class _Table:
    rows: Sequence[Sequence[str]]


_Mark: TypeAlias = tuple[int, int]
"""What a line is: level of its heading, 0 for text, and the number of the outline's entry it belongs to."""


def write_pages(
    pages: Sequence[Sequence[Line]], writer: Writer, outline: Sequence[Bookmark] = ()
) -> str | None:
    """Append all pages, each a place; the title is what the largest letters of the first ones say.

    What is said in a running line stays once, behind the page where it is said first: before a title it would
    be a passage of its own that says nothing.
    """
    running = find_running(pages)
    marks, title = _headings(pages, outline, running)
    usual = _usual_distance(pages)
    words, hyphenated = _vocabulary(pages)
    for number, (lines, kinds) in enumerate(zip(pages, marks, strict=True), 1):
        kept: list[tuple[Line, _Mark]] = []
        said: list[Line] = []
        for place, (line, mark) in enumerate(zip(lines, kinds, strict=True)):
            if (number, place) not in running.found or mark[0]:
                kept.append((line, mark))
            elif (number, place) in running.first:
                said.append(line)
        label = "p."
        for level, block in _parts(kept, said, usual):
            if isinstance(block, _Table):
                text = "\n".join(table_lines(block.rows))
            else:
                text = "\n".join(_rejoined(line.text, words, hyphenated) for line in block)
                text = f"{'#' * level} {on_one_line(text)}" if level else escaped(text)
            writer.add(text, label=label, number=number)
            label = "" if text.strip() else label
    return title


def _parts(
    lines: Sequence[tuple[Line, _Mark]], said: Sequence[Line], usual: float
) -> Iterator[tuple[int, Sequence[Line] | _Table]]:
    """The blocks and tables of a page, and behind them what is *said* in its margins."""
    done = 0
    # A heading parts what is above it from what is below.
    for start, end, rows in find_tables([replace(line, cells=()) if mark[0] else line for line, mark in lines]):
        yield from _blocks(lines[done:start], usual)
        yield 0, _Table(rows)
        done = end
    yield from _blocks(lines[done:], usual)
    yield 0, said


def _headings(
    pages: Sequence[Sequence[Line]], outline: Sequence[Bookmark], running: Running
) -> tuple[list[list[_Mark]], str | None]:
    """What each line is, by the outline if most of it is found in the text, else by the size of letters."""
    by_size = _by_size(pages, running)
    title = _title(pages, by_size)
    by_outline, found = _by_outline(pages, outline)
    sized = sum(level > 0 for marks in by_size for level, _ in marks)
    if found >= max(_FEWEST_ENTRIES, len(outline) / 2, sized / 2):
        return by_outline, title
    return by_size, title


def _title(pages: Sequence[Sequence[Line]], marks: Sequence[Sequence[_Mark]]) -> str | None:
    """The first heading of the first level: its lines follow one another, as those of a paragraph do."""
    usual = _usual_distance(pages)
    for lines, kinds in zip(pages[:_TITLE_PAGES], marks, strict=False):
        for level, block in _blocks(list(zip(lines, kinds, strict=True)), usual):
            if level == 1:
                return on_one_line(" ".join(line.text for line in block).replace(BREAK, ""))
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


def _by_size(pages: Sequence[Sequence[Line]], running: Running) -> list[list[_Mark]]:
    levels = _levels(
        [line for place, line in enumerate(lines) if (number, place) not in running.everywhere]
        for number, lines in enumerate(pages, 1)
    )

    def mark(line: Line, place: tuple[int, int]) -> _Mark:
        level = levels.get(_rounded(line.size), 0)
        is_heading = (
            level
            and place not in running.everywhere
            and len(line.text) <= _LONGEST_HEADING
            and _WORD.search(line.text)
            and not _LEADERS.search(line.text)
        )
        return (level, 0) if is_heading else (0, 0)

    return [
        [mark(line, (number, place)) for place, line in enumerate(lines)]
        for number, lines in enumerate(pages, 1)
    ]


def _rounded(size: float) -> float:
    return round(size * 2) / 2


def _levels(pages: Iterable[Sequence[Line]]) -> dict[float, int]:
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
            gap = _HEADING_GAP if mark[0] else _GAP
            apart = size > 0 and (down > usual * size * gap or down < -2 * size)
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
