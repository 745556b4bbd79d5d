"""Language models of the user's own as generators: LangChain, LlamaIndex, or any function from prompt to text.

They are known by their methods alone; neither framework is imported.
"""

from __future__ import annotations

import inspect
import threading
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from ragweft.errors import ProviderError
from ragweft.generation.accounting import about, as_tokens, bound, held, purpose_now
from ragweft.generation.models import GeneratingModel, find
from ragweft.generation.values import Declined, Generator, Keeps, Prompt, Reply, Stop, Tokens
from ragweft.providers.background import awaited
from ragweft.providers.failures import Failure, failure_of
from ragweft.providers.foreign import asking, label, method, model_of, packages
from ragweft.providers.metering import Charge, charge
from ragweft.providers.policy import TooLong

__all__ = ["as_generator", "name_of"]

_WINDOW = 32_768
"""Tokens of a model nobody says anything of."""
_SETUP = (401, 402, 403, 404)
"""Statuses that mean the account, the model or the address, and so every request."""
_REFUSED = ("refusal", "content_filter", "safety", "blocked")
_CUT = ("length", "max_tokens")
_REASONS = ("stop_reason", "finish_reason")

Said = tuple[str, Stop, Tokens | None]


def as_generator(
    thing: object, *, model: str = "", window: int = 0, at_once: int = 4, free: bool = False
) -> Generator:
    """*thing* as a `Generator`: a LangChain chat model, a LlamaIndex LLM, or a function from prompt to text.

    A function may be a coroutine function, or an object that is one; a `Generator` is given back as it is.

    Args:
        thing: what generates.
        model: its name, which is part of what a context is kept by; "anthropic:claude-haiku-5-5" also tells
            its price and window. Empty: class and model as the object shows them.
        window: tokens of question and answer it reads; 0: as it says or is known to.
        at_once: questions under way at a time.
        free: it costs nothing, so no cap stands in its way.

    Raises:
        TypeError: it is none of these.
        ValueError: a number is out of range.
    """
    if isinstance(thing, Generator):
        return thing
    if window < 0 or at_once < 1:
        raise ValueError(f"window = {window}, at_once = {at_once}: at least 0, and at least 1")
    provider, _, name = model.partition(":")
    listed = find(provider, name)
    way = _way(thing, listed)
    known = listed or GeneratingModel(provider=provider, name=name)
    if free:
        known = known.at(input=0.0, output=0.0)
    return WrappedGenerator(
        way.ask,
        name=model or name_of(thing),
        window=window or way.window or known.plain_window or _WINDOW,
        at_once=at_once,
        model=replace(known, keeps=way.keeps),
    )


class WrappedGenerator:
    """A `Generator` over somebody else's object; whatever that retries, it retries itself."""

    def __init__(
        self,
        ask: Callable[[Prompt], Said],
        *,
        name: str,
        window: int,
        at_once: int,
        model: GeneratingModel,
    ) -> None:
        """*model*: what is known of it; *name* is what its charges go under."""
        self._ask = ask
        self.model = model
        self.name = name
        self.window = window
        self.at_once = at_once

    def __repr__(self) -> str:
        return f"WrappedGenerator({self.name})"

    def generate(self, prompt: Prompt, *, max_tokens: int, stop: threading.Event | None = None) -> Reply:
        """As `Generator.generate`; how long an answer gets is the object's own business.

        Raises:
            TooLong: it says that the prompt is.
            Declined: it did not take this prompt, or gave no text.
            ProviderError: it failed.
            BudgetExceeded: the call might cost more than whoever collects allows.
        """
        del stop
        purpose = purpose_now()

        def unanswered() -> Charge:
            return self._charged(about(prompt, self.model.density, max_tokens), purpose)

        failures: list[Failure | None] = []
        try:
            with held(self.model.usd(bound(prompt, max_tokens)), self.name, unanswered), asking(self.name):
                try:
                    text, ended, tokens = self._ask(prompt)
                except Exception as error:
                    failures.append(failure_of(error))
                    raise
        except ProviderError as error:
            if error.retryable:
                raise
            failure = failures[0] if failures else None
            if failure is not None and failure.too_long:
                raise TooLong(error) from error
            if failure is not None and failure.status in _SETUP:
                raise
            raise Declined(error) from error
        if tokens is None:
            density = self.model.density
            tokens = Tokens(fresh=as_tokens(prompt.text, density), output=as_tokens(text, density))
        charge(self._charged(tokens, purpose))
        return Reply(text=text, stop=ended, tokens=tokens)

    def close(self) -> None:
        """Nothing: the object is its owner's."""

    def _charged(self, tokens: Tokens, purpose: str) -> Charge:
        return Charge(model=self.name, purpose=purpose, tokens=tokens.total, usd=self.model.usd(tokens))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Way:
    """How an object is asked."""

    ask: Callable[[Prompt], Said]
    window: int | None = None
    """Tokens it says it reads."""
    keeps: Keeps = "no"


