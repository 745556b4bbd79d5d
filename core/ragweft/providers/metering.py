"""What calls cost. Whoever answers for a piece of work collects what the calls below it are charged.

The collector is found through a context variable: searches that run side by side through one embedder are
billed apart, and no signature in between has to carry money. A call outside any collector is charged to nobody.

A call that was sent and brought no usable answer may be billed by the service as well: it was cut off, its
connection broke, its answer could not be read. It is charged what it was estimated at, to a purpose of its own.
"""

from __future__ import annotations

import logging
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from functools import partial
from typing import NamedTuple

from ragweft.errors import BudgetExceeded, RagweftError, RecipeError
from ragweft.providers.books import BOOK, Book
from ragweft.providers.unanswered import may_be_billed
from ragweft.types import Usage

__all__ = [
    "UNANSWERED",
    "Announced",
    "Charge",
    "Meter",
    "charge",
    "metered",
    "overheard",
    "reserved",
    "written_here",
]

_log = logging.getLogger(__name__)

UNANSWERED = ", unanswered"
"""What the purpose of a call ends in whose answer never came: "query, unanswered". Tokens and dollars are
estimates then, rather too high."""
ANNOUNCED = frozenset({"documents", "context"})
"""Purposes whose calls are written down before they are sent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Charge:
    """One call that was answered, or that was sent and may be billed."""

    model: str
    """As in a recipe: "voyage:voyage-4"."""
    purpose: str
    """"documents", "query", "rerank", "expand" or "context"; with `UNANSWERED` behind it, if no usable answer
    came."""
    tokens: int
    usd: float | None
    """None if the price is not known."""

    @property
    def usage(self) -> Usage:
        """The call as usage."""
        return Usage(
            tokens=self.tokens,
            usd=self.usd or 0.0,
            calls=1,
            unpriced=int(self.usd is None),
            unanswered=int(self.purpose.endswith(UNANSWERED)),
        )


class Announced(NamedTuple):
    """A charge that is written down, or taken back."""

    charge: Charge
    times: int


class Meter:
    """Adds up what one piece of work costs, and refuses to start a call that would go over a cap."""

    def __init__(
        self,
        *,
        max_usd: float | None = None,
        record: Callable[[Charge], None] | None = None,
        announce: Callable[[Sequence[Announced]], None] | None = None,
    ) -> None:
        """*record* hears of every charge as it comes, so that a crash later on loses no count.

        *announce* takes its place for the calls that embed documents or write contexts: it hears of each before
        it is sent, as of one that is not answered, and again of what became of it. So even a process killed
        outright leaves no call uncounted; those calls are long, and a line more for each is nothing.

        Raises:
            RecipeError: *max_usd* is no amount, so that nothing would be held by it.
        """
        if max_usd is not None and not max_usd >= 0:
            raise RecipeError(f"max_usd = {max_usd}: give an amount of US dollars, 0 or more, or leave it out")
        self._max_usd = max_usd
        self._record = record
        self._lock = threading.Lock()
        self._usage = Usage()
        self._reserved = 0.0
        self._under_way: dict[object, Callable[[], Charge]] = {}
        self._given_up: Counter[tuple[str, str]] = Counter()
        self._charges: list[Charge] = []
        self._announce = announce
        self._settled: dict[tuple[str, str], list[Charge]] = {}
        self._landing: dict[tuple[str, str], list[float]] = {}
        """What answered calls hold until their charges have come, by model and purpose."""

    @property
    def record(self) -> Callable[[Charge], None] | None:
        """Where charges are written down."""
        return self._record

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
        """Count one call."""
        kind = (charged.model, charged.purpose)
        with self._lock:
            if self._given_up[kind]:
                self._given_up[kind] -= 1
                return
            self._usage += charged.usage
            self._charges.append(charged)
            if held := self._landing.get(kind):
                self._reserved -= held.pop(0)
            told = self._settled.get(kind)
            before = told.pop() if told else None
        if before is not None and self._announce is not None:
            _written(partial(self._announce, (Announced(before, -1), Announced(charged, 1))))
        elif self._record is not None:
            _written(partial(self._record, charged))

    @contextmanager
    def reserved(
        self, usd: float | None, model: str, *, estimate: Callable[[], Charge] | None = None
    ) -> Iterator[None]:
        """Hold *usd*, a bound on what a call costs, while it is under way.

        *estimate* is charged, as `UNANSWERED`, if the call is left by an error, a cancellation or Ctrl-C after
        its request was sent, and no refusal came back.

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
            call = object()
            if estimate is not None:
                self._under_way[call] = estimate
        outside = sys.exc_info()[1]
        told, landing = None, False
        try:
            told = self._announced(estimate)
            yield
        except BaseException as error:
            self._failed(call, told, error, outside)
            raise
        else:
            if self._ended(call) is None and estimate is not None:
                # Given up, and so charged as unanswered: its charge must not come on top.
                paid = estimate()
                with self._lock:
                    self._given_up[paid.model, paid.purpose] += 1
                if told is not None and self._announce is not None:
                    self._announce((Announced(told, -1),))
            else:
                # Its charge is on its way: let go before, and another thread might pass the cap meanwhile.
                landing = bool(usd) and estimate is not None and self._max_usd is not None
                self._answered(told, estimate if landing else None, usd)
        finally:
            if not landing:
                with self._lock:
                    self._reserved -= usd

    def _failed(
        self, call: object, told: Charge | None, error: BaseException, outside: BaseException | None
    ) -> None:
        """Count a call that *error* ended, if it was sent; *outside* was being handled before it began."""
        about = self._ended(call)
        billed = about is not None and may_be_billed(error, outside=outside)
        if told is not None and self._announce is not None:
            if billed:  # it stands written already
                self._count(told)
            else:
                self._announce((Announced(told, -1),))
        elif billed and about is not None:
            self._charge_unanswered(about())

    def _answered(self, told: Charge | None, estimate: Callable[[], Charge] | None, usd: float) -> None:
        """Keep what was announced of a call, and with an *estimate* what it holds, until its charge comes."""
        paid = told if told is not None or estimate is None else estimate()
        with self._lock:
            if told is not None:
                self._settled.setdefault(_kind(told), []).append(told)
            if estimate is not None and paid is not None:
                self._landing.setdefault(_kind(paid), []).append(usd)

    def give_up(self) -> None:
        """Charge what is under way and nobody waits for any more; an answer that comes is not charged too."""
        with self._lock:
            left, self._under_way = list(self._under_way.values()), {}
        for about in left:
            self._charge_unanswered(about())

    def _announced(self, estimate: Callable[[], Charge] | None) -> Charge | None:
        """What was written down of a call before it is sent."""
        asked = estimate() if estimate is not None and self._announce is not None else None
        if asked is None or self._announce is None or asked.purpose not in ANNOUNCED:
            return None
        told = replace(asked, purpose=f"{asked.purpose}{UNANSWERED}")
        self._announce((Announced(told, 1),))
        return told

    def _count(self, charged: Charge) -> None:
        with self._lock:
            self._usage += charged.usage
            self._charges.append(charged)

    def _ended(self, call: object) -> Callable[[], Charge] | None:
        """The estimate of *call*, unless it was given up before."""
        with self._lock:
            return self._under_way.pop(call, None)

    def _charge_unanswered(self, asked: Charge) -> None:
        try:
            self.charge(replace(asked, purpose=f"{asked.purpose}{UNANSWERED}"))
        except RagweftError as error:
            # What became of the call is what its caller has to hear of.
            _log.warning("what an unanswered call may cost could not be written down: %s", error)


