"""Google Gemini: `models/{model}:batchEmbedContents`, one vector for each request of the batch."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from provider_double.vectors import encode
from provider_double.wire import Answer, Call, Json, Model, Provider, Refusal

MAX_REQUESTS = 100
_ROUTE = re.compile(r"/v1(?:beta)?/models/(?P<model>[^:/]+):batchEmbedContents")
_SIZES = range(128, 3073)
_STATUS: Mapping[int, str] = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    429: "RESOURCE_EXHAUSTED",
    500: "INTERNAL",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}

MODELS: Mapping[str, Model] = {
    "gemini-embedding-001": Model(dims=3072, window=2048, sizes=_SIZES),
    "gemini-embedding-2": Model(dims=3072, window=8192, sizes=_SIZES),
}
_NOT_UNIT_BELOW_FULL_SIZE = "gemini-embedding-001"
_WITHOUT_TASK_TYPE = "gemini-embedding-2"


def error(status: int, message: str) -> Json:
    """The body of any error."""
    return {"error": {"code": status, "message": message, "status": _STATUS.get(status, "UNKNOWN")}}


def _refuse(message: str, status: int = 400, details: Sequence[Json] = ()) -> Refusal:
    body = error(status, message)
    return Refusal(status, {"error": {**body["error"], "details": list(details)}} if details else body)


def _bad_key(key: str) -> Refusal:
    """A wrong key is a 400 here, told from other mistakes only by its words and details."""
    if not key:
        message = (
            "Method doesn't allow unregistered callers (callers without established identity). Please use API Key or"
            " other form of API consumer identity to call this API."
        )
        return _refuse(message, 403)
    detail = {
        "@type": "type.googleapis.com/google.rpc.ErrorInfo",
        "reason": "API_KEY_INVALID",
        "domain": "googleapis.com",
        "metadata": {"service": "generativelanguage.googleapis.com"},
    }
    return _refuse("API key not valid. Please pass a valid API key.", 400, [detail])


def _over_window(tokens: int, window: int) -> Refusal:
    return _refuse(f"The input token count ({tokens}) exceeds the maximum number of tokens allowed ({window}).")


def _too_long(call: Call) -> Refusal:
    route = _ROUTE.fullmatch(call.path)
    window = MODELS[route["model"]].window if route else 2048
    return _over_window(window + 1, window)


def _answer(call: Call) -> Answer:
    route = _ROUTE.fullmatch(call.path)
    if route is None:
        raise _refuse("Not Found", 404)
    name = route["model"]
    model = MODELS.get(name)
    if model is None:
        raise _refuse(
            f"models/{name} is not found for API version v1beta, or is not supported for embedContent.", 404
        )
    requests: Sequence[Json] = call.body.get("requests", [])
    if not requests:
        raise _refuse("* BatchEmbedContentsRequest.requests: at least one request is required\n")
    if len(requests) > MAX_REQUESTS:
        raise _refuse(
            f"* BatchEmbedContentsRequest.requests: at most {MAX_REQUESTS} requests can be in one batch\n"
        )
    texts = [_text(request) for request in requests]
    for text in texts:
        if call.tokens(text) > model.window:
            raise _over_window(call.tokens(text), model.window)
    role, dims = _one({request.get("taskType") for request in requests}), _dims(requests, model)
    rows = call.vectors(
        texts,
        model,
        dims=dims,
        role=None if name == _WITHOUT_TASK_TYPE else role,
        unit=name != _NOT_UNIT_BELOW_FULL_SIZE,
    )
    tokens = sum(map(call.tokens, texts))
    body = {
        "embeddings": [{"values": encode(row)} for row in rows],
        "usageMetadata": {"promptTokenCount": tokens, "totalTokenCount": tokens},
    }
    return Answer(body=body, tokens=tokens)


def _dims(requests: Sequence[Json], model: Model) -> int:
    wanted: int | None = _one({request.get("outputDimensionality") for request in requests})
    if wanted is not None and not model.takes(wanted):
        raise _refuse(f"Invalid value for output_dimensionality: {wanted}.")
    return wanted or model.dims


def _text(request: Json) -> str:
    """All the parts of a content, which is one thing to embed: a list of strings may arrive as one content."""
    text = "\n".join(part["text"] for part in request["content"]["parts"])
    if not text:
        raise _refuse("content is empty")
    return text


def _one(values: set[Any]) -> Any:
    if len(values) > 1:
        raise ValueError(f"the double embeds a batch with one setting, not with {values}")
    return values.pop()


GOOGLE = Provider(base="/google", answer=_answer, error=error, bad_key=_bad_key, too_long=_too_long)
