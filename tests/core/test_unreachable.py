"""A service that is not there is said within seconds; one that fails throughout shows in the exit status."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from contextlib import ExitStack
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import httpx
import pytest

from context_index import asked, made, spec
from context_index import chat_double as chat_double
from context_index import filled_port as filled_port
from context_index import keyed_cli as keyed_cli
from provider_double.chat import ChatDouble
from ragweft import Index
from ragweft.errors import ProviderError
from ragweft.providers import policy
from ragweft.providers.failures import scrubbed
from ragweft.providers.policy import DOCUMENTS, Caller, Policy

if TYPE_CHECKING:
    from cli_runner import Cli

MESSAGES = "/v1/messages"
ONCE = Policy(attempts=1, seconds=8.0, timeout=8.0)


@pytest.fixture(name="nowhere")
def port_where_nobody_listens() -> str:
    with socket.socket() as once:
        once.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{once.getsockname()[1]}"


@pytest.mark.parametrize("model", ["ollama:qwen", "anthropic:claude-haiku-5-5", "google:gemini-3.5-flash-lite"])
def test_nobody_listening_is_said_within_seconds(
    cli: Cli, port: Path, nowhere: str, model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAGWEFT_API_KEY", "sk-test-0123456789")
    monkeypatch.setenv("GEMINI_API_KEY", "sk-test-0123456789")
    recipe = f"default,dense.engine=flat,context.kind=llm,context.model={model},context.base_url={nowhere}"
    ran = cli("sync", str(port), "--index", "kb", "--recipe", recipe)
    assert ran.code == 1
    assert ran.err.count("\n") == 1
    assert f"nothing answers at {nowhere}; is " in ran.err
    assert ("Is Ollama running" in ran.err or "is Ollama running" in ran.err) == model.startswith("ollama")


def test_one_that_may_be_starting_is_given_seconds_and_no_more(
    nowhere: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    slept: list[float] = []
    monkeypatch.setattr(policy, "time", SimpleNamespace(sleep=slept.append, monotonic=time.monotonic))
    with pytest.raises(ProviderError, match=f"nothing answers at {nowhere}; ") as refused:
        Caller("some").call(lambda: httpx.get(nowhere, trust_env=False), DOCUMENTS)
    assert [seconds for seconds in slept if seconds] == [0.3, 0.7, 1.5]
    assert not refused.value.retryable, "the job stops"


class Ready(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(204)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # its name there
        """Say nothing."""


def test_a_service_that_is_a_second_late_is_waited_for(nowhere: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with ExitStack() as running:
        slept: list[float] = []

        def sleep(seconds: float) -> None:
            slept.append(seconds)
            if seconds and sum(slept) == 1.0:
                server = running.enter_context(HTTPServer(("127.0.0.1", urlsplit(nowhere).port or 0), Ready))
                threading.Thread(target=server.serve_forever, daemon=True).start()
                running.callback(server.shutdown)

        monkeypatch.setattr(policy, "time", SimpleNamespace(sleep=sleep, monotonic=time.monotonic))
        answer = Caller("some").call(lambda: httpx.get(nowhere, trust_env=False), DOCUMENTS)
    assert answer.status_code == 204


def test_a_question_is_tried_again_as_any_other(nowhere: str) -> None:
    tries: list[str] = []

    async def send() -> httpx.Response:
        tries.append(nowhere)
        async with httpx.AsyncClient(trust_env=False) as client:
            return await client.get(nowhere)

    brief = Policy(attempts=3, seconds=8.0, timeout=8.0, first_wait=0.001)
    with pytest.raises(ProviderError, match="nothing answers") as refused:
        asyncio.run(Caller("some").acall(send, brief))
    assert len(tries) == 3
    assert refused.value.retryable, "the next question may find it"


@pytest.mark.parametrize(
    ("service", "base_url", "advice"),
    [
        ("some", "", "; check the network, then try again"),
        ("some", "http://there", "; is the server running, and is base_url where it is?"),
        ("ollama", "", "; is Ollama running? Start it with  ollama serve  , or set base_url to where it is"),
    ],
)
def test_advice_is_about_what_was_set(nowhere: str, service: str, base_url: str, advice: str) -> None:
    with pytest.raises(ProviderError) as refused:
        Caller(service, base_url=base_url).call(lambda: httpx.get(nowhere, trust_env=False), ONCE)
    assert str(refused.value) == f"{service}: nothing answers at {nowhere}{advice}"
    assert not refused.value.retryable


@pytest.mark.parametrize("variable", ["HTTPS_PROXY", "ALL_PROXY"])
def test_a_proxy_that_is_not_there_is_named(
    nowhere: str, variable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    monkeypatch.setenv(variable, nowhere.replace("http://", "http://me:hidden@"))
    with pytest.raises(ProviderError) as refused:
        Caller("some").call(lambda: httpx.get("https://api.invalid/v1"), ONCE)
    assert str(refused.value) == (
        f"some: the proxy {nowhere} does not answer, on the way to https://api.invalid; "
        f"see to {variable}, or name the host in NO_PROXY"
    )
    monkeypatch.setenv(variable.replace("HTTPS", "HTTP"), nowhere)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with pytest.raises(ProviderError, match=f"nothing answers at {nowhere}; "):
        Caller("some").call(lambda: httpx.get(nowhere), ONCE)


def test_an_embedder_that_is_not_there_is_said_likewise(cli: Cli, port: Path, nowhere: str) -> None:
    recipe = (
        f"default,dense.engine=flat,embedding.model=ollama:nomic-embed-text,embedding.base_url={nowhere}/v1"
    )
    ran = cli("sync", str(port), "--index", "kb", "--recipe", recipe)
    assert (ran.code, ran.err.count("\n")) == (1, 1)
    assert f"nothing answers at {nowhere}; is Ollama running?" in ran.err


def test_who_has_answered_before_is_waited_for(cli: Cli, port: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    del cli  # for its keys
    from ragweft.generation import remote

    monkeypatch.setattr(remote, "DOCUMENTS", Policy(attempts=3, seconds=60.0, timeout=5.0, first_wait=0.001))
    with ExitStack() as running:
        double = running.enter_context(ChatDouble())
        with Index.open("kb", recipe=made(double)) as index:
            assert index.sync(port / "log.md").warnings == ()
            running.close()
            report = index.sync(port / "tides.txt")
    assert report.contexts.mostly_failed
    assert "check the network and the address" in report.warnings[0]
    assert ".;" not in " ".join(report.warnings)


@pytest.mark.parametrize(("after", "code"), [(0, 3), (14, 0)])
def test_what_mostly_fails_is_no_success(
    cli: Cli, double: ChatDouble, port: Path, monkeypatch: pytest.MonkeyPatch, after: int, code: int
) -> None:
    from ragweft.generation import remote

    monkeypatch.setattr(remote, "DOCUMENTS", Policy(attempts=1, seconds=60.0, timeout=5.0))
    double.fail("anthropic", path=MESSAGES, after=after, status=500, times=10**6)
    ran = cli("sync", str(port), "--index", "kb", "--recipe", spec(double, "context.at_once=1"))
    assert ran.code == code, ran.err
    assert "kept the outline context" in ran.err
    assert asked(double) == after


def test_a_services_full_stop_is_not_said() -> None:
    assert scrubbed("Connection error.", ()) == "Connection error"
    assert scrubbed("Please wait...", ()) == "Please wait"
    assert scrubbed("at 1.5", ()) == "at 1.5"
