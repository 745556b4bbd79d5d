"""What was tried for the ranking and left out, or kept: each alternative beside the default, on the same candidates.

    python benchmarks/ablations.py --data FOLDER      # after quality.py, whose indexes it reads; 5 minutes

Everything is recombined from one gathering of candidates, so that a row differs from the default in one thing.
"""

from __future__ import annotations

import argparse
import tempfile
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from environment import RESULTS, heading
from quality import SETS

from ragweft import Index, Recipe
from ragweft.embedding import StaticEmbedder
from ragweft.evaluation import load_dataset
from ragweft.evaluation.significance import macro
from ragweft.lexical import Analyzer
from ragweft.lexical.bm25 import collection_of, scores
from ragweft.recipe import Retrieval
from ragweft.reranking import token_weights
from ragweft.retrieval.balance import leg_weights
from ragweft.retrieval.fusion import convex, fuse
from ragweft.retrieval.second_look import late_share
from ragweft.tuning.candidates import Candidates, ranked
from ragweft.types import Ranking

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ragweft.evaluation.values import Dataset
    from ragweft.types import TokenIds, Tuning

    Scores = NDArray[np.float64]

WORDS = Recipe(retrieval=Retrieval(dense_weight=0.0, late_weight=0.0, document_weight=0.0))
FEEDBACK = 5
"""Passages whose terms are added to a query, as many terms as twice that; the query counts three times."""
DOCUMENT_SHARE = 0.3


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """One collection with everything the rows need."""

    tuning: Tuning
    candidates: Sequence[Candidates]
    fed: Sequence[Candidates]
    """The same with a lexical leg that was asked the query and terms of its first answers."""
    whole: Sequence[Candidates]
    """The same with late interaction over whole passages in place of windows."""
    documents: Sequence[Mapping[int, float]]
    """For each query the BM25 of each candidate's document, taken as one text."""
    grades: Sequence[Mapping[int, int]]
    """For each query, row to relevance."""
    ideals: Sequence[float]
    """For each query the highest discounted gain there can be."""


def prepare(data: Dataset, folder: Path) -> Prepared:
    """Gather everything once."""
    analyzer = Analyzer(language=Recipe().lexical.language)
    with Index.open(folder) as index, Index.open(folder, recipe=WORDS) as words:
        tuning = index.status().tuning
        candidates = index.candidates(list(data.queries.values()))
        with index.ledger.snapshot() as snapshot:
            rows = snapshot.born_after(0).tolist()
            stored = snapshot.hydrate(rows)
            tokens = snapshot.tokens(rows)
            keys = {row: document for row, _, document in snapshot.live(rows)}
            profile = snapshot.profile()
        assert profile is not None
        terms = {row: Counter(analyzer.terms(chunk.chunk.text)) for row, chunk in stored.items()}
        fed = []
        for found in candidates:
            text = _with_feedback(found, terms, analyzer, {row: s.chunk.text for row, s in stored.items()})
            # Where no word is known, meaning answers alone; that is no lexical leg.
            hits = [hit for hit in words.search(text, k=100) if "lexical" in hit.origins]
            lexical = Ranking(
                rows=np.array([hit.row for hit in hits], dtype=np.int64),
                scores=np.array([hit.origins["lexical"].score for hit in hits], dtype=np.float32),
                generation=0,
            )
            fed.append(replace(found, rankings={**found.rankings, "lexical": lexical}))
    vocabulary = StaticEmbedder()
    whole = []
    for found in candidates:
        ids = np.unique(vocabulary.encode(found.query).ids)
        weights = token_weights(ids, containing=profile.containing, chunks=profile.chunks)
        late = [
            _whole(ids, weights, tokens.get(row), vocabulary.token_vectors()) for row in found.rows.tolist()
        ]
        whole.append(replace(found, late=np.array(late, dtype=np.float32)))
    grades = [
        {row: g for row, s in stored.items() if (g := data.qrels[query].get(s.chunk.id, 0)) > 0}
        for query in data.queries
    ]
    return Prepared(
        tuning=tuning,
        candidates=candidates,
        fed=fed,
        whole=whole,
        documents=_documents(candidates, terms, keys, analyzer),
        grades=grades,
        ideals=[_gain(sorted(data.qrels[q].values(), reverse=True)) for q in data.queries],
    )


