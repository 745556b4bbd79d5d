"""Context written by a language model that has read the whole document, each paid for once."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from ragweft.context.copies import asked_once, not_twice, settle
from ragweft.context.estimating import ContextEstimate, estimated, scale_of, usual_answer
from ragweft.context.memory import PassingMemory
from ragweft.context.missing import MissingContexts
from ragweft.context.outline import OutlineContextualizer
from ragweft.context.planning import job_of
from ragweft.context.prompts import PROMPT_VERSION
from ragweft.context.rough import RoughTokenizer
from ragweft.context.writing import ContextStats, Writer, batching_generator
from ragweft.errors import RecipeError
from ragweft.generation import as_generator
from ragweft.progress import silent
from ragweft.protocols import PlacelessContextualizer
from ragweft.providers.doubts import Doubtful
from ragweft.settings import OUTLINED

if TYPE_CHECKING:
    from ragweft.context.copies import Supposed
    from ragweft.context.estimating import Scale
    from ragweft.context.memory import ContextMemory
    from ragweft.context.planning import Job
    from ragweft.protocols import Contextualizer, Progress, Tokenizer
    from ragweft.reports import BatchUnderWay, Failure
    from ragweft.types import Chunk, Document

__all__ = ["PLACEMENTS", "ContextStats", "KnownContexts", "LLMContextualizer"]

PLACEMENTS = ("prepend", "append")
"""Where a context stands: before its chunk, as the published text has it, or after it, as its notebook does."""
_DAY = 26 * 3_600.0
"""Seconds: a batch ends within 24 hours, one way or another."""
_POLL = 5.0
_LONG_TOKEN = 12
"""Characters of a document that hold a token, whatever its script."""
_MARK = 8
"""Digits that make two texts differ."""

Item = tuple["Document", Sequence["Chunk"]]


class LLMContextualizer:
    """Has a language model say where each chunk stands in its document.

    The method is Anthropic's "Introducing Contextual Retrieval" (2024): the model reads the document and the
    chunk and writes a line or two, by which the chunk is found as well. The document is the shared beginning of
    all its prompts; its first chunk goes out alone and has the service keep it, the others follow side by side.
    A document that is too long is read in parts (`windows`). What was paid for is kept for as long as it fits
    (`identity`). A chunk whose context could not be had keeps its outline context; it is listed, and asked for
    again after `take_failures`. A chunk that is all of its document is not asked for: nothing is around it.
    """

    def __init__(
        self,
        generator: object,
        *,
        outline: Contextualizer | None = None,
        tokenizer: Tokenizer | None = None,
        memory: ContextMemory | None = None,
        max_tokens: int = 100,
        placement: str = "prepend",
        batch: bool = False,
        wait: float = _DAY,
        poll: float = _POLL,
    ) -> None:
        """Ask *generator*: a `Generator`, or anything `as_generator` takes.

        Args:
            generator: what writes.
            outline: gives a chunk its context until there is a better one; None: an `OutlineContextualizer`.
            tokenizer: the embedder's; None: that of the index it is given to, or a rough guess.
            memory: where contexts are kept; None: in this process only, or with an index in its contexts.db.
            max_tokens: tokens of *tokenizer* a context may have.
            placement: "prepend" or "append", for whoever joins context and chunk.
            batch: ask by the batch, for half the price.
            wait: seconds to wait for batches; what has not come by then is taken in by a later call.
            poll: seconds between two looks at a batch, at first.

        Raises:
            RecipeError: a setting is out of range, or the model's service takes no batches.
            TypeError: the generator is none.
        """
        if max_tokens < 1 or placement not in PLACEMENTS:
            raise RecipeError(
                f"[context] max_tokens = {max_tokens}, placement = {placement!r}: at least 1, and one of "
                f"{', '.join(PLACEMENTS)}"
            )
        self.placement = placement
        self._generator = as_generator(generator)
        self._given = outline, tokenizer, memory
        tokenizer = RoughTokenizer() if tokenizer is None else tokenizer
        if outline is None:
            outline = OutlineContextualizer(tokenizer=tokenizer, max_tokens=min(OUTLINED, max_tokens))
        self._outline, self._tokenizer = outline, tokenizer
        self._memory: ContextMemory = PassingMemory() if memory is None else memory
        self.max_tokens = max_tokens
        self._batch, self._wait, self._poll = batch, wait, poll
        if batch:
            batching_generator(self._generator)
        self._maker = f"{self._generator.name} prompt/{PROMPT_VERSION} max_tokens={max_tokens}"
        self._lock = threading.Lock()
        self._stats = ContextStats()
        self._writer = Writer(
            self._generator,
            self._memory,
            tokenizer,
            maker=self._maker,
            max_tokens=max_tokens,
            count=self._count,
        )
        self._told = self._generator.model.density
        self._scale: Scale | None = None
        """What a sample came to when its service counted it."""
        self._missing = MissingContexts(self._memory, self._maker)

    def __repr__(self) -> str:
        return f"LLMContextualizer({self._generator.name})"

    @property
    def model(self) -> str:
        """What writes."""
        return self._generator.name

    @property
    def fingerprint(self) -> str:
        """Model, prompt, length and placement, and the outline that stands in."""
        return f"llm {self._maker} {self.placement} | {self._outline.fingerprint}"

    @property
    def stats(self) -> ContextStats:
        """What was done so far."""
        with self._lock:
            return self._stats

    @property
    def gathers(self) -> bool:
        """As `AskingContextualizer.gathers`: batches take an hour or a day, however much is in them."""
        return self._batch

    @property
    def known(self) -> KnownContexts:
        """The same without asking anybody."""
        return KnownContexts(self)

    @property
    def supposed(self) -> KnownContexts:
        """As `AskingContextualizer.supposed`."""
        return KnownContexts(self, supposing=True)

    def settled(self, *, tokenizer: Tokenizer, memory: Callable[[], ContextMemory]) -> LLMContextualizer:
        """The same with these in the place of what it was not given; it shares the generator."""
        outline, own_tokenizer, own_memory = self._given
        if own_memory is not None:
            return self
        return LLMContextualizer(
            self._generator,
            outline=outline,
            tokenizer=tokenizer if own_tokenizer is None else own_tokenizer,
            memory=memory(),
            max_tokens=self.max_tokens,
            placement=self.placement,
            batch=self._batch,
            wait=self._wait,
            poll=self._poll,
        )

    def contextualize(self, document: Document, chunks: Sequence[Chunk]) -> Sequence[Chunk]:
        """As `Contextualizer.contextualize`.

        Raises:
            ProviderError: no call will do, as with a wrong key; or a batch failed as a whole.
            BudgetExceeded: going on might cost more than whoever collects allows. What came is kept.
            RecipeError: there is no key.
            MissingExtra: the service's package is not installed.
        """
        return self.contextualize_all([(document, chunks)])[0]

    def contextualize_all(
        self, items: Sequence[Item], *, progress: Progress | None = None
    ) -> list[Sequence[Chunk]]:
        """The chunks of every document with their contexts; documents are asked for side by side.

        Of documents with the same text one is asked for, and all have what becomes of it.

        With batches, give everything at once: it takes two, one after the other, however much it is. Without
        any *items*, those batches are taken in that have ended since.

        Raises:
            ProviderError: as `contextualize`.
            BudgetExceeded: as `contextualize`.
            RecipeError: as `contextualize`.
            MissingExtra: as `contextualize`.
        """
        jobs = [self._job(document, chunks) for document, chunks in items]
        self._count(ContextStats(kept=sum(len(job.contexts) for job in jobs)))
        copies = asked_once(jobs)
        total = sum(len(job.wanted) for job in jobs)
        density = self._density()
        if self._batch:
            wait = self._wait if items else 0.0
            written = self._writer.by_batch(
                jobs, density=density, wait=wait, poll=self._poll, progress=progress or silent
            )
        else:
            written = self._writer.one_by_one(jobs, density=density)
        if progress is not None and total:
            progress("contexts", 0, total)
        try:
            for done, _ in enumerate(written if total or not items else (), start=1):
                if progress is not None:
                    progress("contexts", min(done, total), total)
        finally:
            self._writer.note_measure()
            kept = settle(copies, self._memory, self._maker)
            self._count(ContextStats(kept=kept, failed=self._missing.note(jobs)))
        return [self._placed(job) for job in jobs]

    def estimate(self, document: Document, chunks: Sequence[Chunk], *, counted: bool = True) -> ContextEstimate:
        """What `contextualize` would take; nobody is asked for a context.

        Where nothing was billed yet, one document is sent to be *counted*, if the service does that; it costs
        nothing.
        """
        return self.estimate_all([(document, chunks)], counted=counted)

    def estimate_all(
        self, items: Sequence[Item], *, counted: bool = True, supposed: Supposed | None = None
    ) -> ContextEstimate:
        """As `estimate`, of all these documents together; of those with the same text one is counted.

        What is in *supposed* was counted before; what is counted now is added to it.
        """
        jobs = [job_of(document, chunks, self._memory, self._maker) for document, chunks in items]
        asked_once(jobs)
        if supposed is not None:
            not_twice(jobs, supposed)
        under_way = self._writer.leave_to_batches(jobs) if self._batch else 0
        known = sum(len(job.contexts) for job in jobs)
        generator, rough = self._generator, self._density()
        first = next((job for job in jobs if job.wanted), None)
        sample = None
        if counted and first is not None and self._scale is None:
            (sample,) = self._writer.planned(first, first.wanted[:1], density=rough)
        measure = self._memory.measure(generator.name)
        scale = None if measure.prompt else self._scale
        if scale is None:
            scale = scale_of(generator, measure, max_tokens=self.max_tokens, sample=sample)
            if sample is not None and not measure.prompt:
                self._scale = scale
        # Long documents will be laid out by the same count when it comes to asking.
        self._told = scale.density
        groups = [
            group for job in jobs for group in self._writer.planned(job, job.wanted, density=scale.density)
        ]
        total = estimated(groups, generator, scale, most=self._writer.answer, batch=self._batch)
        doubts = tuple(generator.doubts()) if groups and isinstance(generator, Doubtful) else ()
        more = ContextEstimate(chunks=known + under_way, known=known, under_way=under_way, doubts=doubts)
        return total + more

    def placeless(self, document: Document, chunk: Chunk) -> str:
        """The context of *chunk* without the name of its file, which a model is never told."""
        if isinstance(self._outline, PlacelessContextualizer):
            return self._outline.placeless(document, chunk)
        return chunk.context

    def unfinished(self, document_id: str) -> Sequence[Failure]:
        """Why chunks of that document kept their outline context when it was last contextualised."""
        return self._missing.of(document_id)

    def take_failures(self) -> tuple[Failure, ...]:
        """Everything `unfinished`, for a report; from now on it is asked for again.

        Until then it is not: a document that is contextualised twice in one job, and a copy of it, comes out
        the same. What was refused three times is left alone for as long as this object lives: every answer is
        paid for.
        """
        return self._missing.take()

    def without_asking(
        self, document: Document, chunks: Sequence[Chunk], *, supposing: bool = False
    ) -> Sequence[Chunk]:
        """*chunks* with the contexts that are kept, and with the outline where there is none.

        *supposing*: where one would be asked for, with some of the document's words, about as many as it has.
        """
        job = job_of(document, chunks, self._memory, self._maker)
        if supposing and job.wanted:
            length = usual_answer(self._memory.measure(self._generator.name), max_tokens=self.max_tokens)
            for place in job.wanted:
                job.settle(place, self._stand_in(job, place, round(length)))
        return self._placed(job)

    @property
    def under_way(self) -> list[BatchUnderWay]:
        """As `AskingContextualizer.under_way`."""
        name = self._generator.name
        return [batch.told(name) for batch in self._memory.open_batches(name)]

    def close(self) -> None:
        """Let go of connections; idempotent."""
        self._generator.close()

    def _job(self, document: Document, chunks: Sequence[Chunk]) -> Job:
        job = job_of(document, chunks, self._memory, self._maker)
        if job.renewed:
            self._memory.keep(self._maker, document.id, job.renewed)
        self._missing.leave_alone(job)
        return job

    def _density(self) -> float:
        measure = self._memory.measure(self._generator.name)
        return measure.prompt / measure.quarters if measure.quarters else self._told

    def _placed(self, job: Job) -> list[Chunk]:
        outlined = self._outline.contextualize(job.document, job.chunks)
        last = self.placement == "append"
        return [
            replace(chunk, context=job.contexts[place], context_last=last) if place in job.contexts else chunk
            for place, chunk in enumerate(outlined)
        ]

    def _stand_in(self, job: Job, place: int, tokens: int) -> str:
        """As long as a context, and like it not the same for any two chunks."""
        text, most = job.document.text, tokens * _LONG_TOKEN
        start = max(0, min(job.spans[place][0], len(text) - most))
        excerpt = text[start : start + most]
        starts = self._tokenizer.encode(excerpt).starts
        cut = int(starts[tokens]) if tokens < len(starts) else len(excerpt)
        return f"{job.nears[place].hex()[:_MARK]} {excerpt[:cut]}"

    def _count(self, more: ContextStats) -> None:
        with self._lock:
            self._stats += more


class KnownContexts:
    """A contextualizer that asks nobody: for estimates, and where no service may be called."""

    def __init__(self, whole: LLMContextualizer, *, supposing: bool = False) -> None:
        """*supposing*: with a text of the same length where a context would be asked for."""
        self._whole = whole
        self._supposing = supposing

    @property
    def fingerprint(self) -> str:
        """That of the contextualizer whose contexts these are."""
        return self._whole.fingerprint

    def contextualize(self, document: Document, chunks: Sequence[Chunk]) -> Sequence[Chunk]:
        """As `LLMContextualizer.without_asking`."""
        return self._whole.without_asking(document, chunks, supposing=self._supposing)

    def placeless(self, document: Document, chunk: Chunk) -> str:
        """As `LLMContextualizer.placeless`."""
        return self._whole.placeless(document, chunk)
