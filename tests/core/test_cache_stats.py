"""What is said of a cache: what it held and did, and how often it was wrong, by exact bounds."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cache_made import QUERY, corpus
from ragweft import Document, Index
from ragweft.caching.estimate import at_least, at_most
from ragweft.caching.standard import DEFAULT, EXACTLY, Standard
from ragweft.caching.stats import WrongHits, stats_of
from ragweft.caching.store import Limits
from ragweft.caching.values import Cost
from ragweft.errors import RagweftError
from ragweft.recipe import Cache, Dense, Recipe

if TYPE_CHECKING:
    from ragweft.answers import Answers

NEAR = "how often is the signing key rotated"
RECIPE = Recipe(dense=Dense(engine="flat"), cache=Cache(threshold=0.9))
KEEPING = replace(RECIPE, cache=Cache(threshold=0.9, results="exact"))


@pytest.fixture
def index(tmp_path: Path) -> Iterator[Index]:
    with Index.open(tmp_path / "kb", recipe=RECIPE) as opened:
        opened.add(corpus())
        yield opened


def stored(index: Index, scope: dict[str, str], query: str = QUERY) -> Answers:
    cache = index.cache()
    cost = Cost(ms=2_000.0, tokens=100, usd=0.01)
    assert cache.store(query, "ninety days", evidence=index.search(query), scope={**scope}, cost=cost)
    return cache


def as_few(wrong: int, of: int, share: float) -> float:
    return sum(math.comb(of, n) * share**n * (1 - share) ** (of - n) for n in range(wrong + 1))


@settings(max_examples=60, deadline=None)
@given(of=st.integers(1, 300), part=st.floats(0, 1), confidence=st.floats(0.5, 0.999))
def test_a_bound_is_where_the_count_is_just_as_improbable_as_allowed(
    of: int, part: float, confidence: float
) -> None:
    wrong = round(part * of)
    high, low = at_most(wrong, of, confidence), at_least(wrong, of, confidence)
    assert 0 <= low <= wrong / of <= high <= 1
    if wrong < of:
        assert as_few(wrong, of, high) == pytest.approx(1 - confidence, rel=1e-6)
    if wrong:
        assert 1 - as_few(wrong - 1, of, low) == pytest.approx(1 - confidence, rel=1e-6)


def test_known_bounds() -> None:
    assert at_most(0, 100, 0.95) == pytest.approx(1 - 0.05 ** (1 / 100))  # nothing of n: 1 - (1 - c)^(1/n)
    assert at_most(3, 10, 0.975) == pytest.approx(0.652453, abs=1e-6)  # Clopper and Pearson's own kind of table
    assert at_least(3, 10, 0.975) == pytest.approx(0.066739, abs=1e-6)
    assert at_most(1_000, 300_000, 0.95) == pytest.approx(0.0035117, abs=1e-7)
    assert (at_most(7, 7, 0.9), at_least(0, 7, 0.9), at_most(0, 0, 0.9), at_least(0, 0, 0.9)) == (1, 0, 1, 0)


@pytest.mark.parametrize(("wrong", "of", "confidence"), [(-1, 5, 0.9), (6, 5, 0.9), (1, 5, 1.0), (1, 5, 0.0)])
def test_there_is_no_bound_of_nonsense(wrong: int, of: int, confidence: float) -> None:
    with pytest.raises(ValueError, match="no such bound"):
        at_most(wrong, of, confidence)


def test_a_tally_is_told_by_what_happened_and_why() -> None:
    tally = {
        "hit exact": (30, Cost(ms=60.0, tokens=3, usd=0.3)),
        "hit semantic": (10, Cost(ms=40.0, tokens=1, usd=0.1)),
        "miss": (58, Cost()),
        "failed": (2, Cost()),
        "dropped stale, new": (2, Cost()),
        "dropped expired": (5, Cost()),
        "evicted": (4, Cost()),
        "refused": (1, Cost()),
        "refused no evidence": (3, Cost()),
        "right": (19, Cost()),
        "wrong": (1, Cost()),
        "checked": (6, Cost()),
    }
    found = stats_of(tally, entries=7, size=900, limits=Limits(), standard=DEFAULT, before={})
    assert (found.looks.exact, found.looks.semantic, found.looks.misses, found.looks.failed) == (30, 10, 58, 2)
    assert (found.looks.total, found.looks.hit_rate) == (100, 0.4)
    assert found.saved == Cost(ms=100.0, tokens=4, usd=0.4)
    assert list(found.dropped.items()) == [("expired", 5), ("stale, new", 2)]
    assert found.refused == {"no evidence": 3, "": 1}
    assert (found.evicted, found.other, found.entries, found.bytes) == (4, {"checked": 6}, 7, 900)
    wrong = found.wrong_hits
    assert wrong is not None
    assert (wrong.basis, wrong.wrong, wrong.of, wrong.share) == ("feedback", 1, 20, 0.05)
    assert wrong.low == pytest.approx(at_least(1, 20, 0.975))
    assert wrong.high == pytest.approx(at_most(1, 20, 0.975))


def test_looks_of_searches_are_told_from_those_for_answers(tmp_path: Path) -> None:
    recipe = Recipe(cache=Cache(results="semantic"))
    with Index.open(tmp_path / "kb", recipe=recipe) as index:
        index.add(Document(id="a", text="Keys are rotated every ninety days."))
        for _ in range(3):
            index.cache().once("when are keys rotated", lambda: ("a", index.search("when are keys rotated")))
        index.search("when are keys rotated")
        found = index.cache().stats()
    assert (found.answers.exact, found.answers.misses) == (2, 1)
    assert (found.searches.exact, found.searches.misses) == (1, 1)
    assert (found.looks.total, found.looks.hit_rate) == (5, 0.6)


def test_what_was_said_by_another_standard_is_not_counted() -> None:
    tally = {"right": (30, Cost()), "wrong": (10, Cost())}
    learnt = Standard(threshold=0.9, target=0.01, confidence=0.9, near_misses=500, wrong=2, upper=0.0106)

    def wrong(**before: int) -> WrongHits | None:
        return stats_of(tally, entries=0, size=0, limits=Limits(), standard=learnt, before=before).wrong_hits

    some, none = wrong(right=20, wrong=10), wrong(right=30, wrong=10)
    assert some is not None
    assert none is not None
    assert (some.basis, some.wrong, some.of) == ("feedback", 0, 10)
    assert none.basis == "calibration"


def test_without_feedback_the_calibration_says_how_often_it_is_wrong() -> None:
    learnt = Standard(threshold=0.9, target=0.01, confidence=0.9, near_misses=500, wrong=2, upper=0.0106)
    found = stats_of({}, entries=0, size=0, limits=Limits(), standard=learnt, before={})
    assert found.wrong_hits == WrongHits(
        basis="calibration", wrong=2, of=500, share=0.004, low=0.0, high=0.0106, confidence=0.9
    )
    assert stats_of({}, entries=0, size=0, limits=Limits(), standard=DEFAULT, before={}).wrong_hits is None
    assert stats_of({}, entries=0, size=0, limits=Limits(), standard=EXACTLY, before={}).looks.hit_rate == 0.0


def test_an_index_tells_what_its_cache_did(index: Index) -> None:
    before = index.cache().stats()
    assert (before.looks.total, before.entries, before.wrong_hits) == (0, 0, None)
    cache = stored(index, {"tenant": "a"})
    for query in (QUERY, NEAR, "high water at the pier"):
        hit = cache.lookup(query, scope={"tenant": "a"})
        if hit is not None:
            cache.feedback(hit, ok=True)
    found = cache.stats()
    assert (found.looks.exact, found.looks.semantic, found.looks.misses) == (1, 1, 1)
    assert found.saved == Cost(ms=4_000.0, tokens=200, usd=0.02)
    assert (found.entries, found.right, found.wrong) == (1, 2, 0)
    assert found.bytes > 1_000
    assert (found.standard.threshold, found.standard.origin) == (0.9, "given")


def test_scopes_tell_who_has_entries_and_go_one_by_one(index: Index) -> None:
    cache = stored(index, {"tenant": "a"})
    stored(index, {"tenant": "a"}, "how is bread and butter pudding baked")
    stored(index, {"tenant": "a", "user": "b"})
    held = cache.scopes()
    assert [one.kind for one in held] == ["answer", "answer"]
    assert [(one.own, one.entries, one.live) for one in held] == [
        ({"tenant": "a"}, 2, True),
        ({"tenant": "a", "user": "b"}, 1, True),
    ]
    assert cache.empty(held[:1]) == 2
    assert cache.lookup(QUERY, scope={"tenant": "a"}) is None
    assert cache.lookup(QUERY, scope={"tenant": "a", "user": "b"}) is not None


def test_what_was_kept_by_another_recipe_is_seen_as_such(index: Index, tmp_path: Path) -> None:
    stored(index, {"tenant": "a"})
    index.close()
    retrieval = replace(RECIPE.retrieval, pool=RECIPE.retrieval.pool + 1)
    with Index.open(tmp_path / "kb", recipe=replace(RECIPE, retrieval=retrieval)) as other:
        held = other.cache().scopes()
        assert [one.live for one in held] == [False]
        assert other.cache().lookup(QUERY, scope={"tenant": "a"}) is None
        assert other.cache().empty(held) == 1


def test_explaining_changes_nothing_and_tells_all_reasons(index: Index) -> None:
    cache = stored(index, {"tenant": "a"})
    stored(index, {"tenant": "a"}, "how often is a pudding baked")
    counted = cache.stats()
    looked = cache.explain("How often is a signing key not rotated?", scope={"tenant": "a"})
    assert looked.hit is None
    assert [passed.query for passed in looked.passed] == [QUERY, "how often is a pudding baked"]
    assert "negation" in looked.passed[0].why
    assert looked.passed[1].why.startswith("below 0.9")
    index.remove(ids=[hit.chunk.document_id for hit in index.search(QUERY)])
    for _ in range(2):
        stale = cache.explain(QUERY, scope={"tenant": "a"})
        assert stale.hit is None
        assert stale.passed[0].why.startswith("stale")
    assert cache.stats().dropped == counted.dropped == {}
    assert cache.lookup(QUERY, scope={"tenant": "a"}) is None
    assert sum(cache.stats().dropped.values()) >= 1


def test_results_are_explained_as_the_recipe_looks_for_them(index: Index, tmp_path: Path) -> None:
    index.close()
    with Index.open(tmp_path / "kb", recipe=KEEPING) as keeping:
        keeping.search(QUERY, k=3)
        (held,) = keeping.cache().scopes()
        assert (held.kind, held.own["k"]) == ("results", 3)
        looked = keeping.cache().explain(NEAR, scope=held.own, kind="results")
        assert looked.hit is None
        assert looked.why == "the same words were not asked before"
        assert looked.passed[0].why == "not the same words"
        again = keeping.cache().explain(QUERY, scope=held.own, kind="results")
        assert again.hit is not None
        assert again.hit.level == "exact"


def test_a_closed_index_says_so(index: Index) -> None:
    cache = index.cache()
    index.close()
    with pytest.raises(RagweftError, match="is closed"):
        cache.stats()
