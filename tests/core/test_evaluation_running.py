from __future__ import annotations

import json
import logging
import re
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from ir_measures import RR, R, nDCG

from cli_runner import environment
from conftest import FLAT
from ragweft import Index
from ragweft.errors import ProviderError, RagweftError
from ragweft.evaluation import Dataset, Evaluation, evaluate, evaluate_retriever, load_dataset, save_run
from ragweft.evaluation.running import LEGS, leg_alone
from ragweft.recipe import Chunking, Context, Recipe
from ragweft.testing import FixedReranker, HashEmbedder
from ragweft.types import Chunk, Citation, Document, Hit, Metadata, Results, Trace, Usage
from small_dataset import ARTICLES, QUESTIONS, ranked_again, write_articles, write_paragraphs

if TYPE_CHECKING:
    from ragweft.types import Vectors

SMALL_CHUNKS = replace(FLAT, chunking=Chunking(size=120, overlap=0.0), context=Context(kind="none"))


@pytest.fixture
def data(tmp_path: Path) -> Dataset:
    return load_dataset(write_paragraphs(tmp_path / "small"))


def measured(evaluation: Evaluation) -> dict[str, list[float]]:
    return {name: values.tolist() for name, values in evaluation.scores.items()}


def test_given_chunks_are_indexed_as_they_are_and_every_query_is_answered(
    data: Dataset, tmp_path: Path
) -> None:
    heard: list[tuple[str, int, int | None]] = []
    found = evaluate(
        data,
        FLAT,
        label="default",
        folder=tmp_path / "kb",
        progress=lambda stage, done, total: heard.append((stage, done, total)),
    )
    assert (found.label, found.dataset, found.fingerprint) == ("default", "small", FLAT.fingerprint)
    assert found.queries == list(QUESTIONS)
    assert found.chunks == len(data.items) == 24
    assert found.expression.startswith("Hybrid(")
    assert found.index_seconds > 0
    assert found.wall_ms.shape == found.cpu_ms.shape == (10,)
    assert (found.wall_ms > 0).all()
    assert found.scores["Recall@10"].mean() > 0.85, "plain questions about plain texts"
    for query, row in found.run.items():
        assert set(row) <= {item.id for item in data.items}
        assert list(row.values()) == sorted(set(row.values()), reverse=True), query
    assert ("indexing", 0, 24) in heard
    assert ("searching", 10, 10) in heard


def test_the_first_ten_are_those_of_a_search_for_ten(data: Dataset, tmp_path: Path) -> None:
    plain = replace(FLAT.retrieval, dense_weight=0.3, late_weight=0.0, document_weight=0.0, pool=10)
    recipe = replace(FLAT, retrieval=plain, rerank=replace(FLAT.rerank, pool=10))
    wanted = FixedReranker({"heat": 2.0, "Heat": 3.0, "Rye": 9.0})
    folder = tmp_path / "kb"
    found = evaluate(data, recipe, label="reranked", folder=folder, depth=24, reranker=wanted)
    with Index.open(folder, recipe=recipe, reranker=wanted) as index:
        asked = index.search(QUESTIONS["q7"][0], k=10)
        deeper = index.search(QUESTIONS["q7"][0], k=24)
    head = [hit.chunk.id for hit in asked]
    assert [hit.chunk.id for hit in deeper][:10] != head, (
        "a deeper search gives the reranker more to choose from"
    )
    assert list(found.run["q7"]) == head + [h.chunk.id for h in deeper if h.chunk.id not in head]


def test_each_leg_is_measured_alone(data: Dataset, tmp_path: Path) -> None:
    found = evaluate(data, FLAT, label="default", folder=tmp_path / "kb")
    assert list(found.legs) == ["dense", "lexical"]
    for leg, scores in found.legs.items():
        assert list(scores) == list(found.scores)
        with Index.open(tmp_path / "kb", recipe=leg_alone(FLAT, leg)) as index:
            again = evaluate_retriever(data, index, label=leg)
        assert {n: v.tolist() for n, v in scores.items()} == measured(again)
    assert found.legs["dense"]["nDCG@10"].tolist() != found.legs["lexical"]["nDCG@10"].tolist()


def test_a_leg_that_finds_nothing_is_not_helped_by_the_other(data: Dataset, tmp_path: Path) -> None:
    strange = replace(data, queries={**data.queries, "q1": "thermoregulation nursery insects"})
    found = evaluate(strange, FLAT, label="default", folder=tmp_path / "kb")
    assert found.legs["lexical"]["Recall@100"][0] == 0.0
    assert found.legs["dense"]["Recall@100"][0] == found.scores["Recall@100"][0] == 1.0


