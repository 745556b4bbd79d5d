"""The lexical index: tantivy, fed with the analyzer's own terms.

A row is one document of tantivy: its number, the terms of its indexed text and, once more, those of its context
alone. Its score is the weighted sum of both fields' BM25, which lets the words of a title or a heading count
for more. BM25F (Robertson, Zaragoza and Taylor 2004) weighs frequencies before they saturate; tantivy cannot.

One more document, the marker, is replaced in every commit and says what the commit holds: which ledger, which
analyzer, which generation. So a reader always knows which generation it sees, in whichever process the commit
was made.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ragweft.errors import IndexLocked, RagweftError
from ragweft.lexical import bm25
from ragweft.lexical.tantivy_files import (
    BODY,
    CONTEXT,
    MARKER,
    MARKER_TERM,
    ROW,
    TemporaryCopy,
    check_segments,
    exists,
    open_for_reading,
    open_for_writing,
    schema,
    tantivy_errors,
)
from ragweft.lexical.tantivy_search import any_of, best, best_among, collection, known_terms, marker
from ragweft.types import Ranking

if TYPE_CHECKING:
    import tantivy

    from ragweft.lexical.analyzer import Analyzer
    from ragweft.types import Rows, Vector

_FORMAT = 2
# Measured: one indexing thread keeps up with the analyzer and leaves fewer segments than two; beyond 64 MB of
# heap nothing is gained.
_HEAP = 64_000_000
_THREADS = 1
_BATCH = 512
_DELETED_AT_ONCE = 20_000

_Added = tuple[int, str, str]
"""A row, its indexed text and its context."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Marker:
    """What a commit says about itself."""

    format: int
    ledger: str
    analyzer: str
    generation: int
    highest_row: int
    """No row above it was ever added; those need no deletion before they are written."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Commit:
    """One commit as a reader holds it: it stays as it is while others write."""

    searcher: tantivy.Searcher
    marker: _Marker | None
    """None before the first `apply`."""

    @property
    def rows(self) -> int:
        return self.searcher.num_docs - 1 if self.marker else 0

    @property
    def generation(self) -> int:
        return self.marker.generation if self.marker else 0


class TantivyIndex:
    """`LexicalIndex` in *directory*, which belongs to the ledger of that UUID.

    Any number of threads and processes may read while one writes; the caller sees to it that only one writes.
    Every call looks at the newest commit. Nothing is written before the first `apply`. With *read_only* the
    directory is left untouched, and the index stays as it was when opened. The score of a row is the BM25 of
    its indexed text plus *context_weight* times that of its context; what is stored does not depend on it.

    Raises:
        IndexDamaged: the files are unreadable, or made by another ledger, analyzer or format.
    """

    def __init__(
        self,
        directory: Path,
        *,
        ledger: str,
        analyzer: Analyzer,
        context_weight: float,
        read_only: bool = False,
    ) -> None:
        self._directory = directory
        self._ledger = ledger
        self._analyzer = analyzer
        self._context_weight = context_weight
        self._schema = schema()
        self._copy = TemporaryCopy(directory) if read_only and exists(directory) else None
        self._read_only = read_only
        self._closed = False
        self._index: tantivy.Index | None = None
        self._sound: frozenset[str] = frozenset()
        try:
            self._newest()
        except RagweftError:
            self.close()
            raise

    @property
    def applied_generation(self) -> int:
        """The generation of the newest commit; 0 before the first."""
        commit = self._newest()
        return commit.generation if commit else 0

    def __len__(self) -> int:
        commit = self._newest()
        return commit.rows if commit else 0

    def search(self, text: str, *, n: int, among: Rows | None = None) -> Ranking:
        """The *n* rows of highest score, of all rows or exactly *among* these.

        Raises:
            IndexDamaged: the index became unreadable.
        """
        commit = self._newest()
        if commit is None or n <= 0:
            return _ranking(_no_rows(), np.empty(0, np.float32), commit=commit, exhausted=n > 0)
        with tantivy_errors(self._directory, "search"):
            rows, scores = self._search(commit.searcher, self._analyzer.query_terms(text), n, among)
        return _ranking(rows, scores, commit=commit, exhausted=len(rows) < n)

    def score(self, text: str, texts: Sequence[str], contexts: Sequence[str]) -> Vector:
        """What `search` would give *texts* if the index held them: float32, shape (len(texts),).

        While the index holds nothing, the texts themselves are the collection.
        """
        terms = self._analyzer.query_terms(text)
        analysed = self._analyzer.terms
        pairs = [(analysed(body), analysed(context)) for body, context in zip(texts, contexts, strict=True)]
        documents = {BODY: [body for body, _ in pairs], CONTEXT: [context for _, context in pairs]}
        commit = self._newest()
        if commit is None or commit.rows == 0:
            statistics = {name: bm25.collection_of(held) for name, held in documents.items()}
        else:
            with tantivy_errors(self._directory, "search"):
                statistics = {
                    name: collection(commit.searcher, self._schema, name, terms) for name in documents
                }
                known = known_terms(commit.searcher, terms)
            held_by = statistics[BODY].containing
            terms = {term: count for term, count in terms.items() if term in known or not held_by[term]}
        found = {name: bm25.scores(terms, documents[name], collection=statistics[name]) for name in documents}
        both = found[BODY] + self._context_weight * found[CONTEXT]
        return both.astype(np.float32, copy=False)

    def apply(
        self,
        *,
        rows: Rows,
        texts: Sequence[str],
        contexts: Sequence[str],
        removed: Rows,
        generation: int,
    ) -> None:
        """Add *rows* with their *texts* and *contexts*, drop *removed* and record *generation*, in one commit.

        A row that is there already is replaced; one that is also in *removed* is not added. A *generation*
        below the one recorded changes nothing, since what it would add is there or has been removed since; the
        same one again is applied again, so that one generation may come in several calls. *texts* and
        *contexts* are read once, in order, and not held as a whole.

        Raises:
            IndexDamaged: the index on disk cannot be written; the caller moves it aside and rebuilds.
            IndexLocked: another writer is at work, or the index was opened read-only.
        """
        if self._read_only:
            raise IndexLocked(f"the lexical index {self._directory} was opened read-only: open it for writing")
        self._check_open()
        index = open_for_writing(self._directory)
        self._sound = check_segments(self._directory, self._sound)
        before = self._commit(index)
        repeated = before.marker is not None and generation == before.generation
        if generation < before.generation or (repeated and not rows.size and not removed.size):
            return
        highest = before.marker.highest_row if before.marker else -1
        stale = np.union1d(removed, rows[rows <= highest])
        added: Iterable[_Added] = zip(rows.tolist(), texts, contexts, strict=True)
        if np.unique(rows).size < rows.size or np.isin(rows, removed).any():
            latest = {each[0]: each for each in added}
            added = [latest[row] for row in latest.keys() - set(removed.tolist())]
        with tantivy_errors(self._directory, "write"):
            writer = index.writer(_HEAP, _THREADS)
        try:
            with tantivy_errors(self._directory, "write"):
                # A killed writer leaves files of a commit that never was; the next would choose the same names.
                writer.garbage_collect_files()
            self._delete(writer, stale)
            self._add(writer, added)
            self._mark(writer, generation=generation, highest_row=max(highest, int(rows.max(initial=-1))))
            with tantivy_errors(self._directory, "write"):
                writer.commit()
        finally:
            # Waits for merges, without which segments would pile up, and lets go of tantivy's lock at once
            # even while a traceback still holds the writer.
            with tantivy_errors(self._directory, "write"):
                writer.wait_merging_threads()

    def close(self) -> None:
        """Let go of the files; idempotent."""
        self._closed = True
        self._index = None
        if self._copy:
            self._copy.close()

    def _check_open(self) -> None:
        if self._closed:
            raise IndexLocked(f"the lexical index {self._directory} was closed: open the index again")

    def _newest(self) -> _Commit | None:
        """The newest commit, or None while there is no index in the directory."""
        self._check_open()
        directory = self._copy.path if self._copy else self._directory
        if (self._read_only and not self._copy) or not exists(directory):
            # Also when a rebuild has moved the old index away: generation 0 is then the truth.
            self._index = None
            return None
        index = self._index
        if index is None:
            index = open_for_reading(directory)
            self._sound = check_segments(directory, self._sound)
            self._index = index
        if not self._copy:
            with tantivy_errors(self._directory, "open"):
                index.reload()
        return self._commit(index)

    def _commit(self, index: tantivy.Index) -> _Commit:
        with tantivy_errors(self._directory, "open"):
            searcher = index.searcher()
            written = marker(searcher, self._schema)
            if written is None and searcher.num_docs:
                raise ValueError("it has no marker")
            return _Commit(searcher=searcher, marker=self._checked(written) if written else None)

    def _checked(self, written: bytes) -> _Marker:
        try:
            found = _Marker(**json.loads(written))
        except TypeError as error:
            raise ValueError(f"unknown marker: {error}") from error
        expected = (_FORMAT, self._ledger, self._analyzer.fingerprint)
        names = ("format", "ledger", "analyzer")
        for name, is_, should in zip(
            names, (found.format, found.ledger, found.analyzer), expected, strict=True
        ):
            if is_ != should:
                raise ValueError(f"its {name} is {is_}, not {should}")
        return found

    def _search(
        self, searcher: tantivy.Searcher, terms: Mapping[str, int], n: int, among: Rows | None
    ) -> tuple[Rows, Vector]:
        known = known_terms(searcher, terms)
        if not known or (among is not None and not among.size):
            return _no_rows(), np.empty(0, np.float32)
        query = any_of(self._schema, known, context_weight=self._context_weight)
        if among is None:
            return best(searcher, query, n)
        return best_among(searcher, self._schema, query, n, np.unique(among))

    def _delete(self, writer: tantivy.IndexWriter, rows: Rows) -> None:
        from tantivy import Query

        # Not `delete_documents_by_term`: it takes an int for a signed term and, on an unsigned field, silently
        # deletes nothing. One query for many rows also takes a fraction of the memory.
        with tantivy_errors(self._directory, "write"):
            for start in range(0, len(rows), _DELETED_AT_ONCE):
                some = rows[start : start + _DELETED_AT_ONCE].tolist()
                writer.delete_documents_by_query(Query.term_set_query(self._schema, ROW, some))

    def _add(self, writer: tantivy.IndexWriter, added: Iterable[_Added]) -> None:
        import tantivy

        remaining = iter(added)
        # Texts are read outside the error boundary: what reading them raises is not the index's doing.
        while batch := [
            (row, " ".join(self._analyzer.terms(text)), " ".join(self._analyzer.terms(context)))
            for row, text, context in islice(remaining, _BATCH)
        ]:
            with tantivy_errors(self._directory, "write"):
                for row, body, context in batch:
                    document = tantivy.Document()
                    document.add_unsigned(ROW, row)
                    document.add_text(BODY, body)
                    document.add_text(CONTEXT, context)
                    writer.add_document(document)

    def _mark(self, writer: tantivy.IndexWriter, *, generation: int, highest_row: int) -> None:
        import tantivy

        written = _Marker(
            format=_FORMAT,
            ledger=self._ledger,
            analyzer=self._analyzer.fingerprint,
            generation=generation,
            highest_row=highest_row,
        )
        with tantivy_errors(self._directory, "write"):
            writer.delete_documents_by_query(tantivy.Query.term_query(self._schema, BODY, MARKER_TERM, "freq"))
            document = tantivy.Document()
            for name in (BODY, CONTEXT):  # the statistics of a field are read from the marker's score in it
                document.add_text(name, MARKER_TERM)
            document.add_bytes(MARKER, json.dumps(asdict(written)).encode())
            writer.add_document(document)


def _no_rows() -> Rows:
    return np.empty(0, np.int64)


def _ranking(rows: Rows, scores: Vector, *, commit: _Commit | None, exhausted: bool) -> Ranking:
    generation = commit.generation if commit else 0
    return Ranking(rows=rows, scores=scores, generation=generation, exhausted=exhausted)
