"""Write a pipeline once; drive it from sync or async code.

A *flow* is a generator that yields batches of independent steps and is sent back their results. It never waits
by itself, so one text of a pipeline serves `run` and `arun` alike. The idea is httpx's
auth flow.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextvars
from collections.abc import Awaitable, Callable, Generator, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from typing import Any, Generic, TypeAlias, TypeVar, cast

__all__ = ["Failed", "Flow", "Step", "arun", "one", "run"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Failed:
    """What a tolerant step left behind instead of a result."""

    error: Exception


@dataclass(frozen=True, slots=True, kw_only=True)
class Step(Generic[T]):
    """One call out of the pipeline: a blocking form and, where native, an async one."""

    call: Callable[[], T]
    acall: Callable[[], Awaitable[T]] | None = None
    tolerant: bool = False
    """True: an error or an overrun becomes a `Failed` result instead of ending the flow."""
    quick: bool = False
    """True: computes for a moment and waits for nobody. Quick steps of a batch run one after the other in one
    thread: handing one over costs as much as running it, and both need the interpreter anyway."""
    seconds: float | None = None
    """Deadline. A blocking call that overruns is no longer waited for, but cannot be stopped."""


Flow: TypeAlias = Generator[Sequence[Step[Any]], Sequence[Any], T]


def one(step: Step[T]) -> Flow[T]:
    """Wait for a single step."""
    (value,) = yield (step,)
    return cast(T, value)


def run(flow: Flow[T], threads: concurrent.futures.Executor | None) -> T:
    """Drive *flow* in the calling thread; steps of a batch that may wait run beside it in *threads*.

    None will do for a flow of single steps without deadlines, which need no thread of their own.
    """
    with closing(flow):
        advance = partial(next, flow)
        while True:
            try:
                steps = advance()
            except StopIteration as stop:
                return cast(T, stop.value)
            try:
                results = _call_all(steps, threads)
            except Exception as error:  # noqa: BLE001  # handed to the flow, which raises it again
                advance = partial(flow.throw, error)
            else:
                advance = partial(flow.send, results)


async def arun(flow: Flow[T], threads: concurrent.futures.Executor | None) -> T:
    """Drive *flow* on the running loop; steps without a native coroutine go to *threads* (None: the loop's)."""
    with closing(flow):
        advance = partial(next, flow)
        while True:
            try:
                steps = advance()
            except StopIteration as stop:
                return cast(T, stop.value)
            try:
                results = await _await_all(steps, threads)
            except Exception as error:  # noqa: BLE001  # handed to the flow, which raises it again
                advance = partial(flow.throw, error)
            else:
                advance = partial(flow.send, results)


def _call_all(steps: Sequence[Step[Any]], threads: concurrent.futures.Executor | None) -> Sequence[Any]:
    # A step with a deadline needs a thread of its own to be left behind in. One of the others does not.
    slow = [i for i, step in enumerate(steps) if not step.quick]
    own = next((i for i in reversed(slow) if steps[i].seconds is None), None)
    beside = [i for i in slow if i != own]
    assert threads is not None or not beside, "a batch of steps that wait needs threads"
    waiting = {
        i: threads.submit(contextvars.copy_context().run, steps[i].call) for i in beside if threads is not None
    }
    results: list[Any] = [None] * len(steps)
    for i, step in enumerate(steps):
        if step.quick or i == own:
            results[i] = _tolerate(step, step.call)
    for i, future in waiting.items():
        results[i] = _tolerate(steps[i], partial(future.result, steps[i].seconds))
    return results


async def _await_all(steps: Sequence[Step[Any]], threads: concurrent.futures.Executor | None) -> Sequence[Any]:
    quick = [i for i, step in enumerate(steps) if step.quick]
    slow = [i for i, step in enumerate(steps) if not step.quick]
    waiting = [_await(steps[i], threads) for i in slow]
    results: list[Any] = [None] * len(steps)
    if quick:
        # One hop for all of them.
        waiting.append(_await(Step(call=partial(_tolerate_all, [steps[i] for i in quick])), threads))
    tasks = [asyncio.ensure_future(each) for each in waiting]
    try:
        answers = await asyncio.gather(*tasks)
    except BaseException:
        # Nobody waits for the others any more, be it that they cost money or hold a connection.
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        raise
    if quick:
        *answers, together = answers
        for i, answer in zip(quick, cast("list[Any]", together), strict=True):
            results[i] = answer
    for i, answer in zip(slow, answers, strict=True):
        results[i] = answer
    return results


def _tolerate_all(steps: Sequence[Step[Any]]) -> list[Any]:
    return [_tolerate(step, step.call) for step in steps]


def _tolerate(step: Step[T], call: Callable[[], T]) -> T | Failed:
    try:
        return call()
    except Exception as error:
        if not step.tolerant:
            raise
        return Failed(_overrun(step, error))


async def _await(step: Step[T], threads: concurrent.futures.Executor | None) -> T | Failed:
    try:
        async with asyncio.timeout(step.seconds):
            if step.acall is not None:
                return await step.acall()
            context = contextvars.copy_context()
            return await asyncio.get_running_loop().run_in_executor(threads, context.run, step.call)
    except Exception as error:
        if not step.tolerant:
            raise
        return Failed(_overrun(step, error))


def _overrun(step: Step[Any], error: Exception) -> Exception:
    if isinstance(error, TimeoutError) and step.seconds is not None and not str(error):
        return TimeoutError(f"no answer within {step.seconds:g} s")
    return error
