"""Cohere: `/v2/embed` and `/v2/rerank`."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from provider_double.vectors import DTYPES, Vector, encode, relevance
from provider_double.wire import Answer, Call, Json, Model, Provider, Refusal

MAX_TEXTS = 96
MAX_DOCUMENTS = 10_000
MAX_QUERY_TOKENS = 2_048
DOCUMENTS_PER_SEARCH = 100
TOKENS_PER_BILLED_DOCUMENT = 500

_V5_SIZES = (256, 512, 768, 1024, 1536, 2048)
_INPUT_TYPES = ("search_document", "search_query", "classification", "clustering", "image")
_SENTENCE = re.compile(r"[^.!?\n]+[.!?]?")

MODELS: Mapping[str, Model] = {
    "embed-v5.0-pro": Model(dims=2048, window=128_000, sizes=_V5_SIZES),
    "embed-v5.0-fast": Model(dims=2048, window=128_000, sizes=_V5_SIZES),
    "embed-v4.0": Model(dims=1536, window=128_000, sizes=(256, 512, 1024, 1536)),
    "embed-english-v3.0": Model(dims=1024, window=512),
    "embed-multilingual-v3.0": Model(dims=1024, window=512),
    "embed-english-light-v3.0": Model(dims=384, window=512),
    "embed-multilingual-light-v3.0": Model(dims=384, window=512),
}
RERANKERS: Mapping[str, int] = {
    "rerank-v5.0-pro": 32_768,
    "rerank-v5.0-fast": 32_768,
    "rerank-v4.0-pro": 32_768,
    "rerank-v4.0-fast": 32_768,
    "rerank-v3.5": 4_096,
}
"""Each reranker's window in tokens."""


def error(status: int, message: str) -> Json:
    """The body of any error."""
    return {"id": f"double-{status}", "message": message}


def _refuse(message: str, status: int = 400) -> Refusal:
    return Refusal(status, error(status, message))


def _bad_key(key: str) -> Refusal:
    return _refuse("invalid api token" if key else "no api key supplied", 401)


def _too_long(call: Call) -> Refusal:
    model = MODELS.get(call.body.get("model", ""))
    window = model.window if model else MAX_QUERY_TOKENS
    return _over_window(window + 1, window)


def _over_window(tokens: int, window: int) -> Refusal:
    return _refuse(
        f"too many tokens: total number of tokens in the prompt cannot exceed {window} - received {tokens}."
        " Try using a shorter prompt, or enabling prompt truncating."
    )


def _no_model(name: str) -> Refusal:
    return _refuse(
        f"model '{name}' not found, make sure the correct model ID was used and that you have access to the model.",
        404,
    )


def _answer(call: Call) -> Answer:
    if call.path == "/v2/embed":
        return _embed(call)
    if call.path == "/v2/rerank":
        return _rerank(call)
    raise _refuse(f"no route {call.path}", 404)


def _embed(call: Call) -> Answer:
    name = call.body.get("model", "")
    model = MODELS.get(name)
    if model is None:
        raise _no_model(name)
    texts = call.body.get("texts")
    if not texts:
        raise _refuse("invalid request: exactly one of texts, images or inputs must be provided")
    if len(texts) > MAX_TEXTS:
        raise _refuse(
            f"invalid request: total number of texts must be at most {MAX_TEXTS} - received {len(texts)}"
        )
    role = call.body.get("input_type")
    if role not in _INPUT_TYPES:
        raise _refuse("invalid request: valid input_type must be provided with the provided model")
    dims = _dims(call, name, model)
    texts = _fitted(call, texts, model)
    rows = call.vectors(texts, model, dims=dims, role=role)
    tokens = sum(map(call.tokens, texts))
    body = {
        "id": "double-embed",
        "embeddings": _by_type(rows, call.body.get("embedding_types") or ["float"]),
        "texts": call.body["texts"],
        "meta": {"api_version": {"version": "2"}, "billed_units": {"input_tokens": tokens}},
        "response_type": "embeddings_by_type",
    }
    return Answer(body=body, tokens=tokens)


def _dims(call: Call, name: str, model: Model) -> int:
    wanted = call.body.get("output_dimension")
    if wanted is None:
        return model.dims
    if not name.startswith(("embed-v4", "embed-v5")):
        raise _refuse(f"invalid request: output_dimension is not supported by {name}")
    if not model.takes(wanted):
        raise _refuse(f"invalid request: output_dimension {wanted} is not supported by {name}")
    return int(wanted)


