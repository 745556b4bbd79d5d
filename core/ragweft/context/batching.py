"""Asks for contexts by the batch: for half the price, within a day, mostly within the hour.

Two batches follow one another: the first chunk of every document, which has the service keep the document for
an hour, then all the others, which read it (as Anthropic recommends for batches with a shared beginning). Each
is noted before it is handed over and forgotten when its last answer is kept. So whoever comes after a kill, a
Ctrl-C or a day goes on with what was paid for: a batch whose name was not noted is looked for at the service,
one with a name is waited for and taken in, and only what is in no batch is handed over.
"""

from __future__ import annotations

import secrets
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ragweft.context.memory import OpenBatch, Pending
from ragweft.errors import BudgetExceeded, ProviderError
from ragweft.generation.accounting import held
from ragweft.generation.values import Declined
from ragweft.progress import silent
from ragweft.types import digest_of

if TYPE_CHECKING:
    from ragweft.context.memory import ContextMemory
    from ragweft.context.planning import Ask, Group, Job
    from ragweft.generation.values import BatchGenerator, BatchState, Prompt, Reply
    from ragweft.protocols import Progress

__all__ = ["Batching", "name_of"]

_ADVICE = "you may stop and run the same command later"

_MOST_PROMPTS = 10_000
_MOST_BYTES = 32 * 2**20
"""Of one batch: below every service's limits, and little enough to be held in memory while it is sent."""
_LONGEST_POLL = 60.0
_GROWTH = 1.5

