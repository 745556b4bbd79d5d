"""The server behind all providers of the double: its log, its faults, and how many call it at once."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from provider_double.cohere import COHERE
from provider_double.compatible import MISTRAL, OLLAMA
from provider_double.google import GOOGLE
from provider_double.http import HttpServer, Response
from provider_double.jina import JINA
from provider_double.nomic import NOMIC
from provider_double.openai import OPENAI
from provider_double.running import Running
from provider_double.voyage import VOYAGE
from provider_double.wire import MESSAGES, NO_FAULT, Answer, Call, Fault, Json, Provider, Refusal, Reply

BAD_KEY = "sk-double-wrong-7Qm2Vx9LtR4cKz8WbN3y"
"""Every provider that asks for a key refuses this one."""

PROVIDERS: Mapping[str, Provider] = {
    "cohere": COHERE,
    "google": GOOGLE,
    "jina": JINA,
    "mistral": MISTRAL,
    "nomic": NOMIC,
    "ollama": OLLAMA,
    "openai": OPENAI,
    "voyage": VOYAGE,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One request as it arrived, and what became of it.

    `path` is what follows the base URL, header names are in lower case, `body` is the parsed JSON. `status` is None
    until the answer is ready, and for good when the connection was closed without one. `tokens` and `searches`
    are what the answer said it is billed at.
    """

    provider: str
    path: str
    headers: Mapping[str, str]
    body: Json
    status: int | None = None
    tokens: int = 0
    searches: int = 0


@dataclass(slots=True, kw_only=True)
class _Planned:
    """A fault that waits for its requests."""

    path: str
    after: int
    times: int
    fault: Fault


