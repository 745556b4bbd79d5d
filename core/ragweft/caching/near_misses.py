"""Pairs of questions with different answers, made of questions alone: what a cache must not take for the same.

For every question the nearest one about something else: what would be served to it if it alone were new. And
for as many as will bear it the question changed in what the gate is there for: a number, a "not", a name, the
way from here to there. Words exchanged for near ones are left out: without a reader nobody knows whether
"closed" for "shut" asks for something else. Labelled pairs do.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ragweft.caching.calibrating import ALTERED, Pair
from ragweft.caching.gate import Reading
from ragweft.caching.values import normalised

if TYPE_CHECKING:
    from ragweft.types import Vectors

__all__ = ["Topic", "altered", "nearest"]

_NUMBER = re.compile(r"(?<![\w.])\d{1,9}(?![\w.])")
_AFFIRMED = re.compile(
    r"\b(is|are|was|were|can|could|should|would|will|must|does|do|did|has|have|may)\b(?! not\b|n't)",
    re.IGNORECASE,
)
_WAY = re.compile(r"\bfrom (\w+) to (\w+)\b", re.IGNORECASE)
_NAME = re.compile(r"(?<=[a-z,] )[A-Z][a-z]{2,}\b")


@dataclass(frozen=True, slots=True, kw_only=True)
class Topic:
    """A question, and what its answer is made from."""

    text: str
    about: frozenset[str]
    """Names of documents; questions that share none have different answers."""


def nearest(topics: Sequence[Topic], vectors: Vectors) -> list[Pair]:
    """Every question with the nearest about something else, each pair once.

    *vectors* are theirs, of length 1, shape (len(topics), dims).
    """
    near = vectors @ vectors.T
    words = [normalised(topic.text).casefold() for topic in topics]
    pairs: dict[tuple[int, int], None] = {}
    for place, topic in enumerate(topics):
        for other in np.argsort(-near[place], kind="stable").tolist():
            if words[other] != words[place] and topic.about.isdisjoint(topics[other].about):
                pairs[min(place, other), max(place, other)] = None
                break
    return [
        Pair(asked=topics[one].text, other=topics[two].text, same=False, kind="nearest")
        for one, two in sorted(pairs)
    ]


def altered(questions: Sequence[str]) -> list[Pair]:
    """Questions beside what became of them by one change that makes them ask for something else."""
    names = sorted({name for question in questions for name in _NAME.findall(question)})
    changed = [(question, each) for question in questions for each in _changes(question, names)]
    return [Pair(asked=each, other=question, same=False, kind=ALTERED) for question, each in changed]


def _changes(question: str, names: Sequence[str]) -> list[str]:
    found = []
    if number := _NUMBER.search(question):
        found.append(f"{question[: number.start()]}{int(number[0]) + 1}{question[number.end() :]}")
    if not Reading.of(question).negations and (verb := _AFFIRMED.search(question)):
        found.append(f"{question[: verb.end()]} not{question[verb.end() :]}")
    if (way := _WAY.search(question)) and way[1].casefold() != way[2].casefold():
        found.append(f"{question[: way.start()]}from {way[2]} to {way[1]}{question[way.end() :]}")
    if (name := _NAME.search(question)) and (other := _another(name[0], names)):
        found.append(f"{question[: name.start()]}{other}{question[name.end() :]}")
    return found


def _another(name: str, names: Sequence[str]) -> str | None:
    """The name that comes next in the alphabet, begins otherwise, and so is no other form of it."""
    after = [other for other in names if other > name] + [other for other in names if other < name]
    return next((other for other in after if other[0] != name[0]), None)
