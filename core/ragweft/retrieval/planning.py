"""Which index answers by meaning.

Up to 50 MB of vectors the memory-mapped matrix answers: exactly, at 10,000 x 256 faster than a graph (about
0.4 ms against 2 ms, and level with it near the limit), in any number
of processes at once and without importing Chroma. Above, the one process that may open the embedded Chroma uses
it, everybody else the matrix. A filter that leaves few rows is always answered exactly.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ragweft.errors import IndexDamaged, IndexLocked, ProviderError

if TYPE_CHECKING:
    from ragweft.ledger.followers import Slot
    from ragweft.ledger.ledger import Ledger
    from ragweft.protocols import VectorIndex
    from ragweft.types import Ranking, Rows, Vector

__all__ = ["Planner"]

_EXACT_BYTES = 50_000_000
"""Vectors up to this size are scanned. A choice, not a measured crossover: exact answers are worth a few ms."""
_LAG_ROWS = 5_000
"""With more rows than this missing from Chroma the matrix answers instead; a choice, not measured."""


class Planner:
    """Dense search over the matrix and, where it pays, Chroma."""

    def __init__(
        self,
        flat: Slot[VectorIndex],
        chroma: Slot[VectorIndex] | None,
        ledger: Ledger,
        *,
        engine: str,
        remote: bool,
        dims: int,
    ) -> None:
        """*remote*: Chroma is a server every process can use, so it answers whatever the size."""
        self._flat = flat
        self._chroma = chroma
        self._ledger = ledger
        self._threshold = 0 if engine == "chroma" or remote else _EXACT_BYTES // (4 * dims)

    def search(self, vector: Vector, *, n: int, among: Rows | None) -> tuple[Ranking, str]:
        """The *n* nearest rows, and which index found them.

        Raises:
            IndexDamaged: the matrix is damaged; it is being rebuilt.
        """
        try:
            flat = self._flat.get()
            if among is None and self._chroma is not None and len(flat) > self._threshold:
                found, note = self._by_graph(self._chroma, vector, n)
                if found is not None:
                    # The graph's candidates, scored like everybody else's.
                    exact = flat.search(vector, n=n, among=found.rows)
                    if len(exact.rows) == len(found.rows):
                        found = type(found)(
                            rows=exact.rows,
                            scores=exact.scores,
                            generation=found.generation,
                            exhausted=found.exhausted,
                        )
                    return found, note
                return flat.search(vector, n=n), f"exact ({note})"
            return flat.search(vector, n=n, among=among), "exact"
        except IndexDamaged:
            self._flat.heal()
            raise

    def mend(self) -> None:
        """Bring the matrix level in the background, and Chroma if this process may."""
        self._flat.heal(damaged=False)
        if self._chroma is not None:
            self._chroma.heal(damaged=False)

    def _by_graph(self, slot: Slot[VectorIndex], vector: Vector, n: int) -> tuple[Ranking | None, str]:
        try:
            chroma = slot.get()
            with self._ledger.snapshot() as snapshot:
                lag = len(snapshot.born_after(chroma.applied_generation))
            if lag > _LAG_ROWS:
                slot.heal(damaged=False)
                return None, f"Chroma lacks {lag:,} rows"
            return chroma.search(vector, n=n), "Chroma"
        except IndexLocked:
            return None, "Chroma is open in another process"
        except ProviderError as error:
            return None, f"Chroma does not answer: {error}"
        except IndexDamaged as error:
            slot.heal()
            return None, f"Chroma is being rebuilt: {error}"
