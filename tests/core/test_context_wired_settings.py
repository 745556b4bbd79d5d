"""Contexts a language model writes, by every setting and on every way into an index."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from context_index import asked, body, chunks_of, made, patient, spec, written
from context_index import chat_double as chat_double
from context_index import filled_port as filled_port
from context_index import keyed_cli as keyed_cli
from context_made import HAIKU, paragraph
from ragweft import Document, Index, Recipe
from ragweft.context import LLMContextualizer
from ragweft.recipe import Chunking, Context, Dense
from ragweft.types import Chunk

if TYPE_CHECKING:
    from cli_runner import Cli
    from provider_double.chat import ChatDouble

MESSAGES = "/v1/messages"


def test_appended_contexts_stand_behind_their_chunks(cli: Cli, double: ChatDouble, port: Path) -> None:
    assert (
        cli("sync", str(port), "--index", "kb", "--recipe", spec(double, "context.placement=append")).code == 0
    )
    chunks = chunks_of("kb", "port")
    for chunk in chunks:
        own = chunk.context.startswith("Situating")
        assert chunk.context_last == own
        if own:
            assert chunk.indexed_text == f"{chunk.text}\n\n{chunk.context}"
            assert chunk.indexed_text[chunk.text_start :].startswith(chunk.text)
    found = json.loads(cli("search", "definitions given earlier on", "--index", "kb", "--json").out)
    assert "Situating" in found["hits"][0]["context"]
    assert cli("verify", "--index", "kb").code == 0
    paid = asked(double)
    rows = len(chunks)
    assert cli("reindex", "context.placement=prepend", "--index", "kb").code == 0
    turned = chunks_of("kb", "port")
    assert not any(chunk.context_last for chunk in turned)
    assert len(turned) == rows
    assert asked(double) == paid, "where it stands is no other context"


def test_an_index_goes_over_to_contexts_and_back(cli: Cli, double: ChatDouble, port: Path) -> None:
    assert cli("sync", str(port), "--index", "kb", "--recipe", "default,dense.engine=flat").code == 0
    assert not Path("kb/contexts.db").exists()
    change = (
        "context.kind=llm",
        f"context.model={HAIKU}",
        f"context.base_url={double.base('anthropic')}",
    )
    planned = json.loads(cli("reindex", *change, "--index", "kb", "--dry-run", "--json").out)
    assert double.billed == []
    assert planned["texts"] >= planned["contexts"] > 0, "with a new context a text is embedded anew"
    ran = cli("reindex", *change, "--index", "kb", "--json")
    assert ran.code == 0, ran.err
    assert planned["usd"] == pytest.approx(double.usd, rel=0.05)
    assert json.loads(ran.out)["usage"]["usd"] == pytest.approx(double.usd)
    assert written(chunks_of("kb", "port")).count(False) == 1
    paid = asked(double)
    assert cli("sync", str(port), "--index", "kb").code == 0
    assert cli("reindex", "context.kind=outline", "--index", "kb").code == 0
    assert not any(written(chunks_of("kb", "port")))
    ran = cli("reindex", "context.kind=llm", "--index", "kb", "--json")
    assert json.loads(ran.out)["usage"]["calls"] == 0
    assert written(chunks_of("kb", "port")).count(False) == 1
    assert asked(double) == paid
    assert "max_tokens = 0" in Path("kb/ragweft.toml").read_text(), "each kind has its own size"


def test_a_reindex_tells_what_failed_and_makes_up_for_it(cli: Cli, double: ChatDouble, port: Path) -> None:
    assert cli("sync", str(port), "--index", "kb", "--recipe", "default,dense.engine=flat").code == 0
    double.fail("anthropic", path=MESSAGES, after=3, refusal=True)
    change = ("context.kind=llm", f"context.model={HAIKU}", "context.at_once=1")
    ran = cli("reindex", *change, f"context.base_url={double.base('anthropic')}", "--index", "kb")
    assert ran.code == 0, ran.err
    assert "kept the outline context" in ran.err
    paid = asked(double)
    assert cli("reindex", "--index", "kb").code == 0
    assert asked(double) == paid + 1
    assert written(chunks_of("kb", "port")).count(False) == 1


def test_looking_costs_nothing(cli: Cli, double: ChatDouble, port: Path) -> None:
    recipe = spec(double)
    shown = cli("chunks", str(port / "log.md"), "--recipe", recipe)
    assert shown.code == 0, shown.err
    assert "contexts are still to be written" in shown.out
    assert double.requests == []
    assert cli("sync", str(port), "--index", "kb", "--recipe", recipe).code == 0
    sent = len(double.requests)
    payload = json.loads(cli("chunks", str(port / "log.md"), "--index", "kb", "--json").out)
    assert payload["unwritten"] == 0
    assert all(chunk["context"].startswith("Situating") for chunk in payload["chunks"])
    assert len(double.requests) == sent
    with Index.open("kb", read_only=True) as index:
        assert index.search("harbour crane")
        assert index.status().chunks > 5
        index.estimate(port)
    shutil.copytree("kb", "copy")
    Path("copy/contexts.db").unlink()
    with Index.open("copy", read_only=True) as index:
        assert index.search("harbour crane"), "an index is read without what it was written with"
    assert len(double.requests) == sent


def test_a_batch_is_half_the_price_and_taken_in(
    cli: Cli, double: ChatDouble, port: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    patient(monkeypatch, wait=60.0)
    recipe = spec(double, "context.batch=true")
    planned = json.loads(cli("sync", str(port), "--index", "kb", "--recipe", recipe, "--dry-run", "--json").out)
    ran = cli("sync", str(port), "--index", "kb", "--recipe", recipe, "--json")
    assert ran.code == 0, ran.err
    assert len(double.batches) == 2, "the first chunk of every document, then all the others"
    assert all(one.batch for one in double.billed)
    assert json.loads(ran.out)["usage"]["usd"] == pytest.approx(double.usd)
    assert planned["usd"] == pytest.approx(double.usd, rel=0.05)
    assert written(chunks_of("kb", "port")).count(False) == 1
    assert json.loads(cli("sync", str(port), "--index", "kb", "--json").out)["usage"]["calls"] == 0
    assert len(double.batches) == 2


def test_what_a_batch_brings_later_the_next_sync_takes_in(
    cli: Cli, double: ChatDouble, port: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    patient(monkeypatch, wait=0.05)
    double.polls = 10**9
    ran = cli("sync", str(port), "--index", "kb", "--recipe", spec(double, "context.batch=true"))
    assert ran.code == 0, ran.err
    assert "is under way; sync again to take it in" in ran.err
    assert not any(written(chunks_of("kb", "port")))
    patient(monkeypatch, wait=60.0)
    double.polls = 1
    assert cli("sync", str(port), "--index", "kb").code == 0
    chunks = chunks_of("kb", "port")
    assert written(chunks).count(False) == 1
    assert len(double.billed) == len(chunks) - 1
    with Index.open("kb") as index:
        assert index.status().spent.usd == pytest.approx(double.usd)


def test_given_chunks_are_left_as_they_are(cli: Cli, double: ChatDouble) -> None:
    with Index.open("kb", recipe=made(double)) as index:
        own = [Chunk(id=f"c{n}", document_id="given", text=paragraph(n)) for n in range(3)]
        assert index.add(own).usage.calls == 0
        assert [hit.chunk.context for hit in index.document("given")] == ["", "", ""]
        whole = Document(id="whole", text=body(20, 4))
        assert index.add(whole).usage.calls == asked(double) > 1
        paid = asked(double)
        assert index.add(whole).unchanged == 1
    assert asked(double) == paid


def test_a_model_of_ones_own_keeps_its_contexts_with_the_index(tmp_path: Path, port: Path) -> None:
    said: list[str] = []

    def model(prompt: str) -> str:
        said.append(prompt)
        return f"Of berth matters, number {len(said)}, in the port's own log"

    recipe = Recipe(dense=Dense(engine="flat"))
    with Index.open(tmp_path / "kb", recipe=recipe, contextualizer=LLMContextualizer(model)) as index:
        report = index.sync(port)
        assert report.usage.calls == len(said) > 5
        assert report.usage.unpriced == len(said)
        assert "Of berth matters" in index.search("harbour crane")[0].chunk.context
    before = len(said)
    shutil.rmtree(tmp_path / "kb" / "lexical")
    (port / "log.md").rename(port / "diary.md")
    with Index.open(tmp_path / "kb", contextualizer=LLMContextualizer(model)) as index:
        assert index.sync(port).added == 1
    assert len(said) == before
    assert (tmp_path / "kb" / "contexts.db").exists()


def test_a_chunk_and_its_context_fit_the_size(cli: Cli, double: ChatDouble, port: Path) -> None:
    double.reply = lambda prompt: "Of many matters of the port. " * 40 + str(len(prompt))
    recipe = Recipe(chunking=Chunking(size=240), context=made(double).context, dense=Dense(engine="flat"))
    with Index.open("kb", recipe=recipe) as index:
        index.sync(port)
    from ragweft.embedding.static import StaticEmbedder

    count = StaticEmbedder().encode
    for chunk in chunks_of("kb", "port"):
        assert len(count(chunk.indexed_text).ids) <= 240
        assert len(count(chunk.context).ids) <= 100


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ("context.model=anthropic:", "names no model"),
        ("context.model=nobody:x", "nobody"),
        ("context.model=", "needs a model"),
        ("context.placement=around", "'prepend', 'append'"),
        ("context.max_tokens=5", "use at least 8"),
    ],
)
def test_a_recipe_that_cannot_be_asked_makes_no_index(
    cli: Cli, double: ChatDouble, port: Path, change: str, says: str
) -> None:
    ran = cli("sync", str(port), "--index", "kb", "--recipe", f"default,context.kind=llm,{change}")
    assert ran.code == 1
    assert ran.err.count("\n") == 1
    assert says in ran.err or "model" in ran.err
    assert not Path("kb/ragweft.toml").exists()


def test_no_batches_where_there_are_none(cli: Cli, double: ChatDouble, port: Path) -> None:
    ran = cli(
        "sync",
        str(port),
        "--index",
        "kb",
        "--recipe",
        spec(double, "context.batch=true", model="google:gemini-3.5-flash-lite"),
    )
    assert ran.code == 1
    assert "takes no batches" in ran.err
    assert not Path("kb/ragweft.toml").exists()


def test_what_only_reaches_the_model_does_not_make_another_index(double: ChatDouble) -> None:
    usual = made(double)
    reaching: dict[str, object] = {
        "batch": True,
        "at_once": 9,
        "usd_input": 3.0,
        "usd_output": 3.0,
        "window": 9_000,
    }
    for name, value in reaching.items():
        assert made(double, **{name: value}).indexing == usual.indexing
    assert Recipe(context=Context(kind="llm", model=HAIKU)).indexing == usual.indexing
    deciding: dict[str, object] = {"placement": "append", "max_tokens": 80}
    for name, value in deciding.items():
        assert made(double, **{name: value}).indexing != usual.indexing
    assert Recipe(context=Context(max_tokens=60, model="x")).indexing == Recipe().indexing, (
        "60 is the outline's own"
    )


def test_highlights_are_where_they_were_found_wherever_the_context_stands() -> None:
    from ragweft.reranking.pieces import Piece, Scored, merged
    from ragweft.types import Citation, Hit, Span

    for last in (False, True):
        chunk = Chunk(id="c", document_id="d", text="bees make honey", context="Of hives", context_last=last)
        hit = Hit(chunk=chunk, score=1.0, origins={}, citation=Citation(source="d", uri="d"))
        sent = chunk.indexed_text
        spans = [(sent.index("honey"), sent.index("honey") + 5), (sent.index("hives"), sent.index("hives") + 5)]
        scored = Scored(piece=Piece(place=0, text=sent, start=0), score=0.5, spans=spans)
        assert merged([scored], [hit])[0].highlights == (Span(start=10, end=15),)


def test_importing_the_contextualizer_loads_no_services_package() -> None:
    code = "from ragweft.context import LLMContextualizer; import ragweft.generation, sys; print(*sys.modules)"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {name.partition(".")[0] for name in out.stdout.split()} & {
        "anthropic",
        "openai",
        "google",
        "httpx",
    }


def test_a_missing_package_is_named_with_its_remedy(
    cli: Cli, double: ChatDouble, port: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "anthropic", None)
    ran = cli("sync", str(port), "--index", "kb", "--recipe", spec(double))
    assert ran.code == 1
    assert 'pip install "ragweft[anthropic]"' in ran.err or "pip install 'ragweft[anthropic]'" in ran.err
    monkeypatch.undo()


def test_the_python_of_the_page_on_contexts_runs(tmp_path: Path, docs: Path) -> None:
    page = (Path(__file__).parents[2] / "docs" / "context.md").read_text()
    code = "\n".join(re.findall(r"```python\n(.*?)```", page, flags=re.DOTALL))
    assert docs.parent == tmp_path
    assert "LLMContextualizer(" in code
    (docs / "port.md").write_text(f"# Port\n\n{body(0, 4)}")
    (docs / "context.md").write_text(page)
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    with Index.open(tmp_path / "kb") as index:
        assert any("how they are rotated" in hit.chunk.context for hit in index.search("harbour crane"))
        assert index.status().incomplete == 0, "an answer does not repeat the page that shows it"
