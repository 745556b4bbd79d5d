"""Whether our own cutting finds what was asked for as often as a collection's given chunks do.

    python benchmarks/golden.py --data FOLDER        # about three minutes; writes results/golden.md

`anthropic_codebase` comes in 737 given chunks, and as the 90 files they were cut from. Here the files are written into
a folder and synced, as a user would; the given chunks are indexed as they are. For every question the first 5, 10 or
20 given chunks are read, and as many tokens of ours: hit by hit, or packed as `results.as_context` packs them,
citations included. A golden chunk is found when at least 90 % of its characters were read; the score of a question
is the share of its golden chunks that were found. The files have lost their names; their suffix is told from their
first lines, and once left out.

What is counted here is containment, so a way is the better, the fuller and the more overlapping its chunks are:
LangChain's splitter cuts functions wherever a chunk is full and repeats 72 tokens at every cut, ours keeps functions
whole and repeats nothing from one to the next.
"""

from __future__ import annotations

import argparse
import json
import re
import tempfile
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from chunking import LangChainRecursive
from environment import RESULTS, heading

from ragweft import Index, Recipe, Span
from ragweft.embedding.static import StaticEmbedder
from ragweft.evaluation.significance import macro
from ragweft.recipe import Chunking, Dense
from ragweft.types import Chunk

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ragweft.protocols import Chunker
    from ragweft.types import Hit, Results

NAME = "anthropic_codebase"
KS = (5, 10, 20)
FOUND = 0.9
DEPTH = 200
"""Hits fetched of ours: more than any budget holds."""
PACKED = 20
"""Hits that are packed."""
TOKENS = StaticEmbedder()
SUFFIXES = (
    (r"^package [\w.]+;", ".java"),
    (r"^(use |pub |impl |mod |fn |#!\[|//!)", ".rs"),
    (r"^(#include|#pragma|#ifndef|namespace )", ".cc"),
    (r"^(import |from \w+|def |class )", ".py"),
)
"""What a line of a file begins with, in its language; the first that fits."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """One way of cutting and reading."""

    recipe: Recipe
    named: bool = True
    """Whether the files have their suffixes."""
    packs: bool = False
    chunker: Chunker | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Collection:
    """Files, given chunks, questions and golden chunks."""

    files: Mapping[str, str]
    chunks: Sequence[Chunk]
    queries: Mapping[str, str]
    golden: Mapping[str, Sequence[Chunk]]


def load(folder: Path) -> Collection:
    """The collection in *folder*."""
    chunks = {
        row["_id"]: Chunk(
            id=row["_id"],
            document_id=row["metadata"]["doc_id"],
            text=row["text"],
            ordinal=number,
            span=Span(start=row["metadata"]["start"], end=row["metadata"]["end"]),
        )
        for number, row in enumerate(_lines(folder / "corpus.jsonl"))
    }
    golden: dict[str, list[Chunk]] = defaultdict(list)
    for line in (folder / "qrels" / "test.tsv").read_text().splitlines()[1:]:
        query, chunk, _ = line.split("\t")
        golden[query].append(chunks[chunk])
    return Collection(
        files={row["_id"]: row["text"] for row in _lines(folder / "docs.jsonl")},
        chunks=list(chunks.values()),
        queries={row["_id"]: row["text"] for row in _lines(folder / "queries.jsonl") if row["_id"] in golden},
        golden=golden,
    )


def _lines(path: Path) -> Sequence[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def suffix(text: str) -> str:
    """The suffix of a source file, by its first telling line."""
    for line in text.splitlines():
        for pattern, found in SUFFIXES:
            if re.match(pattern, line):
                return found
    return ".txt"


def read(hits: Sequence[Hit], budget: int) -> dict[str, list[Span]]:
    """Document to the places read of it, best first, until *budget* tokens; the last is cut off there."""
    places: dict[str, list[Span]] = defaultdict(list)
    left = budget
    for hit in hits:
        if (span := hit.chunk.span) is None or left <= 0:
            break
        encoding = TOKENS.encode(hit.chunk.text)
        size = len(encoding.ids)
        end = span.end if size <= left else span.start + int(encoding.starts[left])
        places[Path(hit.chunk.document_id).stem].append(Span(start=span.start, end=end))
        left -= size
    return places


def packed(results: Results, budget: int, files: Mapping[str, str]) -> dict[str, list[Span]]:
    """The same for a prompt of at most *budget* tokens."""
    places: dict[str, list[Span]] = defaultdict(list)
    for passage in results.as_context(max_tokens=budget).passages:
        name, text = Path(passage.document_id).stem, passage.text.removesuffix(" […]")
        start = files[name].index(text)
        places[name].append(Span(start=start, end=start + len(text)))
    return places


def share_found(golden: Sequence[Chunk], places: Mapping[str, Sequence[Span]]) -> float:
    """Of *golden*, those read to nine tenths."""
    found = 0
    for chunk in golden:
        assert chunk.span is not None
        own = np.zeros(chunk.span.end - chunk.span.start, dtype=bool)
        for span in places.get(chunk.document_id, ()):
            own[max(0, span.start - chunk.span.start) : max(0, span.end - chunk.span.start)] = True
        found += own.mean() >= FOUND
    return found / len(golden)


def budgets(given: Index, collection: Collection) -> dict[int, dict[str, int]]:
    """For each k, question to the tokens of the first k given chunks."""
    sizes: dict[int, dict[str, int]] = {k: {} for k in KS}
    for name, text in collection.queries.items():
        tokens = [len(TOKENS.encode(hit.chunk.text).ids) for hit in given.search(text, k=max(KS))]
        for k in KS:
            sizes[k][name] = sum(tokens[:k])
    return sizes


def scores(
    index: Index, collection: Collection, sizes: Mapping[int, Mapping[str, int]], *, packs: bool = False
) -> dict[int, NDArray[np.float64]]:
    """For each k, every question's score when as much is read as the first k given chunks hold."""
    found: dict[int, list[float]] = {k: [] for k in KS}
    for name, text in collection.queries.items():
        results = index.search(text, k=PACKED if packs else DEPTH)
        for k in KS:
            budget = sizes[k][name]
            places = packed(results, budget, collection.files) if packs else read(results, budget)
            found[k].append(share_found(collection.golden[name], places))
    return {k: np.array(rows) for k, rows in found.items()}


