"""What the cache keeps, and what it says when it is asked."""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, TypeAlias, get_args

from ragweft.errors import RagweftError
from ragweft.types import digest_of

if TYPE_CHECKING:
    from ragweft.ledger.snapshot import Moment
    from ragweft.types import Json, Metadata, TokenIds, Vector

__all__ = [
    "MEASURES",
    "Cost",
    "Entry",
    "Evidence",
    "Kind",
    "Measure",
    "Scope",
    "Stored",
    "normalised",
    "scope_of",
]

Kind: TypeAlias = Literal["results", "answer"]
"""What an entry holds: rows that a retrieval found, or whatever a program made of them."""

Measure: TypeAlias = Literal["cosine", "mixed", "words"]
"""How the likeness of two questions is told. cosine: of the vectors alone. words: the words in both directions
and their weighed mean, half each. mixed: a quarter each of the cosine and the weighed mean, and half the words
less two standard errors."""
MEASURES: tuple[Measure, ...] = get_args(Measure)

_SPACES = re.compile(r"\s+")
_END = re.compile(r"(?<=\w)\s?[?？]+$|(?<=[^\W\d_]{2})[.。]+$")
_WORDS = """
how what when where who whom whose which why is are was were do does did can could should would has have had in
on at for with without to from the an my our your please if
wie was wann wo wer wen wem welche welcher welches warum ist sind kann können soll muss hat haben gibt der die
das ein eine comment que quel quelle quels quelles quand où qui pourquoi est sont peut le la les un une
cómo qué cuándo dónde quién cuál son puede el los las como quando dove chi quale perché può hoe wat wanneer waar
welke waarom zijn kan de het een onde quem qual são pode os as um uma
"""
_GRAMMAR = frozenset(_WORDS.split())
"""Words a question may begin with and that name nothing, in the languages the gate reads."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """What has to be equal, word for word, before meaning is looked at: nothing crosses it."""

    digest: bytes
    parts: Mapping[str, Json]

    def __str__(self) -> str:
        return ", ".join(f"{name}={json.dumps(part, ensure_ascii=False)}" for name, part in self.parts.items())


def scope_of(parts: Mapping[str, Json]) -> Scope:
    """The scope of these *parts*; their order means nothing, and neither does that of objects inside them.

    Raises:
        RagweftError: a part is not JSON, so that nobody could say whether it is equal tomorrow.
    """
    try:
        said = json.dumps(parts, sort_keys=True, ensure_ascii=False, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise RagweftError(
            f"cache scope {dict(parts)!r}: {error}; give text, numbers, true, false, null, lists and objects"
        ) from None
    return Scope(digest=digest_of(said), parts=json.loads(said))


def normalised(query: str) -> str:
    """*query* as it is compared for being the same.

    Nothing is meant by spaces, by how marks are composed, by the question mark or full stop at its end, and by
    the capital of a first word that is a word of grammar. Case means something everywhere else, and so does
    width: "what is IT" and "what is it" are two questions. Those that differ by no more are near each other in
    meaning, too, and are looked at there.

    Raises:
        RagweftError: it is no text.
    """
    if not isinstance(query, str):
        raise RagweftError(f"cache: the question has to be text, not {type(query).__name__}")
    plain = _SPACES.sub(" ", unicodedata.normalize("NFC", query)).strip()
    plain = _END.sub("", plain).lstrip("¿") or plain
    first, _, rest = plain.partition(" ")
    if rest and first[1:].islower() and first.lower() in _GRAMMAR:
        return f"{first.lower()} {rest}"
    return plain


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What an entry rests on, and what would show that it does no more."""

    rows: tuple[int, ...]
    """Versions of the chunks it was made of: none of them may have died."""
    generation: int
    """Of the ledger, when it was made."""
    committed: float = 0.0
    """When that was committed, as `Moment` says."""
    floors: Mapping[str, float] = field(default_factory=dict[str, float])
    """Leg to the raw score of the last candidate it took: what is new and comes near this would be seen. A leg
    that is not here was exhausted, so that anything new may be seen."""
    legs: tuple[str, ...] = ()
    """The legs that were asked."""
    asked: str = ""
    """What they were asked; a program may have put the question in other words."""
    around: bool = False
    """Whether what stands around the rows in their documents was, or may have been, read, too."""
    k: int = 0
    """Hits they were asked for, if a search for `asked` gives just these rows; 0 where it would not."""
    where: Metadata | None = None
    sources: tuple[str, ...] | None = None
    """URIs that documents lie at or below."""
    tuning: str = ""
    """How the legs were weighed; another balance is another ranking."""
    born: int = 0
    """Rows there had ever been then."""
    living: int = 0
    """Rows that were alive then."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What it took to make an entry, and what a hit saves."""

    ms: float = 0.0
    tokens: int = 0
    usd: float = 0.0

    def __add__(self, other: Cost) -> Cost:
        return Cost(ms=self.ms + other.ms, tokens=self.tokens + other.tokens, usd=self.usd + other.usd)


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One question and what came of it."""

    query: str
    vector: Vector
    """Of the query, of length 1."""
    tokens: TokenIds
    """Of the query, by the static table."""
    payload: bytes
    evidence: Evidence | None
    cost: Cost
    created: float
    """Seconds since 1970."""
    expires: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """An entry as it lies in the store."""

    number: int
    """Never used twice."""
    entry: Entry
    valid_through: Moment
    """The commit up to which its evidence was seen to hold."""
    threshold: float | None = None
    """Below this likeness it is not served; None: as everybody. Feedback raises it."""
