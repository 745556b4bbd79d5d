"""A function's answers, kept: what tells its calls apart, and that many who ask at once work once."""

from __future__ import annotations

import asyncio
import functools
import json
import re
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cache_made import QUERY, TOPICS, corpus
from ragweft import Document, Index
from ragweft.errors import InvalidFilter, RagweftError
from ragweft.providers.metering import Charge, charge
from ragweft.recipe import Dense, Recipe

if TYPE_CHECKING:
    from ragweft.answers import Answers
    from ragweft.types import Results

NEAR = "how often is the signing key rotated"


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Index]:
    """An index that no test changes."""
    with Index.open(tmp_path_factory.mktemp("kb") / "kb", recipe=Recipe(dense=Dense(engine="flat"))) as opened:
        opened.add(corpus(15))
        yield opened


@pytest.fixture
def index(kept: Index) -> Iterator[Index]:
    yield kept
    kept.cache().clear()


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Index]:
    with Index.open(tmp_path / "kb", recipe=Recipe(dense=Dense(engine="flat"))) as opened:
        opened.add(corpus(15))
        yield opened


class Work:
    """Counts what is worked on."""

    def __init__(self, index: Index) -> None:
        self._index = index
        self.done: list[object] = []

    def answer(self, question: str, *, tenant: str = "a", style: Any = None) -> tuple[str, Results]:
        self.done.append((question, tenant, style))
        return f"{tenant}: {style}: {len(self.done)}", self._index.search(question, k=3)


def test_a_function_is_asked_once(index: Index) -> None:
    done: list[str] = []

    @index.cache().answers
    def answer(question: str) -> tuple[str, Results]:
        """Answers."""
        done.append(question)
        return f"answer {len(done)}", index.search(question)

    assert [answer(QUERY), answer(f"  {QUERY} "), answer(QUERY)] == ["answer 1"] * 3
    assert answer("how is bread and butter pudding baked") == "answer 2"
    assert done == [QUERY, "how is bread and butter pudding baked"]
    assert (answer.__name__, answer.__doc__) == ("answer", "Answers.")


def test_a_coroutine_is_asked_once(index: Index) -> None:
    done: list[str] = []

    @index.cache().answers(scope={"prompt": 3})
    async def answer(question: str, *, tenant: str) -> tuple[dict[str, str], list[Results]]:
        done.append(tenant)
        return {"text": tenant}, [await index.asearch(question)]

    async def ask() -> list[dict[str, str]]:
        return [await answer(QUERY, tenant=tenant) for tenant in "aab"]

    assert asyncio.run(ask()) == [{"text": tenant} for tenant in "aab"]
    assert done == ["a", "b"]


def test_every_argument_tells_calls_apart(index: Index) -> None:
    work = Work(index)
    answer = index.cache().answers(scope={})(work.answer)
    calls: list[Callable[[], str]] = [
        lambda: answer(QUERY),
        lambda: answer(QUERY, tenant="b"),
        lambda: answer(QUERY, style=1),
        lambda: answer(QUERY, style=True),
        lambda: answer(QUERY, style=1.0),
        lambda: answer(QUERY, style="1"),
        lambda: answer(QUERY, style=[1]),
        lambda: answer(QUERY, style={"a": None}),
        lambda: answer(QUERY, style={"a": []}),
    ]
    first = [call() for call in calls]
    assert len(set(first)) == len(calls)
    assert [call() for call in calls] == first
    assert answer(question=QUERY, tenant="a", style=None) == first[0]
    assert answer(QUERY, style=(1,)) == first[6]
    assert len(work.done) == len(calls)


def test_scope_and_function_tell_answers_apart(index: Index) -> None:
    work = Work(index)

    def other(question: str, *, tenant: str = "a", style: Any = None) -> tuple[str, Results]:
        return work.answer(question, tenant=tenant, style=style)

    several = [
        index.cache().answers(scope={})(work.answer),
        index.cache().answers(scope={"model": "x"})(work.answer),
        index.cache().answers(scope={"model": "y"})(work.answer),
        index.cache(scope={"model": "z"}).answers(scope={})(work.answer),
        index.cache().answers(other),
    ]
    assert len({answer(QUERY) for answer in several}) == len(several)
    # What is given in two ways is the same scope.
    assert index.cache(scope={"model": "x"}).answers(scope={})(work.answer)(QUERY) == several[1](QUERY)
    assert len(work.done) == len(several)


