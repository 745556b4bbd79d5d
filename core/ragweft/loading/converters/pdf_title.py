"""What a PDF is called: by its properties where they can be believed, else by its largest print.

Properties are the author's own word, and often nobody's: the name of the file, what a program puts there, or
the title of the document this one was made from. So their title counts where the first pages say the same.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from ragweft.loading.markdown import on_one_line

if TYPE_CHECKING:
    from ragweft.loading.converters.pdf_layout import Line

__all__ = ["chosen_title"]

_BEGINNING = 2
"""Pages with text on which a document says what it is called."""
_SAID = 0.5
"""Share of a title's words found there: properties may hold it shortened, or with the series it belongs to."""
_WORD = re.compile(r"[^\W_]+")
_FILE_NAME = re.compile(r"(?:.*\S)?\.[A-Za-z]\w{1,4}|\S*[_/\\]\S*")
_PROGRAMS = re.compile(r"microsoft (?:office )?(?:word|powerpoint|excel|publisher|visio) ?-", re.IGNORECASE)
_NO_TITLE = re.compile(
    r"\(?(?:untitled|unspecified|anonymous|unknown|no title|title|none)\)?(?:\W?\d+)?"
    r"|(?:document|dokument|doc|presentation|slide|layout|book|sheet|workbook)\W{0,2}\d*"
    r"|powerpoint presentation",
    re.IGNORECASE,
)


def chosen_title(properties: str, largest: str | None, pages: Sequence[Sequence[Line]]) -> str | None:
    """The title of a file with these *pages*.

    Args:
        properties: its Title there; may be empty.
        largest: what the largest letters of the first pages say.
        pages: the lines of each.
    """
    said = on_one_line(properties)
    if not _is_title(said):
        return largest
    return said if largest is None or _is_said(said, pages) else largest


def _is_title(said: str) -> bool:
    return (
        any(map(str.isalpha, said))
        and not _FILE_NAME.fullmatch(said)
        and not _PROGRAMS.match(said)
        and not _NO_TITLE.fullmatch(said)
    )


def _is_said(title: str, pages: Sequence[Sequence[Line]]) -> bool:
    first = [lines for lines in pages if lines][:_BEGINNING]
    # Without the spaces: words of some scripts have none between them, and print may part letters.
    letters = "".join(filter(str.isalnum, "".join(line.text for lines in first for line in lines).casefold()))
    words = [word.casefold() for word in _WORD.findall(title)]
    words = [word for word in words if len(word) > 2] or words
    return sum(word in letters for word in words) >= _SAID * len(words)
