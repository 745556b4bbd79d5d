"""The second look at fused candidates: how closely a passage meets the query, and what its document lends it.

    y = (1 - s) * fused + s * late        late: min-max over the candidates looked at, 0 for the others
    score = y + d / (1 + d) * (best y of the same document - y)

with s = late_weight * (1 - dense_weight): late interaction compares words, so it counts as far as words do.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ragweft.reranking import late_interaction, token_weights
from ragweft.retrieval.fusion import Fused, convex
from ragweft.types import Origin

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ragweft.embedding.static import StaticEmbedder
    from ragweft.ledger.profile import Profile
    from ragweft.ledger.snapshot import Snapshot
    from ragweft.types import Rows, Tuning

    Scores = NDArray[np.float64]

__all__ = ["Look", "SecondLook"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """Candidates in their final order."""

    rows: Rows
    scores: Scores
    """float64, falling; ties by rising row."""
    scale: float
    """What a share of the fusion counts in the final score."""
    origins: Mapping[int, Mapping[str, Origin]]
    """Row to what the second look found: "late" and "document"."""
    looked_at: int = 0
    """Candidates whose tokens were compared."""


class SecondLook:
    """Reorders fused candidates; deterministic, and free of models beyond the static table."""

    def __init__(self, vocabulary: StaticEmbedder, *, pool: int) -> None:
        """*vocabulary* gives tokens and their vectors; the best *pool* candidates are looked at."""
        self._vocabulary = vocabulary
        self._pool = pool

    def take(
        self,
        query: str,
        fused: Fused,
        *,
        tuning: Tuning,
        profile: Profile | None,
        snapshot: Snapshot,
        documents: Mapping[int, int],
        bounded: bool,
    ) -> Look:
        """The final order of *fused*.

        Args:
            query: the words to meet.
            fused: candidates, best first.
            tuning: how much each part counts.
            profile: how common each token is; None leaves late interaction out.
            snapshot: where the tokens of the candidates are read.
            documents: row to the key of its document.
            bounded: whether fused scores lie between 0 and 1 by themselves.
        """
        share = tuning.late_weight * (1.0 - tuning.dense_weight) if profile is not None else 0.0
        if not len(fused.rows) or (share <= 0 and tuning.document_weight <= 0):
            return Look(rows=fused.rows, scores=fused.scores, scale=1.0, origins={})
        scores, scale = fused.scores, 1.0
        if not bounded:
            spread = float(fused.scores[0] - fused.scores[-1])
            scores, scale = convex(fused.scores), 1.0 / spread if spread else 1.0
        origins: dict[int, dict[str, Origin]] = {}
        late = self._late(query, fused.rows[: self._pool], profile, snapshot) if share > 0 else None
        if late is not None:
            normalised = convex(late.astype(np.float64))
            scores = (1.0 - share) * scores
            scores[: len(late)] += share * normalised
            scale *= 1.0 - share
            for place, position in enumerate(np.lexsort((fused.rows[: len(late)], -late)).tolist()):
                origins[int(fused.rows[position])] = {
                    "late": Origin(
                        rank=place + 1,
                        score=float(late[position]),
                        normalised=float(normalised[position]),
                        share=share * float(normalised[position]),
                    )
                }
        if tuning.document_weight > 0:
            scores = _lent(fused.rows, scores, documents, tuning.document_weight, origins)
        scores = np.round(scores, 9)
        order = np.lexsort((fused.rows, -scores))
        return Look(
            rows=fused.rows[order],
            scores=scores[order],
            scale=scale,
            origins=origins,
            looked_at=len(late) if late is not None else 0,
        )

    def _late(
        self, query: str, rows: Rows, profile: Profile | None, snapshot: Snapshot
    ) -> NDArray[np.float32] | None:
        ids = np.unique(self._vocabulary.encode(query).ids)
        if profile is None or not len(ids):
            return None
        tokens = snapshot.tokens(rows.tolist())
        empty = np.empty(0, np.int32)
        weights = token_weights(ids, containing=profile.containing, chunks=profile.chunks)
        passages = [tokens.get(row, empty) for row in rows.tolist()]
        return late_interaction(ids, weights, passages, self._vocabulary.token_vectors())


def _lent(
    rows: Rows,
    scores: Scores,
    documents: Mapping[int, int],
    weight: float,
    origins: dict[int, dict[str, Origin]],
) -> Scores:
    """*scores* with what the best candidate of each document lends to the document's others."""
    keys = np.array([documents[row] for row in rows.tolist()], dtype=np.int64)
    _, places = np.unique(keys, return_inverse=True)
    best = np.full(int(places.max()) + 1, -np.inf)
    np.maximum.at(best, places, scores)
    lent: Scores = weight / (1.0 + weight) * (best[places] - scores)
    for position in np.flatnonzero(lent > 0).tolist():
        row = int(rows[position])
        lender = float(best[places[position]])
        origins.setdefault(row, {})["document"] = Origin(
            rank=1, score=lender, normalised=lender, share=float(lent[position])
        )
    return scores + lent
