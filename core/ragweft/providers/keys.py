"""Keys: from the caller or the environment, never from a recipe, never in a log, an error or a repr."""

from __future__ import annotations

import os
from collections.abc import Sequence
from urllib.parse import urlsplit

from ragweft.errors import RecipeError

__all__ = ["Secret", "find_key"]


_FOREIGN = "RAGWEFT_API_KEY"


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


def find_key(
    service: str,
    names: Sequence[str],
    *,
    given: str | None = None,
    needed: bool = True,
    base_url: str = "",
) -> Secret:
    """The key *given*, or the first of the environment variables *names* that is set.

    A recipe may come from anybody. So a *base_url* on another machine is never sent the provider's own key: it
    gets that of RAGWEFT_API_KEY.

    Raises:
        RecipeError: there is none and one is *needed*.
    """
    foreign = bool(base_url) and not _here(base_url)
    wanted = (_FOREIGN,) if foreign else tuple(names)
    for value in (given, *(os.environ.get(name) for name in wanted)):
        if value and value.strip():
            return Secret(value.strip())
    if needed:
        where = f" at {base_url}" if foreign else ""
        raise RecipeError(f"{service}{where} needs a key: set {' or '.join(wanted)} in the environment")
    return Secret("")


def _here(base_url: str) -> bool:
    """Whether an address is this machine's own."""
    host = urlsplit(base_url).hostname or ""
    return host == "localhost" or host == "::1" or host.startswith("127.")
