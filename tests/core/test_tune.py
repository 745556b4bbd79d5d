from __future__ import annotations

import json
import random
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cli_runner import Cli, settled, write_recipe
from ragweft import Chunk, Document, Index
from ragweft.errors import LoadError, RagweftError, RecipeError
from ragweft.evaluation import load_dataset
from ragweft.evaluation.labels import Labels, load_labels, place
from ragweft.evaluation.measures import Judge
from ragweft.evaluation.tune import TuningReport, tune
from ragweft.recipe import Dense, Recipe, Retrieval
from ragweft.testing import HashEmbedder
from ragweft.tuning.candidates import ranked
from ragweft.types import Tuning
from small_dataset import ARTICLES, paragraphs, write_articles, write_lines, write_paragraphs, write_qrels

PLAIN = Recipe(dense=Dense(engine="flat"), retrieval=Retrieval(late_weight=0.0, document_weight=0.0))
"""Fusion alone, its weight the index's own."""
SEARCHED = Recipe(dense=Dense(engine="flat"), retrieval=Retrieval(pool=9, late_pool=5))
"""Pools so small that they cut the candidates off."""
WEAK = HashEmbedder(dims=4)


def questions() -> dict[str, str]:
    """Paragraph to two of its words."""
    draw = random.Random(1)
    return {name: " ".join(draw.sample(text.split(), 2)) for name, text in paragraphs().items()}


def labels_of(answers: dict[str, str]) -> Labels:
    """Every question with the paragraph that *answers* names for it."""
    asked = questions()
    return Labels(name="own", queries=asked, relevant={name: {answers.get(name, name): 1} for name in asked})


def chunks() -> list[Chunk]:
    return [
        Chunk(id=f"{name}-{i}", document_id=name, ordinal=i, text=text)
        for name, texts in ARTICLES.items()
        for i, text in enumerate(texts)
    ]


@pytest.fixture
def weak(tmp_path: Path) -> Iterator[Index]:
    """An index whose meaning is next to noise, and counts for nearly everything."""
    with Index.open(tmp_path / "weak", recipe=PLAIN, embedder=WEAK) as index:
        index.add(chunks())
        index.keep_tuning(replace(index.status().tuning, dense_weight=0.9, reason="meaning 0.9: a mistake"))
        yield index


def noise() -> Labels:
    """Answers drawn by lot."""
    names = list(paragraphs())
    return labels_of(dict(zip(names, random.Random(3).sample(names, len(names)), strict=True)))


def test_a_leg_that_knows_little_is_turned_down(weak: Index) -> None:
    assert weak.status().tuning.dense_weight == 0.9
    asked = questions()
    before = {name: [hit.chunk.id for hit in weak.search(text)] for name, text in asked.items()}
    report = tune(weak, labels_of({}))
    assert report.kept
    assert report.real
    assert report.after.dense_weight < 0.5
    assert 0 < report.gain.low <= report.gain.mean <= report.gain.high
    assert report.held_out == pytest.approx(report.score_before + report.gain.mean)
    assert len(report.folds) == 5
    found = weak.status().tuning
    assert found == report.after
    assert found.origin == "labels"
    assert found.queries == 24
    assert found.chunks == 24
    assert f"meaning {found.dense_weight:g}, " in found.reason
    assert "24 labelled questions; held-out nDCG@10 " in found.reason
    after = {name: [hit.chunk.id for hit in weak.search(text)] for name, text in asked.items()}
    assert after != before
    first, once = (sum(hits[:1] == [name] for name, hits in found.items()) for found in (after, before))
    assert first > once


def test_kept_weights_serve_other_openings_and_outlive_new_texts(weak: Index) -> None:
    report = tune(weak, labels_of({}))
    with Index.open(weak.path, embedder=WEAK) as other:
        assert other.status().tuning == report.after
        other.add(Chunk(id="new", document_id="new", text="A kettle sings before it boils."))
    assert weak.status().tuning == report.after


def test_a_gain_by_luck_is_refused(weak: Index) -> None:
    report = tune(weak, noise())
    assert report.changed, "in sample there is always something to gain"
    assert report.score_after > report.score_before
    assert not report.real
    assert not report.kept
    assert report.gain.low <= 0
    assert report.verdict.startswith("refused: held-out nDCG@10 ")
    assert weak.status().tuning == report.before


