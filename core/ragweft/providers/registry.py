"""What is known of each model: sizes, windows, prices, prompts, limits. The facts are in `models.json`.

The registry informs; it does not gate. A model that is not in it works all the same, only that its price and
limits are not known. Every entry says where its facts come from, and when its price was read.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, Literal

from ragweft.errors import RecipeError
from ragweft.providers.registry_times import Basis, estimate

__all__ = [
    "LOCAL",
    "PURPOSES",
    "Basis",
    "Cost",
    "Kind",
    "Model",
    "Purpose",
    "Registry",
    "check_dims",
    "cost",
    "dollars",
    "load",
    "markdown_table",
    "rerank_cost",
    "sizes",
]

Kind = Literal["embedder", "reranker"]
Purpose = Literal["code", "multilingual", "budget", "legal", "finance", "self-hosted", "english"]

PURPOSES: tuple[Purpose, ...] = (
    "code",
    "multilingual",
    "budget",
    "legal",
    "finance",
    "self-hosted",
    "english",
)
LOCAL = ("static", "onnx", "sentence-transformers", "bge-m3", "ollama")
"""Providers whose models run in this process, or on a server of the user's own: they cost no money."""

_FLOAT_BYTES = 4
_DOCUMENTS_PER_SEARCH = 100
"""A service that bills by the search counts so many documents as one (Cohere's price list)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """One embedder or reranker."""

    provider: str
    """The word before the colon in a recipe."""
    name: str
    """The word after the colon; "" where the provider has one model only and is written alone."""
    kind: Kind
    dims: int = 0
    """Size of a vector unless asked otherwise; 0 for a reranker."""
    allowed: tuple[int, ...] = ()
    """The sizes that may be asked for; empty: see `between`, else `dims` only."""
    between: tuple[int, int] | None = None
    """Any size from the first to the second, both included, may be asked for."""
    window: int | None = None
    """Most tokens of one text, or of query and document together; None: no limit, or not known."""
    usd_per_million: float | None = None
    """Of input tokens; 0 for local models, None if not known or billed otherwise."""
    usd_per_search: float | None = None
    """Of rerankers that bill by the search, of up to 100 documents."""
    priced: str = ""
    """Year and month the price was read, as in "2026-11"."""
    metric: Literal["cosine", "dot", "l2"] = "cosine"
    """What the model was trained for; on unit vectors all three rank alike."""
    unit: bool = True
    """Whether vectors arrive with unit length at every size."""
    query_prompt: str = ""
    """What has to stand before a query, where the call has no parameter for the role."""
    document_prompt: str = ""
    """The same before a document."""
    dtypes: tuple[str, ...] = ("float32",)
    """Forms in which vectors can be had: float32, float16, int8, uint8, binary, ubinary."""
    languages: Literal["multilingual", "english", "code"] = "english"
    licence: str = ""
    """Of the weights one runs oneself, by its SPDX name; "" for a service."""
    purposes: tuple[Purpose, ...] = ()
    """What the model is worth considering for."""
    batch: int | None = None
    """Most texts of one request."""
    batch_tokens: int | None = None
    """Most tokens of one request."""
    tokens_per_minute: int | None = None
    """The provider's rate limit for an ordinary account; None: none is published, and so for the next two."""
    requests_per_minute: int | None = None
    texts_per_minute: int | None = None
    limited: str = ""
    """Whose rate limits these are, where they were read and when."""
    space: str = ""
    """Models that name the same space make vectors that can be compared; "": its own."""
    successor: str = ""
    """The name of the same provider's model that takes its place."""
    parameters: float | None = None
    """Weights in millions: what a local model asks of the machine."""
    active: float | None = None
    """Those of them, in millions, that every token is multiplied with: all but the table of token vectors and
    the experts not at work. 0: static vectors, which only look up. What a local model's time grows with."""
    tokens_per_second: float | None = None
    """Of bulk embedding, where it was measured."""
    measured: str = ""
    """On what."""
    notes: str = ""
    source: str = ""
    """Where these facts come from; "recalled": from memory, to be checked."""

    @property
    def label(self) -> str:
        """As a recipe names it: `voyage:voyage-4`, `static`."""
        return f"{self.provider}:{self.name}" if self.name else self.provider

    @property
    def local(self) -> bool:
        """Whether it runs in this process."""
        return self.provider in LOCAL


