r"""One line of an ignore file, written so that pathspec understands it as git does.

The two differ in what they strip from a line, in bracket expressions (`[[:space:]]`, `[\]]`, `[[]`, some of
which Python's `re` warns about or refuses) and in a trailing `/**/`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

__all__ = ["git_line"]

_POSIX_CLASSES = {
    "alnum": "09AZaz",
    "alpha": "AZaz",
    "blank": "  \t\t",
    "cntrl": "\x00\x1f\x7f\x7f",
    "digit": "09",
    "graph": "!~",
    "lower": "az",
    "print": " ~",
    "punct": "!/:@[`{~",
    "space": "\t\r  ",
    "upper": "AZ",
    "xdigit": "09AFaf",
}
"""Name to first and last character of each range."""

_SPECIAL = frozenset("\\]^[!-")
_BRACKET = re.compile(r"\\.|\[(?P<sign>[!^]?)(?P<set>\]?(?:\[:[a-z]+:\]|\\.|[^\]\\])*)\]", re.DOTALL)
_ITEM = re.compile(
    r"\[:(?P<kind>[a-z]+):\]|(?P<low>\\.|[^\\])(?:-(?P<high>\\.|[^\\\]]))?",
    re.DOTALL,
)


def git_line(line: str) -> str:
    """The pattern for pathspec that says what *line*, without its line feed, says to git.

    Raises:
        ValueError: to git the line matches nothing.
    """
    line = line.removesuffix("\r")
    pattern = line.rstrip(" ")
    backslashes = len(pattern) - len(pattern.rstrip("\\"))
    if backslashes % 2 and pattern != line:
        pattern += " "
    elif pattern != pattern.rstrip():
        # pathspec would strip white space of other kinds.
        pattern = f"{pattern[:-1]}[{pattern[-1]}]"
    if pattern.endswith("/**/"):
        # Directories below, but not the one named: to pathspec both are one.
        pattern = f"{pattern[:-1]}/*/"
    return _BRACKET.sub(_plain_set, pattern)


def _plain_set(found: re.Match[str]) -> str:
    """A bracket expression of single characters and ranges, in an order without a second meaning."""
    if found["set"] is None:
        return found[0]
    ranges = _merged(sorted(_ranges(found["set"])))
    (low, high), *others = ranges
    if low == high and not others and not found["sign"]:
        return f"[{low}]" if low.isspace() else f"\\{low}"
    middle, special = "", set[str]()
    for low, high in ranges:
        first, last = ord(low), ord(high)
        while first <= last and chr(first) in _SPECIAL:
            special.add(chr(first))
            first += 1
        while first <= last and chr(last) in _SPECIAL:
            special.add(chr(last))
            last -= 1
        if first <= last:
            middle += chr(first) if first == last else f"{chr(first)}-{chr(last)}"
    sign = "!" if found["sign"] else ""
    # A bracket that closes is literal in front only, a hyphen there too; a caret, "!" or bracket anywhere else.
    body = "".join(mark for mark in "]-\\" if mark in special)
    body += middle + "".join(mark for mark in "[^!" if mark in special)
    if not sign and body[0] in "[^!":
        raise ValueError(f"{found[0]} cannot be told from a negation")
    return f"[{sign}{body}]"


def _merged(ranges: list[tuple[str, str]]) -> list[tuple[str, str]]:
    merged: list[tuple[str, str]] = []
    for low, high in ranges:
        if merged and ord(low) <= ord(merged[-1][1]) + 1:
            merged[-1] = (merged[-1][0], max(merged[-1][1], high))
        else:
            merged.append((low, high))
    return merged


def _ranges(inside: str) -> Iterator[tuple[str, str]]:
    for item in _ITEM.finditer(inside):
        if item["kind"] is not None:
            ends = _POSIX_CLASSES.get(item["kind"])
            if ends is None:
                raise ValueError(f"there is no character class {item['kind']!r}")
            yield from zip(ends[::2], ends[1::2], strict=True)
            continue
        low = item["low"][-1]
        high = item["high"][-1] if item["high"] else low
        # Git looks at the lower end before it sees that a range follows.
        yield low, max(low, high)
