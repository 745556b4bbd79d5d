"""The documents behind an index as packing reads them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ragweft.errors import IndexDamaged

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ragweft.excerpts import Mark
    from ragweft.ledger.ledger import Ledger
    from ragweft.ledger.vector_store import VectorStore
    from ragweft.protocols import Tokenizer
    from ragweft.types import Chunk, Vectors

__all__ = ["LedgerLibrary"]


class LedgerLibrary:
    """A `packing.Library` over a ledger: what it says is of now, so whoever reads compares."""

    def __init__(
        self, ledger: Ledger, store: VectorStore, tokenizer: Tokenizer, *, language: str = "english"
    ) -> None:
        """*tokenizer* counts; words are compared as in *language*."""
        self._language = language
        self._ledger = ledger
        self._store = store
        self._tokenizer = tokenizer

    def text(self, document_id: str) -> str | None:
        """The whole text; None if it is unknown or was given in chunks."""
        return self._ledger.text_of(document_id)

    def chunks(self, document_id: str) -> Sequence[Chunk]:
        """The living chunks of a document, in order."""
        with self._ledger.snapshot() as snapshot:
            return [stored.chunk for stored in snapshot.chunks_of(document_id)]

    def vectors(self, rows: Sequence[int]) -> Vectors | None:
        """The vectors of *rows*; None if one of them has been forgotten meanwhile."""
        with self._ledger.snapshot() as snapshot:
            found, digests = snapshot.digests(list(rows))
        places = {row: place for place, row in enumerate(found.tolist())}
        if any(row not in places for row in rows):
            return None
        try:
            return self._store.get([digests[places[row]] for row in rows])
        except IndexDamaged:  # the vectors of a forgotten edition
            return None

    def count(self, text: str) -> int:
        """Tokens of the static table."""
        return len(self._tokenizer.encode(text).ids)

    def finder(self, query: str) -> Callable[[str], Sequence[Mark]]:
        """What marks the words of *query* in a text as the word index finds them."""
        from ragweft.lexical.analyzer import Analyzer
        from ragweft.lexical.finding import WordFinder

        return WordFinder(query, Analyzer(language=self._language)).find
