from __future__ import annotations

import re
from dataclasses import replace
from typing import get_args

import pytest

from ragweft.providers.advice import duration, maker, recommend
from ragweft.providers.registry import PURPOSES, Purpose, Registry, cost, dollars, load

MODELS = load().models
EMBEDDERS = load().embedders


def test_there_is_a_purpose_for_every_word_of_the_type() -> None:
    assert get_args(Purpose) == PURPOSES


@pytest.mark.parametrize("purpose", PURPOSES)
def test_advice_names_current_models_of_different_makers_with_reasons_of_their_own(purpose: Purpose) -> None:
    advice = recommend(purpose)
    assert len(advice) >= 3
    assert len({maker(one.model) for one in advice}) == len(advice)
    for one in advice:
        assert not one.model.successor
        assert one.model.kind == "embedder"
        if one.model.window is not None:
            assert f"a window of {one.model.window:,} tokens" in one.reason.lower()
        if one.model.local:
            assert one.model.licence in one.reason
        elif one.model.usd_per_million is not None:
            assert f"{dollars(one.model.usd_per_million)} per 1M tokens" in one.reason
            assert f"{dollars(cost(one.model).usd or 0)} for 1M chunks" in one.reason
        assert re.fullmatch(r"[A-Z].*\.", one.reason)
    if purpose not in ("legal", "finance"):
        assert all(purpose in one.model.purposes for one in advice)


def test_what_is_made_for_a_text_comes_first() -> None:
    code = recommend("code")
    specialised = [model for model in EMBEDDERS if model.languages == "code" and not model.successor]
    assert {one.model for one in code[: len(specialised)]} == set(specialised)
    assert code[0].reason.startswith("Made for code; ")
    assert recommend("legal")[0].reason.startswith("Made for legal text; ")
    assert recommend("finance")[0].reason.startswith("Made for financial text; ")
    for one in recommend("legal")[1:]:
        assert one.reason.startswith("Not made for legal text; ")
        assert one.model.window is not None
        assert one.model.window >= 32_000


def test_services_by_price_then_local_models_by_weight() -> None:
    models = [one.model for one in recommend("multilingual")]
    hosted = [model for model in models if not model.local]
    assert models[: len(hosted)] == hosted
    prices = [model.usd_per_million for model in hosted if model.usd_per_million is not None]
    assert prices == sorted(prices)
    assert all(model.usd_per_million is None for model in hosted[len(prices) :])
    weights = [model.parameters or 0 for model in models if model.local]
    assert weights == sorted(weights)
    assert weights


def test_of_a_maker_the_strongest_is_taken_and_for_a_budget_the_cheapest() -> None:
    english = {maker(one.model): one.model.name for one in recommend("english")}
    assert english["voyage"] == "voyage-4-large"
    # Neither has a price: the larger vectors decide.
    assert english["jina"] == "jina-embeddings-v5-text-small"
    budget = {maker(one.model): one.model.name for one in recommend("budget", kind="reranker")}
    assert budget["voyage"] == "rerank-3-lite"


def test_budget_prefers_what_is_free_and_fast() -> None:
    advice = recommend("budget")
    assert advice[0].model.provider == "static"
    prices = [one.model.usd_per_million for one in advice]
    assert None not in prices
    assert prices == sorted(prices, key=lambda price: price or 0)


def test_advice_follows_the_figures() -> None:
    cheap = recommend("code")[0].model
    dear = replace(cheap, usd_per_million=9.0)
    changed = Registry(models=tuple(dear if model is cheap else model for model in MODELS))
    advice = recommend("code", registry=changed)
    assert advice[0].model is not dear
    assert [one.model for one in advice if one.model.languages == "code"][-1] is dear
    assert "$9.00 per 1M tokens, which is $4,320.00 for 1M chunks" in advice[1].reason
    assert "the least here" in advice[0].reason
    gone = Registry(models=tuple(replace(m, successor="x") if m is cheap else m for m in MODELS))
    assert cheap.name not in [one.model.name for one in recommend("code", registry=gone)]


def test_advice_says_what_is_cheaper_and_what_shares_a_space() -> None:
    by_label = {one.model.label: one.reason for one in recommend("multilingual")}
    large = by_label["voyage:voyage-4-large"]
    assert "Cheaper, in the same vector space: voyage-4-lite, $0.02 per 1M tokens." in large
    assert "sentence-transformers:voyageai/voyage-4-nano" in large
    assert "Cheaper: text-embedding-3-small" in by_label["openai:text-embedding-3-large"]
    small = {one.model.label: one.reason for one in recommend("self-hosted")}
    assert "less than a chunk of 480" in small["onnx:all-MiniLM-L6-v2"]


def test_rerankers_are_recommended_too() -> None:
    for purpose in PURPOSES:
        advice = recommend(purpose, kind="reranker")
        assert advice
        assert all(one.model.kind == "reranker" for one in advice)
    assert "$1.20 for 1,000 searches of 50 passages" in recommend("english", kind="reranker")[0].reason


def test_times_in_words() -> None:
    seconds = (45, 527, 78_688, 1_000_000)
    assert [duration(value) for value in seconds] == ["45 s", "9 min", "22 h", "12 days"]
