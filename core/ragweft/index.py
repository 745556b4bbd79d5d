"""The index: one folder, one façade. Everything else in ragweft is reached through it."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Self

from ragweft.answers import Answers
from ragweft.errors import LoadError
from ragweft.health import Status, Verification, take_status, verify
from ragweft.opening import as_uris, find_folder
from ragweft.progress import silent
from ragweft.recipe import Recipe
from ragweft.retrieval.hybrid import bare_hit
from ragweft.serving import THREADS, Opening, Serving
from ragweft.tuning.candidates import gather
from ragweft.tuning.profiling import keep_tuning, with_asking
from ragweft.types import Chunk, Document

if TYPE_CHECKING:
    from ragweft.caching.looking import Check
    from ragweft.ingestion.takeover import Reuse
    from ragweft.ledger.ledger import Ledger
    from ragweft.protocols import Chunker, Contextualizer, Embedder, Loader, Progress, Reranker
    from ragweft.reports import Estimate, SyncReport
    from ragweft.tuning.candidates import Candidates
    from ragweft.types import Hit, Json, Metadata, Results, Tuning

__all__ = ["Index"]


class Index:
    """Documents in a folder on disk, searchable by meaning and by words.

    Open it with `Index.open`. Any number of threads and processes may use one folder at once. Every verb has
    an async twin: `search`/`asearch`, `add`/`aadd`, `remove`/`aremove`, `sync`/`sync_async`, `close`/`aclose`.
    An index that is made over (see `ragweft.reindex`) is followed: the next verb goes by its new recipe.
    """

    def __init__(self, serving: Serving) -> None:
        """Made by `open`."""
        self._serving = serving

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
        opening = Opening(
            folder=folder,
            read_only=read_only,
            recipe=recipe,
            embedder=embedder,
            reranker=reranker,
            chunker=chunker,
            contextualizer=contextualizer,
            loader=loader,
        )
        return cls(Serving(opening))

    def __repr__(self) -> str:
        return f"Index({str(self.path)!r}, {self._serving.engine.answering!r})"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_raised: object) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_raised: object) -> None:
        await self.aclose()

    @property
    def path(self) -> Path:
        """The folder."""
        return self._serving.engine.parts.folder

    @property
    def recipe(self) -> Recipe:
        """How this index is made and searched."""
        return self._serving.engine.parts.recipe

    @property
    def ledger(self) -> Ledger:
        """The truth behind the index, for those who read it directly."""
        return self._serving.engine.parts.ledger

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
            RecipeError: documents were made by a chunker or contextualizer that is not given now.
            ProviderError: the embedder failed; what was committed before stays, and syncing again goes on.
            BudgetExceeded: it would cost more than *max_usd*; likewise.
        """
        roots = [Path(path).expanduser().absolute() for path in paths]
        with (
            self._serving.use(writing=True) as engine,
            engine.billed(max_usd=max_usd, progress=progress) as meter,
        ):
            report = engine.intake.sync(roots, progress=progress, level=level)
            return engine.settled(report, meter, progress)

    def estimate(self, *paths: str | os.PathLike[str], progress: Progress = silent) -> Estimate:
        """What `sync` of *paths* would do and cost; files are read and cut, nothing is embedded or stored.

        Raises:
            LoadError: a path does not exist.
        """
        roots = [Path(path).expanduser().absolute() for path in paths]
        with self._serving.use() as engine:
            parts = engine.parts
            estimate = engine.intake.estimate(roots, progress=progress)
            return with_asking(estimate, ledger=parts.ledger, recipe=parts.recipe, embedder=parts.embedder)

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
        if isinstance(items, (Document, Chunk)):
            items = [items]
        with (
            self._serving.use(writing=True) as engine,
            engine.billed(max_usd=max_usd) as meter,
        ):
            report = engine.intake.add(items, progress=progress)
            return engine.settled(report, meter, progress)

    def import_chroma(
        self,
        place: str | os.PathLike[str],
        collection: str,
        *,
        document_key: str | None = None,
        vectors: Reuse = "auto",
        headers: Metadata | None = None,
        tenant: str = "",
        database: str = "",
        progress: Progress = silent,
        max_usd: float | None = None,
    ) -> SyncReport:
        """Take over a Chroma collection: a folder, `http://host:8000`, or "cloud"; it is not changed.

        A record becomes a chunk of its id, text and metadata; *document_key* names the metadata that says which
        document it is of (None: the usual ones of LangChain, LlamaIndex and loaders, else the record is one).
        With *vectors* "auto" those that prove to be of this index's embedder are taken over too, the others and
        with "never" all are embedded. Importing again goes on where it stopped.

        Raises:
            LoadError: there is no such collection.
            ProviderError: the server or the embedder failed; pages before it are kept.
            RecipeError: the index's embedder reads passages within documents.
            BudgetExceeded: going on would cost more than *max_usd*; likewise.
        """
        from ragweft.vectors.chroma_foreign import foreign_collection

        source = foreign_collection(
            os.fspath(place), collection, headers=headers or {}, tenant=tenant, database=database
        )
        with (
            self._serving.use(writing=True) as engine,
            engine.billed(max_usd=max_usd) as meter,
            source as found,
        ):
            report = engine.intake.take_over(
                found.pages(), total=len(found), owner=document_key, reuse=vectors, progress=progress
            )
            return engine.settled(report, meter, progress)

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
        if ids is None and source is None and where is None:
            raise LoadError("remove: name ids, a source or a where filter")
        uris = as_uris(source) or ()
        with self._serving.use(writing=True) as engine, engine.billed() as meter:
            report = engine.intake.remove(ids=ids or (), sources=uris, where=where, progress=silent)
            return engine.settled(report, meter, silent)

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
        with self._serving.use() as engine:
            return engine.answering.search(query, k=k, where=where, sources=sources, min_score=min_score)

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
        with self._serving.use() as engine:
            return await engine.answering.asearch(query, k=k, where=where, sources=sources, min_score=min_score)

    def search_many(
        self, queries: Sequence[str], *, k: int | None = None, where: Metadata | None = None
    ) -> list[Results]:
        """`search` for each of *queries*, several at a time, in their order."""
        with ThreadPoolExecutor(THREADS, thread_name_prefix="ragweft-many") as pool:
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
        with self._serving.use() as engine:
            return engine.answering.explain(query, chunk_id, where=where)

    def candidates(
        self, queries: Sequence[str], *, n: int = 0, progress: Progress = silent
    ) -> list[Candidates]:
        """For each query what a search would weigh, without weighing it; *n* as a search for *n* hits would."""
        with self._serving.use() as engine, engine.billed():
            return gather(engine.parts, queries, n=n, progress=progress)

    def keep_tuning(self, tuning: Tuning | None, *, progress: Progress = silent) -> None:
        """Search by *tuning* from now on, in every process; None: by what the corpus itself speaks for.

        Raises:
            RecipeError: the recipe's dense_weight is a number, which stands.
        """
        with self._serving.use(writing=True) as engine, engine.billed():
            keep_tuning(engine.parts, tuning, progress=progress)

    def catch_up(self, *, progress: Progress = silent) -> None:
        """Bring every follower level with the ledger; followers busy in another process are left to it."""
        with self._serving.use(writing=True) as engine:
            engine.level(progress)

    def cache(
        self, *, scope: Mapping[str, Json] | None = None, check: Check | None = None, around: bool = True
    ) -> Answers:
        """Answers kept beside this index; in its *scope* what has to be equal: a model, a prompt's version.

        *check* decides about two questions that are nearly alike (`ragweft.caching.checks`). Any change of a
        document drops what rests on one of its passages; not *around*: only one of these passages.
        """
        return Answers(self._serving, scope=scope or {}, check=check, around=around)

    def status(self) -> Status:
        """Counts, sizes and how level the followers are; brings nothing level, but sets a damaged one aside."""
        with self._serving.use() as engine:
            engine.answering.settle()
            return take_status(engine.parts, repr(engine.answering))

    def verify(self, *, repair: bool = True, progress: Progress = silent) -> Verification:
        """Compare ledger and followers; with *repair* bring level or rebuild what differs.

        Raises:
            IndexDamaged: the ledger itself is damaged.
        """
        with self._serving.use(writing=repair) as engine:
            return verify(engine.parts, repair=repair, progress=progress)

    def chunk(self, chunk_id: str) -> Hit | None:
        """A chunk by id, as a hit without a score."""
        with self._serving.use() as engine, engine.parts.ledger.snapshot() as snapshot:
            found = snapshot.chunks_named(chunk_id)
        return bare_hit(found[0]) if found else None

    def document(self, document_id: str) -> list[Hit]:
        """The chunks of a document, in order, as hits without a score; empty if it is unknown."""
        with self._serving.use() as engine, engine.parts.ledger.snapshot() as snapshot:
            return [bare_hit(stored) for stored in snapshot.chunks_of(document_id)]

    def text(self, document_id: str) -> str | None:
        """A document's whole text; None if it is unknown or was given in chunks."""
        with self._serving.use() as engine:
            return engine.parts.ledger.text_of(document_id)

    def close(self) -> None:
        """Let go of every file and lock. Idempotent; also called by `with`."""
        self._serving.close()

    async def aclose(self) -> None:
        """As `close`, with the connections of the running loop; also called by `async with`."""
        await self._serving.aclose()
