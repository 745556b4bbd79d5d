"""Several searches for one question become one answer."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from ragweft.flow import Failed, Flow, Step
from ragweft.retrieval.fusion import fuse
from ragweft.retrieval.origins import leg_origins
from ragweft.types import Hit, Ranking, Results, Stage

if TYPE_CHECKING:
    from ragweft.protocols import Retriever
    from ragweft.types import Metadata

__all__ = ["Search", "join", "level", "reason", "search_step"]

_ROUNDS = 2
"""How often searches that read an older index than the others are asked again."""
_LONGEST_REASON = 300
"""Characters of an error that a trace repeats: providers answer with whole pages."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """One of the searches whose answers are joined."""

    name: str
    """Its key in every hit's `origins` and its line in the trace."""
    text: str
    retriever: Retriever
    weight: float


def search_step(search: Search, *, k: int, where: Metadata | None, tolerant: bool) -> Step[Results]:
    """Ask the retriever of *search* for *k* hits, by its own coroutine where it has one."""
    native = getattr(search.retriever, "aretrieve", None)
    return Step(
        call=partial(search.retriever.retrieve, search.text, k=k, where=where),
        acall=partial(native, search.text, k=k, where=where) if native is not None else None,
        tolerant=tolerant,
    )


def level(
    searches: Sequence[Search], outcomes: Sequence[Results | Failed], *, k: int, where: Metadata | None
) -> Flow[list[Results | Failed]]:
    """*outcomes*, with those asked again that read the index before a commit the others have seen.

    Joined as they are, they could show half of a document's old text beside half of the new one.
    """
    levelled = list(outcomes)
    for _ in range(_ROUNDS):
        behind = _behind(levelled)
        if not behind:
            break
        again = yield [search_step(searches[i], k=k, where=where, tolerant=i > 0) for i in behind]
        for (i, older), outcome in zip(behind.items(), again, strict=True):
            if isinstance(outcome, Results):
                outcome = replace(outcome, usage=older.usage + outcome.usage)  # both were paid for
            levelled[i] = outcome
    return levelled


def join(searches: Sequence[Search], outcomes: Sequence[Results | Failed], *, k: int, method: str) -> Results:
    """The best *k* hits of all searches, fused by *method*; the first search must have answered.

    Where it alone has answered, its hits stay as they are. Otherwise a hit keeps what the legs said of it under
    the first search that found it, beside the opinion of every search. The trace is the first search's, with a
    line for each of the others and no floors: a new chunk may matter to any of the searches, so none of them
    says what it must beat.
    """
    started = time.perf_counter()
    answers = {s.name: o for s, o in zip(searches, outcomes, strict=True) if isinstance(o, Results)}
    first = answers[searches[0].name]
    alone = len(answers) == 1
    stages, degraded, usage = list(first.trace.stages), list(first.trace.degraded), first.usage
    for search, outcome in zip(searches[1:], outcomes[1:], strict=True):
        if isinstance(outcome, Failed):
            degraded.append(f"the search for {search.name} failed: {reason(outcome.error)}")
            continue
        trace = outcome.trace
        stages.append(Stage(name=search.name, ms=trace.ms, candidates=len(outcome), note=search.text))
        degraded += [f"{search.name}: {said}" for said in trace.degraded if said not in first.trace.degraded]
        usage += outcome.usage
    if _behind(outcomes):
        degraded.append("the index is being written to: the searches joined here read different generations")
    hits = first.hits[:k]
    if not alone:
        hits, candidates = _best(searches, answers, k=k, method=method)
        ms = (time.perf_counter() - started) * 1000
        stages.append(Stage(name="join", ms=ms, candidates=candidates, note=method))
    trace = replace(
        first.trace,
        stages=tuple(stages),
        # The oldest: whoever asks what has changed since must not miss anything.
        generation=min(answer.trace.generation for answer in answers.values()),
        degraded=tuple(degraded),
        floors=first.trace.floors if alone else {},
        index=first.trace.index if len({answer.trace.index for answer in answers.values()}) == 1 else "",
        asked=first.trace.asked if alone else "",
        legs=first.trace.legs if alone else (),
        k=0,
    )
    return replace(first, hits=hits, trace=trace, usage=usage)


def reason(error: Exception) -> str:
    """What *error* says, on one line; its kind if it says nothing."""
    return " ".join(str(error).split())[:_LONGEST_REASON] or type(error).__name__


def _behind(outcomes: Sequence[Results | Failed]) -> dict[int, Results]:
    """The answers, by their place, that read an older generation than another one did."""
    # Generation 0 is that of a retriever without a ledger.
    read = {i: o for i, o in enumerate(outcomes) if isinstance(o, Results) and o.trace.generation}
    newest = max((answer.trace.generation for answer in read.values()), default=0)
    return {i: answer for i, answer in read.items() if answer.trace.generation < newest}


def _best(
    searches: Sequence[Search], answers: Mapping[str, Results], *, k: int, method: str
) -> tuple[tuple[Hit, ...], int]:
    """The *k* best hits, and how many different ones were found."""
    # Numbered as they come, the first search's hits first, so that ties fall to its order. By name, not by
    # row: one passage has two rows if its metadata changed between the searches.
    numbers: dict[tuple[str, str], int] = {}
    found: list[Hit] = []
    rankings: dict[str, Ranking] = {}
    for name, results in answers.items():
        mine: dict[int, float] = {}
        for hit, score in zip(results.hits, _falling(results.hits), strict=True):
            number = numbers.setdefault((hit.chunk.document_id, hit.chunk.id), len(numbers))
            if number == len(found):
                found.append(hit)
            mine.setdefault(number, score)
        rankings[name] = Ranking(
            rows=np.fromiter(mine, np.int64, len(mine)),
            scores=np.fromiter(mine.values(), np.float32, len(mine)),
            generation=results.trace.generation,
        )
    fused = fuse(rankings, {s.name: s.weight for s in searches}, method=method)
    best = list(zip(fused.rows[:k].tolist(), fused.scores[:k].tolist(), strict=True))
    opinions = leg_origins(rankings, fused, [number for number, _ in best])
    hits = tuple(
        replace(found[n], score=score, origins={**found[n].origins, **opinions[n]}) for n, score in best
    )
    return hits, len(found)


def _falling(hits: Sequence[Hit]) -> list[float]:
    """The hits' scores; falling whole numbers where they contradict the order, as distances do."""
    scores = [hit.score for hit in hits]
    if all(map(math.isfinite, scores)) and all(above >= below for above, below in pairwise(scores)):
        return scores
    return [float(-place) for place in range(len(hits))]
