"""reStructuredText to blocks: sections by their adornment, directives, literal blocks, tables and lists."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import partial

from ragweft.chunking.blocks import Block, Heading, leading_in, line_starts, nest
from ragweft.chunking.separators import CODE, PROSE
from ragweft.chunking.tables import grid_names, headed, listed_names, ruled_names, separated_names
from ragweft.chunking.titles import rst_title, shorten

_ADORNMENT = re.compile(r"([!-/:-@\[-`{-~])\1*$")
_DIRECTIVE = re.compile(r"\.\.[ \t]+(?:\w+:)?([\w+.-]+)::(?:[ \t]+(.*))?$")
_TARGET = re.compile(r"\.\.[ \t]+(?:_|(?:currentmodule|module|index|highlight|sectionauthor|moduleauthor)::)")
_SIMPLE_BORDER = re.compile(r"=+(?:[ \t]+=+)+$")
_GRID_BORDER = re.compile(r"\+(?:[-=]+\+)+$")
_GRID_HEAD = re.compile(r"\+(?:=+\+)+$")
_HEADER_OPTION = re.compile(r":header:[ \t]*(.+)")
_HEADER_ROWS = re.compile(r":header-rows:[ \t]*[1-9]")
_FIELD = re.compile(r":(?![: ])[^:`]+:(?=[ \t]|$)")
_BULLET = re.compile(r"[-*+•‣⁃](?=[ \t]|$)")
_ENUMERATOR = re.compile(r"\(?(?:\d{1,9}|#|[a-zA-Z]|[ivxlcdm]{1,8}|[IVXLCDM]{1,8})[.)](?=[ \t]|$)")
_SHORTEST_ADORNMENT = 4
_DEEPEST = 12
_MOST_HEADER_LINES = 40

_DESCRIBING = """
    function method class attribute data exception classmethod staticmethod coroutinefunction coroutinemethod
    decorator decoratormethod property describe object option cmdoption envvar program opcode pdbcommand macro
    type struct member enum enumerator var union concept namespace directive role setting confval
"""
_OBJECTS = frozenset(_DESCRIBING.split())
_QUOTING = """
    code code-block sourcecode literalinclude parsed-literal productionlist doctest testcode testoutput
    testsetup math raw ipython prompt graphviz toctree table mermaid include
