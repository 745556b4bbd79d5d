from __future__ import annotations

import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from ir_measures import RR, R, calc_aggregate, nDCG

from ragweft.errors import MissingExtra, RagweftError
from ragweft.evaluation import Dataset
from ragweft.evaluation.measures import Judge, Judged, as_run
from ragweft.evaluation.spans import credited, precision_recall_iou
from ragweft.types import Chunk, Citation, Document, Hit, Span


def hit(name: str, *, document: str | None = None, span: tuple[int, int] | None = None, text: str = "") -> Hit:
    place = Span(start=span[0], end=span[1]) if span else None
    chunk = Chunk(id=name, document_id=document or name, text=text or name, span=place)
    return Hit(chunk=chunk, score=1.0, origins={}, citation=Citation(source=name, uri=name))


def chunks_dataset(qrels: Mapping[str, Mapping[str, int]], texts: Mapping[str, str] | None = None) -> Dataset:
    names = sorted({item for row in qrels.values() for item in row} | set(texts or {}))
    return Dataset(
        name="hand",
        items=[Chunk(id=name, document_id=name, text=(texts or {}).get(name, name)) for name in names],
        queries={query: query for query in qrels},
        qrels=qrels,
    )


def spans_dataset(gold: Mapping[str, tuple[str, tuple[int, int]]]) -> Dataset:
    places = {name: (document, Span(start=a, end=b)) for name, (document, (a, b)) in gold.items()}
    return Dataset(
        name="spans",
        items=[Document(id=document, text="") for document, _ in dict(gold.values()).items()],
        queries={"q": "q"},
        qrels={"q": dict.fromkeys(gold, 1)},
        spans={"q": places},
    )


def scores_of(dataset: Dataset, hits: Mapping[str, Sequence[Hit]], depth: int = 100) -> dict[str, list[float]]:
    judge = Judge(dataset, depth=depth)
    judged = {query: judge.judge(query, found) for query, found in hits.items()}
    return {name: values.tolist() for name, values in judge.score(judged).items()}


def test_ranked_measures_computed_by_hand() -> None:
    dataset = chunks_dataset({"q1": {"a": 2, "b": 1, "z": 0}, "q2": {"c": 1}, "q3": {"d": 1}})
    scores = scores_of(
        dataset,
        {
            "q1": [hit("x"), hit("b"), hit("z"), hit("a")],
            "q2": [*(hit(f"x{i}") for i in range(10)), hit("c")],
            "q3": [],
        },
    )
    gained = 1 / math.log2(3) + 2 / math.log2(5)
    ideal = 2 / math.log2(2) + 1 / math.log2(3)
    assert scores["nDCG@10"] == pytest.approx([gained / ideal, 0.0, 0.0])
    assert scores["MRR@10"] == [0.5, 0.0, 0.0]
    assert scores["Recall@5"] == [1.0, 0.0, 0.0]
    assert scores["Recall@10"] == [1.0, 0.0, 0.0]
    assert scores["Recall@20"] == [1.0, 1.0, 0.0]
    assert scores["Pass@10"] == [1.0, 0.0, 0.0]
    assert scores["Pass@20"] == [1.0, 1.0, 0.0]


def test_depth_limits_what_is_judged_and_named() -> None:
    dataset = chunks_dataset({"q": {"a": 1}})
    hits = {"q": [*(hit(f"x{i}") for i in range(15)), hit("a")]}
    assert scores_of(dataset, hits, depth=20)["Recall@20"] == [1.0]
    shallow = scores_of(dataset, hits, depth=10)
    assert list(shallow) == ["nDCG@10", "Recall@5", "Recall@10", "MRR@10", "Pass@5", "Pass@10"]
    assert shallow["Recall@10"] == [0.0]
    with pytest.raises(ValueError, match="depth must be at least 10, got 9"):
        Judge(dataset, depth=9)


def test_a_query_without_anything_to_find_is_refused() -> None:
    with pytest.raises(ValueError, match="query 'q2' has nothing relevant"):
        Judge(chunks_dataset({"q1": {"a": 1}, "q2": {"b": 0}}), depth=10)
    partly = replace(
        spans_dataset({"g1": ("d", (0, 10))}),
        queries={"q": "", "p": ""},
        qrels={"q": {"g1": 1}, "p": {"g2": 1}},
    )
    with pytest.raises(ValueError, match="query 'p' has no gold spans"):
        Judge(partly, depth=10)


