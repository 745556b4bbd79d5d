"""An index that keeps what its searches find: `[cache] results`, end to end."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from cache_made import QUERY, TOPICS, corpus
from ragweft import Cached, Document, Index, Recipe
from ragweft.recipe import Cache, Dense, Retrieval, parse_recipe
from ragweft.testing import HashEmbedder

if TYPE_CHECKING:
    from ragweft.types import Metadata, Results, Vector

NEAR = "how often is the signing key rotated"


def recipe(results: str = "exact", *, threshold: float | str = "auto") -> Recipe:
    # Pools that are smaller than the corpus, so that not everything new is a candidate.
    return Recipe(
        dense=Dense(engine="flat"),
        retrieval=Retrieval(pool=8),
        cache=Cache(results=results, threshold=threshold),
    )


def same(one: Results, other: Results) -> bool:
    return [(hit.chunk, hit.score, hit.citation, hit.origins) for hit in one] == [
        (hit.chunk, hit.score, hit.citation, hit.origins) for hit in other
    ]


def filled(folder: Path, made: Recipe) -> Index:
    index = Index.open(folder, recipe=made)
    index.add(corpus())
    return index


def test_by_default_results_are_not_kept(tmp_path: Path) -> None:
    with filled(tmp_path / "kb", Recipe()) as index:
        index.search(QUERY)
        assert index.search(QUERY).trace.cache == "off"
    assert not (tmp_path / "kb" / "cache.db").exists()


def test_the_same_question_is_answered_from_the_cache_in_every_process(tmp_path: Path) -> None:
    with filled(tmp_path / "kb", recipe()) as index:
        first = index.search(QUERY, k=4)
        again = index.search(f" {QUERY}", k=4)
        assert (first.trace.cache, again.trace.cache) == ("miss", "exact")
        assert same(first, again)
        assert again.as_context() == first.as_context()
        assert again.usage.tokens == 0
        assert index.search(NEAR, k=4).trace.cache == "miss", "only the same words"
        assert asyncio.run(index.asearch(QUERY, k=4)).trace.cache == "exact"
    with Index.open(tmp_path / "kb") as index:
        assert same(index.search(QUERY, k=4), first)
        assert index.search(QUERY, k=4).trace.cache == "exact"


def test_what_asks_the_same_is_answered_where_that_is_wanted(tmp_path: Path) -> None:
    with filled(tmp_path / "kb", recipe("semantic", threshold=0.85)) as index:
        first = index.search(QUERY)
        near = index.search(NEAR)
        assert near.trace.cache == "semantic"
        assert same(first, near)
        assert near.query == NEAR
        assert index.search("how often is a signing key not rotated").trace.cache == "miss"


def test_whatever_else_decides_a_search_is_compared_word_for_word(tmp_path: Path) -> None:
    with filled(tmp_path / "kb", recipe()) as index:
        index.search(QUERY)
        others = [
            index.search(QUERY, k=2),
            index.search(QUERY, where={"team": 1}),
            index.search(QUERY, sources=["file:///nowhere"]),
            index.search(QUERY, min_score=0.9),
        ]
        assert [found.trace.cache for found in others] == ["miss"] * 4
        assert index.search(QUERY).trace.cache == "exact"
        assert all(hit.chunk.metadata["team"] == 1 for hit in index.search(QUERY, where={"team": 1}))
        assert index.search(QUERY, where={"team": 1}).trace.cache == "exact"
    searching = replace(recipe(), retrieval=replace(Recipe().retrieval, dense_weight=0.9))
    with Index.open(tmp_path / "kb", recipe=searching) as index:
        assert index.search(QUERY).trace.cache == "miss", "another recipe searches otherwise"


def test_nothing_stale_is_served(tmp_path: Path) -> None:
    with filled(tmp_path / "kb", recipe()) as index, Index.open(tmp_path / "kb") as other:
        index.search(QUERY)
        other.add(Document(id="new", text=f"The new rule on {QUERY}: every day."))
        found = index.search(QUERY)
        assert (found.trace.cache, found[0].chunk.document_id) == ("miss", "new")
        other.remove(ids=["new"])
        found = index.search(QUERY)
        assert found.trace.cache == "miss"
        assert "new" not in [hit.chunk.document_id for hit in found]
        other.add(Document(id="far", text="Nothing of this is about what was asked."))
        assert index.search(QUERY).trace.cache == "exact", "what comes nowhere near changes nothing"


class Counted(HashEmbedder):
    """Counts the questions it embeds."""

    def __init__(self) -> None:
        super().__init__(dims=32, model="hash:counted")
        self.asked: list[str] = []

    def embed_query(self, text: str) -> Vector:
        self.asked.append(text)
        return super().embed_query(text)


def test_a_question_is_embedded_once_for_cache_and_retrieval(tmp_path: Path) -> None:
    embedder = Counted()
    with Index.open(tmp_path / "kb", recipe=recipe("semantic"), embedder=embedder) as index:
        index.add(corpus(12))
        embedder.asked.clear()
        assert index.search(QUERY).trace.cache == "miss"
        assert embedder.asked == [QUERY]
        assert index.search(QUERY).trace.cache == "exact"
        assert index.cache().lookup(QUERY) is None
        assert embedder.asked == [QUERY]


class Backwards:
    """A reranker that likes what was last."""

    name = "backwards"

    def rerank(self, query: str, hits: Sequence[object]) -> list[float]:
        return [float(place) for place in range(len(hits))]


def test_what_a_reranker_has_ordered_is_kept_in_its_order(tmp_path: Path) -> None:
    with Index.open(tmp_path / "kb", recipe=recipe(), reranker=Backwards()) as index:
        index.add(corpus())
        first = index.search(QUERY)
        again = index.search(QUERY)
        assert (first.trace.cache, again.trace.cache) == ("miss", "exact")
        assert same(first, again)
        assert "rerank" in again[0].origins


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_forked_child_goes_on_with_the_cache(tmp_path: Path) -> None:
    with filled(tmp_path / "kb", recipe()) as index:
        index.search(QUERY)
        index.search(QUERY)
        child = os.fork()
        if not child:
            kept = index.search(QUERY).trace.cache == "exact"
            index.search(NEAR)
            index.close()
            os._exit(0 if kept else 1)
        _, status = os.waitpid(child, 0)
        assert os.waitstatus_to_exitcode(status) == 0
        assert index.search(NEAR).trace.cache == "exact"
        assert index.search(QUERY).trace.cache == "exact"


def test_a_cache_that_is_deleted_or_damaged_costs_speed_only(tmp_path: Path) -> None:
    with filled(tmp_path / "kb", recipe()) as index:
        first = index.search(QUERY)
    (tmp_path / "kb" / "cache.db").write_bytes(b"not a database at all" * 500)
    with Index.open(tmp_path / "kb") as index:
        again = index.search(QUERY)
        assert same(first, again)
        assert again.trace.cache == "miss"
        assert index.search(QUERY).trace.cache == "exact"
    (tmp_path / "kb" / "cache.db").unlink()
    with Index.open(tmp_path / "kb") as index:
        assert same(first, index.search(QUERY))


def test_an_index_that_is_only_read_keeps_answers_in_memory(tmp_path: Path) -> None:
    with filled(tmp_path / "kb", recipe()):
        pass
    with Index.open(tmp_path / "kb", read_only=True) as index:
        assert [index.search(QUERY).trace.cache for _ in range(2)] == ["miss", "exact"]
    assert not (tmp_path / "kb" / "cache.db").exists()


def test_another_index_in_the_same_folder_is_not_served_the_former_ones_answers(tmp_path: Path) -> None:
    with filled(tmp_path / "kb", recipe()) as index:
        index.search(QUERY)
    kept = (tmp_path / "kb" / "cache.db").read_bytes()
    shutil.rmtree(tmp_path / "kb")
    with Index.open(tmp_path / "kb", recipe=recipe()) as index:
        (tmp_path / "kb" / "cache.db").write_bytes(kept)
        index.add(Document(id="only", text="A signing key is rotated every hour."))
        found = index.search(QUERY)
        assert (found.trace.cache, [hit.chunk.document_id for hit in found]) == ("miss", ["only"])


def test_what_only_decides_which_answers_are_kept_changes_no_answer(tmp_path: Path) -> None:
    with filled(tmp_path / "kb", recipe()) as index:
        index.search(QUERY)
    wider = parse_recipe(
        '[dense]\nengine = "flat"\n[retrieval]\npool = 8\n[cache]\nresults = "exact"\nentries = 7\nseconds = 60.0\n'
    )
    assert wider.finding == recipe().finding
    with Index.open(tmp_path / "kb", recipe=wider) as index:
        assert index.search(QUERY).trace.cache == "exact"


def test_an_answer_made_from_kept_results_is_kept_too(tmp_path: Path) -> None:
    with filled(tmp_path / "kb", recipe("semantic", threshold=0.85)) as index:
        index.search(QUERY)
        cache = index.cache()
        for query, level in ((QUERY, "exact"), (NEAR, "semantic")):
            found = index.search(query)
            assert found.trace.cache == level
            assert cache.store(query, "ninety days", evidence=found)
        assert cache.lookup(QUERY) is not None
        index.remove(ids=[found[0].chunk.document_id])
        assert cache.lookup(QUERY) is None
        assert cache.lookup(NEAR) is None


def test_what_is_new_drops_an_answer_only_if_a_search_would_find_something_else(tmp_path: Path) -> None:
    with filled(tmp_path / "kb", recipe("off")) as index:
        cache = index.cache()
        index.add(Document(id=name, text=f"{QUERY}? Every ninety {name}.") for name in ("days", "weeks"))
        cache.store(QUERY, "ninety days", evidence=index.search(QUERY, k=2))
        # A candidate of every leg, and yet not among the two that were asked for.
        index.add(
            Document(id="also", text="A signing key, it is said. Of keys there are many, rotated or not.")
        )
        hit = cache.lookup(QUERY)
        assert hit is not None
        assert hit.through == 3
        assert cache.stats().renewed == 1
        assert cache.lookup(QUERY) is not None
        assert cache.stats().renewed == 1, "it is looked into once"
        index.add(Document(id="best", text=f"{QUERY}? Every hour."))
        assert "best" in [hit.chunk.document_id for hit in index.search(QUERY, k=2)]
        assert cache.explain(QUERY).passed[0].why.startswith("stale, new")
        assert cache.lookup(QUERY) is None


def test_an_answer_from_a_question_that_was_put_otherwise_is_watched_by_what_was_asked(tmp_path: Path) -> None:
    with filled(tmp_path / "kb", recipe("off")) as index:
        cache = index.cache()
        index.search(QUERY)
        cache.store("and how often is that done?", "ninety days", evidence=index.search(QUERY))
        index.add(Document(id="pie", text="And that is done: custard on a pudding, they say."))
        assert cache.lookup("and how often is that done?") is not None
        index.add(Document(id="new", text=f"{QUERY}: every hour, says the new rule on signing keys."))
        assert cache.lookup("and how often is that done?") is None


class Second:
    """A retriever that leaves out the first hit."""

    def __init__(self, index: Index) -> None:
        self._index = index

    def retrieve(self, query: str, *, k: int = 5, where: Metadata | None = None) -> Results:
        found = self._index.search(query, k=k + 1, where=where)
        return replace(found, hits=found.hits[1:])


def test_a_retriever_of_ones_own_is_kept_by_its_name(tmp_path: Path) -> None:
    with filled(tmp_path / "kb", recipe("off")) as index:
        cached = Cached(Second(index), index.cache(scope={"tenant": "a"}), name="second", exactly=True)
        first, again = cached.retrieve(QUERY, k=3), cached.retrieve(QUERY, k=3)
        assert (first.trace.cache, again.trace.cache) == ("miss", "exact")
        assert same(first, again)
        assert asyncio.run(cached.aretrieve(QUERY, k=3)).trace.cache == "exact"
        assert cached.retrieve(NEAR, k=3).trace.cache == "miss"
        theirs = Cached(Second(index), index.cache(scope={"tenant": "b"}), name="second")
        assert theirs.retrieve(QUERY, k=3).trace.cache == "miss"
        other = Cached(index, index.cache(scope={"tenant": "a"}), name="index")
        assert other.retrieve(QUERY, k=3).trace.cache == "miss", "another retriever finds something else"
        index.add(Document(id="new", text=f"{QUERY}? Every hour."))
        assert cached.retrieve(QUERY, k=3).trace.cache == "miss"


def test_who_is_not_quite_near_enough_is_put_to_a_check(tmp_path: Path) -> None:
    asked: list[tuple[str, str]] = []

    def check(one: str, other: str) -> bool:
        asked.append((one, other))
        return "get" in one

    with filled(tmp_path / "kb", recipe("off", threshold=0.99)) as index:
        cache = index.cache(check=check)
        cache.store(QUERY, "ninety days", evidence=index.search(QUERY))
        near, far = "how often does a signing key get rotated", "how often are signing keys rotated"
        assert index.cache().lookup(near) is None
        assert cache.lookup(near) is not None
        assert cache.lookup(far) is None
        assert asked == [(near, QUERY), (far, QUERY)]
        assert cache.lookup(far) is None
        assert len(asked) == 2, "a no is remembered"
        assert cache.explain(far).passed[0].why == "below 0.99: the check would be asked"
        assert cache.lookup("how often is a signing key not rotated") is None, "the gate comes first"
        assert cache.stats().other["checked"] == 2, "to explain is not counted"

        def broken(one: str, other: str) -> bool:
            raise ValueError(f"{one} {other}")

        assert index.cache(check=broken).lookup(near) is None
        assert cache.stats().other["check failed"] == 1


def test_an_answer_may_rest_on_what_stands_around_the_passages_it_was_made_from(tmp_path: Path) -> None:
    pages = [f"# Part {n}\n\n" + f"{topic} " * 12 for n, topic in enumerate(TOPICS.values())]
    with Index.open(tmp_path / "kb", recipe=recipe("off")) as index:
        index.add([*corpus(), Document(id="book", text="\n\n".join(pages), format="markdown")])
        careful, careless = index.cache(scope={"n": 1}), index.cache(scope={"n": 2}, around=False)
        found = index.search(QUERY, k=1)
        assert found[0].chunk.document_id == "book"
        for cache in (careful, careless):
            assert cache.store(QUERY, "ninety days", evidence=found)
        index.add(Document(id="aside", text="Nothing of this is about what was asked."))
        assert careful.lookup(QUERY) is not None
        edited = [*pages[:-1], pages[-1].replace("honey", "wax")]
        index.add(Document(id="book", text="\n\n".join(edited), format="markdown"))
        assert index.search(QUERY, k=1)[0].row == found[0].row, "the passage itself is as it was"
        assert careless.lookup(QUERY) is not None
        assert careful.explain(QUERY).passed[0].why.startswith("stale, around")
        assert careful.lookup(QUERY) is None
