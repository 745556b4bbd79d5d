"""The process that keeps followers level beside a long sync: `python -m ragweft.follow`, started by that sync.

The first line of standard input says what to follow. "finish" on the next means: level everything, then end.
Anything else, the end of input or of the parent means the sync was interrupted or died: stop at the next batch.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from ragweft.assembly import build_parts
from ragweft.health import report_followers
from ragweft.recipe import parse_recipe
from ragweft.types import Space

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ragweft.assembly import Parts
    from ragweft.types import Vector, Vectors

__all__ = ["main"]

_POLL_SECONDS = 0.25


class _Stopped(Exception):  # not an error
    """The sync this process works for has gone."""


class _SpaceOnly:
    """Stands in for the embedder: followers are filled with stored vectors, nothing is ever embedded here."""

    def __init__(self, space: Space) -> None:
        self.space = space

    def embed_documents(self, texts: Sequence[str]) -> Vectors:
        raise _Stopped(f"asked to embed {len(texts)} texts")

    def embed_query(self, text: str) -> Vector:
        raise _Stopped(f"asked to embed {text!r}")


class _Orders:
    """What the sync has said so far, heard by a thread so that work is not held up."""

    def __init__(self) -> None:
        self.finish = False
        self.heard = threading.Event()
        self._parent = os.getppid()
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        self.finish = sys.stdin.readline().strip() == "finish"
        self.heard.set()

    @property
    def gone(self) -> bool:
        """Whether there is nobody left to finish for."""
        return os.getppid() != self._parent or (self.heard.is_set() and not self.finish)

    def obey(self, _done: int, _total: int) -> None:
        """Between batches: stop if the sync has gone."""
        if self.gone:
            raise _Stopped("the sync has gone")


def main() -> NoReturn:
    """Follow until told otherwise."""
    # Ctrl-C reaches the whole group of processes; the sync hears it and ends this one properly.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    task = json.loads(sys.stdin.readline())
    parts = build_parts(
        Path(task["folder"]),
        parse_recipe(task["recipe"]),
        _SpaceOnly(Space(**task["space"])),
        chunker=None,
        contextualizer=None,
        read_only=False,
    )
    try:
        _follow(parts, _Orders(), chroma=task["chroma"])
    except _Stopped:
        sys.exit(0)
    finally:
        parts.close()
    sys.exit(0)


def _follow(parts: Parts, orders: _Orders, *, chroma: bool) -> None:
    while True:
        last = orders.heard.is_set()
        for slot in parts.followers.every:
            if slot is not parts.followers.chroma:
                slot.catch_up(progress=orders.obey)
            elif chroma:
                slot.catch_up(wait=False, progress=orders.obey)
        if last:
            report_followers(parts)
            return
        orders.heard.wait(_POLL_SECONDS)
        if orders.gone:
            return


if __name__ == "__main__":
    main()
