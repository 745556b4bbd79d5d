from __future__ import annotations

import json
import re
import subprocess
import sys
from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ragweft.errors import RecipeError
from ragweft.providers.registry import (
    LOCAL,
    PURPOSES,
    Kind,
    Model,
    check_dims,
    cost,
    dollars,
    load,
    markdown_table,
    rerank_cost,
    sizes,
)
from ragweft.providers.registry_times import at_latency, requests

PAGES = Path(__file__).parents[2] / "docs" / "models"
MODELS = load().models
EMBEDDERS = load().embedders
RERANKERS = load().rerankers
IDS = [f"{model.kind} {model.label}" for model in MODELS]
NON_COMMERCIAL = re.compile(r"-NC-")


def find(label: str) -> Model:
    provider, _, name = label.partition(":")
    model = load().find(provider, name)
    assert model is not None, label
    return model


# What the registry says


@pytest.mark.parametrize("model", MODELS, ids=IDS)
def test_every_entry_makes_sense(model: Model) -> None:
    assert model.kind in ("embedder", "reranker")
    assert model.metric in ("cosine", "dot", "l2")
    assert model.languages in ("multilingual", "english", "code")
    assert set(model.purposes) <= set(PURPOSES)
    assert set(model.dtypes) <= {"float32", "float16", "int8", "uint8", "binary", "ubinary"}
    assert model.dtypes[0] == "float32"
    assert model.window is None or model.window >= 256
    assert model.batch is None or model.batch > 0
    assert model.batch_tokens is None or model.window is None or model.batch_tokens >= model.window
    assert model.source
    if model.kind == "reranker":
        assert (model.dims, model.allowed, model.between) == (0, (), None)
    else:
        assert model.dims > 0
        assert not (model.allowed and model.between)
        assert model.usd_per_search is None
        check_dims(model, model.dims)
    assert list(model.allowed) == sorted(set(model.allowed))


@pytest.mark.parametrize("model", MODELS, ids=IDS)
def test_local_models_cost_nothing_and_have_a_licence_and_services_are_the_other_way_round(
    model: Model,
) -> None:
    assert model.local == (model.provider in LOCAL)
    if model.local:
        assert model.usd_per_million == 0
        assert model.licence
        assert model.batch is None
        assert model.parameters
    else:
        assert model.usd_per_million != 0
        assert not model.licence
        assert model.parameters is None
    assert bool(model.tokens_per_second) == bool(model.measured)
    assert (model.active is not None) == (model.local and model.kind == "embedder")
    assert model.active is None or model.active <= (model.parameters or 0)
    if model.active is not None and model.provider != "static":
        assert re.search(r"read 20\d\d-\d\d", model.source)


@pytest.mark.parametrize("model", MODELS, ids=IDS)
def test_every_price_is_dated_and_says_where_it_is_unsure(model: Model) -> None:
    paid = bool(model.usd_per_million or model.usd_per_search)
    assert bool(re.fullmatch(r"20\d\d-\d\d", model.priced)) == paid
    confirmed = "developers.openai.com" in model.source
    assert ("check it" in model.notes) == (paid and not confirmed)


@pytest.mark.parametrize("model", MODELS, ids=IDS)
def test_purposes_agree_with_the_facts(model: Model) -> None:
    if "budget" in model.purposes:
        assert model.usd_per_million is not None
        assert model.usd_per_million <= 0.02
    if "self-hosted" in model.purposes:
        assert model.local
        assert not NON_COMMERCIAL.search(model.licence)
    if NON_COMMERCIAL.search(model.licence):
        assert not model.purposes
        assert "Not for commercial use." in model.notes
    if "multilingual" in model.purposes:
        assert model.languages == "multilingual"
    if "english" in model.purposes:
        assert model.languages != "code"
    if model.languages == "code" and not model.successor:
        assert model.purposes == ("code",)
    assert not (model.purposes and model.successor), "what is superseded is not worth considering"


@pytest.mark.parametrize("model", [m for m in MODELS if m.successor], ids=lambda model: model.label)
def test_successors_lead_to_a_current_model_of_the_same_kind(model: Model) -> None:
    seen = [model.name]
    while model.successor:
        following = load().find(model.provider, model.successor, kind=model.kind)
        assert following is not None
        assert following.name == model.successor
        assert following.name not in seen
        seen.append(following.name)
        model = following


