"""What a model's files tell before torch is imported, and taking turns with a model."""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from ragweft.embedding.checkpoint import Checkpoint, find_checkpoint
from ragweft.embedding.local import Turns, batches, needed, room_beside, working
from ragweft.embedding.unit import unit_rows
from ragweft.errors import IndexLocked, MissingExtra, ProviderError, RecipeError

OLD, NEW = "sentence_transformers.models.", "sentence_transformers.sentence_transformer.modules."
CONFIG = {"hidden_size": 384, "max_position_embeddings": 512, "pad_token_id": 0, "model_type": "bert"}


def saved(folder: Path, files: Mapping[str, object]) -> Checkpoint:
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(json.dumps(content))
    return Checkpoint(name="tiny", folder=folder)


def chain(*types: str) -> list[dict[str, object]]:
    paths = ["", *(f"{n}_{kind.rpartition('.')[2]}" for n, kind in enumerate(types[1:], start=1))]
    return [
        {"idx": n, "path": path, "type": kind} for n, (path, kind) in enumerate(zip(paths, types, strict=True))
    ]


@pytest.mark.parametrize(
    ("files", "size"),
    [
        ({"modules.json": chain(f"{OLD}Transformer")}, 384),
        (
            {
                "modules.json": chain(f"{OLD}Transformer", f"{OLD}Pooling", f"{OLD}Normalize"),
                "1_Pooling/config.json": {"word_embedding_dimension": 384, "pooling_mode_mean_tokens": True},
            },
            384,
        ),
        (
            {
                "modules.json": chain(f"{OLD}Transformer", f"{OLD}Pooling"),
                "1_Pooling/config.json": {
                    "word_embedding_dimension": 384,
                    "pooling_mode_mean_tokens": True,
                    "pooling_mode_max_tokens": True,
                    "pooling_mode_cls_token": False,
                },
            },
            768,
        ),
        (
            {
                "modules.json": chain(f"{NEW}Transformer", f"{NEW}Pooling"),
                "1_Pooling/config.json": {"embedding_dimension": 384, "pooling_mode": ["cls", "mean"]},
            },
            768,
        ),
        (
            {
                "modules.json": chain(f"{NEW}Transformer", f"{NEW}Pooling", f"{NEW}Dense"),
                "1_Pooling/config.json": {"embedding_dimension": 384, "pooling_mode": "cls"},
                "2_Dense/config.json": {"in_features": 384, "out_features": 1024},
            },
            1024,
        ),
        (
            {
                "modules.json": chain(f"{NEW}Transformer"),
                "config_sentence_transformers.json": {"truncate_dim": 128},
            },
            128,
        ),
        ({"modules.json": chain("custom_st.Transformer")}, None),
        ({"modules.json": chain(f"{NEW}Router")}, None),
        ({}, None),
    ],
)
def test_the_size_of_a_vector_is_told_by_the_last_module(
    tmp_path: Path, files: Mapping[str, object], size: int | None
) -> None:
    assert saved(tmp_path, {"config.json": CONFIG, **files}).vector_size == size


@pytest.mark.parametrize(
    ("files", "window"),
    [
        ({"config.json": CONFIG, "sentence_bert_config.json": {"max_seq_length": 256}}, 256),
        ({"config.json": CONFIG, "sentence_bert_config.json": {"max_seq_length": None}}, 512),
        ({"config.json": CONFIG, "tokenizer_config.json": {"model_max_length": 128}}, 128),
        ({"config.json": CONFIG, "tokenizer_config.json": {"model_max_length": 10**30}}, 512),
        ({"tokenizer_config.json": {"model_max_length": 1e30}}, None),
        ({"config.json": {**CONFIG, "max_position_embeddings": -1}}, None),
        # Positions of these begin after the padding token's number.
        (
            {"config.json": {"model_type": "xlm-roberta", "pad_token_id": 1, "max_position_embeddings": 8194}},
            8192,
        ),
        (
            {
                "config.json": {"model_type": "xlm-roberta", "pad_token_id": 1, "max_position_embeddings": 514},
                "sentence_bert_config.json": {"max_seq_length": 514},
            },
            512,
        ),
        ({}, None),
    ],
)
def test_the_window_is_the_declared_length_or_what_there_are_positions_for(
    tmp_path: Path, files: Mapping[str, object], window: int | None
) -> None:
    assert saved(tmp_path, files).window == window


