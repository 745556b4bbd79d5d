"""How well the default finds what it should, on every development collection, and what each part adds.

    python benchmarks/quality.py --data FOLDER            # about 15 minutes; writes results/quality.md and the
                                                          # summary in README.md
    python benchmarks/quality.py --data FOLDER --minilm   # with a neural embedder too: see minilm.py

FOLDER holds collections in the BEIR layout, as `ragweft eval` reads them. One recipe for all; nothing is chosen by
a collection's labels except in the row that says so. Indexes are kept in --work.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from environment import RESULTS, heading
from minilm import MiniLm

from ragweft import Index, Recipe
from ragweft.evaluation import evaluate_retriever, load_dataset
from ragweft.evaluation.compare import differences
from ragweft.evaluation.labels import load_labels
from ragweft.evaluation.significance import macro
from ragweft.evaluation.tune import tune
from ragweft.recipe import Lexical, Retrieval

if TYPE_CHECKING:
    from ragweft.evaluation.values import Dataset, Evaluation
    from ragweft.protocols import Embedder

SETS = ("anthropic_codebase", "scifact", "cosqa", "chroma_chunking", "squad_xquad", "cranfield")
MEASURE = "nDCG@10"
DEPTH = 20
PLAIN = Recipe(
    lexical=Lexical(context_weight=0.0),
    retrieval=Retrieval(dense_weight=0.3, late_weight=0.0, document_weight=0.0),
)
DEFAULT = Recipe()


def _but(recipe: Recipe = DEFAULT, *, context_weight: float | None = None, **changes: Any) -> Recipe:
    lexical = recipe.lexical if context_weight is None else Lexical(context_weight=context_weight)
    return replace(recipe, lexical=lexical, retrieval=replace(recipe.retrieval, **changes))


RECIPES: Mapping[str, Recipe] = {
    "plain convex 0.3": PLAIN,
    "words alone": _but(dense_weight=0.0, late_weight=0.0, document_weight=0.0),
    "meaning alone": _but(PLAIN, dense_weight=1.0),
    "rank fusion, k = 60": _but(PLAIN, fusion="rrf", dense_weight=0.5),
    "default": DEFAULT,
    "without late interaction": _but(late_weight=0.0),
    "without the document's part": _but(document_weight=0.0),
    "without the context field": _but(context_weight=0.0),
    "weight fixed at 0.3": _but(dense_weight=0.3),
    "late interaction on 100": _but(late_pool=100),
    "pool of 200": _but(pool=200),
}
AIMS: Mapping[str, str] = {
    "anthropic_codebase": "Pass@5/10/20 84 / 90 / 93.5",
    "scifact": "71.5",
    "cosqa": "43",
    "chroma_chunking": "81",
    "squad_xquad": "86",
    "cranfield": "39",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """All recipes on one collection."""

    evaluations: Mapping[str, Evaluation]
    reason: str
    """What the index found out about its weight."""


def main() -> None:
    """Measure and report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--sets", nargs="*", default=list(SETS))
    parser.add_argument("--work", type=Path, default=Path(tempfile.gettempdir()) / "ragweft-quality")
    parser.add_argument("--minilm", action="store_true")
    chosen = parser.parse_args()
    datasets = {name: load_dataset(chosen.data / name) for name in chosen.sets}
    parts = [heading("Quality"), _static(datasets, chosen.work), _labelled(chosen.data, datasets, chosen.work)]
    if chosen.minilm:
        embedder = MiniLm(chosen.work / "minilm")
        parts.append(_neural(datasets, chosen.work, embedder))
        parts.append(_labelled(chosen.data, datasets, chosen.work, embedder))
    parts.append(
        "Command: `python benchmarks/quality.py --data FOLDER" + (" --minilm`" if chosen.minilm else "`")
    )
    result = "\n".join(parts) + "\n"
    (RESULTS / "quality.md").write_text(result, encoding="utf-8")
    show_in_readme(result)


def show_in_readme(result: str) -> None:
    """Show the main rows of the first table in the README, between its markers."""
    wanted = (
        "| | ",
        "|---",
        "| aim ",
        "| plain",
        "| words alone",
        "| meaning alone",
        "| rank fusion",
        "| default ",
    )
    first = result[result.index("| | ") :].partition("\n\n")[0].splitlines()
    table = "\n".join(line for line in first if line.startswith(wanted))
    readme = RESULTS.parents[1] / "README.md"
    text = readme.read_text(encoding="utf-8")
    begin, end = "<!-- quality:begin -->\n", "<!-- quality:end -->"
    before, rest = text.split(begin)
    readme.write_text(before + begin + table + "\n" + end + rest.partition(end)[2], encoding="utf-8")


