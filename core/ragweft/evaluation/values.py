"""The values an evaluation is made of: what was asked, what was measured for each query, what it took."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ragweft.types import Chunk, Document, Span, Usage

    Scores = NDArray[np.float64]
    """One value for each query, shape (queries,), in the order of `Evaluation.queries`."""

__all__ = ["Dataset", "Evaluation", "Run"]

Run = Mapping[str, Mapping[str, float]]
"""Query id to item id to score, higher is better: the run of TREC and of ir-measures."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Dataset:
    """Texts, questions, and which texts answer which question."""

    name: str
    items: Sequence[Document | Chunk]
    """What is indexed: whole documents for the recipe to cut, or chunks as they were given."""
    queries: Mapping[str, str]
    """Query id to text; only queries that have a relevant item."""
    qrels: Mapping[str, Mapping[str, int]]
    """Query id to item id to relevance (0: judged, not relevant)."""
    spans: Mapping[str, Mapping[str, tuple[str, Span]]] = field(default_factory=dict)
    """Query id to gold item id to where it stands: document id and span. Given, hits are matched to gold items
    by their characters, whatever the chunking; empty, by their ids."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """How one recipe answered every query of one dataset."""

    label: str
    """What the recipe is called in tables; unique within a comparison."""
    dataset: str
    fingerprint: str
    """Of the recipe."""
    expression: str
    """`repr` of the retriever that answered."""
    queries: Sequence[str]
    scores: Mapping[str, Scores]
    """Measure ("nDCG@10", "Pass@5", "SpanIoU@5", …) to its value for each query, from 0 to 1."""
    legs: Mapping[str, Mapping[str, Scores]]
    """Leg ("dense", "lexical", "sparse" where it is on) to the same measures for that leg alone."""
    run: Run
    wall_ms: Scores
    """Time each search took, one at a time, the first ones after a warm-up."""
    cpu_ms: Scores
    """Processor time of the same searches, all threads of the process together."""
    chunks: int
    index_seconds: float
    usage: Usage
    """What indexing and searching cost."""
