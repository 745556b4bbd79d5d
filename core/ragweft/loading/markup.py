"""HTML to Markdown where the lines of the source mean nothing: mail, books, converted files, pages on one line.

Blocks come apart by blank lines, tables become Markdown tables, and nothing depends on how the source is broken
into lines. `html.extract_html` is for pages that people edit: it keeps every line where it stands.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from html.parser import HTMLParser

from ragweft.loading.html import image_text
from ragweft.loading.main_text import VOID, Attributes, Regions, find_regions, made_safe
from ragweft.loading.markdown import cleaned, escaped, fenced, on_one_line, table_lines
from ragweft.loading.titles import tidy_title

__all__ = ["Markup", "read_markup"]

_BLOCK_NAMES = (
    "address article aside blockquote body caption center dd details dialog dir div dl dt fieldset figcaption"
    " figure footer form h1 h2 h3 h4 h5 h6 head header hgroup hr html legend li main menu nav ol optgroup"
    " option p pre search section select summary table tbody td tfoot th thead title tr ul"
)
_BLOCKS = frozenset(_BLOCK_NAMES.split())
_HEADINGS = {f"h{level}": level for level in range(1, 7)}
_LISTS = frozenset(("ol", "ul", "menu", "dir"))
_DEEPEST_TABLE = 8
_DEEPEST_LIST = 6
_DEEPEST_QUOTE = 6
_WIDEST_SPAN = 20
_LONGEST_CELL = 1_500
"""Characters above which a table is there for the looks, not for data."""
_SPACES = re.compile(r"[^\S\n]+")
_LANGUAGE = re.compile(r"(?:language|lang|highlight-source)-([\w+#-]+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Markup:
    """What an HTML text says."""

    blocks: tuple[str, ...]
    """Markdown blocks in order; a list is one block."""
    title: str | None
    """What `<title>` says, else the first `<h1>`."""

    @property
    def text(self) -> str:
        """The blocks as one text."""
        return "\n\n".join(self.blocks)


def read_markup(source: str, *, page: bool = False) -> Markup:
    """Read HTML: any text gives a result, however malformed, in time that grows with its length.

    Args:
        source: HTML.
        page: it is a page of a site: leave out what is around its main part (see `main_text`).
    """
    safe = made_safe(cleaned(source))
    return _Reader(safe, find_regions(safe, page=page)).result()


@dataclass(slots=True)
class _Frame:
    """What is being written to: the document, or a cell of a table."""

    plain: bool = True
    """Nothing but paragraphs and lists so far: fit for a cell of a table."""
    lists: list[tuple[bool, int]] = field(default_factory=list[tuple[bool, int]])
    """For each open list whether it is numbered, and the number of its last item."""
    marker: str = ""
    """Of the item that has begun and has no text yet."""
    quotes: int = 0
    _blocks: list[str] = field(default_factory=list[str])
    _list: list[str] = field(default_factory=list[str])
    """What the list that may go on has so far."""

    def blocks(self) -> list[str]:
        """Everything in order."""
        if self._list:
            self._blocks.append("\n".join(self._list))
            self._list = []
        return self._blocks

    def add(self, text: str, *, listed: bool = False, spaced: bool = False) -> None:
        """Append a block, or if it is *listed* a part of a list, after a blank line if it is *spaced*."""
        if not listed:
            self.blocks().append(text)
            return
        if spaced and self._list:
            self._list.append("")
        self._list.append(text)


@dataclass(slots=True)
class _Table:
    outer: _Frame
    rows: list[list[_Frame]] = field(default_factory=list[list[_Frame]])
    cell: bool = False
    """A cell is open."""
    span: int = 1


class _Reader(HTMLParser):
    def __init__(self, source: str, regions: Regions) -> None:
        super().__init__(convert_charrefs=True)
        self._regions = regions
        self._count = 0
        self._until = 0
        self._frame = _Frame()
        self._tables: list[_Table] = []
        self._buried = 0
        """Tables open inside the deepest one that is read as a table."""
        self._pieces: list[str] = []
        self._level = 0
        self._literal = 0
        self._language = ""
        self._titles: dict[str, list[str]] = {}
        self._title: str | None = None
        self.feed(source)
        self.close()
        while self._tables:
            self._end_table()
        self._flush()

    def result(self) -> Markup:
        said = (tidy_title("".join(self._titles.get(name, ()))) for name in ("title", "h1"))
        return Markup(blocks=tuple(self._frame.blocks()), title=next((title for title in said if title), None))

    def handle_starttag(self, tag: str, attrs: Attributes) -> None:
        self._count += 1
        if self._count <= self._until:
            return
        self._until = self._regions.dropped.get(self._count, 0)
        if self._until:
            return
        if tag in _BLOCKS:
            self._flush()
            if self._title == "title":
                # It holds no elements: its end tag is missing.
                self._title = None
        if tag in ("title", "h1") and tag not in self._titles:
            self._title = tag
            self._titles[tag] = []
        self._begin(tag, attrs)

    def _begin(self, tag: str, attrs: Attributes) -> None:
        frame = self._frame
        if tag == "img":
            self._say(f" {image_text(attrs)} ")
        elif tag == "br":
            self._say("\n")
        elif tag in _HEADINGS:
            self._level = _HEADINGS[tag]
        elif tag in _LISTS:
            frame.lists.append((tag == "ol", 0))
        elif tag == "li":
            self._begin_item()
        elif tag == "pre":
            self._literal += 1
        elif tag == "blockquote":
            frame.quotes += 1
        if tag in ("pre", "code") and self._literal:
            found = _LANGUAGE.search(" ".join(value or "" for name, value in attrs if name == "class"))
            self._language = found[1] if found else self._language
        if tag in ("table", "tr", "td", "th"):
            self._begin_of_table(tag, attrs)

    def _begin_item(self) -> None:
        frame = self._frame
        numbered, number = frame.lists[-1] if frame.lists else (False, 0)
        if frame.lists:
            frame.lists[-1] = (numbered, number + 1)
        frame.marker = f"{number + 1}. " if numbered else "- "

    def _begin_of_table(self, tag: str, attrs: Attributes) -> None:
        if tag == "table":
            if len(self._tables) >= _DEEPEST_TABLE:
                self._buried += 1
            else:
                self._tables.append(_Table(self._frame))
            return
        if not self._tables or self._buried:
            return
        table = self._tables[-1]
        self._end_cell()
        if tag == "tr":
            table.rows.append([])
            return
        if not table.rows:
            table.rows.append([])
        span = next((value for name, value in attrs if name == "colspan"), None) or "1"
        table.span = min(int(span), _WIDEST_SPAN) if span.isascii() and span.isdigit() else 1
        table.cell = True
        self._frame = _Frame()

    def handle_startendtag(self, tag: str, attrs: Attributes) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        self._count += 1
        if self._count <= self._until:
            return
        if tag in _BLOCKS:
            self._flush()
        if tag == self._title:
            self._title = None
        frame = self._frame
        if tag in _HEADINGS:
            self._level = 0
        elif tag in _LISTS and frame.lists:
            frame.lists.pop()
            frame.marker = ""
            if not frame.lists:
                # A list that follows is another one.
                frame.blocks()
        elif tag == "li":
            frame.marker = ""
        elif tag == "pre":
            self._literal = max(self._literal - 1, 0)
            self._language = self._language if self._literal else ""
        elif tag == "blockquote":
            frame.quotes = max(frame.quotes - 1, 0)
        elif tag == "table":
            self._end_of_table()
        elif tag in ("td", "th", "tr") and self._tables and not self._buried:
            self._end_cell()

    def _end_of_table(self) -> None:
        if self._buried:
            self._buried -= 1
        elif self._tables:
            self._end_table()

    def handle_data(self, data: str) -> None:
        if self._count < self._until:
            return
        if self._title is not None:
            self._titles[self._title].append(data)
            if self._title == "title":
                return
        main = self._regions.main
        if main is None or main[0] <= self._count < main[1]:
            self._say(data if self._literal else _SPACES.sub(" ", data.replace("\n", " ")))

    def _say(self, text: str) -> None:
        self._pieces.append(text)

    def _flush(self) -> None:
        """Write what was said since the last block as one."""
        if not self._pieces:
            return
        said, self._pieces = "".join(self._pieces), []
        frame = self._frame
        if self._literal:
            said = said.strip("\n")
            if said.strip():
                frame.plain = False
                self._write(fenced(said, self._language))
            return
        lines = [_SPACES.sub(" ", line).strip() for line in said.split("\n")]
        said = "\n".join(lines).strip("\n")
        if not said:
            return
        if self._level:
            # A list of sections rather than of items. Markdown has no headings in lists.
            frame.lists, frame.marker = [], ""
            frame.plain = False
            self._write(f"{'#' * self._level} {on_one_line(said)}")
        else:
            self._write(escaped(said))

    def _write(self, block: str) -> None:
        """Append a block with the marks of the lists and quotes it stands in."""
        frame = self._frame
        marker, frame.marker = frame.marker, ""
        widths = [3 if numbered else 2 for numbered, _ in frame.lists[:_DEEPEST_LIST]]
        inner = " " * sum(widths)
        first = " " * sum(widths[:-1]) + marker if marker else inner
        quote = "> " * min(frame.quotes, _DEEPEST_QUOTE)
        lines = block.split("\n")
        text = "\n".join(
            f"{quote}{inner if place else first}{line}".rstrip() for place, line in enumerate(lines)
        )
        frame.add(text, listed=bool(widths or marker), spaced=not marker)

    def _end_cell(self) -> None:
        self._flush()
        table = self._tables[-1]
        if not table.cell:
            return
        table.cell = False
        table.rows[-1] += [self._frame, *[_EMPTY] * (table.span - 1)]
        self._frame = table.outer

    def _end_table(self) -> None:
        self._end_cell()
        table = self._tables.pop()
        frame = table.outer
        rows = [row for row in table.rows if any(cell.blocks() for cell in row)]
        if not rows:
            return
        if _is_data(rows):
            frame.plain = False
            self._write("\n".join(table_lines([[" ".join(cell.blocks()) for cell in row] for row in rows])))
            return
        frame.plain = frame.plain and all(cell.plain for row in rows for cell in row)
        for block in (block for row in rows for cell in row for block in cell.blocks()):
            frame.add(block)


_EMPTY = _Frame()
"""Stands for the other columns of a cell that spans several."""


def _is_data(rows: Sequence[Sequence[_Frame]]) -> bool:
    """Whether a table says something by being one, and is not there to put things side by side."""
    return (
        len(rows) > 1
        and max(map(len, rows)) > 1
        and all(cell.plain and sum(map(len, cell.blocks())) <= _LONGEST_CELL for row in rows for cell in row)
    )
