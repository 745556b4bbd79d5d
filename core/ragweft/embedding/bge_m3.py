"""BGE-M3's three outputs from one pass: a vector, a weight for every word, a vector for every token.

The dense vector is what sentence-transformers computes. The two other heads lie beside the weights as
`sparse_linear.pt` and `colbert_linear.pt` and are applied to the same token states, as FlagEmbedding does
(Chen et al., "BGE M3-Embedding", Findings of ACL 2024, section 3.2).

Of a query a search wants one output after the other, or two at once in two threads. The token states of the
last few queries are kept, so that the model runs once.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ragweft.embedding.checkpoint import find_checkpoint
from ragweft.embedding.recent import Recent
from ragweft.embedding.sentence import SentenceTransformerEmbedder
from ragweft.errors import RecipeError
from ragweft.providers.owned import PerProcess

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ragweft.embedding.words import Measure
    from ragweft.types import Space, Vector, Vectors

__all__ = ["BgeM3", "BgeM3Outputs"]

_SPARSE, _MULTI = "sparse_linear.pt", "colbert_linear.pt"
_REMEMBERED = 8
"""Queries: as many as are searched for side by side, rather than asked again."""
_LONGEST = 8_000
"""Characters of a query that is remembered: a token takes 4 KB."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BgeM3Outputs:
    """What one pass made of a batch of texts."""

    vectors: Vectors
    """As `BgeM3.embed_documents`."""
    lexical_weights: Sequence[Mapping[int, float]]
    """As `BgeM3.lexical_weights`; empty without that head."""
    token_vectors: Sequence[Vectors]
    """As `BgeM3.token_vectors`; empty without that head."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Read:
    """What the model made of one text, before the other heads."""

    vector: Vector
    parts: Sequence[tuple[Any, Any]]
    """Token numbers and states, tensors on the model's device; a text that fits the window is one part."""