def _way(thing: object, listed: GeneratingModel | None) -> _Way:
    if invoke := method(thing, "invoke"):
        marked = _takes_marks(thing)
        ask = partial(_by_langchain, invoke, marked=marked)
        return _Way(ask=ask, keeps="asked" if marked else "unasked")
    if complete := method(thing, "complete"):
        size = getattr(getattr(thing, "metadata", None), "context_window", None)
        window = size if isinstance(size, int) and size > 0 else None
        return _Way(ask=partial(_by_llama_index, complete), window=window, keeps="unasked")
    call = thing if callable(thing) else method(thing, "agenerate")
    if call is None:
        raise TypeError(
            f"{label(thing)} is no language model: give a LangChain chat model, a LlamaIndex LLM, or a "
            "function from prompt to text"
        )
    unasked = listed is not None and listed.keeps == "unasked"
    return _Way(ask=partial(_by_call, call), keeps="unasked" if unasked else "no")


def name_of(thing: object) -> str:
    """Class and model of an object that shows one, a function's own name, or an object's class."""
    if shown := model_of(thing):
        return f"{label(thing)}:{shown}"
    own = getattr(thing, "__qualname__", "")
    if own:
        return f"{getattr(thing, '__module__', '') or 'function'}.{own}"
    return label(thing)


def _takes_marks(thing: object) -> bool:
    """Whether a LangChain model passes Anthropic's marks on; others may refuse what they do not know."""
    return any("ChatAnthropic" in names for names in packages(thing).values())


def _by_call(call: Callable[[str], object], prompt: Prompt) -> Said:
    answer = call(prompt.text)
    if inspect.isawaitable(answer):
        waiting: Awaitable[object] = answer

        async def wait() -> object:
            return await waiting

        answer = awaited(wait)
    return _text(answer), "end", None


def _by_langchain(invoke: Callable[..., Any], prompt: Prompt, *, marked: bool) -> Said:
    # Plain text is a user's message to a chat model, and as it is to LangChain's plain language models.
    asked: Any = prompt.text
    if marked and prompt.keep:
        mark = {"type": "ephemeral", "ttl": "1h" if prompt.keep == "hour" else "5m"}
        content = [
            {"type": "text", "text": prompt.prefix, "cache_control": mark},
            {"type": "text", "text": prompt.rest},
        ]
        asked = [{"role": "user", "content": content}]
    message = invoke(asked)
    if isinstance(message, str):
        # LangChain's plain language models, which are no chat models.
        return message, "end", None
    said = getattr(message, "text", None)
    told = getattr(message, "response_metadata", None)
    return (
        str(said) if isinstance(said, str) else _text(getattr(message, "content", None)),
        _stop(told if isinstance(told, Mapping) else {}),
        _langchain_tokens(getattr(message, "usage_metadata", None)),
    )


def _langchain_tokens(usage: object) -> Tokens | None:
    if not isinstance(usage, Mapping) or not isinstance(usage.get("input_tokens"), int):
        return None
    details = usage.get("input_token_details") or {}
    cached, written = details.get("cache_read") or 0, details.get("cache_creation") or 0
    return Tokens(
        fresh=max(0, usage["input_tokens"] - cached - written),
        written=written,
        cached=cached,
        output=usage.get("output_tokens") or 0,
    )


def _by_llama_index(complete: Callable[..., Any], prompt: Prompt) -> Said:
    answer = complete(prompt.text)
    told = getattr(answer, "additional_kwargs", None)
    tokens = None
    if isinstance(told, Mapping) and isinstance(told.get("prompt_tokens"), int):
        tokens = Tokens(fresh=told["prompt_tokens"], output=told.get("completion_tokens") or 0)
    return _text(getattr(answer, "text", answer)), "end", tokens


def _stop(told: Mapping[str, Any]) -> Stop:
    reason = next((str(told[name]).lower() for name in _REASONS if told.get(name)), "")
    if any(word in reason for word in _REFUSED):
        return "refused"
    return "length" if any(word in reason for word in _CUT) else "end"


def _text(answer: object) -> str:
    if isinstance(answer, str):
        return answer
    raise ProviderError(
        f"a {type(answer).__name__} came back instead of text; wrap it so that it returns str", retryable=False
    )
