"""Vectors of questions in vectors.db: kept as long as they are asked, by a digest that does not tell the text.

They are worth a call to a service and nothing more. So there is a limit to how many are kept, nobody waits long
to write one, and one that is damaged counts as not there.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from sqlalchemy import bindparam, delete, select, update
from sqlalchemy.dialects.sqlite import insert

from ragweft.ledger.database import if_there
from ragweft.ledger.schema import query_vectors, vectors
from ragweft.types import digest_of

if TYPE_CHECKING:
    from ragweft.ledger.database import Database
    from ragweft.types import Vector

__all__ = ["MOST", "KeptQuery", "QueryStore", "query_digest"]

MOST = 10_000
"""Questions kept, of all spaces together: 60 MB at 1,536 dims. A choice, not measured."""
_DAY = 86_400.0
"""How exactly it is known when one last served: a write a day, not one a search."""
_READING = 0.1
_WRITING = 1.0
"""Seconds that whoever locks the file is waited for."""
_UNIT = 1e-2
"""How far from 1 a sound vector's length may be; half-precision numbers come within a tenth of it."""

_KEPT = select(query_vectors.c.digest, query_vectors.c.vector, query_vectors.c.used).where(
    query_vectors.c.space == bindparam("space"),
    query_vectors.c.digest.in_(bindparam("digests", expanding=True)),
)
_OWN = select(vectors.c.digest, vectors.c.vector).where(
    vectors.c.space == bindparam("space"), vectors.c.digest.in_(bindparam("digests", expanding=True))
)
_NEWEST = select(query_vectors.c.id).order_by(query_vectors.c.used.desc(), query_vectors.c.id.desc())
_NOTED = (
    update(query_vectors)
    .where(query_vectors.c.space == bindparam("b_space"), query_vectors.c.digest == bindparam("b_digest"))
    .values(used=bindparam("b_used"))
)


def query_digest(text: str, *, model: str, prompt: str, told: str) -> bytes:
    """The key of *text* as a question: by *model* and *prompt* of the recipe, and what its embedder *told*."""
    return digest_of("asked", model, prompt, told, text)


class KeptQuery(NamedTuple):
    """A question's vector."""

    vector: Vector
    aging: bool
    """Whether it should be noted that it still serves."""


class QueryStore:
    """Vectors of questions in one space of one file; see `VectorStore.queries`."""

    def __init__(self, database: Database, space: int, dims: int, *, read_only: bool) -> None:
        self._database = database
        self._space = space
        self._dims = dims
        self.read_only = read_only

    def get(self, digests: Sequence[bytes]) -> dict[bytes, KeptQuery]:
        """The sound ones of those kept, of a few hundred *digests* at most.

        Those the corpus has asked itself (see `tuning.remembered`) lie among the other vectors: they are found,
        too.

        Raises:
            IndexLocked: the file is locked.
            IndexDamaged: it cannot be read.
        """
        asked = {"space": self._space, "digests": list(digests)}
        found: dict[bytes, KeptQuery] = {}
        if not digests:
            return found
        aged = time.time() - _DAY
        with self._database.read(patience=_READING) as connection:
            for digest, raw in connection.execute(_OWN, asked):
                if (vector := self._sound(raw)) is not None:
                    found[digest] = KeptQuery(vector, aging=False)
            for row in if_there(lambda: list(connection.execute(_KEPT, asked)), ()):
                if (vector := self._sound(row.vector)) is not None:
                    lately = isinstance(row.used, float) and row.used >= aged
                    found[row.digest] = KeptQuery(vector, aging=not lately)
        return found

    def put(self, made: Mapping[bytes, Vector], *, used: Iterable[bytes] = ()) -> None:
        """Keep vectors, float32 of shape (dims,), by digest, and note that those of *used* have served again.

        What is no unit vector of this space is left out. Those that served least recently make room.

        Raises:
            IndexLocked: the file cannot be written, or not within a second; nothing is kept.
            IndexDamaged: it cannot be read.
        """
        now = time.time()
        rows = [
            {"space": self._space, "digest": digest, "vector": vector.astype("<f4").tobytes(), "used": now}
            for digest, vector in made.items()
            if self.takes(vector)
        ]
        noted = [{"b_space": self._space, "b_digest": digest, "b_used": now} for digest in used]
        with self._database.write(patience=_WRITING) as connection:
            if noted:
                connection.execute(_NOTED, noted)
            if rows:
                adding = insert(query_vectors)
                fresh = {"vector": adding.excluded.vector, "used": adding.excluded.used}
                adding = adding.on_conflict_do_update(index_elements=["space", "digest"], set_=fresh)
                connection.execute(adding, rows)
                beyond = _NEWEST.limit(-1).offset(MOST)
                connection.execute(delete(query_vectors).where(query_vectors.c.id.in_(beyond)))
        self._database.checkpoint()

    def takes(self, vector: Vector) -> bool:
        """Whether it is a unit vector of this space: a wrong one would find wrong passages without a word."""
        if vector.shape != (self._dims,):
            return False
        wide = vector.astype(np.float64)
        # Of NaN and infinity the comparison is false, too.
        return bool(abs(wide @ wide - 1) <= 2 * _UNIT)

    def _sound(self, raw: object) -> Vector | None:
        """The stored vector, unless it is damaged."""
        if not isinstance(raw, bytes) or len(raw) % 4:
            return None
        vector = np.frombuffer(raw, dtype="<f4").astype(np.float32, copy=False)
        return vector if self.takes(vector) else None
