"""Whatever already embeds, as an `Embedder`: LangChain's, LlamaIndex's and Chroma's objects, functions.

They are told apart by their methods, so none of these packages is imported here or has to be installed. What
comes back is checked and brought to unit length. Two things are asked of an object beyond its vectors: a name
that is the same in the next process, since vectors are kept under it, and answers in the order of the texts.
What a call costs and how many tokens it took, such objects do not say.
"""

from __future__ import annotations

import asyncio
import inspect
import threading
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, TypeGuard, cast

import numpy as np

from ragweft.embedding.unit import unit_rows
from ragweft.errors import ProviderError, RecipeError
from ragweft.providers.foreign import (
    as_numbers,
    asking,
    digest_of_settings,
    is_async,
    label,
    method,
    packages,
    prompts_of,
    stable_name,
)
from ragweft.types import Space

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ragweft.protocols import Embedder
    from ragweft.types import Vector, Vectors

__all__ = ["as_embedder"]

_PROBE = "How many values does a vector have?"
"""Embedded once where nobody has said it."""
_OWN_PACKAGE = "sentence_transformers"
_RERANKS = ("compress_documents", "postprocess_nodes", "predict", "rerank")


def as_embedder(
    thing: object,
    *,
    model: str = "",
    dims: int = 0,
    query_prompt: str = "",
    document_prompt: str = "",
    batch: int = 512,
) -> Embedder:
    """*thing* as an embedder; one that is an `Embedder` already comes back unchanged.

    A blank text is not sent, and its vector is zero. A sentence-transformers model becomes a
    `SentenceTransformerEmbedder`, which cuts nothing; how much of a text other objects read is not known.

    Args:
        thing: a LangChain `Embeddings`, a LlamaIndex `BaseEmbedding`, a Chroma embedding function, a
            `SentenceTransformer`, a function from a list of texts to a list of vectors, or two of them: one for
            documents, one for queries. It must bear calls from several threads.
        model: what the vectors are stored under, as in "acme:embed-2". Needed where the object does not name
            its model, or names a folder: vectors of two models under one name would be compared.
        dims: size of a vector; 0: found out by embedding one text when it is first needed.
        query_prompt: put before every query, in addition to what the object itself adds; in the place of a
            sentence-transformers model's own prompt.
        document_prompt: the same for documents.
        batch: texts in one call, at most; a sentence-transformers model is left to its own.

    Raises:
        RecipeError: *thing* does not embed, its model has no name, or a setting does not go with it.
    """
    if isinstance(thing, type):
        raise RecipeError(f"{thing.__name__} is a class: give an object of it")
    if _is_embedder(thing):
        if model or dims or query_prompt or document_prompt:
            given = "leave out model, dims and prompts, or give them to it"
            raise RecipeError(f"{label(thing)} is an embedder with a space of its own: {given}")
        return thing
    if dims < 0 or batch < 1:
        raise RecipeError(f"dims = {dims}, batch = {batch}: dims must not be negative, batch at least 1")
    name = " ".join(model.split())
    if _OWN_PACKAGE in packages(thing):
        return _sentence_transformer(thing, name, dims, query_prompt, document_prompt)
    asked = _asked(thing, query_prompt, document_prompt)
    name = name or stable_name(thing)
    if not name:
        raise RecipeError(
            f"{label(thing)} does not name its model, or names a folder: give model='provider:name', the name "
            "its vectors are stored under"
        )
    prompts = {"query_prompt": query_prompt, "document_prompt": document_prompt, **prompts_of(thing)}
    digest = digest_of_settings({key: said for key, said in prompts.items() if said})
    revision = f"prompts-{digest}" if digest else ""
    return _Adapted(asked, name=name, dims=dims, revision=revision, batch=batch)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    """How one object is asked: a list of texts in, one vector for each out."""

    documents: Callable[[list[str]], object]
    queries: Callable[[list[str]], object]
    aquery: Callable[[str], Awaitable[object]] | None
    """One query to one vector."""


