"""A quota of the day does not come back within minutes: whoever met it is told at once."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import pytest

from ragweft.embedding.services import connect
from ragweft.errors import ProviderError
from ragweft.recipe import Embedding

if TYPE_CHECKING:
    from provider_double import ProviderDouble

MODEL = "gemini-embedding-001"
INFO = "type.googleapis.com/google.rpc."
DAY = "EmbedContentRequestsPerDayPerUserPerProjectPerModel-FreeTier"
MINUTE = "EmbedContentRequestsPerMinutePerUserPerProjectPerModel-FreeTier"


def exhausted(*quotas: str, delay: str = "59s") -> Mapping[str, Any]:
    """As Gemini says that quotas are used up: with the seconds to wait for the shortest of them."""
    details: list[Mapping[str, Any]] = [
        {"@type": f"{INFO}QuotaFailure", "violations": [{"quotaId": quota} for quota in quotas]},
        {"@type": f"{INFO}RetryInfo", "retryDelay": delay},
    ]
    message = "You exceeded your current quota, please check your plan and billing details."
    return {"error": {"code": 429, "message": message, "status": "RESOURCE_EXHAUSTED", "details": details}}


@pytest.mark.parametrize("quotas", [(DAY,), (MINUTE, DAY)])
@pytest.mark.parametrize("way", ["documents", "query", "awaited query"])
def test_it_fails_at_once_and_says_so(double: ProviderDouble, way: str, quotas: tuple[str, ...]) -> None:
    double.fail("google", status=429, times=9, body=exhausted(*quotas))
    settings = Embedding(model=f"google:{MODEL}", base_url=double.base("google"))
    one = connect("google", MODEL, settings, key="AIza-test-0123456789")

    async def ask() -> None:
        try:
            await one.aembed_query("alpha")
        finally:
            await one.aclose()

    with pytest.raises(
        ProviderError, match=r"429: .*; the quota of the day is used up: go on tomorrow"
    ) as told:
        if way == "documents":
            one.embed_documents(["alpha"])
        elif way == "query":
            one.embed_query("alpha")
        else:
            asyncio.run(ask())
    one.close()
    assert not told.value.retryable
    assert [request.status for request in double.requests] == [429], "nobody waited to ask again"


def test_the_quota_of_a_minute_is_waited_for(double: ProviderDouble) -> None:
    double.fail("google", status=429, body=exhausted(MINUTE, delay="0.01s"))
    settings = Embedding(model=f"google:{MODEL}", base_url=double.base("google"))
    one = connect("google", MODEL, settings, key="AIza-test-0123456789")
    one.embed_documents(["alpha"])
    one.close()
    assert [request.status for request in double.requests] == [429, 200]
