"""OpenAI's half of the chat double: completions with implicit and marked caching, files, batches."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from provider_double.chat_common import (
    BAD_KEY,
    FRAME,
    MARKING,
    PRICES,
    WINDOWS,
    Answer,
    Billed,
    Call,
    ChatRefusal,
    ChatWire,
    Line,
    bill,
)

if TYPE_CHECKING:
    from provider_double.wire import Json


def _openai_error(status: int, message: str) -> Json:
    kind = "requests" if status == 429 else "invalid_request_error" if status < 500 else "server_error"
    return {"error": {"message": message, "type": kind, "param": None, "code": None}}


def _openai_refuse(status: int, message: str) -> ChatRefusal:
    return ChatRefusal(status, _openai_error(status, message))


def _openai_check(call: Call, faults: Mapping[str, Any]) -> None:
    key = call.headers.get("authorization", "").removeprefix("Bearer ")
    if faults.get("bad_key") or key == BAD_KEY:
        raise _openai_refuse(401, f"Incorrect API key provided: {key}.")


def _completion(body: Json, line: Line, *, batch: bool) -> tuple[Json, Billed, Callable[[], None]]:
    model = body["model"]
    if model not in PRICES:
        raise _openai_refuse(404, f"The model `{model}` does not exist or you do not have access to it.")
    most = int(body.get("max_completion_tokens") or body["max_tokens"])
    text, marked, prefix = "", False, ""
    for message in body["messages"]:
        content = message["content"]
        for part in [{"text": content}] if isinstance(content, str) else content:
            text += part["text"]
            if "prompt_cache_breakpoint" in part:
                marked, prefix = True, text
    options = body.get("prompt_cache_options")
    if (marked or options) and model not in MARKING:
        raise _openai_refuse(
            400, "Unsupported parameter: 'prompt_cache_options' is not supported with this model."
        )
    total = line.tokens(text) + FRAME
    window = WINDOWS.get(model, 1_000_000)
    if line.faults.get("too_long") or total > window:
        message = f"This model's maximum context length is {window} tokens. Your messages have {total} tokens."
        raise _openai_refuse(400, message)
    parts = {"fresh": total, "written": 0, "lasting": 0, "cached": 0}
    least = PRICES[model].least
    explicit = (options or {}).get("mode") == "explicit"
    # Unless it is told otherwise, a marking model keeps, and charges for, the whole prompt as well.
    held = [prefix] if explicit else [prefix, text]
    with line.lock:
        if model not in MARKING:
            held = [text]
            shared = int(line.kept.common(model, text) / line.chars_per_token) // 128 * 128
            if shared >= least:
                parts.update({"fresh": total - shared, "cached": shared})
        else:
            size = line.tokens(prefix) if marked else 0
            if size >= least:
                kind = "cached" if line.kept.has(model, prefix) else "written"
                parts.update({"fresh": total - size, kind: size})
            if not explicit and total >= least:
                parts.update({"fresh": 0, "written": parts["written"] + parts["fresh"]})

    def keep() -> None:
        with line.lock:
            for beginning in held:
                if beginning and line.tokens(beginning) >= least:
                    line.kept.add(model, beginning)

    said, broken = line.said(text, most)
    parts["output"] = line.tokens(said) if said else 0
    refused = bool(line.faults.get("refusal"))
    answer = {
        "id": line.new("chatcmpl"),
        "object": "chat.completion",
        "created": int(time.time()),
        "model": model,
        "choices": [
            {
                "index": 0,
                "message": {
                    "role": "assistant",
                    "content": None if refused else said,
                    "refusal": "I can't help with that." if refused else None,
                },
                "finish_reason": "length" if broken else "stop",
                "logprobs": None,
            }
        ],
        "usage": {
            "prompt_tokens": total,
            "completion_tokens": parts["output"],
            "total_tokens": total + parts["output"],
            "prompt_tokens_details": {
                "cached_tokens": parts["cached"],
                "cache_write_tokens": parts["written"],
            },
        },
    }
    return answer, bill(model, parts, batch=batch), keep


def _openai(call: Call, line: Line) -> Answer:
    if call.path == "/chat/completions":
        answer, billed, keep = _completion(call.body, line, batch=False)
        return answer, [billed], keep
    with line.lock:
        if call.path == "/files":
            name = line.new("file")
            line.files[name] = _uploaded(call.raw)
            return (
                {
                    "id": name,
                    "object": "file",
                    "bytes": 1,
                    "created_at": 1,
                    "filename": "ragweft.jsonl",
                    "purpose": "batch",
                    "status": "processed",
                },
                [],
                None,
            )
        if call.path == "/batches":
            if call.method == "GET":
                found = [_openai_batch(name, held, line) for name, held in reversed(line.batches.items())]
                return {"object": "list", "data": found, "has_more": False}, [], None
            name = line.new("batch")
            requests = [json.loads(row) for row in line.files[call.body["input_file_id"]].splitlines()]
            line.batches[name] = {
                "provider": "openai",
                "requests": requests,
                "metadata": call.body.get("metadata"),
                "looks": 0,
                "created": time.time(),
                "results": None,
            }
            return _openai_batch(name, line.batches[name], line), [], None
        if call.path.startswith("/batches/"):
            name = call.path.removeprefix("/batches/")
            if name not in line.batches:
                raise _openai_refuse(404, f"No batch found with id '{name}'.")
            line.batches[name]["looks"] += 1
            return _openai_batch(name, line.batches[name], line), [], None
        name = call.path.removeprefix("/files/").removesuffix("/content")
        return _openai_results(line.batches[name.removesuffix("_out")], line)


def _uploaded(raw: bytes) -> bytes:
    start = raw.index(b"\r\n\r\n", raw.index(b"ragweft.jsonl")) + 4
    return raw[start : raw.index(b"\r\n--", start)]


def _openai_batch(name: str, batch: Mapping[str, Any], line: Line) -> Json:
    ended = batch["looks"] >= line.polls
    count = len(batch["requests"])
    return {
        "id": name,
        "object": "batch",
        "endpoint": "/v1/chat/completions",
        "input_file_id": "file",
        "completion_window": "24h",
        "status": "completed" if ended else "in_progress",
        "created_at": int(batch["created"]),
        "output_file_id": f"{name}_out" if ended else None,
        "metadata": batch["metadata"],
        "request_counts": {"total": count, "completed": count if ended else 0, "failed": 0},
    }


def _openai_results(batch: dict[str, Any], line: Line) -> Answer:
    billed: list[Billed] = []
    if batch["results"] is None:
        rows, keeps = [], []
        for request in batch["requests"]:
            try:
                answer, one, keep = _completion(request["body"], line, batch=True)
                billed.append(one)
                keeps.append(keep)
                response: Json = {"status_code": 200, "body": answer}
            except ChatRefusal as refusal:
                response = {"status_code": refusal.status, "body": refusal.body}
            rows.append(json.dumps({"custom_id": request["custom_id"], "response": response, "error": None}))
        for keep in keeps:
            keep()
        batch["results"] = "\n".join(reversed(rows)).encode()
    return batch["results"], billed, None


OPENAI_CHAT = ChatWire(base="/openai/v1", answer=_openai, error=_openai_error, check=_openai_check)
