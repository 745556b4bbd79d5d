"""When a context that was paid for may be used again.

A context is kept by the model and prompt that made it, by its document, and by what stands around its chunk. It
is used again for a chunk when

1. the chunk, the document's title, the headings above it and `REACH` characters of text before and after it are
   to the letter what they were, and
2. every word the context took from the document still stands somewhere in the document, whatever else has
   changed there.

So an edit has the edited chunk made anew and its neighbours, up to the reach, and beyond that every chunk whose
context speaks of what the edit took out of the document: a figure that was corrected, a name that is no more. A
line changed in a document of three hundred chunks pays for a handful. Text that is only added, far away,
changes no context; it might have made a better one, but the one there is says nothing wrong. The first rule
alone would keep "figures of the second quarter" in a document that lost the word; the second alone would not
see that a sentence next to the chunk was turned round.

Rules are applied within one document; a document of another name with the same text (a file that was moved) has
the same contexts. Two documents that merely share a passage never do.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ragweft.types import digest_of

if TYPE_CHECKING:
    from ragweft.types import Chunk, Document

__all__ = ["REACH", "nearness", "still_said", "unsaid", "words_in"]

REACH = 500
"""Characters on either side of a chunk that its context may rest on word by word. A choice, not measured: about
a paragraph."""

_WORD = re.compile(r"[぀-ヿ㐀-鿿豈-﫿]|[가-힣]+|[^\W_぀-ヿ㐀-鿿豈-﫿가-힣]+")
"""A word is a run of letters or digits; of scripts that are written without blanks, one character."""
_RULES = "near/1"


def nearness(document: Document, chunk: Chunk, start: int) -> bytes:
    """Digest of *chunk*, which begins at *start*, and of what stands around it: the first rule."""
    end = start + len(chunk.text)
    return digest_of(
        _RULES,
        document.title or "",
        "\x1f".join(chunk.headings),
        document.text[max(0, start - REACH) : start],
        chunk.text,
        document.text[end : end + REACH],
    )


def words_in(text: str) -> frozenset[str]:
    """The words of *text*, without regard to case."""
    return frozenset(_WORD.findall(text.casefold()))


def unsaid(context: str, said: frozenset[str]) -> frozenset[str]:
    """The words of *context* that are its writer's own: not among those *said* in the document."""
    return words_in(context) - said


def still_said(context: str, own: frozenset[str], said: frozenset[str]) -> bool:
    """Whether all of *context* but its writer's *own* words is *said* in the document: the second rule."""
    return words_in(context) - own <= said
