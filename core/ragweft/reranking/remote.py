"""Any reranking service behind the `Reranker` protocol: one request, retried briefly, checked, priced.

Somebody waits for it, so it is awaited in any case, and cut off when its time is up.
"""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Protocol

from ragweft.errors import ProviderError
from ragweft.providers.background import abandoned, awaited, released
from ragweft.providers.metering import Charge, charge, reserved
from ragweft.providers.owned import PerProcess
from ragweft.providers.policy import QUERIES, Caller, TooLong
from ragweft.providers.windows import in_parts
from ragweft.types import Judgement, Span

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from contextlib import AbstractContextManager

    from ragweft.types import Hit

__all__ = ["Price", "RemoteReranker", "RerankConnection", "RerankReply", "RerankWire"]


_MARKS = 8
"""Tokens a model adds of its own to a pair, at most."""


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

    async def asend(self, query: str, passages: Sequence[str], *, seconds: float) -> RerankReply:
        """One request; raises whatever its SDK raises, and closes its connection when it is cancelled.

        *seconds* go to the SDK, for most of which they are from one byte of an answer to the next.
        """
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


@dataclass(frozen=True, slots=True, kw_only=True)
class RerankConnection:
    """How one process reaches a service."""

    caller: Caller
    wire: RerankWire


@dataclass(frozen=True, slots=True, kw_only=True)
class _Piece:
    """What is sent of one hit: its passage, or a part of a long one."""

    place: int
    text: str
    start: int
    """Where it begins in the passage."""


class RemoteReranker:
    """A `Reranker` over a `RerankWire`; safe to call from many threads and loops, and in a forked child.

    A passage longer than the model reads goes out in parts, of which the best counts (MaxP: Dai and Callan,
    "Deeper Text Understanding for IR", SIGIR 2019); a blank one is not sent and comes last.
    """

    def __init__(
        self,
        connect: Callable[[], RerankConnection],
        *,
        name: str,
        price: Price,
        window: int | None,
        count: Callable[[str], int],
    ) -> None:
        """*connect* is called at first use in a process.

        *window* tokens of query and passage together are read, None if that is not known; *count* gives rather
        more tokens than a text has.
        """
        self._connection = PerProcess(connect)
        weakref.finalize(self, _let_go, self._connection)
        self.name = name
        self._price = price
        self._window = window
        self._count = count

    def __repr__(self) -> str:
        return f"RemoteReranker({self.name})"

    def rerank(self, query: str, hits: Sequence[Hit]) -> list[float]:
        """As `Reranker.rerank`.

        Raises:
            ProviderError: the service failed or left a passage without a score.
            RecipeError: there is no key.
        """
        return [judgement.score for judgement in self.judge(query, hits)]

    async def arerank(self, query: str, hits: Sequence[Hit]) -> list[float]:
        """As `rerank`, without blocking the running loop."""
        return [judgement.score for judgement in await self.ajudge(query, hits)]

    def judge(self, query: str, hits: Sequence[Hit]) -> list[Judgement]:
        """As `HighlightingReranker.judge`.

        Raises:
            ProviderError: as `rerank`, or there was no answer within the seconds of `QUERIES`.
            RecipeError: as `rerank`.
        """
        pieces = self._pieces(query, hits)
        if not pieces:
            return [Judgement(score=0.0) for _ in hits]
        reply = awaited(partial(self._reply, self._connection.get(), query, pieces))
        return self._checked(reply, query, hits, pieces)

    async def ajudge(self, query: str, hits: Sequence[Hit]) -> list[Judgement]:
        """As `judge`, without blocking the running loop."""
        pieces = self._pieces(query, hits)
        if not pieces:
            return [Judgement(score=0.0) for _ in hits]
        reply = await self._reply(self._connection.get(), query, pieces)
        return self._checked(reply, query, hits, pieces)

    def close(self) -> None:
        """Let go of connections; idempotent."""
        if connection := self._connection.peek():
            released(connection.wire.aclose)

    async def aclose(self) -> None:
        """Let go of the running loop's connections; idempotent."""
        if connection := self._connection.peek():
            await connection.wire.aclose()

    def _pieces(self, query: str, hits: Sequence[Hit]) -> list[_Piece]:
        left = None if self._window is None else max(16, self._window - self._count(query) - _MARKS)
        found: list[_Piece] = []
        for place, hit in enumerate(hits):
            passage = hit.chunk.indexed_text
            if not passage.strip():
                continue
            start = 0
            for part in in_parts([passage], window=left, count=self._count)[0]:
                start = max(start, passage.find(part, start))
                found.append(_Piece(place=place, text=part, start=start))
                start += len(part)
        return found

    async def _reply(self, connection: RerankConnection, query: str, pieces: Sequence[_Piece]) -> RerankReply:
        texts = [piece.text for piece in pieces]
        send = partial(connection.wire.asend, query, texts, seconds=QUERIES.timeout)
        try:
            return await connection.caller.acall(send, QUERIES, holding=self._cost(query, texts))
        except TooLong as error:
            raise error.refused from error.__cause__

    def _checked(
        self, reply: RerankReply, query: str, hits: Sequence[Hit], pieces: Sequence[_Piece]
    ) -> list[Judgement]:
        tokens = reply.tokens
        if tokens is None and reply.searches is None:
            tokens = self._bound(query, [piece.text for piece in pieces])
        usd = self._price.of(tokens=tokens, searches=reply.searches)
        charge(Charge(model=self.name, purpose="rerank", tokens=tokens or 0, usd=usd))
        if set(reply.scores) != set(range(len(pieces))):
            raise ProviderError(
                f"{self.name}: {len(reply.scores)} scores came back for {len(pieces)} passages; try again",
                retryable=True,
            )
        worst = min(reply.scores.values())
        judged = [Judgement(score=worst) for _ in hits]
        for number, piece in enumerate(pieces):
            score = float(reply.scores[number])
            old = judged[piece.place]
            spans = [(s + piece.start, e + piece.start) for s, e in reply.spans.get(number, ())]
            highlights = (*old.highlights, *_own(hits[piece.place], spans))
            judged[piece.place] = Judgement(score=max(old.score, score), highlights=highlights)
        return judged

    def _bound(self, query: str, passages: Sequence[str]) -> int:
        return len(passages) * self._count(query) + sum(map(self._count, passages))

    def _cost(self, query: str, passages: Sequence[str]) -> Callable[[], AbstractContextManager[None]]:
        tokens = self._bound(query, passages)
        usd = self._price.of(tokens=tokens, searches=1 + (len(passages) - 1) // 100)
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


def _let_go(connection: PerProcess[RerankConnection]) -> None:
    """Close what nobody closed, when the reranker is collected or the program ends."""
    if held := connection.peek():
        abandoned(held.wire.aclose)
