"""OpenAI's /chat/completions and its batches through the `openai` SDK, also for servers that speak the same."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from ragweft.errors import MissingExtra, ProviderError
from ragweft.generation.values import BatchState, Prompt, Reply, Stop, Tokens
from ragweft.providers.failures import scrubbed
from ragweft.providers.openai_clients import client_options
from ragweft.providers.owned import PerProcess

if TYPE_CHECKING:
    from openai import OpenAI

    from ragweft.providers.keys import Secret

__all__ = ["OpenAIBatchWire", "OpenAIChatWire"]

_STOPS: Mapping[str, Stop] = {"length": "length", "content_filter": "refused"}
_ROUTE: Final = "/v1/chat/completions"
_ENDED = ("completed", "failed", "expired", "cancelled")


class OpenAIChatWire:
    """One message of a user: servers differ in whether they know more roles, or two messages in a row."""

    def __init__(
        self,
        model: str,
        *,
        key: Secret,
        base_url: str | None,
        own: bool,
        marks: bool,
        parameters: Mapping[str, Any],
    ) -> None:
        """*own*: it is OpenAI, not a server that speaks alike. *marks*: the model keeps what it is asked to.

        *parameters* go with every request.
        """
        try:
            from openai import OpenAI
        except ImportError:
            raise MissingExtra(package="openai", extra="openai") from None
        self._model, self._own, self._marks, self._parameters = model, own, marks, parameters
        options = client_options(key, base_url)
        self._client: PerProcess[OpenAI] = PerProcess(lambda: OpenAI(**options))

    def send(self, prompt: Prompt, *, max_tokens: int, seconds: float) -> Reply:
        """As `ChatWire.send`."""
        request = self._request(prompt, max_tokens)
        return _reply(self._client.get().chat.completions.create(**request, timeout=seconds))

    def count(self, prompt: Prompt, *, seconds: float) -> int | None:
        """As `ChatWire.count`: there is no such call."""
        del prompt, seconds
        return None

    def close(self) -> None:
        """As `ChatWire.close`."""
        if client := self._client.peek():
            client.close()

    def _request(self, prompt: Prompt, max_tokens: int) -> dict[str, Any]:
        request: dict[str, Any] = {
            "model": self._model,
            "messages": [{"role": "user", "content": prompt.text}],
            "max_completion_tokens" if self._own else "max_tokens": max_tokens,
            **self._parameters,
        }
        if self._own:
            # Questions that share it go to the same machine, which has kept their beginning.
            request["prompt_cache_key"] = hashlib.blake2b(prompt.prefix.encode(), digest_size=16).hexdigest()
        if self._marks:
            # Otherwise every chunk would be kept too, which is charged.
            request["prompt_cache_options"] = {"mode": "explicit"}
            document: dict[str, Any] = {"type": "text", "text": prompt.prefix}
            if prompt.keep:
                document["prompt_cache_breakpoint"] = {"mode": "explicit"}
            content = [document, {"type": "text", "text": prompt.rest}]
            request["messages"] = [{"role": "user", "content": content}]
        return request


class OpenAIBatchWire(OpenAIChatWire):
    """With OpenAI's own batches: a file of requests goes up, a file of answers comes down."""

    def submit(self, asked: Sequence[tuple[str, Prompt]], *, max_tokens: int, mark: str, seconds: float) -> str:
        """As `BatchWire.submit`."""
        lines = (
            {"custom_id": name, "method": "POST", "url": _ROUTE, "body": self._request(prompt, max_tokens)}
            for name, prompt in asked
        )
        content = "\n".join(json.dumps(line, ensure_ascii=False) for line in lines).encode()
        client = self._client.get()
        file = client.files.create(file=("ragweft.jsonl", content), purpose="batch", timeout=seconds)
        batch = client.batches.create(
            input_file_id=file.id,
            endpoint=_ROUTE,
            completion_window="24h",
            metadata={"ragweft": mark},
            timeout=seconds,
        )
        return str(batch.id)

    def find(self, *, mark: str, count: int, since: float, known: frozenset[str], seconds: float) -> str | None:
        """As `BatchWire.find`, by its mark."""
        del count, since
        page = self._client.get().batches.list(limit=100, timeout=seconds)
        marked = [batch.id for batch in page.data if (batch.metadata or {}).get("ragweft") == mark]
        return next((name for name in marked if name not in known), None)

    def state(self, batch: str, *, seconds: float) -> BatchState:
        """As `BatchWire.state`."""
        found = self._client.get().batches.retrieve(batch, timeout=seconds)
        counts = found.request_counts
        done = counts.completed + counts.failed if counts is not None else 0
        errors = found.errors.data if found.errors is not None and found.errors.data else []
        said = "; ".join(filter(None, (error.message for error in errors))) or "no reason was given"
        return BatchState(
            ended=found.status in _ENDED,
            done=done,
            total=counts.total if counts is not None else 0,
            failed=scrubbed(said, ()) if found.status == "failed" else "",
        )

    def results(self, batch: str, *, seconds: float) -> Iterator[tuple[str, Reply | str]]:
        """As `BatchWire.results`."""
        from openai.types.chat import ChatCompletion

        client = self._client.get()
        found = client.batches.retrieve(batch, timeout=seconds)
        for file in filter(None, (found.output_file_id, found.error_file_id)):
            for line in client.files.content(file, timeout=seconds).text.splitlines():
                item = json.loads(line)
                response = item.get("response") or {}
                if response.get("status_code") == 200:
                    yield item["custom_id"], _reply(ChatCompletion.model_validate(response["body"]))
                else:
                    said = item.get("error") or (response.get("body") or {}).get("error") or {}
                    yield item["custom_id"], scrubbed(str(said.get("message") or "the batch left it out"), ())


def _reply(answer: Any) -> Reply:
    if not answer.choices:
        # Some compatible servers say what is wrong with status 200.
        said = scrubbed(str((answer.model_extra or {}).get("error") or "it came without text"), ())
        raise ProviderError(f"the answer: {said}; check the model and the address", retryable=False)
    choice = answer.choices[0]
    stop = _STOPS.get(choice.finish_reason or "", "end")
    refused = getattr(choice.message, "refusal", None)
    return Reply(
        text=choice.message.content or "",
        stop="refused" if refused else stop,
        tokens=None if answer.usage is None else _tokens(answer.usage),
    )


def _tokens(usage: Any) -> Tokens:
    details = usage.prompt_tokens_details
    cached = getattr(details, "cached_tokens", None) or 0
    written = getattr(details, "cache_write_tokens", None) or 0
    return Tokens(
        fresh=max(0, usage.prompt_tokens - cached - written),
        written=written,
        cached=cached,
        output=usage.completion_tokens,
    )
