"""Headings as they are read: without markup, on one line, not too long."""

from __future__ import annotations

import re
from collections.abc import Sequence
from html import unescape
from typing import TypeAlias

_LONGEST = 100
_LONGEST_MARKUP = 500
"""What is looked at: an underlined paragraph of a megabyte is a heading too."""

_Rules: TypeAlias = Sequence[tuple[re.Pattern[str], str]]

_MARKDOWN_CODE = re.compile(r"(`+)(.+?)\1(?!`)")
_MARKDOWN: _Rules = (
    (re.compile(r"!\[([^\]]*)\]\([^)]*\)"), r"\1"),
    (re.compile(r"\[([^\]]*)\](?:\([^)]*\)|\[[^\]]*\])"), r"\1"),
    (re.compile(r"\s*\{[#.:][^}]*\}\s*$"), ""),
    (re.compile(r"<((?:https?|mailto):[^>]*)>"), r"\1"),
    (re.compile(r"</?[A-Za-z][^>]*>"), ""),
    (re.compile(r"(?<!\\)(\*{1,3}|~~)(?=\S)(.+?)(?<=[^\s\\])\1"), r"\2"),
    (re.compile(r"(?<![\\\w])_(?=[^\s_])([^_]*[^\s_])_(?!\w)"), r"\1"),
    # Two underscores are bold only around several words: authors who write __init__ mean the name.
    (re.compile(r"(?<![\\\w])__(?=[^\s_])([^_]*\s[^_]*[^\s_])__(?!\w)"), r"\1"),
    (re.compile(r"\\([!-/:-@\[-`{-~])"), r"\1"),
)
_RST: _Rules = (
    (re.compile(r":[\w:+.-]+:`[!~]?([^`<]+?)\s*(?:<[^`>]*>)?`"), r"\1"),
    (re.compile(r"``(.+?)``"), r"\1"),
    (re.compile(r"`([^`<]+?)\s*(?:<[^`>]*>)?`_{0,2}"), r"\1"),
    (re.compile(r"(?<![\\\w*])(\*\*?)(?=[^\s*])(.+?)(?<=[^\s\\])\1(?!\w)"), r"\2"),
    (re.compile(r"(?<![\w|])\|(?=\S)([^|]+)(?<=\S)\|(?!\w)"), r"\1"),
    (re.compile(r"\\(\S)"), r"\1"),
)


def shorten(title: str) -> str:
    """*title* on one line of at most 100 characters."""
    title = " ".join(title.split())
    return title if len(title) <= _LONGEST else title[: _LONGEST - 1].rstrip() + "…"


def markdown_title(raw: str) -> str:
    """A Markdown heading without markup; what code spans hold is left alone."""
    raw = raw[:_LONGEST_MARKUP]
    said: list[str] = []
    at = 0
    for found in _MARKDOWN_CODE.finditer(raw):
        said += [_rewritten(raw[at : found.start()], _MARKDOWN), found[2].strip()]
        at = found.end()
    said.append(_rewritten(raw[at:], _MARKDOWN))
    return shorten(unescape("".join(said)))


def rst_title(raw: str) -> str:
    """A reStructuredText heading without roles, links and emphasis."""
    return shorten(_rewritten(raw[:_LONGEST_MARKUP], _RST))


def _rewritten(text: str, rules: _Rules) -> str:
    for pattern, replacement in rules:
        text = pattern.sub(replacement, text)
    return text
