"""BM25, to the letter of tantivy's: for texts its index has not taken in yet.

Robertson and Zaragoza, "The Probabilistic Relevance Framework: BM25 and Beyond" (2009), with the never negative
idf of Lucene and the document length as Lucene and tantivy keep it, in one byte.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from ragweft.types import Vector

K1 = 1.2
B = 0.75
"""Both fixed inside tantivy, so both fixed here."""

_EXACT_BELOW = 24
_SIGNIFICANT_BITS = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Collection:
    """What the weight of a term depends on beyond the text itself."""

    documents: int
    average_length: float
    """Terms in a document, repetitions counted."""
    containing: Mapping[str, int]
    """For a term, how many documents hold it; a term that is absent counts as held by none."""


def collection_of(documents: Sequence[Sequence[str]]) -> Collection:
    """The statistics of *documents*, each given as its terms."""
    return Collection(
        documents=len(documents),
        average_length=sum(map(len, documents)) / max(len(documents), 1),
        containing=Counter(term for document in documents for term in set(document)),
    )


def idf(*, documents: int, containing: int) -> float:
    """ln(1 + (N - n + 0.5) / (n + 0.5)): what a term held by *containing* of *documents* is worth."""
    return math.log1p((documents - containing + 0.5) / (containing + 0.5))


def kept_length(length: int) -> int:
    """The length an index remembers: 24 exactly, and beyond them 4 significant bits, rounded down.

    Source: `SmallFloat.intToByte4` of Lucene 7, whose table tantivy uses.
    """
    beyond = length - _EXACT_BELOW
    shift = max(beyond.bit_length() - _SIGNIFICANT_BITS, 0) if beyond > 0 else 0
    return _EXACT_BELOW + (beyond >> shift << shift) if beyond > 0 else length


def scores(query: Mapping[str, int], documents: Sequence[Sequence[str]], *, collection: Collection) -> Vector:
    """BM25 of each document, given as its terms, for a query of terms and their counts.

    float32, shape (len(documents),); 0 where no term is shared.
    """
    weights = {
        term: count
        * (K1 + 1)
        * idf(documents=collection.documents, containing=collection.containing.get(term, 0))
        for term, count in query.items()
    }
    average = collection.average_length or 1.0
    found = np.zeros(len(documents), dtype=np.float32)
    for position, document in enumerate(documents):
        shared = Counter(term for term in document if term in weights)
        norm = K1 * (1 - B + B * kept_length(len(document)) / average)
        found[position] = sum(weights[term] * count / (count + norm) for term, count in shared.items())
    return found
