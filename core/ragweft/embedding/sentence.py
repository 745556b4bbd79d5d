"""Any sentence-transformers model as an embedder: with its own prompts, at unit length, nothing cut in silence.

The weights are read at first use; until then space and window are known from the model's files.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeVar

import numpy as np

from ragweft.embedding.known import Known, prompts_in_words, recognised
from ragweft.embedding.local import LocalModel, allowed_in_a_program, batches, in_batches, room_beside
from ragweft.embedding.unit import unit_rows
from ragweft.embedding.words import Measure, measured_by
from ragweft.errors import RecipeError
from ragweft.providers.registry import check_dims
from ragweft.providers.windows import in_parts, joined, long_ones
from ragweft.types import Space

if TYPE_CHECKING:
    from ragweft.embedding.checkpoint import Checkpoint
    from ragweft.types import Vector, Vectors

__all__ = ["LoadedEncoder", "SentenceTransformerEmbedder"]

T = TypeVar("T")
_Role = Literal["document", "query"]
_Count = Callable[[str], int]


class LoadedEncoder(Protocol):
    """A `sentence_transformers.SentenceTransformer`, told by what is asked of it."""

    @property
    def encode_query(self) -> Any:
        """Texts to find with."""
        ...

    @property
    def encode_document(self) -> Any:
        """Texts to be found."""
        ...


class SentenceTransformerEmbedder:
    """An `Embedder` over a sentence-transformers model; safe to call from many threads at once."""

    def __init__(
        self,
        model: str | Path | LoadedEncoder,
        *,
        name: str | None = None,
        dims: int = 0,
        query_prompt: str | None = None,
        document_prompt: str | None = None,
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
                `SentenceTransformer`.
            name: what to call it in the space, instead of the hub's or the folder's name.
            dims: keep the first so many numbers of a vector, for models trained for that (see `check_dims`);
                0: all.
            query_prompt: put in front of a query; "" for nothing, None for the prompt the model was saved with
                or, where it has lost its prompts, for the one the registry knows it to want.
            document_prompt: the same for documents.
            batch_size: texts computed at once.
            device: "cpu", "cuda", "mps" …; None: the best there is.
            dtype: "float32", "float16" or "bfloat16"; None: as saved.
            window: tokens of one text, instead of those the model was saved to read. Longer texts are
                embedded in parts.
            trust_remote_code: run code that comes with the model.
            allow_untrained: take a checkpoint that was never trained to embed, pooled by its mean.

        Raises:
            MissingExtra: sentence-transformers is not installed.
            RecipeError: there is no such model here, it was not trained to embed, or *dims* or *window* is more
                than it has.
        """
        self._local = LocalModel(
            model,
            kind="SentenceTransformer",
            name=name,
            device=device,
            dtype=dtype,
            window=window,
            trust_remote_code=trust_remote_code,
            check=self._check,
        )
        self._given: Mapping[_Role, str | None] = {"query": query_prompt, "document": document_prompt}
        self._dims = dims
        self._batch_size = batch_size
        self._revised = window
        self._space: Space | None = None
        self._counted: _Count | None = None
        self._measured: Measure | None = None
        self._recognised: Known | None = None
        if self._local.checkpoint is not None:
            _refuse_untrained(self._local.checkpoint, allowed=allow_untrained)
            size = self._local.checkpoint.vector_size
            if size is not None and dims > size:
                raise RecipeError(f"{self.name}: dims = {dims} is more than its {size}")

    def __repr__(self) -> str:
        return f"SentenceTransformerEmbedder({self.name!r}, dims={self._dims or 'all'})"

    @property
    def name(self) -> str:
        """The hub's name, the folder's, or the one given."""
        return self._local.name

    @property
    def space(self) -> Space:
        """The space of this model, its document prompt, window and truncation."""
        if self._space is None:
            # The query prompt is left out: another one asks differently of the same stored vectors.
            decisive = [self._local.digest, self._prompt("document"), self._revised]
            revision = hashlib.blake2b(json.dumps(decisive).encode(), digest_size=6).hexdigest()
            dims = self._dims or self._size()
            self._space = Space(model=f"sentence-transformers:{self.name}", dims=dims, revision=revision)
        return self._space

    @property
    def window(self) -> int | None:
        """Tokens of one text the model reads at once, prompt and special tokens among them; None: no limit."""
        return self._local.window

    @property
    def warning(self) -> str:
        """What whoever fills an index with this embedder should know; "" for nothing."""
        try:
            self.check_dims()
        except RecipeError as error:
            unfit = f"{error}, for vectors cut to a size a model was not trained for find less"
        else:
            unfit = ""
        return "; ".join(filter(None, (self._lacking(), unfit)))

    def check_dims(self) -> None:
        """Refuse a vector size the model was not trained for, as far as the registry or its files tell.

        Raises:
            RecipeError: it is none of its sizes; the message names them.
        """
        if not self._dims:
            return
        if (listed := self._known.model) is not None:
            check_dims(listed, self._dims)
            return
        files, checkpoint = self._local.files, self._local.checkpoint
        own = checkpoint.vector_size if checkpoint is not None else self._local.load().get_embedding_dimension()
        shorter = files.shorter_sizes if files is not None else frozenset[int]()
        if own is not None and self._dims not in {own, *shorter}:
            sizes = " or ".join(str(size) for size in sorted({own, *shorter}))
            raise RecipeError(f"{self.name}: dims = {self._dims} is none of its sizes; choose {sizes}")

    @property
    def roles_differ(self) -> bool:
        """Whether other words are put in front of a query than of a document."""
        return self._prompt("query") != self._prompt("document")

    @property
    def special_tokens(self) -> frozenset[int]:
        """Numbers of the tokens that stand for no word, such as beginning, end and padding."""
        return frozenset(self._local.load().tokenizer.all_special_ids)

    def load(self) -> None:
        """Read the weights now, so that the first text need not wait.

        Raises:
            RecipeError: the model cannot be loaded.
        """
        self._local.load()

    @property
    def measure(self) -> Measure | None:
        """How the model counts what it will be given; None where only the loaded model could tell."""
        if self._measured is None:
            checkpoint = self._local.checkpoint
            tokenizer = checkpoint.tokenizer() if checkpoint is not None else None
            if tokenizer is None:
                return None
            counted = self._counted = self._count_without_torch()
            _, room = self._measure("document", counted)
            self._measured = measured_by(tokenizer, room)
        return self._measured

    def too_long(self, texts: Sequence[str]) -> list[int]:
        """Places of the documents longer than the window, by the model's own tokenizer: embedded in parts."""
        if self._counted is None:
            self._counted = self._count_without_torch()
        count, room = self._measure("document", self._counted)
        return long_ones(texts, window=room, count=count)

    def embed_documents(self, texts: Sequence[str]) -> Vectors:
        """As `Embedder.embed_documents`; zero for a blank text.

        Raises:
            ProviderError: the model failed.
            RecipeError: the model cannot be loaded.
        """
        return self._embed(texts, "document", None)[0]

    def embed_batches(self, texts: Sequence[str]) -> Iterator[tuple[list[int], Vectors]]:
        """As `BatchEmbedder.embed_batches`: without a GPU a batch takes seconds, which a crash need not cost.

        Raises:
            ProviderError: the model failed.
            RecipeError: the model cannot be loaded.
        """
        return in_batches(self.embed_documents, texts, self._batch_size)

    def embed_query(self, text: str) -> Vector:
        """As `Embedder.embed_query`; a question over the window is embedded in parts, too."""
        vector: Vector = self._embed([text], "query", None)[0][0]
        return vector

    def embed_and_read(
        self, texts: Sequence[str], read: Callable[[Mapping[str, Any]], T], *, role: _Role = "document"
    ) -> tuple[Vectors, list[list[T]]]:
        """The vectors of *texts*, and for each what *read* takes from its parts, in one pass.

        *read* is handed tensors on the model's device: `input_ids` and `attention_mask` of shape (n,),
        `token_embeddings` of shape (n, hidden). A text that fits the window is one part, a blank one none.

        Raises:
            ProviderError: the model failed.
            RecipeError: the model cannot be loaded.
        """
        return self._embed(texts, role, read)

    def _embed(
        self, texts: Sequence[str], role: _Role, read: Callable[[Mapping[str, Any]], T] | None
    ) -> tuple[Vectors, list[list[T]]]:
        out = np.zeros((len(texts), self.space.dims), dtype=np.float32)
        found: list[list[T]] = [[] for _ in texts]
        filled = [place for place, text in enumerate(texts) if text.strip()]
        if filled:
            self._local.load()
            count, room = self._measure(role, self._exact(role))
            parts, sizes = in_parts([texts[place] for place in filled], window=room, count=count)
            vectors, heard = self._run(parts, role, read)
            out[filled] = joined(vectors, parts, sizes, count=count)
            for owner, reading in zip(np.repeat(filled, sizes).tolist(), heard, strict=False):
                found[owner].append(reading)
        return out, found

    def _run(
        self, parts: Sequence[str], role: _Role, read: Callable[[Mapping[str, Any]], T] | None
    ) -> tuple[Vectors, list[T]]:
        """Unit vectors of *parts* and, if asked for, their readings; batches hold texts of like length."""
        vectors = np.empty((len(parts), self.space.dims), dtype=np.float32)
        heard: dict[int, T] = {}
        for batch in batches([len(part) for part in parts], self._batch_size):
            with self._local.turn() as model:
                encode = model.encode_query if role == "query" else model.encode_document
                raw = encode(
                    [parts[place] for place in batch],
                    prompt=self._prompt(role),
                    batch_size=self._batch_size,
                    output_value="sentence_embedding" if read is None else None,
                    show_progress_bar=False,
                )
                if read is not None:
                    heard.update((place, read(item)) for place, item in zip(batch, raw, strict=True))
                    raw = [item["sentence_embedding"].float().cpu().numpy() for item in raw]
            vectors[batch] = unit_rows(raw, texts=len(batch), dims=self.space.dims, name=self.name)
        return vectors, [heard[place] for place in sorted(heard)]

    def _prompt(self, role: _Role) -> str:
        given = self._given[role]
        if given is not None:
            return given
        saved = self._saved_prompts()
        listed = self._known.model
        # A model is saved with empty prompts where nobody named any: they say nothing of what it wants.
        if listed is None or any(saved.values()):
            return saved[role]
        return listed.query_prompt if role == "query" else listed.document_prompt

    def _saved_prompts(self) -> Mapping[_Role, str]:
        checkpoint = self._local.checkpoint
        own = checkpoint.prompts if checkpoint is not None else getattr(self._local.load(), "prompts", {})
        # The names and their order are those of `SentenceTransformer.encode_document`.
        names: Mapping[_Role, Sequence[str]] = {
            "query": ("query",),
            "document": ("document", "passage", "corpus"),
        }
        return {role: next((own[key] or "" for key in keys if key in own), "") for role, keys in names.items()}

    @property
    def _known(self) -> Known:
        if self._recognised is None:
            self._recognised = recognised(*self._local.names, checkpoint=self._local.files)
        return self._recognised

    def _lacking(self) -> str:
        """What to do about prompts a model of its family wants, and nobody gave."""
        kin = self._known.kin
        if kin is None or any(given is not None for given in self._given.values()):
            return ""
        if any(self._saved_prompts().values()):
            return ""
        said = f"nothing is put before its texts, but {kin.name}, which it seems akin to, wants"
        return (
            f"{self.name}: {said} {prompts_in_words(kin)}; if it was trained so, set query_prompt and "
            "document_prompt"
        )

    def _measure(self, role: _Role, tokens: _Count) -> tuple[_Count, int | None]:
        """How to count a text without its prompt and special tokens, and how many tokens it may have."""
        window = self.window
        if window is None:
            # Whatever counts here only weighs the parts of long texts, of which there are none.
            return len, None
        spent = tokens("")
        room = room_beside(spent, window=window, what=f"the {role} prompt", name=self.name)
        return lambda text: tokens(text) - spent, room

    def _exact(self, role: _Role) -> _Count:
        prompt = self._prompt(role)
        return lambda text: self._local.count(text, prompt=prompt, task=role)

    def _count_without_torch(self) -> _Count:
        tokenizer = self._local.checkpoint.tokenizer() if self._local.checkpoint is not None else None
        if tokenizer is None:
            return self._exact("document")
        prompt = self._prompt("document")
        return lambda text: len(tokenizer.encode(prompt + text).ids)

    def _size(self) -> int:
        """Numbers in one of its vectors; the weights are read only if its files do not tell."""
        checkpoint = self._local.checkpoint
        known = checkpoint.vector_size if checkpoint is not None else None
        size = known or self._local.load().get_embedding_dimension()
        if size is None:
            raise RecipeError(f"{self.name}: the model does not say how long its vectors are; give dims")
        return int(size)

    def _check(self, model: Any, checkpoint: Checkpoint | None) -> None:  # noqa: ARG002
        if not hasattr(model, "encode_query"):
            kind = type(model).__name__
            raise RecipeError(f"an embedder needs a SentenceTransformer, got a {kind}")


def _refuse_untrained(checkpoint: Checkpoint, *, allowed: bool) -> None:
    """Raise if sentence-transformers would put together what was never trained so, with but a log line."""
    if checkpoint.modules and checkpoint.kind != "SentenceTransformer":
        raise RecipeError(f"{checkpoint.name}: a {checkpoint.kind}, not an embedder; choose another model")
    if not checkpoint.modules and not allowed:
        how = allowed_in_a_program(checkpoint, "SentenceTransformer", "allow_untrained=True")
        raise RecipeError(
            f"{checkpoint.name}: no modules.json in {checkpoint.folder}, so it was not trained to embed and "
            f"its vectors would mean little; choose another model, or set allow_untrained {how}"
        )
