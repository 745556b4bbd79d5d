"""Hits into a prompt: merged, widened, without repetitions, numbered, within a number of tokens.

What is found is small, so that it is found exactly; what is read should be whole. Neighbouring and overlapping
hits of a document become one passage, what is left of the tokens goes to the sections around them, and what was
said already is not said again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from numbers import Integral, Real
from typing import TYPE_CHECKING, Literal, Protocol, get_args, runtime_checkable

from ragweft.choosing import diverse, without_copies
from ragweft.excerpts import Mark, excerpt
from ragweft.passages import Context, Passage
from ragweft.places import cited

if TYPE_CHECKING:
    from ragweft.types import Chunk, Hit, Vectors

__all__ = ["Context", "Expand", "Finding", "Library", "Passage", "characters", "pack"]

Expand = Literal["none", "section", "document"]

_CUT = "[…]"
_WORTH_READING = 0.25
"""Share of a hit's words below which a part of it is not worth its line of citation."""


class Library(Protocol):
    """Where packing reads more of a document than a hit holds."""

    def text(self, document_id: str) -> str | None:
        """The whole text; None if it is not there."""
        ...

    def chunks(self, document_id: str) -> Sequence[Chunk]:
        """Its chunks, in order."""
        ...

    def vectors(self, rows: Sequence[int]) -> Vectors | None:
        """The unit vectors of *rows*, float32, shape (len(rows), dims); None if one of them is gone."""
        ...

    def count(self, text: str) -> int:
        """Tokens of *text*, about."""
        ...


@runtime_checkable
class Finding(Protocol):
    """A library that knows where a question's words stand in a text."""

    def finder(self, query: str) -> Callable[[str], Sequence[Mark]]:
        """What marks the words of *query* in a text, in order."""
        ...


@dataclass(slots=True, kw_only=True)
class _Piece:
    """A stretch of a document that will be one passage."""

    hits: list[Hit]
    start: int
    end: int
    text: str
    whole: str | None
    """The document's text, if it still says what the hits say."""
    place: tuple[str, str] | None
    """First and last page, slide … of a document that has these."""
    rank: int

    @property
    def first(self) -> Hit:
        return self.hits[0]

    @property
    def cut(self) -> tuple[bool, bool]:
        """Whether something of its hits is missing before it, and behind."""
        spans = [_span(hit.chunk) for hit in self.hits]
        return min(start for start, _ in spans) < self.start, max(end for _, end in spans) > self.end


@dataclass(slots=True)
class _Shelf:
    """What is known of the documents the hits come from; each is read once."""

    library: Library | None
    _texts: dict[str, str | None] = field(default_factory=dict)
    _chunks: dict[str, Sequence[Chunk]] = field(default_factory=dict)

    def text(self, chunk: Chunk) -> str | None:
        """The text of its document, if the chunk still stands in it."""
        name, span = chunk.document_id, chunk.span
        if self.library is None or span is None:
            return None
        if name not in self._texts:
            self._texts[name] = self.library.text(name)
        text = self._texts[name]
        return text if text is not None and text[span.start : span.end] == chunk.text else None

    def chunks(self, name: str) -> Sequence[Chunk]:
        if name not in self._chunks:
            found = self.library.chunks(name) if self.library is not None else ()
            self._chunks[name] = [chunk for chunk in found if chunk.span is not None]
        return self._chunks[name]


def pack(
    hits: Iterable[Hit],
    *,
    max_tokens: int,
    count: Callable[[str], int],
    library: Library | None = None,
    expand: Expand = "section",
    diversity: float = 0.0,
    query: str = "",
) -> Context:
    """The best of *hits* as numbered passages of at most *max_tokens* together, headings included.

    The first hit there is no room for is cut to what is left, if that is a good part of it: to what a reranker
    found relevant or what holds most of the question's words, from the begin of a sentence (in code, a line).

    Args:
        hits: best first.
        max_tokens: for everything.
        count: tokens of a text, for whatever model will read it.
        library: where more of a document can be read; without it hits are only merged.
        expand: what is left of the tokens goes to the "section" around each passage, or to the whole "document"
            where that fits.
        diversity: from 0 to 1; above 0 hits are taken by maximal marginal relevance, with (1 - diversity) as
            its lambda (Carbonell and Goldstein, SIGIR 1998).
        query: what was asked, for a *library* that is `Finding`; "": a hit that is cut keeps its begin.

    Raises:
        TypeError: something that should be a number is none.
        ValueError: a number is out of range, or *expand* is none of its words.
    """
    _check(max_tokens, expand, diversity)
    ranked = list(hits)
    if diversity:
        ranked = diverse(ranked, diversity, library)
    fresh = without_copies(ranked)
    shelf = _Shelf(library)
    pieces: list[_Piece] = []
    left_out = 0
    find = library.finder(query) if query and isinstance(library, Finding) else _nowhere

    def fits(some: Sequence[_Piece]) -> bool:
        return count("\n\n".join(map(str, _numbered(some)))) <= max_tokens

    for rank, hit in enumerate(fresh):
        piece = _piece(hit, rank, shelf)
        grown = _with(pieces, piece)
        if fits(grown):
            pieces = grown
        elif not any(any(other.cut) for other in pieces) and (part := _with_part(pieces, piece, fits, find)):
            pieces = part
        else:
            left_out += 1
    if expand != "none":
        pieces = _widened(pieces, shelf, expand, fits=fits)
    context = Context(passages=_numbered(pieces), left_out=left_out, repeated=len(ranked) - len(fresh))
    return replace(context, tokens=count(str(context)) if pieces else 0)