def test_pass_matches_stripped_text_and_counts_each_golden_item() -> None:
    texts = {"a": "same text", "b": " same text\n", "c": "another", "d": "a third"}
    dataset = chunks_dataset({"q1": {"a": 1, "c": 1}, "q2": {"a": 1, "b": 1, "d": 1}}, texts)
    found = [hit("b", text=texts["b"])]
    scores = scores_of(dataset, {"q1": found, "q2": found})
    assert scores["Pass@5"] == pytest.approx([1 / 2, 2 / 3])
    assert scores["Recall@5"] == pytest.approx([0.0, 1 / 3])


def test_several_hits_of_one_document_count_as_the_first() -> None:
    dataset = Dataset(
        name="documents",
        items=[Document(id="a", text="one"), Document(id="b", text="two")],
        queries={"q": "q"},
        qrels={"q": {"b": 1}},
    )
    hits = [hit("a1", document="a"), hit("a2", document="a"), hit("b1", document="b"), hit("a3", document="a")]
    judge = Judge(dataset, depth=10)
    judged = judge.judge("q", hits)
    assert judged.items == ["a", "b"]
    assert judge.score({"q": judged})["MRR@10"].tolist() == [0.5]
    assert judge.score({"q": judged})["Pass@5"].tolist() == [1.0]


def test_a_hit_earns_every_new_span_it_covers_by_half() -> None:
    dataset = spans_dataset({"g1": ("d", (0, 10)), "g2": ("d", (10, 21)), "g3": ("d", (90, 100))})
    judge = Judge(dataset, depth=100)
    hits = [
        hit("h1", document="other", span=(0, 100)),
        hit("h2", document="d", span=(5, 40)),  # half of g1, all of g2
        hit("h3", document="d", span=(0, 15)),  # nothing new, and too little of g2
        hit("h4", document="d", span=(50, 60)),
        hit("h5", document="d", span=(94, 200)),
    ]
    judged = judge.judge("q", hits)
    # The second span of h2 takes the place of h3, which earns nothing.
    assert judged.items == ["hit-1:h1", "g1", "g2", "hit-4:h4", "g3"]
    scores = judge.score({"q": judged})
    assert scores["Recall@5"].tolist() == [1.0]
    assert scores["MRR@10"].tolist() == [0.5]
    gained = 1 / math.log2(3) + 1 / math.log2(4) + 1 / math.log2(6)
    ideal = 1 + 1 / math.log2(3) + 1 / math.log2(4)
    assert scores["nDCG@10"].tolist() == pytest.approx([gained / ideal])
    assert not [name for name in scores if name.startswith("Pass")]


def test_less_than_half_of_a_span_earns_nothing() -> None:
    gold = {"g": ("d", Span(start=10, end=21))}
    assert credited(("d", Span(start=0, end=16)), gold) == ["g"]
    assert credited(("d", Span(start=0, end=15)), gold) == []
    assert credited(("e", Span(start=0, end=99)), gold) == []


def test_span_measures_computed_by_hand() -> None:
    dataset = spans_dataset({"g1": ("d", (0, 100)), "g2": ("e", (0, 50))})
    hits = [hit("h1", document="d", span=(0, 80)), hit("h2", document="d", span=(60, 160))]
    scores = scores_of(dataset, {"q": [*hits, *(hit(f"x{i}", document="x", span=(0, 1)) for i in range(8))]})
    assert scores["SpanPrecision@5"] == pytest.approx([100 / 183])  # 80 + 100 + 3 retrieved, 100 of them gold
    assert scores["SpanRecall@5"] == pytest.approx([100 / 150])
    assert scores["SpanIoU@5"] == pytest.approx([100 / (183 + 50)])
    assert scores["SpanPrecision@10"] == pytest.approx([100 / 188])
    assert scores["SpanIoU@10"] == pytest.approx([100 / (188 + 50)])


def test_a_hit_without_a_place_is_refused_unless_its_chunk_was_given_with_one() -> None:
    dataset = spans_dataset({"g1": ("d", (0, 10))})
    with pytest.raises(RagweftError, match="chunk 'loose' does not say where it stands in 'd'"):
        Judge(dataset, depth=10).judge("q", [hit("loose", document="d")])
    placed = Dataset(
        name="placed",
        items=[Chunk(id="c", document_id="d", text="0123456789", span=Span(start=0, end=10))],
        queries={"q": "q"},
        qrels={"q": {"c": 1}},
        spans=dataset.spans,
    )
    scores = scores_of(placed, {"q": [hit("c")]})
    assert scores["SpanIoU@5"] == scores["MRR@10"] == scores["Pass@5"] == [1.0]


