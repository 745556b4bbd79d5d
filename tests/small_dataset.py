"""A collection small enough to judge by hand, as the files `load_dataset` reads."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import ir_measures
from ir_measures import Measure

ARTICLES: Mapping[str, tuple[str, ...]] = {
    "bees": (
        "A hive keeps its brood at thirty-five degrees, winter and summer.",
        "Workers fan their wings at the entrance to cool the comb.",
        "The queen lays up to two thousand eggs a day in spring.",
        "A dance on the comb tells the others where the nectar is.",
        "Honey ripens when its water falls below eighteen per cent.",
        "A swarm leaves with the old queen and settles on a branch.",
    ),
    "bridges": (
        "A suspension bridge hangs its deck from cables over two towers.",
        "Steel grows longer in the heat, so joints let the deck move.",
        "Soldiers break step on a bridge because marching can make it sway.",
        "An arch carries its load to the ground as pressure alone.",
        "Cables are spun from thousands of thin wires, laid side by side.",
        "Inspectors listen for broken wires inside the cable with microphones.",
    ),
    "bread": (
        "Yeast turns sugar into gas, and the gas makes the dough rise.",
        "Salt slows the yeast and tightens the gluten of the dough.",
        "A sourdough starter is fed with flour and water every day.",
        "Steam in the oven keeps the crust soft until the loaf has risen.",
        "Rye has little gluten, so its loaves stay flat and moist.",
        "Bread goes stale as its starch forms crystals, fastest in the fridge.",
    ),
    "clocks": (
        "A pendulum one metre long swings once in a second.",
        "The escapement lets the wheels turn by one tooth at each tick.",
        "A quartz crystal trembles 32,768 times a second under a current.",
        "Ships found their longitude by a clock that kept the time of home.",
        "An atomic clock counts the waves that caesium atoms absorb.",
        "Heat makes a pendulum longer, and the clock then runs slow.",
    ),
}
QUESTIONS: Mapping[str, tuple[str, Sequence[tuple[str, int]]]] = {
    "q1": ("how warm is the brood of a hive", [("bees", 0)]),
    "q2": ("why do bees fan their wings", [("bees", 1)]),
    "q3": ("what does the dance on the comb tell", [("bees", 3)]),
    "q4": ("what happens to metal in the heat", [("bridges", 1), ("clocks", 5)]),
    "q5": ("why do soldiers break step", [("bridges", 2)]),
    "q6": ("how is a bridge cable made and inspected", [("bridges", 4), ("bridges", 5)]),
    "q7": ("what makes dough rise", [("bread", 0)]),
    "q8": ("why does bread go stale", [("bread", 5)]),
    "q9": ("how did ships find their longitude", [("clocks", 3)]),
    "q10": ("how fast does a quartz crystal swing", [("clocks", 2)]),
}


def paragraphs() -> dict[str, str]:
    """Every paragraph under the id of its article and place: `bees-0`."""
    return {f"{name}-{i}": text for name, texts in ARTICLES.items() for i, text in enumerate(texts)}


def start_of(name: str, place: int) -> int:
    """Where a paragraph begins in its article."""
    return sum(len(text) + 2 for text in ARTICLES[name][:place])


def article_start(name: str) -> int:
    """Where an article begins in all of them together."""
    before = list(ARTICLES)[: list(ARTICLES).index(name)]
    return sum(start_of(other, len(ARTICLES[other])) for other in before)


def write_paragraphs(folder: Path) -> Path:
    """The paragraphs as a corpus, with judgements of them."""
    folder.mkdir(parents=True, exist_ok=True)
    corpus = [{"_id": name, "title": "", "text": text} for name, text in paragraphs().items()]
    write_lines(folder / "corpus.jsonl", corpus)
    write_questions(folder)
    write_qrels(
        folder / "qrels" / "test.tsv",
        [(query, f"{name}-{i}", 1) for query, (_, gold) in QUESTIONS.items() for name, i in gold],
    )
    return folder


def write_articles(folder: Path, *, together: bool = False) -> Path:
    """Whole articles, or all *together* in one document, with gold spans: no judgements, no corpus."""
    folder.mkdir(parents=True, exist_ok=True)
    docs = {name: "\n\n".join(texts) for name, texts in ARTICLES.items()}
    if together:
        docs = {"almanac": "\n\n".join(docs.values())}
    write_lines(folder / "docs.jsonl.gz", [{"_id": name, "title": name, "text": docs[name]} for name in docs])
    write_questions(folder)
    spans = [
        {
            "query_id": query,
            "doc_id": "almanac" if together else name,
            "start": (start := start_of(name, i) + (article_start(name) if together else 0)),
            "end": start + len(ARTICLES[name][i]),
        }
        for query, (_, gold) in QUESTIONS.items()
        for name, i in gold
    ]
    write_lines(folder / "spans.jsonl", spans)
    return folder


def ranked_again(run: Path, qrels: Path, *measures: Measure) -> dict[Measure, float]:
    """What ir-measures makes of saved TREC files."""
    judged = ir_measures.read_trec_qrels(str(qrels))  # type: ignore[no-untyped-call]  # its readers lack types
    scored = ir_measures.read_trec_run(str(run))  # type: ignore[no-untyped-call]
    return dict(ir_measures.calc_aggregate(list(measures), judged, scored))


def write_questions(folder: Path) -> None:
    write_lines(folder / "queries.jsonl", [{"_id": q, "text": text} for q, (text, _) in QUESTIONS.items()])


def write_qrels(path: Path, rows: Iterable[tuple[str, str, int]]) -> None:
    path.parent.mkdir(exist_ok=True)
    lines = ["query-id\tcorpus-id\tscore", *("\t".join(map(str, row)) for row in rows)]
    path.write_text("\n".join(lines) + "\n")


def write_lines(path: Path, values: Iterable[Mapping[str, Any]]) -> None:
    text = "".join(json.dumps(value) + "\n" for value in values)
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())
