"""What the way in needs of a contextualizer that asks a paid service, beyond `Contextualizer`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    from ragweft.context.copies import Supposed
    from ragweft.context.estimating import ContextEstimate
    from ragweft.context.writing import ContextStats
    from ragweft.protocols import Contextualizer, Progress
    from ragweft.reports import BatchUnderWay, Failure
    from ragweft.types import Chunk, Document

__all__ = ["AskingContextualizer"]


@runtime_checkable
class AskingContextualizer(Protocol):
    """A contextualizer that is asked for many documents together, says its price, and can leave asking be."""

    @property
    def gathers(self) -> bool:
        """Whether everything is best given at once, however much: it takes as long as for one document."""
        ...

    @property
    def known(self) -> Contextualizer:
        """The same without asking anybody: chunks it would have to ask for get what stands in."""
        ...

    @property
    def supposed(self) -> Contextualizer:
        """As `known`, but what stands in is as long, and as little known, as a context that is asked for."""
        ...

    def contextualize_all(
        self, items: Sequence[tuple[Document, Sequence[Chunk]]], *, progress: Progress | None = None
    ) -> Sequence[Sequence[Chunk]]:
        """The chunks of every document with their contexts; without any, what was asked for before is taken in.

        Raises:
            ProviderError: no call will do; what came is kept.
            BudgetExceeded: going on might cost more than whoever collects allows; likewise.
        """
        ...

    def estimate_all(
        self,
        items: Sequence[tuple[Document, Sequence[Chunk]]],
        *,
        counted: bool = True,
        supposed: Supposed | None = None,
    ) -> ContextEstimate:
        """What that would take; with *counted*, a text may be sent to be counted for nothing.

        What is in *supposed* is taken as asked for already, and what this would ask for is added to it.
        """
        ...

    @property
    def stats(self) -> ContextStats:
        """What was done so far."""
        ...

    @property
    def under_way(self) -> Sequence[BatchUnderWay]:
        """What was asked for by the batch and is not taken in yet."""
        ...

    def unfinished(self, document_id: str) -> Sequence[Failure]:
        """Why chunks of that document have what stands in, as of when it was last contextualised."""
        ...

    def take_failures(self) -> Sequence[Failure]:
        """Everything `unfinished`, for a report; from now on it is asked for again."""
        ...
