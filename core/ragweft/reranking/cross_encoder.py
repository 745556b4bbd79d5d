"""A cross-encoder reads question and passage together and says how well one answers the other.

A passage too long to be read at once is read in parts, and its best part counts (MaxP: Dai and Callan, "Deeper
Text Understanding for IR with Contextual Neural Language Modeling", SIGIR 2019).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from ragweft.embedding.local import LocalModel, allowed_in_a_program, batches, room_beside
from ragweft.errors import ProviderError, RecipeError
from ragweft.providers.windows import in_parts

if TYPE_CHECKING:
    from ragweft.embedding.checkpoint import Checkpoint
    from ragweft.types import Hit

__all__ = ["CrossEncoderReranker", "LoadedCrossEncoder"]


class LoadedCrossEncoder(Protocol):
    """A `sentence_transformers.CrossEncoder`, told by what is asked of it."""

    @property
    def predict(self) -> Any:
        """Pairs to scores."""
        ...


class CrossEncoderReranker:
    """A `Reranker` over a sentence-transformers cross-encoder; safe to call from many threads at once."""

    def __init__(
        self,
        model: str | Path | LoadedCrossEncoder,
        *,
        name: str | None = None,
        batch_size: int = 32,
        device: str | None = None,
        dtype: str | None = None,
        window: int | None = None,
        trust_remote_code: bool = False,
        allow_untrained: bool = False,
    ) -> None:
        """Find the model; its weights are read at first use.

        Args:
            model: a folder, a hub name whose files are in this machine's Hugging Face cache, or a loaded
                `CrossEncoder`.
            name: what to call it in origins and traces, instead of the hub's or the folder's name.
            batch_size: pairs computed at once.
            device: "cpu", "cuda", "mps" …; None: the best there is.
            dtype: "float32", "float16" or "bfloat16"; None: as saved.
            window: tokens of question and passage together, instead of what the model was saved to read.
            trust_remote_code: run code that comes with the model.
            allow_untrained: take a checkpoint without a trained classifier.

        Raises:
            MissingExtra: sentence-transformers is not installed.
            RecipeError: there is no such model here, or it was not trained to score pairs.
        """
        self._untrained = allow_untrained
        self._local = LocalModel(
            model,
            kind="CrossEncoder",
            name=name,
            device=device,
            dtype=dtype,
            window=window,
            trust_remote_code=trust_remote_code,
            check=self._check,
        )
        self._batch_size = batch_size
        if self._local.checkpoint is not None:
            _refuse_others(self._local.checkpoint, untrained=allow_untrained)

    def __repr__(self) -> str:
        return f"CrossEncoderReranker({self._local.name!r})"

    @property
    def name(self) -> str:
        """What answers: "cross-encoder:" and the model."""
        return f"cross-encoder:{self._local.name}"

    @property
    def window(self) -> int | None:
        """Tokens of question and passage it reads at once, special tokens among them; None: no limit."""
        return self._local.window

    def load(self) -> None:
        """Read the weights now, so that the first question need not wait.

        Raises:
            RecipeError: the model cannot be loaded, or was not trained to score pairs.
        """
        self._local.load()

    def rerank(self, query: str, hits: Sequence[Hit]) -> list[float]:
        """One score for each hit, in the order given, on the model's own scale.

        Raises:
            ProviderError: the model failed, or the question alone fills its window.
            RecipeError: the model cannot be loaded.
        """
        if not hits:
            return []
        texts = [hit.chunk.indexed_text for hit in hits]
        prompt = self._prompt()
        parts, sizes = self._parts(query, texts, prompt)
        scores = np.empty(len(parts), dtype=np.float32)
        for batch in batches([len(part) for part in parts], self._batch_size):
            with self._local.turn() as model:
                raw = model.predict(
                    [(query, parts[place]) for place in batch],
                    prompt=prompt or None,
                    batch_size=self._batch_size,
                    show_progress_bar=False,
                )
            if np.shape(raw) != (len(batch),) or not np.isfinite(raw).all():
                said = f"{np.shape(raw)} scores came out for {len(batch)} pairs, or one that is no number"
                raise ProviderError(
                    f"{self.name}: {said}; give CrossEncoderReranker a dtype of 'float32'", retryable=False
                )
            scores[batch] = raw
        firsts = np.cumsum(sizes, dtype=np.intp) - np.asarray(sizes, dtype=np.intp)
        return [float(best) for best in np.maximum.reduceat(scores, firsts)]

    def _parts(self, query: str, texts: Sequence[str], prompt: str) -> tuple[list[str], list[int]]:
        """The passages, too long ones in parts that fit the window beside the question."""
        self._local.load()
        window = self.window
        if window is None:
            return list(texts), [1] * len(texts)
        spent = self._local.count((query, ""), prompt=prompt)
        room = room_beside(spent, window=window, what="the question", name=self.name)
        return in_parts(
            texts, window=room, count=lambda text: self._local.count((query, text), prompt=prompt) - spent
        )

    def _prompt(self) -> str:
        model = self._local.load()
        return (getattr(model, "prompts", None) or {}).get(getattr(model, "default_prompt_name", None)) or ""

    def _check(self, model: Any, checkpoint: Checkpoint | None) -> None:
        """Raise if *model* gives more than one score, or one from weights that were never trained."""
        if not hasattr(model, "predict"):
            raise RecipeError(f"a reranker needs a CrossEncoder, got a {type(model).__name__}")
        if model.num_labels != 1:
            said = f"it gives {model.num_labels} scores for a pair, a reranker gives one"
            raise RecipeError(f"{getattr(checkpoint, 'name', 'the model given')}: {said}; choose another model")
        if checkpoint is None or checkpoint.modules or self._untrained:
            return
        saved = checkpoint.weight_names()
        body = f"{model.transformers_model.base_model_prefix}."
        head = [name for name, _ in model.transformers_model.named_parameters() if not name.startswith(body)]
        random = [name for name in head if not any(f".{each}".endswith(f".{name}") for each in saved)]
        if saved and random:
            raise RecipeError(
                _untrained(checkpoint, f"{', '.join(sorted(random)[:3])} are not among its weights")
            )


def _refuse_others(checkpoint: Checkpoint, *, untrained: bool) -> None:
    """Raise what can be known to be wrong before the weights are read."""
    if checkpoint.modules:
        if checkpoint.kind != "CrossEncoder":
            raise RecipeError(f"{checkpoint.name}: a {checkpoint.kind}, not a reranker; choose another model")
        return
    built = [str(name) for name in checkpoint.read("config.json").get("architectures") or ("no architecture",)]
    if not untrained and not any(name.endswith("ForSequenceClassification") for name in built):
        raise RecipeError(_untrained(checkpoint, f"it was saved as {', '.join(built)}"))


def _untrained(checkpoint: Checkpoint, why: str) -> str:
    how = allowed_in_a_program(checkpoint, "CrossEncoder", "allow_untrained=True")
    return (
        f"{checkpoint.name}: {why}, so it was not trained to score pairs and would answer at random; "
        f"choose a cross-encoder, or set allow_untrained {how}"
    )
