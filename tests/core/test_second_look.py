"""The second look at fused candidates: its arithmetic, and that it keeps what the first one promised."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conftest import FLAT
from ragweft import Chunk, Index, Recipe
from ragweft.recipe import Retrieval

if TYPE_CHECKING:
    from ragweft.types import Results

TOPICS = """
    harbour tide moon water engine oil pressure valve garden rose soil seed bread oven yeast flour
    violin string bow tune glacier ice valley stone
"""
WORDS = TOPICS.split()
CORPUS = [
    Chunk(
        id=f"c{number:02}",
        document_id=f"d{number // 3}" if number < 18 else f"single{number}",
        text=" ".join(WORDS[(number * 5 + step * step * 3) % len(WORDS)] for step in range(4 + number % 17)),
        metadata={"even": number % 2 == 0},
    )
    for number in range(30)
]


def weighed(
    *,
    dense_weight: float | str = "auto",
    late_weight: float = 0.5,
    document_weight: float = 0.3,
    late_pool: int = 50,
    pool: int = 100,
) -> Recipe:
    retrieval = Retrieval(
        dense_weight=dense_weight,
        late_weight=late_weight,
        document_weight=document_weight,
        late_pool=late_pool,
        pool=pool,
    )
    return replace(FLAT, retrieval=retrieval)


def listed(results: Results) -> list[tuple[str, float]]:
    return [(hit.chunk.id, hit.score) for hit in results]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("second") / "kb"
    with Index.open(path, recipe=FLAT) as index:
        index.add(CORPUS)
    return path


@pytest.fixture(scope="module")
def filled(folder: Path) -> Iterator[Index]:
    with Index.open(folder) as index:
        yield index


asked = st.lists(st.sampled_from([*WORDS, "unheard", "the"]), min_size=1, max_size=6).map(" ".join)


@settings(max_examples=40, deadline=None)
@given(asked)
def test_the_shares_of_a_hit_sum_to_its_score(filled: Index, query: str) -> None:
    results = filled.search(query, k=30)
    for hit in results:
        assert hit.score == pytest.approx(sum(origin.share for origin in hit.origins.values()), abs=1e-7)
    scores = [hit.score for hit in results]
    assert scores == sorted(scores, reverse=True)
    assert all(-1e-9 <= score <= 1 + 1e-9 for score in scores)


@settings(max_examples=30, deadline=None)
@given(asked, st.booleans())
def test_filtered_rows_never_come_back(filled: Index, query: str, even: bool) -> None:
    results = filled.search(query, k=30, where={"even": even})
    assert {hit.chunk.metadata["even"] for hit in results} <= {even}


@pytest.mark.parametrize("query", ["tide", "bread oven yeast", "stone valley ice violin"])
def test_the_formula_holds(folder: Path, query: str) -> None:
    """Recomputed from the plain fusion and the raw scores of late interaction."""
    with Index.open(folder, recipe=weighed(late_weight=0.0, document_weight=0.0)) as index:
        fused = dict(listed(index.search(query, k=30)))
    with Index.open(folder) as index:
        hits = list(index.search(query, k=30))
    assert {hit.chunk.id for hit in hits} == set(fused)
    share = 0.5 * (1 - 0.3)
    late = {hit.chunk.id: hit.origins["late"].score for hit in hits}
    low, high = min(late.values()), max(late.values())
    before = {c: (1 - share) * fused[c] + share * (late[c] - low) / (high - low) for c in fused}
    best: dict[str, float] = {}
    for hit in hits:
        name = hit.chunk.document_id
        best[name] = max(best.get(name, 0.0), before[hit.chunk.id])
    for hit in hits:
        own = before[hit.chunk.id]
        lent = 0.3 / 1.3 * (best[hit.chunk.document_id] - own)
        assert hit.score == pytest.approx(own + lent, abs=1e-6)
        assert ("document" in hit.origins) == (lent > 1e-12)


def test_switched_off_the_fused_order_stands(folder: Path) -> None:
    off = weighed(late_weight=0.0, document_weight=0.0)
    with Index.open(folder, recipe=off) as plain, Index.open(folder) as looked:
        moved = 0
        for query in ("tide moon", "engine oil valve", "rose seed bread violin"):
            results = plain.search(query, k=30)
            assert all(set(hit.origins) <= {"dense", "lexical"} for hit in results)
            assert "late" not in {stage.name for stage in results.trace.stages}
            shares = {h.chunk.id: round(sum(o.share for o in h.origins.values()), 7) for h in results}
            order = sorted(results, key=lambda hit: (-shares[hit.chunk.id], hit.row))
            assert [hit.chunk.id for hit in results] == [hit.chunk.id for hit in order]
            moved += [c for c, _ in listed(results)] != [c for c, _ in listed(looked.search(query, k=30))]
        assert moved, "switched on, it changes something"


def test_documents_of_one_chunk_keep_their_order(folder: Path) -> None:
    with (
        Index.open(folder, recipe=weighed(document_weight=0.0)) as without,
        Index.open(folder, recipe=weighed(document_weight=2.0)) as lending,
    ):
        for query in ("tide moon", "engine oil valve"):
            alone = [pair for pair in listed(without.search(query, k=30)) if int(pair[0][1:]) >= 18]
            lent = [pair for pair in listed(lending.search(query, k=30)) if int(pair[0][1:]) >= 18]
            assert alone
            assert lent == alone


def test_a_pool_smaller_than_k_is_looked_at_and_the_rest_stays(folder: Path) -> None:
    with Index.open(folder, recipe=weighed(late_pool=4, pool=10, document_weight=0.0)) as index:
        results = index.search("tide moon engine bread stone", k=30)
        assert len(results) > 10
        assert len({hit.chunk.id for hit in results}) == len(results)
        assert sum("late" in hit.origins for hit in results) == 4
        (stage,) = [stage for stage in results.trace.stages if stage.name == "late"]
        assert stage.candidates == 4
        for hit in results:
            assert hit.score == pytest.approx(sum(o.share for o in hit.origins.values()), abs=1e-7)


def test_another_process_and_another_object_rank_alike(folder: Path, filled: Index) -> None:
    queries = ["tide moon", "bread oven unheard"]
    here = [listed(filled.search(query, k=10)) for query in queries]
    with Index.open(folder, read_only=True) as other:
        assert [listed(other.search(query, k=10)) for query in queries] == here
    code = (
        "import sys\nfrom ragweft import Index\n"
        "with Index.open(sys.argv[1]) as index:\n"
        "    print([[(h.chunk.id, h.score) for h in index.search(q, k=10)] for q in sys.argv[2:]])\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code, str(folder), *queries], check=True, capture_output=True, text=True
    )
    assert ran.stdout.strip() == repr(here)


@pytest.mark.parametrize("spoil", ["DELETE FROM profiles", "DROP TABLE profiles"])
@pytest.mark.parametrize("read_only", [False, True])
def test_without_a_profile_words_and_meaning_still_answer(tmp_path: Path, spoil: str, read_only: bool) -> None:
    with Index.open(tmp_path / "kb", recipe=FLAT) as index:
        index.add(CORPUS)
    with sqlite3.connect(tmp_path / "kb" / "ledger.db") as connection:
        connection.execute(spoil)
    connection.close()
    with Index.open(tmp_path / "kb", read_only=read_only) as index:
        results = index.search("bread oven yeast", k=3)
        assert len(results) == 3
        assert all("late" not in hit.origins for hit in results)
        assert index.status().tuning.origin == "default"
        for hit in results:
            assert hit.score == pytest.approx(sum(o.share for o in hit.origins.values()), abs=1e-7)
        if not read_only:
            index.add(Chunk(id="new", document_id="new", text="bread with butter"))
            assert all("late" in hit.origins for hit in index.search("bread oven yeast", k=3))


def test_with_all_weight_on_a_silent_leg_the_shares_still_sum(folder: Path) -> None:
    with Index.open(folder, recipe=weighed(dense_weight=0.0, late_weight=0.0, document_weight=0.0)) as index:
        results = index.search("crankshaft lubrication", k=5)
        assert results
        assert all(set(hit.origins) == {"dense"} for hit in results)
        for hit in results:
            assert hit.score == pytest.approx(hit.origins["dense"].share, abs=1e-7)
        assert results[0].score == pytest.approx(1.0)


def test_the_trace_says_which_weights_counted(filled: Index) -> None:
    trace = filled.search("tide").trace
    assert trace.tuning == filled.status().tuning
    (fuse,) = [stage for stage in trace.stages if stage.name == "fuse"]
    assert fuse.note == "convex, dense 0.3 (default)"
