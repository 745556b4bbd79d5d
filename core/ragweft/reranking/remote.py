"""Any reranking service behind the `Reranker` protocol: requests within its limits, checked, priced.

Somebody waits for it, so it is awaited in any case, and cut off when its time is up: one for all requests.
"""

from __future__ import annotations

import asyncio
import math
import re
import sys
import weakref
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Protocol, TypeGuard

from ragweft.errors import ProviderError
from ragweft.providers.background import abandoned, awaited, released
from ragweft.providers.failures import scrubbed
from ragweft.providers.metering import Charge, charge, reserved
from ragweft.providers.owned import PerProcess
from ragweft.providers.policy import QUERIES, Caller, Deadline, TooLong
from ragweft.reranking.pieces import Piece, Scored, batches_of, merged, parts_of
from ragweft.types import Judgement

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from contextlib import AbstractContextManager

    from ragweft.types import Hit

__all__ = ["Limits", "Price", "RemoteReranker", "RerankConnection", "RerankReply", "RerankWire"]


_MARKS = 8
"""Tokens a model adds of its own to a pair, at most."""
_SEARCH = 100
"""Documents that count as one search."""
_BILLED = 500
"""Tokens of query and document that count as one document of a search (Cohere's price list)."""
_QUERY = re.compile(r"\bquery\b", re.IGNORECASE)
_PASSAGES = re.compile(r"\b(document|passage|text|input|example|batch|pair|total|together)", re.IGNORECASE)
"""What a service does not speak of when it is the query that it finds too long."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RerankReply:
    """What a service said to one request, as it came: nothing of it is checked yet."""

    scores: Sequence[tuple[object, object]]
    """Places of passages and their scores."""
    spans: Mapping[int, Sequence[tuple[int, int]]]
    """Place of a passage to its relevant spans, half open, in code points; where the service gives any."""
    tokens: object
    searches: object
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
class Limits:
    """What one request and one passage may hold."""

    passages: int
    """Passages in one request."""
    tokens: int | None = None
    """Tokens in one request, the query's counted with every passage; None: no limit known."""
    window: int | None = None
    """Tokens of query and passage together; None: not known."""


