"""`ragweft tune`: choose the weights of a search by labelled questions."""

from __future__ import annotations

import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from ragweft.cli.options import (
    DebugOption,
    IndexOption,
    JsonOption,
    LimitOption,
    MeasureOption,
    SeedOption,
    SplitOption,
    settle,
)
from ragweft.cli.session import FAILED, guarded, opened, put, say
from ragweft.cli.wording import counted, printable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ragweft.evaluation.tune import TuningReport
    from ragweft.index import Index

__all__ = ["tune"]

_INTERRUPTED = "interrupted: the index searches as before"
_MINUS = "\N{MINUS SIGN}"


def tune(
    ctx: typer.Context,
    labels: Annotated[
        str | None,
        typer.Argument(
            metavar="LABELS",
            help='A dataset\'s folder, or a file of lines like {"query": "…", "relevant": ["id or path"]}.',
            show_default=False,
        ),
    ] = None,
    split: SplitOption = None,
    measure: MeasureOption = "nDCG@10",
    folds: Annotated[
        int, typer.Option("--folds", min=2, max=20, metavar="N", help="Parts of the cross-validation.")
    ] = 5,
    limit: LimitOption = None,
    seed: SeedOption = 0,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Report, and keep nothing.")] = False,
    reset: Annotated[
        bool, typer.Option("--reset", help="Drop weights chosen by labels and ask the corpus itself again.")
    ] = False,
    as_json: JsonOption = False,
    index: IndexOption = None,
    debug: DebugOption = False,
) -> None:
    """Choose by labelled questions what counts in a search.

    That is how much meaning, words, closeness and documents weigh. Weights are kept only if questions they were
    not chosen by are answered better, by more than luck; otherwise the index stays as it is and the exit status
    is 1. docs/evaluation.md says how to label.
    """
    settings = settle(ctx, index=index, debug=debug)
    if reset and (labels is not None or dry_run):
        raise typer.BadParameter("takes no labels and no --dry-run", param_hint="--reset")
    if labels is None and not reset:
        raise typer.BadParameter("name a folder or a file of labelled questions", param_hint="LABELS")
    with guarded(settings, interrupted=_INTERRUPTED), opened(settings) as opened_index:
        if labels is None:
            _reset(opened_index, as_json=as_json)
            return
        report = _tuned(
            opened_index,
            labels,
            split=split,
            measure=measure,
            folds=folds,
            limit=limit,
            seed=seed,
            keep=not dry_run,
        )
        if as_json:
            from ragweft.cli.payload import print_json

            print_json(asdict(report))
        else:
            _print(report)
        if report.changed and not report.kept and not dry_run:
            raise typer.Exit(FAILED)


def _tuned(
    index: Index,
    labels: str,
    *,
    split: str | None,
    measure: str,
    folds: int,
    limit: int | None,
    seed: int,
    keep: bool,
) -> TuningReport:
    from ragweft.cli.progress import Bar
    from ragweft.evaluation.labels import load_labels
    from ragweft.evaluation.tune import MEASURES
    from ragweft.evaluation.tune import tune as chosen

    if measure not in MEASURES:
        raise typer.BadParameter(
            f"{measure!r} is not measured here; choose one of {', '.join(MEASURES)}", param_hint="--measure"
        )
    found = load_labels(labels, split=split, queries=limit)
    with Bar() as bar:
        return chosen(index, found, measure=measure, folds=folds, seed=seed, keep=keep, progress=bar)


def _reset(index: Index, *, as_json: bool) -> None:
    from ragweft.cli.progress import Bar

    before = index.status().tuning
    with Bar() as bar:
        index.keep_tuning(None, progress=bar)
    after = index.status().tuning
    if as_json:
        from ragweft.cli.payload import print_json

        print_json({"before": asdict(before), "after": asdict(after)})
    else:
        put(f"now: {after.reason}")


def _print(report: TuningReport) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.style import Style
    from rich.table import Table
    from rich.text import Text

    from ragweft.cli.render import on_terminal

    bold = Style(bold=True)
    if report.missing:
        say(f"warning: {counted(report.missing, 'judged answer')} not in the index, left out")
    if report.left_out:
        say(f"warning: {counted(report.left_out, 'question')} without any answer in the index, left out")
    terminal = True if on_terminal() else None
    console = Console(file=sys.stdout, force_terminal=terminal, highlight=False, emoji=False)
    console.print(Text(f"{printable(report.labels)}: {counted(report.queries, 'question')}", bold))
    table = Table(box=SIMPLE_HEAD, pad_edge=False, header_style=bold)
    table.add_column("", no_wrap=True)
    for name in ("in use", "chosen", "difference"):
        table.add_column(name, justify="right", no_wrap=True)
    for cells in _rows(report):
        table.add_row(*cells)
    console.print(table)
    console.print(Text(f"{report.verdict}."))


def _rows(report: TuningReport) -> Iterator[tuple[str, str, str, str]]:
    before, after, gain = report.before, report.after, report.gain
    yield "meaning (dense_weight)", f"{before.dense_weight:g}", f"{after.dense_weight:g}", ""
    yield "closeness (late_weight)", f"{before.late_weight:g}", f"{after.late_weight:g}", ""
    yield "documents (document_weight)", f"{before.document_weight:g}", f"{after.document_weight:g}", ""
    now = _points(report.score_before)
    own = report.score_after - report.score_before
    yield f"{report.measure}, in sample", now, _points(report.score_after), _signed(own)
    yield f"{report.measure}, held out", now, _points(report.held_out), _signed(gain.mean)
    interval = f"{_signed(gain.low)} to {_signed(gain.high)}"
    yield f"{gain.level * 100:g} % interval", "", "", interval


def _points(score: float) -> str:
    return f"{score * 100:.1f}"


def _signed(score: float) -> str:
    text = f"{score * 100:+.1f}"
    return "0.0" if float(text) == 0 else text.replace("-", _MINUS)
