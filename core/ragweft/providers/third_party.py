"""Providers that other packages add, by entry points."""

from __future__ import annotations

from collections.abc import Iterable
from importlib.metadata import entry_points
from typing import Any

from ragweft.errors import RecipeError

__all__ = ["named", "third_party"]


def third_party(group: str, model: str, *, section: str, known: Iterable[str]) -> Any:
    """What the entry point of *group* named like the provider of *model* loads.

    Raises:
        RecipeError: no package offers that provider; *known* are those of ragweft's own.
    """
    provider = model.partition(":")[0]
    installed = {entry.name: entry for entry in entry_points(group=group)}
    if provider not in installed:
        names = ", ".join(sorted({*known, *installed}))
        raise RecipeError(f"[{section}] model = {model!r}: no provider {provider!r}; known: {names}")
    return installed[provider].load()


def named(provider: str, model: str, name: str, *, section: str) -> str:
    """*name*, the part of *model* after its provider.

    Raises:
        RecipeError: it is empty.
    """
    if not name:
        raise RecipeError(f"[{section}] model = {model!r}: name the model too, as in '{provider}:NAME'")
    return name
