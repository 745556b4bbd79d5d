"""What a document calls itself, read from its first few thousand characters."""

from __future__ import annotations

import re
from itertools import pairwise

__all__ = ["find_title", "tidy_title"]

_HEAD = 4_096
_LONGEST = 200

_FRONT_MATTER = re.compile(
    r"\A---[ \t]*\n(?P<body>.*?)^(?:---|\.\.\.)[ \t]*(?:\n|\Z)", re.MULTILINE | re.DOTALL
)
_FRONT_TITLE = re.compile(r"^title:[ \t]*(?P<title>\S.*)$", re.MULTILINE)
_COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)
_ATX = re.compile(r" {0,3}#[ \t]+(?P<title>.*?)(?:[ \t]+#+)?[ \t]*")
_SETEXT = re.compile(r" {0,3}=+[ \t]*")
_FENCE = re.compile(r" {0,3}(?P<mark>`{3,}|~{3,})")
_NOT_A_PARAGRAPH = re.compile(r"(?: {4}|\t| {0,3}(?:[>#|*+-]|\d+[.)]))")
_IMAGE = re.compile(r"!\[[^\]\n]*\](?:\([^)\n]*\)|\[[^\]\n]*\])")
_LINK = re.compile(r"\[([^\]\n]*)\](?:\([^)\n]*\)|\[[^\]\n]*\])")
_TAG = re.compile(r"</?[A-Za-z][^<>\n]*>")

# The characters docutils accepts as section adornment: any printable ASCII punctuation.
_ADORNMENT = re.compile(r"""(?P<mark>[!-/:-@\[-`{-~])(?P=mark){2,}[ \t]*""")
_ROLE = re.compile(r":[\w:+.-]+:`([^`<]*?)(?:\s*<[^`]*>)?`")

_DOCSTRING = re.compile(
    r"""\A(?:[ \t]*(?:\#[^\n]*)?\n)*   # shebang, coding line, licence
        [rRuU]?(?P<quote>\"{3}|'{3}|"|')(?P<body>.*?)(?:(?P=quote)|\Z)""",
    re.VERBOSE | re.DOTALL,
)


def find_title(text: str, written: str) -> str | None:
    """The title of a document of the format *written*, or None if it has none near its beginning.

    Markdown: `title` of the front matter, else the first heading of level one. reStructuredText: the first
    section. Python: the first line of the module's docstring.
    """
    head = text[:_HEAD]
    if "\r" in head:
        head = head.replace("\r\n", "\n").replace("\r", "\n")
    if written == "markdown":
        title = _markdown_title(head)
    elif written == "rst":
        title = _rst_title(head)
    elif written == "python":
        title = _docstring_line(head)
    else:
        return None
    return tidy_title(title)


def tidy_title(title: str) -> str | None:
    """*title* on one line, at most 200 characters; None if nothing is left."""
    words = " ".join(title.split())
    return (words if len(words) <= _LONGEST else words[: _LONGEST - 1].rstrip() + "…") or None


def _markdown_title(head: str) -> str:
    front = _FRONT_MATTER.match(head)
    if front is not None:
        given = _FRONT_TITLE.search(front["body"])
        if given is not None:
            return _unquoted(given["title"].strip())
        head = head[front.end() :]
    head = _COMMENT.sub("", head)
    fence = ""
    paragraph: list[str] = []
    for line in head.split("\n"):
        mark = _FENCE.match(line)
        if mark is not None and (not fence or mark["mark"].startswith(fence)):
            fence = "" if fence else mark["mark"]
            paragraph = []
        elif fence:
            continue
        elif (heading := _ATX.fullmatch(line)) is not None:
            if title := _plain_markdown(heading["title"]):
                return title
            paragraph = []
        elif paragraph and _SETEXT.fullmatch(line):
            return _plain_markdown(" ".join(paragraph))
        elif not line.strip() or (not paragraph and _NOT_A_PARAGRAPH.match(line)):
            paragraph = []
        else:
            paragraph.append(line.strip())
    return ""


def _unquoted(value: str) -> str:
    for quote in "\"'":
        if len(value) > 1 and value[0] == value[-1] == quote:
            return value[1:-1]
    return value


def _plain_markdown(title: str) -> str:
    title = _TAG.sub("", _LINK.sub(r"\1", _IMAGE.sub("", title)))
    return title.replace("`", "").replace("**", "").replace("\\", "").strip()


def _rst_title(head: str) -> str:
    lines = head.split("\n")
    for title, line in pairwise(lines):
        text = title.strip()
        # docutils allows an underline shorter than the title, with a warning, from four characters on.
        if (
            text
            and not title[:1].isspace()
            and _ADORNMENT.fullmatch(line)
            and not _ADORNMENT.fullmatch(title)
            and (len(line.rstrip()) >= min(len(text), 4))
        ):
            return _ROLE.sub(r"\1", text).replace("``", "").replace("`", "")
        if text and _ADORNMENT.fullmatch(title) and line[:1].isspace() and line.strip():
            return _ROLE.sub(r"\1", line.strip()).replace("``", "").replace("`", "")
    return ""


def _docstring_line(head: str) -> str:
    found = _DOCSTRING.match(head)
    if found is None:
        return ""
    body = found["body"]
    return next((line.strip() for line in body.split("\n") if line.strip()), "")
