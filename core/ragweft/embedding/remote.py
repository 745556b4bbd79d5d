"""Any embedding service behind the `Embedder` protocol: batches, retries, checks, prices. The wire is a detail.

What is sent fits the service's limits; what comes back is counted, sized and tested for NaN before anything
believes it. Documents go out by blocking calls, patiently. Somebody waits for a query: its calls are awaited,
and cut off together at one deadline.
"""

from __future__ import annotations

import hashlib
import threading
import weakref
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from ragweft.embedding.fitting import Portion, divisible, requests
from ragweft.embedding.wires.decoding import unit_vectors
from ragweft.errors import BudgetExceeded, ProviderError
from ragweft.providers.background import abandoned, awaited, released
from ragweft.providers.dialogue import answered, answered_async
from ragweft.providers.doubts import obstacles
from ragweft.providers.metering import Charge, charge, reserved
from ragweft.providers.owned import PerProcess
from ragweft.providers.policy import DOCUMENTS, QUERIES, Deadline
from ragweft.providers.side_by_side import affordable, side_by_side
from ragweft.providers.windows import in_parts, long_ones

if TYPE_CHECKING:
    from ragweft.embedding.connection import Connection, Limits, Reply, Role, Tariff
    from ragweft.embedding.fitting import Requests
    from ragweft.types import Space, Vector, Vectors

__all__ = ["RemoteEmbedder"]

_MARKS = 8
"""Tokens a model adds of its own to a text, such as [CLS] and [SEP], at most."""
_REMEMBERED = 512
"""Query vectors kept: a question asked again in one process is not paid again."""
_NOTED = 100_000
"""Texts kept in mind that only the service found too long, by their digests."""


