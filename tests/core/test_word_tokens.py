"""Chunks sized by a model's own tokens: counted word by word, and never more than the model reads at once."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers

from ragweft.chunking import RecursiveChunker, StructureChunker
from ragweft.cutting import build_cutters, inspect
from ragweft.embedding.static import StaticEmbedder
from ragweft.embedding.words import Measure, WordTokenizer, measure_of, measured_by
from ragweft.recipe import Chunking, Recipe
from ragweft.types import Document, Space

if TYPE_CHECKING:
    from ragweft.protocols import Chunker
    from ragweft.types import Vector, Vectors

CORPUS = [
    "Keys are rotated every ninety days, and the old ones are kept for another thirty.",
    "def rotate(key: str) -> None:\n    for door in doors:\n        door.turn(key)\n\n\n",
    "Ein Schl\u00fcssel \u00f6ffnet die T\u00fcr; 鍵は毎日回されます。",
    "| key | age |\n| --- | --- |\n| front door | 12 days |\n",
] * 4


def word_pieces() -> Tokenizer:
    """As BERT's: white space says nothing."""
    made = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    made.normalizer = normalizers.BertNormalizer(lowercase=True)
    made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    made.train_from_iterator(CORPUS, trainers.WordPieceTrainer(vocab_size=300, special_tokens=["[UNK]"]))
    return made


def metaspace() -> Tokenizer:
    """As XLM-RoBERTa's: a word begins with a mark."""
    made = Tokenizer(models.Unigram())
    made.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace()])
    made.train_from_iterator(
        CORPUS, trainers.UnigramTrainer(vocab_size=200, special_tokens=["<unk>"], unk_token="<unk>")
    )
    return made


def byte_level() -> Tokenizer:
    """As Qwen's and GPT's: white space is tokens, and part of them."""
    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.train_from_iterator(
        CORPUS,
        trainers.BpeTrainer(vocab_size=500, initial_alphabet=pre_tokenizers.ByteLevel.alphabet()),
    )
    return made


MADE = {"word pieces": word_pieces(), "metaspace": metaspace(), "byte level": byte_level()}
TEXTS = st.lists(
    st.one_of(
        st.sampled_from(
            [*" ".join(CORPUS).split(), "\n", "\n\n", "    ", "\t", " ", ". ", "鍵" * 90, "x" * 70]
        ),
        st.text(max_size=12),
    ),
    max_size=60,
).map(" ".join)


def true_count(name: str, text: str) -> int:
    return len(MADE[name].encode(text, add_special_tokens=False).ids)


@pytest.mark.parametrize("name", MADE)
def test_prose_and_code_are_counted_as_the_model_counts_them(name: str) -> None:
    text = "\n".join(CORPUS[:4]).replace("。", "").replace("、", "")
    counted = len(WordTokenizer(MADE[name]).encode(text).ids)
    assert counted == pytest.approx(true_count(name, text), abs=0 if name != "byte level" else 4)


@settings(deadline=None)
@given(text=TEXTS, name=st.sampled_from(sorted(MADE)), data=st.data())
def test_a_piece_of_a_text_is_a_slice_of_its_tokens(text: str, name: str, data: st.DataObject) -> None:
    tokenizer = WordTokenizer(MADE[name])
    whole = tokenizer.encode(text)
    starts = whole.starts.tolist()
    assert len(starts) == len(whole.ids)
    assert starts == sorted(starts)
    assert all(0 <= start < len(text) and not text[start].isspace() for start in starts)
    cut = data.draw(st.sampled_from([0, len(text), *starts]))
    before = sum(start < cut for start in starts)
    assert abs(len(tokenizer.encode(text[:cut]).ids) - before) <= tokenizer.spare
    assert abs(len(tokenizer.encode(text[cut:]).ids) - (len(starts) - before)) <= tokenizer.spare


@pytest.mark.parametrize("name", MADE)
@pytest.mark.parametrize("kind", [StructureChunker, RecursiveChunker])
def test_no_chunk_is_longer_than_the_model_reads(name: str, kind: type[StructureChunker]) -> None:
    measure = measured_by(MADE[name], 48)
    assert measure.room is not None
    chunker: Chunker = kind(tokenizer=measure.tokenizer, size=measure.room, overlap=0.2)
    text = "\n\n".join(f"# Part {number}\n\n{part}" for number, part in enumerate(CORPUS * 3))
    chunks = chunker.chunk(Document(id="d", text=text, format="markdown"))
    sizes = [true_count(name, chunk.text) for chunk in chunks]
    assert max(sizes) <= 48
    assert max(sizes) > 24


class Windowed:
    """An embedder that can tell how it counts."""

    def __init__(self, measure: Measure | None) -> None:
        self.measure = measure
        self.space = Space(model="test:windowed", dims=2)

    def embed_documents(self, texts: Sequence[str]) -> Vectors:
        raise NotImplementedError

    def embed_query(self, text: str) -> Vector:
        raise NotImplementedError


@pytest.mark.parametrize(
    ("asked", "room", "size"), [(150, 1_000, 150), (500, 256, 256), (500, 40, 120), (500, None, 500)]
)
def test_the_size_is_the_models_tokens_within_its_window(asked: int, room: int | None, size: int) -> None:
    measure = Measure(tokenizer=WordTokenizer(MADE["word pieces"]), room=room)
    recipe = Recipe(chunking=Chunking(size=asked))
    cutters = build_cutters(recipe, Windowed(measure), StaticEmbedder())
    assert cutters.tokenizer is measure.tokenizer
    assert cutters.size == size
    text = " ".join(CORPUS) * 5
    seen = inspect(Document(id="d", text=text, format="text"), cutters)
    assert seen.size == size
    sizes = [true_count("word pieces", chunk.indexed_text) for chunk in seen.chunks]
    assert size // 3 < max(sizes) <= size


def test_who_cannot_tell_is_measured_by_the_static_table() -> None:
    static = StaticEmbedder()
    assert build_cutters(Recipe(), Windowed(None), static).tokenizer is static
    assert build_cutters(Recipe(), static, static).size == Recipe().chunking.size
    assert measure_of(static) is None
    assert measure_of(Path()) is None
