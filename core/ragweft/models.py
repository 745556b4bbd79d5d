"""The embedder and reranker of one index: those its recipe names, or the caller's own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ragweft.assembly import check_abilities
from ragweft.embedding import resolve_embedder
from ragweft.reranking import resolve_reranker

if TYPE_CHECKING:
    from ragweft.protocols import Embedder, Reranker
    from ragweft.recipe import Recipe

__all__ = ["Models", "choose_models"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Models:
    """What embeds and what reranks."""

    recipe: Recipe
    """With the vector size the embedder turned out to have."""
    embedder: Embedder
    reranker: Reranker | None
    owned: Sequence[object]
    """Made here, to be closed with the index."""


def choose_models(
    recipe: Recipe, *, embedder: object | None, reranker: object | None, space: str = ""
) -> Models:
    """The recipe's models where the caller gives none.

    *space* is what the index was filled by, "" for a new one: an object of another package that goes by that
    name is not asked for the size of its vectors, which may cost money. If it has to be, whoever collects hears
    of it.

    Raises:
        RecipeError: the recipe names what there is not or asks the embedder for what it does not give, or an
            object given is neither embedder nor reranker.
        MissingExtra: a provider's package is not installed.
        ProviderError: a service or the object had to be asked for the size of its vectors, and did not answer.
    """
    owned: list[object] = []
    if embedder is None:
        chosen = resolve_embedder(recipe.embedding)
        owned.append(chosen)
        recipe = replace(recipe, embedding=replace(recipe.embedding, dims=chosen.space.dims))
    else:
        from ragweft.embedding.adapters import as_embedder, settled

        given = as_embedder(embedder)
        chosen = settled(given, usd_per_million=recipe.embedding.usd_per_million, space=space)
        # Found out here, where a call for it is counted.
        _ = chosen.space
    check_abilities(recipe, chosen)
    if reranker is None:
        closer = resolve_reranker(recipe.rerank, embedder=chosen)
        owned.append(closer)
    else:
        from ragweft.reranking.adapters import as_reranker

        closer = as_reranker(reranker)
    return Models(recipe=recipe, embedder=chosen, reranker=closer, owned=owned)
