"""What calls cost. Whoever answers for a piece of work collects what the calls below it are charged.

The collector is found through a context variable: searches that run side by side through one embedder are
billed apart, and no signature in between has to carry money. A call outside any collector is charged to nobody.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

from ragweft.errors import BudgetExceeded
from ragweft.types import Usage

__all__ = ["Charge", "Meter", "charge", "metered", "reserved"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Charge:
    """One call that was answered."""

    model: str
    """As in a recipe: "voyage:voyage-4"."""
    purpose: str
    """"documents", "query", "rerank" or "context"."""
    tokens: int
    usd: float | None
    """None if the price is not known."""

    @property
    def usage(self) -> Usage:
        """The call as usage."""
        return Usage(tokens=self.tokens, usd=self.usd or 0.0, calls=1, unpriced=int(self.usd is None))


class Meter:
    """Adds up what one piece of work costs, and refuses to start a call that would go over a cap."""

    def __init__(self, *, max_usd: float | None = None, record: Callable[[Charge], None] | None = None) -> None:
        """*record* hears of every charge as it comes, so that a crash later on loses no count."""
        self._max_usd = max_usd
        self._record = record
        self._lock = threading.Lock()
        self._usage = Usage()
        self._reserved = 0.0
        self._charges: list[Charge] = []

    @property
    def usage(self) -> Usage:
        """Everything charged so far."""
        return self._usage

    @property
    def charges(self) -> list[Charge]:
        """Every charge so far, in the order they came."""
        with self._lock:
            return list(self._charges)

    def charge(self, charged: Charge) -> None:
        """Count one answered call."""
        with self._lock:
            self._usage += charged.usage
            self._charges.append(charged)
        if self._record is not None:
            self._record(charged)

    @contextmanager
    def reserved(self, usd: float | None, model: str) -> Iterator[None]:
        """Hold *usd*, a bound on what a call costs, while it is under way.

        Raises:
            BudgetExceeded: together with what was spent and is under way it would be more than the cap; or
                *usd* is None, for a cap cannot hold what has no known price.
        """
        if usd is None:
            if self._max_usd is not None:
                raise BudgetExceeded(
                    f"{model}: its price is not known, so no cap can hold; set [embedding] "
                    "usd_per_million, or leave the cap out"
                )
            usd = 0.0
        with self._lock:
            bound = self._usage.usd + self._reserved + usd
            if self._max_usd is not None and bound > self._max_usd:
                raise BudgetExceeded(
                    f"{model}: the next call may cost {usd:.4f} USD, {self._usage.usd:.4f} of "
                    f"{self._max_usd:g} USD are spent; what was done is kept, raise the cap to go on"
                )
            self._reserved += usd
        try:
            yield
        finally:
            with self._lock:
                self._reserved -= usd


_CURRENT: ContextVar[Meter | None] = ContextVar("ragweft_meter", default=None)


@contextmanager
def metered(meter: Meter) -> Iterator[Meter]:
    """Have *meter* collect what is charged within the block, also in tasks and copied contexts begun there."""
    token = _CURRENT.set(meter)
    try:
        yield meter
    finally:
        _CURRENT.reset(token)


def charge(charged: Charge) -> None:
    """Charge an answered call to whoever collects."""
    meter = _CURRENT.get()
    if meter is not None:
        meter.charge(charged)


@contextmanager
def reserved(usd: float | None, model: str) -> Iterator[None]:
    """Hold what a call may cost, if somebody collects.

    Raises:
        BudgetExceeded: it would go over the collector's cap.
    """
    meter = _CURRENT.get()
    if meter is None:
        yield
        return
    with meter.reserved(usd, model):
        yield
