"""Every reranking service behind one contract: real SDKs over HTTP against a local double of each service."""

from __future__ import annotations

import asyncio
import re
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import pytest

from provider_double import BAD_KEY, ProviderDouble
from ragweft.errors import ProviderError, RecipeError
from ragweft.providers.metering import Charge, Meter, metered
from ragweft.providers.policy import Policy
from ragweft.recipe import Rerank
from ragweft.reranking import remote
from ragweft.reranking.services import SERVICES, connect
from ragweft.retrieval.reranked import Reranked
from ragweft.types import Chunk, Citation, Hit, Results

if TYPE_CHECKING:
    from ragweft.reranking.remote import RemoteReranker

pytestmark = pytest.mark.filterwarnings("ignore:The 'warn' method is deprecated:DeprecationWarning")
KEY = "sk-test-0123456789abcdefghij"
QUERY = "bees honey"


@dataclass(frozen=True)
class Fixed:
    """A retriever that has one answer."""

    results: Results

    def retrieve(self, query: str, *, k: int = 5, where: Any = None) -> Results:
        return replace(self.results, hits=self.results.hits[:k])


@dataclass(frozen=True, kw_only=True)
class Case:
    provider: str
    model: str

    def __str__(self) -> str:
        return f"{self.provider}:{self.model}"


CASES = [
    Case(provider="cohere", model="rerank-v3.5"),
    Case(provider="cohere", model="rerank-v5.0-pro"),
    Case(provider="voyage", model="rerank-2.5"),
    Case(provider="jina", model="jina-reranker-v2-base-multilingual"),
]
BY_SERVICE = [CASES[0], CASES[2], CASES[3]]


def hit(number: int, text: str, context: str = "") -> Hit:
    chunk = Chunk(id=str(number), document_id="d", text=text, context=context)
    return Hit(chunk=chunk, score=1.0 / (number + 1), origins={}, citation=Citation(source="d", uri="d"))


HITS = [
    hit(0, "clocks have hands"),
    hit(1, "bees make honey in a hive", context="Animals"),
    hit(2, "a hive of ideas"),
]


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    fast = Policy(attempts=3, seconds=20.0, timeout=5.0, first_wait=0.01, longest_wait=0.05)
    monkeypatch.setattr(remote, "QUERIES", fast)


def reranker(double: ProviderDouble, case: Case, *, key: str = KEY) -> RemoteReranker:
    settings = Rerank(model=str(case), base_url=double.base(case.provider))
    return connect(case.provider, case.model, settings, key=key)


def scores(one: RemoteReranker, way: str) -> list[float]:
    if way == "sync":
        return one.rerank(QUERY, HITS)

    async def main() -> list[float]:
        try:
            return await one.arerank(QUERY, HITS)
        finally:
            await one.aclose()

    return asyncio.run(main())


@pytest.mark.parametrize("way", ["sync", "async"])
@pytest.mark.parametrize("case", CASES, ids=str)
def test_scores_come_in_the_order_of_the_hits(double: ProviderDouble, case: Case, way: str) -> None:
    one = reranker(double, case)
    found = scores(one, way)
    one.close()
    assert found.index(max(found)) == 1
    assert len(found) == 3
    (request,) = double.requests
    body: Any = request.body
    assert body["documents"] == [each.chunk.indexed_text for each in HITS]


@pytest.mark.parametrize("way", ["sync", "async"])
@pytest.mark.parametrize(
    "fault",
    [{"status": 429, "headers": {"retry-after": "0.05"}}, {"status": 500}, {"drop": True}, {"truncate": True}],
    ids=["429", "500", "dropped", "truncated"],
)
@pytest.mark.parametrize("case", BY_SERVICE, ids=str)
def test_what_passes_is_tried_again(
    double: ProviderDouble, case: Case, fault: dict[str, Any], way: str
) -> None:
    double.fail(case.provider, **fault)
    one = reranker(double, case)
    assert len(scores(one, way)) == 3
    one.close()
    assert len(double.requests) == 2


@pytest.mark.parametrize("way", ["sync", "async"])
@pytest.mark.parametrize("case", BY_SERVICE, ids=str)
def test_a_service_that_does_not_answer_in_time_is_an_error(
    double: ProviderDouble, case: Case, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remote, "QUERIES", Policy(attempts=1, seconds=2.0, timeout=0.2))
    double.fail(case.provider, delay=0.6)
    one = reranker(double, case)
    with pytest.raises(ProviderError, match="try again later"):
        scores(one, way)
    one.close()


