"""A vector index kept by Chroma: embedded in this process, on a server, or in Chroma Cloud."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ragweft.errors import IndexDamaged, IndexLocked, ProviderError
from ragweft.types import Ranking
from ragweft.vectors.chroma_client import Backend, cloud_backend, embedded_backend, http_backend
from ragweft.vectors.chroma_metadata import (
    FORMAT,
    Marker,
    chroma_document,
    chroma_metadata,
    owned_marker,
    space_name,
)
from ragweft.vectors.chroma_records import Records, parsed_rows, record_ids, rounded, scan
from ragweft.vectors.cosine import best, checked_change, unit_query, unit_rows

if TYPE_CHECKING:
    from chromadb.api.models.Collection import Collection
    from chromadb.api.types import Metadata
    from numpy.typing import NDArray

    from ragweft.types import Chunk, Rows, Space, Vector, Vectors
    from ragweft.vectors.chroma_metadata import ChromaValue

    Describe = Callable[[Rows], Sequence[Chunk]]
    """Gives the chunks of rows, in order."""

_REQUEST_BYTES = 16 << 20
"""Vectors in one write: a server refuses requests above 40 MiB, and base64 and metadata come on top."""
_TIE_DEPTH = 16
"""How many times *n* a search goes down a row of equal scores to return the lowest rows of them."""
_FRESH_SECONDS = 1.0
"""How long the generation read from the collection is trusted; a newer one is only higher."""


class ChromaIndex:
    """Approximate nearest neighbours from Chroma's graph; made by `embedded`, `http` or `cloud`.

    A record has the row as its id, the unit vector, and flat metadata; any Chroma client can read it. The text
    goes along with `store_text` only. Cosines are as Chroma computes them, rounded to six digits; ties by row.
    A zero vector is held and counted, and never returned. One writer at a time, which the caller sees to.
    """

    def __init__(
        self,
        backend: Backend,
        *,
        space: Space,
        ledger: str,
        describe: Describe,
        collection: str,
        store_text: bool,
    ) -> None:
        self._backend = backend
        self._place = f"{backend.place}, collection {collection!r}"
        self._space = space
        self._ledger = ledger
        self._describe = describe
        self._name = collection
        self._store_text = store_text
        self._process = os.getpid()
        self._closed = False
        self._writing = threading.Lock()
        self._read_at = -_FRESH_SECONDS
        self._generation = 0
        try:
            self._collection = backend.find(collection) or self._create()
            self._read_marker()
            if backend.seal:
                with self._calling("load the collection"):
                    self._collection.count()
                backend.seal.renew()
        except BaseException:
            self.close()
            raise

    @classmethod
    def embedded(
        cls,
        directory: Path,
        *,
        space: Space,
        ledger: str,
        describe: Describe,
        collection: str = "ragweft",
        store_text: bool = False,
        ef_search: int = 200,
        sync_threshold: int = 1_000,
    ) -> ChromaIndex:
        """Open or make the index in *directory*, inside this process.

        Chroma is not safe between processes, readers included: the caller holds an OS lock on *directory* for
        as long as the index is open. A forked child can use neither this object nor one of its own for
        the same path.

        Args:
            directory: the folder Chroma owns.
            space: the space the vectors live in.
            ledger: UUID of the ledger the index follows.
            describe: gives the chunks of rows, for the metadata.
            collection: name of the collection.
            store_text: store the chunks' text too, for other Chroma clients.
            ef_search: breadth of a search: higher finds more, slower. Fixed when the collection is made.
            sync_threshold: records between two saves of the graph. Every write reads what is not saved yet
                (40 ms at 4,000 records of 256 numbers, 5 at 500), and opening replays it. Fixed likewise.

        Raises:
            IndexDamaged: a save was cut short, or a file changed: set *directory* aside and start anew.
            IndexLocked: it follows another ledger, is not ragweft's, or is open here with other settings.
            SpaceMismatch: it holds vectors of another space.
        """
        backend = embedded_backend(directory, ef_search=ef_search, sync_threshold=sync_threshold)
        return cls(
            backend, space=space, ledger=ledger, describe=describe, collection=collection, store_text=store_text
        )

    @classmethod
    def http(
        cls,
        host: str,
        *,
        space: Space,
        ledger: str,
        describe: Describe,
        port: int = 8000,
        ssl: bool = False,
        headers: Mapping[str, str] | None = None,
        tenant: str = "default_tenant",
        database: str = "default_database",
        collection: str = "ragweft",
        store_text: bool = False,
        ef_search: int = 200,
    ) -> ChromaIndex:
        """Open or make the collection on a Chroma server; arguments as for `embedded`.

        Raises:
            ProviderError: the server cannot be reached, or refuses.
            IndexLocked: the collection follows another ledger or is not ragweft's; it is not touched.
            SpaceMismatch: it holds vectors of another space.
        """
        backend = http_backend(
            host,
            port=port,
            ssl=ssl,
            headers=headers or {},
            tenant=tenant,
            database=database,
            ef_search=ef_search,
        )
        return cls(
            backend, space=space, ledger=ledger, describe=describe, collection=collection, store_text=store_text
        )

    @classmethod
    def cloud(
        cls,
        *,
        space: Space,
        ledger: str,
        describe: Describe,
        tenant: str | None = None,
        database: str | None = None,
        api_key: str | None = None,
        collection: str = "ragweft",
        store_text: bool = False,
    ) -> ChromaIndex:
        """Open or make the collection in Chroma Cloud, within its quotas; arguments as for `embedded`.

        Tenant, database and key default to CHROMA_TENANT, CHROMA_DATABASE and CHROMA_API_KEY. One answer holds
        300 rows at most: a search for more returns these and calls itself exhausted.

        Raises:
            ProviderError: the service cannot be reached, or refuses.
            IndexLocked: the collection follows another ledger or is not ragweft's; it is not touched.
            SpaceMismatch: it holds vectors of another space.
        """
        backend = cloud_backend(tenant=tenant, database=database, api_key=api_key)
        return cls(
            backend, space=space, ledger=ledger, describe=describe, collection=collection, store_text=store_text
        )

    @property
    def applied_generation(self) -> int:
        """The ledger generation the collection has caught up with; at most a second old, and then too low."""
        self._check_usable()
        if time.monotonic() - self._read_at >= _FRESH_SECONDS:
            self._read_marker()
        return self._generation

    def __len__(self) -> int:
        """Rows held that are not known to be dead."""
        with self._calling("count"):
            return self._collection.count()

    def apply(self, *, rows: Rows, vectors: Vectors, removed: Rows, generation: int) -> None:
        """Add *rows* with their *vectors*, drop *removed*, then record *generation*; idempotent.

        Records first, marker last: after a crash in between the same change is applied again. A row that is
        held already stays as it is, because a row never changes; unknown *removed* rows are ignored; a
        generation lower than the recorded one leaves it as it is.

        Raises:
            SpaceMismatch: the vectors have another size, or hold NaN or infinity; nothing is written.
            IndexDamaged: embedded Chroma failed, or *rows* do not rise.
            IndexLocked: the index is closed, was opened before a fork, or follows another ledger.
            ProviderError: a remote Chroma failed.
        """
        self._check_usable()
        change = checked_change(
            rows=rows,
            vectors=vectors,
            removed=removed,
            generation=generation,
            space=self._space,
            place=self._place,
        )
        limits = self._backend.limits
        step = min(limits.batch, max(1, _REQUEST_BYTES // (4 * self._space.dims)))
        with self._writing:
            metadata = self._read_marker()
            for start in range(0, len(change.rows), step):
                batch = slice(start, start + step)
                self._add(change.rows[batch], change.vectors[batch])
            for start in range(0, len(change.removed), limits.batch):
                with self._calling("delete records"):
                    self._collection.delete(ids=record_ids(change.removed[start : start + limits.batch]))
                self._reseal()
            if change.generation > self._generation:
                marker = self._marker(change.generation).to_metadata()
                with self._calling("record the generation"):
                    # `modify` replaces all metadata, and refuses to be told the measure again.
                    kept = {name: value for name, value in metadata.items() if name != "hnsw:space"}
                    self._collection.modify(metadata={**kept, **marker})
                self._generation, self._read_at = change.generation, time.monotonic()

    def search(self, vector: Vector, *, n: int, among: Rows | None = None) -> Ranking:
        """The *n* rows of highest cosine, of all rows or exactly *among* these; nothing for a zero *vector*.

        Of all rows the answer is approximate, as good as `ef_search` makes it; *among* rows it is exact, and
        slow (their vectors are fetched). A search for all there is ends in an exact pass over everything if
        the graph did not reach every record, so that `exhausted` never hides a row.

        Raises:
            SpaceMismatch: *vector* has another size, or holds NaN or infinity.
            IndexDamaged: embedded Chroma failed.
            IndexLocked: the index is closed, or was opened before a fork.
            ProviderError: a remote Chroma failed.
        """
        generation = self.applied_generation
        query = unit_query(vector, space=self._space, place=self._place)
        if n <= 0 or query is None:
            rows, scores, exhausted = np.empty(0, dtype=np.int64), np.empty(0, dtype=np.float32), query is None
        elif among is None:
            rows, scores, exhausted = self._nearest(query, n)
        else:
            wanted = np.unique(np.asarray(among, dtype=np.int64).reshape(-1))
            rows, scores, exhausted = scan(self._records().of(wanted), query, n)
        return Ranking(rows=rows, scores=scores, generation=generation, exhausted=exhausted)

    def clear(self) -> None:
        """Drop every record and go back to generation 0: how a remote index is rebuilt."""
        self._check_usable()
        with self._writing:
            self._read_marker()
            with self._calling("delete the collection"):
                self._backend.client.delete_collection(self._name)
            self._collection = self._create()
            self._generation = 0
            self._reseal()

    def forget(self, collection: str) -> None:
        """Delete another collection of the same ledger: that of an edition before."""
        self._backend.drop(collection, ledger=self._ledger)

    def close(self) -> None:
        """Let go of files and connections; idempotent. In a forked child, only of this object."""
        if self._closed:
            return
        self._closed = True
        if os.getpid() == self._process:
            with self._backend.calling("close"):
                self._backend.close()

    def _check_usable(self) -> None:
        if self._closed:
            raise IndexLocked(f"{self._place} was closed: open the index again")
        if os.getpid() != self._process:
            raise IndexLocked(
                f"{self._place} was opened before this process was forked, which Chroma does not survive: "
                "start the process by spawn"
            )

    def _marker(self, generation: int) -> Marker:
        return Marker(format=FORMAT, ledger=self._ledger, space=space_name(self._space), generation=generation)

    def _create(self) -> Collection:
        return self._backend.create(self._name, self._marker(0).to_metadata())

    def _read_marker(self) -> dict[str, ChromaValue]:
        """Read the collection's metadata anew, make sure that it is ours, and remember its generation."""
        started = time.monotonic()
        with self._calling("find the collection"):
            found = self._backend.find(self._name)
        if found is None:
            if self._backend.seal:
                raise IndexDamaged(f"{self._place} is gone: rebuild the Chroma index")
            raise ProviderError(
                f"{self._place} was deleted: open the index again to refill it", retryable=False
            )
        metadata: dict[str, ChromaValue] = dict(found.metadata or {})
        marker = owned_marker(
            metadata,
            found.configuration_json,
            place=self._place,
            ledger=self._ledger,
            space=self._space,
        )
        self._collection, self._generation, self._read_at = found, marker.generation, started
        return metadata

    def _add(self, rows: Rows, vectors: Vectors) -> None:
        chunks = self._describe(rows)
        if len(chunks) != len(rows):
            raise IndexDamaged(
                f"{self._place} was told of {len(chunks)} chunks for {len(rows)} rows: verify the index"
            )
        limits = self._backend.limits
        metadatas: list[Metadata] = [
            chroma_metadata(row, chunk, limits) for row, chunk in zip(rows.tolist(), chunks, strict=True)
        ]
        documents = [chroma_document(chunk.text, limits) for chunk in chunks] if self._store_text else None
        units, _ = unit_rows(vectors)
        # `add` leaves a record that exists as it is, ten times faster than `upsert` writes it again.
        with self._calling("add records"):
            self._collection.add(
                ids=record_ids(rows), embeddings=units, metadatas=metadatas, documents=documents
            )
        self._reseal()

    def _reseal(self) -> None:
        if self._backend.seal:
            self._backend.seal.renew()

    @contextmanager
    def _calling(self, action: str) -> Iterator[None]:
        self._check_usable()
        try:
            with self._backend.calling(action):
                yield
        except (IndexDamaged, ProviderError) as error:
            # A search that another thread's `close` overtook fails; nothing is damaged.
            if self._closed:
                raise IndexLocked(f"{self._place} was closed: open the index again") from error
            raise

    def _records(self) -> Records:
        return Records(
            collection=self._collection,
            calling=self._calling,
            page=self._backend.limits.page,
            dims=self._space.dims,
        )

    def _nearest(self, query: NDArray[np.float64], n: int) -> tuple[Rows, Vector, bool]:
        asked = n + 1  # one more tells whether there is more
        most = self._backend.limits.results
        while True:
            if most is not None:
                asked = min(asked, most)
            with self._calling("search"):
                answer = self._collection.query(
                    query_embeddings=query.astype(np.float32), n_results=asked, include=["distances"]
                )
            ids, distances = answer["ids"][0], (answer["distances"] or [[]])[0]
            exhausted = len(ids) < asked
            if exhausted and len(ids) < len(self):
                return scan(self._records().all(), query, n)
            exhausted = exhausted or asked == most
            rows, ours = parsed_rows(ids)
            scores = rounded(1.0 - np.array(distances, dtype=np.float64)[ours])
            shown = ~np.isin(rows, self._records().blank(rows[scores == 0.0]))
            rows, scores = best(rows[shown], scores[shown], asked)
            # Equals at the cut: the graph chose among them, and deeper lie those with lower rows.
            tied = len(rows) > n and scores[n - 1] == scores[-1] and asked < _TIE_DEPTH * n
            if exhausted or (len(rows) >= n and not tied):
                return rows[:n], scores[:n], exhausted and len(rows) <= n
            asked *= 2