"""
_VERBATIM = frozenset(_QUOTING.split())


def rst_blocks(text: str) -> Sequence[Block]:
    """Sections by title, and in them paragraphs, directives, literal blocks, tables and lists."""
    scanner = _Scanner(text)
    return nest(scanner.blocks(0, scanner.total, indent=0)) or (Block(start=0),)


class _Scanner:
    """Walks over lines; every reader is given a block's first line and returns the line after it."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.starts = line_starts(text)
        self.total = len(self.starts) - 1
        self._styles: dict[tuple[str, bool], int] = {}

    def _line(self, number: int) -> str:
        if number >= self.total:
            return ""
        line = self.text[self.starts[number] : self.starts[number + 1]].rstrip()
        return line.expandtabs() if "\t" in line else line

    def blocks(self, first: int, last: int, *, indent: int, depth: int = 0) -> list[Block | Heading]:
        """The blocks of some lines that are indented by *indent* as a whole; titles only at the margin."""
        found: list[Block | Heading] = []
        number = first
        while number < last:
            line = self._line(number)
            if not line:
                number += 1
                continue
            column = len(line) - len(line.lstrip(" "))
            if column > indent:
                literal = _announces_literal(self.text, found[-1] if found else None, self.starts[number])
                found.append(Block(start=self.starts[number], ladder=CODE if literal else PROSE))
                number = self._after_indented(number, last, indent)
                continue
            head = line[column:]
            if not indent and (after := self._title(number, line, found)):
                number = after
            else:
                number = self._body(number, last, head, column, found, depth)
        return found

    def _title(self, number: int, line: str, found: list[Block | Heading]) -> int:
        """Append a heading if one begins here; the line after it, or 0."""
        below = self._line(number + 1)
        over = bool(below) and _is_adornment(line)
        if over:
            mark, title, after = line, below, number + 3
            if self._line(number + 2) != line or _is_adornment(below) or len(mark) < len(title.strip()):
                return 0
        else:
            mark, title, after = below, line, number + 2
            if not _is_adornment(mark) or (len(mark) < len(title) and len(mark) < _SHORTEST_ADORNMENT):
                return 0
        level = self._styles.setdefault((mark[0], over), len(self._styles) + 1)
        start = self.starts[number]
        while found and isinstance(target := found[-1], Block) and self._is_target(target):
            start = target.start
            found.pop()
        found.append(Heading(level, Block(start=start, keep=True), rst_title(title)))
        return after

    def _is_target(self, block: Block) -> bool:
        return block.keep and _TARGET.match(self.text, block.start) is not None

    def _body(
        self, number: int, last: int, head: str, column: int, found: list[Block | Heading], depth: int
    ) -> int:
        start = self.starts[number]
        if head == ".." or head.startswith((".. ", ".. \t")):
            after = self._after_indented(number + 1, last, column)
            found.append(self._explicit(number, after, head, column, depth))
            return after
        if _SIMPLE_BORDER.match(head):
            after = self._after_simple_table(number, last)
            found.append(self._headed(number, after, _SIMPLE_BORDER, column))
            return after
        if _GRID_BORDER.match(head):
            after = self._after_text(number, last)
            found.append(self._headed(number, after, _GRID_HEAD, column))
            return after
        if head.startswith((">>> ", "| ")):
            found.append(Block(start=start, ladder=CODE))
            return self._after_text(number, last)
        if _is_adornment(head) and not self._line(number + 1):
            found.append(Block(start=start, keep=True))
            return number + 1
        if self._item_kind(number, head, column):
            return self._list(number, last, head, column, found)
        after = self._after_text(number, last)
        announces = self._line(after - 1).endswith(":") and self._is_followed_by_detail(after, last, column)
        found += leading_in(self.text, start, self.starts[after]) if announces else (Block(start=start),)
        return after

    def _is_followed_by_detail(self, number: int, last: int, column: int) -> bool:
        """Whether what comes next is what a colon announces: something indented, a list or a directive."""
        while number < last and not self._line(number):
            number += 1
        if number >= last:
            return False
        line = self._line(number)
        head = line.lstrip(" ")
        return (
            len(line) - len(head) > column or head[0] in ".+=>|" or bool(self._item_kind(number, head, column))
        )

    def _after_text(self, number: int, last: int) -> int:
        while number < last and self._line(number):
            number += 1
        return number

    def _after_indented(self, number: int, last: int, indent: int) -> int:
        """The first line from *number* on that is neither blank nor indented deeper than *indent*."""
        while number < last:
            line = self._line(number)
            if line and len(line) - len(line.lstrip(" ")) <= indent:
                break
            number += 1
        return number

    def _after_simple_table(self, number: int, last: int) -> int:
        number += 1
        while number < last:
            if _SIMPLE_BORDER.match(self._line(number).lstrip(" ")) and not self._line(number + 1):
                return number + 1
            number += 1
        return last

    def _headed(self, number: int, after: int, border: re.Pattern[str], column: int) -> Block:
        """A table whose head ends with the first line below the first one that is a *border*."""
        inner = range(number + 1, min(after - 1, number + _MOST_HEADER_LINES))
        until = next((n for n in inner if border.match(self._line(n)[column:])), number)
        above = [self._line(n)[column:] for n in range(number + 1, until)]
        if until == number:
            return Block(start=self.starts[number], ladder=CODE)
        if border is _SIMPLE_BORDER:
            names = ruled_names(self._line(number)[column:], above)
            return headed(self.starts[number], self.starts[until + 1], names)
        borders = (n for n in range(until, after - 1) if _GRID_BORDER.match(self._line(n)[column:]))
        rows = [self.starts[n + 1] for n in borders]
        return headed(self.starts[number], rows[0], grid_names(above), rows=rows)

    def _table_directive(self, number: int, after: int, name: str) -> Block:
        """A csv-table or list-table, its names from the option `header` or from the first row."""
        body = self._after_text(number, after)
        options = [self._line(n).strip() for n in range(number + 1, body)]
        named = next((found[1] for found in map(_HEADER_OPTION.match, options) if found), "")
        first = self._after_blank(body, after)
        if named:
            return headed(self.starts[number], self.starts[first], separated_names(named))
        if not any(map(_HEADER_ROWS.match, options)):
            return Block(start=self.starts[number], ladder=CODE)
        if name == "csv-table":
            until = first + 1
            names = separated_names(self._line(first)) if until < after else ""
            return headed(self.starts[number], self.starts[until], names)
        mark = " " * (len(self._line(first)) - len(self._line(first).lstrip(" "))) + "* "
        rows = [n for n in range(first + 1, after) if self._line(n).startswith(mark)]
        if not rows:
            return Block(start=self.starts[number], ladder=CODE)
        names = listed_names(line for n in range(first, rows[0]) if (line := self._line(n)))
        begins = [self.starts[n] for n in rows]
        return headed(self.starts[number], begins[0], names, rows=begins)

    def _after_blank(self, number: int, last: int) -> int:
        while number < last and not self._line(number):
            number += 1
        return number

    def _item_kind(self, number: int, head: str, column: int) -> str:
        """What kind of list item, field or option begins here; empty if none."""
        if _BULLET.match(head):
            return head[0]
        if _FIELD.match(head):
            return ":"
        found = _ENUMERATOR.match(head)
        if not found:
            return ""
        # "A. Einstein was" begins a paragraph, which the next line tells by standing under the marker.
        below = self._line(number + 1)
        rest = below.lstrip(" ")
        listed = not rest or len(below) - len(rest) > column or _ENUMERATOR.match(rest)
        return found[0][-1] if listed else ""

    def _list(self, number: int, last: int, head: str, column: int, found: list[Block | Heading]) -> int:
        kind = self._item_kind(number, head, column)
        items = [Block(start=self.starts[number])]
        after = self._after_indented(number + 1, last, column)
        while after < last:
            line = self._line(after)
            head = line.lstrip(" ")
            if len(line) - len(head) != column or self._item_kind(after, head, column) != kind:
                break
            items.append(Block(start=self.starts[after]))
            after = self._after_indented(after + 1, last, column)
        found.append(Block(start=self.starts[number], ladder=CODE, parts=lambda: items))
        return after

    def _explicit(self, number: int, after: int, head: str, column: int, depth: int) -> Block:
        """A directive, comment, target, footnote or substitution."""
        start = self.starts[number]
        found = _DIRECTIVE.match(head)
        if found is None:
            return Block(start=start, keep=_TARGET.match(head) is not None)
        name, arguments = found[1], found[2] or ""
        if name in ("csv-table", "list-table"):
            return self._table_directive(number, after, name)
        if name in _VERBATIM:
            return Block(start=start, ladder=CODE)
        if _TARGET.match(head):
            return Block(start=start, keep=True)
        title = shorten(f"{name} {rst_title(arguments)}") if name in _OBJECTS and arguments else None
        parts = partial(self._inside, number, after, column, depth + 1) if depth < _DEEPEST else None
        return Block(start=start, title=title, parts=parts)

    def _inside(self, number: int, after: int, column: int, depth: int) -> Sequence[Block]:
        """The line of a directive with its arguments and options, then its body."""
        body = self._after_text(number, after)
        head = Block(start=self.starts[number], keep=True)
        depths = (len(line) - len(line.lstrip(" ")) for n in range(body, after) if (line := self._line(n)))
        indent = min(depths, default=column)
        if indent <= column:
            return (Block(start=self.starts[number]),)
        return (head, *nest(self.blocks(body, after, indent=indent, depth=depth)))


def _is_adornment(line: str) -> bool:
    return _ADORNMENT.match(line) is not None


def _announces_literal(text: str, before: Block | Heading | None, position: int) -> bool:
    if not isinstance(before, Block):
        return False
    return text[max(before.start, position - 16) : position].rstrip().endswith("::")