def test_names_are_unique_with_and_without_their_organisation() -> None:
    for own in (EMBEDDERS, RERANKERS):
        assert len({(model.provider, model.name) for model in own}) == len(own)
        assert len({(model.provider, model.name.rpartition("/")[2]) for model in own}) == len(own)


def test_a_shared_space_has_members_that_offer_a_size_in_common() -> None:
    for space in {model.space for model in EMBEDDERS} - {""}:
        members = [model for model in EMBEDDERS if model.space == space]
        assert len(members) >= 2
        assert set.intersection(*(set(model.allowed) for model in members))
    assert not any(model.space for model in RERANKERS)


@pytest.mark.parametrize(
    ("label", "facts"),
    [
        # Figures that are often quoted wrongly.
        ("voyage:voyage-3-large", {"dims": 1024, "allowed": (256, 512, 1024, 2048), "batch_tokens": 120_000}),
        ("voyage:voyage-3-lite", {"dims": 512, "allowed": ()}),
        ("voyage:voyage-law-2", {"window": 16_000}),
        ("voyage:voyage-context-3", {"window": 32_000, "batch_tokens": 120_000}),
        ("voyage:voyage-4-lite", {"batch": 1000, "batch_tokens": 1_000_000, "space": "voyage-4"}),
        ("voyage:voyage-4", {"batch_tokens": 320_000, "space": "voyage-4", "unit": True}),
        ("google:gemini-embedding-001", {"dims": 3072, "window": 2048, "unit": False, "batch": 100}),
        ("cohere:embed-v4.0", {"dims": 1536, "batch": 96, "unit": False}),
        ("cohere:embed-english-v3.0", {"usd_per_million": 0.10, "window": 512}),
        ("cohere:embed-v5.0-fast", {"dims": 2048, "space": "cohere-embed-v5"}),
        ("openai:text-embedding-3-small", {"window": 8192, "batch": 2048, "batch_tokens": 300_000}),
        ("openai:text-embedding-ada-002", {"between": None, "allowed": ()}),
        ("mistral:codestral-embed", {"dims": 1536, "between": (1, 3072)}),
        ("sentence-transformers:all-mpnet-base-v2", {"window": 384}),
        ("sentence-transformers:LaBSE", {"window": 256}),
        ("sentence-transformers:stella_en_1.5B_v5", {"dims": 1024, "allowed": (), "window": 512}),
        ("sentence-transformers:NV-Embed-v2", {"window": 32_768, "licence": "CC-BY-NC-4.0"}),
        ("cohere:rerank-v3.5", {"window": 4096, "usd_per_search": 0.002, "usd_per_million": None}),
        ("static", {"allowed": (64, 128, 256), "window": None, "usd_per_million": 0}),
    ],
)
def test_known_facts(label: str, facts: dict[str, object]) -> None:
    model = find(label)
    assert {name: getattr(model, name) for name in facts} == facts


def test_prompts_are_prefixes_a_text_can_follow() -> None:
    assert find("sentence-transformers:multilingual-e5-base").query_prompt == "query: "
    assert find("sentence-transformers:multilingual-e5-base").document_prompt == "passage: "
    assert find("google:gemini-embedding-2").query_prompt == "task: search result | query: "
    assert find("sentence-transformers:bge-base-en-v1.5").document_prompt == ""
    for model in MODELS:
        for prompt in (model.query_prompt, model.document_prompt):
            assert "{" not in prompt
            assert not prompt or prompt.endswith((" ", ":"))
    # A service whose call has a parameter for the role needs none.
    roles = {"cohere", "voyage", "jina", "nomic"}
    assert not any(m.query_prompt or m.document_prompt for m in MODELS if m.provider in roles)


# Looking things up


def test_a_model_is_found_by_its_exact_name_with_or_without_its_organisation() -> None:
    registry = load()
    whole = registry.find("sentence-transformers", "BAAI/bge-m3")
    assert whole is not None
    assert registry.find("sentence-transformers", "bge-m3") is whole
    assert registry.find("sentence-transformers", "somebody/bge-m3") is None
    assert registry.find("sentence-transformers", "/models/bge-m3") is None
    assert registry.find("sentence-transformers", "BGE-M3") is None
    assert registry.find("voyage", "embed-v4.0") is None
    assert registry.find("voyag", "voyage-4") is None


