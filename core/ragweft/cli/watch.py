"""`ragweft sync --watch`: one sync per batch of changes, until Ctrl-C."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ragweft.cli.report import say_troubles, summary
from ragweft.cli.session import say
from ragweft.cli.wording import counted
from ragweft.errors import MissingExtra, ProviderError

if TYPE_CHECKING:
    from watchfiles import Change

    from ragweft.index import Index

__all__ = ["follow", "require_watchfiles"]

_DEBOUNCE_MS = 1_600
"""Changes are gathered for at most this long while they keep coming, and for `_STEP_MS` once they stop."""
_STEP_MS = 200
_WAKE_MS = 1_000


def require_watchfiles() -> None:
    """Fail before the work begins, not after it.

    Raises:
        MissingExtra: watchfiles is not installed.
    """
    try:
        import watchfiles  # noqa: F401
    except ImportError:
        raise MissingExtra(package="watchfiles", extra="watch") from None


def follow(index: Index, paths: Sequence[Path], *, as_json: bool) -> None:
    """Sync *paths* after every batch of changes below them; returns when interrupted.

    Raises:
        LoadError: one of *paths* has gone.
    """
    from watchfiles import watch

    roots = [path.expanduser().resolve() for path in paths]
    batches = watch(
        *roots,
        watch_filter=_outside(index.path.resolve()),
        debounce=_DEBOUNCE_MS,
        step=_STEP_MS,
        rust_timeout=_WAKE_MS,
        yield_on_timeout=True,
    )
    say(f"watching {counted(len(roots), 'path')}; press Ctrl-C to stop")
    try:
        next(batches)
        # What changed between the first sync and the first look of the watcher.
        _sync(index, paths, as_json=as_json)
        for changes in batches:
            if changes:
                _sync(index, paths, as_json=as_json)
    except KeyboardInterrupt:
        say("stopped watching; everything committed is kept")


def _outside(folder: Path) -> Callable[[Change, str], bool]:
    """Whether a change may concern a document: it is not the index's own, nor an editor's or a tool's."""
    from watchfiles import DefaultFilter

    usual = DefaultFilter()

    def wanted(change: Change, path: str) -> bool:
        return not Path(path).is_relative_to(folder) and usual(change, path)

    return wanted


def _sync(index: Index, paths: Sequence[Path], *, as_json: bool) -> None:
    try:
        report = index.sync(*paths)
    except ProviderError as error:
        say(f"error: {error}")  # the next change tries again
        return
    if not report.changed and not report.failed:
        return
    if as_json:
        from ragweft.cli.payload import print_json, sync_payload

        print_json(sync_payload(report))
    else:
        print(f"{time.strftime('%H:%M:%S')} {summary(report)}")
        say_troubles(report)
    sys.stdout.flush()
