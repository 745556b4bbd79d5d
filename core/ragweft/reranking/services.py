"""The table of reranking services: where each one's key is found and which wire reaches it.

Passages beyond the limits of a request go out in several. Scores of one query by one model can be put side by
side, because the models read every passage alone with the query: Cohere's, which score each chunk of a document
for itself (docs.cohere.com/docs/reranking-best-practices), Voyage's, which are cross-encoders
(docs.voyageai.com/docs/reranker), and Jina's up to v2. jina-reranker-v3 and later read up to 64 passages
together, whatever a request holds (model card; Wang, Li and Xiao, arXiv 2509.25085): among more, and so among
several requests too, their scores can be compared roughly.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ragweft.providers.counting import bound_of
from ragweft.providers.keys import Secret, find_key, host_of
from ragweft.providers.policy import caller_of
from ragweft.providers.registry import load
from ragweft.reranking.remote import Limits, Price, RemoteReranker, RerankConnection, RerankWire
from ragweft.reranking.wires import CohereRerank, JinaRerank, VoyageRerank

if TYPE_CHECKING:
    from ragweft.providers.registry import Model
    from ragweft.recipe import Rerank

__all__ = ["SERVICES", "Service", "connect"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """One provider."""

    keys: tuple[str, ...]
    """Environment variables a key is looked for in."""
    wire: Callable[[str, Model | None, Secret, str | None], RerankWire]
    """From model, what is known of it, key and address."""
    passages: int = 1_000
    """Passages in one request, of a model the registry does not know."""


def _cohere(model: str, known: Model | None, key: Secret, base_url: str | None) -> RerankWire:
    return CohereRerank(model, window=known.window if known else None, key=key, base_url=base_url)


SERVICES: Mapping[str, Service] = {
    "cohere": Service(keys=("CO_API_KEY", "COHERE_API_KEY"), wire=_cohere),
    "voyage": Service(
        keys=("VOYAGE_API_KEY",), wire=lambda model, _, key, url: VoyageRerank(model, key=key, base_url=url)
    ),
    "jina": Service(
        keys=("JINA_API_KEY",), wire=lambda model, _, key, url: JinaRerank(model, key=key, base_url=url)
    ),
}
"""Provider to how it is reached."""


def connect(provider: str, name: str, settings: Rerank, *, key: str | None = None) -> RemoteReranker:
    """A reranker that reaches model *name* of *provider* as *settings* say; nothing is sent yet.

    Neither key nor package is needed before the first passage is ranked. *key* takes the place of the
    environment's.

    Raises:
        RecipeError: base_url is no plain address.
    """
    service = SERVICES[provider]
    if settings.base_url:
        host_of(settings.base_url, service=provider)
    known = load().find(provider, name, kind="reranker")
    price, limits = Price(), Limits(passages=service.passages)
    if known is not None:
        price = Price(usd_per_million=known.usd_per_million, usd_per_search=known.usd_per_search)
        limits = Limits(
            passages=known.batch or service.passages, tokens=known.batch_tokens, window=known.window
        )

    def reach() -> RerankConnection:
        secret = find_key(provider, service.keys, given=key, base_url=settings.base_url)
        return RerankConnection(
            caller=caller_of(provider, model=name, base_url=settings.base_url, key=secret.reveal()),
            wire=service.wire(name, known, secret, settings.base_url or None),
        )

    return RemoteReranker(
        reach,
        name=f"{provider}:{name}",
        price=price,
        limits=limits,
        count=bound_of,
    )
