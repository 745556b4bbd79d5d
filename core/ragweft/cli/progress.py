"""A progress bar on stderr, for terminals and for work that takes a moment."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

__all__ = ["Bar"]

_PATIENCE = 0.4
"""Seconds before the bar appears: quicker work shows none, and does not wait for rich to load."""
_INTERVAL = 0.05

_WORDS = {"flat": "filling the vector matrix", "lexical": "filling the word index", "Chroma": "filling Chroma"}


class Bar:
    """A `protocols.Progress` for the length of a `with` block; silent where stderr is no terminal."""

    def __init__(self) -> None:
        self._started = time.monotonic()
        self._shown = 0.0
        self._wanted = sys.stderr.isatty()
        self._stage = ""
        self._progress: Progress | None = None
        self._task: TaskID | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        if self._progress is not None:
            self._progress.stop()
            self._progress = None

    def __call__(self, stage: str, done: int, total: int | None, /) -> None:
        """Show *done* of *total* units of *stage*."""
        now = time.monotonic()
        if not self._wanted or now - self._started < _PATIENCE:
            return
        if stage == self._stage and done != total and now - self._shown < _INTERVAL:
            return
        self._shown = now
        progress = self._progress or self._start()
        if stage != self._stage or self._task is None:
            if self._task is not None:
                progress.remove_task(self._task)
            self._task = progress.add_task(_WORDS.get(stage.lower(), _WORDS.get(stage, stage)), total=total)
            self._stage = stage
        progress.update(self._task, completed=done, total=total)

    def _start(self) -> Progress:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=30),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=Console(stderr=True, highlight=False),
            transient=True,
        )
        self._progress.start()
        return self._progress
