"""Services that read a passage within its document: voyage-context models, Jina's late chunking.

A document's passages go out together, as far as the model's window reaches; a longer document goes out in
stretches of consecutive passages. What is sent decides the vectors, so a document is embedded whole again when
any of its passages changes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Protocol, cast

import numpy as np

from ragweft.embedding.remote import RemoteEmbedder, Reply
from ragweft.providers.policy import DOCUMENTS, TooLong

if TYPE_CHECKING:
    from ragweft.types import Vectors

__all__ = ["ContextualRemoteEmbedder", "GroupWire"]

_Stretch = tuple[int, int, int]
"""Place of a group, and first and last (excluded) of its texts."""


class GroupWire(Protocol):
    """A wire that takes the passages of documents together."""

    groups_at_once: int
    """Documents in one request."""

    def send_groups(self, groups: Sequence[Sequence[str]], *, seconds: float) -> Reply:
        """One request; the rows of all groups in one list, in order."""
        ...


class ContextualRemoteEmbedder(RemoteEmbedder):
    """A `ContextualEmbedder` over a wire that is a `GroupWire` too."""

    def embed_groups(self, groups: Sequence[Sequence[str]]) -> Iterator[tuple[int, Vectors]]:
        """As `ContextualEmbedder.embed_groups`.

        Raises:
            ProviderError: the service failed, or answered with a wrong count, size or NaN.
            BudgetExceeded: going on would cost more than whoever collects allows.
        """
        missing = [len(group) for group in groups]
        vectors = [np.empty((len(group), self.space.dims), dtype=np.float32) for group in groups]
        for place, group in enumerate(groups):
            if not group:
                yield place, vectors[place]
        requests = list(self._requests(groups))

        def send(request: Sequence[_Stretch]) -> Vectors:
            return self._stretches([groups[place][first:last] for place, first, last in request])

        for number, rows in self.side_by_side([partial(send, request) for request in requests]):
            start = 0
            for place, first, last in requests[number]:
                vectors[place][first:last] = rows[start : start + last - first]
                start += last - first
                missing[place] -= last - first
                if not missing[place]:
                    yield place, vectors[place]

    def _requests(self, groups: Sequence[Sequence[str]]) -> Iterator[list[_Stretch]]:
        """Stretches that fit the window, as many in a request as its limits allow."""
        most = cast("GroupWire", self.wire).groups_at_once
        request: list[_Stretch] = []
        texts = held = 0
        for stretch, tokens in self._all_stretches(groups):
            size = stretch[2] - stretch[1]
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
        for place, group in enumerate(groups):
            first = held = 0
            for number, text in enumerate(group):
                tokens = self.count(text)
                over = self.window is not None and held + tokens > self.window
                if number > first and (over or number - first == self.limits.texts):
                    yield (place, first, number), held
                    first, held = number, 0
                held += tokens
            if len(group) > first:
                yield (place, first, len(group)), held

    def _stretches(self, groups: Sequence[Sequence[str]]) -> Vectors:
        texts = [text for group in groups for text in group]
        if len(texts) == 1 and self.too_long(texts):
            return self.embed_apart(texts)
        wire = cast("GroupWire", self.wire)
        send = partial(wire.send_groups, groups, seconds=DOCUMENTS.timeout)
        try:
            reply = self.caller.call(send, DOCUMENTS, holding=self.cost(texts))
        except TooLong:
            # The bound on their tokens was no bound: fewer documents, then shorter stretches, then parts.
            if len(groups) > 1:
                middle = len(groups) // 2
                return np.concatenate([self._stretches(groups[:middle]), self._stretches(groups[middle:])])
            if len(texts) > 1:
                middle = len(texts) // 2
                return np.concatenate([self._stretches([texts[:middle]]), self._stretches([texts[middle:]])])
            return self.embed_apart(texts)
        return self.checked(reply, texts, "document")
