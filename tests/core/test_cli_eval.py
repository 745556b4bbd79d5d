from __future__ import annotations

import json
import os
import pty
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest
from ir_measures import nDCG

from cli_runner import Cli, command, environment, settled
from ragweft.cli.recipes import named_recipes, parse_spec
from ragweft.errors import RecipeError
from ragweft.recipe import PRESETS, Recipe, write_recipe
from small_dataset import QUESTIONS, ranked_again, write_articles, write_paragraphs, write_qrels

BASE = (
    "default,dense.engine=flat,retrieval.dense_weight=0.3,retrieval.late_weight=0,retrieval.document_weight=0"
)
"""Plain fusion without Chroma: its numbers hold whatever the default becomes."""
MEANING = f"meaning={BASE},retrieval.dense_weight=1"


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Cli:
    settled(monkeypatch, tmp_path)
    monkeypatch.delenv("RAGWEFT_DATA", raising=False)
    write_paragraphs(tmp_path / "small")
    return Cli(capsys)


def numbers(out: str) -> dict[str, list[str]]:
    """Row name to its cells."""
    rows = [re.split(r"  +", line.strip()) for line in out.splitlines()]
    return {name: cells for name, *cells in rows if cells}


def test_one_recipe_is_a_column_of_numbers(cli: Cli) -> None:
    ran = cli("eval", "small", "--recipe", f"flat={BASE}")
    assert (ran.code, ran.err) == (0, "")
    lines = ran.out.splitlines()
    assert lines[0] == "small: 10 queries, 24 chunks"
    assert "\x1b" not in ran.out
    rows = numbers(ran.out)
    assert list(rows)[:2] == ["nDCG@10", "Recall@5"]
    assert 50 < float(rows["nDCG@10"][0]) <= 100
    assert set(rows) >= {"nDCG@10, dense alone", "nDCG@10, lexical alone", "ms, p50", "ms, p95", "ms, p99"}
    assert rows["chunks"] == ["24"]
    assert rows["USD"] == ["0"]
    assert "interval" not in ran.out, "there is nothing to compare with"


