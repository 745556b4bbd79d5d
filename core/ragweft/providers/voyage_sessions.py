"""The connections the `voyageai` SDK opens, one `requests.Session` for each thread, and never closes."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import requests

__all__ = ["VoyageSessions"]


class VoyageSessions:
    """Keeps the sessions of threads that come back, closes those of threads that do not."""

    def __init__(self) -> None:
        self._kept: set[requests.Session] = set()
        self._lock = threading.Lock()
        self._left: list[requests.Session] = []

    def begin(self) -> None:
        """Leave alone what the calling thread may have inherited through a fork: sockets of its parent."""
        if (session := _own().pop("session", None)) is not None:
            self._left.append(session)

    def keep(self) -> None:
        """The calling thread will call again: its session is closed with all the others."""
        if (session := _own().get("session")) is not None:
            with self._lock:
                self._kept.add(session)

    def drop(self) -> None:
        """The calling thread is done: its session is closed now."""
        session: requests.Session | None = _own().pop("session", None)
        if session is not None:
            session.close()

    def close(self) -> None:
        """Close what was kept; idempotent. A session that is used again opens its connections anew."""
        with self._lock:
            kept, self._kept = self._kept, set()
        for session in kept:
            session.close()


def _own() -> dict[str, requests.Session]:
    """What the SDK keeps for the calling thread."""
    from voyageai.api_resources import api_requestor

    return vars(api_requestor._thread_context)  # noqa: SLF001  # there is no public way to it