class _Adapted:
    """An `Embedder` around an object that does not know it is one."""

    def __init__(self, asked: _Asked, *, name: str, dims: int, revision: str, batch: int) -> None:
        self._asked = asked
        self._name = name
        self._dims = dims
        self._revision = revision
        self._batch = batch
        self._lock = threading.Lock()
        self._probing = threading.Lock()

    def __repr__(self) -> str:
        return f"as_embedder({self._name!r}, dims={self._dims or 'not known yet'})"

    @property
    def space(self) -> Space:
        """Named by the object's class and model; embeds one text if the size is not known yet."""
        if not self._dims:
            with self._probing:
                if not self._dims:
                    self._ask(self._asked.documents, [_PROBE])
        return Space(model=self._name, dims=self._dims, revision=self._revision)

    @property
    def aembed_query(self) -> Callable[[str], Awaitable[Vector]] | None:
        """`embed_query` without blocking; None if the object has no coroutine for it."""
        return self._aembed_query if self._asked.aquery is not None else None

    def embed_documents(self, texts: Sequence[str]) -> Vectors:
        """Float32, shape (len(texts), dims), unit rows in order; zero for a blank text.

        Raises:
            ProviderError: the object failed, or answered with a wrong count, size or NaN.
        """
        # Services refuse a blank text, and with it the whole call.
        places = [place for place, text in enumerate(texts) if text.strip()]
        found: list[Vectors] = []
        for start in range(0, len(places), self._batch):
            batch = [texts[place] for place in places[start : start + self._batch]]
            found.append(self._ask(self._asked.documents, batch))
        out = np.zeros((len(texts), self.space.dims), dtype=np.float32)
        if found:
            out[places] = np.concatenate(found)
        return out

    def embed_query(self, text: str) -> Vector:
        """Float32, shape (dims,), unit length; zero for a blank text.

        Raises:
            ProviderError: as `embed_documents`.
        """
        if not text.strip():
            return np.zeros(self.space.dims, dtype=np.float32)
        vector: Vector = self._ask(self._asked.queries, [text])[0]
        return vector

    async def _aembed_query(self, text: str) -> Vector:
        if self._asked.aquery is None or not text.strip():
            return await asyncio.to_thread(self.embed_query, text)
        with asking(self._name):
            numbers = as_numbers([await self._asked.aquery(text)], self._name)
        vector: Vector = self._checked(numbers, 1)[0]
        return vector

    def _ask(self, call: Callable[[list[str]], object], texts: list[str]) -> Vectors:
        with asking(self._name):
            numbers = as_numbers(call(texts), self._name)
        return self._checked(numbers, len(texts))

    def _checked(self, numbers: NDArray[np.float64], count: int) -> Vectors:
        if numbers.ndim != 2 or not numbers.shape[1]:
            said = (
                f"numbers of shape {numbers.shape} came back for {count} texts instead of one vector for each"
            )
            raise ProviderError(f"{self._name}: {said}; mend the object that was given", retryable=False)
        if len(numbers) != count:
            said = f"{len(numbers)} vectors came back for {count} texts"
            raise ProviderError(f"{self._name}: {said}; nothing was kept, try again", retryable=True)
        if not np.isfinite(numbers).all():
            said = "a vector holds NaN or infinity"
            raise ProviderError(f"{self._name}: {said}; nothing was kept, try again", retryable=True)
        with self._lock:
            self._dims = self._dims or numbers.shape[1]
        if numbers.shape[1] != self._dims:
            said = f"vectors of {numbers.shape[1]} values came back where {self._dims} were expected"
            raise ProviderError(f"{self._name}: {said}; give the dims of this model", retryable=False)
        # Squares of very large or small values would leave the range of a float.
        peaks = np.abs(numbers).max(axis=1, keepdims=True)
        scaled = np.divide(numbers, peaks, out=np.zeros_like(numbers), where=peaks > 0)
        return unit_rows(scaled, texts=count, dims=self._dims, name=self._name)


def _sentence_transformer(
    thing: object, name: str, dims: int, query_prompt: str, document_prompt: str
) -> Embedder:
    from ragweft.embedding.sentence import LoadedEncoder, SentenceTransformerEmbedder

    if "SentenceTransformer" not in packages(thing)[_OWN_PACKAGE]:
        raise RecipeError(f"{label(thing)} does not make one vector of a text: give a SentenceTransformer")
    return SentenceTransformerEmbedder(
        cast("LoadedEncoder", thing),
        name=name.removeprefix("sentence-transformers:") or None,
        dims=dims,
        query_prompt=query_prompt or None,
        document_prompt=document_prompt or None,
    )


def _asked(thing: object, query_prompt: str, document_prompt: str) -> _Asked:
    # The order matters: LlamaIndex's objects are callable too, and Chroma's have an `embed_query`.
    queries: Callable[[list[str]], object]
    aquery: Callable[[str], Awaitable[object]] | None = None
    if (documents := method(thing, "embed_documents")) and (query := method(thing, "embed_query")):
        queries, aquery = partial(_one_by_one, query), method(thing, "aembed_query")
    elif (documents := method(thing, "get_text_embedding_batch")) and (
        query := method(thing, "get_query_embedding")
    ):
        queries, aquery = partial(_one_by_one, query), method(thing, "aget_query_embedding")
    elif (documents := method(thing, "encode_document")) and (query := method(thing, "encode_query")):
        queries = query
    elif isinstance(thing, (tuple, list)) and len(thing) == 2 and all(map(callable, thing)):
        documents, query = thing
        queries = query
    elif callable(thing) and not any(method(thing, name) for name in _RERANKS):
        documents, query = thing, method(thing, "embed_query") or thing
        queries = query
    else:
        raise RecipeError(
            f"{label(thing)} does not embed texts: give an object of LangChain, LlamaIndex, Chroma or "
            "sentence-transformers, or a function from a list of texts to a list of vectors"
        )
    if is_async(documents) or is_async(query):
        raise RecipeError(
            f"{label(thing)} is asynchronous: documents are embedded by blocking calls, give such"
        )
    return _Asked(
        documents=_prefixed(documents, document_prompt),
        queries=_prefixed(queries, query_prompt),
        aquery=(lambda text: aquery(query_prompt + text)) if aquery is not None else None,
    )


def _one_by_one(query: Callable[[str], object], texts: list[str]) -> object:
    return [query(text) for text in texts]


def _prefixed(call: Callable[[list[str]], Any], prompt: str) -> Callable[[list[str]], Any]:
    return (lambda texts: call([prompt + text for text in texts])) if prompt else call


def _is_embedder(thing: object) -> TypeGuard[Embedder]:
    # Not by `isinstance`: that would ask for the space, for which an object may have to embed.
    space = inspect.getattr_static(thing, "space", None)
    has_space = isinstance(space, Space) or (hasattr(space, "__get__") and not inspect.isroutine(space))
    return has_space and bool(method(thing, "embed_documents") and method(thing, "embed_query"))
