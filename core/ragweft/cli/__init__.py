"""The command line: one verb a file.

Results go to stdout; progress and messages go to stderr. Exit status: 0 done; 1 failed; 2 wrong usage; 3 done,
but a file could not be read, or most contexts not be written; 130 interrupted.
"""

from __future__ import annotations

import io
import sys
from collections.abc import Sequence
from typing import Annotated, NoReturn

import typer

from ragweft.cli.cache import cache_app
from ragweft.cli.chunks import chunks
from ragweft.cli.eval import evaluate_recipes
from ragweft.cli.help import Verb
from ragweft.cli.import_chroma import import_chroma
from ragweft.cli.models import models_app
from ragweft.cli.options import DebugOption, IndexOption, Settings
from ragweft.cli.reindex import reindex
from ragweft.cli.remove import remove
from ragweft.cli.search import search
from ragweft.cli.show import show
from ragweft.cli.status import status
from ragweft.cli.sync import sync
from ragweft.cli.tune import tune
from ragweft.cli.verify import verify

__all__ = ["build_app", "main"]

_ABOUT = "Search your own files by meaning and by words, from one index on disk."


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run a command line; *arguments* None: the process's own.

    Raises:
        SystemExit: always, with the exit status.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # A file name may hold stray bytes and a terminal may lack letters: say them as escapes.
            stream.reconfigure(errors="backslashreplace")
    command = typer.main.get_command(build_app())
    command.main(args=None if arguments is None else list(arguments), prog_name="ragweft")
    raise SystemExit(0)


def build_app() -> typer.Typer:
    """The verbs, put together."""
    app = typer.Typer(
        name="ragweft",
        help=_ABOUT,
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(_before_the_verb)
    for verb in (search, sync, status, show, chunks, remove, reindex, verify, tune):
        app.command(cls=Verb)(verb)
    app.command("import-chroma", cls=Verb)(import_chroma)
    app.command("eval", cls=Verb)(evaluate_recipes)
    app.add_typer(cache_app(), name="cache")
    app.add_typer(models_app(), name="models")
    return app


def _print_version(wanted: bool) -> None:
    if wanted:
        from ragweft import __version__

        print(f"ragweft {__version__}")
        raise typer.Exit


def _before_the_verb(
    ctx: typer.Context,
    index: IndexOption = None,
    debug: DebugOption = False,
    _version: Annotated[
        bool, typer.Option("--version", help="Show the version.", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    ctx.obj = Settings(index=index, debug=debug)
