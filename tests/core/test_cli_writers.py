"""`ragweft models` of models that write contexts."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import pytest

from context_index import chat_double as chat_double
from context_index import keyed_cli as keyed_cli
from context_made import HAIKU
from ragweft.generation.models import known_models

if TYPE_CHECKING:
    from cli_runner import Cli
    from provider_double.chat import ChatDouble


def test_the_list_ends_with_the_writers(cli: Cli) -> None:
    out = cli("models").out
    before, found, after = out.partition("writers of contexts")
    assert found
    assert "rerankers" in before
    for model in known_models():
        assert model.label in after
    assert re.search(rf"^{HAIKU} +1,000,000 +\$0\.10 +\$0\.01 +\$0\.50 +512 +50%", after, re.MULTILINE)


def test_they_can_be_listed_alone(cli: Cli) -> None:
    out = cli("models", "--for", "contexts").out
    assert HAIKU in out
    assert "voyage" not in out
    own = json.loads(cli("models", "--for", "contexts", "--provider", "google", "--json").out)
    assert (own["models"], own["recommended"], own["purpose"]) == ([], [], "contexts")
    assert {entry["provider"] for entry in own["writers"]} == {"google"}
    assert own["writers"][0]["model"].startswith("google:gemini")
    assert "embedders" not in cli("models", "--provider", "anthropic").out
    assert "writers of contexts" not in cli("models", "--for", "code").out
    wrong = cli("models", "--for", "poetry")
    assert wrong.code == 2
    assert "contexts" in wrong.err


def test_one_context_is_written_to_see(cli: Cli, double: ChatDouble) -> None:
    ran = cli("models", "check", HAIKU, "--base-url", double.base("anthropic"))
    assert ran.code == 0, ran.err
    assert re.search(r"^context +Situating note", ran.out, re.MULTILINE)
    assert re.search(r"^price +\$\S+ for [\d,]+ tokens$", ran.out, re.MULTILINE)
    assert "lists this model" in ran.out
    assert len(double.billed) == 1
    told = json.loads(cli("models", "check", HAIKU, "--base-url", double.base("anthropic"), "--json").out)
    assert (told["kind"], told["agrees"]) == ("writer", True)
    assert told["usd"] == pytest.approx(double.billed[-1].usd)


def test_what_is_no_context_is_a_problem(cli: Cli, double: ChatDouble) -> None:
    double.reply = lambda _prompt: "I'm sorry, but I cannot help with that."
    ran = cli("models", "check", HAIKU, "--base-url", double.base("anthropic"))
    assert ran.code == 1
    assert re.search(r"^context +none: .*refused", ran.out, re.MULTILINE)


def test_an_unlisted_name_is_tried_and_doubted(
    cli: Cli, double: ChatDouble, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran = cli("models", "check", "anthropic:claude-haiku-9", "--base-url", double.base("anthropic"))
    assert "does not list this model" in ran.out or "claude-haiku-9" in ran.err
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test-0123456789")
    ran = cli("models", "check", "openai:own-model", "--writes", "--base-url", double.base("openai"))
    assert "own-model" in ran.out + ran.err
    assert "vector" not in ran.out + ran.err
