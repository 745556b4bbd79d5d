"""`ragweft search`: the best passages for a question, with where they stand and why they ranked."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ragweft.cli.options import (
    DebugOption,
    IndexOption,
    JsonOption,
    WhereOption,
    check_paths,
    parse_where,
    settle,
)
from ragweft.cli.session import SYNC_INTERRUPTED, UNREAD, guarded, opened, put, say
from ragweft.cli.wording import counted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ragweft.index import Index
    from ragweft.lexical.finding import WordFinder
    from ragweft.reports import SyncReport
    from ragweft.types import Results

__all__ = ["search"]


def search(
    ctx: typer.Context,
    query: Annotated[list[str], typer.Argument(metavar="QUERY", help="What to look for, in plain words.")],
    within: Annotated[
        list[Path] | None,
        typer.Option(
            "--in",
            metavar="PATH",
            help="Bring the index level with this file or folder, then search only there; may be repeated.",
            show_default=False,
        ),
    ] = None,
    k: Annotated[
        int | None,
        typer.Option("-k", min=1, metavar="N", help="Hits to return (recipe: 5).", show_default=False),
    ] = None,
    where: WhereOption = None,
    min_score: Annotated[
        float | None,
        typer.Option(
            "--min-score",
            metavar="X",
            help="Drop hits that score lower; the best of a query scores about 1.",
            show_default=False,
        ),
    ] = None,
    context: Annotated[
        int | None,
        typer.Option(
            "--context",
            min=1,
            metavar="TOKENS",
            help="Print the hits as numbered passages for a prompt, of so many tokens at most together.",
            show_default=False,
        ),
    ] = None,
    as_json: JsonOption = False,
    explain: Annotated[
        bool, typer.Option("--explain", help="Show every leg's opinion and the trace of the search.")
    ] = False,
    index: IndexOption = None,
    debug: DebugOption = False,
) -> None:
    """Search by meaning and by words.

    With --in a folder is indexed first if need be, and only what changed in it is read again.
    """
    settings = settle(ctx, index=index, debug=debug)
    words = " ".join(query).strip()
    if not words:
        raise typer.BadParameter("the query is empty: say what to look for", param_hint="QUERY")
    chosen = parse_where(where)
    paths = within or []
    report = None
    with guarded(settings, interrupted=SYNC_INTERRUPTED if paths else "interrupted"):
        check_paths(paths, settings.folder)
        with opened(settings, create=bool(paths)) as opened_index:
            if paths:
                report = _sync(opened_index, paths)
            results = opened_index.search(words, k=k, where=chosen, sources=paths or None, min_score=min_score)
            narrowed = bool(paths or chosen or min_score is not None)
            left = None
            try:
                if context is not None:
                    _print_context(results, context, as_json=as_json)
                else:
                    _show(opened_index, results, report, as_json=as_json, explain=explain, narrowed=narrowed)
                sys.stdout.flush()
            except BrokenPipeError as error:
                left = error
            if report is not None and report.changed:
                # Searches never wait for Chroma: it is brought level once the answer is out, also when whoever
                # read it has left (`| head`).
                opened_index.catch_up()
            if left is not None:
                raise left
    if report is not None and report.failed:
        raise typer.Exit(UNREAD)


def _sync(index: Index, paths: Sequence[Path]) -> SyncReport:
    from ragweft.cli.progress import Bar
    from ragweft.cli.report import say_summary

    with Bar() as bar:
        report = index.sync(*paths, level=False, progress=bar)
    say_summary(report)
    return report


def _show(
    index: Index,
    results: Results,
    report: SyncReport | None,
    *,
    as_json: bool,
    explain: bool,
    narrowed: bool,
) -> None:
    from ragweft.cli.render import on_terminal
    from ragweft.lexical import Analyzer
    from ragweft.lexical.finding import WordFinder

    finder = WordFinder(results.query, Analyzer(language=index.recipe.lexical.language))
    if as_json:
        _print_json(results, finder, report)
        return
    for sentence in results.trace.degraded:
        say(f"warning: {sentence}")
    if not results:
        say(_nothing_found(index, narrowed=narrowed))
    elif not any("lexical" in hit.origins for hit in results):
        say("no passage holds a word of the question; these are the nearest by meaning")
    if on_terminal():
        _print_pretty(results, finder, explain=explain)
    else:
        _print_plain(results, finder, explain=explain)


def _print_context(results: Results, tokens: int, *, as_json: bool) -> None:
    packed = results.as_context(max_tokens=tokens)
    if as_json:
        from ragweft.cli.payload import context_payload, print_json

        print_json({"query": results.query, **context_payload(packed)})
        return
    if not packed.passages:
        say(
            "no hits: try other words"
            if not results
            else f"no hit fits into {counted(tokens, 'token')}; allow more"
        )
        return
    put(str(packed))


def _print_json(results: Results, finder: WordFinder, report: SyncReport | None) -> None:
    from ragweft.cli.payload import print_json, results_payload, sync_payload
    from ragweft.cli.render import shown

    payload = results_payload(results)
    for hit, entry in zip(results, payload["hits"], strict=True):
        lines = shown(hit, finder.find, width=None).lines
        numbers = [line.number for line in lines if line.number is not None]
        entry["passage"] = {
            "text": "\n".join(line.text for line in lines),
            "lines": [numbers[0], numbers[-1]] if numbers else None,
        }
    if report is not None:
        payload["sync"] = sync_payload(report)
    print_json(payload)


def _print_pretty(results: Results, finder: WordFinder, *, explain: bool) -> None:
    from ragweft.cli.render import explanation, trace_lines, why
    from ragweft.cli.terminal import Terminal

    terminal = Terminal()
    for rank, hit in enumerate(results, start=1):
        if rank > 1:
            terminal.gap()
        reasons = [why(hit), *(explanation(hit, finder.find) if explain else ())]
        terminal.hit(hit, finder.find, rank=rank, of=len(results), below=reasons)
    if explain:
        terminal.gap()
        terminal.dim(trace_lines(results))


def _print_plain(results: Results, finder: WordFinder, *, explain: bool) -> None:
    from ragweft.cli.render import PLAIN_WIDTH, is_code, plain_hit, shown, trace_lines

    for rank, hit in enumerate(results, start=1):
        if rank > 1:
            print()
        width = None if is_code(hit) else PLAIN_WIDTH
        item = shown(hit, finder.find, rank=rank, width=width)
        print("\n".join(plain_hit(item, finder.find, explain=explain)))
    if explain:
        print("\n" + "\n".join(trace_lines(results)))


def _nothing_found(index: Index, *, narrowed: bool) -> str:
    if not index.status().documents:
        return "no hits: the index is empty; fill it with  ragweft sync FOLDER"
    if narrowed:
        return "no hits: loosen --in, --where or --min-score, or try other words"
    return "no hits: try other words"
