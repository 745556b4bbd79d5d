"""all-MiniLM-L6-v2 by onnxruntime, without torch: the model Chroma's own default embedding function uses.

Chroma pads every text to 256 tokens and cuts what is longer. Here a batch is as wide as its longest text, and a
longer text is embedded in parts.
"""

from __future__ import annotations

import importlib
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ragweft.embedding.checkpoint import Checkpoint, fingerprint, read_tokenizer
from ragweft.embedding.known import prompts_in_words, recognised
from ragweft.embedding.local import Turns, batches, in_batches, needed, room_beside, working
from ragweft.embedding.unit import unit_rows
from ragweft.embedding.words import Measure, measured_by
from ragweft.errors import RecipeError
from ragweft.providers.windows import in_parts, joined, long_ones
from ragweft.types import Space

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from tokenizers import Tokenizer

    from ragweft.types import Vector, Vectors

__all__ = ["CHROMA_FOLDER", "OnnxMiniLm"]

CHROMA_FOLDER = Path(".cache", "chroma", "onnx_models", "all-MiniLM-L6-v2", "onnx")
"""Where Chroma keeps the model, below the home directory."""

_NAME = "onnx:all-MiniLM-L6-v2"
_FILES = ("model.onnx", "tokenizer.json")
_FETCH = "from chromadb.utils.embedding_functions import ONNXMiniLM_L6_V2 as M; M()(['a'])"
_INPUTS = ("input_ids", "attention_mask", "token_type_ids")
_MOST_THREADS = 8


