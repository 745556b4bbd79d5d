"""Late chunking: a document is read whole, and every passage gets the mean of its own tokens' vectors.

Günther, Mohr, Wang and Xiao, "Late Chunking: Contextual Chunk Embeddings Using Long-Context Embedding Models"
(2024). A word's vector then knows the document around the passage it stands in, for the price of reading the
document once. It needs a model whose vector of a text *is* the mean of its token vectors.
"""

from __future__ import annotations

import importlib
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ragweft.embedding.mean_pooling import loaded, refuse_other_pooling, saved
from ragweft.embedding.sentence import SentenceTransformerEmbedder
from ragweft.embedding.unit import unit_rows
from ragweft.embedding.words import Measure
from ragweft.errors import ProviderError, RecipeError
from ragweft.types import Space, Span

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from ragweft.embedding.checkpoint import Checkpoint
    from ragweft.embedding.sentence import LoadedEncoder
    from ragweft.types import Vectors

__all__ = ["LateChunkingEmbedder"]

_OVERLAP = 256
"""Tokens two windows share, as in the authors' own evaluation; at most a quarter of a window."""
_SHARE = 4
_TOKENS_AT_ONCE = 8_192
"""Of windows computed together; a single longer one is computed alone."""
_LEAST_REPEATED = 16
"""Characters; a shorter repetition is chance."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Read:
    """A document as the model's tokenizer reads it."""

    prefix: list[int]
    """What stands in front of every window: marks and prompt."""
    content: list[int]
    suffix: list[int]
    ranges: list[tuple[int, int]]
    """For every passage which tokens of `content` are its own."""


class _Window(NamedTuple):
    """A stretch of a document the model reads at once."""

    group: int
    start: int
    end: int
    """Tokens of the document it reads …"""
    first: int
    last: int
    """… and those it speaks for: every token counts once, in the window it is farthest from the edge of."""


