"""What kind of answer a question wants."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

from ragweft.caching.reading.wording import kinds

if TYPE_CHECKING:
    from ragweft.caching.reading.wording import Wording

__all__ = ["HOW_OF", "Asked", "asked_by"]

_LEAD_WORDS = 60
"""Words of a text among which its question is looked for."""

_COURTESY = re.compile(
    r"(?:(?:hi|hello|hey|please|pls|plz|kindly|so|and|ok|okay|well|also|but|just|actually) )*(?:"
    r"(?:can|could|would|will) (?:you|u|any(?:one|body)|some(?:one|body)) (?:(?:please|kindly|also) )*"
    r"(?:tell|explain|show|help|let|advise|describe|clarify|inform|give|guide|teach|point|share)\b"
    r"(?: me| us)?(?: to)?(?: know)?(?: out)? ?"
    r"|(?:i|we) (?:(?:would |d )?like|want|wanted|need|wonder|(?:(?:am|m|was) )?(?:trying|wondering))"
    r"(?: (?:to )?(?:know|understand|learn|find out|ask|figure out))?(?: about)? ?"
    r"|(?:do|does) (?:you|anyone|anybody|someone) (?:happen to )?know ?"
    r"|(?:any idea|tell (?:me|us)|explain(?: to me)?|show me|help me(?: to)?(?: understand)?|let me know"
    r"|may i ask|can i ask|i have a question) ?"
    r")*"
)
"""What asks for an answer without saying which."""
_WAY = re.compile(
    r"(?:is|are) there (?:(?:a|an|any|some) )?(?:\w+ )?(?:ways?|methods?|means|tricks?|solutions?)"
    r" (?:to|for|of|i|we)\b"
    r"|what (?:(?:is|are|would be|s) )?(?:(?:the|a|some) )?(?:\w+ )?(?:ways?|steps?|process|procedure|method)\b"
    r"|what (?:do|should|must|can|could) (?:i|we|you|one) do (?:to|in order|if|when|about)"
    r"|what (?:do|should|must|can|could) \w+ need to (?:do )?(?=(?:to|for)\b)"
    r"|in (?:what|which) ways?|by what means"
)
"""How, in other words."""
_POSSIBLE = re.compile(
    r"(?:is it|would it be) (?:(?:ever|still|also) )?(?:possible|allowed|okay|ok|permitted|legal)"
    r"|am i (?:able|allowed)|are (?:we|you) (?:able|allowed)"
)
_NEEDED = re.compile(
    r"(?:is|are) (?:\w+ ){0,3}(?:necessary|required|needed|mandatory|recommended|advisable)"
    r"|(?:do|does) (?:\w+ ){1,3}(?:need|have) to\b|am i (?:required|supposed|obliged)|is there (?:a|any) need"
)

_WHAT_OF = kinds("""
    when: time times date day year month century hours
    where: place location country city address
    who: person
    why: reason reasons
    amount: amount number percentage price cost
    how: way
""")
HOW_OF = kinds("""
    amount: many much viel viele veel
    how long: long lang lange
    how often: often frequently oft vaak
    how far: far weit ver
    how old: old alt oud
    how tall: tall high hoch
    how big: big large groß groot
    how fast: fast quickly
    how soon: soon
    how deep: deep
    how wide: wide
    how heavy: heavy
    how hot: hot
    why: come
