"""Datasets on disk: a folder of texts, questions and judgements in the BEIR layout.

    corpus.jsonl     {"_id", "title", "text", "metadata"}       the texts, or the passages of longer ones
    queries.jsonl    {"_id", "text"}                            the questions
    qrels/test.tsv   query-id, corpus-id, score                 which text answers which question
    docs.jsonl       {"_id", "title", "text"}                   whole documents        (optional)
    spans.jsonl      {"query_id", "doc_id", "start", "end"}     where in them it stands (optional)

Every file but the judgements may be gzipped, and so may they. See docs/evaluation.md for how to write one.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Literal

from ragweft.errors import LoadError
from ragweft.evaluation.reading import (
    Entry,
    dataset_folder,
    entries,
    find_file,
    judgements,
    splits_in,
    text_entries,
)
from ragweft.evaluation.values import Dataset
from ragweft.loading import file_format
from ragweft.loading.titles import find_title
from ragweft.types import Chunk, Document, Span

__all__ = ["Cut", "load_dataset"]

_log = logging.getLogger(__name__)

Cut = Literal["given", "recipe"]
Qrels = Mapping[str, Mapping[str, int]]
Spans = Mapping[str, Mapping[str, tuple[str, Span]]]

_PREFERRED = ("test", "dev")
_FILE_KEYS = ("file_name", "path", "source")
"""Metadata that may name the file a text came from."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Judged:
    """The texts, and what was judged of them."""

    items: Sequence[Document | Chunk]
    qrels: Qrels
    spans: Spans


def load_dataset(
    path: str | os.PathLike[str],
    *,
    split: str | None = None,
    chunks: Cut = "given",
    queries: int | None = None,
) -> Dataset:
    """Read the dataset in folder *path*, or in the folder of that name within `$RAGWEFT_DATA`.

    *split* names the judgements (`qrels/<split>.tsv`); None: the only ones, else "test", else "dev". *queries*
    keeps that many of the questions, spread evenly over their file.

    *chunks* "given": every entry of the corpus is indexed as it stands, with its title as context, and found by
    its id. "recipe": the recipe cuts; whole documents (docs.jsonl) if there are any, scored by gold spans, else
    the entries of the corpus, scored by which of them a hit comes from.

    Judgements of queries or texts that are not there, and queries left without anything to find, are left out
    and counted in a warning of this module's logger.

    Raises:
        LoadError: a file is missing or malformed (with its line), an id comes twice, there is no such split, or
            nothing is left to ask.
    """
    folder = dataset_folder(path)
    if queries is not None and queries < 1:
        raise LoadError(f"{folder}: at least one query must be asked, got {queries}")
    file, chosen = judgement_file(folder, split)
    name = folder.resolve().name
    if chosen is not None and split is not None and len(splits_in(folder)) > 1:
        name = f"{name}/{chosen}"
    judged = _given(folder, file) if chunks == "given" else _to_be_cut(folder, file)
    texts = queries_in(folder)
    qrels = _answerable(judged.qrels, texts, name)
    asked = spread([query for query in texts if query in qrels], queries)
    if not asked:
        raise LoadError(f"{folder}: no query has anything to find; check the ids in queries and judgements")
    return Dataset(
        name=name,
        items=judged.items,
        queries={query: texts[query] for query in asked},
        qrels={query: qrels[query] for query in asked},
        spans=_spans_of(asked, judged.spans, name),
    )


def judgement_file(folder: Path, split: str | None) -> tuple[Path | None, str | None]:
    """The qrels to read and their split; None and None where gold spans have to do."""
    known = splits_in(folder)
    there = ", ".join(known) or "none"
    if split is not None:
        if split not in known:
            raise LoadError(f"{folder / 'qrels'}: no split {split!r}; there: {there}")
        return known[split], split
    if not known:
        if find_file(folder, "spans") is None:
            raise LoadError(f"{folder}: neither qrels/<split>.tsv nor spans.jsonl says what answers a query")
        return None, None
    if len(known) > 1:
        preferred = next((name for name in _PREFERRED if name in known), None)
        if preferred is None:
            raise LoadError(f"{folder / 'qrels'}: choose a split: {there}")
        return known[preferred], preferred
    ((only, file),) = known.items()
    return file, only


def _given(folder: Path, file: Path | None) -> _Judged:
    """The corpus as it is cut already."""
    corpus = find_file(folder, "corpus")
    if corpus is None:
        raise LoadError(
            f"{folder}: there is no corpus.jsonl of given chunks; let the recipe cut (chunks recipe)"
        )
    if file is None:
        raise LoadError(
            f"{folder}: no qrels judge the chunks of corpus.jsonl; let the recipe cut (chunks recipe)"
        )
    ordinals: dict[str, int] = {}
    items: list[Chunk] = []
    for name, entry in text_entries(corpus):
        owner, span = _standing(entry)
        document = owner or name
        ordinals[document] = ordinals.get(document, -1) + 1
        items.append(
            Chunk(
                id=name,
                document_id=document,
                ordinal=ordinals[document],
                text=entry.text("text"),
                context=_title(entry) or "",
                span=span,
                metadata=entry.metadata,
            )
        )
    spans: Spans = {}
    if (gold := find_file(folder, "spans")) is not None and all(item.span for item in items):
        spans = gold_spans(gold, lengths=None)
    qrels = _known_only(judgements(file), {item.id for item in items}, file)
    return _Judged(items=items, qrels=qrels, spans=spans)


