"""Nomic's /v1/embedding/text, over plain HTTP: there is no client library that does only that."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ragweft.embedding.connection import Reply, Role
from ragweft.providers.http import JsonService

if TYPE_CHECKING:
    from ragweft.providers.keys import Secret

__all__ = ["NomicWire"]

_ADDRESS = "https://api-atlas.nomic.ai/v1"
_TASKS = {"document": "search_document", "query": "search_query"}


class NomicWire:
    """Texts with their `task_type`."""

    def __init__(self, model: str, *, dims: int | None, key: Secret, base_url: str | None) -> None:
        self._model, self._dims = model, dims
        self._service = JsonService(base_url or _ADDRESS, key)

    def send(self, texts: Sequence[str], role: Role, *, seconds: float) -> Reply:
        """As `Wire.send`."""
        return _reply(self._service.post("/embedding/text", self._request(texts, role), seconds=seconds))

    async def asend(self, texts: Sequence[str], role: Role, *, seconds: float) -> Reply:
        """As `Wire.asend`."""
        return _reply(await self._service.apost("/embedding/text", self._request(texts, role), seconds=seconds))

    def close(self) -> None:
        """As `Wire.close`."""
        self._service.close()

    async def aclose(self) -> None:
        """As `Wire.aclose`."""
        await self._service.aclose()

    def _request(self, texts: Sequence[str], role: Role) -> dict[str, Any]:
        size = {} if self._dims is None else {"dimensionality": self._dims}
        return {
            "model": self._model,
            "texts": list(texts),
            "task_type": _TASKS[role],
            # The service's word for embedding in parts; ours has split what is too long already.
            "long_text_mode": "mean",
            **size,
        }


def _reply(answer: Any) -> Reply:
    tokens = (answer.get("usage") or {}).get("total_tokens")
    return Reply(vectors=list(answer["embeddings"]), tokens=tokens)