def test_an_empty_name_finds_the_only_model_there_is() -> None:
    registry = load()
    static, onnx = registry.find("static", ""), registry.find("onnx", "")
    assert static is not None
    assert static.label == "static"
    assert onnx is not None
    assert onnx.label == "onnx:all-MiniLM-L6-v2"
    assert registry.find("voyage", "") is None


def test_one_name_may_be_an_embedder_and_a_reranker() -> None:
    registry = load()
    first = registry.find("bge-m3", "bge-m3")
    second = registry.find("bge-m3", "bge-m3", kind="reranker")
    assert first is not None
    assert second is not None
    assert (first.kind, second.kind) == ("embedder", "reranker")
    assert registry.find("voyage", "rerank-3", kind="embedder") is None


def test_the_registry_is_read_once_and_loads_nothing_heavy() -> None:
    assert load() is load()
    code = "from ragweft.providers.registry import load; load(); import sys; print(*sys.modules)"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = {name.partition(".")[0] for name in out.stdout.split()}
    assert not loaded & {"numpy", "httpx", "rich", "typer", "tenacity", "sqlalchemy"}


# Sizes

_FILE = json.loads(files("ragweft.providers").joinpath("models.json").read_text(encoding="utf-8"))
_ENTRIES: list[dict[str, Any]] = [entry for entry in _FILE if entry["kind"] == "embedder"]
_SIZES = sorted({size for model in EMBEDDERS for size in (model.dims, *model.allowed, *(model.between or ()))})


@given(
    entry=st.sampled_from(_ENTRIES),
    dims=st.sampled_from(_SIZES).flatmap(lambda size: st.sampled_from([size - 1, size, size + 1, -size, 0])),
)
def test_exactly_the_sizes_in_the_file_are_allowed(entry: dict[str, Any], dims: int) -> None:
    model = load().find(entry["provider"], entry["name"], kind="embedder")
    assert model is not None
    if "between" in entry:
        low, high = entry["between"]
        fits = low <= dims <= high
    else:
        fits = dims in entry.get("allowed", [entry["dims"]])
    if fits:
        check_dims(model, dims)
        return
    with pytest.raises(RecipeError) as refused:
        check_dims(model, dims)
    message = str(refused.value)
    assert "\n" not in message
    assert message.startswith(f"{model.label}: dims = {dims} ")
    assert message.endswith(str([*entry.get("allowed", [entry["dims"]]), *entry.get("between", [])][-1]))


def test_sizes_are_said_in_words() -> None:
    assert sizes(find("voyage:voyage-4"), "or") == "256, 512, 1024 or 2048"
    assert sizes(find("openai:text-embedding-3-large"), "or") == "any from 1 to 3072"
    assert sizes(find("voyage:voyage-3-lite"), "or") == "512"
    with pytest.raises(RecipeError, match="is a reranker"):
        check_dims(find("voyage:rerank-3"), 1024)


# Costs


def test_what_a_million_chunks_cost() -> None:
    voyage = cost(find("voyage:voyage-4"))
    assert voyage.tokens == 480_000_000
    assert voyage.usd == pytest.approx(28.80)
    assert voyage.bytes == 1_000_000 * 1024 * 4
    static = find("static")
    assert static.tokens_per_second is not None
    spent = cost(static)
    assert spent.usd == 0
    assert spent.seconds == pytest.approx(480_000_000 / static.tokens_per_second)
    assert spent.basis.endswith("measured on one CPU core")
    assert cost(find("jina:jina-embeddings-v3")).usd is None
    assert cost(static, dims=64).bytes * 4 == spent.bytes


@given(
    model=st.sampled_from(list(EMBEDDERS)),
    chunks=st.integers(0, 10**7),
    tokens=st.integers(1, 4000),
    more=st.integers(0, 10**7),
)
def test_costs_add_up(model: Model, chunks: int, tokens: int, more: int) -> None:
    one, two = cost(model, chunks, tokens), cost(model, more, tokens)
    both = cost(model, chunks + more, tokens)
    assert both.tokens == one.tokens + two.tokens
    assert both.bytes == one.bytes + two.bytes
    assert (both.usd is None) == (model.usd_per_million is None)
    if one.usd is not None and two.usd is not None:
        assert both.usd == pytest.approx(one.usd + two.usd)


