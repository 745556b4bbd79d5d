"""Which entries are near: as a comparison with every one would find, kept level with the store."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ragweft.caching.parlance import Spoken
from ragweft.caching.store import CacheStore, Limits, Listed
from ragweft.caching.table import Near, Table, ones
from ragweft.caching.values import Cost, Entry, scope_of

if TYPE_CHECKING:
    from ragweft.types import Vectors

SCOPE = scope_of({"tenant": "a"})


def asked(text: str) -> Spoken:
    return Spoken(text=text, tokens=np.array([len(text)], np.int32))


def texts(near: Near) -> list[str]:
    return [spoken.text for spoken in near.questions]


class Given:
    """A store of vectors that are given at once."""

    def __init__(self, vectors: Vectors) -> None:
        self._vectors = vectors

    def newest(self) -> int:
        return len(self._vectors)

    def listed(self, scope: object, *, after: int = 0) -> Listed:
        numbers = list(range(after + 1, len(self._vectors) + 1))
        return Listed(numbers, self._vectors[after:], [asked(f"q{number}") for number in numbers])

    def count(self, scope: object) -> int:
        return len(self._vectors)


def units(seed: int, count: int, dims: int, *, groups: int = 50) -> Vectors:
    """Vectors in groups, as questions are."""
    noise = np.random.default_rng(seed)
    found = (
        noise.standard_normal((count, dims)) + noise.standard_normal((groups, dims))[np.arange(count) % groups]
    )
    made: Vectors = (found / np.linalg.norm(found, axis=1, keepdims=True)).astype(np.float32)
    return made


def near_to(vector: Vectors, noise: np.random.Generator, amount: float) -> Vectors:
    moved = vector + amount * noise.standard_normal(len(vector)) / np.sqrt(len(vector))
    made: Vectors = (moved / np.linalg.norm(moved)).astype(np.float32)
    return made


@pytest.mark.parametrize("dims", [64, 256, 300, 768, 1024])
def test_the_nearest_is_found_among_many(dims: int) -> None:
    vectors = units(1, 9_000, dims)
    table = Table(Given(vectors), SCOPE)  # type: ignore[arg-type]
    noise = np.random.default_rng(2)
    for _ in range(40):
        asked = near_to(vectors[noise.integers(len(vectors))], noise, 0.4)
        found = table.near(asked, n=10)
        cosines = vectors @ asked
        best = int(cosines.argmax())
        assert found.numbers[0] == best + 1
        assert found.questions[0].text == f"q{best + 1}"
        assert found.cosines[0] == pytest.approx(cosines[best], abs=2e-3)
        assert len(found.numbers) == len(set(found.numbers)) == 10
        assert list(found.cosines) == sorted(found.cosines, reverse=True)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 60), st.integers(1, 20), st.integers(1, 12), st.integers(0, 2**31))
def test_few_are_compared_whole(count: int, n: int, dims: int, seed: int) -> None:
    vectors = units(seed, count, dims, groups=3) if count else np.empty((0, dims), np.float32)
    table = Table(Given(vectors), SCOPE)  # type: ignore[arg-type]
    asked = units(seed + 1, 1, dims)[0]
    found = table.near(asked, n=n)
    cosines = np.sort(vectors @ asked)[::-1]
    assert min(n, (cosines > 5e-3).sum()) <= len(found.numbers) <= min(n, (cosines > -5e-3).sum())
    assert np.allclose(found.cosines, cosines[: len(found.numbers)], atol=5e-3)


def test_the_very_opposite_is_not_taken_for_the_same() -> None:
    vectors = units(3, 6_000, 256)
    vectors[17] = -vectors[4]
    found = Table(Given(vectors), SCOPE).near(vectors[4], n=3)  # type: ignore[arg-type]
    assert found.numbers[0] == 5
    assert 18 not in found.numbers


def test_bits_are_counted_without_numpys_help(monkeypatch: pytest.MonkeyPatch) -> None:
    words = np.random.default_rng(0).integers(0, 2**64, size=500, dtype=np.uint64)
    words = np.concatenate([words, np.array([0, 1, 2**64 - 1, 2**63], dtype=np.uint64)])
    expected = [word.bit_count() for word in words.tolist()]
    assert ones(words).tolist() == expected
    monkeypatch.delattr(np, "bitwise_count", raising=False)
    assert ones(words).tolist() == expected


def test_what_is_gone_is_passed_over() -> None:
    vectors = units(4, 100, 16)
    table = Table(Given(vectors), SCOPE)  # type: ignore[arg-type]
    first = table.near(vectors[3], n=5).numbers
    table.forget(first[0])
    table.forget(first[1])
    assert table.near(vectors[3], n=3).numbers == first[2:]
    assert len(table) == 98


def test_what_is_gone_takes_no_room_for_long() -> None:
    vectors = units(7, 3_000, 16)
    table = Table(Given(vectors), SCOPE)  # type: ignore[arg-type]
    table.near(vectors[0], n=1)
    for number in range(1, 2_001):
        table.forget(number)
    assert table.near(vectors[2_500], n=1).numbers == [2_501]
    assert texts(table.near(vectors[2_500], n=1)) == ["q2501"]
    assert (len(table), table.size) == (1_000, 1_000)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[CacheStore]:
    made = CacheStore(tmp_path / "cache.db")
    yield made
    made.close()


def put(store: CacheStore, name: str, vector: Vectors) -> int:
    entry = Entry(
        query=name,
        vector=vector,
        tokens=asked(name).tokens,
        payload=b"",
        evidence=None,
        cost=Cost(),
        created=time.time(),
    )
    return store.put(SCOPE, entry)[0]


def test_what_is_stored_later_or_by_others_is_seen(store: CacheStore, tmp_path: Path) -> None:
    vectors = units(5, 5, 16)
    table = Table(store, SCOPE)
    assert table.near(vectors[0], n=3).numbers == []
    first = put(store, "first", vectors[0])
    assert table.near(vectors[0], n=3).numbers == [first]
    other = CacheStore(tmp_path / "cache.db")
    second = put(other, "second", vectors[0])
    other.close()
    assert table.near(vectors[0], n=3).numbers == [first, second]
    assert texts(table.near(vectors[0], n=3)) == ["first", "second"]
    elsewhere = scope_of({"tenant": "b"})
    assert Table(store, elsewhere).near(vectors[0], n=3).numbers == []


def test_vectors_of_another_length_are_not_compared(store: CacheStore) -> None:
    put(store, "one", units(6, 1, 16)[0])
    assert Table(store, SCOPE).near(units(6, 1, 8)[0], n=3).numbers == []


def test_what_others_let_go_takes_no_room_for_long(tmp_path: Path) -> None:
    limits = Limits(entries=50, eviction="lru")
    vectors = units(8, 3_000, 16)
    with closing(CacheStore(tmp_path / "cache.db", limits=limits)) as store:
        table = Table(store, SCOPE)
        for number, vector in enumerate(vectors):
            put(store, f"q{number}", vector)
            if not number % 100:
                assert texts(table.near(vector, n=1)) == [f"q{number}"]
        assert table.size < 1_200
        last = table.near(vectors[-1], n=1)
        assert (texts(last), last.numbers) == (["q2999"], [3_000])
