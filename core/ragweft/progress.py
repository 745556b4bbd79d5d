"""Progress of long jobs; see `protocols.Progress`."""

from __future__ import annotations

__all__ = ["silent"]


def silent(_stage: str, _done: int, _total: int | None, /) -> None:
    """Progress nobody listens to."""
