"""What a dry run says contexts would cost, beside what they then cost."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from context_made import contextualizer, cut, document, generator, paragraph
from provider_double.chat import ChatDouble
from ragweft.context.memory import Measure, PassingMemory
from ragweft.generation import as_generator
from ragweft.ledger.context_store import ContextStore
from ragweft.providers.metering import Meter, metered

if TYPE_CHECKING:
    from ragweft.types import Chunk, Document

NEAR = 0.05
"""How far an estimate may be out."""


@pytest.fixture
def double() -> Iterator[ChatDouble]:
    with ChatDouble() as opened:
        yield opened


@pytest.fixture
def store(tmp_path: Path) -> Iterator[ContextStore]:
    opened = ContextStore(tmp_path / "contexts.db")
    yield opened
    opened.close()


def corpus() -> list[tuple[Document, list[Chunk]]]:
    """Documents of one chunk up to forty, one of them above a small window.

    None begins like another: a service that keeps what it was not asked to would read the one's beginning for
    the other's, if that happened to have been answered already.
    """
    sizes = (1, 2, 5, 12, 40)
    texts = [[paragraph(100 * size + n) for n in range(size)] for size in sizes]
    return [(whole := document(text, name=f"port {len(text)}"), cut(whole)) for text in texts]


@pytest.mark.parametrize(
    ("model", "window", "batch"),
    [
        ("anthropic:claude-haiku-5-5", 0, False),
        ("anthropic:claude-haiku-5-5", 0, True),
        ("anthropic:claude-haiku-5-5", 3_000, False),
        ("anthropic:claude-haiku-5-5", 3_000, True),
        ("anthropic:claude-haiku-4-5", 0, False),
        ("openai:gpt-6-luna", 0, False),
        ("openai:gpt-6-luna", 0, True),
        ("openai:gpt-5.4-nano", 0, False),
        ("google:gemini-3.5-flash-lite", 0, False),
    ],
)
def test_the_bill_is_the_dry_runs_within_five_per_cent(
    double: ChatDouble, store: ContextStore, model: str, window: int, batch: bool
) -> None:
    asked = generator(double, model, window=window) if window else generator(double, model)
    made = contextualizer(asked, store, batch=batch, poll=0.001)
    items = corpus()
    told = made.estimate_all(items)
    assert not double.billed
    with metered(Meter()) as meter:
        made.contextualize_all(items)
    made.close()
    assert told.usd == pytest.approx(double.usd, rel=NEAR)
    assert meter.usage.usd == pytest.approx(double.usd, rel=1e-9)
    assert told.usd_at_most is not None
    assert told.usd_at_most >= double.usd
    # A chunk that is all of its document is not asked for.
    assert told.calls == len(double.billed) == 59
    for kind in ("written", "cached", "fresh", "output"):
        billed = sum(getattr(one, kind) for one in double.billed)
        assert getattr(told.tokens, kind) == pytest.approx(billed, rel=NEAR, abs=100), kind


def test_one_document_is_one_write_and_reads_in_the_estimate_too(
    double: ChatDouble, store: ContextStore
) -> None:
    whole = document(30)
    told = contextualizer(generator(double), store).estimate(whole, cut(whole))
    assert told.calls == told.chunks == 30
    assert told.tokens.cached == 29 * told.tokens.written
    assert told.basis == "a document counted by the service"
    assert [request.path for request in double.requests] == ["/v1/messages/count_tokens"]


def test_nothing_is_sent_to_be_counted_where_that_is_not_wanted(
    double: ChatDouble, store: ContextStore
) -> None:
    whole = document(10)
    told = contextualizer(generator(double), store).estimate(whole, cut(whole), counted=False)
    assert double.requests == []
    assert (told.calls, told.basis) == (10, "3.1 bytes a token, as a rule")


def test_what_was_billed_before_tells_best(double: ChatDouble, store: ContextStore) -> None:
    """Another tokenizer and other answers than anybody expects: after one document they are known."""
    double.chars_per_token = 2.7
    double.reply = lambda prompt: f"Note on berth {len(prompt)}, of the port's log."
    first, second = document(12, name="one"), document([paragraph(n) for n in range(50, 80)], name="two")
    for model in ("openai:gpt-6-luna", "anthropic:claude-haiku-5-5"):
        made = contextualizer(generator(double, model), store)
        made.contextualize(first, cut(first))
        before = double.usd
        told = made.estimate(second, cut(second))
        assert told.basis == "as billed so far"
        made.contextualize(second, cut(second))
        made.close()
        assert told.usd == pytest.approx(double.usd - before, rel=NEAR)


def test_only_what_is_missing_is_counted(double: ChatDouble, store: ContextStore) -> None:
    texts = [paragraph(n) for n in range(20)]
    made = contextualizer(generator(double), store)
    made.contextualize(document(texts), cut(document(texts)))
    told = made.estimate(document(texts), cut(document(texts)))
    assert (told.chunks, told.known, told.calls, told.usd) == (20, 20, 0, 0.0)
    texts[10] = "Something quite new about berth ten."
    before = double.usd
    edited = document(texts)
    told = made.estimate(edited, cut(edited))
    assert (told.known, told.calls) == (17, 3)
    # What was kept a moment ago was of the text before the edit.
    made.contextualize(edited, cut(edited))
    assert told.usd == pytest.approx(double.usd - before, rel=NEAR)


def test_without_key_or_service_the_table_is_gone_by(
    monkeypatch: pytest.MonkeyPatch, store: ContextStore
) -> None:
    from ragweft.generation import Generation, resolve_generator

    monkeypatch.delenv("ANTHROPIC_API_KEY", raising=False)
    whole = document(10)
    asked = resolve_generator(Generation(model="anthropic:claude-haiku-5-5"))
    told = contextualizer(asked, store).estimate(whole, cut(whole))
    assert told.calls == 10
    assert told.usd is not None
    assert told.basis == "3.1 bytes a token, as a rule"


def test_a_model_without_a_price_is_estimated_in_tokens() -> None:
    whole = document(10)
    told = contextualizer(lambda prompt: "never asked").estimate(whole, cut(whole))
    assert told.usd is None
    assert told.usd_at_most is None
    # Nobody knows that a function keeps anything.
    assert told.tokens.cached == 0
    assert told.tokens.fresh > 10 * len(whole.text) // 4
    free = contextualizer(as_generator(lambda prompt: "never asked", free=True)).estimate(whole, cut(whole))
    assert (free.usd, free.usd_at_most) == (0.0, 0.0)


def test_measures_add_up() -> None:
    memory = PassingMemory()
    memory.add_measure("m", Measure(quarters=10.0, prompt=12, output=3, replies=1))
    memory.add_measure("m", Measure(quarters=20.0, prompt=18, output=5, replies=1))
    assert memory.measure("m") == Measure(quarters=30.0, prompt=30, output=8, replies=2)
    assert memory.measure("other") == Measure()
