"""The structure-aware chunker: cuts documents where their authors did."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from types import MappingProxyType
from typing import TYPE_CHECKING, Self

from ragweft.chunking.blocks import Block, BlockReader, Tile, tiles
from ragweft.chunking.code import code_blocks
from ragweft.chunking.grammars import Grammars
from ragweft.chunking.markdown import markdown_blocks, page_blocks
from ragweft.chunking.pieces import Cutter, Piece, Unit, chunks
from ragweft.chunking.python import parsed_blocks, python_blocks
from ragweft.chunking.rst import rst_blocks
from ragweft.chunking.ruler import Ruler
from ragweft.chunking.sizes import Reserve, Room, Sizes
from ragweft.chunking.tables import table_blocks
from ragweft.chunking.text import text_blocks
from ragweft.chunking.trees import tree_blocks

if TYPE_CHECKING:
    from ragweft.protocols import Tokenizer
    from ragweft.types import Chunk, Document

FORMATS: Mapping[str, BlockReader] = MappingProxyType(
    {
        "markdown": markdown_blocks,
        "page": page_blocks,
        "rst": rst_blocks,
        "python": python_blocks,
        "code": code_blocks,
        "table": table_blocks,
        "text": text_blocks,
    }
)
"""How the structure of each `Document.format` is read; a format that is not here is read as "text"."""

_DEEPEST = 40
_CODE = ("code", "python")
_SCRAP = 16
_SCRAP_OF_CODE = 4
"""Shares of a chunk below which a piece is joined to its neighbour. Imports and heads of classes alone are
found for what others say: joining small siblings helps (cAST, arXiv 2506.15655; `benchmarks/golden.py`)."""


class StructureChunker:
    """Cuts along headings, definitions, lists, tables and paragraphs; inside them only what is too large.

    - What fits in one chunk whole (a section, a class, a table, a fenced block) is not cut.
    - Small sections next to each other under one parent share a chunk, also with the text of the parent
      around them; its `headings` are those of the parent. A section that had to be cut shares no chunk with
      another one beside it, scraps of a few tokens excepted; in code, whatever is less than a quarter of one
      (imports, the head of a class) joins its neighbour.
    - A heading stays with what follows it, and a list, a table or code with the sentence that leads in to it.
    - A chunk that begins among the rows of a table has the names of the columns as its last heading.
    - Where a section or definition had to be cut, each chunk but its first repeats the end of the one before,
      at most `overlap` times `size` tokens of it: whole paragraphs where the cut is between paragraphs, whole
      sentences or lines where it is inside one. Nothing is repeated across headings or from one definition to
      the next.
    - Every chunk holds at most `size - reserve` tokens, unless a single word alone holds more.

    Args:
        tokenizer: the embedder's; the document is encoded once.
        size: tokens a chunk and its context may hold together.
        overlap: share of `size`, from 0 to 0.5.
        reserve: tokens kept free for the context that will be put in front, or what tells them of a document.
        grammars: read code; None: those that are installed (extra `code`).

    Raises:
        RecipeError: a number is out of range.
    """

    def __init__(
        self,
        *,
        tokenizer: Tokenizer,
        size: int = 480,
        overlap: float = 0.15,
        reserve: Reserve = 0,
        grammars: Grammars | None = None,
    ) -> None:
        self._tokenizer = tokenizer
        self._sizes = Sizes(size=size, overlap=overlap, reserve=reserve)
        self._grammars = Grammars() if grammars is None else grammars

    @property
    def fingerprint(self) -> str:
        """The sizes, what reads code, and the version of the rules."""
        return f"structure/4 {self._sizes} code={self._grammars.fingerprint}"

    def chunk(self, document: Document) -> Sequence[Chunk]:
        """Cut *document* along the structure of its format."""
        text = document.text
        if not text.strip():
            return []
        ruler, blocks = Ruler(text, self._tokenizer), self._blocks(document)
        needs = self._sizes.needs(document)
        reserve = needs(())
        while True:
            room = self._sizes.beside(reserve)
            pieces = list(_pieces(blocks, ruler, room, is_code=document.format in _CODE))
            needed = [needs(piece.headings) for piece in pieces]
            if all(
                need <= reserve or ruler.reach(piece.start, piece.end, self._sizes.size - need) >= piece.end
                for piece, need in zip(pieces, needed, strict=True)
            ):
                break
            # The headings are known only once it is cut: where they do not fit beside it, it is cut again.
            reserve = max(needed)
        return chunks(document, pieces)

    def _blocks(self, document: Document) -> Sequence[Block]:
        """The blocks of a document; code is read by a grammar, where there is one, else by its indentation."""
        text, written = document.text, document.format
        if written not in _CODE:
            return FORMATS.get(written, text_blocks)(text)
        if written == "python" and (blocks := parsed_blocks(text)):
            return blocks
        language = "python" if written == "python" else document.metadata.get("code_language")
        parsed = self._grammars.parsed(text, language, place=document.source or document.id)
        return tree_blocks(parsed) if parsed is not None else code_blocks(text)


def _pieces(blocks: Sequence[Block], ruler: Ruler, room: Room, *, is_code: bool) -> Iterator[Piece]:
    cutter = Cutter(ruler, capacity=room.capacity, overlap=room.repeated)
    few = room.capacity // (_SCRAP_OF_CODE if is_code else _SCRAP)
    packed = _Packer(cutter, few if is_code else 0).pack(tiles(blocks, 0, len(ruler.text)))
    return _without_scraps(packed, ruler, room.capacity, few)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Item:
    """A section or definition, or the blocks between two of them."""

    run: Sequence[Tile]
    start: int
    end: int
    title: str | None

    @classmethod
    def of(cls, run: Sequence[Tile]) -> Self:
        """*run* as one item."""
        return cls(run=run, start=run[0].start, end=run[-1].end, title=run[0].block.title)


class _Packer:
    """Gives whole sections to pieces while they fit, and opens those that do not."""

    def __init__(self, cutter: Cutter, few: int) -> None:
        """Less than *few* tokens before a definition too large for one piece go with the first part of it."""
        self._cutter = cutter
        self._ruler = cutter.ruler
        self._few = few

    def pack(
        self, blocks: Iterable[Tile], *, path: tuple[str, ...] = (), lead: int | None = None, depth: int = 0
    ) -> Iterator[Piece]:
        """Pieces of *blocks* in order; the headings from *lead* on want to stay with the first of them."""
        capacity = self._cutter.capacity
        stream: list[Iterable[Unit]] = []
        waiting = lead
        end = begun = 0
        for item in self._items(blocks):
            start = item.start if waiting is None else waiting
            end = item.end
            tokens = self._ruler.count(start, end)
            if tokens <= capacity // 2 and all(_is_only_heading(tile.block) for tile in item.run):
                waiting = start
                continue
            waiting = None
            begun = begun if stream else start
            if tokens <= capacity:
                stream.append((self._unit(item, start, path),))
            elif item.title is None:
                stream.append(self._cutter.units(_led(item, start), path=path))
            else:
                if stream and self._ruler.count(begun, start) < self._few:
                    start = begun
                else:
                    yield from self._join(stream, start)
                stream = []
                yield from self._open(item, item.title, start, path, depth)
        if waiting is not None:
            stream.append((Unit(start=waiting, end=end, upto=self._ruler.index(end), path=path),))
        yield from self._join(stream, end)

    def _items(self, blocks: Iterable[Tile]) -> Iterator[_Item]:
        run: list[Tile] = []
        for tile in self._spliced(blocks, 0):
            if tile.block.title is None:
                run.append(tile)
                continue
            # What says nothing without what follows is an item of its own, which may wait for the section.
            said = len(run)
            while said and run[said - 1].block.keep:
                said -= 1
            yield from (_Item.of(some) for some in (run[:said], run[said:], [tile]) if some)
            run = []
        if run:
            yield _Item.of(run)

    def _spliced(self, blocks: Iterable[Tile], depth: int) -> Iterator[Tile]:
        """*blocks*, with large untitled ones that hold definitions (an `if`, say) replaced by their parts."""
        for tile in blocks:
            block, start, end = tile
            if block.title is None and block.parts is not None and depth < _DEEPEST:
                large = self._ruler.count(start, end) > self._cutter.capacity
                parts = block.parts() if large else ()
                if any(part.title is not None for part in parts):
                    yield from self._spliced(tiles(parts, start, end), depth + 1)
                    continue
            yield tile

    def _unit(self, item: _Item, start: int, path: tuple[str, ...]) -> Unit:
        titled = item.title is not None
        return Unit(
            start=start,
            end=item.end,
            upto=self._ruler.index(item.end),
            path=(*path, item.title) if item.title is not None else path,
            tile=item.run[0] if titled else None,
        )

    def _open(self, item: _Item, title: str, start: int, path: tuple[str, ...], depth: int) -> Iterator[Piece]:
        """Pieces of a section or definition that is too large for one."""
        block, begin, end = item.run[0]
        path = (*path, title)
        parts = block.parts() if block.parts is not None and depth < _DEEPEST else ()
        if parts:
            lead = start if start < begin else None
            yield from self.pack(tiles(parts, begin, end), path=path, lead=lead, depth=depth + 1)
        else:
            yield from self._join([self._cutter.units(_led(item, start), path=path)], end)

    def _join(self, stream: Iterable[Iterable[Unit]], end: int) -> Iterator[Piece]:
        """Neighbours joined as far as they fit together."""
        for piece in self._cutter.pieces(chain.from_iterable(stream), end=end):
            inner = _only_inner(piece.tile) if piece.tile is not None else ()
            yield replace(piece, path=(*piece.path, *inner))


def _led(item: _Item, start: int) -> list[Tile]:
    """The blocks of an item, with the headings before it, from *start* on, as the first."""
    lead = [Tile(Block(start=start, keep=True), start, item.start)] if start < item.start else []
    return [*lead, *item.run]


def _is_only_heading(block: Block) -> bool:
    """Whether nothing is said yet: a heading, or a section that holds nothing but its heading."""
    if block.title is None or block.parts is None:
        return block.keep
    parts = block.parts()
    return len(parts) == 1 and parts[0].keep


def _only_inner(tile: Tile) -> tuple[str, ...]:
    """Titles that hold for all of a section beside its own: that of an only section in it, and so on."""
    names: list[str] = []
    parts = tile.block.parts
    while parts is not None and len(names) < _DEEPEST:
        said = [part for part in parts() if not part.keep]
        if len(said) != 1 or said[0].title is None:
            break
        names.append(said[0].title)
        parts = said[0].parts
    return tuple(names)


def _without_scraps(pieces: Iterable[Piece], ruler: Ruler, capacity: int, few: int) -> Iterator[Piece]:
    """Join pieces of less than *few* tokens (a lone bracket, an empty section) to a neighbour with room."""
    kept: Piece | None = None
    for piece in pieces:
        if kept is None:
            kept = piece
            continue
        sizes = ruler.count(kept.start, kept.end), ruler.count(max(kept.end, piece.start), piece.end)
        if min(sizes) < few and ruler.reach(kept.start, piece.end, capacity) >= piece.end:
            path = kept.path if sizes[0] >= sizes[1] else piece.path
            kept = replace(kept, end=piece.end, path=path)
        else:
            yield kept
            kept = piece
    if kept is not None:
        yield kept
