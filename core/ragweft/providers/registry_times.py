"""How long embedding takes, and what that figure rests on: measured, or an estimate that says of what.

A local model multiplies every token with its active parameters, so its time grows with their number: within
a quarter that holds from 11 to 300 million of them (benchmarks/results/embedders.md). A service takes the
requests that are needed, so many at once, and no more in a minute than its provider allows.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from ragweft.providers.registry import Model

__all__ = ["AT_ONCE", "Basis", "Duration", "at_latency", "estimate", "requests"]

Basis = Literal["measured", "parameters", "requests", "rate limit", "checked"]
"""What a figure of seconds is: measured for the registry; estimated by the model's parameters, by the requests
it takes, or by the provider's rate limit; by the latency a call has just had."""

AT_ONCE = 4
"""Requests under way at a time, as recipes have it unless told otherwise."""
_MULTIPLIES, _LOOKS_UP = "sentence-transformers:sentence-transformers/all-MiniLM-L6-v2", "static"
"""The measured models that others are compared with."""
_SMALL, _LARGE = (16 * 512, 1.41), (96 * 512, 4.35)
"""Tokens of a request and the seconds until it was answered: 16 and 96 texts of 512 tokens, eight requests at a
time, to one unit of embed-english-v3.0 (docs.oracle.com/en-us/iaas/Content/generative-ai, scenario-6.htm and
benchmark-cohere-embed-english-v3.htm, read 2026-11). The providers' own pages name no latency."""
_TYPICAL = "as long as Cohere's embed-english-v3.0 takes for as many tokens (Oracle's benchmark, read 2026-11)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Duration:
    """Seconds, and why so many."""

    seconds: float
    basis: Basis
    why: str
    """In words, with sources."""


def estimate(model: Model, chunks: int, tokens_per_chunk: int, *, known: Sequence[Model]) -> Duration | None:
    """How long embedding *chunks* takes; None if nothing is known that it could be estimated by.

    *known* are the models among which the measured ones are looked for.
    """
    tokens = chunks * tokens_per_chunk
    if model.tokens_per_second is not None:
        said = f"{model.tokens_per_second:,.0f} tokens a second, measured on {model.measured}"
        return Duration(seconds=tokens / model.tokens_per_second, basis="measured", why=said)
    if model.local:
        return _by_parameters(model, tokens, known)
    needed = requests(model, chunks, tokens_per_chunk)
    if needed is None:
        return None
    count, each = needed
    took = _latency(min(each * tokens_per_chunk, tokens))
    why = f"estimated: {count:,} requests of {each:,} texts, {AT_ONCE} at once, each {_TYPICAL}"
    flowing = Duration(seconds=count * took / AT_ONCE, basis="requests", why=why)
    return _not_faster(flowing, model, chunks, tokens_per_chunk)


def at_latency(
    model: Model, seconds: float, chunks: int, tokens_per_chunk: int, *, at_once: int = AT_ONCE
) -> Duration:
    """How long embedding *chunks* takes if every call takes *seconds*, as one of a single chunk has just had.

    A full request to a service takes longer than that, so the figure is a bound from below. A model without
    requests, on this machine, is asked for one chunk after the other.
    """
    took = f"{seconds * 1000:,.1f} ms that one chunk took just now"
    needed = None if model.local else requests(model, chunks, tokens_per_chunk)
    if needed is None:
        return Duration(seconds=chunks * seconds, basis="checked", why=f"the {took}, one after the other")
    count, each = needed
    why = f"at least: {count:,} requests of {each:,} texts, {at_once} at once, each in the {took}"
    flowing = Duration(seconds=count * seconds / at_once, basis="checked", why=why)
    return _not_faster(flowing, model, chunks, tokens_per_chunk)


def requests(model: Model, chunks: int, tokens_per_chunk: int) -> tuple[int, int] | None:
    """How many requests a service is sent and how many texts one holds; None if its limits are not known."""
    if model.batch is None:
        return None
    parts = 1 if model.window is None else math.ceil(tokens_per_chunk / model.window)
    each = model.batch // parts
    if model.batch_tokens is not None:
        each = min(each, model.batch_tokens // tokens_per_chunk)
    each = max(1, each)
    return math.ceil(chunks / each), each


def _by_parameters(model: Model, tokens: int, known: Sequence[Model]) -> Duration | None:
    if model.active is None:
        return None
    name = _MULTIPLIES if model.active else _LOOKS_UP
    measured = next((each for each in known if each.label == name), None)
    if measured is None or measured.tokens_per_second is None:
        return None
    speed = f"{measured.tokens_per_second:,.0f} tokens a second on {measured.measured}"
    times, said = 1.0, f"estimated by the built-in static vectors: {speed}"
    if model.active and measured.active:
        times = model.active / measured.active
        said = f"estimated by {model.active:,g} million active parameters: all-MiniLM-L6-v2 has "
        said += f"{measured.active:g} million and reads {speed}"
    return Duration(seconds=tokens * times / measured.tokens_per_second, basis="parameters", why=said)


def _not_faster(flowing: Duration, model: Model, chunks: int, tokens_per_chunk: int) -> Duration:
    """*flowing*, or what the provider's rate limit makes of it if that is longer."""
    count, _ = requests(model, chunks, tokens_per_chunk) or (chunks, 1)
    asked = (
        (chunks * tokens_per_chunk, model.tokens_per_minute, "tokens"),
        (chunks, model.texts_per_minute, "texts"),
        (count, model.requests_per_minute, "requests"),
    )
    held = [(60 * much / limit, limit, what) for much, limit, what in asked if limit is not None]
    seconds, limit, what = max(held, default=(0.0, 0, ""))
    if seconds <= flowing.seconds:
        return flowing
    said = f"at least, by the rate limit: {limit:,} {what} a minute ({model.limited})"
    return Duration(seconds=seconds, basis="rate limit", why=said)


def _latency(tokens: int) -> float:
    """Seconds until a request of so many tokens is answered, on the line through the two that were measured."""
    (small, quick), (large, slow) = _SMALL, _LARGE
    return quick + (tokens - small) * (slow - quick) / (large - small)
