"""Semantic chunking: breakpoints where neighbouring groups of sentences differ, within hard sizes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from doubles_chunking import WordTokenizer, assert_sound
from ragweft.chunking import SemanticChunker
from ragweft.chunking.ruler import Ruler
from ragweft.chunking.separators import sentences_and_lines
from ragweft.embedding import StaticEmbedder
from ragweft.errors import ProviderError, RecipeError
from ragweft.types import Chunk, Document, Space

if TYPE_CHECKING:
    from ragweft.types import Vector, Vectors

TOPICS = ("river", "engine", "violin", "tax")


class TopicEmbedder:
    """One axis for each topic, a little of every other: sentences of one topic are near."""

    space = Space(model="topics", dims=len(TOPICS))

    def __init__(self) -> None:
        self.batches: list[int] = []

    def embed_documents(self, texts: Sequence[str]) -> Vectors:
        self.batches.append(len(texts))
        rows = np.array([[text.count(topic) + 0.05 for topic in TOPICS] for text in texts], dtype=np.float32)
        rows = rows.reshape(-1, len(TOPICS))
        found: Vectors = rows / np.linalg.norm(rows, axis=1, keepdims=True)
        return found

    def embed_query(self, text: str) -> Vector:
        found: Vector = self.embed_documents([text])[0]
        return found


def text_of(*runs: tuple[str, int]) -> str:
    return " ".join(f"The {topic} is number {n} here." for topic, count in runs for n in range(count))


def cut(text: str, *, size: int = 200, **others: Any) -> Sequence[Chunk]:
    chunker = SemanticChunker(
        tokenizer=WordTokenizer(), embedder=TopicEmbedder(), size=size, **{"overlap": 0.0, **others}
    )
    document = Document(id="a", text=text)
    chunks = chunker.chunk(document)
    assert_sound(document, chunks, capacity=size - others.get("reserve", 0))
    return chunks


def topics_of(chunk: Chunk) -> set[str]:
    return {topic for topic in TOPICS if topic in chunk.text}


@pytest.mark.parametrize("method", ["percentile", "gradient"])
def test_cuts_fall_where_the_topic_turns(method: str) -> None:
    text = text_of(("river", 15), ("engine", 12), ("violin", 17), ("tax", 11))
    chunks = cut(text, method=method, threshold=93.0, minimum=0.1)
    assert [topics_of(chunk) for chunk in chunks] == [{topic} for topic in TOPICS]


def test_breakpoints_leave_no_less_than_the_minimum() -> None:
    text = text_of(("river", 20), ("engine", 1), ("river", 20))
    joined = cut(text, threshold=0.0, minimum=0.4, size=1_000)
    assert min(len(WordTokenizer().encode(chunk.text).ids) for chunk in joined) >= 400 * 0.4
    apart = cut(text, threshold=90.0, minimum=0.0, group=1)
    assert {"engine"} in [topics_of(chunk) for chunk in apart]


def test_what_is_too_large_is_cut_at_its_widest_gap() -> None:
    # Percentile 100 leaves no breakpoint: only the size decides, and then the gap.
    text = text_of(("river", 17), ("engine", 13))
    first, second = cut(text, size=180, threshold=100.0, group=2)
    assert (topics_of(first), topics_of(second)) == ({"river"}, {"engine"})


def test_nothing_is_repeated_across_a_breakpoint_and_something_within_a_topic() -> None:
    text = text_of(("river", 60), ("engine", 60))
    chunks = cut(text, overlap=0.2, threshold=99.0)
    pairs = [
        (topics_of(before) | topics_of(after), before.span.end > after.span.start)
        for before, after in zip(chunks, chunks[1:], strict=False)
        if before.span and after.span
    ]
    assert [repeated for topics, repeated in pairs if len(topics) == 2] == [False]
    assert all(repeated for topics, repeated in pairs if len(topics) == 1)


def brute_force(vectors: np.ndarray, sizes: np.ndarray, group: int) -> list[float]:
    found = []
    for gap in range(1, len(vectors)):
        before = np.sum([vectors[n] * sizes[n] for n in range(max(0, gap - group), gap)], axis=0)
        after = np.sum([vectors[n] * sizes[n] for n in range(gap, min(len(vectors), gap + group))], axis=0)
        found.append(1 - float(before @ after / (np.linalg.norm(before) * np.linalg.norm(after))))
    return found


@settings(max_examples=40, deadline=None)
@given(
    runs=st.lists(st.tuples(st.sampled_from(TOPICS), st.integers(1, 9)), min_size=1, max_size=6),
    group=st.integers(1, 7),
    batch=st.sampled_from([1, 2, 3, 7, 1_024]),
)
def test_distances_are_those_of_the_definition_whatever_the_batch(
    runs: list[tuple[str, int]], group: int, batch: int
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("ragweft.chunking.semantic._BATCH", batch)
        text, embedder = text_of(*runs), TopicEmbedder()
        ruler = Ruler(text, WordTokenizer())
        chunker = SemanticChunker(tokenizer=WordTokenizer(), embedder=embedder, group=group)
        cuts = [0, *sentences_and_lines(text, 0, len(text)), len(text)]
        found = chunker._distances(ruler, cuts)
        bounds = list(zip(cuts, cuts[1:], strict=False))
        assert sum(embedder.batches) == len(bounds), "every sentence is embedded once"
        assert max(embedder.batches) <= batch
        vectors = embedder.embed_documents([text[a:b] for a, b in bounds]).astype(np.float64)
        sizes = np.array([ruler.count(a, b) for a, b in bounds])
        np.testing.assert_allclose(found, brute_force(vectors, sizes, group), atol=1e-6)


def test_static_embedder_starts_from_the_tokens_and_says_about_the_same() -> None:
    text = (
        "The river bank was steep. Nobody could fish there.\n\nTaxes are due in May. Send the form early. " * 6
    )
    one, other = StaticEmbedder(), StaticEmbedder()
    spans = [
        [
            chunk.span
            for chunk in SemanticChunker(tokenizer=one, embedder=given_, size=60).chunk(
                Document(id="a", text=text)
            )
        ]
        for given_ in (one, other)
    ]
    assert spans[0] == spans[1]
    chinese = "这是第一个句子，讲河流。那是第二个句子，讲税。" * 40
    chunks = SemanticChunker(tokenizer=one, embedder=one, size=60).chunk(Document(id="a", text=chinese))
    assert all(chunk.text.endswith("。") for chunk in chunks)


def test_few_sentences_are_no_trouble() -> None:
    for text in ("", "One.", "One. Two.", "One. Two. Three."):
        for method in ("percentile", "gradient"):
            assert "".join(chunk.text for chunk in cut(text, method=method)) == text


def test_blank_vectors_make_no_breakpoint() -> None:
    class Silent(TopicEmbedder):
        def embed_documents(self, texts: Sequence[str]) -> Vectors:
            return np.zeros((len(texts), len(TOPICS)), dtype=np.float32)

    text = text_of(("river", 10))
    chunker = SemanticChunker(tokenizer=WordTokenizer(), embedder=Silent(), size=480, minimum=0.0)
    assert [chunk.text for chunk in chunker.chunk(Document(id="a", text=text))] == [text]


@pytest.mark.parametrize("wrong", [np.full((5, 4), np.nan), np.zeros((4, 4)), np.zeros((5, 3))])
def test_wrong_vectors_are_an_error_in_one_line(wrong: np.ndarray) -> None:
    class Wrong(TopicEmbedder):
        def embed_documents(self, texts: Sequence[str]) -> Vectors:
            return wrong.astype(np.float32)

    chunker = SemanticChunker(tokenizer=WordTokenizer(), embedder=Wrong())
    with pytest.raises(ProviderError, match="topics") as caught:
        chunker.chunk(Document(id="a", text=text_of(("river", 5))))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "wrong",
    [
        {"method": "interquartile"},
        {"threshold": -1},
        {"threshold": 100.1},
        {"group": 0},
        {"minimum": -0.1},
        {"minimum": 0.6},
    ],
)
def test_impossible_settings_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(RecipeError, match="chunk") as caught:
        SemanticChunker(tokenizer=WordTokenizer(), embedder=TopicEmbedder(), **wrong)
    assert "\n" not in str(caught.value)


def test_fingerprint_tells_every_setting_and_the_embedder() -> None:
    class Other(TopicEmbedder):
        space = Space(model="others", dims=4)

    changes: list[dict[str, Any]] = [
        {},
        {"method": "gradient"},
        {"threshold": 90},
        {"group": 2},
        {"minimum": 0.1},
    ]
    made = [
        SemanticChunker(tokenizer=WordTokenizer(), embedder=TopicEmbedder(), **settings_)
        for settings_ in changes
    ]
    prints = {chunker.fingerprint for chunker in made}
    prints.add(SemanticChunker(tokenizer=WordTokenizer(), embedder=Other()).fingerprint)
    assert len(prints) == 6
