"""What happened in the cache, noted in memory and written together: a hit waits for no write."""

from __future__ import annotations

import logging
import threading
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ragweft.caching.values import Cost
from ragweft.errors import RagweftError

if TYPE_CHECKING:
    from ragweft.caching.store import CacheStore
    from ragweft.ledger.snapshot import Moment

__all__ = ["Notes"]

_log = logging.getLogger(__name__)
_TOGETHER = 64
"""Things that are noted before they are written down."""


@dataclass(slots=True)
class _Page:
    edition: int
    """Of the store whose entries these are."""
    count: int = 0
    """Of what was noted since the last try to write."""
    served: Counter[int] = field(default_factory=Counter[int])
    tally: dict[str, tuple[int, Cost]] = field(default_factory=dict[str, tuple[int, Cost]])
    held: dict[Moment, set[int]] = field(default_factory=dict["Moment", set[int]])
    """Commit to the entries that were seen to hold at it."""


class Notes:
    """Counts for one store. Safe to use from many threads."""

    def __init__(self, store: CacheStore) -> None:
        self._store = store
        self._page = _Page(edition=store.edition)
        self._lock = threading.Lock()

    def count(self, what: str, saved: Cost | None = None, *, times: int = 1, served: int | None = None) -> None:
        """Something happened so many *times*: what it *saved*, and the entry that was *served*."""
        with self._lock:
            page = self._page
            before, cost = page.tally.get(what, (0, Cost()))
            page.tally[what] = before + times, cost + (saved or Cost())
            if served is not None:
                page.served[served] += 1
            page.count += 1
            full = page.count >= _TOGETHER
        if full:
            self.flush()

    def held(self, number: int, *, through: Moment) -> None:
        """An entry was seen to hold up to a commit."""
        with self._lock:
            self._page.held.setdefault(through, set()).add(number)

    def flush(self) -> None:
        """Write everything down; what cannot be written is told, and kept for the next time."""
        with self._lock:
            page, self._page = self._page, _Page(edition=self._store.edition)
        if not page.tally and not page.held:
            return
        if page.edition != self._store.edition:
            # The file is another one, and so are the entries of these numbers.
            page.held.clear()
            page.served.clear()
        try:
            for through, numbers in page.held.items():
                self._store.advance(numbers, through=through)
            self._store.note(page.served, page.tally)
        except RagweftError as error:
            _log.warning("what the cache did could not be written down yet: %s", error)
            self._back(page)

    def _back(self, page: _Page) -> None:
        """Keep for the next time what could not be written; who holds the file does not do so for long."""
        with self._lock:
            mine = self._page
            if mine.edition != page.edition:
                return
            for what, (times, saved) in page.tally.items():
                before, cost = mine.tally.get(what, (0, Cost()))
                mine.tally[what] = before + times, cost + saved
            mine.served.update(page.served)
            for through, numbers in page.held.items():
                mine.held.setdefault(through, set()).update(numbers)
