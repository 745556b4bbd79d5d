"""The numbers every chunker of tokens takes."""

from __future__ import annotations

from dataclasses import dataclass

from ragweft.errors import RecipeError


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """How large chunks may be, in tokens.

    Raises:
        RecipeError: a number is out of range.
    """

    size: int
    overlap: float
    reserve: int

    def __post_init__(self) -> None:
        if self.size < 1:
            raise RecipeError(f"chunk size is {self.size}: give at least 1 token")
        if not 0 <= self.reserve < self.size:
            raise RecipeError(
                f"chunk size {self.size} leaves no room beside the reserve of {self.reserve}: "
                f"give a larger size or a reserve from 0 to {self.size - 1}"
            )
        if not 0 <= self.overlap <= 0.5:
            raise RecipeError(f"chunk overlap is {self.overlap}: give a share of the size from 0 to 0.5")

    @property
    def capacity(self) -> int:
        """Tokens a chunk's text may hold."""
        return self.size - self.reserve

    @property
    def repeated(self) -> int:
        """Tokens a chunk may repeat from the one before it."""
        return min(int(self.overlap * self.size), self.capacity // 2)

    def __str__(self) -> str:
        return f"size={self.size} overlap={self.overlap:g} reserve={self.reserve}"
