"""Clients of running event loops, each left behind with its connections once a request on it was cut off."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Generic, TypeVar

from ragweft.providers.owned import PerLoop

__all__ = ["LoopClients"]

T = TypeVar("T")
_log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Held(Generic[T]):
    client: T
    users: int = 0
    """Requests that are under way."""
    spent: bool = False
    """No other request gets it; who leaves it last closes it."""


class LoopClients(Generic[T]):
    """One client for every running loop, made at its first request.

    A request that is cut off between connecting and sending leaves its connection in the client's pool, neither
    idle nor closed, and with it a socket and one of the pool's places, for ever (httpcore 1.0.9, issues 830 and
    1093; httpcore2 2.16 if the connection stood already). After a hundred of them the client answers nobody any
    more. So the requests after one that was cut off get a client of their own, and the old one is closed as
    soon as those that share it have ended.
    """

    def __init__(self, make: Callable[[], T], close: Callable[[T], Awaitable[object]]) -> None:
        """*close* lets go of all the connections of what *make* made."""
        self._close = close
        self._held: PerLoop[_Held[T]] = PerLoop(lambda: _Held(make()))

    @asynccontextmanager
    async def lent(self) -> AsyncIterator[T]:
        """The running loop's client, for one request."""
        held = self._held.get()
        held.users += 1
        try:
            yield held.client
        except asyncio.CancelledError:
            self._retire(held)
            raise
        finally:
            held.users -= 1
            if held.spent and not held.users:
                # Who is cancelled a second time does not wait for it, but it goes on.
                await asyncio.shield(asyncio.ensure_future(self._closed(held)))

    async def aclose(self) -> None:
        """Let go of the running loop's connections; idempotent."""
        if held := self._held.pop():
            held.spent = True
            await self._close(held.client)

    def _retire(self, held: _Held[T]) -> None:
        held.spent = True
        if self._held.peek() is held:
            self._held.pop()

    async def _closed(self, held: _Held[T]) -> None:
        try:
            await self._close(held.client)
        except Exception as error:  # noqa: BLE001  # whoever was cut off is to hear of that, not of this
            _log.warning("the connections of a request that was cut off could not be closed: %s", error)
