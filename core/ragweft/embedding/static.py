"""Static embeddings: a 32,000 x 256 table of token vectors, averaged. No key, no download, no server.

The table and its tokenizer ship as data files inside the `wordllama` wheel (MIT, weights "l2_supercat").
That package's own code is never imported: its loader looks for the tokenizer in a folder that does not exist
and then downloads, and importing it reconfigures the root logger.

A text is tokenised word by word (a word: a run of non-white-space, divided every 64 characters), so a word's
tokens never depend on its neighbours. Three things follow: words are tokenised once and remembered, a chunk's
tokens are a slice of its document's, and cutting a text in white space never changes a vector. Against
tokenising whole texts, nDCG@10 of the dense leg moved by 0.0 (scifact), +0.5 (cosqa), +2.9 (cookbook code),
+1.0 (chroma chunks): line breaks and indentation no longer dilute the mean.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING
from weakref import WeakValueDictionary

import numpy as np

from ragweft.embedding.words import WordTokenizer
from ragweft.errors import LoadError, RecipeError
from ragweft.types import Space

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from tokenizers import Tokenizer as HfTokenizer

    from ragweft.types import Encoding, TokenIds, Vector, Vectors

__all__ = ["DIMS", "StaticEmbedder"]

DIMS = (64, 128, 256)
"""Prefix sizes the table was trained to stay useful at (Matryoshka)."""

_TOKENISATION = "words64"


TOKEN_DIMS = 64
"""Of single token vectors: late interaction over 64 values is as good as over 256 (within 0.3 points of nDCG@10
up and down, on three collections) and a quarter of the work."""


class StaticEmbedder:
    """Mean of static token vectors, unit length. Implements `Embedder`, `Tokenizer` and `TokenEmbedder`."""

    def __init__(self, *, dims: int = 256) -> None:
        """Find the table, to be read on first use and truncated to *dims* (64, 128 or 256).

        Raises:
            RecipeError: *dims* is none of the sizes the table was trained for.
            LoadError: the wheel that holds the table is not installed or holds no table.
        """
        if dims not in DIMS:
            raise RecipeError(f"static embedder: dims = {dims} is not one of {', '.join(map(str, DIMS))}")
        weights, tokenizer = _data_files()
        self._files = _shared(weights, tokenizer)
        self._space = Space(
            model="static:wordllama-l2-supercat",
            dims=dims,
            revision=f"{_TOKENISATION}-{_fingerprint(weights, tokenizer)}",
        )

    def __repr__(self) -> str:
        return f"StaticEmbedder(dims={self._space.dims})"

    @property
    def space(self) -> Space:
        """The space of this table, tokenisation and truncation."""
        return self._space

    def encode(self, text: str) -> Encoding:
        """Token numbers of *text*, and for each the code point where its word begins."""
        return self._files.words().encode(text)

    def embed_tokens(self, batch: Sequence[TokenIds]) -> Vectors:
        """Unit mean of the token vectors of each text, float32, shape (len(batch), dims); zero for none."""
        table = self._files.full(self._space.dims)
        sums = np.zeros((len(batch), self._space.dims), dtype=np.float32)
        for row, ids in enumerate(batch):
            if len(ids):
                np.add.reduce(table[ids], axis=0, out=sums[row])
        return _unit(sums)

    def embed_documents(self, texts: Sequence[str]) -> Vectors:
        """Embed texts to be found: float32, shape (len(texts), dims), unit rows; zero for a blank text."""
        return self.embed_tokens([self._ids(text) for text in texts])

    def embed_query(self, text: str) -> Vector:
        """Embed a text to find with: float32, shape (dims,). The table knows no difference of roles."""
        total = (
            self._files.half(self._space.dims)[self._ids(text)].astype(np.float32).sum(axis=0, dtype=np.float32)
        )
        vector: Vector = _unit(total[np.newaxis, :])[0]
        return vector

    def token_vectors(self, dims: int = TOKEN_DIMS) -> Vectors:
        """Unit vectors of the whole vocabulary by their first *dims* values: float32, shape (32000, dims)."""
        return self._files.unit(dims)

    def token_table(self) -> NDArray[np.float16]:
        """Vectors of the whole vocabulary as the table has them, shape (32000, dims): longer ones tell more."""
        return self._files.half(self._space.dims)

    def _ids(self, text: str) -> TokenIds:
        tokenizer = self._files.words()
        return tokenizer.tokens(tokenizer.words(text))[0]


class _Files:
    """Table and tokenizer, each read at its first use, by whoever uses them in this process."""

    def __init__(self, weights: Path, tokenizer: Path) -> None:
        self._weights = weights
        self._tokenizer = tokenizer
        self._lock = threading.RLock()
        self._table: NDArray[np.float16] | None = None
        self._made: dict[tuple[str, int], Vectors] = {}
        self._words: WordTokenizer | None = None

    def half(self, dims: int) -> NDArray[np.float16]:
        """The first *dims* values of every token's vector."""
        if self._table is None:
            with self._lock:
                if self._table is None:
                    self._table = _load_table(self._weights)
        return self._table[:, :dims]

    def full(self, dims: int) -> Vectors:
        """The same in float32: a bulk gather is 3.8 times as fast as from float16; one query needs it not."""
        return self._once("full", dims, lambda table: table)

    def unit(self, dims: int) -> Vectors:
        """The same in float32, of length 1."""
        return self._once("unit", dims, _unit)

    def words(self) -> WordTokenizer:
        """The tokenizer."""
        if self._words is None:
            with self._lock:
                if self._words is None:
                    self._words = WordTokenizer(_load_tokenizer(self._tokenizer), spaced=False)
        return self._words

    def _once(self, kind: str, dims: int, make: Callable[[Vectors], Vectors]) -> Vectors:
        found = self._made.get((kind, dims))
        if found is None:
            with self._lock:
                found = self._made.get((kind, dims))
                if found is None:
                    found = make(np.ascontiguousarray(self.half(dims), dtype=np.float32))
                    found.flags.writeable = False
                    self._made[kind, dims] = found
        return found