def test_a_trial_keeps_nothing(weak: Index) -> None:
    report = tune(weak, labels_of({}), keep=False)
    assert report.real
    assert not report.kept
    assert report.verdict.startswith("not kept: ")
    assert weak.status().tuning == report.before


def test_equal_arguments_give_equal_numbers(weak: Index) -> None:
    one, again = (tune(weak, labels_of({}), keep=False, seed=7) for _ in range(2))
    assert one == again
    assert tune(weak, labels_of({}), keep=False, seed=8).gain != one.gain


def test_labelled_weights_can_be_dropped(weak: Index) -> None:
    assert tune(weak, labels_of({})).kept
    weak.keep_tuning(None)
    found = weak.status().tuning
    assert (found.dense_weight, found.origin) == (0.5, "default")


def test_what_the_recipe_switches_off_stays_off(weak: Index) -> None:
    after = tune(weak, labels_of({}), keep=False).after
    assert (after.late_weight, after.document_weight) == (0.0, 0.0)


def test_a_number_in_the_recipe_stands(weak: Index) -> None:
    fixed = replace(PLAIN, retrieval=replace(PLAIN.retrieval, dense_weight=0.9))
    with Index.open(weak.path, recipe=fixed, embedder=WEAK) as index:
        with pytest.raises(RecipeError, match=r'dense_weight = 0\.9 stands .* "auto"'):
            tune(index, labels_of({}))
        report = tune(index, labels_of({}), keep=False)
        with pytest.raises(RecipeError, match="stands"):
            index.keep_tuning(report.after)
    assert report.after.dense_weight < 0.5
    assert weak.status().tuning.origin == "default"


def test_too_few_questions_are_refused_with_their_number(weak: Index) -> None:
    every = labels_of(
        {"bees-0": "gone", "bees-1": "gone", "bees-2": "gone", "bees-3": "gone", "bees-4": "gone"}
    )
    with pytest.raises(
        RagweftError, match=r"own: 19 questions .* \(5 have none\), and 20 are needed .* 1 more"
    ):
        tune(weak, every)


@pytest.mark.parametrize("folds", [1, 25])
def test_folds_must_fit_the_questions(weak: Index, folds: int) -> None:
    with pytest.raises(ValueError, match=f"from 2 to 24, the number of questions, got {folds}"):
        tune(weak, labels_of({}), folds=folds)


def test_only_ranked_measures_choose(weak: Index) -> None:
    with pytest.raises(ValueError, match=r"'Pass@5' is not measured here; choose one of nDCG@10"):
        tune(weak, labels_of({}), measure="Pass@5")
    report = tune(weak, labels_of({}), measure="MRR@10", keep=False)
    assert 0 < report.score_before < 1


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("searched") / "kb"
    with Index.open(folder, recipe=SEARCHED, embedder=HashEmbedder(dims=16)) as index:
        index.add(chunks())
    return folder


@settings(max_examples=25, deadline=None)
@given(
    dense=st.sampled_from([0.0, 0.1, 0.5, 0.9, 1.0]),
    late=st.sampled_from([0.0, 0.25, 1.0]),
    document=st.sampled_from([0.0, 0.3, 0.6]),
    fusion=st.sampled_from(["convex", "rrf", "dbsf", "zscore"]),
)
def test_recombined_scores_are_those_of_a_search(
    searched: Path, dense: float, late: float, document: float, fusion: str
) -> None:
    weights = replace(
        SEARCHED.retrieval, dense_weight=dense, late_weight=late, document_weight=document, fusion=fusion
    )
    tuning = Tuning(
        dense_weight=dense, late_weight=late, document_weight=document, origin="labels", reason="tried"
    )
    asked = list(questions().values())[::6]
    recipe = replace(SEARCHED, retrieval=weights)
    with Index.open(searched, recipe=recipe, embedder=HashEmbedder(dims=16)) as index:
        for text, candidates in zip(asked, index.candidates(asked), strict=True):
            hits = index.search(text, k=9)
            rows, scores = ranked(candidates, tuning, weights)
            assert [hit.row for hit in hits] == rows[:9].tolist()
            np.testing.assert_allclose([hit.score for hit in hits], scores[:9], atol=1e-6)


