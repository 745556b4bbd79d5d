"""The wire formats of reranking services: a request out, a reply in."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ragweft.errors import MissingExtra
from ragweft.providers.cohere_clients import CohereClients
from ragweft.providers.http import JsonService
from ragweft.providers.voyage_sessions import Unavailable, VoyageSessions
from ragweft.reranking.remote import RerankReply

if TYPE_CHECKING:
    from ragweft.providers.keys import Secret

__all__ = ["CohereRerank", "JinaRerank", "VoyageRerank"]

_JINA = "https://api.jina.ai/v1"


class CohereRerank:
    """Cohere's /v2/rerank through the `cohere` SDK; models from v5 on also say which spans are relevant."""

    def __init__(self, model: str, *, window: int | None, key: Secret, base_url: str | None) -> None:
        """*window*: tokens of a passage that are read; the service's own default of 4,096 cuts longer ones."""
        self._model, self._window = model, window
        self._clients = CohereClients(key, base_url)

    async def asend(self, query: str, passages: Sequence[str], *, seconds: float) -> RerankReply:
        """As `RerankWire.asend`."""
        async with self._clients.lent() as client:
            return _cohere_reply(await client.rerank(**self._request(query, passages, seconds)))

    async def aclose(self) -> None:
        """As `RerankWire.aclose`."""
        await self._clients.aclose()

    def _request(self, query: str, passages: Sequence[str], seconds: float) -> dict[str, Any]:
        from cohere.types import RerankRelevantSpans

        request: dict[str, Any] = {
            "model": self._model,
            "query": query,
            "documents": list(passages),
            "request_options": {"timeout_in_seconds": seconds, "max_retries": 0},
        }
        if self._window is not None:
            request["max_tokens_per_doc"] = self._window
        if self._model.startswith("rerank-v5"):
            request["relevant_spans"] = RerankRelevantSpans(mode="enabled")
        return request


def _cohere_reply(answer: Any) -> RerankReply:
    units = getattr(answer.meta, "billed_units", None) if answer.meta is not None else None
    tokens, searches = getattr(units, "input_tokens", None), getattr(units, "search_units", None)
    return RerankReply(
        scores=[(item.index, item.relevance_score) for item in answer.results],
        spans={
            item.index: [(int(span.start), int(span.end)) for span in item.relevant_spans]
            for item in answer.results
            if getattr(item, "relevant_spans", None)
        },
        tokens=tokens,
        searches=searches,
    )


class VoyageRerank:
    """Voyage's /rerank through a resource of the `voyageai` SDK, as in `embedding.wires.voyage`."""

    def __init__(self, model: str, *, key: Secret, base_url: str | None) -> None:
        try:
            from voyageai.api_resources import Reranking
            from voyageai.util import get_default_base_url
        except ImportError:
            raise MissingExtra(package="voyageai", extra="voyage") from None
        self._model, self._key = model, key
        self._base = (base_url or get_default_base_url(key.reveal())).rstrip("/")
        self._resource: Any = Reranking
        self._sessions = VoyageSessions()

    async def asend(self, query: str, passages: Sequence[str], *, seconds: float) -> RerankReply:
        """As `RerankWire.asend`."""
        await self._sessions.keep()
        return _voyage_reply(
            await self._resource.acreate(
                model=self._model,
                query=query,
                documents=list(passages),
                truncation=False,
                api_key=self._key.reveal(),
                base_url=self._base,
                request_timeout=seconds,
            )
        )

    async def aclose(self) -> None:
        """As `RerankWire.aclose`."""
        await self._sessions.aclose()


def _voyage_reply(answer: Any) -> RerankReply:
    if "data" not in answer and "detail" in answer:
        raise Unavailable(answer)
    return RerankReply(
        scores=[(item["index"], item["relevance_score"]) for item in answer["data"]],
        spans={},
        tokens=answer["usage"]["total_tokens"],
        searches=None,
    )


class JinaRerank:
    """Jina's /rerank, over plain HTTP: there is no client library."""

    def __init__(self, model: str, *, key: Secret, base_url: str | None) -> None:
        self._model = model
        self._service = JsonService(base_url or _JINA, key)

    async def asend(self, query: str, passages: Sequence[str], *, seconds: float) -> RerankReply:
        """As `RerankWire.asend`."""
        answer = await self._service.apost("/rerank", self._request(query, passages), seconds=seconds)
        return _jina_reply(answer)

    async def aclose(self) -> None:
        """As `RerankWire.aclose`."""
        await self._service.aclose()

    def _request(self, query: str, passages: Sequence[str]) -> dict[str, Any]:
        return {
            "model": self._model,
            "query": query,
            "documents": list(passages),
            "top_n": len(passages),
            "return_documents": False,
        }


def _jina_reply(answer: Any) -> RerankReply:
    tokens = (answer.get("usage") or {}).get("total_tokens")
    return RerankReply(
        scores=[(item["index"], item["relevance_score"]) for item in answer["results"]],
        spans={},
        tokens=tokens,
        searches=None,
    )