def test_a_damaged_description_is_named(tmp_path: Path) -> None:
    (tmp_path / "modules.json").write_text("[{")
    with pytest.raises(RecipeError, match=r"modules\.json: cannot be read as JSON"):
        _ = Checkpoint(name="tiny", folder=tmp_path).vector_size


def test_a_card_that_cannot_be_read_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    checkpoint = saved(tmp_path / "bare", {"config.json": CONFIG})
    assert checkpoint.base == ""
    (tmp_path / "bare" / "README.md").write_text("---\nbase_model: acme/base\n---\n")
    assert checkpoint.base == "acme/base"
    real = Path.read_text

    def refused(self: Path, encoding: str | None = None, errors: str | None = None) -> str:
        if self.name == "README.md":
            raise PermissionError(13, "Permission denied")
        return real(self, encoding, errors)

    monkeypatch.setattr(Path, "read_text", refused)
    with pytest.raises(RecipeError, match=r"README\.md: cannot be read \(Permission denied\)"):
        assert checkpoint.trained_further
    with pytest.raises(RecipeError, match=r"README\.md"):
        assert checkpoint.base


def test_the_digest_is_of_what_decides_the_vectors(tmp_path: Path) -> None:
    files = {"config.json": CONFIG, "modules.json": chain(f"{NEW}Transformer", f"{NEW}Dense")}
    checkpoint = saved(tmp_path, {**files, "1_Dense/config.json": {"out_features": 4}})
    seen = {checkpoint.digest}
    for place, number in (("model.safetensors", 1), ("1_Dense/model.safetensors", 1), ("model.safetensors", 2)):
        save_file({"weight": np.full((300, 300), number, dtype=np.float32)}, tmp_path / place)
        assert checkpoint.digest not in seen, place
        seen.add(checkpoint.digest)
    (tmp_path / "1_Dense/config.json").write_text(json.dumps({"out_features": 5}))
    assert checkpoint.digest not in seen
    before = checkpoint.digest
    for name in ("README.md", "sparse_linear.pt", "onnx/model.onnx", "pytorch_model.bin"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("says nothing about its vectors")
    assert checkpoint.digest == before


def test_the_digest_reaches_the_modules_below_a_module(tmp_path: Path) -> None:
    checkpoint = saved(
        tmp_path, {"modules.json": chain(f"{NEW}Router"), "query_0_Transformer/config.json": CONFIG}
    )
    before = checkpoint.digest
    save_file({"weight": np.ones(300)}, tmp_path / "query_0_Transformer" / "model.safetensors")
    assert checkpoint.digest != before


def test_weight_names_are_read_without_the_weights(tmp_path: Path) -> None:
    checkpoint = saved(tmp_path, {"config.json": CONFIG})
    assert checkpoint.weight_names() == frozenset()
    for number in (1, 2):
        save_file({f"layer.{number}": np.zeros(3)}, tmp_path / f"model-0000{number}-of-00002.safetensors")
    assert checkpoint.weight_names() == {"layer.1", "layer.2"}
    (tmp_path / "model-00001-of-00002.safetensors").write_bytes(b"damaged")
    with pytest.raises(RecipeError, match=r"00001-of-00002\.safetensors: damaged"):
        checkpoint.weight_names()


def hub_cache(home: Path, name: str) -> Path:
    """The layout Hugging Face keeps a downloaded model in."""
    repository = home / f"models--{name.replace('/', '--')}"
    commit = "0123456789abcdef0123456789abcdef01234567"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text(commit)
    snapshot = repository / "snapshots" / commit
    snapshot.mkdir(parents=True)
    (snapshot / "config.json").write_text(json.dumps(CONFIG))
    return snapshot


def test_a_name_is_looked_up_in_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SENTENCE_TRANSFORMERS_HOME", str(tmp_path))
    snapshot = hub_cache(tmp_path, "BAAI/bge-m3")
    mini = hub_cache(tmp_path, "sentence-transformers/all-MiniLM-L6-v2")
    found = find_checkpoint("BAAI/bge-m3", organization="sentence-transformers")
    assert (found.name, found.folder) == ("BAAI/bge-m3", snapshot)
    # A name without an owner is one of sentence-transformers' own, as in that library.
    found = find_checkpoint("all-MiniLM-L6-v2", organization="sentence-transformers")
    assert (found.name, found.folder) == ("sentence-transformers/all-MiniLM-L6-v2", mini)
    # The same model given by its path is called the same.
    assert find_checkpoint(snapshot, organization="x").name == "BAAI/bge-m3"


def test_a_folder_is_called_by_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "my-model").mkdir()
    monkeypatch.chdir(tmp_path)
    for given in ("my-model", "./my-model", str(tmp_path / "my-model"), tmp_path / "my-model"):
        assert find_checkpoint(given, organization="x") == Checkpoint(
            name="my-model", folder=(tmp_path / "my-model").resolve()
        )


