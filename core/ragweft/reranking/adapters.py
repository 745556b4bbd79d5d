"""Whatever already reranks, as a `Reranker`: LangChain's and LlamaIndex's objects, cross-encoders, functions.

They are told apart by their methods; none of these packages is imported before an object of it is asked. All of
them see a passage with its context (`Chunk.indexed_text`), as the first-stage searches did.
"""

from __future__ import annotations

import importlib
import math
import numbers
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from ragweft.embedding.billing import Tab
from ragweft.errors import MissingExtra, ProviderError, RecipeError
from ragweft.protocols import Reranker
from ragweft.providers.foreign import (
    as_numbers,
    asking,
    is_async,
    label,
    method,
    model_of,
    packages,
)

if TYPE_CHECKING:
    from ragweft.types import Hit

__all__ = ["as_reranker"]

_PLACE = "ragweft_place"
"""Metadata that says which hit a document was made of."""
_SCORE = "relevance_score"
"""Where LangChain's compressors by convention leave a score."""
_EMBEDS = ("embed_query", "encode_query", "get_query_embedding")


def as_reranker(thing: object, *, name: str = "", usd_per_million: float | None = None) -> Reranker:
    """*thing* as a reranker; one that is a `Reranker` already comes back unchanged.

    Every call of another object is counted, its tokens estimated.

    Args:
        thing: a LangChain `BaseDocumentCompressor`, a LlamaIndex node postprocessor, a sentence-transformers
            `CrossEncoder` (which becomes a `CrossEncoderReranker`), anything else that can `predict` a number
            for each pair of query and text, or a function, perhaps a coroutine function, from a query and a
            list of texts to a number for each. It must bear calls from several threads.
        name: for origins and traces; "": of the object's class and model.
        usd_per_million: US dollars for a million tokens of queries and passages; 0: free, as on a machine of
            yours; None: not known.

    A compressor or postprocessor returns documents instead of scores: their order is taken, and what it dropped
    comes last. Its own scores are kept where every document has one and they fall strictly in that order.

    Raises:
        RecipeError: *thing* does not rerank, or is a `Reranker` that has a name already, or a setting does not
            go with it.
    """
    if isinstance(thing, type):
        raise RecipeError(f"{thing.__name__} is a class: give an object of it")
    # LangChain's Cohere compressor has a `rerank` too, of other arguments.
    returns_documents = method(thing, "compress_documents") or method(thing, "postprocess_nodes")
    if isinstance(thing, Reranker) and not returns_documents:
        if name:
            raise RecipeError(f"{label(thing)} is a reranker called {thing.name!r}: leave out the name")
        _refuse_price(thing, usd_per_million)
        return thing
    if any(method(thing, verb) for verb in _EMBEDS):
        raise RecipeError(f"{label(thing)} embeds texts and does not rerank: give it to as_embedder")
    if "CrossEncoder" in packages(thing).get("sentence_transformers", ()):
        from ragweft.reranking.cross_encoder import CrossEncoderReranker, LoadedCrossEncoder

        _refuse_price(thing, usd_per_million)
        return CrossEncoderReranker(cast("LoadedCrossEncoder", thing), name=name or None)
    tab = Tab(name or _name_of(thing), usd_per_million, advice="give usd_per_million to as_reranker")
    if compress := method(thing, "compress_documents"):
        return _langchain(tab, compress, method(thing, "acompress_documents"))
    if postprocess := method(thing, "postprocess_nodes"):
        return _llama_index(tab, postprocess, method(thing, "apostprocess_nodes"))
    if predict := method(thing, "predict"):
        return _pairs(tab, predict)
    if callable(thing):
        return _function(tab, thing)
    raise RecipeError(
        f"{label(thing)} does not rerank: give an object of LangChain, LlamaIndex or sentence-transformers, or "
        "a function from a query and a list of texts to a list of scores"
    )


