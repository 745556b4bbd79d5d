"""Whatever already embeds, as an `Embedder`: LangChain's, LlamaIndex's and Chroma's objects, functions.

They are told apart by their methods, so none of these packages is imported here or has to be installed. What
comes back is checked and brought to unit length. Two things are asked of an object beyond its vectors: a name
that is the same in the next process, since vectors are kept under it, and answers in the order of the texts.
What a call costs and how many tokens it took, such objects do not say: every call is counted by an estimate.
"""

from __future__ import annotations

import asyncio
import inspect
import threading
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, TypeGuard, cast

import numpy as np

from ragweft.embedding.billing import Tab
from ragweft.embedding.unit import unit_rows
from ragweft.errors import BudgetExceeded, ProviderError, RecipeError
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

__all__ = ["as_embedder", "settled"]

_PROBE = "How many values does a vector have?"
"""Embedded once where nobody has said it."""
_PRICING = "give usd_per_million to as_embedder, or set it in [embedding]"
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
    usd_per_million: float | None = None,
) -> Embedder:
    """*thing* as an embedder; one that is an `Embedder` already comes back unchanged.

    A blank text is not sent, and its vector is zero. A sentence-transformers model becomes a
    `SentenceTransformerEmbedder`, which cuts nothing; how much of a text other objects read is not known.

    Every call of another object is counted, its tokens estimated. One with a price above 0 is treated as a paid
    service is: an estimate names what it will cost, and it is not sent the names of files, so that moving them
    is free.

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
        usd_per_million: US dollars for a million tokens; 0: free, as on a machine of yours; None: as the
            recipe's `[embedding] usd_per_million` says, else not known, and no cap can hold it.

    Raises:
        RecipeError: *thing* does not embed, its model has no name, or a setting does not go with it.
    """
    if isinstance(thing, type):
        raise RecipeError(f"{thing.__name__} is a class: give an object of it")
    if _is_embedder(thing):
        if model or dims or query_prompt or document_prompt or usd_per_million is not None:
            given = "leave out model, dims, prompts and price, or give them to it"
            raise RecipeError(f"{label(thing)} is an embedder with a space of its own: {given}")
        return thing
    if dims < 0 or batch < 1:
        raise RecipeError(f"dims = {dims}, batch = {batch}: dims must not be negative, batch at least 1")
    name = " ".join(model.split())
    if _OWN_PACKAGE in packages(thing):
        if usd_per_million:
            raise RecipeError(
                f"{label(thing)} runs on this machine and bills nothing: leave out usd_per_million"
            )
        return _sentence_transformer(thing, name, dims, query_prompt, document_prompt)
    asked = _asked(thing, query_prompt, document_prompt)
    name = name or stable_name(thing)
    if not name:
        raise RecipeError(
            f"{label(thing)} does not name its model, or names a folder: give model= to as_embedder, the name "
            "its vectors are stored under: Index.open(…, embedder=as_embedder(thing, model='acme:embed-2'))"
        )
    prompts = {"query_prompt": query_prompt, "document_prompt": document_prompt, **prompts_of(thing)}
    digest = digest_of_settings({key: said for key, said in prompts.items() if said})
    revision = f"prompts-{digest}" if digest else ""
    space = Space(model=name, dims=dims, revision=revision)
    return _adapted(asked, space=space, batch=batch, price=usd_per_million)


def settled(embedder: Embedder, *, usd_per_million: float, space: str) -> Embedder:
    """*embedder* with what the index it is for says of it, where nobody else has; only wrapped objects change.

    *usd_per_million* is its recipe's, below 0 for none. *space* is what the index was filled by, "" for none:
    if that is this object under its name, its size need not be asked for.
    """
    return embedder.settled(usd_per_million, space) if isinstance(embedder, _Adapted) else embedder


def _adapted(asked: _Asked, *, space: Space, batch: int, price: float | None) -> _Adapted:
    kind = _Priced if price else _Adapted
    return kind(asked, space=space, batch=batch, tab=Tab(space.model, price, advice=_PRICING))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    """How one object is asked: a list of texts in, one vector for each out."""

    documents: Callable[[list[str]], object]
    queries: Callable[[list[str]], object]
    aquery: Callable[[str], Awaitable[object]] | None
    """One query to one vector."""
    query_prompt: str
    document_prompt: str
    """What all of them put before a text."""


