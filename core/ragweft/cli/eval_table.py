"""The table of `ragweft eval`: recipes side by side, their numbers below one another."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich.box import SIMPLE_HEAD
from rich.cells import cell_len
from rich.console import Console
from rich.style import Style
from rich.table import Table
from rich.text import Text

from ragweft.cli.eval_payload import PERCENTILES, percentiles
from ragweft.cli.render import on_terminal
from ragweft.cli.wording import counted, printable

if TYPE_CHECKING:
    from ragweft.evaluation import Dataset, Evaluation
    from ragweft.evaluation.compare import Comparison, Difference

__all__ = ["print_tables"]

_WIDEST = 16
"""Cells of a recipe's column; a longer name is folded."""
_BOLD = Style(bold=True)
_DIM = Style(dim=True)
_MINUS = "\N{MINUS SIGN}"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Row:
    """One number of every recipe."""

    name: str
    cells: Sequence[str]
    contested: bool = False
    """Whether the largest number is the best, and is marked."""
    last: bool = False
    """Whether a group of rows ends here."""


def print_tables(data: Dataset, evaluations: Sequence[Evaluation], comparison: Comparison) -> None:
    """Print as many recipes side by side as fit, the others below, then what it comes to in words."""
    terminal = True if on_terminal() else None
    console = Console(file=sys.stdout, force_terminal=terminal, highlight=False, emoji=False)
    kind = "document" if _has_documents(data) else "chunk"
    asked = f"{len(data.queries):,} {'query' if len(data.queries) == 1 else 'queries'}"
    console.print(Text(f"{printable(data.name)}: {asked}, {counted(len(data.items), kind)}", _BOLD))
    rows = list(_rows(evaluations, comparison))
    for columns in _fitting(rows, evaluations, console.width):
        console.print(_table(rows, evaluations, columns))
    console.print(Text("Quality in points of 100; times of one search for ten hits.", _DIM))
    for difference in comparison.differences:
        label = f"{printable(difference.label)} against {printable(comparison.baseline)}"
        console.print(Text(f"{label}, {comparison.measure}: {difference.verdict}."))


def _has_documents(data: Dataset) -> bool:
    from ragweft.types import Document

    return any(isinstance(item, Document) for item in data.items)


def _rows(evaluations: Sequence[Evaluation], comparison: Comparison) -> Iterator[_Row]:
    measure = comparison.measure
    measures = list(evaluations[0].scores)
    for name in measures:
        cells = [_points(float(e.scores[name].mean())) for e in evaluations]
        yield _Row(name=name, cells=cells, contested=len(cells) > 1, last=name == measures[-1])
    legs = list(dict.fromkeys(leg for e in evaluations for leg in e.legs))
    for leg in legs:
        cells = [_points(float(e.legs[leg][measure].mean())) if leg in e.legs else "" for e in evaluations]
        yield _Row(name=f"{measure}, {leg} alone", cells=cells, last=leg == legs[-1])
    times = [percentiles(e.wall_ms) for e in evaluations]
    for q in PERCENTILES:
        yield _Row(name=f"ms, p{q}", cells=[f"{row[f'p{q}']:,.1f}" for row in times])
    facts: dict[str, Callable[[Evaluation], str]] = {
        "CPU ms, mean": lambda e: f"{float(e.cpu_ms.mean()):,.1f}",
        "USD": lambda e: f"{e.usage.usd:,.4f}" if e.usage.usd else "0",
        "chunks": lambda e: f"{e.chunks:,}",
        "seconds to index": lambda e: f"{e.index_seconds:,.1f}",
    }
    for name, fact in facts.items():
        yield _Row(name=name, cells=[fact(e) for e in evaluations], last=name == "seconds to index")
    if comparison.differences:
        yield from _differences(comparison)


def _differences(comparison: Comparison) -> Iterator[_Row]:
    """Of every recipe to the first, which has none."""
    facts: dict[str, Callable[[Difference], str]] = {
        f"gain in {comparison.measure}": lambda d: _signed(d.interval.mean),
        f"{comparison.level * 100:g} % interval": lambda d: (
            f"{_signed(d.interval.low)} to {_signed(d.interval.high)}"
        ),
        "smallest detectable": lambda d: f"{d.detectable * 100:.1f}" if d.wins or d.losses else "",
        "p (Holm)": lambda d: "< 0.001" if d.adjusted < 0.001 else f"{d.adjusted:.3f}",
        "better/same/worse": lambda d: f"{d.wins:,}/{d.ties:,}/{d.losses:,}",
    }
    for name, fact in facts.items():
        yield _Row(name=name, cells=["", *(fact(d) for d in comparison.differences)])


def _fitting(rows: Sequence[_Row], evaluations: Sequence[Evaluation], width: int) -> Iterator[list[int]]:
    """The recipes of each table, by place."""
    room = width - max(len(row.name) for row in rows) - 4
    columns: list[int] = []
    left = room
    for place, evaluation in enumerate(evaluations):
        name = min(cell_len(printable(evaluation.label)), _WIDEST)
        needed = 2 + max(name, *(cell_len(row.cells[place]) for row in rows))
        if columns and needed > left:
            yield columns
            columns, left = [], room
        columns.append(place)
        left -= needed
    yield columns


def _table(rows: Sequence[_Row], evaluations: Sequence[Evaluation], columns: Sequence[int]) -> Table:
    table = Table(box=SIMPLE_HEAD, pad_edge=False, header_style=_BOLD)
    table.add_column("", no_wrap=True)
    for place in columns:
        label = Text(printable(evaluations[place].label), justify="right", overflow="fold")
        table.add_column(label, justify="right", max_width=max(_WIDEST, *(_widths(rows, place))))
    for row in rows:
        best = max(row.cells, key=float) if row.contested and len(set(row.cells)) > 1 else None
        cells = [Text(row.cells[place], _BOLD if row.cells[place] == best else "") for place in columns]
        table.add_row(row.name, *cells, end_section=row.last)
    return table


def _widths(rows: Sequence[_Row], place: int) -> list[int]:
    return [cell_len(row.cells[place]) for row in rows]


def _points(score: float) -> str:
    return f"{score * 100:.1f}"


def _signed(score: float) -> str:
    text = f"{score * 100:+.1f}"
    return "0.0" if float(text) == 0 else text.replace("-", _MINUS)
