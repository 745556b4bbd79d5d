"""Asks for contexts one call at a time: the first chunk of a document alone, then the others side by side.

The first call has the service keep the document; calls beside it would all pay for keeping it again.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Literal

from ragweft.errors import BudgetExceeded, ProviderError
from ragweft.generation.values import Declined
from ragweft.providers.policy import TooLong
from ragweft.providers.side_by_side import side_by_side

if TYPE_CHECKING:
    from ragweft.context.planning import Ask, Group
    from ragweft.generation.values import Generator, Prompt, Reply

__all__ = ["Asker", "Unanswered"]

_ROUND = 64
"""Calls of the documents that are begun together: few enough that what was kept for the first of them is still
there when its turn comes, for it is kept for minutes."""
_FIRSTS = 3
"""Chunks of a document that are tried one after the other until one is answered."""
_MOST_DECLINED = 5
_MOST_FAILED = 3
_PAUSE = 300.0
"""Seconds for which a service that failed so often in a row, with all its retries, is left alone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Unanswered:
    """Why a chunk has no answer."""

    reason: str
    kind: Literal["declined", "too long", "failed"]


class Asker:
    """Asks one generator; what is wrong with one chunk is told apart from what is wrong with all of them."""

    def __init__(self, generator: Generator, *, answer: int) -> None:
        """*answer*: tokens an answer may have."""
        self._generator = generator
        self._answer = answer
        self._lock = threading.Lock()
        self._answered = False
        self._declined = 0
        self._failed = 0
        self._not_before = 0.0
        self._last = ""

    def ask(self, groups: Sequence[Group]) -> Iterator[tuple[Group, Ask, Prompt, Reply | Unanswered]]:
        """Each chunk of *groups* and its answer, as they come.

        When a call fails for good or Ctrl-C is pressed, what is under way is still yielded before the error is
        raised, for it was paid for.

        Raises:
            ProviderError: no call of this kind will do, as with a wrong key or model.
            BudgetExceeded: going on might cost more than whoever collects allows.
        """
        for some in _rounds(groups):
            yield from self._round(some)

    def _round(self, groups: Sequence[Group]) -> Iterator[tuple[Group, Ask, Prompt, Reply | Unanswered]]:
        left = {number: list(group.asks) for number, group in enumerate(groups)}
        cold = {number for number, group in enumerate(groups) if group.keep}
        for _ in range(_FIRSTS):
            firsts = [(number, left[number].pop(0)) for number in sorted(cold) if left[number]]
            for number, ask, prompt, outcome in self._side_by_side(groups, firsts):
                yield groups[number], ask, prompt, outcome
                if not isinstance(outcome, Unanswered):
                    cold.discard(number)
                elif outcome.kind == "too long":
                    # The same beginning is too long for the others as well.
                    yield from ((groups[number], other, prompt, outcome) for other in left[number])
                    left[number] = []
        rest = [(number, ask) for number, asks in left.items() for ask in asks]
        for number, ask, prompt, outcome in self._side_by_side(groups, rest):
            yield groups[number], ask, prompt, outcome

    def _side_by_side(
        self, groups: Sequence[Group], asks: Sequence[tuple[int, Ask]]
    ) -> Iterator[tuple[int, Ask, Prompt, Reply | Unanswered]]:
        asked = self._generator.model.keeps == "asked"
        prompts = [groups[number].prompt(ask, asked=asked) for number, ask in asks]
        sends = [partial(self._send, prompt) for prompt in prompts]
        left = dict.fromkeys(range(len(asks)))
        try:
            for place, outcome in side_by_side(sends, at_once=self._generator.at_once):
                del left[place]
                yield *asks[place], prompts[place], outcome
        except BudgetExceeded:
            # Bounds of calls side by side may be beyond a cap that leaves room for some of them.
            for place in left:
                yield *asks[place], prompts[place], self._send(prompts[place], threading.Event())

    def _send(self, prompt: Prompt, stop: threading.Event) -> Reply | Unanswered:
        with self._lock:
            if time.monotonic() < self._not_before:
                return Unanswered(reason=self._last, kind="failed")
        try:
            reply = self._generator.generate(prompt, max_tokens=self._answer, stop=stop)
        except TooLong as error:
            return Unanswered(reason=str(error), kind="too long")
        except Declined as error:
            return self._was_declined(error)
        except ProviderError as error:
            if not error.retryable:
                raise
            return self._has_failed(error)
        with self._lock:
            self._answered, self._declined, self._failed = True, 0, 0
        return reply

    def _was_declined(self, error: Declined) -> Unanswered:
        with self._lock:
            self._declined += 1
            hopeless = not self._answered and self._declined >= _MOST_DECLINED
        if hopeless:
            raise error.refused from error.__cause__
        return Unanswered(reason=str(error), kind="declined")

    def _has_failed(self, error: ProviderError) -> Unanswered:
        with self._lock:
            self._failed += 1
            self._last = str(error)
            if self._failed >= _MOST_FAILED:
                self._failed = 0
                self._not_before = time.monotonic() + _PAUSE
        return Unanswered(reason=str(error), kind="failed")


def _rounds(groups: Sequence[Group]) -> Iterator[Sequence[Group]]:
    some: list[Group] = []
    calls = 0
    for group in groups:
        if some and calls + len(group.asks) > _ROUND:
            yield some
            some, calls = [], 0
        some.append(group)
        calls += len(group.asks)
    if some:
        yield some
