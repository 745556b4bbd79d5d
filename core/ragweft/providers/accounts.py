"""What all calls to one account of a service share in a process: so many at a time, and when to hold back.

The table of accounts is here to be looked at. An account is known by service, address and a digest of its key,
lives as long as somebody calls it, and belongs to one process: a forked child counts for itself.
"""

from __future__ import annotations

import asyncio
import hashlib
import threading
import time
from dataclasses import dataclass, field
from weakref import WeakValueDictionary

from ragweft.providers.owned import PerLoop, PerProcess

__all__ = ["Account", "account_of"]


@dataclass(slots=True)
class _Pause:
    """When a model may be called again, by `time.monotonic`."""

    told: float = 0.0
    """Not before: the service said so."""
    guessed: float = 0.0
    """Better not before: it refused a call, and that one waits so long."""


@dataclass(slots=True)
class _LoopSlots:
    """The places of one event loop; only touched on it."""

    semaphore: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(0))
    size: int = 0


class Account:
    """Places for calls, and pauses; for any number of threads and loops of one process."""

    def __init__(self, at_once: int = 4) -> None:
        self._lock = threading.Lock()
        self._at_once = at_once
        self._pauses: dict[str, _Pause] = {}
        self._loops = PerLoop(_LoopSlots)
        self.places = threading.Semaphore(at_once)
        """Of blocking calls: held while one is under way."""

    @property
    def at_once(self) -> int:
        """How many calls may be under way, of threads together and of each loop: the most anybody asked for."""
        return self._at_once

    @property
    def loop_places(self) -> asyncio.Semaphore:
        """As `places`, for coroutines of the running loop."""
        held = self._loops.get()
        while held.size < self._at_once:
            held.semaphore.release()
            held.size += 1
        return held.semaphore

    def widen(self, at_once: int) -> None:
        """Have places for *at_once* calls at least."""
        with self._lock:
            if at_once > self._at_once:
                self.places.release(at_once - self._at_once)
                self._at_once = at_once

    def pause(self, model: str, seconds: float, *, told: bool) -> None:
        """Leave *model* alone for *seconds*, because the service said so or because it refused a call.

        Rate limits are those of a model (docs.voyageai.com/docs/rate-limits; OpenAI, Gemini) or of an endpoint
        (docs.cohere.com/docs/rate-limits), so others of the account go on.
        """
        until = time.monotonic() + seconds
        with self._lock:
            pause = self._pauses.setdefault(model, _Pause())
            if told:
                pause.told = max(pause.told, until)
            else:
                pause.guessed = max(pause.guessed, until)

    def waits(self, model: str) -> tuple[float, float]:
        """Seconds until *model* may be called again: as the service said, and as was guessed."""
        now = time.monotonic()
        with self._lock:
            pause = self._pauses.get(model, _Pause())
            return max(0.0, pause.told - now), max(0.0, pause.guessed - now)


class _Accounts:
    """The accounts one process calls."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.known: WeakValueDictionary[tuple[str, str, str], Account] = WeakValueDictionary()


_ACCOUNTS = PerProcess(_Accounts)


def account_of(service: str, *, base_url: str = "", key: str = "", at_once: int = 4) -> Account:
    """The account that *key* opens at *service*, with places for *at_once* calls at least.

    Embedders and rerankers of any number of indexes share it, so a limit of at once is one for all of them.
    """
    digest = hashlib.blake2b(key.encode(), digest_size=16).hexdigest()
    name = (service, base_url.rstrip("/"), digest)
    accounts = _ACCOUNTS.get()
    with accounts.lock:
        account = accounts.known.get(name)
        if account is None:
            account = accounts.known[name] = Account(at_once)
    account.widen(at_once)
    return account
