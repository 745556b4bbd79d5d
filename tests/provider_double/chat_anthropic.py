"""Anthropic's half of the chat double: messages with marked beginnings, token counts, batches."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from provider_double.chat_common import (
    BAD_KEY,
    FRAME,
    PRICES,
    THOUGHTS,
    WINDOWS,
    Answer,
    Billed,
    Call,
    ChatRefusal,
    ChatWire,
    Kept,
    Line,
    bill,
    nothing,
)

if TYPE_CHECKING:
    from provider_double.wire import Json


def _claude_error(status: int, message: str) -> Json:
    kinds = {
        400: "invalid_request_error",
        401: "authentication_error",
        404: "not_found_error",
        429: "rate_limit_error",
        529: "overloaded_error",
    }
    kind = kinds.get(status, "api_error")
    return {"type": "error", "error": {"type": kind, "message": message}, "request_id": "req_double"}


def _claude_refuse(status: int, message: str) -> ChatRefusal:
    return ChatRefusal(status, _claude_error(status, message))


def _claude_check(call: Call, faults: Mapping[str, Any]) -> None:
    key = call.headers.get("x-api-key") or call.headers.get("authorization", "").removeprefix("Bearer ")
    if faults.get("bad_key") or not key or key == BAD_KEY:
        raise _claude_refuse(401, f"invalid x-api-key {key}")


def _claude_message(
    body: Json, line: Line, *, batch: bool, sees: Kept
) -> tuple[Json, Billed, Callable[[], None]]:
    model = body["model"]
    if model not in PRICES:
        raise _claude_refuse(404, f"model: {model}")
    if "max_tokens" not in body:
        raise _claude_refuse(400, "max_tokens: Field required")
    newer = re.fullmatch(r"claude-[a-z]+-5-5", model) is not None
    if newer and any(name in body for name in ("temperature", "top_p", "top_k")):
        raise _claude_refuse(400, "temperature: not supported on this model")
    thinking = (body.get("thinking") or {}).get("type") or ("adaptive" if newer else "disabled")
    if "sonnet-5-5" in model and thinking == "disabled":
        raise _claude_refuse(400, "thinking.type: disabled is not supported on this model")
    text, marks = "", []
    for message in body["messages"]:
        for block in message["content"]:
            text += block["text"]
            if "cache_control" in block:
                marks.append((text, block["cache_control"].get("ttl", "5m")))
    window = WINDOWS.get(model, 1_000_000)
    total = line.tokens(text) + FRAME
    if line.faults.get("too_long") or total > window:
        raise _claude_refuse(400, f"prompt is too long: {total} tokens > {window} maximum")
    parts = {"fresh": total, "written": 0, "lasting": 0, "cached": 0}
    keep: Callable[[], None] = nothing
    if marks and line.tokens(marks[-1][0]) >= PRICES[model].least:
        prefix, ttl = marks[-1]
        size = line.tokens(prefix)
        hit = sees.has(model, prefix)
        parts["fresh"] = total - size
        parts["cached" if hit else "written"] = size
        if ttl == "1h" and not hit:
            parts["lasting"] = size

        def keep() -> None:
            with line.lock:
                line.kept.add(model, prefix)

    said, broken = line.said(text, body["max_tokens"])
    content: list[Json] = [{"type": "text", "text": said}] if said else []
    thoughts = 0 if thinking == "disabled" else THOUGHTS
    if thoughts:
        content.insert(0, {"type": "thinking", "thinking": "", "signature": "double"})
    parts["output"] = (line.tokens(said) if said else 0) + thoughts
    reason = "refusal" if line.faults.get("refusal") else "max_tokens" if broken else "end_turn"
    usage = {
        "input_tokens": parts["fresh"],
        "cache_creation_input_tokens": parts["written"],
        "cache_read_input_tokens": parts["cached"],
        "cache_creation": {
            "ephemeral_5m_input_tokens": parts["written"] - parts["lasting"],
            "ephemeral_1h_input_tokens": parts["lasting"],
        },
        "output_tokens": parts["output"],
        "service_tier": "batch" if batch else "standard",
    }
    message = {
        "id": line.new("msg"),
        "type": "message",
        "role": "assistant",
        "model": model,
        "content": content,
        "stop_reason": reason,
        "stop_sequence": None,
        "usage": usage,
    }
    return message, bill(model, parts, batch=batch), keep


def _claude(call: Call, line: Line) -> Answer:
    if call.path == "/v1/messages":
        message, billed, keep = _claude_message(call.body, line, batch=False, sees=line.kept)
        return message, [billed], keep
    if call.path == "/v1/messages/count_tokens":
        if "max_tokens" in call.body:
            raise _claude_refuse(400, "max_tokens: Extra inputs are not permitted")
        text = "".join(block["text"] for m in call.body["messages"] for block in m["content"])
        return {"input_tokens": line.tokens(text) + FRAME}, [], None
    if call.path == "/v1/messages/batches":
        return _claude_batches(call, line)
    name, _, tail = call.path.removeprefix("/v1/messages/batches/").partition("/")
    with line.lock:
        batch = line.batches.get(name)
        if batch is None:
            raise _claude_refuse(404, f"batch {name} not found")
        if tail == "results":
            return _claude_results(batch, line)
        batch["looks"] += 1
        return _claude_batch(name, batch, line), [], None


def _claude_batches(call: Call, line: Line) -> Answer:
    with line.lock:
        if call.method == "GET":
            own = [(name, held) for name, held in line.batches.items() if held["provider"] == "anthropic"]
            found = [_claude_batch(name, held, line) for name, held in reversed(own)]
            return {"data": found, "has_more": False, "first_id": None, "last_id": None}, [], None
        names = [request["custom_id"] for request in call.body["requests"]]
        if len(set(names)) != len(names) or not all(re.fullmatch(r"[a-zA-Z0-9_-]{1,64}", n) for n in names):
            raise _claude_refuse(400, "requests.0.custom_id: must be unique and match ^[a-zA-Z0-9_-]{1,64}$")
        name = line.new("msgbatch")
        line.batches[name] = {
            "provider": "anthropic",
            "requests": call.body["requests"],
            "looks": 0,
            "created": time.time(),
            "results": None,
        }
        return _claude_batch(name, line.batches[name], line), [], None


def _claude_batch(name: str, batch: Mapping[str, Any], line: Line) -> Json:
    ended = batch["looks"] >= line.polls
    count = len(batch["requests"])
    at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(batch["created"]))
    return {
        "id": name,
        "type": "message_batch",
        "processing_status": "ended" if ended else "in_progress",
        "request_counts": {
            "processing": 0 if ended else count,
            "succeeded": count if ended else 0,
            "errored": 0,
            "canceled": 0,
            "expired": 0,
        },
        "created_at": at,
        "expires_at": at,
        "ended_at": at if ended else None,
        "cancel_initiated_at": None,
        "archived_at": None,
        "results_url": f"{line.url}/v1/messages/batches/{name}/results" if ended else None,
    }


def _claude_results(batch: dict[str, Any], line: Line) -> Answer:
    billed: list[Billed] = []
    if batch["results"] is None:
        # All of them at once: none reads what another has kept.
        sees, keeps, lines = Kept(dict(line.kept.texts)), [], []
        for request in batch["requests"]:
            try:
                message, one, keep = _claude_message(request["params"], line, batch=True, sees=sees)
                billed.append(one)
                keeps.append(keep)
                result: Json = {"type": "succeeded", "message": message}
            except ChatRefusal as refusal:
                result = {"type": "errored", "error": refusal.body}
            lines.append(json.dumps({"custom_id": request["custom_id"], "result": result}))
        for keep in keeps:
            keep()
        batch["results"] = ("\n".join(reversed(lines)) + "\n").encode()
    return batch["results"], billed, None


ANTHROPIC = ChatWire(base="/anthropic", answer=_claude, error=_claude_error, check=_claude_check)
