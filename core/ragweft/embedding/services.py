"""The table of embedding services: where each one's key is found and which wire reaches it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from ragweft.embedding.connection import Connection, Limits, Tariff, Wire
from ragweft.embedding.contextual import ContextualRemoteEmbedder
from ragweft.embedding.remote import RemoteEmbedder
from ragweft.embedding.static import StaticEmbedder
from ragweft.embedding.taken import check_taken
from ragweft.errors import RecipeError
from ragweft.providers.keys import Secret, find_key, host_of
from ragweft.providers.policy import caller_of
from ragweft.providers.registry import Model, check_dims, load
from ragweft.types import Space

if TYPE_CHECKING:
    from ragweft.recipe import Embedding

__all__ = ["SERVICES", "Service", "connect"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What a wire is made from."""

    model: str
    dims: int | None
    """None: the model's own, not to be sent."""
    dtype: str
    key: Secret
    base_url: str | None
    prompts: Mapping[str, str]
    """Role to what is put in front of its texts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """One provider."""

    keys: tuple[str, ...]
    """Environment variables a key is looked for in."""
    wire: Callable[[Request], Wire]
    keyless: bool = False
    """A server of the user's own may need no key."""
    texts: int = 128
    """Texts in one request, of a model the registry does not know."""
    dtypes: tuple[str, ...] = ("float",)
    """What the wire can decode."""
    cuts: bool = False
    """The service cuts a text over the window without a word, where others refuse it."""
    contextual: tuple[str, ...] = ()
    """Models named like this read a passage within its document."""
    late: bool = False
    """The service reads the texts of a request as one document if it is told to."""
    roles: bool = False
    """The service takes a text's role by itself: prompts are not put in front."""
    free: bool = False
    """A server of the user's own, which bills nothing."""

    @property
    def taken(self) -> tuple[str, ...]:
        """The settings that mean something to it."""
        own = ("base_url", "window", "usd_per_million", "query_model", "send_dims")
        prompts = () if self.roles else ("query_prompt", "document_prompt")
        return (
            *own,
            *prompts,
            *(("dtype",) if len(self.dtypes) > 1 else ()),
            *(("late_chunking",) if self.late else ()),
        )


def _cohere(asked: Request) -> Wire:
    from ragweft.embedding.wires.cohere import CohereWire

    return CohereWire(asked.model, dims=asked.dims, dtype=asked.dtype, key=asked.key, base_url=asked.base_url)


def _voyage(asked: Request) -> Wire:
    from ragweft.embedding.wires.voyage import VoyageWire

    return VoyageWire(asked.model, dims=asked.dims, dtype=asked.dtype, key=asked.key, base_url=asked.base_url)


def _google(asked: Request) -> Wire:
    from ragweft.embedding.wires.google import GoogleWire

    return GoogleWire(asked.model, dims=asked.dims, key=asked.key, base_url=asked.base_url)


def _openai(dialect: str) -> Callable[[Request], Wire]:
    def make(asked: Request) -> Wire:
        from ragweft.embedding.wires.openai import DIALECTS, OpenAIWire

        return OpenAIWire(
            asked.model,
            dims=asked.dims,
            key=asked.key,
            base_url=asked.base_url,
            dialect=DIALECTS[dialect],
            prompts=asked.prompts,
        )

    return make


def _nomic(asked: Request) -> Wire:
    from ragweft.embedding.wires.nomic import NomicWire

    return NomicWire(asked.model, dims=asked.dims, key=asked.key, base_url=asked.base_url)


_MARKS = 4
"""Tokens a model adds of its own, such as [CLS] and [SEP]."""
_QUANTISED = ("float", "int8", "uint8", "binary", "ubinary")

SERVICES: Mapping[str, Service] = {
    "cohere": Service(
        keys=("CO_API_KEY", "COHERE_API_KEY"), wire=_cohere, texts=96, dtypes=_QUANTISED, roles=True
    ),
    "voyage": Service(
        keys=("VOYAGE_API_KEY",),
        wire=_voyage,
        texts=1_000,
        dtypes=_QUANTISED,
        roles=True,
        contextual=("voyage-context-",),
    ),
    "openai": Service(keys=("OPENAI_API_KEY",), wire=_openai("openai"), texts=64, keyless=True),
    "ollama": Service(
        keys=("OLLAMA_API_KEY",), wire=_openai("ollama"), texts=64, keyless=True, cuts=True, free=True
    ),
    "jina": Service(keys=("JINA_API_KEY",), wire=_openai("jina"), texts=512, roles=True, late=True),
    "mistral": Service(keys=("MISTRAL_API_KEY",), wire=_openai("mistral"), texts=128),
    "nomic": Service(keys=("NOMIC_API_KEY",), wire=_nomic, texts=400, roles=True),
    "google": Service(
        keys=("GEMINI_API_KEY", "GOOGLE_API_KEY"), wire=_google, texts=100, roles=True, cuts=True
    ),
}
"""Provider to how it is reached. A server that speaks OpenAI's protocol (vLLM, TEI, LM Studio, …) is "openai"
with a base_url."""


