"""`ragweft cache`: what is kept of answers and results, what it saved, and why a question hit or missed."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from ragweft.cli.cache_calibrate import calibrate
from ragweft.cli.cache_explain import explain
from ragweft.cli.cache_scopes import KindOption, ScopeOption, cache_in, chosen, parse_scope, say_scopes
from ragweft.cli.cache_stats import stats
from ragweft.cli.help import Verb
from ragweft.cli.options import DebugOption, IndexOption, JsonOption, settle
from ragweft.cli.session import guarded, opened, put, say
from ragweft.cli.wording import counted

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ragweft.index import Index

__all__ = ["cache_app"]


def cache_app() -> typer.Typer:
    """The verb `cache` with the verbs below it."""
    app = typer.Typer(
        add_completion=False,
        no_args_is_help=True,
        rich_markup_mode=None,
        context_settings={"help_option_names": ["-h", "--help"]},
        help="See, calibrate and clear the cache of answers and results.",
    )
    for verb in (stats, explain, calibrate, clear):
        app.command(cls=Verb)(verb)
    return app


def clear(
    ctx: typer.Context,
    scope: ScopeOption = None,
    kind: KindOption = None,
    source: Annotated[
        str | None,
        typer.Option(
            "--source",
            metavar="PATH",
            help="Only what rests on documents from this file or folder.",
            show_default=False,
        ),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask first.")] = False,
    as_json: JsonOption = False,
    index: IndexOption = None,
    debug: DebugOption = False,
) -> None:
    """Forget what is kept, all of it or a part.

    What was counted and calibrated stays. Nothing has to be cleared after an edit of the documents: what it
    makes wrong is not served.
    """
    settings = settle(ctx, index=index, debug=debug)
    parts = parse_scope(scope)
    if source is not None and (parts or kind):
        raise typer.BadParameter("takes no --scope and no --kind", param_hint="--source")
    if not yes and not sys.stdin.isatty():
        raise typer.BadParameter("nobody can be asked here: add --yes", param_hint="--yes")
    with guarded(settings), opened(settings) as opened_index:
        gone = _cleared(opened_index, parts, kind, source, yes=yes)
        if as_json:
            from ragweft.cli.payload import print_json

            print_json({"cleared": gone})
        elif gone:
            put(f"forgot {_entries(gone)}")


def _cleared(index: Index, parts: Mapping[str, str], kind: str | None, source: str | None, *, yes: bool) -> int:
    """Entries that were forgotten; where there are none, why is said."""
    cache = cache_in(index)
    held = cache.scopes() if cache is not None else []
    if cache is None or not held:
        say("nothing to forget: the cache is empty")
        return 0
    if source is not None:
        if not yes and not typer.confirm(f"Forget what rests on {source}?", default=False, err=True):
            say("nothing forgotten")
            return 0
        gone = cache.invalidate(source=source)
        if not gone:
            say(f"nothing to forget: no entry rests on {source}")
        return gone
    wanted = chosen(held, parts, kind)
    if not wanted:
        say_scopes(held)
        return 0
    count = sum(one.entries for one in wanted)
    asked = f"Forget {_entries(count)} of {counted(len(wanted), 'scope')}?"
    if not yes and not typer.confirm(asked, default=False, err=True):
        say("nothing forgotten")
        return 0
    return cache.empty(wanted)


def _entries(count: int) -> str:
    return "1 entry" if count == 1 else f"{count:,} entries"
