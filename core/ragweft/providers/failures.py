"""Whatever an SDK raised, read as one thing: did the service answer, with what, and when may it be asked again.

SDKs agree on nothing: the status is `status_code`, `http_status` or `code`, headers hang on the error or on its
response, network errors are their own classes or those of the HTTP library below. They are read here by
attributes and class names, so that no SDK has to be imported to judge its errors.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any

__all__ = ["Failure", "failure_of", "scrubbed"]

_RETRYABLE = frozenset({408, 409, 425, 429, 498, 500, 502, 503, 504, 505, 520, 522, 524, 529})
"""Statuses that pass: time-outs, conflicts, rate limits, overload (529: Anthropic, Voyage), gateways (52x)."""
_LONGEST = 300
"""Characters of a service's message that are repeated: some answer with whole pages."""

_TIMEOUTS = re.compile(r"time_?out", re.IGNORECASE)
_NETWORK = re.compile(
    r"connect|network|protocol|disconnected|read_?error|write_?error|transport|payload|chunkedencoding|"
    r"incompleteread|remote|clientoserror|sslerror",
    re.IGNORECASE,
)
_ANSWERS = re.compile(
    r"jsondecode|decodingerror|validationerror|malformed|parsingerror|contentdecoding", re.IGNORECASE
)
_PERMANENT = re.compile(r"insufficient_quota|exceeded your current quota|billing|payment", re.IGNORECASE)
_TOO_LONG = re.compile(
    r"too long|too large|too many tokens|maximum context|context length|token limit|max(imum)?[\w ]* tokens|"
    r"exceed[\w ]*(token|length|context|window|size)|must be at most \d+ tokens|at most \d+ tokens|"
    r"failed to encode text|too many (inputs|texts|requests in)|total number of texts|at most \d+ requests",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """What went wrong with one call."""

    status: int | None
    """Of HTTP; None if no answer came."""
    message: str
    """One line; may hold what the caller sent, see `scrubbed`."""
    retry_after: float | None = None
    """Seconds the service asked to wait."""
    timed_out: bool = False
    too_long: bool = False
    """The service says that the texts are too long or too many."""
    permanent: bool = False
    """The service says that waiting will not help, such as an account without money."""

    @property
    def retryable(self) -> bool:
        """Whether the same call may succeed later."""
        return not self.too_long and not self.permanent and (self.status is None or self.status in _RETRYABLE)


def failure_of(error: BaseException) -> Failure | None:
    """*error* as a service's failure; None if it is none, but a mistake in a program."""
    status = _status(error)
    names = " ".join(
        kind.__name__ for kind in type(error).__mro__ if kind not in (object, BaseException, Exception)
    )
    message = _message(error)
    if status is not None and status >= 400:
        too_long = status in (400, 413, 422) and bool(_TOO_LONG.search(message) or status == 413)
        return Failure(
            status=status,
            message=message,
            retry_after=_retry_after(error),
            too_long=too_long,
            permanent=bool(_PERMANENT.search(f"{message} {getattr(error, 'code', '')}")),
        )
    if isinstance(error, TimeoutError) or _TIMEOUTS.search(names):
        return Failure(status=None, message=message or "no answer in time", timed_out=True)
    if (
        isinstance(error, (ConnectionError, json.JSONDecodeError))
        or _NETWORK.search(names)
        or _ANSWERS.search(names)
    ):
        return Failure(status=None, message=message or type(error).__name__)
    return None


def scrubbed(text: str, secrets: Sequence[str]) -> str:
    """*text* on one line, cut to a few hundred characters, without the *secrets*."""
    for secret in secrets:
        # Services repeat a key in part: "Incorrect API key provided: sk-abcd...wxyz".
        if len(secret) >= 8:
            text = re.sub(re.escape(secret[:8]) + r"\S*", "[key]", text)
        text = text.replace(secret, "[key]") if secret else text
    text = " ".join(text.split())
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"


def _status(error: BaseException) -> int | None:
    for name in ("status_code", "http_status", "code"):
        value = getattr(error, name, None)
        if isinstance(value, int) and not isinstance(value, bool) and 100 <= value < 600:
            return value
    value = getattr(getattr(error, "response", None), "status_code", None)
    return value if isinstance(value, int) else None


def _message(error: BaseException) -> str:
    for source in (
        getattr(error, "body", None),
        getattr(error, "details", None),
        getattr(error, "json_body", None),
    ):
        if found := _said(source):
            return found
    return " ".join(str(error).split())


def _said(body: Any) -> str:
    """The sentence for people in a service's error body."""
    if isinstance(body, str):
        return body
    if isinstance(body, Mapping):
        for name in ("message", "detail", "error", "msg"):
            if found := _said(body.get(name)):
                return found
    if isinstance(body, Sequence) and body:
        return _said(body[0])
    return ""


def _retry_after(error: BaseException) -> float | None:
    headers = getattr(error, "headers", None) or getattr(getattr(error, "response", None), "headers", None)
    if not isinstance(headers, Mapping):
        return None
    given = {str(name).lower(): str(value) for name, value in headers.items()}
    try:
        if "retry-after-ms" in given:
            return max(0.0, float(given["retry-after-ms"]) / 1000)
        if "retry-after" in given:
            return max(0.0, float(given["retry-after"]))
    except ValueError:
        return _until(given.get("retry-after", ""))
    return None


def _until(date: str) -> float | None:
    """Seconds until an HTTP date."""
    import time

    try:
        return max(0.0, parsedate_to_datetime(date).timestamp() - time.time())
    except ValueError:
        return None
