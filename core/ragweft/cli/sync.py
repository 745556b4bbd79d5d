"""`ragweft sync`: bring the index level with files and folders."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ragweft.cli.options import DebugOption, IndexOption, JsonOption, check_paths, settle
from ragweft.cli.session import SYNC_INTERRUPTED, UNREAD, guarded, opened, put, tried

if TYPE_CHECKING:
    from ragweft.reports import Estimate, SyncReport

__all__ = ["print_estimate", "sync"]


def sync(
    ctx: typer.Context,
    paths: Annotated[list[Path], typer.Argument(metavar="PATH", help="Files and folders.")],
    watch: Annotated[bool, typer.Option("--watch", help="Keep going: follow changes until Ctrl-C.")] = False,
    recipe: Annotated[
        str | None,
        typer.Option(
            "--recipe",
            metavar="SPEC",
            help="The recipe of a new index: BASE[,SECTION.KEY=VALUE ...], BASE being a preset (default, "
            "contextual-retrieval), a ragweft.toml or an index folder.",
            show_default=False,
        ),
    ] = None,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run",
            help="Say what would be done and what it would cost; embed and store nothing, no recipe either: "
            "give it again to the sync that follows. A model that would write contexts may be sent one "
            "document to count, which is free.",
        ),
    ] = False,
    max_usd: Annotated[
        float | None,
        typer.Option(
            "--max-usd",
            min=0.0,
            metavar="USD",
            help="Stop before this sync costs more; the same command with a higher cap goes on.",
            show_default=False,
        ),
    ] = None,
    as_json: JsonOption = False,
    index: IndexOption = None,
    debug: DebugOption = False,
) -> None:
    """Bring the index level with files and folders.

    New and changed ones are taken in, deleted ones forgotten.

    Exit status 3: done, but a file could not be read, or most contexts not be written.
    """
    settings = settle(ctx, index=index, debug=debug)
    if watch and (dry_run or max_usd is not None):
        raise typer.BadParameter(
            "syncs again and again: leave out --dry-run and --max-usd", param_hint="--watch"
        )
    report = None
    with guarded(settings, interrupted=SYNC_INTERRUPTED):
        check_paths(paths, settings.folder)
        if watch:
            from ragweft.cli.watch import require_watchfiles

            require_watchfiles()
        from ragweft.cli.progress import Bar

        if dry_run:
            with tried(settings, recipe=recipe) as index_to_be, Bar() as bar:
                estimate = index_to_be.estimate(*paths, progress=bar)
                space = index_to_be.status().space
            print_estimate(estimate, space, as_json=as_json)
            if estimate.failed:
                raise typer.Exit(UNREAD)
            return
        with opened(settings, create=True, recipe=recipe) as opened_index:
            with Bar() as bar:
                report = opened_index.sync(*paths, progress=bar, max_usd=max_usd)
            _print(report, as_json=as_json)
            if watch:
                from ragweft.cli.watch import follow

                follow(opened_index, paths, as_json=as_json)
    if report is not None and (report.failed or report.contexts.mostly_failed):
        raise typer.Exit(UNREAD)


def _print(report: SyncReport, *, as_json: bool) -> None:
    from ragweft.cli.report import report_lines, say_troubles

    if as_json:
        from ragweft.cli.payload import print_json, sync_payload

        print_json(sync_payload(report))
        return
    put(*report_lines(report))
    say_troubles(report)


def print_estimate(estimate: Estimate, space: str, *, as_json: bool) -> None:
    """What a sync or a reindexing would do, in words or as JSON."""
    from ragweft.cli.report import estimate_lines, say_troubles

    if as_json:
        from dataclasses import asdict

        from ragweft.cli.payload import print_json

        print_json({**asdict(estimate), "space": space})
        return
    put(*estimate_lines(estimate, space))
    say_troubles(estimate)
