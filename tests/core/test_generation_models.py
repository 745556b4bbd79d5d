"""The table of generating models, and what it makes of tokens."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provider_double.chat_common import PRICES, bill
from ragweft.generation.accounting import about, as_tokens, bound, quarters
from ragweft.generation.models import GeneratingModel, find, known_models
from ragweft.generation.services import SERVICES
from ragweft.generation.values import Prompt, Tokens

COUNTS = st.integers(0, 400_000)


def test_every_entry_is_whole_and_says_where_it_is_from() -> None:
    labels = [model.label for model in known_models()]
    assert len(labels) == len(set(labels))
    for model in known_models():
        assert model.provider in SERVICES
        assert model.source
        assert model.priced.startswith("20")
        assert model.input is not None
        assert model.output is not None
        assert model.read is not None
        assert model.read < model.input < model.output
        assert model.window is not None
        assert 0 < (model.plain_window or 0) <= model.window
        assert model.batch == 0.5
        # Whoever is asked to keep something charges for that.
        assert (model.write is not None) == (model.keeps == "asked")


@given(fresh=COUNTS, written=COUNTS, cached=COUNTS, output=COUNTS, data=st.data())
def test_prices_are_those_of_the_double(
    fresh: int, written: int, cached: int, output: int, data: st.DataObject
) -> None:
    model = data.draw(st.sampled_from([model for model in known_models() if model.name in PRICES]))
    batch = data.draw(st.booleans())
    # Only Anthropic keeps anything for an hour.
    lasting = data.draw(st.integers(0, written)) if model.write_hour is not None else 0
    tokens = Tokens(fresh=fresh, written=written, lasting=lasting, cached=cached, output=output)
    parts = {"fresh": fresh, "written": written, "lasting": lasting, "cached": cached, "output": output}
    assert model.usd(tokens, batch=batch) == pytest.approx(bill(model.name, parts, batch=batch).usd)


@given(one=st.builds(Tokens, fresh=COUNTS, written=COUNTS, cached=COUNTS, output=COUNTS))
def test_tokens_add_up(one: Tokens) -> None:
    assert one + Tokens() == one
    assert (one + one).total == 2 * one.total
    assert one.total == one.prompt + one.output


def test_a_dated_version_is_the_model_itself() -> None:
    assert find("anthropic", "claude-haiku-4-5-20251001") == find("anthropic", "claude-haiku-4-5")
    assert find("openai", "gpt-5.4-nano-2026-03-17") == find("openai", "gpt-5.4-nano")
    assert find("anthropic", "claude-haiku-4-5-large") is None
    assert find("openai", "claude-haiku-4-5") is None


def test_a_model_without_a_price_has_none() -> None:
    assert GeneratingModel(provider="openai", name="new").usd(Tokens(fresh=10, output=1)) is None
    assert (
        GeneratingModel(provider="x", name="y", input=1.0, output=1.0).usd(Tokens(fresh=1), batch=True) is None
    )


def test_other_prices_keep_their_proportions() -> None:
    haiku = find("anthropic", "claude-haiku-5-5")
    assert haiku is not None
    dearer = haiku.at(input=1.0, output=None)
    assert dearer.write == pytest.approx(1.25)
    assert dearer.write_hour == pytest.approx(2.0)
    assert dearer.read == pytest.approx(0.1)
    assert dearer.output == haiku.output
    assert haiku.at(input=None, output=None) == haiku


@given(
    prefix=st.integers(0, 5_000).map("p".__mul__) | st.text(max_size=300),
    rest=st.text(max_size=300),
    keep=st.sampled_from(["", "minutes", "hour"]),
    most=st.integers(1, 500),
)
def test_a_bound_is_never_below_a_bill(prefix: str, rest: str, keep: str, most: int) -> None:
    """Whatever was kept of the prompt, and whatever tokenizer counts: as long as a token stands for a byte."""
    prompt = Prompt(prefix=prefix, rest=rest, keep=keep)  # type: ignore[arg-type]  # drawn from what is allowed
    before, after = len(prefix.encode()), len(rest.encode())
    lasting = before if keep == "hour" else 0
    bills = [
        Tokens(fresh=before + after, output=most),
        Tokens(fresh=after, cached=before, output=most),
        Tokens(fresh=after, written=before if keep else 0, lasting=lasting, output=most),
    ]
    for model in known_models():
        usd = model.usd(bound(prompt, most))
        assert usd is not None
        assert all((model.usd(billed) or 0.0) <= usd for billed in bills)
        assert (model.usd(about(prompt, 1.0, most)) or 0.0) <= usd


@given(one=st.text(), other=st.text())
def test_quarters_add_up(one: str, other: str) -> None:
    assert quarters(one + other) == pytest.approx(quarters(one) + quarters(other))
    assert as_tokens(one, 0.0) == 0
