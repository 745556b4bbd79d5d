"""`ragweft models check`: one text through one embedder, compared with what the registry says of it."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ragweft.cli.options import DebugOption, JsonOption, settle
from ragweft.cli.session import FAILED, guarded

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ragweft.protocols import Embedder
    from ragweft.providers.registry import Model

__all__ = ["Checked", "check"]

_TEXT = "How long does a signing key stay valid after it was rotated?"
_TOLERANCE = 1e-3
"""How far from 1 the length of a unit vector may be, in float32."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """What one call of an embedder showed."""

    model: str
    space: str
    dims: int
    expected_dims: int
    norm: float
    ms: float
    """Of the first call, loading what it needs included."""
    tokens: int | None
    """What was billed; None if nobody counted."""
    usd: float | None
    """None if the price is not known."""
    listed: bool
    """Whether the registry knows the model."""
    successor: str
    """What takes the model's place; "" while it is current."""
    problems: tuple[str, ...]
    """In what it differs from what was expected; empty: it agrees."""


def check(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(metavar="MODEL", help="As in a recipe: voyage:voyage-4, or static.")],
    dims: Annotated[
        int | None,
        typer.Option(
            "--dims", min=1, metavar="N", help="Ask for vectors of this size.", show_default="the model's own"
        ),
    ] = None,
    base_url: Annotated[
        str,
        typer.Option(
            "--base-url", metavar="URL", help="Where the service is.", show_default="the provider's own address"
        ),
    ] = "",
    as_json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Embed one text and compare what comes back with what the registry says.

    Tells the vector's size and length, and the time and price of the call.
    """
    settings = settle(ctx, index=None, debug=debug)
    with guarded(settings):
        checked = _checked(name, dims, base_url)
        if as_json:
            from ragweft.cli.payload import print_json

            print_json(_payload(checked))
        else:
            print("\n".join(_lines(checked)))
        if checked.problems:
            raise typer.Exit(FAILED)


def _checked(name: str, dims: int | None, base_url: str) -> Checked:
    import time

    import numpy as np

    from ragweft.providers.metering import Meter, metered
    from ragweft.providers.registry import LOCAL

    model = _listed(name, dims)
    embedder = _embedder(name, dims, base_url)
    with metered(Meter()) as meter:
        start = time.perf_counter()
        vector = embedder.embed_query(_TEXT)
        ms = (time.perf_counter() - start) * 1000
    expected = dims or (model.dims if model is not None else embedder.space.dims)
    norm = float(np.linalg.norm(vector))
    problems = []
    if len(vector) != expected:
        problems.append(f"{len(vector)} values instead of {expected}")
    if not abs(norm - 1.0) <= _TOLERANCE:
        problems.append(f"a length of {norm:.4f} instead of 1")
    usage = meter.usage
    free = name.partition(":")[0] in LOCAL
    return Checked(
        model=name,
        space=str(embedder.space),
        dims=len(vector),
        expected_dims=expected,
        norm=norm,
        ms=ms,
        tokens=usage.tokens if usage.calls else None,
        usd=usage.usd if usage.calls and not usage.unpriced else 0.0 if free else None,
        listed=model is not None,
        successor=model.successor if model is not None else "",
        problems=tuple(problems),
    )


def _embedder(name: str, dims: int | None, base_url: str) -> Embedder:
    from ragweft.embedding import resolve_embedder
    from ragweft.recipe import Embedding

    return resolve_embedder(Embedding(model=name, dims=dims or 0, base_url=base_url))


def _listed(name: str, dims: int | None) -> Model | None:
    """What the registry knows of the model, if it does.

    Raises:
        RecipeError: it is a reranker, is not made for *dims*, or is a name without its provider.
    """
    from ragweft.errors import RecipeError
    from ragweft.providers.registry import check_dims, load

    provider, _, own = name.partition(":")
    model = load().find(provider, own)
    if model is not None:
        check_dims(model, dims or model.dims)
    elif not own:
        meant = [m.label for m in load().embedders if name in (m.name, m.name.rpartition("/")[2])]
        if meant:
            raise RecipeError(f"{name!r} names no provider; did you mean {' or '.join(meant)}?")
    return model


def _payload(checked: Checked) -> dict[str, Any]:
    # JSON has no word for what is not a number.
    norm = checked.norm if math.isfinite(checked.norm) else None
    return {**asdict(checked), "norm": norm, "agrees": not checked.problems}


def _lines(checked: Checked) -> Iterator[str]:
    rows = {
        "model": checked.model,
        "space": checked.space,
        "dims": f"{checked.dims:,}",
        "norm": f"{checked.norm:.6f}",
        "latency": f"{checked.ms:,.1f} ms, loading included",
        "price": _price(checked),
        "registry": _verdict(checked),
    }
    for title, value in rows.items():
        yield f"{title:<12}{value}"


def _price(checked: Checked) -> str:
    from ragweft.providers.registry import dollars

    if checked.usd is None:
        return "not known"
    if checked.tokens is None:
        return dollars(checked.usd) if checked.usd else "free"
    return f"{dollars(checked.usd)} for {checked.tokens:,} tokens"


def _verdict(checked: Checked) -> str:
    if checked.problems:
        return f"disagrees: {', '.join(checked.problems)}"
    if not checked.listed:
        return "does not list this model"
    return f"agrees; {checked.successor} takes its place" if checked.successor else "agrees"
