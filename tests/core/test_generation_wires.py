"""Text-generating services through their own SDKs, against the double."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator

import pytest

from context_made import KEY, generator
from provider_double.chat import ChatDouble
from provider_double.chat_common import BAD_KEY
from ragweft.errors import BudgetExceeded, ProviderError, RecipeError
from ragweft.generation import Generation, Prompt, Reply, resolve_generator
from ragweft.generation.models import find
from ragweft.generation.remote import GenerationConnection, RemoteGenerator
from ragweft.generation.values import BatchGenerator, CountingGenerator, Declined, Generator
from ragweft.providers.metering import UNANSWERED, Meter, metered
from ragweft.providers.policy import Caller, TooLong

MODELS = [
    "anthropic:claude-haiku-5-5",
    "anthropic:claude-haiku-4-5",
    "anthropic:claude-sonnet-5-5",
    "openai:gpt-6-luna",
    "openai:gpt-5.4-nano",
    "google:gemini-3.5-flash-lite",
]
SERVICES = ["anthropic:claude-haiku-5-5", "openai:gpt-6-luna", "google:gemini-3.5-flash-lite"]
LONG = "<document>\n" + "word " * 4_000 + "\n</document>\n"


@pytest.fixture
def double() -> Iterator[ChatDouble]:
    with ChatDouble() as opened:
        yield opened


def prompt(rest: str = "first", *, keep: bool = True, prefix: str = LONG) -> Prompt:
    return Prompt(prefix=prefix, rest=rest, keep="minutes" if keep else "")


@pytest.mark.parametrize("model", MODELS)
def test_what_is_charged_is_what_the_service_bills(double: ChatDouble, model: str) -> None:
    asked = generator(double, model)
    with metered(Meter()) as meter:
        for rest in ("first", "second", "third"):
            reply = asked.generate(prompt(rest, keep=asked.model.keeps == "asked"), max_tokens=100)
            assert reply.stop == "end"
            assert reply.text.startswith("Situating note")
    asked.close()
    bills = double.billed
    assert meter.usage.tokens == sum(one.tokens for one in bills)
    assert meter.usage.usd == pytest.approx(double.usd, rel=1e-9)
    assert meter.usage.calls == 3
    assert {charge.purpose for charge in meter.charges} == {"context"}
    # The document was read anew once.
    assert sum(one.cached > 3_000 for one in bills) == 2


@pytest.mark.parametrize("model", ["anthropic:claude-haiku-5-5", "openai:gpt-6-luna"])
def test_nothing_is_kept_that_is_not_to_be(double: ChatDouble, model: str) -> None:
    asked = generator(double, model)
    for rest in ("first", "second"):
        asked.generate(prompt(rest, keep=False), max_tokens=100)
    asked.close()
    assert [(one.written, one.cached) for one in double.billed] == [(0, 0), (0, 0)]


def test_the_price_step_is_billed_as_the_service_does(double: ChatDouble) -> None:
    asked = generator(double)
    with metered(Meter()) as meter:
        asked.generate(prompt(prefix="word " * 100_000), max_tokens=100)
    asked.close()
    assert double.billed[0].written > 100_000
    assert meter.usage.usd == pytest.approx(double.usd, rel=1e-9)


@pytest.mark.parametrize("model", SERVICES)
@pytest.mark.parametrize("status", [429, 500])
def test_passing_failures_are_tried_again_and_only_by_us(double: ChatDouble, model: str, status: int) -> None:
    provider = model.partition(":")[0]
    double.fail(provider, status=status, times=2, headers={"retry-after": "0"})
    asked = generator(double, model)
    assert asked.generate(prompt(), max_tokens=100).text
    asked.close()
    assert [request.status for request in double.requests] == [status, status, 200]


@pytest.mark.parametrize("model", SERVICES)
def test_a_broken_answer_is_tried_again_and_counted_as_unanswered(double: ChatDouble, model: str) -> None:
    provider = model.partition(":")[0]
    double.fail(provider, truncate=True)
    asked = generator(double, model)
    with metered(Meter()) as meter:
        assert asked.generate(prompt(), max_tokens=100).text
    asked.close()
    purposes = [charge.purpose for charge in meter.charges]
    assert purposes == [f"context{UNANSWERED}", "context"]
    assert meter.usage.usd >= double.usd


@pytest.mark.parametrize("model", SERVICES)
def test_a_prompt_beyond_the_window_is_told_apart(double: ChatDouble, model: str) -> None:
    double.fail(model.partition(":")[0], too_long=True)
    asked = generator(double, model)
    with pytest.raises(TooLong):
        asked.generate(prompt(), max_tokens=100)
    asked.close()
    assert len(double.requests) == 1


@pytest.mark.parametrize("model", SERVICES)
def test_a_request_that_is_declined_is_told_from_a_wrong_key(double: ChatDouble, model: str) -> None:
    provider = model.partition(":")[0]
    double.fail(provider, status=400, message="messages: blocked by content filtering policy")
    double.fail(provider, bad_key=True)
    asked = generator(double, model)
    with pytest.raises(Declined, match="content filtering"):
        asked.generate(prompt(), max_tokens=100)
    with pytest.raises(ProviderError, match="check the key") as caught:
        asked.generate(prompt(), max_tokens=100)
    assert not caught.value.retryable
    asked.close()


@pytest.mark.parametrize(
    "model", ["anthropic:claude-unheard-of", "google:gemini-unheard-of", "openai:unheard-of"]
)
def test_a_model_that_is_not_there_is_no_fault_of_one_request(double: ChatDouble, model: str) -> None:
    provider = model.partition(":")[0]
    asked = resolve_generator(Generation(model=model, base_url=double.base(provider)), key=KEY)
    with pytest.raises(ProviderError, match="check the model's name") as caught:
        asked.generate(prompt(), max_tokens=100)
    assert not caught.value.retryable
    asked.close()


@pytest.mark.parametrize("provider", ["anthropic", "google"])
def test_a_key_is_in_no_error(double: ChatDouble, provider: str) -> None:
    name = "claude-haiku-5-5" if provider == "anthropic" else "gemini-3.5-flash-lite"
    settings = Generation(model=f"{provider}:{name}", base_url=double.base(provider))
    asked = resolve_generator(settings, key=BAD_KEY)
    with pytest.raises(ProviderError) as caught:
        asked.generate(prompt(), max_tokens=100)
    asked.close()
    shown: BaseException | None = caught.value
    while shown is not None:
        assert BAD_KEY[8:] not in str(shown)
        shown = shown.__cause__


@pytest.mark.parametrize("model", SERVICES)
def test_refusals_and_broken_ends_are_known(double: ChatDouble, model: str) -> None:
    provider = model.partition(":")[0]
    double.fail(provider, refusal=True)
    double.fail(provider, cut=True)
    asked = generator(double, model)
    with metered(Meter()) as meter:
        assert asked.generate(prompt(), max_tokens=100).stop == "refused"
        assert asked.generate(prompt(), max_tokens=100).stop == "length"
    asked.close()
    assert meter.usage.usd == pytest.approx(double.usd, rel=1e-9)


@pytest.mark.parametrize("model", SERVICES)
def test_a_cap_is_kept_before_a_call_is_sent(double: ChatDouble, model: str) -> None:
    asked = generator(double, model)
    with metered(Meter(max_usd=1e-7)), pytest.raises(BudgetExceeded, match="next call may cost"):
        asked.generate(prompt(), max_tokens=100)
    asked.close()
    assert double.requests == []


def test_a_model_without_a_price_works_and_no_cap_holds_it(double: ChatDouble) -> None:
    settings = Generation(model="openai:some-model", base_url=double.base("openai"))
    asked = resolve_generator(settings, key=KEY)
    with metered(Meter()) as meter:
        reply = asked.generate(prompt(prefix="word " * 300), max_tokens=100)
    assert reply.tokens is not None
    assert (meter.usage.unpriced, meter.usage.usd) == (1, 0.0)
    assert meter.usage.tokens == reply.tokens.total
    with metered(Meter(max_usd=1.0)), pytest.raises(BudgetExceeded, match="usd_input"):
        asked.generate(prompt(), max_tokens=100)
    asked.close()
    body = double.requests[0].body
    # A server that only speaks the same protocol is asked in its plainest form.
    assert set(body) == {"model", "messages", "max_tokens", "temperature"}
    assert isinstance(body["messages"][0]["content"], str)


def test_prices_of_ones_own_are_counted_by(double: ChatDouble) -> None:
    settings = Generation(
        model="openai:some-model", base_url=double.base("openai"), usd_input=3.0, usd_output=5.0
    )
    asked = resolve_generator(settings, key=KEY)
    with metered(Meter(max_usd=1.0)) as meter:
        asked.generate(prompt(prefix="word " * 300), max_tokens=100)
    asked.close()
    (bill,) = double.billed
    assert meter.usage.usd == pytest.approx((bill.fresh * 3.0 + bill.output * 5.0) / 1e6)


@pytest.mark.parametrize("model", ["anthropic:claude-haiku-5-5", "google:gemini-3.5-flash-lite"])
def test_the_service_counts_for_nothing(double: ChatDouble, model: str) -> None:
    asked = generator(double, model)
    assert isinstance(asked, CountingGenerator)
    with metered(Meter()) as meter:
        counted = asked.count(prompt())
        reply = asked.generate(prompt(), max_tokens=100)
    asked.close()
    assert reply.tokens is not None
    assert counted == pytest.approx(reply.tokens.prompt, abs=2)
    assert meter.usage.calls == 1


@pytest.mark.parametrize("model", ["anthropic:claude-haiku-5-5", "openai:gpt-6-luna"])
def test_a_batch_is_found_waited_for_and_half_the_price(double: ChatDouble, model: str) -> None:
    double.polls = 2
    asked = generator(double, model)
    assert isinstance(asked, BatchGenerator)
    assert asked.batches
    prompts = [(name, Prompt(prefix=LONG, rest=name, keep="hour")) for name in ("one", "two", "three")]
    begun = time.time()
    batch = asked.submit(prompts, max_tokens=100, mark="a-mark")
    assert asked.find(mark="a-mark", count=3, since=begun, known=frozenset()) == batch
    assert asked.find(mark="a-mark", count=3, since=begun, known=frozenset({batch})) is None
    assert not asked.state(batch).ended
    assert asked.state(batch).ended
    results = dict(asked.results(batch))
    assert set(results) == {"one", "two", "three"}
    with metered(Meter()) as meter:
        for reply in results.values():
            assert not isinstance(reply, str)
            asked.bill(reply)
    with pytest.raises(Declined):
        asked.state("batch-of-nobody")
    asked.close()
    assert all(one.batch for one in double.billed)
    assert meter.usage.usd == pytest.approx(double.usd, rel=1e-9)


def test_the_key_of_a_provider_is_not_sent_to_another_machine(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", KEY)
    monkeypatch.delenv("RAGWEFT_API_KEY", raising=False)
    settings = Generation(model="anthropic:claude-haiku-5-5", base_url="https://example.invalid/v1")
    with pytest.raises(RecipeError, match="RAGWEFT_API_KEY"):
        resolve_generator(settings).generate(prompt(), max_tokens=10)


def test_a_key_comes_from_the_environment(double: ChatDouble, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = Generation(model="anthropic:claude-haiku-5-5", base_url=double.base("anthropic"))
    monkeypatch.delenv("ANTHROPIC_API_KEY", raising=False)
    with pytest.raises(RecipeError, match="ANTHROPIC_API_KEY"):
        resolve_generator(settings).generate(prompt(), max_tokens=10)
    monkeypatch.setenv("ANTHROPIC_API_KEY", KEY)
    asked = resolve_generator(settings)
    asked.generate(prompt(), max_tokens=10)
    asked.close()
    assert double.requests[0].headers["authorization"] == f"Bearer {KEY}"
    assert "wrong" not in repr(asked)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (Generation(model="nobody:model"), "no provider 'nobody'"),
        (Generation(model="anthropic"), "name the model too"),
        (Generation(model="anthropic:x", at_once=0), "at_once"),
        (Generation(model="openai:x", base_url="http://a\\@b/"), "base_url|address"),
    ],
)
def test_a_recipe_that_makes_no_sense_says_so(settings: Generation, words: str) -> None:
    with pytest.raises(RecipeError, match=words):
        resolve_generator(settings)


def test_openai_elsewhere_is_no_openai(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", "http://localhost:9/v1")
    asked = resolve_generator(Generation(model="openai:gpt-6-luna"))
    assert isinstance(asked, RemoteGenerator)
    assert not asked.batches
    assert asked.model.keeps == "unasked"
    monkeypatch.delenv("OPENAI_BASE_URL")
    asked = resolve_generator(Generation(model="openai:gpt-6-luna"))
    assert isinstance(asked, RemoteGenerator)
    assert asked.batches
    assert asked.model.keeps == "asked"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_a_forked_child_has_connections_of_its_own(double: ChatDouble) -> None:
    asked = generator(double)
    asked.generate(prompt("parent"), max_tokens=100)
    child = os.fork()
    if child == 0:
        try:
            asked.generate(prompt("child"), max_tokens=100)
            os._exit(0)
        finally:
            os._exit(1)
    assert os.waitpid(child, 0)[1] == 0
    asked.generate(prompt("parent again"), max_tokens=100)
    asked.close()
    assert len(double.answered("anthropic")) == 3


def test_a_server_that_does_not_say_what_it_bills_is_counted_about() -> None:
    class Silent:
        def send(self, prompt: Prompt, *, max_tokens: int, seconds: float) -> Reply:
            return Reply(text="an answer of some words", stop="end", tokens=None)

        def count(self, prompt: Prompt, *, seconds: float) -> int | None:
            return None

        def close(self) -> None:
            pass

    model = find("openai", "gpt-5.4-nano")
    assert model is not None
    asked = RemoteGenerator(
        lambda: GenerationConnection(caller=Caller("openai"), wire=Silent()), model=model, window=9, at_once=1
    )
    with metered(Meter()) as meter:
        asked.generate(prompt(), max_tokens=100)
    assert meter.usage.tokens == pytest.approx(len(prompt().text) / 4, rel=0.01)
    assert meter.usage.usd > 0
    assert not asked.batches


def test_every_generator_keeps_the_contract(double: ChatDouble) -> None:
    for model in MODELS:
        asked = generator(double, model)
        assert isinstance(asked, Generator)
        assert asked.name == model
        assert asked.window
        asked.close()
        asked.close()
