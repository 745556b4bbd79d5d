"""An index made over in place: nothing lost, nothing paid twice, nobody who has it open disturbed."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chroma_server import chroma_server
from cli_runner import Cli, settled
from conftest import FLAT
from ragweft import Chunk, Document, Index, estimate_reindex, reindex
from ragweft.errors import BudgetExceeded, IndexLocked, ProviderError, RecipeError, SpaceMismatch
from ragweft.ledger.ledger import Ledger
from ragweft.opening import take_over_recipe
from ragweft.recipe import Chroma, Chunking, Dense, Embedding, Recipe, parse_recipe
from ragweft.testing import HashEmbedder
from ragweft.types import Tuning
from ragweft.vectors.chroma_client import Backend
from ragweft.vectors.chroma_metadata import CLOUD

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from provider_double import ProviderDouble
    from ragweft.types import Vectors

KEY = "sk-test-0123456789abcdefghij"
WORDS = ["bee", "clock", "river", "garden", "honey", "pendulum", "spring", "harvest"]
SMALL = Recipe(dense=Dense(engine="flat"), chunking=Chunking(strategy="recursive", size=160))


def documents(count: int = 12) -> list[Document]:
    return [
        Document(
            id=f"d{i}",
            text=f"# {WORDS[i % 8]} {i}\n\n"
            + " ".join(f"The {WORDS[i % 8]} number {i} is here, time {n}." for n in range(40)),
            metadata={"tenant": "ab"[i % 2]},
            format="markdown",
        )
        for i in range(count)
    ]


def ranked(index: Index, query: str = "river number 2") -> list[tuple[str, float]]:
    return [(hit.chunk.id, round(hit.score, 5)) for hit in index.search(query, k=30)]


def measured(index: Index, query: str) -> dict[str, float]:
    """Cosines of every chunk: they depend on nothing but the chunk. Word scores know of texts that were removed."""
    origins = {hit.chunk.id: hit.origins for hit in index.search(query, k=50)}
    return {name: round(legs["dense"].score, 5) if "dense" in legs else 0.0 for name, legs in origins.items()}


class Grouping(HashEmbedder):
    """A contextual embedder: a passage's vector holds some of its document's."""

    def __init__(self) -> None:
        super().__init__(dims=48, model="hash:grouped")
        self.groups = 0

    def stretches(self, texts: Sequence[str]) -> list[int]:
        return [min(5, len(texts) - start) for start in range(0, len(texts), 5)]

    def embed_groups(self, groups: Sequence[Sequence[str]]) -> Iterator[tuple[int, Vectors]]:
        for place, texts in enumerate(groups):
            self.groups += 1
            own = self.embed_documents(texts)
            mixed = own + 0.5 * own.mean(axis=0)
            yield place, (mixed / np.linalg.norm(mixed, axis=1, keepdims=True)).astype(np.float32)


class Failing(HashEmbedder):
    """Fails once it was asked for more than *after* texts."""

    def __init__(self, *, after: int) -> None:
        super().__init__(dims=32, model="hash:failing")
        self.after = after

    def embed_batches(self, texts: Sequence[str]) -> Iterator[tuple[list[int], Vectors]]:
        for place, text in enumerate(texts):
            if self.calls >= self.after:
                raise ProviderError("hash: down; try again later", retryable=True)
            yield [place], self.embed_documents([text])


def test_another_embedder_takes_over_and_the_first_comes_back_for_nothing(tmp_path: Path) -> None:
    first, second = HashEmbedder(dims=64), HashEmbedder(dims=96, model="hash:other")
    with Index.open(tmp_path / "kb", recipe=SMALL, embedder=first) as index:
        index.add(documents())
        before = ranked(index)
        chunks = index.status().chunks
    report = reindex(tmp_path / "kb", embedder=second)
    assert (report.was, report.now, report.changed) == (str(first.space), str(second.space), True)
    assert (report.documents, report.chunks) == (12, chunks)
    assert second.calls >= chunks
    with Index.open(tmp_path / "kb", embedder=second) as index:
        assert index.status().space == str(second.space)
        assert index.verify().ok
        assert len(ranked(index)) == len(before)

    first.calls = 0
    reindex(tmp_path / "kb", embedder=first)
    assert first.calls == 0, "every vector of the first model is still known"
    with Index.open(tmp_path / "kb", embedder=first) as index:
        assert ranked(index) == before
        assert index.verify().ok


def test_an_open_index_follows(tmp_path: Path) -> None:
    with Index.open(tmp_path / "kb", recipe=SMALL) as index:
        index.add(documents())
        few = index.status().chunks
        reindex(tmp_path / "kb", Recipe(dense=Dense(engine="flat"), chunking=Chunking(size=200)))
        hits = index.search("river number 2", k=40)
        assert hits
        assert index.recipe.chunking.size == 200
        assert index.status().chunks < few
        index.add([Document(id="late", text="a zebra came late")])
        assert index.search("zebra")[0].chunk.document_id == "late"
        assert index.verify().ok


def test_an_index_opened_with_settings_of_its_own_keeps_them(tmp_path: Path) -> None:
    Index.open(tmp_path / "kb", recipe=SMALL).close()
    own = Recipe.preset("contextual-retrieval")
    own = Recipe(
        dense=SMALL.dense,
        chunking=SMALL.chunking,
        retrieval=own.retrieval,
        lexical=own.lexical,
        rerank=own.rerank,
    )
    with Index.open(tmp_path / "kb", recipe=own) as index:
        index.add(documents())
        reindex(tmp_path / "kb", Recipe(dense=SMALL.dense, chunking=Chunking(size=200)))
        assert index.search("river")
        assert (index.recipe.chunking.size, index.recipe.retrieval.fusion) == (200, "rrf")


def test_an_index_opened_with_another_embedder_says_so(tmp_path: Path) -> None:
    old, new = HashEmbedder(dims=64), HashEmbedder(dims=96, model="hash:other")
    with Index.open(tmp_path / "kb", recipe=SMALL, embedder=old) as index:
        index.add(documents())
        reindex(tmp_path / "kb", embedder=new)
        for verb in (lambda: index.search("river"), lambda: index.add([Document(id="x", text="y")])):
            with pytest.raises(SpaceMismatch, match=r"hash:other.*hash:words.*ragweft reindex"):
                verb()
    with Index.open(tmp_path / "kb", embedder=new) as index:
        assert "x" not in {hit.chunk.document_id for hit in index.search("y", k=50)}


def test_a_commit_by_the_recipe_of_before_is_refused(tmp_path: Path) -> None:
    old, new = HashEmbedder(dims=64), HashEmbedder(dims=96, model="hash:other")
    with Index.open(tmp_path / "kb", recipe=SMALL, embedder=old) as index:
        index.add(documents())
        ledger = index.ledger
        generation = index.status().generation
        reindex(tmp_path / "kb", embedder=new)
        with pytest.raises(SpaceMismatch, match="open it again"):
            ledger.commit([], removed=["d1"], kind="remove")
        with pytest.raises(SpaceMismatch, match="open it again"):
            ledger.change(lambda _connection: None)
        ledger.report({"flat": generation})
    with Index.open(tmp_path / "kb", embedder=new) as index:
        assert index.status().documents == 12
        assert all(follower.level for follower in index.status().followers)


def test_what_is_written_meanwhile_is_not_forgotten(tmp_path: Path) -> None:
    kb = tmp_path / "kb"
    old = HashEmbedder(dims=64)

    class Meanwhile(HashEmbedder):
        """Another program adds and removes documents while this one embeds."""

        times = 0

        def embed_documents(self, texts: Sequence[str]) -> Vectors:
            if self.times < 3:
                self.times += 1
                with Index.open(kb, embedder=old) as other:
                    other.add([Document(id=f"during{self.times}", text=f"zebra {self.times}")])
                    other.remove(ids=[f"d{self.times}"])
            return super().embed_documents(texts)

    new = Meanwhile(dims=96, model="hash:other")
    with Index.open(kb, recipe=SMALL, embedder=old) as index:
        index.add(documents())
    reindex(kb, embedder=new)
    assert new.times == 3
    with Index.open(kb, embedder=new) as index:
        found = {hit.chunk.document_id for hit in index.search("zebra", k=50)}
        assert {"during1", "during2", "during3"} <= found
        assert not {"d1", "d2", "d3"} & found
        assert index.verify().ok


def test_searches_go_on_while_it_embeds(tmp_path: Path) -> None:
    kb = tmp_path / "kb"
    begun, go = threading.Event(), threading.Event()

    class Waiting(HashEmbedder):
        def embed_documents(self, texts: Sequence[str]) -> Vectors:
            begun.set()
            assert go.wait(30)
            return super().embed_documents(texts)

    new = Waiting(dims=96, model="hash:other")
    with Index.open(kb, recipe=SMALL) as index:
        index.add(documents())
        before = ranked(index)
        work = threading.Thread(target=reindex, args=(kb,), kwargs={"embedder": new})
        work.start()
        try:
            assert begun.wait(30)
            assert ranked(index) == before
        finally:
            go.set()
            work.join()


def test_a_failure_changes_nothing_and_is_gone_on_from(tmp_path: Path) -> None:
    kb, old = tmp_path / "kb", HashEmbedder(dims=64)
    with Index.open(kb, recipe=SMALL, embedder=old) as index:
        index.add(documents())
        before, total = ranked(index), index.status().chunks
    failing = Failing(after=9)
    with pytest.raises(ProviderError, match="down"):
        reindex(kb, embedder=failing)
    with Index.open(kb, embedder=old) as index:
        assert ranked(index) == before
    estimate, space = estimate_reindex(kb, embedder=failing)
    assert (space, estimate.chunks, estimate.texts) == (str(failing.space), total, total - 9)
    failing.after, failing.calls = 10_000, 0
    reindex(kb, embedder=failing)
    with Index.open(kb, embedder=failing) as index:
        assert index.verify().ok


def test_other_chunks_without_reading_a_file_again(tmp_path: Path, docs: Path) -> None:
    with Index.open(tmp_path / "kb", recipe=SMALL) as index:
        index.sync(docs)
    moved = docs.rename(tmp_path / "elsewhere")
    finer = Recipe(dense=SMALL.dense, chunking=Chunking(size=120, overlap=0.0))
    report = reindex(tmp_path / "kb", finer)
    with Index.open(tmp_path / "fresh", recipe=finer) as fresh:
        moved.rename(docs)
        fresh.sync(docs)
        with Index.open(tmp_path / "kb") as index:
            assert report.chunks == fresh.status().chunks
            assert ranked(index, "signing key") == ranked(fresh, "signing key")
            again = index.sync(docs)
            assert (again.unchanged, again.changed) == (3, 0), "a file is known by what was loaded"


def test_chunks_that_were_given_stay_as_they_were_given(tmp_path: Path) -> None:
    kb, plain, grouped = tmp_path / "kb", HashEmbedder(dims=64), Grouping()
    chunks = [
        Chunk(
            id=f"c{i}", document_id="manual", text=f"part {i} of the {WORDS[i]}", ordinal=i, metadata={"n": i}
        )
        for i in range(6)
    ]
    with Index.open(kb, recipe=SMALL, embedder=plain) as index:
        index.add(chunks)
        index.add(documents(3))
        before = [hit.chunk for hit in index.document("manual")]
    for embedder in (grouped, plain):
        reindex(kb, embedder=embedder)
        with Index.open(kb, embedder=embedder) as index:
            assert [hit.chunk for hit in index.document("manual")] == before
            assert index.search("part 3", where={"n": 3})[0].chunk.id == "c3"
            assert index.verify().ok
    assert grouped.groups >= 4
    groups = grouped.groups
    reindex(kb, embedder=grouped)
    assert grouped.groups == groups, "documents that were embedded in groups are known as such"


def _await(connection: Connection, recipe: str) -> None:
    connection.exec_driver_sql("INSERT INTO facts VALUES ('recipe', ?)", (recipe,))


def test_from_free_vectors_to_paid_ones_file_names_are_not_sent(
    tmp_path: Path, docs: Path, monkeypatch: pytest.MonkeyPatch, double: ProviderDouble
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    model = Embedding(model="openai:text-embedding-3-small", base_url=double.base("openai"))
    with Index.open(tmp_path / "kb", recipe=FLAT) as index:
        index.sync(docs)
        reindex(tmp_path / "kb", Recipe(dense=FLAT.dense, embedding=model))
        bodies = [str(request.body) for request in double.requests]
        assert bodies
        assert not any("guide.md" in body or "server.py" in body for body in bodies)
        assert index.verify().ok
        asked = len(double.requests)
        docs.rename(tmp_path / "moved")
        assert index.sync(tmp_path / "moved").usage.calls == 0
        assert len(double.requests) == asked
        found = [hit.chunk.document_id for hit in index.search("signing key")]
        assert any(name.endswith("moved/guide.md") for name in found)


def test_a_kill_between_the_switch_and_the_recipe_loses_neither(tmp_path: Path) -> None:
    kb = tmp_path / "kb"
    with Index.open(kb, recipe=SMALL) as index:
        index.add(documents())
    before = (kb / "ragweft.toml").read_text()
    finer = Recipe(dense=SMALL.dense, chunking=Chunking(size=200))
    reindex(kb, finer)
    # As it was between the commit and the file: the ledger alone knows.
    after = (kb / "ragweft.toml").read_text()
    (kb / "ragweft.toml").write_text(before)
    ledger = Ledger(kb, space="")
    ledger.change(lambda connection: _await(connection, after))
    ledger.close()
    with Index.open(kb, read_only=True) as index:
        assert index.recipe.chunking.size == 200
    assert (kb / "ragweft.toml").read_text() == before
    with Index.open(kb) as index:
        assert index.recipe.chunking.size == 200
        assert index.search("river")
    assert (kb / "ragweft.toml").read_text() == after
    assert (kb / "ragweft.before.toml").read_text() == before
    (kb / "ragweft.toml").write_text(after.replace("k = 5", "k = 6", 1))
    take_over_recipe(kb)
    with Index.open(kb) as index:
        assert index.recipe.retrieval.k == 6, "an edit that came later stands"


def test_a_recipe_that_was_edited_by_hand(tmp_path: Path) -> None:
    kb = tmp_path / "kb"
    with Index.open(kb, recipe=SMALL) as index:
        index.add(documents())
    file = kb / "ragweft.toml"
    file.write_text(file.read_text().replace("size = 160", "size = 300"))
    assert reindex(kb).changed
    with Index.open(kb) as index:
        assert index.recipe.chunking.size == 300
    assert not reindex(kb).changed
    with pytest.raises(RecipeError, match="ragweft reindex"):
        Index.open(kb, recipe=SMALL)


def test_settings_of_the_search_alone_are_written(tmp_path: Path) -> None:
    with Index.open(tmp_path / "kb", recipe=SMALL) as index:
        index.add(documents())
        rows = index.status().generation
        settled = parse_recipe((tmp_path / "kb" / "ragweft.toml").read_text().replace("k = 5", "k = 7", 1))
        assert settled.retrieval.k == 7
        assert not reindex(tmp_path / "kb", settled).changed
        assert index.status().generation == rows
    with Index.open(tmp_path / "kb") as index:
        assert len(index.search("number")) == 7


def test_weights_found_for_one_model_are_not_used_for_another(tmp_path: Path) -> None:
    kb, new = tmp_path / "kb", HashEmbedder(dims=96, model="hash:other")
    learned = Tuning(dense_weight=0.9, late_weight=0.0, document_weight=0.0, origin="labels", reason="told so")
    with Index.open(kb, recipe=SMALL, embedder=HashEmbedder()) as index:
        index.add(documents(30))
        index.keep_tuning(learned)
        assert index.status().tuning.dense_weight == 0.9
    reindex(kb, embedder=new)
    with Index.open(kb, embedder=new) as index:
        assert index.status().tuning.origin != "labels"


def test_only_folders_of_the_present_are_kept(tmp_path: Path) -> None:
    kb = tmp_path / "kb"
    with Index.open(kb, recipe=Recipe(chunking=Chunking(strategy="recursive", size=160))) as index:
        index.add(documents())
        for size in (200, 300):
            reindex(kb, Recipe(chunking=Chunking(size=size)))
            assert index.search("river")
        folders = {path.name for path in kb.iterdir() if path.is_dir()}
        assert folders == {"flat-2", "chroma-2", "lexical"}
        assert index.verify().ok


def test_a_missing_or_read_only_index(tmp_path: Path) -> None:
    with pytest.raises(IndexLocked, match="no index here"):
        reindex(tmp_path / "none", SMALL)
    assert not (tmp_path / "none").exists()


def test_on_a_server_nothing_of_before_is_left(tmp_path: Path) -> None:
    import chromadb

    with chroma_server(tmp_path / "data") as port:
        chroma = Chroma(mode="http", host="127.0.0.1", port=port, collection="pages")
        with Index.open(tmp_path / "kb", recipe=Recipe(chroma=chroma)) as index:
            index.add(documents())
            reindex(tmp_path / "kb", Recipe(chroma=chroma, chunking=Chunking(size=300)))
            assert {stage.note for stage in index.search("river").trace.stages} >= {"Chroma"}
            assert index.verify().ok
        client = chromadb.HttpClient("127.0.0.1", port)
        assert [found.name for found in client.list_collections()] == ["pages-1"]
        # What chromadb leaves open would be an unclosed socket, which is an error here.
        Backend(client=client, place="test", limits=CLOUD, configuration={}).close()


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_made_over_is_as_if_made_so(data: st.DataObject, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("made")
    texts = st.lists(st.sampled_from(WORDS), min_size=1, max_size=300).map(" ".join)
    given_texts = data.draw(st.lists(texts, min_size=1, max_size=8))
    sizes = data.draw(st.lists(st.sampled_from([120, 130, 160, 400]), min_size=2, max_size=3))
    embedders = [HashEmbedder(dims=32), HashEmbedder(dims=40, model="hash:other"), Grouping()]
    chosen = data.draw(st.lists(st.sampled_from(embedders), min_size=len(sizes), max_size=len(sizes)))
    items = [Document(id=f"d{i}", text=text) for i, text in enumerate(given_texts)]

    def recipe(size: int) -> Recipe:
        return Recipe(
            dense=Dense(engine="flat"), chunking=Chunking(strategy="recursive", size=size, overlap=0.0)
        )

    with Index.open(folder / "kb", recipe=recipe(sizes[0]), embedder=chosen[0]) as index:
        index.add(items)
        removed = data.draw(st.sets(st.sampled_from([item.id for item in items]), max_size=2))
        if removed:
            index.remove(ids=sorted(removed))
    for size, embedder in zip(sizes[1:], chosen[1:], strict=True):
        reindex(folder / "kb", recipe(size), embedder=embedder)
    with (
        Index.open(folder / "kb", embedder=chosen[-1]) as made_over,
        Index.open(folder / "fresh", recipe=recipe(sizes[-1]), embedder=chosen[-1]) as fresh,
    ):
        fresh.add([item for item in items if item.id not in removed])
        for query in (*WORDS[:3], " ".join(WORDS)):
            assert measured(made_over, query) == measured(fresh, query)
        assert made_over.verify().ok


def test_the_command_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], double: ProviderDouble
) -> None:
    settled(monkeypatch, tmp_path)
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    cli = Cli(capsys)
    pages = tmp_path / "pages"
    pages.mkdir()
    for document in documents(6):
        (pages / f"{document.id}.md").write_text(document.text)
    assert cli("sync", "pages", "--index", "kb").code == 0
    changes = ["embedding.model=openai:text-embedding-3-small", f"embedding.base_url={double.base('openai')}"]

    planned = cli("reindex", *changes, "--index", "kb", "--dry-run", "--json")
    assert planned.code == 0, planned.err
    estimate = json.loads(planned.out)
    assert (estimate["documents"], estimate["texts"]) == (6, estimate["chunks"])
    assert estimate["usd"] > 0
    assert double.requests == [], "a dry run asks nobody"

    capped = cli("reindex", *changes, "--index", "kb", "--max-usd", "0.0000001")
    assert capped.code == 1
    assert "raise the cap" in capped.err
    assert json.loads(cli("status", "--index", "kb", "--json").out)["space"].startswith("static:")

    done = cli("reindex", *changes, "--index", "kb")
    assert done.code == 0, done.err
    assert "openai:text-embedding-3-small" in done.out
    assert "spent" in done.out
    assert cli("search", "river", "--index", "kb").code == 0
    asked = len(double.calls("openai"))

    undone = cli("reindex", "--recipe", "kb/ragweft.before.toml", "--index", "kb", "--json")
    assert undone.code == 0, undone.err
    assert json.loads(undone.out)["now"].startswith("static:")
    redone = cli("reindex", *changes, "--index", "kb", "--json")
    assert json.loads(redone.out)["usage"]["calls"] == 0, "nothing is ever paid twice"
    assert len(double.calls("openai")) == asked

    wrong = cli("reindex", "embedding.modle=x", "--index", "kb")
    assert (wrong.code, "did you mean 'model'" in wrong.err) == (1, True)


def test_a_cap_stops_before_it_is_reached(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, double: ProviderDouble
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    with Index.open(tmp_path / "kb", recipe=SMALL) as index:
        index.add(documents())
    model = Embedding(model="openai:text-embedding-3-small", base_url=double.base("openai"))
    paid = Recipe(dense=SMALL.dense, chunking=SMALL.chunking, embedding=model)
    with pytest.raises(BudgetExceeded):
        reindex(tmp_path / "kb", paid, max_usd=1e-9)
    with Index.open(tmp_path / "kb") as index:
        assert index.status().space.startswith("static:")
