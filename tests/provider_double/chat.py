"""A local double of text-generating services: their wire formats, what they keep, what they bill, how they fail.

Anthropic's Messages with prompt caching and batches, OpenAI's chat completions with implicit and explicit caching
and batches, Gemini's generateContent. Prices and least sizes are written down here a second time, so that a sum
that is wrong in one place is not right by accident in the other.
"""

from __future__ import annotations

import hashlib
import json
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, cast

from provider_double import http
from provider_double.chat_anthropic import ANTHROPIC
from provider_double.chat_common import Billed, Call, ChatRefusal, ChatWire, Kept, Line
from provider_double.chat_google import GOOGLE_CHAT
from provider_double.chat_openai import OPENAI_CHAT
from provider_double.running import Running
from provider_double.wire import MESSAGES, Json

__all__ = ["Billed", "ChatDouble", "ChatRequest", "context_like"]

Replier = Callable[[str], str]
WIRES: Mapping[str, ChatWire] = {"anthropic": ANTHROPIC, "openai": OPENAI_CHAT, "google": GOOGLE_CHAT}


def context_like(prompt: str) -> str:
    """About seventy-five tokens that are no part of any document, and differ from prompt to prompt."""
    name = hashlib.blake2b(prompt.encode(), digest_size=8).hexdigest()
    said = (
        f"Situating note {name}: this excerpt belongs to the file's running argument, which weighs several "
        "options one after another; it relies on definitions given earlier on, and its figures concern the "
        "period that the opening names. Readers who look for the reasons behind the decision will find them here."
    )
    return said[:300]


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatRequest:
    """One request as it arrived, and what became of it; `status` is None if no answer was sent."""

    provider: str
    method: str
    path: str
    headers: Mapping[str, str]
    body: Json
    status: int | None = None
    billed: tuple[Billed, ...] = ()
    """What its answer was billed as; for the results of a batch one for each."""


@dataclass(slots=True, kw_only=True)
class _Planned:
    provider: str
    path: str
    after: int
    times: int
    delay: float
    faults: Mapping[str, Any]


@dataclass(slots=True)
class _State:
    lock: threading.RLock = field(default_factory=threading.RLock)
    requests: list[ChatRequest] = field(default_factory=list)
    planned: list[_Planned] = field(default_factory=list)
    kept: Kept = field(default_factory=Kept)
    batches: dict[str, dict[str, Any]] = field(default_factory=dict)
    files: dict[str, bytes] = field(default_factory=dict)
    defects: list[Exception] = field(default_factory=list)
    now: int = 0
    most: int = 0
    number: int = 0


class _Handler(http._Handler):
    def do_GET(self) -> None:  # noqa: N802  # the name http.server looks for
        headers = {name.lower(): value for name, value in self.headers.items()}
        response = cast(http._Server, self.server).respond(f"GET {self.path}", headers, b"")
        if response is None:
            self.close_connection = True
            return
        self._send(self._head(response), 0.0)
        self._send(response.body, 0.0)


