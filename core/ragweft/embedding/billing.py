"""What calls of a wrapped object come to: since such an object does not say, its tokens are estimated."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Literal

from ragweft.embedding.static import StaticEmbedder
from ragweft.errors import BudgetExceeded, RecipeError
from ragweft.providers.metering import Charge, charge, reserved

__all__ = ["Tab"]

_MARKS = 4
"""Tokens a model adds of its own to a text, such as [CLS] and [SEP]."""


class Tab:
    """Has every call of one object charged to whoever collects, and held while it is under way."""

    def __init__(self, model: str, usd_per_million: float | None, *, advice: str) -> None:
        """*model* is what the charges go under; *usd_per_million* tokens: 0 is free, None not known.

        *advice* says where a price is given.

        Raises:
            RecipeError: the price is no price.
        """
        if usd_per_million is not None and not 0 <= usd_per_million < math.inf:
            raise RecipeError(
                f"usd_per_million = {usd_per_million}: give the price of a million tokens, 0 for what is free, "
                "or leave it out"
            )
        self.model = model
        self.usd_per_million = usd_per_million
        self._advice = advice

    def tokens(self, texts: Sequence[str], *, prompt: str = "") -> int:
        """About what *texts* are billed as, each with *prompt* before it: by the built-in word pieces."""
        before = _pieces(prompt) + _MARKS
        return sum(_pieces(text) + before for text in texts)

    @contextmanager
    def call(self, tokens: int, purpose: Literal["documents", "query", "rerank"]) -> Iterator[None]:
        """Make a call of *tokens* within the block.

        It is charged; if it raises, as an unanswered one that may have been billed (see `metering.reserved`).

        Raises:
            BudgetExceeded: it would go over a cap, or there is a cap and the price is not known.
        """
        price = self.usd_per_million
        usd = None if price is None else tokens * price / 1e6
        about = Charge(model=self.model, purpose=purpose, tokens=tokens, usd=usd)
        if usd is None:
            self._refuse_cap()
        # What is free is not billed for nothing, either.
        with reserved(usd, self.model, estimate=None if price == 0 else lambda: about):
            yield
        charge(about)

    def _refuse_cap(self) -> None:
        try:
            with reserved(None, self.model):
                pass
        except BudgetExceeded:
            said = f"{self.model}: its price is not known, so no cap can hold"
            raise BudgetExceeded(f"{said}; {self._advice}, or leave the cap out") from None


@cache
def _vocabulary() -> StaticEmbedder:
    return StaticEmbedder()


def _pieces(text: str) -> int:
    return len(_vocabulary().encode(text).ids) if text else 0
