"""The tables of `ragweft models`."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
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
    from ragweft.providers.registry import Basis, Model

__all__ = ["print_models"]

_PIPE = 240
"""Cells of a line nobody looks at: wide enough for every model to stay on one."""
_GAP = 2
_SHORT = 12
"""Models that need no empty lines between the providers."""
_SLIM = 80
"""Cells of a terminal below which the time is left out rather than a price."""
_UNKNOWN = "?"
_MARKS: Mapping[Basis, str] = {"parameters": "≈", "requests": "~", "rate limit": "≥"}
"""Before a time that was not measured."""
_EXPLAINED: Mapping[Basis, str] = {
    "measured": "as measured, if without a mark",
    "parameters": "≈ on a laptop CPU of two cores, by active parameters from what was measured",
    "requests": "~ 4 requests at once, each as long as Cohere's on Oracle's benchmark",
    "rate limit": "≥ by the rate limit the provider publishes for an ordinary account",
}
_BOLD = Style(bold=True)
_DIM = Style(dim=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Column:
    """One figure of every model."""

    head: tuple[str, str]
    """The two lines above it."""
    of: Callable[[Model], str]
    spare: Callable[[int], bool] = lambda _: False
    """Whether a terminal so many cells wide goes without it where the names need its room."""


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
    spent = cost(model)
    if spent.seconds is None or spent.by is None:
        return _UNKNOWN
    return f"{_MARKS.get(spent.by, '')}{duration(spent.seconds).replace(' days', ' d')}"


def _timed(model: Model) -> str:
    return _time(model) if model.kind == "embedder" else ""


_EMBEDDERS = (
    _Column(head=("", "dims"), of=lambda model: str(model.dims)),
    _Column(head=("", "window"), of=_window),
    # A chunk is 480 tokens: whoever has the bill for chunks can do without the price of tokens.
    _Column(head=("per 1M", "tokens"), of=_price, spare=lambda width: width >= _SLIM),
    _Column(head=("per 1M", "chunks"), of=_bill),
    _Column(head=("size of", "vectors"), of=lambda model: human_bytes(cost(model).bytes)),
    _Column(head=("", "time"), of=_time, spare=lambda width: width < _SLIM),
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
    whole = _longest(models, lambda model: model.label) <= room
    if not whole and _longest(models, _short) > room:
        filled = [column for column in filled if not column.spare(width)]
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
            label = model.label if whole else _short(model)
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


def _short(model: Model) -> str:
    """What a model is called below the name of its provider."""
    return model.name or model.label


def _longest(models: Sequence[Model], called: Callable[[Model], str]) -> int:
    """Cells that the longest name takes, with its mark."""
    marked = cell_len(OWN_CODE) + 1
    return max(cell_len(called(model)) + marked * runs_own_code(model) for model in models)


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
    if any(_UNKNOWN in (_price(model), _bill(model), _timed(model)) for model in models):
        yield f"{_UNKNOWN}: not known."
    if embedders:
        yield "1M chunks of 480 tokens; vectors as float32."
        found = {cost(model).by for model in embedders}
        told = [said for basis, said in _EXPLAINED.items() if basis in found]
        yield f"Time: {'; '.join(told)}. Why: --json; of your own connection: ragweft models check MODEL."
    if rerankers:
        yield "A search reranks 50 passages of 480 tokens."
    if any(map(runs_own_code, models)):
        yield (
            f"{OWN_CODE}: runs code of its own, which a recipe cannot allow; a program can, if you trust where "
            "it comes from: Index.open(…, embedder=SentenceTransformerEmbedder(NAME, trust_remote_code=True))."
        )
    if any(model.successor for model in models):
        yield "→ leads to the model that takes its place."
