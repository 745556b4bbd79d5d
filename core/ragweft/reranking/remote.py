"""Any reranking service behind the `Reranker` protocol: one request, retried briefly, checked, priced."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Protocol

from ragweft.errors import ProviderError
from ragweft.providers.metering import Charge, charge, reserved
from ragweft.providers.policy import QUERIES, Caller
from ragweft.types import Judgement, Span

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from contextlib import AbstractContextManager

    from ragweft.types import Hit

__all__ = ["Price", "RemoteReranker", "RerankReply", "RerankWire"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RerankReply:
    """What a service said to one request."""

    scores: Mapping[int, float]
    """Place of a passage to its score."""
    spans: Mapping[int, Sequence[tuple[int, int]]]
    """Place of a passage to its relevant spans, half open, in code points; where the service gives any."""
    tokens: int | None
    searches: int | None
    """What it bills: tokens, or searches of up to a hundred passages."""


class RerankWire(Protocol):
    """One service's wire format: a request out, a reply in, no retries, no checks."""

    def send(self, query: str, passages: Sequence[str], *, seconds: float) -> RerankReply:
        """One request; raises whatever its SDK raises."""
        ...

    async def asend(self, query: str, passages: Sequence[str], *, seconds: float) -> RerankReply:
        """As `send`, without blocking."""
        ...

    def close(self) -> None:
        """Let go of connections; idempotent."""
        ...

    async def aclose(self) -> None:
        """Let go of the running loop's connections; idempotent."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """What a call costs; both None: not known."""

    usd_per_million: float | None = None
    """For a million tokens."""
    usd_per_search: float | None = None

    def of(self, *, tokens: int | None, searches: int | None) -> float | None:
        """US dollars for one call."""
        if self.usd_per_search is not None:
            return self.usd_per_search * (searches or 1)
        if self.usd_per_million is not None and tokens is not None:
            return self.usd_per_million * tokens / 1e6
        return None


class RemoteReranker:
    """A `Reranker` over a `RerankWire`; safe to call from many threads and loops at once."""

    def __init__(
        self, wire: RerankWire, *, name: str, price: Price, caller: Caller, count: Callable[[str], int]
    ) -> None:
        """*count* gives a bound on the tokens of a text."""
        self._wire = wire
        self.name = name
        self._price = price
        self._caller = caller
        self._count = count

    def __repr__(self) -> str:
        return f"RemoteReranker({self.name})"

    def rerank(self, query: str, hits: Sequence[Hit]) -> list[float]:
        """As `Reranker.rerank`.

        Raises:
            ProviderError: the service failed or left a passage without a score.
        """
        return [judgement.score for judgement in self.judge(query, hits)]

    async def arerank(self, query: str, hits: Sequence[Hit]) -> list[float]:
        """As `rerank`, without blocking the running loop."""
        return [judgement.score for judgement in await self.ajudge(query, hits)]

    def judge(self, query: str, hits: Sequence[Hit]) -> list[Judgement]:
        """As `HighlightingReranker.judge`."""
        if not hits:
            return []
        passages = [hit.chunk.indexed_text for hit in hits]
        send = partial(self._wire.send, query, passages, seconds=QUERIES.timeout)
        reply = self._caller.call(send, QUERIES, holding=self._cost(query, passages))
        return self._checked(reply, query, hits, passages)

    async def ajudge(self, query: str, hits: Sequence[Hit]) -> list[Judgement]:
        """As `judge`, without blocking the running loop."""
        if not hits:
            return []
        passages = [hit.chunk.indexed_text for hit in hits]
        send = partial(self._wire.asend, query, passages, seconds=QUERIES.timeout)
        reply = await self._caller.acall(send, QUERIES, holding=self._cost(query, passages))
        return self._checked(reply, query, hits, passages)

    def close(self) -> None:
        """Let go of connections; idempotent."""
        self._wire.close()

    async def aclose(self) -> None:
        """Let go of the running loop's connections; idempotent."""
        await self._wire.aclose()

    def _checked(
        self, reply: RerankReply, query: str, hits: Sequence[Hit], passages: Sequence[str]
    ) -> list[Judgement]:
        tokens = reply.tokens
        if tokens is None and reply.searches is None:
            tokens = self._bound(query, passages)
        usd = self._price.of(tokens=tokens, searches=reply.searches)
        charge(Charge(model=self.name, purpose="rerank", tokens=tokens or 0, usd=usd))
        missing = [place for place in range(len(hits)) if place not in reply.scores]
        if missing or len(reply.scores) != len(hits):
            raise ProviderError(
                f"{self.name}: {len(reply.scores)} scores came back for {len(hits)} passages; try again",
                retryable=True,
            )
        return [
            Judgement(score=float(reply.scores[place]), highlights=_own(hit, reply.spans.get(place, ())))
            for place, hit in enumerate(hits)
        ]

    def _bound(self, query: str, passages: Sequence[str]) -> int:
        return len(passages) * self._count(query) + sum(map(self._count, passages))

    def _cost(self, query: str, passages: Sequence[str]) -> Callable[[], AbstractContextManager[None]]:
        priced = self._price.usd_per_million is not None
        tokens = self._bound(query, passages) if priced else None
        usd = self._price.of(tokens=tokens, searches=1 + (len(passages) - 1) // 100) or 0.0
        return partial(reserved, usd, self.name)


def _own(hit: Hit, spans: Sequence[tuple[int, int]]) -> tuple[Span, ...]:
    """*spans* of what was sent as spans of the chunk's own text; what lies in its context is left out."""
    shift = len(hit.chunk.indexed_text) - len(hit.chunk.text)
    found = []
    for start, end in spans:
        start, end = max(start - shift, 0), min(end - shift, len(hit.chunk.text))
        if start < end:
            found.append(Span(start=start, end=end))
    return tuple(found)
