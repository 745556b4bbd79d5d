"""The first-stage searches. A leg asks one index and can score rows that index has not applied yet."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

from ragweft.errors import IndexDamaged, ProviderError
from ragweft.protocols import QueryWeigher
from ragweft.retrieval.lately import Lately
from ragweft.types import Ranking
from ragweft.vectors.cosine import cosines, unit_rows
from ragweft.vectors.sparse_rows import asked_weights, products

if TYPE_CHECKING:
    from ragweft.ledger.followers import Slot
    from ragweft.ledger.snapshot import Snapshot
    from ragweft.ledger.sparse_follower import SparseFollower
    from ragweft.ledger.vector_store import VectorStore
    from ragweft.protocols import Embedder, LexicalIndex, SparseEmbedder
    from ragweft.retrieval.planning import Planner
    from ragweft.retrieval.query_vectors import QueryVectors
    from ragweft.types import Rows, Vector

__all__ = ["DenseLeg", "Leg", "LexicalLeg", "Question", "SparseLeg"]


class Question(Protocol):
    """A query as one leg understands it, so that going deeper does not embed or analyse it again."""

    @property
    def note(self) -> str:
        """How the last search was answered, for the trace."""
        ...

    @property
    def gap(self) -> str:
        """What of the index could not be looked at and what to do about it, in one line; "" for nothing."""
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
        """Short name for origins, weights and traces: `dense`, `lexical`, `sparse`."""
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

    def __init__(
        self,
        embedder: Embedder,
        planner: Planner,
        store: VectorStore,
        *,
        waits: bool,
        remembered: QueryVectors | None = None,
    ) -> None:
        """*remembered* has the vectors of queries that were asked before, if they are kept."""
        self._embedder = embedder
        self._planner = planner
        self._store = store
        self._remembered = remembered
        self._lately = Lately()
        self.waits = waits

    def __repr__(self) -> str:
        return f"dense({self._embedder.space.model})"

    def ask(self, query: str) -> Question:
        """Embed *query*, unless its vector is remembered."""
        if self._remembered is None:
            return _DenseQuestion(self.vector(query), self._planner, self._store)
        vector, known = self._remembered.get(query)
        return _DenseQuestion(vector, self._planner, self._store, known=known)

    def vector(self, query: str) -> Vector:
        """The vector `ask` compares with: float32, shape (dims,); asked for once, whoever needs it.

        Raises:
            ProviderError: the embedder failed.
        """
        if self._remembered is not None:
            return self._remembered.get(query)[0]
        vector = self._lately.get(query)
        return self._lately.keep(query, self._embedder.embed_query(query)) if vector is None else vector

    def about(self, vector: Vector) -> Question:
        """A query whose vector is there already: float32, shape (dims,), of length 1."""
        return _DenseQuestion(vector, self._planner, self._store, known=True)

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
            if self._remembered is None:
                lately = self._lately.get(query)
                vector = self._lately.keep(query, await native(query)) if lately is None else lately
                return _DenseQuestion(vector, self._planner, self._store)
            vector, known = await self._remembered.aget(query, native)
            return _DenseQuestion(vector, self._planner, self._store, known=known)

        return aask


class _DenseQuestion:
    gap = ""

    def __init__(self, vector: Vector, planner: Planner, store: VectorStore, *, known: bool = False) -> None:
        self._vector = vector
        self._planner = planner
        self._store = store
        self._known = known
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
        if self._known:
            self.note += ", the query's vector was remembered"
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
    gap = ""

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


class SparseLeg:
    """Search by the words an embedder finds telling."""

    name = "sparse"
    waits = True
    aask = None

    def __init__(
        self, embedder: SparseEmbedder, follower: SparseFollower, store: VectorStore, *, model: str
    ) -> None:
        self._embedder = embedder
        self._follower = follower
        self._store = store
        self._model = model

    def __repr__(self) -> str:
        return f"sparse({self._model})"

    def ask(self, query: str) -> Question:
        """Have the model weigh the words of *query*.

        Raises:
            ProviderError: the model failed, or gave what is no weight.
        """
        if isinstance(self._embedder, QueryWeigher):
            weights = self._embedder.query_weights(query)
        else:
            (weights,) = self._embedder.lexical_weights([query])
        try:
            asked_weights(weights)
        except ValueError as error:
            raise ProviderError(f"{self._model}: word weights of a query: {error}", retryable=False) from None
        return _SparseQuestion(weights, self._follower, self._store)

    def mend(self) -> None:
        """Nothing to do: the next search brings its index level before it asks it."""


class _SparseQuestion:
    note = "word weights"

    def __init__(self, weights: Mapping[int, float], follower: SparseFollower, store: VectorStore) -> None:
        self._weights = weights
        self._follower = follower
        self._store = store
        self._lacking = np.empty(0, np.int64)

    @property
    def gap(self) -> str:
        count = len(self._lacking)
        chunks = "1 chunk has" if count == 1 else f"{count:,} chunks have"
        return f"sparse search is not complete: {chunks} no word weights yet; sync again" if count else ""

    def search(self, *, n: int, among: Rows | None) -> Ranking:
        index, lacking = self._follower.get()
        self._lacking = lacking if among is None else np.intersect1d(lacking, among)
        return index.search(self._weights, n=n, among=among)

    def score(self, snapshot: Snapshot, rows: Rows) -> Ranking:
        stored, digests = snapshot.digests(rows.tolist())
        weights, known = self._store.weights(digests)
        self._lacking = np.union1d(self._lacking, stored[~known])
        scores = products(weights, asked_weights(self._weights))
        present = scores > 0
        return _ranked(stored[known][present], scores[present].astype(np.float32), snapshot.generation)


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
