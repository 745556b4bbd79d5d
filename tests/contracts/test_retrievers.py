"""What everything that answers a query must keep."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from conftest import FLAT
from ragweft import Document, HyDE, Index, MultiQuery
from ragweft.errors import InvalidFilter
from ragweft.ledger.filters import compile_filter
from ragweft.protocols import AsyncRetriever, Retriever
from ragweft.recipe import Recipe, Retrieval
from ragweft.retrieval.reranked import Reranked
from ragweft.testing import FixedReranker, ScriptedGenerator

LANGS = ("en", "de", "fr")
DOCUMENTS = [
    Document(
        id=f"d{i}",
        text=f"alpha {'beta ' * (i % 4)}topic{i % 11} number {i}",
        metadata={"n": i, "lang": LANGS[i % 3], "tags": [f"t{i % 2}", f"u{i % 5}"], "tenant": f"tenant{i % 4}"},
    )
    for i in range(120)
]


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Index]:
    with Index.open(tmp_path_factory.mktemp("retrievers") / "kb", recipe=FLAT) as index:
        index.add(DOCUMENTS)
        index.remove(ids=["d7", "d8"])
        index.add([Document(id="d9", text="alpha changed", metadata={"n": 9, "lang": "it", "tags": []})])
        yield index


def the_index(index: Index, _threads: ThreadPoolExecutor) -> Retriever:
    return index


def reranked(index: Index, threads: ThreadPoolExecutor) -> Retriever:
    return Reranked(index, FixedReranker({"topic3": 2.0, "topic5": 1.0}), threads=threads, pool=20)


def multi_query(index: Index, _threads: ThreadPoolExecutor) -> Retriever:
    return MultiQuery(index, ScriptedGenerator(default="1. beta topic5\n2. number 12"), queries=2)


def hyde(index: Index, _threads: ThreadPoolExecutor) -> Retriever:
    return HyDE(index, ScriptedGenerator(default="alpha beta beta topic7 number 40"))


MAKERS: dict[str, Callable[[Index, ThreadPoolExecutor], Retriever]] = {
    "index": the_index,
    "reranked": reranked,
    "multi_query": multi_query,
    "hyde": hyde,
}


@pytest.fixture(params=sorted(MAKERS))
def retriever(request: pytest.FixtureRequest, filled: Index) -> Iterator[Retriever]:
    with ThreadPoolExecutor(4) as threads:
        yield MAKERS[request.param](filled, threads)


def test_protocols_and_expression(retriever: Retriever) -> None:
    assert isinstance(retriever, Retriever)
    assert isinstance(retriever, AsyncRetriever)
    assert "Hybrid(" in repr(retriever)


@pytest.mark.parametrize("k", [1, 5, 30, 500])
def test_at_most_k_hits_best_first_each_once(retriever: Retriever, k: int) -> None:
    results = retriever.retrieve("alpha topic3", k=k)
    assert len(results) == min(k, 118)
    scores = [hit.score for hit in results]
    assert scores == sorted(scores, reverse=True)
    assert len({hit.chunk.id for hit in results}) == len(results)
    assert all(hit.origins for hit in results)


def test_the_same_question_gets_the_same_answer(retriever: Retriever) -> None:
    first = [(hit.chunk.id, hit.score) for hit in retriever.retrieve("beta topic5", k=20)]
    assert all(
        [(h.chunk.id, h.score) for h in retriever.retrieve("beta topic5", k=20)] == first for _ in range(3)
    )


def test_async_agrees(retriever: Retriever) -> None:
    assert isinstance(retriever, AsyncRetriever)
    for where in (None, {"lang": "de"}):
        sync = retriever.retrieve("alpha topic3", k=7, where=where)
        other = asyncio.run(retriever.aretrieve("alpha topic3", k=7, where=where))
        assert [(h.chunk.id, h.score) for h in other] == [(h.chunk.id, h.score) for h in sync]


def test_removed_and_replaced_documents_never_answer(retriever: Retriever) -> None:
    hits = retriever.retrieve("alpha beta number 7 8 9", k=500)
    assert not {"d7", "d8"} & {hit.chunk.document_id for hit in hits}
    assert [h.chunk.text for h in hits if h.chunk.document_id == "d9"] == ["alpha changed"]


def test_every_hit_satisfies_the_filter(retriever: Retriever) -> None:
    for where, count in (
        ({"tenant": "tenant1"}, 29),
        ({"n": {"$lt": 5}, "lang": "en"}, 2),
        ({"lang": "xx"}, 0),
    ):
        test = compile_filter(where)
        hits = retriever.retrieve("alpha topic5 number", k=200, where=where)
        assert len(hits) == count
        assert all(test(STORED[hit.chunk.document_id]) for hit in hits)


def test_a_blank_query_has_no_hits(retriever: Retriever) -> None:
    assert isinstance(retriever, AsyncRetriever)
    for query in ("", " \n"):
        assert len(retriever.retrieve(query)) == len(asyncio.run(retriever.aretrieve(query))) == 0


def test_a_malformed_filter_is_refused(retriever: Retriever) -> None:
    with pytest.raises(InvalidFilter):
        retriever.retrieve("alpha", where={"n": {"$near": 1}})


values = st.sampled_from([*LANGS, "it", "t0", "u3", "tenant1", 3, 50, 119, None])
conditions = st.one_of(
    values,
    *(st.fixed_dictionaries({op: values}) for op in ("$eq", "$ne", "$contains")),
    *(st.fixed_dictionaries({op: st.integers(0, 130)}) for op in ("$gt", "$gte", "$lt", "$lte")),
    *(st.fixed_dictionaries({op: st.lists(values, max_size=3)}) for op in ("$in", "$nin", "$any", "$all")),
    *(st.fixed_dictionaries({op: st.booleans()}) for op in ("$exists", "$empty")),
)
simple = st.dictionaries(
    st.sampled_from(["n", "lang", "tags", "tenant", "missing"]), conditions, min_size=1, max_size=2
)
filters = st.recursive(
    simple,
    lambda inner: st.one_of(
        st.fixed_dictionaries({"$not": inner}),
        st.fixed_dictionaries({"$and": st.lists(inner, min_size=1, max_size=3)}),
        st.fixed_dictionaries({"$or": st.lists(inner, min_size=1, max_size=3)}),
    ),
    max_leaves=4,
)
STORED: dict[str, dict[str, Any]] = {d.id: dict(d.metadata) for d in DOCUMENTS if d.id not in ("d7", "d8")}
STORED["d9"] = {"n": 9, "lang": "it", "tags": []}


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(where=filters, narrow=st.booleans())
def test_exactly_what_the_filter_admits_is_returned(
    filled: Index, monkeypatch: pytest.MonkeyPatch, where: dict[str, Any], narrow: bool
) -> None:
    """Both ways a filter is applied (scanning few rows, testing candidates of many) return the same set."""
    monkeypatch.setattr("ragweft.ledger.scope.NARROW", 20_000 if narrow else -1)
    test = compile_filter(where)
    # The two ways must not share what they remember of a filter.
    hits = filled.search("alpha", k=500, where={"$and": [where, {"n": {"$exists": True}}]} if narrow else where)
    assert {hit.chunk.document_id for hit in hits} == {name for name, m in STORED.items() if test(m)}


@pytest.mark.parametrize("fusion", ["convex", "rrf", "dbsf", "zscore"])
def test_tenants_never_see_each_other_under_any_fusion(tmp_path: Path, fusion: str) -> None:
    recipe = Recipe(dense=FLAT.dense, retrieval=Retrieval(fusion=fusion))
    with Index.open(tmp_path / "kb", recipe=recipe) as index:
        index.add(DOCUMENTS)
        for tenant in ("tenant0", "tenant3"):
            hits = index.search("alpha beta topic3", k=100, where={"tenant": tenant})
            assert len(hits) == 30
            assert {hit.chunk.metadata["tenant"] for hit in hits} == {tenant}
