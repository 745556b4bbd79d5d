"""What embedders of other packages are called: the same in every process, and not like another model."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import pytest

from ragweft import Index
from ragweft.embedding import resolve_embedder
from ragweft.embedding.adapters import as_embedder
from ragweft.errors import RecipeError
from ragweft.recipe import Embedding, Recipe, Rerank
from ragweft.reranking import resolve_reranker
from ragweft.testing import HashEmbedder

DIMS = 16
HASH = HashEmbedder(dims=DIMS)


def vectors(texts: list[str]) -> list[list[float]]:
    return [[float(value) for value in HASH.embed_query(text)] for text in texts]


class PlainLangChain:
    """The methods of LangChain's `Embeddings`, without LangChain."""

    def __init__(self, model: str = "plain") -> None:
        self.model = model

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        return vectors(texts)

    def embed_query(self, text: str) -> list[float]:
        return vectors([text])[0]


class PlainLlamaIndex:
    """The methods of LlamaIndex's `BaseEmbedding`."""

    model_name = "plain"

    def get_text_embedding_batch(self, texts: list[str]) -> list[list[float]]:
        return vectors(texts)

    def get_query_embedding(self, query: str) -> list[float]:
        return vectors([query])[0]


class PlainChroma:
    """The methods of a Chroma embedding function."""

    def __call__(self, input: list[str]) -> list[list[float]]:  # noqa: A002
        return vectors(input)

    @staticmethod
    def name() -> str:
        return "plain"

    def get_config(self) -> dict[str, Any]:
        return {}


def test_a_space_is_named_by_class_and_model() -> None:
    package = PlainLangChain.__module__.partition(".")[0]
    assert as_embedder(PlainLangChain("a")).space.model == f"{package}.PlainLangChain:a"
    assert as_embedder(PlainLangChain(" a\nb ")).space.model == f"{package}.PlainLangChain:a b"
    assert as_embedder(PlainLlamaIndex()).space.model == f"{package}.PlainLlamaIndex:plain"
    assert as_embedder(PlainChroma()).space.model == "chroma.plain"
    assert as_embedder(PlainLangChain("a"), model="acme:b").space.model == "acme:b"
    assert as_embedder(PlainLangChain("a")).space.revision == ""


def test_real_classes_are_named_by_their_package() -> None:
    pytest.importorskip("llama_index.core")
    from llama_index.core.embeddings.mock_embed_model import MockEmbedding

    space = as_embedder(MockEmbedding(embed_dim=3, model_name="mock")).space
    assert str(space) == "llama_index.MockEmbedding:mock/3/float32"
    with pytest.raises(RecipeError, match=r"llama_index\.MockEmbedding does not name its model"):
        as_embedder(MockEmbedding(embed_dim=3))


def test_chroma_functions_are_named_by_their_settings_and_load_nothing_for_it() -> None:
    functions = pytest.importorskip("chromadb.utils.embedding_functions")
    named = partial(as_embedder, dims=384)
    assert named(functions.DefaultEmbeddingFunction()).space.model == "chroma.default"
    first = named(functions.ONNXMiniLM_L6_V2(preferred_providers=["CPUExecutionProvider"])).space
    assert first == named(functions.ONNXMiniLM_L6_V2()).space
    assert first.model == "chroma.onnx_mini_lm_l6_v2"
    here = named(functions.HuggingFaceEmbeddingServer(url="http://a/embed")).space
    assert here == named(functions.HuggingFaceEmbeddingServer(url="http://a/embed")).space
    assert here != named(functions.HuggingFaceEmbeddingServer(url="http://b/embed")).space


def test_settings_that_json_cannot_hold_give_the_same_name_every_time() -> None:
    class Configured(PlainChroma):
        def __init__(self) -> None:
            self.session = object()

        def get_config(self) -> dict[str, Any]:
            return {"session": self.session, "url": "http://a"}

    one, other = Configured(), Configured()
    assert as_embedder(one).space == as_embedder(other).space
    assert as_embedder(one).space != as_embedder(PlainChroma()).space


def test_a_wrapper_is_named_by_what_it_wraps() -> None:
    bridge = pytest.importorskip("chromadb.utils.embedding_functions.chroma_langchain_embedding_function")
    fake = pytest.importorskip("langchain_core.embeddings").DeterministicFakeEmbedding(size=8)
    wrap = bridge.create_langchain_embedding
    named = type("Named", (type(fake),), {"__annotations__": {"model": str}, "model": "n"})(size=8)
    assert as_embedder(wrap(named)).space == as_embedder(named).space
    with pytest.raises(RecipeError, match="does not name its model"):
        as_embedder(wrap(fake))
    assert as_embedder(wrap(fake), model="fake").embed_query("a key").shape == (8,)


def test_a_chroma_function_from_before_names_needs_one() -> None:
    types = pytest.importorskip("chromadb.api.types")

    class Old(types.EmbeddingFunction):  # type: ignore[misc,name-defined]
        def __init__(self) -> None:
            pass

        def __call__(self, input: list[str]) -> Any:  # noqa: A002
            return vectors(input)

    with pytest.raises(RecipeError, match="does not name its model"):
        as_embedder(Old())
    assert as_embedder(Old(), model="old").embed_query("a key").shape == (DIMS,)


