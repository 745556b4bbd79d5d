"""Jina: `/embeddings`, with late chunking, and `/rerank`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from provider_double.openai import texts_of
from provider_double.vectors import DTYPES
from provider_double.wire import Answer, Call, Json, Model, Provider, Refusal

MAX_TEXTS = 2_048
MAX_DOCUMENTS = 2_048
LATE_CHUNKING_WINDOW = 8_192

_SIZES = (32, 64, 128, 256, 512, 768)
_TASKS = (None, "retrieval.query", "retrieval.passage", "separation", "classification", "text-matching")

MODELS: Mapping[str, Model] = {
    "jina-embeddings-v3": Model(dims=1024, window=8_192, sizes=_SIZES),
    "jina-embeddings-v4": Model(dims=2048, window=32_768, sizes=(128, 256, 512, 1024)),
    "jina-embeddings-v5-text-small": Model(dims=1024, window=32_768, sizes=_SIZES),
    "jina-embeddings-v5-text-nano": Model(dims=768, window=32_768, sizes=_SIZES),
}
RERANKERS: Mapping[str, int] = {"jina-reranker-v3.5": 131_072, "jina-reranker-v2-base-multilingual": 1_024}
"""Each reranker's window in tokens, the query and one document together."""


def error(status: int, message: str) -> Json:
    """The body of any error."""
    return {"detail": f"[RID: double] {message}"}


def _refuse(message: str, status: int = 400) -> Refusal:
    return Refusal(status, error(status, message))


def _bad_key(key: str) -> Refusal:
    return _refuse("Invalid Jina API key, please check your API key at https://jina.ai", 401)


def _too_long(call: Call) -> Refusal:
    """The service does not say that it is the length."""
    return _refuse("Failed to encode text")


def _answer(call: Call) -> Answer:
    if call.path == "/embeddings":
        return _embed(call)
    if call.path == "/rerank":
        return _rerank(call)
    raise _refuse("Not Found", 404)


def _embed(call: Call) -> Answer:
    name = call.body.get("model", "")
    model = MODELS.get(name)
    if model is None:
        raise _refuse(f"Model {name} not found", 404)
    texts = texts_of(call.body)
    if not texts or not all(texts):
        raise _refuse("Validation error: input must not be empty", 422)
    if len(texts) > MAX_TEXTS:
        raise _refuse(f"Validation error: input must hold at most {MAX_TEXTS} texts", 422)
    task = call.body.get("task")
    if task not in _TASKS:
        raise _refuse(f"Validation error: unknown task {task}", 422)
    dims = call.body.get("dimensions")
    if dims is not None and not model.takes(dims):
        raise _refuse(f"Validation error: dimensions {dims} is not supported by {name}", 422)
    kind = call.body.get("embedding_type") or "float"
    if kind not in (*DTYPES, "base64"):
        raise _refuse(f"Validation error: unknown embedding_type {kind}", 422)
    read, contexts = _fitted(call, texts, model)
    rows = call.vectors(read, model, dims=dims, role=task, contexts=contexts)
    tokens = sum(map(call.tokens, read))
    data = call.listing(rows, "float" if kind == "base64" else kind, as_base64=kind == "base64")
    usage = {"total_tokens": tokens, "prompt_tokens": tokens}
    return Answer(body={"model": name, "object": "list", "usage": usage, "data": data}, tokens=tokens)


def _fitted(call: Call, texts: Sequence[str], model: Model) -> tuple[Sequence[str], Sequence[str] | None]:
    """The texts as the model reads them and, for late chunking, the whole they are read in."""
    if call.body.get("late_chunking"):
        if sum(map(call.tokens, texts)) > LATE_CHUNKING_WINDOW:
            raise _too_long(call)
        return texts, ["\n".join(texts)] * len(texts)
    if any(call.tokens(text) > model.window for text in texts) and not call.body.get("truncate", False):
        raise _too_long(call)
    return [call.cut(text, model.window) for text in texts], None


def _rerank(call: Call) -> Answer:
    name = call.body.get("model", "")
    if name not in RERANKERS:
        raise _refuse(f"Model {name} not found", 404)
    query, documents = call.body.get("query", ""), call.body.get("documents", [])
    if not query or not documents:
        raise _refuse("Validation error: query and documents must not be empty", 422)
    if len(documents) > MAX_DOCUMENTS:
        raise _refuse(f"Validation error: at most {MAX_DOCUMENTS} documents", 422)
    own = call.tokens(query)
    read = [call.cut(document, max(1, RERANKERS[name] - own)) for document in documents]
    results: list[dict[str, Any]] = []
    for index, score in call.ranking(query, read, call.body.get("top_n")):
        results.append({"index": index, "relevance_score": score})
        if call.body.get("return_documents", False):
            results[-1]["document"] = {"text": documents[index]}
    tokens = own * len(read) + sum(map(call.tokens, read))
    return Answer(body={"model": name, "usage": {"total_tokens": tokens}, "results": results}, tokens=tokens)


JINA = Provider(base="/jina/v1", answer=_answer, error=error, bad_key=_bad_key, too_long=_too_long)
