"""Texts to unit vectors. `resolve_embedder` turns a recipe's `[embedding]` section into what makes them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ragweft.embedding.adapters import as_embedder
from ragweft.embedding.static import StaticEmbedder
from ragweft.errors import RecipeError
from ragweft.providers.third_party import named, third_party

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ragweft.protocols import Embedder
    from ragweft.recipe import Embedding

__all__ = ["StaticEmbedder", "as_embedder", "resolve_embedder"]


def _static(name: str, settings: Embedding) -> Embedder:
    if name:
        raise RecipeError(f"[embedding] model = 'static:{name}': there is one static model; write 'static'")
    return StaticEmbedder(dims=settings.dims or 256)


def _sentence(name: str, settings: Embedding) -> Embedder:
    from ragweft.embedding.sentence import SentenceTransformerEmbedder
    from ragweft.providers.registry import check_dims, load

    listed = load().find("sentence-transformers", name, kind="embedder")
    if listed is not None and settings.dims:
        check_dims(listed, settings.dims)
    # Some models save no prompts of their own, and do much worse without them.
    query, document = (listed.query_prompt, listed.document_prompt) if listed is not None else ("", "")
    return SentenceTransformerEmbedder(
        name,
        dims=settings.dims,
        query_prompt=settings.query_prompt or query or None,
        document_prompt=settings.document_prompt or document or None,
        window=settings.window or None,
    )


def _onnx(name: str, settings: Embedding) -> Embedder:
    from ragweft.embedding.onnx import OnnxMiniLm

    # The listed name stands for where Chroma keeps it, anything else for a folder.
    return OnnxMiniLm(None if name in ("", "all-MiniLM-L6-v2") else name, window=settings.window or 256)


def _bge_m3(name: str, settings: Embedding) -> Embedder:
    from ragweft.embedding.bge_m3 import BgeM3

    return BgeM3(name or "BAAI/bge-m3", window=settings.window or None)


LOCAL: Mapping[str, Callable[[str, Embedding], Embedder]] = {
    "static": _static,
    "sentence-transformers": _sentence,
    "onnx": _onnx,
    "bge-m3": _bge_m3,
}
"""Provider to a function from a model's name and `[embedding]` to an embedder on this machine."""
TAKEN: Mapping[str, tuple[str, ...]] = {
    "sentence-transformers": ("query_prompt", "document_prompt", "window"),
    "onnx": ("window",),
    "bge-m3": ("window",),
}
"""What of `[embedding]` they take besides the model and its dims."""


def resolve_embedder(settings: Embedding, *, key: str | None = None) -> Embedder:
    """The embedder a recipe names.

    Packages add providers by the entry point group `ragweft.embedders`; each entry names a function from the
    model's name and the recipe's `[embedding]` section to an embedder. *key* takes the place of the one in the
    environment.

    Raises:
        RecipeError: there is no such provider or no key, or a setting is not one the model offers.
        MissingExtra: the provider's package is not installed.
        ProviderError: the size of a model nobody knows was to be asked, and it did not answer.
    """
    from ragweft.embedding.services import SERVICES, check_taken, connect

    provider, _, name = settings.model.partition(":")
    if provider in LOCAL:
        check_taken(settings, TAKEN.get(provider, ()))
        return LOCAL[provider](name, settings)

    if provider in SERVICES:
        return connect(provider, named(provider, settings.model, name, section="embedding"), settings, key=key)
    make = third_party("ragweft.embedders", settings.model, section="embedding", known=(*LOCAL, *SERVICES))
    embedder: Embedder = make(name, settings)
    return embedder
