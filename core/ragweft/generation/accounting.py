"""Bounds, estimates and reservations of what calls to a text-generating service cost."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING

from ragweft.errors import BudgetExceeded
from ragweft.generation.values import Tokens
from ragweft.providers.metering import reserved

if TYPE_CHECKING:
    from ragweft.generation.values import Prompt
    from ragweft.providers.metering import Charge

__all__ = ["about", "as_tokens", "asked_for", "bound", "held", "purpose_now", "quarters"]

_MARKS = 64
"""Tokens a service puts around a prompt, at most."""


def quarters(text: str) -> float:
    """Four-byte pieces of *text*: what tokens are estimated from, in any script and without any tokenizer."""
    return len(text.encode("utf-8", "surrogatepass")) / 4


def as_tokens(text: str, density: float) -> int:
    """About how many tokens *text* has, of a model with so many tokens for four bytes."""
    return round(quarters(text) * density)


def about(prompt: Prompt, density: float, max_tokens: int) -> Tokens:
    """What a call is billed as if nothing was kept before it and its answer is as long as it may be."""
    prefix, rest = as_tokens(prompt.prefix, density), as_tokens(prompt.rest, density)
    if not prompt.keep:
        return Tokens(fresh=prefix + rest, output=max_tokens)
    lasting = prefix if prompt.keep == "hour" else 0
    return Tokens(fresh=rest, written=prefix, lasting=lasting, output=max_tokens)


def bound(prompt: Prompt, max_tokens: int) -> Tokens:
    """More than a call can be billed as: a token stands for a byte at least, and nothing was kept before."""
    read = round(quarters(prompt.prefix) * 4) + _MARKS
    rest = round(quarters(prompt.rest) * 4)
    if not prompt.keep:
        return Tokens(fresh=read + rest, output=max_tokens)
    lasting = read if prompt.keep == "hour" else 0
    return Tokens(fresh=rest, written=read, lasting=lasting, output=max_tokens)


_PURPOSE: ContextVar[str] = ContextVar("ragweft_purpose", default="context")


@contextmanager
def asked_for(purpose: str) -> Iterator[None]:
    """Have what is generated within the block charged to *purpose*, "context" otherwise."""
    token = _PURPOSE.set(purpose)
    try:
        yield
    finally:
        _PURPOSE.reset(token)


def purpose_now() -> str:
    """What calls are charged to here. To be asked where they begin: their bill may come in another place."""
    return _PURPOSE.get()


@contextmanager
def held(
    usd: float | None,
    model: str,
    estimate: Callable[[], Charge] | None = None,
    *,
    advice: str = "set [context] usd_input and usd_output",
) -> Iterator[None]:
    """`reserved`, with *advice* where there is no price.

    Raises:
        BudgetExceeded: the call might go over the cap, or has no price that a cap could hold.
    """
    if usd is None:
        with _priced(model, advice), reserved(None, model):
            pass
    with reserved(usd, model, estimate=estimate):
        yield


@contextmanager
def _priced(model: str, advice: str) -> Iterator[None]:
    try:
        yield
    except BudgetExceeded:
        said = f"{model}: its price is not known, so no cap can hold"
        raise BudgetExceeded(f"{said}; {advice}, or leave the cap out") from None
