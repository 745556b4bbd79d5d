"""What is taken from a model's answer as a chunk's context, and what is not."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ragweft.context.identity import words_in

if TYPE_CHECKING:
    from ragweft.generation.values import Stop
    from ragweft.protocols import Tokenizer

__all__ = ["Unfit", "read_context"]

_LONGEST = 20_000
"""Characters of an answer that are looked at."""
_RUN = 5
_MOST_REPEATED = 0.6
"""Share of an answer's runs of five words that may stand in the chunk too. A choice, not measured."""
_FEW_WORDS = 8
_COURTESIES = 3
"""Greetings and labels an answer may begin with."""

_THOUGHT_BEGINS = re.compile(r"<think(?:ing)?>", re.IGNORECASE)
_THOUGHT_ENDS = re.compile(r"</think(?:ing)?>", re.IGNORECASE)
_FENCE = re.compile(r"^[ \t]*(?:```|~~~).*$", re.MULTILINE)
_TAGS = re.compile(r"</?(?:context|answer|response|output|situated_context)>", re.IGNORECASE)
_LABEL = re.compile(
    r"^[*_#\s]*(?:(?:succinct |short |brief |situating |chunk )*context|answer)\b[*_]*\s*:[*_]*\s*",
    re.IGNORECASE,
)
_CHATTER = re.compile(
    r"^(?:(?:sure|certainly|absolutely|of course|okay|ok)[,!.:]|here(?:['’]s| is| are)\b[^\n.]{0,100}?:)\s*",
    re.IGNORECASE,
)
_REFUSAL = re.compile(
    r"^(?:i['’]?m sorry|i am sorry|sorry[,.!]|i apologi[sz]e|as an ai\b|unfortunately, i\b|"
    r"i(?: can(?:no|['’])t|['’]m unable to| am unable to| won['’]t|['’]m not able to| am not able to|"
    r" do not have| don['’]t have| don['’]t see| do not see)\b|"
    r"(?:please provide|could you (?:please )?(?:provide|share)|no (?:document|chunk) (?:was|is) )|"
    r"there is no (?:document|chunk)\b)",
    re.IGNORECASE,
)
_SENTENCE_ENDS = re.compile(r"[.!?…][\"'”’)\]]*(?=\s|$)|[。！？]")
_WORD = re.compile(r"\w+")
_OMITTED = "…"
_QUOTES = {'"': '"', "'": "'", "“": "”", "‘": "’", "«": "»", "„": "“", "「": "」"}


class Unfit(Exception):
    """An answer that is no context; the message says why."""


def read_context(text: str, stop: Stop, *, chunk: str, tokenizer: Tokenizer, max_tokens: int) -> str:
    """The context in an answer, on one line of at most *max_tokens* of *tokenizer*.

    Thoughts, labels, greetings, quotes and markup around it are left out; what is too long or broke off is cut
    after its last whole sentence. *chunk* may be "" where it is not known.

    Raises:
        Unfit: the model refused, said nothing, repeated the chunk, or nothing of it fits.
    """
    if stop == "refused":
        raise Unfit("the model, or a filter before it, refused to answer")
    said = _line(text)
    if _REFUSAL.match(said):
        raise Unfit(f"the model refused: {said[:80]!r}")
    if not any(character.isalnum() for character in said):
        raise Unfit(
            "the model's thoughts left no room for an answer" if stop == "length" else "the answer is empty"
        )
    if chunk and _repeats(said, chunk):
        raise Unfit("the answer repeats the chunk")
    return _within(said, tokenizer, max_tokens, broken=stop == "length")


def _line(text: str) -> str:
    # Some servers send a thought's end without its beginning, and a token limit may cut off the end.
    spoken = _THOUGHT_BEGINS.split(_THOUGHT_ENDS.split(text[-_LONGEST:])[-1])[0]
    bare = _TAGS.sub(" ", _FENCE.sub("", spoken)).strip()
    for _ in range(_COURTESIES):
        bare = _LABEL.sub("", _CHATTER.sub("", bare, count=1), count=1)
    line = " ".join("".join(c if c.isprintable() else " " for c in bare).split()).replace("**", "")
    if len(line) > 1 and _QUOTES.get(line[0]) == line[-1] and line[-1] not in line[1:-1]:
        line = line[1:-1].strip()
    return line


def _repeats(said: str, chunk: str) -> bool:
    """Whether *said* is made of the chunk's own words in the chunk's own order."""
    spoken, own = (_WORD.findall(text.casefold()) for text in (said, chunk))
    if len(spoken) < _FEW_WORDS:
        # A few words, such as a title, may well be the chunk's; all of a short chunk may not.
        return f" {' '.join(spoken)} " == f" {' '.join(own)} " or (
            len(own) > 0 and words_in(said) == words_in(chunk)
        )
    runs = [tuple(spoken[at : at + _RUN]) for at in range(len(spoken) - _RUN + 1)]
    known = {tuple(own[at : at + _RUN]) for at in range(len(own) - _RUN + 1)}
    return sum(run in known for run in runs) > _MOST_REPEATED * len(runs)


def _within(said: str, tokenizer: Tokenizer, limit: int, *, broken: bool) -> str:
    if len(tokenizer.encode(said).ids) <= limit and not broken:
        return said
    kept = said[: _most(said, tokenizer, limit)]
    ends = [found.end() for found in _SENTENCE_ENDS.finditer(kept)]
    if ends and ends[-1] >= len(kept) // 2:
        return kept[: ends[-1]]
    # The mark of omission must fit as well.
    kept = said[: _most(said, tokenizer, limit - len(tokenizer.encode(_OMITTED).ids))]
    broken = broken and kept == said
    whole = kept.rpartition(" ")[0] if broken or not said[len(kept) :].startswith(" ") else kept
    shown = f"{(whole or kept).rstrip()} {_OMITTED}"
    if len(tokenizer.encode(shown).ids) > limit:  # a character may be many tokens
        raise Unfit(f"nothing of the answer fits into {limit} tokens")
    return shown


def _most(said: str, tokenizer: Tokenizer, limit: int) -> int:
    """How many characters of *said*, at least one, have at most *limit* tokens."""
    low, high = 1, len(said)
    while low < high:
        middle = (low + high + 1) // 2
        if len(tokenizer.encode(said[:middle]).ids) <= limit:
            low = middle
        else:
            high = middle - 1
    return low
