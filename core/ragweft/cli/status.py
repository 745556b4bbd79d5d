"""`ragweft status`: an index at a glance."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import typer  # noqa: TC002  # typer reads the annotations

from ragweft.cli.cache_scopes import cache_in
from ragweft.cli.options import DebugOption, IndexOption, JsonOption, settle
from ragweft.cli.session import guarded, opened, put

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ragweft.caching.stats import CacheStats
    from ragweft.health import HeldContexts, Status
    from ragweft.ledger.followers import FollowerState
    from ragweft.types import Tuning

__all__ = ["follower_lines", "status"]

_WIDTH = 68
"""Of a value: 80 columns less the names."""


def status(
    ctx: typer.Context,
    as_json: JsonOption = False,
    index: IndexOption = None,
    debug: DebugOption = False,
) -> None:
    """Show what the index holds and whether all of it is level."""
    settings = settle(ctx, index=index, debug=debug)
    with guarded(settings), opened(settings) as opened_index:
        found = opened_index.status()
        cache = cache_in(opened_index)
        kept = None if cache is None else cache.stats()
        if as_json:
            from ragweft.cli.cache_stats import cache_payload
            from ragweft.cli.payload import print_json

            print_json({**asdict(found), "cache": cache_payload(kept)})
        else:
            put(*_lines(found, kept))


def follower_lines(followers: Sequence[FollowerState]) -> Iterator[str]:
    """One line for each follower: name, how level it is, the generation it has applied, remarks."""
    names = max((len(state.name) for state in followers), default=0)
    told = [("level" if state.level else f"{state.behind:,} behind") for state in followers]
    width = max(map(len, told), default=0)
    for state, level in zip(followers, told, strict=True):
        note = f"  ({state.note})" if state.note else ""
        yield f"{state.name:<{names}}  {level:<{width}}  generation {state.applied:,}{note}"


def _weight_lines(tuning: Tuning) -> Iterator[str]:
    import textwrap

    from ragweft.cli.wording import weights

    yield weights(tuning)
    yield from textwrap.wrap(f"because {tuning.reason}", _WIDTH)


def _held(contexts: HeldContexts) -> str:
    from ragweft.cli.wording import counted

    by = f" by {contexts.model}" if contexts.model else ""
    return f"{contexts.kind}{by} ({counted(contexts.documents, 'document')})"


def _lines(found: Status, kept: CacheStats | None) -> Iterator[str]:
    from ragweft.cli.cache_stats import cache_line
    from ragweft.cli.wording import counted, human_bytes, money

    rows = {
        "index": found.path,
        "documents": f"{found.documents:,}",
        "chunks": f"{found.chunks:,}",
        "size": human_bytes(found.bytes),
        "generation": f"{found.generation:,}",
        "space": found.space,
        "pipeline": found.pipeline,
    }
    if found.contexts:
        rows["contexts"] = ", ".join(map(_held, found.contexts))
    if found.long_texts:
        rows["too long"] = f"{counted(found.long_texts, 'chunk')} above the model's window, embedded in parts"
    if found.incomplete:
        verb = "lacks" if found.incomplete == 1 else "lack"
        lacking = f"{counted(found.incomplete, 'document')} {verb} contexts"
        rows["incomplete"] = f"{lacking}; the next sync asks for them again"
    for name, value in rows.items():
        yield f"{name:<12}{value}"
    for place, batch in enumerate(found.under_way):
        yield f"{'' if place else 'under way':<12}{batch}; the next sync takes it in"
    for line in found.unreadable:
        yield f"{'unreadable':<12}{line}"
    if kept is not None:
        yield f"{'cache':<12}{cache_line(kept)}"
    yield f"{'spent':<12}{money(found.spent)}"
    for paid in found.spent_on:
        yield f"{'':<12}{paid.model}, {paid.purpose}: {money(paid.usage)}"
    for place, line in enumerate(_weight_lines(found.tuning)):
        yield f"{'' if place else 'weights':<12}{line}"
    for place, line in enumerate(follower_lines(found.followers)):
        yield f"{'' if place else 'followers':<12}{line}"
