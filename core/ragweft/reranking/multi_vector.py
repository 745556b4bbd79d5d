"""Late interaction by a neural model: every token of the question finds its match in the passage.

MaxSim (Khattab and Zaharia, "ColBERT", SIGIR 2020): for each token of the question the largest cosine to any
token of the passage; their mean is the score.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from ragweft.errors import RecipeError

if TYPE_CHECKING:
    from ragweft.embedding.bge_m3 import BgeM3
    from ragweft.types import Hit

__all__ = ["MultiVectorReranker"]


class MultiVectorReranker:
    """A `Reranker` over BGE-M3's token vectors; safe to call from many threads at once."""

    def __init__(self, model: BgeM3) -> None:
        """Rerank by *model*, which may serve as the embedder as well: its weights are in memory once.

        Raises:
            RecipeError: the model has no head for token vectors.
        """
        if not model.has_token_vectors:
            raise RecipeError(
                f"{model.name}: colbert_linear.pt is not beside its weights, so it gives no token vectors; "
                "run  hf download BAAI/bge-m3 colbert_linear.pt  or choose another reranker"
            )
        self._model = model

    def __repr__(self) -> str:
        return f"MultiVectorReranker({self._model!r})"

    @property
    def name(self) -> str:
        """What answers: "multi-vector:" and the model."""
        return f"multi-vector:{self._model.name}"

    def load(self) -> None:
        """Read the weights now, so that the first question need not wait.

        Raises:
            RecipeError: the model cannot be loaded.
        """
        self._model.load()

    def rerank(self, query: str, hits: Sequence[Hit]) -> list[float]:
        """The mean over the question's tokens of their best cosine, from -1 to 1; 0 where either is blank.

        Raises:
            ProviderError: the model failed.
        """
        if not hits:
            return []
        asked = self._model.query_token_vectors(query)
        passages = self._model.token_vectors([hit.chunk.indexed_text for hit in hits])
        if not len(asked):
            return [0.0] * len(hits)
        return [float(np.max(asked @ rows.T, axis=1).mean()) if len(rows) else 0.0 for rows in passages]
