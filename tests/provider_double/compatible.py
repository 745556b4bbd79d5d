"""Servers that speak OpenAI's wire with limits and words of their own: Mistral, and Ollama, which needs no key."""

from __future__ import annotations

from provider_double import openai
from provider_double.openai import Dialect, chat, embeddings
from provider_double.wire import Answer, Call, Json, Model, Provider, Refusal


def _mistral_error(status: int, message: str) -> Json:
    return {"object": "error", "message": message, "type": "invalid_request_error", "param": None, "code": None}


def _mistral_refuse(message: str, status: int = 400, *, code: str | None = None) -> Refusal:
    kind = "invalid_request_prompt" if code == "3210" else "invalid_request_error"
    return Refusal(status, {"object": "error", "message": message, "type": kind, "param": None, "code": code})


def _mistral_over_window(index: int, tokens: int, window: int) -> Refusal:
    return _mistral_refuse(f"Input id {index} has {tokens} tokens, exceeding max {window} tokens.", code="3210")


_MISTRAL = Dialect(
    models={
        "mistral-embed": Model(dims=1024, window=8192),
        "codestral-embed": Model(dims=1536, window=8192, sizes=range(1, 3073)),
    },
    max_texts=512,
    max_tokens=16_384,
    sizes_field="output_dimension",
    base64=False,
    no_model=lambda name: _mistral_refuse(f"Invalid model: {name}", code="1500"),
    too_many_texts=lambda count: _mistral_refuse(
        "Too many inputs in request, split into more batches.", code="3210"
    ),
    too_many_tokens=lambda tokens: _mistral_refuse(
        "Too many tokens overall, split into more batches.", code="3210"
    ),
    too_long=_mistral_over_window,
    bad_input=lambda field: _mistral_refuse(f"Invalid value for {field}.", 422),
)


def _mistral_answer(call: Call) -> Answer:
    if call.path == "/embeddings":
        return embeddings(call, _MISTRAL)
    if call.path == "/chat/completions":
        return chat(call)
    raise _mistral_refuse("no Route matched with those values", 404)


MISTRAL = Provider(
    base="/mistral/v1",
    answer=_mistral_answer,
    error=_mistral_error,
    bad_key=lambda key: Refusal(401, {"detail": "Unauthorized"}),
    too_long=lambda call: _mistral_over_window(0, 8193, 8192),
)


def _ollama_refuse(message: str, status: int = 400) -> Refusal:
    kind = "invalid_request_error" if status == 400 else "api_error"
    return Refusal(status, openai.body_of(message, type_=kind))


def _ollama_over_window(index: int, tokens: int, window: int) -> Refusal:
    return _ollama_refuse("the input length exceeds the context length")


_OLLAMA = Dialect(
    models={
        "nomic-embed-text": Model(dims=768, window=2048, sizes=(64, 128, 256, 512)),
        "all-minilm": Model(dims=384, window=256),
        "all-minilm:latest": Model(dims=384, window=256),
        "strange-embed": Model(dims=384, window=256),
        "bge-m3": Model(dims=1024, window=8192),
    },
    max_texts=100_000,
    max_tokens=100_000_000,
    sizes_field="dimensions",
    # Like several local servers it answers with arrays of numbers whatever encoding was asked for.
    base64=False,
    no_model=lambda name: _ollama_refuse(f'model "{name}" not found, try pulling it first', 404),
    too_many_texts=lambda count: _ollama_refuse("too many inputs"),
    too_many_tokens=lambda tokens: _ollama_refuse("too many tokens"),
    too_long=_ollama_over_window,
    bad_input=lambda field: _ollama_refuse(f"invalid {field}"),
)


def _ollama_answer(call: Call) -> Answer:
    if call.path == "/embeddings":
        return embeddings(call, _OLLAMA)
    if call.path == "/chat/completions":
        return chat(call)
    raise _ollama_refuse("404 page not found", 404)


OLLAMA = Provider(
    base="/ollama/v1",
    answer=_ollama_answer,
    error=openai.error,
    bad_key=lambda key: _ollama_refuse("unauthorized", 401),
    too_long=lambda call: _ollama_over_window(0, 8193, 8192),
    needs_key=False,
)
