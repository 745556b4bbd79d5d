"""Claude's /v1/messages and its batches through the `anthropic` SDK."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ragweft.errors import MissingExtra
from ragweft.generation.values import BatchState, Prompt, Reply, Stop, Tokens
from ragweft.providers.owned import PerProcess

if TYPE_CHECKING:
    from ragweft.providers.keys import Secret

__all__ = ["AnthropicWire"]

_STOPS: Mapping[str, Stop] = {
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "refusal": "refused",
}
_LIFETIMES = {"minutes": "5m", "hour": "1h"}
_EARLIER = 120.0
"""Seconds two clocks may differ by."""


class AnthropicWire:
    """The document is a block of its own, marked to be kept; the chunk is the block after it."""

    def __init__(self, model: str, *, key: Secret, base_url: str | None, parameters: Mapping[str, Any]) -> None:
        """*parameters* go with every request, in Anthropic's words."""
        try:
            from anthropic import Anthropic
        except ImportError:
            raise MissingExtra(package="anthropic", extra="anthropic") from None
        self._model, self._parameters = model, parameters
        # A key that is given keeps the SDK from looking for other credentials.
        given: dict[str, Any] = {"api_key": key.reveal() or "none", "max_retries": 0}
        if base_url:
            given["base_url"] = base_url
        self._client = PerProcess(lambda: Anthropic(**given))

    def send(self, prompt: Prompt, *, max_tokens: int, seconds: float) -> Reply:
        """As `ChatWire.send`."""
        request = self._request(prompt, max_tokens)
        return _reply(self._client.get().messages.create(**request, timeout=seconds))

    def count(self, prompt: Prompt, *, seconds: float) -> int | None:
        """As `ChatWire.count`, by /v1/messages/count_tokens, which bills nothing."""
        request = self._request(prompt, 1)
        del request["max_tokens"]
        return int(self._client.get().messages.count_tokens(**request, timeout=seconds).input_tokens)

    def submit(self, asked: Sequence[tuple[str, Prompt]], *, max_tokens: int, mark: str, seconds: float) -> str:
        """As `BatchWire.submit`; a batch takes no notes here, so *mark* stays behind."""
        del mark
        requests = [{"custom_id": name, "params": self._request(prompt, max_tokens)} for name, prompt in asked]
        batch: Any = self._client.get().messages.batches.create(requests=requests, timeout=seconds)  # type: ignore[arg-type]  # plain dicts
        return str(batch.id)

    def find(self, *, mark: str, count: int, since: float, known: frozenset[str], seconds: float) -> str | None:
        """As `BatchWire.find`, by time and size: what a batch holds is only known from its results."""
        del mark
        page = self._client.get().messages.batches.list(limit=100, timeout=seconds)
        for batch in page.data:
            counts = batch.request_counts
            held = counts.processing + counts.succeeded + counts.errored + counts.canceled + counts.expired
            created = batch.created_at.timestamp()
            if (
                batch.id not in known
                and held == count
                and since - _EARLIER <= created <= time.time() + _EARLIER
            ):
                return batch.id
        return None

    def state(self, batch: str, *, seconds: float) -> BatchState:
        """As `BatchWire.state`."""
        found = self._client.get().messages.batches.retrieve(batch, timeout=seconds)
        counts = found.request_counts
        done = counts.succeeded + counts.errored + counts.canceled + counts.expired
        ended = found.processing_status == "ended"
        return BatchState(
            ended=ended,
            done=done,
            total=done + counts.processing,
            failed="its results are no longer kept" if ended and found.results_url is None else "",
        )

    def results(self, batch: str, *, seconds: float) -> Iterator[tuple[str, Reply | str]]:
        """As `BatchWire.results`."""
        for line in self._client.get().messages.batches.results(batch, timeout=seconds):
            result: Any = line.result
            if result.type == "succeeded":
                yield line.custom_id, _reply(result.message)
            elif result.type == "errored":
                yield line.custom_id, str(result.error.error.message)
            else:
                yield line.custom_id, f"the batch left it {result.type}"

    def close(self) -> None:
        """As `ChatWire.close`."""
        if client := self._client.peek():
            client.close()

    def _request(self, prompt: Prompt, max_tokens: int) -> dict[str, Any]:
        document: dict[str, Any] = {"type": "text", "text": prompt.prefix}
        if prompt.keep:
            document["cache_control"] = {"type": "ephemeral", "ttl": _LIFETIMES[prompt.keep]}
        content = [document, {"type": "text", "text": prompt.rest}]
        return {
            "model": self._model,
            "max_tokens": max_tokens,
            "messages": [{"role": "user", "content": content}],
            **self._parameters,
        }


def _reply(message: Any) -> Reply:
    # What comes first may be a thought.
    text = "".join(block.text for block in message.content if block.type == "text")
    usage = message.usage
    made = usage.cache_creation_input_tokens or 0
    lasting = getattr(usage.cache_creation, "ephemeral_1h_input_tokens", 0) or 0
    return Reply(
        text=text,
        stop=_STOPS.get(message.stop_reason or "", "end"),
        tokens=Tokens(
            fresh=usage.input_tokens,
            written=made,
            lasting=min(lasting, made),
            cached=usage.cache_read_input_tokens or 0,
            output=usage.output_tokens,
        ),
    )
