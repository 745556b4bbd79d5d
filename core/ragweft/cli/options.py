"""Options every verb shares, and how they are settled."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ragweft.errors import InvalidFilter, LoadError

if TYPE_CHECKING:
    from ragweft.types import Metadata

__all__ = [
    "DebugOption",
    "IndexOption",
    "JsonOption",
    "LimitOption",
    "MeasureOption",
    "SeedOption",
    "Settings",
    "SplitOption",
    "WhereOption",
    "check_paths",
    "parse_where",
    "settle",
]

VARIABLE = "RAGWEFT_INDEX"
DEFAULT = ".ragweft"
_ADDRESS = re.compile(r"(https?):/+(.*)")
"""A web address as a path holds it: with one of its slashes."""

IndexOption = Annotated[
    Path | None,
    typer.Option(
        "--index",
        metavar="DIR",
        help=f"The index folder; by default ${VARIABLE}, or {DEFAULT} in the working directory.",
        show_default=False,
    ),
]
DebugOption = Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")]
WhereOption = Annotated[
    str | None,
    typer.Option(
        "--where",
        metavar="JSON",
        help='Only what matches this metadata filter, as in \'{"suffix": ".md"}\'.',
        show_default=False,
    ),
]
SplitOption = Annotated[
    str | None,
    typer.Option(
        "--split",
        metavar="NAME",
        help="Judge by qrels/NAME.tsv (default: the only split, test or dev).",
        show_default=False,
    ),
]
LimitOption = Annotated[
    int | None,
    typer.Option("--limit", min=1, metavar="N", help="Ask N of the questions only.", show_default=False),
]
MeasureOption = Annotated[str, typer.Option("--measure", metavar="NAME", help="The measure that decides.")]
SeedOption = Annotated[
    int, typer.Option("--seed", min=0, metavar="N", help="Of everything that is drawn by chance.")
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What the options before a verb and after it come to."""

    index: Path | None = None
    debug: bool = False

    @property
    def folder(self) -> Path:
        """The index folder: the option, the environment variable or the default."""
        return self.index or Path(os.environ.get(VARIABLE) or DEFAULT)


def settle(ctx: typer.Context, *, index: Path | None, debug: bool) -> Settings:
    """Options given after the verb, then those before it."""
    before = ctx.obj if isinstance(ctx.obj, Settings) else Settings()
    return Settings(index=index or before.index, debug=debug or before.debug)


def parse_where(text: str | None) -> Metadata | None:
    """The filter written in *text*.

    Raises:
        BadParameter: it is not JSON, not an object, or not a filter; the message says where.
    """
    if text is None:
        return None
    try:
        where = json.loads(text)
    except json.JSONDecodeError as error:
        place = f"line {error.lineno} column {error.colno}" if error.lineno > 1 else f"column {error.colno}"
        near = text[error.pos : error.pos + 20].strip()
        seen = f", at {near!r}" if near else ", at its end"
        raise _bad_where(f"not valid JSON: {error.msg} ({place}{seen})") from None
    except RecursionError:
        raise _bad_where("not valid JSON: nested too deep") from None
    if not isinstance(where, dict):
        raise _bad_where(f'expected a JSON object like {{"suffix": ".md"}}, got {_kind(where)}')
    from ragweft.ledger.filters import compile_filter

    try:
        compile_filter(where)
    except InvalidFilter as error:
        raise _bad_where(str(error).removeprefix("where: ")) from None
    checked: Mapping[str, Any] = where
    return checked


def check_paths(paths: Sequence[Path], folder: Path) -> None:
    """Refuse what is no path, and a mistyped path before an index is made for it.

    Raises:
        LoadError: one of *paths* is a web address, or *folder* holds no index yet and it does not exist.
    """
    for path in paths:
        if (address := _ADDRESS.match(str(path))) and not path.exists():
            raise LoadError(
                f"{address[1]}://{address[2]}: web pages are not synced; a program loads them: "
                "index.add([ragweft.loading.load_url(URL)])"
            )
    if (folder.expanduser() / "ledger.db").exists():
        return
    for path in paths:
        if not path.expanduser().exists():
            raise LoadError(f"{path}: there is no such file or folder; check the name")


def _bad_where(message: str) -> typer.BadParameter:
    return typer.BadParameter(message, param_hint="--where")


def _kind(value: object) -> str:
    names = {str: "text", bool: "true or false", int: "a number", float: "a number", list: "a list"}
    return names.get(type(value), "null")
