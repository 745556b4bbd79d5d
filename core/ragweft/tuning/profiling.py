"""Keeping the profile of an index up to date: token counts, and the weight its own texts speak for."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from ragweft.errors import RagweftError, RecipeError
from ragweft.ledger.profile import Profile, change_profile
from ragweft.lexical import Analyzer
from ragweft.protocols import PricedEmbedder
from ragweft.retrieval.balance import leg_weights
from ragweft.retrieval.fusion import fuse
from ragweft.tuning.pseudo_queries import PseudoQuery, pseudo_query, says
from ragweft.tuning.remembered import asked_vectors, masked_vectors
from ragweft.tuning.weight import GRID, Estimate, Prior, estimate
from ragweft.types import Ranking, Tuning

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ragweft.assembly import Parts
    from ragweft.ledger.ledger import Ledger
    from ragweft.protocols import Embedder, Progress
    from ragweft.recipe import Recipe, Retrieval
    from ragweft.reports import Estimate as SyncEstimate
    from ragweft.types import Rows, Vector

__all__ = ["corpus_questions", "keep_tuning", "refresh_profile", "with_asking"]

_COUNTED = 20_000
"""Chunks whose tokens are counted; of a larger index, an even sample of about so many."""
_STALE = 1.1
"""Growth or loss of chunks after which tokens are counted anew."""
_MOVED = 1.5
"""Growth or loss of chunks after which the corpus is asked anew."""
_ASKED = 160
"""Chunks that are asked for, at most: about a second of a sync."""
_ASKED_OTHER = 320
"""Of an embedder nothing is known of, and whose own work takes longer than the asking."""
_TRIED = 2_000
"""Chunks that are looked through for questions."""
_FEWEST = 40
"""Questions with an answer, below which nothing is concluded."""
_QUESTION_TOKENS = 40
"""Of a question, about: what is longer than 25 terms is none."""
_DEEPEST = 20
"""A passage found further down counts as not found."""
_STATIC = Prior(mean=0.3, deviation=0.1)
_OTHER = Prior(mean=0.5, deviation=0.3)
"""Of the built-in static vectors much is known, of another embedder little."""


def refresh_profile(
    parts: Parts, *, progress: Progress, changed: bool = True, asking: bool = True
) -> Tuning | None:
    """Take a new profile where the corpus has outgrown the old one, or where there is none.

    Args:
        parts: the index.
        progress: told how far the asking has come.
        changed: whether the corpus may have changed since the last call.
        asking: whether the corpus may be asked; otherwise tokens are counted at most.

    Returns:
        What was newly found out about the weights, be it that too few questions could be asked; None if the
        corpus was not asked.

    Raises:
        ProviderError: the embedder failed; the counts are kept, the weights as they were.
    """
    with parts.ledger.snapshot() as snapshot:
        old = snapshot.profile()
        live = snapshot.count_live()
        # An asking that failed, or that a cap has stopped, is made up for even if nothing has changed since.
        unasked = asking and _unasked(parts.recipe.retrieval, old.tuning if old is not None else None, live)
        if not changed and old is not None and not unasked:
            return None
        generation = snapshot.generation
    if not live:
        return None
    if old is None or _apart(live, old.chunks, _STALE) or unasked:
        counted = _counted(parts, generation, live)
        change_profile(parts.ledger, lambda old: replace(counted, tuning=old.tuning if old else None))
    if not unasked:
        return None
    found = _asked(parts, generation=generation, live=live, progress=progress)
    change_profile(parts.ledger, lambda old: _guessed(old, found))
    return found


def with_asking(
    estimate: SyncEstimate, *, ledger: Ledger, recipe: Recipe, embedder: Embedder, anew: bool = False
) -> SyncEstimate:
    """*estimate* with what asking the corpus for its weights would cost besides, where that is paid for.

    *anew*: the chunks of the estimate take the place of all there are, and what was found out is forgotten.
    """
    if not isinstance(embedder, PricedEmbedder) or estimate.usd is None:
        return estimate
    with ledger.snapshot() as snapshot:
        profile = None if anew else snapshot.profile()
        live = estimate.chunks + (0 if anew else snapshot.count_live())
    if not _unasked(recipe.retrieval, profile.tuning if profile is not None else None, live):
        return estimate
    # Every question is a query, and its passage without it a document.
    tokens = min(_ASKED_OTHER, live) * (recipe.chunking.size + 2 * _QUESTION_TOKENS)
    price = embedder.usd_per_million or 0.0
    return replace(
        estimate, tokens=estimate.tokens + tokens, usd=estimate.usd + tokens * price / 1e6, tuning_tokens=tokens
    )


def keep_tuning(parts: Parts, tuning: Tuning | None, *, progress: Progress) -> None:
    """Have every process search by *tuning*; None: by what the corpus itself speaks for, asked anew.

    Raises:
        RecipeError: the recipe gives a number, which a tuning would not overrule.
        RagweftError: the index is empty.
        ProviderError: the embedder failed; the weights are as they were.
    """
    given = parts.recipe.retrieval.dense_weight
    if tuning is not None and not isinstance(given, str):
        raise RecipeError(
            f"{parts.folder / 'ragweft.toml'}: [retrieval] dense_weight = {given:g} stands as long as it is a "
            'number; set it to "auto" and tune again'
        )
    refresh_profile(parts, progress=progress, changed=False, asking=False)
    with parts.ledger.snapshot() as snapshot:
        live = snapshot.count_live()
        generation = snapshot.generation
        if snapshot.profile() is None:
            raise RagweftError(f"{parts.folder}: the index is empty; sync or add documents before it is tuned")
    if tuning is None and isinstance(given, str):
        tuning = _asked(parts, generation=generation, live=live, progress=progress)
    change_profile(parts.ledger, lambda old: replace(old, tuning=tuning) if old else None)


def _guessed(old: Profile | None, found: Tuning) -> Profile | None:
    """The profile with what its corpus spoke for, unless labels have decided meanwhile."""
    if old is None or (old.tuning is not None and old.tuning.origin == "labels"):
        return None
    return replace(old, tuning=found)


def _apart(now: int, then: int, factor: float) -> bool:
    return max(now, then) > factor * min(now, then)


def _unasked(settings: Retrieval, tuning: Tuning | None, live: int) -> bool:
    """Whether the corpus should be asked (again)."""
    if not isinstance(settings.dense_weight, str) or live < _FEWEST:
        return False
    # What labels decided is not overruled by guesses.
    return tuning is None or (tuning.origin != "labels" and _apart(live, tuning.chunks, _MOVED))


def _counted(parts: Parts, generation: int, live: int) -> Profile:
    table = parts.vocabulary.token_vectors()
    containing = np.zeros(len(table), dtype=np.int32)
    with parts.ledger.snapshot() as snapshot:
        rows = snapshot.sample(_COUNTED)
        for start in range(0, len(rows), 1_000):
            for ids in snapshot.tokens(rows[start : start + 1_000]).values():
                containing[np.unique(ids)] += 1
    if 0 < len(rows) < live:
        containing = np.round(containing * (live / len(rows))).astype(np.int32)
    return Profile(generation=generation, chunks=live, containing=containing)


def _asked(parts: Parts, *, generation: int, live: int, progress: Progress) -> Tuning:
    settings = parts.recipe.retrieval
    questions = corpus_questions(parts, most=_ASKED if _is_static(parts) else _ASKED_OTHER)
    usable = np.empty((0, len(GRID)))
    if len(questions) >= _FEWEST:
        utilities = _utilities(parts, questions, progress)
        usable = utilities[utilities.max(axis=1) > 0]
    if len(usable) < _FEWEST:
        # Kept all the same: a corpus that cannot tell is not asked again at every change.
        default = parts.balance.of(None)
        reason = f"meaning {default.dense_weight:g}, as for any corpus: {_too_few(len(questions), len(usable))}"
        return replace(
            default, origin="default", reason=reason, queries=len(usable), generation=generation, chunks=live
        )
    prior = _STATIC if _is_static(parts) else _OTHER
    found = estimate(usable, prior)
    return Tuning(
        dense_weight=found.weight,
        late_weight=settings.late_weight,
        document_weight=settings.document_weight,
        origin="texts",
        reason=_reason(found, prior),
        queries=found.questions,
        generation=generation,
        chunks=live,
    )


def _too_few(asked: int, answered: int) -> str:
    if asked < 2:
        said = f"{'only 1' if asked else 'no'} title, docstring or comment of this one makes a question"
    else:
        said = f"only {asked} titles, docstrings and comments of this one make a question"
    if asked >= _FEWEST:
        found = "1 of these finds its" if answered == 1 else f"{answered or 'none'} of these find their"
        said += f" and {found} passage again"
    return f"{said}, {_FEWEST} are needed"


def _reason(found: Estimate, prior: Prior) -> str:
    words, meaning = found.means[0], found.means[-1]
    return (
        f"meaning {found.weight:g}: {found.questions} titles, docstrings and comments of the corpus, asked as "
        f"questions, were answered best at {found.best:g} (reciprocal rank {found.means.max():.2f}; words "
        f"alone {words:.2f}, meaning alone {meaning:.2f}), weighed against the usual {prior.mean:g}"
    )


def _is_static(parts: Parts) -> bool:
    return parts.vocabulary is parts.embedder


def corpus_questions(parts: Parts, *, most: int) -> list[PseudoQuery]:
    """Up to *most* questions the corpus asks itself, the same ones every time."""
    analyzer = Analyzer(language=parts.recipe.lexical.language)
    found: list[PseudoQuery] = []
    with parts.ledger.snapshot() as snapshot:
        rows = snapshot.sample(_TRIED)
        # Seeded: every machine asks the same questions of the same corpus.
        random.Random(0).shuffle(rows)  # noqa: S311
        for start in range(0, len(rows), most):
            stored = snapshot.hydrate(rows[start : start + most])
            alone = snapshot.alone(list(stored))
            for row in rows[start : start + most]:
                if row not in stored:
                    continue
                question = pseudo_query(stored[row], terms=analyzer.terms, alone=row in alone)
                if question is not None:
                    found.append(question)
                if len(found) == most:
                    return found
    return found


def _utilities(parts: Parts, questions: Sequence[PseudoQuery], progress: Progress) -> NDArray[np.float64]:
    """The reciprocal rank of every question's own passage at every weight: shape (questions, len(GRID))."""
    lexical = parts.followers.lexical.get()
    settings = parts.recipe.retrieval
    masked = masked_vectors(parts, [question.masked for question in questions])
    vectors = asked_vectors(parts, [question.text for question in questions])
    utilities = np.zeros((len(questions), len(GRID)))
    for number, (question, vector) in enumerate(zip(questions, vectors, strict=True)):
        progress("finding weights", number, len(questions))
        words = lexical.search(question.text, n=settings.pool)
        own = lexical.score(question.text, [question.masked], [question.masked_context])
        meaning, _ = parts.planner.search(vector, n=settings.pool, among=None)
        near = np.array([float(vector @ masked[number])], dtype=np.float32)
        hidden = _no_rivals(parts, question, np.union1d(words.rows, meaning.rows))
        rankings = {
            "lexical": _with_own(words, question.row, own, hidden, settings.pool),
            "dense": _with_own(meaning, question.row, near, hidden, settings.pool),
        }
        for column, weight in enumerate(GRID.tolist()):
            fused = fuse(rankings, leg_weights(weight), method=settings.fusion, k=settings.rrf_k)
            place = np.flatnonzero(fused.rows[:_DEEPEST] == question.row)
            utilities[number, column] = 1.0 / (1 + int(place[0])) if len(place) else 0.0
    return utilities


def _no_rivals(parts: Parts, question: PseudoQuery, found: Rows) -> Rows:
    """Those of the rows *found* that do not count: dead ones, and siblings that say the question too.

    A sibling does so by overlap or in its context.
    """
    with parts.ledger.snapshot() as snapshot:
        documents = {row: document for row, _, document in snapshot.live([question.row, *found.tolist()])}
        own = documents.pop(question.row, None)
        siblings = snapshot.hydrate([row for row, document in documents.items() if document == own])
    rows = [row for row, stored in siblings.items() if says(stored.chunk.indexed_text, question.text)]
    return np.array([*rows, *(row for row in found.tolist() if row not in documents)], dtype=np.int64)


def _with_own(ranking: Ranking, row: int, score: Vector, hidden: Rows, n: int) -> Ranking:
    """The *n* best with *row* at the score of its masked passage, and without the rows *hidden*."""
    kept = ~np.isin(ranking.rows, np.append(hidden, row))
    rows, scores = ranking.rows[kept], ranking.scores[kept]
    if score[0] > 0:
        rows, scores = np.append(rows, row), np.append(scores, score)
    order = np.lexsort((rows, -scores))[:n]
    return Ranking(rows=rows[order], scores=scores[order], generation=ranking.generation)
