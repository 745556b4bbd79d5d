"""Scopes of the cache as they are named on the command line, and the cache that is looked at."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from ragweft.cli.session import say
from ragweft.cli.wording import printable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ragweft.answers import Answers
    from ragweft.caching.stats import Held
    from ragweft.index import Index
    from ragweft.types import Json

__all__ = ["KindOption", "ScopeOption", "cache_in", "chosen", "parse_scope", "said", "say_scopes"]

ScopeOption = Annotated[
    list[str] | None,
    typer.Option(
        "--scope",
        metavar="NAME=VALUE",
        help="Only where this part of the scope is equal, as in tenant=a; may be repeated.",
        show_default=False,
    ),
]
KindOption = Annotated[
    Literal["answer", "results"] | None,
    typer.Option("--kind", help="Only answers, or only results of searches.", show_default=False),
]
_SHOWN = 5


def cache_in(index: Index) -> Answers | None:
    """The cache of *index*; None if it has none yet, and none is made for being looked at."""
    return index.cache() if (index.path / "cache.db").exists() else None


def parse_scope(given: Sequence[str] | None) -> dict[str, str]:
    """Names to values, as they are written.

    Raises:
        BadParameter: one has no equals sign.
    """
    parts: dict[str, str] = {}
    for text in given or ():
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise typer.BadParameter(f"{text!r}: write NAME=VALUE, as in tenant=a", param_hint="--scope")
        parts[name] = value
    return parts


def chosen(held: Sequence[Held], parts: Mapping[str, str], kind: str | None) -> list[Held]:
    """Those of *held* whose scope has all *parts*: as text, or as the JSON that a part is written as."""
    return [
        one
        for one in held
        if kind in (None, one.kind)
        and all(_equal(_own(one).get(name, _NOTHING), value) for name, value in parts.items())
    ]


def said(held: Held) -> str:
    """What a scope is of, as it can be named again: `answer, tenant=a, k=5`."""
    parts = [f"{name}={_written(part)}" for name, part in _own(held).items() if part is not None]
    return ", ".join([held.kind, *parts])


def say_scopes(held: Sequence[Held]) -> None:
    """That nothing is kept where somebody looked, and where something is."""
    told = [said(one) for one in held[:_SHOWN]]
    more = f"; and {len(held) - _SHOWN:,} more" if len(held) > _SHOWN else ""
    say(f"nothing is kept there; there is something in: {'; '.join(told)}{more}")


_NOTHING = object()


def _own(held: Held) -> dict[str, Json]:
    """The parts of a scope that were given; those a `Cached` was given stand beside its own."""
    parts = held.own
    own = parts.pop("own", None)
    return {**parts, **own} if isinstance(own, dict) else parts


def _equal(part: object, text: str) -> bool:
    if part == text:
        return True
    try:
        meant: Any = json.loads(text)
    except ValueError:
        return False
    return type(part) is type(meant) and part == meant


def _written(part: Json) -> str:
    """Text as it is, unless it would be read as something else."""
    if isinstance(part, str):
        try:
            json.loads(part)
        except ValueError:
            return printable(part)
    return printable(json.dumps(part, ensure_ascii=False))