ranges = st.tuples(st.sampled_from("de"), st.integers(0, 40), st.integers(1, 15)).map(
    lambda drawn: (drawn[0], Span(start=drawn[1], end=drawn[1] + drawn[2]))
)


def characters(places: Sequence[tuple[str, Span]]) -> set[tuple[str, int]]:
    return {(document, i) for document, span in places for i in range(span.start, span.end)}


@given(st.lists(ranges, max_size=6), st.lists(ranges, min_size=1, max_size=5))
def test_span_measures_are_counts_of_characters(
    retrieved: list[tuple[str, Span]], gold: list[tuple[str, Span]]
) -> None:
    found = len(characters(retrieved) & characters(gold))
    amount = sum(span.end - span.start for _, span in retrieved)
    missed = len(characters(gold)) - found
    expected = (
        found / amount if amount else 0.0,
        found / len(characters(gold)),
        found / (amount + missed) if found else 0.0,
    )
    assert precision_recall_iou(retrieved, gold) == pytest.approx(expected)


@given(st.lists(ranges, max_size=12), st.lists(ranges, min_size=1, max_size=6, unique=True))
def test_a_span_is_ranked_no_better_than_the_hit_that_earned_it(
    retrieved: list[tuple[str, Span]], gold: list[tuple[str, Span]]
) -> None:
    dataset = spans_dataset({f"g{i}": (d, (s.start, s.end)) for i, (d, s) in enumerate(gold)})
    judge = Judge(dataset, depth=100)
    hits = [hit(f"h{i}", document=d, span=(s.start, s.end)) for i, (d, s) in enumerate(retrieved)]
    judged = judge.judge("q", hits)
    assert len(set(judged.items)) == len(judged.items) >= len(hits)
    for name, place in dataset.spans["q"].items():
        earned = [rank for rank, at in enumerate(retrieved) if name in credited(at, {name: place})]
        assert (name in judged.items) == bool(earned)
        assert not earned or judged.items.index(name) >= earned[0]
    assert all(0.0 <= value <= 1.0 + 1e-12 for row in judge.score({"q": judged}).values() for value in row)


@given(
    st.lists(
        st.lists(st.sampled_from([f"d{i}" for i in range(30)]), unique=True, max_size=30),
        min_size=1,
        max_size=4,
    ),
    st.lists(st.integers(0, 3), min_size=30, max_size=30).filter(any),
)
def test_ranked_measures_agree_with_ir_measures(rankings: list[list[str]], grades: list[int]) -> None:
    row = {f"d{i}": grade for i, grade in enumerate(grades)}
    qrels = {f"q{n}": row for n in range(len(rankings))}
    judge = Judge(chunks_dataset(qrels), depth=100)
    judged = {f"q{n}": judge.judge(f"q{n}", [hit(item) for item in items]) for n, items in enumerate(rankings)}
    scores = judge.score(judged)
    # Scored anew from the order alone, on another scale.
    run = {q: {item: 1000.0 - 7 * place for place, item in enumerate(a.items)} for q, a in judged.items()}
    again = calc_aggregate([nDCG @ 10, R @ 5, R @ 20, RR @ 10], qrels, run)
    for name, measure in {
        "nDCG@10": nDCG @ 10,
        "Recall@5": R @ 5,
        "Recall@20": R @ 20,
        "MRR@10": RR @ 10,
    }.items():
        assert scores[name].mean() == pytest.approx(again[measure])
        assert scores[name].dtype == np.float64


@given(st.lists(st.text(min_size=1), unique=True, max_size=200))
def test_the_scores_of_a_run_fall_strictly(items: list[str]) -> None:
    (row,) = as_run({"q": Judged(items=items, scores={})}).values()
    assert list(row) == items
    values = np.array(list(row.values()), dtype=np.float32)  # as trec_eval holds them
    assert (np.diff(values) < 0).all()


def test_without_ir_measures_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ir_measures", None)
    with pytest.raises(MissingExtra, match=r"ragweft\[eval\]"):
        Judge(chunks_dataset({"q": {"a": 1}}), depth=10)
