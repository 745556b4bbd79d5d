"""Cuts where the text turns to something else, as an embedder sees it."""

from __future__ import annotations

from array import array
from bisect import bisect, insort
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np

from ragweft.chunking.blocks import Block, tiles
from ragweft.chunking.pieces import Cutter, Piece, Unit, chunks
from ragweft.chunking.ruler import Ruler
from ragweft.chunking.separators import SENTENCES, sentences_and_lines
from ragweft.chunking.sizes import Reserve, Room, Sizes
from ragweft.errors import ProviderError, RecipeError
from ragweft.protocols import TokenEmbedder

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ragweft.protocols import Embedder, Tokenizer
    from ragweft.types import Chunk, Document, Vectors

    Distances: TypeAlias = NDArray[np.float64]
    """One for each gap between two sentences, from 0 (the same) to 2 (the opposite)."""

Method: TypeAlias = Literal["percentile", "gradient"]

_BATCH = 1_024
"""Sentences embedded at once: bounds the memory of a long document, and is what a sync embeds at once."""
_HEAVIEST = 98
"""Weight of a cut between two sentences that say the same; below that of a cut inside a sentence."""


class SemanticChunker:
    """Cuts between sentences where the text before and the text after mean different things.

    The `group` sentences before every gap are compared with the `group` sentences after it (TextTiling, Hearst
    1997, with embeddings as in Kamradt's "5 Levels of Text Splitting", 2023). The gaps whose distance, or whose
    rise of distance, is above the `threshold`-th percentile of the document's are breakpoints; a rise counts
    for the peak it leads to. Taken from the widest gap down, a breakpoint counts unless it would leave less
    than `minimum` on one side. What is then still larger than a chunk may be is cut at its widest gaps. Every
    sentence is embedded once.

    95 is what LangChain and LlamaIndex begin with. Of groups of 1, 2, 3 and 5 sentences at 80, 90 and 95
    percent, 5 at 95 found most on the collection of Chroma's chunking report (2024), by 0.4 to 2.6 points of
    recall in 1,200 tokens, which is within the noise of its 472 questions.

    Args:
        tokenizer: the embedder's of the index; the document is encoded once.
        embedder: compares the sentences; if it is *tokenizer* itself, it starts from the tokens.
        size: tokens a chunk and its context may hold together.
        overlap: share of `size`, from 0 to 0.5; repeated where a chunk had to end, never across a breakpoint.
        reserve: tokens kept free for the context that will be put in front, or what tells them of a document.
        method: "percentile" of the distances, or of their "gradient", which finds turns in even text better.
        threshold: from 0 to 100; higher means fewer breakpoints.
        group: sentences on each side.
        minimum: share of `size`, from 0 to 0.5.

    Raises:
        RecipeError: a number is out of range, or there is no such method.
    """

    def __init__(
        self,
        *,
        tokenizer: Tokenizer,
        embedder: Embedder,
        size: int = 480,
        overlap: float = 0.15,
        reserve: Reserve = 0,
        method: Method = "percentile",
        threshold: float = 95.0,
        group: int = 5,
        minimum: float = 0.25,
    ) -> None:
        self._tokenizer = tokenizer
        self._embedder = embedder
        # An embedder that works from these very tokens is spared reading the text again.
        same = id(embedder) == id(tokenizer)
        self._by_tokens = embedder if same and isinstance(embedder, TokenEmbedder) else None
        self._sizes = Sizes(size=size, overlap=overlap, reserve=reserve)
        if method not in ("percentile", "gradient"):
            raise RecipeError(f"semantic chunking by {method!r}: choose 'percentile' or 'gradient'")
        if not 0 <= threshold <= 100:
            raise RecipeError(f"chunk threshold is {threshold}: give a percentile from 0 to 100")
        if group < 1:
            raise RecipeError(f"chunk group is {group}: give at least 1 sentence")
        if not 0 <= minimum <= 0.5:
            raise RecipeError(f"chunk minimum is {minimum}: give a share of the size from 0 to 0.5")
        self._method: Method = method
        self._threshold = threshold
        self._group = group
        self._minimum = minimum

    @property
    def fingerprint(self) -> str:
        """The sizes, what compares how, and the version of the rules."""
        how = f"{self._method}={self._threshold:g} group={self._group} minimum={self._minimum:g}"
        return f"semantic/1 {self._sizes} {how} model={self._embedder.space}"

    def chunk(self, document: Document) -> Sequence[Chunk]:
        """Cut *document* where it turns to something else.

        Raises:
            ProviderError: the embedder failed.
        """
        text = document.text
        if not text.strip():
            return []
        ruler = Ruler(text, self._tokenizer)
        cuts = array("q", (0,))
        cuts.extend(sentences_and_lines(text, 0, len(text)))
        cuts.append(len(text))
        distances = self._distances(ruler, cuts)
        return chunks(document, self._pieces(ruler, self._sizes.of(document), cuts, distances))

    def _pieces(self, ruler: Ruler, room: Room, cuts: Sequence[int], distances: Distances) -> Iterator[Piece]:
        cutter = Cutter(ruler, capacity=room.capacity, overlap=room.repeated)
        widths = distances / (float(distances.max(initial=0.0)) or 1.0)
        for first, last in pairwise(self._breakpoints(ruler, cuts, distances)):
            units = self._units(cutter, cuts, widths, first, last)
            yield from cutter.pieces(units, end=cuts[last])

    def _units(
        self, cutter: Cutter, cuts: Sequence[int], widths: Distances, first: int, last: int
    ) -> Iterator[Unit]:
        """The sentences from *first* to *last*; the closer two are, the more a cut between them hurts."""
        for number in range(first, last):
            weight = 1 + round(_HEAVIEST * (1 - float(widths[number - 1]))) if number > first else 0
            start, end = cuts[number], cuts[number + 1]
            sentence = tiles((Block(start=start, ladder=SENTENCES),), start, end)
            yield from cutter.units(sentence, weight=weight)

    def _breakpoints(self, ruler: Ruler, cuts: Sequence[int], distances: Distances) -> list[int]:
        """Numbers of the sentences that begin something else; the first, and at last how many there are."""
        chosen = [0, len(cuts) - 1]
        if not len(distances):
            return chosen
        widths = distances if self._method == "percentile" else _rises(distances)
        wide = np.flatnonzero(widths > np.percentile(widths, self._threshold))
        least = int(self._minimum * self._sizes.size)
        before = [ruler.index(cut) for cut in cuts]
        for gap in wide[np.argsort(-widths[wide], kind="stable")].tolist():
            place = bisect(chosen, gap + 1)
            low, high = before[chosen[place - 1]], before[chosen[place]]
            if min(before[gap + 1] - low, high - before[gap + 1]) >= least:
                insort(chosen, gap + 1)
        return chosen

    def _distances(self, ruler: Ruler, cuts: Sequence[int]) -> Distances:
        """For every gap between two sentences how far apart the groups around it are: 1 - cosine."""
        count, group = len(cuts) - 1, self._group
        found = np.empty(max(0, count - 1))
        held = np.empty((0, self._embedder.space.dims))
        first = done = 0  # number of the first sentence in `held`; gaps that are finished
        for start in range(0, count, _BATCH):
            stop = min(count, start + _BATCH)
            held = np.concatenate([held, self._weighted(ruler, cuts, start, stop)])
            ready = count - 1 if stop == count else max(done, stop - group)
            if ready > done:
                gaps = np.arange(done + 1, ready + 1) - first
                found[done:ready] = _apart(held, gaps, group)
            keep = max(first, ready + 1 - group)
            held, first, done = held[keep - first :], keep, ready
        return found

    def _weighted(self, ruler: Ruler, cuts: Sequence[int], start: int, stop: int) -> NDArray[np.float64]:
        """Vectors of some sentences times their tokens: the sum of some is about the vector of their text."""
        bounds = list(pairwise(cuts[start : stop + 1]))
        if self._by_tokens is not None:
            tokens = [ruler.tokens(begin, end) for begin, end in bounds]
            vectors = self._by_tokens.embed_tokens(tokens)
            sizes = np.array([len(ids) for ids in tokens], dtype=np.float64)
        else:
            vectors = self._embedder.embed_documents([ruler.text[begin:end].strip() for begin, end in bounds])
            sizes = np.array([max(1, ruler.count(begin, end)) for begin, end in bounds], dtype=np.float64)
        self._check(vectors, len(bounds))
        return vectors.astype(np.float64) * sizes[:, np.newaxis]

    def _check(self, vectors: Vectors, texts: int) -> None:
        space = self._embedder.space
        if vectors.shape != (texts, space.dims) or not np.isfinite(vectors).all():
            raise ProviderError(
                f"{space.model}: vectors of shape {vectors.shape}, or with NaN in them, came back for {texts} "
                "sentences; choose another model for semantic chunking",
                retryable=False,
            )


