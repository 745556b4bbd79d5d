"""vectors.db: every vector ever computed, by space and by digest of what was embedded; word weights likewise.

Vectors are durable here before the ledger refers to them, so a follower can always be rebuilt without an
embedding call, and a text that was embedded once is never embedded again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from sqlalchemy import Connection, Executable, Row, bindparam, func, select
from sqlalchemy.dialects.sqlite import insert

from ragweft.errors import IndexDamaged, SpaceMismatch
from ragweft.ledger.database import Database, if_there, in_batches
from ragweft.ledger.query_store import QueryStore
from ragweft.ledger.schema import VECTORS, long_texts, spaces, sparse_vectors, vectors
from ragweft.vectors.sparse_rows import unpacked

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ragweft.types import Space, Vectors
    from ragweft.vectors.sparse_rows import SparseRows

__all__ = ["VectorStore"]

T = TypeVar("T")

_SELECT = select(vectors.c.digest, vectors.c.vector).where(
    vectors.c.space == bindparam("space"), vectors.c.digest.in_(bindparam("digests", expanding=True))
)
_KNOWN = select(vectors.c.digest).where(
    vectors.c.space == bindparam("space"), vectors.c.digest.in_(bindparam("digests", expanding=True))
)
_WEIGHTS = select(sparse_vectors.c.digest, sparse_vectors.c.weights).where(
    sparse_vectors.c.space == bindparam("space"),
    sparse_vectors.c.digest.in_(bindparam("digests", expanding=True)),
)
_WEIGHED = _WEIGHTS.with_only_columns(sparse_vectors.c.digest)
_NEWEST_WEIGHTS = select(func.max(sparse_vectors.c.id))


class VectorStore:
    """Vectors and word weights of one space in one file."""

    def __init__(self, path: Path, space: Space, *, read_only: bool = False) -> None:
        """Open *path* for *space*, creating both unless *read_only*.

        Raises:
            SpaceMismatch: the file knows a space of this name with another size.
        """
        self._database = Database(path, VECTORS, read_only=read_only)
        self._dims = space.dims
        try:
            self._space = self._space_id(space, read_only)
        except BaseException:
            self._database.close()
            raise
        self.queries = QueryStore(self._database, self._space, space.dims, read_only=read_only)
        """Vectors of questions, which are forgotten in time; those that are put here never are."""

    def known(self, digests: Sequence[bytes]) -> set[bytes]:
        """Those of *digests* whose vector is stored."""
        found: set[bytes] = set()
        with self._database.read() as connection:
            for batch in in_batches(digests):
                rows = connection.execute(_KNOWN, {"space": self._space, "digests": batch})
                found.update(rows.scalars())
        return found

    def get(self, digests: Sequence[bytes]) -> Vectors:
        """The vectors of *digests*, float32, shape (len(digests), dims), in the order asked for.

        Raises:
            IndexDamaged: one is missing or has a wrong size.
        """
        out = np.empty((len(digests), self._dims), dtype=np.float32)
        places: dict[bytes, list[int]] = {}
        for place, digest in enumerate(digests):
            places.setdefault(digest, []).append(place)
        missing = len(places)
        with self._database.read() as connection:
            for batch in in_batches(list(places)):
                for digest, raw in connection.execute(_SELECT, {"space": self._space, "digests": batch}):
                    if len(raw) != 4 * self._dims:
                        raise IndexDamaged(f"vectors.db: a vector of {len(raw)} bytes; sync into a new index")
                    out[places[digest]] = np.frombuffer(raw, dtype="<f4")
                    missing -= 1
        if missing:
            raise IndexDamaged(f"vectors.db: {missing} vectors are missing; sync into a new index")
        return out

    def put(
        self,
        digests: Sequence[bytes],
        matrix: Vectors,
        *,
        long: Sequence[bytes] = (),
        weights: Sequence[bytes] | None = None,
        anew: bool = False,
    ) -> None:
        """Store *matrix*, float32 unit rows of shape (len(digests), dims); durable on return.

        *long* are those of the digests that were embedded in parts; *weights*, if they are wanted, the word
        weights of each, see `put_weights`. What is stored already stays as it is, unless *anew*.
        """
        raw = np.ascontiguousarray(matrix, dtype="<f4")
        rows = [
            {"space": self._space, "digest": digest, "vector": raw[i].tobytes()}
            for i, digest in enumerate(digests)
        ]
        if rows:
            adding = insert(vectors)
            fresh = {"vector": adding.excluded.vector}
            replacing = adding.on_conflict_do_update(index_elements=["space", "digest"], set_=fresh)
            with self._database.write() as connection:
                connection.execute(replacing if anew else adding.on_conflict_do_nothing(), rows)
                if long:
                    noted = [{"space": self._space, "digest": digest} for digest in long]
                    connection.execute(insert(long_texts).on_conflict_do_nothing(), noted)
                if weights is not None:
                    self._insert_weights(connection, digests, weights)

    def count_long(self) -> int:
        """How many texts were embedded in parts."""
        query = select(func.count()).select_from(long_texts).where(long_texts.c.space == self._space)
        return self._if_there(lambda connection: int(connection.execute(query).scalar() or 0), 0)

    def long_ones(self) -> list[bytes]:
        """Digests of what was embedded in parts."""
        query = select(long_texts.c.digest).where(long_texts.c.space == self._space)
        return self._if_there(lambda connection: list(connection.execute(query).scalars()), [])

    def put_weights(self, digests: Sequence[bytes], weights: Sequence[bytes]) -> None:
        """Store word weights, each as `vectors.sparse_rows.packed` gives them; durable on return."""
        if digests:
            with self._database.write() as connection:
                self._insert_weights(connection, digests, weights)

    def weights(self, digests: Sequence[bytes]) -> tuple[SparseRows, NDArray[np.bool_]]:
        """The word weights of those of *digests* that have any stored, in their order, and which these are.

        Raises:
            IndexDamaged: one has a wrong size.
        """
        every = self._by_digest(_WEIGHTS, list(dict.fromkeys(digests)))
        found: dict[bytes, bytes] = {row.digest: row.weights for row in every}
        known = np.array([digest in found for digest in digests], dtype=np.bool_)
        try:
            return unpacked([found[digest] for digest in digests if digest in found]), known
        except ValueError as error:
            raise IndexDamaged(f"vectors.db: {error}; sync into a new index") from None

    def weighed(self, digests: Sequence[bytes]) -> set[bytes]:
        """Those of *digests* whose word weights are stored."""
        return {row.digest for row in self._by_digest(_WEIGHED, digests)}

    def newest_weights(self) -> int:
        """A number that rises when word weights are put, by whichever process; 0 before that."""
        return self._if_there(lambda connection: int(connection.execute(_NEWEST_WEIGHTS).scalar() or 0), 0)

    def weighed_after(self, number: int) -> list[bytes]:
        """Digests whose word weights were put after `newest_weights` gave *number*."""
        query = select(sparse_vectors.c.digest).where(
            sparse_vectors.c.id > number, sparse_vectors.c.space == self._space
        )
        return self._if_there(lambda connection: list(connection.execute(query).scalars()), [])

    def __len__(self) -> int:
        with self._database.read() as connection:
            query = select(func.count()).select_from(vectors).where(vectors.c.space == self._space)
            return int(connection.execute(query).scalar_one())

    def checkpoint(self) -> None:
        """Keep the log short."""
        self._database.checkpoint()

    def close(self) -> None:
        """Close the file; idempotent."""
        self._database.close()

    def _insert_weights(
        self, connection: Connection, digests: Sequence[bytes], weights: Sequence[bytes]
    ) -> None:
        rows = [
            {"space": self._space, "digest": digest, "weights": raw}
            for digest, raw in zip(digests, weights, strict=True)
        ]
        connection.execute(insert(sparse_vectors).on_conflict_do_nothing(), rows)

    def _by_digest(self, query: Executable, digests: Sequence[bytes]) -> list[Row[Any]]:
        def read(connection: Connection) -> list[Row[Any]]:
            asked = [{"space": self._space, "digests": batch} for batch in in_batches(digests)]
            return [row for one in asked for row in connection.execute(query, one)]

        return self._if_there(read, [])

    def _if_there(self, read: Callable[[Connection], T], absent: T) -> T:
        """What *read* finds in a table that an older file may lack, if it can only be read: then *absent*."""
        with self._database.read() as connection:
            return if_there(lambda: read(connection), absent)

    def _space_id(self, space: Space, read_only: bool) -> int:
        with self._database.read() if read_only else self._database.write() as connection:
            if not read_only:
                row = {"name": str(space), "dims": space.dims}
                connection.execute(insert(spaces).on_conflict_do_nothing(), row)
            found = connection.execute(select(spaces).where(spaces.c.name == str(space))).first()
        if found is None:
            return -1  # read-only and never written in this space: every lookup finds nothing
        if found.dims != space.dims:
            raise SpaceMismatch(f"vectors.db holds {found.name} with {found.dims} dims, not {space.dims}")
        return int(found.id)
