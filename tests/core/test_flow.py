from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from ragweft.flow import Failed, Flow, Step, arun, one, run


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(4) as pool:
        yield pool


def meeting() -> Flow[tuple[str, str]]:
    """Ends only if both steps are under way at the same time."""
    barrier = threading.Barrier(2, timeout=5)
    first, second = yield (
        Step(call=lambda: f"a{barrier.wait() * 0}"),
        Step(call=lambda: f"b{barrier.wait() * 0}"),
    )
    return first, second


def test_steps_of_a_batch_run_side_by_side_both_ways(threads: ThreadPoolExecutor) -> None:
    assert run(meeting(), threads) == ("a0", "b0")
    assert asyncio.run(arun(meeting(), threads)) == ("a0", "b0")


def test_native_coroutines_are_preferred(threads: ThreadPoolExecutor) -> None:
    async def native() -> str:
        return "native"

    step = Step(call=lambda: "thread", acall=native)
    assert run(one(step), threads) == "thread"
    assert asyncio.run(arun(one(step), threads)) == "native"


def boom() -> str:
    raise KeyError("boom")


def test_errors_reach_the_flow_and_the_caller(threads: ThreadPoolExecutor) -> None:
    seen: list[str] = []

    def flow() -> Flow[str]:
        try:
            return (yield from one(Step(call=boom)))
        except KeyError:
            seen.append("flow")
            raise

    with pytest.raises(KeyError):
        run(flow(), threads)
    with pytest.raises(KeyError):
        asyncio.run(arun(flow(), threads))
    assert seen == ["flow", "flow"]


def test_an_error_ends_what_runs_beside_it(threads: ThreadPoolExecutor) -> None:
    ended: list[str] = []

    async def generating() -> str:
        try:
            await asyncio.sleep(60)
        finally:
            ended.append("generating")
        return "never"

    async def failing() -> str:
        await asyncio.sleep(0)
        raise ValueError("the question's own search")

    def flow() -> Flow[None]:
        yield Step(call=str, acall=generating), Step(call=str, acall=failing)

    async def main() -> None:
        with pytest.raises(ValueError, match="own search"):
            await arun(flow(), threads)
        assert ended == ["generating"]

    asyncio.run(main())


def test_a_tolerant_step_fails_alone(threads: ThreadPoolExecutor) -> None:
    def flow() -> Flow[tuple[object, object]]:
        first, second = yield Step(call=boom, tolerant=True), Step(call=lambda: "fine")
        return first, second

    for first, second in (run(flow(), threads), asyncio.run(arun(flow(), threads))):
        assert isinstance(first, Failed)
        assert isinstance(first.error, KeyError)
        assert second == "fine"


def test_a_step_that_overruns_is_left_behind(threads: ThreadPoolExecutor) -> None:
    release = threading.Event()

    def flow() -> Flow[tuple[object, object]]:
        slow, fast = yield (
            Step(call=lambda: release.wait(20), tolerant=True, seconds=0.05),
            Step(call=lambda: "fast"),
        )
        return slow, fast

    try:
        for slow, fast in (run(flow(), threads), asyncio.run(arun(flow(), threads))):
            assert isinstance(slow, Failed)
            assert "0.05 s" in str(slow.error)
            assert fast == "fast"
    finally:
        release.set()


def test_cancellation_closes_the_flow(threads: ThreadPoolExecutor) -> None:
    seen: list[str] = []

    def flow() -> Flow[str]:
        try:
            return (yield from one(Step(call=lambda: "", acall=lambda: asyncio.sleep(5, ""))))
        finally:
            seen.append("closed")

    async def main() -> None:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(arun(flow(), threads), 0.05)

    asyncio.run(main())
    assert seen == ["closed"]


def test_a_sync_run_works_inside_a_running_loop(threads: ThreadPoolExecutor) -> None:
    async def main() -> str:
        return run(one(Step(call=lambda: "ok")), threads)

    assert asyncio.run(main()) == "ok"


def test_quick_steps_share_one_thread_beside_the_slow_ones(threads: ThreadPoolExecutor) -> None:
    def flow() -> Flow[tuple[object, ...]]:
        barrier = threading.Barrier(2, timeout=5)
        names: list[str] = []

        def quick() -> int:
            names.append(threading.current_thread().name)
            return len(names)

        def meets() -> int:
            return barrier.wait() * 0

        results = yield (
            Step(call=quick, quick=True),
            Step(call=meets, seconds=5),
            Step(call=lambda: quick() + meets(), quick=True),
            Step(call=boom, quick=True, tolerant=True),
        )
        assert len(set(names)) == 1
        return tuple(results)

    for first, met, second, failed in (run(flow(), threads), asyncio.run(arun(flow(), threads))):
        assert (first, met, second) == (1, 0, 2)
        assert isinstance(failed, Failed)