def test_what_searches_cost() -> None:
    assert rerank_cost(find("cohere:rerank-v5.0-pro")).usd == pytest.approx(1.20)
    assert rerank_cost(find("cohere:rerank-v3.5")).usd == pytest.approx(2.00)
    # A search of 101 documents is billed as two.
    assert rerank_cost(find("cohere:rerank-v3.5"), searches=10, hits=101).usd == pytest.approx(0.04)
    assert rerank_cost(find("cohere:rerank-v3.5"), searches=10, hits=100).usd == pytest.approx(0.02)
    assert rerank_cost(find("jina:jina-reranker-v3.5")).usd is None
    assert rerank_cost(find("sentence-transformers:bge-reranker-v2-m3")).usd == 0


def test_sums_in_words() -> None:
    assert [dollars(value) for value in (57.6, 1234.5, 0.2, 0.008, 0.0, 0.00000054)] == [
        "$57.60",
        "$1,234.50",
        "$0.20",
        "$0.008",
        "$0.00",
        "$5.4e-07",
    ]


# Times


@pytest.mark.parametrize("model", EMBEDDERS, ids=lambda model: model.label)
def test_every_embedder_has_a_time_and_says_what_it_rests_on(model: Model) -> None:
    spent = cost(model)
    assert spent.seconds is not None
    assert spent.seconds > 0
    assert spent.by in ("measured", "parameters", "requests", "rate limit")
    assert (spent.by == "measured") == bool(model.tokens_per_second)
    assert (spent.by == "parameters") == (model.local and not model.tokens_per_second)
    words = {
        "measured": "measured on ",
        "parameters": "estimated by ",
        "requests": "read 20",
        "rate limit": "read 20",
    }
    assert words[spent.by] in spent.basis


@pytest.mark.parametrize("model", MODELS, ids=IDS)
def test_a_rate_limit_says_whose_it_is_and_when_it_was_read(model: Model) -> None:
    limits = (model.tokens_per_minute, model.requests_per_minute, model.texts_per_minute)
    assert any(limits) == bool(model.limited)
    if model.limited:
        assert not model.local
        assert all(limit is None or limit > 0 for limit in limits)
        assert re.search(r"\w+\.\w+/?.*, read 20\d\d-\d\d$", model.limited)


def test_local_models_take_longer_the_more_there_is_to_multiply() -> None:
    local = sorted(
        (cost(model).seconds or 0.0, model.active or 0.0) for model in EMBEDDERS if model.active is not None
    )
    assert [active for _, active in local] == sorted(active for _, active in local)
    # Of a mixture of experts only those at work count.
    moe, dense = find("sentence-transformers:nomic-embed-text-v2-moe"), find("sentence-transformers:LaBSE")
    assert (moe.parameters or 0) > (dense.parameters or 0)
    assert (cost(moe).seconds or 0) < 2 * (cost(dense).seconds or 0)


@given(one=st.floats(1, 1e5), other=st.floats(1, 1e5))
def test_time_is_in_proportion_to_active_parameters(one: float, other: float) -> None:
    model = find("sentence-transformers:bge-m3")
    first, second = cost(replace(model, active=one)).seconds, cost(replace(model, active=other)).seconds
    assert first is not None
    assert second is not None
    assert first * other == pytest.approx(second * one)
    measured = find("sentence-transformers:all-MiniLM-L6-v2")
    assert cost(replace(model, active=measured.active)).seconds == pytest.approx(cost(measured).seconds)


def test_nothing_is_invented_where_nothing_is_known() -> None:
    for model in (
        Model(provider="sentence-transformers", name="x", kind="embedder", dims=8),
        Model(provider="voyage", name="x", kind="embedder", dims=8),
    ):
        spent = cost(model)
        assert (spent.seconds, spent.basis, spent.by) == (None, "", None)


def test_requests_are_what_a_service_takes_at_once() -> None:
    cohere = find("cohere:embed-v4.0")
    assert requests(cohere, 1_000_000, 480) == (10_417, 96)
    assert requests(find("voyage:voyage-4-large"), 1_000_000, 480) == (4_000, 250)
    assert requests(find("voyage:voyage-4-lite"), 1_000_000, 480) == (1_000, 1_000)
    assert requests(find("mistral:mistral-embed"), 1_000, 480) == (31, 33)
    assert requests(replace(cohere, window=100), 1_000, 480) == (53, 19), "five parts a text"
    assert requests(replace(cohere, batch_tokens=100), 10, 480) == (10, 1)
    assert requests(find("static"), 10, 480) is None