def _with_feedback(
    found: Candidates, terms: Mapping[int, Counter[str]], analyzer: Analyzer, texts: Mapping[int, str]
) -> str:
    """RM3 (Abdul-Jaleel et al., UMass at TREC 2004) in whole counts: what the first answers often say."""
    first = found.rankings["lexical"].rows[:FEEDBACK].tolist()
    own = analyzer.query_terms(found.query)
    weights: dict[str, float] = {}
    for row in first:
        length = sum(terms[row].values()) or 1
        for term, count in terms[row].items():
            if term not in own:
                weights[term] = weights.get(term, 0.0) + count / length
    wanted = sorted(weights, key=lambda term: (-weights[term], term))[: 2 * FEEDBACK]
    said: dict[str, str] = {}
    for row in first:
        for word in texts[row].split():
            for term in analyzer.terms(word):
                said.setdefault(term, word)
    return " ".join([found.query] * 3 + [said[term] for term in wanted if term in said])


def _whole(
    ids: TokenIds, weights: NDArray[np.float32], passage: TokenIds | None, table: NDArray[np.float32]
) -> float:
    if passage is None or not len(ids) or not weights.sum():
        return 0.0
    alike = np.maximum(table[np.unique(passage)] @ table[ids].T, 0) ** 2
    return float(alike.max(axis=0) @ weights / weights.sum())


def _documents(
    candidates: Sequence[Candidates],
    terms: Mapping[int, Counter[str]],
    keys: Mapping[int, int],
    analyzer: Analyzer,
) -> list[Mapping[int, float]]:
    texts: dict[int, list[str]] = {}
    for row, counted in terms.items():
        texts.setdefault(keys[row], []).extend(counted.elements())
    collection = collection_of(list(texts.values()))
    found: list[Mapping[int, float]] = []
    for each in candidates:
        wanted = sorted(set(each.documents.tolist()))
        values = scores(analyzer.query_terms(each.query), [texts[key] for key in wanted], collection=collection)
        found.append(dict(zip(wanted, values.tolist(), strict=True)))
    return found


def _fused(found: Candidates, tuning: Tuning) -> tuple[NDArray[np.int64], Scores, NDArray[np.int64]]:
    """Rows, what fusion and late interaction give them, and their documents."""
    rows, values = ranked(found, replace(tuning, document_weight=0.0), Retrieval())
    return rows, values, found.documents[np.searchsorted(found.rows, rows)]


def _ordered(rows: NDArray[np.int64], values: Scores) -> list[int]:
    return rows[np.lexsort((rows, -np.round(values, 9)))].tolist()  # type: ignore[no-any-return]


def default(one: Prepared, number: int) -> list[int]:
    """As a search ranks."""
    return ranked(one.candidates[number], one.tuning, Retrieval())[0].tolist()  # type: ignore[no-any-return]


def alone(one: Prepared, number: int) -> list[int]:
    """Without the document's part."""
    return _fused(one.candidates[number], one.tuning)[0].tolist()  # type: ignore[no-any-return]


def summed(one: Prepared, number: int) -> list[int]:
    """A tenth for the sum of the document's candidates in place of what its best one lends."""
    rows, values, keys = _fused(one.candidates[number], one.tuning)
    if not len(rows):
        return []
    _, places = np.unique(keys, return_inverse=True)
    sums: Scores = np.bincount(places, values).astype(np.float64)
    return _ordered(rows, 0.9 * values + 0.1 * convex(sums[places]))


def by_document(one: Prepared, number: int) -> list[int]:
    """Three tenths for the BM25 of the whole document, then what its best candidate lends."""
    rows, values, keys = _fused(one.candidates[number], one.tuning)
    if not len(rows):
        return []
    prior = convex(np.array([one.documents[number][key] for key in keys.tolist()]))
    values = (1 - DOCUMENT_SHARE) * values + DOCUMENT_SHARE * prior
    _, places = np.unique(keys, return_inverse=True)
    best = np.full(int(places.max()) + 1, -np.inf)
    np.maximum.at(best, places, values)
    lent = one.tuning.document_weight / (1 + one.tuning.document_weight)
    return _ordered(rows, values + lent * (best[places] - values))


