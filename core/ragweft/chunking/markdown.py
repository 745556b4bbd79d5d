"""Markdown to blocks: the part of CommonMark that decides where blocks begin, front matter and GFM tables.

Inline markup is looked at in headings only. Held against markdown-it-py in the tests.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Literal

from ragweft.chunking.blocks import Block, Heading, leading_in, line_starts, nest
from ragweft.chunking.separators import CODE, PROSE
from ragweft.chunking.tables import headed, pipe_names
from ragweft.chunking.titles import markdown_title

_HEADING = re.compile(r" {0,3}(#{1,6})(?:[ \t]+(.*))?$")
_CLOSING_HASHES = re.compile(r"(?:^|[ \t]+)#+[ \t]*$")
_SETEXT = re.compile(r" {0,3}(=+|-+)[ \t]*$")
_RULE = re.compile(r" {0,3}([-*_])[ \t]*(?:\1[ \t]*){2,}$")
_FENCE = re.compile(r" {0,3}(`{3,}(?=[^`]*$)|~{3,})")
_QUOTE = re.compile(r" {0,3}>")
_MARKER = re.compile(r"( *)([-+*]|\d{1,9}[.)])(?:([ \t]+)(?=\S)|[ \t]*$)")
_NESTED = re.compile(r"(?:[ \t]*(?:[-+*]|\d{1,9}[.)])(?:[ \t]+|$)|[ \t]*>[ \t]?)*+")
_DELIMITER_ROW = re.compile(r" {0,3}\|?[ \t]*+:?-++:?[ \t]*+(?:\|[ \t]*+:?-++:?[ \t]*+)*+\|?$")
_CELL_END = re.compile(r"(?<!\\)\|")
_FRONT_MATTER_LINES = 400
_LONGEST_TITLE = 500

_HTML_TAGS = (
    "address|article|aside|base|basefont|blockquote|body|caption|center|col|colgroup|dd|details|dialog|dir|div|dl|dt|"
    "fieldset|figcaption|figure|footer|form|frame|frameset|h[1-6]|head|header|hr|html|iframe|legend|li|link|main|"
    "menu|menuitem|nav|noframes|ol|optgroup|option|p|param|search|section|summary|table|tbody|td|tfoot|th|thead|"
    "title|tr|track|ul"
)
# Begin and end of the seven kinds of HTML block in CommonMark 0.31 §4.6; None: ends at a blank line.
_HTML: Sequence[tuple[re.Pattern[str], re.Pattern[str] | None]] = (
    (
        re.compile(r"<(?:script|pre|style|textarea)(?:\s|>|$)", re.IGNORECASE),
        re.compile(r"</(?:script|pre|style|textarea)>", re.IGNORECASE),
    ),
    (re.compile(r"<!--"), re.compile(r"-->")),
    (re.compile(r"<\?"), re.compile(r"\?>")),
    (re.compile(r"<![A-Za-z]"), re.compile(r">")),
    (re.compile(r"<!\[CDATA\["), re.compile(r"\]\]>")),
    (re.compile(rf"</?(?:{_HTML_TAGS})(?:\s|/?>|$)", re.IGNORECASE), None),
)
_HTML_ALONE = re.compile(
    r"(?:<[A-Za-z][\w-]*(?:\s+[A-Za-z_:][\w.:-]*(?:\s*=\s*(?:[^\s\"'=<>`]+|'[^']*'|\"[^\"]*\"))?)*\s*/?>"
    r"|</[A-Za-z][\w-]*\s*>)\s*$"
)


def markdown_blocks(text: str) -> Sequence[Block]:
    """Sections by heading, and in them paragraphs, lists, tables, quotes, code and HTML."""
    return nest(_Scanner(text).blocks())


def page_blocks(text: str) -> Sequence[Block]:
    """The same of Markdown made of a web page: its tables may have blank lines where its source goes on."""
    return nest(_Scanner(text, spread=True).blocks())


class _Scanner:
    """Walks over the lines once; every reader is given a block's first line and returns the line after it."""

    def __init__(self, text: str, *, spread: bool = False) -> None:
        """*spread*: blank lines do not end a table."""
        self.spread = spread
        self.text = text
        self.starts = line_starts(text)
        self.total = len(self.starts) - 1
        self.found: list[Block | Heading] = []

    def line(self, number: int) -> str:
        """A line without its end, tabs in its indentation widened; empty when blank or past the last one."""
        if number >= self.total:
            return ""
        line = self.text[self.starts[number] : self.starts[number + 1]].rstrip()
        return line.expandtabs(4) if "\t" in line else line

    def blocks(self) -> Sequence[Block | Heading]:
        """Everything in order, headings not yet nested."""
        number = self._front_matter()
        while number < self.total:
            line = self.line(number)
            number = self._block(number, line) if line else number + 1
        return self.found or [Block(start=0)]

    def _block(self, number: int, line: str) -> int:
        head = line.lstrip(" ")
        if len(line) - len(head) >= 4:
            return self._indented_code(number)
        first = head[0]
        reader: Callable[[int, str], int] | None = None
        if not (first.isalpha() or first in "([!"):
            reader = self._reader(line, first)
        if reader is None and self._is_table(number, line):
            reader = self._table
        return (reader or self._paragraph)(number, line)

    def _reader(self, line: str, first: str) -> Callable[[int, str], int] | None:
        """What reads a block that begins with this line; None for a paragraph or a table."""
        if first == "#" and _HEADING.match(line):
            return self._heading
        if first in "`~" and _FENCE.match(line):
            return self._fence
        if first == ">":
            return self._quote
        if first in "-*_" and _RULE.match(line):
            return self._rule
        if (first in "-+*" or first.isdigit()) and _MARKER.match(line):
            return self._list
        if first == "<" and (_html_end(line) is not False or _HTML_ALONE.match(line.lstrip())):
            return self._html
        return None

    def _add(self, number: int, block: Block) -> None:
        """Append a block; the last sentence of a paragraph that leads in to it wants to stay with it."""
        before = self.found[-1] if self.found else None
        at = self.starts[number]
        if isinstance(before, Block) and before.ladder is PROSE and not (before.parts or before.keep):
            directly = self.line(number - 1) != ""
            if directly or self.text[max(before.start, at - 8) : at].rstrip().endswith((":", "：")):
                self.found[-1:] = leading_in(self.text, before.start, at)
        self.found.append(block)

    def _front_matter(self) -> int:
        fence = self.line(0)
        if fence not in ("---", "+++") or not self.line(1):
            return 0
        closing = ("---", "...") if fence == "---" else ("+++",)
        assigned = ":" if fence == "---" else "="
        for number in range(1, min(self.total, _FRONT_MATTER_LINES)):
            if self.line(number) in closing:
                if assigned not in self.text[self.starts[1] : self.starts[number]]:
                    return 0
                self.found.append(Block(start=0, ladder=CODE, keep=True))
                return number + 1
        return 0

    def _heading(self, number: int, line: str) -> int:
        found = _HEADING.match(line)
        hashes, title = (found[1], found[2] or "") if found else ("#", line)
        self._section(number, len(hashes), _CLOSING_HASHES.sub("", title[:_LONGEST_TITLE]))
        return number + 1

    def _section(self, number: int, level: int, title: str) -> None:
        block = Block(start=self.starts[number], keep=True)
        self.found.append(Heading(level, block, markdown_title(title)))

    def _rule(self, number: int, line: str) -> int:  # noqa: ARG002 (a reader)
        self.found.append(Block(start=self.starts[number], keep=True))
        return number + 1

    def _indented_code(self, number: int) -> int:
        self._add(number, Block(start=self.starts[number], ladder=CODE))
        number += 1
        while number < self.total:
            line = self.line(number)
            if line and not line.startswith("    "):
                break
            number += 1
        return number

    def _fence(self, number: int, line: str) -> int:
        self._add(number, Block(start=self.starts[number], ladder=CODE))
        found = _FENCE.match(line)
        mark = found[1] if found else "```"
        number += 1
        while number < self.total and not _closes(self.line(number), mark):
            number += 1
        return number + 1

    def _html(self, number: int, line: str) -> int:
        self.found.append(Block(start=self.starts[number]))
        end = _html_end(line)
        if not end:
            while self.line(number):
                number += 1
            return number
        while number < self.total and not end.search(self.line(number)):
            number += 1
        return number + 1

    def _is_table(self, number: int, line: str) -> bool:
        if "|" not in line:
            return False
        below = self.line(number + 1)
        return (
            ("|" in below or ":" in below)
            and _DELIMITER_ROW.match(below) is not None
            and _cells(line) == _cells(below)
        )

    def _table(self, number: int, line: str) -> int:
        self._add(number, headed(self.starts[number], self.starts[number + 2], pipe_names(line)))
        number += 2
        while number < self.total:
            line = self.line(number)
            if not line:
                following = self._next_row(number) if self.spread else 0
                if not following:
                    break
                number = following
                continue
            if line.startswith("    ") or self._interrupts(line) or _MARKER.match(line.lstrip(" ")):
                break
            number += 1
        return number

    def _next_row(self, number: int) -> int:
        """The row that goes on with a table after blank lines from *number* on; 0 if none does."""
        while number < self.total and not self.line(number):
            number += 1
        line = self.line(number) if number < self.total else ""
        row = line.startswith("| ") and line.endswith(" |") and not self._is_table(number, line)
        return number if row else 0

    def _interrupts(self, line: str) -> bool:
        """Whether a line ends the paragraph before it."""
        head = line.lstrip(" ")
        first = head[:1]
        if first.isalpha() or len(line) - len(head) >= 4 or not first:
            return False
        if first == "<":
            return _html_end(line) is not False
        reader = self._reader(line, first)
        if reader == self._list:
            # Only a list that has text, and begins with 1, may follow without a blank line.
            found = _MARKER.match(line)
            return bool(found and found[3] and found[2] in ("-", "+", "*", "1.", "1)"))
        return reader is not None

    def _paragraph(self, number: int, line: str) -> int:
        first = number
        number += 1
        while line := self.line(number):
            if _SETEXT.match(line):
                title = self.text[self.starts[first] : self.starts[number]]
                self._section(first, 1 if "=" in line else 2, title)
                return number + 1
            if self._interrupts(line) or self._is_table(number, line):
                break
            number += 1
        self.found.append(Block(start=self.starts[first]))
        return number

    def _quote(self, number: int, line: str) -> int:
        self.found.append(Block(start=self.starts[number]))
        fence = ""
        while line:
            if _QUOTE.match(line):
                fence = _fence_after(line, fence)
            elif fence or not self._continues_lazily(number, line):
                break
            number += 1
            line = self.line(number)
        return number

    def _continues_lazily(self, number: int, line: str) -> bool:
        """Whether a line without marker or indentation goes on with the paragraph inside a quote or list."""
        before = self.line(number - 1)
        inside = before[_end_of_markers(before) :].lstrip(" ")
        if not inside or _HEADING.match(inside) or _RULE.match(inside) or _FENCE.match(inside):
            return False
        head = line.lstrip(" ")
        if len(line) - len(head) >= 4:
            return True
        reader = self._reader(line, head[0]) if not head[0].isalpha() else None
        return reader is None or (reader == self._html and _html_end(line) is False)

    def _list(self, number: int, line: str) -> int:
        first, items = number, [number]
        kind, indent = _item(line, blank_after=not self.line(number + 1))
        fence, after_blank, code = _fence_after(line, ""), False, False
        number += 1
        while number < self.total:
            line = self.line(number)
            if not line:
                after_blank = True
                number += 1
                continue
            column = len(line) - len(line.lstrip(" "))
            if column >= indent:
                fence = _fence_after(line, fence)
                code = column >= indent + 4 and (after_blank or code)
            elif self._is_sibling(line, kind):
                items.append(number)
                kind, indent = _item(line, blank_after=not self.line(number + 1))
                fence, code = _fence_after(line, ""), False
            elif after_blank or fence or code or not self._continues_lazily(number, line):
                break
            after_blank = False
            number += 1
        parts = [Block(start=self.starts[item]) for item in items]
        self._add(first, Block(start=self.starts[first], ladder=CODE, parts=lambda: parts))
        return number

    def _is_sibling(self, line: str, kind: str) -> bool:
        found = _MARKER.match(line)
        return bool(found and len(found[1]) < 4 and found[2][-1] == kind and not _RULE.match(line))