Taken = Callable[[OpenBatch, str, "Reply | str"], None]
"""Hears of each answer of a batch, or why there is none, by the name of its prompt."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Prompted:
    """A chunk with its prompt."""

    name: str
    ask: Ask
    prompt: Prompt


def name_of(job: Job, place: int, maker: str) -> str:
    """What the prompt for the chunk at *place* is called in a batch: the same whenever the same is asked.

    Whatever the document is called: one that is moved while a batch is under way has its answers.
    """
    return digest_of(maker, job.digest.hex(), job.nears[place].hex()).hex()


class Batching:
    """Hands over, waits for and takes in the batches of one model."""

    def __init__(
        self,
        generator: BatchGenerator,
        memory: ContextMemory,
        *,
        model: str,
        maker: str,
        answer: int,
        wait: float,
        poll: float,
        progress: Progress = silent,
    ) -> None:
        """*answer*: tokens of an answer. Batches are waited for *wait* seconds, and looked at every *poll*."""
        self._generator = generator
        self._memory = memory
        self._model = model
        self._maker = maker
        self._answer = answer
        self._wait = wait
        self._poll = poll
        self._progress = progress
        self._states: dict[str, BatchState] = {}
        """What the service last said of each batch."""

    def run(self, groups: Sequence[Group], taken: Taken) -> dict[str, str]:
        """Have *groups* answered, and every older batch taken in; *taken* hears of each answer.

        Returns what has no answer when the time is up: name of a prompt to what it waits for.

        Raises:
            ProviderError: the service failed; what was handed over is taken in another time.
            BudgetExceeded: going on might cost more than whoever collects allows.
        """
        until = time.monotonic() + self._wait
        self._recover()
        answered: set[str] = set()
        waiting = self._take_in(self._memory.open_batches(self._model), taken, answered, until)
        cold: list[_Prompted] = []
        later: list[_Prompted] = []
        for group in groups:
            prompted = [self._prompted(group, ask) for ask in group.asks]
            fresh = [one for one in prompted if one.name not in answered and one.name not in waiting]
            # Whoever was answered a moment ago has left the document at the service.
            warm = not group.keep or len(fresh) < len(prompted)
            cold += fresh if warm else fresh[:1]
            later += [] if warm else fresh[1:]
        for wave in (cold, later):
            if waiting:
                # Its documents are not kept yet.
                first = next(iter(waiting.values()))
                waiting |= {one.name: first for one in wave}
            else:
                waiting |= self._hand_over(wave, taken, answered, until)
        return waiting

    def _prompted(self, group: Group, ask: Ask) -> _Prompted:
        return _Prompted(
            name=name_of(ask.job, ask.place, self._maker), ask=ask, prompt=group.prompt(ask, lasting=True)
        )

    def _recover(self) -> None:
        """Find the batches that were handed over by a process that ended before it could note their names."""
        batches = self._memory.open_batches(self._model)
        known = frozenset(batch.remote for batch in batches if batch.remote is not None)
        for batch in batches:
            if batch.remote is None:
                count = len(batch.pending)
                remote = self._generator.find(mark=batch.mark, count=count, since=batch.created, known=known)
                if remote is None:
                    self._memory.end_batch(batch.mark)
                else:
                    self._memory.name_batch(batch.mark, remote)
                    known |= {remote}

    def _hand_over(
        self, wave: Sequence[_Prompted], taken: Taken, answered: set[str], until: float
    ) -> dict[str, str]:
        parts = deque(_parts(wave))
        while parts:
            with ExitStack() as reserved:
                under_way: list[OpenBatch] = []
                while parts:
                    part = parts.popleft()
                    asked = [(one.name, one.prompt) for one in part]
                    try:
                        most = self._generator.submission(asked, self._answer)
                        reserved.enter_context(held(most, self._model))
                    except BudgetExceeded:
                        # What comes of those under way costs less than its bound, most of the time.
                        if under_way:
                            parts.appendleft(part)
                            break
                        if len(part) < 2:
                            raise
                        middle = len(part) // 2
                        parts.extendleft((part[middle:], part[:middle]))
                        continue
                    under_way.append(self._submit(part, asked))
                waiting = self._take_in(under_way, taken, answered, until)
            if waiting:
                first = next(iter(waiting.values()))
                return waiting | {one.name: first for part in parts for one in part}
        return {}

    def _submit(self, part: Sequence[_Prompted], asked: Sequence[tuple[str, Prompt]]) -> OpenBatch:
        mark = secrets.token_hex(16)
        pending = [
            Pending(
                name=one.name,
                maker=self._maker,
                document_id=one.ask.job.document.id,
                document=one.ask.job.digest,
                near=one.ask.job.nears[one.ask.place],
            )
            for one in part
        ]
        self._memory.begin_batch(self._model, mark, pending)
        try:
            remote = self._generator.submit(asked, max_tokens=self._answer, mark=mark)
        except ProviderError as error:
            if not error.retryable:
                self._memory.end_batch(mark)
            raise
        if not self._memory.name_batch(mark, remote):
            # Another process looked for it before it had arrived.
            self._memory.begin_batch(self._model, mark, pending)
            self._memory.name_batch(mark, remote)
        by_name = {one.name: one for one in pending}
        return OpenBatch(mark=mark, remote=remote, created=time.time(), pending=by_name)

    def _take_in(
        self, batches: Sequence[OpenBatch], taken: Taken, answered: set[str], until: float
    ) -> dict[str, str]:
        """Wait for *batches* and hear their answers; returns as `run` what waits when the time is up."""
        left = list(batches)
        pause = self._poll
        while True:
            left = [batch for batch in left if not self._ended(batch, taken, answered)]
            if not left or time.monotonic() >= until:
                break
            self._tell(left)
            time.sleep(min(pause, max(0.0, until - time.monotonic())))
            pause = min(pause * _GROWTH, max(self._poll, _LONGEST_POLL))
        return {
            name: str(batch.remote) for batch in left for name, one in batch.pending.items() if not one.done
        }

    def _tell(self, left: Sequence[OpenBatch]) -> None:
        """Say what is waited for, and how much of it the service has done."""
        first = str(left[0].told(self._model))
        said = first if len(left) == 1 else f"{first} and {len(left) - 1:,} more"
        states = [self._states[batch.mark] for batch in left]
        done, total = sum(state.done for state in states), sum(state.total for state in states)
        self._progress(f"waiting for {said}; {_ADVICE}", done, total)

    def _ended(self, batch: OpenBatch, taken: Taken, answered: set[str]) -> bool:
        remote = batch.remote or ""
        try:
            state = self._generator.state(remote)
        except Declined:
            # Forgotten by the service, or another account's: what was in it is asked for anew.
            self._memory.end_batch(batch.mark)
            return True
        self._states[batch.mark] = state
        if not state.ended:
            return False
        if state.failed:
            self._memory.end_batch(batch.mark)
            raise ProviderError(
                f"{self._model}: batch {remote} was not taken: {state.failed}; sync again, or set [context] "
                "batch = false",
                retryable=True,
            )
        for name, result in self._generator.results(remote):
            one = batch.pending.get(name)
            if one is not None and not one.done:
                taken(batch, name, result)
                answered.add(name)
        self._memory.end_batch(batch.mark)
        return True


def _parts(wave: Sequence[_Prompted]) -> Iterator[list[_Prompted]]:
    """*wave* in as many prompts at a time as go into one batch."""
    part: list[_Prompted] = []
    size = 0
    for one in wave:
        own = len(one.prompt.text.encode())
        if part and (len(part) == _MOST_PROMPTS or size + own > _MOST_BYTES):
            yield part
            part, size = [], 0
        part.append(one)
        size += own
    if part:
        yield part
