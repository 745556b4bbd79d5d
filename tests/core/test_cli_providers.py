"""Two services behind the command line: Cohere embeds, Voyage reranks, every dollar is counted."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cli_runner import Cli, settled
from provider_double import BAD_KEY, ProviderDouble
from ragweft import Document, Index
from ragweft.errors import BudgetExceeded, ProviderError, RagweftError, SpaceMismatch
from ragweft.recipe import Embedding, Recipe, Rerank
from ragweft.retrieval.legs import LexicalLeg

pytestmark = pytest.mark.filterwarnings("ignore:The 'warn' method is deprecated:DeprecationWarning")
KEY = "sk-test-0123456789abcdefghij"
PAGES = {
    "bees.md": "# Bees\n\nBees make honey in a hive and dance to tell where flowers are.\n",
    "clocks.md": "# Clocks\n\nA clock has hands and a pendulum that swings.\n",
    "rivers.md": "# Rivers\n\nA river runs from its spring to the sea.\n",
}


@pytest.fixture
def cli(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Cli:
    settled(monkeypatch, tmp_path)
    return Cli(capsys)


@pytest.fixture
def pages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "pages"
    folder.mkdir()
    for name, text in PAGES.items():
        (folder / name).write_text(text)
    monkeypatch.setenv("CO_API_KEY", KEY)
    monkeypatch.setenv("VOYAGE_API_KEY", KEY)
    return folder


def spec(double: ProviderDouble) -> str:
    return (
        f"default,embedding.model=cohere:embed-v4.0,embedding.base_url={double.base('cohere')},"
        f"rerank.model=voyage:rerank-2.5,rerank.base_url={double.base('voyage')}"
    )


def recipe(double: ProviderDouble, **embedding: Any) -> Recipe:
    chosen = {"model": "cohere:embed-v4.0", "base_url": double.base("cohere"), **embedding}
    return Recipe(embedding=Embedding(**chosen))


def test_cohere_embeds_and_voyage_reranks(cli: Cli, double: ProviderDouble, pages: Path) -> None:
    planned = cli("sync", str(pages), "--index", "kb", "--recipe", spec(double), "--dry-run", "--json")
    assert planned.code == 0, planned.err
    estimate = json.loads(planned.out)
    assert (estimate["documents"], estimate["texts"]) == (3, 3)
    assert estimate["space"].startswith("cohere:embed-v4.0/1536")
    assert double.requests == [], "a dry run asks nobody"

    ran = cli("sync", str(pages), "--index", "kb", "--recipe", spec(double), "--json")
    assert ran.code == 0, ran.err
    usage = json.loads(ran.out)["usage"]
    assert usage["calls"] == len(double.calls("cohere")) == 1
    assert 0 < usage["usd"] <= estimate["usd"]
    assert usage["tokens"] <= estimate["tokens"]

    found = cli("search", "who makes honey", "--index", "kb", "-k", "2", "--json")
    assert found.code == 0, found.err
    payload = json.loads(found.out)
    assert payload["hits"][0]["citation"]["source"].endswith("bees.md")
    assert "rerank" in payload["hits"][0]["origins"]
    assert payload["usage"]["calls"] == 2
    assert [stage["name"] for stage in payload["trace"]["stages"]][-1] == "rerank"
    assert len(double.calls("voyage", "/rerank")) == 1

    explained = cli("search", "who makes honey", "--index", "kb", "--explain").out
    assert re.search(r"^paid: [\d,]+ tokens, \$\S+, 1 call$", explained, re.MULTILINE), "the reranker's"

    shown = cli("status", "--index", "kb").out
    assert re.search(r"^spent +[\d,]+ tokens, \$\S+, 4 calls$", shown, re.MULTILINE)
    assert "cohere:embed-v4.0, documents" in shown
    assert "voyage:rerank-2.5, rerank" in shown
    for file in Path("kb").rglob("*"):
        if file.is_file():
            assert KEY.encode() not in file.read_bytes(), f"the key is in {file}"
    assert "dims = 1536" in (Path("kb") / "ragweft.toml").read_text()


def test_a_dry_run_says_the_price_only_where_there_is_one(
    cli: Cli, double: ProviderDouble, pages: Path
) -> None:
    free = cli("sync", str(pages), "--index", "free", "--dry-run").out
    assert re.search(r"^to embed +3 texts$", free, re.MULTILINE)
    assert "cost" not in free
    paid = cli("sync", str(pages), "--index", "kb", "--recipe", spec(double), "--dry-run").out
    assert re.search(r"^cost +about \$\S+$", paid, re.MULTILINE)
    assert cli("sync", str(pages), "--index", "kb", "--recipe", spec(double)).code == 0
    (pages / "bees.md").write_text(PAGES["bees.md"] + "\nAnd wasps do not.\n")
    changed = cli("sync", str(pages), "--index", "kb", "--dry-run").out
    assert re.search(r"^documents +1 new or changed, 2 unchanged$", changed, re.MULTILINE)


def test_nothing_is_paid_twice(cli: Cli, double: ProviderDouble, pages: Path) -> None:
    assert cli("sync", str(pages), "--index", "kb", "--recipe", spec(double)).code == 0
    (pages / "bees.md").rename(pages / "wasps.md")
    (pages / "copy").mkdir()
    (pages / "copy" / "clocks.md").write_text(PAGES["clocks.md"])
    with Index.open("kb", recipe=None) as index:
        before = len(double.requests)
        moved = index.sync(pages)
        assert (moved.added, moved.removed, moved.usage.calls) == (2, 1, 0)
        assert len(double.requests) == before, "a renamed file and a copy are known"
        assert "wasps.md" in index.search("honey")[0].chunk.context, "words still know of the name"
        pages.rename("moved")
        assert index.sync("moved").usage.calls == 0
        Path("moved").rename(pages)
        index.sync(pages)
        before = len(double.requests)
        (pages / "rivers.md").write_text(PAGES["rivers.md"] + "\n# Lakes\n\nA lake stands still.\n")
        assert index.sync(pages).usage.calls == 1
        texts = [text for request in double.requests[before:] for text in _texts(request.body)]
        assert not any("honey" in text for text in texts), "what did not change is not sent"
        index.remove(source=str(pages))
        before = len(double.requests)
        index.sync(pages)
        assert len(double.requests) == before, "what was removed and came back is known"


def test_a_cap_stops_the_sync_and_a_higher_one_goes_on(
    cli: Cli, double: ProviderDouble, tmp_path: Path, pages: Path
) -> None:
    many = tmp_path / "many"
    many.mkdir()
    for number in range(400):
        (many / f"{number}.md").write_text(f"# Page {number}\n\n" + f"word{number} and more of it. " * 30)
    with Index.open("kb", recipe=recipe(double, at_once=1, dims=256), create=True) as index:
        estimate = index.estimate(many)
        assert estimate.usd is not None
        cap = estimate.usd * 0.3 * (1 - estimate.tuning_tokens / estimate.tokens)
        with pytest.raises(BudgetExceeded, match="raise the cap to go on"):
            index.sync(many, max_usd=cap)
        spent = index.status().spent
        assert 0 < spent.usd <= cap
        sent = sum(len(_texts(request.body)) for request in double.requests)
        report = index.sync(many)
        assert report.added + report.unchanged == 400
        total = sum(len(_texts(r.body)) for r in double.requests if _role(r.body) == "search_document")
        questions = index.status().tuning.queries
        assert total - sent <= estimate.texts - sent + questions + 40, "what the first run paid for was kept"
    ran = cli("sync", str(many), "--index", "kb", "--max-usd", "0")
    assert ran.code == 0, "nothing to do costs nothing"


def test_a_service_that_fails_keeps_what_came(double: ProviderDouble, tmp_path: Path, pages: Path) -> None:
    double.fail("cohere", status=401, message="invalid api token", after=0, times=1)
    with Index.open(tmp_path / "kb", recipe=recipe(double)) as index:
        with pytest.raises(ProviderError, match="check the key"):
            index.sync(pages)
        assert index.status().documents == 0
        assert index.sync(pages).added == 3


def test_a_bad_key_is_never_repeated(
    cli: Cli, double: ProviderDouble, pages: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CO_API_KEY", BAD_KEY)
    ran = cli("sync", str(pages), "--index", "kb", "--recipe", spec(double))
    assert ran.code == 1
    assert "check the key" in ran.err
    assert BAD_KEY[:8] not in ran.err + ran.out


def test_a_recipe_that_cannot_be_made_leaves_none_behind(
    cli: Cli, pages: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CO_API_KEY")
    ran = cli("sync", str(pages), "--index", "kb", "--recipe", "default,embedding.model=cohere:embed-v4.0")
    assert ran.code == 1
    assert "set CO_API_KEY" in ran.err
    assert cli("sync", str(pages), "--index", "kb").code == 1
    assert cli("sync", str(pages), "--index", "kb", "--recipe", "default").code == 0, "another may be chosen"
    assert cli("search", "river", "--index", "kb").code == 0


def test_the_size_is_written_into_a_recipe_that_leaves_it_open(
    double: ProviderDouble, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OLLAMA_API_KEY", KEY)
    for name, head in (("a", "# mine\n[embedding]\n"), ("b", "[embedding]  # mine\ndims = 0\n")):
        folder = tmp_path / name
        folder.mkdir()
        text = f'{head}model = "ollama:strange-embed"\nbase_url = "{double.base("ollama")}"\n'
        (folder / "ragweft.toml").write_text(text)
        before = len(double.requests)
        Index.open(folder).close()
        assert len(double.requests) == before + 1, "an unknown model is asked for its size"
        assert "dims = 384" in (folder / "ragweft.toml").read_text()
        assert "# mine" in (folder / "ragweft.toml").read_text()
        with Index.open(folder) as index:
            assert len(double.requests) == before + 1, "once"
            assert index.status().spent.calls == 1, "and counted"
            (warning,) = index.add(Document(id="a", text="alpha")).warnings
            assert "set [embedding] window" in warning
        sizes = [request.body.get("dimensions") for request in double.requests]
        assert sizes == [None] * len(sizes), "a model nobody knows is not asked for a size"


def test_an_answer_that_comes_too_late_is_paid_for_and_counted(
    cli: Cli, double: ProviderDouble, pages: Path
) -> None:
    assert cli("sync", str(pages), "--index", "kb", "--recipe", spec(double)).code == 0
    file = Path("kb") / "ragweft.toml"
    impatient = re.sub(r"(?m)^seconds = \S+", "seconds = 0.3", file.read_text())
    assert impatient != file.read_text()
    file.write_text(impatient)
    double.fail("voyage", delay=1.0)
    with Index.open("kb") as index:
        found = index.search("who makes honey")
        assert found
        assert any("rerank" in said for said in found.trace.degraded)
    with Index.open("kb") as index:
        paid = {(line.model, line.purpose): line.usage for line in index.status().spent_on}
    assert paid["voyage:rerank-2.5", "rerank"].calls == 1
    assert paid["voyage:rerank-2.5", "rerank"].tokens > 0


def test_a_failing_leg_or_reranker_degrades_and_says_so(cli: Cli, double: ProviderDouble, pages: Path) -> None:
    assert cli("sync", str(pages), "--index", "kb", "--recipe", spec(double)).code == 0
    double.fail("cohere", status=400, message="model is gone", times=9)
    double.fail("voyage", status=400, message="model is gone", times=9)
    found = cli("search", "river spring sea", "--index", "kb", "--json")
    assert found.code == 0, found.err
    payload = json.loads(found.out)
    assert payload["hits"][0]["citation"]["source"].endswith("rivers.md")
    said = " ".join(payload["trace"]["degraded"])
    assert "dense search failed" in said
    assert "the fused order stands" in said


def test_a_search_that_fails_is_paid_all_the_same(double: ProviderDouble, tmp_path: Path, pages: Path) -> None:
    with Index.open(tmp_path / "kb", recipe=recipe(double)) as index:
        index.sync(pages)
        before = index.status().spent.calls
        index.search("who makes honey")
        double.fail("cohere", wrong_dims=True)

        def broken(*_given: object, **_named: object) -> None:
            raise ProviderError("the word index is gone", retryable=False)

        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(LexicalLeg, "ask", broken)
            with pytest.raises(RagweftError, match="word index is gone"):
                index.search("who sells honey")
        assert index.status().spent.calls == before + 2


def test_without_the_key_all_but_embedding_works(
    cli: Cli, double: ProviderDouble, pages: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert cli("sync", str(pages), "--index", "kb", "--recipe", spec(double)).code == 0
    monkeypatch.delenv("CO_API_KEY")
    monkeypatch.delenv("VOYAGE_API_KEY")
    for verb in (("status",), ("verify",), ("show", str(pages / "bees.md"))):
        ran = cli(*verb, "--index", "kb")
        assert ran.code == 0, (verb, ran.err)
    found = cli("search", "river spring sea", "--index", "kb", "--json")
    assert found.code == 0, found.err
    payload = json.loads(found.out)
    assert payload["hits"][0]["citation"]["source"].endswith("rivers.md")
    said = " ".join(payload["trace"]["degraded"])
    assert "set CO_API_KEY" in said
    assert "set VOYAGE_API_KEY" in said


def test_another_model_is_told_apart(cli: Cli, double: ProviderDouble, pages: Path) -> None:
    assert cli("sync", str(pages), "--index", "kb", "--recipe", spec(double)).code == 0
    file = Path("kb") / "ragweft.toml"
    file.write_text(
        file.read_text()
        .replace("cohere:embed-v4.0", "cohere:embed-english-v3.0")
        .replace("dims = 1536", "dims = 0")
    )
    with pytest.raises(SpaceMismatch) as raised:
        Index.open("kb")
    said = str(raised.value)
    assert "cohere:embed-v4.0/1536" in said
    assert "cohere:embed-english-v3.0/1024" in said
    assert "ragweft reindex" in said

    with pytest.raises(
        SpaceMismatch, match=r"embedding.document_prompt is '' and not 'passage: '.*ragweft reindex"
    ):
        Index.open("kb", recipe=replace(recipe(double, document_prompt="passage: "), rerank=Rerank()))


def test_long_texts_are_counted_and_shown(
    cli: Cli, double: ProviderDouble, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "long"
    folder.mkdir()
    (folder / "long.txt").write_text(" ".join(f"word{n}" for n in range(700)))
    chosen = (
        f"default,embedding.model=cohere:embed-english-v3.0,embedding.base_url={double.base('cohere')},"
        "chunking.size=3000,chunking.strategy=fixed"
    )
    monkeypatch.setenv("CO_API_KEY", KEY)
    planned = cli("sync", str(folder), "--index", "kb", "--recipe", chosen, "--dry-run")
    assert "above the model's window" in planned.out
    ran = cli("sync", str(folder), "--index", "kb", "--recipe", chosen)
    assert ran.code == 0, ran.err
    assert "above the model's window" in ran.err
    assert re.search(r"^too long +1 chunk", cli("status", "--index", "kb").out, re.MULTILINE)


def _texts(body: Any) -> list[str]:
    return list(body.get("texts", []))


def _role(body: Any) -> str:
    return str(body.get("input_type", ""))