@dataclass(slots=True)
class _State:
    """What requests on several threads share; `lock` guards all of it."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    requests: list[Request] = field(default_factory=list)
    planned: dict[str, list[_Planned]] = field(default_factory=lambda: {name: [] for name in PROVIDERS})
    defects: list[Exception] = field(default_factory=list)
    now: int = 0
    most: int = 0


class ProviderDouble(Running):
    """A local HTTP server that speaks like the embedding and reranking providers.

        with ProviderDouble() as double:
            double.fail("cohere", status=429, times=2, headers={"retry-after": "0"})
            cohere.ClientV2("key", base_url=double.base("cohere"))
            ...
            assert [request.status for request in double.requests] == [429, 429, 200]

    It may be used from any number of threads. `latency` is the seconds every answer takes; with a lower
    `chars_per_token` texts hold more tokens than a caller may have guessed; `reply` answers chat completions.
    Leaving the block closes every connection and raises what went wrong in the double itself.
    """

    def __init__(self, *, latency: float = 0.0, chars_per_token: float = 4.0) -> None:
        self.latency = latency
        self.chars_per_token = chars_per_token
        self.reply: Reply = _no_reply
        self._state = _State()
        bases = {name: provider.base for name, provider in PROVIDERS.items()}
        super().__init__(HttpServer(self._respond), bases=bases, defects=self._state.defects)

    @property
    def requests(self) -> list[Request]:
        """Every request so far, in the order of arrival."""
        with self._state.lock:
            return list(self._state.requests)

    @property
    def most_at_once(self) -> int:
        """The largest number of requests that were being answered at the same time."""
        with self._state.lock:
            return self._state.most

    @property
    def connections(self) -> int:
        """How many connections are open."""
        return self._server.connections

    def calls(self, provider: str, path: str = "", *, status: int | None = 200) -> list[Request]:
        """The requests to one provider whose path ends so and that were answered with this status."""
        return [
            request
            for request in self.requests
            if request.provider == provider and request.path.endswith(path) and request.status == status
        ]

    def fail(
        self,
        provider: str,
        *,
        status: int | None = None,
        times: int = 1,
        after: int = 0,
        path: str = "",
        headers: Mapping[str, str] | None = None,
        message: str | None = None,
        body: Json | None = None,
        delay: float = 0.0,
        truncate: bool = False,
        drop: bool = False,
        drip: float = 0.0,
        drip_head: float = 0.0,
        bad_key: bool = False,
        too_long: bool = False,
        wrong_count: bool = False,
        wrong_dims: bool = False,
        nan: bool = False,
        out_of_order: bool = False,
        wrong_index: bool = False,
    ) -> None:
        """Let requests go wrong: `after` of them pass, then `times` are hit. Faults are met in the order planned.

        Args:
            provider: Whose requests.
            status: The answer's status; the body is the provider's envelope with `message`, or just `body`.
            times: How many requests are hit.
            after: How many go well before.
            path: Only requests whose path ends so count.
            headers: Added to the answer.
            message: The provider's words.
            body: The whole body instead of the envelope.
            delay: Seconds before the answer, or before what else goes wrong.
            truncate: Half the body arrives, then the connection is closed.
            drop: The connection is closed without an answer.
            drip: Seconds between two bytes of the body.
            drip_head: Seconds between two bytes of what comes before the body.
            bad_key: The key is refused in the provider's own words.
            too_long: The text is refused as too long in the provider's own words.
            wrong_count: The last vector or result is missing.
            wrong_dims: Vectors are half as long.
            nan: A number of the first vector or result is no number.
            out_of_order: The vectors come last first; only their index says so.
            wrong_index: The last result names a document that was not sent.

        Raises:
            ValueError: `message` or `body` without a `status` to send them with.
        """
        if status is None and (message is not None or body is not None):
            raise ValueError("a message or a body needs a status")
        fault = Fault(
            status=status,
            message=message,
            body=body,
            headers=headers or {},
            delay=delay,
            truncate=truncate,
            drop=drop,
            drip=drip,
            drip_head=drip_head,
            bad_key=bad_key,
            too_long=too_long,
            wrong_count=wrong_count,
            wrong_dims=wrong_dims,
            nan=nan,
            out_of_order=out_of_order,
            wrong_index=wrong_index,
        )
        with self._state.lock:
            self._state.planned[provider].append(_Planned(path=path, after=after, times=times, fault=fault))

    def _respond(self, target: str, headers: Mapping[str, str], raw: bytes) -> Response | None:
        """What to send, or None to close the connection without a word."""
        name, path = _route(target)
        if name is None:
            return _response(404, {"error": f"no provider at {target}"}, NO_FAULT)
        body = _parsed(raw)
        if body is None:
            return _response(400, PROVIDERS[name].error(400, "The body is not a JSON object."), NO_FAULT)
        request = Request(provider=name, path=path, headers=headers, body=body)
        number, fault = self._arrive(request)
        status: int | None = None
        answer = Answer(body={})
        try:
            self._closing.wait(self.latency + fault.delay)
            if fault.drop:
                return None
            status, answer = self._answer(PROVIDERS[name], request, fault)
            return _response(status, answer.body, fault)
        except Exception as error:
            self._blame(error)
            raise
        finally:
            self._leave(number, status, answer)

    def _answer(self, provider: Provider, request: Request, fault: Fault) -> tuple[int, Answer]:
        call = Call(
            path=request.path,
            body=request.body,
            reply=self.reply,
            chars_per_token=self.chars_per_token,
            fault=fault,
        )
        try:
            self._check_key(provider, request.headers, fault)
            if fault.too_long:
                raise provider.too_long(call)
            if fault.status is not None:
                words = fault.message or MESSAGES.get(fault.status, "Something went wrong.")
                raise Refusal(fault.status, fault.body or provider.error(fault.status, words))
            answer = provider.answer(call)
        except Refusal as refusal:
            return refusal.status, Answer(body=refusal.body)
        if fault.spoils and _same(answer.body, provider.answer(replace(call, fault=NO_FAULT)).body):
            raise ValueError(f"this fault changes nothing at {request.provider}{request.path}: {fault}")
        return 200, answer

    def _check_key(self, provider: Provider, headers: Mapping[str, str], fault: Fault) -> None:
        key = headers.get("x-goog-api-key") or headers.get("authorization", "").removeprefix("Bearer").strip()
        if fault.bad_key or (provider.needs_key and key in ("", BAD_KEY)):
            raise provider.bad_key(key)

    def _arrive(self, request: Request) -> tuple[int, Fault]:
        with self._state.lock:
            self._state.requests.append(request)
            self._state.now += 1
            self._state.most = max(self._state.most, self._state.now)
            return len(self._state.requests) - 1, _met(self._state.planned[request.provider], request.path)

    def _leave(self, number: int, status: int | None, answer: Answer) -> None:
        # Before the answer is sent: who has it finds it in the log and counts as gone.
        with self._state.lock:
            self._state.now -= 1
            before = self._state.requests[number]
            self._state.requests[number] = replace(
                before, status=status, tokens=answer.tokens, searches=answer.searches
            )

    def _blame(self, error: Exception) -> None:
        with self._state.lock:
            self._state.defects.append(error)


def _met(planned: Sequence[_Planned], path: str) -> Fault:
    for plan in planned:
        if plan.times > 0 and path.endswith(plan.path):
            if plan.after > 0:
                plan.after -= 1
                return NO_FAULT
            plan.times -= 1
            return plan.fault
    return NO_FAULT


def _route(target: str) -> tuple[str | None, str]:
    path = target.partition("?")[0]
    for name, provider in PROVIDERS.items():
        if path.startswith(f"{provider.base}/"):
            return name, path.removeprefix(provider.base)
    return None, path


def _parsed(raw: bytes) -> Json | None:
    try:
        body: Any = json.loads(raw)
    except ValueError:
        return None
    return body if isinstance(body, dict) else None


def _response(status: int, body: Json, fault: Fault) -> Response:
    return Response(
        status=status,
        body=json.dumps(body).encode(),
        headers=fault.headers,
        half=fault.truncate,
        drip=fault.drip,
        drip_head=fault.drip_head,
    )


def _same(one: Json, other: Json) -> bool:
    return json.dumps(one) == json.dumps(other)


def _no_reply(messages: Sequence[Json]) -> str:
    raise LookupError("a chat completion was asked for, but the test set no `reply`")