_Answer = Callable[[str, Sequence["Hit"]], object]
_AwaitedAnswer = Callable[[str, Sequence["Hit"]], Awaitable[object]]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Adapted:
    """A `Reranker` around an object that does not know it is one."""

    tab: Tab
    answer: _Answer | None
    """What the object says of a query and hits; None if it can only be awaited."""
    aanswer: _AwaitedAnswer | None
    read: Callable[[object, Sequence[Hit]], list[float]]
    """Scores from what it said."""

    @property
    def name(self) -> str:
        """What answers: the object's class and model, or what the caller calls it."""
        return self.tab.model

    def __repr__(self) -> str:
        return f"as_reranker({self.name!r})"

    def rerank(self, query: str, hits: Sequence[Hit]) -> list[float]:
        """One score for each hit, in the order given; higher is better, on the object's own scale.

        Raises:
            ProviderError: the object failed, or answered with a wrong count or no numbers.
            BudgetExceeded: it would cost more than whoever collects allows, or nobody knows what it costs.
            TypeError: it can only be awaited.
        """
        if self.answer is None:
            raise TypeError(f"{self.name} is asynchronous: search with asearch, or give a plain function")
        if not hits:
            return []
        with asking(self.name):
            with self.tab.call(self._tokens(query, hits), "rerank"):
                answer = self.answer(query, hits)
            return self.read(answer, hits)

    @property
    def arerank(self) -> Callable[[str, Sequence[Hit]], Awaitable[list[float]]] | None:
        """`rerank` without blocking; None if the object has no coroutine for it."""
        return self._arerank if self.aanswer is not None else None

    async def _arerank(self, query: str, hits: Sequence[Hit]) -> list[float]:
        if self.aanswer is None:
            return self.rerank(query, hits)
        if not hits:
            return []
        with asking(self.name):
            with self.tab.call(self._tokens(query, hits), "rerank"):
                answer = await self.aanswer(query, hits)
            return self.read(answer, hits)

    def _tokens(self, query: str, hits: Sequence[Hit]) -> int:
        # The query is read again with every passage.
        return self.tab.tokens([hit.chunk.indexed_text for hit in hits], prompt=query)


def _refuse_price(thing: object, usd_per_million: float | None) -> None:
    if usd_per_million:
        raise RecipeError(f"{label(thing)} bills nothing, or counts by itself: leave out usd_per_million")


def _langchain(
    tab: Tab, compress: Callable[..., object], acompress: Callable[..., Awaitable[object]] | None
) -> Reranker:
    def documents(hits: Sequence[Hit]) -> list[Any]:
        document = _class("langchain_core.documents", "Document", package="langchain-core", extra="langchain")
        return [
            document(page_content=hit.chunk.indexed_text, metadata=_marked(hit, place), id=hit.chunk.id)
            for place, hit in enumerate(hits)
        ]

    def answer(query: str, hits: Sequence[Hit]) -> object:
        return compress(documents(hits), query)

    async def aanswer(query: str, hits: Sequence[Hit]) -> object:
        return await acompress(documents(hits), query) if acompress is not None else answer(query, hits)

    def read(kept: Any, hits: Sequence[Hit]) -> list[float]:
        return _by_order(tab.model, [(doc.metadata, doc.metadata.get(_SCORE)) for doc in kept], len(hits))

    return _Adapted(tab=tab, answer=answer, aanswer=aanswer if acompress is not None else None, read=read)


def _llama_index(
    tab: Tab, postprocess: Callable[..., object], apostprocess: Callable[..., Awaitable[object]] | None
) -> Reranker:
    def nodes(hits: Sequence[Hit]) -> list[Any]:
        node = _class("llama_index.core.schema", "TextNode", package="llama-index-core", extra="llama-index")
        scored = _class(node.__module__, "NodeWithScore", package="llama-index-core", extra="llama-index")
        out = []
        for place, hit in enumerate(hits):
            metadata = _marked(hit, place)
            # LlamaIndex puts metadata into the text a model sees, unless it is excluded.
            made = node(
                text=hit.chunk.indexed_text,
                id_=hit.chunk.id,
                metadata=metadata,
                excluded_embed_metadata_keys=list(metadata),
                excluded_llm_metadata_keys=list(metadata),
            )
            out.append(scored(node=made, score=hit.score))
        return out

    def answer(query: str, hits: Sequence[Hit]) -> object:
        return postprocess(nodes(hits), query_str=query)

    async def aanswer(query: str, hits: Sequence[Hit]) -> object:
        if apostprocess is None:
            return answer(query, hits)
        return await apostprocess(nodes(hits), query_str=query)

    def read(kept: Any, hits: Sequence[Hit]) -> list[float]:
        return _by_order(tab.model, [(each.node.metadata, each.score) for each in kept], len(hits))

    return _Adapted(tab=tab, answer=answer, aanswer=aanswer if apostprocess is not None else None, read=read)


