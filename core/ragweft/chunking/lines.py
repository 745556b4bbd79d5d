"""Which lines, or pages, of its document a chunk covers."""

from __future__ import annotations

import bisect
from dataclasses import replace
from typing import TYPE_CHECKING

from ragweft.places import ends_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ragweft.types import Chunk, Document

__all__ = ["numbered"]


def numbered(document: Document, chunks: Sequence[Chunk]) -> list[Chunk]:
    """*chunks* with the lines each covers, or the places of a document that has these instead."""
    places = document.places
    if places is not None:
        return [
            chunk
            if chunk.span is None
            else replace(chunk, lines=None, place=_known(ends_of(places, chunk.span.start, chunk.span.end)))
            for chunk in chunks
        ]
    breaks = [i for i, character in enumerate(document.text) if character == "\n"] if chunks else []
    out = []
    for chunk in chunks:
        if chunk.span is None:
            out.append(chunk)
            continue
        first = bisect.bisect_left(breaks, chunk.span.start) + 1
        last = bisect.bisect_left(breaks, max(chunk.span.start, chunk.span.end - 1)) + 1
        out.append(replace(chunk, lines=(first, last)))
    return out


def _known(place: tuple[str, str]) -> tuple[str, str] | None:
    return place if place[0] else None
