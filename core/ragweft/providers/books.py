"""Where calls around an index are written down: a question may cost something before an index is asked it."""

from __future__ import annotations

import threading
from contextvars import ContextVar
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from ragweft.providers.metering import Charge

__all__ = ["BOOK", "Book"]


class Book:
    """Keeps charges until somebody who writes charges down is found."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._record: Callable[[Charge], None] | None = None
        self._waiting: list[Charge] = []

    def write(self, charged: Charge) -> None:
        """Write it down, now or as soon as it is known where."""
        with self._lock:
            record = self._record
            if record is None:
                self._waiting.append(charged)
        if record is not None:
            record(charged)

    def open(self, record: Callable[[Charge], None]) -> None:
        """Write by *record*, unless it is known already where."""
        with self._lock:
            if self._record is not None:
                return
            self._record, waiting = record, self._waiting
        for charged in waiting:
            record(charged)


BOOK: ContextVar[Book | None] = ContextVar("ragweft_book", default=None)
"""The one that is open here; None where whoever collects writes down, or nobody will."""
