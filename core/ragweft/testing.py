"""Doubles for tests of programs that use ragweft: small, deterministic, honest about what they are."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from ragweft.types import Space

if TYPE_CHECKING:
    from ragweft.types import Hit, Vector, Vectors

__all__ = ["FixedReranker", "HashEmbedder", "ScriptedGenerator"]


class HashEmbedder:
    """An `Embedder` by signed feature hashing of lower-cased words: texts that share words are near.

    Equal in every process and on every machine; `calls` counts the texts embedded as documents.
    """

    def __init__(self, *, dims: int = 64, model: str = "hash:words") -> None:
        self._space = Space(model=model, dims=dims)
        self.calls = 0

    @property
    def space(self) -> Space:
        """Named by the model and size given."""
        return self._space

    def embed_documents(self, texts: Sequence[str]) -> Vectors:
        """float32, shape (len(texts), dims), unit rows; zero for a text without words."""
        self.calls += len(texts)
        return np.array([self._embed(text) for text in texts], dtype=np.float32).reshape(-1, self._space.dims)

    def embed_query(self, text: str) -> Vector:
        """float32, shape (dims,)."""
        return self._embed(text)

    def _embed(self, text: str) -> Vector:
        vector = np.zeros(self._space.dims, dtype=np.float32)
        for word in re.findall(r"\w+", text.lower()):
            digest = hashlib.blake2b(word.encode("utf-8", "replace"), digest_size=8).digest()
            place = int.from_bytes(digest[:4], "little") % self._space.dims
            vector[place] += 1.0 if digest[4] & 1 else -1.0
        norm = float(np.linalg.norm(vector))
        return vector / np.float32(norm) if norm else vector


class FixedReranker:
    """A `Reranker` that scores passages by the first of *scores*' keys they contain; others get 0."""

    name = "fixed"

    def __init__(self, scores: Mapping[str, float]) -> None:
        self._scores = scores

    def rerank(self, query: str, hits: Sequence[Hit]) -> Sequence[float]:  # noqa: ARG002
        """The fixed scores, in the order of *hits*."""
        return [
            next((score for words, score in self._scores.items() if words in hit.chunk.text), 0.0)
            for hit in hits
        ]


class ScriptedGenerator:
    """A `Generate` that replies by the first of *replies*' keys its prompt contains, otherwise with *default*.

    A reply that is an exception is raised. `calls` holds the prompts it was called with, `acalls` those it was
    awaited with.
    """

    def __init__(
        self, replies: Mapping[str, str | Exception] | None = None, *, default: str | Exception = ""
    ) -> None:
        self._replies = dict(replies or {})
        self._default = default
        self.calls: list[str] = []
        self.acalls: list[str] = []

    def __call__(self, prompt: str, /) -> str:
        """The scripted reply."""
        self.calls.append(prompt)
        return self._reply(prompt)

    async def agenerate(self, prompt: str, /) -> str:
        """The scripted reply, awaited."""
        self.acalls.append(prompt)
        return self._reply(prompt)

    def _reply(self, prompt: str) -> str:
        said = next((reply for words, reply in self._replies.items() if words in prompt), self._default)
        if isinstance(said, Exception):
            raise said
        return said