def test_several_recipes_are_compared_with_the_first(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    ran = cli("eval", "small", "--recipe", f"both={BASE}", "--recipe", MEANING, "--recipe", f"again={BASE}")
    assert ran.code == 0, ran.err
    rows = numbers(ran.out)
    assert len(rows["nDCG@10"]) == 3
    gain = float(rows["nDCG@10"][1]) - float(rows["nDCG@10"][0])
    assert float(rows["gain in nDCG@10"][0].replace("\N{MINUS SIGN}", "-")) == pytest.approx(gain, abs=0.11)
    assert rows["gain in nDCG@10"][1] == "0.0"
    assert rows["better/same/worse"][1] == "0/10/0"
    assert rows["p (Holm)"][1] == "1.000"
    assert len(rows["smallest detectable"]) == 1, "where nothing differs there is nothing to detect"
    assert len(rows["95 % interval"]) == 2
    words = " ".join(ran.out.split())
    assert "meaning against both, nDCG@10: " in words
    assert "again against both, nDCG@10: the same score for every query." in words
    assert max(map(len, ran.out.splitlines())) <= 80


def test_recipes_that_do_not_fit_stand_in_a_table_below(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    specs = [word for n in range(4) for word in ("--recipe", f"recipe-number-{n}={BASE},retrieval.k={n + 1}")]
    ran = cli("eval", "small", *specs, "--limit", "4")
    assert ran.code == 0, ran.err
    heads = [line.split() for line in ran.out.splitlines() if line.strip().startswith("recipe-number")]
    assert [head for head in heads if len(head) == 2] == [
        [f"recipe-number-{n}", f"recipe-number-{n + 1}"] for n in (0, 2)
    ]
    assert max(map(len, ran.out.splitlines())) <= 60


def test_json_holds_everything_and_is_alone_on_stdout(cli: Cli) -> None:
    ran = cli(
        "eval", "small", "--recipe", f"flat={BASE}", "--recipe", MEANING, "--json", "--measure", "Pass@5",
        "--seed", "7", "--depth", "20",
    )  # fmt: skip
    assert (ran.code, ran.err) == (0, "")
    found = json.loads(ran.out, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
    assert (found["dataset"], found["items"], found["queries"]) == ("small", 24, list(QUESTIONS))
    first, second = found["evaluations"]
    assert (first["label"], second["label"]) == ("flat", "meaning")
    assert first["fingerprint"] == parse_spec(BASE)[1].fingerprint
    assert "Recall@100" not in first["mean"], "only twenty hits were judged"
    assert list(first["scores"]) == list(first["mean"]) == list(first["legs"]["dense"]["scores"])
    assert len(first["scores"]["nDCG@10"]) == len(first["wall_ms"]["each"]) == 10
    assert first["mean"]["MRR@10"] == pytest.approx(sum(first["scores"]["MRR@10"]) / 10, abs=1e-5)
    assert first["wall_ms"]["p50"] <= first["wall_ms"]["p95"] <= first["wall_ms"]["p99"]
    assert first["usage"] == {"tokens": 0, "usd": 0.0, "calls": 0, "unpriced": 0, "unanswered": 0}
    comparison = found["comparison"]
    assert (comparison["measure"], comparison["baseline"], comparison["seed"]) == ("Pass@5", "flat", 7)
    (difference,) = comparison["differences"]
    assert difference["label"] == "meaning"
    gain = second["mean"]["Pass@5"] - first["mean"]["Pass@5"]
    assert difference["interval"]["mean"] == pytest.approx(gain, abs=1e-5)


def test_indexes_are_kept_where_asked_and_used_again(cli: Cli) -> None:
    asked = ("eval", "small", "--recipe", f"flat={BASE}", "--work", "kept", "--json")
    first, again = (json.loads(cli(*asked).out) for _ in range(2))
    (of_dataset,) = Path("kept").iterdir()
    assert of_dataset.name.startswith("small-")
    assert [folder.name for folder in of_dataset.iterdir()] == [first["evaluations"][0]["fingerprint"]]
    for name in ("index_seconds", "scores"):
        assert first["evaluations"][0][name] == again["evaluations"][0][name]
    assert cli("eval", "small", "--recipe", MEANING, "--work", "kept", "--limit", "2").code == 0
    assert len(list(of_dataset.iterdir())) == 2, "other queries of the same texts need no other folder"


def test_spans_score_whatever_the_recipes_cut(cli: Cli, tmp_path: Path) -> None:
    write_articles(tmp_path / "articles")
    ran = cli("eval", "articles", "--chunks", "recipe", "--recipe", f"flat={BASE}")
    assert ran.code == 0, ran.err
    assert ran.out.startswith("articles: 10 queries, 4 documents\n")
    rows = numbers(ran.out)
    assert float(rows["SpanRecall@5"][0]) > 90
    assert 0 < float(rows["SpanIoU@5"][0]) < float(rows["SpanRecall@5"][0])
    assert "Pass@5" not in rows


def test_runs_are_saved_for_other_tools(cli: Cli) -> None:
    ran = cli("eval", "small", "--recipe", f"flat={BASE}", "--save-run", "runs", "--json")
    assert ran.code == 0
    assert ran.err == "wrote runs/flat.run\n"
    (found,) = ranked_again(Path("runs/flat.run"), Path("runs/small.qrels"), nDCG @ 10).values()
    assert json.loads(ran.out)["evaluations"][0]["mean"]["nDCG@10"] == pytest.approx(found, abs=1e-6)


def test_a_report_is_written(cli: Cli) -> None:
    ran = cli("eval", "small", "--recipe", f"flat={BASE}", "--recipe", MEANING, "--html", "report.html")
    assert ran.code == 0, ran.err
    assert ran.err == "wrote report.html\n"
    text = Path("report.html").read_text()
    assert "flat" in text
    assert "meaning" in text


def test_on_a_terminal_the_best_is_marked(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    ran = cli("eval", "small", "--recipe", f"flat={BASE}", "--recipe", f"{BASE},retrieval.dense_weight=1")
    assert ran.code == 0
    (best,) = re.findall(r"nDCG@10 [^\n]*\x1b\[1m *([\d.]+)\x1b", ran.out)
    shown = re.sub(r"\x1b\[[\d;]*m", "", ran.out)
    assert float(best) == max(map(float, numbers(shown)["nDCG@10"]))


def test_warnings_are_said_on_stderr(cli: Cli, tmp_path: Path) -> None:
    write_qrels(tmp_path / "small" / "qrels" / "test.tsv", [("q1", "bees-0", 1), ("q1", "wasps-0", 1)])
    ran = cli("eval", "small", "--recipe", f"flat={BASE}", "--json")
    assert ran.code == 0
    said = ran.err.splitlines()
    assert len(said) == 1
    assert said[0].startswith("warning: ")
    assert said[0].endswith("1 judgements name texts that are not there; they are left out")
    assert len(json.loads(ran.out)["queries"]) == 1


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("nowhere",), 1, "error: nowhere: there is no such folder; check the name, or set RAGWEFT_DATA"),
        (("small", "--split", "dev"), 1, "no split 'dev'; there: test"),
        (("small", "--recipe", "fast"), 1, "'fast' is no preset (default, contextual-retrieval)"),
        (("small", "--recipe", "x=default", "--recipe", "x=default"), 1, "two recipes are named 'x'"),
        (("small", "--measure", "F1"), 2, "'F1' is not measured here; choose one of nDCG@10, "),
        (("small", "--depth", "5"), 2, "--depth"),
        (("small", "--chunks", "mine"), 2, "--chunks"),
        (("small", "--html", "no/such/folder.html"), 2, "name a file in a folder that exists"),
        (("small", "--save-run", "small/queries.jsonl"), 2, "is a file; name a folder"),
        (("small", "--work", "small/queries.jsonl"), 2, "is a file; name a folder"),
    ],
)
def test_what_cannot_be_done_is_said_before_any_work(
    cli: Cli, arguments: tuple[str, ...], code: int, said: str
) -> None:
    ran = cli("eval", *arguments)
    assert (ran.code, ran.out) == (code, "")
    assert said in " ".join(ran.err.split())


def test_what_a_recipe_on_the_command_line_means(tmp_path: Path) -> None:
    other = Recipe(retrieval=PRESETS["contextual-retrieval"].retrieval)
    (tmp_path / "kb").mkdir()
    (tmp_path / "kb" / "ragweft.toml").write_text(write_recipe(other))
    assert parse_spec("default") == ("default", Recipe())
    assert parse_spec(f"{tmp_path}/kb") == ("kb", other)
    assert parse_spec(f"mine={tmp_path}/kb/ragweft.toml") == ("mine", other)
    assert parse_spec(f"{tmp_path}/kb/ragweft.toml")[0] == "kb"
    name, recipe = parse_spec("retrieval.dense_weight=1,chroma.ssl=true,rerank.model=none")
    assert name == "default dense_weight=1 ssl=true model=none"
    assert type(recipe.retrieval.dense_weight) is float
    assert recipe.chroma.ssl is True
    _, recipe = parse_spec("default,chroma.tenant=123,chroma.host='localhost',retrieval.dense_weight=auto")
    assert (recipe.chroma.tenant, recipe.chroma.host) == ("123", "localhost")
    _, recipe = parse_spec("default,chunking.size=100,context.max_tokens=40")
    assert (recipe.chunking.size, recipe.context.max_tokens) == (100, 40), "checked together"
    assert list(named_recipes([])) == ["default"]


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ("default,retrieval.dense_wieght=1", "unknown key 'dense_wieght' in [retrieval]; did you mean 'dense_weight'?"),
        ("default,retrival.k=1", "unknown section 'retrival'; did you mean 'retrieval'?"),
        ("default,retrieval.k=many", "[retrieval] k = 'many' must be a whole number"),
        ("default,retrieval.dense_weight=2", "[retrieval] dense_weight = 2.0 must be between 0.0 and 1.0"),
        ("default,dense.engine=faiss", "[dense] engine = 'faiss' is not one of"),
        ("default,chunking.size=100", "[context] max_tokens = 60 leaves too little"),
        ("default,k", "'k' is no change; write SECTION.KEY=VALUE"),
        ("mine=", "'' is no preset"),
    ],
)  # fmt: skip
def test_a_wrong_recipe_is_named_with_its_key(spec: str, said: str) -> None:
    with pytest.raises(RecipeError) as caught:
        parse_spec(spec)
    assert str(caught.value).startswith(f"--recipe {spec}: ")
    assert said in str(caught.value)