def _html_end(line: str) -> re.Pattern[str] | None | Literal[False]:
    """What ends the HTML block that begins with this line, inside a paragraph too.

    None: a blank line does. False: it begins none.
    """
    head = line.lstrip(" ")
    for begin, end in _HTML:
        if begin.match(head):
            return end
    return False


def _closes(line: str, mark: str) -> bool:
    head = line.lstrip(" ")
    return len(line) - len(head) < 4 and head.startswith(mark) and not head.strip(mark[0])


def _end_of_markers(line: str) -> int:
    found = _NESTED.match(line)
    return found.end() if found else 0


def _fence_after(line: str, fence: str) -> str:
    """The mark of the fence that is open after a line inside a list item or quote, or nothing."""
    inside = line[_end_of_markers(line) :].strip()
    if fence:
        return "" if inside.startswith(fence) and not inside.strip(fence[0]) else fence
    found = _FENCE.match(inside)
    return found[1] if found else ""


def _item(line: str, *, blank_after: bool) -> tuple[str, int]:
    """The kind of a list (last character of its marker) and how far the text of this item is indented."""
    found = _MARKER.match(line)
    if found is None:
        return "-", 2
    width = len(found[1]) + len(found[2])
    if found[3] is None:
        return found[2][-1], (len(line) + 10**6 if blank_after else width + 1)
    return found[2][-1], width + (len(found[3]) if len(found[3]) <= 4 else 1)


def _cells(line: str) -> int:
    """How many cells a row of a table has."""
    row = line.strip()
    count = len(_CELL_END.findall(row)) + 1
    return count - row.startswith("|") - (row.endswith("|") and not row.endswith("\\|") and len(row) > 1)
