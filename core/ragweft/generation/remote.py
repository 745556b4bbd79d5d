"""Any text-generating service behind the `Generator` protocol: retried, bounded, charged."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from ragweft.errors import ProviderError
from ragweft.generation.accounting import about, as_tokens, bound, held, purpose_now
from ragweft.generation.models import doubt_of
from ragweft.generation.values import BatchWire, ChatWire, Declined, Prompt, Reply, Tokens
from ragweft.providers.doubts import obstacles
from ragweft.providers.failures import failure_of
from ragweft.providers.metering import Charge, charge
from ragweft.providers.owned import PerProcess
from ragweft.providers.policy import DOCUMENTS, Caller, Policy, TooLong

if TYPE_CHECKING:
    from ragweft.generation.models import GeneratingModel
    from ragweft.generation.values import BatchState

__all__ = ["GenerationConnection", "RemoteGenerator"]

T = TypeVar("T")

_DECLINED = (400, 413, 422)
"""Statuses of a request that is refused for what it holds."""
_THOUGHTS = 2_048
"""Tokens of room for the thoughts of a model that cannot be told not to think, or is not known."""
_COUNTING = Policy(attempts=2, seconds=10.0, timeout=10.0, first_wait=0.2, longest_wait=2.0)
"""An estimate can do without."""
_ONCE = Policy(attempts=1, seconds=300.0, timeout=300.0)
"""A batch whose connection broke may have arrived all the same: it is looked for, not sent again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GenerationConnection:
    """How one process reaches a service."""

    caller: Caller
    wire: ChatWire


