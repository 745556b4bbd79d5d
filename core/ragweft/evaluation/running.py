"""Asking every question of a dataset: of an index made by a recipe, or of any retriever."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from ragweft.embedding import resolve_embedder
from ragweft.evaluation.filling import fill
from ragweft.evaluation.measures import Judge, Judged, as_run
from ragweft.evaluation.values import Evaluation
from ragweft.index import Index
from ragweft.progress import silent
from ragweft.types import Results, Usage

if TYPE_CHECKING:
    from ragweft.evaluation.values import Dataset, Scores
    from ragweft.protocols import Embedder, Progress, Reranker, Retriever
    from ragweft.recipe import Recipe

__all__ = ["LEGS", "evaluate", "evaluate_retriever", "leg_alone"]

_log = logging.getLogger(__name__)

LEGS = ("dense", "lexical")
"""Of every recipe; "sparse" joins them where a recipe gives it a weight."""
_K = 10
"""Hits of a timed search: what a person or a program asks for, not what a measure needs."""
_WARM_UP = 5
"""Searches before the clock starts: the first ones open files and load tables."""


def leg_alone(recipe: Recipe, leg: str) -> Recipe:
    """*recipe* searching by one leg only, without anything after it."""
    return replace(
        recipe,
        retrieval=replace(
            recipe.retrieval,
            dense_weight=1.0 if leg == "dense" else 0.0,
            sparse_weight=1.0 if leg == "sparse" else 0.0,
            late_weight=0.0,
            document_weight=0.0,
        ),
        rerank=replace(recipe.rerank, model="none"),
    )


def evaluate(
    dataset: Dataset,
    recipe: Recipe,
    *,
    label: str,
    folder: str | os.PathLike[str],
    depth: int = 100,
    progress: Progress = silent,
    embedder: Embedder | None = None,
    reranker: Reranker | None = None,
) -> Evaluation:
    """Index *dataset* in *folder* by *recipe*, ask every query, then ask each leg alone.

    An index that an earlier call made there of the same texts is used again; after an interruption it is filled
    further. *depth* hits are judged. Parts given directly take the place of the recipe's. See
    `evaluate_retriever` for how queries are asked and timed.

    Raises:
        ValueError: *depth* is less than 10.
        MissingExtra: ir-measures is not installed.
        RecipeError: the index in *folder* was made by another recipe.
        RagweftError: the index in *folder* holds other texts; or a search failed.
    """
    judge = Judge(dataset, depth=depth)
    if embedder is None:
        embedder = resolve_embedder(recipe.embedding)
    with Index.open(folder, recipe=recipe, embedder=embedder, reranker=reranker) as index:
        filling = fill(index, dataset, progress=progress)
        if recipe.retrieval.sparse_weight:
            # Filled earlier by a recipe that wanted none, it may lack word weights; adding fills them in.
            index.add((), progress=progress)
        status = index.status()
        whole = _ask(dataset, index, judge, label=label, depth=depth, progress=progress)
    legs: dict[str, Mapping[str, Scores]] = {}
    for leg in (*LEGS, "sparse") if recipe.retrieval.sparse_weight else LEGS:
        with Index.open(folder, recipe=leg_alone(recipe, leg), embedder=embedder) as index:
            legs[leg] = _leg_scores(dataset, index, judge, leg, depth=depth, progress=progress)
    return replace(
        whole,
        fingerprint=recipe.fingerprint,
        expression=status.pipeline,
        legs=legs,
        chunks=status.chunks,
        index_seconds=filling.seconds,
        usage=status.spent + whole.usage,
    )


def evaluate_retriever(
    dataset: Dataset,
    retriever: Retriever,
    *,
    label: str,
    depth: int = 100,
    progress: Progress = silent,
) -> Evaluation:
    """Ask *retriever* every query of *dataset*; it must hold the dataset's items already.

    Every query is asked twice, one query at a time. The first time for 10 hits, after a warm-up: this is timed
    and its cost counted. The second time for *depth* hits, which are judged from the eleventh on: the first ten
    are those of the first answer, because a deeper search may rank its head differently (a reranker sees more).

    Hits are matched by their chunk's id, by its document's id where the dataset's items are documents, or by
    characters where it has gold spans: see `Judge`.

    Raises:
        ValueError: *depth* is less than 10.
        MissingExtra: ir-measures is not installed.
        RagweftError: a search failed, or a hit does not know where it stands.
    """
    return _ask(dataset, retriever, Judge(dataset, depth=depth), label=label, depth=depth, progress=progress)


def _ask(
    dataset: Dataset, retriever: Retriever, judge: Judge, *, label: str, depth: int, progress: Progress
) -> Evaluation:
    for text in list(dataset.queries.values())[:_WARM_UP]:
        retriever.retrieve(text, k=_K)
    heads: dict[str, Results] = {}
    wall: list[float] = []
    cpu: list[float] = []
    for query, text in _counted(dataset, "searching", progress):
        wall_start, cpu_start = time.perf_counter(), time.process_time()
        heads[query] = retriever.retrieve(text, k=_K)
        cpu.append((time.process_time() - cpu_start) * 1000)
        wall.append((time.perf_counter() - wall_start) * 1000)
    _warn_of_degraded(heads.values(), label)
    judged: dict[str, Judged] = {}
    for query, text in _counted(dataset, "searching deeper", progress):
        hits = list(heads[query])[:_K]
        if depth > _K:
            known = {hit.chunk.id for hit in hits}
            hits += [hit for hit in retriever.retrieve(text, k=depth) if hit.chunk.id not in known]
        judged[query] = judge.judge(query, hits)
    return Evaluation(
        label=label,
        dataset=dataset.name,
        fingerprint="",
        expression=repr(retriever),
        queries=list(dataset.queries),
        scores=judge.score(judged),
        legs={},
        run=as_run(judged),
        wall_ms=np.array(wall),
        cpu_ms=np.array(cpu),
        chunks=0,
        index_seconds=0.0,
        usage=sum((results.usage for results in heads.values()), Usage()),
    )


def _leg_scores(
    dataset: Dataset, index: Index, judge: Judge, leg: str, *, depth: int, progress: Progress
) -> Mapping[str, Scores]:
    judged: dict[str, Judged] = {}
    for query, text in _counted(dataset, f"searching by {leg} alone", progress):
        # The other leg answers where this one finds nothing, which is for a user's good and not for ours.
        ranked = [(hit.origins[leg].rank, hit) for hit in index.search(text, k=depth) if leg in hit.origins]
        ranked.sort(key=lambda pair: pair[0])
        judged[query] = judge.judge(query, [hit for _, hit in ranked])
    return judge.score(judged)


def _counted(dataset: Dataset, stage: str, progress: Progress) -> Iterator[tuple[str, str]]:
    total = len(dataset.queries)
    for place, (query, text) in enumerate(dataset.queries.items()):
        progress(stage, place, total)
        yield query, text
    progress(stage, total, total)


def _warn_of_degraded(answers: Iterable[Results], label: str) -> None:
    said = [results.trace.degraded for results in answers if results.trace.degraded]
    if said:
        _log.warning(
            "%s: %d searches were degraded, the first because: %s", label, len(said), "; ".join(said[0])
        )