class RemoteEmbedder:
    """An `Embedder` over a `Wire`; safe to call from many threads and loops at once, and in a forked child."""

    def __init__(
        self,
        connect: Callable[[], Connection],
        *,
        space: Space,
        limits: Limits,
        tariffs: Mapping[Role, Tariff],
        count: Callable[[str], int],
    ) -> None:
        """*connect* is called at first use in a process: an index opens without key, package or network.

        *count* tells about how many tokens a text has: services do not ship their tokenizers.
        """
        self._connection = PerProcess(connect)
        weakref.finalize(self, _let_go, self._connection)
        self.space = space
        self.limits = limits
        self.count = count
        self._tariffs = tariffs
        self._lock = threading.Lock()
        self._asked: OrderedDict[str, Vector] = OrderedDict()
        self._split: OrderedDict[bytes, None] = OrderedDict()
        self._portion = Portion(limits.texts)
        self.window = limits.window

    def __repr__(self) -> str:
        return f"RemoteEmbedder({self.space})"

    @property
    def connection(self) -> Connection:
        """How this process reaches the service.

        Raises:
            RecipeError: there is no key.
            MissingExtra: the service's package is not installed.
        """
        return self._connection.get()

    def doubts(self) -> list[str]:
        """As `Doubtful.doubts`."""
        return obstacles(self._connection.get)

    @property
    def usd_per_million(self) -> float | None:
        """The price of a million tokens of documents, if known."""
        return self._tariffs["document"].usd_per_million

    @property
    def query_fingerprint(self) -> str:
        """What decides a query's vector besides space and text."""
        return f"{self._tariffs['query'].model}\n{self._tariffs['query'].prompt}"

    @property
    def warning(self) -> str:
        """What whoever fills an index with this embedder should know; "" for nothing."""
        if self.window is None and self.limits.cuts:
            return (
                f"the window of {self.space.model} is not known, and its server may cut longer texts without a "
                "word: set [embedding] window"
            )
        return ""

    def too_long(self, texts: Sequence[str]) -> list[int]:
        """Places of the texts longer than the window; they are embedded in parts.

        By a bound on their tokens; of what was embedded, also those that only the service found too long.
        """
        places = long_ones(texts, window=self.window, count=self.count)
        with self._lock:
            if self._split:
                split = [place for place, text in enumerate(texts) if _digest(text) in self._split]
                places = sorted({*places, *split})
        return places

    def tokens(self, texts: Sequence[str]) -> int:
        """About what *texts* come to as documents: what an estimate of costs goes by."""
        return self._about(texts, "document")

    def embed_documents(self, texts: Sequence[str]) -> Vectors:
        """As `Embedder.embed_documents`.

        Raises:
            ProviderError: the service failed, or answered with a wrong count, size or NaN.
            BudgetExceeded: going on would cost more than whoever collects allows.
        """
        out = np.empty((len(texts), self.space.dims), dtype=np.float32)
        for places, vectors in self.embed_batches(texts):
            out[places] = vectors
        return out

    def embed_batches(self, texts: Sequence[str]) -> Iterator[tuple[Sequence[int], Vectors]]:
        """Places of *texts* and their vectors, batch by batch as they come, several requests at a time.

        What is under way when a request fails is still yielded before the error is raised: it was paid for.

        Raises:
            ProviderError: as `embed_documents`.
            BudgetExceeded: as `embed_documents`.
        """
        blank = [place for place, text in enumerate(texts) if not text.strip()]
        if blank:
            # Services refuse them, or tell something of nothing.
            yield blank, np.zeros((len(blank), self.space.dims), dtype=np.float32)
        batches = list(self._batches(texts))
        answered: dict[str, Vector] = {}

        def send(batch: Sequence[int], stop: threading.Event | None = None) -> Vectors:
            fresh = [place for place in batch if texts[place] not in answered]
            made = self.embed_apart([texts[place] for place in fresh], stop, answered) if fresh else ()
            known = dict(zip(fresh, made, strict=True))
            return np.array([known[p] if p in known else answered[texts[p]] for p in batch], dtype=np.float32)

        left = {place for batch in batches for place in batch}
        try:
            for number, vectors in self.side_by_side([partial(send, batch) for batch in batches]):
                left.difference_update(batches[number])
                yield batches[number], vectors
        except (ProviderError, BudgetExceeded) as error:
            # Of a batch that went out in pieces, some may have been answered before one failed.
            if paid := [place for place in sorted(left) if texts[place] in answered]:
                left.difference_update(paid)
                yield paid, np.array([answered[texts[place]] for place in paid], dtype=np.float32)
            if not isinstance(error, BudgetExceeded):
                raise
            rests = [[place for place in batch if place in left] for batch in batches]
            yield from affordable(list(filter(None, rests)), send)

    def side_by_side(
        self, sends: Sequence[Callable[[threading.Event], Vectors]]
    ) -> Iterator[tuple[int, Vectors]]:
        """As `providers.side_by_side`, as many at once as the service is asked."""
        return side_by_side(sends, at_once=self.connection.caller.at_once)

    def embed_query(self, text: str) -> Vector:
        """As `Embedder.embed_query`; the last few hundred are remembered.

        Raises:
            ProviderError: as `embed_documents`, or there was no answer within the seconds of `QUERIES`.
            BudgetExceeded: as `embed_documents`.
        """
        if (known := self._known(text)) is not None:
            return known
        connection, deadline = self.connection, Deadline(seconds=QUERIES.seconds)

        def ask(texts: Sequence[str]) -> Vectors:
            reply = awaited(partial(self._query_reply, connection, texts, deadline))
            return self.checked(reply, texts, "query")

        return self._remembered(text, answered(self._fitting([text]), ask))

    async def aembed_query(self, text: str) -> Vector:
        """As `embed_query`, without blocking the running loop."""
        if (known := self._known(text)) is not None:
            return known
        connection, deadline = self.connection, Deadline(seconds=QUERIES.seconds)

        async def ask(texts: Sequence[str]) -> Vectors:
            reply = await self._query_reply(connection, texts, deadline)
            return self.checked(reply, texts, "query")

        return self._remembered(text, await answered_async(self._fitting([text]), ask))

    def close(self) -> None:
        """Let go of connections; idempotent."""
        if connection := self._connection.peek():
            for wire in connection.distinct:
                wire.close()
                released(wire.aclose)

    async def aclose(self) -> None:
        """Let go of the running loop's connections; idempotent."""
        if connection := self._connection.peek():
            for wire in connection.distinct:
                await wire.aclose()

    def probed_dims(self) -> int:
        """The size of what the service sends when it is asked for none: one text is embedded to see.

        Raises:
            ProviderError: it did not answer, or with no vector.
        """
        texts = ["ragweft"]
        connection = self.connection
        send = partial(connection.wires["document"].asend, texts, "document", seconds=QUERIES.timeout)
        reply = awaited(partial(connection.caller.acall, send, QUERIES, holding=self.cost(texts, "document")))
        self._charged(reply, texts, "document")
        rows = [row for row in reply.vectors if row is not None]
        if len(rows) != 1 or not len(rows[0]):
            said = f"{len(rows)} vectors came back for 1 text"
            raise ProviderError(
                f"{self.space.model}: {said}; set [embedding] dims, or try again", retryable=True
            )
        return len(rows[0])

    def _batches(self, texts: Sequence[str]) -> Iterator[list[int]]:
        """Places of texts for one request each, with all their parts."""
        batch: list[int] = []
        size = held = 0
        for place, text in enumerate(texts):
            if not text.strip():
                continue
            parts, _ = in_parts([text], window=self.window, count=self.count)
            tokens = sum(map(self.count, parts))
            full = self.limits.tokens is not None and held + tokens > self.limits.tokens
            if batch and (full or size + len(parts) > self.limits.texts):
                yield batch
                batch, size, held = [], 0, 0
            batch.append(place)
            size += len(parts)
            held += tokens
        if batch:
            yield batch

    def embed_apart(
        self,
        texts: Sequence[str],
        stop: threading.Event | None = None,
        answers: dict[str, Vector] | None = None,
    ) -> Vectors:
        """Documents each by itself, those over the window in parts; *stop* ends waits.

        *answers* takes in each text or part and its vector as they come, for what is left when one of several
        requests fails.
        """
        connection, patience = self.connection, Deadline(seconds=DOCUMENTS.seconds)
        wire, caller = connection.wires["document"], connection.caller

        def ask(some: Sequence[str]) -> Vectors:
            once = partial(wire.send, some, "document", seconds=DOCUMENTS.timeout)
            send = self._portion.learning(once, len(some), timeout=DOCUMENTS.timeout)
            holding = self.cost(some, "document")
            if len(some) > 1:
                holding = divisible(holding, caller, until=patience)
            vectors = self.checked(caller.call(send, DOCUMENTS, holding=holding, stop=stop), some, "document")
            if answers is not None and len(some) < len(texts):
                answers.update(zip(some, vectors, strict=True))
            return vectors

        return answered(self._fitting(texts), ask)

    async def _query_reply(self, connection: Connection, texts: Sequence[str], deadline: Deadline) -> Reply:
        send = partial(connection.wires["query"].asend, texts, "query", seconds=QUERIES.timeout)
        holding = self.cost(texts, "query")
        return await connection.caller.acall(send, QUERIES, deadline=deadline, holding=holding)

    def _fitting(self, texts: Sequence[str]) -> Requests:
        most = min(self.limits.texts, self._portion.now)
        return requests(texts, most=most, window=self.window, count=self.count, noted=self._note)

    def _note(self, text: str) -> None:
        """Keep in mind that *text* was too long for the service."""
        with self._lock:
            self._split[_digest(text)] = None
            while len(self._split) > _NOTED:
                self._split.popitem(last=False)

    def checked(self, reply: Reply, texts: Sequence[str], role: Role) -> Vectors:
        """The reply's vectors at unit length, after it was charged: a wrong answer costs like a right one.

        Raises:
            ProviderError: their count or size is wrong, or one is no vector.
        """
        self._charged(reply, texts, role)
        return unit_vectors(reply.vectors, texts, dims=self.space.dims, name=self.space.model)

    def _charged(self, reply: Reply, texts: Sequence[str], role: Role) -> None:
        tokens = -1 if reply.tokens is None else reply.tokens
        if tokens < 0:
            tokens = self._about(texts, role)
        tariff = self._tariffs[role]
        price = tariff.usd_per_million
        purpose = "query" if role == "query" else "documents"
        usd = None if price is None else tokens * price / 1e6
        charge(Charge(model=tariff.model, purpose=purpose, tokens=tokens, usd=usd))

    def _about(self, texts: Sequence[str], role: Role) -> int:
        prompt = self._tariffs[role].prompt
        return sum(map(self.count, texts)) + (self.count(prompt) * len(texts) if prompt else 0)

    def cost(self, texts: Sequence[str], role: Role) -> Callable[[], AbstractContextManager[None]]:
        """A bound on what a call with *texts* costs, held while it is under way, and its estimate."""
        tariff = self._tariffs[role]
        price, purpose = tariff.usd_per_million, "query" if role == "query" else "documents"
        # A token stands for a byte at least: less than this no tokenizer can promise.
        most = sum(len(tariff.prompt.encode()) + len(text.encode()) + _MARKS for text in texts)

        def about() -> Charge:
            tokens = min(most, self._about(texts, role))
            usd = None if price is None else tokens * price / 1e6
            return Charge(model=tariff.model, purpose=purpose, tokens=tokens, usd=usd)

        bound = None if price is None else most * price / 1e6
        return partial(reserved, bound, tariff.model, estimate=about)

    def _known(self, text: str) -> Vector | None:
        if not text.strip():
            return np.zeros(self.space.dims, dtype=np.float32)
        with self._lock:
            vector = self._asked.get(text)
            if vector is not None:
                self._asked.move_to_end(text)
        return vector

    def _remembered(self, text: str, vectors: Vectors) -> Vector:
        vector: Vector = vectors[0]
        vector.flags.writeable = False
        with self._lock:
            self._asked[text] = vector
            while len(self._asked) > _REMEMBERED:
                self._asked.popitem(last=False)
        return vector


def _digest(text: str) -> bytes:
    return hashlib.blake2b(text.encode(), digest_size=16).digest()


def _let_go(connection: PerProcess[Connection]) -> None:
    """Close what nobody closed, when the embedder is collected or the program ends."""
    if held := connection.peek():
        for wire in held.distinct:
            abandoned(wire.aclose)