class RemoteGenerator:
    """A `Generator` over a `ChatWire`; safe to call from many threads, and in a forked child."""

    def __init__(
        self,
        connect: Callable[[], GenerationConnection],
        *,
        model: GeneratingModel,
        window: int | None,
        at_once: int,
        batches: bool = False,
        at_home: bool = True,
    ) -> None:
        """*connect* is called at first use in a process: an index opens without key, package or network.

        *batches*: its wire is a `BatchWire`. *at_home*: it is the provider's own service.
        """
        self._connection = PerProcess(connect)
        weakref.finalize(self, _let_go, self._connection)
        self.model = model
        self.name = model.label
        self.window = window
        self.at_once = at_once
        self._takes_batches = batches
        self._at_home = at_home

    def __repr__(self) -> str:
        return f"RemoteGenerator({self.name})"

    def generate(self, prompt: Prompt, *, max_tokens: int, stop: threading.Event | None = None) -> Reply:
        """As `Generator.generate`.

        Raises:
            TooLong: the prompt is beyond the model's window.
            Declined: the service refuses this request.
            ProviderError: it failed.
            BudgetExceeded: the call might cost more than whoever collects allows.
            RecipeError: there is no key.
            MissingExtra: the service's package is not installed.
        """
        most = self._room(max_tokens)
        reply = self._asked(
            lambda wire: wire.send(prompt, max_tokens=most, seconds=DOCUMENTS.timeout),
            DOCUMENTS,
            declined=_DECLINED,
            holding=self._cost(prompt, most),
            stop=stop,
        )
        self._charge(reply, prompt)
        return reply

    def count(self, prompt: Prompt) -> int | None:
        """As `CountingGenerator.count`.

        Raises:
            ProviderError: the service failed.
            RecipeError: there is no key.
            MissingExtra: the service's package is not installed.
        """
        return self._call(lambda wire: wire.count(prompt, seconds=_COUNTING.timeout), _COUNTING)

    def doubts(self) -> list[str]:
        """As `Doubtful.doubts`: no key, no package, a name of no known price."""
        found = obstacles(self._connection.get)
        if self.model.input is None or self.model.output is None:
            found.append(f"{self.name}: its price is not known; {self._named_so()}")
        return found

    def _named_so(self) -> str:
        if not self._at_home:  # a server of one's own calls its models as it likes
            return "set [context] usd_input and usd_output"
        return doubt_of(self.model.provider, self.model.name)

    @property
    def batches(self) -> bool:
        """As `BatchGenerator.batches`."""
        return self._takes_batches

    def submit(self, asked: Sequence[tuple[str, Prompt]], *, max_tokens: int, mark: str) -> str:
        """As `BatchGenerator.submit`.

        Raises:
            ProviderError: it was not taken.
        """
        most = self._room(max_tokens)
        return self._call(
            lambda wire: _batching(wire).submit(asked, max_tokens=most, mark=mark, seconds=DOCUMENTS.seconds),
            _ONCE,
        )

    def find(self, *, mark: str, count: int, since: float, known: frozenset[str]) -> str | None:
        """As `BatchGenerator.find`.

        Raises:
            ProviderError: the service failed.
        """
        return self._call(
            lambda wire: _batching(wire).find(
                mark=mark, count=count, since=since, known=known, seconds=DOCUMENTS.timeout
            ),
            DOCUMENTS,
        )

    def state(self, batch: str) -> BatchState:
        """As `BatchGenerator.state`.

        Raises:
            Declined: the service knows no such batch.
            ProviderError: it failed.
        """
        return self._call(
            lambda wire: _batching(wire).state(batch, seconds=DOCUMENTS.timeout), DOCUMENTS, declined=(404,)
        )

    def results(self, batch: str) -> Iterator[tuple[str, Reply | str]]:
        """As `BatchGenerator.results`.

        Raises:
            ProviderError: the service failed.
        """
        # Read to the end within the call: what breaks off in the middle is fetched again.
        yield from self._call(
            lambda wire: list(_batching(wire).results(batch, seconds=DOCUMENTS.timeout)), DOCUMENTS
        )

    def bill(self, reply: Reply) -> None:
        """As `BatchGenerator.bill`."""
        tokens = reply.tokens or Tokens(output=as_tokens(reply.text, self.model.density))
        usd = self.model.usd(tokens, batch=True)
        charge(Charge(model=self.name, purpose="context", tokens=tokens.total, usd=usd))

    def submission(self, asked: Sequence[tuple[str, Prompt]], max_tokens: int) -> float | None:
        """As `BatchGenerator.submission`."""
        costs = [self.model.usd(bound(prompt, self._room(max_tokens)), batch=True) for _, prompt in asked]
        known = [cost for cost in costs if cost is not None]
        return sum(known) if len(known) == len(costs) else None

    def close(self) -> None:
        """Let go of connections; idempotent."""
        if connection := self._connection.peek():
            connection.wire.close()

    def _call(self, send: Callable[[ChatWire], T], policy: Policy, *, declined: tuple[int, ...] = ()) -> T:
        try:
            return self._asked(send, policy, declined=declined)
        except TooLong as error:
            raise error.refused from error.__cause__

    def _asked(
        self,
        send: Callable[[ChatWire], T],
        policy: Policy,
        *,
        declined: tuple[int, ...],
        holding: Callable[[], AbstractContextManager[None]] = nullcontext,
        stop: threading.Event | None = None,
    ) -> T:
        """What *send* returns; a refusal with one of the statuses *declined* is the request's own fault."""
        connection = self._connection.get()
        status: list[int | None] = [None]

        def sent() -> T:
            try:
                return send(connection.wire)
            except Exception as error:
                failure = failure_of(error)
                status[0] = failure.status if failure is not None else None
                raise

        try:
            return connection.caller.call(sent, policy, holding=holding, stop=stop)
        except ProviderError as error:
            # Gemini refuses a wrong key with 400.
            if error.retryable or status[0] not in declined or "check the key" in str(error):
                raise
            raise Declined(error) from error.__cause__

    def _room(self, max_tokens: int) -> int:
        return max_tokens + (_THOUGHTS if self.model.thinks else 0)

    def _cost(self, prompt: Prompt, most: int) -> Callable[[], AbstractContextManager[None]]:
        purpose = purpose_now()

        def unanswered() -> Charge:
            tokens = about(prompt, self.model.density, most)
            return Charge(model=self.name, purpose=purpose, tokens=tokens.total, usd=self.model.usd(tokens))

        return partial(held, self.model.usd(bound(prompt, most)), self.name, unanswered)

    def _charge(self, reply: Reply, prompt: Prompt) -> None:
        tokens = reply.tokens
        if tokens is None:
            density = self.model.density
            tokens = Tokens(fresh=as_tokens(prompt.text, density), output=as_tokens(reply.text, density))
        charge(Charge(model=self.name, purpose=purpose_now(), tokens=tokens.total, usd=self.model.usd(tokens)))


def _batching(wire: ChatWire) -> BatchWire:
    if not isinstance(wire, BatchWire):
        raise ProviderError("this service takes no batches; set [context] batch = false", retryable=False)
    return wire


def _let_go(connection: PerProcess[GenerationConnection]) -> None:
    """Close what nobody closed, when the generator is collected or the program ends."""
    if held_open := connection.peek():
        held_open.wire.close()
