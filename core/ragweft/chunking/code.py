"""Other languages to blocks, by indentation and blank lines; light patterns find the definitions."""

from __future__ import annotations

import re
from array import array
from collections.abc import Sequence
from functools import partial

from ragweft.chunking.blocks import Block, line_starts
from ragweft.chunking.separators import CODE
from ragweft.chunking.titles import shorten

_BLANK = -1
_TAB = 4
_HEAD_LINES = 12
_LONGEST_HEAD = 300

_ROW = re.compile(r"([ \t]*)(\S?)")
_CLOSES = re.compile(r"[\])}]|</|(?:end|endif|endfunction|fi|done|esac)\b")
_GOES_ON = re.compile(r"\{|(?:then|do|else|elif|elsif|elseif|except|finally|catch|rescue|ensure|when)\b")
# Preprocessor lines and access labels are put at the margin without ending the body around them.
_AT_MARGIN = re.compile(
    r"#\s*(?:if|ifdef|ifndef|else|elif|endif|define|undef|pragma|include)\b"
    r"|(?:public|private|protected|signals|default)\s*(?:slots\s*)?:"
)
_COMMENT = re.compile(r"//|/\*|\*|#(?!\[)|--|;|%|<!--")

_DEFINITION = re.compile(
    r"(?:[\w@()]+\s+){0,6}?"
    r"(?:class|interface|struct|enum|trait|impl|module|namespace|object|protocol|union|record|func|function|fn|def|"
    r"defp|defmodule|fun|sub|proc|type|mod|extension|contract|macro_rules!|resource)\b[\s(*&<]+[\w(\"'~\[]"
)
_ASSIGNED_FUNCTION = re.compile(
    r"(?:\w+\s+){0,3}[\w.$]+\s*(?:<-|[:=])\s*(?:async\s+)?(?:function\b|\([^()]*\)\s*=>|\w+\s*=>)"
)
_CALLABLE = re.compile(r"[\w:<>,*&\[\]~.@?$#]+(?:\s+[\w:<>,*&\[\]~.@?$#]+){0,8}\s*\(")
_CONTROL = re.compile(
    r"(?:if|for|foreach|while|switch|return|else|do|try|catch|with|using|lock|match|case(?!\s+(?:class|object)\b)|"
    r"throw|new|await|yield|assert|defer|go|select|unless|until|when|synchronized|and|or|not|in|echo|print)\b"
)
_OPENS_BODY = re.compile(r"\s*(?:\{|=>\s*\{|:|,|\bdo|\bthen|=)?\s*$")


def code_blocks(text: str) -> Sequence[Block]:
    """Runs of lines set apart by blank lines or by the end of an indented body, nested by indentation."""
    source = _Source(text)
    return source.region(0, len(source.indents), outside=_BLANK) or (Block(start=0, ladder=CODE),)


class _Source:
    """Lines with the width of their indentation; -1 for blank ones."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.starts = line_starts(text)
        self.indents: array[int] = array("i")
        before = 0
        for start in self.starts[:-1]:
            indent = self._indent(start, before)
            self.indents.append(indent)
            before = indent if indent >= 0 else before

    def _indent(self, start: int, before: int) -> int:
        found = _ROW.match(self.text, start)
        if found is None or not found[2]:
            return _BLANK
        space = found[1]
        if not space and before and found[2] in "#psd" and _AT_MARGIN.match(self.text, start):
            return before
        return len(space) if "\t" not in space else len(space.expandtabs(_TAB))

    def _line(self, number: int) -> str:
        start = self.starts[number]
        return self.text[start : min(self.starts[number + 1], start + _LONGEST_HEAD)].strip()

    def region(self, first: int, last: int, *, outside: int) -> list[Block]:
        """The blocks of some lines: a line indented as little as any, deeper than *outside*, may begin one."""
        indents = self.indents
        base = min((indent for indent in indents[first:last] if indent > outside), default=_BLANK)
        found: list[Block] = []
        begin, body = -1, -1
        blank = deeper = closed = False
        for number in range(first, last):
            indent = indents[number]
            if indent < 0:
                blank = True
                continue
            line = ""
            if indent <= base and (blank or deeper or closed):
                line = self._line(number)
                if begin >= 0 and not _CLOSES.match(line) and not _GOES_ON.match(line):
                    found.append(self._block(begin, body, number, base))
                    begin, body = number, -1
            closed = indent <= base and deeper and _CLOSES.match(line) is not None
            begin = number if begin < 0 else begin
            deeper, blank = indent > base, False
            if deeper and body < 0:
                body = number
        if begin >= 0:
            found.append(self._block(begin, body, last, base))
        return found

    def _block(self, begin: int, body: int, end: int, base: int) -> Block:
        """A block of lines *begin* to *end*, the first deeper one of which is *body* (-1: none)."""
        start = self.starts[begin]
        if body < 0 or body == begin:
            keep = _COMMENT.match(self._line(begin)) is not None and end - begin <= _HEAD_LINES
            return Block(start=start, ladder=CODE, keep=keep and self._is_comment(begin, end))
        return Block(
            start=start,
            ladder=CODE,
            title=self._title(begin, body, end),
            parts=partial(self._inside, begin, body, end, base),
        )

    def _is_comment(self, begin: int, end: int) -> bool:
        return all(self.indents[n] < 0 or _COMMENT.match(self._line(n)) for n in range(begin, end))

    def _inside(self, begin: int, body: int, end: int, base: int) -> list[Block]:
        head = Block(start=self.starts[begin], ladder=CODE, keep=True)
        return [head, *self.region(body, end, outside=base)]

    def _title(self, begin: int, body: int, end: int) -> str | None:
        """The definition a block's body belongs to: the last line above the body that looks like one."""
        for number in range(body - 1, max(begin, body - _HEAD_LINES) - 1, -1):
            line = self._line(number)
            if not line or _COMMENT.match(line) or _CONTROL.match(line):
                continue
            is_named = _DEFINITION.match(line) or _ASSIGNED_FUNCTION.match(line)
            if not is_named and not _CALLABLE.match(line):
                continue
            signature = self._signature(number, end)
            if is_named or signature.endswith("{"):
                return shorten(_OPENS_BODY.sub("", signature))
        return None

    def _signature(self, first: int, end: int) -> str:
        """A definition with the lines it was wrapped over, and the brace that opens its body, if any."""
        found = self._line(first)
        open_brackets = found.count("(") - found.count(")")
        for number in range(first + 1, min(end, first + _HEAD_LINES)):
            line = self._line(number)
            if open_brackets <= 0 and (line != "{" or found.endswith("{")):
                break
            found = f"{found}{'' if found.endswith('(') or line.startswith(')') else ' '}{line}"
            open_brackets += line.count("(") - line.count(")")
        return found
