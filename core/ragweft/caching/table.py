"""The entries of one scope in memory, and which are near a query: of a hundred thousand in a millisecond.

Every vector is kept twice: as signs of its numbers, a bit each, and whole in half precision. The signs of two
vectors differ in about that share of all places which their angle is of a half turn (Charikar, "Similarity
estimation techniques from rounding algorithms", STOC 2002), so the entries that differ least are nearly always
the nearest; these few are compared whole. A longer vector is folded first: parts of it with random signs are
added up, which keeps angles about as they are (Weinberger and others, "Feature hashing for large scale
multitask learning", ICML 2009).
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ragweft.caching.parlance import Parlance

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from ragweft.caching.parlance import Spoken
    from ragweft.caching.store import CacheStore, Listed
    from ragweft.caching.values import Scope
    from ragweft.types import Vector, Vectors

__all__ = ["Near", "Table"]

_BITS = 256
_EXACT = 4_000
"""Entries that are all compared whole: no slower, and nothing is missed."""
_FEW_DIMS = 64
"""Vectors that have not enough signs to be told apart by."""
_SEED = 20_020_519
_FIRST = 16
_FEWEST = 100
"""Candidates that are compared whole: the ten nearest are among so many of a hundred thousand in 98 %."""
_HALF = _BITS // 128
_COARSE = 20
"""How many times as many are looked for by half of the bits."""
_SAMPLE = 8_000
"""Values from which is guessed where a cut lies."""
_PASSED_OVER = 256
_U = np.uint64


class Near(NamedTuple):
    """Entries near a query, the nearest first."""

    numbers: list[int]
    cosines: Vector
    questions: list[Spoken]
    parlance: Parlance
    """How questions are put in this scope."""


class Table:
    """The queries of one scope. Safe to use from many threads."""

    def __init__(self, store: CacheStore, scope: Scope) -> None:
        """Nothing is read before the first question."""
        self._store = store
        self._scope = scope
        self._lock = threading.Lock()
        self._upto = 0
        self._size = 0
        self._numbers: NDArray[np.int64] = np.empty(0, np.int64)
        self._halves: NDArray[np.float16] = np.empty((0, 0), np.float16)
        # The first half of the bits is read for every entry, the rest for some: each lies as it is read.
        self._coarse: NDArray[np.uint64] = np.empty((_HALF, 0), np.uint64)
        self._fine: NDArray[np.uint64] = np.empty((0, _HALF), np.uint64)
        self._questions: list[Spoken] = []
        self._parlance = Parlance()
        self._gone: set[int] = set()

    def __len__(self) -> int:
        return self._size - len(self._gone)

    @property
    def size(self) -> int:
        """Entries in memory, also those that are gone."""
        return self._size

    def near(self, vector: Vector, *, n: int, newest: int | None = None) -> Near:
        """The *n* entries of highest cosine with *vector*, which has length 1, as far as it is positive.

        *newest* is the store's, if it was just asked.
        """
        with self._lock:
            self._close_up()
            self._take_in(self._store.newest() if newest is None else newest)
            if not self._size or self._halves.shape[1] != len(vector):
                return Near([], np.empty(0, np.float32), [], self._parlance)
            places = self._candidates(vector, max(n, _FEWEST) + len(self._gone))
            cosines = self._halves[places].astype(np.float32) @ vector
            numbers = self._numbers[places]
            ranked = np.lexsort((numbers, -cosines))
            ranked = ranked[cosines[ranked] > 0].tolist()
            order = [place for place in ranked if int(numbers[place]) not in self._gone][:n]
            questions = [self._questions[place] for place in places[order].tolist()]
            parlance = self._parlance
        return Near([int(numbers[place]) for place in order], cosines[order], questions, parlance)

    def forget(self, number: int) -> None:
        """Pass over an entry that is not in the store any more."""
        with self._lock:
            self._gone.add(number)

    def _take_in(self, newest: int) -> None:
        """What was added to the store since, by any process, up to its *newest* at least."""
        if newest < self._upto:
            newest = self._store.newest()  # what was told may be older than what another thread has read
        if newest < self._upto:
            # No number is used twice: what was in memory is lost with its connection, and began anew.
            self._upto = 0
            self._size, self._questions, self._gone, self._parlance = 0, [], set(), Parlance()
        if newest <= self._upto:
            return
        listed = self._store.listed(self._scope, after=self._upto)
        total = self._size + len(listed.numbers)
        if total > len(self._numbers) and self._size > 2 * self._store.count(self._scope):
            # Most of what is here went, whoever had it go: read anew instead of making room.
            self._size, self._questions, self._gone, self._parlance = 0, [], set(), Parlance()
            listed = self._store.listed(self._scope)
        self._upto = max(newest, *listed.numbers, 0)
        if listed.numbers:
            self._append(listed)

    def _close_up(self) -> None:
        """Let go of what is gone, as soon as passing over it takes longer."""
        if len(self._gone) <= max(_PASSED_OVER, self._size // 16):
            return
        own = self._numbers[: self._size]
        kept = np.flatnonzero(~np.isin(own, np.fromiter(self._gone, np.int64, len(self._gone))))
        self._size, self._gone = len(kept), set()
        self._numbers, self._halves = own[kept], self._halves[kept]
        self._coarse, self._fine = self._coarse[:, kept], self._fine[kept]
        self._questions = [self._questions[place] for place in kept.tolist()]

    def _append(self, listed: Listed) -> None:
        dims = listed.vectors.shape[1]
        if self._size and self._halves.shape[1] != dims:
            return
        total = self._size + len(listed.numbers)
        if total > len(self._numbers) or self._halves.shape[1] != dims:
            self._grow(max(total, 2 * self._size, _FIRST), dims)
        places = slice(self._size, total)
        self._numbers[places] = listed.numbers
        self._halves[places] = listed.vectors
        signs = _signs(listed.vectors)
        self._coarse[:, places], self._fine[places] = signs[:, :_HALF].T, signs[:, _HALF:]
        self._questions.extend(listed.questions)
        self._parlance.add(listed.questions)
        self._size = total

    def _grow(self, room: int, dims: int) -> None:
        numbers, halves = np.empty(room, np.int64), np.empty((room, dims), np.float16)
        coarse, fine = np.empty((_HALF, room), np.uint64), np.empty((room, _HALF), np.uint64)
        if self._size:
            numbers[: self._size] = self._numbers[: self._size]
            halves[: self._size] = self._halves[: self._size]
            coarse[:, : self._size] = self._coarse[:, : self._size]
            fine[: self._size] = self._fine[: self._size]
        self._numbers, self._halves, self._coarse, self._fine = numbers, halves, coarse, fine

    def _candidates(self, vector: Vector, n: int) -> NDArray[np.int64]:
        """Places of at least *n* entries, if there are so many, the nearest among them."""
        if self._size <= max(_EXACT, n) or len(vector) < _FEW_DIMS:
            return np.arange(self._size, dtype=np.int64)
        asked = _signs(vector[np.newaxis])[0]
        # Half of the bits tell who may be among the nearest, all of them who is. A byte is enough to count
        # them: only a vector's very opposite overflows it, and is seen through when compared whole.
        apart = ones(self._coarse[0, : self._size] ^ asked[0])
        for word in range(1, _HALF):
            apart += ones(self._coarse[word, : self._size] ^ asked[word])
        some = _least(apart, min(_COARSE * n, self._size))
        rest = ones(self._fine[some] ^ asked[_HALF:]).sum(axis=1, dtype=np.uint8)
        return some[_least(apart[some] + rest, n)]


def _least(values: NDArray[np.uint8], n: int) -> NDArray[np.int64]:
    """Places of the *n* smallest values, and of some more that are hardly larger; *n* <= len(values)."""
    # Where the cut lies is guessed from a few, for to count every value takes longer than all the rest.
    step = max(1, len(values) // _SAMPLE)
    counts = np.cumsum(np.bincount(values[::step], minlength=256))
    cut = int(np.searchsorted(counts, min(n / step, counts[-1])))
    while np.count_nonzero(under := values <= cut) < n:
        cut += 1
    return np.flatnonzero(under)


def _signs(vectors: Vectors) -> NDArray[np.uint64]:
    """The signs of *vectors*, 64 to a number: shape (len(vectors), _BITS / 64)."""
    folded = _folded(vectors)
    bits = np.zeros((len(folded), _BITS), dtype=bool)
    bits[:, : folded.shape[1]] = folded > 0
    return np.packbits(bits, axis=1).view(np.uint64)


def ones(words: NDArray[np.uint64]) -> NDArray[np.uint8]:
    """How many bits of each word are set."""
    count: Callable[[NDArray[np.uint64]], NDArray[np.uint8]] | None = getattr(np, "bitwise_count", None)
    if count is not None:
        return count(words)
    # numpy 1 cannot count bits: sums within ever wider groups (Warren, "Hacker's Delight", 2002, 5-1).
    words = words - ((words >> _U(1)) & _U(0x5555555555555555))
    words = (words & _U(0x3333333333333333)) + ((words >> _U(2)) & _U(0x3333333333333333))
    words = (words + (words >> _U(4))) & _U(0x0F0F0F0F0F0F0F0F)
    with np.errstate(over="ignore"):
        return ((words * _U(0x0101010101010101)) >> _U(56)).astype(np.uint8)


def _folded(vectors: Vectors) -> Vectors:
    dims = vectors.shape[1]
    if dims <= _BITS:
        return vectors
    signs = np.random.default_rng(_SEED).choice(np.array([-1.0, 1.0], np.float32), size=dims)
    padded = np.zeros((len(vectors), -(-dims // _BITS) * _BITS), np.float32)
    padded[:, :dims] = vectors * signs
    folded: Vectors = padded.reshape(len(vectors), -1, _BITS).sum(axis=1)
    return folded