def test_scores_are_those_of_an_evaluation(tmp_path: Path) -> None:
    data = load_dataset(write_paragraphs(tmp_path / "small"))
    with Index.open(tmp_path / "kb", recipe=SEARCHED, embedder=HashEmbedder(dims=16)) as index:
        index.add(data.items)
        labels = load_labels(tmp_path / "small")
        placed = place(labels, index)
        judge = Judge(data, depth=10)
        for query, text in data.queries.items():
            (candidates,) = index.candidates([text], n=10)
            rows, _ = ranked(candidates, index.status().tuning, SEARCHED.retrieval)
            wanted = judge.judge(query, list(index.search(text, k=10)))
            items = placed.items(query, rows, most=10)
            assert [item.removeprefix("chunk:") for item in items] == list(wanted.items)


def test_names_may_be_chunks_documents_or_paths(docs: Path, index: Index, tmp_path: Path) -> None:
    index.sync(docs)
    index.add(Document(id="memo", text="Tea is served at four."))
    chunk = index.search("vault rotate", k=1)[0].chunk
    file = tmp_path / "labels.jsonl"
    write_lines(
        file,
        [
            {"query": "rotate a key", "relevant": [chunk.id]},
            {"query": "when is tea", "relevant": ["memo", "gone"]},
            {"query": "custard", "relevant": [str(docs / "pudding.rst")]},
            {"query": "nothing", "relevant": ["gone"]},
            {"query": "  ", "relevant": ["memo"]},
        ],
    )
    placed = place(load_labels(file), index)
    assert {name: list(question.grades) for name, question in placed.questions.items()} == {
        "1": [f"chunk:{chunk.id}"],
        "2": ["document:memo"],
        "3": [f"document:{(docs / 'pudding.rst').as_uri()}"],
    }
    assert [question.by_document for question in placed.questions.values()] == [False, True, True]
    assert (placed.missing, placed.left_out) == (2, 2)


def test_hits_of_one_document_count_once_where_documents_are_judged(weak: Index) -> None:
    placed = place(labels_of({"bees-0": "bees"}), weak)
    rows = np.array([row for row, _ in sorted(placed.places.items(), key=lambda pair: pair[1][0])])
    assert placed.items("bees-0", rows, most=3) == ["document:bees", "document:bread", "document:bridges"]
    assert placed.items("bees-1", rows, most=2) == ["chunk:bees-0", "chunk:bees-1"]


def test_gold_spans_judge_whatever_was_cut(tmp_path: Path) -> None:
    folder = write_articles(tmp_path / "articles")
    data = load_dataset(folder, chunks="recipe")
    with Index.open(tmp_path / "kb", recipe=SEARCHED, embedder=HashEmbedder(dims=16)) as index:
        index.add(data.items)
        placed = place(load_labels(folder), index)
        judge = Judge(data, depth=10)
        assert len(placed.questions) == 10
        for query, text in data.queries.items():
            hits = index.search(text, k=9)
            rows = np.array([hit.row for hit in hits])
            ours = placed.items(query, rows, most=10)
            gold = [item for item in judge.judge(query, list(hits)).items if not item.startswith("hit-")]
            assert [item for item in ours if not item.startswith("hit-")] == gold
            assert gold


def test_labels_of_a_folder_need_no_corpus(tmp_path: Path) -> None:
    folder = write_paragraphs(tmp_path / "small")
    (folder / "corpus.jsonl").unlink()
    write_qrels(folder / "qrels" / "dev.tsv", [("q1", "bees-0", 1), ("nobody", "bees-1", 1)])
    labels = load_labels(folder, split="dev")
    assert labels.name == "small/dev"
    assert labels.queries == {"q1": "how warm is the brood of a hive"}
    assert len(load_labels(folder).queries) == 10
    assert len(load_labels(folder, queries=3).queries) == 3


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ({"query": "x", "relevant": "memo"}, "line 1: 'relevant' must be a list"),
        ({"query": "x", "relevant": [1]}, "line 1: 'relevant' must be a list"),
        ({"relevant": ["memo"]}, "line 1: 'query' must be text"),
    ],
)
def test_a_malformed_line_is_named(tmp_path: Path, line: dict[str, object], message: str) -> None:
    write_lines(tmp_path / "labels.jsonl", [line])
    with pytest.raises(LoadError, match=message):
        load_labels(tmp_path / "labels.jsonl")