def test_an_argument_is_a_part_of_the_scope_by_its_name(index: Index) -> None:
    work, cache = Work(index), index.cache()
    answer = cache.answers(scope={})(work.answer)
    for tenant in "ab":
        answer(QUERY, tenant=tenant)
    assert cache.clear(scope={"tenant": "a"}) == 1
    assert [answer(QUERY, tenant=tenant)[0] for tenant in "ab"] == ["a", "b"]
    assert len(work.done) == 3


def test_what_an_argument_becomes_later_is_another(index: Index) -> None:
    styles = ["short"]
    work = Work(index)

    def careless(question: str, *, styles: list[str]) -> tuple[str, Results]:
        styles.append("long")
        return work.answer(question)

    answer = index.cache().answers(careless)
    assert answer(QUERY, styles=styles) == "a: None: 1"
    assert answer(QUERY, styles=["short"]) == "a: None: 1"
    assert answer(QUERY, styles=["short", "long"]) == "a: None: 2"


def test_arguments_that_cannot_be_compared_are_refused(index: Index) -> None:
    work = Work(index)
    answer = index.cache().answers(scope={})(work.answer)
    loop: list[object] = []
    loop.append(loop)
    for odd in (object(), float("nan"), {1: "a"}, {0: "a"}, {"a": b"x"}, {None: 1}, [index], loop):
        with pytest.raises(RagweftError, match=r"'style' is not JSON.*functools\.partial"):
            answer(QUERY, style=odd)
    with pytest.raises(TypeError, match="unexpected keyword"):
        answer(QUERY, colour="red")  # type: ignore[call-arg]
    with pytest.raises(RagweftError, match="has to be the question, not Work"):
        index.cache().answers(Work.answer)(work, QUERY)
    assert work.done == []


def test_what_is_held_or_closed_over_is_part_of_the_function(index: Index) -> None:
    done: list[object] = []

    def ask(question: str, model: object, *, style: str = "x", tool: object = print) -> tuple[str, Results]:
        done.append(model)
        return "said", index.search(question)

    for held in (functools.partial(ask, model=object()), lambda_free(ask)):
        answer = index.cache().answers(held)
        assert [answer(QUERY), answer(QUERY)] == ["said"] * 2
    assert len(done) == 2
    with pytest.raises(RagweftError, match="'model' is not JSON"):
        index.cache().answers(functools.partial(ask, model=object()))(QUERY, model=object())
    # What JSON can say of it tells apart.
    said = [index.cache().answers(functools.partial(ask, model=name)) for name in ("x", "y")]
    assert [answer(QUERY) for answer in said] == ["said"] * 2
    assert done[2:] == ["x", "y"]


def lambda_free(ask: Callable[..., tuple[str, Results]]) -> Callable[[str], tuple[str, Results]]:
    model = object()

    def closed(question: str) -> tuple[str, Results]:
        return ask(question, model)

    return closed


def test_any_number_of_arguments(index: Index) -> None:
    done: list[object] = []

    def answer(question: str, *tags: str, **more: int) -> tuple[list[list[str] | dict[str, int]], Results]:
        done.append(tags)
        return [list(tags), more], index.search(question)

    asked = index.cache().answers(answer)
    for _ in range(2):
        assert asked(QUERY, "a", "b", n=1) == [["a", "b"], {"n": 1}]
        assert asked(QUERY, "a", n=1) == [["a"], {"n": 1}]
        assert asked(QUERY, "a", n=2) == [["a"], {"n": 2}]
    assert len(done) == 3


def test_functions_that_cannot_be_kept(index: Index) -> None:
    cache = index.cache(scope={"model": "x"})

    def streams(question: str) -> Iterator[str]:
        yield question

    def clash(question: str, model: str) -> tuple[str, None]:
        return question + model, None

    def own_name(question: str, function: str) -> tuple[str, None]:
        return question + function, None

    def nothing() -> tuple[str, None]:
        return "", None

    def several(*questions: str) -> tuple[str, None]:
        return "".join(questions), None

    refused: list[tuple[Any, str]] = [
        (streams, "in pieces"),
        (clash, "'model'.*one name"),
        (own_name, "'function'.*one name"),
        (nothing, "first parameter for the question"),
        (several, "first parameter for the question"),
        (lambda question: (question, None), "no name"),
    ]
    for function, why in refused:
        with pytest.raises(RagweftError, match=why):
            cache.answers(function)
    with pytest.raises(RagweftError, match="give text, numbers"):
        cache.answers(scope={"when": object()})(clash)  # type: ignore[dict-item]


