"""What a model made of the last few texts, so that it does not run again for who needs it a moment later."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

__all__ = ["Recent"]

T = TypeVar("T")


@dataclass(slots=True)
class _Entry(Generic[T]):
    lock: threading.Lock = field(default_factory=threading.Lock)
    """Held while it is made."""
    made: T | None = None
    users: int = 0
    """Who makes it or waits for it."""
    kept: bool = False


class Recent(Generic[T]):
    """Makes something of a text; who asks for what is being made waits for it. Safe to use from many threads.

    A forked child needs one of its own: what its parent was making is never done there.
    """

    def __init__(self, make: Callable[[str], T], *, most: int) -> None:
        """What *make* made of *most* texts is kept."""
        self._make = make
        self._most = most
        self._lock = threading.Lock()
        self._entries: OrderedDict[str, _Entry[T]] = OrderedDict()

    def get(self, text: str, *, keep: bool) -> T:
        """What was made of *text*, or is now; afterwards it is forgotten unless somebody said *keep*.

        It raises what *make* raises; then whoever waited tries anew.
        """
        with self._lock:
            entry = self._entries.setdefault(text, _Entry())
            entry.users += 1
            entry.kept |= keep
            self._entries.move_to_end(text)
        try:
            with entry.lock:
                if entry.made is None:
                    entry.made = self._make(text)
                return entry.made
        finally:
            with self._lock:
                entry.users -= 1
                self._forget()

    def _forget(self) -> None:
        idle = {text: entry for text, entry in self._entries.items() if not entry.users}
        for text, entry in idle.items():
            if not entry.kept or entry.made is None or len(self._entries) > self._most:
                del self._entries[text]
