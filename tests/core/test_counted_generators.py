"""Language models that rerank and rephrase cost money too: every call is counted, once, and held by a cap."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conftest import FLAT
from context_made import generator
from provider_double.chat import ChatDouble
from ragweft import Chunk, Citation, Document, Hit, HyDE, Index, MultiQuery, Results, Usage
from ragweft.errors import BudgetExceeded, ProviderError, RecipeError
from ragweft.generation import Prompt, as_generator
from ragweft.generation.counted import Counted
from ragweft.providers.metering import UNANSWERED, Charge, Meter, charge, metered, overheard
from ragweft.reranking.listwise import ListwiseReranker
from ragweft.retrieval.reranked import Reranked
from ragweft.testing import ScriptedGenerator

if TYPE_CHECKING:
    from ragweft.types import Spent

HITS = [
    Hit(
        chunk=Chunk(id=str(place), document_id=str(place), text=text),
        score=0.0,
        origins={},
        citation=Citation(source="d", uri="d"),
    )
    for place, text in enumerate(["tides", "rotate a key", "pudding"])
]
ORDER = "[2] > [3] > [1]"
PRICES = (2.0, 10.0)
TEXTS = {
    "keys": "Rotate a signing key with vault rotate.",
    "rollover": "Credential rollover is planned for the first Monday.",
    "trains": "The night train to Vienna leaves from platform nine.",
}
QUERY = "rotate a key"
REPLY = "credential rollover"


def tokens_of(text: str) -> int:
    """As a function's tokens are estimated: a token for four bytes."""
    return round(len(text.encode()) / 4)


class Model:
    """A text generator that keeps what it is asked."""

    def __init__(self, reply: str | Exception = ORDER) -> None:
        self.asked: list[str] = []
        self._reply = reply

    def __call__(self, prompt: str, /) -> str:
        self.asked.append(prompt)
        if isinstance(self._reply, Exception):
            raise self._reply
        return self._reply


def awaited(model: Model) -> Callable[[str], Awaitable[str]]:
    async def ask(prompt: str) -> str:
        await asyncio.sleep(0)
        return model(prompt)

    return ask


def rerank(model: Model, later: bool, *, hits: list[Hit] = HITS, **settings: Any) -> list[float]:
    given_: Any = awaited(model) if later else model
    reranker = ListwiseReranker(given_, name="gpt", **settings)
    if not later:
        return reranker.rerank(QUERY, hits)
    native = reranker.arerank
    assert native is not None

    async def ask() -> list[float]:
        return await native(QUERY, hits)

    return asyncio.run(ask())


# ------------------------------------------------------------------------------------------------ one call


@pytest.mark.parametrize("later", [False, True])
def test_an_order_is_charged_by_what_was_read_and_written(later: bool) -> None:
    model = Model()
    with metered(Meter()) as meter:
        assert rerank(model, later, usd_per_million=PRICES) == [1.0, 3.0, 2.0]
    (charged,) = meter.charges
    assert (charged.model, charged.purpose) == ("gpt", "rerank")
    read, written = tokens_of(model.asked[0]), tokens_of(ORDER)
    assert charged.tokens == read + written
    assert charged.usd == pytest.approx((read * 2.0 + written * 10.0) / 1e6)


@pytest.mark.parametrize("later", [False, True])
def test_without_a_price_it_is_counted_and_no_cap_holds(later: bool) -> None:
    model = Model()
    with metered(Meter()) as meter:
        rerank(model, later)
    assert (meter.usage.calls, meter.usage.unpriced, meter.usage.usd) == (1, 1, 0.0)
    assert meter.usage.tokens > 0
    advice = r"gpt: its price is not known.*give usd_per_million=\(READ, WRITTEN\) to ListwiseReranker"
    with metered(Meter(max_usd=5.0)) as meter, pytest.raises(BudgetExceeded, match=advice):
        rerank(model, later)
    assert len(model.asked) == 1, "nothing was asked"
    assert meter.usage.calls == 0


@pytest.mark.parametrize("later", [False, True])
def test_what_is_free_fits_under_any_cap(later: bool) -> None:
    with metered(Meter(max_usd=0.0)) as meter:
        rerank(Model(), later, usd_per_million=(0, 0))
    assert (meter.usage.calls, meter.usage.unpriced, meter.usage.usd) == (1, 0, 0.0)
    with metered(Meter(max_usd=0.0)) as meter, pytest.raises(ProviderError):
        rerank(Model(RuntimeError("down")), later, usd_per_million=(0, 0))
    assert meter.usage.calls == 0, "nobody bills it"