def test_an_exception_passes_and_nothing_is_kept(index: Index) -> None:
    tries: list[int] = []

    @index.cache().answers
    def answer(question: str) -> tuple[str, Results]:
        tries.append(1)
        if len(tries) == 1:
            raise KeyError("the model is asleep")
        return "awake", index.search(question)

    with pytest.raises(KeyError, match="asleep"):
        answer(QUERY)
    assert [answer(QUERY), answer(QUERY)] == ["awake"] * 2
    assert len(tries) == 2


def test_without_evidence_it_is_asked_again(index: Index) -> None:
    done: list[str] = []

    @index.cache().answers
    def answer(question: str) -> tuple[str, None]:
        done.append(question)
        return "out of thin air", None

    assert [answer(QUERY), answer(QUERY)] == ["out of thin air"] * 2
    assert len(done) == 2


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ("alone", "evidence.*expected, not str"),
        (("a", "b"), "the evidence holds str"),
    ],
)
def test_what_a_function_gives_has_a_form(index: Index, given: Any, why: str) -> None:
    with pytest.raises(RagweftError, match=why):
        index.cache().once(QUERY, lambda: given)


@pytest.mark.parametrize(
    ("made", "why"),
    [
        (object(), "object is none of its kinds"),
        ({1: "a"}, "the key 1 is no text"),
        (float("inf"), "inf is no JSON number"),
    ],
)
def test_an_answer_that_cannot_be_kept_is_given(
    index: Index, made: Any, why: str, caplog: pytest.LogCaptureFixture
) -> None:
    given: Any = index.cache().once(QUERY, lambda: (made, index.search(QUERY)))
    assert given is made
    assert why in caplog.text
    assert index.cache().lookup(QUERY) is None


@pytest.mark.parametrize("forgotten", ["clear", "invalidate"])
def test_what_was_begun_before_a_clear_is_not_kept(index: Index, forgotten: str) -> None:
    cache, found = index.cache(), index.search(QUERY, k=1)
    refused = cache.stats().refused.get("begun before a clear", 0)

    def begun() -> tuple[str, Results]:
        if forgotten == "clear":
            index.cache(scope={"tenant": "b"}).clear()
        else:
            cache.invalidate(ids=[found[0].chunk.document_id])
        return "what was to be forgotten", found

    assert cache.once(QUERY, begun) == "what was to be forgotten"
    assert cache.lookup(QUERY) is None
    assert cache.stats().refused["begun before a clear"] == refused + 1
    assert cache.once(QUERY, lambda: ("anew", found)) == "anew"
    assert cache.once(QUERY, begun) == "anew"


def test_what_is_of_no_use_is_refused_in_a_line(index: Index) -> None:
    cache: Any = index.cache()
    found = index.search(QUERY)
    for call, why in (
        (lambda: cache.lookup(None), "the question has to be text, not NoneType"),
        (lambda: cache.lookup(b"who"), "text, not bytes"),
        (lambda: cache.store(7, "x", evidence=found), "text, not int"),
        (lambda: cache.lookup(QUERY, scope="a"), "give its parts by name"),
        (lambda: cache.lookup(QUERY, scope={1: "a"}), "give its parts by name"),
        (lambda: cache.store(QUERY, "x", evidence="x"), "the evidence holds str"),
        (lambda: cache.store(QUERY, "x", evidence=7), "the evidence holds int"),
        (lambda: cache.store(QUERY, "x", evidence=found[0]), "the evidence holds Hit"),
        (lambda: cache.store(QUERY, "x", evidence=found, cost=5), "cost = 5 is no Cost"),
        (lambda: cache.store(QUERY, "x", evidence=found, seconds=-1), "give more than 0"),
        (lambda: cache.store(QUERY, "x", evidence=found, seconds=float("nan")), "give more than 0"),
        (lambda: index.cache(scope="a"), "give its parts by name"),  # type: ignore[arg-type]
        (lambda: index.cache(check="x"), "give a function of two questions"),  # type: ignore[arg-type]
        (lambda: cache.once(None, lambda: ("x", found)), "text, not NoneType"),
    ):
        with pytest.raises(RagweftError, match=re.escape(why)):
            call()
    assert cache.lookup(QUERY) is None


def test_the_first_gets_what_the_later_ones_get(index: Index) -> None:
    made: Any = {"parts": (1, 2), "of": {"a": ("x",)}}
    once = [index.cache().once(QUERY, lambda: (made, index.search(QUERY))) for _ in range(2)]
    assert once[0] == once[1] == {"parts": [1, 2], "of": {"a": ["x"]}}