def _kind(asked: Charge) -> tuple[str, str]:
    """Model and purpose of what was asked, whether it is answered or not."""
    return asked.model, asked.purpose.removesuffix(UNANSWERED)


_CURRENT: ContextVar[Meter | None] = ContextVar("ragweft_meter", default=None)
_OVERHEARING: ContextVar[Meter | None] = ContextVar("ragweft_overhearing", default=None)


@contextmanager
def metered(meter: Meter) -> Iterator[Meter]:
    """Have *meter* collect what is charged within the block, also in tasks and copied contexts begun there.

    Calls of other threads under way when Ctrl-C ends the block are given up: the program may end before them.
    """
    book = BOOK.get()
    if book is not None and meter.record is not None:
        book.open(meter.record)
    # Within the block this collector alone hears and writes.
    with _collecting(meter, meter, beside=None, book=None if meter.record is not None else book):
        yield meter


@contextmanager
def overheard() -> Iterator[Meter]:
    """A collector beside whoever collects already: for the bill of what goes on around an index.

    It hears what is charged within the block, but not what a collector or another one of this kind within it
    hears. Where nobody writes that down, the ledger of the first index does that is asked within the block.
    """
    outer, book = _CURRENT.get(), BOOK.get()
    if book is None and (outer is None or outer.record is None):
        book = Book()
    meter = Meter(record=book.write if book is not None else None)
    with _collecting(meter, outer, beside=meter, book=book):
        yield meter


@contextmanager
def _collecting(
    meter: Meter, current: Meter | None, *, beside: Meter | None, book: Book | None
) -> Iterator[None]:
    """Who hears what is charged within the block; *meter* gives up what is under way when Ctrl-C ends it."""
    tokens = _CURRENT.set(current), _OVERHEARING.set(beside)
    opened = BOOK.set(book)
    try:
        yield
    except (KeyboardInterrupt, SystemExit):
        meter.give_up()
        raise
    finally:
        BOOK.reset(opened)
        _OVERHEARING.reset(tokens[1])
        _CURRENT.reset(tokens[0])


def charge(charged: Charge) -> None:
    """Charge a call to whoever collects."""
    for meter in (_CURRENT.get(), _OVERHEARING.get()):
        if meter is not None:
            meter.charge(charged)


@contextmanager
def reserved(usd: float | None, model: str, *, estimate: Callable[[], Charge] | None = None) -> Iterator[None]:
    """As `Meter.reserved`, if somebody collects.

    Raises:
        BudgetExceeded: it would go over the collector's cap.
    """
    with ExitStack() as held:
        for meter in (_CURRENT.get(), _OVERHEARING.get()):
            if meter is not None:
                held.enter_context(meter.reserved(usd, model, estimate=estimate))
        yield


class _Desk:
    """Where what is to be written down waits for the thread that does it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: list[Callable[[], None]] = []
        self._open = True

    def took(self, job: Callable[[], None]) -> bool:
        """Whether *job* will be done here; False once the thread has left."""
        with self._lock:
            if self._open:
                self._waiting.append(job)
            return self._open

    def close(self) -> None:
        """Do what waits, all of it whatever fails."""
        with self._lock:
            self._open = False
        with ExitStack() as jobs:
            for job in reversed(self._waiting):
                jobs.callback(job)


_DESK: ContextVar[_Desk | None] = ContextVar("ragweft_desk", default=None)


@contextmanager
def written_here() -> Iterator[None]:
    """Have the calling thread write down, on leaving, what is charged within the block on another one.

    It counts at once. But a ledger may keep who writes waiting, and the loop in the background is everybody's.
    """
    desk = _Desk()
    token = _DESK.set(desk)
    try:
        yield
    finally:
        _DESK.reset(token)
        desk.close()


def _written(job: Callable[[], None]) -> None:
    desk = _DESK.get()
    if desk is None or not desk.took(job):
        job()
