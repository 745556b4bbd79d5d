"""Which stretch of a text to show where there is no room for all of it."""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

__all__ = ["Mark", "excerpt"]

_APART = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
"""Letters of scripts that put no spaces between words: a cut may stand before each of them."""
_WORD = re.compile(rf"[{_APART}]|[^\s{_APART}]+")
_SENTENCE = re.compile(
    r"[.!?…][\"'”’)\]*_]*\s+"
    r"|[。！？][」』）]*\s*"
    r"|\n[^\S\n]*\n\s*"
    r"|\n[^\S\n]*(?=(?:[-*+•]|\d+[.)]|\#{1,6})\s|\|)"
)
"""What stands between two sentences, paragraphs or items; where it ends the next one begins."""
_LINE = re.compile(r"\n\s*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """A stretch of a text that matches the query."""

    start: int
    end: int
    terms: frozenset[str]
    """The query's terms it stands for."""


def excerpt(
    text: str,
    marks: Sequence[Mark],
    *,
    fits: Callable[[int, int], bool],
    lines: bool = False,
    least: float = 0.0,
) -> tuple[int, int] | None:
    """Start and end, in code points, of what to show of a *text* that does not fit as a whole.

    Its begin, unless the words that match best lie further down: then from the begin of the sentence they stand
    in, and from earlier on where its end leaves room.

    Args:
        text: cut between words only.
        marks: what matches, in order; none: the text's begin is shown.
        fits: whether there is room for a range; also for whatever range lies within that.
        lines: it may also begin with any line, as code may.
        least: share of the text's words below which there is nothing to show: None.
    """
    words = [match.span() for match in _WORD.finditer(text)]
    final = len(words) - 1

    def span(first: int, last: int) -> tuple[int, int]:
        # What stands around a text's words, such as an indentation, belongs to them.
        return words[first][0] if first else 0, words[last][1] if last < final else len(text)

    def reach(first: int) -> int:
        """The last word that fits with all from *first* on; the one before *first* if none does."""
        after = range(first, len(words))
        return first - 1 + bisect_left(after, True, key=lambda last: not fits(*span(first, last)))

    fewest = max(1, least * len(words))
    prefix = first, last = 0, min(reach(0), final - 1)
    if last < 0:
        return None
    best = _densest(marks, words, last + 1)
    if best is not None and best[1] > last:
        begins = _beginnings(text, words, lines=lines)
        first = begins[bisect_right(begins, best[0]) - 1]
        last = reach(first)
        if last < best[1]:  # a long sentence: begin in its middle
            first = best[0]
            last = reach(first)
        if last == final:
            earlier = [begin for begin in begins if begin < first]
            place = bisect_left(earlier, True, key=lambda begin: fits(*span(begin, final)))
            first = earlier[place] if place < len(earlier) else first
    chosen = ((first, last), prefix)
    return next((span(first, last) for first, last in chosen if last - first + 1 >= fewest), None)


def _densest(marks: Sequence[Mark], words: Sequence[tuple[int, int]], room: int) -> tuple[int, int] | None:
    """First and last of *words* around the most distinct terms that fit into *room* words.

    Of equals the closest together, of these the earliest; None if there are no marks.
    """
    starts = [start for start, _ in words]
    firsts = [max(bisect_right(starts, mark.start) - 1, 0) for mark in marks]
    lasts = [max(bisect_left(starts, mark.end) - 1, 0) for mark in marks]
    # Two walks, each with a window that only moves on: how many terms there can be, and where they are closest.
    most = max((terms for _, _, terms in _windows(marks, firsts, lasts, room)), default=0)
    ranges = (
        (firsts[n], min(lasts[stop - 1], firsts[n] + max(room, 1) - 1))
        for n, stop, terms in _windows(marks, firsts, lasts, room, enough=most)
        if terms == most
    )
    return min(ranges, key=lambda found: (found[1] - found[0], found[0]), default=None)


def _windows(
    marks: Sequence[Mark], firsts: Sequence[int], lasts: Sequence[int], room: int, *, enough: int | None = None
) -> Iterator[tuple[int, int, int]]:
    """From each mark on, those that fit into *room* words, or until *enough* terms, and how many terms."""
    held: Counter[str] = Counter()
    stop = 0
    for n, first in enumerate(firsts):
        furthest = first + max(room, 1) - 1
        # A mark that is longer than the room is shown from its begin.
        while stop < len(marks) and (stop == n or lasts[stop] <= furthest) and len(held) != enough:
            held.update(marks[stop].terms)
            stop += 1
        yield n, stop, len(held)
        held.subtract(marks[n].terms)
        for term in marks[n].terms:
            if not held[term]:
                del held[term]


def _beginnings(text: str, words: Sequence[tuple[int, int]], *, lines: bool) -> list[int]:
    """The words a sentence or paragraph begins with, or a line where *lines* carry meaning; in order.

    The first word is always one.
    """
    starts = [start for start, _ in words]
    pattern = _LINE if lines else _SENTENCE
    found = {bisect_left(starts, match.end()) for match in pattern.finditer(text)}
    return sorted({0, *(place for place in found if place < len(words))})
