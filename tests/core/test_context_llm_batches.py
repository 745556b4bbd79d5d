"""Contexts by the batch: two batches, half the price, and nothing lost whenever the process ends."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from context_made import contextualizer, cut, document, generator, outline, paragraph
from provider_double.chat import ChatDouble
from ragweft.errors import BudgetExceeded, ProviderError
from ragweft.ingestion.pipeline import Loaded
from ragweft.ingestion.placing import Placing
from ragweft.ledger.context_store import ContextStore
from ragweft.providers.metering import Meter, metered
from ragweft.providers.policy import Policy

if TYPE_CHECKING:
    from ragweft.generation.values import BatchState
    from ragweft.types import Chunk, Document

MODELS = ["anthropic:claude-haiku-5-5", "openai:gpt-6-luna"]


class Stopped(BaseException):
    """The process ends here."""


@pytest.fixture
def double() -> Iterator[ChatDouble]:
    with ChatDouble(polls=2) as opened:
        yield opened


@pytest.fixture
def memory(tmp_path: Path) -> Iterator[ContextStore]:
    opened = ContextStore(tmp_path / "contexts.db")
    yield opened
    opened.close()


def batching(double: ChatDouble, memory: ContextStore, model: str = MODELS[0], **settings: Any) -> Any:
    settings = {"poll": 0.001, **settings}
    return contextualizer(generator(double, model), memory, batch=True, **settings)


@pytest.mark.parametrize("model", MODELS)
def test_two_batches_keep_and_then_read_for_half_the_price(
    double: ChatDouble, memory: ContextStore, model: str
) -> None:
    texts = [[paragraph(10 * n + m) for m in range(10)] for n in range(4)]
    items = [(whole := document(some, name=f"port {n}"), cut(whole)) for n, some in enumerate(texts)]
    made = batching(double, memory, model)
    with metered(Meter()) as meter:
        found = made.contextualize_all(items)
    bills = double.billed
    assert len(double.batches) == 2
    assert len(bills) == 40
    assert all(one.batch for one in bills)
    assert sum(one.written > 0 for one in bills) == 4
    assert sum(one.cached > 0 for one in bills) == 36
    assert all(chunk.context.startswith("Situating") for chunks in found for chunk in chunks)
    assert meter.usage.usd == pytest.approx(double.usd, rel=1e-9)
    assert made.stats.usd == pytest.approx(double.usd, rel=1e-9)
    assert memory.open_batches(model) == []
    if model.startswith("anthropic"):
        assert all(one.lasting == one.written for one in bills)
    # All of it is known now.
    assert made.contextualize_all(items) == found
    assert len(double.batches) == 2


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("when", ["noting", "handing over", "naming", "waiting", "taking in"])
def test_whenever_it_ends_only_the_rest_is_paid_later(
    double: ChatDouble, memory: ContextStore, monkeypatch: pytest.MonkeyPatch, model: str, when: str
) -> None:
    whole = document(12)
    made = batching(double, memory, model)

    def stop(*args: Any, **kwargs: Any) -> Any:
        raise Stopped

    target = made._generator
    if when == "noting":
        monkeypatch.setattr(memory, "begin_batch", stop)
    elif when == "handing over":
        # It was sent, and the answer never read.
        sent = target.submit
        monkeypatch.setattr(target, "submit", lambda *a, **k: (sent(*a, **k), stop())[1])
    elif when == "naming":
        monkeypatch.setattr(memory, "name_batch", stop)
    elif when == "waiting":
        monkeypatch.setattr(target, "state", stop)
    else:
        keep, calls = memory.take_in, []

        def third(*args: Any, **kwargs: Any) -> None:
            calls.append(1)
            if len(calls) == 6:
                raise Stopped
            keep(*args, **kwargs)

        monkeypatch.setattr(memory, "take_in", third)
    with metered(Meter()) as first, pytest.raises(Stopped):
        made.contextualize(whole, cut(whole))
    monkeypatch.undo()
    with metered(Meter()) as second:
        chunks = batching(double, memory, model).contextualize(whole, cut(whole))
    assert all(chunk.context.startswith("Situating") for chunk in chunks)
    assert len(double.billed) == 12
    assert len(double.batches) == 2
    assert sum(one.written > 0 for one in double.billed) == 1
    # The one whose keeping was broken off was charged before; it is charged again rather than not at all.
    again = 1 if when == "taking in" else 0
    assert first.usage.calls + second.usage.calls == 12 + again
    assert memory.open_batches(model) == []


def test_what_is_under_way_is_taken_in_by_a_later_call(double: ChatDouble, memory: ContextStore) -> None:
    double.polls = 1_000_000
    whole = document(8)
    first = batching(double, memory, wait=0.0)
    assert first.contextualize(whole, cut(whole)) == outline().contextualize(whole, cut(whole))
    (failure,) = first.take_failures()
    assert "8 of 8 chunks kept the outline context: batch" in failure.reason
    assert "under way" in failure.reason
    # Nothing is handed over twice.
    batching(double, memory, wait=0.0).contextualize(whole, cut(whole))
    assert len(double.batches) == 1
    double.polls = 1
    last = batching(double, memory).contextualize(whole, cut(whole))
    assert all(chunk.context.startswith("Situating") for chunk in last)
    assert len(double.batches) == 2
    assert len(double.billed) == 8
    # The first of them has left the document where the others read it.
    assert sum(one.written > 0 for one in double.billed) == 1


def test_an_answer_for_a_text_that_has_changed_is_kept_for_that_text(
    double: ChatDouble, memory: ContextStore
) -> None:
    texts = [paragraph(n) for n in range(6)]
    before, after = document(texts), document([*texts[:5], "Something quite different."])
    double.polls = 1_000_000
    batching(double, memory, wait=0.0).contextualize(before, cut(before))
    double.polls = 1
    made = batching(double, memory)
    made.contextualize(after, cut(after))
    paid = len(double.billed)
    assert paid == 7
    # Back to the old text: its first chunk was answered then.
    made.contextualize(before, cut(before))
    assert len(double.billed) - paid < 6
    assert memory.open_batches(MODELS[0]) == []


def test_a_batch_nobody_knows_is_asked_for_anew(double: ChatDouble, memory: ContextStore) -> None:
    double.polls = 1_000_000
    whole = document(5)
    batching(double, memory, wait=0.0).contextualize(whole, cut(whole))
    double._state.batches.clear()
    double.polls = 1
    made = batching(double, memory)
    chunks = made.contextualize(whole, cut(whole))
    assert all(chunk.context.startswith("Situating") for chunk in chunks)
    assert made.take_failures() == ()


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("status", [400, 401, 403, 422, 429, 500])
def test_a_batch_that_cannot_be_looked_at_is_not_paid_again(
    double: ChatDouble, memory: ContextStore, monkeypatch: pytest.MonkeyPatch, model: str, status: int
) -> None:
    monkeypatch.setattr("ragweft.generation.remote.DOCUMENTS", Policy(attempts=1, seconds=5.0, timeout=5.0))
    double.polls = 1_000_000
    whole = document(5)
    batching(double, memory, model, wait=0.0).contextualize(whole, cut(whole))
    (handed,) = memory.open_batches(model)
    double.fail(model.partition(":")[0], path=str(handed.remote), status=status, message="not now")
    with pytest.raises(ProviderError):
        batching(double, memory, model).contextualize(whole, cut(whole))
    assert memory.open_batches(model) == [handed]
    double.polls = 1
    chunks = batching(double, memory, model).contextualize(whole, cut(whole))
    assert all(chunk.context.startswith("Situating") for chunk in chunks)
    assert double.batches[0] == handed.remote
    assert len(double.billed) == 5


def test_what_was_asked_for_ahead_is_not_waited_for_again(
    double: ChatDouble, memory: ContextStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Paragraphs:
        fingerprint = "paragraphs"

        def chunk(self, document: Document) -> list[Chunk]:
            return cut(document)

    double.polls = 1_000_000
    made = batching(double, memory, wait=0.05)
    looks: list[str] = []
    state: Callable[[str], BatchState] = made._generator.state

    def looked(batch: str) -> BatchState:
        looks.append(batch)
        return state(batch)

    monkeypatch.setattr(made._generator, "state", looked)
    placing = Placing(Paragraphs(), made)
    loaded = [Loaded(document=document(5, name=name)) for name in ("one", "two")]
    assert list(placing.ahead(loaded)) == loaded
    assert set(looks) == set(double.batches)
    looks.clear()
    for one in loaded:
        (chunks,) = placing.chunks([one.document])
        assert len(chunks) == 5
    assert looks == []


def test_a_refused_prompt_of_a_batch_is_that_chunks(double: ChatDouble, memory: ContextStore) -> None:
    whole = document(6)
    double.fail("anthropic", path="/results", after=1, says="I'm sorry, but I cannot help with that.")
    made = batching(double, memory)
    chunks = made.contextualize(whole, cut(whole))
    assert chunks[0].context.startswith("Situating")
    (failure,) = made.take_failures()
    assert "5 of 6 chunks kept the outline context: the model refused" in failure.reason
    assert memory.open_batches(MODELS[0]) == []
    # They are asked for again.
    assert all(one.context.startswith("Situating") for one in made.contextualize(whole, cut(whole)))


def test_a_cap_divides_batches_and_stops_before_it_is_passed(double: ChatDouble, memory: ContextStore) -> None:
    whole = document(20)
    made = batching(double, memory)
    told = made.estimate(whole, cut(whole))
    with metered(Meter(max_usd=1e-6)), pytest.raises(BudgetExceeded):
        made.contextualize(whole, cut(whole))
    assert double.batches == []
    cap = told.usd * 4
    assert cap < told.usd_at_most
    with metered(Meter(max_usd=cap)) as meter:
        made.contextualize(whole, cut(whole))
    assert meter.usage.usd <= cap
    assert len(double.batches) > 2
    assert len(double.billed) == 20


def test_a_wrong_key_ends_the_job_and_leaves_nothing_open(double: ChatDouble, memory: ContextStore) -> None:
    double.fail("anthropic", bad_key=True)
    whole = document(5)
    with pytest.raises(ProviderError, match="check the key"):
        batching(double, memory).contextualize(whole, cut(whole))
    assert memory.open_batches(MODELS[0]) == []


def test_a_batch_whose_sending_broke_off_is_not_sent_twice(double: ChatDouble, memory: ContextStore) -> None:
    double.fail("anthropic", path="/batches", drop=True)
    whole = document(5)
    with pytest.raises(ProviderError):
        batching(double, memory).contextualize(whole, cut(whole))
    batching(double, memory).contextualize(whole, cut(whole))
    assert len(double.batches) == 2
    assert len(double.billed) == 5
