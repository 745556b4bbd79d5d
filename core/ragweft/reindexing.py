"""Making an index over in place by another recipe, while it goes on serving."""

from __future__ import annotations

import time
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from ragweft.assembly import drop_former_collection, weigher_of
from ragweft.cutting import build_pipeline
from ragweft.embedding.static import StaticEmbedder
from ragweft.errors import IndexLocked, ProviderError, RecipeError, SpaceMismatch
from ragweft.ingestion.estimate import estimated
from ragweft.ingestion.given_parts import GivenParts
from ragweft.ingestion.intake import about_contexts
from ragweft.ingestion.remaking import Remaking
from ragweft.ingestion.sync import Tally
from ragweft.ledger.editions import sweep
from ragweft.ledger.ledger import Ledger
from ragweft.ledger.spending import announce, record
from ragweft.ledger.vector_store import VectorStore
from ragweft.models import choose_models
from ragweft.opening import find_folder, settle_recipe, take_over_recipe
from ragweft.progress import PricedProgress, silent
from ragweft.providers.metering import Meter, metered
from ragweft.recipe import Recipe, write_recipe
from ragweft.reports import SyncReport
from ragweft.serving import Opening
from ragweft.tuning.profiling import with_asking

if TYPE_CHECKING:
    import os
    from collections.abc import Collection
    from pathlib import Path

    from ragweft.protocols import Chunker, Contextualizer, Embedder, Progress
    from ragweft.reports import Contexts, Estimate
    from ragweft.serving import Engine
    from ragweft.types import Usage

__all__ = ["Reindexed", "estimate_reindex", "reindex"]