class _Adapted:
    """An `Embedder` around an object that does not know it is one."""

    def __init__(self, asked: _Asked, *, space: Space, batch: int, tab: Tab) -> None:
        """*space* of no dims: not known yet."""
        self._asked = asked
        self._name = space.model
        self._dims = space.dims
        self._revision = space.revision
        self._batch = batch
        self._tab = tab
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
                    self._documents([_PROBE])
        return Space(model=self._name, dims=self._dims, revision=self._revision)

    @property
    def price(self) -> float | None:
        """US dollars for a million tokens; 0: free, None: not known."""
        return self._tab.usd_per_million

    def tokens(self, texts: Sequence[str]) -> int:
        """About what *texts* come to as documents, blank ones left out."""
        filled = [text for text in texts if text.strip()]
        return self._tab.tokens(filled, prompt=self._asked.document_prompt)

    def settled(self, usd_per_million: float, space: str) -> _Adapted:
        """See the function `settled`."""
        price = usd_per_million if self.price is None and usd_per_million >= 0 else self.price
        own = Space(model=self._name, dims=self._dims or self._stored_dims(space), revision=self._revision)
        if price == self.price and own.dims == self._dims:
            return self
        return _adapted(self._asked, space=own, batch=self._batch, price=price)

    def _stored_dims(self, space: str) -> int:
        """The size of the vectors in *space*, if they are this object's; else 0."""
        dims = space.rpartition("/")[0].rpartition("/")[2]
        own = Space(model=self._name, dims=int(dims) if dims.isdecimal() else 0, revision=self._revision)
        return own.dims if str(own) == space else 0

    @property
    def aembed_query(self) -> Callable[[str], Awaitable[Vector]] | None:
        """`embed_query` without blocking; None if the object has no coroutine for it."""
        return self._aembed_query if self._asked.aquery is not None else None

    def embed_documents(self, texts: Sequence[str]) -> Vectors:
        """Float32, shape (len(texts), dims), unit rows in order; zero for a blank text.

        Raises:
            ProviderError: the object failed, or answered with a wrong count, size or NaN.
        """
        found = list(self.embed_batches(texts))
        out = np.zeros((len(texts), self.space.dims), dtype=np.float32)
        for places, vectors in found:
            out[places] = vectors
        return out

    def embed_batches(self, texts: Sequence[str]) -> Iterator[tuple[list[int], Vectors]]:
        """As `BatchEmbedder.embed_batches`: what was paid for is kept if the next call fails.

        Raises:
            ProviderError: as `embed_documents`.
            BudgetExceeded: going on would cost more than whoever collects allows, or an unknown price.
        """
        # Services refuse a blank text, and with it the whole call.
        filled = [place for place, text in enumerate(texts) if text.strip()]
        for start in range(0, len(filled), self._batch):
            places = filled[start : start + self._batch]
            try:
                vectors = self._documents([texts[place] for place in places])
            except BudgetExceeded:
                if len(places) == 1:
                    raise
                # A cap that has no room for a whole batch may have some for a few of its texts.
                for place in places:
                    yield [place], self._documents([texts[place]])
            else:
                yield places, vectors
        blank = sorted(set(range(len(texts))).difference(filled))
        if blank:
            yield blank, np.zeros((len(blank), self.space.dims), dtype=np.float32)

    def embed_query(self, text: str) -> Vector:
        """Float32, shape (dims,), unit length; zero for a blank text.

        Raises:
            ProviderError: as `embed_documents`.
        """
        if not text.strip():
            return np.zeros(self.space.dims, dtype=np.float32)
        with asking(self._name):
            with self._tab.call(self._query_tokens(text), "query"):
                answer = self._asked.queries([text])
            numbers = as_numbers(answer, self._name)
        vector: Vector = self._checked(numbers, 1)[0]
        return vector

    async def _aembed_query(self, text: str) -> Vector:
        if self._asked.aquery is None or not text.strip():
            return await asyncio.to_thread(self.embed_query, text)
        with asking(self._name):
            with self._tab.call(self._query_tokens(text), "query"):
                answer = await self._asked.aquery(text)
            numbers = as_numbers([answer], self._name)
        vector: Vector = self._checked(numbers, 1)[0]
        return vector

    def _query_tokens(self, text: str) -> int:
        return self._tab.tokens([text], prompt=self._asked.query_prompt)

    def _documents(self, texts: list[str]) -> Vectors:
        with asking(self._name):
            with self._tab.call(self.tokens(texts), "documents"):
                answer = self._asked.documents(texts)
            numbers = as_numbers(answer, self._name)
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
            advice = "give the embedder the index was filled by, or as_embedder the dims of this one"
            raise ProviderError(f"{self._name}: {said}; {advice}", retryable=False)
        # Squares of very large or small values would leave the range of a float.
        peaks = np.abs(numbers).max(axis=1, keepdims=True)
        scaled = np.divide(numbers, peaks, out=np.zeros_like(numbers), where=peaks > 0)
        return unit_rows(scaled, texts=count, dims=self._dims, name=self._name)


class _Priced(_Adapted):
    """As `_Adapted`, and a `PricedEmbedder`: one whose calls cost money, known how much."""

    @property
    def usd_per_million(self) -> float | None:
        """US dollars for a million tokens."""
        return self.price


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
        query_prompt=query_prompt,
        document_prompt=document_prompt,
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