def _static(datasets: Mapping[str, Dataset], work: Path) -> str:
    measured = {name: _measure(data, work / name, RECIPES) for name, data in datasets.items()}
    lines = [
        "One recipe for all collections, chunks as given, no key, no model download. nDCG@10 x 100; the mean counts "
        "every collection once; gain over `plain convex 0.3` with its paired 95 % bootstrap interval, queries "
        "resampled within each collection.\n",
        f"| | {' | '.join(datasets)} | mean | gain |",
        "|---|" + "---|" * (len(datasets) + 2),
        "| queries | " + " | ".join(str(len(data.queries)) for data in datasets.values()) + " | | |",
        "| aim | " + " | ".join(AIMS.get(name, "") for name in datasets) + " | | + 1.5 |",
    ]
    lines += [_row(label, {name: m.evaluations for name, m in measured.items()}) for label in RECIPES]
    if "anthropic_codebase" in measured:
        lines += [
            "\nCookbook code, Pass@5 / 10 / 20 (found golden / golden, mean over queries):\n",
            "| | |",
            "|---|---|",
        ]
        for label, evaluation in measured["anthropic_codebase"].evaluations.items():
            passes = " / ".join(f"{100 * evaluation.scores[f'Pass@{k}'].mean():.1f}" for k in (5, 10, 20))
            lines.append(f"| {label} | {passes} |")
    lines += ["\nWhat each index found out about its weight, from its own texts:\n", "| | |", "|---|---|"]
    lines += [f"| {name} | {m.reason} |" for name, m in measured.items()]
    lines += [
        "\nCPU milliseconds of one query, median (k = 10):\n",
        f"| | {' | '.join(datasets)} |",
        "|---|" + "---|" * len(datasets),
    ]
    for label in ("plain convex 0.3", "default"):
        spent = (f"{np.median(m.evaluations[label].cpu_ms):.1f}" for m in measured.values())
        lines.append(f"| {label} | {' | '.join(spent)} |")
    return "\n".join(lines) + "\n"


def _neural(datasets: Mapping[str, Dataset], work: Path, embedder: Embedder) -> str:
    recipes = {
        label: RECIPES[label] for label in ("words alone", "meaning alone", "plain convex 0.3", "default")
    }
    measured = {
        name: _measure(data, work / f"{name}-minilm", recipes, embedder) for name, data in datasets.items()
    }
    lines = [
        "## With a stronger embedder\n",
        "The same recipe over all-MiniLM-L6-v2, its weight found without labels. nDCG@10 x 100.\n",
        f"| | {' | '.join(datasets)} |",
        "|---|" + "---|" * len(datasets),
    ]
    for label in recipes:
        scores = (f"{100 * m.evaluations[label].scores[MEASURE].mean():.1f}" for m in measured.values())
        lines.append(f"| {label} | {' | '.join(scores)} |")
    lines += ["\n| | |", "|---|---|", *(f"| {name} | {m.reason} |" for name, m in measured.items())]
    return "\n".join(lines) + "\n"


def _labelled(
    source: Path, datasets: Mapping[str, Dataset], work: Path, embedder: Embedder | None = None
) -> str:
    """What `ragweft tune` makes of each collection's own labels, on questions held out of choosing."""
    lines = [
        "With labels (`ragweft tune`, five-fold cross-validation; kept only if the gain is more than luck):\n",
        "| | as found without labels | held out | difference, 95 % interval | kept | meaning |",
        "|---|---|---|---|---|---|",
    ]
    for name in datasets:
        folder = work / (f"{name}-minilm" if embedder is not None else name)
        with Index.open(folder, embedder=embedder) as index:
            report = tune(index, load_labels(source / name), keep=False)
        gain, kept = report.gain, "yes" if report.real and report.changed else "no"
        lines.append(
            f"| {name} | {100 * report.score_before:.1f} | {100 * report.held_out:.1f} | {100 * gain.mean:+.1f} "
            f"({100 * gain.low:.1f} to {100 * gain.high:.1f}) | {kept} | "
            f"{report.before.dense_weight:g} → {report.after.dense_weight:g} |"
        )
        print(lines[-1], flush=True)
    return "\n".join(lines) + "\n"


def _measure(
    data: Dataset, folder: Path, recipes: Mapping[str, Recipe], embedder: Embedder | None = None
) -> Measured:
    with Index.open(folder, recipe=DEFAULT, embedder=embedder) as index:
        index.add(data.items)
        reason = index.status().tuning.reason
    evaluations = {}
    for label, recipe in recipes.items():
        with Index.open(folder, recipe=recipe, embedder=embedder) as index:
            evaluations[label] = evaluate_retriever(data, index, label=label, depth=DEPTH)
        print(f"{data.name:20} {label:28} {100 * evaluations[label].scores[MEASURE].mean():5.1f}", flush=True)
    return Measured(evaluations=evaluations, reason=reason)


def _row(label: str, measured: Mapping[str, Mapping[str, Evaluation]]) -> str:
    means = [100 * evaluations[label].scores[MEASURE].mean() for evaluations in measured.values()]
    cells = " | ".join(f"{mean:.1f}" for mean in means)
    gaps = [differences(e[label], e["plain convex 0.3"], measure=MEASURE) for e in measured.values()]
    gain = macro(gaps)
    said = (
        ""
        if label == "plain convex 0.3"
        else f"{100 * gain.mean:+.2f} ({100 * gain.low:.2f} to {100 * gain.high:.2f})"
    )
    return f"| {label} | {cells} | {np.mean(means):.2f} | {said} |"


if __name__ == "__main__":
    main()
