"""OpenAI: `/embeddings` and `/chat/completions`, in a form the compatible servers share."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from provider_double.wire import Answer, Call, Json, Model, Provider, Refusal


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialect:
    """Where the servers that speak OpenAI's wire differ: limits, and how they word their refusals.

    `max_texts` and `max_tokens` are per request. `too_long` gets index, tokens and window of the text.
    """

    models: Mapping[str, Model]
    max_texts: int
    max_tokens: int
    sizes_field: str
    base64: bool
    no_model: Callable[[str], Refusal]
    too_many_texts: Callable[[int], Refusal]
    too_many_tokens: Callable[[int], Refusal]
    too_long: Callable[[int, int, int], Refusal]
    bad_input: Callable[[str], Refusal]


def embeddings(call: Call, dialect: Dialect) -> Answer:
    """Answer `/embeddings` as the dialect says."""
    name = call.body.get("model", "")
    model = dialect.models.get(name)
    if model is None:
        raise dialect.no_model(name)
    texts = texts_of(call.body)
    if not texts or not all(texts):
        raise dialect.bad_input("input")
    if len(texts) > dialect.max_texts:
        raise dialect.too_many_texts(len(texts))
    sizes = [call.tokens(text) for text in texts]
    for index, size in enumerate(sizes):
        if size > model.window:
            raise dialect.too_long(index, size, model.window)
    if sum(sizes) > dialect.max_tokens:
        raise dialect.too_many_tokens(sum(sizes))
    dims = call.body.get(dialect.sizes_field)
    if dims is not None and not model.takes(dims):
        raise dialect.bad_input(dialect.sizes_field)
    rows = call.vectors(texts, model, dims=dims)
    as_base64 = dialect.base64 and call.body.get("encoding_format") == "base64"
    body = {
        "object": "list",
        "data": call.listing(rows, as_base64=as_base64),
        "model": name,
        "usage": {"prompt_tokens": sum(sizes), "total_tokens": sum(sizes)},
    }
    return Answer(body=body, tokens=sum(sizes))


def texts_of(body: Json) -> list[str]:
    """The texts of an embeddings request, which may be one string or a list of them."""
    given: Any = body.get("input") or []
    return [given] if isinstance(given, str) else list(given)


def chat(call: Call) -> Answer:
    """Answer `/chat/completions` with what the test's `reply` makes of the messages."""
    messages: Sequence[Json] = call.body.get("messages", [])
    text = call.reply(messages)
    most = call.body.get("max_completion_tokens") or call.body.get("max_tokens")
    whole = most is None or call.tokens(text) <= most
    text = text if whole or most is None else call.cut(text, most)
    read = sum(call.tokens(str(message.get("content", ""))) for message in messages)
    written = call.tokens(text)
    body = {
        "id": "chatcmpl-double",
        "object": "chat.completion",
        "created": 1_790_000_000,
        "model": call.body["model"],
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": text, "refusal": None},
                "finish_reason": "stop" if whole else "length",
                "logprobs": None,
            }
        ],
        "usage": {
            "prompt_tokens": read,
            "completion_tokens": written,
            "total_tokens": read + written,
            "prompt_tokens_details": {"cached_tokens": 0},
        },
    }
    return Answer(body=body, tokens=read + written)


def error(status: int, message: str) -> Json:
    """The body of any error."""
    if status == 429:
        return body_of(message, type_="requests", code="rate_limit_exceeded")
    return body_of(message, type_="invalid_request_error" if status < 500 else "server_error")


def body_of(message: str, *, type_: str, code: str | None = None, param: str | None = None) -> Json:
    """OpenAI's envelope."""
    return {"error": {"message": message, "type": type_, "param": param, "code": code}}


def _refuse(message: str, status: int = 400, *, code: str | None = None, param: str | None = None) -> Refusal:
    return Refusal(status, body_of(message, type_="invalid_request_error", code=code, param=param))


def _no_model(name: str) -> Refusal:
    message = f"The model `{name}` does not exist or you do not have access to it."
    return _refuse(message, 404, code="model_not_found")


def _too_many_tokens(tokens: int) -> Refusal:
    kind = "max_tokens_per_request"
    message = f"Requested {tokens} tokens, max {_DIALECT.max_tokens} tokens per request"
    return Refusal(400, body_of(message, type_=kind, code=kind))


def _over_window(index: int, tokens: int, window: int) -> Refusal:
    return _refuse(f"Invalid 'input[{index}]': maximum input length is {window} tokens.", param="input")


_DIALECT = Dialect(
    models={
        "text-embedding-3-small": Model(dims=1536, window=8192, sizes=range(1, 1537)),
        "text-embedding-3-large": Model(dims=3072, window=8192, sizes=range(1, 3073)),
        "text-embedding-ada-002": Model(dims=1536, window=8192),
    },
    max_texts=2048,
    max_tokens=300_000,
    sizes_field="dimensions",
    base64=True,
    no_model=_no_model,
    too_many_texts=lambda count: _refuse(
        f"Invalid 'input': array too long. Expected an array with maximum length 2048, but got an array with length"
        f" {count} instead.",
        code="array_above_max_length",
        param="input",
    ),
    too_many_tokens=_too_many_tokens,
    too_long=_over_window,
    bad_input=lambda field: _refuse(f"'$.{field}' is invalid. Please check the API reference.", param=field),
)


def _answer(call: Call) -> Answer:
    if call.path == "/embeddings":
        return embeddings(call, _DIALECT)
    if call.path == "/chat/completions":
        return chat(call)
    raise _refuse(f"Invalid URL (POST /v1{call.path})", 404)


def _bad_key(key: str) -> Refusal:
    """The real service masks the middle of the key; here it is whole, so that a leak cannot hide behind a mask."""
    if not key:
        return _refuse("You didn't provide an API key.", 401)
    message = (
        f"Incorrect API key provided: {key}. You can find your API key at"
        " https://platform.openai.com/account/api-keys."
    )
    return _refuse(message, 401, code="invalid_api_key")


OPENAI = Provider(
    base="/openai/v1",
    answer=_answer,
    error=error,
    bad_key=_bad_key,
    too_long=lambda call: _over_window(0, 8193, 8192),
)
