"""Has contexts written, one call at a time or by the batch, and keeps each as it comes."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ragweft.context.asking import Asker, Unanswered
from ragweft.context.batching import Batching, name_of
from ragweft.context.identity import unsaid
from ragweft.context.memory import Kept, Measure
from ragweft.context.planning import planned
from ragweft.context.replies import Unfit, read_context
from ragweft.errors import RecipeError
from ragweft.generation.accounting import as_tokens, quarters
from ragweft.generation.values import BatchGenerator, Tokens

if TYPE_CHECKING:
    from ragweft.context.memory import ContextMemory, OpenBatch
    from ragweft.context.planning import Ask, Group, Job
    from ragweft.generation.values import Generator, Prompt, Reply
    from ragweft.protocols import Progress, Tokenizer

__all__ = ["ContextStats", "Writer", "batching_generator"]

_WINDOW = 32_768
"""Tokens of a model whose window is not known."""
_SMALLEST = 512
"""Tokens of a window below which a document is not cut any further."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ContextStats:
    """What one contextualizer has done since it was made."""

    made: int = 0
    """Contexts that were asked for and came."""
    kept: int = 0
    """Contexts that were known, or came for a copy of the document, counted each time."""
    failed: int = 0
    """Chunks left with their outline context, counted once until `take_failures`."""
    calls: int = 0
    """Calls that were answered."""
    tokens: Tokens = field(default_factory=Tokens)
    """What they were billed as."""
    usd: float = 0.0
    unpriced: int = 0
    """Calls whose price is not known: they are missing from `usd`."""

    def __add__(self, other: ContextStats) -> ContextStats:
        return ContextStats(
            made=self.made + other.made,
            kept=self.kept + other.kept,
            failed=self.failed + other.failed,
            calls=self.calls + other.calls,
            tokens=self.tokens + other.tokens,
            usd=self.usd + other.usd,
            unpriced=self.unpriced + other.unpriced,
        )


def batching_generator(generator: Generator) -> BatchGenerator:
    """*generator*, if its service takes batches.

    Raises:
        RecipeError: it does not.
    """
    if isinstance(generator, BatchGenerator) and generator.batches:
        return generator
    raise RecipeError(
        f"[context] batch = true: {generator.name} takes no batches; set it to false, or take a model of "
        "anthropic or openai"
    )


