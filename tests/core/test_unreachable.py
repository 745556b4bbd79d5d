"""A service that is not there is said at once; one that fails throughout shows in the exit status."""

from __future__ import annotations

import socket
import time
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest

from context_index import asked, made, spec
from context_index import chat_double as chat_double
from context_index import filled_port as filled_port
from context_index import keyed_cli as keyed_cli
from provider_double.chat import ChatDouble
from ragweft import Index
from ragweft.providers import policy
from ragweft.providers.failures import scrubbed
from ragweft.providers.policy import Policy

if TYPE_CHECKING:
    from cli_runner import Cli

MESSAGES = "/v1/messages"


@pytest.fixture(name="nowhere")
def port_where_nobody_listens() -> str:
    with socket.socket() as once:
        once.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{once.getsockname()[1]}"


@pytest.mark.parametrize("model", ["ollama:qwen", "anthropic:claude-haiku-5-5", "google:gemini-3.5-flash-lite"])
def test_nobody_listening_is_said_at_once(
    cli: Cli, port: Path, nowhere: str, model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAGWEFT_API_KEY", "sk-test-0123456789")
    monkeypatch.setenv("GEMINI_API_KEY", "sk-test-0123456789")
    waited: list[float] = []
    monkeypatch.setattr(policy, "time", SimpleNamespace(sleep=waited.append, monotonic=time.monotonic))
    recipe = f"default,dense.engine=flat,context.kind=llm,context.model={model},context.base_url={nowhere}"
    ran = cli("sync", str(port), "--index", "kb", "--recipe", recipe)
    assert ran.code == 1
    assert ran.err.count("\n") == 1
    assert f"nothing answers at {nowhere}; is " in ran.err
    assert ("Is Ollama running" in ran.err or "is Ollama running" in ran.err) == model.startswith("ollama")
    assert sum(waited) == 0, "it was not tried again"


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
