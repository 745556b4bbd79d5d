"""Labelled questions for an index that is there already: who asks what, and what of the index answers it."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from ragweft.errors import LoadError
from ragweft.evaluation.dataset import gold_spans, judgement_file, queries_in, spread
from ragweft.evaluation.reading import dataset_folder, entries, find_file, judgements
from ragweft.evaluation.spans import Place, Places, credited
from ragweft.opening import as_uris

if TYPE_CHECKING:
    from ragweft.evaluation.reading import Entry
    from ragweft.index import Index
    from ragweft.types import Rows

__all__ = ["Labels", "Placed", "Question", "load_labels", "place"]

_BATCH = 1_000
"""Chunks whose texts are held at once while the index is gone through."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Labels:
    """Questions with what answers them, by the names the labels use."""

    name: str
    queries: Mapping[str, str]
    """Query id to text, only those that name an answer."""
    relevant: Mapping[str, Mapping[str, int]]
    """Query id to the name of a chunk, a document or a file, to its relevance (0: judged, not relevant)."""
    spans: Mapping[str, Places] = field(default_factory=dict)
    """Query id to gold spans, for indexes in which none of the names is known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """A question, and what is to be found for it in one index."""

    text: str
    grades: Mapping[str, int]
    """Item to relevance; one at least is above 0."""
    gold: Places = field(default_factory=dict)
    """Gold span to its place; empty where chunks or documents are judged."""
    by_document: bool = False
    """Whether hits count by their document."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Placed:
    """Labels found again in an index."""

    questions: Mapping[str, Question]
    missing: int
    """Judged answers that are not in the index."""
    left_out: int
    """Questions without any answer in the index."""
    places: Mapping[int, tuple[str, str, Place | None]]
    """Row to chunk id, document id and where the chunk stands."""

    def items(self, query: str, rows: Rows, *, most: int) -> list[str]:
        """What the hits *rows* of a query stand for, best first, each once.

        As in `Judge`: a hit stands for its chunk, for its document where documents are judged, or for the gold
        spans of which it covers at least half.
        """
        question = self.questions[query]
        found: dict[str, None] = {}
        for rank, row in enumerate(rows.tolist()):
            chunk, document, span = self.places[row]
            if not question.gold:
                own = _chunk(chunk)
                whole = question.by_document and own not in question.grades
                found[_document(document) if whole else own] = None
            else:
                found |= dict.fromkeys(credited(span, question.gold) if span is not None else ())
                if len(found) <= rank:
                    found[f"hit-{rank + 1}"] = None
            if len(found) >= most:
                break
        return list(found)[:most]


def load_labels(
    path: str | os.PathLike[str], *, split: str | None = None, queries: int | None = None
) -> Labels:
    """Read labels: a dataset's folder (its corpus is not looked at), or one file of JSON lines.

    A line of the file is {"query": "…", "relevant": ["chunk id, document id or path", …]}. *split* names the
    judgements of a folder; *queries* keeps that many questions, spread evenly.

    Raises:
        LoadError: a file is missing or malformed (with its line), or there is no such split.
    """
    file = Path(path).expanduser()
    if queries is not None and queries < 1:
        raise LoadError(f"{file}: at least one query must be asked, got {queries}")
    if file.is_file():
        if split is not None:
            raise LoadError(f"{file}: a file has no splits; leave out the split, or name a dataset's folder")
        labels = _from_lines(file)
    else:
        labels = _from_folder(dataset_folder(path), split)
    asked = spread(list(labels.queries), queries)
    return Labels(
        name=labels.name,
        queries={query: labels.queries[query] for query in asked},
        relevant=labels.relevant,
        spans=labels.spans,
    )


def place(labels: Labels, index: Index) -> Placed:
    """Find the judged chunks and documents in *index*, going through its chunks once.

    A name is taken as a chunk's id, else as a document's, else as the path or URI of a document.
    """
    places: dict[int, tuple[str, str, Place | None]] = {}
    documents: dict[str, str] = {}
    with index.ledger.snapshot() as snapshot:
        rows = snapshot.born_after(0).tolist()
        for start in range(0, len(rows), _BATCH):
            for row, stored in snapshot.hydrate(rows[start : start + _BATCH]).items():
                chunk = stored.chunk
                span = (chunk.document_id, chunk.span) if chunk.span is not None else None
                places[row] = (chunk.id, chunk.document_id, span)
                if stored.source:
                    documents[stored.source] = chunk.document_id
    documents |= {document: document for _, document, _ in places.values()}
    chunks = {chunk for chunk, _, _ in places.values()}
    named = {name for query in labels.queries for name in labels.relevant.get(query, {})}
    known = {name: item for name in named if (item := _known(name, chunks, documents)) is not None}
    by_span = bool(labels.spans) and not known
    questions: dict[str, Question] = {}
    missing = 0
    for query, text in labels.queries.items():
        if by_span:
            gold = labels.spans.get(query, {})
            there = {name: where for name, where in gold.items() if where[0] in documents}
            missing += len(gold) - len(there)
            question = Question(text=text, grades=dict.fromkeys(there, 1), gold=there)
        else:
            judged = labels.relevant.get(query, {})
            missing += sum(grade > 0 for name, grade in judged.items() if name not in known)
            question = _by_names(text, judged, known)
        if text.strip() and any(grade > 0 for grade in question.grades.values()):
            questions[query] = question
    return Placed(
        questions=questions, missing=missing, left_out=len(labels.queries) - len(questions), places=places
    )


def _by_names(text: str, judged: Mapping[str, int], known: Mapping[str, str]) -> Question:
    grades: dict[str, int] = {}
    for name, grade in judged.items():
        if name in known:
            grades[known[name]] = max(grade, grades.get(known[name], grade))
    by_document = any(item.startswith(_document("")) for item in grades)
    return Question(text=text, grades=grades, by_document=by_document)


def _known(name: str, chunks: set[str], documents: Mapping[str, str]) -> str | None:
    if name in chunks:
        return _chunk(name)
    found = next((documents[uri] for uri in as_uris(name) or () if uri in documents), None)
    return _document(found) if found is not None else None


def _chunk(name: str) -> str:
    return f"chunk:{name}"


def _document(name: str) -> str:
    return f"document:{name}"


def _from_folder(folder: Path, split: str | None) -> Labels:
    file, chosen = judgement_file(folder, split)
    relevant = judgements(file) if file is not None else {}
    gold = find_file(folder, "spans")
    spans = gold_spans(gold, lengths=None) if gold is not None else {}
    texts = queries_in(folder)
    asked = relevant if file is not None else spans
    name = folder.resolve().name
    return Labels(
        name=f"{name}/{chosen}" if chosen is not None and split is not None else name,
        queries={query: text for query, text in texts.items() if query in asked},
        relevant=relevant,
        spans=spans,
    )


def _from_lines(file: Path) -> Labels:
    queries: dict[str, str] = {}
    relevant: dict[str, Mapping[str, int]] = {}
    for number, entry in enumerate(entries(file), start=1):
        name = str(number)
        queries[name] = entry.text("query")
        relevant[name] = dict.fromkeys(_names(entry), 1)
    return Labels(name=file.name, queries=queries, relevant=relevant)


def _names(entry: Entry) -> Sequence[str]:
    given = entry.values.get("relevant")
    if not isinstance(given, list) or not all(isinstance(name, str) and name for name in given):
        raise LoadError(
            f"{entry.place}: 'relevant' must be a list of chunk ids, document ids or paths, as texts; "
            "see docs/evaluation.md"
        )
    return given
