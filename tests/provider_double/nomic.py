"""Nomic Atlas: `/embedding/text`."""

from __future__ import annotations

from collections.abc import Mapping

from provider_double.vectors import encode
from provider_double.wire import Answer, Call, Json, Model, Provider, Refusal

MAX_TEXTS = 400

_TASKS = ("search_document", "search_query", "classification", "clustering")

MODELS: Mapping[str, Model] = {
    "nomic-embed-text-v1": Model(dims=768, window=8_192),
    "nomic-embed-text-v1.5": Model(dims=768, window=8_192, sizes=range(64, 769)),
}


def error(status: int, message: str) -> Json:
    """The body of any error."""
    return {"detail": message}


def _refuse(message: str, status: int = 400) -> Refusal:
    return Refusal(status, error(status, message))


def _answer(call: Call) -> Answer:
    if call.path != "/embedding/text":
        raise _refuse("Not Found", 404)
    name = call.body.get("model", "")
    model = MODELS.get(name)
    if model is None:
        raise _refuse(f"Unsupported model: {name}")
    texts = call.body.get("texts", [])
    if not texts or len(texts) > MAX_TEXTS:
        raise _refuse(f"texts must hold between 1 and {MAX_TEXTS} strings, not {len(texts)}", 422)
    task = call.body.get("task_type", "search_document")
    if task not in _TASKS:
        raise _refuse(f"Unsupported task_type: {task}", 422)
    dims = call.body.get("dimensionality")
    if dims is not None and not model.takes(dims):
        raise _refuse(f"Unsupported dimensionality: {dims}", 422)
    # A longer text is never refused: it is cut in silence, or embedded in parts whose mean is much like the whole.
    whole = call.body.get("long_text_mode", "truncate") == "mean"
    read = texts if whole else [call.cut(text, model.window) for text in texts]
    rows = call.vectors(read, model, dims=dims, role=task)
    tokens = sum(map(call.tokens, read))
    body = {
        "embeddings": [encode(row) for row in rows],
        "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
        "model": name,
    }
    return Answer(body=body, tokens=tokens)


NOMIC = Provider(
    base="/nomic/v1",
    answer=_answer,
    error=error,
    bad_key=lambda key: _refuse("Invalid authorization credentials", 401),
    too_long=lambda call: _refuse("Text exceeds the maximum number of tokens"),
)