class ChatDouble(Running):
    """A local HTTP server that speaks like Anthropic, OpenAI and Gemini.

        with ChatDouble() as double:
            double.fail("anthropic", status=529, times=2)
            anthropic.Anthropic(api_key="key", base_url=double.base("anthropic"))

    `latency` is the seconds every answer takes; what a request has a service keep can be read once that has
    been answered. `reply` makes an answer of a prompt. A batch has ended when it was looked at `polls` times;
    what its prompts have kept they cannot read from one another.
    """

    def __init__(
        self,
        *,
        latency: float = 0.0,
        chars_per_token: float = 4.0,
        reply: Replier = context_like,
        polls: int = 1,
    ) -> None:
        self.latency = latency
        self.chars_per_token = chars_per_token
        self.reply = reply
        self.polls = polls
        self._state = _State()
        server = http.HttpServer(self._respond)
        server._server.RequestHandlerClass = _Handler
        bases = {name: wire.base for name, wire in WIRES.items()}
        super().__init__(server, bases=bases, defects=self._state.defects)

    @property
    def requests(self) -> list[ChatRequest]:
        """Every request so far, in the order of arrival."""
        with self._state.lock:
            return list(self._state.requests)

    @property
    def most_at_once(self) -> int:
        """The largest number of requests that were being answered at the same time."""
        return self._state.most

    @property
    def billed(self) -> list[Billed]:
        """Every answer that is billed, in the order its request arrived."""
        return [one for request in self.requests for one in request.billed]

    @property
    def usd(self) -> float:
        """The whole bill."""
        return sum(one.usd for one in self.billed)

    @property
    def batches(self) -> list[str]:
        """The names of all batches."""
        with self._state.lock:
            return list(self._state.batches)

    def answered(self, provider: str) -> list[ChatRequest]:
        """Requests for text that were answered."""
        return [one for one in self.requests if one.provider == provider and one.billed and one.status == 200]

    def forget(self) -> None:
        """Forget everything that was kept, as after some minutes."""
        with self._state.lock:
            self._state.kept = Kept()

    def fail(
        self,
        provider: str,
        *,
        times: int = 1,
        after: int = 0,
        path: str = "",
        delay: float = 0.0,
        status: int | None = None,
        message: str | None = None,
        headers: Mapping[str, str] | None = None,
        drop: bool = False,
        truncate: bool = False,
        too_long: bool = False,
        bad_key: bool = False,
        refusal: bool = False,
        says: str | None = None,
        cut: bool = False,
    ) -> None:
        """Let requests go wrong: `after` of them pass, then `times` are hit, in the order planned.

        Args:
            provider: whose requests.
            times: how many are hit.
            after: how many go well before.
            path: only requests whose path ends so.
            delay: seconds before the answer, or before what else goes wrong.
            status: the answer's status, in the provider's envelope.
            message: the provider's words with it.
            headers: added to the answer.
            drop: the connection is closed without an answer; what was asked is billed all the same.
            truncate: half the body arrives; billed all the same.
            too_long: refused as too long, in the provider's own words.
            bad_key: the key is refused, in the provider's own words.
            refusal: the model will not answer; billed.
            says: what the model answers instead.
            cut: the answer broke off at the limit of tokens.
        """
        faults = {
            "status": status,
            "message": message,
            "headers": headers or {},
            "drop": drop,
            "truncate": truncate,
            "too_long": too_long,
            "bad_key": bad_key,
            "refusal": refusal,
            "says": says,
            "cut": cut,
        }
        plan = _Planned(provider=provider, path=path, after=after, times=times, delay=delay, faults=faults)
        with self._state.lock:
            self._state.planned.append(plan)

    def _respond(self, target: str, headers: Mapping[str, str], raw: bytes) -> http.Response | None:
        method, target = ("GET", target[4:]) if target.startswith("GET ") else ("POST", target)
        path, _, query = target.partition("?")
        provider = next(name for name, wire in WIRES.items() if path.startswith(f"{wire.base}/"))
        wire = WIRES[provider]
        path = path.removeprefix(wire.base)
        body = _body(raw, headers)
        request = ChatRequest(provider=provider, method=method, path=path, headers=headers, body=body)
        number, plan = self._arrive(request)
        faults = plan.faults if plan is not None else {}
        status: int | None = None
        billed: Sequence[Billed] = ()
        try:
            line = Line(
                kept=self._state.kept,
                batches=self._state.batches,
                files=self._state.files,
                lock=self._state.lock,
                chars_per_token=self.chars_per_token,
                reply=self.reply,
                polls=self.polls,
                faults=faults,
                new=self._new,
                url=f"http://127.0.0.1:{self._server.port}{wire.base}",
            )
            call = Call(method=method, path=path, query=query, headers=headers, body=body, raw=raw)
            try:
                wire.check(call, faults)
                if faults.get("status") is not None:
                    words = faults["message"] or MESSAGES.get(faults["status"], "Something went wrong.")
                    raise ChatRefusal(faults["status"], wire.error(faults["status"], words))
                answer, billed, done = wire.answer(call, line)
                status = 200
            except ChatRefusal as refusal:
                answer, done, status = refusal.body, None, refusal.status
            self._closing.wait(self.latency + (plan.delay if plan is not None else 0.0))
            if done is not None:
                done()
            if faults.get("drop"):
                status = None
                return None
            content = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
            return http.Response(
                status=status,
                body=content,
                headers=faults.get("headers", {}),
                half=bool(faults.get("truncate")),
            )
        except Exception as error:
            self._state.defects.append(error)
            raise
        finally:
            self._leave(number, status, tuple(billed))

    def _new(self, kind: str) -> str:
        with self._state.lock:
            self._state.number += 1
            return f"{kind}_{self._state.number:06d}"

    def _arrive(self, request: ChatRequest) -> tuple[int, _Planned | None]:
        with self._state.lock:
            self._state.requests.append(request)
            self._state.now += 1
            self._state.most = max(self._state.most, self._state.now)
            return len(self._state.requests) - 1, _met(self._state.planned, request)

    def _leave(self, number: int, status: int | None, billed: tuple[Billed, ...]) -> None:
        with self._state.lock:
            self._state.now -= 1
            before = self._state.requests[number]
            self._state.requests[number] = replace(before, status=status, billed=billed)


def _met(planned: Sequence[_Planned], request: ChatRequest) -> _Planned | None:
    for plan in planned:
        if plan.provider == request.provider and plan.times > 0 and request.path.endswith(plan.path):
            if plan.after > 0:
                plan.after -= 1
                return None
            plan.times -= 1
            return plan
    return None


def _body(raw: bytes, headers: Mapping[str, str]) -> Json:
    if "json" not in headers.get("content-type", ""):
        return {}
    body: Any = json.loads(raw or b"{}")
    return body if isinstance(body, dict) else {}


def wait_for(seen: Callable[[], bool], *, seconds: float = 10.0) -> None:
    """Wait until *seen*, or fail."""
    until = time.monotonic() + seconds
    while not seen():
        assert time.monotonic() < until, "what was waited for did not happen"
        time.sleep(0.005)
