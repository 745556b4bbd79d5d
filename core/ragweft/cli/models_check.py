"""`ragweft models check`: one call of an embedder or reranker, compared with what the registry says of it."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar

import typer

from ragweft.cli.options import DebugOption, JsonOption, settle
from ragweft.cli.session import FAILED, guarded, put

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ragweft.protocols import Embedder, Reranker
    from ragweft.providers.registry import Basis, Kind, Model
    from ragweft.types import Hit, Vector

__all__ = ["Call", "CheckedEmbedder", "CheckedReranker", "Million", "check"]

T = TypeVar("T")
_TEXT = "How long does a signing key stay valid after it was rotated?"
_PASSAGES = (
    "Bread and butter pudding is baked for forty minutes, until the custard is set.",
    "After it was rotated, a signing key stays valid for one hour.",
)
"""The second answers the question, the first has nothing to do with it."""
_TOKENS = 480
"""Of a chunk, as recipes have it unless told otherwise."""
_CHUNK = " ".join(_PASSAGES * 13)
"""About so many."""
_MILLION = 1_000_000
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
class Million:
    """What a million chunks come to, at the pace of one that was embedded just now."""

    chunks: int
    usd: float | None
    bytes: int
    seconds: float
    basis: str
    """What `seconds` rests on, in words."""
    by: Basis
    chunk_ms: float
    """What embedding one chunk took, when everything was loaded."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckedEmbedder:
    """What one call of an embedder showed."""

    model: str
    space: str
    dims: int
    expected_dims: int
    norm: float
    call: Call
    cost: Million
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
        str, typer.Argument(metavar="MODEL", help="As in a recipe: voyage:voyage-4, openai:gpt-6-luna.")
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
    writes: Annotated[
        bool,
        typer.Option("--writes", help="Take a model that is not listed for one that writes contexts."),
    ] = False,
    as_json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Try a model and compare it with what the registry says.

    It embeds or reranks a text or two. Tells the vector's size and length, or the scores, and the time and
    price of the call; of an embedder also what a million chunks would cost in money, bytes and seconds.
    """
    settings = settle(ctx, index=None, debug=debug)
    with guarded(settings):
        from ragweft.cli.models_writers import try_writer, writer_lines, writer_payload

        kind = _kind(name, dims, rerank=rerank)
        if kind == "writer" or writes:
            wrote = try_writer(name, base_url)
            lines, payload = writer_lines(wrote), writer_payload(wrote)
        elif kind == "reranker":
            tried = _try_reranker(name, base_url)
            lines, payload = _reranker_lines(tried), _payload(tried)
        else:
            checked = _try_embedder(name, dims, base_url)
            lines, payload = _embedder_lines(checked), _payload(checked)
        if as_json:
            from ragweft.cli.payload import print_json

            print_json(payload)
        else:
            put(*lines)
        if payload["problems"]:
            raise typer.Exit(FAILED)


def _kind(name: str, dims: int | None, *, rerank: bool) -> Kind | Literal["writer"]:
    """What to take *name* for.

    Raises:
        RecipeError: it is a reranker and *dims* are asked of it, or an embedder that is not made for them, or a
            name without its provider.
    """
    from ragweft.cli.models_writers import writers_alone
    from ragweft.errors import RecipeError
    from ragweft.generation.models import find
    from ragweft.providers.registry import check_dims, load

    provider, _, own = name.partition(":")
    embedder, reranker = _listed(name, "embedder"), _listed(name, "reranker")
    if rerank or (embedder is None and (reranker is not None or "rerank" in own)):
        if dims is not None:
            raise RecipeError(
                f"{name} is a reranker and makes no vectors: name an embedder, or leave out --dims"
            )
        return "reranker"
    if embedder is None and dims is None and (find(provider, own) is not None or writers_alone(provider)):
        return "writer"
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

    from ragweft.providers.registry import LOCAL

    listed = _listed(name, "embedder")
    embedder = _embedder(name, dims, base_url)
    free = name.partition(":")[0] in LOCAL
    (vector, chunk_ms), call = _timed(name, lambda: _embedded(embedder, warm=free))
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
        cost=_million(name, listed, embedder, len(vector), chunk_ms),
        listed=listed is not None,
        successor=listed.successor if listed is not None else "",
        problems=tuple(problems),
    )


def _try_reranker(name: str, base_url: str) -> CheckedReranker:
    listed = _listed(name, "reranker")
    reranker = _reranker(name, base_url)
    scores, call = _timed(name, lambda: _reranked(reranker))
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


def _reranked(reranker: Reranker) -> tuple[Sequence[float], float]:
    """Scores of the passages, and milliseconds."""
    start = time.perf_counter()
    scores = reranker.rerank(_TEXT, [_hit(text) for text in _PASSAGES])
    return scores, (time.perf_counter() - start) * 1000


def _embedded(embedder: Embedder, *, warm: bool) -> tuple[tuple[Vector, float], float]:
    """A query's vector and the milliseconds of a chunk after it; and those of the query, loading included.

    *warm*: a chunk costs nothing, so one more may do what is only done once.
    """
    start = time.perf_counter()
    vector = embedder.embed_query(_TEXT)
    ms = (time.perf_counter() - start) * 1000
    if warm:
        embedder.embed_documents([_CHUNK])
    start = time.perf_counter()
    embedder.embed_documents([_CHUNK])
    return (vector, (time.perf_counter() - start) * 1000), ms


def _million(name: str, listed: Model | None, embedder: Embedder, dims: int, chunk_ms: float) -> Million:
    """What a million chunks come to: with the requests that *embedder* would send."""
    from ragweft.embedding.remote import RemoteEmbedder
    from ragweft.providers.registry import Model, cost
    from ragweft.providers.registry_times import at_latency
    from ragweft.recipe import Embedding

    provider, _, own = name.partition(":")
    model = listed or Model(provider=provider, name=own, kind="embedder", dims=dims)
    if isinstance(embedder, RemoteEmbedder):
        limits = embedder.limits
        model = replace(model, batch=limits.texts, batch_tokens=limits.tokens, window=limits.window)
    spent = cost(model, _MILLION, _TOKENS, dims=dims)
    took = at_latency(model, chunk_ms / 1000, _MILLION, _TOKENS, at_once=Embedding().at_once)
    return Million(
        chunks=_MILLION,
        usd=0.0 if model.local else spent.usd,
        bytes=spent.bytes,
        seconds=took.seconds,
        basis=took.why,
        by=took.basis,
        chunk_ms=chunk_ms,
    )


def _timed(name: str, ask: Callable[[], tuple[T, float]]) -> tuple[T, Call]:
    """What was said, and what asking took: the milliseconds are those that *ask* tells."""
    from ragweft.providers.metering import Meter, metered
    from ragweft.providers.registry import LOCAL

    with metered(Meter()) as meter:
        said, ms = ask()
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
    return [
        f"{title:<12}{value}" for title, value in (*rows.items(), *_common(checked), *_outlook(checked.cost))
    ]


def _reranker_lines(checked: CheckedReranker) -> list[str]:
    scores = f"{checked.answering:.4g} for a passage that answers, {checked.other:.4g} for one that does not"
    rows = {"model": checked.model, "reranker": checked.name, "scores": scores}
    return [f"{title:<12}{value}" for title, value in (*rows.items(), *_common(checked))]


def _common(checked: CheckedEmbedder | CheckedReranker) -> Iterator[tuple[str, str]]:
    yield "latency", f"{checked.call.ms:,.1f} ms, loading included"
    yield "price", _price(checked.call)
    yield "registry", _verdict(checked)


def _outlook(cost: Million) -> Iterator[tuple[str, str]]:
    from ragweft.cli.wording import human_bytes
    from ragweft.providers.advice import duration
    from ragweft.providers.registry import dollars

    money = "price not known" if cost.usd is None else dollars(cost.usd) if cost.usd else "free"
    yield "1M chunks", f"{money}, {human_bytes(cost.bytes)}, {duration(cost.seconds)}"
    yield "time", cost.basis


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