@pytest.mark.parametrize("way", ["sync", "async"])
@pytest.mark.parametrize("case", BY_SERVICE, ids=str)
def test_it_is_cut_off_when_its_time_is_up(
    double: ProviderDouble, case: Case, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = reranker(double, case)
    scores(one, way)
    monkeypatch.setattr(remote, "QUERIES", Policy(attempts=9, seconds=0.7, timeout=60.0, first_wait=0.001))
    double.fail(case.provider, status=500)
    double.fail(case.provider, drip=0.05)
    with metered(Meter()) as meter, pytest.raises(ProviderError) as raised:
        scores(one, way)
    said = rf"{case.provider}: no answer within 0\.7 s \(before that, 500: .*\); try again later$"
    assert re.match(said, str(raised.value))
    assert raised.value.retryable
    # The first was refused. The second was sent, and what it would have been billed is not known.
    (charged,) = meter.charges
    assert charged.purpose == "rerank, unanswered"
    assert charged.tokens > 0
    assert charged.usd is not None
    assert charged.usd > 0
    until = time.monotonic() + 5
    while double.connections and time.monotonic() < until:
        time.sleep(0.02)
    assert double.connections == 0, "a connection that still drips is not left behind"
    one.close()


@pytest.mark.parametrize("fault", [{"wrong_count": True}, {"wrong_index": True}], ids=["count", "index"])
@pytest.mark.parametrize("case", BY_SERVICE, ids=str)
def test_a_passage_without_a_score_is_an_error(
    double: ProviderDouble, case: Case, fault: dict[str, Any]
) -> None:
    double.fail(case.provider, **fault)
    one = reranker(double, case)
    with pytest.raises(ProviderError, match=r"for 3 passages|could not be read"):
        one.rerank(QUERY, HITS)
    one.close()


def answer(provider: str, scores: list[tuple[object, object]]) -> dict[str, Any]:
    """A body of any of the services, which reads but its own parts of it."""
    rows = [{"index": place, "relevance_score": score} for place, score in scores]
    name = "data" if provider == "voyage" else "results"
    meta = {"billed_units": {"search_units": 1}}
    return {"id": "x", "model": "m", name: rows, "usage": {"total_tokens": 9}, "meta": meta}


WRONG: dict[str, list[tuple[object, object]]] = {
    "NaN first": [(0, float("nan")), (1, 0.5), (2, 0.3)],
    "NaN last": [(1, 0.5), (2, 0.3), (0, float("nan"))],
    "infinity": [(1, 0.5), (0, float("inf")), (2, 0.1)],
    "huge": [(1, 0.5), (0, 10**400), (2, 0.1)],
    "null": [(0, None), (1, 0.5), (2, 0.3)],
    "words": [(0, "high"), (1, 0.5), (2, 0.3)],
    "digits": [(0, "0.1"), (1, 0.5), (2, 0.3)],
    "true": [(0, True), (1, 0.5), (2, 0.3)],
    "twice": [(0, 0.1), (0, 0.5), (2, 0.3)],
    "twice and all": [(0, 0.1), (1, 0.5), (2, 0.3), (2, 0.9)],
    "below": [(-1, 0.1), (1, 0.5), (2, 0.3)],
    "no place": [(None, 0.1), (1, 0.5), (2, 0.3)],
}


@pytest.mark.parametrize("way", ["sync", "async"])
@pytest.mark.parametrize("wrong", WRONG.values(), ids=WRONG)
@pytest.mark.parametrize("case", BY_SERVICE, ids=str)
def test_scores_are_numbers_and_one_for_each_passage(
    double: ProviderDouble, case: Case, wrong: list[tuple[object, object]], way: str
) -> None:
    double.fail(case.provider, status=200, body=answer(case.provider, wrong))
    one = reranker(double, case)
    said = r"where a number belongs|for 3 passages, not one for each|could not be read"
    with metered(Meter()) as meter, pytest.raises(ProviderError, match=said) as raised:
        scores(one, way)
    assert raised.value.retryable
    assert "\n" not in str(raised.value)
    assert meter.usage.calls == 1, "it is billed like a right one"
    assert len(scores(one, way)) == 3
    one.close()


@pytest.mark.parametrize("billed", [-5, "many", None, float("nan")], ids=str)
@pytest.mark.parametrize("case", BY_SERVICE, ids=str)
def test_a_bill_that_is_no_count_is_estimated(double: ProviderDouble, case: Case, billed: object) -> None:
    body = answer(case.provider, [(0, 0.1), (1, 0.5), (2, 0.3)])
    body["usage"]["total_tokens"] = body["meta"]["billed_units"]["search_units"] = billed
    double.fail(case.provider, status=200, body=body)
    one = reranker(double, case)
    with metered(Meter()) as meter:
        one.rerank(QUERY, HITS)
    one.close()
    assert meter.usage.calls == 1
    assert meter.usage.tokens > 0
    assert meter.usage.usd > 0


@pytest.mark.parametrize("status", [505, 529])
@pytest.mark.parametrize("case", BY_SERVICE, ids=str)
def test_an_overloaded_service_is_asked_again(double: ProviderDouble, case: Case, status: int) -> None:
    double.fail(case.provider, status=status)
    one = reranker(double, case)
    with metered(Meter()) as meter:
        assert len(one.rerank(QUERY, HITS)) == 3
    one.close()
    assert [charge.purpose for charge in meter.charges] == ["rerank"], "a refusal is not billed"


@pytest.mark.parametrize("case", BY_SERVICE, ids=str)
def test_a_bad_key_is_said_without_repeating_it(double: ProviderDouble, case: Case) -> None:
    one = reranker(double, case, key=BAD_KEY)
    with pytest.raises(ProviderError, match="check the key") as raised:
        one.rerank(QUERY, HITS)
    one.close()
    assert BAD_KEY[:8] not in f"{raised.value}{raised.value!r}{one!r}"
    assert len(double.requests) == 1


@pytest.mark.parametrize("case", CASES, ids=str)
def test_costs_are_what_the_service_bills(double: ProviderDouble, case: Case) -> None:
    one = reranker(double, case)
    charges: list[Charge] = []
    with metered(Meter(record=charges.append)) as meter:
        one.rerank(QUERY, HITS)
    one.close()
    (request,) = double.requests
    (charge,) = charges
    assert (charge.purpose, charge.model) == ("rerank", str(case))
    if not request.searches:
        assert meter.usage.tokens == request.tokens > 0
    elif case.provider == "cohere":
        assert meter.usage.usd == pytest.approx(0.002)


def test_relevant_spans_are_those_of_the_chunk_itself(double: ProviderDouble) -> None:
    one = reranker(double, CASES[1])
    judged = one.judge(QUERY, HITS)
    one.close()
    text = HITS[1].chunk.text
    assert judged[1].highlights
    for span in judged[1].highlights:
        assert 0 <= span.start < span.end <= len(text)
    assert "bees" in " ".join(text[span.start : span.end] for span in judged[1].highlights)
    with ThreadPoolExecutor(2) as threads:
        one = reranker(double, CASES[1])
        base = Fixed(Results(hits=tuple(HITS), query=QUERY))
        results = Reranked(base, one, threads=threads).retrieve(QUERY, k=3)
        one.close()
    assert results[0].chunk.id == "1"
    assert results[0].highlights == judged[1].highlights


def test_a_failing_service_leaves_the_order_and_says_so(double: ProviderDouble) -> None:
    double.fail("cohere", status=503, times=9)
    one = reranker(double, CASES[0])
    with ThreadPoolExecutor(2) as threads:
        base = Fixed(Results(hits=tuple(HITS), query=QUERY))
        results = Reranked(base, one, threads=threads).retrieve(QUERY, k=3)
    one.close()
    assert [each.chunk.id for each in results] == ["0", "1", "2"]
    (said,) = results.trace.degraded
    assert "the fused order stands" in said


def test_a_missing_key_names_the_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    for provider, service in SERVICES.items():
        for name in service.keys:
            monkeypatch.delenv(name, raising=False)
        with pytest.raises(RecipeError, match=service.keys[0]):
            connect(provider, "any", Rerank(model=f"{provider}:any")).rerank(QUERY, HITS)


def test_nothing_to_rank_asks_nobody(double: ProviderDouble) -> None:
    one = reranker(double, replace(CASES[0]))
    assert one.rerank(QUERY, []) == []
    one.close()
    assert double.requests == []


@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_blank_passage_is_not_sent_and_comes_last(double: ProviderDouble, case: Case) -> None:
    one = reranker(double, case)
    found = one.rerank(QUERY, [hit(0, "  "), *HITS[1:]])
    assert found[0] == min(found)
    assert one.rerank(QUERY, [hit(0, " ")]) == [0.0]
    one.close()
    (request,) = double.requests
    body: Any = request.body
    assert len(body["documents"]) == 2


@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_long_passage_is_judged_by_its_best_part(double: ProviderDouble, case: Case) -> None:
    filler = " ".join(f"word{n}" for n in range(30_000))
    long = hit(0, f"{filler} bees make honey {filler}")
    one = reranker(double, case)
    (judged,) = one.judge(QUERY, [long])
    one.close()
    bodies: list[Any] = [request.body for request in double.requests]
    sent = [text for body in bodies for text in body["documents"]]
    assert " ".join(sent).split() == long.chunk.text.split(), "every word is read"
    assert len(sent) > 1
    for span in judged.highlights:
        assert long.chunk.text[span.start : span.end].strip()
    if judged.highlights:
        words = " ".join(long.chunk.text[s.start : s.end] for s in judged.highlights)
        assert "honey" in words or "bees" in words


def test_a_query_too_long_is_a_providers_error_both_ways(double: ProviderDouble) -> None:
    for way in ("sync", "async"):
        double.fail("cohere", status=400, message="query is too long")
        one = reranker(double, CASES[0])
        with pytest.raises(ProviderError, match="too long"):
            scores(one, way)
        one.close()
