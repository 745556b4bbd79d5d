"""Texts to unit vectors. `resolve_embedder` turns a recipe's `[embedding]` section into what makes them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ragweft.deferred import names_of
from ragweft.embedding.static import StaticEmbedder
from ragweft.embedding.taken import check_taken
from ragweft.errors import RecipeError
from ragweft.providers.third_party import named, third_party

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ragweft.embedding.adapters import as_embedder
    from ragweft.protocols import Embedder
    from ragweft.recipe import Embedding

__all__ = ["StaticEmbedder", "as_embedder", "resolve_embedder"]

__getattr__ = names_of(__name__, {"as_embedder": "ragweft.embedding.adapters"})


def _static(name: str, settings: Embedding) -> Embedder:
    if name:
        raise RecipeError(f"[embedding] model = 'static:{name}': there is one static model; write 'static'")
    return StaticEmbedder(dims=settings.dims or 256)


def _sentence(name: str, settings: Embedding) -> Embedder:
    from ragweft.embedding.sentence import SentenceTransformerEmbedder
    from ragweft.providers.registry import check_dims, load

    # Said before anybody fetches the model: it may not be there yet.
    listed = load().find("sentence-transformers", name, kind="embedder")
    if listed is not None and settings.dims:
        check_dims(listed, settings.dims)
    if settings.late_chunking:
        from ragweft.embedding.late import LateChunkingEmbedder

        return LateChunkingEmbedder(
            name,
            dims=settings.dims,
            query_prompt=settings.query_prompt or None,
            document_prompt=settings.document_prompt or None,
            window=settings.window or None,
        )
    embedder = SentenceTransformerEmbedder(
        name,
        dims=settings.dims,
        query_prompt=settings.query_prompt or None,
        document_prompt=settings.document_prompt or None,
        window=settings.window or None,
    )
    embedder.check_dims()
    return embedder


def _onnx(name: str, settings: Embedding) -> Embedder:
    from ragweft.embedding.onnx import OnnxMiniLm

    # The listed name stands for where Chroma keeps it, anything else for a folder.
    folder = None if name in ("", "all-MiniLM-L6-v2") else name
    return _whole(OnnxMiniLm(folder, window=settings.window or 256), settings)


def _bge_m3(name: str, settings: Embedding) -> Embedder:
    from ragweft.embedding.bge_m3 import BgeM3

    return _whole(BgeM3(name or "BAAI/bge-m3", window=settings.window or None), settings)


def _whole(embedder: Embedder, settings: Embedding) -> Embedder:
    """*embedder*, whose vectors have one size only."""
    if settings.dims and settings.dims != embedder.space.dims:
        raise RecipeError(
            f"[embedding] dims = {settings.dims}: {settings.model} makes vectors of {embedder.space.dims} "
            "numbers and no others; remove dims"
        )
    return embedder


LOCAL: Mapping[str, Callable[[str, Embedding], Embedder]] = {
    "static": _static,
    "sentence-transformers": _sentence,
    "onnx": _onnx,
    "bge-m3": _bge_m3,
}
"""Provider to a function from a model's name and `[embedding]` to an embedder on this machine."""
TAKEN: Mapping[str, tuple[str, ...]] = {
    "sentence-transformers": ("query_prompt", "document_prompt", "window", "late_chunking"),
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
        RecipeError: there is no such provider or no key, the model is listed as a reranker, or a setting is not
            one it offers.
        MissingExtra: the provider's package is not installed.
        ProviderError: the size of a model nobody knows was to be asked, and it did not answer.
    """
    provider, _, name = settings.model.partition(":")
    if provider != "static":  # the default, which is one model and known
        _refuse_reranker(provider, name, settings.model)
    if provider in LOCAL:
        check_taken(settings, TAKEN.get(provider, ()))
        return LOCAL[provider](name, settings)
    from ragweft.embedding.services import SERVICES, connect

    if provider in SERVICES:
        return connect(provider, named(provider, settings.model, name, section="embedding"), settings, key=key)
    make = third_party("ragweft.embedders", settings.model, section="embedding", known=(*LOCAL, *SERVICES))
    embedder: Embedder = make(name, settings)
    return embedder


def _refuse_reranker(provider: str, name: str, model: str) -> None:
    from ragweft.providers.registry import load

    known = load()
    if known.find(provider, name, kind="embedder") is None and known.find(provider, name, kind="reranker"):
        raise RecipeError(
            f"[embedding] model = {model!r} is a reranker and makes no vectors: name an embedder, and set this "
            "as [rerank] model"
        )