@pytest.mark.parametrize("later", [False, True])
def test_a_cap_is_held_from_call_to_call(later: bool) -> None:
    """Room for the first window and what a bound asks for, not for a third."""
    hits = HITS * 2
    model = Model()
    with metered(Meter()) as meter:
        rerank(model, later, hits=hits, window=2, step=1, usd_per_million=(1e6, 0.0))
    assert len(model.asked) == 5
    spent = [charged.usd or 0.0 for charged in meter.charges]
    room = sum(spent[:1]) + 4.5 * max(spent)  # a token is held for every byte
    held = Model()
    with metered(Meter(max_usd=room)) as meter, pytest.raises(BudgetExceeded):
        rerank(held, later, hits=hits, window=2, step=1, usd_per_million=(1e6, 0.0))
    assert 1 <= len(held.asked) < 5
    assert meter.usage.calls == len(held.asked)
    assert meter.usage.usd <= room


@pytest.mark.parametrize("later", [False, True])
def test_a_call_that_raised_is_no_answered_one(later: bool) -> None:
    class Refused(Exception):
        status_code = 401

    with metered(Meter()) as meter, pytest.raises(ProviderError):
        rerank(Model(RuntimeError("connection lost")), later, usd_per_million=PRICES)
    (lost,) = meter.charges
    assert lost.purpose == f"rerank{UNANSWERED}"
    assert (meter.usage.unanswered, meter.usage.unpriced) == (1, 0)
    assert lost.tokens > 1_000, "an estimate from above, as if it had answered at length"
    with metered(Meter()) as meter, pytest.raises(ProviderError):
        rerank(Model(Refused()), later, usd_per_million=PRICES)
    assert meter.usage.calls == 0, "it was refused"


def test_a_call_that_is_cut_off_may_be_billed() -> None:
    begun = asyncio.Event()

    async def slow(prompt: str) -> str:
        begun.set()
        return await asyncio.sleep(20, ORDER)

    async def main() -> Usage:
        native = ListwiseReranker(slow, usd_per_million=PRICES).arerank
        assert native is not None

        async def ask() -> None:
            await native(QUERY, HITS)

        with metered(Meter()) as meter:
            task = asyncio.create_task(ask())
            await begun.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        return meter.usage

    assert asyncio.run(main()).unanswered == 1


def test_a_reply_that_is_no_order_costs_like_a_right_one() -> None:
    with metered(Meter()) as meter, pytest.raises(ProviderError, match="no number"):
        rerank(Model("sorry"), False, usd_per_million=PRICES)
    assert [charged.purpose for charged in meter.charges] == ["rerank"]
    with metered(Meter()) as meter, pytest.raises(ProviderError, match="instead of text"):
        rerank(Model(7), False, usd_per_million=PRICES)  # type: ignore[arg-type]
    assert meter.usage.calls == 1


@pytest.mark.parametrize(
    "prices", [(-1.0, 0.0), (0.0, float("nan")), (float("inf"), 1.0), (1.0,), (1.0, 2.0, 3.0)]
)
def test_prices_that_are_none_are_refused(prices: Any) -> None:
    with pytest.raises(RecipeError, match="give two prices"):
        ListwiseReranker(Model(), usd_per_million=prices)


@given(
    prompt=st.text(max_size=200), reply=st.text(max_size=200), read=st.floats(0, 50), written=st.floats(0, 50)
)
def test_no_bill_is_above_what_a_cap_was_held_for(prompt: str, reply: str, read: float, written: float) -> None:
    held: list[float | None] = []

    class Watching(Meter):
        def reserved(self, usd: float | None, model: str, **options: Any) -> Any:
            held.append(usd)
            return super().reserved(usd, model, **options)

    with metered(Watching()) as meter:
        Counted(lambda _: reply, purpose="expand", taker="x", usd_per_million=(read, written)).ask(prompt)
    (bound,) = held
    assert bound is not None
    assert meter.usage.usd <= bound


# ------------------------------------------------------------------------------------------------ generators


def test_a_generator_counts_by_itself_and_once() -> None:
    model = Model()
    known = as_generator(model, model="anthropic:claude-haiku-5-5")
    reranker = ListwiseReranker(known, name="gpt")
    assert reranker.arerank is None, "it is asked in a thread"
    with metered(Meter()) as meter:
        assert reranker.rerank(QUERY, HITS) == [1.0, 3.0, 2.0]
        known.generate(Prompt(prefix="", rest="another"), max_tokens=9)
    first, second = meter.charges
    assert (first.model, first.purpose) == ("anthropic:claude-haiku-5-5", "rerank")
    assert first.usd == pytest.approx((first.tokens - 5) * 1e-7 + 5 * 5e-7, rel=0.05)
    assert second.purpose == "context"
    with pytest.raises(RecipeError, match="anthropic:claude-haiku-5-5 knows its price"):
        ListwiseReranker(known, usd_per_million=PRICES)
    failing = as_generator(Model(RuntimeError("down")), model="anthropic:claude-haiku-5-5")
    with metered(Meter()) as meter, pytest.raises(ProviderError, match="down"):
        ListwiseReranker(failing).rerank(QUERY, HITS)
    assert [charged.purpose for charged in meter.charges] == [f"rerank{UNANSWERED}"]


