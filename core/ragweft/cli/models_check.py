"""`ragweft models check`: one call of an embedder or reranker, compared with what the registry says of it."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from ragweft.cli.options import DebugOption, JsonOption, settle
from ragweft.cli.session import FAILED, guarded

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ragweft.protocols import Embedder, Reranker
    from ragweft.providers.registry import Kind, Model
    from ragweft.types import Hit

__all__ = ["Call", "CheckedEmbedder", "CheckedReranker", "check"]

T = TypeVar("T")
_TEXT = "How long does a signing key stay valid after it was rotated?"
_PASSAGES = (
    "Bread and butter pudding is baked for forty minutes, until the custard is set.",
    "After it was rotated, a signing key stays valid for one hour.",
)
"""The second answers the question, the first has nothing to do with it."""
_TOLERANCE = 1e-3
"""How far from 1 the length of a unit vector may be, in float32."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """What one call took."""

    ms: float
    """What it needed to load included."""
    tokens: int | None
    """What was billed; None if nobody counted."""
    usd: float | None
    """None if the price is not known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckedEmbedder:
    """What one call of an embedder showed."""

    model: str
    space: str
    dims: int
    expected_dims: int
    norm: float
    call: Call
    listed: bool
    """Whether the registry knows the model."""
    successor: str
    """What takes the model's place; "" while it is current."""
    problems: tuple[str, ...]
    """In what it differs from what was expected; empty: it agrees."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckedReranker:
    """What one call of a reranker showed."""

    model: str
    name: str
    """As traces call it."""
    answering: float
    """Its score of a passage that answers the question."""
    other: float
    """Its score of one that does not."""
    call: Call
    listed: bool
    successor: str
    problems: tuple[str, ...]


def check(
    ctx: typer.Context,
    name: Annotated[
        str, typer.Argument(metavar="MODEL", help="As in a recipe: voyage:voyage-4, cohere:rerank-v4.0-pro.")
    ],
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
    rerank: Annotated[
        bool,
        typer.Option("--rerank", help="Take a model that is not listed, or is both, for a reranker."),
    ] = False,
    as_json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Embed or rerank a text or two and compare what comes back with what the registry says.

    Tells the vector's size and length, or the scores, and the time and price of the call.
    """
    settings = settle(ctx, index=None, debug=debug)
    with guarded(settings):
        kind = _kind(name, dims, rerank=rerank)
        if kind == "reranker":
            tried = _try_reranker(name, base_url)
            lines, payload = _reranker_lines(tried), _payload(tried)
        else:
            checked = _try_embedder(name, dims, base_url)
            lines, payload = _embedder_lines(checked), _payload(checked)
        if as_json:
            from ragweft.cli.payload import print_json

            print_json(payload)
        else:
            print("\n".join(lines))
        if payload["problems"]:
            raise typer.Exit(FAILED)


def _kind(name: str, dims: int | None, *, rerank: bool) -> Kind:
    """What to take *name* for.

    Raises:
        RecipeError: it is a reranker and *dims* are asked of it, or an embedder that is not made for them, or a
            name without its provider.
    """
    from ragweft.errors import RecipeError
    from ragweft.providers.registry import check_dims, load

    provider, _, own = name.partition(":")
    embedder, reranker = _listed(name, "embedder"), _listed(name, "reranker")
    if rerank or (embedder is None and (reranker is not None or "rerank" in own)):
        if dims is not None:
            raise RecipeError(
                f"{name} is a reranker and makes no vectors: name an embedder, or leave out --dims"
            )
        return "reranker"
    if embedder is not None:
        check_dims(embedder, dims or embedder.dims)
    elif not own:
        meant = [m.label for m in load().models if provider in (m.name, m.name.rpartition("/")[2])]
        if meant:
            raise RecipeError(f"{name!r} names no provider; did you mean {' or '.join(dict.fromkeys(meant))}?")
    return "embedder"


def _listed(name: str, kind: Kind) -> Model | None:
    from ragweft.providers.registry import load

    provider, _, own = name.partition(":")
    return load().find(provider, own, kind=kind)


def _try_embedder(name: str, dims: int | None, base_url: str) -> CheckedEmbedder:
    import numpy as np

    listed = _listed(name, "embedder")
    embedder = _embedder(name, dims, base_url)
    vector, call = _timed(name, lambda: embedder.embed_query(_TEXT))
    expected = dims or (listed.dims if listed is not None else embedder.space.dims)
    norm = float(np.linalg.norm(vector))
    problems = []
    if len(vector) != expected:
        problems.append(f"{len(vector)} values instead of {expected}")
    if not abs(norm - 1.0) <= _TOLERANCE:
        problems.append(f"a length of {norm:.4f} instead of 1")
    return CheckedEmbedder(
        model=name,
        space=str(embedder.space),
        dims=len(vector),
        expected_dims=expected,
        norm=norm,
        call=call,
        listed=listed is not None,
        successor=listed.successor if listed is not None else "",
        problems=tuple(problems),
    )


