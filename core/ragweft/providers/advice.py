"""Which models are worth considering for a purpose, and why: worked out from the registry's figures.

Nothing here knows which model is best on somebody's texts; `ragweft eval` measures that. Advice narrows the
registry down to what is worth measuring: one model of each maker, with what it asks of purse and machine.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ragweft.providers.registry import Kind, Model, Purpose, Registry, cost, dollars, load, rerank_cost

__all__ = ["Advice", "duration", "maker", "recommend"]

_TEXTS: dict[Purpose, str] = {"code": "code", "legal": "legal text", "finance": "financial text"}
"""What a model can be made for; any other purpose is a matter of languages, money or place."""
_LONG = 32_000
"""Tokens of a window that holds most contracts and reports whole."""
_CHUNK = 480
"""Tokens of a chunk, as recipes have it unless told otherwise."""
_LAPTOP = "a laptop CPU of two cores"
_MEGABYTES_PER_MILLION = 2.0
"""Of memory, at 16 bits a parameter."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Advice:
    """A model to consider."""

    model: Model
    reason: str
    """Why, in a sentence or two."""


def recommend(
    purpose: Purpose, *, kind: Kind = "embedder", registry: Registry | None = None
) -> Sequence[Advice]:
    """Models of *registry* (None: the one that ships) to consider for *purpose*, one of each maker.

    Those made for it come first, then services by their price, then local models from the lightest to the
    heaviest. Of a maker's current models the strongest is taken, that is the dearest or largest; for "budget"
    the cheapest. Where fewer than two makers have anything for such texts, as with legal ones, general models
    with a long window follow.
    """
    known = (registry or load()).models
    current = [model for model in known if model.kind == kind and not model.successor]
    suited = [model for model in current if purpose in model.purposes]
    if purpose in _TEXTS and len({maker(model) for model in suited}) < 2:
        taken = {maker(model) for model in suited}
        suited += [model for model in current if _general(model) and maker(model) not in taken]
    chosen = _one_of_each(suited, cheapest=purpose == "budget")
    chosen.sort(key=lambda model: _place(model, purpose))
    return [
        Advice(model=model, reason=_reason(model, purpose, chosen, suited) + _companion(model, known))
        for model in chosen
    ]


def maker(model: Model) -> str:
    """Who makes *model*: the organisation in a local model's name, else the provider."""
    organisation = model.name.rpartition("/")[0] if model.local else ""
    return organisation or model.provider


def duration(seconds: float) -> str:
    """Seconds as people say them: `45 s`, `9 min`, `22 h`, `12 days`."""
    for unit, size, most in (("s", 1, 100), ("min", 60, 100), ("h", 3_600, 72)):
        if seconds / size < most:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds / 86_400:,.0f} days"


def _general(model: Model) -> bool:
    return {"multilingual", "english"}.intersection(model.purposes) != set() and (model.window or 0) >= _LONG


def _one_of_each(models: Sequence[Model], *, cheapest: bool) -> list[Model]:
    best: dict[str, Model] = {}
    for model in models:
        other = best.setdefault(maker(model), model)
        if _demand(model) < _demand(other) if cheapest else _demand(model) > _demand(other):
            best[maker(model)] = model
    return list(best.values())


def _demand(model: Model) -> tuple[float, float, int]:
    """What it asks: money, machine, disk."""
    return (_price(model) or 0.0, model.parameters or 0.0, model.dims)


def _price(model: Model) -> float | None:
    """Of a million tokens, whichever way it is billed."""
    if model.usd_per_search is not None:
        searched = rerank_cost(model)
        return None if searched.usd is None else searched.usd / searched.tokens * 1_000_000
    return model.usd_per_million


def _place(model: Model, purpose: Purpose) -> tuple[float, ...]:
    """Sorts ascending; what is not known comes after what is."""
    price, window = _price(model), model.window or 0
    money = float("inf") if price is None else price
    if purpose == "budget":
        seconds = cost(model).seconds
        return (money, float("inf") if seconds is None else seconds, -window)
    fit = 0 if _made_for(model, purpose) else 1 if purpose in model.purposes else 2
    return (fit, model.local, money, model.parameters or 0.0, -window)


