"""`ragweft sync`: bring the index level with files and folders."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ragweft.cli.options import DebugOption, IndexOption, JsonOption, check_paths, settle
from ragweft.cli.session import SYNC_INTERRUPTED, UNREAD, guarded, opened

if TYPE_CHECKING:
    from ragweft.types import SyncReport

__all__ = ["sync"]


def sync(
    ctx: typer.Context,
    paths: Annotated[list[Path], typer.Argument(metavar="PATH", help="Files and folders.")],
    watch: Annotated[bool, typer.Option("--watch", help="Keep going: follow changes until Ctrl-C.")] = False,
    preset: Annotated[
        str | None,
        typer.Option(
            "--preset",
            metavar="NAME",
            help="The recipe of a new index: default, or contextual-retrieval.",
            show_default=False,
        ),
    ] = None,
    as_json: JsonOption = False,
    index: IndexOption = None,
    debug: DebugOption = False,
) -> None:
    """Bring the index level with files and folders: new and changed ones in, deleted ones out.

    Exit status 3: done, but a file could not be read.
    """
    settings = settle(ctx, index=index, debug=debug)
    report = None
    with guarded(settings, interrupted=SYNC_INTERRUPTED):
        check_paths(paths, settings.folder)
        if watch:
            from ragweft.cli.watch import require_watchfiles

            require_watchfiles()
        with opened(settings, create=True, preset=preset) as opened_index:
            from ragweft.cli.progress import Bar

            with Bar() as bar:
                report = opened_index.sync(*paths, progress=bar)
            _print(report, as_json=as_json)
            if watch:
                from ragweft.cli.watch import follow

                follow(opened_index, paths, as_json=as_json)
    if report is not None and report.failed:
        raise typer.Exit(UNREAD)


def _print(report: SyncReport, *, as_json: bool) -> None:
    from ragweft.cli.report import report_lines, say_troubles

    if as_json:
        from ragweft.cli.payload import print_json, sync_payload

        print_json(sync_payload(report))
        return
    print("\n".join(report_lines(report)))
    say_troubles(report)
