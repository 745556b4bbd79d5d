"""Choosing the weights of an index by labelled questions, and only where the gain is more than luck.

Every question is asked once; what legs and second look say is then weighed in many ways. The choice is made by
coordinate search from the weights in use. What it is worth is measured by cross-validation: every question is
scored by weights that were chosen without it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from ragweft.errors import RagweftError, RecipeError
from ragweft.evaluation.labels import place
from ragweft.evaluation.measures import LEAST_DEPTH, Judge, Judged
from ragweft.evaluation.significance import macro
from ragweft.evaluation.values import Dataset
from ragweft.progress import silent
from ragweft.tuning.candidates import ranked

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ragweft.evaluation.labels import Labels, Placed
    from ragweft.evaluation.significance import Interval
    from ragweft.evaluation.values import Scores
    from ragweft.index import Index
    from ragweft.protocols import Progress
    from ragweft.recipe import Retrieval
    from ragweft.tuning.candidates import Candidates
    from ragweft.types import Tuning

__all__ = ["FEWEST", "MEASURES", "TuningReport", "Weights", "tune"]

FEWEST = 20
"""Questions below which nothing is chosen: folds of fewer than four questions tell luck from nothing."""
MEASURES = ("nDCG@10", "Recall@5", "Recall@10", "Recall@20", "Recall@100", "MRR@10")
"""What weights can be chosen by."""
_DENSE = tuple(round(step / 10, 1) for step in range(11))
_LATE = (0.0, 0.25, 0.5, 0.75, 1.0)
_DOCUMENT = (0.0, 0.3, 0.6)
_LEAST_GAIN = 1e-9
"""A step of the search must gain more: a tie leaves a weight where it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Weights:
    """A point of the search; see `Tuning` for what each counts."""

    dense_weight: float
    late_weight: float
    document_weight: float

    def __str__(self) -> str:
        return (
            f"meaning {self.dense_weight:g}, closeness {self.late_weight:g}, documents {self.document_weight:g}"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class TuningReport:
    """What the labels say about the weights of an index. Scores are from 0 to 1."""

    labels: str
    measure: str
    queries: int
    """Questions that decided."""
    left_out: int
    """Questions without any answer in the index."""
    missing: int
    """Judged answers that are not in the index."""
    before: Tuning
    after: Tuning
    """What the questions chose, all together."""
    score_before: float
    score_after: float
    """In sample: measured on the questions that chose, and therefore flattering."""
    held_out: float
    """The mean of every question's score by weights chosen without it."""
    gain: Interval
    """`held_out` less `score_before`, paired by question."""
    folds: Sequence[Weights]
    """What each fold chose: they agree where the choice is clear."""
    seed: int
    changed: bool
    """The choice differs from the weights in use."""
    real: bool
    """The interval of the gain lies above 0."""
    kept: bool
    """The index searches by `after` from now on."""
    verdict: str


def tune(
    index: Index,
    labels: Labels,
    *,
    measure: str = "nDCG@10",
    folds: int = 5,
    seed: int = 0,
    keep: bool = True,
    progress: Progress | None = None,
) -> TuningReport:
    """Choose the weights of *index* by *labels*, and keep them if the held-out gain is real and *keep*.

    A weight that the recipe sets to 0 (`late_weight`, `document_weight`) stays 0. Equal arguments give equal
    numbers.

    Raises:
        ValueError: *measure* is not one of `MEASURES`, or *folds* is below 2 or above the number of questions.
        RecipeError: *keep*, but the recipe's dense_weight is a number, which stands.
        RagweftError: fewer than 20 questions have an answer in the index; or a search failed.
        MissingExtra: ir-measures or scipy is not installed.
    """
    if measure not in MEASURES:
        raise ValueError(f"{measure!r} is not measured here; choose one of {', '.join(MEASURES)}")
    settings = index.recipe.retrieval
    if keep and not isinstance(settings.dense_weight, str):
        raise RecipeError(
            f"{index.path / 'ragweft.toml'}: [retrieval] dense_weight = {settings.dense_weight:g} stands as "
            'long as it is a number; set it to "auto" to have it tuned'
        )
    placed = place(labels, index)
    number = len(placed.questions)
    _check_number(labels, placed)
    if not 2 <= folds <= number:
        raise ValueError(f"folds must be from 2 to {number}, the number of questions, got {folds}")
    status = index.status()
    before = status.tuning
    table = _table(index, labels.name, placed, measure, progress or silent)
    now = Weights(
        dense_weight=before.dense_weight,
        late_weight=before.late_weight,
        document_weight=before.document_weight,
    )
    everybody = np.arange(number)
    chosen = _best(now, table, everybody, settings)
    held = np.zeros(number)
    choices: list[Weights] = []
    for fold in np.array_split(np.random.default_rng(seed).permutation(number), folds):
        choice = _best(now, table, np.setdiff1d(everybody, fold), settings)
        held[fold] = table(choice)[fold]
        choices.append(choice)
    gain = macro([np.round(held - table(now), 12)], seed=seed)
    real, changed = gain.low > 0, chosen != now
    said = _numbers(measure, float(held.mean()), float(table(now).mean()), gain)
    after = replace(
        before,
        dense_weight=chosen.dense_weight,
        late_weight=chosen.late_weight,
        document_weight=chosen.document_weight,
        origin="labels",
        reason=f"{chosen}: {number:,} labelled questions; {said}",
        queries=number,
        generation=status.generation,
        chunks=status.chunks,
    )
    kept = keep and real and changed
    if kept:
        index.keep_tuning(after)
    return TuningReport(
        labels=labels.name,
        measure=measure,
        queries=number,
        left_out=placed.left_out,
        missing=placed.missing,
        before=before,
        after=after,
        score_before=float(table(now).mean()),
        score_after=float(table(chosen).mean()),
        held_out=float(held.mean()),
        gain=gain,
        folds=tuple(choices),
        seed=seed,
        changed=changed,
        real=real,
        kept=kept,
        verdict=_verdict(chosen, said, changed=changed, real=real, kept=kept),
    )


def _check_number(labels: Labels, placed: Placed) -> None:
    number = len(placed.questions)
    if number >= FEWEST:
        return
    lost = f" ({placed.left_out:,} have none)" if placed.left_out else ""
    raise RagweftError(
        f"{labels.name}: {number} questions have an answer in the index{lost}, and {FEWEST} are needed to "
        f"choose weights by; label {FEWEST - number} more, or check that ids and paths are those of the index"
    )


def _table(
    index: Index, name: str, placed: Placed, measure: str, progress: Progress
) -> Callable[[Weights], Scores]:
    """From weights to the score of every question, shape (questions,); each point is computed once."""
    depth = max(LEAST_DEPTH, int(measure.partition("@")[2]))
    queries = {query: question.text for query, question in placed.questions.items()}
    qrels = {query: question.grades for query, question in placed.questions.items()}
    judge = Judge(Dataset(name=name, items=(), queries=queries, qrels=qrels), depth=depth)
    gathered = dict(
        zip(queries, index.candidates(list(queries.values()), n=depth, progress=progress), strict=True)
    )
    tuning, settings = index.status().tuning, index.recipe.retrieval
    known: dict[Weights, Scores] = {}

    def scores(weights: Weights) -> Scores:
        if weights not in known:
            progress("weighing", len(known), None)
            tried = replace(
                tuning,
                dense_weight=weights.dense_weight,
                late_weight=weights.late_weight,
                document_weight=weights.document_weight,
            )
            judged = _judged(placed, gathered, tried, settings, depth)
            known[weights] = judge.score(judged)[measure]
        return known[weights]

    return scores


def _judged(
    placed: Placed, gathered: Mapping[str, Candidates], tuning: Tuning, settings: Retrieval, depth: int
) -> dict[str, Judged]:
    judged: dict[str, Judged] = {}
    for query, candidates in gathered.items():
        rows, _ = ranked(candidates, tuning, settings)
        # A chunk written since the index was gone through is nobody's answer.
        rows = rows[[row in placed.places for row in rows.tolist()]]
        judged[query] = Judged(items=placed.items(query, rows, most=depth), scores={})
    return judged


def _best(
    start: Weights, table: Callable[[Weights], Scores], among: NDArray[np.int64], settings: Retrieval
) -> Weights:
    """Coordinate search: one weight at a time to its best value, until a round changes nothing."""
    # What the recipe switches off stays off, whatever an index has found out (see `Balance`).
    late = _LATE if settings.late_weight else ()
    document = _DOCUMENT if settings.document_weight else ()
    moves: Sequence[Callable[[Weights], list[Weights]]] = (
        lambda at: [replace(at, dense_weight=value) for value in _DENSE],
        lambda at: [replace(at, late_weight=value) for value in late],
        lambda at: [replace(at, document_weight=value) for value in document],
    )
    best, score = start, float(table(start)[among].mean())
    while True:
        begun = best
        for move in moves:
            for tried in move(best):
                found = float(table(tried)[among].mean())
                if found > score + _LEAST_GAIN:
                    best, score = tried, found
        if best == begun:
            return best


def _numbers(measure: str, held: float, before: float, gain: Interval) -> str:
    return (
        f"held-out {measure} {held * 100:.1f} against {before * 100:.1f}, gain {gain.mean * 100:.1f} "
        f"({gain.level * 100:g} % interval {gain.low * 100:.1f} to {gain.high * 100:.1f})"
    )


def _verdict(chosen: Weights, said: str, *, changed: bool, real: bool, kept: bool) -> str:
    if not changed:
        return f"nothing to change: no weights tried were better on these questions than those in use ({said})"
    if not real:
        return f"refused: {said} is no gain beyond chance; the index stays as it is"
    return f"{'kept' if kept else 'not kept'}: {chosen}; {said}"
