"""Small chunks to search, large ones to read: what to read around a chunk that was found.

A parent is not stored. It is the section a chunk stands in, which the chunks' headings tell, as far as a budget
reaches; its text is that of the document from the first of its chunks to the last. So any index can be read in
larger pieces than it was cut in, and the size is whatever the reader has room for.
"""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["parent"]


def parent(headings: Sequence[tuple[str, ...]], tokens: Sequence[int], place: int, *, budget: int) -> range:
    """Places of the chunks to read together with the one at *place*, itself among them.

    It is the largest section around the chunk that fits: the whole document, or what stands under the first of
    its headings, under the first two, and so on. Where not even the innermost fits, or there are no headings,
    neighbours within it are taken, one after and one before in turn, while they fit. Overlaps are counted
    twice, so the text read holds at most *budget* tokens, unless the chunk alone holds more.

    Args:
        headings: of all chunks of one document, in order.
        tokens: of each.
        place: of the chunk that was found.
        budget: tokens to read.
    """
    own = headings[place]
    section = range(len(headings))
    for depth in range(len(own) + 1):
        section = _around(headings, place, own[:depth], within=section)
        if sum(tokens[at] for at in section) <= budget:
            return section
    return _grown(tokens, place, budget - tokens[place], within=section)


def _around(headings: Sequence[tuple[str, ...]], place: int, path: tuple[str, ...], *, within: range) -> range:
    """The run of chunks around *place* whose headings all begin with *path*."""
    first, last = place, place + 1
    while first > within.start and headings[first - 1][: len(path)] == path:
        first -= 1
    while last < within.stop and headings[last][: len(path)] == path:
        last += 1
    return range(first, last)


def _grown(tokens: Sequence[int], place: int, room: int, *, within: range) -> range:
    first, last = place, place + 1
    after = before = True
    while after or before:
        after = after and last < within.stop and tokens[last] <= room
        if after:
            room -= tokens[last]
            last += 1
        before = before and first > within.start and tokens[first - 1] <= room
        if before:
            room -= tokens[first - 1]
            first -= 1
    return range(first, last)