def test_what_it_took_is_stored(index: Index) -> None:
    @index.cache().answers
    def answer(question: str) -> tuple[str, Results]:
        charge(Charge(model="m", purpose="answer", tokens=70, usd=0.25))
        time.sleep(0.02)
        return "said", index.search(question)

    before = index.cache().stats().saved
    answer(QUERY)
    answer(QUERY)
    stats = index.cache().stats()
    assert (stats.saved.tokens - before.tokens, stats.saved.usd - before.usd) == (70, 0.25)
    assert 20 <= stats.saved.ms - before.ms < 60_000


def test_every_question_is_counted_once(own: Index) -> None:
    cache = own.cache()
    for question in (QUERY, QUERY, "how is bread and butter pudding baked"):
        cache.once(question, lambda question=question: ("said", own.search(question)))  # type: ignore[misc]
    stats = cache.stats()
    assert (stats.looks.exact, stats.looks.semantic, stats.looks.misses, stats.looks.failed) == (1, 0, 2, 0)


def test_an_edit_has_it_asked_anew(own: Index) -> None:
    work = Work(own)
    answer = own.cache().answers(scope={})(work.answer)
    first = answer(QUERY)
    own.add([Document(id="keys0", text=TOPICS["keys"].replace("ninety", "thirty"))])
    again = answer(QUERY)
    assert again != first
    assert answer(QUERY) == again


def test_it_lasts_as_long_as_it_is_told(index: Index) -> None:
    work = Work(index)
    answer = index.cache().answers(scope={}, seconds=0.05)(work.answer)
    first = answer(QUERY)
    time.sleep(0.06)
    assert answer(QUERY) != first


class Crowd:
    """Several who ask at the same time, behind a gate that opens when all have come."""

    def __init__(self, index: Index, members: int) -> None:
        self.index = index
        self.members = members
        self.calls = 0
        self._came = threading.Semaphore(0)

    def slow(self, question: str, *, seconds: float = 0.3) -> tuple[str, Results]:
        self.calls += 1
        time.sleep(seconds)
        return f"answer {self.calls}", self.index.search(question)

    def ask(self, call: Callable[[], Any]) -> list[Any]:
        with ThreadPoolExecutor(self.members) as threads:
            return [each.result(60) for each in [threads.submit(call) for _ in range(self.members)]]


def test_threads_that_ask_the_same_work_once(index: Index) -> None:
    crowd = Crowd(index, 8)
    answer = index.cache().answers(scope={})(crowd.slow)
    assert crowd.ask(lambda: answer(QUERY)) == ["answer 1"] * 8
    assert crowd.calls == 1


def test_coroutines_of_several_loops_work_once(index: Index) -> None:
    crowd = Crowd(index, 3)
    ticks: list[int] = []

    async def slow(question: str) -> tuple[str, Results]:
        crowd.calls += 1
        await asyncio.sleep(0.3)
        return f"answer {crowd.calls}", await index.asearch(question)

    answer = index.cache().answers(slow)

    async def tick() -> None:
        while True:
            ticks.append(1)
            await asyncio.sleep(0.01)

    async def ask() -> list[str]:
        ticking = asyncio.create_task(tick())
        try:
            return await asyncio.gather(*(answer(QUERY) for _ in range(4)))
        finally:
            ticking.cancel()

    assert crowd.ask(lambda: asyncio.run(ask())) == [["answer 1"] * 4] * 3
    assert crowd.calls == 1
    assert len(ticks) > 10, "no loop stood still"


def test_who_fails_is_followed_by_one(index: Index) -> None:
    lock, running, most, calls = threading.Lock(), [0], [0], [0]

    def failing(question: str) -> tuple[str, Results]:
        with lock:
            calls[0] += 1
            number = calls[0]
            running[0] += 1
            most[0] = max(most[0], running[0])
        time.sleep(0.1)
        with lock:
            running[0] -= 1
        if number < 3:
            raise RuntimeError(f"failed {number}")
        return "at last", index.search(question)

    answer = index.cache().answers(failing)

    def ask() -> str:
        try:
            return answer(QUERY)
        except RuntimeError as error:
            return str(error)

    assert sorted(Crowd(index, 6).ask(ask)) == ["at last"] * 4 + ["failed 1", "failed 2"]
    assert (most[0], calls[0]) == (1, 3)


