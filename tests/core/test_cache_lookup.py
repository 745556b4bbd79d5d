"""Answers that are served again: to the same question, or one that asks the same, as long as they are right."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cache_made import QUERY, Opened, corpus
from ragweft import Document
from ragweft.caching.cache import SemanticCache
from ragweft.caching.likeness import Likeness
from ragweft.caching.standard import Standard
from ragweft.caching.store import CacheStore, Limits
from ragweft.caching.values import Cost
from ragweft.errors import IndexLocked, RagweftError

if TYPE_CHECKING:
    from ragweft.caching.values import Evidence
    from ragweft.types import Json

NEAR = "how often is the signing key rotated"
TENANT = {"tenant": "a"}


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Opened]:
    made = Opened(tmp_path / "kb")
    made.index.add(corpus())
    yield made
    made.close()


def cache_of(opened: Opened, *, threshold: float | None = 0.9, seconds: float | None = None) -> SemanticCache:
    store = CacheStore(opened.parts.folder / "cache.db", limits=Limits(largest=50_000))
    return SemanticCache(
        store,
        opened.watch,
        opened.embedder.embed_query,
        Likeness(opened.embedder),
        embedded="s",
        within={"index": opened.parts.ledger.uuid},
        threshold=threshold,
        seconds=seconds,
    )


@pytest.fixture
def cache(opened: Opened) -> Iterator[SemanticCache]:
    made = cache_of(opened)
    yield made
    made.close()


def evidence(opened: Opened, query: str = QUERY) -> Evidence:
    found = opened.watch.evidence(opened.search(query))
    assert found is not None
    return found


def test_the_same_words_and_the_same_meaning(opened: Opened, cache: SemanticCache) -> None:
    assert cache.lookup(QUERY, scope=TENANT) is None
    cache.store(QUERY, {"text": "ninety days"}, evidence=evidence(opened), scope=TENANT, cost=Cost(ms=2_700.0))
    same = cache.lookup(f" {QUERY} ", scope=TENANT)
    assert same is not None
    assert (same.level, same.likeness, same.answer, same.saved.ms) == (
        "exact",
        1.0,
        {"text": "ninety days"},
        2_700.0,
    )
    near = cache.lookup(NEAR, scope=TENANT)
    assert near is not None
    assert (near.level, near.query, near.number) == ("semantic", QUERY, same.number)
    assert near.likeness > 0.9
    assert cache.lookup("how is bread and butter pudding baked", scope=TENANT) is None


def test_what_asks_something_else_is_a_miss_however_near(opened: Opened, cache: SemanticCache) -> None:
    cache.store("Is a signing key rotated in 90 days", "yes", evidence=evidence(opened))
    for other in ("Is a signing key not rotated in 90 days", "Is a signing key rotated in 30 days"):
        assert cache.lookup(other) is None
        looked = cache.explain(other)
        assert looked.passed[0].likeness > 0.9
        assert looked.passed[0].why.partition(":")[0] in ("negation", "numbers")


def test_a_threshold_above_one_serves_the_same_words_only(opened: Opened) -> None:
    cache = cache_of(opened, threshold=1.5)
    cache.store(QUERY, "ninety", evidence=evidence(opened))
    assert cache.lookup(QUERY) is not None
    assert cache.lookup(NEAR) is None
    cache.close()


_JSON = st.one_of(st.none(), st.booleans(), st.integers(-3, 3), st.sampled_from(["a", "b", ""]))
_SCOPES = st.dictionaries(st.sampled_from(["tenant", "k", "kind", "index", "scope.k"]), _JSON, max_size=3)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(one=_SCOPES, other=_SCOPES)
def test_nothing_crosses_a_scope(
    opened: Opened, cache: SemanticCache, one: dict[str, object], other: dict[str, object]
) -> None:
    def told(scope: dict[str, object]) -> list[tuple[str, str]]:
        return sorted((name, f"{type(part)}{part!r}") for name, part in scope.items())

    cache.clear()
    cache.store(QUERY, "theirs", evidence=evidence(opened), scope=one)  # type: ignore[arg-type]
    same = told(one) == told(other)
    for query in (QUERY, NEAR):
        found = cache.lookup(query, scope=other)  # type: ignore[arg-type]
        assert (found is not None) == same


def test_an_edit_drops_what_it_touches_and_nothing_else(opened: Opened, cache: SemanticCache) -> None:
    pudding = "how is bread and butter pudding baked"
    cache.store(QUERY, "ninety", evidence=evidence(opened))
    cache.store(pudding, "under custard", evidence=evidence(opened, pudding))
    best = opened.search()[0].chunk.document_id
    changed = next(document for document in corpus() if document.id == best)
    opened.index.add([replace(changed, text=changed.text.replace("ninety", "thirty"))])
    assert cache.lookup(QUERY) is None
    assert cache.lookup(NEAR) is None
    assert cache.lookup(pudding) is not None
    assert cache.tally()["dropped stale, evidence"][0] == 1


def test_something_new_that_is_near_is_seen_by_every_process(opened: Opened, cache: SemanticCache) -> None:
    cache.store(QUERY, "ninety", evidence=evidence(opened))
    other = cache_of(opened)
    assert other.lookup(NEAR) is not None
    opened.index.add([Document(id="news", text="The signing key is rotated every thirty days since March.")])
    assert other.lookup(NEAR) is None
    assert cache.lookup(QUERY) is None
    assert cache.lookup(NEAR) is None
    other.close()


def test_an_answer_expires(opened: Opened) -> None:
    cache = cache_of(opened, seconds=0.05)
    cache.store(QUERY, "ninety", evidence=evidence(opened))
    cache.store(NEAR, "ninety", evidence=evidence(opened), seconds=100.0)
    time.sleep(0.06)
    assert cache.lookup(NEAR) is not None
    found = cache.lookup(QUERY)
    assert found is None or found.query == NEAR
    cache.close()


def test_without_evidence_nothing_is_kept(opened: Opened, cache: SemanticCache) -> None:
    assert cache.store(QUERY, "ninety", evidence=None) is None
    assert cache.lookup(QUERY) is None


def test_what_is_too_large_or_no_json(opened: Opened, cache: SemanticCache) -> None:
    chance = random.Random(0)
    noise = "".join(chr(chance.randrange(0x4E00, 0x9000)) for _ in range(40_000))
    assert cache.store(QUERY, noise, evidence=evidence(opened)) is None
    assert cache.lookup(QUERY) is None
    with pytest.raises(RagweftError, match="is not JSON"):
        cache.store(QUERY, object(), evidence=evidence(opened))  # type: ignore[arg-type]


def test_feedback_tightens_what_was_wrong(opened: Opened, cache: SemanticCache) -> None:
    cache.store(QUERY, "ninety", evidence=evidence(opened))
    hit = cache.lookup(NEAR)
    assert hit is not None
    cache.feedback(hit, ok=True)
    assert cache.lookup(NEAR) is not None
    cache.feedback(hit, ok=False)
    assert cache.lookup(NEAR) is None
    assert "wrong once" in cache.explain(NEAR).passed[0].why
    same = cache.lookup(QUERY)
    assert same is not None
    cache.feedback(same, ok=False)
    assert cache.lookup(QUERY) is None


def test_forgetting_by_scope(opened: Opened, cache: SemanticCache) -> None:
    for tenant in "ab":
        for k in (3, 5):
            scope = {"tenant": tenant, "k": k}
            cache.store(QUERY, tenant, evidence=evidence(opened), scope=scope)
    assert cache.clear(scope={"tenant": "a"}) == 2
    assert cache.lookup(QUERY, scope={"tenant": "a", "k": 3}) is None
    assert cache.lookup(QUERY, scope={"tenant": "b", "k": 3}) is not None
    assert cache.clear() == 2


def test_everything_is_counted(opened: Opened, cache: SemanticCache) -> None:
    cache.store(QUERY, "ninety", evidence=evidence(opened), cost=Cost(ms=100.0, tokens=7, usd=0.5))
    for query in (QUERY, QUERY, NEAR, "high water at the pier"):
        cache.lookup(query)
    assert cache.tally() == {
        "hit exact": (2, Cost(ms=200.0, tokens=14, usd=1.0)),
        "hit semantic": (1, Cost(ms=100.0, tokens=7, usd=0.5)),
        "miss": (1, Cost()),
    }
    cache.explain(QUERY)
    assert cache.tally()["hit exact"][0] == 2


def test_a_cache_that_fails_is_a_miss(
    opened: Opened, cache: SemanticCache, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise IndexLocked("cache.db: the disk is full")

    monkeypatch.setattr(CacheStore, "glance", broken)
    monkeypatch.setattr(CacheStore, "put", broken)
    assert cache.lookup(QUERY) is None
    assert cache.store(QUERY, "ninety", evidence=evidence(opened)) is None
    assert caplog.text.count("the disk is full") == 2
    monkeypatch.undo()
    assert cache.tally()["failed"][0] == 1


def test_an_empty_question(opened: Opened, cache: SemanticCache) -> None:
    assert cache.lookup("  ") is None
    assert cache.store(" \n", "nothing", evidence=evidence(opened)) is None
    assert cache.lookup("???") is None


def test_many_threads(opened: Opened, cache: SemanticCache) -> None:
    cache.store(QUERY, "ninety", evidence=evidence(opened))
    wrong: list[object] = []

    def work(number: int) -> None:
        for n in range(20):
            if n % 5 == 0:
                cache.store(f"note {number} of day {n}", n, evidence=evidence(opened), scope={"thread": number})
            found = cache.lookup(NEAR if n % 2 else QUERY)
            if found is None or found.answer != "ninety":
                wrong.append(found)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert cache.tally()["hit exact"][0] + cache.tally()["hit semantic"][0] == 120


def test_scopes_beyond_those_in_memory_are_read_again(opened: Opened, cache: SemanticCache) -> None:
    many: list[dict[str, Json]] = [{"user": number} for number in range(300)]
    rests_on = evidence(opened)
    for scope in many:
        cache.store(QUERY, scope["user"], evidence=rests_on, scope=scope)
        assert cache.lookup(NEAR, scope=scope) is not None
    for scope in many:
        hit = cache.lookup(NEAR, scope=scope)
        assert hit is not None
        assert (hit.level, hit.answer) == ("semantic", scope["user"])


def test_while_nothing_is_calibrated_a_word_in_the_place_of_another_is_a_doubt(opened: Opened) -> None:
    cache = cache_of(opened, threshold=None)
    cache.store("What does TNF-alpha do?", "this", evidence=evidence(opened))
    assert cache.lookup("What does TNF-beta do?") is None
    (passed,) = cache.explain("What does TNF-beta do?").passed
    assert (passed.likeness > 0.95, passed.why) == (True, "words: beta against alpha")
    assert cache.lookup("What does the TNF-alpha do?") is not None
    cache.keep_standard(Standard(threshold=0.95, origin="pairs"))
    assert cache.lookup("What does TNF-beta do?") is not None
    cache.close()


def test_feedback_is_about_a_hit(cache: SemanticCache) -> None:
    for nothing in (None, "a question"):
        with pytest.raises(RagweftError, match="is no hit"):
            cache.feedback(nothing, ok=False)  # type: ignore[arg-type]
    assert cache.tally() == {}


def test_what_was_wrong_by_one_measure_is_not_served_by_another(opened: Opened) -> None:
    cache = cache_of(opened, threshold=None)
    cache.store(QUERY, "ninety", evidence=evidence(opened))
    hit = cache.lookup(NEAR)
    assert hit is not None
    assert cache.feedback(hit, ok=False)
    assert cache.lookup(NEAR) is None
    cache.keep_standard(Standard(threshold=0.5, measure="mixed"))
    assert cache.lookup(NEAR) is None
    assert cache.lookup(QUERY) is not None
    cache.close()
