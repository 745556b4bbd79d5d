"""`ragweft chunks`: how a file would be cut, in colour, with contexts and token counts."""

from __future__ import annotations

from contextlib import ExitStack, closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ragweft.cli.options import DebugOption, IndexOption, JsonOption, settle
from ragweft.cli.session import guarded, say
from ragweft.errors import LoadError
from ragweft.places import cited

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ragweft.cutting import Inspection
    from ragweft.recipe import Recipe
    from ragweft.types import Chunk

__all__ = ["chunks", "where"]

_COLOURS = ("cyan", "yellow", "green", "magenta", "blue")


def chunks(
    ctx: typer.Context,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The file; it is neither embedded nor stored.")],
    recipe: Annotated[
        str | None,
        typer.Option(
            "--recipe",
            metavar="SPEC",
            help="How to cut it, as in chunking.size=300 (default: the index's recipe, if there is an index).",
            show_default=False,
        ),
    ] = None,
    html: Annotated[
        Path | None,
        typer.Option(
            "--html", metavar="OUT", help="Write a page with the chunks on the text.", show_default=False
        ),
    ] = None,
    as_json: JsonOption = False,
    index: IndexOption = None,
    debug: DebugOption = False,
) -> None:
    """Show how a file is cut: each chunk with its lines, tokens, headings and context."""
    settings = settle(ctx, index=index, debug=debug)
    with guarded(settings):
        folder = settings.folder.expanduser().absolute()
        inspection = _inspected(file, _recipe(folder, recipe), folder)
        if html is not None:
            from ragweft.cli.chunks_page import page

            try:
                html.write_text(page(inspection, name=str(file)), encoding="utf-8")
            except OSError as error:
                raise LoadError(f"{html}: cannot be written ({error.strerror}); choose another place") from None
            say(f"written: {html}")
        if as_json:
            from ragweft.cli.payload import print_json

            print_json(_payload(inspection, file))
        elif html is None:
            _print(inspection, file)


def _recipe(folder: Path, spec: str | None) -> Recipe:
    from ragweft.cli.recipes import parse_spec
    from ragweft.opening import settle_recipe

    return parse_spec(spec)[1] if spec is not None else settle_recipe(folder, None)


def _inspected(file: Path, recipe: Recipe, folder: Path) -> Inspection:
    """What *recipe* makes of *file*, with the contexts that the index in *folder* has."""
    from ragweft.cutting import build_cutters, build_loader, inspect
    from ragweft.embedding import resolve_embedder
    from ragweft.embedding.static import StaticEmbedder
    from ragweft.ledger.context_store import ContextStore

    with closing(build_loader(recipe)) as loader:
        document = loader.load(file.expanduser().absolute())
    with ExitStack() as opened:

        def memory() -> ContextStore:
            return opened.enter_context(closing(ContextStore(folder / "contexts.db", read_only=True)))

        embedder = resolve_embedder(recipe.embedding)
        opened.callback(getattr(embedder, "close", _nothing))
        vocabulary = embedder if isinstance(embedder, StaticEmbedder) else StaticEmbedder()
        cutters = build_cutters(recipe, embedder, vocabulary, memory=memory)
        return inspect(document, opened.enter_context(closing(cutters)))


def _nothing() -> None:
    """What has nothing to be closed."""


def _print(inspection: Inspection, file: Path) -> None:
    from ragweft.cli.render import on_terminal

    if not inspection.chunks:
        say(f"{file}: no chunks, the document is empty")
        return
    if not on_terminal():
        for chunk, head in zip(inspection.chunks, _heads(inspection), strict=True):
            print(f"{head}\n{_context(chunk)}{chunk.text.strip(chr(10))}\n")
    else:
        _print_pretty(inspection)
    print(_summary(inspection))


def _print_pretty(inspection: Inspection) -> None:
    from rich.console import Console
    from rich.text import Text

    console = Console(highlight=False, emoji=False, soft_wrap=True)
    reached = 0
    for number, (chunk, head) in enumerate(zip(inspection.chunks, _heads(inspection), strict=True)):
        colour = _COLOURS[number % len(_COLOURS)]
        console.print(Text(head, f"bold {colour}"))
        if chunk.context:
            console.print(Text(_context(chunk).rstrip("\n"), "dim italic"))
        span = chunk.span
        shared = max(0, reached - span.start) if span is not None else 0
        body = Text()
        body.append(chunk.text[:shared], f"dim {colour}")
        body.append(chunk.text[shared:].rstrip("\n"), colour)
        console.print(body)
        console.print()
        reached = span.end if span is not None else reached


def _heads(inspection: Inspection) -> Iterator[str]:
    pairs = zip(inspection.chunks, inspection.tokens, inspection.context_tokens, strict=True)
    for number, (chunk, tokens, context) in enumerate(pairs, start=1):
        lines = where(chunk)
        path = f"  {' › '.join(chunk.headings)}" if chunk.headings else ""
        yield f"[{number}] {lines}  {tokens} + {context} tokens{path}"


def where(chunk: Chunk) -> str:
    """The lines or pages a chunk covers."""
    if chunk.place is not None:
        return cited(*chunk.place)
    return f"lines {chunk.lines[0]}-{chunk.lines[1]}" if chunk.lines else "somewhere"


def _context(chunk: Chunk) -> str:
    return "".join(f"| {line}\n" for line in chunk.context.split("\n")) if chunk.context else ""


def _summary(inspection: Inspection) -> str:
    sizes = sorted(
        tokens + context for tokens, context in zip(inspection.tokens, inspection.context_tokens, strict=True)
    )
    middle = sizes[len(sizes) // 2]
    written = f"; {inspection.unwritten:,} contexts are still to be written" if inspection.unwritten else ""
    return (
        f"{len(sizes):,} chunks of {sizes[0]:,} to {sizes[-1]:,} tokens with their contexts, half of them up "
        f"to {middle:,} (limit {inspection.size:,}){written}; {inspection.fingerprint}"
    )


def _payload(inspection: Inspection, file: Path) -> dict[str, object]:
    pairs = zip(inspection.chunks, inspection.tokens, inspection.context_tokens, strict=True)
    return {
        "file": str(file),
        "title": inspection.document.title,
        "format": inspection.document.format,
        "fingerprint": inspection.fingerprint,
        "size": inspection.size,
        "unwritten": inspection.unwritten,
        "chunks": [
            {
                "number": number,
                "id": chunk.id,
                "span": [chunk.span.start, chunk.span.end] if chunk.span else None,
                "lines": list(chunk.lines) if chunk.lines else None,
                "place": list(chunk.place) if chunk.place else None,
                "headings": list(chunk.headings),
                "tokens": tokens,
                "context_tokens": context,
                "context": chunk.context,
                "text": chunk.text,
            }
            for number, (chunk, tokens, context) in enumerate(pairs, start=1)
        ],
    }
