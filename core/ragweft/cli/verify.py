"""`ragweft verify`: compare the ledger with its followers and mend what differs."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from ragweft.cli.options import DebugOption, IndexOption, JsonOption, settle
from ragweft.cli.session import FAILED, guarded, opened, put

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ragweft.health import Verification

__all__ = ["verify"]


def verify(
    ctx: typer.Context,
    repair: Annotated[
        bool, typer.Option("--repair/--no-repair", help="Mend what differs, or only report it.")
    ] = True,
    as_json: JsonOption = False,
    index: IndexOption = None,
    debug: DebugOption = False,
) -> None:
    """Compare the index's parts with each other and mend them.

    The ledger is the truth; every follower that differs from it is mended. Exit status 1: something is still
    wrong.
    """
    settings = settle(ctx, index=index, debug=debug)
    sound = True
    with guarded(settings), opened(settings) as opened_index:
        from ragweft.cli.progress import Bar

        with Bar() as bar:
            verdict = opened_index.verify(repair=repair, progress=bar)
        sound = verdict.ok
        if as_json:
            from ragweft.cli.payload import print_json

            print_json(asdict(verdict))
        else:
            put(*_lines(verdict, repair=repair))
    if not sound:
        raise typer.Exit(FAILED)


def _lines(verdict: Verification, *, repair: bool) -> Iterator[str]:
    from ragweft.cli.status import follower_lines

    for finding in verdict.findings:
        yield f"found: {finding}"
    for name in verdict.mended:
        yield f"mended: {name}"
    yield from follower_lines(verdict.followers)
    if verdict.ok:
        yield "ok: the ledger is sound and everything agrees with it"
    elif repair:
        yield "not ok: see the lines above; what could not be opened is mended once nobody else holds it"
    else:
        yield "not ok: run  ragweft verify  to mend it"
