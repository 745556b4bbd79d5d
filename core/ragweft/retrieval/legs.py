"""The two first-stage searches. A leg asks one index and can score rows that index has not applied yet."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

from ragweft.errors import IndexDamaged
from ragweft.types import Ranking
from ragweft.vectors.cosine import cosines, unit_rows

if TYPE_CHECKING:
    from ragweft.ledger.followers import Slot
    from ragweft.ledger.snapshot import Snapshot
    from ragweft.ledger.vector_store import VectorStore
    from ragweft.protocols import Embedder, LexicalIndex
    from ragweft.retrieval.planning import Planner
    from ragweft.types import Rows, Vector

__all__ = ["DenseLeg", "Leg", "LexicalLeg", "Question"]


class Question(Protocol):
    """A query as one leg understands it, so that going deeper does not embed or analyse it again."""

    @property
    def note(self) -> str:
        """How the last search was answered, for the trace."""
        ...

    def search(self, *, n: int, among: Rows | None) -> Ranking:
        """The leg's *n* best rows."""
        ...

    def score(self, snapshot: Snapshot, rows: Rows) -> Ranking:
        """Rank exactly these *rows*, straight from the ledger."""
        ...


class Leg(Protocol):
    """One way of searching first."""

    @property
    def name(self) -> str:
        """Short name for origins, weights and traces: `dense`, `lexical`."""
        ...

    def ask(self, query: str) -> Question:
        """Understand *query*."""
        ...

    def mend(self) -> None:
        """Have the index brought level in the background: too many rows had to be scored one by one."""
        ...

    @property
    def waits(self) -> bool:
        """Whether an answer may have to be waited for, from a network or a large model."""
        ...

    @property
    def aask(self) -> Callable[[str], Awaitable[Question]] | None:
        """`ask` without blocking, if the leg has it."""
        ...


class DenseLeg:
    """Search by meaning."""

    name = "dense"

    def __init__(self, embedder: Embedder, planner: Planner, store: VectorStore, *, waits: bool) -> None:
        self._embedder = embedder
        self._planner = planner
        self._store = store
        self.waits = waits

    def __repr__(self) -> str:
        return f"dense({self._embedder.space.model})"

    def ask(self, query: str) -> Question:
        """Embed *query*."""
        return _DenseQuestion(self._embedder.embed_query(query), self._planner, self._store)

    def mend(self) -> None:
        """Bring the vector index level in the background."""
        self._planner.mend()

    @property
    def aask(self) -> Callable[[str], Awaitable[Question]] | None:
        """Embed *query* without blocking; None if the embedder has no such method."""
        native: Callable[[str], Awaitable[Vector]] | None = getattr(self._embedder, "aembed_query", None)
        if native is None:
            return None

        async def aask(query: str) -> Question:
            return _DenseQuestion(await native(query), self._planner, self._store)

        return aask


class _DenseQuestion:
    def __init__(self, vector: Vector, planner: Planner, store: VectorStore) -> None:
        self._vector = vector
        self._planner = planner
        self._store = store
        self.note = ""

    def search(self, *, n: int, among: Rows | None) -> Ranking:
        if not self._vector.any():
            # A query without content is near to nothing.
            self.note = "query has no content"
            generation = self._planner.search(self._vector, n=0, among=among)[0].generation
            return Ranking(
                rows=np.empty(0, np.int64),
                scores=np.empty(0, np.float32),
                generation=generation,
                exhausted=True,
            )
        ranking, self.note = self._planner.search(self._vector, n=n, among=among)
        return ranking

    def score(self, snapshot: Snapshot, rows: Rows) -> Ranking:
        if not self._vector.any():
            return _ranked(rows[:0], np.empty(0, np.float32), snapshot.generation)
        inputs = snapshot.inputs(rows.tolist())
        vectors, blank = unit_rows(self._store.get(inputs.digests))
        query = self._vector.astype(np.float64)
        scores = cosines(vectors, query / np.sqrt(query @ query))
        return _ranked(inputs.rows[~blank], scores[~blank], snapshot.generation)


class LexicalLeg:
    """Search by words."""

    name = "lexical"
    waits = False
    aask = None

    def __init__(self, slot: Slot[LexicalIndex]) -> None:
        self._slot = slot

    def __repr__(self) -> str:
        return "lexical(bm25)"

    def ask(self, query: str) -> Question:
        """Keep *query*; the index analyses it."""
        return _LexicalQuestion(query, self._slot)

    def mend(self) -> None:
        """Bring the lexical index level in the background."""
        self._slot.heal(damaged=False)


class _LexicalQuestion:
    def __init__(self, query: str, slot: Slot[LexicalIndex]) -> None:
        self._query = query
        self._slot = slot
        self.note = "bm25"

    def search(self, *, n: int, among: Rows | None) -> Ranking:
        try:
            return self._slot.get().search(self._query, n=n, among=among)
        except IndexDamaged:
            self._slot.heal()
            raise

    def score(self, snapshot: Snapshot, rows: Rows) -> Ranking:
        inputs = snapshot.inputs(rows.tolist())
        scores = self._slot.get().score(self._query, inputs.texts, inputs.contexts)
        present = scores > 0
        return _ranked(inputs.rows[present], scores[present], snapshot.generation)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a leg said, and how to ask it for more."""

    leg: Leg
    question: Question
    ranking: Ranking
    asked: int
    """The length of list that was asked for."""
    ms: float


def _ranked(rows: Rows, scores: Vector, generation: int) -> Ranking:
    order = np.lexsort((rows, -scores))
    return Ranking(rows=rows[order], scores=scores[order], generation=generation, exhausted=True)
