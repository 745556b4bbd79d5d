"""What services say when they refuse, in their own words: may it be asked again, when, and with how much less."""

from __future__ import annotations

import time
from collections.abc import Mapping
from email.utils import formatdate
from typing import Any

import pytest

from ragweft.errors import RecipeError
from ragweft.providers.failures import Failure, failure_of
from ragweft.providers.metering import Meter

VOYAGE_FREE = (
    "You have not yet added your payment method in the billing page and will have reduced rate limits of 3 RPM and "
    "10K TPM. To unlock our standard rate limits, please add a payment method in the billing page."
)
GEMINI_FREE = (
    "You exceeded your current quota, please check your plan and billing details. For more information on this "
    "error, head to: https://ai.google.dev/gemini-api/docs/rate-limits."
)
OPENAI_FREE = (
    "Rate limit reached for text-embedding-3-small in organization org-x on requests per min (RPM): Limit 3, Used 3, "
    "Requested 1. Please try again in 20s. Visit https://platform.openai.com/account/rate-limits to learn more. You "
    "can increase your rate limit by adding a payment method to your account at "
    "https://platform.openai.com/account/billing."
)


class Refused(Exception):
    """As the SDKs raise it: a status, a body, headers."""

    def __init__(self, status: int, body: object, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(str(body))
        self.status_code = status
        self.body = body
        self.headers = headers or {}


def judged(status: int, body: object, headers: Mapping[str, str] | None = None) -> Failure:
    failure = failure_of(Refused(status, body, headers))
    assert failure is not None
    return failure


@pytest.mark.parametrize("message", [VOYAGE_FREE, GEMINI_FREE, OPENAI_FREE])
def test_a_rate_limit_that_speaks_of_money_passes(message: str) -> None:
    for body in ({"detail": message}, {"error": {"message": message, "code": "rate_limit_exceeded"}}, message):
        assert judged(429, body).retryable


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (402, {"detail": "Insufficient balance"}),
        (429, {"error": {"message": GEMINI_FREE, "type": "insufficient_quota", "code": "insufficient_quota"}}),
        (429, {"message": GEMINI_FREE, "type": "insufficient_quota", "param": None, "code": None}),
        (429, {"error": {"message": "Your account is not active.", "code": "billing_not_active"}}),
        (429, "Error code: 429 - {'error': {'code': 'insufficient_quota'}}"),
    ],
)
def test_an_account_without_money_is_not_asked_again(status: int, body: object) -> None:
    failure = judged(status, body)
    assert failure.permanent
    assert not failure.retryable


def test_a_code_that_hangs_on_the_error_is_read() -> None:
    error = Refused(429, None)
    error.code = "insufficient_quota"  # type: ignore[attr-defined]
    failure = failure_of(error)
    assert failure is not None
    assert failure.permanent


def google(delay: object) -> dict[str, Any]:
    info = "type.googleapis.com/google.rpc."
    details = [
        {"@type": f"{info}QuotaFailure", "violations": [{"quotaId": "EmbedContentRequestsPerMinute"}]},
        {"@type": f"{info}Help", "links": []},
        {"@type": f"{info}RetryInfo", "retryDelay": delay},
    ]
    return {"error": {"code": 429, "message": GEMINI_FREE, "status": "RESOURCE_EXHAUSTED", "details": details}}


@pytest.mark.parametrize(("delay", "seconds"), [("37s", 37.0), ("0.5s", 0.5), ("43.074s", 43.074), ("0s", 0.0)])
def test_google_says_in_its_details_how_long_to_wait(delay: str, seconds: float) -> None:
    assert judged(429, google(delay)).retry_after == pytest.approx(seconds)


@pytest.mark.parametrize("delay", ["soon", None, 37, "", "s", "-1s", ["37s"]])
def test_details_of_another_shape_say_nothing(delay: object) -> None:
    assert judged(429, google(delay)).retry_after is None
    for details in (None, "37s", [None], [[{"retryDelay": "37s"}]], {"retryDelay": "x"}):
        assert judged(429, {"error": {"message": "slow", "details": details}}).retry_after is None


@pytest.mark.parametrize(
    ("violations", "daily"),
    [
        ([{"quotaId": "GenerateRequestsPerDayPerProjectPerModel-FreeTier", "quotaValue": "20"}], True),
        ([{"quotaId": "A-PerMinute"}, {"quotaId": "EmbedContentRequestsPerDayPerProjectPerModel"}], True),
        ([{"quotaId": "EmbedContentRequestsPerMinutePerProjectPerModel"}], False),
        ([{"subject": "PerDay"}], False),
        (["PerDay", None, 3], False),
        ("PerDay", False),
        (None, False),
    ],
)
def test_a_quota_of_the_day_is_told_from_one_of_the_minute(violations: object, daily: bool) -> None:
    body = google("59s")
    body["error"]["details"][0]["violations"] = violations
    for said in (body, body["error"]):
        failure = judged(429, said)
        assert (failure.daily, failure.permanent, failure.retryable) == (daily, daily, not daily)
    assert not judged(503, body).daily


