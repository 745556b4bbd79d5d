"""More than a reranking service takes at once: several requests, halves of those it refuses, one deadline."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from ragweft.errors import ProviderError
from ragweft.providers.metering import Meter, metered
from ragweft.providers.policy import Policy
from ragweft.recipe import Rerank
from ragweft.reranking import remote
from ragweft.reranking.services import SERVICES, connect
from ragweft.types import Chunk, Citation, Hit

if TYPE_CHECKING:
    from provider_double import ProviderDouble
    from ragweft.reranking.remote import RemoteReranker

KEY = "sk-test-0123456789abcdefghij"
QUERY = "bees honey"
MODELS = {
    "cohere": "rerank-v5.0-pro",
    "voyage": "rerank-2.5",
    "jina": "jina-reranker-v2-base-multilingual",
}


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    fast = Policy(attempts=3, seconds=20.0, timeout=10.0, first_wait=0.01, longest_wait=0.05)
    monkeypatch.setattr(remote, "QUERIES", fast)


@pytest.fixture(params=list(SERVICES))
def provider(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def reranker(double: ProviderDouble, provider: str, **limits: int) -> RemoteReranker:
    label = f"{provider}:{MODELS[provider]}"
    one = connect(provider, MODELS[provider], Rerank(model=label, base_url=double.base(provider)), key=KEY)
    one.limits = replace(one.limits, **limits)
    return one


def hits_of(texts: list[str]) -> list[Hit]:
    return [
        Hit(
            chunk=Chunk(id=str(place), document_id="d", text=text),
            score=1.0,
            origins={},
            citation=Citation(source="d", uri="d"),
        )
        for place, text in enumerate(texts)
    ]


def sent(double: ProviderDouble) -> list[tuple[int | None, int]]:
    """Status and number of passages of each request."""
    bodies: list[Any] = [request.body for request in double.requests]
    return [
        (request.status, len(body["documents"])) for request, body in zip(double.requests, bodies, strict=True)
    ]


FEW = hits_of([f"{'bees make honey ' * (number % 4)}and number {number}" for number in range(10)])


def test_more_hits_than_a_request_may_hold_go_out_in_several(double: ProviderDouble, provider: str) -> None:
    hits = hits_of([f"bees make honey {number}" for number in range(1_200)])
    one = reranker(double, provider)
    scores = one.rerank(QUERY, hits)
    one.close()
    assert len(scores) == 1_200
    assert sorted(sent(double)) == [(200, 200), (200, 1_000)]


def test_several_requests_score_as_one_does(double: ProviderDouble, provider: str) -> None:
    whole, several = reranker(double, provider), reranker(double, provider, passages=3)
    double.latency = 0.1
    with metered(Meter()) as meter:
        expected, scores = whole.judge(QUERY, FEW), several.judge(QUERY, FEW)
    whole.close()
    several.close()
    assert scores == expected, "scores and spans"
    assert sorted(size for _, size in sent(double)) == [1, 3, 3, 3, 10]
    assert double.most_at_once > 1, "they are asked for side by side"
    assert meter.usage.calls == 5
    assert meter.usage.tokens == sum(request.tokens for request in double.requests)


@pytest.mark.filterwarnings("ignore:Sending a large body directly:ResourceWarning")
def test_a_request_holds_no_more_tokens_than_the_service_takes(double: ProviderDouble) -> None:
    hits = hits_of(["bees make honey and more " * 8_000] * 25)
    one = reranker(double, "voyage")
    assert one.limits.tokens == 600_000
    scores = one.rerank(QUERY, hits)
    one.close()
    assert len(scores) == 25
    assert {request.status for request in double.requests} == {200}
    assert len(double.requests) > 1


def test_what_is_refused_as_too_long_is_asked_for_in_halves(double: ProviderDouble, provider: str) -> None:
    whole, one = reranker(double, provider), reranker(double, provider)
    expected = whole.rerank(QUERY, FEW)
    double.fail(provider, too_long=True)
    with metered(Meter()) as meter:
        scores = one.rerank(QUERY, FEW)
    whole.close()
    one.close()
    assert scores == expected
    assert sent(double)[1:] == [(400, 10), (200, 5), (200, 5)]
    assert [charge.purpose for charge in meter.charges] == ["rerank", "rerank"], "a refusal is not billed"


def test_one_passage_refused_as_too_long_is_read_in_parts(double: ProviderDouble, provider: str) -> None:
    text = f"{'clocks have hands ' * 30}bees make honey. {'a hive of ideas ' * 30}".strip()
    double.fail(provider, too_long=True, times=2)
    one = reranker(double, provider)
    judged = one.judge(QUERY, hits_of([text, "tides"]))
    one.close()
    assert judged[0].score > judged[1].score
    bodies: list[Any] = [request.body for request in double.requests]
    assert " ".join(part for body in bodies[2:-1] for part in body["documents"]).split() == text.split()
    for span in judged[0].highlights:
        assert text[span.start : span.end].strip()
        assert "honey" in text[span.start : span.end]


@pytest.mark.parametrize("way", ["said", "unsaid"])
def test_a_query_that_is_too_long_is_not_asked_again_and_again(double: ProviderDouble, way: str) -> None:
    provider = "voyage" if way == "said" else "cohere"
    one = reranker(double, provider)
    with pytest.raises(ProviderError, match="tokens"):
        one.rerank("bees honey " * 5_000, FEW)
    one.close()
    assert [size for _, size in sent(double)] == ([10] if way == "said" else [10, 5, 2, 1])


def test_all_requests_share_one_deadline(double: ProviderDouble, monkeypatch: pytest.MonkeyPatch) -> None:
    one = reranker(double, "cohere")
    one.rerank(QUERY, FEW)
    monkeypatch.setattr(remote, "QUERIES", Policy(attempts=3, seconds=1.0, timeout=10.0))
    double.fail("cohere", too_long=True)
    double.fail("cohere", delay=0.6, times=2)
    with metered(Meter()) as meter, pytest.raises(ProviderError, match=r"no answer within 1 s"):
        one.rerank(QUERY, FEW)
    one.close()
    assert [charge.purpose for charge in meter.charges] == ["rerank", "rerank, unanswered"]


def test_what_came_is_charged_although_another_request_failed(double: ProviderDouble, provider: str) -> None:
    double.fail(provider, status=400, message="model is gone", after=1)
    one = reranker(double, provider, passages=5)
    with metered(Meter()) as meter, pytest.raises(ProviderError, match="model is gone"):
        one.rerank(QUERY, FEW)
    one.close()
    assert [charge.purpose for charge in meter.charges] == ["rerank"]
