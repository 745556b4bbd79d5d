"""Gemini's generateContent through the `google-genai` SDK."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ragweft.errors import MissingExtra
from ragweft.generation.values import Prompt, Reply, Stop, Tokens
from ragweft.providers.owned import PerProcess

if TYPE_CHECKING:
    from ragweft.providers.keys import Secret

__all__ = ["GoogleWire"]

_VERSION = "v1"
"""Of the paths: the SDK's default where the environment names no other."""
_ENDS = ("STOP", "FINISH_REASON_UNSPECIFIED", "OTHER")
_THINKING = ("thinking_budget", "thinking_level")


class GoogleWire:
    """Two parts of one content; what begins alike is kept by the service of its own accord."""

    def __init__(self, model: str, *, key: Secret, base_url: str | None, parameters: Mapping[str, Any]) -> None:
        """*parameters*: `thinking_budget` or `thinking_level`, and what else a request's config may hold."""
        try:
            from google import genai
            from google.genai import types
        except ImportError:
            raise MissingExtra(package="google-genai", extra="google") from None
        self._model, self._types, self._parameters = model, types, parameters
        options: dict[str, Any] = {"api_version": _VERSION, **({"base_url": base_url} if base_url else {})}

        def client() -> genai.Client:
            # Said, because the environment may ask for Vertex AI, which knows other keys and other paths.
            given = types.HttpOptions(**options)
            return genai.Client(vertexai=False, api_key=key.reveal(), http_options=given)

        # Held: a client that is collected closes its connections under the call.
        self._client = PerProcess(client)

    def send(self, prompt: Prompt, *, max_tokens: int, seconds: float) -> Reply:
        """As `ChatWire.send`."""
        types = self._types
        thinking = {name: value for name, value in self._parameters.items() if name in _THINKING}
        config = types.GenerateContentConfig(
            max_output_tokens=max_tokens,
            thinking_config=types.ThinkingConfig(**thinking) if thinking else None,
            automatic_function_calling=types.AutomaticFunctionCallingConfig(disable=True),
            http_options=types.HttpOptions(timeout=int(seconds * 1000)),
            **{name: value for name, value in self._parameters.items() if name not in _THINKING},
        )
        client = self._client.get()
        return _reply(
            client.models.generate_content(model=self._model, contents=self._contents(prompt), config=config)
        )

    def count(self, prompt: Prompt, *, seconds: float) -> int | None:
        """As `ChatWire.count`, by countTokens, which bills nothing."""
        types = self._types
        config = types.CountTokensConfig(http_options=types.HttpOptions(timeout=int(seconds * 1000)))
        answer = self._client.get().models.count_tokens(
            model=self._model, contents=self._contents(prompt), config=config
        )
        return answer.total_tokens

    def close(self) -> None:
        """As `ChatWire.close`."""
        if client := self._client.peek():
            client.close()

    def _contents(self, prompt: Prompt) -> Any:
        types = self._types
        parts = [types.Part(text=prompt.prefix), types.Part(text=prompt.rest)]
        return [types.Content(role="user", parts=parts)]


def _reply(answer: Any) -> Reply:
    usage = answer.usage_metadata
    tokens = None if usage is None or usage.prompt_token_count is None else _tokens(usage)
    if not answer.candidates:
        # The prompt itself met a filter.
        return Reply(text="", stop="refused", tokens=tokens)
    candidate = answer.candidates[0]
    parts = (candidate.content.parts if candidate.content is not None else None) or ()
    text = "".join(part.text for part in parts if part.text and not part.thought)
    return Reply(text=text, stop=_stop(candidate.finish_reason), tokens=tokens)


def _stop(reason: Any) -> Stop:
    name = getattr(reason, "name", None) or ""
    if name == "MAX_TOKENS":
        return "length"
    return "end" if not name or name in _ENDS else "refused"


def _tokens(usage: Any) -> Tokens:
    cached = usage.cached_content_token_count or 0
    output = (usage.candidates_token_count or 0) + (usage.thoughts_token_count or 0)
    return Tokens(fresh=max(0, usage.prompt_token_count - cached), cached=cached, output=output)