class Slotted:
    __slots__ = ("model_id",)

    def __init__(self, model_id: str) -> None:
        self.model_id = model_id

    def __call__(self, texts: list[str]) -> list[list[float]]:
        return vectors(texts)


class Loading:
    """Its `model` is loaded when somebody looks."""

    @property
    def model(self) -> object:
        raise AssertionError("loaded a model to find a name")

    @property
    def model_name(self) -> str:
        return "lazy"

    def __call__(self, texts: list[str]) -> list[list[float]]:
        return vectors(texts)


def test_names_are_found_in_slots_and_properties() -> None:
    assert as_embedder(Slotted("s")).space.model.endswith(".Slotted:s")
    assert as_embedder(Loading()).space.model.endswith(".Loading:lazy")


@pytest.mark.parametrize(
    "thing",
    [
        vectors,
        lambda texts: vectors(texts),
        partial(vectors),
        (vectors, vectors),
        PlainLangChain("unknown"),
        PlainLangChain(" "),
        PlainLangChain("/models/mine"),
        PlainLangChain("./mine"),
        PlainLangChain("~/mine"),
    ],
    ids=["function", "lambda", "partial", "pair", "unknown", "blank", "folder", "relative", "home"],
)
def test_what_cannot_be_told_from_another_model_needs_a_name(thing: object) -> None:
    with pytest.raises(RecipeError, match="give model="):
        as_embedder(thing)
    assert as_embedder(thing, model="named").space.model == "named"


def test_a_folder_below_the_working_directory_is_no_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert as_embedder(PlainLangChain("models/mine")).space.model.endswith(":models/mine")
    (tmp_path / "models" / "mine").mkdir(parents=True)
    with pytest.raises(RecipeError, match="folder"):
        as_embedder(PlainLangChain("models/mine"))


def test_prompts_belong_to_the_space() -> None:
    def revision(**prompts: str) -> str:
        return as_embedder(vectors, model="m", dims=DIMS, **prompts).space.revision  # type: ignore[arg-type]

    made = [
        revision(),
        revision(query_prompt="q: "),
        revision(document_prompt="q: "),
        revision(query_prompt="q: ", document_prompt="q: "),
        revision(query_prompt="Q: "),
    ]
    assert len(set(made)) == 5
    assert made[0] == ""
    assert revision(query_prompt="q: ") == made[1]


def test_an_objects_own_instructions_belong_to_the_space() -> None:
    def revision(**settings: Any) -> str:
        thing = PlainLangChain()
        vars(thing).update(settings)
        return as_embedder(thing).space.revision

    assert revision(query_instruction="Represent this: ") != revision(query_instruction="Represent: ") != ""
    assert revision(encode_kwargs={"prompt": "p"}) != revision(encode_kwargs={"prompt": "r"})
    assert revision(encode_kwargs={"batch_size": 8, "device": "cpu"}) == revision(prompts={"query": ""}) == ""


@pytest.mark.parametrize(
    "model", ["cohere:rerank-v3.5", "sentence-transformers:BAAI/bge-reranker-v2-m3", "voyage:rerank-3"]
)
def test_a_reranker_is_no_embedder_of_a_recipe(tmp_path: Path, model: str) -> None:
    recipe = Recipe(embedding=Embedding(model=model))
    said = rf"\[embedding\] model = '{model}' is a reranker and makes no vectors: name an embedder"
    with pytest.raises(RecipeError, match=said):
        Index.open(tmp_path / "kb", recipe=recipe)
    assert not (tmp_path / "kb" / "ragweft.toml").exists()


@pytest.mark.parametrize(
    "model", ["cohere:embed-v4.0", "sentence-transformers:intfloat/multilingual-e5-base", "voyage:voyage-4"]
)
def test_an_embedder_is_no_reranker_of_a_recipe(tmp_path: Path, model: str) -> None:
    recipe = Recipe(rerank=Rerank(model=model))
    said = rf"\[rerank\] model = '{model}' is an embedder and does not rerank: name a reranker"
    with pytest.raises(RecipeError, match=said):
        Index.open(tmp_path / "kb", recipe=recipe)
    assert not (tmp_path / "kb" / "ragweft.toml").exists()


def test_a_model_that_is_both_or_not_listed_may_be_either(tmp_path: Path) -> None:
    for model in ("cohere:rerank-of-tomorrow", "voyage:voyage-of-tomorrow"):
        assert resolve_reranker(Rerank(model=model)) is not None
        assert resolve_embedder(Embedding(model=model, dims=8)).space.dims == 8
    for section in ("embedding", "rerank"):  # BGE-M3 is both; what is said is that it is not there
        with pytest.raises(RecipeError, match="no such folder"):
            if section == "rerank":
                resolve_reranker(Rerank(model=f"bge-m3:{tmp_path / 'none'}"))
            else:
                resolve_embedder(Embedding(model=f"bge-m3:{tmp_path / 'none'}"))
