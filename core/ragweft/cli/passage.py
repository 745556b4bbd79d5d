"""The few lines of a chunk worth showing: those around the best match, with the query's words marked.

Pure functions over text; nothing here knows a terminal.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace

from ragweft.cli.wording import printable
from ragweft.excerpts import Mark

__all__ = ["Line", "best_window", "crop", "fold", "passage"]

_LEAD = 2
"""Lines shown before the first match, where there is room."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One line as it is shown: a source line, or a piece of a long one."""

    text: str
    number: int | None
    """Line in the source, from 1; None if the chunk does not know where it stands."""
    first: bool = True
    """Whether a source line begins here."""
    marks: tuple[Mark, ...] = ()

    @property
    def terms(self) -> frozenset[str]:
        """The query's terms found in this line."""
        return frozenset[str]().union(*(mark.terms for mark in self.marks))


def passage(
    text: str,
    *,
    first_line: int | None,
    find: Callable[[str], tuple[Mark, ...]],
    size: int,
    width: int | None,
    code: bool,
    measure: Callable[[str], int] = len,
) -> list[Line]:
    """At most *size* lines of *text* around its best match.

    Lines longer than *width* cells (None: any length) are cropped around their best match in *code* and folded
    at spaces in prose. *first_line* is the number of the text's first line; *measure* counts a text's cells.
    """
    lines: list[Line] = []
    for place, source in enumerate(text.split("\n")):
        number = None if first_line is None else first_line + place
        shown = printable(source)
        line = Line(text=shown, number=number, marks=find(shown))
        if width is None:
            lines.append(line)
        elif code:
            lines.append(crop(line, width, measure))
        else:
            lines += fold(line, width, measure)
    start, end = best_window(
        [line.terms for line in lines], [not line.text for line in lines], [line.first for line in lines], size
    )
    chosen = lines[start:end]
    return [replace(line, first=True) if not place else line for place, line in enumerate(chosen)]


def best_window(
    found: Sequence[Collection[str]], blank: Sequence[bool], begins: Sequence[bool], size: int
) -> tuple[int, int]:
    """The half-open range of at most *size* lines with most distinct terms, the earliest of equals.

    The lines that hold the terms get some lines before them where there is room, though not the tail of an
    earlier source line (*begins* says where one begins); blank lines at either end are left out.
    """
    first, last, matched = _densest(found, size)
    count = len(found)
    if matched:
        start = max(0, first - min(_LEAD, (size - (last - first + 1)) // 2))
        start = max(0, min(start + size, count) - size)
        while start < first and not begins[start] and any(begins[start + 1 : first + 1]):
            start += 1
    else:
        start = 0
    while start < count - 1 and blank[start]:
        start += 1
    end = min(count, start + size)
    while end > start and blank[end - 1]:
        end -= 1
    return start, end


def _densest(found: Sequence[Collection[str]], size: int) -> tuple[int, int, int]:
    """First and last line that hold the most distinct terms within *size* lines, and how many terms."""
    best, first, last = 0, 0, 0
    for start, terms in enumerate(found):
        if not terms:
            continue
        seen: set[str] = set()
        for place in range(start, min(start + size, len(found))):
            seen.update(found[place])
            if len(seen) > best:
                best, first, last = len(seen), start, place
    return first, last, best


def crop(line: Line, width: int, measure: Callable[[str], int] = len) -> Line:
    """*line* cut to *width* cells, an ellipsis at each cut, its first match kept in sight."""
    text = line.text
    if measure(text) <= width:
        return line
    start = 0
    if line.marks and measure(text[: line.marks[0].end]) > width - 1:
        start = _back(text, line.marks[0].start, width // 3, measure)
    room = width - (1 if start else 0)
    end = _forward(text, start, room, measure)
    if end < len(text):
        end = _forward(text, start, room - 1, measure)
    before, after = "…" * bool(start), "…" * (end < len(text))
    return Line(
        text=before + text[start:end] + after,
        number=line.number,
        first=line.first,
        marks=_cut(line.marks, start, end, len(before)),
    )


def fold(line: Line, width: int, measure: Callable[[str], int] = len) -> list[Line]:
    """*line* broken at spaces into pieces of at most *width* cells, indented as it is itself."""
    text = line.text
    if measure(text) <= width:
        return [line]
    indent = text[: min(len(text) - len(text.lstrip()), width // 3)]
    folded: list[Line] = []
    start = 0
    while start < len(text):
        before = indent if start else ""
        room = max(1, width - measure(before))
        end = _forward(text, start, room, measure)
        after = end
        if end < len(text):
            space = text.rfind(" ", start + 1, end + 1)
            if space > start and text[start:space].strip():
                end = space
            after = end + len(text[end:]) - len(text[end:].lstrip(" "))
        folded.append(
            Line(
                text=before + text[start:end],
                number=line.number,
                first=line.first and not start,
                marks=_cut(line.marks, start, end, len(before)),
            )
        )
        start = after
    return folded


def _cut(marks: Sequence[Mark], start: int, end: int, shift: int) -> tuple[Mark, ...]:
    move = shift - start
    return tuple(
        Mark(start=max(m.start, start) + move, end=min(m.end, end) + move, terms=m.terms)
        for m in marks
        if m.start < end and m.end > start
    )


def _forward(text: str, start: int, room: int, measure: Callable[[str], int]) -> int:
    """The furthest end with `text[start:end]` at most *room* cells wide, at least one character on."""
    end = min(len(text), start + max(1, room))
    while end > start + 1 and measure(text[start:end]) > room:
        end -= 1
    return end


def _back(text: str, end: int, room: int, measure: Callable[[str], int]) -> int:
    start = max(0, end - room)
    while start < end and measure(text[start:end]) > room:
        start += 1
    return start