def test_an_index_is_used_again_and_a_foreign_one_refused(data: Dataset, tmp_path: Path) -> None:
    folder = tmp_path / "kb"
    embedder = HashEmbedder()
    first = evaluate(data, FLAT, label="a", folder=folder, embedder=embedder)
    assert embedder.calls == 24
    again = evaluate(data, FLAT, label="b", folder=folder, embedder=embedder)
    assert embedder.calls == 24
    assert again.index_seconds == first.index_seconds
    assert (measured(again), again.run) == (measured(first), first.run)
    fewer = replace(data, items=data.items[:20])
    with pytest.raises(RagweftError, match=r"kb: this index holds other texts \(of 'small'\)"):
        evaluate(fewer, FLAT, label="a", folder=folder, embedder=embedder)
    with Index.open(tmp_path / "own", recipe=FLAT) as index:
        index.add([Document(id="mine", text="my own text")])
    with pytest.raises(RagweftError, match="own: this index is not an evaluation's"):
        evaluate(data, FLAT, label="a", folder=tmp_path / "own")
    (folder / "evaluation.json").write_text("{")
    with pytest.raises(RagweftError, match=r"evaluation\.json: cannot be read"):
        evaluate(data, FLAT, label="a", folder=folder, embedder=embedder)


class _Stopping:
    """Is interrupted when it has embedded *after* batches."""

    def __init__(self, after: int) -> None:
        self._own = HashEmbedder()
        self.space = self._own.space
        self.embed_query = self._own.embed_query
        self.left = after
        self.embedded = 0

    def embed_documents(self, texts: Sequence[str]) -> Vectors:
        if self.left == 0:
            raise KeyboardInterrupt
        self.left -= 1
        self.embedded += len(texts)
        return self._own.embed_documents(texts)


def test_after_an_interruption_only_the_rest_is_indexed(tmp_path: Path) -> None:
    texts = [" ".join(f"word{n}x{i % 400}" for i in range(4_000)) for n in range(10)]
    data = Dataset(
        name="long",
        items=[Document(id=f"d{n}", text=text) for n, text in enumerate(texts)],
        queries={"q": "word3x7 word3x8"},
        qrels={"q": {"d3": 1}},
    )
    whole, halved = _Stopping(-1), _Stopping(1)
    expected = evaluate(data, FLAT, label="a", folder=tmp_path / "whole", embedder=whole)
    with pytest.raises(KeyboardInterrupt):
        evaluate(data, FLAT, label="a", folder=tmp_path / "halved", embedder=halved)
    before = json.loads((tmp_path / "halved" / "evaluation.json").read_text())
    assert before["complete"] is False
    assert before["seconds"] > 0
    assert 0 < halved.embedded < whole.embedded
    halved.left = -1
    found = evaluate(data, FLAT, label="a", folder=tmp_path / "halved", embedder=halved)
    assert halved.embedded == whole.embedded
    assert found.index_seconds > before["seconds"]
    assert measured(found) == measured(expected)
    assert found.chunks == expected.chunks


def test_spans_compare_any_cut(tmp_path: Path) -> None:
    data = load_dataset(write_articles(tmp_path / "articles", together=True), chunks="recipe")
    coarse = evaluate(data, FLAT, label="coarse", folder=tmp_path / "coarse")
    fine = evaluate(data, SMALL_CHUNKS, label="fine", folder=tmp_path / "fine")
    assert coarse.chunks == 1
    assert fine.chunks > 3
    assert list(coarse.scores) == list(fine.scores)
    assert fine.scores["SpanIoU@5"].mean() > coarse.scores["SpanIoU@5"].mean()
    # One hit holds everything: both gold spans of q6 are earned by it, and are the first two of the ranking.
    cables = list(data.spans["q6"])
    assert list(coarse.run["q6"])[:2] == cables
    assert coarse.scores["nDCG@10"][list(QUESTIONS).index("q6")] == pytest.approx(1.0)


def test_entries_the_recipe_cuts_are_found_by_their_id(tmp_path: Path) -> None:
    folder = write_paragraphs(tmp_path / "small")
    data = load_dataset(folder, chunks="recipe")
    long = Document(id="bees-0", text="\n\n".join(ARTICLES["bees"] * 3))
    data = replace(data, items=[long if item.id == "bees-0" else item for item in data.items])
    found = evaluate(data, SMALL_CHUNKS, label="cut", folder=tmp_path / "kb")
    assert found.chunks > 24
    for row in found.run.values():
        assert set(row) <= {item.id for item in data.items}
    assert found.scores["MRR@10"][0] == 1.0


class _Fixed:
    """A retriever of somebody else's: the chunks of the dataset in one fixed order, for every query."""

    def __init__(self, data: Dataset, *, degraded: bool = False) -> None:
        self._chunks = [item for item in data.items if isinstance(item, Chunk)]
        self._trace = Trace(degraded=("dense search failed: no network",) if degraded else ())
        self.asked: list[int] = []

    def __repr__(self) -> str:
        return "Fixed()"

    def retrieve(self, query: str, *, k: int = 5, where: Metadata | None = None) -> Results:
        self.asked.append(k)
        hits = tuple(
            Hit(chunk=chunk, score=-i, origins={}, citation=Citation(source="", uri=""))
            for i, chunk in enumerate(self._chunks[:k])
        )
        return Results(hits=hits, query=query, trace=self._trace, usage=Usage(tokens=3, usd=0.5, calls=1))