def parts() -> dict[str, str]:
    """Texts that differ by a code alone."""
    draw = random.Random(2)
    codes = ["".join(draw.choices("bcdfghjklmnpqrstvwxz", k=6)) for _ in range(24)]
    return {code: f"The spare part {code} lies in a drawer of the workshop." for code in codes}


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Cli:
    """In a folder with an index in which meaning would have to count, and labels that say so."""
    settled(monkeypatch, tmp_path)
    auto = '[dense]\nengine = "flat"\n[retrieval]\nlate_weight = 0\ndocument_weight = 0\n'
    write_recipe(tmp_path / ".ragweft", auto)
    with Index.open(tmp_path / ".ragweft") as index:
        index.add([Chunk(id=name, document_id=name, text=text) for name, text in parts().items()])
        worst = replace(index.status().tuning, dense_weight=0.0, origin="labels", reason="meaning 0: a mistake")
        index.keep_tuning(worst)
    names = list(parts())
    # Codes that lack a letter are no words of the index, but their pieces are near.
    lines = [{"query": f"spare part {name[:5]}", "relevant": [name, "gone"]} for name in names]
    write_lines(tmp_path / "good.jsonl", lines)
    drawn = random.Random(3).sample(names, len(names))
    write_lines(
        tmp_path / "noise.jsonl",
        [
            {"query": f"spare part {name[:5]}", "relevant": [other]}
            for name, other in zip(names, drawn, strict=True)
        ],
    )
    return Cli(capsys)


def weight_in_use(cli: Cli) -> tuple[float, str]:
    tuning = json.loads(cli("status", "--json").out)["tuning"]
    return tuning["dense_weight"], tuning["origin"]


def test_the_verb_reports_keeps_and_resets(cli: Cli) -> None:
    tried = cli("tune", "good.jsonl", "--dry-run")
    assert tried.code == 0
    assert weight_in_use(cli) == (0.0, "labels")
    assert tried.err == "warning: 24 judged answers not in the index, left out\n"
    ran = cli("tune", "good.jsonl")
    assert ran.code == 0, ran.err
    assert ran.out.startswith("good.jsonl: 24 questions\n")
    for said in ("in use", "chosen", "meaning (dense_weight)", "nDCG@10, held out", "95 % interval", "kept: "):
        assert said in ran.out
    weight, origin = weight_in_use(cli)
    assert weight > 0
    assert origin == "labels"
    reset = cli("tune", "--reset")
    assert reset.code == 0
    assert reset.out.startswith("now: meaning 0.3")
    assert weight_in_use(cli) == (0.3, "default")


def test_the_verb_refuses_luck(cli: Cli) -> None:
    ran = cli("tune", "noise.jsonl", "--json")
    found = json.loads(ran.out)
    assert (found["kept"], found["real"]) == (False, False)
    assert ran.code == int(found["changed"]) == 1
    assert set(found) == set(TuningReport.__dataclass_fields__)
    assert weight_in_use(cli) == (0.0, "labels")


def test_the_verb_says_what_it_lacks(cli: Cli, tmp_path: Path) -> None:
    assert cli("tune").code == 2
    assert cli("tune", "good.jsonl", "--reset").code == 2
    assert cli("tune", "good.jsonl", "--measure", "Pass@5").code == 2
    few = cli("tune", "good.jsonl", "--limit", "10")
    assert (few.code, few.out) == (1, "")
    assert "10 questions have an answer in the index, and 20 are needed" in few.err
    write_recipe(tmp_path / ".ragweft", '[dense]\nengine = "flat"\n[retrieval]\ndense_weight = 0.4\n')
    fixed = cli("tune", "good.jsonl")
    assert fixed.code == 1
    assert "dense_weight = 0.4 stands" in fixed.err
