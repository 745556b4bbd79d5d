"""vectors.db: every vector ever computed, by space and by digest of what was embedded.

Vectors are durable here before the ledger refers to them, so a follower can always be rebuilt without an
embedding call, and a text that was embedded once is never embedded again.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from sqlalchemy import bindparam, func, select
from sqlalchemy.dialects.sqlite import insert
from sqlalchemy.exc import OperationalError

from ragweft.errors import IndexDamaged, SpaceMismatch
from ragweft.ledger.database import Database
from ragweft.ledger.schema import VECTORS, long_texts, spaces, vectors

if TYPE_CHECKING:
    from ragweft.types import Space, Vectors

__all__ = ["VectorStore"]

_BATCH = 500
"""Digests asked for in one statement; SQLite takes 32,766 parameters, larger batches are no faster."""

_SELECT = select(vectors.c.digest, vectors.c.vector).where(
    vectors.c.space == bindparam("space"), vectors.c.digest.in_(bindparam("digests", expanding=True))
)
_KNOWN = select(vectors.c.digest).where(
    vectors.c.space == bindparam("space"), vectors.c.digest.in_(bindparam("digests", expanding=True))
)


class VectorStore:
    """Vectors of one space in one file."""

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

    def known(self, digests: Sequence[bytes]) -> set[bytes]:
        """Those of *digests* whose vector is stored."""
        found: set[bytes] = set()
        with self._database.read() as connection:
            for batch in _batches(digests):
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
            for batch in _batches(list(places)):
                for digest, raw in connection.execute(_SELECT, {"space": self._space, "digests": batch}):
                    if len(raw) != 4 * self._dims:
                        raise IndexDamaged(f"vectors.db: a vector of {len(raw)} bytes; sync into a new index")
                    out[places[digest]] = np.frombuffer(raw, dtype="<f4")
                    missing -= 1
        if missing:
            raise IndexDamaged(f"vectors.db: {missing} vectors are missing; sync into a new index")
        return out

    def put(self, digests: Sequence[bytes], matrix: Vectors, *, long: Sequence[bytes] = ()) -> None:
        """Store *matrix*, float32 unit rows of shape (len(digests), dims); durable on return.

        *long* are those of the digests that were embedded in parts.
        """
        raw = np.ascontiguousarray(matrix, dtype="<f4")
        rows = [
            {"space": self._space, "digest": digest, "vector": raw[i].tobytes()}
            for i, digest in enumerate(digests)
        ]
        if rows:
            with self._database.write() as connection:
                connection.execute(insert(vectors).on_conflict_do_nothing(), rows)
                if long:
                    noted = [{"space": self._space, "digest": digest} for digest in long]
                    connection.execute(insert(long_texts).on_conflict_do_nothing(), noted)

    def long_ones(self) -> list[bytes]:
        """Digests of what was embedded in parts."""
        query = select(long_texts.c.digest).where(long_texts.c.space == self._space)
        with self._database.read() as connection:
            try:
                return list(connection.execute(query).scalars())
            except OperationalError as error:
                if "no such table" in str(error.orig):  # read-only, and made before they were noted
                    return []
                raise

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


def _batches(digests: Sequence[bytes]) -> list[Sequence[bytes]]:
    return [digests[i : i + _BATCH] for i in range(0, len(digests), _BATCH)]
