"""What a sync would cost, before it does: files are read and cut, nothing is written, embedded or stored."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import TYPE_CHECKING

from ragweft.context.estimating import ContextEstimate
from ragweft.ingestion.pipeline import batched
from ragweft.protocols import PricedEmbedder, WindowedEmbedder
from ragweft.providers.doubts import Doubtful
from ragweft.reports import Estimate

if TYPE_CHECKING:
    from ragweft.context.copies import Supposed
    from ragweft.ingestion.pipeline import Loaded, Pipeline
    from ragweft.ingestion.sync import Tally

__all__ = ["estimated"]


def estimated(pipeline: Pipeline, pending: Iterable[Loaded], tally: Tally) -> Estimate:
    """The estimate for the documents *pending*; *tally* counts what is not among them."""
    started = time.perf_counter()
    embedder = pipeline.embedder
    documents = chunks = tokens = long = 0
    texts: set[bytes] = set()
    supposed: Supposed = set()
    contexts = ContextEstimate()
    # Objects of other packages count what they are sent, whether their price is known or not.
    count = getattr(embedder, "tokens", None)
    for batch in batched(pending):
        prepared, asking = pipeline.suppose(batch, supposed)
        contexts += asking or ContextEstimate()
        documents += len(prepared)
        chunks += sum(len(item.chunks) for item in prepared)
        missing = pipeline.missing(prepared)
        fresh = [text for digest, text in missing.items() if digest not in texts]
        texts.update(missing)
        if count is not None:
            tokens += count(fresh)
        if isinstance(embedder, WindowedEmbedder):
            long += len(embedder.too_long(fresh))
    price = (
        embedder.usd_per_million if isinstance(embedder, PricedEmbedder) else getattr(embedder, "price", 0.0)
    )
    doubts = embedder.doubts() if texts and isinstance(embedder, Doubtful) else ()
    embedding = None if price is None else tokens * price / 1e6
    return Estimate(
        documents=documents,
        unchanged=tally.unchanged,
        failed=tuple(tally.failed),
        chunks=chunks,
        texts=len(texts),
        tokens=tokens,
        usd=None if embedding is None or contexts.usd is None else embedding + contexts.usd,
        contexts=contexts.calls,
        contexts_under_way=contexts.under_way,
        context_model=contexts.model,
        context_tokens=contexts.tokens.total,
        context_usd=contexts.usd,
        context_usd_at_most=contexts.usd_at_most,
        context_basis=contexts.basis,
        long_texts=long,
        warnings=tuple(dict.fromkeys((*contexts.doubts, *doubts))),
        seconds=time.perf_counter() - started,
    )
