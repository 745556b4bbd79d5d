"""Progress of long jobs; see `protocols.Progress`."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    from ragweft.types import Usage

__all__ = ["PricedProgress", "silent"]


@runtime_checkable
class PricedProgress(Protocol):
    """A `protocols.Progress` that also shows what a job has cost so far."""

    def priced(self, spent: Callable[[], Usage]) -> None:
        """Hear, before the job begins, whom to ask what was spent; any thread may ask, at any time."""
        ...


def silent(_stage: str, _done: int, _total: int | None, /) -> None:
    """Progress nobody listens to."""