def _to_be_cut(folder: Path, file: Path | None) -> _Judged:
    """Documents for the recipe to cut."""
    source = find_file(folder, "docs") or find_file(folder, "corpus")
    if source is None:
        raise LoadError(f"{folder}: neither docs.jsonl nor corpus.jsonl is there")
    items = [_document(name, entry) for name, entry in text_entries(source)]
    lengths = {item.id: len(item.text) for item in items}
    whole = find_file(folder, "docs") is not None
    gold = find_file(folder, "spans") if whole else None
    if gold is not None:
        spans = gold_spans(gold, lengths=lengths)
        wanted = spans if file is None else judgements(file)
        qrels: Qrels = {query: dict.fromkeys(spans.get(query, {}), 1) for query in wanted}
        return _Judged(items=items, qrels=qrels, spans=spans)
    if file is None:
        raise LoadError(f"{folder}: spans.jsonl needs docs.jsonl, the documents it points into")
    judged = judgements(file)
    named = {item for query in judged.values() for item in query}
    if whole and not named <= lengths.keys():
        raise LoadError(
            f"{folder}: {file.name} judges chunks of one particular cut, which says nothing of other cuts of "
            "docs.jsonl; add spans.jsonl with gold spans, or take the chunks as given"
        )
    return _Judged(items=items, qrels=_known_only(judged, lengths.keys(), file), spans={})


def _document(name: str, entry: Entry) -> Document:
    text, metadata = entry.text("text"), entry.metadata
    written = _format(name, metadata)
    title = _title(entry) or find_title(text, written)
    return Document(id=name, text=text, title=title, format=written, metadata=metadata)


def _format(name: str, metadata: Mapping[str, object]) -> str:
    """How a text is written, from the file it says to come from; an id counts if it looks like a path."""
    named = [value for key in _FILE_KEYS if isinstance(value := metadata.get(key), str)]
    for file in [*named, name]:
        last = PurePosixPath(file.replace("\\", "/")).name
        found = file_format(last) if "." in last or "/" in file else None
        if found is not None:
            return found.format
    return "text"


def _title(entry: Entry) -> str | None:
    return (entry.text("title") or None) if entry.values.get("title") is not None else None


def _standing(entry: Entry) -> tuple[str | None, Span | None]:
    """The document a given chunk belongs to, and where it stands there."""
    place = Entry(values=entry.metadata, place=f"{entry.place}: metadata")
    if "doc_id" not in place.values:
        return None, None
    owner = place.text("doc_id")
    if not owner or "start" not in place.values or "end" not in place.values:
        return owner or None, None
    return owner, Span(start=place.offset("start"), end=place.offset("end"))


def gold_spans(path: Path, *, lengths: Mapping[str, int] | None) -> Spans:
    """Query id to gold span id to document and span; *lengths* of the documents, where they are known."""
    found: dict[str, dict[str, tuple[str, Span]]] = {}
    for entry in entries(path):
        query, document = entry.text("query_id"), entry.text("doc_id")
        span = Span(start=entry.offset("start"), end=entry.offset("end"))
        if span.start >= span.end:
            raise LoadError(f"{entry.place}: the span {span.start} to {span.end} is empty; end is exclusive")
        if lengths is not None:
            if document not in lengths:
                raise LoadError(f"{entry.place}: no document {document!r}; every doc_id must be an _id of docs")
            if span.end > lengths[document]:
                raise LoadError(
                    f"{entry.place}: the span ends at {span.end}, after the end of {document!r} "
                    f"({lengths[document]}); count code points"
                )
        name = f"{document}:{span.start}-{span.end}"
        if name in found.setdefault(query, {}):
            raise LoadError(
                f"{entry.place}: this span was given for query {query!r} before; ids must be unique"
            )
        found[query][name] = (document, span)
    return found


def _spans_of(asked: Sequence[str], spans: Spans, name: str) -> Spans:
    """The gold spans of the queries *asked*, or none at all: a mean over some of them compares with nothing."""
    lacking = sum(query not in spans for query in asked)
    if spans and lacking:
        _log.warning("%s: %d queries have no gold spans; span measures are left out", name, lacking)
    return {} if lacking else {query: spans[query] for query in asked}


def queries_in(folder: Path) -> dict[str, str]:
    """Query id to text, in the order of the file."""
    path = find_file(folder, "queries")
    if path is None:
        raise LoadError(f"{folder}: there is no queries.jsonl; is it a dataset in the BEIR layout?")
    return {name: entry.text("text") for name, entry in text_entries(path)}


def _known_only(qrels: Qrels, known: Collection[str], file: Path) -> Qrels:
    """*qrels* without items that are not among the *known* ones."""
    kept = {q: {item: score for item, score in row.items() if item in known} for q, row in qrels.items()}
    lost = sum(map(len, qrels.values())) - sum(map(len, kept.values()))
    if lost:
        _log.warning("%s: %d judgements name texts that are not there; they are left out", file, lost)
    return kept


def _answerable(qrels: Qrels, texts: Mapping[str, str], name: str) -> dict[str, Mapping[str, int]]:
    """The judgements of queries that exist and have something to find."""
    unknown = sum(query not in texts for query in qrels)
    if unknown:
        _log.warning("%s: judgements of %d queries that are not in queries.jsonl are left out", name, unknown)
    kept = {q: row for q, row in qrels.items() if q in texts and any(score > 0 for score in row.values())}
    empty = len(qrels) - unknown - len(kept)
    if empty:
        _log.warning("%s: %d queries have nothing relevant to find and are not asked", name, empty)
    return kept


def spread(names: Sequence[str], wanted: int | None) -> Sequence[str]:
    """*wanted* of the names, at equal distances: a file is often sorted, and its head one kind of query."""
    if wanted is None or wanted >= len(names):
        return names
    return [names[place * len(names) // wanted] for place in range(wanted)]
