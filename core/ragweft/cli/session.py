"""What surrounds every verb: opening the index, saying errors in one line, exit codes."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, NoReturn

import typer

from ragweft.errors import RagweftError

if TYPE_CHECKING:
    from ragweft.cli.options import Settings
    from ragweft.index import Index

__all__ = ["FAILED", "INTERRUPTED", "SYNC_INTERRUPTED", "UNREAD", "guarded", "opened", "say"]

FAILED = 1
UNREAD = 3
"""Done, but a file of a supported type could not be read."""
INTERRUPTED = 130
SYNC_INTERRUPTED = "interrupted: what was committed is kept and searchable; run the same command to go on"


@contextmanager
def guarded(settings: Settings, *, interrupted: str = "interrupted") -> Iterator[None]:
    """Turn whatever goes wrong inside into one line on stderr and an exit code."""
    try:
        yield
        sys.stdout.flush()
    except (typer.Exit, typer.Abort, typer.BadParameter):
        raise
    except BrokenPipeError:
        _abandon_stdout()
    except KeyboardInterrupt:
        say(interrupted)
        raise typer.Exit(INTERRUPTED) from None
    except RagweftError as error:
        _fail(error, str(error), settings)
    except Exception as error:  # noqa: BLE001  # the outermost frame: said in one line, shown whole by --debug
        advice = "" if settings.debug else "; run with --debug for the traceback"
        _fail(error, f"{type(error).__name__}: {_first_line(error)}{advice}", settings)


@contextmanager
def opened(settings: Settings, *, create: bool = False, recipe: str | None = None) -> Iterator[Index]:
    """The index the options name, a new one made by *recipe* (see `recipes`); closed whatever happens."""
    from ragweft.index import Index

    chosen = None
    if recipe is not None:
        from ragweft.cli.recipes import parse_spec

        _, chosen = parse_spec(recipe)
    with Index.open(settings.folder, recipe=chosen, create=create) as index:
        yield index


def say(message: str) -> None:
    """One line on stderr."""
    print(" ".join(message.split("\n")), file=sys.stderr, flush=True)


def _fail(error: Exception, message: str, settings: Settings) -> NoReturn:
    if settings.debug:
        import traceback

        traceback.print_exception(error)
    say(f"error: {message}")
    raise typer.Exit(FAILED) from None


def _first_line(error: Exception) -> str:
    return next((line for line in str(error).splitlines() if line.strip()), "no details")


def _abandon_stdout() -> None:
    """Whoever read our output has left: leave too, without a complaint from the interpreter's last flush."""
    try:
        number = sys.stdout.fileno()
    except (AttributeError, io.UnsupportedOperation):
        return
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, number)
    os.close(nowhere)