def test_a_service_is_as_fast_as_its_requests_and_no_faster_than_its_limits() -> None:
    free = replace(
        find("cohere:embed-english-v3.0"),
        texts_per_minute=None,
        tokens_per_minute=None,
        requests_per_minute=None,
        limited="",
    )
    # 96 texts of 512 tokens are what Oracle measured: 4.35 seconds, and four are under way at a time.
    assert cost(free, 960_000, 512).seconds == pytest.approx(10_000 * 4.35 / 4)
    assert cost(replace(free, batch=16), 960_000, 512).seconds == pytest.approx(60_000 * 1.41 / 4)
    limited = replace(free, texts_per_minute=2_000, limited="someone.example, read 2026-11")
    spent = cost(limited, 960_000, 512)
    assert spent.seconds == pytest.approx(960_000 / 2_000 * 60)
    assert spent.basis == ("at least, by the rate limit: 2,000 texts a minute (someone.example, read 2026-11)")
    for name, limit, much in (("tokens", 10_000, 960_000 * 512), ("requests", 10, 10_000)):
        held = cost(replace(free, **{f"{name}_per_minute": limit}), 960_000, 512)  # type: ignore[arg-type]
        assert held.seconds == pytest.approx(60 * much / limit)
        assert held.by == "rate limit"
    generous = cost(replace(free, tokens_per_minute=10**12), 960_000, 512)
    assert generous.by == "requests"


@given(model=st.sampled_from([m for m in EMBEDDERS if not m.local]), ms=st.floats(1, 1e5))
def test_a_latency_is_a_bound_from_below_unless_a_limit_is_higher(model: Model, ms: float) -> None:
    took = at_latency(model, ms / 1000, 1_000_000, 480)
    count, _ = requests(model, 1_000_000, 480) or (0, 0)
    assert took.seconds >= count * ms / 1000 / 4 * (1 - 1e-9)
    if took.basis == "rate limit":
        assert model.limited in took.why
    else:
        assert took.seconds == pytest.approx(count * ms / 1000 / 4)
        assert took.why.startswith(f"at least: {count:,} requests")


def test_a_local_model_goes_on_as_it_began() -> None:
    took = at_latency(find("static"), 0.002, 1_000_000, 480)
    assert (took.seconds, took.basis) == (2_000, "checked")
    assert took.why == "the 2.0 ms that one chunk took just now, one after the other"


# The page


def test_the_pages_hold_the_tables_of_every_provider() -> None:
    tables: dict[str, str] = {}
    for file in PAGES.glob("*.md"):
        page = file.read_text(encoding="utf-8")
        found = dict(re.findall(r"<!-- (\S+ \w+)s -->\n\n(.*?)\n\n<!-- end -->", page, flags=re.DOTALL))
        assert {name.split()[0] for name in found} == {file.stem}
        tables |= found
    expected = {
        f"{provider} {kind}": markdown_table(provider, kind)
        for provider in load().providers
        for kind in get_args(Kind)
    }
    assert tables == {name: table for name, table in expected.items() if table}


def test_a_table_has_one_row_for_each_model_and_no_empty_column() -> None:
    table = markdown_table("google")
    heads, rule, *rows = [re.split(r"(?<!\\)\|", line)[1:-1] for line in table.splitlines()]
    assert [row[0].strip() for row in rows] == ["`google:gemini-embedding-001`", "`google:gemini-embedding-2`"]
    assert {len(line) for line in (heads, rule, *rows)} == {len(heads)}
    assert all(any(row[place].strip() for row in rows) for place in range(len(heads)))
    assert "$0.20 (2026-11)" in table
    assert markdown_table("google", "reranker") == ""
    assert markdown_table("nobody") == ""


@pytest.mark.parametrize("name", ["all-minilm:latest", "all-minilm:22m", "nomic-embed-text:v1.5"])
def test_a_tag_of_ollama_is_no_other_model(name: str) -> None:
    registry = load()
    found = registry.find("ollama", name)
    assert found is not None
    assert found == registry.find("ollama", name.partition(":")[0])