def _rises(distances: Distances) -> Distances:
    """For every peak how steep its steepest slope from before is, by numpy's gradient; 0 for the other gaps."""
    if len(distances) < 2:
        return distances
    steep = np.maximum(np.gradient(distances), 0.0)
    found = np.zeros_like(distances)
    climbed = 0.0
    for place, slope in enumerate(steep.tolist()):
        climbed = max(climbed, slope)
        if place + 1 == len(distances) or distances[place + 1] <= distances[place]:
            found[place] = climbed
            climbed = 0.0
    return found


def _apart(rows: NDArray[np.float64], gaps: NDArray[np.int64], group: int) -> Distances:
    """1 - cosine of the sums of up to *group* rows before and from each of *gaps* on; 0 where one is zero."""
    sums = np.concatenate([np.zeros((1, rows.shape[1])), np.cumsum(rows, axis=0)])
    before = sums[gaps] - sums[np.maximum(gaps - group, 0)]
    after = sums[np.minimum(gaps + group, len(rows))] - sums[gaps]
    lengths = np.linalg.norm(before, axis=1) * np.linalg.norm(after, axis=1)
    dots = np.einsum("ij,ij->i", before, after)
    cosines = np.divide(dots, lengths, out=np.ones_like(dots), where=lengths > 0)
    distances: Distances = np.clip(1.0 - cosines, 0.0, 2.0)
    return distances
