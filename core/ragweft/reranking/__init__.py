"""A closer look at few candidates. `resolve_reranker` turns a recipe's `[rerank]` into what takes it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ragweft.deferred import names_of
from ragweft.errors import RecipeError
from ragweft.providers.third_party import named, third_party
from ragweft.reranking.late_interaction import late_interaction, token_weights

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ragweft.protocols import Embedder, Reranker
    from ragweft.recipe import Rerank
    from ragweft.reranking.adapters import as_reranker
    from ragweft.reranking.listwise import ListwiseReranker

__all__ = ["ListwiseReranker", "as_reranker", "late_interaction", "resolve_reranker", "token_weights"]

__getattr__ = names_of(
    __name__,
    {
        "ListwiseReranker": "ragweft.reranking.listwise",
        "as_reranker": "ragweft.reranking.adapters",
    },
)


def _cross_encoder(name: str, _embedder: Embedder | None) -> Reranker:
    from ragweft.reranking.cross_encoder import CrossEncoderReranker

    return CrossEncoderReranker(name)


def _multi_vector(name: str, embedder: Embedder | None) -> Reranker:
    from ragweft.embedding.bge_m3 import BgeM3
    from ragweft.reranking.multi_vector import MultiVectorReranker

    # Its weights are gigabytes: where they embed already, they are not read again.
    if isinstance(embedder, BgeM3) and name in ("", embedder.name):
        return MultiVectorReranker(embedder)
    return MultiVectorReranker(BgeM3(name or "BAAI/bge-m3"))


LOCAL: Mapping[str, Callable[[str, Embedder | None], Reranker]] = {
    "sentence-transformers": _cross_encoder,
    "bge-m3": _multi_vector,
}
"""Provider to a function from a model's name and the index's embedder to a reranker on this machine."""


def resolve_reranker(
    settings: Rerank, *, embedder: Embedder | None = None, key: str | None = None
) -> Reranker | None:
    """The reranker a recipe names; None for "none". A model that is the *embedder* too is loaded once.

    Packages add providers by the entry point group `ragweft.rerankers`; each entry names a function from the
    model's name and the recipe's `[rerank]` section to a reranker. *key* takes the place of the environment's.

    Raises:
        RecipeError: there is no such provider, no key for it, or the model is listed as an embedder.
        MissingExtra: the provider's package is not installed.
    """
    if settings.model == "none":
        return None
    provider, _, name = settings.model.partition(":")
    _refuse_embedder(provider, name, settings.model)
    if provider in LOCAL:
        return LOCAL[provider](name, embedder)
    from ragweft.reranking.services import SERVICES, connect

    if provider in SERVICES:
        return connect(provider, named(provider, settings.model, name, section="rerank"), settings, key=key)
    make = third_party("ragweft.rerankers", settings.model, section="rerank", known=("none", *LOCAL, *SERVICES))
    reranker: Reranker = make(name, settings)
    return reranker


def _refuse_embedder(provider: str, name: str, model: str) -> None:
    from ragweft.providers.registry import load

    known = load()
    if known.find(provider, name, kind="reranker") is None and known.find(provider, name, kind="embedder"):
        raise RecipeError(
            f"[rerank] model = {model!r} is an embedder and does not rerank: name a reranker, and set this as "
            "[embedding] model"
        )