_SECTIONS = ("chunking", "context")
"""Of the recipe: what a chunker and a contextualizer that are given take the place of."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reindexed:
    """What making an index over did. Once it is returned, every search goes by the new recipe."""

    was: str
    """The space of the vectors before."""
    now: str
    changed: bool
    """False: the index was like that already, and only ragweft.toml was written."""
    documents: int
    chunks: int
    generation: int
    seconds: float
    usage: Usage
    contexts: Contexts
    """What of that went to contexts."""
    warnings: tuple[str, ...]


def reindex(
    path: str | os.PathLike[str],
    recipe: Recipe | str | None = None,
    *,
    embedder: Embedder | object | None = None,
    chunker: Chunker | None = None,
    contextualizer: Contextualizer | None = None,
    replacing: Collection[str] | None = None,
    progress: Progress = silent,
    max_usd: float | None = None,
) -> Reindexed:
    """Make the index in *path* over in place: by another embedder, vector size, chunking or context.

    The old index answers until everything is embedded, then one step puts the new one in its place; whoever has
    it open goes over to it by himself. Vectors are kept as they come, so that a job that was broken off goes on
    where it stopped, and going back to a model the index had before embeds nothing again. *recipe* None:
    ragweft.toml as it stands. What it said before is kept as `ragweft.before.toml`.

    *replacing* names sections of the recipe, "chunking" or "context", that take the place of a chunker or
    contextualizer documents were made by and that is not given now. None: both, where *recipe* says of all that
    is stored what ragweft.toml says already, and else neither.

    Raises:
        IndexLocked: there is no index, or it cannot be written.
        RecipeError: the recipe is wrong, or names what there is not; or documents were made by a chunker or
            contextualizer that is not given now, and not replaced on purpose.
        MissingExtra: a provider's package is not installed.
        ProviderError: the embedder, or the model that writes contexts, failed; the index is as it was, and what
            was paid for is kept.
        BudgetExceeded: it would cost more than *max_usd*; likewise.
        SpaceMismatch: another process has made the index over meanwhile.
    """
    work = _Reindexing(
        path,
        recipe,
        embedder=embedder,
        chunker=chunker,
        contextualizer=contextualizer,
        replacing=replacing,
    )
    with closing(work):
        return work.run(progress=progress, max_usd=max_usd)


def estimate_reindex(
    path: str | os.PathLike[str],
    recipe: Recipe | str | None = None,
    *,
    embedder: Embedder | object | None = None,
    chunker: Chunker | None = None,
    contextualizer: Contextualizer | None = None,
    replacing: Collection[str] | None = None,
    progress: Progress = silent,
) -> tuple[Estimate, str]:
    """What `reindex` would do and about cost, and the space it would lead to; nothing is embedded or changed.

    Raises:
        IndexLocked: there is no index, or it cannot be written.
        RecipeError: the recipe is wrong, or names what there is not.
        MissingExtra: a provider's package is not installed.
    """
    work = _Reindexing(
        path,
        recipe,
        embedder=embedder,
        chunker=chunker,
        contextualizer=contextualizer,
        replacing=replacing,
    )
    with closing(work):
        return work.estimate(progress=progress), work.space


class _Reindexing:
    """One index folder and the recipe it is to be made over by. Nothing of it is changed before `run`."""

    def __init__(
        self,
        path: str | os.PathLike[str],
        recipe: Recipe | str | None,
        *,
        embedder: Embedder | object | None,
        chunker: Chunker | None,
        contextualizer: Contextualizer | None,
        replacing: Collection[str] | None,
    ) -> None:
        wanted = Recipe.preset(recipe) if isinstance(recipe, str) else recipe
        self._folder, read_only = find_folder(path, create=False, read_only=None)
        if read_only:
            raise IndexLocked(f"{self._folder}: the index is read-only; reindex it where it can be written")
        with metered(Meter()) as meter:
            wanted = wanted or settle_recipe(self._folder, None)
            models = choose_models(wanted, embedder=embedder, reranker=None)
        self._recipe = models.recipe
        self._owned = models.owned
        self._embedder = models.embedder
        self._opening = Opening(
            folder=self._folder,
            read_only=False,
            recipe=None,
            embedder=models.embedder,
            reranker=None,
            chunker=chunker,
            contextualizer=contextualizer,
            loader=None,
        )
        space = models.embedder.space
        self._ledger = Ledger(self._folder, space=str(space))
        try:
            self._store = VectorStore(self._folder / "vectors.db", space)
        except BaseException:
            self.close()
            raise
        for charged in meter.charges:
            record(self._ledger, charged)
        chosen = models.embedder
        try:
            self._pipeline = build_pipeline(
                self._folder,
                models.recipe,
                chosen,
                self._store,
                chosen if isinstance(chosen, StaticEmbedder) else StaticEmbedder(),
                chunker=chunker,
                contextualizer=contextualizer,
                weigher=weigher_of(chosen) if models.recipe.retrieval.sparse_weight else None,
            )
            self._given = GivenParts(
                self._ledger, models.recipe, self._folder, chunker=chunker, contextualizer=contextualizer
            )
            if replacing is None:
                whole = recipe is not None and _as_it_is(models.recipe, self._folder)
                replacing = _SECTIONS if whole else ()
            self._given.check(self._pipeline.fingerprint, self._marks(), replacing=replacing)
        except BaseException:
            self.close()
            raise

    @property
    def space(self) -> str:
        """Where the vectors would be."""
        return str(self._embedder.space)

    def close(self) -> None:
        """Let go of files and models. Idempotent."""
        own = (getattr(self, name, None) for name in ("_pipeline", "_store"))
        for part in (*own, self._ledger, *self._owned):
            close = getattr(part, "close", None)
            if close is not None:
                close()

    def estimate(self, *, progress: Progress) -> Estimate:
        """See `estimate_reindex`."""
        remaking = Remaking(self._ledger, self._pipeline, progress=progress)
        estimate = with_asking(
            estimated(self._pipeline, remaking.pending(), Tally()),
            ledger=self._ledger,
            recipe=self._recipe,
            embedder=self._embedder,
            anew=self._ledger.space != str(self._embedder.space),
        )
        return replace(estimate, warnings=(*self._replaced(), *estimate.warnings))

    def _marks(self) -> Collection[str]:
        with self._ledger.snapshot() as snapshot:
            return snapshot.pipelines()

    def _replaced(self) -> list[str]:
        return self._given.replaced(self._pipeline.fingerprint, self._marks())

    def run(self, *, progress: Progress, max_usd: float | None) -> Reindexed:
        """See `reindex`."""
        started = time.perf_counter()
        remaking = Remaking(self._ledger, self._pipeline, progress=progress)
        was, now, recipe = self._ledger.space, str(self._embedder.space), write_recipe(self._recipe)
        replaced = tuple(self._replaced())
        told, noted = partial(announce, self._ledger), partial(record, self._ledger)
        with metered(Meter(max_usd=max_usd, record=noted, announce=told)) as meter:
            if isinstance(progress, PricedProgress):
                progress.priced(lambda: meter.usage)
            needed = now != was or not remaking.needless
            self._given.remember(self._pipeline.fingerprint)
            if needed:
                with self._pipeline.telling():
                    remaking.run(space=now, recipe=recipe)
                take_over_recipe(self._folder)
                sweep(self._folder, edition=self._ledger.edition + 1)
            else:
                take_over_recipe(self._folder, recipe)
            with closing(self._opening.engine()) as engine:
                engine.parts.pipeline.fill_in(engine.parts.ledger, progress)
                warnings = replaced + (_level(engine, progress) if needed else ())
                warnings += tuple(about_contexts(self._pipeline.take_failures()))
                report = engine.settled(SyncReport(updated=int(needed), warnings=warnings), meter, progress)
                with engine.parts.ledger.snapshot() as snapshot:
                    return Reindexed(
                        was=was,
                        now=now,
                        changed=needed,
                        documents=snapshot.count_documents(),
                        chunks=snapshot.count_live(),
                        generation=snapshot.generation,
                        seconds=time.perf_counter() - started,
                        usage=report.usage,
                        contexts=self._pipeline.contexts,
                        warnings=report.warnings,
                    )


def _as_it_is(wanted: Recipe, folder: Path) -> bool:
    """Whether *wanted* is what the index has: who names it means all of it, the parts it names included.

    So does who names one in the place of a ragweft.toml that cannot be read.
    """
    try:
        stored, dims = settle_recipe(folder, None), wanted.embedding.dims
    except RecipeError:
        return True
    if not stored.embedding.dims:
        stored = replace(stored, embedding=replace(stored.embedding, dims=dims))
    return wanted.indexing == stored.indexing


def _level(engine: Engine, progress: Progress) -> tuple[str, ...]:
    """Fill the new followers; what stands in the way of that, for the index is made over already."""
    try:
        engine.level(progress)
        drop_former_collection(engine.parts)
    except (IndexLocked, ProviderError, SpaceMismatch) as error:
        return (f"a follower stays behind: {error}",)
    return ()
