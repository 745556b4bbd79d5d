"""Followers brought level in a thread of their own while the next documents are being read."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Self

from ragweft.errors import RagweftError

if TYPE_CHECKING:
    from types import TracebackType

    from ragweft.assembly import Followers
    from ragweft.ledger.followers import Slot
    from ragweft.protocols import LexicalIndex, VectorIndex

__all__ = ["Leveller"]


class Leveller:
    """A context in which `notice` has the followers brought level in the background.

    Cutting and embedding keep one core busy, tantivy and Chroma another, which saves up to half of a sync's
    time. Leaving the context waits for the thread; the caller sees to what it has not come to.
    """

    def __init__(self, followers: Followers, *, chroma: bool) -> None:
        """*chroma* False leaves the embedded Chroma collection for later."""
        self._slots: list[Slot[VectorIndex] | Slot[LexicalIndex]] = [followers.flat, followers.lexical]
        if chroma and followers.chroma is not None:
            self._slots.append(followers.chroma)
        self._chroma = followers.chroma
        self._wake = threading.Event()
        self._ending = False
        self._error: BaseException | None = None
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        self._ending = True
        self._wake.set()
        if self._thread is not None:
            self._thread.join()
        if error is None and self._error is not None:
            raise self._error

    def notice(self) -> None:
        """Something was committed.

        Raises:
            RagweftError: whatever stopped the thread, as soon as it is known.
        """
        if self._error is not None:
            raise self._error
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="ragweft-leveller")
            self._thread.start()
        self._wake.set()

    def _run(self) -> None:
        try:
            while not self._ending:
                self._wake.wait()
                self._wake.clear()
                for slot in self._slots:
                    if self._ending:
                        return
                    self._level(slot)
        except BaseException as error:  # noqa: BLE001  # raised again in the thread that asked for the work
            self._error = error

    def _level(self, slot: Slot[VectorIndex] | Slot[LexicalIndex]) -> None:
        if slot is not self._chroma:
            slot.catch_up()
            return
        try:
            slot.catch_up(wait=False)
        except RagweftError:
            # Said by the caller, who tries once more at the end; until then the fast followers go on.
            self._slots = [other for other in self._slots if other is not slot]
