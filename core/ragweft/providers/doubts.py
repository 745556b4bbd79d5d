"""What may keep a service from answering, as far as that can be known without asking it: for dry runs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol, runtime_checkable

from ragweft.errors import MissingExtra, RecipeError

__all__ = ["Doubtful", "obstacles"]


@runtime_checkable
class Doubtful(Protocol):
    """An embedder or generator that can tell."""

    def doubts(self) -> Sequence[str]:
        """What stands in the way of a call, a line for each; nobody is asked."""
        ...


def obstacles(connect: Callable[[], object]) -> list[str]:
    """What *connect* misses: a key, a package."""
    try:
        connect()
    except (MissingExtra, RecipeError) as error:
        return [str(error)]
    return []
