"""Text generators of the user's own, counted: what asks them, what they read and write, what that costs."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Literal, cast

from ragweft.errors import RecipeError
from ragweft.generation.accounting import about, as_tokens, asked_for, bound, held
from ragweft.generation.adapters import name_of
from ragweft.generation.models import GeneratingModel
from ragweft.generation.values import Declined, Generator, Prompt, Tokens
from ragweft.providers.foreign import is_async
from ragweft.providers.metering import Charge, charge
from ragweft.providers.policy import TooLong

if TYPE_CHECKING:
    from ragweft.protocols import Generate

__all__ = ["Counted", "Prices"]

Prices = tuple[float, float]
"""US dollars for a million tokens that are read, and for a million that are written."""
_ANSWER = 1_024
"""Tokens of an answer: the most a `Generator` is asked for, and what a cap is held for with a function, which
says nothing of its limits. Enough for an order of fifty passages, a few rephrasings or an imagined passage."""


class Counted:
    """Asks for one reply after the other; each is charged to whoever collects.

    A function does not say what a call costs: its tokens are estimated by what went in and what came out, so
    thoughts a model bills and does not show are missing. A `Generator` charges by itself what it is billed.
    """

    def __init__(
        self,
        generate: Generate | Generator,
        *,
        purpose: Literal["rerank", "expand"],
        taker: str,
        name: str = "",
        usd_per_million: Prices | None = None,
    ) -> None:
        """*taker* is who takes the price, for errors; *name* what a function's charges go under, "": its own.

        Raises:
            RecipeError: the prices are none, or *generate* counts by itself.
        """
        self._generate = generate
        self._purpose = purpose
        self._generator = generate if isinstance(generate, Generator) else None
        if self._generator is not None and usd_per_million is not None:
            raise RecipeError(
                f"{self._generator.name} knows its price and counts by itself: leave out usd_per_million"
            )
        if usd_per_million is not None and not _are_prices(usd_per_million):
            raise RecipeError(
                f"usd_per_million = {usd_per_million}: give two prices of a million tokens, of those read and "
                "those written, (0, 0) for what is free, or leave it out"
            )
        read, written = usd_per_million or (None, None)
        self._model = GeneratingModel(provider="", name="").at(input=read, output=written)
        self._name = name or name_of(generate)
        self._advice = f"give usd_per_million=(READ, WRITTEN) to {taker}"

    @property
    def native(self) -> Callable[[str], Awaitable[object]] | None:
        """What can be awaited: a coroutine function, or an object's `agenerate`; None: it has to be called."""
        if self._generator is not None:
            return None
        found: Callable[[str], Awaitable[object]] | None = getattr(self._generate, "agenerate", None)
        if found is None and is_async(self._generate):
            found = cast("Callable[[str], Awaitable[object]]", self._generate)
        return found

    def ask(self, prompt: str) -> object:
        """What is said to *prompt*: text, if the generator keeps its protocol; of `native` only what to await.

        Raises:
            ProviderError: a `Generator` failed; a function raises what it likes.
            BudgetExceeded: the call might go over a cap, or there is a cap and the price is not known.
        """
        if self._generator is not None:
            return self._generated(self._generator, prompt)
        call = cast("Callable[[str], object]", self._generate)
        if is_async(call):
            return call(prompt)  # something to await: nobody was asked yet
        with self._call(prompt):
            reply = call(prompt)
        self._charge(prompt, reply)
        return reply

    async def aask(self, prompt: str) -> object:
        """As `ask`, awaited; for one that has a `native` form.

        Raises:
            BudgetExceeded: as `ask`.
        """
        native = self.native
        if native is None:
            return self.ask(prompt)
        with self._call(prompt):
            reply = await native(prompt)
        self._charge(prompt, reply)
        return reply

    def _generated(self, generator: Generator, prompt: str) -> str:
        try:
            with asked_for(self._purpose):
                return generator.generate(Prompt(prefix="", rest=prompt), max_tokens=_ANSWER).text
        except (Declined, TooLong) as error:
            raise error.refused from error.__cause__

    @contextmanager
    def _call(self, prompt: str) -> Iterator[None]:
        asked = Prompt(prefix="", rest=prompt)
        most = self._model.usd(bound(asked, _ANSWER))

        def unanswered() -> Charge:
            return self._charged(about(asked, self._model.density, _ANSWER))

        # What is free is not billed for nothing, either.
        with held(most, self._name, None if most == 0 else unanswered, advice=self._advice):
            yield

    def _charge(self, prompt: str, reply: object) -> None:
        density = self._model.density
        said = as_tokens(reply, density) if isinstance(reply, str) else 0
        charge(self._charged(Tokens(fresh=as_tokens(prompt, density), output=said)))

    def _charged(self, tokens: Tokens) -> Charge:
        usd = self._model.usd(tokens)
        return Charge(model=self._name, purpose=self._purpose, tokens=tokens.total, usd=usd)


def _are_prices(given: Prices) -> bool:
    return len(given) == 2 and all(0 <= price < math.inf for price in given)
