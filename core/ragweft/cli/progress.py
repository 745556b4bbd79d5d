"""A progress bar on stderr, for terminals and for work that takes a moment."""

from __future__ import annotations

import sys
import threading
import time
from types import TracebackType
from typing import TYPE_CHECKING, Self

from ragweft.cli.wording import printable
from ragweft.types import Usage

if TYPE_CHECKING:
    from collections.abc import Callable

    from rich.console import RenderableType
    from rich.live import Live

__all__ = ["Bar"]

_PATIENCE = 0.4
"""Seconds before the bar appears: quicker work shows none, and does not wait for rich to load."""

_LONGEST = 30
"""Characters of a stage that stands beside the bar; a longer one gets lines of its own above."""

_WORDS = {"flat": "filling the vector matrix", "lexical": "filling the word index", "chroma": "filling Chroma"}


class Bar:
    """A `protocols.Progress` for the length of a `with` block; silent where stderr is no terminal.

    What is reported is only noted; a thread of rich's draws it ten times a second, so that the clock goes on
    while a long step reports nothing.
    """

    def __init__(self) -> None:
        self._started = time.monotonic()
        self._state: tuple[str, int, int | None] = ("opening", 0, None)
        self._spent: Callable[[], Usage] = Usage
        self._lock = threading.Lock()
        self._live: Live | None = None
        self._timer: threading.Timer | None = None

    def __enter__(self) -> Self:
        if sys.stderr.isatty():
            self._timer = threading.Timer(_PATIENCE, self._appear)
            self._timer.daemon = True
            self._timer.start()
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        with self._lock:
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None
            if self._live is not None:
                self._live.stop()
                self._live = None

    def __call__(self, stage: str, done: int, total: int | None, /) -> None:
        """Note *done* of *total* units of *stage*."""
        self._state = (stage, done, total)

    def priced(self, spent: Callable[[], Usage]) -> None:
        """Show what *spent* says beside the clock, once it is something."""
        self._spent = spent

    def _appear(self) -> None:
        from rich.console import Console
        from rich.live import Live

        with self._lock:
            if self._timer is None:
                return
            console = Console(stderr=True, highlight=False)
            self._live = Live(get_renderable=self._draw, console=console, refresh_per_second=10, transient=True)
            self._live.start()

    def _draw(self) -> RenderableType:
        from rich.console import Group
        from rich.progress_bar import ProgressBar
        from rich.table import Table
        from rich.text import Text

        from ragweft.providers.registry import dollars

        stage, done, total = self._state
        elapsed, spent = int(time.monotonic() - self._started), self._spent()
        said = Text(printable(_WORDS.get(stage.lower(), stage)))
        apart = len(said) > _LONGEST
        row = Table.grid(padding=(0, 1))
        row.add_row(
            *([] if apart else [said]),
            ProgressBar(total=total or 1, completed=done, width=30, pulse=not total),
            f"{done:,}/{total:,}" if total else f"{done:,}" if done else "",
            f"{elapsed // 60}:{elapsed % 60:02d}",
            *([dollars(spent.usd)] if spent.calls else []),
        )
        return Group(said, row) if apart else row