def _pairs(tab: Tab, predict: Callable[..., object]) -> Reranker:
    def answer(query: str, hits: Sequence[Hit]) -> object:
        return predict([(query, hit.chunk.indexed_text) for hit in hits])

    return _Adapted(tab=tab, answer=answer, aanswer=None, read=_reader(tab.model))


def _function(tab: Tab, call: Callable[..., Any]) -> Reranker:
    def answer(query: str, hits: Sequence[Hit]) -> object:
        return call(query, [hit.chunk.indexed_text for hit in hits])

    async def aanswer(query: str, hits: Sequence[Hit]) -> object:
        return await call(query, [hit.chunk.indexed_text for hit in hits])

    if is_async(call):
        return _Adapted(tab=tab, answer=None, aanswer=aanswer, read=_reader(tab.model))
    return _Adapted(tab=tab, answer=answer, aanswer=None, read=_reader(tab.model))


def _reader(name: str) -> Callable[[object, Sequence[Hit]], list[float]]:
    def read(answer: object, hits: Sequence[Hit]) -> list[float]:
        scores = as_numbers(answer, name)
        if scores.shape != (len(hits),):
            said = f"scores of shape {scores.shape} came back for {len(hits)} passages instead of one for each"
            raise ProviderError(f"{name}: {said}; mend the object that was given", retryable=False)
        if not np.isfinite(scores).all():
            raise ProviderError(f"{name}: a score is NaN or infinite; try again", retryable=True)
        return [float(score) for score in scores]

    return read


def _by_order(name: str, kept: Sequence[tuple[Any, object]], count: int) -> list[float]:
    """Scores from the metadata and scores of documents in the order they came back."""
    best: dict[int, object] = {}
    for metadata, score in kept:
        place = metadata.get(_PLACE)
        if not isinstance(place, int) or not 0 <= place < count:
            said = f"a document came back without the {_PLACE!r} of its metadata, so nobody knows which it is"
            raise ProviderError(f"{name}: {said}; a compressor must pass metadata on", retryable=False)
        best.setdefault(place, score)  # of one that came back in pieces, the first
    scores = _own(list(best.values()))
    if scores is None:
        scores = [float(len(best) - rank) for rank in range(len(best))]
    last = scores[-1] - 1.0 if scores else 0.0
    found = dict(zip(best, scores, strict=True))
    return [found.get(place, last) for place in range(count)]


def _own(scores: Sequence[object]) -> list[float] | None:
    """The object's own scores; None unless each is a number and they fall strictly."""
    said = [float(s) for s in scores if isinstance(s, numbers.Real) and math.isfinite(s)]
    if not said or len(said) < len(scores):
        return None
    # Also below the last there must be room, for what was dropped.
    return said if all(above > below for above, below in pairwise([*said, said[-1] - 1.0])) else None


def _marked(hit: Hit, place: int) -> dict[str, Any]:
    # A score among the hit's own metadata would be taken for the compressor's.
    return {**{key: value for key, value in hit.chunk.metadata.items() if key != _SCORE}, _PLACE: place}


def _class(module: str, name: str, *, package: str, extra: str) -> Any:
    # By name and when it is needed: the core knows no framework (.importlinter), and whoever hands over an
    # object of one has it installed.
    try:
        return getattr(importlib.import_module(module), name)
    except ModuleNotFoundError as error:
        raise MissingExtra(package=package, extra=extra) from error


def _name_of(thing: object) -> str:
    own = getattr(thing, "__name__", "")
    if own:
        return "function" if own == "<lambda>" else str(own)
    model = model_of(thing).rstrip("/").rpartition("/")[2]
    return f"{type(thing).__name__}:{model}" if model else type(thing).__name__
