"""Which settings of a recipe's `[embedding]` mean something to which provider."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING

from ragweft.errors import RecipeError

if TYPE_CHECKING:
    from collections.abc import Collection

    from ragweft.recipe import Embedding

__all__ = ["check_taken"]


def check_taken(settings: Embedding, taken: Collection[str]) -> None:
    """Refuse what a provider would ignore.

    Raises:
        RecipeError: a setting that is not in *taken* has another value than its default.
    """
    provider = settings.model.partition(":")[0]
    for setting in fields(settings):
        value = getattr(settings, setting.name)
        if setting.name not in ("model", "dims", "at_once", *taken) and value != setting.default:
            raise RecipeError(f"[embedding] {setting.name} = {value!r}: {provider} does not take it; remove it")