def _check(max_tokens: object, expand: object, diversity: object) -> None:
    if not isinstance(max_tokens, Integral) or isinstance(max_tokens, bool):
        raise TypeError(f"max_tokens must be a whole number, got {max_tokens!r}")
    if not isinstance(diversity, Real) or isinstance(diversity, bool):
        raise TypeError(f"diversity must be a number from 0 to 1, got {diversity!r}")
    if max_tokens < 1:
        raise ValueError(f"max_tokens must be at least 1, got {max_tokens}")
    if not 0.0 <= float(diversity) <= 1.0:
        raise ValueError(f"diversity must be from 0 to 1, got {diversity}")
    if expand not in get_args(Expand):
        choices = ", ".join(f'"{word}"' for word in get_args(Expand))
        raise ValueError(f"expand must be one of {choices}, got {expand!r}")


def characters(text: str) -> int:
    """Tokens of *text* where nothing better is known: one for four characters, as English prose has."""
    return (len(text) + 3) // 4


def _widened(
    pieces: list[_Piece], shelf: _Shelf, expand: Expand, *, fits: Callable[[list[_Piece]], bool]
) -> list[_Piece]:
    """Each piece made wider step by step, the best first, until nothing more fits."""
    stuck: set[int] = set()
    while True:
        grew = False
        for piece in sorted(pieces, key=lambda piece: piece.rank):
            if any(piece.cut) or piece.rank in stuck or piece not in pieces:
                continue
            others = [other for other in pieces if other is not piece]
            options = (_with(others, wider) for wider in _wider(piece, shelf, expand))
            grown = next(filter(fits, options), None)
            if grown is None:
                stuck.add(piece.rank)
                continue
            pieces, grew = grown, True
        if not grew:
            return pieces


def _wider(piece: _Piece, shelf: _Shelf, expand: Expand) -> Iterator[_Piece]:
    """The piece with both neighbours, or the one after, or before: of its section, then of those around it."""
    if piece.whole is None:
        return
    siblings = shelf.chunks(piece.first.chunk.document_id)
    spans = [chunk.span for chunk in siblings]
    inside = [n for n, span in enumerate(spans) if span and span.start < piece.end and span.end > piece.start]
    if not inside:
        return
    headings = piece.first.chunk.headings
    levels = (
        range(len(headings), -1, -1) if expand == "document" else range(len(headings), len(headings) - 1, -1)
    )
    for level in levels:
        path = headings[:level]
        low, high = inside[0], inside[-1]
        while low > 0 and siblings[low - 1].headings[:level] == path:
            low -= 1
        while high + 1 < len(siblings) and siblings[high + 1].headings[:level] == path:
            high += 1
        before, after = max(low, inside[0] - 1), min(high, inside[-1] + 1)
        for first, last in ((before, after), (inside[0], after), (before, inside[-1])):
            one, other = spans[first], spans[last]
            if one is None or other is None:
                continue
            start, end = min(one.start, piece.start), max(other.end, piece.end)
            if (start, end) != (piece.start, piece.end):
                place = _spanning(siblings[first].place, siblings[last].place)
                yield replace(piece, start=start, end=end, text=piece.whole[start:end], place=place)


def _piece(hit: Hit, rank: int, shelf: _Shelf) -> _Piece:
    start, end = _span(hit.chunk)
    return _Piece(
        hits=[hit],
        start=start,
        end=end,
        text=hit.chunk.text,
        whole=shelf.text(hit.chunk),
        place=hit.chunk.place,
        rank=rank,
    )


