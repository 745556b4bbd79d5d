"""The readable text of an HTML page, line by line where it stood in the source.

Line n of the text comes from line n of the source, so that `path:line` leads to the right place in an editor.
The price: nothing is moved to a line of its own. Pages that were not written line by line, but by a program
that puts many paragraphs on one, have no lines worth keeping: those are `crowded`, and are read by
`markup.read_markup`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from ragweft.loading.lined_tables import LinedTables
from ragweft.loading.main_text import Attributes, Regions, find_regions, made_safe
from ragweft.loading.page_reader import BLOCKS, HEADINGS, PageReader

__all__ = ["HtmlText", "extract_html", "image_text"]

_LINE_END = re.compile(r"\r\n?")
_SPACES = re.compile(r"\s+")
# A character reference to a line feed would make a line that the source does not have.
_LINE_FEED_REFERENCE = re.compile(r"&#(?:0*1[03](?!\d)|[xX]0*[aAdD](?![0-9a-fA-F]));?|&NewLine;")
# Text that would be read as Markdown structure when it begins a line.
_STRUCTURE = re.compile(r"#{1,6}(?=\s|$)|```|~~~|=+$|-+$|>")
_LOST = 0.2
"""Share of a page's headings that may share a line with other text, in which case they are none."""
_LONGEST = 2_000
"""Characters of an average line above which lines are no lines."""
_FILE_NAME = re.compile(r"\S+\.\w{2,4}")


@dataclass(frozen=True, slots=True, kw_only=True)
class HtmlText:
    """A page without its markup."""

    text: str
    """Markdown with as many lines as the source."""
    title: str | None
    """What `<title>` says, else the first `<h1>`."""
    crowded: bool = False
    """So much stands on each line that structure was lost: the page was not written line by line."""


def extract_html(source: str) -> HtmlText:
    """Read a page: any text gives a result, however malformed.

    Headings become Markdown headings, list items begin with `- `, tables of data become Markdown tables with
    blank lines between their rows, in other tables cells are separated by ` | `, preformatted text is indented
    as a Markdown code block, of pictures the text stays that stands for them. Scripts, styles, drawings and
    templates are left out, and so is what is around the main part of the page (see `main_text`).
    Runs of white space become one space, except in preformatted text; line breaks stay where they are.
    """
    source = _LINE_END.sub("\n", source)
    safe = made_safe(_LINE_FEED_REFERENCE.sub(" ", source))
    return _Reader(safe, find_regions(safe, page=True)).result()


def image_text(attrs: Attributes) -> str:
    """What stands for a picture, as Markdown; "" if nothing does, or only a file name."""
    said = " ".join((dict(attrs).get("alt") or "").split())
    return f"![{said.replace('[', '(').replace(']', ')')}]" if said and not _FILE_NAME.fullmatch(said) else ""


@dataclass(slots=True)
class _Line:
    """A line of the text while it is put together."""

    pieces: list[str]
    prefix: str = ""
    literal: bool = False
    """Preformatted: spaces count."""
    heading: bool = False


class _Reader(PageReader):
    def __init__(self, source: str, regions: Regions) -> None:
        super().__init__(regions)
        self._lines: list[str] = []
        self._line = _Line([])
        self._marker = ""
        self._apart = False
        self._lists = 0
        self._literal = 0
        self._heading = False
        self._headings = 0
        """With text, that were met."""
        self._row_begun = False
        self._tables = LinedTables()
        self.feed(source)
        self.close()
        line_ends = source.count("\n")
        while len(self._lines) <= line_ends:
            self._end_line()

    def result(self) -> HtmlText:
        """What was read."""
        lines = sum(map(bool, self._lines))
        kept = sum(line.startswith("#") for line in self._lines)
        size = sum(map(len, self._lines)) + len(self._lines) - 1
        crowded = self._headings - kept > _LOST * self._headings + 1 or size > _LONGEST * lines
        self._tables.lay(self._lines)
        return HtmlText(
            text="\n".join(self._lines),
            title=self.title,
            crowded=crowded,
        )

    def begin(self, tag: str, attrs: Attributes) -> None:
        """Take note of where the text that follows stands."""
        self._tables.begin(tag, attrs, self.getpos()[0])
        if tag in BLOCKS:
            self._apart = True
        if tag == "img" and (text := image_text(attrs)):
            self.handle_data(f" {text} ")
        elif tag in HEADINGS:
            self._marker = f"{'#' * HEADINGS[tag]} "
            self._heading = True
        elif tag == "li":
            self._marker = "  " * max(self._lists - 1, 0) + "- "
        elif tag in ("ul", "ol"):
            self._lists += 1
        elif tag == "tr":
            self._row_begun = False
        elif tag in ("td", "th"):
            self._marker = "| " if self._row_begun else ""
            self._row_begun = True
        elif tag == "pre":
            self._literal += 1

    def end(self, tag: str) -> None:
        """Undo what the start tag did."""
        self._tables.end(tag)
        if tag in BLOCKS:
            self._apart = True
        if tag in HEADINGS:
            self._marker = ""
            self._heading = False
        elif tag in ("li", "td", "th"):
            self._marker = ""
        elif tag in ("ul", "ol"):
            self._lists = max(self._lists - 1, 0)
        elif tag == "pre":
            self._literal = max(self._literal - 1, 0)

    def say(self, data: str) -> None:
        """Put text on the line it comes from."""
        number, _ = self.getpos()
        while len(self._lines) < number - 1:
            self._end_line()
        first, *others = data.split("\n")
        self._tables.say(f" {first}" if self._apart else first, number)
        self._add(first)
        for place, piece in enumerate(others, number + 1):
            self._end_line()
            self._tables.say(f" {piece}", place)
            self._add(piece)

    def _add(self, piece: str) -> None:
        line = self._line
        if self._literal and not line.prefix and (not line.pieces or line.literal):
            if piece:
                line.literal = True
                line.pieces.append(piece)
                self._marker = ""
            return
        text = _SPACES.sub(" ", piece)
        words = text.strip()
        if not words:
            if text:
                _space(line)
            return
        if line.pieces or line.prefix:
            if line.heading and not self._heading:
                # A heading that shares its line with other text would make a heading of all of it.
                line.prefix, line.heading = "", False
            if self._apart or text[0] == " ":
                _space(line)
            self._headings += bool(self._marker) and self._heading
            if self._marker and not self._heading:
                line.pieces.append(self._marker.lstrip())
        else:
            line.prefix = self._marker or ("\\" if _STRUCTURE.match(words) else "")
            line.heading = self._heading and bool(self._marker)
            self._headings += line.heading
        self._marker = ""
        self._apart = False
        line.pieces.append(text.lstrip())

    def _end_line(self) -> None:
        line = self._line
        text = "".join(line.pieces).rstrip()
        if text and line.literal:
            text = f"    {text}"
        self._lines.append(line.prefix + text)
        self._line = _Line([])


def _space(line: _Line) -> None:
    if line.pieces and not line.pieces[-1].endswith(" "):
        line.pieces.append(" ")