@dataclass(frozen=True, slots=True, kw_only=True)
class Registry:
    """Every known model."""

    models: tuple[Model, ...]

    @property
    def embedders(self) -> Sequence[Model]:
        """Models that make vectors, those of one provider side by side."""
        return [model for model in self.models if model.kind == "embedder"]

    @property
    def rerankers(self) -> Sequence[Model]:
        """Models that reorder, those of one provider side by side."""
        return [model for model in self.models if model.kind == "reranker"]

    @property
    def providers(self) -> Sequence[str]:
        """The words before the colon, each once."""
        return list(dict.fromkeys(model.provider for model in self.models))

    def find(self, provider: str, name: str, *, kind: Kind | None = None) -> Model | None:
        """The model called *name*, which may leave out an `organisation/`; None if it is not known.

        An empty name finds the provider's only model. Without *kind*, embedders come before rerankers.
        """
        own = [model for model in self.models if model.provider == provider and kind in (None, model.kind)]
        found = [model for model in own if model.name == name]
        if not found and name:
            found = [model for model in own if model.name.rpartition("/")[2] == name]
        if not found and not name and len({model.name for model in own}) == 1:
            found = own
        if not found and provider == "ollama" and ":" in name:  # a tag names a size or a quantisation
            return self.find(provider, name.partition(":")[0], kind=kind)
        return found[0] if found else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What a piece of work comes to."""

    tokens: int
    usd: float | None
    """None if the price is not known."""
    bytes: int
    """Of the vectors as float32; 0 for a reranker."""
    seconds: float | None
    """None where nothing is known that they could be estimated by, and for a reranker."""
    basis: str
    """What `seconds` rests on, in words; "" without them."""
    by: Basis | None = None
    """The same as one word for programs."""


@cache
def load() -> Registry:
    """The registry that ships with ragweft, read once."""
    entries = json.loads(files("ragweft.providers").joinpath("models.json").read_text(encoding="utf-8"))
    return Registry(models=tuple(Model(**dict(_frozen(entry))) for entry in entries))


def check_dims(model: Model, dims: int) -> None:
    """Refuse a vector size that *model* is not made for.

    Raises:
        RecipeError: *dims* is none of its sizes; the message names them.
    """
    if model.kind != "embedder":
        raise RecipeError(f"{model.label} is a reranker and makes no vectors: name an embedder")
    if model.between is not None:
        fits = model.between[0] <= dims <= model.between[1]
    else:
        fits = dims in (model.allowed or (model.dims,))
    if not fits:
        raise RecipeError(f"{model.label}: dims = {dims} is none of its sizes; choose {sizes(model, 'or')}")


def cost(
    model: Model, chunks: int = 1_000_000, tokens_per_chunk: int = 480, *, dims: int | None = None
) -> Cost:
    """What embedding *chunks* once comes to, at *dims* values each (None: the model's default).

    An estimate: the bill counts tokens as the model's own tokenizer does. The time is that of two CPU cores, or
    of a service that is asked four requests at a time; nothing is said of a GPU.
    """
    tokens = chunks * tokens_per_chunk
    took = estimate(model, chunks, tokens_per_chunk, known=load().embedders)
    return Cost(
        tokens=tokens,
        usd=_usd(model, tokens),
        bytes=chunks * (model.dims if dims is None else dims) * _FLOAT_BYTES,
        seconds=None if took is None else took.seconds,
        basis="" if took is None else took.why,
        by=None if took is None else took.basis,
    )


def rerank_cost(model: Model, searches: int = 1_000, hits: int = 50, tokens_per_hit: int = 480) -> Cost:
    """What reranking *hits* passages for each of *searches* queries comes to; the queries' tokens left out."""
    tokens = searches * hits * tokens_per_hit
    usd = _usd(model, tokens)
    if model.usd_per_search is not None:
        usd = searches * -(-hits // _DOCUMENTS_PER_SEARCH) * model.usd_per_search
    return Cost(tokens=tokens, usd=usd, bytes=0, seconds=None, basis="")


def dollars(value: float) -> str:
    """`$57.60`, and as many digits as a smaller sum needs: `$0.008`."""
    return f"${value:,.2f}" if value >= 1 or round(value, 2) == value else f"${value:.2g}"


def sizes(model: Model, joint: Literal["and", "or"]) -> str:
    """The vector sizes of an embedder in words: `256, 512 and 1024`, `any from 1 to 1536`."""
    if model.between is not None:
        return f"any from {model.between[0]} to {model.between[1]}"
    *most, last = map(str, model.allowed or (model.dims,))
    return f"{', '.join(most)} {joint} {last}" if most else last


def markdown_table(provider: str, kind: Kind = "embedder") -> str:
    """The models of *provider* as a table for a page; "" if it has none of that kind."""
    rows = [_cells(model) for model in load().models if model.provider == provider and model.kind == kind]
    # A column that says nothing about any of them is left out.
    heads = [head for head in rows[0] if any(row[head] for row in rows)] if rows else []
    lines = [heads, ["---"] * len(heads), *([row[head].replace("|", "\\|") for head in heads] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) if rows else ""


def _cells(model: Model) -> Mapping[str, str]:
    per_million = None if model.local else model.usd_per_million
    per_thousand = None if model.usd_per_search is None else model.usd_per_search * 1_000
    return {
        "model": f"`{model.label}`",
        "dims": str(model.dims) if model.dims else "",
        "sizes": sizes(model, "and") if model.allowed or model.between else "",
        "window": _figure(model.window),
        "per 1M tokens": _dated(per_million, model),
        "per 1,000 searches": _dated(per_thousand, model),
        "texts a request": _figure(model.batch),
        "tokens a request": _figure(model.batch_tokens),
        "million parameters": _figure(model.parameters),
        "languages": model.languages,
        "licence": model.licence,
        "successor": f"`{model.successor}`" if model.successor else "",
        "notes": model.notes,
    }


def _dated(price: float | None, model: Model) -> str:
    return "" if price is None else f"{dollars(price)} ({model.priced})"


def _figure(value: float | None) -> str:
    return f"{value:,}" if value else ""


def _usd(model: Model, tokens: int) -> float | None:
    return None if model.usd_per_million is None else tokens / 1_000_000 * model.usd_per_million


def _frozen(entry: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for key, value in entry.items():
        yield key, tuple(value) if isinstance(value, list) else value
