"""What stands behind an open `Index`: its parts, and going on when another process makes the index over."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from ragweft.answering import Answering, meter_of
from ragweft.assembly import build_parts
from ragweft.deferred import Once
from ragweft.errors import IndexLocked, RagweftError, SpaceMismatch
from ragweft.health import report_followers
from ragweft.ledger.spending import record
from ragweft.models import choose_models
from ragweft.opening import Settled, keep_recipe, settle, settle_recipe, take_over_recipe
from ragweft.progress import PricedProgress, silent
from ragweft.providers.metering import Meter, metered
from ragweft.tuning.profiling import refresh_profile

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from ragweft.assembly import Parts
    from ragweft.ingestion.intake import Intake
    from ragweft.loading import FileLoader
    from ragweft.protocols import Chunker, Contextualizer, Loader, Progress, Reranker
    from ragweft.recipe import Recipe
    from ragweft.reports import SyncReport

__all__ = ["THREADS", "Engine", "Opening", "Serving"]

THREADS = min(32, (os.cpu_count() or 1) + 4)


@dataclass(frozen=True, slots=True, kw_only=True)
class Opening:
    """What `Index.open` was told, from which an index can be opened again."""

    folder: Path
    read_only: bool
    recipe: Recipe | None
    embedder: object | None
    reranker: object | None
    chunker: Chunker | None
    contextualizer: Contextualizer | None
    loader: Loader | None
    keeping: bool = True
    """Whether a new index keeps the recipe; False for a look at what it would be."""

    def engine(self) -> Engine:
        """Everything that answers and writes, by the recipe the index has now.

        Raises:
            RecipeError: ragweft.toml or the recipe given is wrong, or contradicts how the index was made.
            SpaceMismatch: the index was filled by another embedder.
            IndexDamaged: the ledger cannot be read.
            IndexLocked: the folder cannot be written or shared.
        """
        settled = settle(self.folder, self.recipe)
        try:
            return self._engine(settled)
        except SpaceMismatch:
            # It may have been made over between reading the recipe and opening the ledger.
            anew = settle(self.folder, self.recipe)
            if anew.recipe == settled.recipe:
                raise
            return self._engine(anew)

    def following(self) -> Opening:
        """The same for an index that was made over: what is stored, its own recipe says."""
        if self.recipe is None:
            return self
        stored = settle_recipe(self.folder, None)
        recipe = replace(
            self.recipe, embedding=stored.embedding, chunking=stored.chunking, context=stored.context
        )
        return replace(self, recipe=recipe)

    def _engine(self, settled: Settled) -> Engine:
        # Nothing is written before the recipe's models are known to be there.
        with metered(Meter()) as meter:
            models = choose_models(
                settled.recipe, embedder=self.embedder, reranker=self.reranker, space=settled.space
            )
        if not settled.space and self.contextualizer is None and models.recipe.context.kind == "llm":
            from ragweft.cutting import writer_of

            writer_of(models.recipe).close()
        if not self.read_only:
            if settled.awaited:
                take_over_recipe(self.folder)
            if self.keeping:
                keep_recipe(self.folder, models.recipe, None if settled.awaited else settled.stored)
        parts = build_parts(
            self.folder,
            models.recipe,
            models.embedder,
            chunker=self.chunker,
            contextualizer=self.contextualizer,
            read_only=self.read_only,
        )
        for charged in () if self.read_only else meter.charges:
            record(parts.ledger, charged)
        return Engine(parts, loader=self.loader, reranker=models.reranker, owned=models.owned)


class Engine:
    """The parts of one index at work."""

    def __init__(
        self, parts: Parts, *, loader: Loader | None, reranker: Reranker | None, owned: Sequence[object]
    ) -> None:
        """*loader* None: by the recipe. *owned* are closed with it, if they can be."""
        self.parts = parts
        self.users = 0
        """Verbs that are at it; whoever counts holds the lock of its `Serving`."""
        self._given = loader
        self._loader = Once(self._own_loader)
        self._reranker = reranker
        self._owned = owned
        self._former: list[Answering] = []
        """Of the processes this one was forked from: a child closes nothing of its parent's."""
        self.start()

    def start(self) -> None:
        """Make what a forked child cannot take over from its parent."""
        self._pid = os.getpid()
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="ragweft")
        self._intake = Once(self._make_intake)
        self.answering = Answering(self.parts, self._reranker, self._threads)
        self._former.append(self.answering)

    @property
    def intake(self) -> Intake:
        """The writing verbs; whoever only searches does without what reads, cuts and places documents."""
        return self._intake()

    def _make_intake(self) -> Intake:
        from ragweft.ingestion.intake import Intake

        return Intake(self.parts, self._loader() if self._given is None else self._given)

    def _own_loader(self) -> FileLoader:
        from ragweft.cutting import build_loader

        return build_loader(self.parts.recipe)

    def billed(
        self, *, max_usd: float | None = None, progress: Progress = silent
    ) -> AbstractContextManager[Meter]:
        """Collects what a verb is charged, and writes it into the ledger as it comes."""
        meter = meter_of(self.parts, max_usd=max_usd)
        if isinstance(progress, PricedProgress):
            progress.priced(lambda: meter.usage)
        return metered(meter)

    def settled(self, report: SyncReport, meter: Meter, progress: Progress) -> SyncReport:
        """*report* with its bill, once the index has looked over what the corpus has become."""
        try:
            refresh_profile(self.parts, progress=progress, changed=bool(report.changed))
        except RagweftError as error:
            # The documents are in, and the weights of before go on to serve.
            report = replace(report, warnings=(*report.warnings, f"the index kept its weights: {error}"))
        return replace(report, usage=report.usage + meter.usage)

    def level(self, progress: Progress) -> None:
        """Bring every follower level with the ledger; followers busy in another process are left to it."""
        followers = self.parts.followers
        for slot in followers.every:
            slot.catch_up(wait=slot is not followers.chroma, progress=partial(progress, slot.name))
        report_followers(self.parts)

    def close(self) -> None:
        """Let go of every file and lock. Idempotent, also if it was interrupted."""
        self._threads.shutdown(wait=self._pid == os.getpid())
        self.answering.close()
        self.parts.close()
        for part in (*self._owned, self._loader.end()):
            close = getattr(part, "close", None)
            if close is not None:
                close()

    async def aclose(self) -> None:
        """As `close`, with what belongs to the running loop."""
        for part in self._owned:
            aclose = getattr(part, "aclose", None)
            if aclose is not None:
                await aclose()
        await asyncio.to_thread(self.close)


