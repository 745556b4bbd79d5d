"""Voyage's embeddings through the resources of the `voyageai` SDK.

The SDK's client drops the numbers the service gives its vectors, counts attempts where it says retries, and
never closes a connection. Its resources, one level below, do none of that.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ragweft.embedding.connection import Reply, Role
from ragweft.embedding.wires.decoding import decoded, from_base64, in_order
from ragweft.errors import MissingExtra
from ragweft.providers.voyage_sessions import Unavailable, VoyageSessions, own_session

if TYPE_CHECKING:
    from ragweft.providers.keys import Secret

__all__ = ["VoyageWire"]


class VoyageWire:
    """Texts with their `input_type`, cut by nobody (`truncation=False`)."""

    groups_at_once = 1_000

    def __init__(self, model: str, *, dims: int | None, dtype: str, key: Secret, base_url: str | None) -> None:
        """*dims* None for models that have but one size; *dtype*: float, int8, uint8, binary or ubinary."""
        try:
            from voyageai.api_resources import ContextualizedEmbedding, Embedding, MultimodalEmbedding
            from voyageai.util import get_default_base_url
        except ImportError:
            raise MissingExtra(package="voyageai", extra="voyage") from None
        self._model, self._dims, self._dtype, self._key = model, dims, dtype, key
        # A slash too many makes the SDK ask for //embeddings.
        self._base = (base_url or get_default_base_url(key.reveal())).rstrip("/")
        self._contextual = model.startswith("voyage-context")
        self._multimodal = model.startswith("voyage-multimodal")
        self._resource: Any = Embedding
        if self._contextual:
            self._resource = ContextualizedEmbedding
        elif self._multimodal:
            self._resource = MultimodalEmbedding
        self._sessions = VoyageSessions()

    def send(self, texts: Sequence[str], role: Role, *, seconds: float) -> Reply:
        """As `Wire.send`."""
        with own_session():
            return self._reply(self._resource.create(**self._request(texts, role, seconds)))

    async def asend(self, texts: Sequence[str], role: Role, *, seconds: float) -> Reply:
        """As `Wire.asend`."""
        await self._sessions.keep()
        return self._reply(await self._resource.acreate(**self._request(texts, role, seconds)))

    def send_groups(self, groups: Sequence[Sequence[str]], *, seconds: float) -> Reply:
        """As `GroupWire.send_groups`; only of the voyage-context models."""
        given = {"inputs": [list(group) for group in groups], **self._common("document", seconds)}
        with own_session():
            return self._reply(self._resource.create(**given))

    def close(self) -> None:
        """As `Wire.close`; a session of the SDK ends with its call."""

    async def aclose(self) -> None:
        """As `Wire.aclose`."""
        await self._sessions.aclose()

    def _request(self, texts: Sequence[str], role: Role, seconds: float) -> dict[str, Any]:
        common = self._common(role, seconds)
        if self._contextual:
            return {"inputs": [[text] for text in texts], **common}
        if self._multimodal:
            inputs = [{"content": [{"type": "text", "text": text}]} for text in texts]
            return {"inputs": inputs, "truncation": False, **common}
        return {"input": list(texts), "truncation": False, **common}

    def _common(self, role: Role, seconds: float) -> dict[str, Any]:
        size = {} if self._dims is None else {"output_dimension": self._dims}
        return {
            "model": self._model,
            "input_type": role,
            "output_dtype": self._dtype,
            "api_key": self._key.reveal(),
            "base_url": self._base,
            "request_timeout": seconds,
            # As the SDK asks by default; said, it leaves the decoding to us, and an error unread.
            "encoding_format": "base64",
            **size,
        }

    def _reply(self, answer: Any) -> Reply:
        if "data" not in answer:
            raise Unavailable(answer)
        groups = [answer.data]
        if self._contextual:
            groups = in_order(self._model, [(group.index, group.data) for group in answer.data])
        rows = [
            from_base64(row, self._dtype) if isinstance(row, str) else row
            for group in groups
            for row in in_order(self._model, [(item["index"], item["embedding"]) for item in group])
        ]
        return Reply(vectors=decoded(rows, self._dtype), tokens=int(answer.usage.total_tokens))
