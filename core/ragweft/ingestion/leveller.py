"""Followers kept level while a sync goes on.

A short job levels them itself after every commit. A long one hands that to a process of its own: tantivy and
Chroma hold the interpreter while they work, so a thread would only take turns with cutting and embedding, while
a second process takes the second core. It needs nothing but what any other process on the index needs, the
ledger and the followers' locks; if it cannot be started or dies, the job levels the followers at its end.
"""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Self

from ragweft.recipe import write_recipe

if TYPE_CHECKING:
    from types import TracebackType

    from ragweft.assembly import Parts

__all__ = ["Leveller"]

_log = logging.getLogger(__name__)
_ALONE_SECONDS = 1.0
"""A job that is still busy after this is worth a process, which takes about as long to start."""
_FINISH_SECONDS = 600.0


class Leveller:
    """A context in which `notice`, after each commit, has the fast followers brought level."""

    def __init__(self, parts: Parts, *, chroma: bool) -> None:
        """*chroma* False leaves the Chroma collection for later."""
        self._parts = parts
        self._chroma = chroma
        self._started = time.monotonic()
        self._child: subprocess.Popen[str] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        if self._child is not None:
            self._end(finish=error is None)

    def notice(self) -> None:
        """Something was committed.

        Raises:
            IndexLocked: a follower cannot be written; what was committed stays.
        """
        if self._child is not None:
            if self._child.poll() is None:
                return
            _log.warning("the levelling process ended with status %s", self._child.returncode)
            self._end(finish=False)
        if time.monotonic() - self._started > _ALONE_SECONDS and self._start():
            return
        self._parts.followers.flat.catch_up()
        self._parts.followers.lexical.catch_up()

    def _start(self) -> bool:
        if not sys.executable or getattr(sys, "frozen", False):
            return False
        parts = self._parts
        task = {
            "folder": str(parts.folder),
            "recipe": write_recipe(parts.recipe),
            "space": asdict(parts.embedder.space),
            "chroma": self._chroma,
        }
        path = os.pathsep.join(entry for entry in sys.path if entry)
        try:
            self._child = subprocess.Popen(
                # -P: a module of the working directory must not stand in for one of ours.
                [sys.executable, "-P", "-m", "ragweft.follow"],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                text=True,
                env={**os.environ, "PYTHONPATH": path},
            )
            self._say(json.dumps(task))
        except OSError as error:
            _log.warning("no process for the followers: %s", error)
            return False
        return True

    def _end(self, *, finish: bool) -> None:
        """Have the process finish, or only stop where it can go on later, and wait for it."""
        child, self._child = self._child, None
        if child is None or child.stdin is None:
            return
        try:
            # Said in words: a process forked meanwhile may keep the pipe open, so its end may never come.
            child.stdin.write("finish\n" if finish else "stop\n")
            child.stdin.close()
        except OSError:  # it is gone already; whoever syncs next levels the rest
            _log.warning("the levelling process went early, with status %s", child.poll())
        try:
            child.wait(timeout=_FINISH_SECONDS)
        except subprocess.TimeoutExpired:
            _log.warning("the levelling process took over %.0f s and was ended", _FINISH_SECONDS)
            child.kill()
            child.wait()

    def _say(self, line: str) -> None:
        if self._child is not None and self._child.stdin is not None:
            self._child.stdin.write(line + "\n")
            self._child.stdin.flush()
