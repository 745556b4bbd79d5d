"""Voyage: `/embeddings`, `/contextualizedembeddings`, `/multimodalembeddings` (texts only) and `/rerank`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from provider_double.vectors import DTYPES, Vector
from provider_double.wire import Answer, Call, Json, Model, Provider, Refusal

MAX_TEXTS = 1_000
MAX_CHUNKS = 16_000
MAX_CONTEXT_TOKENS = 120_000
MAX_DOCUMENTS = 1_000
MAX_RERANK_TOKENS = 600_000

_NO_TRUNCATION = "Contextualized chunk embeddings do not support truncation."
_USE_TRUNCATION = "Please lower the number of tokens in the listed example(s) or use truncation."
_SIZES = (256, 512, 1024, 2048)
_FLEXIBLE = Model(dims=1024, window=32_000, sizes=_SIZES)
_FIXED = Model(dims=1024, window=32_000)

MODELS: Mapping[str, Model] = {
    "voyage-4-large": _FLEXIBLE,
    "voyage-4": _FLEXIBLE,
    "voyage-4-lite": _FLEXIBLE,
    "voyage-3-large": _FLEXIBLE,
    "voyage-3.5": _FLEXIBLE,
    "voyage-3.5-lite": _FLEXIBLE,
    "voyage-code-3": _FLEXIBLE,
    "voyage-code-4": _FLEXIBLE,
    "voyage-3": _FIXED,
    "voyage-3-lite": Model(dims=512, window=32_000),
    "voyage-finance-2": _FIXED,
    "voyage-law-2": Model(dims=1024, window=16_000),
}
MULTIMODAL: Mapping[str, Model] = {"voyage-multimodal-3": _FIXED, "voyage-multimodal-3.5": _FLEXIBLE}
CONTEXTUAL: Mapping[str, Model] = {"voyage-context-3": _FLEXIBLE, "voyage-context-4": _FLEXIBLE}
RERANKERS: Mapping[str, tuple[int, int]] = {
    "rerank-3": (8_000, 32_000),
    "rerank-3-lite": (8_000, 32_000),
    "rerank-2.5": (8_000, 32_000),
    "rerank-2.5-lite": (8_000, 32_000),
}
"""Each reranker's windows in tokens: of the query, and of the query with one document."""


def batch_tokens(name: str) -> int:
    """The most tokens one request may hold."""
    if name.endswith("-lite") and name != "voyage-3-lite":
        return 1_000_000
    return 320_000 if name in ("voyage-4", "voyage-3.5") else 120_000


def error(status: int, message: str) -> Json:
    """The body of any error."""
    return {"detail": message}


def _refuse(message: str, status: int = 400) -> Refusal:
    return Refusal(status, error(status, message))


def _bad_key(key: str) -> Refusal:
    return _refuse("Provided API key is invalid." if key else "No API key was provided.", 401)


def _over_window(name: str, index: int, window: int, advice: str) -> Refusal:
    return _refuse(
        f"Request to model '{name}' failed. The example at index {index} in your batch has too many tokens and does"
        f" not fit into the model's context window of {window} tokens. {advice}"
    )


def _over_batch(name: str, tokens: int, most: int) -> Refusal:
    return _refuse(
        f"Request to model '{name}' failed. The max allowed tokens per submitted batch is {most}. Your batch has"
        f" {tokens} tokens after truncation. Please lower the number of tokens in the batch."
    )


def _too_long(call: Call) -> Refusal:
    name = call.body.get("model", "")
    if call.path == "/contextualizedembeddings":
        return _over_window(name, 0, CONTEXTUAL[name].window, _NO_TRUNCATION)
    return _over_batch(name, batch_tokens(name) + 1, batch_tokens(name))


def _answer(call: Call) -> Answer:
    if call.path == "/embeddings":
        return _embed(call)
    if call.path == "/contextualizedembeddings":
        return _embed_in_context(call)
    if call.path == "/multimodalembeddings":
        return _embed_pieces(call)
    if call.path == "/rerank":
        return _rerank(call)
    raise _refuse("Not Found", 404)


def _embed(call: Call) -> Answer:
    given = call.body.get("input", [])
    texts = [given] if isinstance(given, str) else list(given)
    name, model = _model(call, MODELS)
    if not texts or not all(texts):
        raise _refuse("Input cannot contain empty strings or empty lists")
    if len(texts) > MAX_TEXTS:
        raise _refuse(f"The batch size limit is {MAX_TEXTS}. Your batch size is {len(texts)}.")
    if call.body.get("truncation", True) is False:
        for index, text in enumerate(texts):
            if call.tokens(text) > model.window:
                raise _over_window(name, index, model.window, _USE_TRUNCATION)
    texts = [call.cut(text, model.window) for text in texts]
    tokens = sum(map(call.tokens, texts))
    if tokens > batch_tokens(name):
        raise _over_batch(name, tokens, batch_tokens(name))
    rows = call.vectors(texts, model, dims=_dims(call, name, model), role=_role(call))
    return Answer(body=_list_of(call, _listing(call, rows), tokens), tokens=tokens)


