"""Which rows a search may return: filters on metadata and on where a document came from.

A filter is tested once per distinct metadata, ever: metadata is interned and never changes, so a filter seen
before costs only what was added since.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ragweft.ledger.filters import canonical, compile_filter

if TYPE_CHECKING:
    from collections.abc import Callable

    from ragweft.ledger.snapshot import Snapshot
    from ragweft.types import Metadata, Rows

__all__ = ["NARROW", "Scope", "Scopes"]

NARROW = 20_000
"""A filter that leaves at most so many rows is answered by scanning exactly these."""
_REMEMBERED = 64


class _Verdicts:
    """The ids of matching metadata, extended as new metadata appears."""

    def __init__(self, test: Callable[[Metadata], bool]) -> None:
        self._test = test
        self._seen = 0
        self._lock = threading.Lock()
        self.matching: set[int] = set()
        self._among: tuple[int, Rows | None] = (-1, None)

    def among(self, snapshot: Snapshot) -> Rows | None:
        """The living rows that match, or None if they are too many to scan one by one."""
        generation, found = self._among
        if generation != snapshot.generation:
            self.extend(snapshot)
            rows = snapshot.rows_with(sorted(self.matching), limit=NARROW + 1)
            found = rows if len(rows) <= NARROW else None
            self._among = (snapshot.generation, found)
        return found

    def extend(self, snapshot: Snapshot) -> None:
        with self._lock:
            for number, metadata in snapshot.metadatas(after=self._seen):
                if self._test(metadata):
                    self.matching.add(number)
                self._seen = number


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """The rows one search may return."""

    verdicts: _Verdicts | None = None
    """None: every living row."""
    among: Rows | None = None
    """The rows to scan when the filter is narrow; rows born later are judged by `admit`."""
    since: int = 0
    """The generation `among` was read at."""

    def admit(self, snapshot: Snapshot, rows: Sequence[int]) -> dict[int, int]:
        """Those of *rows* that are alive in *snapshot* and satisfy the filter, each with its document's key."""
        live = snapshot.live(rows)
        if self.verdicts is None:
            return {row: document for row, _, document in live}
        self.verdicts.extend(snapshot)
        matching = self.verdicts.matching
        return {row: document for row, metadata, document in live if metadata in matching}


class Scopes:
    """Resolves filters; remembers the verdicts of the last few."""

    def __init__(self) -> None:
        self._remembered: OrderedDict[str, _Verdicts] = OrderedDict()
        self._lock = threading.Lock()

    def resolve(self, snapshot: Snapshot, where: Metadata | None, sources: Sequence[str] | None) -> Scope:
        """The scope of *where* and of documents at or below the URIs *sources*.

        Raises:
            InvalidFilter: *where* is malformed.
        """
        if not where and sources is None:
            return Scope()
        verdicts = self.verdicts(where, sources)
        return Scope(verdicts=verdicts, among=verdicts.among(snapshot), since=snapshot.generation)

    def verdicts(self, where: Metadata | None, sources: Sequence[str] | None) -> _Verdicts:
        """The remembered or new verdicts of a filter."""
        key = f"{canonical(where)}\n{'*' if sources is None else sorted(sources)}"
        with self._lock:
            found = self._remembered.get(key)
            if found is None:
                found = self._remembered[key] = _Verdicts(_both(compile_filter(where), sources))
            self._remembered.move_to_end(key)
            while len(self._remembered) > _REMEMBERED:
                self._remembered.popitem(last=False)
        return found


def _both(test: Callable[[Metadata], bool], sources: Sequence[str] | None) -> Callable[[Metadata], bool]:
    if sources is None:
        return test
    exact = {uri.rstrip("/") for uri in sources}
    below = tuple(f"{uri}/" for uri in sorted(exact))

    def both(metadata: Metadata) -> bool:
        source = metadata.get("source")
        under = isinstance(source, str) and (source in exact or source.startswith(below))
        return under and test(metadata)

    return both
