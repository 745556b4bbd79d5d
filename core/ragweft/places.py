"""Where a passage stands in a file that has pages, slides, sheets or messages instead of lines."""

from __future__ import annotations

import json
import re
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from operator import attrgetter

__all__ = ["Place", "cited", "ends_of", "packed_places", "place_of", "unpacked_places"]

_NAMED = re.compile(r"(?P<label>.*?)(?P<joint>(?<=\.)| )(?P<number>\d+)", re.DOTALL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A part of a document's text that readers of the file know by a name; it reaches to the next place."""

    start: int
    """Where it begins, in code points of the text."""
    label: str
    """"p.", "slide", "message", "cell", "Sheet1 row" …: what stands before the number."""
    number: int
    """Counted from 1, as the programs that show such files count."""

    def __str__(self) -> str:
        """As it is cited: `p.12`, `slide 3`, `Sheet1 row 7`."""
        return f"{self.label}{'' if self.label.endswith('.') else ' '}{self.number}"


def place_of(places: Sequence[Place], start: int, end: int) -> str:
    """The places of the range [*start*, *end*) as they are cited; "" if it lies before the first.

    `p.12`, `p.12-13`, `slides 3-5`, `Sheet1 rows 2-40`, or `Sheet1 row 40 to Sheet2 row 3`.
    """
    return cited(*ends_of(places, start, end))


def ends_of(places: Sequence[Place], start: int, end: int) -> tuple[str, str]:
    """The names of the first and the last place in the range [*start*, *end*); "" twice if it has none.

    What is kept of a passage: passages side by side are cited from the first of one to the last of the other.

    Args:
        places: by rising start. Of several that start together the last holds the text.
        start: first code point.
        end: behind the last code point; an empty range is where it starts.
    """
    last = bisect_right(places, max(start, end - 1), key=attrgetter("start")) - 1
    if last < 0:
        return "", ""
    first = max(bisect_right(places, start, key=attrgetter("start")) - 1, 0)
    return str(places[first]), str(places[last])


def cited(first: str, last: str) -> str:
    """A range of places in words, from the names of its ends."""
    if first == last:
        return first
    begin, finish = _NAMED.fullmatch(first), _NAMED.fullmatch(last)
    if begin is None or finish is None or begin["label"] != finish["label"]:
        return f"{first} to {last}"
    many = "s" if begin["joint"] else ""
    return f"{begin['label']}{many}{begin['joint']}{begin['number']}-{finish['number']}"


def packed_places(places: Sequence[Place]) -> str:
    """Places as they are stored: JSON."""
    return json.dumps([[place.start, place.label, place.number] for place in places], ensure_ascii=False)


def unpacked_places(text: str) -> tuple[Place, ...]:
    """What `packed_places` stored."""
    return tuple(Place(start=start, label=label, number=number) for start, label, number in json.loads(text))
