"""Keys: from the caller or the environment, never from a recipe, never in a log, an error or a repr."""

from __future__ import annotations

import os
from collections.abc import Sequence

from ragweft.errors import RecipeError

__all__ = ["Secret", "find_key"]


class Secret:
    """A key that cannot be printed by accident."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """The key itself, for the call it is meant for."""
        return self._value

    def __repr__(self) -> str:
        return "Secret(…)"

    def __reduce__(self) -> str | tuple[object, ...]:
        raise TypeError("a key is not written to files or sent to other processes")


def find_key(service: str, names: Sequence[str], *, given: str | None = None, needed: bool = True) -> Secret:
    """The key *given*, or the first of the environment variables *names* that is set.

    Raises:
        RecipeError: there is none and one is *needed*.
    """
    for value in (given, *(os.environ.get(name) for name in names)):
        if value and value.strip():
            return Secret(value.strip())
    if needed:
        raise RecipeError(f"{service} needs a key: set {' or '.join(names)} in the environment")
    return Secret("none")
