"""A question that was paid for is never paid for again: over processes, models and threads."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cli_runner import Cli, command, environment, settled
from conftest import FLAT
from paid_questions import QUESTION, REMEMBERED, Priced, Service, filled, note, rows
from provider_double import ProviderDouble
from ragweft import Document, Index, MultiQuery, Recipe, reindex
from ragweft.embedding.adapters import as_embedder
from ragweft.ledger.query_store import QueryStore
from ragweft.recipe import Embedding
from ragweft.testing import HashEmbedder
from ragweft.types import Results, Usage

pytestmark = pytest.mark.filterwarnings("ignore:The 'warn' method is deprecated:DeprecationWarning")
KEY = "sk-test-0123456789abcdefghij"


@pytest.fixture
def double(monkeypatch: pytest.MonkeyPatch) -> Iterator[ProviderDouble]:
    monkeypatch.setenv("CO_API_KEY", KEY)
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    with ProviderDouble() as running:
        yield running


def cohere(double: ProviderDouble, **embedding: Any) -> Recipe:
    chosen = {"model": "cohere:embed-v4.0", "base_url": double.base("cohere"), **embedding}
    return replace(FLAT, embedding=Embedding(**chosen))


def queries(double: ProviderDouble) -> list[str]:
    """Texts that were embedded as queries."""
    sent = [r.body for r in double.calls("cohere", "/embed") if r.body["input_type"] == "search_query"]
    return [text for body in sent for text in body["texts"]]


def test_two_processes_that_ask_the_same_pay_once(
    double: ProviderDouble, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    settled(monkeypatch, tmp_path)
    filled(tmp_path / "kb", recipe=cohere(double))

    def search() -> Any:
        asked = [*command("search", QUESTION, "--index", "kb", "--json")]
        ran = subprocess.run(asked, env=environment(), capture_output=True, text=True, timeout=60, check=True)
        assert not ran.stderr
        return json.loads(ran.stdout)

    first, second = search(), search()
    assert queries(double) == [QUESTION]
    assert (first["usage"]["calls"], second["usage"]["calls"]) == (1, 0)
    assert first["usage"]["tokens"] > 0
    assert second["usage"]["tokens"] == second["usage"]["usd"] == 0
    assert [REMEMBERED in json.dumps(found["trace"]) for found in (first, second)] == [False, True]
    assert [hit["score"] for hit in first["hits"]] == [hit["score"] for hit in second["hits"]]

    cli = Cli(capsys)
    status = json.loads(cli("status", "--index", "kb", "--json").out)
    (line,) = [line for line in status["spent_on"] if line["purpose"] == "query"]
    assert (line["usage"]["calls"], line["usage"]["tokens"]) == (1, first["usage"]["tokens"])
    assert REMEMBERED in cli("search", QUESTION, "--index", "kb", "--explain").out
    for file in (tmp_path / "kb").rglob("*"):
        if file.is_file():
            assert QUESTION.encode() not in file.read_bytes(), f"{file} holds what was asked"


def test_a_question_asked_again_in_a_process_asks_neither_service_nor_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    service = Priced()
    with Index.open(filled(tmp_path / "kb", service), embedder=service) as index:
        first = index.search(QUESTION)
        monkeypatch.setattr(QueryStore, "get", None)
        again = index.search(QUESTION)
    assert service.asked == [QUESTION]
    assert again.usage == Usage()
    assert (REMEMBERED in note(first), REMEMBERED in note(again)) == (False, True)


def test_local_embedders_look_nothing_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(QueryStore, "get", None)
    monkeypatch.setattr(QueryStore, "put", None)
    free = as_embedder(Service(), usd_per_million=0)
    for name, embedder in (("static", None), ("local", HashEmbedder(dims=32)), ("free", free)):
        with Index.open(filled(tmp_path / name, embedder), embedder=embedder) as index:
            assert REMEMBERED not in note(index.search(QUESTION))
            assert REMEMBERED not in note(index.search(QUESTION))
        assert rows(tmp_path / name) == []


def test_an_embedder_of_ones_own_that_costs_money_is_remembered(tmp_path: Path) -> None:
    first, second = Priced(), Priced()
    with Index.open(filled(tmp_path / "kb", first), embedder=first) as index:
        index.search(QUESTION)
    with Index.open(tmp_path / "kb", embedder=second) as index:
        assert REMEMBERED in note(index.search(QUESTION))
    assert (first.asked, second.asked) == ([QUESTION], [])


def test_nobody_answers_for_an_object_that_does_not_say_what_decides_its_queries(tmp_path: Path) -> None:
    """Under one name it may be another one tomorrow."""

    class Mended(Service):
        def embed_query(self, text: str) -> list[float]:
            return super().embed_query(f"mended: {text}")

    Mended.__name__, Mended.__module__ = Service.__name__, Service.__module__
    first, second = as_embedder(Service()), as_embedder(Mended())
    folder = filled(tmp_path / "kb", first)
    found = []
    for embedder in (first, first, second):
        with Index.open(folder, embedder=embedder) as index:
            found.append(index.search(QUESTION))
    assert [each.usage.calls for each in found] == [1, 1, 1]
    assert rows(folder) == []


def test_what_still_serves_is_noted_once_a_day(tmp_path: Path) -> None:
    embedder = Priced()
    folder = filled(tmp_path / "kb", embedder)

    def used_at(searched: float) -> float:
        with closing(sqlite3.connect(folder / "vectors.db")) as file, file:
            file.execute("UPDATE query_vectors SET used = ?", (searched,))
        with Index.open(folder, embedder=embedder) as index:
            assert REMEMBERED in note(index.search(QUESTION))
        ((*_, used),) = rows(folder)
        return float(used)

    with Index.open(folder, embedder=embedder) as index:
        index.search(QUESTION)
    now = time.time()
    assert used_at(now - 3_600) == now - 3_600, "nothing is written for it"
    assert used_at(now - 90_000) >= now


def test_an_embedder_says_what_decides_its_queries_or_that_none_are_kept(tmp_path: Path) -> None:
    class Telling(Priced):
        def __init__(self, told: str | None) -> None:
            super().__init__()
            self.query_fingerprint = told

    filled(tmp_path / "kb", Priced())
    asked = []
    for told in ("find: ", "find: ", "seek: ", "find: ", None, None):
        embedder = Telling(told)
        with Index.open(tmp_path / "kb", embedder=embedder) as index:
            index.search(QUESTION)
        asked.append(len(embedder.asked))
    assert asked == [1, 0, 1, 0, 1, 1]


def test_a_recipe_may_want_nothing_remembered(tmp_path: Path) -> None:
    forgetful = replace(FLAT, retrieval=replace(FLAT.retrieval, remember_queries=False))
    embedder = Priced()
    filled(tmp_path / "kb", embedder)
    for _ in range(2):
        with Index.open(tmp_path / "kb", recipe=forgetful, embedder=embedder) as index:
            assert REMEMBERED not in note(index.search(QUESTION))
    assert embedder.asked == [QUESTION] * 2
    assert rows(tmp_path / "kb") == []


def test_what_else_is_sent_with_a_question_is_told_apart(double: ProviderDouble, tmp_path: Path) -> None:
    base: dict[str, Any] = {"model": "openai:text-embedding-3-small", "base_url": double.base("openai")}
    filled(tmp_path / "kb", recipe=replace(FLAT, embedding=Embedding(**base)))

    def asked(**settings: Any) -> int:
        chosen = replace(FLAT, embedding=Embedding(**base, **settings))
        before = len(double.calls("openai"))
        with Index.open(tmp_path / "kb", recipe=chosen) as index:
            index.search(QUESTION)
        return len(double.calls("openai")) - before

    assert [asked(), asked()] == [1, 0]
    assert [asked(query_prompt="find: "), asked(query_prompt="find: ")] == [1, 0]
    assert asked() == 0, "both are kept"


def test_another_model_embeds_anew_and_the_first_remembers(double: ProviderDouble, tmp_path: Path) -> None:
    folder = filled(tmp_path / "kb", recipe=cohere(double))
    with Index.open(folder) as index:
        before = index.search(QUESTION)
    for model, sent in (("embed-english-v3.0", 2), ("embed-v4.0", 2)):
        reindex(folder, replace(FLAT, embedding=replace(cohere(double).embedding, model=f"cohere:{model}")))
        with Index.open(folder) as index:
            after = index.search(QUESTION)
        assert queries(double) == [QUESTION] * sent
    assert REMEMBERED in note(after)
    assert [hit.score for hit in after] == [hit.score for hit in before]
    assert len({space for space, *_ in rows(folder)}) == 2


def test_an_open_index_that_is_made_over_does_not_mix(tmp_path: Path, double: ProviderDouble) -> None:
    folder = filled(tmp_path / "kb", recipe=cohere(double))
    with Index.open(folder) as index:
        index.search(QUESTION)
        reindex(folder, replace(FLAT, embedding=replace(cohere(double).embedding, dims=512)))
        found = index.search(QUESTION)
        assert found
        assert not found.trace.degraded
        assert REMEMBERED not in note(found)
    assert sorted(len(vector) for _, _, vector, _ in rows(folder)) == [4 * 512, 4 * 1536]


def test_an_awaited_search_remembers_too(double: ProviderDouble, tmp_path: Path) -> None:
    folder = filled(tmp_path / "kb", recipe=cohere(double))

    async def ask(times: int) -> list[Results]:
        async with Index.open(folder) as index:
            return [await index.asearch(QUESTION) for _ in range(times)]

    found = [*asyncio.run(ask(2)), *asyncio.run(ask(1))]
    assert queries(double) == [QUESTION]
    assert [REMEMBERED in note(each) for each in found] == [False, True, True]
    assert [each.usage.calls for each in found] == [1, 0, 0]


def test_the_event_loop_does_not_wait_for_the_disk(
    double: ProviderDouble, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []
    get, put = QueryStore.get, QueryStore.put

    def watched_get(self: QueryStore, *given: Any) -> Any:
        seen.append(threading.current_thread().name)
        return get(self, *given)

    def watched_put(self: QueryStore, *given: Any, **named: Any) -> None:
        seen.append(threading.current_thread().name)
        put(self, *given, **named)

    monkeypatch.setattr(QueryStore, "get", watched_get)
    monkeypatch.setattr(QueryStore, "put", watched_put)

    async def ask() -> None:
        async with Index.open(filled(tmp_path / "kb", recipe=cohere(double))) as index:
            await index.asearch(QUESTION)

    asyncio.run(ask())
    assert len(seen) == 2
    assert all(name.startswith("ragweft") for name in seen), seen


def test_a_search_does_not_wait_for_what_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    going_on = threading.Event()
    put = QueryStore.put

    def slow(self: QueryStore, *given: Any, **named: Any) -> None:
        assert going_on.wait(60)
        put(self, *given, **named)

    monkeypatch.setattr(QueryStore, "put", slow)
    embedder = Priced()
    with Index.open(filled(tmp_path / "kb", embedder), embedder=embedder) as index:
        asked = [f"{QUESTION} {number}" for number in range(40)]
        assert all(index.search(text) for text in asked), "more than there are threads"
        assert all(REMEMBERED in note(index.search(text)) for text in asked)
        assert rows(tmp_path / "kb") == []
        going_on.set()
    assert len(rows(tmp_path / "kb")) == 40, "closing waits"


def test_many_at_once_are_all_kept(tmp_path: Path) -> None:
    embedder = Priced()
    asked = [f"{QUESTION} {number}" for number in range(60)]
    with Index.open(filled(tmp_path / "kb", embedder), embedder=embedder) as index:
        index.search_many(asked)
    with Index.open(tmp_path / "kb", embedder=embedder) as index:
        assert all(REMEMBERED in note(found) for found in index.search_many(asked))
    assert len(embedder.asked) == 60


def test_labelled_questions_are_remembered_as_they_come(tmp_path: Path) -> None:
    embedder = Priced()
    with Index.open(filled(tmp_path / "kb", embedder), embedder=embedder) as index:
        index.candidates([QUESTION])
        assert len(rows(tmp_path / "kb")) == 1
        assert REMEMBERED in note(index.search(QUESTION))
    assert embedder.asked == [QUESTION]


def test_rephrasings_are_remembered_like_questions(tmp_path: Path) -> None:
    embedder = Priced()
    filled(tmp_path / "kb", embedder)
    for _ in range(2):
        with Index.open(tmp_path / "kb", embedder=embedder) as index:
            MultiQuery(index, lambda _prompt: "which insect is sweet\nhive makers", queries=2).retrieve(
                QUESTION
            )
    assert sorted(embedder.asked) == sorted([QUESTION, "which insect is sweet", "hive makers"])


def test_the_corpus_own_questions_and_those_of_users_are_one(tmp_path: Path) -> None:
    # A title that its text does not repeat is a question the corpus asks itself.
    filler = "ledger rows commit followers journal vectors lexical segments checkpoint generation snapshot"
    documents = [
        Document(id=f"d{n}", title=f"how violet{n} carpets travel", text=f"{filler} number{n}")
        for n in range(60)
    ]
    asked_first, asked_after = "how violet1 carpets travel", "how violet2 carpets travel"
    embedder = Priced()
    with Index.open(tmp_path / "kb", recipe=FLAT, embedder=embedder) as index:
        index.add(documents[:30])
        index.search(asked_first)
        assert embedder.asked == [asked_first], "too few to ask themselves"
    with Index.open(tmp_path / "kb", embedder=embedder) as index:
        index.add(documents[30:])
        assert embedder.asked.count(asked_first) == 1
        assert asked_after in embedder.asked
        sent = len(embedder.asked)
    with Index.open(tmp_path / "kb", embedder=embedder) as index:
        assert REMEMBERED in note(index.search(asked_after))
        assert len(embedder.asked) == sent
    assert len(rows(tmp_path / "kb")) == 1, "kept once"