def test_any_retriever_can_be_measured(data: Dataset) -> None:
    retriever = _Fixed(data)
    found = evaluate_retriever(data, retriever, label="fixed", depth=20)
    assert found.expression == "Fixed()"
    assert (found.fingerprint, found.legs, found.chunks, found.index_seconds) == ("", {}, 0, 0.0)
    assert list(found.run["q5"]) == [item.id for item in data.items[:20]]
    places = {item.id: rank for rank, item in enumerate(data.items, start=1)}
    firsts = [min(places[item] for item in data.qrels[query]) for query in QUESTIONS]
    assert found.scores["MRR@10"].tolist() == pytest.approx([1 / r if r <= 10 else 0.0 for r in firsts])
    assert retriever.asked == [10] * 5 + [10] * 10 + [20] * 10, "warm-up, timed, judged"
    assert found.usage == Usage(tokens=30, usd=5.0, calls=10), "what asking every query once costs"


def test_degraded_searches_are_said(data: Dataset, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, logger="ragweft"):
        evaluate_retriever(data, _Fixed(data, degraded=True), label="fixed", depth=10)
    assert [record.getMessage() for record in caplog.records] == [
        "fixed: 10 searches were degraded, the first because: dense search failed: no network"
    ]


def test_a_failing_search_ends_the_evaluation(data: Dataset) -> None:
    class Failing(_Fixed):
        def retrieve(self, query: str, *, k: int = 5, where: Metadata | None = None) -> Results:
            raise ProviderError("no credit left", retryable=False)

    with pytest.raises(ProviderError, match="no credit left"):
        evaluate_retriever(data, Failing(data), label="failing")


def test_a_saved_run_gives_other_tools_the_same_numbers(data: Dataset, tmp_path: Path) -> None:
    found = evaluate(data, FLAT, label="default, as it is", folder=tmp_path / "kb")
    run = save_run(found, tmp_path / "runs", dataset=data)
    assert run == tmp_path / "runs" / "default_as_it_is.run"
    first = run.read_text().splitlines()[0].split()
    assert first[:2] == ["q1", "Q0"]
    assert first[3:] == ["1", str(float(len(found.run["q1"]))), "default,%20as%20it%20is"]
    again = ranked_again(run, tmp_path / "runs" / "small.qrels", nDCG @ 10, R @ 20, RR @ 10)
    for name, measure in {"nDCG@10": nDCG @ 10, "Recall@20": R @ 20, "MRR@10": RR @ 10}.items():
        assert again[measure] == pytest.approx(float(np.mean(found.scores[name])))


def test_names_with_spaces_survive_a_saved_run(tmp_path: Path) -> None:
    names = ["a b", "a%20b", "ä\tb"]
    data = Dataset(
        name="odd names/test",
        items=[Chunk(id=name, document_id=name, text=f"text {name}") for name in names],
        queries={"the query": "text"},
        qrels={"the query": {"a b": 1}},
    )
    found = evaluate_retriever(data, _Fixed(data), label="r", depth=10)
    run = save_run(found, tmp_path, dataset=data)
    written = [line.split()[2] for line in run.read_text().splitlines()]
    assert written == ["a%20b", "a%2520b", "%C3%A4%09b"]
    assert ranked_again(run, tmp_path / "odd_names_test.qrels", RR @ 10) == {RR @ 10: 1.0}
    (tmp_path / "file").write_text("")
    with pytest.raises(RagweftError, match="file: cannot be written"):
        save_run(found, tmp_path / "file", dataset=data)


def test_a_leg_alone_searches_the_same_index_another_way() -> None:
    recipe = Recipe()
    alone = [leg_alone(recipe, leg) for leg in LEGS]
    assert [one.indexing for one in alone] == [recipe.indexing] * 2
    assert len({one.fingerprint for one in (recipe, *alone)}) == 3


def test_the_code_of_the_documentation_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_articles(tmp_path / "my-dataset")
    monkeypatch.chdir(tmp_path)
    page = (Path(__file__).parents[2] / "docs" / "evaluation.md").read_text()
    (code,) = re.findall(r"## In a program\n\n```python\n(.*?)```", page, flags=re.DOTALL)
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        cwd=tmp_path, env=environment(), capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    mean, verdict = done.stdout.splitlines()
    assert 0.5 < float(mean) <= 1
    assert verdict
    assert (tmp_path / "runs" / "my-dataset.qrels").exists()
