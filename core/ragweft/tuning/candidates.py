"""What a search weighs, gathered once, so that many weights can be tried without searching again.

Everything here goes through the very functions a search goes through: a score recombined is the score a search
by these weights would give.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ragweft.ledger.profile import Profiles
from ragweft.ledger.scope import Scope
from ragweft.retrieval.asking import ask, complete, settled
from ragweft.retrieval.balance import leg_weights
from ragweft.retrieval.fusion import BOUNDED, fuse
from ragweft.retrieval.legs import DenseLeg, LexicalLeg
from ragweft.retrieval.query_vectors import remembering
from ragweft.retrieval.second_look import SecondLook, combine, late_share

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ragweft.assembly import Parts
    from ragweft.protocols import Progress
    from ragweft.recipe import Retrieval
    from ragweft.retrieval.legs import Leg
    from ragweft.types import Ranking, Rows, Tuning

    Scores = NDArray[np.float64]

__all__ = ["Candidates", "gather", "ranked"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidates:
    """What the legs and the second look say to one query, whatever the weights."""

    query: str
    rankings: Mapping[str, Ranking]
    """Leg name to its candidates."""
    rows: Rows
    """Every row of any leg once, rising."""
    documents: NDArray[np.int64]
    """The key of each row's document, shape (len(rows),)."""
    late: NDArray[np.float32] | None
    """How closely each row meets the query, shape (len(rows),); None where nothing can be told."""


def gather(parts: Parts, queries: Sequence[str], *, n: int, progress: Progress) -> list[Candidates]:
    """The candidates of a search for *n* hits, for each of *queries*.

    Raises:
        RagweftError: a leg failed: weights chosen without one would mean nothing.
    """
    settings = parts.recipe.retrieval
    depth = max(settings.pool, n)
    remembered = remembering(parts.embedder, parts.store.queries, parts.recipe, threads=None)
    legs: tuple[Leg, ...] = (
        DenseLeg(parts.embedder, parts.planner, parts.store, waits=False, remembered=remembered),
        LexicalLeg(parts.followers.lexical),
        *((parts.sparse,) if parts.sparse is not None else ()),
    )
    look, profiles = SecondLook(parts.vocabulary, pool=settings.late_pool), Profiles()
    found: list[Candidates] = []
    for number, query in enumerate(queries):
        progress("asking", number, len(queries))
        scope = Scope()
        answers = [ask(leg, query, depth, scope) for leg in legs]
        with settled(parts.ledger, answers, scope, n=depth) as state:
            snapshot = state.snapshot
            rankings = {
                answer.leg.name: complete(answer, state.admitted, snapshot, scope, depth)[0]
                for answer in state.answers
            }
            rows = np.unique(np.concatenate([ranking.rows for ranking in rankings.values()]))
            late = look.late(query, rows, profiles.newest(snapshot), snapshot)
            keys = np.array([state.admitted[row] for row in rows.tolist()], dtype=np.int64)
        found.append(Candidates(query=query, rankings=rankings, rows=rows, documents=keys, late=late))
    progress("asking", len(queries), len(queries))
    return found


def ranked(candidates: Candidates, tuning: Tuning, settings: Retrieval) -> tuple[Rows, Scores]:
    """Rows and final scores, best first, as a search by *tuning* gives them under the recipe's *settings*."""
    weights = leg_weights(tuning.dense_weight, settings.sparse_weight)
    fused = fuse(candidates.rankings, weights, method=settings.fusion, k=settings.rrf_k)
    share = late_share(tuning) if candidates.late is not None else 0.0
    if not len(fused.rows) or (share <= 0 and tuning.document_weight <= 0):
        return fused.rows, fused.scores
    places = np.searchsorted(candidates.rows, fused.rows)
    late = candidates.late[places[: settings.late_pool]] if candidates.late is not None and share > 0 else None
    found = combine(
        fused,
        late,
        candidates.documents[places],
        share=share,
        document_weight=tuning.document_weight,
        bounded=settings.fusion in BOUNDED,
    )
    return fused.rows[found.order], found.scores[found.order]
