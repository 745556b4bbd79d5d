"""Running lines of a PDF's pages: headers, footers and page numbers that come again and again.

They are looked for by where they stand on the page. Programs write them before, after or within the text of a
page, so the order of the file says nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, TypeAlias

from ragweft.loading.markdown import on_one_line

if TYPE_CHECKING:
    from ragweft.loading.converters.pdf_layout import Line

__all__ = ["Running", "find_running"]

_REPEATED = 3
_EDGE = 4
"""Rows at either edge of a page among which running lines are."""
_SAME_HEIGHT = 10.0
"""Points by which the height of a running line may differ from page to page: scans are never quite straight."""
_SAME_ROW = 0.4
"""Of the size of letters: lines no further apart stand beside each other."""
_APART = 1.35
"""How much further than from each other the rows of a header are from the text."""
_MOST_PAGES = 2 / 3
"""A line in large letters is a heading unless it stands on so many of the pages."""
_NUMBER = re.compile(r"\d{1,6}|\b(?=[ivxlc])(?:c{0,3})(?:xc|xl|l?x{0,3})(?:ix|iv|v?i{0,3})\b")
_ROMAN = {"i": 1, "v": 5, "x": 10, "l": 50, "c": 100}
_WORD = re.compile(r"[^\W\d_]+")
_MARKS = " \u00a0-–—|·•*/()[]<>~_.,:"
_PAGE_NAMES = "page seite página pagina sida side strona str pág pag pg p страница стр 页 頁 ページ 쪽 페이지"
_BESIDE_NAMES = (
    "pp pages of seiten s von sur de páginas pagine di du da van z ze sidan av sivu af из 第 共 页共 頁共"
)
_PAGE_WORDS = frozenset(f"{_PAGE_NAMES} {_BESIDE_NAMES}".split())
"""What stands beside the number of a page and says nothing more."""
_BEFORE = "|".join(_PAGE_NAMES.split())
_BEHIND = "|".join(name for name in _PAGE_NAMES.split() if len(name) > 3 or not name.isascii())
_NAMED = re.compile(rf"(?<!\w)(?:{_BEFORE})[^\w\0]{{0,3}}\0(?!\w)|(?<!\w)\0[^\w\0]{{0,3}}(?:{_BEHIND})(?!\w)")
"""A number that is called one of a page. Behind a number, `p` may as well be a unit."""
_ALONE = re.compile(r"[^\w$€£¥%°+]*(?:\d+ ?[-–—] ?)?\0(?: ?[/|] ?\d+)?[^\w$€£¥%°+]*")
"""The number of a page, perhaps with that of its chapter or of all pages: `- 3 -`, `2-7`, `3/24`."""

_Place: TypeAlias = tuple[int, int]
"""Number of the page, from 1, and of the line on it, in the order of the file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """The running lines of a file."""

    found: frozenset[_Place]
    first: frozenset[_Place]
    """Those among them that say what no other has said before."""
    everywhere: frozenset[_Place]
    """Those that say the very same on most pages, and so are no headings however large they are."""


@dataclass(frozen=True, slots=True)
class _Seen:
    page: int
    line: int
    height: float


def find_running(pages: Sequence[Sequence[Line]]) -> Running:
    """Lines near an edge, at one height and saying one thing on three pages or more.

    What they say is the same, but for the number of the page. A number that only happens to grow with the pages
    is none: "Invoice 1002" behind "Invoice 1001" stays, as does "Total: 120" under another total. Further in
    than the outermost row, only what is set apart from the text below is one: a table whose columns are named
    at the top of every page keeps them.
    """
    rows = [_rows(lines) for lines in pages]
    found: set[_Place] = set()
    first: set[_Place] = set()
    everywhere: set[_Place] = set()
    told: set[str] = set()
    alone = {_bare(on_one_line(line.text).lower()) for lines in pages for line in lines}
    for step in (1, -1):
        alike = list(_alike(pages, [row[::step] for row in rows]))
        candidates = {(seen.page, seen.line) for _, _, group in alike for seen in group}
        margin = {
            (number, line)
            for number, (lines, own) in enumerate(zip(pages, rows, strict=True), 1)
            for row in _margin(lines, own[::step], number, candidates)
            for line in row
        }
        for said, offset, group in alike:
            if "\0" in said and not _counts_pages(said, offset, alone):
                continue
            places = [(seen.page, seen.line) for seen in group if (seen.page, seen.line) in margin]
            if len({page for page, _ in places}) < _REPEATED:
                continue
            found.update(places)
            if "\0" not in said and len(places) >= _MOST_PAGES * len(pages):
                everywhere.update(places)
            if said not in told and _says_something(said):
                told.add(said)
                first.add(min(places))
    return Running(found=frozenset(found), first=frozenset(first), everywhere=frozenset(everywhere))


