"""The tables of `ragweft models`."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING

from rich.box import SIMPLE_HEAD
from rich.cells import cell_len
from rich.console import Console
from rich.padding import Padding
from rich.style import Style
from rich.table import Table
from rich.text import Text

from ragweft.cli.models_marks import OWN_CODE, runs_own_code
from ragweft.cli.render import on_terminal
from ragweft.cli.wording import human_bytes
from ragweft.providers.advice import duration
from ragweft.providers.registry import cost, dollars, rerank_cost

if TYPE_CHECKING:
    from ragweft.providers.advice import Advice
    from ragweft.providers.registry import Model

__all__ = ["print_models"]

_PIPE = 240
"""Cells of a line nobody looks at: wide enough for every model to stay on one."""
_GAP = 2
_SHORT = 12
"""Models that need no empty lines between the providers."""
_UNKNOWN = "?"
_BOLD = Style(bold=True)
_DIM = Style(dim=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Column:
    """One figure of every model."""

    head: tuple[str, str]
    """The two lines above it."""
    of: Callable[[Model], str]
    spare: bool = False
    """Whether a narrow terminal goes without it."""


def print_models(models: Sequence[Model], advice: Sequence[Advice]) -> None:
    """Print what to consider, then the embedders, then the rerankers."""
    looked_at = on_terminal()
    console = Console(
        file=sys.stdout,
        force_terminal=looked_at or None,
        width=None if looked_at else _PIPE,
        highlight=False,
        emoji=False,
    )
    for place, one in enumerate(advice):
        if looked_at:
            if place and one.model.kind != advice[place - 1].model.kind:
                console.print()
            console.print(Text(one.model.label, _BOLD), no_wrap=True, overflow="ignore", crop=False)
            console.print(Padding(Text(one.reason), (0, 0, 0, _GAP), expand=False))
        else:
            print(f"{one.model.label}: {one.reason}")
    if advice:
        console.print()
    embedders = [model for model in models if model.kind == "embedder"]
    rerankers = [model for model in models if model.kind == "reranker"]
    for title, some, columns in (("embedders", embedders, _EMBEDDERS), ("rerankers", rerankers, _RERANKERS)):
        if some:
            console.print(_table(title, some, columns, console.width))
            console.print()
    for line in _footnotes(embedders, rerankers):
        console.print(Text(line, _DIM))


def _window(model: Model) -> str:
    return f"{model.window:,}" if model.window else ""


def _price(model: Model) -> str:
    if model.local:
        return "free"
    if model.usd_per_search is not None:
        return ""
    return _UNKNOWN if model.usd_per_million is None else dollars(model.usd_per_million)


def _bill(model: Model) -> str:
    spent = (cost(model) if model.kind == "embedder" else rerank_cost(model)).usd
    return "free" if model.local else _UNKNOWN if spent is None else dollars(spent)


def _time(model: Model) -> str:
    seconds = cost(model).seconds
    return "" if seconds is None else duration(seconds)


_EMBEDDERS = (
    _Column(head=("", "dims"), of=lambda model: str(model.dims)),
    _Column(head=("", "window"), of=_window),
    _Column(head=("per 1M", "tokens"), of=_price),
    _Column(head=("per 1M", "chunks"), of=_bill),
    _Column(head=("size of", "vectors"), of=lambda model: human_bytes(cost(model).bytes)),
    _Column(head=("", "time"), of=_time, spare=True),
)
_RERANKERS = (
    _Column(head=("", "window"), of=_window),
    _Column(head=("per 1M", "tokens"), of=_price),
    _Column(head=("per 1,000", "searches"), of=_bill),
)


def _table(title: str, models: Sequence[Model], columns: Sequence[_Column], width: int) -> Table:
    """One line for each model if *width* allows it, else the provider on a line above its models."""
    filled = [column for column in columns if any(map(column.of, models))]
    room = _room(filled, models, width)
    marked = cell_len(OWN_CODE) + 1
    whole = max(cell_len(model.label) + marked * runs_own_code(model) for model in models) <= room
    if not whole:
        filled = [column for column in filled if not column.spare]
        room = _room(filled, models, width)
    table = Table(
        box=SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, _GAP - 1, 0, 0), header_style=_BOLD
    )
    table.add_column(f"\n{title}", overflow="fold")
    for column in filled:
        table.add_column("\n".join(column.head), justify="right", no_wrap=True)
    for provider, some in groupby(models, key=lambda model: model.provider):
        own = list(some)
        if not whole and any(model.name for model in own):
            table.add_row(f"{provider}:")
        for model in own:
            label = model.label if whole else model.name or model.label
            if runs_own_code(model):
                label = f"{label} {OWN_CODE}"
            if model.successor:
                apart = "\n" if cell_len(f"{label} → {model.successor}") > room else " "
                label = f"{label}{apart}→ {model.successor}"
            style = _DIM if model.successor else None
            table.add_row(Text(label, overflow="fold"), *(column.of(model) for column in filled), style=style)
        if len(models) > _SHORT:
            table.add_section()
    return table


def _room(columns: Sequence[_Column], models: Sequence[Model], width: int) -> int:
    """Cells left for names."""
    taken = [max(*map(cell_len, column.head), *(cell_len(column.of(m)) for m in models)) for column in columns]
    return width - sum(taken) - _GAP * len(taken)


def _footnotes(embedders: Sequence[Model], rerankers: Sequence[Model]) -> Iterator[str]:
    models = [*embedders, *rerankers]
    dates = sorted({model.priced for model in models if model.priced})
    if dates:
        read = dates[0] if len(dates) == 1 else f"between {dates[0]} and {dates[-1]}"
        yield f"Prices in US dollars, read {read}, without warrant: check the provider's page."
    if any(_UNKNOWN in (_price(model), _bill(model)) for model in models):
        yield f"{_UNKNOWN}: not known."
    if embedders:
        times = [f"{m.label} {_time(m)} on {m.measured}" for m in embedders if m.tokens_per_second]
        measured = f"; measured: {', '.join(times)}" if times else ""
        yield f"1M chunks of 480 tokens; vectors as float32{measured}."
    if rerankers:
        yield "A search reranks 50 passages of 480 tokens."
    if any(map(runs_own_code, models)):
        yield (
            f"{OWN_CODE}: runs code of its own, which a recipe cannot allow; a program can, if you trust where "
            "it comes from: Index.open(…, embedder=SentenceTransformerEmbedder(NAME, trust_remote_code=True))."
        )
    if any(model.successor for model in models):
        yield "→ leads to the model that takes its place."
