"""From hits to numbers: what is right in an answer, and how good that makes a ranking.

Ranked measures are computed by ir-measures (which asks trec_eval) over items: the ids that judgements name. The
others are sums over one answer. All are between 0 and 1, one value for each query.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ragweft.errors import MissingExtra, RagweftError
from ragweft.evaluation.spans import Place, credited, precision_recall_iou
from ragweft.types import Chunk, Document

if TYPE_CHECKING:
    from types import ModuleType

    from ragweft.evaluation.values import Dataset, Run, Scores
    from ragweft.types import Hit

__all__ = ["LEAST_DEPTH", "Judge", "Judged", "as_run"]

_RANKED = {
    "nDCG@10": "nDCG@10",
    "Recall@5": "R@5",
    "Recall@10": "R@10",
    "Recall@20": "R@20",
    "Recall@100": "R@100",
    "MRR@10": "RR@10",
}
"""Our name to that of ir-measures."""
_PASS = (5, 10, 20)
_SPAN = (5, 10)
LEAST_DEPTH = 10
"""Hits without which nDCG@10 would mean something else."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """What is kept of the answer to one query."""

    items: Sequence[str]
    """Items from the best down, each once."""
    scores: Mapping[str, float]
    """Measures that need more than ids: Pass@k and the span measures."""


class Judge:
    """Compares answers with what a dataset says is right.

    Where the judged items are gold spans, a hit earns every gold span not found before of which it covers at
    least half the characters, so that any chunking can be compared with any other. The spans a hit earns take
    its place in the ranking and, if there are several, the places of hits after it that earn nothing. Elsewhere
    a hit stands for its own id, or for its document's id where whole documents were indexed, and a second hit
    from the same document is passed over.
    """

    def __init__(self, dataset: Dataset, *, depth: int) -> None:
        """*depth* is the number of hits an answer is judged by.

        Raises:
            ValueError: *depth* is less than 10, or a query has nothing to find or alone no gold spans.
            MissingExtra: ir-measures is not installed.
        """
        if depth < LEAST_DEPTH:
            raise ValueError(f"depth must be at least {LEAST_DEPTH}, got {depth}: nDCG@10 looks at ten hits")
        self._ir = _ir_measures()
        for query in dataset.queries:
            if not any(grade > 0 for grade in dataset.qrels.get(query, {}).values()):
                raise ValueError(f"{dataset.name}: query {query!r} has nothing relevant to find; leave it out")
            if dataset.spans and query not in dataset.spans:
                raise ValueError(
                    f"{dataset.name}: query {query!r} has no gold spans, others have; leave it out"
                )
        self._dataset = dataset
        self._depth = depth
        self._passes_at = [k for k in _PASS if k <= depth]
        self._documents = {item.id: item for item in dataset.items if isinstance(item, Document)}
        self._chunks = {item.id: item for item in dataset.items if isinstance(item, Chunk)}
        self._by_characters = any(
            item in dataset.spans.get(query, {}) for query, row in dataset.qrels.items() for item in row
        )

    @property
    def names(self) -> Sequence[str]:
        """The measures there will be, in the order they are shown."""
        names = self._ranked()
        if not self._by_characters:
            names += [f"Pass@{k}" for k in self._passes_at]
        if self._dataset.spans:
            kinds = ("SpanPrecision", "SpanRecall", "SpanIoU")
            names += [f"{kind}@{k}" for kind in kinds for k in _SPAN]
        return names

    def judge(self, query: str, hits: Sequence[Hit]) -> Judged:
        """Compare the answer to the query of that id.

        Raises:
            RagweftError: hits are compared by characters and one does not know where it stands.
        """
        hits = hits[: self._depth]
        places = [self._place(hit) for hit in hits] if self._dataset.spans else []
        scores = self._span_scores(query, places) if self._dataset.spans else {}
        if self._by_characters:
            return Judged(items=self._earned(query, hits, places), scores=scores)
        found: dict[str, Hit] = {}
        for hit in hits:
            found.setdefault(self._item(hit), hit)
        return Judged(items=list(found), scores=scores | self._passes(query, found))

    def score(self, judged: Mapping[str, Judged]) -> dict[str, Scores]:
        """Every measure over the answers to all queries, float64, shape (queries,), in the dataset's order."""
        queries = list(self._dataset.queries)
        values = {name: dict.fromkeys(queries, 0.0) for name in self.names}
        wanted = {self._ir.parse_measure(_RANKED[name]): name for name in self._ranked()}
        for found in self._ir.iter_calc(list(wanted), self._dataset.qrels, as_run(judged)):
            if found.query_id in self._dataset.queries:
                values[wanted[found.measure]][found.query_id] = float(found.value)
        for query, answer in judged.items():
            for name, value in answer.scores.items():
                values[name][query] = value
        return {name: np.array([row[query] for query in queries]) for name, row in values.items()}

    def _ranked(self) -> list[str]:
        return [name for name in _RANKED if int(name.partition("@")[2]) <= self._depth]

    def _item(self, hit: Hit) -> str:
        chunk = hit.chunk
        return chunk.document_id if chunk.document_id in self._documents else chunk.id

    def _place(self, hit: Hit) -> Place:
        chunk = hit.chunk
        if chunk.span is not None:
            return chunk.document_id, chunk.span
        given = self._chunks.get(chunk.id)
        if given is not None and given.span is not None:
            return given.document_id, given.span
        raise RagweftError(
            f"chunk {chunk.id!r} does not say where it stands in {chunk.document_id!r}: give it a span, or "
            "a dataset without gold spans"
        )

    def _earned(self, query: str, hits: Sequence[Hit], places: Sequence[Place]) -> list[str]:
        gold = self._dataset.spans[query]
        items: list[str] = []
        found: set[str] = set()
        for rank, (hit, place) in enumerate(zip(hits, places, strict=True)):
            fresh = [name for name in credited(place, gold) if name not in found]
            found.update(fresh)
            items += fresh
            if len(items) <= rank:
                items.append(f"hit-{rank + 1}:{hit.chunk.id}")
        return items

    def _passes(self, query: str, found: Mapping[str, Hit]) -> dict[str, float]:
        """Golden items found among the first k, matched by their stripped text, over all golden items.

        The evaluation of Anthropic's contextual-retrieval cookbook (`evaluate_retrieval` in
        skills/contextual-embeddings/guide.ipynb): a macro recall in which equal texts stand for one another.
        """
        golden = [self._text(item) for item, grade in self._dataset.qrels[query].items() if grade > 0]
        texts = [self._text(item) or hit.chunk.text.strip() for item, hit in found.items()]
        passes: dict[str, float] = {}
        for k in self._passes_at:
            seen = set(texts[:k])
            passes[f"Pass@{k}"] = sum(text in seen for text in golden) / len(golden)
        return passes

    def _text(self, item: str) -> str | None:
        known = self._documents.get(item) or self._chunks.get(item)
        return known.text.strip() if known is not None else None

    def _span_scores(self, query: str, places: Sequence[Place]) -> dict[str, float]:
        gold = list(self._dataset.spans[query].values())
        scores: dict[str, float] = {}
        for k in _SPAN:
            precision, recall, iou = precision_recall_iou(places[:k], gold)
            scores |= {f"SpanPrecision@{k}": precision, f"SpanRecall@{k}": recall, f"SpanIoU@{k}": iou}
        return scores


def as_run(judged: Mapping[str, Judged]) -> Run:
    """The rankings as a run.

    Scores fall by one from rank to rank, because trec_eval orders by score and, where scores are equal, by id.
    """
    return {
        query: {item: float(len(answer.items) - place) for place, item in enumerate(answer.items)}
        for query, answer in judged.items()
    }


def _ir_measures() -> ModuleType:
    try:
        import ir_measures
    except ImportError:
        raise MissingExtra(package="ir-measures", extra="eval") from None
    return ir_measures
