"""Keeping the indexes level with the ledger: applying the journal, setting damage aside, rebuilding.

Each follower lies in a folder of its own beside the ledger and knows by itself how far it has come. Whoever
holds its file lock may apply; anybody may read. Everything here is idempotent: a process killed anywhere leaves
a follower that the next one brings level.
"""

from __future__ import annotations

import logging
import os
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

import numpy as np

from ragweft.errors import IndexDamaged, IndexLocked, ProviderError
from ragweft.ledger.locks import FolderLock, Timeout
from ragweft.ledger.stamps import check_stamp, put_stamp

if TYPE_CHECKING:
    from ragweft.ledger.ledger import Ledger
    from ragweft.types import Rows

__all__ = ["Feed", "Follower", "FollowerState", "Slot"]

_log = logging.getLogger(__name__)
_BATCH = 2_048
"""Rows applied at once: a few MB of texts or vectors."""
_LOCK_SECONDS = 300.0
_OWN_SECONDS = 5.0
"""A process on its way out gives a sole follower up within this; a server may keep it for days."""
_SPARE_BYTES = 16 * 2**20
"""With less free space than this a failed write is blamed on the disk, not on the follower."""


class Follower(Protocol):
    """What a vector index and a lexical index have in common."""

    @property
    def applied_generation(self) -> int: ...  # noqa: D102
    def __len__(self) -> int: ...
    def close(self) -> None: ...  # noqa: D102