def _try_reranker(name: str, base_url: str) -> CheckedReranker:
    listed = _listed(name, "reranker")
    reranker = _reranker(name, base_url)
    scores, call = _timed(name, lambda: reranker.rerank(_TEXT, [_hit(text) for text in _PASSAGES]))
    other, answering = map(float, scores)
    problem = f"{answering:.4g} for the passage that answers, {other:.4g} for the one that does not"
    return CheckedReranker(
        model=name,
        name=reranker.name,
        answering=answering,
        other=other,
        call=call,
        listed=listed is not None,
        successor=listed.successor if listed is not None else "",
        problems=() if answering > other else (problem,),
    )


def _timed(name: str, ask: Callable[[], T]) -> tuple[T, Call]:
    """What was said, and what asking took."""
    from ragweft.providers.metering import Meter, metered
    from ragweft.providers.registry import LOCAL

    with metered(Meter()) as meter:
        start = time.perf_counter()
        said = ask()
        ms = (time.perf_counter() - start) * 1000
    usage = meter.usage
    free = name.partition(":")[0] in LOCAL
    usd = usage.usd if usage.calls and not usage.unpriced else 0.0 if free else None
    return said, Call(ms=ms, tokens=usage.tokens if usage.calls else None, usd=usd)


def _embedder(name: str, dims: int | None, base_url: str) -> Embedder:
    from ragweft.embedding import resolve_embedder
    from ragweft.recipe import Embedding

    return resolve_embedder(Embedding(model=name, dims=dims or 0, base_url=base_url))


def _reranker(name: str, base_url: str) -> Reranker:
    from ragweft.errors import RecipeError
    from ragweft.recipe import Rerank
    from ragweft.reranking import resolve_reranker

    found = resolve_reranker(Rerank(model=name, base_url=base_url))
    if found is None:
        raise RecipeError(f"{name!r} is no reranker; name one, as in cohere:rerank-v4.0-pro")
    return found


def _hit(text: str) -> Hit:
    from ragweft.types import Chunk, Citation, Hit

    chunk = Chunk(id=text[:9], document_id="check", text=text)
    return Hit(chunk=chunk, score=0.0, origins={}, citation=Citation(source="check", uri="check"))


def _payload(checked: CheckedEmbedder | CheckedReranker) -> dict[str, Any]:
    found = asdict(checked)
    found |= found.pop("call")
    kind = "embedder" if isinstance(checked, CheckedEmbedder) else "reranker"
    # JSON has no word for what is not a number.
    told = {
        key: None if isinstance(value, float) and not math.isfinite(value) else value
        for key, value in found.items()
    }
    return {"kind": kind, **told, "agrees": not checked.problems}


def _embedder_lines(checked: CheckedEmbedder) -> list[str]:
    rows = {
        "model": checked.model,
        "space": checked.space,
        "dims": f"{checked.dims:,}",
        "norm": f"{checked.norm:.6f}",
    }
    return [f"{title:<12}{value}" for title, value in (*rows.items(), *_common(checked))]


def _reranker_lines(checked: CheckedReranker) -> list[str]:
    scores = f"{checked.answering:.4g} for a passage that answers, {checked.other:.4g} for one that does not"
    rows = {"model": checked.model, "reranker": checked.name, "scores": scores}
    return [f"{title:<12}{value}" for title, value in (*rows.items(), *_common(checked))]


def _common(checked: CheckedEmbedder | CheckedReranker) -> Iterator[tuple[str, str]]:
    yield "latency", f"{checked.call.ms:,.1f} ms, loading included"
    yield "price", _price(checked.call)
    yield "registry", _verdict(checked)


def _price(call: Call) -> str:
    from ragweft.providers.registry import dollars

    if call.usd is None:
        return "not known"
    if call.tokens is None:
        return dollars(call.usd) if call.usd else "free"
    return f"{dollars(call.usd)} for {call.tokens:,} tokens" if call.tokens else dollars(call.usd)


def _verdict(checked: CheckedEmbedder | CheckedReranker) -> str:
    if checked.problems:
        return f"disagrees: {', '.join(checked.problems)}"
    if not checked.listed:
        return "does not list this model"
    return f"agrees; {checked.successor} takes its place" if checked.successor else "agrees"