def whole_passages(one: Prepared, number: int) -> list[int]:
    """Late interaction over the whole passage, without windows."""
    return ranked(one.whole[number], one.tuning, Retrieval())[0].tolist()  # type: ignore[no-any-return]


def feedback(one: Prepared, number: int) -> list[int]:
    """Words of the first answers added to the word search."""
    found = one.fed[number]
    fused = fuse(found.rankings, leg_weights(one.tuning.dense_weight))
    known = np.isin(fused.rows, found.rows)
    share = late_share(one.tuning)
    values = (1 - share) * fused.scores
    if found.late is not None and known.any():
        # A row only the feedback has found was not looked at; it counts as the least close.
        late = np.zeros(len(fused.rows))
        late[known] = convex(found.late[np.searchsorted(found.rows, fused.rows[known])].astype(np.float64))
        values[:50] += share * late[:50]
    return _ordered(fused.rows, values)


ROWS: Mapping[str, Callable[[Prepared, int], list[int]]] = {
    "default": default,
    "late interaction over whole passages": whole_passages,
    "without the document's part": alone,
    "documents by the sum of their candidates": summed,
    "documents by their own BM25 too": by_document,
    "feedback (RM3) on words, without the document's part": feedback,
}


def _gain(grades: Sequence[int]) -> float:
    return float(sum(grade / np.log2(place + 2) for place, grade in enumerate(grades[:10])))


def _measured(one: Prepared, row: Callable[[Prepared, int], list[int]]) -> tuple[Scores, list[float], float]:
    """nDCG@10 of each query; Pass@5, 10 and 20; different documents among the first five."""
    gains, passes, spread = [], [], []
    for number, found in enumerate(one.candidates):
        rows = row(one, number)
        grades = one.grades[number]
        gains.append(
            _gain([grades.get(r, 0) for r in rows]) / one.ideals[number] if one.ideals[number] else 0.0
        )
        passes.append([sum(r in grades for r in rows[:k]) / max(1, len(grades)) for k in (5, 10, 20)])
        keys = dict(zip(found.rows.tolist(), found.documents.tolist(), strict=True))
        spread.append(len({keys.get(r, -r) for r in rows[:5]}))
    return np.array(gains), np.mean(passes, axis=0).tolist(), float(np.mean(spread))


def main() -> None:
    """Measure and report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--sets", nargs="*", default=list(SETS))
    parser.add_argument("--work", type=Path, default=Path(tempfile.gettempdir()) / "ragweft-quality")
    chosen = parser.parse_args()
    prepared = {}
    for name in chosen.sets:
        prepared[name] = prepare(load_dataset(chosen.data / name), chosen.work / name)
        print(name, flush=True)
    results = {
        label: {name: _measured(one, row) for name, one in prepared.items()} for label, row in ROWS.items()
    }
    lines = [
        heading("Ablations of the ranking"),
        "nDCG@10 x 100, recombined from the same candidates; the difference to the default with its paired 95 % "
        "bootstrap interval, queries resampled within each collection.\n",
        f"| | {' | '.join(prepared)} | mean | difference | cookbook Pass@5 / 10 / 20 |",
        "|---|" + "---|" * (len(prepared) + 3),
    ]
    base = results["default"]
    for label, found in results.items():
        means = [100 * values.mean() for values, _, _ in found.values()]
        gain = macro([100 * (found[name][0] - base[name][0]) for name in found])
        said = "" if label == "default" else f"{gain.mean:+.2f} ({gain.low:.2f} to {gain.high:.2f})"
        code = found.get("anthropic_codebase")
        passes = " / ".join(f"{100 * value:.1f}" for value in code[1]) if code else ""
        cells = " | ".join(f"{mean:.1f}" for mean in means)
        lines.append(f"| {label} | {cells} | {np.mean(means):.2f} | {said} | {passes} |")
    lines += [
        "\nDifferent documents among the first five hits, mean:\n",
        f"| | {' | '.join(prepared)} |",
        "|---|" + "---|" * len(prepared),
    ]
    for label in ("default", "without the document's part"):
        lines.append(f"| {label} | " + " | ".join(f"{s:.2f}" for _, _, s in results[label].values()) + " |")
    lines.append("\nCommand: `python benchmarks/ablations.py --data FOLDER`, after quality.py")
    text = "\n".join(lines) + "\n"
    print(text)
    (RESULTS / "ablations.md").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
