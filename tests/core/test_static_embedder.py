from __future__ import annotations

import logging
import subprocess
import sys

import numpy as np
import pytest

from ragweft.embedding import resolve_embedder
from ragweft.embedding.static import DIMS, StaticEmbedder
from ragweft.errors import RecipeError
from ragweft.recipe import Embedding


@pytest.mark.parametrize("dims", DIMS)
def test_sizes(dims: int) -> None:
    vector = StaticEmbedder(dims=dims).embed_query("a key")
    assert vector.shape == (dims,)
    assert np.linalg.norm(vector) == pytest.approx(1.0, abs=1e-5)


def test_truncation_is_a_prefix_normalised_again() -> None:
    whole = StaticEmbedder().embed_documents(["rotate a key"])[0][:64]
    short = StaticEmbedder(dims=64).embed_documents(["rotate a key"])[0]
    np.testing.assert_allclose(whole / np.linalg.norm(whole), short, atol=1e-5)


def test_other_sizes_are_refused_with_the_allowed_ones() -> None:
    with pytest.raises(RecipeError, match="64, 128, 256"):
        StaticEmbedder(dims=100)


def test_those_of_one_process_share_what_they_read_and_nobody_can_change_it() -> None:
    one, other, short = StaticEmbedder(), StaticEmbedder(), StaticEmbedder(dims=64)
    one.embed_documents(["a key"])
    assert one.token_vectors() is other.token_vectors() is short.token_vectors()
    with pytest.raises(ValueError, match="read-only"):
        one.token_vectors()[0, 0] = 1.0
    assert one.token_vectors(32) is not one.token_vectors()
    assert one.token_vectors(32).shape[1] == 32
    np.testing.assert_allclose(short.embed_query("a key"), StaticEmbedder(dims=64).embed_query("a key"))


def test_sizes_live_in_different_spaces() -> None:
    assert len({str(StaticEmbedder(dims=dims).space) for dims in DIMS}) == len(DIMS)


def test_it_is_the_published_average() -> None:
    """For a single line without runs of spaces the tokens are those of the published model, mean pooled."""
    from importlib.util import find_spec
    from pathlib import Path

    from safetensors.numpy import load_file
    from tokenizers import Tokenizer

    spec = find_spec("wordllama")
    assert spec is not None
    assert spec.submodule_search_locations is not None
    folder = Path(spec.submodule_search_locations[0])
    table = load_file(folder / "weights/l2_supercat_256.safetensors")["embedding.weight"].astype(np.float32)
    tokenizer = Tokenizer.from_file(str(folder / "tokenizers/l2_supercat_tokenizer_config.json"))
    text = "The quick brown fox jumps over the lazy dog, and rotates 3 keys."
    ids = tokenizer.encode(text, add_special_tokens=False).ids
    assert StaticEmbedder().encode(text).ids.tolist() == ids
    mean = table[ids].mean(axis=0)
    np.testing.assert_allclose(StaticEmbedder().embed_query(text), mean / np.linalg.norm(mean), atol=2e-4)


def test_the_memo_starts_afresh_without_changing_an_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    import ragweft.embedding.words as module

    texts = [f"alpha{i} beta{i} gamma" for i in range(50)]
    expected = StaticEmbedder().embed_documents(texts)
    monkeypatch.setattr(module, "_MEMO_WORDS", 20)
    np.testing.assert_array_equal(StaticEmbedder().embed_documents(texts), expected)


def test_loading_downloads_nothing_and_leaves_logging_alone() -> None:
    code = (
        "import logging, socket\n"
        "def refuse(*a, **k): raise AssertionError('network')\n"
        "socket.socket.connect = refuse\n"
        "from ragweft.embedding import StaticEmbedder\n"
        "StaticEmbedder().embed_query('x')\n"
        "import sys\n"
        "assert 'wordllama' not in sys.modules and not logging.getLogger().handlers\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
    assert logging.getLogger("wordllama").level == logging.NOTSET


def test_resolving_by_name() -> None:
    assert resolve_embedder(Embedding(model="static", dims=128)).space.dims == 128
    with pytest.raises(RecipeError, match=r"known: .*static"):
        resolve_embedder(Embedding(model="voyag:voyage-4", dims=1024))
    with pytest.raises(RecipeError, match="one static model"):
        resolve_embedder(Embedding(model="static:other", dims=256))
