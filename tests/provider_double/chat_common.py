"""What the wires of the chat double share: prices, bills, what is kept."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from provider_double.wire import Json

BAD_KEY = "sk-double-wrong-7Qm2Vx9LtR4cKz8WbN3y"
FRAME = 7
"""Tokens of a request that are of no text."""
THOUGHTS = 48


@dataclass(frozen=True, slots=True, kw_only=True)
class Billed:
    """What one answer is billed as."""

    fresh: int
    written: int = 0
    lasting: int = 0
    cached: int = 0
    output: int
    usd: float
    batch: bool = False

    @property
    def tokens(self) -> int:
        """All of them."""
        return self.fresh + self.written + self.cached + self.output


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """US dollars for a million tokens, by this double's own list."""

    fresh: float
    output: float
    written: float
    lasting: float
    cached: float
    step: int = 10**9
    more: float = 1.0
    more_output: float = 1.0
    least: int = 1024
    """Tokens of the shortest beginning that is kept."""


PRICES: Mapping[str, Price] = {
    "claude-haiku-5-5": Price(
        fresh=0.1,
        output=0.5,
        written=0.125,
        lasting=0.2,
        cached=0.01,
        step=100_000,
        more=5,
        more_output=5,
        least=512,
    ),
    "claude-haiku-4-5": Price(fresh=1.0, output=5.0, written=1.25, lasting=2.0, cached=0.1, least=4096),
    "claude-sonnet-5-5": Price(fresh=2.0, output=10.0, written=2.5, lasting=4.0, cached=0.1),
    "gpt-6-luna": Price(
        fresh=0.1, output=0.5, written=0.125, lasting=0.125, cached=0.01, step=272_000, more=2, more_output=1.5
    ),
    "gpt-5.4-nano": Price(fresh=0.2, output=1.25, written=0.2, lasting=0.2, cached=0.02),
    "gemini-3.5-flash-lite": Price(fresh=0.3, output=2.5, written=0.3, lasting=0.3, cached=0.03, least=4096),
    "some-model": Price(fresh=0.0, output=0.0, written=0.0, lasting=0.0, cached=0.0),
}
WINDOWS: Mapping[str, int] = {"claude-haiku-4-5": 200_000, "some-model": 8_000}
MARKING = ("gpt-6-luna",)
"""OpenAI's models that keep what they are asked to."""


class ChatRefusal(Exception):
    """An answer with an error status."""

    def __init__(self, status: int, body: Json) -> None:
        super().__init__(f"{status} {body}")
        self.status = status
        self.body = body


@dataclass(slots=True)
class Kept:
    """Beginnings of prompts that can be read again."""

    texts: dict[tuple[str, str], str] = field(default_factory=dict)

    def has(self, model: str, text: str) -> bool:
        """Whether this very beginning is kept."""
        return (model, text) in self.texts

    def add(self, model: str, text: str) -> None:
        """Keep a beginning."""
        self.texts[model, text] = text

    def common(self, model: str, text: str) -> int:
        """Characters of the longest beginning that *text* shares with anything kept."""
        return max((_shared(text, held) for name, held in self.texts if name == model), default=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One request."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: Json
    raw: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """What answering has to do with besides the request."""

    kept: Kept
    batches: dict[str, dict[str, Any]]
    files: dict[str, bytes]
    lock: threading.RLock
    chars_per_token: float
    reply: Callable[[str], str]
    polls: int
    faults: Mapping[str, Any]
    new: Callable[[str], str]
    url: str

    def tokens(self, text: str) -> int:
        """What a text is billed as."""
        return max(1, math.ceil(len(text) / self.chars_per_token))

    def said(self, prompt: str, most: int) -> tuple[str, bool]:
        """The model's answer, and whether it broke off."""
        if self.faults.get("refusal"):
            return "", False
        says = self.faults.get("says")
        text = self.reply(prompt) if says is None else str(says)
        if self.faults.get("cut"):
            return text[: max(1, len(text) * 2 // 3)], True
        whole = self.tokens(text) <= most
        return (text, False) if whole else (text[: int(most * self.chars_per_token)], True)


Answer = tuple[Any, Sequence[Billed], Callable[[], None] | None]
"""Body, bill, and what is to be done when the answer is out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatWire:
    """One provider."""

    base: str
    answer: Callable[[Call, Line], Answer]
    error: Callable[[int, str], Json]
    check: Callable[[Call, Mapping[str, Any]], None]


def bill(model: str, parts: Mapping[str, int], *, batch: bool = False) -> Billed:
    """The bill for an answer with these kinds of tokens."""
    price = PRICES[model]
    prompt = parts["fresh"] + parts.get("written", 0) + parts.get("cached", 0)
    above = prompt > price.step
    lasting = parts.get("lasting", 0)
    asked = (
        parts["fresh"] * price.fresh
        + (parts.get("written", 0) - lasting) * price.written
        + lasting * price.lasting
        + parts.get("cached", 0) * price.cached
    )
    usd = asked * (price.more if above else 1) + parts["output"] * price.output * (
        price.more_output if above else 1
    )
    return Billed(**parts, usd=usd / 1e6 * (0.5 if batch else 1), batch=batch)


def _shared(one: str, other: str) -> int:
    low, high = 0, min(len(one), len(other))
    while low < high:
        middle = (low + high + 1) // 2
        if one[:middle] == other[:middle]:
            low = middle
        else:
            high = middle - 1
    return low


def nothing() -> None:
    """There is nothing to keep."""
