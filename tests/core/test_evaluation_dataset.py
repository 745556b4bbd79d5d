from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest

from ragweft.errors import LoadError
from ragweft.evaluation import load_dataset
from ragweft.types import Chunk, Document, Span
from small_dataset import (
    ARTICLES,
    QUESTIONS,
    paragraphs,
    start_of,
    write_articles,
    write_lines,
    write_paragraphs,
    write_qrels,
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_paragraphs(tmp_path / "small")


def test_given_chunks_are_taken_exactly_as_written(folder: Path) -> None:
    write_lines(
        folder / "corpus.jsonl",
        [
            {"_id": "bees-0", "title": "Bees", "text": "  two spaces ", "metadata": {"year": 1901}},
            {"_id": "bees-1", "text": "", "title": None, "metadata": {"doc_id": "bees", "start": 3, "end": 3}},
            {"_id": 7, "text": "seven", "metadata": {"doc_id": "bees", "start": 9, "end": 14}},
            {"_id": "loose", "text": "no document", "metadata": {"start": 1, "end": 2}},
            {"_id": "half", "text": "no end", "metadata": {"doc_id": "bees", "start": 1}},
        ],
    )
    items = load_dataset(folder).items
    assert items == [
        Chunk(
            id="bees-0",
            document_id="bees-0",
            text="  two spaces ",
            context="Bees",
            metadata={"year": 1901},
        ),
        Chunk(
            id="bees-1",
            document_id="bees",
            text="",
            span=Span(start=3, end=3),
            metadata={"doc_id": "bees", "start": 3, "end": 3},
        ),
        Chunk(
            id="7",
            document_id="bees",
            ordinal=1,
            text="seven",
            span=Span(start=9, end=14),
            metadata={"doc_id": "bees", "start": 9, "end": 14},
        ),
        Chunk(id="loose", document_id="loose", text="no document", metadata={"start": 1, "end": 2}),
        Chunk(id="half", document_id="bees", ordinal=2, text="no end", metadata={"doc_id": "bees", "start": 1}),
    ]


def test_queries_and_judgements_are_read_from_plain_and_gzipped_files(folder: Path, tmp_path: Path) -> None:
    plain = load_dataset(folder)
    assert plain.name == "small"
    assert plain.queries == {query: text for query, (text, _) in QUESTIONS.items()}
    assert plain.qrels["q4"] == {"bridges-1": 1, "clocks-5": 1}
    assert [item.id for item in plain.items] == list(paragraphs())
    assert plain.spans == {}
    for name in ("corpus.jsonl", "queries.jsonl"):
        lines = [json.loads(line) for line in (folder / name).read_text().splitlines()]
        write_lines(folder / f"{name}.gz", lines)
        (folder / name).unlink()
    assert load_dataset(folder) == plain


def test_trec_judgements_are_the_same_judgements(folder: Path) -> None:
    beir = load_dataset(folder)
    rows = [line.split("\t") for line in (folder / "qrels" / "test.tsv").read_text().splitlines()[1:]]
    (folder / "qrels" / "test.tsv").unlink()
    (folder / "qrels" / "test.qrels").write_text("".join(f"{q} 0 {item}  {r}\n" for q, item, r in rows))
    assert load_dataset(folder) == beir


def test_the_split_is_the_only_one_else_test_else_dev(folder: Path) -> None:
    write_qrels(folder / "qrels" / "dev.tsv", [("q1", "bees-0", 1)])
    assert len(load_dataset(folder).queries) == 10
    chosen = load_dataset(folder, split="dev")
    assert (chosen.name, list(chosen.queries)) == ("small/dev", ["q1"])
    (folder / "qrels" / "test.tsv").rename(folder / "qrels" / "train.tsv")
    assert list(load_dataset(folder).queries) == ["q1"]
    (folder / "qrels" / "dev.tsv").rename(folder / "qrels" / "test.zh.tsv")
    with pytest.raises(LoadError, match=r"choose a split: test\.zh, train"):
        load_dataset(folder)
    with pytest.raises(LoadError, match=r"no split 'dev'; there: test\.zh, train"):
        load_dataset(folder, split="dev")
    (folder / "qrels" / "train.tsv").unlink()
    assert load_dataset(folder) == load_dataset(folder, split="test.zh")


def test_without_documents_the_recipe_cuts_the_entries(folder: Path) -> None:
    write_lines(
        folder / "corpus.jsonl",
        [
            {"_id": "bees-0", "title": "Bees", "text": "prose"},
            {"_id": "src/hive.py", "text": '"""A hive."""\n\ndef brood(): ...\n'},
            {"_id": "notes", "text": "# Hives\n\nwords", "metadata": {"file_name": "notes.md"}},
            {"_id": "build", "text": "a plain name is no file's"},
        ],
    )
    data = load_dataset(folder, chunks="recipe")
    assert all(isinstance(item, Document) for item in data.items)
    documents = [item for item in data.items if isinstance(item, Document)]
    assert [(d.id, d.title, d.format) for d in documents] == [
        ("bees-0", "Bees", "text"),
        ("src/hive.py", "A hive.", "python"),
        ("notes", "Hives", "markdown"),
        ("build", None, "text"),
    ]
    assert data.qrels == {"q1": {"bees-0": 1}}


def test_documents_are_scored_by_gold_spans(tmp_path: Path) -> None:
    data = load_dataset(write_articles(tmp_path / "articles"), chunks="recipe")
    assert [item.id for item in data.items] == list(ARTICLES)
    assert list(data.queries) == list(QUESTIONS)
    name = f"bees:0-{len(ARTICLES['bees'][0])}"
    assert data.qrels["q1"] == {name: 1}
    texts = {item.id: item.text for item in data.items}
    for query, (_, gold) in QUESTIONS.items():
        marked = [texts[d][span.start : span.end] for d, span in data.spans[query].values()]
        assert marked == [ARTICLES[article][i] for article, i in gold]
        assert data.qrels[query] == dict.fromkeys(data.spans[query], 1)


def test_judgements_choose_which_queries_with_spans_are_asked(tmp_path: Path) -> None:
    folder = write_articles(tmp_path / "articles")
    write_qrels(folder / "qrels" / "test.tsv", [("q2", "whatever", 1), ("q7", "else", 1)])
    assert list(load_dataset(folder, chunks="recipe").spans) == ["q2", "q7"]


def test_given_chunks_that_know_their_place_keep_the_gold_spans(tmp_path: Path) -> None:
    folder = write_paragraphs(write_articles(tmp_path / "both"))
    assert load_dataset(folder).spans == {}, "chunks without a span cannot be held against spans"
    placed = [
        {
            "_id": f"{name}-{i}",
            "text": text,
            "metadata": {
                "doc_id": name,
                "start": start_of(name, i),
                "end": start_of(name, i) + len(text),
            },
        }
        for name, texts in ARTICLES.items()
        for i, text in enumerate(texts)
    ]
    write_lines(folder / "corpus.jsonl", placed)
    data = load_dataset(folder)
    assert data.qrels["q1"] == {"bees-0": 1}
    assert list(data.spans) == list(QUESTIONS)


def test_judgements_of_one_cut_say_nothing_of_another(tmp_path: Path) -> None:
    folder = write_paragraphs(write_articles(tmp_path / "both"))
    (folder / "spans.jsonl").unlink()
    with pytest.raises(LoadError, match=r"test\.tsv judges chunks of one particular cut.*add spans\.jsonl"):
        load_dataset(folder, chunks="recipe")
    write_qrels(folder / "qrels" / "test.tsv", [("q1", "bees", 2)])
    assert load_dataset(folder, chunks="recipe").qrels == {"q1": {"bees": 2}}


def test_what_is_not_there_is_counted_and_left_out(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    write_qrels(
        folder / "qrels" / "test.tsv",
        [
            ("q1", "bees-0", 1),
            ("q1", "gone", 1),
            ("q2", "gone", 1),
            ("q3", "bees-3", 0),
            ("q0", "bees-1", 1),
        ],
    )
    with caplog.at_level(logging.WARNING, logger="ragweft"):
        data = load_dataset(folder)
    assert data.qrels == {"q1": {"bees-0": 1}}
    assert data.queries == {"q1": QUESTIONS["q1"][0]}
    said = [record.getMessage().partition(": ")[2] for record in caplog.records]
    assert said == [
        "2 judgements name texts that are not there; they are left out",
        "judgements of 1 queries that are not in queries.jsonl are left out",
        "2 queries have nothing relevant to find and are not asked",
    ]


def test_a_limit_spreads_over_the_file(folder: Path) -> None:
    assert list(load_dataset(folder, queries=3).queries) == ["q1", "q4", "q7"]
    assert load_dataset(folder, queries=99) == load_dataset(folder)
    with pytest.raises(LoadError, match="at least one query"):
        load_dataset(folder, queries=0)


def test_a_plain_name_is_looked_up_in_the_data_folder(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    monkeypatch.delenv("RAGWEFT_DATA", raising=False)
    with pytest.raises(LoadError, match="set RAGWEFT_DATA"):
        load_dataset("small")
    monkeypatch.setenv("RAGWEFT_DATA", str(tmp_path))
    assert load_dataset("small").name == "small"
    with pytest.raises(LoadError, match="neither here nor in"):
        load_dataset("large")


@pytest.mark.parametrize(
    ("file", "text", "said"),
    [
        ("corpus.jsonl", '{"_id": "a", "text": "x"}\n\n{"_id": ', r"corpus\.jsonl line 3: not valid JSON"),
        ("corpus.jsonl", "[1]\n", r"corpus\.jsonl line 1: expected a JSON object, got a list"),
        ("corpus.jsonl", '{"_id": "a"}\n', r"corpus\.jsonl line 1: 'text' must be text, got null"),
        ("corpus.jsonl", '{"_id": "", "text": "x"}\n', r"line 1: '_id' is empty"),
        ("corpus.jsonl", '{"_id": true, "text": "x"}\n', r"line 1: '_id' must be text, got true"),
        (
            "corpus.jsonl",
            '{"_id": "a", "text": "x"}\n{"_id": "a", "text": "y"}\n',
            r"line 2: the id 'a' was given at .*corpus\.jsonl line 1; ids must be unique",
        ),
        (
            "corpus.jsonl",
            '{"_id": "a", "text": "x", "metadata": 3}\n',
            r"line 1: 'metadata' must be an object, got 3",
        ),
        (
            "corpus.jsonl",
            '{"_id": "a", "text": "x", "metadata": {"doc_id": "d", "start": -1, "end": 2}}\n',
            r"line 1: metadata: 'start' must be a whole number from 0, got -1",
        ),
        ("corpus.jsonl", "", r"no query has anything to find"),
        ("queries.jsonl", '{"_id": "q1", "text": ["a"]}\n', r"queries\.jsonl line 1: 'text' must be text"),
        ("qrels/test.tsv", "q1\tbees-0\n", r"test\.tsv line 1: expected 3 columns"),
        ("qrels/test.tsv", "q\td\ts\nq1\tbees-0\thigh\n", r"test\.tsv line 2: the relevance 'high'"),
        ("qrels/test.tsv", "q1\tbees-0\t1\nq1\tbees-0\t2\n", r"line 2: query 'q1' and 'bees-0' were judged"),
    ],
)
def test_a_fault_is_named_with_its_file_and_line(folder: Path, file: str, text: str, said: str) -> None:
    (folder / file).write_text(text)
    with pytest.raises(LoadError, match=said) as caught:
        load_dataset(folder)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("span", "said"),
    [
        (("q1", "bees", 5, 5), "the span 5 to 5 is empty"),
        (("q1", "wasps", 0, 5), "no document 'wasps'"),
        (("q1", "bees", 0, 9_999), r"ends at 9999, after the end of 'bees' \(\d+\)"),
        (("q1", "bees", 0, 65), "this span was given for query 'q1' before"),
    ],
)
def test_a_wrong_span_is_named(tmp_path: Path, span: tuple[str, str, int, int], said: str) -> None:
    folder = write_articles(tmp_path / "articles")
    assert len(ARTICLES["bees"][0]) == 65
    rows = [json.loads(line) for line in (folder / "spans.jsonl").read_text().splitlines()]
    write_lines(
        folder / "spans.jsonl",
        [*rows, dict(zip(("query_id", "doc_id", "start", "end"), span, strict=True))],
    )
    with pytest.raises(LoadError, match=rf"spans\.jsonl line {len(rows) + 1}: .*{said}"):
        load_dataset(folder, chunks="recipe")


def test_missing_files_are_named(tmp_path: Path) -> None:
    folder = write_articles(tmp_path / "articles")
    with pytest.raises(LoadError, match=r"there is no corpus\.jsonl"):
        load_dataset(folder)
    (folder / "docs.jsonl.gz").unlink()
    with pytest.raises(LoadError, match=r"neither docs\.jsonl nor corpus\.jsonl"):
        load_dataset(folder, chunks="recipe")
    (folder / "spans.jsonl").unlink()
    with pytest.raises(LoadError, match=r"neither qrels/<split>\.tsv nor spans\.jsonl"):
        load_dataset(folder, chunks="recipe")
    with pytest.raises(LoadError, match="is a file"):
        load_dataset(folder / "queries.jsonl")
    (folder / "corpus.jsonl.gz").write_bytes(b"\x1f\x8b\x08\x00 broken")
    write_qrels(folder / "qrels" / "test.tsv", [("q1", "bees-0", 1)])
    with pytest.raises(LoadError, match=r"corpus\.jsonl\.gz: cannot be read"):
        load_dataset(folder)