@pytest.mark.parametrize(
    ("words", "seconds"),
    [
        (OPENAI_FREE, 20.0),
        ("Please retry in 37.5s.", 37.5),
        ("Please retry in 37.074886519s.", 37.075),
        ("Please try again in 120ms.", 0.12),
        ("Please try again in 1m12.5s.", 72.5),
        ("Please try again in 6m0s.", 360.0),
        ("try again in 2h", 7200.0),
        ("Rate limit exceeded, retry after 5 seconds", 5.0),
        ("Please try again after 1 minute.", 60.0),
        ("please retry in 3 minutes and do not ask before", 180.0),
        ("slow down", None),
        ("try again in a moment", None),
        ("try again later", None),
    ],
)
def test_the_message_may_say_how_long_to_wait(words: str, seconds: float | None) -> None:
    found = judged(429, {"error": {"message": words}}).retry_after
    assert found == (None if seconds is None else pytest.approx(seconds, abs=1e-3))


@pytest.mark.parametrize(
    ("words", "seconds"),
    [
        (VOYAGE_FREE, 20.0),
        ("You are limited to 60 requests per minute", 1.0),
        ("Limit: 3 / min.", 20.0),
        ("You are using a Trial key, which is limited to 40 API calls / minute.", 1.5),
        ("limit 0 RPM", None),
    ],
)
def test_a_limit_by_the_minute_says_how_far_apart_calls_may_be(words: str, seconds: float | None) -> None:
    assert judged(429, {"message": words}).retry_after == (None if seconds is None else pytest.approx(seconds))
    assert judged(400, {"message": words}).retry_after is None, "of no concern to another error"


def test_a_header_comes_before_the_message() -> None:
    for headers, seconds in (
        ({"Retry-After": "2"}, 2.0),
        ({"retry-after-ms": "250", "retry-after": "1"}, 0.25),
        ({"retry-after-ms": "soon", "retry-after": "3"}, 3.0),
        ({"retry-after": formatdate(time.time() + 30, usegmt=True)}, 30.0),
        ({"retry-after": "soon"}, 20.0),
        ({"retry-after": "nan"}, 20.0),
        ({"retry-after": "inf"}, 20.0),
        ({"retry-after": "-5"}, 0.0),
    ):
        assert judged(429, {"message": OPENAI_FREE}, headers).retry_after == pytest.approx(seconds, abs=2.0)


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (400, "input batch size 100 > maximum allowed batch size 64"),
        (413, "batch size 64 > maximum allowed batch size 32"),
        (422, "batch size 64 > maximum allowed batch size 32"),
        (400, "<400> InternalError.Algo.InvalidParameter: Value error, batch size is invalid, it should not be "
              "larger than 10.: input.contents"),
        (422, "List should have at most 100 items after validation, not 128"),
        (400, "The input array must not contain more than 96 elements"),
        (429, "Request too large for text-embedding-3-small in organization org-x on tokens per min (TPM): Limit "
              "40000, Requested 50000. The input or output tokens must be reduced in order to run successfully."),
        (500, "input is too large to process. increase the physical batch size"),
        (500, "input (812 tokens) is too large to process. increase the physical batch size (current batch size: 512)"),
        (500, "the input length exceeds maximum context length"),
    ],
)  # fmt: skip
def test_every_servers_word_for_too_much_at_once(status: int, words: str) -> None:
    failure = judged(status, {"error": {"message": words}})
    assert failure.too_long
    assert not failure.retryable


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (429, OPENAI_FREE),
        (429, VOYAGE_FREE),
        (500, "internal error"),
        (503, "the model is too large to be loaded, try again"),
    ],
)
def test_what_only_takes_time_is_not_too_much(status: int, words: str) -> None:
    failure = judged(status, {"error": {"message": words}})
    assert not failure.too_long
    assert failure.retryable


@pytest.mark.parametrize("status", [504, 524])
def test_a_gateway_that_gave_up_waiting_is_a_time_out(status: int) -> None:
    assert judged(status, {"message": "upstream request timeout"}).timed_out
    assert not judged(503, {"message": "overloaded"}).timed_out


@pytest.mark.parametrize("cap", [float("nan"), float("-inf"), -0.01])
def test_a_cap_that_holds_nothing_is_refused(cap: float) -> None:
    with pytest.raises(RecipeError, match="max_usd"):
        Meter(max_usd=cap)
    for fine in (None, 0.0, 0.5, float("inf")):
        Meter(max_usd=fine)
