"""The table of text-generating services: where each one's key is found and which wire reaches it."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from ragweft.errors import RecipeError
from ragweft.generation.models import GeneratingModel, find
from ragweft.generation.remote import GenerationConnection, RemoteGenerator
from ragweft.providers.keys import Secret, find_key, host_of
from ragweft.providers.policy import caller_of

if TYPE_CHECKING:
    from ragweft.generation.values import ChatWire

__all__ = ["SERVICES", "Generation", "Service", "connect"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Generation:
    """Which model generates, and where it is: the part of `[context]` that is about that."""

    model: str
    """"provider:name"."""
    base_url: str = ""
    """Where the service is; empty: the provider's own address."""
    window: int = 0
    """Tokens of question and answer; 0: as the model is known to read."""
    usd_input: float = -1.0
    """For a million tokens that are read; -1: as known."""
    usd_output: float = -1.0
    """For a million tokens that are written; -1: as known."""
    at_once: int = 4
    """Calls under way at a time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What a wire is made from."""

    model: GeneratingModel
    key: Secret
    base_url: str | None


def _no_parameters() -> Mapping[str, Any]:
    return {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """One provider."""

    keys: tuple[str, ...]
    """Environment variables a key is looked for in."""
    wire: Callable[[Request], ChatWire]
    keyless: bool = False
    """A server of the user's own may need no key."""
    free: bool = False
    """It bills nothing."""
    batches: bool = False
    """Its wire takes batches, at its own address."""
    window: int = 32_768
    """Tokens of a model that is not known."""
    address: str | None = None
    """Where it is, if its SDK does not know."""
    parameters: Mapping[str, Any] = field(default_factory=_no_parameters)
    """Sent with every request to a model that is not known."""


def _anthropic(asked: Request) -> ChatWire:
    from ragweft.generation.wires.anthropic import AnthropicWire

    return AnthropicWire(
        asked.model.name, key=asked.key, base_url=asked.base_url, parameters=asked.model.parameters
    )


def _openai(asked: Request) -> ChatWire:
    if not _at_home(asked.base_url):
        return _compatible(asked)
    from ragweft.generation.wires.openai import OpenAIBatchWire

    return OpenAIBatchWire(
        asked.model.name,
        key=asked.key,
        base_url=None,
        own=True,
        marks=asked.model.keeps == "asked",
        parameters=asked.model.parameters,
    )


def _at_home(base_url: str | None) -> bool:
    """Whether "openai" is OpenAI: its SDK goes to $OPENAI_BASE_URL where it is told nothing."""
    return not base_url and not os.environ.get("OPENAI_BASE_URL")


def _compatible(asked: Request) -> ChatWire:
    from ragweft.generation.wires.openai import OpenAIChatWire

    return OpenAIChatWire(
        asked.model.name,
        key=asked.key,
        base_url=asked.base_url,
        own=False,
        marks=False,
        parameters=asked.model.parameters,
    )


def _google(asked: Request) -> ChatWire:
    from ragweft.generation.wires.google import GoogleWire

    return GoogleWire(
        asked.model.name, key=asked.key, base_url=asked.base_url, parameters=asked.model.parameters
    )


_STEADY: Mapping[str, Any] = {"temperature": 0.0}
"""For servers that take it; what OpenAI and Anthropic offer today refuses it."""

SERVICES: Mapping[str, Service] = {
    "anthropic": Service(keys=("ANTHROPIC_API_KEY",), wire=_anthropic, batches=True),
    "openai": Service(keys=("OPENAI_API_KEY",), wire=_openai, keyless=True, batches=True),
    "google": Service(keys=("GEMINI_API_KEY", "GOOGLE_API_KEY"), wire=_google),
    # Its default: a longer prompt loses its beginning without a word.
    "ollama": Service(
        keys=("OLLAMA_API_KEY",),
        wire=_compatible,
        keyless=True,
        free=True,
        window=4_096,
        address="http://localhost:11434/v1",
        parameters=_STEADY,
    ),
    "mistral": Service(
        keys=("MISTRAL_API_KEY",), wire=_compatible, address="https://api.mistral.ai/v1", parameters=_STEADY
    ),
}
"""Provider to how it is reached. A server that speaks OpenAI's protocol (vLLM, LM Studio, …) is "openai" with a
base_url."""


def connect(provider: str, name: str, settings: Generation, *, key: str | None = None) -> RemoteGenerator:
    """A generator that reaches model *name* of *provider* as *settings* say; nothing is sent yet.

    Neither key nor package is needed before the first prompt. *key* takes the place of the environment's.

    Raises:
        RecipeError: base_url is no plain address, or a number is out of range.
    """
    service = SERVICES[provider]
    if settings.base_url:
        host_of(settings.base_url, service=provider)
    if settings.at_once < 1 or settings.window < 0:
        raise RecipeError(
            f"[context] at_once = {settings.at_once}, window = {settings.window}: at least 1, and at least 0"
        )
    at_home = provider != "openai" or _at_home(settings.base_url)
    model = _model(provider, name, settings, service, at_home=at_home)

    def reach() -> GenerationConnection:
        secret = find_key(
            provider,
            service.keys,
            given=key,
            needed=not (service.keyless and (settings.base_url or service.free)),
            base_url=settings.base_url,
        )
        address = settings.base_url or service.address
        wire = service.wire(Request(model=model, key=secret, base_url=address))
        caller = caller_of(
            provider,
            model=name,
            base_url=settings.base_url,
            key=secret.reveal(),
            at_once=settings.at_once,
        )
        return GenerationConnection(caller=caller, wire=wire)

    return RemoteGenerator(
        reach,
        model=model,
        window=settings.window or model.plain_window or service.window,
        at_once=settings.at_once,
        batches=service.batches and at_home,
        at_home=not settings.base_url and at_home,
    )


def _model(
    provider: str, name: str, settings: Generation, service: Service, *, at_home: bool
) -> GeneratingModel:
    listed = find(provider, name)
    if listed is None:
        # What is not known may think before it answers.
        model = GeneratingModel(
            provider=provider,
            name=name,
            thinks=True,
            parameters=service.parameters if at_home else _STEADY,
            input=0.0 if service.free else None,
            output=0.0 if service.free else None,
            keeps="asked" if provider == "anthropic" else "unasked",
            batch=0.5 if service.batches else None,
        )
    else:
        # Servers that speak OpenAI's protocol keep what they like, unasked.
        model = replace(listed, name=name, keeps=listed.keeps if at_home else "unasked")
    return model.at(
        input=settings.usd_input if settings.usd_input >= 0 else None,
        output=settings.usd_output if settings.usd_output >= 0 else None,
    )
