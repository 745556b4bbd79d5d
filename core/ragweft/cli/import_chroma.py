"""`ragweft import-chroma`: take over a Chroma collection that is there already."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from ragweft.cli.options import DebugOption, IndexOption, JsonOption, settle
from ragweft.cli.session import UNREAD, guarded, opened, put

if TYPE_CHECKING:
    from ragweft.reports import SyncReport

__all__ = ["import_chroma"]

_INTERRUPTED = "interrupted: what was taken over is kept and searchable; run the same command to go on"


def import_chroma(
    ctx: typer.Context,
    place: Annotated[
        str, typer.Argument(metavar="DIR|URL", help='Chroma\'s folder, http://host:8000, or "cloud".')
    ],
    collection: Annotated[str, typer.Argument(metavar="COLLECTION", help="Its name.")],
    document_key: Annotated[
        str | None,
        typer.Option(
            "--document-key",
            metavar="KEY",
            help="The metadata that names a record's document (default: ref_doc_id, document_id, doc_id, "
            "source, file_path or url; else every record is one).",
            show_default=False,
        ),
    ] = None,
    vectors: Annotated[
        Literal["auto", "never"],
        typer.Option("--vectors", help="Take over vectors that are of this index's embedder, or embed anew."),
    ] = "auto",
    tenant: Annotated[
        str, typer.Option("--tenant", metavar="NAME", help="Of the server.", show_default=False)
    ] = "",
    database: Annotated[
        str, typer.Option("--database", metavar="NAME", help="Of the server.", show_default=False)
    ] = "",
    recipe: Annotated[
        str | None,
        typer.Option("--recipe", metavar="SPEC", help="Of a new index; see sync.", show_default=False),
    ] = None,
    max_usd: Annotated[
        float | None,
        typer.Option("--max-usd", min=0.0, metavar="USD", help="Stop before that.", show_default=False),
    ] = None,
    as_json: JsonOption = False,
    index: IndexOption = None,
    debug: DebugOption = False,
) -> None:
    """Take over a Chroma collection, which is not changed.

    Texts and metadata are taken over, and vectors that are of the same embedder. A server's token is taken from
    CHROMA_API_KEY. Exit status 3: done, but a record could not be taken over.
    """
    settings = settle(ctx, index=index, debug=debug)
    report = None
    with guarded(settings, interrupted=_INTERRUPTED), opened(settings, create=True, recipe=recipe) as chosen:
        from ragweft.cli.progress import Bar

        key = os.environ.get("CHROMA_API_KEY", "")
        with Bar() as bar:
            report = chosen.import_chroma(
                place,
                collection,
                document_key=document_key,
                vectors=vectors,
                headers={"x-chroma-token": key} if key else None,
                tenant=tenant,
                database=database,
                progress=bar,
                max_usd=max_usd,
            )
        _print(report, as_json=as_json)
    if report is not None and report.failed:
        raise typer.Exit(UNREAD)


def _print(report: SyncReport, *, as_json: bool) -> None:
    from ragweft.cli.report import report_lines, say_troubles

    if as_json:
        from ragweft.cli.payload import print_json, sync_payload

        anew = {"embedded_anew": report.embedded_anew, "why_anew": report.why_anew}
        print_json({**sync_payload(report), "reused": report.reused, **anew})
        return
    put(*report_lines(report))
    put(f"{'vectors':<10}{_vectors(report)}")
    say_troubles(report)


def _vectors(report: SyncReport) -> str:
    """What became of the vectors of the texts that were not known."""
    said = [f"{report.reused:,} taken over"] * bool(report.reused)
    said += [f"{report.embedded_anew:,} embedded anew"] * bool(report.embedded_anew)
    why = f": {report.why_anew}" if report.why_anew else ""
    return f"{', '.join(said)}{why}" if said else "known already"