def test_an_interrupted_evaluation_goes_on_where_it_stopped(tmp_path: Path) -> None:
    """Interrupted at a terminal while the first recipe is evaluated, then run again."""
    write_paragraphs(tmp_path / "small")
    asked = command("eval", "small", "--recipe", f"flat={BASE}", "--work", "kept", "--json")
    leader, follower = pty.openpty()
    process = subprocess.Popen(
        asked, cwd=tmp_path, env=environment(), stdout=subprocess.PIPE, stderr=follower, stdin=follower
    )
    os.close(follower)
    kept = tmp_path / "kept"
    while process.poll() is None and not list(kept.glob("*/*/evaluation.json")):
        time.sleep(0.01)
    process.send_signal(2)
    out, _ = process.communicate(timeout=60)
    os.close(leader)
    assert process.returncode in (0, 130)
    assert bool(out) == (process.returncode == 0)
    done = subprocess.run(asked, cwd=tmp_path, env=environment(), capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    assert len(json.loads(done.stdout)["queries"]) == 10


@pytest.mark.parametrize(("module", "package"), [("ir_measures", "ir-measures"), ("matplotlib", "matplotlib")])
def test_a_missing_package_is_named_before_any_work(
    cli: Cli, monkeypatch: pytest.MonkeyPatch, module: str, package: str
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    ran = cli("eval", "small", "--html", "report.html")
    assert (ran.code, ran.out) == (1, "")
    assert ran.err == f"error: {package} is not installed: run  pip install 'ragweft[eval]'\n"