@pytest.mark.parametrize("model", ["anthropic:claude-haiku-5-5", "openai:gpt-6-luna"])
def test_a_service_is_charged_what_it_bills(model: str) -> None:
    with ChatDouble(reply=lambda prompt: ORDER) as double:
        asked = generator(double, model)
        with metered(Meter()) as meter:
            assert ListwiseReranker(asked).rerank(QUERY, HITS) == [1.0, 3.0, 2.0]
        asked.close()
        assert meter.usage.usd == pytest.approx(double.usd, rel=1e-9)
    assert {(charged.model, charged.purpose) for charged in meter.charges} == {(model, "rerank")}
    assert meter.usage.calls == 1


# ------------------------------------------------------------------------------------------------ around an index


@pytest.fixture
def kb(tmp_path: Path) -> Iterator[Index]:
    with Index.open(tmp_path / "kb", recipe=FLAT) as index:
        index.add([Document(id=name, text=text) for name, text in TEXTS.items()])
        yield index


def both(retriever: Any, later: bool) -> Results:
    found = asyncio.run(retriever.aretrieve(QUERY, k=3)) if later else retriever.retrieve(QUERY, k=3)
    assert isinstance(found, Results)
    return found


def expanding(
    kind: type[MultiQuery | HyDE], around: Any, model: Model, later: bool, **settings: Any
) -> Results:
    given_: Any = awaited(model) if later else model
    return both(kind(around, given_, **settings), later)


def lines(index: Index) -> dict[str, Spent]:
    return {spent.purpose: spent for spent in index.status().spent_on}


@pytest.mark.parametrize("later", [False, True])
@pytest.mark.parametrize("kind", [MultiQuery, HyDE])
def test_rephrasing_is_billed_with_the_answer_and_kept_in_the_ledger(
    kb: Index, kind: type[MultiQuery | HyDE], later: bool
) -> None:
    model = Model(REPLY)
    results = expanding(kind, kb, model, later, usd_per_million=PRICES)
    read, written = tokens_of(model.asked[0]), tokens_of(REPLY)
    usd = (read * 2.0 + written * 10.0) / 1e6
    assert results.usage.usd == pytest.approx(usd)
    assert (results.usage.calls, results.usage.tokens) == (1, read + written)
    spent = lines(kb)["expand"]
    assert spent.usage.usd == pytest.approx(usd)
    assert (spent.usage.calls, spent.usage.tokens) == (1, read + written)
    assert ("ask" if later else "Model") in spent.model
    assert kb.status().spent.calls == 1


def test_a_reply_of_no_use_is_paid_for_all_the_same(kb: Index) -> None:
    results = expanding(MultiQuery, kb, Model(" "), False)
    assert "nothing to search with" in results.trace.degraded[0]
    assert (results.usage.calls, results.usage.unpriced) == (1, 1)
    assert lines(kb)["expand"].usage.calls == 1


def test_a_generator_that_failed_is_in_the_bill_as_unanswered(kb: Index) -> None:
    results = expanding(HyDE, kb, Model(RuntimeError("down")), False, usd_per_million=PRICES)
    assert results.usage.unanswered == 1
    assert lines(kb)[f"expand{UNANSWERED}"].usage.calls == 1


def test_one_that_answers_when_nobody_waits_any_more_is_written_down(kb: Index) -> None:
    release, done = threading.Event(), threading.Event()

    def slow(prompt: str) -> str:
        release.wait(20)
        return REPLY

    results = MultiQuery(kb, slow, deadline=0.05, usd_per_million=PRICES).retrieve(QUERY)
    assert results.usage.calls == 0
    assert "expand" not in lines(kb)
    release.set()
    until = time.monotonic() + 20
    while "expand" not in lines(kb) and time.monotonic() < until:
        done.wait(0.02)
    assert lines(kb)["expand"].usage.calls == 1