@pytest.mark.parametrize(
    ("model", "said"),
    [
        ("nobody/nothing", "run  hf download nobody/nothing  once, or give the path"),
        ("nothing", "run  hf download sentence-transformers/nothing  once"),
        ("./nothing", "no such folder"),
        ("/no/such/place", "no such folder"),
        (Path("nobody/nothing"), "no such folder"),
        ("", "no such folder"),
        ("a--b/c..d", "not on this machine"),
    ],
)
def test_a_model_that_is_not_here_is_an_error_that_helps(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, model: str | Path, said: str
) -> None:
    monkeypatch.setenv("SENTENCE_TRANSFORMERS_HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(RecipeError, match=said) as caught:
        find_checkpoint(model, organization="sentence-transformers")
    assert "\n" not in str(caught.value)


def test_a_missing_package_names_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sentence_transformers", None)
    with pytest.raises(MissingExtra, match=r"sentence-transformers is not installed: .*ragweft\[local\]"):
        needed("sentence_transformers", extra="local")


def test_turns_are_given_in_the_order_they_were_asked_for() -> None:
    turns, order = Turns(), list[int]()

    def work(number: int) -> None:
        with turns:
            order.append(number)

    waiting: list[threading.Thread] = []
    with turns:
        for number in range(8):
            waiting.append(threading.Thread(target=work, args=(number,)))
            waiting[-1].start()
            while len(turns._waiting) < number + 2:
                time.sleep(0.001)
    # Whoever asks again has to stand behind those who wait already.
    with turns:
        order.append(99)
    for thread in waiting:
        thread.join()
    assert order == [*range(8), 99]


def test_a_turn_nobody_takes_holds_up_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    turns = Turns()
    with turns, monkeypatch.context() as patched:
        # Ctrl-C reaches a thread that waits for its turn.
        patched.setattr(turns._changed, "wait", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt), turns:
            pass
    with turns:
        assert len(turns._waiting) == 1


def test_an_error_ends_a_turn() -> None:
    turns = Turns()
    with pytest.raises(ValueError, match="bad"), turns:
        raise ValueError("bad")
    with turns:
        pass


def test_batches_hold_texts_of_like_length() -> None:
    lengths = [3, 9, 1, 9, 5]
    found = list(batches(lengths, 2))
    assert found == [[1, 3], [4, 0], [2]]
    assert list(batches([], 2)) == []


def test_what_a_model_raises_becomes_one_line() -> None:
    with (
        pytest.raises(
            ProviderError, match=r"m: the model failed \(RuntimeError: CUDA out of memory\); use a smaller"
        ),
        working("m"),
    ):
        raise RuntimeError("CUDA out of memory\nTried to allocate")
    # What is said already is not said again.
    with pytest.raises(IndexLocked), working("m"):
        raise IndexLocked("held")


def test_too_little_room_is_an_error() -> None:
    assert room_beside(4, window=64, what="the prompt", name="m") == 60
    with pytest.raises(ProviderError, match="m: the prompt takes 60 of the 64 tokens of its window"):
        room_beside(60, window=64, what="the prompt", name="m")


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        ([[1.0, 0.0]], r"shape \(1, 2\) came out for 2 texts"),
        ([[1.0], [0.0]], r"shape \(2, 1\) came out"),
        ([1.0, 0.0], r"shape \(2,\) came out"),
        ([[1.0, 0.0], [np.nan, 0.0]], "NaN or infinity"),
        ([[1.0, 0.0], [0.0, np.inf]], "NaN or infinity"),
    ],
)
def test_bad_vectors_are_refused(raw: Sequence[object], said: str) -> None:
    with pytest.raises(ProviderError, match=said):
        unit_rows(np.array(raw), texts=2, dims=2, name="m")


def test_rows_are_cut_before_they_are_brought_to_unit_length() -> None:
    found = unit_rows([[3.0, 4.0, 12.0], [0.0, 0.0, 5.0]], texts=2, dims=2, name="m")
    np.testing.assert_allclose(found, [[0.6, 0.8], [0.0, 0.0]], atol=1e-7)
    assert found.dtype == np.float32
