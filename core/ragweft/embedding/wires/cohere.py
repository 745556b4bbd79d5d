"""Cohere's /v2/embed through the `cohere` SDK."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ragweft.embedding.connection import Reply, Role
from ragweft.embedding.wires.decoding import decoded
from ragweft.providers.cohere_clients import CohereClients

if TYPE_CHECKING:
    from ragweft.providers.keys import Secret

__all__ = ["CohereWire"]

_INPUT_TYPES = {"document": "search_document", "query": "search_query"}


class CohereWire:
    """Texts with their `input_type`; cut by nobody (`truncate="NONE"`)."""

    def __init__(self, model: str, *, dims: int | None, dtype: str, key: Secret, base_url: str | None) -> None:
        """*dims* None for models that have but one size; *dtype*: float, int8, uint8, binary or ubinary."""
        self._model, self._dims, self._dtype = model, dims, dtype
        self._clients = CohereClients(key, base_url)

    def send(self, texts: Sequence[str], role: Role, *, seconds: float) -> Reply:
        """As `Wire.send`."""
        return self._reply(self._clients.client.embed(**self._request(texts, role, seconds)))

    async def asend(self, texts: Sequence[str], role: Role, *, seconds: float) -> Reply:
        """As `Wire.asend`."""
        async with self._clients.lent() as client:
            return self._reply(await client.embed(**self._request(texts, role, seconds)))

    def close(self) -> None:
        """As `Wire.close`."""
        self._clients.close()

    async def aclose(self) -> None:
        """As `Wire.aclose`."""
        await self._clients.aclose()

    def _request(self, texts: Sequence[str], role: Role, seconds: float) -> dict[str, Any]:
        size = {} if self._dims is None else {"output_dimension": self._dims}
        return {
            "model": self._model,
            "texts": list(texts),
            "input_type": _INPUT_TYPES[role],
            "embedding_types": [self._dtype],
            "truncate": "NONE",
            "request_options": {"timeout_in_seconds": seconds, "max_retries": 0},
            **size,
        }

    def _reply(self, answer: Any) -> Reply:
        held = answer.embeddings
        vectors = held.float_ if self._dtype == "float" else getattr(held, self._dtype)
        units = getattr(answer.meta, "billed_units", None) if answer.meta is not None else None
        tokens = getattr(units, "input_tokens", None)
        return Reply(
            vectors=decoded(vectors or (), self._dtype), tokens=None if tokens is None else int(tokens)
        )
