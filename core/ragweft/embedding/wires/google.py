"""Gemini's embedContent through the `google-genai` SDK."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ragweft.embedding.connection import Reply, Role
from ragweft.errors import MissingExtra
from ragweft.providers.loop_clients import LoopClients
from ragweft.providers.owned import PerProcess

if TYPE_CHECKING:
    import httpx2
    from google import genai

    from ragweft.providers.keys import Secret

__all__ = ["GoogleWire"]

_VERSION = "v1"
"""Of the paths: the SDK's default where the environment names no other."""
_TASKS = {"document": "RETRIEVAL_DOCUMENT", "query": "RETRIEVAL_QUERY"}


class GoogleWire:
    """One `Content` for each text: given plain strings, gemini-embedding-2 answers with one vector for all."""

    def __init__(self, model: str, *, dims: int | None, key: Secret, base_url: str | None) -> None:
        try:
            import httpx2
            from google import genai
            from google.genai import types
        except ImportError:
            raise MissingExtra(package="google-genai", extra="google") from None
        self._model, self._dims, self._types = model, dims, types
        # The second generation takes the task as words of the text.
        self._spoken = model.startswith("gemini-embedding-2")
        options: dict[str, Any] = {"api_version": _VERSION, **({"base_url": base_url} if base_url else {})}

        def client(http: httpx2.AsyncClient | None = None) -> genai.Client:
            given = types.HttpOptions(**options, httpx_async_client=http)
            # Said, because the environment may ask for Vertex AI, which knows other keys and other paths.
            return genai.Client(vertexai=False, api_key=key.reveal(), http_options=given)

        # Held: a client that is collected closes its connections under the call.
        self._client = PerProcess(client)

        def asynchronous() -> tuple[httpx2.AsyncClient, genai.Client]:
            # Named, or the SDK takes aiohttp wherever some other package has brought that.
            http = httpx2.AsyncClient()
            return http, client(http)

        self._async = LoopClients(asynchronous, _closed)

    def send(self, texts: Sequence[str], role: Role, *, seconds: float) -> Reply:
        """As `Wire.send`."""
        return _reply(self._client.get().models.embed_content(**self._request(texts, role, seconds)))

    async def asend(self, texts: Sequence[str], role: Role, *, seconds: float) -> Reply:
        """As `Wire.asend`."""
        async with self._async.lent() as (_, client):
            return _reply(await client.aio.models.embed_content(**self._request(texts, role, seconds)))

    def close(self) -> None:
        """As `Wire.close`."""
        if client := self._client.peek():
            client.close()

    async def aclose(self) -> None:
        """As `Wire.aclose`."""
        await self._async.aclose()

    def _request(self, texts: Sequence[str], role: Role, seconds: float) -> dict[str, Any]:
        types = self._types
        said = _spoken(texts, role) if self._spoken else texts
        return {
            "model": self._model,
            "contents": [types.Content(parts=[types.Part(text=text or " ")]) for text in said],
            "config": types.EmbedContentConfig(
                task_type=None if self._spoken else _TASKS[role],
                output_dimensionality=self._dims,
                http_options=types.HttpOptions(timeout=int(seconds * 1000)),
            ),
        }


async def _closed(made: tuple[httpx2.AsyncClient, genai.Client]) -> None:
    http, client = made
    await http.aclose()
    client.close()


def _spoken(texts: Sequence[str], role: Role) -> list[str]:
    if role == "query":
        return [f"task: search result | query: {text}" for text in texts]
    return [f"title: none | text: {text}" for text in texts]


def _reply(answer: Any) -> Reply:
    held = answer.embeddings or ()
    usage = getattr(answer, "usage_metadata", None)
    tokens = getattr(usage, "total_token_count", None) or getattr(usage, "prompt_token_count", None)
    return Reply(vectors=[item.values for item in held], tokens=None if tokens is None else int(tokens))
