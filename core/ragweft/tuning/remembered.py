"""Vectors of the questions a corpus asks itself: kept like any others, so that asking again costs nothing."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from typing import TYPE_CHECKING

import numpy as np

from ragweft.retrieval.query_vectors import query_digests
from ragweft.types import digest_of

if TYPE_CHECKING:
    from ragweft.assembly import Parts
    from ragweft.types import Vectors

__all__ = ["asked_vectors", "masked_vectors"]


def masked_vectors(parts: Parts, texts: Sequence[str]) -> Vectors:
    """Passages without their questions, as documents: float32, shape (len(texts), dims).

    Raises:
        ProviderError: the embedder failed.
    """
    if parts.vocabulary is parts.embedder:  # computed in less time than it is looked up
        return parts.embedder.embed_documents(texts)
    digests = [digest_of("masked", text) for text in texts]
    known = parts.store.known(digests)
    missing = {digest: text for digest, text in zip(digests, texts, strict=True) if digest not in known}
    if missing:
        parts.store.put(list(missing), parts.embedder.embed_documents(list(missing.values())))
    return parts.store.get(digests)


def asked_vectors(parts: Parts, texts: Sequence[str]) -> Vectors:
    """The questions as queries, of the same shape. What a user has asked before is not embedded again.

    Raises:
        ProviderError: the embedder failed.
    """
    if parts.vocabulary is parts.embedder:
        return _queries(parts, texts)
    digests = list(map(query_digests(parts.embedder, parts.recipe.embedding), texts))
    vectors = {digest: kept.vector for digest, kept in parts.store.queries.get(digests).items()}
    missing = {digest: text for digest, text in zip(digests, texts, strict=True) if digest not in vectors}
    if missing:
        made = _queries(parts, list(missing.values()))
        fresh = dict(zip(missing, made, strict=True))
        vectors |= fresh
        # Not where users' questions lie: these are asked again when the corpus grows, and never forgotten. One
        # that is stored and was not found is damaged.
        sound = {digest: vector for digest, vector in fresh.items() if parts.store.queries.takes(vector)}
        if sound:
            parts.store.put(list(sound), np.array(list(sound.values()), dtype=np.float32), anew=True)
    return np.array([vectors[digest] for digest in digests], dtype=np.float32)


def _queries(parts: Parts, texts: Sequence[str]) -> Vectors:
    """One call a question; several at a time, for they go over a network."""
    embed = parts.embedder.embed_query
    if parts.vocabulary is parts.embedder:
        return np.array([embed(text) for text in texts], dtype=np.float32)
    with ThreadPoolExecutor(parts.recipe.embedding.at_once, thread_name_prefix="ragweft-ask") as pool:
        # Each in a copy of this context, where charges find their collector.
        waiting = [pool.submit(copy_context().run, embed, text) for text in texts]
        try:
            return np.array([future.result() for future in waiting], dtype=np.float32)
        except BaseException:
            for future in waiting:
                future.cancel()
            raise