class LateChunkingEmbedder(SentenceTransformerEmbedder):
    """A `ContextualEmbedder` over a sentence-transformers model that pools by the mean.

    The passages of a document are put together again as the text they were cut from: what one repeats from the
    end of the one before is read once and counts to both, and what lay between two passages was white space,
    since chunks leave out nothing else. A context in front of the first one is read there and counts to it. A
    document longer than the model's window is read in windows that overlap. A lone passage gets the very vector
    the model gives it.

    A document is one stretch: each of its vectors depends on all of its passages.
    """

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
        overlap: int = _OVERLAP,
        trust_remote_code: bool = False,
    ) -> None:
        """Find the model; its weights are read at first use.

        *overlap* is how many tokens two windows of a long document share, at most a quarter of a window. All
        else is as of `SentenceTransformerEmbedder`.

        Raises:
            MissingExtra: sentence-transformers is not installed.
            RecipeError: there is no such model here, or it does not take the mean of its tokens for a text.
        """
        if overlap < 0:
            raise RecipeError(f"late chunking: overlap = {overlap}: give the tokens windows share, 0 or more")
        super().__init__(
            model,
            name=name,
            dims=dims,
            query_prompt=query_prompt,
            document_prompt=document_prompt,
            batch_size=batch_size,
            device=device,
            dtype=dtype,
            window=window,
            trust_remote_code=trust_remote_code,
        )
        self._overlap = overlap
        if self._local.checkpoint is not None:
            refuse_other_pooling(self.name, *saved(self._local.checkpoint))

    def __repr__(self) -> str:
        return f"LateChunkingEmbedder({self.name!r}, dims={self._dims or 'all'})"

    @property
    def space(self) -> Space:
        """The space of this model, read late: its vectors do not meet those of passages read apart."""
        apart = super().space
        return Space(model=apart.model, dims=apart.dims, revision=f"late{self._overlap}-{apart.revision}")

    @property
    def measure(self) -> Measure | None:
        """How the model counts; a passage may be as long as it likes, as its document is read in windows."""
        own = super().measure
        return None if own is None else Measure(tokenizer=own.tokenizer, room=None)

    def too_long(self, texts: Sequence[str]) -> list[int]:  # noqa: ARG002
        """None: a passage above the window is read in windows and pooled as one."""
        return []

    def stretches(self, texts: Sequence[str]) -> list[int]:
        """As `ContextualEmbedder.stretches`: all of a document, however long."""
        return [len(texts)] if texts else []

    def embed_groups(self, groups: Sequence[Sequence[str]]) -> Iterator[tuple[int, Vectors]]:
        """As `ContextualEmbedder.embed_groups`; zero for a blank text.

        Raises:
            ProviderError: the model failed.
            RecipeError: the model cannot be loaded.
        """
        laid = [_laid_out(group) for group in groups]
        yield from self._embed_spans([text for text, _ in laid], [spans for _, spans in laid])

    def embed_spans(self, text: str, spans: Sequence[Span]) -> Vectors:
        """Vectors of ranges of one text: float32, shape (len(spans), dims); zero for a range without words.

        Raises:
            ProviderError: the model failed.
            RecipeError: the model cannot be loaded.
        """
        ((_, vectors),) = self._embed_spans([text], [spans])
        return vectors

    def _embed_spans(
        self, texts: Sequence[str], spans: Sequence[Sequence[Span]]
    ) -> Iterator[tuple[int, Vectors]]:
        self._local.load()
        read = [self._read(text, own) for text, own in zip(texts, spans, strict=True)]
        windows = [window for place, one in enumerate(read) for window in self._windows(place, one)]
        missing = [0] * len(read)
        for window in windows:
            missing[window.group] += 1
        sums: dict[int, NDArray[np.float64]] = {}
        for place in range(len(read)):
            if not missing[place]:
                yield place, np.zeros((len(spans[place]), self.space.dims), dtype=np.float32)
        for batch in _batches(windows, read):
            for window, tokens in zip(batch, self._token_vectors(batch, read), strict=True):
                place = window.group
                part = _summed(tokens, window, read[place], include_prompt=self._includes_prompt())
                sums[place] = sums[place] + part if place in sums else part
                missing[place] -= 1
                if not missing[place]:
                    yield place, self._finished(sums.pop(place))

    def _read(self, text: str, spans: Sequence[Span]) -> _Read:
        prompt = self._prompt("document")
        with self._local.turn() as model:
            whole = prompt + (_lowered(text) if getattr(model[0], "do_lower_case", False) else text)
            encoded = model.tokenizer(
                whole,
                truncation=False,
                verbose=False,
                return_offsets_mapping=True,
                return_special_tokens_mask=True,
            )
        ids, marks, offsets = (encoded[key] for key in ("input_ids", "special_tokens_mask", "offset_mapping"))
        own = [at for at, mark in enumerate(marks) if not mark and offsets[at][1] > len(prompt)]
        first, last = (own[0], own[-1] + 1) if own else (len(ids), len(ids))
        starts = [max(0, offsets[at][0] - len(prompt)) for at in range(first, last)]
        ends = [offsets[at][1] - len(prompt) for at in range(first, last)]
        ranges = [(bisect_right(ends, span.start), bisect_left(starts, span.end)) for span in spans]
        blank = [not text[span.start : span.end].strip() for span in spans]
        return _Read(
            prefix=ids[:first],
            content=ids[first:last],
            suffix=ids[last:],
            ranges=[(0, 0) if empty else own for own, empty in zip(ranges, blank, strict=True)],
        )

    def _windows(self, place: int, read: _Read) -> Iterator[_Window]:
        """Windows that cover a document, the last one as full as the others."""
        total = len(read.content)
        if not any(start < end for start, end in read.ranges):
            return
        room = total if self.window is None else self.window - len(read.prefix) - len(read.suffix)
        if room < 1:
            raise ProviderError(
                f"{self.name}: the document prompt fills its window of {self.window} tokens; shorten it",
                retryable=False,
            )
        step = room - min(self._overlap, room // _SHARE)
        starts = [*range(0, max(1, total - room), step), max(0, total - room)]
        starts = sorted(set(starts))
        # Between two windows, the middle of what both read.
        turns = [(after + min(before + room, total)) // 2 for before, after in pairwise(starts)]
        for start, first, last in zip(starts, [0, *turns], [*turns, total], strict=True):
            yield _Window(place, start, min(start + room, total), first, last)

    def _token_vectors(self, batch: Sequence[_Window], read: Sequence[_Read]) -> Iterator[NDArray[np.float32]]:
        """For each window the vectors of its tokens, marks and prompt among them: shape (tokens, hidden)."""
        rows = [
            [*read[w.group].prefix, *read[w.group].content[w.start : w.end], *read[w.group].suffix]
            for w in batch
        ]
        longest = max(map(len, rows))
        torch = importlib.import_module("torch")
        with self._local.turn() as model, torch.inference_mode():
            filler = model.tokenizer.pad_token_id or 0
            ids = [row + [filler] * (longest - len(row)) for row in rows]
            mask = [[1] * len(row) + [0] * (longest - len(row)) for row in rows]
            features = {
                "input_ids": torch.tensor(ids, device=model.device),
                "attention_mask": torch.tensor(mask, device=model.device),
            }
            if "token_type_ids" in model.tokenizer.model_input_names:
                features["token_type_ids"] = torch.zeros_like(features["input_ids"])
            found = model[0](features)["token_embeddings"].float().cpu().numpy()
        for row, vectors in zip(rows, found, strict=True):
            yield vectors[: len(row)]

    def _includes_prompt(self) -> bool:
        """Whether the model pools its prompt too."""
        return not self._prompt("document") or bool(getattr(self._local.load()[1], "include_prompt", True))

    def _finished(self, sums: NDArray[np.float64]) -> Vectors:
        """Unit vectors of *sums*, the last column of which says of how many tokens each is the sum."""
        counts = np.maximum(sums[:, -1:], 1.0)
        means = (sums[:, :-1] / counts).astype(np.float32)
        torch = importlib.import_module("torch")
        with self._local.turn() as model, torch.inference_mode():
            features = {"sentence_embedding": torch.tensor(means, device=model.device, dtype=model.dtype)}
            for module in list(model)[2:]:
                features = module(features)
            raw = features["sentence_embedding"].float().cpu().numpy()
        vectors = unit_rows(raw, texts=len(means), dims=self.space.dims, name=self.name)
        vectors[sums[:, -1] == 0] = 0.0
        return vectors

    def _check(self, model: Any, checkpoint: Checkpoint | None) -> None:
        super()._check(model, checkpoint)
        refuse_other_pooling(self.name if checkpoint is not None else "the model given", *loaded(model))
        if not getattr(model.tokenizer, "is_fast", False):
            raise RecipeError(
                "late chunking must know where tokens stand, which this model's tokenizer does not tell: "
                "choose another model or set late_chunking = false"
            )


def _laid_out(passages: Sequence[str]) -> tuple[str, list[Span]]:
    """The text *passages* were cut from and where each stands in it."""
    text, spans, before = "", list[Span](), ""
    for passage in passages:
        if not passage.strip():
            spans.append(Span(start=len(text), end=len(text)))
            continue
        again = _repeated(before, passage)
        text += "\n\n" if text and not again else ""
        start = len(text) - again
        text += passage[again:]
        spans.append(Span(start=start, end=start + len(passage)))
        before = passage
    return text, spans


def _repeated(before: str, passage: str) -> int:
    """How many characters at the begin of *passage* are the end of the one *before*."""
    seed = passage[:_LEAST_REPEATED]
    at = before.find(seed) if len(seed) == _LEAST_REPEATED else -1
    while at >= 0:
        if passage.startswith(before[at:]):
            return len(before) - at
        at = before.find(seed, at + 1)
    return 0


def _batches(windows: Sequence[_Window], read: Sequence[_Read]) -> Iterator[list[_Window]]:
    """Windows of like length together, longest first, about as many tokens at once as one long text has."""
    marks = [len(one.prefix) + len(one.suffix) for one in read]
    lengths = {window: window.end - window.start + marks[window.group] for window in windows}
    batch: list[_Window] = []
    for window in sorted(windows, key=lambda window: -lengths[window]):
        if batch and (len(batch) + 1) * lengths[batch[0]] > _TOKENS_AT_ONCE:
            yield batch
            batch = []
        batch.append(window)
    if batch:
        yield batch


def _summed(
    tokens: NDArray[np.float32], window: _Window, read: _Read, *, include_prompt: bool
) -> NDArray[np.float64]:
    """For each passage the sum of the vectors of its tokens this window speaks for, and how many they are.

    The marks and the prompt in front of a document count to the passage its first token is in, those behind it
    to that of the last: so they are counted where the model counts them.
    """
    total, lead = len(read.content), len(read.prefix)
    ones = np.ones((len(tokens), 1))
    counted = np.concatenate([tokens.astype(np.float64), ones], axis=1)
    sums = np.concatenate([np.zeros((1, counted.shape[1])), np.cumsum(counted, axis=0)])
    out = np.zeros((len(read.ranges), counted.shape[1]))
    for place, (start, end) in enumerate(read.ranges):
        if start >= end:
            continue
        low = max(start, window.first) - window.start + lead
        high = min(end, window.last) - window.start + lead
        if low < high:
            out[place] = sums[high] - sums[low]
        if start == 0 and window.start == 0 and include_prompt:
            out[place] += sums[lead]
        if end == total and window.end == total:
            out[place] += sums[len(tokens)] - sums[len(tokens) - len(read.suffix)]
    return out


def _lowered(text: str) -> str:
    """*text* in small letters, as long as before: where that takes two characters the letter stays."""
    lowered = text.lower()
    if len(lowered) == len(text):
        return lowered
    return "".join(small if len(small := letter.lower()) == 1 else letter for letter in text)
