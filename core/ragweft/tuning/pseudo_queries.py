"""Questions a corpus asks itself: what an author wrote *about* a passage, taken out of it and asked for it.

A title says in other words what its text says; so does a docstring of its code, or a comment. With that line
masked, a leg that finds the passage again has understood something. First sentences of prose will not do: what
follows them goes on without repeating their words, where people's questions share some with the answer: they
overrate meaning.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ragweft.types import joined

if TYPE_CHECKING:
    from ragweft.ledger.snapshot import StoredChunk

__all__ = ["PseudoQuery", "pseudo_query", "says"]

_FEWEST_TERMS, _MOST_TERMS = 3, 25
"""Of a question; shorter ones are names of many things, longer ones no questions."""
_FEWEST_LEFT = 8
"""Terms a passage must keep once the question is taken out of it."""

_DOCSTRING = re.compile(r"(\"\"\"|''')\s*(.+?)(?:\n\s*\n|\n\s*[:@]|\1)", re.DOTALL)
_COMMENT = re.compile(r"(?:^[ \t]*(?://+[/!]?|#+|\*|/\*+|--+(?=[ \t]))[ \t]?.*\n?)+", re.MULTILINE)
_COMMENT_MARK = re.compile(r"^[ \t]*(?://+[/!]?|#+|\*+/?|/\*+|--+|;+|%+)[ \t]?", re.MULTILINE)
_COMMENT_END = re.compile(r"\*+/\s*$")
_SENTENCE_END = re.compile(r"(?<=[.!?])\s+(?=[^\sa-z])|(?<=[。！？])|\n\s*\n")

Terms = Callable[[str], Sequence[str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class PseudoQuery:
    """A question with the passage it was taken from."""

    row: int
    document_id: str
    text: str
    """The question."""
    masked_context: str
    masked_text: str
    """The passage without the question."""
    context_last: bool

    @property
    def masked(self) -> str:
        """What would be indexed of the masked passage."""
        return joined(self.masked_context, self.masked_text, last=self.context_last)


def pseudo_query(stored: StoredChunk, *, terms: Terms, alone: bool) -> PseudoQuery | None:
    """The question a chunk yields, or None; *terms* are those the lexical leg counts.

    A title is a question for its passage only where the passage is *alone* in its document: asked for one of
    many, it asks for a subject, which meaning knows better than it knows passages.
    """
    for raw, context, text in _lines_about(stored, alone):
        question = " ".join(_COMMENT_MARK.sub("", _COMMENT_END.sub("", raw)).split())
        question = _SENTENCE_END.split(question)[0].strip()
        found = _FEWEST_TERMS <= len(set(terms(question))) <= _MOST_TERMS
        if not found or len(terms(text)) < _FEWEST_LEFT:
            continue
        query = PseudoQuery(
            row=stored.row,
            document_id=stored.chunk.document_id,
            text=question,
            masked_context=context,
            masked_text=text,
            context_last=stored.chunk.context_last,
        )
        # A line that is said twice, such as a title the text begins with, would answer itself.
        if not says(query.masked, question):
            return query
    return None


def says(text: str, question: str) -> bool:
    """Whether *text* holds *question* word for word, whatever the case and the line breaks."""
    return " ".join(question.split()).casefold() in " ".join(text.split()).casefold()


def _lines_about(stored: StoredChunk, alone: bool) -> Iterator[tuple[str, str, str]]:
    """What may serve as a question, best first, each with the context and text left without it."""
    chunk = stored.chunk
    if alone and chunk.context and "\n" not in chunk.context.strip():
        yield chunk.context, "", chunk.text
    elif alone and stored.title:
        yield stored.title, "", chunk.text
    for pattern, group in ((_DOCSTRING, 2), (_COMMENT, 0)):
        found = pattern.search(chunk.text)
        if found:
            yield found[group], chunk.context, chunk.text.replace(found[group], " ", 1)
