"""`ragweft reindex`: make the index over in place, by another model or another way of cutting."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from ragweft.cli.options import DebugOption, IndexOption, JsonOption, settle
from ragweft.cli.session import guarded, say

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from ragweft.recipe import Recipe
    from ragweft.reindexing import Reindexed

__all__ = ["reindex"]

_INTERRUPTED = "interrupted: the index is as it was; what was embedded is kept, run the same command to go on"


def reindex(
    ctx: typer.Context,
    changes: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[SECTION.KEY=VALUE]...",
            help="What to change in the index's recipe, as in embedding.model=voyage:voyage-4.",
            show_default=False,
        ),
    ] = None,
    recipe: Annotated[
        str | None,
        typer.Option(
            "--recipe",
            metavar="SPEC",
            help="Another recipe: a preset, a ragweft.toml or an index folder, with changes behind commas.",
            show_default=False,
        ),
    ] = None,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Say what it would take and cost; embed and change nothing."),
    ] = False,
    max_usd: Annotated[
        float | None,
        typer.Option(
            "--max-usd",
            min=0.0,
            metavar="USD",
            help="Stop before this costs more; the same command with a higher cap goes on.",
            show_default=False,
        ),
    ] = None,
    as_json: JsonOption = False,
    index: IndexOption = None,
    debug: DebugOption = False,
) -> None:
    """Make the index over in place: another embedding model, vector size, chunking or context.

    The old index answers until everything is embedded. Without changes: by ragweft.toml as you edited it.
    A model the index had before is gone back to without embedding anything again.
    """
    settings = settle(ctx, index=index, debug=debug)
    if recipe is not None and changes:
        raise typer.BadParameter("give changes or a recipe, not both", param_hint="--recipe")
    with guarded(settings, interrupted=_INTERRUPTED):
        from ragweft.cli.progress import Bar
        from ragweft.reindexing import estimate_reindex
        from ragweft.reindexing import reindex as make_over

        folder = settings.folder
        wanted = _wanted(folder, changes or (), recipe)
        if dry_run:
            from ragweft.cli.sync import print_estimate

            with Bar() as bar:
                estimate, space = estimate_reindex(folder, wanted, progress=bar)
            print_estimate(estimate, space, as_json=as_json)
            return
        with Bar() as bar:
            report = make_over(folder, wanted, progress=bar, max_usd=max_usd)
        if as_json:
            from dataclasses import asdict

            from ragweft.cli.payload import print_json

            print_json(asdict(report))
            return
        print("\n".join(_lines(report, folder)))
        for warning in report.warnings:
            say(f"warning: {warning}")


def _wanted(folder: Path, changes: Sequence[str], spec: str | None) -> Recipe | None:
    from ragweft.cli.recipes import changed_recipe, parse_spec
    from ragweft.opening import find_folder, settle_recipe

    if spec is not None:
        return parse_spec(spec)[1]
    if not changes:
        return None
    found, _ = find_folder(folder, create=False, read_only=None)
    return changed_recipe(settle_recipe(found, None), changes)


def _lines(report: Reindexed, folder: Path) -> Iterator[str]:
    from ragweft.cli.report import written
    from ragweft.cli.wording import counted, money

    if not report.changed:
        yield f"ragweft.toml is written; nothing that is stored had to change, by {report.now}"
        return
    yield f"made over  {counted(report.documents, 'document')}, {counted(report.chunks, 'chunk')}"
    yield f"was        {report.was}"
    yield f"is         {report.now}"
    yield f"seconds    {report.seconds:.1f}"
    if report.contexts.written:
        yield f"contexts   {written(report.contexts)}"
    if report.usage.calls:
        yield f"spent      {money(report.usage)}"
    yield f"undo       ragweft reindex --recipe {folder / 'ragweft.before.toml'}"
