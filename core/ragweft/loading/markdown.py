"""Plain text and code as Markdown: characters that are text, and lines that mean what they meant."""

from __future__ import annotations

import re
from collections.abc import Sequence

__all__ = ["cleaned", "escaped", "fenced", "on_one_line", "table_lines", "tidy_block"]

_LINE_ENDS = re.compile("\r\n?|[\x0b\x0c\x85\u2028\u2029]")
# Neither text nor storable: controls, lone surrogates, non-characters, byte order marks inside a text.
_NO_TEXT = re.compile("[\x00-\x08\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufeff\ufffe\uffff]")
_BLANK = re.compile("[ \t\u00a0]+(?=\n|\\Z)")
_GAP = re.compile("\n{3,}")
# What would be read as Markdown structure when it begins a line.
_STRUCTURE = re.compile(r"^(?=#{1,6}(?:\s|$)|```|~~~|=+[ \t]*$|-+[ \t]*$|>|<[A-Za-z/!?])", re.MULTILINE)
_TICKS = re.compile("`+")


def cleaned(text: str) -> str:
    r"""*text* with ``\n`` for every line end and without what is no text."""
    if text.isascii() and text.isprintable():
        return text
    return _NO_TEXT.sub("", _LINE_ENDS.sub("\n", text))


def on_one_line(text: str) -> str:
    """*text* with single spaces for all white space."""
    return " ".join(cleaned(text).split())


def escaped(text: str) -> str:
    """Plain text as Markdown: lines that only look like headings, fences, quotes or HTML get a backslash."""
    return _STRUCTURE.sub(r"\\", "\n".join(line.strip() for line in text.split("\n")))


def fenced(code: str, language: str = "") -> str:
    """Code as a Markdown block, whatever backticks it holds."""
    longest = max((len(found[0]) for found in _TICKS.finditer(code)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{language}\n{code.rstrip()}\n{fence}"


def table_lines(rows: Sequence[Sequence[str]]) -> list[str]:
    """The lines of a Markdown table whose first row is the header; the second line is the delimiter row.

    Empty cells at the end of a row are left out, as Markdown allows, the header's apart.
    """
    cells = [[on_one_line(cell).replace("|", r"\|") for cell in row] for row in rows]
    for row in cells:
        while row and not row[-1]:
            row.pop()
    width = max(map(len, cells), default=0)
    if not width:
        return []
    cells[0] += [""] * (width - len(cells[0]))
    lines = [f"| {' | '.join(row)} |" for row in cells]
    return [lines[0], f"|{' --- |' * width}", *lines[1:]]


def tidy_block(text: str) -> str:
    """*text* cleaned, without white space at the ends of lines, without gaps of more than one blank line."""
    return _GAP.sub("\n\n", _BLANK.sub("", cleaned(text))).strip("\n")