def test_what_is_not_kept_is_waited_for_once_and_made_by_all(index: Index) -> None:
    together = threading.Barrier(5)
    calls: list[int] = []

    def thin_air(question: str) -> tuple[str, None]:
        calls.append(1)
        if len(calls) > 1:
            together.wait(20)  # those who waited work side by side, not in a row
        else:
            time.sleep(0.3)
        return "thin air", None

    answer = index.cache().answers(thin_air)
    assert Crowd(index, 6).ask(lambda: answer(QUERY)) == ["thin air"] * 6
    assert len(calls) == 6


def test_a_wait_has_a_bound(index: Index) -> None:
    leave, calls = threading.Event(), []

    def stuck(question: str) -> tuple[str, Results]:
        calls.append(question)
        if len(calls) == 1:
            leave.wait(60)
        return f"answer {len(calls)}", index.search(question)

    answer = index.cache().answers(wait=0.1)(stuck)
    with ThreadPoolExecutor(1) as threads:
        first = threads.submit(answer, QUERY)
        while not calls:
            time.sleep(0.005)
        assert answer(QUERY) == "answer 2"
        leave.set()
        assert first.result(60) == "answer 2"


def test_who_works_waits_for_nobody(index: Index) -> None:
    """Each asks, while it works, what the other works on: both would wait for ever."""
    both, cache = threading.Barrier(2), index.cache()

    def ask(question: str, other: str, depth: int) -> tuple[str, Results]:
        if depth == 0:
            both.wait(20)
            cache.once(other, lambda: ask(other, question, 1), scope={"depth": 0})
            cache.once(question, lambda: ask(question, other, 1), scope={"depth": 0})
        return question, index.search(question)

    def begin(question: str, other: str) -> str:
        return cache.once(question, lambda: ask(question, other, 0), scope={"depth": 0})

    with ThreadPoolExecutor(2) as threads:
        one, two = threads.submit(begin, "tides", "trains"), threads.submit(begin, "trains", "tides")
        assert (one.result(30), two.result(30)) == ("tides", "trains")


def test_a_thread_that_blocks_its_loop_waits_for_no_coroutine_of_it(index: Index) -> None:
    cache, calls = index.cache(), []

    async def main() -> list[str]:
        started = asyncio.Event()

        async def slow() -> tuple[str, Results]:
            calls.append("slow")
            started.set()
            await asyncio.sleep(0.05)
            return "slow", await index.asearch(QUERY)

        def quick() -> tuple[str, Results]:
            calls.append("quick")
            return "quick", index.search(QUERY)

        waiting = asyncio.create_task(cache.aonce(QUERY, slow))
        await started.wait()
        return [cache.once(QUERY, quick), await waiting]

    assert asyncio.run(main()) == ["quick", "slow"]
    assert calls == ["slow", "quick"]


def test_a_thread_that_a_loop_stands_still_for_waits_for_no_coroutine_of_it(index: Index) -> None:
    cache = index.cache()

    async def main() -> list[str]:
        started = asyncio.Event()

        async def slow() -> tuple[str, Results]:
            started.set()
            await asyncio.sleep(0.05)
            return "slow", await index.asearch(QUERY)

        waiting = asyncio.create_task(cache.aonce(QUERY, slow))
        await started.wait()
        with ThreadPoolExecutor(1) as threads:
            asked = threads.submit(cache.once, QUERY, lambda: ("quick", index.search(QUERY)), wait=8.0)
            quick = asked.result(4)  # the loop stands still until then
        return [quick, await waiting]

    assert asyncio.run(main()) == ["quick", "slow"]


def test_a_coroutine_that_is_cancelled_leaves_the_way_free(index: Index) -> None:
    cache = index.cache()

    async def main() -> tuple[str, float]:
        started = asyncio.Event()

        async def endless() -> tuple[str, Results]:
            started.set()
            await asyncio.sleep(600)
            raise AssertionError

        async def other() -> tuple[str, Results]:
            return "taken over", await index.asearch(QUERY)

        first = asyncio.create_task(cache.aonce(QUERY, endless))
        await started.wait()
        second = asyncio.create_task(cache.aonce(QUERY, other))
        await asyncio.sleep(0.1)
        first.cancel()
        began = time.monotonic()
        said = await second
        with pytest.raises(asyncio.CancelledError):
            await first
        return said, time.monotonic() - began

    said, took = asyncio.run(main())
    assert said == "taken over"
    assert took < 3.0, "it did not wait for a lease to run out"


