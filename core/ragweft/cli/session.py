"""What surrounds every verb: opening the index, saying errors in one line, exit codes."""

from __future__ import annotations

import io
import logging
import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, NoReturn

import typer

from ragweft.cli.wording import harmless, printable
from ragweft.errors import RagweftError

if TYPE_CHECKING:
    from ragweft.cli.options import Settings
    from ragweft.index import Index

__all__ = ["FAILED", "INTERRUPTED", "SYNC_INTERRUPTED", "UNREAD", "guarded", "opened", "put", "say", "tried"]

FAILED = 1
UNREAD = 3
"""Done, but a file of a supported type could not be read, or most contexts could not be written."""
INTERRUPTED = 130
SYNC_INTERRUPTED = "interrupted: what was committed is kept and searchable; run the same command to go on"


@contextmanager
def guarded(settings: Settings, *, interrupted: str = "interrupted") -> Iterator[None]:
    """Turn whatever goes wrong inside into one line on stderr and an exit code."""
    try:
        with _warnings_said():
            yield
        sys.stdout.flush()
    except (typer.Exit, typer.Abort, typer.BadParameter):
        raise
    except BrokenPipeError:
        _abandon_stdout()
    except KeyboardInterrupt as error:
        for line in (interrupted, *getattr(error, "__notes__", ())):
            say(line)
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


@contextmanager
def tried(settings: Settings, *, recipe: str | None = None) -> Iterator[Index]:
    """The index as `opened` would make or find it, for an estimate: nothing is made, and no recipe kept."""
    from ragweft.index import Index
    from ragweft.opening import find_folder
    from ragweft.serving import Opening, Serving

    chosen = None
    if recipe is not None:
        from ragweft.cli.recipes import parse_spec

        _, chosen = parse_spec(recipe)
    place = settings.folder.expanduser()
    with ExitStack() as stack:
        if not (place / "ledger.db").exists():
            own, place = (
                place / "ragweft.toml",
                Path(stack.enter_context(TemporaryDirectory(prefix="ragweft-"))),
            )
            if own.exists():
                shutil.copyfile(own, place / own.name)
        folder, read_only = find_folder(place, create=True, read_only=None)
        opening = Opening(
            folder=folder,
            read_only=read_only,
            recipe=chosen,
            embedder=None,
            reranker=None,
            chunker=None,
            contextualizer=None,
            loader=None,
            keeping=False,
        )
        yield stack.enter_context(Index(Serving(opening)))


def say(message: str) -> None:
    """One line on stderr, with nothing a terminal would obey: names and errors are other people's texts."""
    print(printable(" ".join(message.split("\n"))), file=sys.stderr, flush=True)


def put(*lines: str) -> None:
    """Lines on stdout, likewise; each may hold line breaks of its own."""
    print(harmless("\n".join(lines)))


@contextmanager
def _warnings_said() -> Iterator[None]:
    """What ragweft logs as a warning, on stderr as the verbs say warnings."""
    log = logging.getLogger("ragweft")
    handler = _Sayer(logging.WARNING)
    log.addHandler(handler)
    try:
        yield
    finally:
        log.removeHandler(handler)


class _Sayer(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        say(f"warning: {record.getMessage()}")


def _fail(error: Exception, message: str, settings: Settings) -> NoReturn:
    if settings.debug:
        import traceback

        print(harmless("".join(traceback.format_exception(error))), end="", file=sys.stderr)
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