class OnnxMiniLm:
    """An `Embedder` over a BERT-like ONNX model, pooled by its mean; safe to call from many threads at once."""

    def __init__(
        self,
        folder: str | Path | None = None,
        *,
        window: int = 256,
        batch_size: int = 32,
        threads: int | None = None,
    ) -> None:
        """Find the model; it is read at first use.

        Args:
            folder: holds model.onnx and tokenizer.json; None: where Chroma has put them.
            window: tokens of one text; all-MiniLM-L6-v2 was trained on 256. Longer texts are embedded in parts.
            batch_size: texts computed at once.
            threads: cores it may use; None: all, but 8 at most.

        Raises:
            MissingExtra: onnxruntime is not installed.
            RecipeError: the model is not there, or has fewer positions than *window*.
        """
        needed("onnxruntime", extra="onnx")
        place = Path(folder).expanduser() if folder is not None else Path.home() / CHROMA_FOLDER
        if not all((place / name).is_file() for name in _FILES):
            advice = "give the folder that holds them"
            if folder is None:
                advice += f', or let Chroma fetch them once:  python -c "{_FETCH}"'
            raise RecipeError(f"{place}: {' and '.join(_FILES)} are not there; {advice}")
        self._folder = Checkpoint(name=_NAME, folder=place)
        positions = self._folder.positions
        if positions is not None and window > positions:
            raise RecipeError(f"{place}: window = {window} is more than the {positions} tokens it can read")
        self._window = window
        self._batch_size = batch_size
        self._threads = threads or min(_MOST_THREADS, os.cpu_count() or 1)
        self._turns = Turns()
        self._once = threading.Lock()
        self._session: Any = None
        self._words: Tokenizer | None = None
        self._measured: Measure | None = None
        self._space: Space | None = None

    def __repr__(self) -> str:
        return f"OnnxMiniLm({str(self._folder.folder)!r}, window={self._window})"

    @property
    def space(self) -> Space:
        """The space of this model and window."""
        if self._space is None:
            # A folder may hold no description of the model: then the vector of some token tells.
            described = self._folder.read("config.json").get("hidden_size")
            dims = int(described or self._pooled([self._tokens("a")]).shape[1])
            digest = fingerprint(self._folder.folder / name for name in _FILES)
            self._space = Space(model=_NAME, dims=dims, revision=f"{digest}-{self._window}")
        return self._space

    @property
    def window(self) -> int:
        """Tokens of one text it reads at once, special tokens among them."""
        return self._window

    @property
    def measure(self) -> Measure:
        """How the model counts what it will be given."""
        if self._measured is None:
            _, room = self._measure()
            self._measured = measured_by(self._tokenizer(), room)
        return self._measured

    @property
    def warning(self) -> str:
        """What whoever fills an index with this embedder should know; "" for nothing."""
        known = recognised(self._folder.folder.name, checkpoint=self._folder)
        wanting = known.model or known.kin
        if wanting is None or not (wanting.query_prompt or wanting.document_prompt):
            return ""
        return (
            f"{self._folder.folder}: the provider onnx puts nothing before a text, but {wanting.name} wants "
            f"{prompts_in_words(wanting)}; use  sentence-transformers:{self._folder.folder}"
        )

    def load(self) -> None:
        """Read the model now, so that the first text need not wait.

        Raises:
            RecipeError: its files are damaged or hold another kind of model.
        """
        self._loaded()

    def too_long(self, texts: Sequence[str]) -> list[int]:
        """Places of the texts longer than the window, by the model's own tokenizer: embedded in parts."""
        count, room = self._measure()
        return long_ones(texts, window=room, count=count)

    def embed_documents(self, texts: Sequence[str]) -> Vectors:
        """As `Embedder.embed_documents`; zero for a blank text.

        Raises:
            ProviderError: the model failed.
            RecipeError: the model cannot be read.
        """
        dims = self.space.dims
        out = np.zeros((len(texts), dims), dtype=np.float32)
        filled = [place for place, text in enumerate(texts) if text.strip()]
        if not filled:
            return out
        count, room = self._measure()
        parts, sizes = in_parts([texts[place] for place in filled], window=room, count=count)
        tokens = [self._tokens(part) for part in parts]
        vectors = np.empty((len(parts), dims), dtype=np.float32)
        for batch in batches([len(ids) for ids in tokens], self._batch_size):
            raw = self._pooled([tokens[place] for place in batch])
            vectors[batch] = unit_rows(raw, texts=len(batch), dims=dims, name=_NAME)
        out[filled] = joined(vectors, parts, sizes, count=count)
        return out

    def embed_batches(self, texts: Sequence[str]) -> Iterator[tuple[list[int], Vectors]]:
        """As `BatchEmbedder.embed_batches`: a batch takes seconds, which a crash need not cost.

        Raises:
            ProviderError: the model failed.
            RecipeError: the model cannot be read.
        """
        return in_batches(self.embed_documents, texts, self._batch_size)

    def embed_query(self, text: str) -> Vector:
        """As `Embedder.embed_query`; the model knows no difference of roles."""
        vector: Vector = self.embed_documents([text])[0]
        return vector

    def _measure(self) -> tuple[Callable[[str], int], int]:
        """How to count a text without special tokens, and how many tokens it may have."""
        special = len(self._tokens(""))
        room = room_beside(special, window=self._window, what="marking beginning and end", name=_NAME)
        return lambda text: len(self._tokens(text)) - special, room

    def _tokens(self, text: str) -> list[int]:
        return self._tokenizer().encode(text).ids

    def _tokenizer(self) -> Tokenizer:
        if self._words is None:
            self._words = read_tokenizer(self._folder.folder / "tokenizer.json")
        return self._words

    def _pooled(self, batch: Sequence[Sequence[int]]) -> NDArray[np.float32]:
        """The mean of the token states of each text: shape (len(batch), dims)."""
        ids = np.zeros((len(batch), max(map(len, batch))), dtype=np.int64)
        mask = np.zeros_like(ids)
        for row, tokens in enumerate(batch):
            ids[row, : len(tokens)] = tokens
            mask[row, : len(tokens)] = 1
        fed = dict(zip(_INPUTS, (ids, mask, np.zeros_like(ids)), strict=True))
        session = self._loaded()
        with self._turns, working(_NAME):
            states = session.run(None, {each.name: fed[each.name] for each in session.get_inputs()})[0]
        weights = mask[:, :, np.newaxis].astype(np.float32)
        pooled: NDArray[np.float32] = (states * weights).sum(axis=1) / weights.sum(axis=1)
        return pooled

    def _loaded(self) -> Any:
        if self._session is None:
            with self._once:
                if self._session is None:
                    self._session = self._opened()
        return self._session

    def _opened(self) -> Any:
        file = self._folder.folder / "model.onnx"
        onnxruntime = importlib.import_module("onnxruntime")
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        options.intra_op_num_threads = self._threads
        options.inter_op_num_threads = 1
        # Its threads would otherwise wait for the next batch by running in circles, on cores others need.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        try:
            session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
        # onnxruntime's errors share no class but this one.
        except Exception as error:
            raise RecipeError(f"{file}: cannot be read ({error}); get the model again") from error
        inputs = [each.name for each in session.get_inputs()]
        shape = session.get_outputs()[0].shape
        if not set(inputs) <= set(_INPUTS) or len(shape) != 3:
            said = f"takes {', '.join(inputs)} and gives {len(shape)} dimensions"
            raise RecipeError(f"{file}: {said}; an encoder takes {', '.join(_INPUTS)} and gives 3")
        return session
