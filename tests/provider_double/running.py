"""What both doubles share: a server between `with` and its end."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from provider_double.http import HttpServer

__all__ = ["Running"]


class Running:
    """Serves while the block lasts; leaving it closes every connection and raises what went wrong in the double."""

    def __init__(self, server: HttpServer, *, bases: Mapping[str, str], defects: Sequence[Exception]) -> None:
        """*bases* is the path each provider's SDK wants after the host; *defects* grows while it serves."""
        self._server = server
        self._bases = bases
        self._defects = defects
        self._closing = threading.Event()

    def __enter__(self) -> Self:
        self._server.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closing.set()
        self._server.stop()
        if error is None and self._defects:
            raise self._defects[0]

    def base(self, provider: str) -> str:
        """The base URL as the provider's own SDK wants it."""
        return f"http://127.0.0.1:{self._server.port}{self._bases[provider]}"
