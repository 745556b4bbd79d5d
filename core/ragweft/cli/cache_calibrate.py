"""`ragweft cache calibrate`: learn from which likeness on an answer may be served again."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ragweft.cli.options import DebugOption, IndexOption, JsonOption, settle
from ragweft.cli.session import guarded, opened, put, say

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ragweft.caching.standard import Standard
    from ragweft.index import Index

__all__ = ["calibrate"]

_INTERRUPTED = "interrupted: the cache serves as before"


def calibrate(
    ctx: typer.Context,
    pairs: Annotated[
        Path | None,
        typer.Option(
            "--pairs",
            metavar="FILE",
            help='Labelled pairs: lines like {"a": "…", "b": "…", "label": 1}, or CSV or TSV with these'
            " columns; 1 where one answer does for both. Without: the corpus's own questions.",
            show_default=False,
        ),
    ] = None,
    target: Annotated[
        float,
        typer.Option(
            "--target", min=0.0001, max=0.5, metavar="SHARE", help="Of near-misses that may be served at most."
        ),
    ] = 0.01,
    confidence: Annotated[
        float,
        typer.Option("--confidence", min=0.5, max=0.999, metavar="SHARE", help="How sure that shall be."),
    ] = 0.95,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Report, and keep nothing.")] = False,
    as_json: JsonOption = False,
    index: IndexOption = None,
    debug: DebugOption = False,
) -> None:
    """Learn how alike questions must be to share an answer.

    Chosen are the measure and the threshold that hardly any question with another answer passes. Where there
    are none, only the same words are served from then on. docs/caching.md says how to label pairs.
    """
    settings = settle(ctx, index=index, debug=debug)
    with guarded(settings, interrupted=_INTERRUPTED), opened(settings) as opened_index:
        from ragweft.cli.cache_pairs import read_pairs
        from ragweft.cli.progress import Bar

        given = None if pairs is None else read_pairs(pairs)
        with Bar() as bar:
            found = opened_index.cache().calibrate(
                given, target=target, confidence=confidence, keep=not dry_run, progress=bar
            )
        if as_json:
            from ragweft.cli.cache_stats import standard_payload
            from ragweft.cli.payload import print_json

            print_json({**standard_payload(found), "kept": not dry_run})
        else:
            put(*_lines(found, dry_run=dry_run))
        if overruled := _overruled(opened_index):
            say(f"warning: {overruled}")


def _lines(found: Standard, *, dry_run: bool) -> Iterator[str]:
    from ragweft.cli.cache_stats import percent, standard_line

    yield f"learnt from  {found.origin}"
    bound = f": at most {percent(found.upper or 0)} ({percent(found.confidence or 0)} confidence)"
    would = f", {found.wrong:,} would be served{bound}" * found.semantic
    yield f"near-misses  {found.near_misses:,} looked at{would}"
    share = f" ({percent(found.served / found.paraphrases)})" if found.paraphrases else ""
    if found.paraphrases:
        yield f"paraphrases  {found.paraphrases:,} looked at, {found.served:,} would be served{share}"
    else:
        yield "paraphrases  none to look at; only pairs with label 1 tell how many are served"
    yield f"served from  {standard_line(found)}"
    yield f"kept         {'no: --dry-run' if dry_run else 'yes, for every process'}"


def _overruled(index: Index) -> str:
    """What in the recipe stands against going by it; "" if nothing does."""
    settings = index.recipe.cache
    if not settings.semantic:
        return "[cache] semantic = false stands: the same words only are served"
    if settings.threshold != "auto":
        return f'[cache] threshold = {settings.threshold} stands; write "auto" to go by what was learnt'
    return ""
