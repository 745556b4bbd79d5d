"""What of a document a model is shown for a chunk: all of it, or a part that as many chunks as possible share.

A document that is longer than the model reads at the plain price is laid out in parts of equal size, each with
some of its neighbours and with the document's beginning, which tells what all of it is. The chunks of one part
share one prompt, so that most of it is read from the service's cache.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ragweft.generation.accounting import quarters

__all__ = ["Source", "sources"]

_HEAD = 2_000
"""Characters of the beginning that every part is given, at most."""
_HEAD_SHARE = 8
_MARGIN_SHARE = 10
"""A part reaches so much (one tenth of its room) into its neighbours on either side."""
_GAP = "\n[…]\n"
_NEAR_WHITE_SPACE = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """What some chunks of one document are shown."""

    text: str
    whole: bool
    """It is all of the document."""
    chunks: tuple[int, ...]
    """Places of the chunks, in order."""


def sources(text: str, spans: Sequence[tuple[int, int]], *, room: float) -> list[Source]:
    """Of a document's *text* what the chunks at *spans* are shown, in at most *room* four-byte pieces each.

    A part always holds its chunks whole, whatever the room.
    """
    everyone = tuple(range(len(spans)))
    size = quarters(text)
    if size <= room or not text:
        return [Source(text=text, whole=True, chunks=everyone)] if everyone else []
    # In characters of average size; what is off is for the service to refuse.
    length = max(1, int(len(text) * room / size))
    head = min(_HEAD, length // _HEAD_SHARE)
    margin = length // _MARGIN_SHARE
    block = max(1, length - head - 2 * margin)
    count = -(-len(text) // block)
    parts: dict[int, list[int]] = {}
    for place, (start, end) in enumerate(spans):
        part = min(count - 1, (start + end) // 2 * count // len(text))
        parts.setdefault(part, []).append(place)
    found = []
    for part, places in sorted(parts.items()):
        start = min(part * len(text) // count - margin, *(spans[place][0] for place in places))
        end = max((part + 1) * len(text) // count + margin, *(spans[place][1] for place in places))
        found.append(Source(text=_part(text, start, end, head), whole=False, chunks=tuple(places)))
    return found


def _part(text: str, start: int, end: int, head: int) -> str:
    """The beginning of *text* and what stands from *start* to *end*, cut in white space where there is some."""
    start, end = max(0, _backwards(text, start)), _forwards(text, min(end, len(text)))
    head = _forwards(text, head)
    tail = _GAP if end < len(text) else ""
    if start <= head:
        return f"{text[:end]}{tail}"
    return f"{text[:head]}{_GAP}{text[start:end]}{tail}"


def _backwards(text: str, at: int) -> int:
    """*at*, or the white space shortly before it."""
    lowest = max(0, at - _NEAR_WHITE_SPACE)
    return next((place for place in range(at, lowest, -1) if text[place - 1].isspace()), max(0, at))


def _forwards(text: str, at: int) -> int:
    """*at*, or the white space shortly after it."""
    highest = min(len(text), at + _NEAR_WHITE_SPACE)
    return next((place for place in range(at, highest) if text[place].isspace()), at)
