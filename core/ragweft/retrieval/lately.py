"""Vectors of the latest questions, for an embedder on this machine: cache and retrieval share one."""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from ragweft.types import Vector

__all__ = ["Lately"]

_KEPT = 64


class Lately:
    """A few vectors by text. Safe to use from many threads; a fork needs its own."""

    def __init__(self) -> None:
        self._vectors: OrderedDict[str, Vector] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, text: str) -> Vector | None:
        """The vector of *text*, if it is among the last ones; it cannot be written to."""
        with self._lock:
            return self._vectors.get(text)

    def keep(self, text: str, vector: Vector) -> Vector:
        """*vector*, from now on that of *text*; the caller's own may be changed and is not what is kept."""
        kept: Vector = np.array(vector, dtype=np.float32)
        kept.flags.writeable = False
        with self._lock:
            self._vectors[text] = kept
            while len(self._vectors) > _KEPT:
                self._vectors.popitem(last=False)
        return kept
