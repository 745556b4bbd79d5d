"""The connections of the `voyageai` SDK, which never closes those of threads and keeps none for coroutines."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ragweft.providers.background import in_background

if TYPE_CHECKING:
    import aiohttp
    from requests import PreparedRequest

__all__ = ["Unavailable", "VoyageSessions", "own_session"]


class Unavailable(Exception):
    """A refusal whose status the SDK keeps to itself: one above 499 that is not 500, 502, 503 or 504."""

    status_code = 529

    def __init__(self, answer: object) -> None:
        """*answer* is what the SDK took for one."""
        super().__init__(str(answer.get("detail", answer) if isinstance(answer, Mapping) else answer))


@contextmanager
def own_session() -> Iterator[None]:
    """Have the SDK use a session of its own for the calling thread within the block, and close it.

    One the thread had is left alone: it is the program's, or came through a fork with its parent's sockets.
    """
    from voyageai.api_resources import api_requestor

    held = vars(api_requestor._thread_context)  # noqa: SLF001  # there is no public way to it
    before = held.pop("session", None)
    session = api_requestor._make_session()  # noqa: SLF001
    # Or ~/.netrc has something for the host, or for all hosts, and that is sent instead of the key.
    session.auth = session.auth or _as_it_is
    held.update(session=session, session_create_time=time.time())
    try:
        yield
    finally:
        held.pop("session", session).close()
        if before is not None:
            held["session"] = before


def _as_it_is(request: PreparedRequest) -> PreparedRequest:
    return request


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
