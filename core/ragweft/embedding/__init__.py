"""Texts to unit vectors. `resolve_embedder` turns a recipe's `"static"` or `"provider:model"` into one."""

from __future__ import annotations

from importlib.metadata import entry_points
from typing import TYPE_CHECKING

from ragweft.embedding.static import StaticEmbedder
from ragweft.errors import RecipeError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ragweft.protocols import Embedder

__all__ = ["BUILT_IN", "StaticEmbedder", "resolve_embedder"]


def _static(model: str, dims: int) -> Embedder:
    if model:
        raise RecipeError(f"[embedding] model = 'static:{model}': there is one static model; write 'static'")
    return StaticEmbedder(dims=dims)


BUILT_IN: Mapping[str, Callable[[str, int], Embedder]] = {"static": _static}
"""Provider to a function from (model, dims) to an embedder. Packages add to it by the entry point group
`ragweft.embedders`, each entry naming such a function."""


def resolve_embedder(model: str, *, dims: int) -> Embedder:
    """The embedder a recipe names.

    Raises:
        RecipeError: no such provider is built in or installed.
        MissingExtra: the provider's package is not installed.
    """
    provider, _, name = model.partition(":")
    if provider in BUILT_IN:
        return BUILT_IN[provider](name, dims)
    installed = {entry.name: entry for entry in entry_points(group="ragweft.embedders")}
    if provider in installed:
        embedder: Embedder = installed[provider].load()(name, dims)
        return embedder
    known = ", ".join(sorted({*BUILT_IN, *installed}))
    raise RecipeError(f"[embedding] model = {model!r}: no provider {provider!r}; known: {known}")
