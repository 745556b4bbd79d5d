"""Questions that follow from answers, written once as a generator, for blocking and for awaited calls."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Generator
from contextlib import closing
from typing import TypeVar

__all__ = ["answered", "answered_async"]

Question = TypeVar("Question")
Answer = TypeVar("Answer")
Found = TypeVar("Found")


def answered(asking: Generator[Question, Answer, Found], ask: Callable[[Question], Answer]) -> Found:
    """What *asking* returns when *ask* answers what it yields; it is raised there what *ask* raises."""
    # An interrupt is not for the generator to judge: it is closed.
    with closing(asking):
        try:
            question = next(asking)
            while True:
                try:
                    answer = ask(question)
                except Exception as error:  # noqa: BLE001  # for the generator to judge
                    question = asking.throw(error)
                else:
                    question = asking.send(answer)
        except StopIteration as end:
            found: Found = end.value
            return found


async def answered_async(
    asking: Generator[Question, Answer, Found], ask: Callable[[Question], Awaitable[Answer]]
) -> Found:
    """As `answered`, for an *ask* that is awaited."""
    with closing(asking):
        try:
            question = next(asking)
            while True:
                try:
                    answer = await ask(question)
                except Exception as error:  # noqa: BLE001  # for the generator to judge
                    question = asking.throw(error)
                else:
                    question = asking.send(answer)
        except StopIteration as end:
            found: Found = end.value
            return found
