"""Learned word weights on their way in: beside new vectors, and for what was embedded without them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from ragweft.errors import ProviderError
from ragweft.ledger.word_weights import note_weighed, weighed_through
from ragweft.protocols import OnePassEmbedder
from ragweft.vectors.sparse_rows import packed

if TYPE_CHECKING:
    from ragweft.ledger.ledger import Ledger
    from ragweft.ledger.vector_store import VectorStore
    from ragweft.protocols import Progress, SparseEmbedder

__all__ = ["WordWeights", "small_batches"]

_TEXTS = 64
_CHARACTERS = 2**17
"""Of the texts of one pass: BGE-M3 makes token vectors besides, 4 KB for each of some 30,000 tokens."""
_LOOKED_AT = 2_048
"""Rows looked through at once for some without weights."""


class WordWeights:
    """What an embedder says of the words of documents, stored by the digests of the texts."""

    def __init__(self, embedder: SparseEmbedder, store: VectorStore, *, model: str) -> None:
        """*model* is what errors call the embedder."""
        self._embedder = embedder
        self._store = store
        self._model = model

    @property
    def one_pass(self) -> OnePassEmbedder | None:
        """The embedder, if it computes vectors at the same time."""
        return self._embedder if isinstance(self._embedder, OnePassEmbedder) else None

    def packed(self, texts: Sequence[str], weights: Sequence[Mapping[int, float]] | None = None) -> list[bytes]:
        """The *weights* of *texts*, computed if they are not given, as they are stored.

        Raises:
            ProviderError: the model failed, or its weights are too few or no weights.
        """
        found = self._embedder.lexical_weights(texts) if weights is None else weights
        if len(found) != len(texts):
            raise ProviderError(
                f"{self._model}: word weights of {len(found)} texts came back for {len(texts)}; nothing was "
                "stored, sync again or set [retrieval] sparse_weight = 0",
                retryable=True,
            )
        try:
            return [packed(each) for each in found]
        except (TypeError, ValueError, OverflowError) as error:
            raise ProviderError(
                f"{self._model}: {error}; nothing was stored, set [retrieval] sparse_weight = 0 or choose "
                "another model",
                retryable=False,
            ) from error

    def fill(self, ledger: Ledger, progress: Progress) -> None:
        """Store the weights of every living chunk that has none: those added while nobody wanted any.

        Only chunks added since the last time are looked at, by whichever process that was.

        Raises:
            ProviderError: the model failed; what came before is kept, and the next time goes on from there.
        """
        since = weighed_through(ledger)
        with ledger.snapshot() as snapshot:
            generation, rows = snapshot.generation, snapshot.born_after(since).tolist()
        for start in range(0, len(rows), _LOOKED_AT):
            progress("weighing words", start, len(rows))
            with ledger.snapshot() as snapshot:
                some, digests = snapshot.digests(rows[start : start + _LOOKED_AT])
                known = self._store.weighed(digests)
                without = [
                    row for row, digest in zip(some.tolist(), digests, strict=True) if digest not in known
                ]
                inputs = snapshot.inputs(without)
            self._weigh(dict(zip(inputs.digests, inputs.texts, strict=True)))
        if rows:
            progress("weighing words", len(rows), len(rows))
        if generation > since:
            note_weighed(ledger, generation)

    def _weigh(self, texts: Mapping[bytes, str]) -> None:
        """Store the weights of *texts*, by digest, batch by batch."""
        digests = list(texts)
        for places in small_batches(list(texts.values())):
            some = [digests[place] for place in places]
            self._store.put_weights(some, self.packed([texts[digest] for digest in some]))
            self._store.checkpoint()


def small_batches(texts: Sequence[str]) -> Iterator[list[int]]:
    """Places of *texts* for one pass each, longest first: texts of like length need the least padding."""
    batch: list[int] = []
    size = 0
    for place in sorted(range(len(texts)), key=lambda place: -len(texts[place])):
        if batch and (len(batch) == _TEXTS or size + len(texts[place]) > _CHARACTERS):
            yield batch
            batch, size = [], 0
        batch.append(place)
        size += len(texts[place])
    if batch:
        yield batch
