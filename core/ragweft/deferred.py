"""What is loaded or made at its first use, so that nobody waits for what they do not use."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Generic, TypeVar

from ragweft.errors import RagweftError

__all__ = ["Once", "names_of"]

_Made = TypeVar("_Made")


class Once(Generic[_Made]):
    """Makes something when it is first asked for, once, and gives the same to every thread."""

    def __init__(self, make: Callable[[], _Made]) -> None:
        """What *make* raises, whoever asked sees; the next one tries again."""
        self._make = make
        self._kept: list[_Made] = []
        self._ended = False
        # A forked child would inherit a lock as it was, held by a thread that it does not have.
        self._locks: dict[int, threading.RLock] = {}

    def __call__(self) -> _Made:
        """What was made, now or before.

        Raises:
            RagweftError: nobody had asked before it was ended.
        """
        if not self._kept:
            with self._lock():
                if not self._kept:
                    if self._ended:
                        raise RagweftError("this index is closed; open it again with Index.open")
                    self._kept.append(self._make())
        return self._kept[0]

    def end(self) -> _Made | None:
        """What was made, for whoever closes it; None, and nothing will be, if nobody has asked.

        Somebody who is making it is waited for, or what comes of that would be left open.
        """
        with self._lock():
            self._ended = True
            return self._kept[0] if self._kept else None

    def _lock(self) -> threading.RLock:
        return self._locks.setdefault(os.getpid(), threading.RLock())


def names_of(package: str, homes: Mapping[str, str]) -> Callable[[str], object]:
    """A `__getattr__` for *package* that finds each name in the module that *homes* gives for it (PEP 562)."""

    def resolve(name: str) -> object:
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        return getattr(import_module(homes[name]), name)

    return resolve
