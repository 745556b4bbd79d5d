"""cache.db: what is kept, found again, counted, and who has to go."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cli_runner import environment
from ragweft.caching.store import CacheStore, Limits, Listed
from ragweft.caching.values import Cost, Entry, Evidence, normalised, scope_of
from ragweft.errors import RagweftError
from ragweft.ledger.snapshot import Moment

EVERYBODY = scope_of({"tenant": "a", "k": 5})
TOKENS = np.array([7, 31_999], np.int32)
ANOTHER = scope_of({"tenant": "b", "k": 5})


def entry(query: str, *, rows: tuple[int, ...] = (1, 2), ms: float = 10.0, payload: bytes = b"answer") -> Entry:
    vector = np.zeros(4, np.float32)
    vector[len(query) % 4] = 1.0
    evidence = Evidence(
        rows=rows,
        generation=3,
        floors={"dense": 0.4},
        legs=("dense", "lexical"),
        where={"year": {"$gte": 2020}},
        sources=("file:///docs",),
        tuning="0.3",
    )
    return Entry(
        query=query,
        vector=vector,
        tokens=TOKENS,
        payload=payload,
        evidence=evidence,
        cost=Cost(ms=ms),
        created=time.time(),
    )


def texts(listed: Listed) -> list[str]:
    return [spoken.text for spoken in listed.questions]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[CacheStore]:
    made = CacheStore(tmp_path / "cache.db")
    yield made
    made.close()


def test_an_entry_comes_back_as_it_was(store: CacheStore) -> None:
    kept = entry("How do I rotate a key?", payload="häßlich".encode())
    number, evicted = store.put(EVERYBODY, kept)
    found = store.exact(EVERYBODY, "How do I  rotate a key? ")
    assert found is not None
    assert evicted == 0
    assert (found.number, found.valid_through, found.threshold) == (number, Moment(3, 0.0), None)
    assert replace(found.entry, vector=kept.vector, tokens=kept.tokens) == kept
    assert found.entry.vector.tolist() == kept.vector.tolist()
    assert found.entry.tokens.tolist() == kept.tokens.tolist()
    assert store.get(number) is not None
    assert store.sizes()[0] == 1


def test_half_a_character_is_kept_as_it_came(tmp_path: Path) -> None:
    odd = "what is \udc80 here"
    scope = scope_of({"tenant": odd})
    evidence = Evidence(rows=(1,), generation=1, where={"team": odd})
    with closing(CacheStore(tmp_path / "cache.db")) as store:
        store.put(scope, replace(entry(odd), evidence=evidence))
        found = store.exact(scope, odd)
        assert found is not None
        assert (found.entry.query, found.entry.evidence) == (odd, evidence)
        assert texts(store.listed(scope)) == [odd]
        assert store.within({"tenant": odd}) == [found.number]


def test_nothing_crosses_a_scope(store: CacheStore) -> None:
    store.put(EVERYBODY, entry("one"))
    assert store.exact(ANOTHER, "one") is None
    assert store.listed(ANOTHER).numbers == []
    store.put(ANOTHER, entry("one", payload=b"other"))
    for scope, payload in ((EVERYBODY, b"answer"), (ANOTHER, b"other")):
        found = store.exact(scope, "one")
        assert found is not None
        assert found.entry.payload == payload


@settings(max_examples=60, deadline=None)
@given(
    st.dictionaries(
        st.text(max_size=5), st.one_of(st.none(), st.booleans(), st.integers(), st.text()), max_size=4
    ),
    st.dictionaries(
        st.text(max_size=5), st.one_of(st.none(), st.booleans(), st.integers(), st.text()), max_size=4
    ),
)
def test_scopes_are_equal_exactly_where_their_parts_are(
    one: dict[str, object], other: dict[str, object]
) -> None:
    def told(parts: dict[str, object]) -> list[str]:
        return sorted(f"{name!r}{type(part)}{part!r}" for name, part in parts.items())

    first, second = scope_of(one), scope_of(other)  # type: ignore[arg-type]
    assert (first.digest == second.digest) == (told(one) == told(other))
    assert scope_of(dict(reversed(one.items()))).digest == first.digest  # type: ignore[arg-type]


def test_a_scope_that_cannot_be_compared_is_refused() -> None:
    with pytest.raises(RagweftError, match="give text, numbers"):
        scope_of({"model": object()})  # type: ignore[dict-item]
    with pytest.raises(RagweftError, match="give text, numbers"):
        scope_of({"temperature": float("nan")})


def test_what_is_the_same_question() -> None:
    assert normalised("  a\t b\n") == normalised("a b")
    assert normalised("caf\u0065\u0301") == normalised("caf\u00e9")
    assert normalised("How is it  done?") == normalised("how is it done") == normalised("how is it done.")
    assert normalised("¿Cómo se hace ?") == normalised("cómo se hace")
    for alone in ("?", "How", "a.", "5!", "¿", "... ?"):
        assert normalised(alone) == alone
    for one, other in (
        ("who is it", "WHO is it"),
        ("rust or iron", "Rust or iron"),
        ("what is 5!", "what is 5"),
    ):
        assert normalised(one) != normalised(other)
    for one, other in (("what is IT", "what is it"), ("x²", "x2"), ("delete it!", "delete it?"), ("a b", "ab")):
        assert normalised(one) != normalised(other)


def test_a_new_answer_takes_the_place_of_the_old_one(store: CacheStore) -> None:
    first, _ = store.put(EVERYBODY, entry("one", rows=(1,)))
    second, _ = store.put(EVERYBODY, entry("one", rows=(2,)))
    assert second > first
    assert store.get(first) is None
    assert store.listed(EVERYBODY).numbers == [second]
    assert (store.resting_on([1]), store.resting_on([2])) == ([], [second])


def test_what_was_added_since(store: CacheStore) -> None:
    numbers = [store.put(EVERYBODY, entry("x" * n))[0] for n in range(1, 6)]
    assert store.newest() == numbers[-1]
    listed = store.listed(EVERYBODY, after=numbers[2])
    assert (listed.numbers, texts(listed)) == (numbers[3:], ["xxxx", "xxxxx"])
    assert listed.vectors.shape == (2, 4)
    store.drop([numbers[-1]])
    assert store.newest() == numbers[-1], "no number is used twice"
    assert store.put(EVERYBODY, entry("y"))[0] > numbers[-1]


def test_who_saves_least_goes_first(tmp_path: Path) -> None:
    store = CacheStore(tmp_path / "cache.db", limits=Limits(entries=3))
    dear, _ = store.put(EVERYBODY, entry("dear", ms=2_700.0))
    cheap, _ = store.put(EVERYBODY, entry("cheap", ms=1.0))
    used, _ = store.put(EVERYBODY, entry("used", ms=1.0))
    store.note({used: 50}, {})
    _, evicted = store.put(EVERYBODY, entry("new", ms=5.0))
    assert evicted == 1
    assert [store.get(n) is not None for n in (dear, cheap, used)] == [True, False, True]
    # What is never asked for again does not stay for ever, however much it would save.
    for n in range(3_000):
        store.put(EVERYBODY, entry(f"stream {n}", ms=100.0))
        if store.get(dear) is None:
            break
    assert store.get(dear) is None
    store.close()


def test_who_was_used_least_lately_goes_first(tmp_path: Path) -> None:
    store = CacheStore(tmp_path / "cache.db", limits=Limits(entries=2, eviction="lru"))
    first, _ = store.put(EVERYBODY, entry("dear", ms=10_000.0))
    second, _ = store.put(EVERYBODY, entry("second"))
    store.note({first: 1}, {})
    store.put(EVERYBODY, entry("third"))
    assert (store.get(first) is None, store.get(second) is None) == (False, True)
    store.close()


def test_bytes_are_a_limit_and_a_single_entry_has_one(tmp_path: Path) -> None:
    store = CacheStore(tmp_path / "cache.db", limits=Limits(bytes=20_000, largest=5_000))
    noise = np.random.default_rng(0)
    for n in range(30):
        store.put(EVERYBODY, entry(f"query {n}", payload=noise.bytes(1_500)))
        assert store.sizes()[1] <= 20_000
    assert store.sizes()[0] >= 8
    with pytest.raises(RagweftError, match="bytes is not kept, 5,000 are the most; raise largest"):
        store.put(EVERYBODY, entry("poison", payload=noise.bytes(6_000)))
    store.close()


def test_what_has_expired_goes_before_anything_else(tmp_path: Path) -> None:
    store = CacheStore(tmp_path / "cache.db", limits=Limits(entries=2))
    store.put(EVERYBODY, replace(entry("over", ms=9_999.0), expires=time.time() - 1))
    stays, _ = store.put(EVERYBODY, entry("stays", ms=1.0))
    _, evicted = store.put(EVERYBODY, entry("new"))
    assert evicted == 0
    assert store.get(stays) is not None
    assert store.exact(EVERYBODY, "over") is None
    store.close()


def test_generations_only_advance(store: CacheStore) -> None:
    number, _ = store.put(EVERYBODY, entry("one"))
    for through, expected in ((9, 9), (5, 9), (12, 12)):
        store.advance([number], through=Moment(through, through + 0.5))
        found = store.get(number)
        assert found is not None
        assert found.valid_through == Moment(expected, expected + 0.5)


def test_scopes_without_entries_go(store: CacheStore, tmp_path: Path) -> None:
    others = [scope_of({"user": number}) for number in range(3)]
    numbers = [store.put(scope, entry("one"))[0] for scope in others]
    store.put(others[0], entry("one"))
    store.drop(numbers[1:])
    with closing(sqlite3.connect(tmp_path / "cache.db")) as database:
        assert database.execute("SELECT count(*) FROM scopes").fetchone() == (1,)
    assert [(scope.digest, held) for scope, held in store.scopes()] == [(others[0].digest, 1)]
    assert store.put(others[1], entry("again"))[1] == 0
    assert store.exact(others[1], "again") is not None


def test_entries_by_scope(store: CacheStore) -> None:
    one, _ = store.put(EVERYBODY, entry("one"))
    other, _ = store.put(ANOTHER, entry("one"))
    assert store.within({"tenant": "a"}) == [one]
    assert store.within({"k": 5}) == store.within({}) == [one, other]
    assert store.within({"k": 5, "tenant": None}) == store.within({"absent": None}) == []
    assert store.drop([one, other, 999]) == 2


def test_what_happened_is_added_up(store: CacheStore) -> None:
    store.note({}, {"hit exact": (2, Cost(ms=5.0, tokens=7, usd=0.5)), "miss": (1, Cost())})
    store.note({}, {"hit exact": (1, Cost(ms=1.0))})
    assert store.tally() == {"hit exact": (3, Cost(ms=6.0, tokens=7, usd=0.5)), "miss": (1, Cost())}


def test_values_are_kept(store: CacheStore) -> None:
    assert store.fact("threshold") is None
    store.set_fact("threshold", "0.9")
    store.set_fact("threshold", "0.95")
    assert store.fact("threshold") == "0.95"


def fill(path: str, first: int) -> None:
    store = CacheStore(Path(path))
    for n in range(first, first + 25):
        store.put(EVERYBODY, entry(f"query {n}"))
    store.close()


def test_processes_share_one_file(tmp_path: Path) -> None:
    path = tmp_path / "cache.db"
    store = CacheStore(path)
    said = "import runpy, sys; runpy.run_path(sys.argv[1])['fill'](sys.argv[2], int(sys.argv[3]))"
    found = environment()
    found["PYTHONPATH"] = os.pathsep.join((found["PYTHONPATH"], str(Path(__file__).parents[1])))
    several = [
        subprocess.Popen([sys.executable, "-c", said, __file__, str(path), str(25 * n)], env=found)
        for n in range(2)
    ]
    assert [process.wait(timeout=120) for process in several] == [0, 0]
    assert sorted(texts(store.listed(EVERYBODY))) == sorted(f"query {n}" for n in range(50))
    store.close()
