"""Services that read a passage within its document: voyage-context models, Jina's late chunking.

A document's passages go out together, as far as the model's window reaches; a longer document goes out in
stretches of consecutive passages. What is sent decides the vectors, so a stretch is embedded whole again when
any of its passages changes, and is kept as soon as it has come.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING, Protocol, cast

import numpy as np

from ragweft.embedding.fitting import divisible
from ragweft.embedding.remote import RemoteEmbedder
from ragweft.errors import BudgetExceeded, ProviderError
from ragweft.providers.policy import DOCUMENTS, Deadline, TooLong
from ragweft.providers.side_by_side import affordable

if TYPE_CHECKING:
    from ragweft.embedding.connection import Reply
    from ragweft.types import Vectors

__all__ = ["ContextualRemoteEmbedder", "GroupWire"]

_Stretch = tuple[int, Sequence[int]]
"""Place of a group, and places of some of its texts."""
_Name = tuple[int, ...]
"""What tells a stretch, or a part of one, from the others of one call."""


class GroupWire(Protocol):
    """A wire that takes the passages of documents together."""

    groups_at_once: int
    """Documents in one request."""

    def send_groups(self, groups: Sequence[Sequence[str]], *, seconds: float) -> Reply:
        """One request; the rows of all groups in one list, in order."""
        ...


class ContextualRemoteEmbedder(RemoteEmbedder):
    """A `ContextualEmbedder` over a wire that is a `GroupWire` too."""

    def stretches(self, texts: Sequence[str]) -> list[int]:
        """As `ContextualEmbedder.stretches`: as many as the model's window and a request hold."""
        sizes: list[int] = []
        held = said = 0
        for text in texts:
            blank = not text.strip()
            tokens = 0 if blank else self.count(text)
            over = self.window is not None and held + tokens > self.window
            if not sizes or (not blank and said and (over or said == self.limits.texts)):
                sizes.append(0)
                held = said = 0
            sizes[-1] += 1
            held += tokens
            said += not blank
        return sizes

    def embed_groups(self, groups: Sequence[Sequence[str]]) -> Iterator[tuple[int, Vectors]]:
        """As `ContextualEmbedder.embed_groups`.

        Raises:
            ProviderError: the service failed, or answered with a wrong count, size or NaN.
            BudgetExceeded: going on would cost more than whoever collects allows.
        """
        stretches = list(self._all_stretches(groups))
        left = Counter(place for (place, _), _ in stretches)
        vectors = [np.zeros((len(group), self.space.dims), dtype=np.float32) for group in groups]
        for place in range(len(groups)):
            if not left[place]:
                yield place, vectors[place]
        requests = list(self._requests(stretches))

        answered: dict[_Name, Vectors] = {}

        def send(request: Sequence[_Stretch], stop: threading.Event | None = None) -> Vectors:
            texts = {_name(own): [groups[own[0]][at] for at in own[1]] for own in request}
            fresh = {name: some for name, some in texts.items() if name not in answered}
            if fresh:
                self._send(fresh, stop, Deadline(seconds=DOCUMENTS.seconds), answered)
            return np.concatenate([answered[name] for name in texts])

        def complete(request: Sequence[_Stretch], rows: Vectors) -> Iterator[tuple[int, Vectors]]:
            start = 0
            for place, own in request:
                vectors[place][own] = rows[start : start + len(own)]
                start += len(own)
                left[place] -= 1
                if not left[place]:
                    yield place, vectors[place]

        for request, rows in self._answers(requests, send, answered):
            yield from complete(request, rows)

    def _answers(
        self,
        requests: Sequence[Sequence[_Stretch]],
        send: Callable[..., Vectors],
        answered: dict[_Name, Vectors],
    ) -> Iterator[tuple[Sequence[_Stretch], Vectors]]:
        """Each of *requests*, or part of one, and its vectors, as they come.

        Of a request that went out in pieces, those *answered* before one failed are given, too.
        """
        waiting = set(range(len(requests)))
        try:
            for number, rows in self.side_by_side([partial(send, request) for request in requests]):
                waiting.discard(number)
                yield requests[number], rows
                for own in requests[number]:
                    del answered[_name(own)]
        except (ProviderError, BudgetExceeded) as error:
            left = [requests[number] for number in sorted(waiting)]
            for own in chain.from_iterable(left):
                if _name(own) in answered:
                    yield [own], answered[_name(own)]
            if not isinstance(error, BudgetExceeded):
                raise
            rests = [[own for own in request if _name(own) not in answered] for request in left]
            yield from affordable(list(filter(None, rests)), send)

    def _requests(self, stretches: Sequence[tuple[_Stretch, int]]) -> Iterator[list[_Stretch]]:
        """As many stretches in a request as the service's limits allow."""
        most = cast("GroupWire", self.connection.wires["document"]).groups_at_once
        request: list[_Stretch] = []
        texts = held = 0
        for stretch, tokens in stretches:
            size = len(stretch[1])
            full = self.limits.tokens is not None and held + tokens > self.limits.tokens
            if request and (full or len(request) == most or texts + size > self.limits.texts):
                yield request
                request, texts, held = [], 0, 0
            request.append(stretch)
            texts += size
            held += tokens
        if request:
            yield request

    def _all_stretches(self, groups: Sequence[Sequence[str]]) -> Iterator[tuple[_Stretch, int]]:
        """Stretches that fit the window with their tokens; blank texts are in none."""
        for place, group in enumerate(groups):
            own: list[int] = []
            held = 0
            for at, text in enumerate(group):
                if not text.strip():
                    continue
                tokens = self.count(text)
                over = self.window is not None and held + tokens > self.window
                if own and (over or len(own) == self.limits.texts):
                    yield (place, own), held
                    own, held = [], 0
                own.append(at)
                held += tokens
            if own:
                yield (place, own), held

    def _send(
        self,
        groups: Mapping[_Name, Sequence[str]],
        stop: threading.Event | None,
        patience: Deadline,
        answered: dict[_Name, Vectors],
    ) -> None:
        """Put the vectors of *groups* into *answered*, those of each as soon as they have come."""
        texts = [text for group in groups.values() for text in group]
        if len(texts) == 1 and self.too_long(texts):
            answered.update(dict.fromkeys(groups, self.embed_apart(texts, stop)))
            return
        wire, caller = cast("GroupWire", self.connection.wires["document"]), self.connection.caller
        send = partial(wire.send_groups, list(groups.values()), seconds=DOCUMENTS.timeout)
        holding = self.cost(texts, "document")
        if len(groups) > 1:
            # A stretch that only took too long is not torn: its vectors would be others.
            holding = divisible(holding, caller, until=patience)
        try:
            reply = caller.call(send, DOCUMENTS, holding=holding, stop=stop)
        except TooLong:
            # Too much at once: fewer documents, then shorter stretches, then parts.
            if len(texts) == 1:
                answered.update(dict.fromkeys(groups, self.embed_apart(texts, stop)))
                return
            if len(groups) > 1:
                items, middle = list(groups.items()), len(groups) // 2
                for half in (items[:middle], items[middle:]):
                    self._send(dict(half), stop, patience, answered)
                return
            (name,) = groups
            middle = len(texts) // 2
            torn = {(*name, 0): texts[:middle], (*name, 1): texts[middle:]}
            for part, some in torn.items():
                if part not in answered:
                    self._send({part: some}, stop, patience, answered)
            answered[name] = np.concatenate([answered.pop(part) for part in torn])
            return
        rows = self.checked(reply, texts, "document")
        start = 0
        for name, group in groups.items():
            answered[name] = rows[start : start + len(group)]
            start += len(group)


def _name(stretch: _Stretch) -> _Name:
    """The place of its document and that of its first text."""
    place, own = stretch
    return place, own[0]
