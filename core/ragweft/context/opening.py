"""The line a document opens with: what an author says first tells what all of it is about."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from ragweft.types import Document

_LOOKED_AT = 20_000
_FRONT_MATTER_LINES = 400
_LONGEST = 300
_FEWEST_LETTERS = 8

_LICENCE = re.compile(
    r"licen[cs]e|copyright|©|\(c\)|spdx|all rights reserved|warrant(?:y|ies)|-\*-|\bvim?:|\bcoding[:=]|eslint|"
    r"auto-?generated|do not edit|@(?:author|flow|ts-|jsx|file\b)",
    re.IGNORECASE,
)
_PROSE_LICENCE = re.compile(r"(?:the mit |mit |apache )?licen[cs]ed?\b|copyright|©|\(c\)|spdx", re.IGNORECASE)
_DOCSTRING = re.compile(r"\ufeff?(?:[ \t\r]*+(?:#[^\n]*+)?\n)*+[rRuU]?(\"\"\"|'''|\"(?!\")|'(?!'))", re.DOTALL)
_COMMENT = re.compile(
    r"\s*(?://+[/!<]*|/\*+!?|\*+(?!/)|--+|;+|%+|<!--|"
    r"#+(?![!\[]|\s*(?:include|if|ifdef|ifndef|define|undef|endif|else|elif|pragma)\b))"
)
# Code that may stand above the first comment about the file; after anything else comments are about details.
_PRELUDE = re.compile(
    r"\s*(?:import|from|package|use|using|require|include|namespace|module|extern|set|#|<\?|@|"
    r"['\"]use strict|[{}()]|.*\brequire\b)"
)
_COMMENT_END = re.compile(r"\s*(?:\*+/|-->)\s*$")
_ADORNMENT = re.compile(r"\s*([!-/:-@\[-`{-~])\1{2,}\s*$")
_NOT_PROSE = re.compile(
    r"\s*(?:#{1,6}(?:\s|$)|\||<(?!https?:)|\[?!\[|\[[^\]]+\]:|\.\.(?:\s|$)|:[\w -]+:(?:\s|$)|\+[-=+]+\+|"
    r"(?:import|export|from)\s.*['\";]|\{[%{]|:::|>>>|@\w+[({]|(?:[-+*•]|\d{1,3}[.)])\s)"
)
_QUOTE_MARK = re.compile(r"\s*(?:>\s+)+")
_INLINE = re.compile(
    r"!?\[([^\]]*)\](?:\([^)]*\)|\[[^\]]*\])|:[\w:+.-]+:`[!~]?([^`<]+?)\s*(?:<[^`>]*>)?`|"
    r"`([^`<]+?)\s*<[^`>]*>`_{1,2}|(?:`{1,2}|\*{1,3})(?=\S)([^`*]+)(?<=\S)(?:`{1,2}|\*{1,3})_{0,2}"
)
_SENTENCES = (
    re.compile(r".{12,}?[.!?…]['\")\]]?(?=\s+[^\sa-z])"),
    re.compile(r".{4,}?[。！？]"),
)


class Opening(NamedTuple):
    """A sentence and where in the document the paragraph that holds it begins."""

    text: str
    start: int


class _Paragraph(NamedTuple):
    start: int
    lines: list[str]


def opening_line(document: Document) -> Opening | None:
    """The first sentence of prose, or the header row of a table; None if there is none near the begin.

    Headings, lists, licences, shebangs, imports, badges and other markup are passed over. In Python it comes
    from the module's docstring, in other code from the first comment that says something.
    """
    text = document.text[:_LOOKED_AT]
    if document.format == "table":
        return next((Opening(_shortened(row), at) for at, row in _lines(text) if row.strip()), None)
    if document.format == "python":
        found = _DOCSTRING.match(text)
        if not found:
            return _first(_paragraphs(_comments(text)), _LICENCE, document)
        end = text.find(found[1], found.end())
        rows = _lines(text[: end if end >= 0 else len(text)], found.end())
        return _first(_paragraphs(rows), _PROSE_LICENCE, document)
    if document.format == "code":
        return _first(_paragraphs(_comments(text)), _LICENCE, document)
    return _first(_paragraphs(_unfenced(text)), _PROSE_LICENCE, document)


def words_of(text: str) -> str:
    """*text* as the words it is made of, for comparing what was said irrespective of markup."""
    return " ".join(re.findall(r"\w+", text.casefold()))


def _lines(text: str, start: int = 0) -> Iterator[tuple[int, str]]:
    for line in text[start:].splitlines(keepends=True):
        yield start, line
        start += len(line)


def _unfenced(text: str) -> Iterator[tuple[int, str]]:
    """Lines, blank ones in place of front matter and of what stands between code fences."""
    end = _front_matter_end(text)
    fence = ""
    for start, line in _lines(text):
        mark = line.strip()[:3]
        if mark in ("```", "~~~") and fence in ("", mark):
            fence = "" if fence else mark
            yield start, ""
        else:
            yield start, "" if fence or start < end else line


def _front_matter_end(text: str) -> int:
    fence = ""
    for number, (start, line) in enumerate(_lines(text)):
        mark = line.strip("\ufeff \t\r\n")
        if number == 0:
            if mark not in ("---", "+++"):
                return 0
            fence = mark
        elif mark == fence or (mark == "..." and fence == "---"):
            return start + len(line)
        elif number > _FRONT_MATTER_LINES:
            break
    return 0


def _comments(text: str) -> Iterator[tuple[int, str]]:
    """What comment lines say, as far as comments are about the file; blank lines in place of code."""
    inside = False
    for start, line in _lines(text):
        found = _COMMENT.match(line)
        if not found and not inside and line.strip() and not _PRELUDE.match(line):
            return
        said = _COMMENT_END.sub("", line[found.end() if found else 0 :]) if found or inside else ""
        yield start, said
        if "/*" in line and "*/" not in line:
            inside = True
        elif "*/" in line:
            inside = False


def _paragraphs(rows: Iterable[tuple[int, str]]) -> Iterator[_Paragraph]:
    lines: list[str] = []
    begin = 0
    for start, line in rows:
        if line.strip():
            begin = begin if lines else start
            lines.append(line)
        elif lines:
            yield _Paragraph(begin, lines)
            lines = []
    if lines:
        yield _Paragraph(begin, lines)


def _first(paragraphs: Iterable[_Paragraph], licence: re.Pattern[str], document: Document) -> Opening | None:
    title = words_of(document.title or "")
    for start, lines in paragraphs:
        adorned = max((number for number, line in enumerate(lines, 1) if _ADORNMENT.match(line)), default=0)
        said: list[str] = []
        for line in lines[adorned:]:
            if _NOT_PROSE.match(line):
                if said:
                    break
                continue
            said.append(_QUOTE_MARK.sub("", line, count=1))
        text = _shortened(" ".join(said))
        letters = sum(char.isalpha() for char in text)
        if letters < _FEWEST_LETTERS or words_of(text) == title:
            continue
        whole = " ".join(lines)
        if licence.match(text) if licence is _PROSE_LICENCE else licence.search(whole):
            continue
        return Opening(text, start)
    return None


def _shortened(text: str) -> str:
    """The first sentence of *text*, without inline markup, on one line."""
    text = " ".join(
        _INLINE.sub(lambda found: next(filter(None, found.groups()), ""), text[: 4 * _LONGEST]).split()
    )
    text = min((found[0] for pattern in _SENTENCES if (found := pattern.match(text))), key=len, default=text)
    return text if len(text) <= _LONGEST else text[:_LONGEST].rpartition(" ")[0] or text[:_LONGEST]