""")
"""What the word after "how" makes it ask for."""
_BEFORE_NOUN = frozenset(
    {"is", "are", "was", "were", "the", "a", "an", "would", "could", "be", "s", "exact", "exactly", "main"}
)
_CONJUNCTIONS = frozenset({"when", "where", "who", "whom", "whose", "which"})


class Asked(NamedTuple):
    """*kind*: "who", "how long", "yes-no", …, or "" where no question can be seen.

    *force* of a yes-no question: "can", "must", "exists" or "any"; of one for who or what: "subject", "object".
    """

    kind: str
    force: str


def asked_by(words: Sequence[tuple[str, int]], wording: Wording, *, marked: bool) -> Asked:
    """The kind of question that *words* are: each in lower case, with the pause before it (2 a full stop).

    *marked* by a question mark, also a later clause may be one that begins as a relative clause would.
    """
    best = Asked("", "")
    if wording.language != "english":
        return _elsewhere(words[:_LEAD_WORDS], wording)
    for clause, opens in _clauses(words[:_LEAD_WORDS]):
        if not (opens or marked) and clause[0] in _CONJUNCTIONS:
            continue  # ", which then …"
        text = " ".join(clause)
        text = text[_COURTESY.match(text).end() :]  # type: ignore[union-attr]  # it matches the empty text
        asked = _english(text, wording, opens=opens or marked)
        if asked.kind and (not best.kind or asked.kind != "yes-no"):
            best = asked
            if best.kind != "yes-no":
                break
    return best


def _clauses(words: Sequence[tuple[str, int]]) -> Iterator[tuple[list[str], bool]]:
    """The clauses of a text, and whether each opens a sentence."""
    clause: list[str] = []
    opens = True
    for word, pause in words:
        if pause and clause:
            yield clause, opens
            clause = []
        opens = pause == 2 if not clause else opens
        clause.append(word)
    if clause:
        yield clause, opens


def _english(text: str, wording: Wording, *, opens: bool) -> Asked:
    words = text.split()
    if _WAY.match(text):
        return Asked("how", "")
    if words[:1] == ["whether"]:
        return Asked("yes-no", "any")
    if len(words) > 1 and words[0] in wording.yes_no and (opens or words[1] in wording.persons):
        return Asked("yes-no", _force(text, words, wording))
    for place, word in enumerate(words):
        kind = wording.asks.get(word)
        if kind is None or (place > opens and not _inverted(words, place, wording)):
            continue
        after = words[place + 1 : place + 7]
        if word in {"when", "where"} and after and len(words) > 3 and not wording.yes_no.keys() & after[:1]:
            continue  # "When my card is lost, …"
        if kind == "how":
            return Asked(next((HOW_OF[following] for following in after[:1] if following in HOW_OF), "how"), "")
        if kind in {"what", "which"}:
            return Asked(_what(after), _role(after, wording) if kind == "what" else "")
        return Asked(kind, _role(after, wording) if kind == "who" else "")
    return Asked("", "")


def _force(text: str, words: Sequence[str], wording: Wording) -> str:
    if _POSSIBLE.match(text):
        return "can"
    if _NEEDED.match(text):
        return "must"
    return "exists" if words[1] == "there" else wording.yes_no[words[0]]


def _role(after: Sequence[str], wording: Wording) -> str:
    """Whether "who" and "what" ask for the doer ("who saw Anna") or for the other ("who did Anna see")."""
    if not after:
        return ""
    if after[0] in {"do", "does", "did"}:
        return "object"
    return "" if after[0] in wording.yes_no or after[0] in wording.determiners else "subject"


def _what(after: Sequence[str]) -> str:
    nouns = [word for word in after if word not in _BEFORE_NOUN]
    return _WHAT_OF.get(nouns[0], "what") if nouns else "what"


def _inverted(words: Sequence[str], place: int, wording: Wording) -> bool:
    """Whether the question word at *place* opens a question rather than a subordinate clause."""
    if place and words[place] in _CONJUNCTIONS:
        return False  # "one of which is …"
    return any(word in wording.yes_no or word == "to" for word in words[place + 1 : place + 4])


def _elsewhere(words: Sequence[tuple[str, int]], wording: Wording) -> Asked:
    """Languages whose question words are seldom conjunctions: the first one near the beginning of a clause."""
    found = Asked("", "")
    if any(word == "por" and following in {"qué", "que"} for (word, _), (following, _) in pairwise(words)):
        return Asked("why", "")
    since = 0
    for place, (word, pause) in enumerate(words):
        since = 0 if pause else since + 1
        if not found.kind and since == 0 and word in wording.yes_no and place + 1 < len(words):
            found = Asked("yes-no", wording.yes_no[word])
        if since <= 2 and word in wording.asks:
            kind = wording.asks[word]
            if kind == "how" and place + 1 < len(words):
                kind = HOW_OF.get(words[place + 1][0], kind)
            if word in {"que", "che", "qu", "qui"} and since:
                continue
            return Asked("what" if kind == "which" else kind, "")
    return found
