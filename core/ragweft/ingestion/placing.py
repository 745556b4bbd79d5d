"""Documents to chunks that know where they stand: cut one by one, contextualised together."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ragweft.chunking.lines import numbered
from ragweft.context.asked import AskingContextualizer
from ragweft.errors import ProviderError
from ragweft.progress import silent
from ragweft.reports import Contexts

if TYPE_CHECKING:
    from ragweft.context.copies import Supposed
    from ragweft.context.estimating import ContextEstimate
    from ragweft.ingestion.pipeline import Loaded
    from ragweft.protocols import Chunker, Contextualizer, Progress
    from ragweft.reports import Failure
    from ragweft.types import Chunk, Document

__all__ = ["Placing"]

_GATHERED = 64 * 2**20
"""Characters of documents that are asked for in one go where that takes a day: they are held in memory."""

Item = tuple["Document", Sequence["Chunk"]]


class Placing:
    """Chunker and contextualizer of one index."""

    def __init__(self, chunker: Chunker, contextualizer: Contextualizer) -> None:
        self._chunker = chunker
        self._contextualizer = contextualizer
        self._asking = contextualizer if isinstance(contextualizer, AskingContextualizer) else None
        self.fingerprint = f"{chunker.fingerprint} | {contextualizer.fingerprint}"
        """How documents are cut and placed."""

    @property
    def asks(self) -> bool:
        """Whether a service is asked for contexts, which takes long and costs money."""
        return self._asking is not None

    def chunks(self, documents: Sequence[Document], *, progress: Progress = silent) -> list[list[Chunk]]:
        """The chunks of *documents* with their contexts.

        Raises:
            ProviderError: a service failed for good; or the contextualizer lost chunks.
            BudgetExceeded: going on might cost more than whoever collects allows.
        """
        items = self._cut(documents)
        if self._asking is None:
            return self._by(self._contextualizer, items)
        return self._checked(items, self._asking.contextualize_all(items, progress=progress))

    def known(self, documents: Sequence[Document]) -> list[list[Chunk]]:
        """The same, but nobody is asked: chunks without a context have what stands in."""
        made = self._contextualizer if self._asking is None else self._asking.known
        return self._by(made, self._cut(documents))

    def supposed(
        self, documents: Sequence[Document], supposed: Supposed
    ) -> tuple[list[list[Chunk]], ContextEstimate | None]:
        """About what `chunks` would give and what it would take; None where nobody is asked for it.

        *supposed* is carried from one call to the next, so that a copy is counted once.
        """
        items = self._cut(documents)
        if self._asking is None:
            return self._by(self._contextualizer, items), None
        return self._by(self._asking.supposed, items), self._asking.estimate_all(items, supposed=supposed)

    def ahead(self, loaded: Iterable[Loaded], *, progress: Progress = silent) -> Iterator[Loaded]:
        """*loaded* as they come; or, where that takes as long for all as for one, once all were asked for.

        Raises:
            ProviderError: as `chunks`.
            BudgetExceeded: as `chunks`.
        """
        if self._asking is None or not self._asking.gathers:
            yield from loaded
            return
        some: list[Loaded] = []
        size = 0
        for item in loaded:
            some.append(item)
            size += len(item.document.text)
            if size >= _GATHERED:
                yield from self._asked(some, progress)
                some, size = [], 0
        # Without any left, what was asked for before and has come since is taken in.
        yield from self._asked(some, progress)

    def unfinished(self, document: Document) -> bool:
        """Whether chunks of *document* have what stands in, though they were asked for."""
        return self._asking is not None and bool(self._asking.unfinished(document.id))

    def take_failures(self) -> Sequence[Failure]:
        """Why contexts could not be had since this was last called; from now on they are asked for again."""
        return self._asking.take_failures() if self._asking is not None else ()

    @contextmanager
    def telling(self) -> Iterator[None]:
        """Have a Ctrl-C within the block carry, as notes, what was paid for and is not lost by it."""
        before = self.contexts.written
        try:
            yield
        except KeyboardInterrupt as error:
            if written := self.contexts.written - before:
                error.add_note(f"{written:,} contexts that were paid for are kept, and not paid for again")
            for batch in self._asking.under_way if self._asking is not None else ():
                error.add_note(
                    f"{batch} goes on at {batch.model.partition(':')[0]}: the same command takes it in"
                )
            raise

    @property
    def contexts(self) -> Contexts:
        """What a model has written so far."""
        if self._asking is None:
            return Contexts()
        stats = self._asking.stats
        return Contexts(
            written=stats.made,
            kept=stats.kept,
            failed=stats.failed,
            under_way=sum(batch.contexts for batch in self._asking.under_way),
            fresh=stats.tokens.fresh,
            stored=stats.tokens.written,
            reread=stats.tokens.cached,
            answered=stats.tokens.output,
        )

    def _asked(self, some: Sequence[Loaded], progress: Progress) -> Sequence[Loaded]:
        if self._asking is not None:
            whole = [loaded.document for loaded in some if loaded.chunks is None]
            self._asking.contextualize_all(self._cut(whole), progress=progress)
        return some

    def _cut(self, documents: Sequence[Document]) -> list[Item]:
        return [(document, self._chunker.chunk(document)) for document in documents]

    def _by(self, contextualizer: Contextualizer, items: Sequence[Item]) -> list[list[Chunk]]:
        return self._checked(items, [contextualizer.contextualize(*item) for item in items])

    def _checked(self, items: Sequence[Item], placed: Sequence[Sequence[Chunk]]) -> list[list[Chunk]]:
        found = []
        for (document, bare), chunks in zip(items, placed, strict=True):
            if len(chunks) != len(bare):
                raise ProviderError(
                    f"{document.id}: the contextualizer returned {len(chunks)} of {len(bare)} chunks; "
                    'fix it or set [context] kind = "none"',
                    retryable=False,
                )
            found.append(list(numbered(document, chunks)))
        return found