F = TypeVar("F", bound=Follower)
Feed = Callable[[F, "Rows", "Rows", int], None]
"""Called with (follower, rows born, rows died, generation): hands over what the follower needs of the rows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FollowerState:
    """How a follower stands against the ledger."""

    name: str
    applied: int
    rows: int | None
    """None if this process has not looked into it."""
    behind: int
    """Rows born or died that it has not applied."""
    level: bool
    note: str = ""


class Slot(Generic[F]):
    """One follower of one index: opened on first use, kept level, replaced when damaged."""

    def __init__(
        self,
        name: str,
        folder: Path,
        ledger: Ledger,
        *,
        opens: Callable[[Path], F],
        feed: Feed[F],
        read_only: bool = False,
        sole: bool = False,
        place: str = "",
        clear: Callable[[F], None] | None = None,
    ) -> None:
        """*opens* opens or creates the follower in a folder; *sole* followers may be opened by one process.

        *place* is the name of that folder, if it is not the follower's. *clear* empties a follower that is not
        in its folder, and so cannot be moved aside.
        """
        self.name = name
        self._folder = folder / (place or name)
        self._ledger = ledger
        self._opens = opens
        self._feed = feed
        self._clear = clear
        self._read_only = read_only
        self._sole = sole
        # A sole follower's lock is held from opening to closing, whichever threads do that.
        self._lock = FolderLock(folder / f"{place or name}.lock", per_thread=not sole)
        self._stamp = folder / f"{place or name}.stamp"
        self._owned = False
        self._follower: F | None = None
        # Held to open and close, never while rows are applied: searches go on meanwhile.
        self._guard = threading.RLock()
        # A sole follower's file lock is the process's; this one keeps its threads apart.
        self._applying = threading.RLock()
        self._closed = False
        self._pid = os.getpid()
        self._healing: threading.Thread | None = None

    def get(self) -> F:
        """The follower, opened if it is not yet; a damaged one is set aside and an empty one opened instead.

        Raises:
            IndexLocked: it may be opened by one process only, and another has it.
        """
        self._forget_parent()
        with self._guard:
            if self._closed:
                raise IndexLocked(f"{self._folder}: this index was closed; open it again with Index.open")
            if self._follower is not None:
                return self._follower
            try:
                return self._opened()
            except Timeout:
                raise self._busy() from None
            except IndexDamaged:
                if self._read_only:
                    raise
        # The file lock comes before the guard, here as in `catch_up`: two threads that took them in different
        # orders would wait for one another.
        try:
            with self._exclusive(wait=True), self._guard:
                return self._reopened() if self._follower is None else self._follower
        except Timeout:
            raise self._busy() from None

    def catch_up(self, *, wait: bool = True, progress: Callable[[int, int], None] | None = None) -> bool:
        """Apply what the ledger has and the follower has not; False if another process is at it and not *wait*.

        *progress* hears rows done and rows to do.
        """
        try:
            with self._exclusive(wait):
                try:
                    self._apply(self.get(), progress)
                except IndexDamaged as error:
                    self._check_space()
                    self._replace(str(error))
                    self._apply(self.get(), progress)
        except Timeout:
            if wait and not self._sole:
                raise self._busy() from None
            return False
        return True

    def heal(self, *, damaged: bool = True) -> None:
        """Bring the follower level in the background; a *damaged* one is opened anew or replaced."""
        self._forget_parent()
        with self._guard:
            if self._closed or self._read_only or (self._healing is not None and self._healing.is_alive()):
                return
            if damaged:
                self._close()
            self._healing = threading.Thread(target=self._heal, name=f"ragweft-heal-{self.name}")
            self._healing.start()

    def rebuild(self, progress: Callable[[int, int], None] | None = None) -> None:
        """Drop the follower and fill a new one from the ledger; no text is embedded again."""
        try:
            with self._exclusive(wait=True):
                self._replace("rebuilt on request")
                self._apply(self.get(), progress)
        except Timeout:
            raise self._busy() from None

    def state(self, *, opening: bool = True) -> FollowerState:
        """Compare with the ledger, without bringing it level.

        Not *opening*: a follower this process has not opened is judged by what it last reported.
        """
        if self._follower is None and (not opening or not self._obtainable()):
            reported = self._ledger.follower_generations().get(self.name, 0)
            with self._ledger.snapshot() as snapshot:
                behind = snapshot.changes(reported).count
            note = "open in another process" if opening else ""
            return FollowerState(
                name=self.name, applied=reported, rows=None, behind=behind, level=not behind, note=note
            )
        try:
            applied, rows = self._held(self.get())
        except (IndexLocked, IndexDamaged, ProviderError) as error:
            return FollowerState(name=self.name, applied=0, rows=None, behind=0, level=False, note=str(error))
        with self._ledger.snapshot() as snapshot:
            changes = snapshot.changes(applied)
            live = snapshot.count_live()
        off = rows - (live - len(changes.added) + changes.held)
        if 0 < off <= len(changes.added) + len(changes.removed) - changes.held:
            off = 0  # an apply was cut short, and the next one goes on where it stopped
        return FollowerState(
            name=self.name,
            applied=applied,
            rows=rows,
            behind=changes.count,
            level=not changes.count and not off,
            note=f"{abs(off)} rows too {'many' if off > 0 else 'few'}" if off else "",
        )

    def applied(self, reported: int) -> int:
        """The generation it has applied; *reported* if this process has not opened it."""
        follower = self._follower
        return reported if follower is None else follower.applied_generation

    def reported_level(self) -> bool:
        """Whether another process has brought the follower level and said so; nothing is opened to see."""
        if self._follower is not None:
            return False
        with self._ledger.snapshot() as snapshot:
            return self._ledger.follower_generations().get(self.name) == snapshot.generation

    def close(self) -> None:
        """Wait for a rebuild under way, close the follower, give its lock back. Idempotent."""
        self._forget_parent()
        if self._healing is not None:
            self._healing.join()
        with self._guard:
            self._closed = True
            self._close()
            self._disown()

    def _apply(self, follower: F, progress: Callable[[int, int], None] | None) -> None:
        since = follower.applied_generation
        check_stamp(self._stamp, self._ledger, applied=since)
        with self._ledger.snapshot() as snapshot:
            if snapshot.edition != self._ledger.edition:
                raise IndexLocked(f"{self._folder}: the index was made over meanwhile; open it again")
            if since == snapshot.generation:
                return
            beyond = since > snapshot.generation
            outdated = 0 < since < int(snapshot.fact("floor"))
            changes, moment = snapshot.changes(since), snapshot.moment
        if beyond or outdated:
            why = "is ahead of the ledger" if beyond else "lags behind the shortened journal"
            raise IndexDamaged(f"{self._folder}: {why}; it is rebuilt from the ledger")
        put_stamp(self._stamp, moment)
        total = len(changes.added)
        none = np.empty(0, dtype=np.int64)
        for start in range(0, max(total, 1), _BATCH):
            rows = changes.added[start : start + _BATCH]
            last = start + _BATCH >= total
            generation = changes.generation if last else since
            self._feed(follower, rows, changes.removed if last else none, generation)
            if progress is not None and total:
                progress(min(start + _BATCH, total), total)

    def _obtainable(self) -> bool:
        self._forget_parent()
        try:
            with self._guard:
                self._own()
        except Timeout:
            return False
        return True

    @staticmethod
    def _held(follower: F) -> tuple[int, int]:
        """Generation and rows that belong together, while another process may be applying."""
        while True:
            before, rows, after = follower.applied_generation, len(follower), follower.applied_generation
            if before == after:
                return before, rows

    def _check_space(self) -> None:
        """What could not be written for lack of space is not damaged, and a rebuild would fail too."""
        if shutil.disk_usage(self._folder.parent).free < _SPARE_BYTES:
            raise IndexLocked(
                f"{self._folder.parent}: the disk is full; what was acknowledged is kept, free some space"
            )

    def _heal(self) -> None:
        try:
            self.catch_up()
        except Exception as error:  # noqa: BLE001
            # Nobody waits for this thread; the next search meets the damage again and says so.
            _log.warning("%s could not be rebuilt: %s", self._folder, error)

    def _opened(self, *, checked: bool = True) -> F:
        self._own()
        try:
            self._follower = self._opens(self._folder)
            if checked:
                check_stamp(self._stamp, self._ledger, applied=self._follower.applied_generation)
        except IndexDamaged:
            self._close()
            raise
        except BaseException:
            self._disown()  # somebody else may have what it takes
            raise
        return self._follower

    def _reopened(self) -> F:
        """Open again under the lock; set the folder aside only if it is still damaged then."""
        try:
            return self._opened()
        except IndexDamaged as error:
            if self._clear is None:
                self._set_aside(str(error))
                return self._opened()
            opened = self._opened(checked=False)
            self._replace(str(error))
            return opened

    def _replace(self, reason: str) -> None:
        with self._guard:
            if self._clear is not None and self._follower is not None:
                _log.warning("%s is emptied and rebuilt: %s", self.name, reason)
                self._clear(self._follower)
                return
            self._close()
            self._set_aside(reason)

    def _set_aside(self, reason: str) -> None:
        if self._read_only:
            raise IndexLocked(f"{self._folder}: damaged ({reason}); verify it where it can be written")
        _log.warning("%s is set aside and rebuilt: %s", self._folder, reason)
        aside = self._folder.with_name(f"{self._folder.name}.damaged")
        # One generation of wreckage is kept for a look; more would fill the disk.
        shutil.rmtree(aside, ignore_errors=True)
        if self._folder.exists():
            try:
                self._folder.rename(aside)
            except OSError:
                shutil.rmtree(self._folder, ignore_errors=True)

    @contextmanager
    def _exclusive(self, wait: bool) -> Iterator[None]:
        if self._read_only:
            raise IndexLocked(f"{self._folder}: the index is read-only")
        self._forget_parent()
        if self._sole:
            # Its file lock is held from opening to closing.
            with self._applying:
                self._own(_OWN_SECONDS if wait else 0)
                yield
            return
        self._lock.acquire(_LOCK_SECONDS if wait else 0)
        try:
            yield
        finally:
            self._lock.release()

    def _own(self, seconds: float = 0) -> None:
        if self._sole and not self._owned:
            self._lock.acquire(seconds)
            self._owned = True

    def _disown(self) -> None:
        if self._owned:
            self._lock.release()
            self._owned = False

    def _busy(self) -> IndexLocked:
        doing = "open in" if self._sole else "being brought up to date by"
        return IndexLocked(f"{self._folder}: {doing} another process")

    def _close(self) -> None:
        if self._follower is not None:
            self._follower.close()
            self._follower = None

    def _forget_parent(self) -> None:
        """After a fork: open anew. The parent's handles are left alone, closing them could disturb it.

        Its locks are replaced too: another of its threads may have held one when it forked.
        """
        if self._pid != os.getpid():
            _inherited.append(self._follower)
            self._guard, self._applying = threading.RLock(), threading.RLock()
            self._follower, self._owned, self._healing = None, False, None
            self._pid = os.getpid()


# What a forked child got from its parent, kept from being closed by the garbage collector.
_inherited: list[object] = []