class BgeM3:
    """An `Embedder` with the outputs for two more ways to search; safe to call from many threads at once."""

    def __init__(
        self,
        model: str | Path = "BAAI/bge-m3",
        *,
        name: str | None = None,
        batch_size: int = 16,
        device: str | None = None,
        dtype: str | None = None,
        window: int | None = None,
    ) -> None:
        """Find the model; see `SentenceTransformerEmbedder` for the settings.

        Raises:
            MissingExtra: sentence-transformers is not installed.
            RecipeError: there is no such model here, or *window* is more than it has.
        """
        checkpoint = find_checkpoint(model, organization="BAAI")
        self._folder = checkpoint.folder
        self._dense = SentenceTransformerEmbedder(
            checkpoint.folder,
            name=name or checkpoint.name,
            batch_size=batch_size,
            device=device,
            dtype=dtype,
            window=window,
        )
        self._heads: dict[str, _Head] = {}
        self._recent = PerProcess(lambda: Recent(self._read, most=_REMEMBERED))

    def __repr__(self) -> str:
        return f"BgeM3({self._dense.name!r})"

    @property
    def name(self) -> str:
        """The hub's name, the folder's, or the one given."""
        return self._dense.name

    @property
    def space(self) -> Space:
        """That of the dense vectors, the same as without the other heads."""
        return self._dense.space

    @property
    def window(self) -> int | None:
        """Tokens of one text it reads at once, special tokens among them."""
        return self._dense.window

    @property
    def measure(self) -> Measure | None:
        """How the model counts what it will be given."""
        return self._dense.measure

    @property
    def has_lexical_weights(self) -> bool:
        """Whether the head for words lies beside the weights."""
        return (self._folder / _SPARSE).is_file()

    @property
    def has_token_vectors(self) -> bool:
        """Whether the head for tokens lies beside the weights."""
        return (self._folder / _MULTI).is_file()

    def load(self) -> None:
        """Read the weights now, so that the first text need not wait.

        Raises:
            RecipeError: the model cannot be loaded.
        """
        self._dense.load()

    def too_long(self, texts: Sequence[str]) -> list[int]:
        """Places of the texts longer than the window, by the model's own tokenizer: embedded in parts."""
        return self._dense.too_long(texts)

    def embed_documents(self, texts: Sequence[str]) -> Vectors:
        """As `Embedder.embed_documents`; zero for a blank text.

        Raises:
            ProviderError: the model failed.
        """
        return self._dense.embed_documents(texts)

    def embed_batches(self, texts: Sequence[str]) -> Iterator[tuple[list[int], Vectors]]:
        """As `BatchEmbedder.embed_batches`.

        Raises:
            ProviderError: the model failed.
        """
        return self._dense.embed_batches(texts)

    def embed_query(self, text: str) -> Vector:
        """As `Embedder.embed_query`.

        Raises:
            ProviderError: the model failed.
        """
        return self._query(text).vector

    def query_token_vectors(self, text: str) -> Vectors:
        """As `token_vectors` of one query, of the same pass as its vector.

        Raises:
            RecipeError: the head for tokens is not there.
            ProviderError: the model failed.
        """
        head = self._head(_MULTI)
        return _stacked([_rows(head, states) for _, states in self._query(text).parts], head.size)

    def lexical_weights(self, texts: Sequence[str]) -> list[dict[int, float]]:
        """Token number to weight, above 0, for the words of each text; two texts match by the products' sum.

        A token that comes twice keeps its largest weight; a text over the window is read in parts. One text
        alone may be a query that was embedded before, or is being embedded in another thread: then the model
        does not run again.

        Raises:
            RecipeError: the head for words is not there.
            ProviderError: the model failed.
        """
        self._head(_SPARSE)
        if len(texts) == 1 and not self._dense.roles_differ:
            return [self._weighed(self._recent.get().get(texts[0], keep=False))]
        return [dict(weights) for weights in self._outputs(texts, (_SPARSE,)).lexical_weights]

    def query_weights(self, text: str) -> dict[int, float]:
        """As `lexical_weights` of one query, of the same pass as its vector, whichever is asked for first.

        Raises:
            RecipeError: the head for words is not there.
            ProviderError: the model failed.
        """
        self._head(_SPARSE)
        if self._dense.roles_differ:
            # Words that are put in front of a query alone are none of its own.
            return self.lexical_weights([text])[0]
        return self._weighed(self._query(text))

    def _weighed(self, read: _Read) -> dict[int, float]:
        head, special = self._head(_SPARSE), self._dense.special_tokens
        return _merged([_largest(ids, head(states), special) for ids, states in read.parts])

    def token_vectors(self, texts: Sequence[str]) -> list[Vectors]:
        """Unit vectors of the tokens of each text, all but the first special one: float32, shape (n, size).

        A text over the window is read in parts, whose vectors follow each other; a blank one has none.

        Raises:
            RecipeError: the head for tokens is not there.
            ProviderError: the model failed.
        """
        self._head(_MULTI)
        return list(self._outputs(texts, (_MULTI,)).token_vectors)

    def outputs(self, texts: Sequence[str]) -> BgeM3Outputs:
        """Everything the heads that are there make of *texts*, in one pass.

        Raises:
            RecipeError: a head is damaged.
            ProviderError: the model failed.
        """
        heads = [name for name in (_SPARSE, _MULTI) if (self._folder / name).is_file()]
        return self._outputs(texts, heads)

    def _outputs(self, texts: Sequence[str], heads: Sequence[str]) -> BgeM3Outputs:
        sparse = self._head(_SPARSE) if _SPARSE in heads else None
        multi = self._head(_MULTI) if _MULTI in heads else None
        special = self._dense.special_tokens if sparse is not None else frozenset[int]()

        def read(item: Mapping[str, Any]) -> tuple[dict[int, float], Vectors | None]:
            ids, states = _states(item)
            words = {} if sparse is None else _largest(ids, sparse(states), special)
            return words, None if multi is None else _rows(multi, states)

        vectors, found = self._dense.embed_and_read(texts, read)
        return BgeM3Outputs(
            vectors=vectors,
            lexical_weights=[_merged([words for words, _ in parts]) for parts in found] if sparse else [],
            token_vectors=[
                _stacked([rows for _, rows in parts if rows is not None], multi.size) for parts in found
            ]
            if multi
            else [],
        )

    def _query(self, text: str) -> _Read:
        return self._recent.get().get(text, keep=len(text) <= _LONGEST)

    def _read(self, text: str) -> _Read:
        vectors, (parts,) = self._dense.embed_and_read([text], _states, role="query")
        vector: Vector = vectors[0]
        vector.flags.writeable = False
        return _Read(vector=vector, parts=parts)

    def _head(self, name: str) -> _Head:
        if name not in self._heads:
            self._heads[name] = _Head(self._folder / name, model=self.name)
        return self._heads[name]


