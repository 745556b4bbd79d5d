"""Who works on an answer, told to every process: so that the same is not made twice at once.

A lease is a line in cache.db that runs out. Whoever holds one renews it as long as its process lives and the
work goes on; of a process that was killed nothing has to be cleared up. What cannot be written costs double
work, never an answer.
"""

from __future__ import annotations

import logging
import os
import threading
import time
import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, TypeAlias
from weakref import WeakValueDictionary

from sqlalchemy import delete, or_, select, update
from sqlalchemy.dialects.sqlite import insert

from ragweft.caching.schema import leases
from ragweft.errors import RagweftError

if TYPE_CHECKING:
    from sqlalchemy import Delete, Update

    from ragweft.caching.file import CacheFile

__all__ = ["LASTS", "Lease", "Leases", "Outcome", "Taken"]

_log = logging.getLogger(__name__)
LASTS = 6.0
"""Seconds a lease holds if it is not renewed: how long others wait for one who was killed."""
_BEAT = 2.0
_OPEN = ""
"""In the place of an owner: the answer is none that is kept, so that nobody has to wait for it."""
_OPEN_FOR = 2.0

Taken: TypeAlias = Literal["ours", "theirs", "nobody's"]
"""Nobody's: it cannot be had, and nobody has to be waited for."""
Outcome: TypeAlias = Literal["kept", "not kept", "failed"]
"""What became of the work: the answer is in the cache, there is one that is not, or there is none."""


@dataclass(slots=True, kw_only=True, weakref_slot=True)
class Lease:
    """One that is asked for, held, or over."""

    key: bytes
    owner: str = field(default_factory=lambda: uuid.uuid4().hex)
    over: bool = False


@dataclass(slots=True, kw_only=True)
class _Held:
    """What one process holds. A lease that is lost with whoever held it is not renewed."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    leases: WeakValueDictionary[str, Lease] = field(default_factory=WeakValueDictionary)
    beating: bool = False


class Leases:
    """Leases in one file. Safe to use from many threads, processes, and after a fork."""

    def __init__(self, file: CacheFile) -> None:
        self._file = file
        self._of: dict[int, _Held] = {}

    def take(self, lease: Lease) -> Taken:
        """Try to have *lease*."""
        held = self._held()
        with held.lock:
            if lease.over:  # whoever wanted it gave up while the thread that asks was on its way
                return "nobody's"
            try:
                taken = self._insert(lease)
            except RagweftError as error:
                _log.warning("whether another process is at the same answer is not known: %s", error)
                return "nobody's"
            if taken == "ours":
                held.leases[lease.owner] = lease
                self._beat_on(held)
        return taken

    def release(self, lease: Lease, outcome: Outcome) -> None:
        """Be done with *lease*, also if it was never had. A forked child has none of its parent's to end."""
        held = self._held()
        with held.lock:
            lease.over = True
            if held.leases.pop(lease.owner, None) is None:
                return
            own = leases.c.owner == lease.owner
            over: Delete | Update = delete(leases).where(own)
            if outcome == "not kept":
                over = update(leases).where(own).values(owner=_OPEN, until=time.time() + _OPEN_FOR)
            try:
                with self._file.write() as connection:
                    connection.execute(over)
            except RagweftError as error:
                _log.warning("that an answer is made could not be told; it is known in %g s: %s", LASTS, error)

    def _insert(self, lease: Lease) -> Taken:
        now = time.time()
        query = select(leases.c.owner, leases.c.until).where(leases.c.key == lease.key)
        with self._file.read() as connection:
            found = connection.execute(query).first()
        # One that lasts longer than any does is from before the clock was set back.
        if found is not None and now < found.until <= now + LASTS:
            return "nobody's" if found.owner == _OPEN else "theirs"
        adding = insert(leases).values(key=lease.key, owner=lease.owner, until=now + LASTS)
        with self._file.write() as connection:
            connection.execute(delete(leases).where(or_(leases.c.until <= now, leases.c.until > now + LASTS)))
            made = connection.execute(adding.on_conflict_do_nothing()).rowcount
        return "ours" if made else "theirs"

    def _beat_on(self, held: _Held) -> None:
        if held.beating:
            return
        try:
            threading.Thread(target=self._beat, args=(held,), name="ragweft-leases", daemon=True).start()
            held.beating = True
        except RuntimeError as error:  # the program is ending
            _log.debug("a lease is not renewed: %s", error)

    def _beat(self, held: _Held) -> None:
        """Renew what is held, until nothing is."""
        while True:
            time.sleep(_BEAT)
            with held.lock:
                owners = list(held.leases)
                if not owners:
                    held.beating = False
                    return
                renewing = update(leases).where(leases.c.owner.in_(owners))
                try:
                    with self._file.write() as connection:
                        connection.execute(renewing.values(until=time.time() + LASTS))
                except RagweftError as error:
                    _log.warning("leases could not be renewed, others may make the same: %s", error)

    def _held(self) -> _Held:
        return self._of.setdefault(os.getpid(), _Held())