def connect(provider: str, name: str, settings: Embedding, *, key: str | None = None) -> RemoteEmbedder:
    """An embedder that reaches model *name* of *provider* as *settings* say.

    Neither key nor package is needed before the first text is embedded. *key* takes the place of the
    environment's.

    Raises:
        RecipeError: the size or dtype is not one the model offers, a setting is not for this provider, the
            query model lives in another vector space, or base_url is no plain address.
        ProviderError: the model is not in the registry, has no dims in the recipe, and did not answer.
    """
    service = SERVICES[provider]
    check_taken(settings, service.taken)
    if settings.base_url:
        host_of(settings.base_url, service=provider)
    if settings.dtype not in service.dtypes:
        raise RecipeError(
            f"[embedding] dtype = {settings.dtype!r}: {provider} sends {', '.join(service.dtypes)}"
        )
    listed = load().find(provider, name, kind="embedder")
    if listed is not None and settings.dims:
        check_dims(listed, settings.dims)
    own = listed.dims if listed is not None else 0
    sent = settings.dims != own if listed is not None else settings.send_dims
    prompts = _prompts(service, listed, settings)
    other = _query_model(provider, listed, settings) if settings.query_model else None
    contextual = name.startswith(service.contextual) if service.contextual else False
    kind = ContextualRemoteEmbedder if contextual or settings.late_chunking else RemoteEmbedder

    def reach() -> Connection:
        secret = _key(provider, service, settings, key)

        def wire(model: str) -> Wire:
            return service.wire(
                Request(
                    model=model,
                    dims=settings.dims if settings.dims and sent else None,
                    dtype=settings.dtype,
                    key=secret,
                    base_url=settings.base_url or None,
                    prompts=prompts,
                )
            )

        main = wire(name)
        return Connection(
            caller=caller_of(
                provider,
                model=name,
                base_url=settings.base_url,
                key=secret.reveal(),
                at_once=settings.at_once,
            ),
            wires={"document": main, "query": wire(other.name) if other is not None else main},
        )

    limits = _limits(service, listed, settings)

    def built(dims: int) -> RemoteEmbedder:
        return kind(
            reach,
            space=Space(
                model=f"{provider}:{name}",
                dims=dims,
                dtype=settings.dtype,
                revision=_revision(prompts, settings, late=settings.late_chunking and not contextual),
            ),
            limits=limits,
            tariffs={
                "document": _tariff(provider, name, service, listed, settings, prompts["document"]),
                "query": _tariff(
                    provider,
                    other.name if other else name,
                    service,
                    other or listed,
                    settings,
                    prompts["query"],
                ),
            },
            count=_counter(cautious=limits.cuts),
        )

    if settings.dims or own:
        return built(settings.dims or own)
    probe = built(0)
    try:
        return built(probe.probed_dims())
    finally:
        probe.close()


def _key(provider: str, service: Service, settings: Embedding, given: str | None) -> Secret:
    return find_key(
        provider,
        service.keys,
        given=given,
        needed=not (service.keyless and (settings.base_url or service.free)),
        base_url=settings.base_url,
    )


def _tariff(
    provider: str, name: str, service: Service, listed: Model | None, settings: Embedding, prompt: str
) -> Tariff:
    price = settings.usd_per_million if settings.usd_per_million >= 0 else None
    if price is None:
        price = 0.0 if service.free else listed.usd_per_million if listed is not None else None
    return Tariff(model=f"{provider}:{name}", usd_per_million=price, prompt=prompt)


def _counter(*, cautious: bool) -> Callable[[str], int]:
    """Tokens of a text, by the built-in word pieces: services do not ship their tokenizers.

    A service that refuses what is too long corrects a count that is too low; for one that does not, a quarter
    is added.
    """
    vocabulary = StaticEmbedder()

    @lru_cache(maxsize=4_096)
    def count(text: str) -> int:
        pieces = len(vocabulary.encode(text).ids) + _MARKS
        return pieces * 5 // 4 if cautious else pieces

    return count


def _prompts(service: Service, listed: Model | None, settings: Embedding) -> dict[str, str]:
    known = {"query": "", "document": ""}
    if listed is not None and not service.roles:
        known = {"query": listed.query_prompt, "document": listed.document_prompt}
    given = {"query": settings.query_prompt, "document": settings.document_prompt}
    return {role: given[role] or prompt for role, prompt in known.items()}


def _revision(prompts: Mapping[str, str], settings: Embedding, *, late: bool) -> str:
    """Names what else decides the vectors that are stored: the texts' prompt, late chunking, a given window."""
    prompt = prompts["document"]
    named = hashlib.blake2b(prompt.encode(), digest_size=4).hexdigest() if prompt else ""
    window = f"window{settings.window}" if settings.window else ""
    return "+".join(filter(None, (named, "late" if late else "", window)))


def _query_model(provider: str, listed: Model | None, settings: Embedding) -> Model:
    other = load().find(provider, settings.query_model, kind="embedder")
    if listed is None or other is None or not listed.space or listed.space != other.space:
        raise RecipeError(
            f"[embedding] query_model = {settings.query_model!r} is not known to share a vector space with the "
            "model the texts are embedded by; leave it empty, or choose one of the same family"
        )
    return other


def _limits(service: Service, listed: Model | None, settings: Embedding) -> Limits:
    if listed is None:
        # Of a server of the user's own nobody knows what it does with a text that is too long.
        cuts = service.cuts or service.keyless
        return Limits(texts=service.texts, window=settings.window or None, cuts=cuts)
    return Limits(
        texts=listed.batch or service.texts,
        tokens=listed.batch_tokens,
        window=settings.window or listed.window,
        cuts=service.cuts,
    )