class Serving:
    """Gives every verb an engine that fits the index as it is now."""

    def __init__(self, opening: Opening) -> None:
        """Open the index; raises as `Opening.engine`."""
        self._opening = opening
        self._lock = threading.Lock()
        self._pid = os.getpid()
        self._closed = False
        self.engine = opening.engine()
        """The present one, for what needs no look at the disk."""

    @contextmanager
    def use(self, *, writing: bool = False) -> Iterator[Engine]:
        """The engine for one verb. An index that was made over meanwhile is opened anew, by its new recipe.

        Raises:
            RagweftError: the index is closed.
            IndexLocked: it can only be read, and the verb is *writing*.
            SpaceMismatch: it was made over, and the embedder given to `Index.open` does not fit it.
        """
        folder = self._opening.folder
        if self._closed:
            raise RagweftError(f"{folder}: this index is closed; open it again with Index.open")
        if writing and self._opening.read_only:
            raise IndexLocked(f"{folder}: the index is read-only; open it where it can be written")
        if self._pid != os.getpid():
            # A forked child has its parent's pool without its threads, and locks frozen as they were.
            self._lock, self._pid = threading.Lock(), os.getpid()
            self.engine.start()
        with self._lock:
            if self.engine.parts.ledger.moved_on():
                self._renew()
            engine = self.engine
            engine.users += 1
        try:
            yield engine
        finally:
            with self._lock:
                engine.users -= 1
                idle = engine is not self.engine and not engine.users
            if idle:
                engine.close()

    def close(self) -> None:
        """Let go of every file and lock. Idempotent."""
        self._closed = True
        self.engine.close()

    async def aclose(self) -> None:
        """As `close`, with what belongs to the running loop."""
        self._closed = True
        await self.engine.aclose()

    def _renew(self) -> None:
        old = self.engine
        # Chroma's embedded files and the like are of another edition: both may be open for a while.
        self._opening = self._opening.following()
        self.engine = self._opening.engine()
        if not old.users:
            old.close()
