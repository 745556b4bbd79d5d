"""From which likeness on the cache of an index serves an answer: learnt from pairs, or from the corpus."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from ragweft.caching.calibrating import FEWEST, calibrate
from ragweft.caching.near_misses import Topic, altered, nearest
from ragweft.caching.values import normalised
from ragweft.errors import RagweftError
from ragweft.tuning.profiling import corpus_questions
from ragweft.tuning.remembered import asked_vectors

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ragweft.assembly import Parts
    from ragweft.caching.cache import SemanticCache
    from ragweft.caching.calibrating import Pair
    from ragweft.caching.standard import Standard
    from ragweft.protocols import Progress
    from ragweft.types import Vector

__all__ = ["find_standard"]

_ASKED = 400
"""Questions of the corpus, and as many of those that were asked."""


def find_standard(
    parts: Parts,
    cache: SemanticCache,
    pairs: Iterable[Pair] | None,
    *,
    target: float,
    confidence: float,
    progress: Progress,
) -> Standard:
    """What fits *pairs*; None: the questions that lie in the cache and those the corpus asks itself.

    Raises:
        RagweftError: there are too few near-misses.
        ProviderError: the embedder failed.
    """
    known: dict[str, Vector] = {}

    def embed(text: str) -> Vector:
        if text not in known:
            known[text] = asked_vectors(parts, [text])[0]
        return known[text]

    origin = "pairs"
    if pairs is None:
        topics = _topics(parts, cache)
        if len(topics) < FEWEST:
            raise RagweftError(
                f"cache calibrate: {len(topics)} questions in the cache, titles and docstrings are too few to "
                f"learn from, {FEWEST} are needed; give pairs of questions with  --pairs FILE  instead"
            )
        vectors = asked_vectors(parts, [topic.text for topic in topics])
        known |= {topic.text: vector for topic, vector in zip(topics, vectors, strict=True)}
        pairs = [*nearest(topics, vectors), *altered([topic.text for topic in topics])]
        origin = f"{len(topics)} questions of the corpus and the cache"
    return calibrate(
        pairs,
        embed=embed,
        likeness=cache.likeness,
        target=target,
        confidence=confidence,
        origin=origin,
        progress=progress,
    )


def _topics(parts: Parts, cache: SemanticCache) -> Sequence[Topic]:
    """Questions with what their answers are made from; those asked by people first, none twice."""
    found: dict[str, Topic] = {}
    with parts.ledger.snapshot() as snapshot:
        for query, rows in cache.asked(most=_ASKED):
            about = {str(document) for _, _, document in snapshot.live(rows)}
            if about:
                found.setdefault(normalised(query).casefold(), Topic(text=query, about=frozenset(about)))
        own = corpus_questions(parts, most=_ASKED)
        keys = {row: str(document) for row, _, document in snapshot.live([each.row for each in own])}
    for each in own:
        if each.row in keys:
            topic = Topic(text=each.text, about=frozenset((keys[each.row],)))
            found.setdefault(normalised(each.text).casefold(), topic)
    return list(found.values())
