"""The connections of the `voyageai` SDK, which never closes those of threads and keeps none for coroutines."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ragweft.providers.background import in_background

if TYPE_CHECKING:
    import aiohttp

__all__ = ["VoyageSessions", "own_session"]


@contextmanager
def own_session() -> Iterator[None]:
    """Have the SDK open a session of its own for the calling thread within the block, and close it.

    One the thread had is left alone: it is the program's, or came through a fork with its parent's sockets.
    """
    from voyageai.api_resources import api_requestor

    held = vars(api_requestor._thread_context)  # noqa: SLF001  # there is no public way to it
    before = held.pop("session", None)
    try:
        yield
    finally:
        if (session := held.pop("session", None)) is not None:
            session.close()
        if before is not None:
            held["session"] = before


class VoyageSessions:
    """Keeps a session for queries of those who block, so that not every one has to connect anew."""

    def __init__(self) -> None:
        self._session: aiohttp.ClientSession | None = None

    async def keep(self) -> None:
        """Have the SDK use the kept session in the running task.

        Only on the loop in the background. On others it opens one for each call: they end whenever they like,
        and a session that outlives its loop complains.
        """
        if not in_background():
            return
        import aiohttp
        import voyageai

        if self._session is None or self._session.closed:
            self._session = aiohttp.ClientSession()
        voyageai.aiosession.set(self._session)

    async def aclose(self) -> None:
        """Close the session, on the loop it is used on; idempotent."""
        if self._session is not None and in_background():
            await self._session.close()
