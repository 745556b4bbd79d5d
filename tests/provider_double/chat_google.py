"""Gemini's half of the chat double: generateContent, which keeps beginnings unasked, and countTokens."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from provider_double.chat_common import (
    BAD_KEY,
    FRAME,
    PRICES,
    THOUGHTS,
    Answer,
    Call,
    ChatRefusal,
    ChatWire,
    Line,
    bill,
)

if TYPE_CHECKING:
    from provider_double.wire import Json


def _google_error(status: int, message: str) -> Json:
    names = {400: "INVALID_ARGUMENT", 404: "NOT_FOUND", 429: "RESOURCE_EXHAUSTED", 503: "UNAVAILABLE"}
    return {"error": {"code": status, "message": message, "status": names.get(status, "INTERNAL")}}


def _google_check(call: Call, faults: Mapping[str, Any]) -> None:
    if faults.get("bad_key") or call.headers.get("x-goog-api-key", "") in ("", BAD_KEY):
        message = "API key not valid. Please pass a valid API key."
        raise ChatRefusal(400, _google_error(400, message))


def _google(call: Call, line: Line) -> Answer:
    route = re.fullmatch(r"/v1(?:beta)?/models/(?P<model>[^:/]+):(?P<verb>\w+)", call.path)
    model = route["model"] if route is not None else ""
    if route is None or model not in PRICES:
        raise ChatRefusal(404, _google_error(404, f"models/{model} is not found for API version v1beta."))
    texts = [part["text"] for content in call.body["contents"] for part in content["parts"]]
    text = "".join(texts)
    total = line.tokens(text) + FRAME
    if route["verb"] == "countTokens":
        return {"totalTokens": total}, [], None
    if line.faults.get("too_long"):
        message = f"The input token count ({total}) exceeds the maximum number of tokens allowed (1048576)."
        raise ChatRefusal(400, _google_error(400, message))
    config = call.body.get("generationConfig", {})
    parts = {"fresh": total, "written": 0, "lasting": 0, "cached": 0}
    with line.lock:
        shared = int(line.kept.common(model, text) / line.chars_per_token)
    if shared >= PRICES[model].least:
        parts.update({"fresh": total - shared, "cached": shared})

    def keep() -> None:
        with line.lock:
            if line.tokens(text) >= PRICES[model].least:
                line.kept.add(model, text)

    said, broken = line.said(text, config["maxOutputTokens"])
    thought = 0 if config.get("thinkingConfig") else THOUGHTS
    parts["output"] = (line.tokens(said) if said else 0) + thought
    usage = {
        "promptTokenCount": total,
        "cachedContentTokenCount": parts["cached"],
        "candidatesTokenCount": parts["output"] - thought,
        "thoughtsTokenCount": thought,
        "totalTokenCount": total + parts["output"],
    }
    refused = bool(line.faults.get("refusal"))
    reason = "SAFETY" if refused else "MAX_TOKENS" if broken else "STOP"
    candidate: dict[str, Any] = {"finishReason": reason, "index": 0}
    if not refused:
        candidate["content"] = {"role": "model", "parts": [{"text": said}]}
    answer = {"candidates": [candidate], "usageMetadata": usage, "modelVersion": model}
    return answer, [bill(model, parts)], keep


GOOGLE_CHAT = ChatWire(base="/google", answer=_google, error=_google_error, check=_google_check)
