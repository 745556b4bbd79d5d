"""`ragweft chunks`: how a file would be cut, in colour, with contexts and token counts."""

from __future__ import annotations

from contextlib import ExitStack, closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ragweft.cli.options import DebugOption, IndexOption, JsonOption, settle
from ragweft.cli.session import guarded, put, say
from ragweft.cli.wording import counted, harmless, printable
from ragweft.errors import LoadError
from ragweft.places import cited

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ragweft.cutting import Inspection
    from ragweft.recipe import Recipe
    from ragweft.types import Chunk

__all__ = ["chunks", "where"]

_COLOURS = ("cyan", "yellow", "green", "magenta", "blue")
_SAMPLE = 1 << 16
"""Bytes that tell whether a file is text."""
_CUT = {
    "structure": "structure",
    "sentence": "sentences",
    "semantic": "meaning",
    "recursive": "paragraphs and lines",
    "fixed": "number of tokens",
}


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
    """Show how a file is cut.

    Each chunk comes with its lines, its tokens and those of its context, headings and context.
    """
    settings = settle(ctx, index=index, debug=debug)
    with guarded(settings):
        folder = settings.folder.expanduser().absolute()
        chosen = _recipe(folder, recipe)
        inspection = _inspected(file, chosen, folder)
        if html is not None:
            from ragweft.cli.chunks_page import page

            try:
                # A file name may hold stray bytes.
                made = page(inspection, name=str(file), how=_how(chosen))
                html.write_text(made, encoding="utf-8", errors="backslashreplace")
            except OSError as error:
                raise LoadError(f"{html}: cannot be written ({error.strerror}); choose another place") from None
            say(f"written: {html}")
        if as_json:
            from ragweft.cli.payload import print_json

            print_json(_payload(inspection, file))
        elif html is None:
            _print(inspection, file, chosen)


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

    path = file.expanduser()
    _check(file, path)
    with closing(build_loader(recipe)) as loader:
        document = loader.load(path)
    with ExitStack() as opened:

        def memory() -> ContextStore:
            return opened.enter_context(closing(ContextStore(folder / "contexts.db", read_only=True)))

        embedder = resolve_embedder(recipe.embedding)
        opened.callback(getattr(embedder, "close", _nothing))
        vocabulary = embedder if isinstance(embedder, StaticEmbedder) else StaticEmbedder()
        cutters = build_cutters(recipe, embedder, vocabulary, memory=memory)
        return inspect(document, opened.enter_context(closing(cutters)))


def _check(file: Path, path: Path) -> None:
    """Say what to do with a folder, and with a text that no loader takes for one.

    Raises:
        LoadError: *path* is one of these.
    """
    from ragweft.loading.decoding import NotText, decode
    from ragweft.loading.formats import file_format

    if path.is_dir():
        raise LoadError(f"{file}: is a folder; name a file in it, or index all of it with  ragweft sync {file}")
    if file_format(path.resolve().name) is None and path.is_file():
        try:
            with path.open("rb") as opened:
                data = opened.read(_SAMPLE)
            # A longer one is not to be cut within a letter.
            decode(data if len(data) < _SAMPLE else data.rpartition(b"\n")[0])
        except (OSError, NotText):
            return  # the loader says what is wrong
        raise LoadError(
            f"{file}: files of this type are not read, but it is text; give it a known suffix (.txt, .md)"
        )


def _nothing() -> None:
    """What has nothing to be closed."""


def _print(inspection: Inspection, file: Path, recipe: Recipe) -> None:
    from ragweft.cli.render import on_terminal

    if not inspection.chunks:
        say(f"{file}: no chunks, the document is empty")
        return
    if not on_terminal():
        for chunk, head in zip(inspection.chunks, _heads(inspection), strict=True):
            put(f"{head}\n{_context(chunk)}{chunk.text.strip(chr(10))}\n")
    else:
        _print_pretty(inspection)
    put(_summary(inspection, recipe))


def _print_pretty(inspection: Inspection) -> None:
    from rich.console import Console
    from rich.text import Text

    console = Console(highlight=False, emoji=False, soft_wrap=True)
    reached = 0
    for number, (chunk, head) in enumerate(zip(inspection.chunks, _heads(inspection), strict=True)):
        colour = _COLOURS[number % len(_COLOURS)]
        console.print(Text(head, f"bold {colour}"))
        if chunk.context:
            console.print(Text(harmless(_context(chunk)).rstrip("\n"), "dim italic"))
        span = chunk.span
        shared = max(0, reached - span.start) if span is not None else 0
        body = Text()
        body.append(harmless(chunk.text[:shared]), f"dim {colour}")
        body.append(harmless(chunk.text[shared:]).rstrip("\n"), colour)
        console.print(body)
        console.print()
        reached = span.end if span is not None else reached


def _heads(inspection: Inspection) -> Iterator[str]:
    pairs = zip(inspection.chunks, inspection.tokens, inspection.context_tokens, strict=True)
    for number, (chunk, tokens, context) in enumerate(pairs, start=1):
        parts = [where(chunk), f"{tokens} + {context} tokens", " › ".join(chunk.headings)]
        yield printable(f"[{number}] {'  '.join(filter(None, parts))}")


def where(chunk: Chunk) -> str:
    """The lines or pages a chunk covers; "" of a file that has neither, such as a letter."""
    if chunk.place is not None:
        return cited(*chunk.place)
    if chunk.lines is None:
        return ""
    first, last = chunk.lines
    return f"line {first}" if first == last else f"lines {first}-{last}"


def _context(chunk: Chunk) -> str:
    return "".join(f"| {line}\n" for line in chunk.context.split("\n")) if chunk.context else ""


def _summary(inspection: Inspection, recipe: Recipe) -> str:
    sizes = sorted(
        tokens + context for tokens, context in zip(inspection.tokens, inspection.context_tokens, strict=True)
    )
    low, middle, high = sizes[0], sizes[len(sizes) // 2], sizes[-1]
    if len(sizes) == 1:
        said = f"1 chunk of {low:,} tokens with its context"
    elif low == high:
        said = f"{len(sizes):,} chunks of {low:,} tokens with their contexts"
    else:
        half = f", half of them up to {middle:,}" if len(sizes) > 2 else ""
        said = f"{len(sizes):,} chunks of {low:,} to {high:,} tokens with their contexts{half}"
    left = inspection.unwritten
    verb = "is" if left == 1 else "are"
    written = f"; {counted(left, 'context')} {verb} still to be written" if left else ""
    return f"{said} (limit {inspection.size:,}){written}; {_how(recipe)}"


def _how(recipe: Recipe) -> str:
    """How a recipe cuts and places, for people."""
    cutting, context = recipe.chunking, recipe.context
    beside = {
        "none": "without contexts",
        "outline": "contexts from title and headings (outline)",
        "llm": f"contexts written by {context.model}",
    }
    overlap = f"overlaps up to {cutting.overlap * 100:g} %" if cutting.overlap else "no overlaps"
    return f"cut by {_CUT[cutting.strategy]}, {overlap}, {beside[context.kind]}"


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