def _embed_pieces(call: Call) -> Answer:
    name, model = _model(call, MULTIMODAL)
    pieces = [piece for each in call.body.get("inputs", []) for piece in each["content"]]
    texts = [str(piece.get("text", "")) for piece in pieces]
    if not texts or not all(texts):
        raise _refuse("Input cannot contain empty strings or empty lists")
    if len(texts) > MAX_TEXTS:
        raise _refuse(f"The batch size limit is {MAX_TEXTS}. Your batch size is {len(texts)}.")
    tokens = sum(map(call.tokens, texts))
    rows = call.vectors(texts, model, dims=_dims(call, name, model), role=_role(call))
    body = _list_of(call, _listing(call, rows), tokens)
    usage = {"text_tokens": tokens, "image_pixels": 0, "video_pixels": 0, "total_tokens": tokens}
    return Answer(body={**body, "usage": usage}, tokens=tokens)


def _embed_in_context(call: Call) -> Answer:
    inputs = call.body.get("inputs", [])
    name, model = _model(call, CONTEXTUAL)
    if not inputs or not all(isinstance(chunks, list) and chunks and all(chunks) for chunks in inputs):
        raise _refuse("Input cannot contain empty strings or empty lists")
    role = _role(call)
    if role == "query" and any(len(chunks) != 1 for chunks in inputs):
        raise _refuse("For queries every inner list must hold exactly one string")
    if len(inputs) > MAX_TEXTS:
        raise _refuse(f"The batch size limit is {MAX_TEXTS}. Your batch size is {len(inputs)}.")
    if sum(map(len, inputs)) > MAX_CHUNKS:
        raise _refuse(f"The total number of chunks must not exceed {MAX_CHUNKS}.")
    sizes = [sum(map(call.tokens, chunks)) for chunks in inputs]
    for index, size in enumerate(sizes):
        if size > model.window:
            raise _over_window(name, index, model.window, _NO_TRUNCATION)
    if sum(sizes) > MAX_CONTEXT_TOKENS:
        raise _over_batch(name, sum(sizes), MAX_CONTEXT_TOKENS)
    dims = _dims(call, name, model)
    whole = ["\n".join(chunks) for chunks in inputs]
    data = [
        {
            "object": "list",
            "index": i,
            "data": _listing(
                call, call.vectors(chunks, model, dims=dims, role=role, contexts=[whole[i]] * len(chunks))
            ),
        }
        for i, chunks in enumerate(inputs)
    ]
    return Answer(body=_list_of(call, data, sum(sizes)), tokens=sum(sizes))


def _rerank(call: Call) -> Answer:
    name = call.body.get("model", "")
    query, documents = call.body.get("query", ""), call.body.get("documents", [])
    if name not in RERANKERS:
        raise _no_model(name, RERANKERS)
    if not query or not documents or not all(documents):
        raise _refuse("Query and documents cannot be empty")
    if len(documents) > MAX_DOCUMENTS:
        raise _refuse(
            f"The number of documents cannot exceed {MAX_DOCUMENTS}. You have {len(documents)} documents."
        )
    query_window, window = RERANKERS[name]
    own = call.tokens(query)
    if own > query_window:
        raise _refuse(f"The query has {own} tokens and exceeds the limit of {query_window} tokens.")
    if call.body.get("truncation", True) is False and any(own + call.tokens(d) > window for d in documents):
        raise _refuse(f"The query and a document together exceed the context window of {window} tokens.")
    read = [call.cut(document, window - own) for document in documents]
    tokens = own * len(read) + sum(map(call.tokens, read))
    if tokens > MAX_RERANK_TOKENS:
        raise _over_batch(name, tokens, MAX_RERANK_TOKENS)
    data = [
        {"index": index, "relevance_score": score}
        for index, score in call.ranking(query, read, call.body.get("top_k"))
    ]
    return Answer(body=_list_of(call, data, tokens), tokens=tokens)


def _model(call: Call, known: Mapping[str, Model]) -> tuple[str, Model]:
    name = call.body.get("model", "")
    if name not in known:
        raise _no_model(name, known)
    return name, known[name]


def _no_model(name: str, known: Mapping[str, object]) -> Refusal:
    return _refuse(f"Model {name} is not supported. Supported models are {sorted(known)}.")


def _dims(call: Call, name: str, model: Model) -> int:
    wanted = call.body.get("output_dimension")
    if wanted is not None and not model.takes(wanted):
        raise _refuse(f"Model {name} does not support output_dimension={wanted}.")
    return wanted or model.dims


def _role(call: Call) -> str | None:
    role = call.body.get("input_type")
    if role not in (None, "query", "document"):
        raise _refuse(f"Value '{role}' provided to argument 'input_type' is invalid.")
    return role


def _listing(call: Call, rows: Sequence[Vector]) -> Sequence[Json]:
    dtype = call.body.get("output_dtype") or "float"
    if dtype not in DTYPES:
        raise _refuse(f"Value '{dtype}' provided to argument 'output_dtype' is invalid.")
    return call.listing(rows, dtype, as_base64=call.body.get("encoding_format") == "base64")


def _list_of(call: Call, data: Sequence[Json], tokens: int) -> Json:
    return {"object": "list", "data": data, "model": call.body["model"], "usage": {"total_tokens": tokens}}


VOYAGE = Provider(base="/voyage/v1", answer=_answer, error=error, bad_key=_bad_key, too_long=_too_long)
