"""Clients of the `cohere` SDK whose connections can be closed: left to itself the SDK closes none."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from ragweft.errors import MissingExtra
from ragweft.providers.loop_clients import LoopClients
from ragweft.providers.owned import PerProcess

if TYPE_CHECKING:
    import httpx
    from cohere import AsyncClientV2, ClientV2

    from ragweft.providers.keys import Secret

__all__ = ["CohereClients"]


class CohereClients:
    """One client for threads, and one for each running loop; the SDK's own retries are off."""

    def __init__(self, key: Secret, base_url: str | None) -> None:
        """Nothing is sent yet.

        Raises:
            MissingExtra: the SDK is not installed.
        """
        try:
            import httpx
            from cohere import AsyncClientV2, ClientV2
        except ImportError:
            raise MissingExtra(package="cohere", extra="cohere") from None

        def blocking() -> tuple[httpx.Client, ClientV2]:
            http = httpx.Client()
            return http, ClientV2(key.reveal(), base_url=base_url, max_retries=0, httpx_client=http)

        def asynchronous() -> tuple[httpx.AsyncClient, AsyncClientV2]:
            http = httpx.AsyncClient()
            return http, AsyncClientV2(key.reveal(), base_url=base_url, max_retries=0, httpx_client=http)

        self._blocking = PerProcess(blocking)
        self._held = LoopClients(asynchronous, lambda made: made[0].aclose())

    @property
    def client(self) -> ClientV2:
        """For blocking calls of any thread."""
        _, client = self._blocking.get()
        return client

    @asynccontextmanager
    async def lent(self) -> AsyncIterator[AsyncClientV2]:
        """The running loop's client, for one request."""
        async with self._held.lent() as (_, client):
            yield client

    def close(self) -> None:
        """Let go of connections; idempotent."""
        if held := self._blocking.peek():
            held[0].close()

    async def aclose(self) -> None:
        """Let go of the running loop's connections; idempotent."""
        await self._held.aclose()