# 16 MB and 0.1 s for each index a process opens, otherwise; let go with the last embedder.
_in_use: WeakValueDictionary[tuple[Path, Path], _Files] = WeakValueDictionary()


def _shared(weights: Path, tokenizer: Path) -> _Files:
    found = _in_use.get((weights, tokenizer))
    return _in_use.setdefault((weights, tokenizer), _Files(weights, tokenizer)) if found is None else found


def _unit(sums: Vectors) -> Vectors:
    norms = np.linalg.norm(sums, axis=1, keepdims=True)
    norms[norms == 0] = 1.0
    unit: Vectors = (sums / norms).astype(np.float32, copy=False)
    return unit


def _data_files() -> tuple[Path, Path]:
    spec = find_spec("wordllama")
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        weights = Path(folder) / "weights" / "l2_supercat_256.safetensors"
        tokenizer = Path(folder) / "tokenizers" / "l2_supercat_tokenizer_config.json"
        if weights.is_file() and tokenizer.is_file():
            return weights, tokenizer
    raise LoadError(
        "the static vectors are missing: the wordllama package is absent or holds no table; "
        "run  pip install --force-reinstall 'wordllama>=0.4,<0.5'"
    )


def _load_table(weights: Path) -> np.ndarray:
    from safetensors import safe_open

    with safe_open(weights, framework="np") as file:
        table: np.ndarray = file.get_tensor("embedding.weight")
        table.flags.writeable = False
        return table


def _load_tokenizer(path: Path) -> HfTokenizer:
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(path))
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return tokenizer


def _fingerprint(*paths: Path) -> str:
    """Name the files by samples of their bytes: a whole digest takes 48 ms, these 0.4."""
    digest = hashlib.blake2b(digest_size=4)
    for path in paths:
        size = path.stat().st_size
        with path.open("rb") as file:
            for offset in range(0, size, max(1, size // 16)):
                file.seek(offset)
                digest.update(file.read(4096))
        digest.update(size.to_bytes(8, "little"))
    return digest.hexdigest()