def _made_for(model: Model, purpose: Purpose) -> bool:
    if purpose == "code":
        return model.languages == "code"
    return purpose in _TEXTS and purpose in model.purposes


def _reason(model: Model, purpose: Purpose, chosen: Sequence[Model], suited: Sequence[Model]) -> str:
    others = [other for other in chosen if other is not model]
    asks = _machine(model) if model.local else _money(model, others)
    text = "; ".join([*_fit(model, purpose), *_window(model, others), *asks])
    return f"{text[0].upper()}{text[1:]}.{_sibling(model, suited)}"


def _fit(model: Model, purpose: Purpose) -> Iterator[str]:
    if _made_for(model, purpose):
        yield f"made for {_TEXTS[purpose]}"
    elif purpose in _TEXTS:
        among = f"general, with {_TEXTS[purpose]} among its uses"
        yield among if purpose in model.purposes else f"not made for {_TEXTS[purpose]}"
    if model.local:
        place = "built in, without key or download" if model.provider == "static" else "runs on your machine"
        yield f"{place}, under {model.licence}"
        if "runs remote code" in model.notes.lower():
            yield "runs code of its own, which only a program can allow"


def _window(model: Model, others: Sequence[Model]) -> Iterator[str]:
    if model.window is None:
        return
    remark = ""
    if model.window < _CHUNK:
        remark = f", less than a chunk of {_CHUNK}"
    elif others and all(model.window > (other.window or 0) for other in others):
        remark = ", the widest here"
    yield f"a window of {model.window:,} tokens{remark}"


def _money(model: Model, others: Sequence[Model]) -> Iterator[str]:
    price = _price(model)
    if price is None:
        yield "its price is not in the registry"
        return
    rivals = [rival for rival in map(_price, others) if rival]
    least = ", the least here" if rivals and price < min(rivals) else ""
    total = f", which is {dollars(cost(model).usd or 0)} for 1M chunks" if model.kind == "embedder" else ""
    yield f"{_said(model)}{least}{total}"


def _machine(model: Model) -> Iterator[str]:
    if model.parameters and model.provider != "static":
        megabytes = model.parameters * _MEGABYTES_PER_MILLION
        size = f"{megabytes:.0f} MB" if megabytes < 1_000 else f"{megabytes / 1_000:.1f} GB"
        yield f"{model.parameters:,g} million parameters, {size} at 16 bits"
    spent = cost(model)
    if spent.seconds is not None:
        about = "" if spent.by == "measured" else "about "
        yield f"1M chunks in {about}{duration(spent.seconds)} on {model.measured or _LAPTOP}"


def _sibling(model: Model, suited: Sequence[Model]) -> str:
    """The same maker's least."""
    own = [other for other in suited if maker(other) == maker(model) and _price(other) is not None]
    least = min(own, key=_demand, default=model)
    if _demand(least) >= _demand(model):
        return ""
    shared = ", in the same vector space" if least.space and least.space == model.space else ""
    if model.local:
        return f" Smaller{shared}: {least.name}, {least.parameters:,g} million."
    return f" Cheaper{shared}: {least.name}, {_said(least)}."


def _companion(model: Model, known: Sequence[Model]) -> str:
    """Another provider's model whose vectors this one's can be compared with."""
    same = [other for other in known if other.space and other.space == model.space]
    foreign = [other for other in same if other.provider != model.provider]
    if not foreign:
        return ""
    return f" Of equal size, its vectors compare with those of {max(foreign, key=_demand).label}."


def _said(model: Model) -> str:
    """A price that is known, in words."""
    if model.kind == "reranker":
        return f"{dollars(rerank_cost(model).usd or 0)} for 1,000 searches of 50 passages"
    return f"{dollars(model.usd_per_million or 0)} per 1M tokens"
