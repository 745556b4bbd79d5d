"""How an embedding service is reached, what it takes and what it answers: what every `Wire` keeps to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol, TypeAlias

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ragweft.providers.policy import Caller

__all__ = ["Connection", "Limits", "Reply", "Role", "Rows", "Tariff", "Wire"]

Role = Literal["document", "query"]
"""What a text is: one to be found, or one to find with."""
Rows: TypeAlias = "NDArray[np.generic] | Sequence[NDArray[np.generic] | Sequence[float] | None]"
"""Vectors as a service sent them, of any length and number type; None where none came."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What a service said to one request."""

    vectors: Rows
    """Decoded, one row for each text."""
    tokens: int | None
    """What it bills; None if it does not say."""


class Wire(Protocol):
    """One service's wire format: a request out, a reply in, no retries, no checks."""

    def send(self, texts: Sequence[str], role: Role, *, seconds: float) -> Reply:
        """One request of at most the service's own limits; raises whatever its SDK raises.

        *seconds* go to the SDK, for most of which they are from one byte of an answer to the next.
        """
        ...

    async def asend(self, texts: Sequence[str], role: Role, *, seconds: float) -> Reply:
        """As `send`, without blocking; a call that is cancelled closes its connection."""
        ...

    def close(self) -> None:
        """Let go of connections; idempotent."""
        ...

    async def aclose(self) -> None:
        """Let go of the running loop's connections; idempotent."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Connection:
    """How one process reaches a service."""

    caller: Caller
    wires: Mapping[Role, Wire]
    """Two, where queries go to another model of the same space."""

    @property
    def distinct(self) -> list[Wire]:
        """Each wire once."""
        return list({id(wire): wire for wire in self.wires.values()}.values())


@dataclass(frozen=True, slots=True, kw_only=True)
class Tariff:
    """What texts of one role are sent with and billed as."""

    model: str
    """As in a recipe."""
    usd_per_million: float | None = None
    """For a million tokens; None: not known."""
    prompt: str = ""
    """Put in front of every text by the wire, and billed with it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one request and one text may hold."""

    texts: int
    """Texts in one request."""
    tokens: int | None = None
    """Tokens in one request; None: no limit known."""
    window: int | None = None
    """Tokens of one text; None: not known."""
    cuts: bool = False
    """The service may cut a text over the window without a word."""
