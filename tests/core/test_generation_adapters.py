"""Language models of the user's own as generators."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest
from langchain_core.language_models import llms
from langchain_core.language_models.fake_chat_models import FakeListChatModel, GenericFakeChatModel
from langchain_core.messages import AIMessage
from llama_index.core.base.llms.types import CompletionResponse
from llama_index.core.llms.mock import MockLLM

from ragweft.errors import BudgetExceeded, ProviderError
from ragweft.generation import Generator, Prompt, Tokens, as_generator
from ragweft.generation.values import Declined
from ragweft.providers.metering import Meter, metered
from ragweft.providers.policy import TooLong

ASKED = Prompt(prefix="<document>…</document>\n", rest="What is it about?")


def say(prompt: str) -> str:
    return f"an answer to {len(prompt)} characters"


async def say_later(prompt: str) -> str:
    await asyncio.sleep(0)
    return say(prompt)


class Sayer:
    def __call__(self, prompt: str) -> str:
        return say(prompt)


class LaterSayer:
    async def __call__(self, prompt: str) -> str:
        return await say_later(prompt)


class OnlyLater:
    async def agenerate(self, prompt: str) -> str:
        return await say_later(prompt)


class Plain(llms.LLM):
    @property
    def _llm_type(self) -> str:
        return "plain"

    def _call(self, prompt: str, *args: Any, **kwargs: Any) -> str:
        return say(prompt)


class Completes(MockLLM):
    def complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> CompletionResponse:
        usage = {"prompt_tokens": 12, "completion_tokens": 5}
        return CompletionResponse(text=say(prompt), additional_kwargs=usage)


@pytest.mark.parametrize(
    "thing", [say, say_later, Sayer(), LaterSayer(), OnlyLater(), Plain(), Completes(max_tokens=None)]
)
def test_whatever_generates_is_taken(thing: object) -> None:
    asked = as_generator(thing)
    assert isinstance(asked, Generator)
    assert asked.generate(ASKED, max_tokens=10).text == say(ASKED.text)
    assert as_generator(asked) is asked
    asked.close()


def test_a_coroutine_function_works_within_a_running_loop() -> None:
    asked = as_generator(say_later)

    async def from_a_loop() -> str:
        return (await asyncio.to_thread(asked.generate, ASKED, max_tokens=10)).text

    assert asyncio.run(from_a_loop()) == say(ASKED.text)


def test_a_langchain_chat_model_tells_what_it_used() -> None:
    message = AIMessage(
        content=[{"type": "text", "text": "part one, "}, {"type": "text", "text": "part two"}],
        usage_metadata={
            "input_tokens": 100,
            "output_tokens": 7,
            "total_tokens": 107,
            "input_token_details": {"cache_read": 60, "cache_creation": 30},
        },
        response_metadata={"stop_reason": "max_tokens"},
    )
    asked = as_generator(GenericFakeChatModel(messages=iter([message])), model="anthropic:claude-haiku-5-5")
    with metered(Meter(max_usd=1.0)) as meter:
        reply = asked.generate(ASKED, max_tokens=10)
    assert reply.text == "part one, part two"
    assert reply.stop == "length"
    assert reply.tokens == Tokens(fresh=10, written=30, cached=60, output=7)
    assert meter.usage.tokens == 107
    assert meter.usage.usd == pytest.approx((10 * 0.1 + 30 * 0.125 + 60 * 0.01 + 7 * 0.5) / 1e6)


def test_a_langchain_chat_model_may_refuse() -> None:
    message = AIMessage(content="", response_metadata={"finish_reason": "content_filter"})
    asked = as_generator(GenericFakeChatModel(messages=iter([message])))
    assert asked.generate(ASKED, max_tokens=10).stop == "refused"


def test_anthropics_marks_are_only_passed_to_whom_they_are_meant_for() -> None:
    seen: list[Any] = []

    class ChatAnthropic:
        """Known by its name, as the real one is."""

        model = "claude-haiku-5-5"

        def invoke(self, messages: Any) -> AIMessage:
            seen.append(messages)
            return AIMessage(content="an answer")

    class ChatElse:
        def invoke(self, messages: Any) -> AIMessage:
            seen.append(messages)
            return AIMessage(content="an answer")

    marked = Prompt(prefix="document", rest="chunk", keep="minutes")
    for thing in (ChatAnthropic(), ChatElse()):
        as_generator(thing).generate(marked, max_tokens=10)
    (first,), second = seen
    assert first["content"][0]["cache_control"] == {"type": "ephemeral", "ttl": "5m"}
    assert [block["text"] for block in first["content"]] == ["document", "chunk"]
    assert second == "documentchunk"
    assert as_generator(ChatAnthropic()).model.keeps == "asked"
    assert as_generator(ChatElse()).model.keeps == "unasked"


def test_names_tell_models_apart() -> None:
    assert as_generator(say).name.endswith(".say")
    assert as_generator(say, model="mine").name == "mine"

    class Held:
        model_name = "qwen3"

        def invoke(self, messages: Any) -> str:
            return "an answer"

    assert as_generator(Held()).name.endswith("Held:qwen3")


def test_a_window_comes_from_whoever_knows_it() -> None:
    assert as_generator(Completes(max_tokens=9)).window == Completes(max_tokens=9).metadata.context_window
    assert as_generator(say, window=9_000).window == 9_000
    assert as_generator(say, model="anthropic:claude-haiku-5-5").window == 100_000


def test_without_a_price_no_cap_can_hold_unless_it_is_free() -> None:
    with metered(Meter(max_usd=1.0)):
        with pytest.raises(BudgetExceeded, match="price is not known"):
            as_generator(say).generate(ASKED, max_tokens=10)
        assert as_generator(say, free=True).generate(ASKED, max_tokens=10).text
    with metered(Meter()) as meter:
        as_generator(say).generate(ASKED, max_tokens=10)
    assert (meter.usage.calls, meter.usage.unpriced) == (1, 1)
    assert meter.usage.tokens > 0


class Said(Exception):
    def __init__(self, status: int | None, message: str) -> None:
        super().__init__(message)
        self.status_code = status


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (Said(503, "overloaded"), ProviderError),
        (Said(401, "invalid key"), ProviderError),
        (Said(400, "blocked by content filter"), Declined),
        (Said(400, "prompt is too long: 9 tokens > 8 maximum"), TooLong),
        (ZeroDivisionError("a mistake"), Declined),
    ],
)
def test_failures_are_told_apart(error: Exception, kind: type[Exception]) -> None:
    def fails(prompt: str) -> str:
        raise error

    with pytest.raises(kind) as caught:
        as_generator(fails).generate(ASKED, max_tokens=10)
    if isinstance(caught.value, ProviderError):
        assert caught.value.retryable == (getattr(error, "status_code", 0) == 503)


def test_what_is_no_text_is_refused() -> None:
    with pytest.raises(Declined, match="int came back"):
        as_generator(lambda prompt: 3).generate(ASKED, max_tokens=10)


@pytest.mark.parametrize("thing", [object(), 3, "model"])
def test_what_does_not_generate_is_named(thing: object) -> None:
    with pytest.raises(TypeError, match="no language model"):
        as_generator(thing)


def test_numbers_out_of_range_are_refused() -> None:
    with pytest.raises(ValueError, match="at_once"):
        as_generator(say, at_once=0)


def test_a_langchain_model_is_asked_from_several_threads() -> None:
    asked = as_generator(FakeListChatModel(responses=["one answer"]))
    said: list[str] = []
    threads = [
        threading.Thread(target=lambda: said.append(asked.generate(ASKED, max_tokens=10).text))
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert said == ["one answer"] * 8