class RemoteReranker:
    """A `Reranker` over a `RerankWire`; safe to call from many threads and loops, and in a forked child.

    A passage longer than the model reads goes out in parts, of which the best counts (MaxP: Dai and Callan,
    "Deeper Text Understanding for IR", SIGIR 2019); a blank one is not sent and comes last. More passages than
    one request may hold go out in several, side by side: a model's scores for one query can be compared, see
    `services`. What a service still finds too long is asked for in halves.
    """

    def __init__(
        self,
        connect: Callable[[], RerankConnection],
        *,
        name: str,
        price: Price,
        limits: Limits,
        count: Callable[[str], int],
    ) -> None:
        """*connect* is called at first use in a process; *count* gives rather more tokens than a text has."""
        self._connection = PerProcess(connect)
        weakref.finalize(self, _let_go, self._connection)
        self.name = name
        self.limits = limits
        self._price = price
        self._count = count

    def __repr__(self) -> str:
        return f"RemoteReranker({self.name})"

    def rerank(self, query: str, hits: Sequence[Hit]) -> list[float]:
        """As `Reranker.rerank`.

        Raises:
            ProviderError: the service failed, left a passage without a score, or gave one that is no number.
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
        return merged(awaited(partial(self._scored, self._connection.get(), query, pieces)), hits)

    async def ajudge(self, query: str, hits: Sequence[Hit]) -> list[Judgement]:
        """As `judge`, without blocking the running loop."""
        pieces = self._pieces(query, hits)
        if not pieces:
            return [Judgement(score=0.0) for _ in hits]
        return merged(await self._scored(self._connection.get(), query, pieces), hits)

    def close(self) -> None:
        """Let go of connections; idempotent."""
        if connection := self._connection.peek():
            released(connection.wire.aclose)

    async def aclose(self) -> None:
        """Let go of the running loop's connections; idempotent."""
        if connection := self._connection.peek():
            await connection.wire.aclose()

    def _pieces(self, query: str, hits: Sequence[Hit]) -> list[Piece]:
        window = self.limits.window
        left = None if window is None else max(16, window - self._count(query) - _MARKS)
        return [
            part
            for place, hit in enumerate(hits)
            if hit.chunk.indexed_text.strip()
            for part in parts_of(Piece(place=place, text=hit.chunk.indexed_text, start=0), left, self._count)
        ]

    async def _scored(self, connection: RerankConnection, query: str, pieces: Sequence[Piece]) -> list[Scored]:
        """All *pieces*, or smaller ones in their place, each with its score."""
        deadline = Deadline(seconds=QUERIES.seconds)
        own, limits = self._count(query), self.limits
        sizes = [own + self._count(piece.text) for piece in pieces]
        batches = batches_of(pieces, sizes, most=limits.passages, tokens=limits.tokens)
        # One that failed does not cut off the others: they are paid for, and end with the deadline.
        answers = await asyncio.gather(
            *(self._asked(connection, query, batch, deadline) for batch in batches), return_exceptions=True
        )
        found: list[Scored] = []
        for answer in answers:
            if isinstance(answer, BaseException):
                raise answer
            found += answer
        return found

    async def _asked(
        self, connection: RerankConnection, query: str, pieces: Sequence[Piece], deadline: Deadline
    ) -> list[Scored]:
        texts = [piece.text for piece in pieces]
        send = partial(connection.wire.asend, query, texts, seconds=QUERIES.timeout)
        holding = self._cost(query, texts)
        try:
            reply = await connection.caller.acall(send, QUERIES, deadline=deadline, holding=holding)
        except TooLong as error:
            too_long = error
        else:
            return self._checked(reply, query, pieces)
        # One after the other: where the query is what is too long, the first small request says so.
        found: list[Scored] = []
        for half in self._halves(query, pieces, too_long):
            found += await self._asked(connection, query, half, deadline)
        return found

    def _halves(self, query: str, pieces: Sequence[Piece], too_long: TooLong) -> Sequence[Sequence[Piece]]:
        """What to ask for in the place of *pieces*.

        Raises:
            ProviderError: less at once would be refused as well.
        """
        said = str(too_long.refused)
        if not _QUERY.search(said) or _PASSAGES.search(said):
            if len(pieces) > 1:
                middle = len(pieces) // 2
                return pieces[:middle], pieces[middle:]
            # The bound on its tokens was no bound. Of a passage shorter than the query, the query is too long.
            tokens = self._count(pieces[0].text)
            parts = list(parts_of(pieces[0], max(1, tokens * 2 // 3), self._count))
            if tokens > self._count(query) and len(parts) > 1:
                return [[part] for part in parts]
        raise too_long.refused from too_long.__cause__

    def _checked(self, reply: RerankReply, query: str, pieces: Sequence[Piece]) -> list[Scored]:
        """The reply's scores, after it was charged: a wrong answer costs like a right one."""
        self._charge(reply, query, [piece.text for piece in pieces])
        scores: dict[int, float] = {}
        for place, score in reply.scores:
            if not _is_finite(score):
                said = f"a score is {scrubbed(repr(score), ())} where a number belongs"
                raise ProviderError(f"{self.name}: {said}; none was used, try again", retryable=True)
            if type(place) is int:
                scores[place] = float(score)
        if len(reply.scores) != len(pieces) or set(scores) != set(range(len(pieces))):
            said = f"{len(reply.scores)} scores came back for {len(pieces)} passages, not one for each"
            raise ProviderError(f"{self.name}: {said}; none was used, try again", retryable=True)
        return [
            Scored(piece=piece, score=scores[place], spans=reply.spans.get(place, ()))
            for place, piece in enumerate(pieces)
        ]

    def _charge(self, reply: RerankReply, query: str, passages: Sequence[str]) -> None:
        tokens, searches = _billed(reply.tokens), _billed(reply.searches)
        if tokens is None and searches is None:
            charge(self._estimate(query, passages))
            return
        usd = self._price.of(tokens=tokens, searches=searches)
        charge(Charge(model=self.name, purpose="rerank", tokens=tokens or 0, usd=usd))

    def _estimate(self, query: str, passages: Sequence[str]) -> Charge:
        """What a call may be billed as, from above."""
        own = self._count(query)
        sizes = [own + self._count(passage) for passage in passages]
        documents = sum(math.ceil(size / _BILLED) for size in sizes)
        usd = self._price.of(tokens=sum(sizes), searches=math.ceil(documents / _SEARCH))
        return Charge(model=self.name, purpose="rerank", tokens=sum(sizes), usd=usd)

    def _cost(self, query: str, passages: Sequence[str]) -> Callable[[], AbstractContextManager[None]]:
        estimate = self._estimate(query, passages)
        return partial(reserved, estimate.usd, self.name, estimate=lambda: estimate)


def _is_finite(value: object) -> TypeGuard[int | float]:
    # Not math.isfinite, which fails over an integer too large for a float.
    return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) <= sys.float_info.max


def _billed(said: object) -> int | None:
    """What a service says it bills; None if that is no count."""
    return int(said) if _is_finite(said) and said >= 0 else None


def _let_go(connection: PerProcess[RerankConnection]) -> None:
    """Close what nobody closed, when the reranker is collected or the program ends."""
    if held := connection.peek():
        abandoned(held.wire.aclose)
