"""What goes to a text-generating service and what comes back, whichever service it is."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol, runtime_checkable

if TYPE_CHECKING:
    import threading

    from ragweft.errors import ProviderError
    from ragweft.generation.models import GeneratingModel

__all__ = [
    "BatchGenerator",
    "BatchState",
    "BatchWire",
    "ChatWire",
    "CountingGenerator",
    "Declined",
    "Generator",
    "Keeps",
    "Prompt",
    "Reply",
    "Stop",
    "Tokens",
]

Keeps = Literal["asked", "unasked", "no"]
"""Whether a service keeps equal beginnings of prompts: where it is asked to, of its own accord, or not."""
Stop = Literal["end", "length", "refused"]
"""Why a model stopped: it was done, it met the limit of its answer, or it (or a filter) would not answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tokens:
    """What one or more calls are billed as; the four kinds have four prices."""

    fresh: int = 0
    """Read by the model for the first time and not kept."""
    written: int = 0
    """Read and kept by the service for calls that begin alike."""
    cached: int = 0
    """Taken from what was kept."""
    output: int = 0
    """Written by the model, its thoughts included."""
    lasting: int = 0
    """Of `written`, those kept for an hour instead of minutes."""

    @property
    def prompt(self) -> int:
        """Everything that was read."""
        return self.fresh + self.written + self.cached

    @property
    def total(self) -> int:
        """Everything."""
        return self.prompt + self.output

    def __add__(self, other: Tokens) -> Tokens:
        return Tokens(
            fresh=self.fresh + other.fresh,
            written=self.written + other.written,
            cached=self.cached + other.cached,
            output=self.output + other.output,
            lasting=self.lasting + other.lasting,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompt:
    """A question in two parts: what many questions share comes first, so that a service can keep it."""

    prefix: str
    """Equal, to the letter, in the questions that share it."""
    rest: str
    keep: Literal["", "minutes", "hour"] = ""
    """How long the service is asked to keep the prefix, where it is asked at all: it may charge for that."""

    @property
    def text(self) -> str:
        """Both parts as one."""
        return f"{self.prefix}{self.rest}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What a model said."""

    text: str
    stop: Stop
    tokens: Tokens | None
    """What it is billed as; None if the service does not say."""


class Declined(Exception):
    """A service would not take this one request, though it takes others of the account."""

    def __init__(self, refused: ProviderError) -> None:
        super().__init__(str(refused))
        self.refused = refused
        """What to raise where no request is taken."""


@runtime_checkable
class Generator(Protocol):
    """Prompts to texts; charges what it costs (see `providers.metering`). Safe to call from several threads."""

    @property
    def name(self) -> str:
        """As in a recipe: "anthropic:claude-haiku-5-5"."""
        ...

    @property
    def window(self) -> int | None:
        """Tokens of question and answer that are read and billed at the plain price; None: not known."""
        ...

    @property
    def at_once(self) -> int:
        """How many questions may be under way."""
        ...

    @property
    def model(self) -> GeneratingModel:
        """What its calls are billed at, what its service keeps and how it counts, as far as that is known."""
        ...

    def generate(self, prompt: Prompt, *, max_tokens: int, stop: threading.Event | None = None) -> Reply:
        """The answer of at most *max_tokens*; *stop* ends waits for another try.

        Raises:
            TooLong: the prompt is beyond the model's window (`providers.policy`).
            Declined: the service refuses this request, whatever others it takes.
            ProviderError: it failed; not retryable where no request will do, as with a wrong key.
            BudgetExceeded: the call might cost more than whoever collects allows.
        """
        ...

    def close(self) -> None:
        """Let go of connections; idempotent."""
        ...


@runtime_checkable
class CountingGenerator(Protocol):
    """A generator whose service counts a prompt's tokens for nothing."""

    def count(self, prompt: Prompt) -> int | None:
        """Tokens *prompt* would be billed as; None where the service has no such call.

        Raises:
            ProviderError: the service failed.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchState:
    """How far a batch has come."""

    ended: bool
    done: int
    total: int
    failed: str = ""
    """Why the service took none of it; "" if it did."""


@runtime_checkable
class BatchGenerator(Protocol):
    """A generator whose service answers many prompts at leisure, for less."""

    @property
    def batches(self) -> bool:
        """Whether this model's service does."""
        ...

    def submit(self, asked: Sequence[tuple[str, Prompt]], *, max_tokens: int, mark: str) -> str:
        """Hand over prompts by names of their own; the service's name for the batch.

        *mark* goes with it where the service keeps such notes, so that `find` knows it again.

        Raises:
            ProviderError: it was not taken.
        """
        ...

    def find(self, *, mark: str, count: int, since: float, known: frozenset[str]) -> str | None:
        """The name of a batch that was handed over when nobody was left to note its name.

        *count* prompts, not before *since* (Unix time), and none of the *known* ones; None: it never arrived.
        """
        ...

    def state(self, batch: str) -> BatchState:
        """How far *batch* has come.

        Raises:
            Declined: the service knows no such batch.
            ProviderError: it failed.
        """
        ...

    def results(self, batch: str) -> Iterator[tuple[str, Reply | str]]:
        """Of a batch that has ended: name of each prompt and its reply, or why there is none; in any order.

        Nothing is charged here: see `bill`.
        """
        ...

    def bill(self, reply: Reply) -> None:
        """Charge a reply out of a batch."""
        ...

    def submission(self, asked: Sequence[tuple[str, Prompt]], max_tokens: int) -> float | None:
        """A bound on what *asked* costs as a batch, in US dollars; None if the price is not known."""
        ...


class ChatWire(Protocol):
    """One service's wire format: a request out, a reply in, no retries, no checks."""

    def send(self, prompt: Prompt, *, max_tokens: int, seconds: float) -> Reply:
        """One request; raises whatever its SDK raises. *seconds* are what the SDK is told."""
        ...

    def count(self, prompt: Prompt, *, seconds: float) -> int | None:
        """What the service counts; None if it has no call for that."""
        ...

    def close(self) -> None:
        """Let go of connections; idempotent."""
        ...


@runtime_checkable
class BatchWire(Protocol):
    """The batches of a service's wire format; 10,000 prompts and 32 MB are below every service's limits."""

    def submit(self, asked: Sequence[tuple[str, Prompt]], *, max_tokens: int, mark: str, seconds: float) -> str:
        """As `BatchGenerator.submit`."""
        ...

    def find(self, *, mark: str, count: int, since: float, known: frozenset[str], seconds: float) -> str | None:
        """As `BatchGenerator.find`."""
        ...

    def state(self, batch: str, *, seconds: float) -> BatchState:
        """As `BatchGenerator.state`."""
        ...

    def results(self, batch: str, *, seconds: float) -> Iterator[tuple[str, Reply | str]]:
        """As `BatchGenerator.results`."""
        ...
