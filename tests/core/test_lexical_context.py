"""Words of the context count besides: the same number from tantivy, from our own BM25 and by hand."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from functools import cache
from itertools import chain, repeat
from pathlib import Path

import numpy as np
import pytest

from conftest import FLAT
from ragweft import Chunk, Index
from ragweft.lexical import Analyzer, TantivyIndex
from ragweft.lexical.bm25 import Collection, scores
from ragweft.lexical.tantivy_search import MOST_TERMS
from ragweft.recipe import Lexical
from ragweft.testing import HashEmbedder

ANALYZER = Analyzer(language="none")
NOTHING = np.empty(0, np.int64)
WORDS = [f"word{number}" for number in range(100)]
Opens = Callable[[float], TantivyIndex]


@pytest.fixture
def opens(tmp_path: Path) -> Iterator[Opens]:
    """Opens one and the same directory with a weight."""
    opened: list[TantivyIndex] = []

    def opens(weight: float) -> TantivyIndex:
        opened.append(
            TantivyIndex(tmp_path / "lexical", ledger="ledger-1", analyzer=ANALYZER, context_weight=weight)
        )
        return opened[-1]

    yield opens
    for index in opened:
        index.close()


def some_rows(number: int, *, longest_context: int) -> tuple[list[str], list[str]]:
    """Texts and contexts; every third context is empty, some are long enough to be remembered rounded."""
    rng = random.Random(number)
    contexts = [
        " ".join(rng.choices(WORDS, range(1, 101), k=rng.randrange(longest_context) if row % 3 else 0))
        for row in range(number)
    ]
    bodies = [" ".join(rng.choices(WORDS, range(1, 101), k=rng.randrange(1, 200))) for _ in range(number)]
    return [f"{context} {body}" for context, body in zip(contexts, bodies, strict=True)], contexts


@dataclass(frozen=True, kw_only=True)
class AfterDeletions:
    """A directory that rows were added to and taken from, and what every row was."""

    directory: Path
    texts: list[str]
    contexts: list[str]


@pytest.fixture(scope="module")
def after_deletions(tmp_path_factory: pytest.TempPathFactory) -> Callable[[int], AfterDeletions]:
    """By the length of the longest context; made once, for its tests only search in it."""

    @cache
    def made(longest_context: int) -> AfterDeletions:
        directory = tmp_path_factory.mktemp("lexical")
        texts, contexts = some_rows(400, longest_context=longest_context)
        with closing(
            TantivyIndex(directory, ledger="ledger-1", analyzer=ANALYZER, context_weight=1.0)
        ) as index:
            for part in (slice(0, 250), slice(250, 400)):
                rows = np.arange(400)[part]
                index.apply(
                    rows=rows,
                    texts=texts[part],
                    contexts=contexts[part],
                    removed=NOTHING,
                    generation=int(rows[0]) + 1,
                )
            index.apply(rows=NOTHING, texts=[], contexts=[], removed=np.arange(0, 400, 5), generation=900)
        return AfterDeletions(directory=directory, texts=texts, contexts=contexts)

    return made


QUERIES = {
    "one term": "word7",
    "repeated terms": "word1 word7 word7 word30 word99 word99 word99",
    "more terms than are looked up": " ".join(chain.from_iterable(repeat(word, 2) for word in WORDS[:80])),
    "terms nobody holds": "word1 word7 unknown other",
}


@pytest.mark.parametrize("weight", [0.0, 0.25, 1.0, 10.0])
@pytest.mark.parametrize("longest_context", [1, 12, 120])
@pytest.mark.parametrize("query", QUERIES.values(), ids=QUERIES.keys())
def test_scores_equal_those_of_search_after_deletions(
    after_deletions: Callable[[int], AfterDeletions], weight: float, longest_context: int, query: str
) -> None:
    made = after_deletions(longest_context)
    texts, contexts = made.texts, made.contexts
    with closing(
        TantivyIndex(made.directory, ledger="ledger-1", analyzer=ANALYZER, context_weight=weight)
    ) as index:
        ranking = index.search(query, n=400)
        assert len(ranking.rows) > 10
        found = index.score(
            query, [texts[row] for row in ranking.rows], [contexts[row] for row in ranking.rows]
        )
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, ranking.scores, rtol=1e-5)


def test_there_is_a_query_of_more_terms_than_are_looked_up() -> None:
    assert len(ANALYZER.query_terms(QUERIES["more terms than are looked up"])) > MOST_TERMS


def test_a_score_worked_out_from_both_fields(opens: Opens) -> None:
    texts, contexts = ["cat cat dog", "cat fish", "fish"], ["cat", "", "fish"]
    index = opens(0.5)
    index.apply(rows=np.arange(3), texts=texts, contexts=contexts, removed=NOTHING, generation=1)
    # Four documents: the marker is one, with one term in either field.
    bodies = Collection(documents=4, average_length=7 / 4, containing={"cat": 2, "dog": 1})
    titles = Collection(documents=4, average_length=3 / 4, containing={"cat": 1})
    query = {"cat": 2, "dog": 1}
    expected = scores(query, [["cat", "cat", "dog"], ["cat", "fish"]], collection=bodies)
    expected += 0.5 * scores(query, [["cat"], []], collection=titles)
    ranking = index.search("cat dog cat", n=5)
    assert ranking.rows.tolist() == [0, 1]
    np.testing.assert_allclose(ranking.scores, expected, rtol=1e-5)


def test_the_weight_is_a_matter_of_searching(opens: Opens) -> None:
    texts, contexts = some_rows(60, longest_context=12)
    opens(3.0).apply(rows=np.arange(60), texts=texts, contexts=contexts, removed=NOTHING, generation=4)

    def scored(weight: float) -> dict[int, float]:
        index = opens(weight)
        assert (index.applied_generation, len(index)) == (4, 60)
        ranking = index.search("word50 word80", n=60)
        return dict(zip(ranking.rows.tolist(), ranking.scores.tolist(), strict=True))

    without, half, whole = scored(0.0), scored(0.5), scored(1.0)
    assert without.keys() == half.keys() == whole.keys()
    assert any(whole[row] > without[row] for row in without)
    for row, score in half.items():
        assert score == pytest.approx((without[row] + whole[row]) / 2, rel=1e-5)
        if not contexts[row]:
            assert score == without[row]


def test_without_weight_contexts_do_not_matter(opens: Opens, tmp_path: Path) -> None:
    texts, contexts = some_rows(60, longest_context=12)
    index = opens(0.0)
    index.apply(rows=np.arange(60), texts=texts, contexts=contexts, removed=NOTHING, generation=1)
    bare = TantivyIndex(tmp_path / "bare", ledger="ledger-1", analyzer=ANALYZER, context_weight=0.25)
    bare.apply(rows=np.arange(60), texts=texts, contexts=[""] * 60, removed=NOTHING, generation=1)
    one, other = (each.search("word50 word80 word80", n=60) for each in (index, bare))
    assert one.rows.tolist() == other.rows.tolist()
    assert one.scores.tolist() == other.scores.tolist()
    bare.close()


def test_a_recipe_sets_the_weight_anew_without_indexing_anything_again(tmp_path: Path) -> None:
    embedder = HashEmbedder()
    chunks = [
        Chunk(id="said", document_id="a", text="falcon falcon falcon nests on cliffs"),
        Chunk(id="titled", document_id="b", text="nests on cliffs and on towers", context="falcon"),
        *(Chunk(id=f"other{n}", document_id=f"c{n}", text=f"number {n} of the rest") for n in range(9)),
    ]

    def best(weight: float, *, given: Sequence[Chunk] = ()) -> str:
        recipe = replace(FLAT, lexical=Lexical(context_weight=weight))
        with Index.open(tmp_path / "kb", recipe=recipe, embedder=embedder) as index:
            if given:
                index.add(given)
            hits = [hit for hit in index.search("falcon", k=5) if "lexical" in hit.origins]
        return min(hits, key=lambda hit: hit.origins["lexical"].rank).chunk.id

    assert best(0.0, given=chunks) == "said"
    calls = embedder.calls
    made = (tmp_path / "kb" / "lexical" / "meta.json").stat().st_mtime_ns
    assert best(4.0) == "titled"
    assert best(0.0) == "said"
    assert (tmp_path / "kb" / "lexical" / "meta.json").stat().st_mtime_ns == made
    assert embedder.calls == calls
