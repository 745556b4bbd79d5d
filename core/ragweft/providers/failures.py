"""Whatever an SDK raised, read as one thing: did the service answer, with what, and when may it be asked again.

SDKs agree on nothing: the status is `status_code`, `http_status` or `code`, headers hang on the error or on its
response, network errors are their own classes or those of the HTTP library below. They are read here by
attributes and class names, so that no SDK has to be imported to judge its errors.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit

__all__ = ["Failure", "failure_of", "proxy_before", "scrubbed"]

_RETRYABLE = frozenset({408, 409, 425, 429, 498, 500, 502, 503, 504, 505, 520, 522, 524, 529})
"""Statuses that pass: time-outs, conflicts, rate limits, overload (529: Anthropic, Voyage), gateways (52x)."""
_GATEWAYS = (504, 524)
"""Statuses of a gateway that gave up waiting for the server behind it."""
_CODES = ("code", "type", "error_type")
"""Where bodies say for programs what is wrong."""
_DEEPEST = 12
"""Causes of an error that are looked through."""
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
_NO_MONEY = frozenset({"insufficient_quota", "billing_not_active", "billing_hard_limit_reached"})
"""Codes of an account that has to be paid first. Words will not do: Voyage, Gemini and OpenAI speak of quota
and billing to whoever meets the limit of a minute."""
_TOO_LONG = re.compile(
    r"too long|too large|too many tokens|maximum context|context length|token limit|max(imum)?[\w ]* tokens|"
    r"exceed[\w ]*(token|length|context|window|size)|must be at most \d+ tokens|at most \d+ tokens|"
    r"failed to encode text|too many (inputs|texts|requests in)|total number of texts|at most \d+ requests|"
    r"batch size|(larger|longer|more|greater) than \d+|"
    r"at most \d+ (items|elements|inputs|texts|strings|documents)",
    re.IGNORECASE,
)
_TOO_MUCH_ANYHOW = re.compile(
    r"request too large|too large to process|exceeds? (the )?(maximum |available )?context (length|size)",
    re.IGNORECASE,
)
"""The same, said with the status of what passes: 429 by OpenAI of a request above the tokens of a minute, 500
by llama.cpp and older versions of Ollama."""

_SPAN = r"(?:[\d.]+ ?(?:ms|milliseconds?|s|secs?|seconds?|m|mins?|minutes?|h|hours?)\b ?|[\d.]+(?:m|h)(?=\d))+"
_WAIT = re.compile(rf"(?:try again|retry(?:ing)?) (?:in|after) (?P<span>{_SPAN})", re.IGNORECASE)
_PART = re.compile(r"(?P<number>\d+(?:\.\d+)?) ?(?P<unit>ms|milli|s|m|h)", re.IGNORECASE)
_SECONDS = {"ms": 0.001, "milli": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_PER_DAY = "PerDay"
"""In the name of a quota of Google's: GenerateRequestsPerDayPerProjectPerModel-FreeTier."""
_DELAY = re.compile(r"(?P<number>\d+(?:\.\d+)?)s")
"""A duration as Google writes it in JSON."""
_PER_MINUTE = re.compile(
    r"(?P<number>\d+) ?(?:RPM\b|(?:[a-z]+ )?(?:requests|calls)(?: per minute| ?/ ?min)|/ ?min)", re.IGNORECASE
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
    """Waiting will not help: the account has to be paid first, or the quota of the day is used up."""
    daily: bool = False
    """It is the quota of the day."""
    nobody: str | None = None
    """Nobody listens at this address, as `http://localhost:11434`; "" if it is not told where, None if somebody
    may."""

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
        daily = status == 429 and any(map(_daily, _bodies(error)))
        return Failure(
            status=status,
            message=message,
            retry_after=_retry_after(error, status, message),
            timed_out=status in _GATEWAYS,
            too_long=_too_long(status, message),
            permanent=status == 402 or daily or _without_money(error, message),
            daily=daily,
        )
    if isinstance(error, TimeoutError) or _TIMEOUTS.search(names):
        return Failure(status=None, message=message or "no answer in time", timed_out=True)
    if (
        isinstance(error, (ConnectionError, json.JSONDecodeError))
        or _NETWORK.search(names)
        or _ANSWERS.search(names)
    ):
        nobody = _address(error) if _turned_away(error) else None
        return Failure(status=None, message=message or type(error).__name__, nobody=nobody)
    return None


def scrubbed(text: str, secrets: Sequence[str]) -> str:
    """*text* on one line, cut to a few hundred characters, without the *secrets* and a full stop at its end.

    What is said goes on behind it.
    """
    for secret in secrets:
        # Services repeat a key in part: "Incorrect API key provided: sk-abcd...wxyz".
        if len(secret) >= 8:
            text = re.sub(re.escape(secret[:8]) + r"\S*", "[key]", text)
        text = text.replace(secret, "[key]") if secret else text
    text = " ".join(text.split()).rstrip(".")
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"


def proxy_before(address: str) -> tuple[str, str] | None:
    """The proxy that calls of *address* go through, by this process's environment or system, and its variable.

    As the SDKs' own clients choose it. Credentials are left out.
    """
    from urllib.request import getproxies, proxy_bypass

    url, known = urlsplit(address), getproxies()
    kind = next((kind for kind in (url.scheme, "all") if known.get(kind)), None)
    if kind is None or proxy_bypass(url.netloc):
        return None
    given = known[kind]
    try:
        return _without_path(given if "://" in given else f"http://{given}"), f"{kind.upper()}_PROXY"
    except ValueError:  # a port that is none: no client has gone there
        return None


def _turned_away(error: BaseException | None) -> bool:
    """Whether a connection was refused, below whatever libraries have made of it."""
    for _ in range(_DEEPEST):
        if error is None or isinstance(error, ConnectionRefusedError):
            break
        error = error.__cause__ or error.__context__
    return isinstance(error, ConnectionRefusedError)


def _address(error: BaseException) -> str:
    """Where *error* says that it went: host and port, never a path."""
    try:
        return _without_path(str(getattr(getattr(error, "request", None), "url", "")))
    except (ValueError, RuntimeError):  # a port that is none; httpx has no request to show
        return ""


def _without_path(address: str) -> str:
    url = urlsplit(address)
    return f"{url.scheme}://{url.hostname}:{url.port}" if url.port else f"{url.scheme}://{url.hostname}"


def _status(error: BaseException) -> int | None:
    for name in ("status_code", "http_status", "code"):
        value = getattr(error, name, None)
        if isinstance(value, int) and not isinstance(value, bool) and 100 <= value < 600:
            return value
    value = getattr(getattr(error, "response", None), "status_code", None)
    return value if isinstance(value, int) else None


def _too_long(status: int, message: str) -> bool:
    if status in (400, 413, 422):
        return status == 413 or bool(_TOO_LONG.search(message))
    return status in (429, 500) and bool(_TOO_MUCH_ANYHOW.search(message))


def _without_money(error: BaseException, message: str) -> bool:
    codes = {str(getattr(error, "code", ""))}
    for body in _bodies(error):
        inner = body.get("error")
        codes |= {str(part.get(name)) for part in (body, inner) if isinstance(part, Mapping) for name in _CODES}
    # Some SDKs put the whole body into the message.
    return bool(_NO_MONEY & codes) or any(code in message for code in _NO_MONEY)


def _bodies(error: BaseException) -> Iterator[Mapping[str, Any]]:
    for source in _sources(error):
        if isinstance(source, Mapping):
            yield source


def _sources(error: BaseException) -> list[Any]:
    """Where SDKs put what a service said."""
    return [getattr(error, name, None) for name in ("body", "details", "json_body")]


def _message(error: BaseException) -> str:
    for source in _sources(error):
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


def _retry_after(error: BaseException, status: int, message: str) -> float | None:
    """Seconds to wait, by a header, by what is made for programs in the body, or by the words for people."""
    if (asked := _by_header(error)) is not None:
        return asked
    for body in _bodies(error):
        if (asked := _by_details(body.get("error", body))) is not None:
            return asked
    if found := _WAIT.search(message):
        return sum(
            float(part["number"]) * _SECONDS[part["unit"].lower()] for part in _PART.finditer(found["span"])
        )
    if status == 429 and (found := _PER_MINUTE.search(message)) and int(found["number"]):
        return 60 / int(found["number"])
    return None


def _by_header(error: BaseException) -> float | None:
    headers = getattr(error, "headers", None) or getattr(getattr(error, "response", None), "headers", None)
    if not isinstance(headers, Mapping):
        return None
    given = {str(name).lower(): str(value) for name, value in headers.items()}
    for name, unit in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        try:
            asked = float(given.get(name, "")) * unit
        except ValueError:
            continue
        if math.isfinite(asked):
            return max(0.0, asked)
    return _until(given.get("retry-after", ""))


def _by_details(body: Any) -> float | None:
    """Google's RetryInfo, in the details of an error."""
    for detail in _details(body):
        delay = detail.get("retryDelay")
        if isinstance(delay, str) and (found := _DELAY.fullmatch(delay)):
            return float(found["number"])
    return None


def _daily(body: Mapping[str, Any]) -> bool:
    """Whether a QuotaFailure in the details of Google's error is of a quota that comes back with the next day.

    The delay that is named beside it is of seconds all the same.
    """
    violations = [detail.get("violations") for detail in _details(body.get("error", body))]
    broken = [each for some in violations if isinstance(some, list) for each in some]
    return any(_PER_DAY in str(each.get("quotaId")) for each in broken if isinstance(each, Mapping))


def _details(body: Any) -> Iterator[Mapping[str, Any]]:
    details = body.get("details") if isinstance(body, Mapping) else None
    for detail in details if isinstance(details, list) else ():
        if isinstance(detail, Mapping):
            yield detail


def _until(date: str) -> float | None:
    """Seconds until an HTTP date."""
    import time

    try:
        return max(0.0, parsedate_to_datetime(date).timestamp() - time.time())
    except (ValueError, OverflowError):
        return None
