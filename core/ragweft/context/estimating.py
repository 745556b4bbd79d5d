"""What contexts would cost, before anybody is asked for one.

Tokens are counted as the service itself has billed this model before; or else as it counts, for nothing, where
it offers that; or else by what is known of the model.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from ragweft.errors import RagweftError
from ragweft.generation.accounting import bound, quarters
from ragweft.generation.values import CountingGenerator, Tokens

if TYPE_CHECKING:
    from ragweft.context.memory import Measure
    from ragweft.context.planning import Group
    from ragweft.generation.values import Generator

__all__ = ["ContextEstimate", "Scale", "estimated", "scale_of", "usual_answer"]

_USUAL_SHARE = 0.75
"""Of the tokens a context may have, what one has, before anything is known."""
_ENOUGH = 5
"""Answers whose length says how long the next ones are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ContextEstimate:
    """What the contexts of some chunks would take."""

    chunks: int = 0
    known: int = 0
    """Of these, those whose context is kept and fits."""
    under_way: int = 0
    """Of these, those that are in a batch under way."""
    calls: int = 0
    tokens: Tokens = field(default_factory=Tokens)
    """About what the calls would be billed as, if the service keeps what it is sent."""
    usd: float | None = 0.0
    """What that comes to; None if the price is not known."""
    usd_at_most: float | None = 0.0
    """A bound, whatever the service keeps and however long the answers are."""
    model: str = ""
    basis: str = ""
    """What the count of tokens rests on, in words."""
    doubts: tuple[str, ...] = ()
    """What stands in the way of asking, as far as that is known."""

    def __add__(self, other: ContextEstimate) -> ContextEstimate:
        return ContextEstimate(
            chunks=self.chunks + other.chunks,
            known=self.known + other.known,
            under_way=self.under_way + other.under_way,
            calls=self.calls + other.calls,
            tokens=self.tokens + other.tokens,
            usd=_sum(self.usd, other.usd),
            usd_at_most=_sum(self.usd_at_most, other.usd_at_most),
            model=other.model or self.model,
            basis=other.basis or self.basis,
            doubts=tuple(dict.fromkeys(self.doubts + other.doubts)),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """From text to tokens."""

    density: float
    """Tokens of four bytes."""
    answer: float
    """Tokens of an answer."""
    basis: str
    """What this rests on, in words."""


def scale_of(generator: Generator, measure: Measure, *, max_tokens: int, sample: Group | None) -> Scale:
    """How the tokens of *generator* are counted; *sample* may be sent to its service to be counted.

    *measure* is what its calls have come to, *max_tokens* what a context may have.
    """
    answer = usual_answer(measure, max_tokens=max_tokens)
    if measure.prompt and measure.quarters:
        return Scale(density=measure.prompt / measure.quarters, answer=answer, basis="as billed so far")
    if sample is not None and (density := _counted(generator, sample)) is not None:
        return Scale(density=density, answer=answer, basis="a document counted by the service")
    return Scale(
        density=generator.model.density,
        answer=answer,
        basis=f"{4 / generator.model.density:.2g} bytes a token, as a rule",
    )


def usual_answer(measure: Measure, *, max_tokens: int) -> float:
    """Tokens of an answer, as those of *measure* were, or as of *max_tokens* some are used."""
    if measure.replies >= _ENOUGH:
        return measure.output / measure.replies
    return _USUAL_SHARE * max_tokens


def estimated(
    groups: Sequence[Group], generator: Generator, scale: Scale, *, most: int, batch: bool
) -> ContextEstimate:
    """What asking for *groups* takes; *most* tokens are the bound of an answer."""
    total = ContextEstimate(model=generator.name, basis=scale.basis)
    for group in groups:
        for number, ask in enumerate(group.asks):
            prompt = group.prompt(ask, lasting=batch, asked=generator.model.keeps == "asked")
            tokens = _billed(group, ask.rest, generator, scale, first=number == 0)
            if prompt.keep == "hour":
                tokens = replace(tokens, lasting=tokens.written)
            total += ContextEstimate(
                chunks=1,
                calls=1,
                tokens=tokens,
                usd=generator.model.usd(tokens, batch=batch),
                usd_at_most=generator.model.usd(bound(prompt, most), batch=batch),
            )
    return total


def _billed(group: Group, rest: str, generator: Generator, scale: Scale, *, first: bool) -> Tokens:
    prefix, own = (round(quarters(text) * scale.density) for text in (group.prefix, rest))
    output = round(scale.answer)
    kept = len(group.asks) > 1 and generator.model.keeps != "no" and prefix >= generator.model.least_kept
    if not kept:
        return Tokens(fresh=prefix + own, output=output)
    if not first:
        read = prefix // generator.model.kept_step * generator.model.kept_step
        return Tokens(fresh=prefix + own - read, cached=read, output=output)
    if generator.model.keeps == "asked":
        return Tokens(fresh=own, written=prefix, output=output)
    return Tokens(fresh=prefix + own, output=output)


def _counted(generator: Generator, sample: Group) -> float | None:
    """Tokens of four bytes, as the service counts; None if it does not, or cannot be reached."""
    if not isinstance(generator, CountingGenerator):
        return None
    prompt = sample.prompt(sample.asks[0], asked=False)
    try:
        count = generator.count(prompt)
    except RagweftError:
        # An estimate works without key, package and network; its basis says what it rests on.
        return None
    return count / quarters(prompt.text) if count else None


def _sum(one: float | None, other: float | None) -> float | None:
    return None if one is None or other is None else one + other
