"""`ragweft reindex`: make the index over in place, by another model or another way of cutting."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING, Annotated

import typer

from ragweft.cli.options import DebugOption, IndexOption, JsonOption, settle
from ragweft.cli.session import UNREAD, guarded, put, say

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from ragweft.recipe import Context, Recipe
    from ragweft.reindexing import Reindexed

__all__ = ["reindex"]

_INTERRUPTED = "interrupted: the index is as it was; what was embedded is kept, run the same command to go on"


def reindex(
    ctx: typer.Context,
    changes: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="SECTION.KEY=VALUE",
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
    """Make the index over in place by another recipe.

    That is another embedding model, vector size, chunking or context. The old index answers until everything is
    embedded. Without changes: by ragweft.toml as you edited it. A model the index had before is gone back to
    without embedding anything again.
    """
    settings = settle(ctx, index=index, debug=debug)
    if recipe is not None and changes:
        raise typer.BadParameter("give changes or a recipe, not both", param_hint="--recipe")
    with guarded(settings, interrupted=_INTERRUPTED):
        from ragweft.cli.progress import Bar
        from ragweft.opening import find_folder, settle_recipe
        from ragweft.recipe import Recipe
        from ragweft.reindexing import estimate_reindex
        from ragweft.reindexing import reindex as make_over

        folder = settings.folder
        found, _ = find_folder(folder, create=False, read_only=None)
        wanted, before = _wanted(found, changes or (), recipe)
        # What is named is meant: a section that is not keeps the parts a program gave in its place.
        named = {change.partition(".")[0].strip() for change in changes} if changes else None
        if dry_run:
            from ragweft.cli.sync import print_estimate

            with Bar() as bar:
                estimate, space = estimate_reindex(folder, wanted, replacing=named, progress=bar)
            print_estimate(estimate, space, as_json=as_json)
            return
        with Bar() as bar:
            report = make_over(folder, wanted, replacing=named, progress=bar, max_usd=max_usd)
        if as_json:
            from dataclasses import asdict

            from ragweft.cli.payload import print_json

            print_json(asdict(report))
        else:
            put(*_lines(report, folder, list(_differences(before or Recipe(), settle_recipe(found, None)))))
            for warning in report.warnings:
                say(f"warning: {warning}")
        if report.contexts.mostly_failed:
            raise typer.Exit(UNREAD)


def _wanted(folder: Path, changes: Sequence[str], spec: str | None) -> tuple[Recipe | None, Recipe | None]:
    """The recipe that is asked for, None for ragweft.toml's own, and the one it says now, None if unreadable.

    Raises:
        RecipeError: what is asked for is wrong, or needs a ragweft.toml that cannot be read.
    """
    from ragweft.cli.recipes import changed_recipe, parse_spec
    from ragweft.errors import RecipeError
    from ragweft.opening import settle_recipe

    try:
        before = settle_recipe(folder, None)
    except RecipeError:
        if spec is None:
            raise
        before = None
    if spec is not None:
        return parse_spec(spec)[1], before
    return changed_recipe(before, changes) if before is not None and changes else None, before


def _differences(before: Recipe, after: Recipe) -> Iterator[str]:
    """What the recipes say differently: `chunking.size: 480 → 300`, `context: llm (a:model) → outline`."""
    for section in fields(before):
        old, new = getattr(before, section.name), getattr(after, section.name)
        settings = [setting.name for setting in fields(old)]
        if section.name == "context":
            if (old.kind, old.model) != (new.kind, new.model):
                yield f"context: {_told(old)} → {_told(new)}"
            # The others are a model's own: they tell something only where the model stays.
            same = (old.kind, old.model) == (new.kind, new.model)
            settings = [name for name in settings if same and name not in ("kind", "model")]
        for name in settings:
            one, other = getattr(old, name), getattr(new, name)
            # A vector size that was left open is the model's own.
            if one != other and (name, one) != ("dims", 0):
                yield f"{section.name}.{name}: {_value(one)} → {_value(other)}"


def _told(context: Context) -> str:
    return f"llm ({context.model})" if context.kind == "llm" else context.kind


def _value(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return f"{value:g}" if isinstance(value, float) else str(value) if value != "" else '""'


def _lines(report: Reindexed, folder: Path, differences: Sequence[str]) -> Iterator[str]:
    from ragweft.cli.report import written
    from ragweft.cli.wording import counted, money

    if not report.changed:
        if differences:
            yield f"ragweft.toml now says {', '.join(differences)}; nothing that is stored had to change"
        else:
            yield "nothing to do: what is stored is as the recipe says"
        return
    yield f"made over  {counted(report.documents, 'document')}, {counted(report.chunks, 'chunk')}"
    vectors = [f"vectors: {report.was} → {report.now}"] * (report.was != report.now)
    for place, line in enumerate([*differences, *vectors] or ["to what ragweft.toml says"]):
        yield f"{'' if place else 'changed':<11}{line}"
    yield f"seconds    {report.seconds:.1f}"
    if report.contexts.written:
        yield f"contexts   {written(report.contexts)}"
    if report.usage.calls:
        yield f"spent      {money(report.usage)}"
    if differences:  # of a file that was edited nobody knows what it said before
        yield f"undo       ragweft reindex --recipe {folder / 'ragweft.before.toml'}"