class Writer:
    """One model's contexts of one length."""

    def __init__(
        self,
        generator: Generator,
        memory: ContextMemory,
        tokenizer: Tokenizer,
        *,
        maker: str,
        max_tokens: int,
        count: Callable[[ContextStats], None],
    ) -> None:
        """*maker* is what contexts are kept by; *count* hears what was done, as it is done."""
        self._generator = generator
        self._memory = memory
        self._tokenizer = tokenizer
        self._maker = maker
        self._max_tokens = max_tokens
        # Models count otherwise than the embedder does, and an answer that breaks off is worth less.
        self.answer = max_tokens * 2 + 32
        self._count = count
        self._asker = Asker(generator, answer=self.answer)
        self._lock = threading.Lock()
        self._measured = Measure()

    def planned(self, job: Job, places: Sequence[int], *, density: float, window: int = 0) -> list[Group]:
        """The prompts for the chunks at *places*, at *density* tokens for four bytes; 0: the model's window."""
        return planned(
            job,
            places,
            self._generator,
            window=window or self._generator.window or _WINDOW,
            density=density,
            max_tokens=self._max_tokens,
            answer=self.answer,
        )

    def note_measure(self) -> None:
        """Keep what calls came to since this was last done."""
        with self._lock:
            more, self._measured = self._measured, Measure()
        if more.replies:
            self._memory.add_measure(self._generator.name, more)

    def leave_to_batches(self, jobs: Sequence[Job]) -> int:
        """Take from what *jobs* want that which is in a batch under way; returns how much that is."""
        names = {
            name
            for batch in self._memory.open_batches(self._generator.name)
            for name, one in batch.pending.items()
            if not one.done
        }
        before = sum(len(job.wanted) for job in jobs)
        for job in jobs if names else ():
            job.wanted = [place for place in job.wanted if name_of(job, place, self._maker) not in names]
        return before - sum(len(job.wanted) for job in jobs)

    def one_by_one(self, jobs: Sequence[Job], *, density: float) -> Iterator[None]:
        """Ask for what *jobs* want; yields after each chunk.

        Raises:
            ProviderError: no call of this kind will do.
            BudgetExceeded: going on might cost more than whoever collects allows.
        """
        window = self._generator.window or _WINDOW
        todo = [(job, job.wanted) for job in jobs if job.wanted]
        while todo:
            groups = [
                group
                for job, places in todo
                for group in self.planned(job, places, density=density, window=window)
            ]
            shorter: dict[int, tuple[Job, list[int]]] = {}
            for group, ask, prompt, outcome in self._asker.ask(groups):
                del group
                if not isinstance(outcome, Unanswered):
                    self._received(ask, prompt, outcome)
                elif outcome.kind == "too long" and window > _SMALLEST:
                    shorter.setdefault(id(ask.job), (ask.job, []))[1].append(ask.place)
                    continue
                else:
                    ask.job.fail(ask.place, outcome.reason)
                    if outcome.kind != "failed":
                        ask.job.refused.add(ask.place)
                yield
            window //= 2
            todo = [(job, sorted(places)) for job, places in shorter.values()]

    def by_batch(
        self, jobs: Sequence[Job], *, density: float, wait: float, poll: float, progress: Progress
    ) -> Iterator[None]:
        """The same by batches, which are waited for *wait* seconds and looked at every *poll*.

        Raises:
            ProviderError: the service failed; what was handed over is taken in another time.
            BudgetExceeded: as `one_by_one`.
        """
        batches = batching_generator(self._generator)
        groups = [group for job in jobs for group in self.planned(job, job.wanted, density=density)]
        asks = {
            name_of(ask.job, ask.place, self._maker): (ask, group.prompt(ask, lasting=True))
            for group in groups
            for ask in group.asks
        }
        batching = Batching(
            batches,
            self._memory,
            model=self._generator.name,
            maker=self._maker,
            answer=self.answer,
            wait=wait,
            poll=poll,
            progress=progress,
        )
        done: list[None] = []

        def taken(batch: OpenBatch, name: str, result: Reply | str) -> None:
            self._taken(batches, batch, name, result, asks.get(name))
            done.append(None)

        waiting = batching.run(groups, taken)
        for name, remote in waiting.items():
            if name in asks:
                ask, _ = asks[name]
                ask.job.fail(ask.place, f"batch {remote} is under way; sync again to take it in")
        yield from done

    def _received(self, ask: Ask, prompt: Prompt, reply: Reply) -> None:
        self._counted(reply, prompt, batch=False)
        try:
            context = self._read(reply, ask.chunk.text)
        except Unfit as error:
            ask.job.fail(ask.place, str(error))
            ask.job.refused.add(ask.place)
            return
        self._memory.keep(self._maker, ask.job.document.id, [self._kept(ask, context)])
        ask.job.settle(ask.place, context)
        self._count(ContextStats(made=1))

    def _taken(
        self,
        generator: BatchGenerator,
        batch: OpenBatch,
        name: str,
        result: Reply | str,
        asked: tuple[Ask, Prompt] | None,
    ) -> None:
        pending = batch.pending[name]
        if isinstance(result, str):
            self._memory.take_in(batch.mark, name, None)
            if asked is not None:
                asked[0].job.fail(asked[0].place, result)
            return
        generator.bill(result)
        self._counted(result, asked[1] if asked is not None else None, batch=True)
        try:
            context = self._read(result, asked[0].chunk.text if asked is not None else "")
        except Unfit as error:
            self._memory.take_in(batch.mark, name, None)
            if asked is not None:
                asked[0].job.fail(asked[0].place, str(error))
                asked[0].job.refused.add(asked[0].place)
            return
        if asked is not None:
            kept = self._kept(asked[0], context)
            asked[0].job.settle(asked[0].place, context)
        else:
            # Of a text that has changed since: it fits that one alone.
            kept = Kept(
                document_id=pending.document_id,
                near=pending.near,
                document=pending.document,
                text=context,
                own=None,
            )
        self._memory.take_in(batch.mark, name, kept)
        self._count(ContextStats(made=1))

    def _read(self, reply: Reply, chunk: str) -> str:
        return read_context(
            reply.text, reply.stop, chunk=chunk, tokenizer=self._tokenizer, max_tokens=self._max_tokens
        )

    def _kept(self, ask: Ask, context: str) -> Kept:
        job = ask.job
        return Kept(
            document_id=job.document.id,
            near=job.nears[ask.place],
            document=job.digest,
            text=context,
            own=unsaid(context, job.said),
        )

    def _counted(self, reply: Reply, prompt: Prompt | None, *, batch: bool) -> None:
        """Note what a call came to, for the bill and for the next estimate."""
        tokens = reply.tokens
        sent = quarters(prompt.text) if prompt is not None else 0.0
        if tokens is not None and prompt is not None:
            with self._lock:
                self._measured += Measure(quarters=sent, prompt=tokens.prompt, output=tokens.output, replies=1)
        elif tokens is None:
            density = self._generator.model.density
            tokens = Tokens(fresh=round(sent * density), output=as_tokens(reply.text, density))
        usd = self._generator.model.usd(tokens, batch=batch)
        self._count(ContextStats(calls=1, tokens=tokens, usd=usd or 0.0, unpriced=int(usd is None)))