class _Head:
    """A linear layer saved by itself."""

    def __init__(self, file: Path, *, model: str) -> None:
        if not file.is_file():
            raise RecipeError(
                f"{model}: {file.name} is not in {file.parent}, so it has but its dense output; "
                f"run  hf download BAAI/bge-m3 {file.name}  or use another model"
            )
        self._file = file
        torch = importlib.import_module("torch")
        try:
            # weights_only: a file of weights must not be able to run code.
            saved = torch.load(file, map_location="cpu", weights_only=True)
            self._weight, self._bias = saved["weight"].float(), saved["bias"].float()
        # A damaged file raises whatever its first wrong byte leads to.
        except Exception as error:
            raise RecipeError(
                f"{file}: holds no linear layer ({type(error).__name__}); get it again"
            ) from error

    @property
    def size(self) -> int:
        """Numbers it makes of one token."""
        return int(self._weight.shape[0])

    def __call__(self, states: Any) -> Any:
        """The layer over *states* of shape (n, hidden), on their device: shape (n, size)."""
        wanted = int(self._weight.shape[1])
        if wanted != states.shape[1]:
            said = f"{self._file}: is for states of {wanted} numbers, the model's have {states.shape[1]}"
            raise RecipeError(f"{said}; use the file of the same model")
        self._weight, self._bias = self._weight.to(states.device), self._bias.to(states.device)
        return states @ self._weight.T + self._bias


def _states(item: Mapping[str, Any]) -> tuple[Any, Any]:
    """Numbers and states of a text's tokens, without padding."""
    mask = item["attention_mask"].bool()
    return item["input_ids"][mask], item["token_embeddings"][mask].float()


def _rows(head: _Head, states: Any) -> Vectors:
    """Unit vectors of all tokens but the first, which stands for the text."""
    return _unit(head(states[1:]))


def _stacked(parts: Sequence[Vectors], size: int) -> Vectors:
    return np.concatenate([np.zeros((0, size), np.float32), *parts])


def _largest(ids: Any, weights: Any, special: frozenset[int]) -> dict[int, float]:
    """The largest weight of each token, of those above 0."""
    best: dict[int, float] = {}
    for number, weight in zip(ids.tolist(), weights.squeeze(-1).tolist(), strict=True):
        if weight > best.get(number, 0.0) and number not in special:
            best[number] = weight
    return best


def _merged(parts: Sequence[Mapping[int, float]]) -> dict[int, float]:
    best: dict[int, float] = {}
    for part in parts:
        for number, weight in part.items():
            best[number] = max(weight, best.get(number, 0.0))
    return best


def _unit(rows: Any) -> NDArray[np.float32]:
    found: NDArray[np.float32] = rows.cpu().numpy().astype(np.float32)
    lengths = np.linalg.norm(found, axis=1, keepdims=True)
    unit: NDArray[np.float32] = np.divide(found, lengths, out=np.zeros_like(found), where=lengths > 0)
    return unit
