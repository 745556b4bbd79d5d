from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np
import pytest
import typer

from cli_runner import Ran
from provider_double import ProviderDouble
from ragweft.cli import models_check
from ragweft.cli.models import models_app
from ragweft.cli.options import Settings
from ragweft.embedding import StaticEmbedder
from ragweft.generation.models import known_models
from ragweft.providers.advice import recommend
from ragweft.providers.metering import Charge, charge
from ragweft.providers.registry import PURPOSES, cost, load, rerank_cost
from ragweft.types import Space

if TYPE_CHECKING:
    from ragweft.protocols import Embedder
    from ragweft.providers.registry import Purpose
    from ragweft.types import Vector, Vectors

Run = Callable[..., Ran]
COLOURS = re.compile(r"\x1b\[[0-9;]*m")


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """`ragweft models …` in this process."""
    for name in ("FORCE_COLOR", "NO_COLOR", "COLUMNS"):
        monkeypatch.delenv(name, raising=False)

    def before(ctx: typer.Context, debug: bool = False) -> None:
        ctx.obj = Settings(debug=debug)

    def call(*arguments: str) -> Ran:
        app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)
        app.callback()(before)
        app.add_typer(models_app(), name="models")
        capsys.readouterr()
        with pytest.raises(SystemExit) as left:
            typer.main.get_command(app).main(args=["models", *arguments], prog_name="ragweft")
        out, err = capsys.readouterr()
        code = left.value.code
        assert code is None or isinstance(code, int)
        return Ran(code=code or 0, out=out, err=err)

    return call


def at_width(run: Run, monkeypatch: pytest.MonkeyPatch, width: int, *arguments: str) -> list[str]:
    """The lines a person sees in a terminal of *width* cells."""
    monkeypatch.setenv("COLUMNS", str(width))
    monkeypatch.setenv("FORCE_COLOR", "1")
    ran = run(*arguments)
    assert (ran.code, ran.err) == (0, "")
    assert COLOURS.search(ran.out)
    lines = COLOURS.sub("", ran.out).splitlines()
    assert max(map(len, lines)) <= width
    return [line.rstrip() for line in lines]


# The list


def test_a_pipe_gets_each_model_on_one_line_with_its_figures(run: Run) -> None:
    ran = run()
    assert (ran.code, ran.err) == (0, "")
    rows = {line.split()[0]: line.split()[1:] for line in ran.out.splitlines() if line.strip()}
    for model in load().models:
        assert model.label in rows
    assert rows["voyage:voyage-4"] == ["1024", "32,000", "$0.06", "$28.80", "4.1", "GB", "~2", "h"]
    assert rows["static"] == ["256", "free", "free", "1.0", "GB", "7", "min"]
    assert rows["voyage:voyage-3"][:2] == ["→", "voyage-4"]
    assert rows["jina:jina-embeddings-v4"][-6:] == ["?", "?", "8.2", "GB", "≥4", "h"]
    assert rows["sentence-transformers:BAAI/bge-m3"][-2:] == ["≈27", "d"]
    assert rows["cohere:rerank-v3.5"] == ["→", "rerank-v4.0-fast", "4,096", "$2.00"]
    assert rows["cohere:rerank-v5.0-pro"] == ["32,768", "$0.05", "$1.20"]
    assert "2026-11" in ran.out
    assert not COLOURS.search(ran.out)


@pytest.mark.parametrize("width", [80, 100, 120])
def test_names_stay_whole_in_a_terminal(run: Run, monkeypatch: pytest.MonkeyPatch, width: int) -> None:
    lines = at_width(run, monkeypatch, width)
    starts = {line.split()[0] for line in lines if line}
    apart = [model for model in load().models if model.label not in starts]
    assert all(model.name in starts and f"{model.provider}:" in starts for model in apart)
    assert bool(apart) == (width < 120)


