"""Gold spans: which of them a passage holds, and how much of what was retrieved is gold.

All lengths are characters (code points). Precision, recall and IoU follow Chroma's chunking evaluation (Smith
and Troynikov, "Evaluating Chunking Strategies for Retrieval", 2024; package `chunking_evaluation`): with G the
union of the gold ranges, sum |R| the lengths of the retrieved passages added up, so that text retrieved twice
counts twice, and F what of G was retrieved,

    precision = |F| / sum |R|      recall = |F| / |G|      IoU = |F| / (sum |R| + |G - F|)
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from ragweft.types import Span

__all__ = ["Place", "Places", "credited", "precision_recall_iou"]

Place = tuple[str, Span]
"""A range of characters: document id and span."""
Places = Mapping[str, Place]
"""Gold span id to where it stands."""


def credited(place: Place, gold: Places) -> list[str]:
    """The gold spans of which *place* covers at least half, in the order of *gold*."""
    document, span = place
    return [
        name
        for name, (owner, wanted) in gold.items()
        if owner == document and 2 * _shared(span, wanted) >= wanted.end - wanted.start
    ]


def precision_recall_iou(retrieved: Sequence[Place], gold: Iterable[Place]) -> tuple[float, float, float]:
    """How much of the *retrieved* characters is gold, how much of the gold was found, and both at once."""
    wanted = list(gold)
    amount = sum(span.end - span.start for _, span in retrieved)
    whole = _length(wanted)
    found = _length(
        [
            (document, Span(start=max(span.start, other.start), end=min(span.end, other.end)))
            for document, span in retrieved
            for owner, other in wanted
            if owner == document and _shared(span, other)
        ]
    )
    return (
        found / amount if amount else 0.0,
        found / whole if whole else 0.0,
        found / (amount + whole - found) if found else 0.0,
    )


def _shared(one: Span, other: Span) -> int:
    return max(0, min(one.end, other.end) - max(one.start, other.start))


def _length(places: Sequence[Place]) -> int:
    """Characters in the union."""
    total, document, reached = 0, "", 0
    for owner, span in sorted(places, key=lambda place: (place[0], place[1].start)):
        if owner != document:
            document, reached = owner, 0
        total += max(0, span.end - max(span.start, reached))
        reached = max(reached, span.end)
    return total
