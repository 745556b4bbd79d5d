"""Vectors of queries that cost money: asked of the embedder once, then remembered by every process.

A search waits for none of the writing, and whatever goes wrong with the file costs a call, not an answer. What
is remembered in memory serves the process that asked, also while it is not on disk yet, or never gets there.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import logging
import threading
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import Executor, Future
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np

from ragweft.errors import IndexDamaged, IndexLocked, ProviderError
from ragweft.ledger.query_store import query_digest

if TYPE_CHECKING:
    from ragweft.ledger.query_store import QueryStore
    from ragweft.protocols import Embedder
    from ragweft.recipe import Embedding, Recipe
    from ragweft.types import Vector

__all__ = ["QueryVectors", "query_digests", "remembering"]

_log = logging.getLogger(__name__)
_RECENT = 512
"""Vectors a process keeps in memory: 3 MB at 1,536 dims."""


def remembering(
    embedder: Embedder, store: QueryStore, recipe: Recipe, *, threads: Executor | None
) -> QueryVectors | None:
    """Where queries' vectors come from, if they are remembered; None if *recipe* or *embedder* is against it.

    An embedder on this machine computes one in about the time it is looked up.
    """
    if not recipe.retrieval.remember_queries or _told(embedder) is None:
        return None
    return QueryVectors(embedder, store, query_digests(embedder, recipe.embedding), threads=threads)


def query_digests(embedder: Embedder, settings: Embedding) -> Callable[[str], bytes]:
    """What the vector of a text as a query is kept by: a digest of everything that is sent."""
    told = _told(embedder) or ""

    def digest(text: str) -> bytes:
        return query_digest(text, model=settings.query_model, prompt=settings.query_prompt, told=told)

    return digest


def _told(embedder: Embedder) -> str | None:
    # Who does not say what decides its queries' vectors may be another object tomorrow, under the same name.
    told: str | None = getattr(embedder, "query_fingerprint", None)
    return told


class QueryVectors:
    """Asks an embedder for what is not remembered. Safe to use from many threads; a fork needs its own."""

    def __init__(
        self,
        embedder: Embedder,
        store: QueryStore,
        digest: Callable[[str], bytes],
        *,
        threads: Executor | None,
    ) -> None:
        """What is new is written by *threads*, None: by who asked, before it is answered."""
        self._embedder = embedder
        self._store = store
        self._digest = digest
        self._threads = threads
        self._lock = threading.Lock()
        self._recent: OrderedDict[bytes, Vector] = OrderedDict()
        self._new: dict[bytes, Vector] = {}
        self._used: set[bytes] = set()
        self._writing = False
        self._under_way: dict[bytes, tuple[Future[ProviderError | None], bool]] = {}
        """Digest to the call for it, and whether a coroutine makes it."""

    def get(self, text: str) -> tuple[Vector, bool]:
        """The vector of *text* as a query, float32, shape (dims,), and whether it was remembered.

        Raises:
            ProviderError: the embedder failed.
        """
        digest = self._digest(text)
        while True:
            vector = self._in_memory(digest)
            if vector is None:
                vector = self._on_disk(digest)
            if vector is not None:
                return vector, True
            asking, own = self._begin(digest, awaited=False)
            if own:
                with self._asking(digest, asking):
                    return self._remember(digest, self._embedder.embed_query(text)), False
            concurrent.futures.wait([asking])
            _raise_again(asking)

    async def aget(self, text: str, embed: Callable[[str], Awaitable[Vector]]) -> tuple[Vector, bool]:
        """As `get`, without blocking the running loop; *embed* is the embedder's own coroutine."""
        digest = self._digest(text)
        while True:
            vector = self._in_memory(digest)
            if vector is None:
                looking = asyncio.get_running_loop().run_in_executor(self._threads, self._on_disk, digest)
                vector = await looking
            if vector is not None:
                return vector, True
            asking, own = self._begin(digest, awaited=True)
            if own:
                with self._asking(digest, asking):
                    return self._remember(digest, await embed(text)), False
            await asyncio.wait([asyncio.wrap_future(asking)])
            _raise_again(asking)

    def _begin(self, digest: bytes, *, awaited: bool) -> tuple[Future[ProviderError | None], bool]:
        """The call that is under way for *digest*, and whether it is the caller's to make.

        Who blocks does not wait for a coroutine, which may be one of the loop that is blocked.
        """
        with self._lock:
            other = self._under_way.get(digest)
            if other is not None and (awaited or not other[1]):
                return other[0], False
            asking: Future[ProviderError | None] = Future()
            asking.set_running_or_notify_cancel()  # nobody who waits for it can cancel it
            self._under_way.setdefault(digest, (asking, awaited))
            return asking, True

    @contextmanager
    def _asking(self, digest: bytes, asking: Future[ProviderError | None]) -> Iterator[None]:
        """Tell who waits how the call ended; what another's cap or Ctrl-C ended, they try themselves."""
        failed: ProviderError | None = None
        try:
            yield
        except ProviderError as error:
            failed = error
            raise
        finally:
            with self._lock:
                if self._under_way.get(digest, (None,))[0] is asking:
                    del self._under_way[digest]
            asking.set_result(failed)

    def _in_memory(self, digest: bytes) -> Vector | None:
        with self._lock:
            vector = self._recent.get(digest)
            if vector is not None:
                self._recent.move_to_end(digest)
        return vector

    def _on_disk(self, digest: bytes) -> Vector | None:
        try:
            found = self._store.get([digest]).get(digest)
        except (IndexLocked, IndexDamaged) as error:
            _log.warning("whether a question was asked before could not be looked up: %s", error)
            return None
        if found is None:
            return None
        self._keep(digest, found.vector)
        if found.aging:
            self._write_later(digest, None)
        return found.vector

    def _remember(self, digest: bytes, vector: Vector) -> Vector:
        # The caller's own, which may be changed, is not what is remembered.
        kept = np.array(vector, dtype=np.float32)
        kept.flags.writeable = False
        if self._store.takes(kept):
            self._keep(digest, kept)
            self._write_later(digest, kept)
        return vector

    def _keep(self, digest: bytes, vector: Vector) -> None:
        with self._lock:
            self._recent[digest] = vector
            while len(self._recent) > _RECENT:
                self._recent.popitem(last=False)

    def _write_later(self, digest: bytes, vector: Vector | None) -> None:
        """Have *vector* written, or None: that it has served again. One thread at most is at it."""
        if self._store.read_only:
            return
        with self._lock:
            if vector is None:
                self._used.add(digest)
            else:
                self._new[digest] = vector
            if self._writing:
                return
            self._writing = True
        if self._threads is None:
            self._write()
            return
        try:
            self._threads.submit(self._write)
        except RuntimeError:
            # The index is being closed and takes no more jobs: nobody asks this object again.
            _log.debug("a question's vector was not kept: the index is being closed")

    def _write(self) -> None:
        while (work := self._taken()) is not None:
            new, used = work
            try:
                self._store.put(new, used=used)
            except (IndexLocked, IndexDamaged) as error:
                _log.warning("a question's vector could not be kept, asking again is paid again: %s", error)
            except BaseException:
                with self._lock:
                    self._writing = False
                raise

    def _taken(self) -> tuple[dict[bytes, Vector], set[bytes]] | None:
        """What waits to be written; None, and the writing is over, if nothing does."""
        with self._lock:
            work = self._new, self._used
            self._new, self._used = {}, set()
            self._writing = any(work)
        return work if any(work) else None


def _raise_again(asking: Future[ProviderError | None]) -> None:
    """Raise what another's call for the same has failed with: to try it once more would take as long again."""
    if (error := asking.result()) is not None:
        raise ProviderError(str(error), retryable=error.retryable) from error