_TENANTS = st.sampled_from(["a", "b", "", "a b", '"a"', "tenant"])
_STYLES = st.one_of(st.none(), st.booleans(), st.integers(0, 2), st.sampled_from(["0", "true", "null", "a"]))
_CALLS = st.lists(
    st.tuples(st.sampled_from([QUERY, NEAR, "tides"]), _TENANTS, _STYLES), min_size=4, max_size=16
)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(calls=_CALLS, generation=st.integers(0, 1))
def test_nothing_crosses_a_scope(index: Index, calls: list[tuple[str, str, Any]], generation: int) -> None:
    def whose(question: str, tenant: str, *, style: Any) -> tuple[str, Results]:
        return json.dumps([tenant, style, generation]), index.search(question, k=2)

    answer = index.cache(scope={"generation": generation}).answers(whose)
    with ThreadPoolExecutor(6) as threads:
        said = list(threads.map(lambda call: answer(call[0], call[1], style=call[2]), calls))
    assert said == [json.dumps([tenant, style, generation]) for _, tenant, style in calls]


@pytest.fixture
def answered(own: Index, tmp_path: Path) -> Answers:
    """Answers that rest on a file, on documents of a team, and on one document."""
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "owls.md").write_text("# Owls\n\nAn owl turns its head and hunts at night.\n")
    own.sync(tmp_path / "docs")
    cache = own.cache()
    for question, where in (("owl", None), ("pudding", {"team": 1}), ("tides", {"team": 2})):
        found = own.search(f"what of the {question}", k=1, where=where)
        assert cache.store(f"what of the {question}", question, evidence=found, scope={"tenant": question})
    return cache


def left(cache: Answers) -> set[str]:
    names = ("owl", "pudding", "tides")
    return {name for name in names if cache.lookup(f"what of the {name}", scope={"tenant": name})}


def test_forgotten_by_file_folder_and_uri(answered: Answers, own: Index, tmp_path: Path) -> None:
    path = tmp_path / "docs" / "owls.md"
    found = own.search("what of the owl", k=1)
    for source in (path, tmp_path / "docs", path.as_uri(), str(path)):
        assert answered.invalidate(source=tmp_path / "other") == 0
        assert left(answered) == {"owl", "pudding", "tides"}
        assert answered.invalidate(source=source) == 1
        assert left(answered) == {"pudding", "tides"}
        answered.store("what of the owl", "owl", evidence=found, scope={"tenant": "owl"})


def test_forgotten_by_id_and_filter(answered: Answers, own: Index) -> None:
    document = own.search("what of the pudding", k=1, where={"team": 1})[0].chunk.document_id
    assert answered.invalidate(ids=["unknown"]) == 0
    assert answered.invalidate(ids=["unknown", document]) == 1
    assert left(answered) == {"owl", "tides"}
    assert answered.invalidate(where={"team": {"$gte": 2}}) == 1
    assert left(answered) == {"owl"}
    assert answered.stats().dropped == {"invalidated": 2}


def test_what_is_to_be_forgotten_is_named(index: Index) -> None:
    cache = index.cache()
    with pytest.raises(RagweftError, match="name a source, ids or a where filter"):
        cache.invalidate()
    with pytest.raises(InvalidFilter, match="empty filter"):
        cache.invalidate(where={})
    with pytest.raises(InvalidFilter):
        cache.invalidate(where={"$what": 1})


class Bot:
    """Answers for one tenant."""

    def __init__(self, index: Index, tenant: str) -> None:
        self._index = index
        self._tenant = tenant

    def answer(self, question: str) -> tuple[str, Results]:
        return f"for {self._tenant}", self._index.search(question)


def test_what_an_object_or_a_partial_holds_is_not_mixed_up(index: Index) -> None:
    said = [
        index.cache().answers(scope={"tenant": tenant})(Bot(index, tenant).answer)(QUERY) for tenant in "abab"
    ]
    assert said == ["for a", "for b", "for a", "for b"]
    for own in (Bot(index, "a").answer, functools.partial(Bot(index, "a").answer)):
        with pytest.raises(RagweftError, match=r"Bot\.answer: belongs to an object.*say in scope="):
            index.cache().answers(own)

    def ask(tenant: str, question: str) -> tuple[str, Results]:
        return f"for {tenant}", index.search(question)

    said = [index.cache().answers(functools.partial(ask, tenant))(QUERY) for tenant in "abab"]
    assert said == ["for a", "for b", "for a", "for b"]
    with pytest.raises(RagweftError, match="a partial holds what is not JSON"):
        index.cache().answers(functools.partial(ask, object()))  # type: ignore[arg-type]
