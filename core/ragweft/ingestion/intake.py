"""The writing verbs of an index: sync, add, remove."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from ragweft.errors import IndexLocked, InvalidFilter, LoadError, ProviderError, SpaceMismatch
from ragweft.health import report_followers
from ragweft.ingestion.given import grouped
from ragweft.ingestion.leveller import Leveller
from ragweft.ingestion.pipeline import Loaded, batched
from ragweft.ingestion.sync import Sync, Tally
from ragweft.ledger.scope import Scopes

if TYPE_CHECKING:
    from ragweft.assembly import Parts
    from ragweft.protocols import Loader, Progress
    from ragweft.types import Chunk, Document, Metadata, SyncReport

__all__ = ["Intake"]


class Intake:
    """Writes to one index, one verb at a time within a process; other processes may write meanwhile."""

    def __init__(self, parts: Parts, loader: Loader) -> None:
        self._parts = parts
        self._loader = loader
        self._scopes = Scopes()
        self._busy = threading.Lock()

    def sync(self, paths: Sequence[Path], *, progress: Progress, level: bool) -> SyncReport:
        """See `Index.sync`."""
        if not paths:
            raise LoadError("sync: name at least one file or folder")
        parts = self._parts
        with self._busy, Leveller(parts, chroma=level) as leveller:
            run = Sync(
                parts.ledger,
                parts.pipeline,
                self._loader,
                max_bytes=parts.recipe.loading.max_bytes,
                committed=leveller.notice,
                progress=progress,
                avoid=parts.folder,
            )
            run.run(paths)
        return self._finished(run.tally, progress, level=level)

    def add(self, items: Iterable[Document | Chunk], *, progress: Progress) -> SyncReport:
        """See `Index.add`."""
        parts = self._parts
        with self._busy, Leveller(parts, chroma=True) as leveller:
            tally = Tally()
            for batch in batched(grouped(items)):
                progress("adding", tally.added + tally.updated + tally.unchanged, None)
                fresh = self._changed(batch)
                tally.unchanged += len(batch) - len(fresh)
                if fresh:
                    tally.count(parts.ledger.commit(parts.pipeline.prepare(fresh), kind="add"))
                    leveller.notice()
        return self._finished(tally, progress, level=True)

    def remove(
        self,
        *,
        ids: Sequence[str],
        sources: Sequence[str],
        where: Metadata | None,
        progress: Progress,
    ) -> SyncReport:
        """See `Index.remove`; *sources* are URIs."""
        ledger = self._parts.ledger
        if where is not None and not where:
            raise InvalidFilter("remove: an empty filter means everything; delete the index folder instead")
        with self._busy:
            tally = Tally()
            known = set(ledger.states_of(list(ids)))
            for uri in sources:
                known.update(ledger.ids_under(uri))
            numbers: set[int] = set()
            if where is not None:
                verdicts = self._scopes.verdicts(where, None)
                with ledger.snapshot() as snapshot:
                    verdicts.extend(snapshot)
                numbers = verdicts.matching
            if known or numbers:
                commit = ledger.commit([], removed=sorted(known), numbers=numbers, kind="remove")
                tally.count(commit)
        return self._finished(tally, progress, level=True)

    def _changed(self, batch: Sequence[Loaded]) -> list[Loaded]:
        pipeline = self._parts.pipeline
        states = self._parts.ledger.states_of([loaded.document.id for loaded in batch])

        def same(loaded: Loaded) -> bool:
            state = states.get(loaded.document.id)
            return (
                loaded.chunks is None
                and state is not None
                and state.pipeline == pipeline.fingerprint
                and state.digest == pipeline.digest(loaded.document)
            )

        return [loaded for loaded in batch if not same(loaded)]

    def _finished(self, tally: Tally, progress: Progress, *, level: bool) -> SyncReport:
        parts = self._parts
        parts.followers.flat.catch_up()
        parts.followers.lexical.catch_up()
        chroma = parts.followers.chroma
        warnings: list[str] = []
        if chroma is not None and level and not chroma.reported_level():
            try:
                chroma.catch_up(wait=False, progress=partial(progress, "Chroma"))
            except (IndexLocked, ProviderError, SpaceMismatch) as error:
                # The documents are in, and searches do not depend on Chroma.
                warnings.append(f"Chroma stays behind: {error}")
        if tally.changed:
            report_followers(parts)
            parts.store.checkpoint()
        with parts.ledger.snapshot() as snapshot:
            return replace(tally.report(), generation=snapshot.generation, warnings=tuple(warnings))
