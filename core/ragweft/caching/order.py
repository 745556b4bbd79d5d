"""Whether two texts with nearly the same words say the same in the order they have them."""

from __future__ import annotations

from collections import defaultdict
from itertools import pairwise
from typing import TYPE_CHECKING

from ragweft.caching.permutation import unexplained
from ragweft.caching.reading.sequence import AGENT, DENIAL, PARTICIPLE, POINTING, shared_words

if TYPE_CHECKING:
    from ragweft.caching.reading.sequence import Sequence

__all__ = ["SAME_BAG", "disorder"]

SAME_BAG = 0.75
"""Of two texts' content words together, the share they have in common above which they say much the same, so
that what differs is what sets them apart."""

_TELLING = 4
"""Common words of which order tells something although each text has words of its own besides."""

_CONTRARY = {
    "p:from": "to",
    "p:to": "from",
    "p:before": "after",
    "p:after": "before",
    "p:above": "below",
    "p:below": "above",
    "p:up": "down",
    "p:down": "up",
    "p:out": "in",
    "p:until": "since",
    "p:since": "until",
}


def disorder(a: Sequence, b: Sequence, *, loose: bool) -> str | None:
    """What the order of *b* says otherwise than that of *a*, or None.

    *loose* order is that of people who ask: it counts only when two words exchange places.
    """
    if a.keys == b.keys:
        return _voice(a, b)
    common = shared_words(a, b)
    strangers = min(len(a.keys), len(b.keys)) - common
    if (
        2 * common < SAME_BAG * (len(a.keys) + len(b.keys))
        or (common < _TELLING and strangers)
        or (common < 3 and len(a.keys) != len(b.keys))
    ):
        return _other_ends(a, b)
    matches = _align(a, b)
    if all(first[1] < second[1] for first, second in pairwise(matches)):
        return _attachment(a, b, matches) or _other_ends(a, b)
    if loose:  # "Why isn't my card working", "My card isn't working"
        matches = [(i, j) for i, j in matches if a.keys[i] != DENIAL]
    missing = unexplained(a, b, matches)
    if missing and loose and not _exchanged(a, b, matches):
        return _other_ends(a, b)
    return missing


def _voice(a: Sequence, b: Sequence) -> str | None:
    for place, (one, other) in enumerate(zip(a.leads, b.leads, strict=True)):
        if one != other and (AGENT in one) != (AGENT in other) and place:
            text, plain = (a, other) if AGENT in one else (b, one)
            passive = place < len(a.keys) and text.flags[place - 1] & PARTICIPLE
            if passive and not any(mark.startswith("p:") for mark in plain):
                return f"the doer: {a.keys[place]!r}"
    return _attachment(a, b, [(place, place) for place in range(len(a.keys))])


def _attachment(a: Sequence, b: Sequence, matches: list[tuple[int, int]]) -> str | None:
    for i, j in matches:
        one, other = a.leads[i], b.leads[j]
        if one != other:
            for mark in one:
                contrary = _CONTRARY.get(mark)
                if contrary is not None and f"p:{contrary}" in other and mark not in other:
                    return f"{mark[2:]} against {contrary} {a.keys[i]!r}"
    return None


def _exchanged(a: Sequence, b: Sequence, matches: list[tuple[int, int]]) -> bool:
    """Whether two words have taken each other's place, seen from the words around them."""
    to_b = dict(matches)
    slots = [(_slots(a, i), i) for i in to_b]
    holders: dict[tuple[str, str], int] = {slot: i for found, i in slots for slot in found}
    pairs: dict[tuple[int, int], bool] = {}
    for i, j in matches:
        for slot in _slots(b, j):
            holder = holders.get(slot, i)
            if holder != i:
                pairs[holder, i] = bool(slot[1]) or pairs.get((holder, i), False)
    return any((inner or pairs[i, holder]) for (holder, i), inner in pairs.items() if (i, holder) in pairs)


def _slots(text: Sequence, place: int) -> tuple[tuple[str, str], tuple[str, str]]:
    return ("after", text.near(place - 1)), ("before", text.near(place + 1))


def _other_ends(a: Sequence, b: Sequence) -> str | None:
    """A pointing preposition that goes with one word here and another there, though both texts have both."""
    for mark in POINTING:
        one, other = a.pointed.get(mark), b.pointed.get(mark)
        if one and other and one.isdisjoint(other) and one & b.counts.keys() and other & a.counts.keys():
            return f"{mark[2:]} {min(one)!r} against {mark[2:]} {min(other)!r}"
    return None


def _align(a: Sequence, b: Sequence) -> list[tuple[int, int]]:
    """Pairs of places with the same word; a word that stands more than once goes with its neighbours."""
    where: dict[str, list[int]] = defaultdict(list)
    for j, key in enumerate(b.keys):
        where[key].append(j)
    match: dict[int, int] = {}
    repeated: list[int] = []
    for i, key in enumerate(a.keys):
        if a.counts[key] == 1 and len(where.get(key, ())) == 1:
            match[i] = where[key][0]
        elif key in where:
            repeated.append(i)
    if repeated:
        _align_repeated(a, b, repeated, match)
    return sorted(match.items())


def _align_repeated(a: Sequence, b: Sequence, repeated: list[int], match: dict[int, int]) -> None:
    taken = set(match.values())
    keys = set(map(a.keys.__getitem__, repeated))
    for signature in (_both_sides, _compound, _right_side, _left_side, _alone):
        free: dict[tuple[str, ...], list[int]] = defaultdict(list)
        for j in range(len(b.keys) - 1, -1, -1):
            if b.keys[j] in keys and j not in taken:
                free[signature(b, j)].append(j)
        for i in repeated:
            if i not in match and (places := free.get(signature(a, i))):
                match[i] = places.pop()
                taken.add(match[i])


def _both_sides(text: Sequence, place: int) -> tuple[str, ...]:
    return text.keys[place], text.near(place - 1), text.near(place + 1)


def _compound(text: Sequence, place: int) -> tuple[str, ...]:
    """The word with the one it makes a name with, whichever comes first: River Tyne, Tyne River."""
    left = text.keys[place - 1] if place and not text.leads[place] else ""
    right = text.keys[place + 1] if place + 1 < len(text.keys) and not text.leads[place + 1] else ""
    return text.keys[place], *sorted(filter(None, (left, right)))


def _right_side(text: Sequence, place: int) -> tuple[str, ...]:
    return text.keys[place], text.near(place + 1)


def _left_side(text: Sequence, place: int) -> tuple[str, ...]:
    return text.keys[place], text.near(place - 1)


def _alone(text: Sequence, place: int) -> tuple[str, ...]:
    return (text.keys[place],)