@pytest.mark.parametrize("later", [False, True])
def test_a_cap_of_the_program_holds_a_rephrasing(kb: Index, later: bool) -> None:
    plain = kb.retrieve(QUERY, k=3)
    for prices, said in ((None, "its price is not known"), ((1e6, 1e6), "the next call may cost")):
        model = Model(REPLY)
        with metered(Meter(max_usd=1.0)) as meter:
            results = expanding(MultiQuery, kb, model, later, usd_per_million=prices)
        assert model.asked == []
        assert results.hits == plain.hits
        assert said in results.trace.degraded[0]
        assert (meter.usage.calls, results.usage.calls) == (0, 0)
    model = Model(REPLY)
    with metered(Meter(max_usd=1.0)) as meter:
        results = expanding(MultiQuery, kb, model, later, usd_per_million=PRICES)
    assert meter.usage == results.usage
    assert meter.usage.calls == 1
    assert lines(kb)["expand"].usage.calls == 1


@pytest.mark.parametrize("later", [False, True])
def test_nothing_is_counted_twice_where_one_is_around_another(kb: Index, later: bool) -> None:
    words, order = Model(REPLY), Model("[1]")
    given_: Any = awaited(words) if later else words
    ranks: Any = awaited(order) if later else order
    with ThreadPoolExecutor() as threads:
        inner = MultiQuery(kb, given_, usd_per_million=PRICES)
        outer = Reranked(inner, ListwiseReranker(ranks, usd_per_million=PRICES), threads=threads)
        results = both(outer, later)
    assert results.trace.degraded == ()
    assert results.usage.calls == 2
    found = lines(kb)
    assert {purpose: spent.usage.calls for purpose, spent in found.items()} == {"expand": 1, "rerank": 1}
    assert results.usage.usd == pytest.approx(sum(spent.usage.usd for spent in found.values()))


@pytest.mark.parametrize("later", [False, True])
def test_a_reranker_of_the_index_is_in_its_bill(tmp_path: Path, later: bool) -> None:
    order = Model("[1]")
    ranks: Any = awaited(order) if later else order
    with Index.open(
        tmp_path / "kb", recipe=FLAT, reranker=ListwiseReranker(ranks, usd_per_million=PRICES)
    ) as index:
        index.add([Document(id=name, text=text) for name, text in TEXTS.items()])
        results = asyncio.run(index.asearch(QUERY)) if later else index.search(QUERY)
        spent = lines(index)["rerank"]
    assert results.usage.calls == spent.usage.calls == 1
    assert results.usage.usd == pytest.approx(spent.usage.usd)
    assert spent.usage.usd > 0


def test_two_indexes_share_no_bill(tmp_path: Path, kb: Index) -> None:
    with Index.open(tmp_path / "other", recipe=FLAT) as other:
        other.add([Document(id="a", text="Nobody counted the falcons.")])
        results = HyDE(kb, Model(REPLY), passages=other, usd_per_million=PRICES).retrieve(QUERY)
        assert results.usage.calls == 1
        assert "expand" in lines(kb)
        assert lines(other) == {}


# ------------------------------------------------------------------------------------------------ overhearing


def test_what_is_overheard_is_not_taken_from_whoever_collects() -> None:
    one = Charge(model="m", purpose="expand", tokens=3, usd=0.5)
    written: list[Charge] = []
    with metered(Meter(record=written.append)) as outer:
        with overheard() as meter:
            charge(one)
            with metered(Meter()) as inner:
                charge(one)
            with overheard() as nearer:
                charge(one)
        charge(one)
    assert [m.usage.calls for m in (outer, meter, inner, nearer)] == [3, 1, 1, 1]
    assert written == [one] * 3
    charge(one)
    assert outer.usage.calls == 3


def test_what_is_overheard_waits_for_the_first_who_writes_down() -> None:
    first: list[str] = []
    second: list[str] = []

    def said(text: str) -> None:
        charge(Charge(model=text, purpose="expand", tokens=1, usd=0.0))

    with overheard() as meter:
        said("before")
        with metered(Meter()):
            said("to nobody who writes")
        with metered(Meter(record=lambda each: first.append(each.model))):
            said("inside")
        with metered(Meter(record=lambda each: second.append(each.model))):
            pass
        with overheard():
            said("beside")
        said("after")
    assert first == ["before", "inside", "beside", "after"]
    assert second == []
    assert [each.model for each in meter.charges] == ["before", "after"]


def test_scripted_generators_are_counted_as_functions_are() -> None:
    both_ways = ScriptedGenerator(default=ORDER)
    reranker = ListwiseReranker(both_ways)
    with metered(Meter()) as meter:
        reranker.rerank(QUERY, HITS)
        assert reranker.arerank is not None
        native = reranker.arerank

        async def ask() -> list[float]:
            return await native(QUERY, HITS)

        asyncio.run(ask())
    assert [(each.model, each.purpose) for each in meter.charges] == [("listwise", "rerank")] * 2
    assert (len(both_ways.calls), len(both_ways.acalls)) == (1, 1)
