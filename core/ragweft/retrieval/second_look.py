"""The second look at fused candidates: how closely a passage meets the query, and what its document lends it.

    y = (1 - s) * fused + s * late        late: min-max over the candidates looked at, 0 for the others
    score = y + d / (1 + d) * (best y of the same document - y)

with s = late_weight * (1 - dense_weight): late interaction compares words, so it counts as far as words do.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ragweft.reranking import late_interaction, token_weights
from ragweft.retrieval.fusion import convex
from ragweft.types import Origin

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ragweft.embedding.static import StaticEmbedder
    from ragweft.ledger.profile import Profile
    from ragweft.ledger.snapshot import Snapshot
    from ragweft.retrieval.fusion import Fused
    from ragweft.types import Rows, Tuning

    Scores = NDArray[np.float64]

__all__ = ["Combination", "Look", "SecondLook", "combine", "late_share"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """Candidates in their final order, with what brought them there."""

    fused: Fused
    late: NDArray[np.float32] | None = None
    """Raw late interaction of the candidates looked at; None where it was left out."""
    share: float = 0.0
    """What late interaction counts in the final score."""
    parts: Combination | None = None
    """None where nothing but the fusion counts."""

    @property
    def rows(self) -> Rows:
        """Best first."""
        return self.fused.rows if self.parts is None else self.fused.rows[self.parts.order]

    @property
    def scores(self) -> Scores:
        """float64, falling; ties by rising row."""
        return self.fused.scores if self.parts is None else self.parts.scores[self.parts.order]

    @property
    def scale(self) -> float:
        """What a share of the fusion counts in the final score."""
        return 1.0 if self.parts is None else self.parts.scale

    def origins(self, rows: Sequence[int]) -> dict[int, dict[str, Origin]]:
        """For each of *rows* what the second look said of it: "late" and "document"."""
        found: dict[int, dict[str, Origin]] = {row: {} for row in rows}
        parts = self.parts
        if parts is None:
            return found
        places = {row: place for place, row in enumerate(self.fused.rows.tolist())}
        ranks = _ranks(self.fused.rows, self.late) if self.late is not None else ()
        for row in rows:
            place = places[row]
            if self.late is not None and parts.late is not None and place < len(self.late):
                value = float(parts.late[place])
                found[row]["late"] = Origin(
                    rank=int(ranks[place]),
                    score=float(self.late[place]),
                    normalised=value,
                    share=self.share * value,
                )
            if parts.lent is not None and parts.lender is not None and parts.lent[place] > 0:
                lender = float(parts.lender[place])
                found[row]["document"] = Origin(
                    rank=1, score=lender, normalised=lender, share=float(parts.lent[place])
                )
        return found


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
        share = late_share(tuning) if profile is not None else 0.0
        if not len(fused.rows) or (share <= 0 and tuning.document_weight <= 0):
            return Look(fused=fused)
        late = self.late(query, fused.rows[: self._pool], profile, snapshot) if share > 0 else None
        lending = tuning.document_weight > 0
        keys = [documents[row] for row in fused.rows.tolist()] if lending else []
        found = combine(
            fused,
            late,
            np.array(keys, dtype=np.int64),
            share=share,
            document_weight=tuning.document_weight,
            bounded=bounded,
        )
        return Look(fused=fused, late=late, share=share, parts=found)

    def late(
        self, query: str, rows: Rows, profile: Profile | None, snapshot: Snapshot
    ) -> NDArray[np.float32] | None:
        """How closely each of *rows* meets *query*, shape (len(rows),); None where nothing can be told.

        A row's score does not depend on the other rows.
        """
        ids = np.unique(self._vocabulary.encode(query).ids)
        if profile is None or not len(ids):
            return None
        tokens = snapshot.tokens(rows.tolist())
        empty = np.empty(0, np.int32)
        weights = token_weights(ids, containing=profile.containing, chunks=profile.chunks)
        passages = [tokens.get(row, empty) for row in rows.tolist()]
        return late_interaction(ids, weights, passages, self._vocabulary.token_vectors())


@dataclass(frozen=True, slots=True, kw_only=True)
class Combination:
    """What the parts of a search come to; every array but `order` in the order of the fused rows."""

    scores: Scores
    order: NDArray[np.intp]
    """Positions from the best down; ties by rising row."""
    scale: float
    """What a share of the fusion counts in the final score."""
    late: Scores | None
    """Normalised, of the candidates looked at."""
    lender: Scores | None
    """The best score of each candidate's document; None where documents lend nothing."""
    lent: Scores | None


def late_share(tuning: Tuning) -> float:
    """What late interaction counts in the final score, from 0 to 1."""
    return tuning.late_weight * (1.0 - tuning.dense_weight)


def combine(
    fused: Fused,
    late: NDArray[np.float32] | None,
    documents: NDArray[np.int64],
    *,
    share: float,
    document_weight: float,
    bounded: bool,
) -> Combination:
    """Fusion, late interaction and documents in one score; a pure function of at least one candidate.

    Args:
        fused: candidates, best first.
        late: raw late interaction of the first candidates; None leaves it out.
        documents: the key of each candidate's document, shape (n,); not looked at if they lend nothing.
        share: what late interaction counts, see `late_share`.
        document_weight: what the best candidate of a document lends to its others.
        bounded: whether fused scores lie between 0 and 1 by themselves.
    """
    scores, scale = fused.scores, 1.0
    if not bounded:
        spread = float(fused.scores[0] - fused.scores[-1])
        scores, scale = convex(fused.scores), 1.0 / spread if spread else 1.0
    normalised = convex(late.astype(np.float64)) if late is not None else None
    if normalised is not None:
        scores = (1.0 - share) * scores
        scores[: len(normalised)] += share * normalised
        scale *= 1.0 - share
    lender: Scores | None = None
    lent: Scores | None = None
    if document_weight > 0:
        _, places = np.unique(documents, return_inverse=True)
        best = np.full(int(places.max()) + 1, -np.inf)
        np.maximum.at(best, places, scores)
        lender = best[places]
        lent = document_weight / (1.0 + document_weight) * (lender - scores)
        scores = scores + lent
    scores = np.round(scores, 9)
    return Combination(
        scores=scores,
        order=np.lexsort((fused.rows, -scores)),
        scale=scale,
        late=normalised,
        lender=lender,
        lent=lent,
    )


def _ranks(rows: Rows, late: NDArray[np.float32]) -> Rows:
    """The place of each of the first rows by falling *late*, from 1; ties by rising row."""
    ranks = np.empty(len(late), dtype=np.int64)
    ranks[np.lexsort((rows[: len(late)], -late))] = np.arange(1, len(late) + 1)
    return ranks