def _fitted(call: Call, texts: Sequence[str], model: Model) -> list[str]:
    """The texts as the model reads them: cut in silence, unless the caller forbade it."""
    truncate = call.body.get("truncate") or "END"
    if truncate not in ("NONE", "START", "END"):
        raise _refuse("invalid request: truncate must be one of NONE|START|END")
    window = min(model.window, call.body.get("max_tokens") or model.window)
    fitted = []
    for text in texts:
        if call.tokens(text) > window:
            if truncate == "NONE":
                raise _over_window(call.tokens(text), window)
            text = call.cut(text[::-1], window)[::-1] if truncate == "START" else call.cut(text, window)
        fitted.append(text)
    return fitted


def _by_type(rows: Sequence[Vector], kinds: Sequence[str]) -> Json:
    embeddings: dict[str, Any] = {}
    for kind in kinds:
        if kind == "base64":
            embeddings[kind] = [encode(row, as_base64=True) for row in rows]
        elif kind in DTYPES:
            embeddings[kind] = [encode(row, kind) for row in rows]
        else:
            raise _refuse(f"invalid request: unknown embedding type {kind}")
    return embeddings


def _rerank(call: Call) -> Answer:
    name = call.body.get("model", "")
    if name not in RERANKERS:
        raise _no_model(name)
    query, documents = call.body.get("query", ""), call.body.get("documents", [])
    if not documents:
        raise _refuse("invalid request: list of documents must not be empty")
    if len(documents) > MAX_DOCUMENTS:
        raise _refuse(f"invalid request: number of documents must be at most {MAX_DOCUMENTS}")
    if not query.strip():
        raise _refuse("invalid request: query must not be empty or be only whitespace")
    if call.tokens(query) > MAX_QUERY_TOKENS:
        raise _over_window(call.tokens(query), MAX_QUERY_TOKENS)
    spans = call.body.get("relevant_spans") or {"mode": "disabled"}
    if spans["mode"] == "enabled" and not name.startswith("rerank-v5"):
        raise _refuse(f"invalid request: relevant_spans is not supported by {name}")
    window = min(RERANKERS[name] - call.tokens(query), call.body.get("max_tokens_per_doc") or 4_096)
    read = [call.cut(document, window) for document in documents]
    results: list[dict[str, Any]] = []
    for index, score in call.ranking(query, read, call.body.get("top_n")):
        results.append({"index": index, "relevance_score": score})
        if spans["mode"] == "enabled" and index < len(read):
            # The field is missing where nothing in the document is relevant.
            results[-1].update(relevant_spans(query, read[index], spans))
    tokens, searches, units = _billing(call, name, query, read)
    meta = {"api_version": {"version": "2"}, "billed_units": units}
    return Answer(
        body={"id": "double-rerank", "results": results, "meta": meta}, tokens=tokens, searches=searches
    )


def relevant_spans(query: str, text: str, options: Json) -> Json:
    """The sentences that share words with the query, best first, as codepoint spans [start, end)."""
    threshold = 0.1 if options.get("threshold") is None else options["threshold"]
    spans = []
    for match in _SENTENCE.finditer(text):
        sentence = match.group().strip()
        start = match.start() + match.group().find(sentence)
        score = relevance(query, sentence) if sentence else 0.0
        if score > threshold:
            spans.append({"start": start, "end": start + len(sentence), "score": score})
    spans.sort(key=lambda span: -span["score"])
    return {"relevant_spans": spans[: options.get("max_spans") or len(spans)]} if spans else {}


def _billing(call: Call, name: str, query: str, documents: Sequence[str]) -> tuple[int, int, Json]:
    """Tokens for v5; searches of up to 100 documents of 500 tokens, the query included, for v3.5 and v4."""
    own = call.tokens(query)
    sizes = [own + call.tokens(document) for document in documents]
    if name.startswith("rerank-v5"):
        return sum(sizes), 0, {"input_tokens": sum(sizes)}
    billed = sum(math.ceil(size / TOKENS_PER_BILLED_DOCUMENT) for size in sizes)
    searches = math.ceil(billed / DOCUMENTS_PER_SEARCH)
    return 0, searches, {"search_units": searches}


COHERE = Provider(base="/cohere", answer=_answer, error=error, bad_key=_bad_key, too_long=_too_long)
