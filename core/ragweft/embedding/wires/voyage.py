"""Voyage's embeddings through the `voyageai` SDK."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ragweft.embedding.remote import Reply, Role
from ragweft.embedding.wires.decoding import decoded
from ragweft.errors import MissingExtra
from ragweft.providers.voyage_sessions import VoyageSessions

if TYPE_CHECKING:
    from ragweft.providers.keys import Secret

__all__ = ["VoyageWire"]


class VoyageWire:
    """Texts with their `input_type`, cut by nobody (`truncation=False`).

    The SDK's `max_retries` counts attempts, leaves out server and connection errors and ignores Retry-After:
    it stays at 1, and the policy retries.
    """

    groups_at_once = 1_000

    def __init__(self, model: str, *, dims: int | None, dtype: str, key: Secret, base_url: str | None) -> None:
        """*dims* None for models that have but one size; *dtype*: float, int8, uint8, binary or ubinary."""
        try:
            from voyageai.client import Client
            from voyageai.client_async import AsyncClient
        except ImportError:
            raise MissingExtra(package="voyageai", extra="voyage") from None
        self._model, self._dims, self._dtype = model, dims, dtype
        # A slash too many makes the SDK ask for //embeddings.
        address = base_url.rstrip("/") if base_url else None
        self._contextual = model.startswith("voyage-context")
        self._multimodal = model.startswith("voyage-multimodal")

        def client(kind: Any, seconds: float) -> Any:
            return kind(key.reveal(), max_retries=1, timeout=seconds, base_url=address)

        self._make = client
        self._sessions = VoyageSessions()
        self._sync, self._async = Client, AsyncClient

    def send(self, texts: Sequence[str], role: Role, *, seconds: float) -> Reply:
        """As `Wire.send`."""
        client = self._make(self._sync, seconds)
        try:
            if self._contextual:
                return self._groups(client.contextualized_embed(**self._in_groups([[t] for t in texts], role)))
            if self._multimodal:
                return self._reply(client.multimodal_embed(**self._in_pieces(texts, role)))
            return self._reply(client.embed(**self._request(texts, role)))
        finally:
            self._sessions.keep() if role == "query" else self._sessions.drop()

    async def asend(self, texts: Sequence[str], role: Role, *, seconds: float) -> Reply:
        """As `Wire.asend`."""
        client = self._make(self._async, seconds)
        if self._contextual:
            groups = self._in_groups([[text] for text in texts], role)
            return self._groups(await client.contextualized_embed(**groups))
        if self._multimodal:
            return self._reply(await client.multimodal_embed(**self._in_pieces(texts, role)))
        return self._reply(await client.embed(**self._request(texts, role)))

    def send_groups(self, groups: Sequence[Sequence[str]], *, seconds: float) -> Reply:
        """As `GroupWire.send_groups`; only of the voyage-context models."""
        client = self._make(self._sync, seconds)
        try:
            return self._groups(client.contextualized_embed(**self._in_groups(groups, "document")))
        finally:
            self._sessions.drop()

    def close(self) -> None:
        """As `Wire.close`."""
        self._sessions.close()

    async def aclose(self) -> None:
        """As `Wire.aclose`; the SDK opens a session for each call."""

    def _request(self, texts: Sequence[str], role: Role) -> dict[str, Any]:
        return {"texts": list(texts), "input_type": role, "truncation": False, **self._common()}

    def _in_groups(self, groups: Sequence[Sequence[str]], role: Role) -> dict[str, Any]:
        return {"inputs": [list(group) for group in groups], "input_type": role, **self._common()}

    def _in_pieces(self, texts: Sequence[str], role: Role) -> dict[str, Any]:
        """Every text as an input of one piece, where others might have pictures too."""
        return {
            "inputs": [[text] for text in texts],
            "input_type": role,
            "truncation": False,
            **self._common(),
        }

    def _common(self) -> dict[str, Any]:
        size = {} if self._dims is None else {"output_dimension": self._dims}
        return {"model": self._model, "output_dtype": self._dtype, **size}

    def _reply(self, answer: Any) -> Reply:
        return Reply(vectors=decoded(answer.embeddings, self._dtype), tokens=int(answer.total_tokens))

    def _groups(self, answer: Any) -> Reply:
        rows = [vector for result in answer.results for vector in result.embeddings]
        return Reply(vectors=decoded(rows, self._dtype), tokens=int(answer.total_tokens))