def test_a_short_list_shows_whole_names_even_in_a_narrow_terminal(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = at_width(run, monkeypatch, 80, "--provider", "openai")
    rows = [line.split() for line in lines if line.startswith("openai:")]
    embedders = [model.label for model in load().embedders if model.provider == "openai"]
    writers = [model.label for model in known_models() if model.provider == "openai"]
    assert [row[0] for row in rows] == [*embedders, *writers]
    assert not any("rerank" in line for line in lines)
    assert "→ leads to the model that takes its place." in lines
    assert "?: not known." not in lines


def test_a_very_narrow_terminal_loses_no_figure(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    text = "\n".join(at_width(run, monkeypatch, 60, "--provider", "voyage"))
    for figure in ("32,000", "$0.06", "$28.80", "4.1 GB"):
        assert figure in text
    assert "voyage-multimodal-3.5" in text


@pytest.mark.parametrize("width", [80, 100, 120, 200])
def test_money_bytes_and_time_are_seen_in_a_terminal(
    run: Run, monkeypatch: pytest.MonkeyPatch, width: int
) -> None:
    lines = at_width(run, monkeypatch, width)
    heads = next(line for line in lines if line.startswith("embedders"))
    assert heads.split()[-3:] == ["chunks", "vectors", "time"]
    assert ("tokens" in heads) == (width > 80)
    times = [line.split()[-2:] for line in lines if re.search(r"[kMG]B +\S", line)]
    assert len(times) == len(load().embedders)
    assert all(re.fullmatch(r"[≈~≥]?\d+ (s|min|h|d)", " ".join(each)) for each in times)


def test_what_times_rest_on_is_said_in_one_line(run: Run) -> None:
    (line,) = [line for line in run().out.splitlines() if line.startswith("Time: ")]
    for mark in ("without a mark", "≈ on a laptop CPU of two cores", "~ 4 requests", "≥ by the rate limit"):
        assert mark in line
    (line,) = [line for line in run("--provider", "cohere").out.splitlines() if line.startswith("Time: ")]
    assert "≥" in line
    assert "≈" not in line
    assert "~" not in line


def test_json_is_one_object_with_everything_the_registry_knows(run: Run) -> None:
    payload = json.loads(run("--json").out)
    assert payload["purpose"] is None
    assert payload["recommended"] == []
    assert [entry["model"] for entry in payload["models"]] == [model.label for model in load().models]
    for entry, model in zip(payload["models"], load().models, strict=True):
        assert entry["source"] == model.source
        assert entry["allowed"] == list(model.allowed)
        expected = cost(model) if model.kind == "embedder" else rerank_cost(model)
        assert entry["cost"]["usd"] == expected.usd
        assert entry["cost"]["bytes"] == expected.bytes
        assert entry["cost"]["seconds"] == expected.seconds
        assert (entry["cost"]["basis"], entry["cost"]["by"]) == (expected.basis, expected.by)
        assert (entry["cost"]["seconds"] is not None) == (model.kind == "embedder")
    by_model = {entry["model"]: entry for entry in payload["models"]}
    assert by_model["static"]["cost"]["chunks"] == 1_000_000
    assert by_model["voyage:rerank-3"]["cost"]["searches"] == 1_000


# Advice


@pytest.mark.parametrize("purpose", PURPOSES)
def test_reasons_come_before_the_table(run: Run, purpose: Purpose) -> None:
    advice = [*recommend(purpose), *recommend(purpose, kind="reranker")]
    lines = run("--for", purpose).out.splitlines()
    assert lines[: len(advice)] == [f"{one.model.label}: {one.reason}" for one in advice]
    table = {line.split()[0] for line in lines[len(advice) :] if line.strip()}
    suited = {model.label for model in load().models if purpose in model.purposes}
    listed = table & {model.label for model in load().models}
    assert listed == suited | {one.model.label for one in advice}
    payload = json.loads(run("--for", purpose, "--json").out)
    assert [entry["reason"] for entry in payload["recommended"]] == [one.reason for one in advice]
    assert payload["purpose"] == purpose


def test_reasons_are_folded_for_a_terminal(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = at_width(run, monkeypatch, 80, "--for", "code", "--provider", "voyage")
    assert lines[0] == "voyage:voyage-code-4"
    assert lines[1].startswith("  Made for code; ")
    assert lines[2].startswith("  ")
    assert "voyage:rerank-3" in lines
    assert not any(line.startswith("mistral") for line in lines)


def test_help_names_every_purpose(run: Run) -> None:
    words = set(re.findall(r"[\w-]+", run("--help").out))
    assert set(PURPOSES) <= words
    assert "check" in words


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--for", "poetry"), "'poetry' is none of code, multilingual,"),
        (("--provider", "voyag"), "'voyag' is not listed; listed: static,"),
        (("--json", "check", "static"), "options before 'check' belong to the list"),
    ],
)
def test_wrong_usage_is_said(run: Run, arguments: tuple[str, ...], said: str) -> None:
    ran = run(*arguments)
    assert ran.code == 2
    assert said in ran.err
    assert ran.out == ""


# Check


def test_check_embeds_a_text_with_the_real_model(run: Run) -> None:
    ran = run("check", "static")
    assert (ran.code, ran.err) == (0, "")
    rows = dict(line.split(maxsplit=1) for line in ran.out.splitlines())
    assert rows["model"] == "static"
    assert rows["dims"] == "256"
    assert rows["norm"] == "1.000000"
    assert re.fullmatch(r"[\d,.]+ ms, loading included", rows["latency"])
    assert rows["price"] == "free"
    assert rows["registry"] == "agrees"
    assert re.fullmatch(r"chunks +free, 1\.0 GB, \d+ (s|min|h)", rows["1M"])
    assert re.fullmatch(
        r"the [\d,.]+ ms that one chunk took just now, one after the other", rows["time"].strip()
    )


def test_check_asks_for_the_size_it_is_told(run: Run) -> None:
    checked = json.loads(run("check", "static", "--dims", "64", "--json").out)
    assert (checked["dims"], checked["expected_dims"]) == (64, 64)
    assert checked["space"] == str(StaticEmbedder(dims=64).space)
    assert checked["norm"] == pytest.approx(1.0, abs=1e-6)
    assert checked["ms"] > 0
    assert (checked["usd"], checked["tokens"]) == (0.0, None)
    assert checked["agrees"] is True
    assert checked["problems"] == []


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("static", "--dims", "100"), "static: dims = 100 is none of its sizes; choose 64, 128 or 256"),
        (
            ("voyage:rerank-3", "--dims", "64"),
            "voyage:rerank-3 is a reranker and makes no vectors: name an embed",
        ),
        (("voyage:rerank-3",), "VOYAGE_API_KEY"),
        (("voyage:voyage-4", "--rerank"), "is an embedder and does not rerank"),
        (("none", "--rerank"), "'none' is no reranker"),
        (("voyage-4",), "'voyage-4' names no provider; did you mean voyage:voyage-4?"),
        (("bge-base-en-v1.5",), "did you mean sentence-transformers:BAAI/bge-base-en-v1.5?"),
        (("nobody:model",), "no provider 'nobody'"),
        (("voyage:voyage-4",), "VOYAGE_API_KEY"),
    ],
)
def test_check_fails_in_one_line(
    run: Run, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], said: str
) -> None:
    monkeypatch.delenv("VOYAGE_API_KEY", raising=False)
    ran = run("check", *arguments)
    assert ran.code == 1
    assert ran.out == ""
    assert ran.err.startswith("error: ")
    assert ran.err.count("\n") == 1
    assert said in ran.err


