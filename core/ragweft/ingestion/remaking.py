"""An index made over in place: by another embedder, vector size, chunking or context.

First every document is cut and embedded as the new recipe says, beside the index that goes on serving. Vectors
are kept as they come: a job that was broken off goes on where it stopped, and a model the index had before is
free. Then one transaction puts the new chunks in the place of the old ones.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from ragweft.errors import RagweftError
from ragweft.ingestion.pipeline import Loaded, batched

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ragweft.ingestion.pipeline import Pipeline
    from ragweft.ledger.ledger import Ledger
    from ragweft.ledger.snapshot import Snapshot, StoredDocument
    from ragweft.ledger.writer import Prepared
    from ragweft.protocols import Progress

__all__ = ["Remaking"]


class Remaking:
    """Makes the index behind *ledger* over by *pipeline*."""

    def __init__(self, ledger: Ledger, pipeline: Pipeline, *, progress: Progress) -> None:
        self._ledger = ledger
        self._pipeline = pipeline
        self._progress = progress

    def pending(self) -> Iterator[Loaded]:
        """Every document as it has to be embedded."""
        with self._ledger.snapshot() as snapshot:
            keys = snapshot.document_keys(since=0)
        return self._read(keys)

    @property
    def needless(self) -> bool:
        """Whether the index is as it has to be already, provided that its embedder is."""
        with self._ledger.snapshot() as snapshot:
            return not self._outdated(snapshot)

    def run(self, *, space: str, recipe: str) -> int:
        """Embed everything, then go over to *space*; how many documents there were to look at.

        What other processes write meanwhile is embedded too before the step is taken. *recipe* is the
        ragweft.toml the index has from then on.

        Raises:
            ProviderError: the embedder failed; the index is as it was, and what was embedded is kept.
            SpaceMismatch: another process has made the index over meanwhile.
        """
        since, seen = 0, 0
        while True:
            with self._ledger.snapshot() as snapshot:
                keys, upto = snapshot.document_keys(since=since), snapshot.generation
            pending = self._pipeline.ahead(self._read(keys), progress=self._progress)
            for batch in batched(pending, seconds=self._pipeline.seconds):
                self._pipeline.prepare(batch, progress=self._progress)
            seen += len(keys)
            if self._ledger.remake(self._rewritten, upto=upto, space=space, recipe=recipe):
                return seen
            since = upto

    def _read(self, keys: Sequence[int]) -> Iterator[Loaded]:
        for number, key in enumerate(keys):
            self._progress("embedding", number, len(keys))
            # A transaction of its own for each: none is open while an embedder works.
            with self._ledger.snapshot() as snapshot:
                stored = snapshot.document(key)
                loaded = None if stored is None else self._loaded(snapshot, stored)
            if loaded is not None:
                yield loaded
        if keys:
            self._progress("embedding", len(keys), len(keys))

    def _loaded(self, snapshot: Snapshot, stored: StoredDocument) -> Loaded:
        chunks = None
        if not stored.whole or stored.pipeline == self._pipeline.fingerprint:
            chunks = [found.chunk for found in snapshot.chunks_of(stored.document.id)]
        return Loaded(document=stored.document, chunks=chunks, size=stored.size, mtime_ns=stored.mtime_ns)

    def _outdated(self, snapshot: Snapshot) -> list[int]:
        """Documents that have to be cut or grouped otherwise."""
        return snapshot.document_keys(since=0, unless=(self._pipeline.fingerprint, self._pipeline.given))

    def _rewritten(self, snapshot: Snapshot) -> Iterator[list[Prepared]]:
        keys = self._outdated(snapshot)
        digests: dict[str, bytes] = {}

        def outdated() -> Iterator[Loaded]:
            for number, key in enumerate(keys):
                self._progress("switching", number, len(keys))
                stored = snapshot.document(key)
                if stored is not None:
                    digests[stored.document.id] = stored.digest
                    yield self._loaded(snapshot, stored)

        for batch in batched(outdated()):
            prepared = self._pipeline.cut(batch)
            if self._pipeline.missing(prepared):
                raise RagweftError(
                    f"{batch[0].document.id}: was cut or placed otherwise a second time, so nothing was "
                    "changed; use a chunker and a contextualizer that always say the same of a document"
                )
            # The digest is of what was loaded, which the stored text and metadata need not tell any more.
            yield [replace(item, digest=digests.pop(item.document.id)) for item in prepared]
