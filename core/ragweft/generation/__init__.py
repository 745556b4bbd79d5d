"""Prompts to texts. `resolve_generator` reads a recipe's words, `as_generator` takes objects."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ragweft.generation.adapters import as_generator
from ragweft.generation.services import Generation
from ragweft.generation.values import Generator, Prompt, Reply, Tokens
from ragweft.providers.third_party import named, third_party

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Generation", "Generator", "Prompt", "Reply", "Tokens", "as_generator", "resolve_generator"]


def resolve_generator(settings: Generation, *, key: str | None = None) -> Generator:
    """The generator a recipe names.

    Packages add providers by the entry point group `ragweft.generators`; each entry names a function from the
    model's name and the `Generation` to a `Generator`. *key* takes the place of the one in the environment.

    Raises:
        RecipeError: there is no such provider, its model is not named, or a setting is out of range.
    """
    from ragweft.generation.services import SERVICES, connect

    provider, _, name = settings.model.partition(":")
    if provider in SERVICES:
        return connect(provider, named(provider, settings.model, name, section="context"), settings, key=key)
    make: Callable[[str, Generation], Generator] = third_party(
        "ragweft.generators", settings.model, section="context", known=SERVICES
    )
    return make(name, settings)