def _with(pieces: Sequence[_Piece], new: _Piece) -> list[_Piece]:
    """*pieces* and *new*, joined to those it touches."""
    apart: list[_Piece] = []
    for piece in pieces:
        joined = _joined(piece, new)
        if joined is None:
            apart.append(piece)
        else:
            new = joined
    return sorted([*apart, new], key=lambda piece: piece.rank)


def _with_part(
    pieces: Sequence[_Piece],
    new: _Piece,
    fits: Callable[[Sequence[_Piece]], bool],
    find: Callable[[str], Sequence[Mark]],
) -> list[_Piece] | None:
    """*pieces* and as much of *new* as fits; None if that says too little to be worth a citation.

    The very first piece may be cut as short as must be: it is better than nothing.
    """
    text, hit = new.text, new.first

    def grown(start: int, end: int) -> list[_Piece]:
        part = replace(new, start=new.start + start, end=new.start + end, text=text[start:end])
        return _with(pieces, part)

    relevant = [Mark(start=s.start, end=s.end, terms=frozenset({"relevant"})) for s in hit.highlights[:1]]
    found = excerpt(
        text,
        relevant or find(text),
        fits=lambda start, end: fits(grown(start, end)),
        lines="code_language" in hit.chunk.metadata,
        least=_WORTH_READING if pieces else 0.0,
    )
    return grown(*found) if found else None


def _joined(one: _Piece, other: _Piece) -> _Piece | None:
    """Both as one, if they overlap or nothing but white space lies between; None if not."""
    if one.first.chunk.document_id != other.first.chunk.document_id:
        return None
    if one.first.chunk.span is None or other.first.chunk.span is None:
        return None
    left, right = sorted((one, other), key=lambda piece: (piece.start, piece.end))
    whole = one.whole if one.whole is not None else other.whole
    if whole is not None:
        if right.start > left.end and whole[left.end : right.start].strip():
            return None
        text = whole[left.start : max(left.end, right.end)]
    else:
        if right.start > left.end:
            return None
        text = left.text + right.text[left.end - right.start :] if right.end > left.end else left.text
    best, rest = (one, other) if one.rank <= other.rank else (other, one)
    return _Piece(
        hits=[*best.hits, *rest.hits],
        start=left.start,
        end=max(left.end, right.end),
        text=text,
        whole=whole,
        place=_spanning(left.place, right.place if right.end >= left.end else left.place),
        rank=best.rank,
    )


def _numbered(pieces: Sequence[_Piece]) -> tuple[Passage, ...]:
    return tuple(_passage(piece, number) for number, piece in enumerate(pieces, start=1))


def _passage(piece: _Piece, number: int) -> Passage:
    best = piece.first
    citation = replace(
        best.citation,
        lines=_lines(piece),
        headings=_shared([hit.chunk.headings for hit in piece.hits]),
        place=cited(*piece.place) if piece.place else "",
    )
    before, behind = piece.cut
    return Passage(
        number=number,
        text=f"{_CUT} " * before + piece.text.strip("\n") + f" {_CUT}" * behind,
        cut=before or behind,
        citation=citation,
        document_id=best.chunk.document_id,
        chunk_ids=tuple(hit.chunk.id for hit in piece.hits),
        score=best.score,
    )


def _span(chunk: Chunk) -> tuple[int, int]:
    """Where its text stands in its document; a chunk given by itself is all there is."""
    return (chunk.span.start, chunk.span.end) if chunk.span else (0, len(chunk.text))


def _nowhere(_text: str) -> Sequence[Mark]:
    return ()


def _spanning(first: tuple[str, str] | None, last: tuple[str, str] | None) -> tuple[str, str] | None:
    return None if first is None or last is None else (first[0], last[1])


def _lines(piece: _Piece) -> tuple[int, int] | None:
    if piece.first.chunk.lines is None:  # a file of pages, or a chunk given by itself
        return None
    if piece.whole is not None:
        first = piece.whole.count("\n", 0, piece.start) + 1
        return first, first + piece.text.rstrip("\n").count("\n")
    lines = [hit.chunk.lines for hit in piece.hits if hit.chunk.lines is not None]
    first, last = min(line for line, _ in lines), max(line for _, line in lines)
    if any(piece.cut):
        chunk = piece.first.chunk
        skipped = piece.start - _span(chunk)[0]
        first = (chunk.lines or (first, last))[0] + chunk.text.count("\n", 0, max(skipped, 0))
        last = first + piece.text.rstrip("\n").count("\n")
    return first, last


def _shared(paths: Sequence[tuple[str, ...]]) -> tuple[str, ...]:
    shared = paths[0]
    for path in paths[1:]:
        while path[: len(shared)] != shared:
            shared = shared[:-1]
    return shared
