"""Texts in requests a service takes: what is over the window in parts, what it finds too long in halves."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from ragweft.providers.policy import TooLong
from ragweft.providers.windows import in_parts, joined

if TYPE_CHECKING:
    from ragweft.types import Vectors

__all__ = ["Requests", "requests"]

Requests: TypeAlias = Generator[Sequence[str], "Vectors", "Vectors"]
"""Texts of one request after the other, each answered with their vectors or a `TooLong` raised there."""


def requests(texts: Sequence[str], *, most: int, window: int | None, count: Callable[[str], int]) -> Requests:
    """Asks for *most* texts at once, none over *window* by *count*, and returns a unit vector for each text.

    Raises:
        ProviderError: the service finds a text too long that cannot be split any more.
    """
    parts, sizes = in_parts(texts, window=window, count=count)
    vectors = yield from _each([parts[start : start + most] for start in range(0, len(parts), most)], count)
    return joined(vectors, parts, sizes, count=count)


def _each(batches: Sequence[Sequence[str]], count: Callable[[str], int]) -> Requests:
    found = []
    for batch in batches:
        vectors = yield from _halved(batch, count)
        found.append(vectors)
    return np.concatenate(found)


def _halved(texts: Sequence[str], count: Callable[[str], int]) -> Requests:
    """Unit vectors of *texts*; where the service finds them too long, of halves asked for one by one."""
    try:
        return (yield texts)
    except TooLong as error:
        refused = error
    if len(texts) > 1:
        middle = len(texts) // 2
        return (yield from _each((texts[:middle], texts[middle:]), count))
    # The bound on its tokens was no bound for this tokenizer.
    parts, sizes = in_parts(texts, window=max(1, count(texts[0]) * 2 // 3), count=count)
    if len(parts) == 1:
        raise refused.refused from refused.__cause__
    vectors = yield from _each([[part] for part in parts], count)
    return joined(vectors, parts, sizes, count=count)
