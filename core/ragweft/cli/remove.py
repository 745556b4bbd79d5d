"""`ragweft remove`: forget documents. Files are left alone."""

from __future__ import annotations

import shlex
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from ragweft.cli.options import DebugOption, IndexOption, JsonOption, WhereOption, parse_where, settle
from ragweft.cli.session import guarded, opened, say
from ragweft.cli.wording import counted

if TYPE_CHECKING:
    from ragweft.index import Index
    from ragweft.types import Metadata

__all__ = ["remove"]


def remove(
    ctx: typer.Context,
    sources: Annotated[
        list[str] | None,
        typer.Argument(metavar="SOURCE", help="Files or folders the documents came from.", show_default=False),
    ] = None,
    ids: Annotated[
        list[str] | None,
        typer.Option("--id", metavar="ID", help="A document's id; may be repeated.", show_default=False),
    ] = None,
    where: WhereOption = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask first.")] = False,
    as_json: JsonOption = False,
    index: IndexOption = None,
    debug: DebugOption = False,
) -> None:
    """Forget documents by source, by id or by metadata.

    Files are left alone; a file that is still there comes back with the next sync of its folder.
    """
    settings = settle(ctx, index=index, debug=debug)
    chosen = parse_where(where)
    if chosen == {}:
        raise typer.BadParameter(
            "an empty filter means everything; delete the index folder instead", param_hint="--where"
        )
    if not sources and not ids and chosen is None:
        raise typer.BadParameter("name a file, a folder, --id or --where", param_hint="SOURCE")
    if not yes and not sys.stdin.isatty():
        raise typer.BadParameter("nobody can be asked here: add --yes", param_hint="--yes")
    with guarded(settings), opened(settings) as opened_index:
        if not yes and not _confirmed(opened_index, sources or [], ids or [], chosen):
            say("nothing removed")
            return
        _remove(opened_index, sources or [], ids or [], chosen, as_json=as_json)


def _remove(index: Index, sources: list[str], ids: list[str], where: Metadata | None, *, as_json: bool) -> None:
    known = _named(index, sources, ids)
    report = index.remove(ids=sorted(known), where=where)
    if as_json:
        from ragweft.cli.payload import print_json, sync_payload

        print_json(sync_payload(report))
    elif report.removed:
        print(f"removed {counted(report.removed, 'document')} in {report.seconds:.1f} s")
    else:
        ids_meant = " ".join(f"--id {shlex.quote(name)}" for name in sorted(index.ledger.states_of(sources)))
        hint = f"; documents of that id are removed with  ragweft remove {ids_meant}" if ids_meant else ""
        say(f"nothing removed: no document of the index matches{hint}")


def _confirmed(index: Index, sources: list[str], ids: list[str], where: Metadata | None) -> bool:
    known = _named(index, sources, ids)
    parts = [counted(len(known), "document")] if sources or ids else []
    if where is not None:
        parts.append("everything that matches --where")
    if not known and where is None:
        return True  # nothing to ask about; the removal says so
    return typer.confirm(f"Forget {' and '.join(parts)}?", default=False, err=True)


def _named(index: Index, sources: list[str], ids: list[str]) -> set[str]:
    """Ids of the documents named directly or by where they came from."""
    from ragweft.opening import as_uris

    known = set(index.ledger.states_of(ids))
    for uri in as_uris(sources) or ():
        known.update(index.ledger.ids_under(uri))
    return known
