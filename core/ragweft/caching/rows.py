"""Rows of cache.db, read."""

from __future__ import annotations

import json
import logging
import zlib
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ragweft.caching.parlance import Spoken
from ragweft.caching.values import Cost, Entry, Evidence, Stored
from ragweft.ledger.snapshot import Moment

if TYPE_CHECKING:
    from ragweft.types import TokenIds, Vector, Vectors

__all__ = ["LONGEST", "UNREADABLE", "UTF8", "EntryRow", "Listed", "listed_in", "stored_in", "tokens_in"]

_log = logging.getLogger(__name__)

UTF8 = ("utf-8", "surrogatepass")
"""How texts are written: a lone surrogate stays what it is."""
LONGEST = 64 * 2**20
"""Bytes of an answer before it is compressed: what claims to be longer is not unpacked."""
UNREADABLE = (zlib.error, ValueError, KeyError, TypeError, AttributeError)
"""What comes of a damaged row."""


class Listed(NamedTuple):
    """Entries of one scope, as they are compared."""

    numbers: list[int]
    vectors: Vectors
    """Of their queries, float32, shape (entries, dims)."""
    questions: list[Spoken]


def listed_in(rows: Sequence[Any]) -> Listed:
    """What can be compared of *rows*: not what has no vector, or one of another length than the others."""
    read: list[tuple[int, Vector, Spoken]] = []
    for row in rows:
        try:
            vector = np.frombuffer(row.vector, dtype="<f4")
            question = Spoken(text=row.query.decode(*UTF8), tokens=tokens_in(row.spoken))
        except UNREADABLE as error:
            _log.warning("entry %s of the cache cannot be compared: %s", row.number, error)
            continue
        read.append((row.number, vector, question))
    usual = Counter(len(vector) for _, vector, _ in read).most_common(1)
    sound = [each for each in read if len(each[1]) == usual[0][0] and np.isfinite(each[1]).all()]
    if len(sound) < len(read):
        _log.warning("%d entries of the cache have no vector that can be compared", len(read) - len(sound))
    return Listed(
        numbers=[number for number, _, _ in sound],
        vectors=np.array([vector for _, vector, _ in sound], np.float32)
        if sound
        else np.empty((0, 0), np.float32),
        questions=[question for _, _, question in sound],
    )


class EntryRow(NamedTuple):
    """What is read of a row of `entries`, by the names of its columns; a damaged one may hold anything."""

    number: int
    query: bytes
    vector: bytes
    spoken: bytes
    payload: bytes
    evidence: str | None
    valid_through: int
    committed: float
    created: float
    expires: float | None
    ms: float
    tokens: int
    usd: float
    threshold: float | None


def stored_in(row: EntryRow) -> Stored:
    """The entry of a row.

    Raises:
        ValueError, KeyError, TypeError, AttributeError, zlib.error: it is damaged; see `UNREADABLE`.
    """
    evidence = None if row.evidence is None else _evidence(json.loads(row.evidence))
    vector = np.frombuffer(row.vector, dtype="<f4").astype(np.float32)
    if not np.isfinite(vector).all() or not vector.any():
        raise ValueError("its vector is none that can be compared")
    entry = Entry(
        query=row.query.decode(*UTF8),
        vector=vector,
        tokens=tokens_in(row.spoken),
        payload=_unpacked(row.payload),
        evidence=evidence,
        cost=Cost(ms=row.ms, tokens=row.tokens, usd=row.usd),
        created=row.created,
        expires=row.expires,
    )
    through = Moment(row.valid_through, row.committed)
    return Stored(number=row.number, entry=entry, valid_through=through, threshold=row.threshold)


def _evidence(said: dict[str, Any]) -> Evidence:
    sources = said["sources"]
    return Evidence(
        rows=tuple(said["rows"]),
        generation=said["generation"],
        committed=said["committed"],
        floors=said["floors"],
        legs=tuple(said["legs"]),
        asked=said["asked"],
        k=said["k"],
        around=said["around"],
        where=said["where"],
        sources=None if sources is None else tuple(sources),
        tuning=said["tuning"],
        born=said["born"],
        living=said["living"],
    )


def _unpacked(raw: bytes) -> bytes:
    unpacking = zlib.decompressobj()
    found = unpacking.decompress(raw, LONGEST)
    if not unpacking.eof:
        raise ValueError("its answer is cut off, or longer than any that is kept")
    return found


def tokens_in(raw: bytes) -> TokenIds:
    """Tokens from their bytes."""
    return np.frombuffer(raw, dtype="<i4").astype(np.int32, copy=False)
