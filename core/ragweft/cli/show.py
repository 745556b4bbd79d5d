"""`ragweft show`: a chunk or a document as it is stored."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ragweft.cli.options import DebugOption, IndexOption, JsonOption, settle
from ragweft.cli.session import guarded, opened
from ragweft.errors import LoadError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ragweft.excerpts import Mark
    from ragweft.index import Index
    from ragweft.types import Hit

__all__ = ["show"]

_PLACE = re.compile(r"(?P<path>.+):(?P<line>[0-9]+)")


def show(
    ctx: typer.Context,
    name: Annotated[
        str,
        typer.Argument(
            metavar="ID", help="A chunk's id, a document's id or URI, a path, or path:line as cited by search."
        ),
    ],
    as_json: JsonOption = False,
    index: IndexOption = None,
    debug: DebugOption = False,
) -> None:
    """Print a chunk or a document as it is stored.

    A document is printed chunk by chunk, with line numbers.
    """
    settings = settle(ctx, index=index, debug=debug)
    with guarded(settings), opened(settings) as opened_index:
        hits = _find(opened_index, name)
        if as_json:
            from ragweft.cli.payload import chunk_payload, print_json

            print_json({"id": name, "chunks": [chunk_payload(hit) for hit in hits]})
        else:
            _print(hits)


def _find(index: Index, name: str) -> Sequence[Hit]:
    """The chunks *name* stands for.

    Raises:
        LoadError: there are none.
    """
    chunk = index.chunk(name)
    if chunk is not None:
        return [chunk]
    found = _document(index, name)
    if found is not None:
        return found
    place = _PLACE.fullmatch(name)
    around = _document(index, place["path"]) if place is not None else None
    if place is not None and around is not None:
        line = int(place["line"])
        covering = [hit for hit in around if hit.chunk.lines and _covers(hit.chunk.lines, line)]
        if covering:
            return covering
    raise LoadError(
        f"{name}: no chunk or document of that name in {index.path}; search for it, or sync it first"
    )


def _covers(lines: tuple[int, int], line: int) -> bool:
    return lines[0] <= line <= lines[1]


def _document(index: Index, name: str) -> Sequence[Hit] | None:
    """The chunks of the document called *name* or lying at that path; None if there is no such document."""
    from ragweft.uris import source_uri

    names = [name]
    if "://" not in name:
        names.append(source_uri(Path(name).expanduser().absolute()))
    for candidate in names:
        chunks = index.document(candidate)
        if chunks or index.text(candidate) is not None:
            return chunks
    return None


def _print(hits: Sequence[Hit]) -> None:
    from ragweft.cli.render import PLAIN_WIDTH, is_code, on_terminal, plain_lines, shown
    from ragweft.cli.wording import printable

    if not hits:
        print("no chunks: the document is empty")
        return
    whole = max(len(hit.chunk.text) for hit in hits) + 1
    if on_terminal():
        from ragweft.cli.terminal import Terminal

        terminal = Terminal()
        for place, hit in enumerate(hits):
            if place:
                terminal.gap()
            terminal.hit(hit, _nothing, size=whole, above=map(printable, _remarks(hit)))
        return
    for place, hit in enumerate(hits):
        if place:
            print()
        width = None if is_code(hit) else PLAIN_WIDTH
        print("\n".join(plain_lines(hit.citation, shown(hit, _nothing, width=width, size=whole).lines)))


def _nothing(_text: str) -> tuple[Mark, ...]:
    return ()


def _remarks(hit: Hit) -> Iterator[str]:
    from ragweft.cli.render import beside

    chunk = hit.chunk
    yield f"chunk {chunk.id}"
    if chunk.context:
        yield f"context: {beside(chunk)}"
