"""Folders to the index: what is new or changed comes in, what is gone leaves, what is unchanged is not read."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from ragweft.errors import LoadError, MissingExtra
from ragweft.ingestion.pipeline import Loaded, Pipeline, batched
from ragweft.ledger.writer import Commit, DocumentState
from ragweft.loading import Failed, Found, discover, source_uri
from ragweft.reports import Failure, SyncReport
from ragweft.uris import display_path

if TYPE_CHECKING:
    from ragweft.ledger.ledger import Ledger
    from ragweft.protocols import Loader, Progress

__all__ = ["Sync", "Tally"]

_RACY_NS = 2_000_000_000
"""A file changed within two seconds of being read may change again without a new time stamp (coarse clocks):
its time is not trusted, the next sync reads it again and compares digests."""


@dataclass(slots=True)
class Tally:
    """Counts of one job, turned into a report at its end."""

    added: int = 0
    updated: int = 0
    removed: int = 0
    unchanged: int = 0
    chunks: int = 0
    changed: bool = False
    """Whether anything was committed."""
    failed: list[Failure] = field(default_factory=list)
    skipped: Counter[str] = field(default_factory=Counter)
    started: float = field(default_factory=time.perf_counter)

    def count(self, commit: Commit) -> None:
        """Add up one more commit."""
        self.added += commit.added
        self.updated += commit.updated
        self.removed += commit.removed
        self.unchanged += len(commit.unchanged)
        self.chunks += commit.rows_born
        self.changed = self.changed or bool(commit.documents or commit.rows_died)

    def report(self) -> SyncReport:
        """The report so far."""
        return SyncReport(
            added=self.added,
            updated=self.updated,
            removed=self.removed,
            unchanged=self.unchanged,
            failed=tuple(self.failed),
            skipped=dict(self.skipped),
            chunks=self.chunks,
            seconds=time.perf_counter() - self.started,
        )


class Sync:
    """One run over some folders or files."""

    def __init__(
        self,
        ledger: Ledger,
        pipeline: Pipeline,
        loader: Loader,
        *,
        max_bytes: int,
        committed: Callable[[], None],
        progress: Progress,
        avoid: Path,
    ) -> None:
        """*committed* is called after every commit, so that followers are level while the work goes on.

        *avoid* is the index's own folder, never read as documents.
        """
        self._ledger = ledger
        self._pipeline = pipeline
        self._loader = loader
        self._max_bytes = max_bytes
        self._committed = committed
        self._progress = progress
        self._avoid = os.path.realpath(avoid) + os.sep
        self.tally = Tally()

    def run(self, paths: Sequence[Path]) -> None:
        """Bring the index level with *paths*.

        Raises:
            LoadError: a path does not exist; nothing was done.
            ProviderError: the embedder failed; what was committed before stays.
        """
        _check_exist(paths, self._ledger)
        for path in paths:
            self._run_one(path)

    def pending(self, paths: Sequence[Path]) -> Iterator[Loaded]:
        """What `run` would take in, read but not cut; unchanged and unreadable files are counted in the tally.

        Raises:
            LoadError: a path does not exist.
        """
        _check_exist(paths, self._ledger)
        for root in paths:
            found, _, _ = self._discovered(root)
            yield from self._changed(found, self._ledger.synced_under(source_uri(root)), [], set())

    def _discovered(self, root: Path) -> tuple[list[Found], set[str], list[str]]:
        """Files to look at, their URIs, and the URIs of what could not be looked into."""
        found: list[Found] = []
        seen: set[str] = set()
        unseen: list[str] = []
        for item in discover(root, max_bytes=self._max_bytes):
            if f"{item.path}{os.sep}".startswith(self._avoid):
                continue
            if isinstance(item, Found):
                found.append(item)
                seen.add(item.uri)
                if len(found) % 1000 == 0:
                    self._progress("finding files", len(found), None)
            elif isinstance(item, Failed):
                self.tally.failed.append(Failure(source=str(item.path), reason=item.reason))
                if item.transient:
                    unseen.append(item.uri)
            else:
                self.tally.skipped[item.reason] += 1
                if item.unread:  # another machine may have what it takes to read it
                    unseen.append(item.uri)
        return found, seen, unseen

    def _run_one(self, root: Path) -> None:
        with self._ledger.snapshot() as snapshot:
            seen_at = snapshot.generation
        found, seen, unseen = self._discovered(root)
        states = self._ledger.synced_under(source_uri(root))
        touched: list[DocumentState] = []
        lost: set[str] = set()
        pipeline = self._pipeline
        pending = pipeline.ahead(self._changed(found, states, touched, lost), progress=self._progress)
        for batch in batched(pending, seconds=pipeline.seconds):
            prepared = pipeline.prepare(batch, progress=self._progress)
            self.tally.count(self._ledger.commit(prepared, kind="sync"))
            self._committed()
        self._ledger.touch(touched)
        # What lies behind an unreadable file or folder is unknown, not gone.
        kept = tuple(f"{uri}/" for uri in unseen)
        seen.update(unseen, (source for source in states if kept and source.startswith(kept)))
        gone = [state.id for source, state in states.items() if source not in seen or source in lost]
        if gone:
            # Another sync may have met the file again since: what it wrote stays.
            commit = self._ledger.commit([], removed=gone, unless_since=seen_at, kind="sync")
            self.tally.count(commit)
            self._committed()

    def _changed(
        self,
        found: Sequence[Found],
        states: dict[str, DocumentState],
        touched: list[DocumentState],
        lost: set[str],
    ) -> Iterator[Loaded]:
        now = time.time_ns()
        for place, item in enumerate(found):
            self._progress("indexing", place, len(found))
            uri = item.uri
            state = states.get(uri)
            current = state is not None and state.pipeline == self._pipeline.fingerprint
            if current and state is not None and (state.size, state.mtime_ns) == (item.size, item.mtime_ns):
                self.tally.unchanged += 1
                continue
            try:
                document = self._loader.load(item.path)
            except (LoadError, MissingExtra) as error:
                reason = str(error).removeprefix(f"{display_path(item.path)}: ")
                self.tally.failed.append(Failure(source=str(item.path), reason=reason))
                # What could not be read for now keeps its last version; what is no text any more has none.
                known = isinstance(error, LoadError) and not isinstance(error.__cause__, OSError)
                if state is not None and known:
                    lost.add(uri)
                continue
            mtime = item.mtime_ns if now - item.mtime_ns > _RACY_NS else None
            if current and state is not None and state.digest == self._pipeline.digest(document):
                self.tally.unchanged += 1
                touched.append(
                    DocumentState(
                        id=state.id,
                        generation=state.generation,
                        digest=state.digest,
                        pipeline=state.pipeline,
                        size=item.size,
                        mtime_ns=mtime,
                    )
                )
                continue
            yield Loaded(document=document, size=item.size, mtime_ns=mtime)
        self._progress("indexing", len(found), len(found))


def _check_exist(paths: Sequence[Path], ledger: Ledger) -> None:
    for path in paths:
        if not path.exists():
            known = ledger.ids_under(source_uri(path))
            advice = f", or forget it with  ragweft remove {path}" if known else ""
            raise LoadError(f"{path}: there is no such file or folder; check the name{advice}")