def test_check_asks_a_service_and_says_what_that_cost(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test-0123456789abcdefghij")
    with ProviderDouble() as double:
        place = double.base("openai")
        checked = json.loads(run("check", "openai:text-embedding-3-small", "--base-url", place, "--json").out)
        shorter = json.loads(
            run("check", "openai:text-embedding-3-small", "--dims", "256", "--base-url", place, "--json").out
        )
    assert checked["agrees"] is True
    assert (checked["dims"], shorter["dims"]) == (1536, 256)
    assert checked["tokens"] > 0
    assert checked["usd"] == pytest.approx(checked["tokens"] * 0.02e-6)


@pytest.mark.parametrize("latency", [0.0, 0.3])
def test_check_says_what_a_million_chunks_would_take_from_here(
    run: Run, monkeypatch: pytest.MonkeyPatch, latency: float
) -> None:
    monkeypatch.setenv("VOYAGE_API_KEY", "pa-test-0123456789abcdefghij")
    with ProviderDouble(latency=latency) as double:
        place = double.base("voyage")
        checked = json.loads(
            run("check", "voyage:voyage-4", "--dims", "512", "--base-url", place, "--json").out
        )
        ran = run("check", "voyage:voyage-4", "--base-url", place)
        place, own = double.base("ollama"), ("check", "openai:all-minilm", "--dims", "384", "--json")
        unknown = json.loads(run(*own, "--base-url", place).out)
    cost_ = checked["cost"]
    assert (cost_["chunks"], cost_["bytes"]) == (1_000_000, 1_000_000 * 512 * 4)
    assert cost_["usd"] == pytest.approx(28.80)
    assert cost_["chunk_ms"] >= latency * 1000
    # 1,502 requests of 666 texts, four at once, but no more than eight million tokens a minute.
    flowing = 1_502 * cost_["chunk_ms"] / 1000 / 4
    assert cost_["seconds"] == pytest.approx(max(flowing, 3_600))
    assert cost_["by"] == ("checked" if flowing > 3_600 else "rate limit")
    assert checked["tokens"] > 300, "the query and a chunk"
    rows = dict(line.split(maxsplit=1) for line in ran.out.splitlines())
    assert re.fullmatch(r"chunks +\$28\.80, 4\.1 GB, \d+ (min|h)", rows["1M"])
    assert "at least" in rows["time"]
    assert (unknown["cost"]["usd"], unknown["listed"]) == (None, False)
    # 64 texts to a request, and no limit is known.
    assert unknown["cost"]["seconds"] == pytest.approx(15_625 * unknown["cost"]["chunk_ms"] / 1000 / 4)


class Fixed:
    """An embedder with one answer, as a service might give it."""

    def __init__(self, vector: Vector, *, tokens: int = 0, usd: float | None = None) -> None:
        self._vector = vector
        self._charge = Charge(model="any", purpose="query", tokens=tokens, usd=usd)

    @property
    def space(self) -> Space:
        return Space(model="any", dims=len(self._vector))

    def embed_documents(self, texts: Sequence[str]) -> Vectors:
        return np.stack([self._vector] * len(texts))

    def embed_query(self, text: str) -> Vector:
        assert text
        if self._charge.tokens:
            charge(self._charge)
        return self._vector


@pytest.fixture
def answered(monkeypatch: pytest.MonkeyPatch) -> Callable[[Embedder], None]:
    """Have the next check talk to the given embedder, whatever is named."""

    def put(embedder: Embedder) -> None:
        monkeypatch.setattr(models_check, "_embedder", lambda *_: embedder)

    return put


def unit(dims: int) -> Vector:
    return np.full(dims, dims**-0.5, dtype=np.float32)


def test_check_says_what_the_call_cost(run: Run, answered: Callable[[Embedder], None]) -> None:
    answered(Fixed(unit(1024), tokens=13, usd=13 * 0.06e-6))
    ran = run("check", "voyage:voyage-4")
    assert ran.code == 0
    assert "price       $7.8e-07 for 13 tokens" in ran.out
    answered(Fixed(unit(1024), tokens=13, usd=None))
    assert "price       not known" in run("check", "voyage:voyage-4").out


def test_check_says_that_a_model_was_superseded_or_is_not_listed(
    run: Run, answered: Callable[[Embedder], None]
) -> None:
    answered(Fixed(unit(1024)))
    assert "registry    agrees; voyage-4 takes its place" in run("check", "voyage:voyage-3").out
    ran = run("check", "voyage:voyage-9")
    assert ran.code == 0
    assert "dims        1,024" in ran.out
    assert "registry    does not list this model" in ran.out
    assert run("check", "voyage:voyage-9", "--dims", "512").code == 1


@pytest.mark.parametrize(
    ("vector", "problem"),
    [
        (unit(512), "512 values instead of 1024"),
        (unit(1024) * 2, "a length of 2.0000 instead of 1"),
        (np.full(1024, np.nan, dtype=np.float32), "a length of nan instead of 1"),
    ],
)
def test_check_fails_when_the_model_is_not_what_the_registry_says(
    run: Run, answered: Callable[[Embedder], None], vector: Vector, problem: str
) -> None:
    answered(Fixed(vector))
    ran = run("check", "voyage:voyage-4")
    assert ran.code == 1
    assert f"registry    disagrees: {problem}" in ran.out
    checked = run("check", "voyage:voyage-4", "--json")
    assert checked.code == 1
    assert json.loads(checked.out, parse_constant=pytest.fail)["agrees"] is False


# Check of a reranker


@pytest.mark.parametrize(
    ("model", "tokens", "price"),
    [
        ("voyage:rerank-3", True, None),
        ("cohere:rerank-v3.5", False, 0.002),
        ("jina:jina-reranker-v3.5", True, None),
    ],
)
def test_check_has_a_reranker_tell_an_answer_from_a_pudding(
    run: Run, monkeypatch: pytest.MonkeyPatch, model: str, tokens: bool, price: float | None
) -> None:
    for name in ("VOYAGE_API_KEY", "CO_API_KEY", "JINA_API_KEY"):
        monkeypatch.setenv(name, "pa-test-0123456789abcdefghij")
    provider = model.partition(":")[0]
    with ProviderDouble() as double:
        # A base_url on this machine is sent the provider's own key.
        ran = run("check", model, "--base-url", double.base(provider))
        checked = json.loads(run("check", model, "--base-url", double.base(provider), "--json").out)
    assert (ran.code, ran.err) == (0, "")
    rows = dict(line.split(maxsplit=1) for line in ran.out.splitlines())
    assert list(rows) == ["model", "reranker", "scores", "latency", "price", "registry"]
    assert re.fullmatch(r"[\d.e-]+ for a passage that answers, [\d.e-]+ for one that does not", rows["scores"])
    assert checked["kind"] == "reranker"
    assert checked["answering"] > checked["other"]
    assert (checked["agrees"], checked["problems"], checked["listed"]) == (True, [], True)
    assert bool(checked["tokens"]) is tokens
    assert "call" not in checked
    if price is not None:
        assert (checked["usd"], rows["price"]) == (price, f"${price:g}")


class Ranks:
    """A reranker with one answer."""

    name = "any"

    def __init__(self, *scores: float) -> None:
        self._scores = scores

    def rerank(self, query: str, hits: Sequence[object]) -> list[float]:
        assert query
        assert len(hits) == 2
        return list(self._scores)


@pytest.mark.parametrize("scores", [(0.9, 0.1), (0.5, 0.5), (0.1, np.nan)])
def test_check_fails_if_a_reranker_prefers_the_pudding(
    run: Run, monkeypatch: pytest.MonkeyPatch, scores: tuple[float, float]
) -> None:
    monkeypatch.setattr(models_check, "_reranker", lambda *_: Ranks(*scores))
    ran = run("check", "voyage:rerank-of-tomorrow")
    assert ran.code == 1
    assert "registry    disagrees: " in ran.out
    assert json.loads(run("check", "voyage:any", "--rerank", "--json").out, parse_constant=pytest.fail)[
        "problems"
    ]
    monkeypatch.setattr(models_check, "_reranker", lambda *_: Ranks(0.0, 1.0))
    assert "registry    does not list this model" in run("check", "voyage:any", "--rerank").out


# Code of their own


def test_models_that_run_code_of_their_own_are_marked(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    ran = run("--for", "multilingual")
    (marked,) = [
        line
        for line in ran.out.splitlines()
        if line.startswith("sentence-transformers:Alibaba-NLP/gte-multilingual-base ")
    ]
    assert marked.split()[1] == "*"
    assert "*: runs code of its own" in ran.out
    assert "SentenceTransformerEmbedder(NAME, trust_remote_code=True)" in ran.out
    rows = {line.split()[0]: line.split()[1] for line in run().out.splitlines() if len(line.split()) > 1}
    with_code = {label for label, next_word in rows.items() if next_word == "*"}
    assert "sentence-transformers:NovaSearch/stella_en_400M_v5" in with_code
    assert "sentence-transformers:intfloat/multilingual-e5-base" not in with_code
    entries = json.loads(run("--json").out)["models"]
    assert {entry["model"] for entry in entries if entry["own_code"]} == with_code
    assert "trust_remote_code" not in run("--provider", "voyage").out
    lines = at_width(run, monkeypatch, 80, "--for", "english")
    assert any(line.startswith("NovaSearch/stella_en_1.5B_v5 *") for line in lines)
