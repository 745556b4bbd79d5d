"""Which lines of its document a chunk covers."""

from __future__ import annotations

import bisect
from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ragweft.types import Chunk, Document

__all__ = ["numbered"]


def numbered(document: Document, chunks: Sequence[Chunk]) -> list[Chunk]:
    """*chunks* with the lines each covers."""
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
