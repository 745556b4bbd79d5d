"""What every embedder must keep."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ragweft.embedding.static import StaticEmbedder
from ragweft.protocols import Embedder, TokenEmbedder, Tokenizer
from ragweft.testing import HashEmbedder

EMBEDDERS: dict[str, Embedder] = {
    "static-256": StaticEmbedder(),
    "static-64": StaticEmbedder(dims=64),
    "hash": HashEmbedder(),
}
TEXTS = ["How to rotate a key", "", "   \n\t", "def rotate(key): ...", "钥匙轮换", "🔑", "x" * 5000, "a\x00b"]


@pytest.fixture(params=sorted(EMBEDDERS))
def embedder(request: pytest.FixtureRequest) -> Embedder:
    return EMBEDDERS[request.param]


def test_is_an_embedder(embedder: Embedder) -> None:
    assert isinstance(embedder, Embedder)
    assert str(embedder.space).count("/") >= 2


def test_shape_dtype_and_unit_length(embedder: Embedder) -> None:
    vectors = embedder.embed_documents(TEXTS)
    assert vectors.shape == (len(TEXTS), embedder.space.dims)
    assert vectors.dtype == np.float32
    norms = np.linalg.norm(vectors, axis=1)
    assert np.isfinite(vectors).all()
    for norm, text in zip(norms, TEXTS, strict=True):
        blank = not text.strip()
        assert norm == pytest.approx(0.0 if blank else 1.0, abs=1e-5) or norm == 0.0
    assert norms[0] == pytest.approx(1.0, abs=1e-5)


def test_no_texts_no_vectors(embedder: Embedder) -> None:
    assert embedder.embed_documents([]).shape == (0, embedder.space.dims)


def test_queries_have_the_same_shape(embedder: Embedder) -> None:
    for text in TEXTS:
        vector = embedder.embed_query(text)
        assert vector.shape == (embedder.space.dims,)
        assert vector.dtype == np.float32


def test_a_vector_does_not_depend_on_its_neighbours(embedder: Embedder) -> None:
    together = embedder.embed_documents(TEXTS)
    for text, vector in zip(TEXTS, together, strict=True):
        np.testing.assert_allclose(embedder.embed_documents([text])[0], vector, atol=1e-6)
    np.testing.assert_array_equal(embedder.embed_documents(TEXTS[::-1])[::-1], together)


def test_near_texts_are_near(embedder: Embedder) -> None:
    query = embedder.embed_query("rotate the key")
    near, far = embedder.embed_documents(["how to rotate a key", "bread and butter pudding"])
    assert near @ query > far @ query


def test_many_threads_get_the_same_answer(embedder: Embedder) -> None:
    texts = [f"word{i} and word{i % 7} again" for i in range(400)]
    expected = embedder.embed_documents(texts)
    with ThreadPoolExecutor(8) as pool:
        for vectors in pool.map(lambda _: embedder.embed_documents(texts), range(8)):
            np.testing.assert_array_equal(vectors, expected)


TOKEN_EMBEDDERS = {name: e for name, e in EMBEDDERS.items() if isinstance(e, TokenEmbedder)}


@pytest.mark.parametrize("name", sorted(TOKEN_EMBEDDERS))
def test_tokens_embed_like_their_text(name: str) -> None:
    embedder = EMBEDDERS[name]
    assert isinstance(embedder, TokenEmbedder)
    ids = [embedder.encode(text).ids for text in TEXTS]
    np.testing.assert_array_equal(embedder.embed_tokens(ids), embedder.embed_documents(TEXTS))


@pytest.mark.parametrize("name", sorted(TOKEN_EMBEDDERS))
@settings(max_examples=60, deadline=None)
@given(text=st.text(max_size=300), cut=st.integers(0, 300))
def test_cutting_in_white_space_leaves_tokens_alone(name: str, text: str, cut: int) -> None:
    tokenizer = EMBEDDERS[name]
    assert isinstance(tokenizer, Tokenizer)
    whole = tokenizer.encode(text)
    assert whole.ids.dtype == np.int32
    assert len(whole.ids) == len(whole.starts)
    assert (np.diff(whole.starts) >= 0).all()
    places = sorted({*whole.starts.tolist(), *(i for i, c in enumerate(text) if c.isspace())})
    if places:
        place = places[cut % len(places)]
        parts = np.concatenate([tokenizer.encode(text[:place]).ids, tokenizer.encode(text[place:]).ids])
        np.testing.assert_array_equal(parts, whole.ids)
