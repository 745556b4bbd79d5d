"""What every provider's half of the double is made of: calls, answers, refusals and faults."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from provider_double.vectors import Vector, embed, encode, relevance

Json = Mapping[str, Any]
Reply = Callable[[Sequence[Json]], str]
"""From the messages of a chat completion to the text of the answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """What the double must know of an embedding model: its window in tokens and the lengths of its vectors.

    `dims` is the length when none is asked for, `sizes` in rising order what may be asked for besides.
    """

    dims: int
    window: int
    sizes: Sequence[int] = ()

    @property
    def full(self) -> int:
        """The longest vector, of which the others are the beginning."""
        return max(self.dims, self.sizes[-1]) if self.sizes else self.dims

    def takes(self, dims: int) -> bool:
        """Whether vectors of this length may be asked for."""
        return dims == self.dims or dims in self.sizes


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One thing that goes wrong with a request; several may go wrong at once."""

    status: int | None = None
    message: str | None = None
    body: Json | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    delay: float = 0.0
    truncate: bool = False
    drop: bool = False
    drip: float = 0.0
    drip_head: float = 0.0
    bad_key: bool = False
    too_long: bool = False
    wrong_count: bool = False
    wrong_dims: bool = False
    nan: bool = False
    out_of_order: bool = False
    wrong_index: bool = False

    @property
    def spoils(self) -> bool:
        """Whether it changes what a good answer says."""
        return self.wrong_count or self.wrong_dims or self.nan or self.out_of_order or self.wrong_index


NO_FAULT = Fault()


class Refusal(Exception):
    """An answer with an error status, in the provider's own words."""

    def __init__(self, status: int, body: Json) -> None:
        super().__init__(f"{status} {body}")
        self.status = status
        self.body = body


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A good answer and what it is billed at."""

    body: Json
    tokens: int = 0
    searches: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One request as a provider sees it; `path` is what follows the base URL."""

    path: str
    body: Json
    reply: Reply
    chars_per_token: float = 4.0
    fault: Fault = NO_FAULT

    def tokens(self, text: str) -> int:
        """What the text is billed at: its characters by a fixed rate, rounded up."""
        return max(1, math.ceil(len(text) / self.chars_per_token))

    def cut(self, text: str, window: int) -> str:
        """The first `window` tokens of the text."""
        return text[: int(window * self.chars_per_token)]

    def vectors(
        self,
        texts: Sequence[str],
        model: Model,
        *,
        dims: int | None = None,
        role: str | None = None,
        contexts: Sequence[str] | None = None,
        unit: bool = True,
    ) -> list[Vector]:
        """One vector for each text, unless a fault spoils them."""
        rows: list[Vector] = [
            embed(
                text,
                dims=dims or model.dims,
                full=model.full,
                role=role,
                context=contexts[i] if contexts is not None else None,
                unit=unit,
            )
            for i, text in enumerate(texts)
        ]
        if self.fault.wrong_dims:
            rows = [row[: len(row) // 2] for row in rows]
        if self.fault.nan:
            rows[0] = np.concatenate([[np.nan], rows[0][1:]])
        return rows[:-1] if self.fault.wrong_count else rows

    def listing(
        self, rows: Sequence[Vector], dtype: str = "float", *, as_base64: bool = False
    ) -> Sequence[Json]:
        """The rows as a list whose items carry their index, in any order when a fault says so."""
        items = [
            {"object": "embedding", "index": i, "embedding": encode(row, dtype, as_base64=as_base64)}
            for i, row in enumerate(rows)
        ]
        return items[::-1] if self.fault.out_of_order else items

    def ranking(self, query: str, documents: Sequence[str], top: int | None) -> list[tuple[int, float]]:
        """Index and score of the `top` best documents, best first, unless a fault spoils them."""
        scores = [(i, relevance(query, document)) for i, document in enumerate(documents)]
        ranked = sorted(scores, key=lambda pair: -pair[1])[: top or len(scores)]
        if self.fault.nan:
            ranked[0] = (ranked[0][0], math.nan)
        if self.fault.wrong_index:
            ranked[-1] = (len(documents), ranked[-1][1])
        return ranked[:-1] if self.fault.wrong_count else ranked


@dataclass(frozen=True, slots=True, kw_only=True)
class Provider:
    """One provider: where it lives below the double's root, what it answers, and how it words its refusals.

    `error` makes the body of any error status; `bad_key` gets the key that was sent, "" for none; `too_long`
    is what the provider says to a call with a text beyond the window of its model.
    """

    base: str
    answer: Callable[[Call], Answer]
    error: Callable[[int, str], Json]
    bad_key: Callable[[str], Refusal]
    too_long: Callable[[Call], Refusal]
    needs_key: bool = True


MESSAGES: Mapping[int, str] = {
    400: "The request is not valid.",
    403: "You are not allowed to do this.",
    404: "Not found.",
    408: "The request took too long.",
    409: "Conflict.",
    429: "Rate limit reached. Please slow down.",
    500: "The server failed to process the request.",
    502: "Bad gateway.",
    503: "The service is overloaded. Please try again later.",
    504: "The gateway timed out.",
    529: "Overloaded.",
}
"""What a provider says with a status when the test did not script it."""
