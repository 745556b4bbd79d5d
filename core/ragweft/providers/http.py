"""A service that takes and gives JSON and has no client library of its own worth installing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ragweft.providers.loop_clients import LoopClients
from ragweft.providers.owned import PerProcess

if TYPE_CHECKING:
    import httpx

    from ragweft.providers.keys import Secret

__all__ = ["JsonService"]


class JsonService:
    """POSTs JSON with a bearer key; raises httpx's errors, which `failures` reads."""

    def __init__(self, base_url: str, key: Secret) -> None:
        import httpx

        self._base = base_url.rstrip("/")
        headers = {"authorization": f"Bearer {key.reveal()}", "accept": "application/json"}
        self._client = PerProcess(lambda: httpx.Client(headers=headers))
        self._async = LoopClients(lambda: httpx.AsyncClient(headers=headers), lambda client: client.aclose())

    def post(self, path: str, body: Mapping[str, Any], *, seconds: float) -> Any:
        """What the service answers to *body* at *path*."""
        return _read(self._client.get().post(f"{self._base}{path}", json=body, timeout=seconds))

    async def apost(self, path: str, body: Mapping[str, Any], *, seconds: float) -> Any:
        """As `post`, without blocking."""
        async with self._async.lent() as client:
            return _read(await client.post(f"{self._base}{path}", json=body, timeout=seconds))

    def close(self) -> None:
        """Let go of connections; idempotent."""
        if client := self._client.peek():
            client.close()

    async def aclose(self) -> None:
        """Let go of the running loop's connections; idempotent."""
        await self._async.aclose()


def _read(response: httpx.Response) -> Any:
    if response.is_error:
        raise ServiceRefused(response)
    return response.json()


class ServiceRefused(Exception):
    """A status above 399, with what the service said."""

    def __init__(self, response: httpx.Response) -> None:
        super().__init__(response.text)
        self.status_code = response.status_code
        self.headers = response.headers
        try:
            self.body: Any = response.json()
        except ValueError:
            self.body = response.text
