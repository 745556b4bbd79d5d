"""OpenAI's /embeddings through the `openai` SDK: OpenAI itself and every server that speaks its protocol."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ragweft.embedding.connection import Reply, Role
from ragweft.embedding.wires.decoding import from_base64, in_order
from ragweft.errors import MissingExtra, ProviderError
from ragweft.providers.failures import scrubbed
from ragweft.providers.loop_clients import LoopClients
from ragweft.providers.openai_clients import client_options
from ragweft.providers.owned import PerProcess

if TYPE_CHECKING:
    from ragweft.providers.keys import Secret

__all__ = ["DIALECTS", "Dialect", "OpenAIWire"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialect:
    """How a compatible service differs from OpenAI."""

    base_url: str | None = None
    """Where it is by default; None: where OpenAI is, or $OPENAI_BASE_URL, with all the SDK finds beside it."""
    dims_name: str = "dimensions"
    """What it calls the wanted size; "" if it knows none."""
    extra: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """Sent along with every request."""
    roles: Mapping[str, Mapping[str, Any]] = field(default_factory=dict[str, Mapping[str, Any]])
    """Role to what is sent along with texts of that role."""


DIALECTS: Mapping[str, Dialect] = {
    "openai": Dialect(),
    "ollama": Dialect(base_url="http://localhost:11434/v1"),
    "mistral": Dialect(base_url="https://api.mistral.ai/v1", dims_name="output_dimension"),
    # v2 and older take no task: the service ignores it there.
    "jina": Dialect(
        base_url="https://api.jina.ai/v1",
        extra={"normalized": True, "truncate": False},
        roles={"document": {"task": "retrieval.passage"}, "query": {"task": "retrieval.query"}},
    ),
}


class OpenAIWire:
    """Texts as they are, with the prefix of their role where the model wants one."""

    groups_at_once = 1

    def __init__(
        self,
        model: str,
        *,
        dims: int | None,
        key: Secret,
        base_url: str | None,
        dialect: Dialect,
        prompts: Mapping[str, str],
    ) -> None:
        """*prompts* holds what is put in front of the texts of a role."""
        try:
            from openai import AsyncOpenAI, OpenAI
        except ImportError:
            raise MissingExtra(package="openai", extra="openai") from None
        self._model, self._dims, self._dialect, self._prompts = model, dims, dialect, prompts
        options = client_options(key, base_url or dialect.base_url)
        self._client = PerProcess(lambda: OpenAI(**options))
        self._async = LoopClients(lambda: AsyncOpenAI(**options), lambda client: client.close())

    def send(self, texts: Sequence[str], role: Role, *, seconds: float) -> Reply:
        """As `Wire.send`."""
        return self._reply(self._client.get().embeddings.create(**self._request(texts, role, seconds)))

    async def asend(self, texts: Sequence[str], role: Role, *, seconds: float) -> Reply:
        """As `Wire.asend`."""
        async with self._async.lent() as client:
            return self._reply(await client.embeddings.create(**self._request(texts, role, seconds)))

    def send_groups(self, groups: Sequence[Sequence[str]], *, seconds: float) -> Reply:
        """As `GroupWire.send_groups`: Jina reads the texts of one request as one document."""
        (texts,) = groups
        request = self._request(texts, "document", seconds)
        request["extra_body"] = {**request["extra_body"], "late_chunking": True}
        return self._reply(self._client.get().embeddings.create(**request))

    def close(self) -> None:
        """As `Wire.close`."""
        if client := self._client.peek():
            client.close()

    async def aclose(self) -> None:
        """As `Wire.aclose`."""
        await self._async.aclose()

    def _request(self, texts: Sequence[str], role: Role, seconds: float) -> dict[str, Any]:
        dialect = self._dialect
        prompt = self._prompts.get(role, "")
        extra = {**dialect.extra, **dialect.roles.get(role, {})}
        if self._dims is not None and dialect.dims_name:
            extra[dialect.dims_name] = self._dims
        return {
            "model": self._model,
            # The services refuse an empty text; a blank one says as little.
            "input": [f"{prompt}{text}" or " " for text in texts],
            # Compatible servers need not know base64, which the SDK asks for by default.
            "encoding_format": "float",
            "timeout": seconds,
            "extra_body": extra,
        }

    def _reply(self, answer: Any) -> Reply:
        if not answer.data:
            # Some compatible servers say what is wrong with status 200.
            said = scrubbed(
                str((answer.model_extra or {}).get("error") or "its answer came without vectors"), ()
            )
            raise ProviderError(f"{self._model}: {said}; check the model and the address", retryable=False)
        rows = in_order(answer.model, [(item.index, item.embedding) for item in answer.data])
        vectors: Any = [from_base64(row) if isinstance(row, str) else row for row in rows]
        usage = answer.usage
        tokens = getattr(usage, "total_tokens", None) or getattr(usage, "prompt_tokens", None)
        return Reply(vectors=vectors, tokens=None if tokens is None else int(tokens))
