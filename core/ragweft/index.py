"""The index: one folder, one façade. Everything else in ragweft is reached through it."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Self

from ragweft.answering import Answering, meter_of
from ragweft.assembly import build_parts
from ragweft.errors import IndexLocked, LoadError, RagweftError
from ragweft.health import Status, Verification, report_followers, take_status, verify
from ragweft.ingestion.intake import Intake
from ragweft.ledger.spending import record
from ragweft.loading import FileLoader
from ragweft.models import choose_models
from ragweft.opening import as_uris, find_folder, keep_recipe, settle_recipe
from ragweft.progress import silent
from ragweft.providers.metering import Meter, metered
from ragweft.recipe import Recipe
from ragweft.retrieval.hybrid import bare_hit
from ragweft.tuning.candidates import gather
from ragweft.tuning.profiling import keep_tuning, refresh_profile, with_asking
from ragweft.types import Chunk, Document

if TYPE_CHECKING:
    from types import TracebackType

    from ragweft.assembly import Parts
    from ragweft.ledger.ledger import Ledger
    from ragweft.protocols import Chunker, Contextualizer, Embedder, Loader, Progress, Reranker
    from ragweft.tuning.candidates import Candidates
    from ragweft.types import Estimate, Hit, Metadata, Results, SyncReport, Tuning

__all__ = ["Index"]

_THREADS = min(32, (os.cpu_count() or 1) + 4)


class Index:
    """Documents in a folder on disk, searchable by meaning and by words.

    Open it with `Index.open`. Any number of threads and processes may use one folder at once. Every verb has
    an async twin: `search`/`asearch`, `add`/`aadd`, `remove`/`aremove`, `sync`/`sync_async`.
    """

    def __init__(
        self, parts: Parts, *, loader: Loader, reranker: Reranker | None = None, owned: Sequence[object] = ()
    ) -> None:
        """Made by `open`; *owned* are closed with the index, if they can be."""
        self._parts = parts
        self._owned = owned
        self._loader = loader
        self._reranker = reranker
        self._closed = False
        self._start()

    @classmethod
    def open(
        cls,
        path: str | os.PathLike[str] = ".ragweft",
        *,
        recipe: Recipe | str | None = None,
        create: bool = True,
        read_only: bool | None = None,
        embedder: Embedder | object | None = None,
        reranker: Reranker | object | None = None,
        chunker: Chunker | None = None,
        contextualizer: Contextualizer | None = None,
        loader: Loader | None = None,
    ) -> Self:
        """Open the index in folder *path*, creating it if it does not exist and *create*.

        *recipe* (a Recipe or a preset's name) is written to a new index's ragweft.toml; for an existing one it
        may differ from that file only in how it searches, and does so for this object alone. *read_only* None
        means: if the folder cannot be written. Parts given directly take the place of the recipe's; *embedder*
        and *reranker* may be LangChain's, LlamaIndex's, Chroma's or sentence-transformers' own objects.

        Raises:
            RecipeError: ragweft.toml or *recipe* is wrong, or contradicts how the index was made.
            SpaceMismatch: the index was filled by another embedder.
            IndexDamaged: the ledger cannot be read.
            IndexLocked: the folder is missing and may not be created, or cannot be written or shared.
        """
        if isinstance(recipe, str):
            recipe = Recipe.preset(recipe)  # a wrong name makes no folder
        folder, read_only = find_folder(path, create=create, read_only=read_only)
        # Nothing is written before the recipe's models are known to be there.
        with metered(Meter()) as meter:
            models = choose_models(settle_recipe(folder, recipe), embedder=embedder, reranker=reranker)
        if not read_only:
            keep_recipe(folder, models.recipe)
        parts = build_parts(
            folder,
            models.recipe,
            models.embedder,
            chunker=chunker,
            contextualizer=contextualizer,
            read_only=read_only,
        )
        loader = loader or FileLoader(max_bytes=models.recipe.loading.max_bytes)
        for charged in () if read_only else meter.charges:
            record(parts.ledger, charged)
        return cls(parts, loader=loader, reranker=models.reranker, owned=models.owned)

    def __repr__(self) -> str:
        return f"Index({str(self._parts.folder)!r}, {self._expression()})"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def path(self) -> Path:
        """The folder."""
        return self._parts.folder

    @property
    def recipe(self) -> Recipe:
        """How this index is made and searched."""
        return self._parts.recipe

    @property
    def ledger(self) -> Ledger:
        """The truth behind the index, for those who read it directly."""
        return self._parts.ledger

    def sync(
        self,
        *paths: str | os.PathLike[str],
        progress: Progress = silent,
        level: bool = True,
        max_usd: float | None = None,
    ) -> SyncReport:
        """Bring the index level with files and folders: new and changed files in, deleted ones out.

        Only what lies under *paths* is touched. A file that cannot be read is named in the report and stops
        nothing. When this returns, the work is on disk and every search anywhere sees it. *level* False leaves
        the embedded Chroma collection behind for a later `catch_up` (searches do not wait for it). No call is
        made that could take what this costs above *max_usd*; see `estimate` for what it would cost.

        Raises:
            LoadError: a path does not exist.
            ProviderError: the embedder failed; what was committed before stays, and syncing again goes on.
            BudgetExceeded: it would cost more than *max_usd*; likewise.
        """
        self._check_open(writing=True)
        roots = [Path(path).expanduser().absolute() for path in paths]
        with metered(meter_of(self._parts, max_usd=max_usd)) as meter:
            report = self._intake.sync(roots, progress=progress, level=level)
            return self._settled(report, meter, progress)

    def estimate(self, *paths: str | os.PathLike[str], progress: Progress = silent) -> Estimate:
        """What `sync` of *paths* would do and cost; files are read and cut, nothing is embedded or stored.

        Raises:
            LoadError: a path does not exist.
        """
        self._check_open()
        roots = [Path(path).expanduser().absolute() for path in paths]
        return with_asking(self._parts, self._intake.estimate(roots, progress=progress))

    def add(
        self,
        items: Iterable[Document | Chunk] | Document | Chunk,
        *,
        progress: Progress = silent,
        max_usd: float | None = None,
    ) -> SyncReport:
        """Take in texts from a program. A document with a known id replaces it; equal content is not redone.

        Documents are cut by the recipe; chunks keep the caller's ids and boundaries, join the chunks their
        document already has, and replace those of the same id.

        Raises:
            LoadError: an id comes twice, metadata or text cannot be stored; batches before it are kept.
            ProviderError: the embedder failed; batches before it are kept.
            BudgetExceeded: going on would cost more than *max_usd*; batches before it are kept.
        """
        self._check_open(writing=True)
        if isinstance(items, (Document, Chunk)):
            items = [items]
        with metered(meter_of(self._parts, max_usd=max_usd)) as meter:
            return self._settled(self._intake.add(items, progress=progress), meter, progress)

    def remove(
        self,
        *,
        ids: Sequence[str] | None = None,
        source: str | os.PathLike[str] | None = None,
        where: Metadata | None = None,
    ) -> SyncReport:
        """Forget documents: by id, by the file or folder they came from, or by a metadata filter.

        *where* forgets every document with a chunk that satisfies it; of a document that was given in chunks,
        only those chunks, and the document with the last of them.

        Raises:
            InvalidFilter: *where* is malformed or empty.
            LoadError: nothing was named.
        """
        self._check_open(writing=True)
        if ids is None and source is None and where is None:
            raise LoadError("remove: name ids, a source or a where filter")
        uris = as_uris(source) or ()
        with metered(meter_of(self._parts)) as meter:
            report = self._intake.remove(ids=ids or (), sources=uris, where=where, progress=silent)
            return self._settled(report, meter, silent)

    def search(
        self,
        query: str,
        *,
        k: int | None = None,
        where: Metadata | None = None,
        sources: Sequence[str | os.PathLike[str]] | None = None,
        min_score: float | None = None,
    ) -> Results:
        """The *k* best hits (default: the recipe's), all satisfying *where* and from within *sources*.

        *sources* are files or folders, as paths or URIs. *min_score* drops hits whose final score is lower;
        scores are relative to the query (with min-max fusion its best hit has about 1, however good it is), so
        to judge how good a hit is look at its legs' raw scores in `origins`. A blank query has no hits.

        Raises:
            InvalidFilter: *where* is malformed.
            RagweftError: every leg failed.
        """
        self._check_open()
        return self._answering.search(query, k=k, where=where, sources=sources, min_score=min_score)

    async def asearch(
        self,
        query: str,
        *,
        k: int | None = None,
        where: Metadata | None = None,
        sources: Sequence[str | os.PathLike[str]] | None = None,
        min_score: float | None = None,
    ) -> Results:
        """As `search`, without blocking the running loop."""
        self._check_open()
        return await self._answering.asearch(query, k=k, where=where, sources=sources, min_score=min_score)

    def search_many(
        self, queries: Sequence[str], *, k: int | None = None, where: Metadata | None = None
    ) -> list[Results]:
        """`search` for each of *queries*, several at a time, in their order."""
        self._check_open()
        with ThreadPoolExecutor(_THREADS, thread_name_prefix="ragweft-many") as pool:
            return list(pool.map(lambda query: self.search(query, k=k, where=where), queries))

    def retrieve(self, query: str, *, k: int = 5, where: Metadata | None = None) -> Results:
        """An index is a `Retriever`: as `search`."""
        return self.search(query, k=k, where=where)

    async def aretrieve(self, query: str, *, k: int = 5, where: Metadata | None = None) -> Results:
        """As `retrieve`, without blocking the running loop."""
        return await self.asearch(query, k=k, where=where)

    async def aadd(
        self, items: Iterable[Document | Chunk] | Document | Chunk, *, max_usd: float | None = None
    ) -> SyncReport:
        """As `add`, in a worker thread."""
        return await asyncio.to_thread(partial(self.add, items, max_usd=max_usd))

    async def aremove(
        self,
        *,
        ids: Sequence[str] | None = None,
        source: str | os.PathLike[str] | None = None,
        where: Metadata | None = None,
    ) -> SyncReport:
        """As `remove`, in a worker thread."""
        return await asyncio.to_thread(partial(self.remove, ids=ids, source=source, where=where))

    async def sync_async(
        self, *paths: str | os.PathLike[str], progress: Progress = silent, max_usd: float | None = None
    ) -> SyncReport:
        """As `sync`, in a worker thread; *progress* is called from that thread."""
        return await asyncio.to_thread(partial(self.sync, *paths, progress=progress, max_usd=max_usd))

    def explain(self, query: str, chunk_id: str, *, where: Metadata | None = None) -> Hit | None:
        """Where a given chunk ranks for *query*, however far down: its hit with every leg's opinion.

        Ranks and raw scores are those of `search`; normalised scores and shares are over the whole index.
        None if no leg found it at all or it does not satisfy *where*.
        """
        self._check_open()
        return self._answering.explain(query, chunk_id, where=where)

    def candidates(
        self, queries: Sequence[str], *, n: int = 0, progress: Progress = silent
    ) -> list[Candidates]:
        """For each query what a search would weigh, without weighing it; *n* as a search for *n* hits would."""
        self._check_open()
        with metered(meter_of(self._parts)):
            return gather(self._parts, queries, n=n, progress=progress)

    def keep_tuning(self, tuning: Tuning | None, *, progress: Progress = silent) -> None:
        """Search by *tuning* from now on, in every process; None: by what the corpus itself speaks for.

        Raises:
            RecipeError: the recipe's dense_weight is a number, which stands.
        """
        self._check_open(writing=True)
        with metered(meter_of(self._parts)):
            keep_tuning(self._parts, tuning, progress=progress)

    def catch_up(self, *, progress: Progress = silent) -> None:
        """Bring every follower level with the ledger; followers busy in another process are left to it."""
        self._check_open(writing=True)
        for slot in self._parts.followers.every:
            slot.catch_up(wait=slot is not self._parts.followers.chroma, progress=partial(progress, slot.name))
        report_followers(self._parts)

    def status(self) -> Status:
        """Counts, sizes and how level the followers are; brings nothing level, but sets a damaged one aside."""
        self._check_open()
        self._answering.settle()
        return take_status(self._parts, self._expression())

    def verify(self, *, repair: bool = True, progress: Progress = silent) -> Verification:
        """Compare ledger and followers; with *repair* bring level or rebuild what differs.

        Raises:
            IndexDamaged: the ledger itself is damaged.
        """
        self._check_open(writing=repair)
        return verify(self._parts, repair=repair, progress=progress)

    def chunk(self, chunk_id: str) -> Hit | None:
        """A chunk by id, as a hit without a score."""
        self._check_open()
        with self._parts.ledger.snapshot() as snapshot:
            found = snapshot.chunks_named(chunk_id)
        return bare_hit(found[0]) if found else None

    def document(self, document_id: str) -> list[Hit]:
        """The chunks of a document, in order, as hits without a score; empty if it is unknown."""
        self._check_open()
        with self._parts.ledger.snapshot() as snapshot:
            return [bare_hit(stored) for stored in snapshot.chunks_of(document_id)]

    def text(self, document_id: str) -> str | None:
        """A document's whole text; None if it is unknown or was given in chunks."""
        self._check_open()
        return self._parts.ledger.text_of(document_id)

    def close(self) -> None:
        """Let go of every file and lock. Idempotent; also called by `with`."""
        self._closed = True
        # Repeated from the start if it was interrupted; every part may be closed twice.
        self._threads.shutdown(wait=self._pid == os.getpid())
        self._parts.close()
        for part in self._owned:
            close = getattr(part, "close", None)
            if close is not None:
                close()

    def _settled(self, report: SyncReport, meter: Meter, progress: Progress) -> SyncReport:
        """*report* with its bill, once the index has looked over what the corpus has become."""
        try:
            refresh_profile(self._parts, progress=progress, changed=bool(report.changed))
        except RagweftError as error:
            # The documents are in, and the weights of before go on to serve.
            report = replace(report, warnings=(*report.warnings, f"the index kept its weights: {error}"))
        return replace(report, usage=report.usage + meter.usage)

    def _start(self) -> None:
        self._pid = os.getpid()
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="ragweft")
        self._intake = Intake(self._parts, self._loader)
        self._answering = Answering(self._parts, self._reranker, self._threads)

    def _expression(self) -> str:
        return repr(self._answering)

    def _check_open(self, *, writing: bool = False) -> None:
        if self._closed:
            raise RagweftError(f"{self._parts.folder}: this index is closed; open it again with Index.open")
        if writing and self._parts.read_only:
            raise IndexLocked(f"{self._parts.folder}: the index is read-only; open it where it can be written")
        if self._pid != os.getpid():
            # A forked child has its parent's pool without its threads, and locks frozen as they were.
            self._start()