def _rows(lines: Sequence[Line]) -> list[list[int]]:
    """Numbers of the lines that stand beside each other, from the top of the page to its bottom."""
    if any(line.size <= 0 for line in lines):
        # Where a line stands is not known: the order of the file is all there is.
        return [[number] for number in range(len(lines))]
    rows: list[list[int]] = []
    for number in sorted(range(len(lines)), key=lambda each: -lines[each].top):
        above = lines[rows[-1][0]] if rows else None
        if above is not None and above.top - lines[number].top <= _SAME_ROW * above.size:
            rows[-1].append(number)
        else:
            rows.append([number])
    return rows


def _alike(
    pages: Sequence[Sequence[Line]], rows: Sequence[Sequence[Sequence[int]]]
) -> Iterator[tuple[str, int, list[_Seen]]]:
    """What is said at one height on several pages, as in `_skeletons`; *rows* of each from its edge inwards."""
    said: dict[tuple[str, int], list[_Seen]] = {}
    for number, (lines, own) in enumerate(zip(pages, rows, strict=True), 1):
        for row in own[:_EDGE]:
            for place in row:
                for key in _skeletons(on_one_line(lines[place].text).lower(), number):
                    said.setdefault(key, []).append(_Seen(number, place, lines[place].top))
    for (text, offset), seen in said.items():
        for group in _by_height(seen):
            if len({each.page for each in group}) >= _REPEATED:
                yield text, offset, group


def _by_height(seen: list[_Seen]) -> Iterator[list[_Seen]]:
    group: list[_Seen] = []
    for each in sorted(seen, key=lambda one: one.height):
        if group and each.height - group[-1].height > _SAME_HEIGHT:
            yield group
            group = []
        group.append(each)
    yield group


def _margin(
    lines: Sequence[Line], rows: Sequence[Sequence[int]], page: int, candidates: set[_Place]
) -> Sequence[Sequence[int]]:
    """The rows from the edge inwards that belong to the header or footer: further from the text than apart."""
    depth = 0
    while depth < min(_EDGE, len(rows)) and any((page, line) in candidates for line in rows[depth]):
        depth += 1
    gaps = [abs(lines[outer[0]].top - lines[inner[0]].top) for outer, inner in pairwise(rows)]
    while depth > 1 and (depth == len(rows) or gaps[depth - 1] < _APART * max(gaps[: depth - 1])):
        depth -= 1
    return rows[:depth]


def _says_something(said: str) -> bool:
    """Whether a line says more than which page it stands on."""
    if "\0" not in said:
        return any(map(str.isalnum, said))
    return not _PAGE_WORDS.issuperset(_WORD.findall(said))


def _counts_pages(said: str, offset: int, alone: set[str]) -> bool:
    """Whether the number left out of *said* is that of the page, and not one that happens to grow with it.

    It stands alone, is called so, or is the page's own beside a title that is among *alone*, the lines of the
    file. All else stays: a number on every page is noise, an invoice that nobody finds is a loss.
    """
    # Word's own footer spaces the letters.
    said = said.replace("p a g e", "page")
    words = _WORD.findall(said)
    if not words:
        return _ALONE.fullmatch(said) is not None
    if _PAGE_WORDS.issuperset(words) or _NAMED.search(said):
        return True
    before, _, behind = said.partition("\0")
    title = _bare(before) or _bare(behind)
    return offset == 0 and not (_bare(before) and _bare(behind)) and title in alone


def _bare(text: str) -> str:
    return text.strip(_MARKS)


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
