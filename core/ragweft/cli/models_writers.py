"""`ragweft models` of models that write contexts: their table, and one context by one of them."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ragweft.generation.models import GeneratingModel

__all__ = [
    "CheckedWriter",
    "known_writers",
    "print_writers",
    "try_writer",
    "writer_lines",
    "writer_payload",
    "writers_alone",
]

_PASSAGES = (
    "This handbook is about the harbour of Oldquay and those who work there.",
    "After it was rotated, a signing key stays valid for one hour.",
)
_PIPE = 240
_HEADS = ("writers of contexts", "window", "read", "again", "written", "kept from", "batch")


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckedWriter:
    """What one call of a model that writes showed."""

    model: str
    context: str
    """What it wrote of a passage; "" if that was none."""
    ms: float
    """Of the call, loading included."""
    tokens: int
    usd: float | None
    """None if the price is not known."""
    listed: bool
    """Whether its price and window are known."""
    doubts: tuple[str, ...]
    problems: tuple[str, ...]
    """Why there is no context; empty if there is one."""


def known_writers(provider: str | None) -> list[GeneratingModel]:
    """Those of *provider*, or all."""
    from ragweft.generation.models import known_models

    return [model for model in known_models() if provider in (None, model.provider)]


def writers_alone(provider: str) -> bool:
    """Whether models of *provider* are known to write, and not to embed or rerank."""
    from ragweft.generation.services import SERVICES
    from ragweft.providers.registry import load

    return provider in SERVICES and provider not in load().providers


def print_writers(models: Sequence[GeneratingModel]) -> None:
    """The table, prices for a million tokens."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.style import Style
    from rich.table import Table
    from rich.text import Text

    from ragweft.cli.render import on_terminal

    looked_at = on_terminal()
    console = Console(
        file=sys.stdout,
        force_terminal=looked_at or None,
        width=None if looked_at else _PIPE,
        highlight=False,
        emoji=False,
    )
    table = Table(
        box=SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0), header_style=Style(bold=True)
    )
    for place, head in enumerate(_HEADS):
        table.add_column(head, justify="right" if place else "left", no_wrap=bool(place), overflow="fold")
    for model in models:
        table.add_row(model.label, *_figures(model))
    console.print(table)
    dates = sorted({model.priced for model in models if model.priced})
    read = dates[0] if len(dates) == 1 else f"between {dates[0]} and {dates[-1]}"
    notes = (
        "",
        "US dollars for a million tokens: read for the first time, again of a document that the service keeps "
        "(from so many tokens on), and written; in a batch everything costs that share.",
        f"Prices read {read}, without warrant. docs/context.md says what a document costs; --dry-run says it "
        "of yours.",
    )
    for line in notes if dates else ():
        console.print(Text(line, Style(dim=True)))


def _figures(model: GeneratingModel) -> Iterator[str]:
    from ragweft.generation.services import SERVICES
    from ragweft.providers.registry import dollars

    yield f"{model.window:,}" if model.window else ""
    for price in (model.input, model.read, model.output):
        yield "?" if price is None else dollars(price)
    yield f"{model.least_kept:,}" if model.keeps != "no" else "never"
    batches = SERVICES[model.provider].batches if model.provider in SERVICES else False
    yield f"{model.batch:.0%}" if batches and model.batch is not None else ""


def try_writer(name: str, base_url: str) -> CheckedWriter:
    """Have one context written.

    Raises:
        RecipeError: there is no such provider, or no key.
        MissingExtra: its package is not installed.
        ProviderError: it failed.
    """
    from ragweft.context import LLMContextualizer
    from ragweft.generation import Generation, resolve_generator
    from ragweft.generation.models import find
    from ragweft.providers.doubts import Doubtful
    from ragweft.providers.metering import Meter, metered
    from ragweft.types import Chunk, Document, Span

    text = "\n\n".join(_PASSAGES)
    span = Span(start=len(text) - len(_PASSAGES[1]), end=len(text))
    document = Document(id="check", text=text, title="Handbook")
    chunk = Chunk(id="check", document_id="check", text=_PASSAGES[1], ordinal=1, span=span)
    generator = resolve_generator(Generation(model=name, base_url=base_url))
    writer = LLMContextualizer(generator)
    started = time.perf_counter()
    try:
        with metered(Meter()) as meter:
            (placed,) = writer.contextualize(document, [chunk])
    finally:
        writer.close()
    problems = tuple(failure.reason for failure in writer.take_failures())
    provider, _, own = name.partition(":")
    return CheckedWriter(
        model=name,
        context="" if problems else placed.context,
        ms=(time.perf_counter() - started) * 1000,
        tokens=meter.usage.tokens,
        usd=None if meter.usage.unpriced else meter.usage.usd,
        listed=find(provider, own) is not None,
        doubts=tuple(generator.doubts()) if isinstance(generator, Doubtful) else (),
        problems=problems,
    )


def writer_lines(checked: CheckedWriter) -> list[str]:
    """As `models check` tells it."""
    from ragweft.providers.registry import dollars

    price = "not known" if checked.usd is None else f"{dollars(checked.usd)} for {checked.tokens:,} tokens"
    registry = "lists this model" if checked.listed else "does not list this model"
    rows = {
        "model": checked.model,
        "context": checked.context or f"none: {', '.join(checked.problems)}",
        "latency": f"{checked.ms:,.1f} ms, loading included",
        "price": price,
        "registry": "; ".join((registry, *checked.doubts)),
    }
    return [f"{title:<12}{value}" for title, value in rows.items()]


def writer_payload(checked: CheckedWriter) -> dict[str, Any]:
    """The same for programs."""
    return {"kind": "writer", **asdict(checked), "agrees": not checked.problems}
