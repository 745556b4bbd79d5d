"""HTML to Markdown where the lines of the source mean nothing: mail, books, converted files, pages on one line.

Blocks come apart by blank lines, tables become Markdown tables, and nothing depends on how the source is broken
into lines. `html.extract_html` is for pages that people edit: it keeps every line where it stands.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace

from ragweft.loading.grids import Cell, flattened, is_data, spans_of
from ragweft.loading.html import image_text
from ragweft.loading.main_text import Attributes, Regions, find_regions, made_safe
from ragweft.loading.markdown import cleaned, escaped, fenced, on_one_line, table_lines
from ragweft.loading.page_reader import BLOCKS, HEADINGS, PageReader

__all__ = ["Markup", "read_markup"]

_BLOCKS = BLOCKS - {"br"}
"""Here a line break is one within a block."""
_LISTS = frozenset(("ol", "ul", "menu", "dir"))
_DEEPEST_TABLE = 8
_DEEPEST_LIST = 6
_DEEPEST_QUOTE = 6
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
    rows: list[list[tuple[Cell, _Frame]]] = field(default_factory=list[list[tuple[Cell, _Frame]]])
    cell: Cell | None = None
    """The one that is open, still without its text."""


class _Reader(PageReader):
    def __init__(self, source: str, regions: Regions) -> None:
        super().__init__(regions)
        self._frame = _Frame()
        self._tables: list[_Table] = []
        self._buried = 0
        """Tables open inside the deepest one that is read as a table."""
        self._pieces: list[str] = []
        self._level = 0
        self._literal = 0
        self._language = ""
        self.feed(source)
        self.close()
        while self._tables:
            self._end_table()
        self._flush()

    def result(self) -> Markup:
        return Markup(blocks=tuple(self._frame.blocks()), title=self.title)

    def begin(self, tag: str, attrs: Attributes) -> None:
        if tag in _BLOCKS:
            self._flush()
        frame = self._frame
        if tag == "img":
            self._pieces.append(f" {image_text(attrs)} ")
        elif tag == "br":
            self._pieces.append("\n")
        elif tag in HEADINGS:
            self._level = HEADINGS[tag]
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
        columns, rows = spans_of(attrs)
        table.cell = Cell(columns=columns, rows=rows, header=tag == "th")
        self._frame = _Frame()

    def end(self, tag: str) -> None:
        if tag in _BLOCKS:
            self._flush()
        frame = self._frame
        if tag in HEADINGS:
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

    def say(self, data: str) -> None:
        self._pieces.append(data if self._literal else _SPACES.sub(" ", data.replace("\n", " ")))

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
        if table.cell is None:
            return
        frame = self._frame
        table.rows[-1].append((replace(table.cell, text=" ".join(frame.blocks()), plain=frame.plain), frame))
        table.cell = None
        self._frame = table.outer

    def _end_table(self) -> None:
        self._end_cell()
        table = self._tables.pop()
        frame = table.outer
        rows = [row for row in table.rows if any(cell.text for cell, _ in row)]
        if not rows:
            return
        cells = [[cell for cell, _ in row] for row in rows]
        if is_data(cells):
            frame.plain = False
            self._write("\n".join(table_lines(flattened(cells))))
            return
        frame.plain = frame.plain and all(cell.plain for row in cells for cell in row)
        for block in (block for row in rows for _, inner in row for block in inner.blocks()):
            frame.add(block)