def main() -> None:
    """Measure and report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=RESULTS / "golden.md")
    chosen = parser.parse_args()
    collection = load(chosen.data / NAME)
    flat = Recipe(dense=Dense(engine="flat"))
    none = replace(flat, context=replace(flat.context, kind="none"))
    ways = {
        "ours (the default)": Way(recipe=flat),
        "ours, packed": Way(recipe=flat, packs=True),
        "ours, no context": Way(recipe=none),
        "ours, suffixes left out": Way(recipe=flat, named=False),
        "ours, suffixes left out, packed": Way(recipe=flat, named=False, packs=True),
        "LangChain recursive": Way(recipe=flat, chunker=LangChainRecursive(size=420, overlap=72)),
        "LangChain recursive, no context": Way(recipe=none, chunker=LangChainRecursive(size=480, overlap=72)),
    }
    for size in (160, 240, 320, 800):
        ways[f"ours, {size} tokens"] = Way(recipe=replace(flat, chunking=Chunking(size=size)))
    found: dict[str, tuple[int, dict[int, NDArray[np.float64]]]] = {}
    with tempfile.TemporaryDirectory(prefix="ragweft-golden-") as made:
        work = Path(made)
        with Index.open(work / "given", recipe=flat) as given:
            given.add(collection.chunks)
            sizes = budgets(given, collection)
            found["given chunks"] = given.status().chunks, scores(given, collection, sizes)
        for named in (True, False):
            (work / str(named)).mkdir()
            for file, text in collection.files.items():
                name = f"{file}{suffix(text) if named else '.txt'}"
                (work / str(named) / name).write_text(text, encoding="utf-8")
        for number, (name, way) in enumerate(ways.items()):
            with Index.open(work / f"index{number}", recipe=way.recipe, chunker=way.chunker) as index:
                index.sync(work / str(way.named))
                found[name] = index.status().chunks, scores(index, collection, sizes, packs=way.packs)
            print(name, [f"{100 * row.mean():.1f}" for row in found[name][1].values()], flush=True)
    lines = [heading("Golden content"), __doc__.partition("\n\n")[2].partition("\n\n")[2] if __doc__ else ""]
    tokens = " / ".join(f"{np.mean(list(sizes[k].values())):,.0f}" for k in KS)
    lines.append(
        f"{len(collection.queries)} questions; tokens read for k = 5 / 10 / 20, on the mean: {tokens}.\n"
    )
    lines += [
        "| | chunks | k = 5 | k = 10 | k = 20 | k = 20 against the given chunks |",
        "|---|---|---|---|---|---|",
    ]
    base = found["given chunks"][1][20]
    for name, (chunks, rows) in found.items():
        cells = " | ".join(f"{100 * rows[k].mean():.1f}" for k in KS)
        gap = macro([rows[20] - base]) if name != "given chunks" else None
        said = "" if gap is None else f"{100 * gap.mean:+.2f} ({100 * gap.low:+.2f} to {100 * gap.high:+.2f})"
        lines.append(f"| {name} | {chunks:,} | {cells} | {said} |")
    lines.append("\nCommand: `python benchmarks/golden.py --data FOLDER`")
    chosen.out.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
