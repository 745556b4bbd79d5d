"""The numbers every chunker of tokens takes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from ragweft.errors import RecipeError

if TYPE_CHECKING:
    from ragweft.types import Document

__all__ = ["Needs", "Reserve", "Room", "Sizes"]

Needs: TypeAlias = "Callable[[Sequence[str]], int]"
"""Tokens a context may take of a chunk below these headings."""
Reserve: TypeAlias = "int | Callable[[Document], Needs]"
"""Tokens kept free for the context that will be put in front of a chunk: a number, or each document's own."""


class Room(NamedTuple):
    """What chunks may hold, in tokens."""

    capacity: int
    """Of their text."""
    repeated: int
    """Of that, what one may repeat from the chunk before it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """How large chunks may be, in tokens.

    Raises:
        RecipeError: a number is out of range.
    """

    size: int
    overlap: float
    reserve: Reserve

    def __post_init__(self) -> None:
        if self.size < 1:
            raise RecipeError(f"chunk size is {self.size}: give at least 1 token")
        if not callable(self.reserve):
            self.beside(self.reserve)
        if not 0 <= self.overlap <= 0.5:
            raise RecipeError(f"chunk overlap is {self.overlap}: give a share of the size from 0 to 0.5")

    def needs(self, document: Document) -> Needs:
        """What the contexts of *document* may take."""
        reserve = self.reserve
        return reserve(document) if callable(reserve) else lambda _: reserve

    def of(self, document: Document) -> Room:
        """What the chunks of *document* may hold, if there are no headings.

        Raises:
            RecipeError: its contexts take more than a chunk holds.
        """
        return self.beside(self.needs(document)(()))

    def beside(self, reserve: int) -> Room:
        """What is left beside *reserve* tokens.

        Raises:
            RecipeError: nothing is.
        """
        if not 0 <= reserve < self.size:
            raise RecipeError(
                f"chunk size {self.size} leaves no room beside the reserve of {reserve}: "
                f"give a larger size or a reserve from 0 to {self.size - 1}"
            )
        capacity = self.size - reserve
        return Room(capacity=capacity, repeated=min(int(self.overlap * self.size), capacity // 2))

    def __str__(self) -> str:
        reserve = "each" if callable(self.reserve) else self.reserve
        return f"size={self.size} overlap={self.overlap:g} reserve={reserve}"
