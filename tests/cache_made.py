"""An index with eyes on it, for tests of the cache."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

from ragweft import Document, Index
from ragweft.assembly import Parts, build_hybrid, build_parts
from ragweft.caching.values import Cost, Entry, Stored
from ragweft.caching.watching import Watch
from ragweft.embedding.static import StaticEmbedder
from ragweft.ledger.snapshot import Moment
from ragweft.recipe import Dense, Recipe, Retrieval

if TYPE_CHECKING:
    from ragweft.caching.freshness import Verdict
    from ragweft.types import Metadata, Results

TOPICS = {
    "keys": "A signing key is rotated every ninety days by the security team and kept in the vault.",
    "pudding": "Bread and butter pudding is baked under custard until the top is golden brown.",
    "tides": "The harbour master writes down high water and low water at the northern pier.",
    "trains": "The night train leaves platform nine and crosses the border before dawn.",
    "bees": "A bee keeper smokes the hive gently and lifts the frames heavy with honey.",
}
QUERY = "how often is a signing key rotated"


def corpus(count: int = 60) -> list[Document]:
    """Documents on five topics; those of one topic differ in their last sentence."""
    names = list(TOPICS)
    return [
        Document(
            id=f"{names[n % 5]}{n}",
            text=f"{TOPICS[names[n % 5]]} Note {n} was added on day {n}.",
            metadata={"team": n % 3},
        )
        for n in range(count)
    ]


class Opened:
    """An index with eyes on it: small pools, so that legs have more than they give."""

    def __init__(self, folder: Path, *, pool: int = 8) -> None:
        recipe = Recipe(dense=Dense(engine="flat"), retrieval=Retrieval(pool=pool, dense_weight=0.3))
        self.index = Index.open(folder, recipe=recipe)
        self.embedder = StaticEmbedder()
        self._threads = ThreadPoolExecutor(4)
        self.parts: Parts = build_parts(
            folder, recipe, self.embedder, chunker=None, contextualizer=None, read_only=False
        )
        self._hybrid = build_hybrid(self.parts, self._threads)
        self.watch = Watch(self._hybrid.legs, self.parts.ledger, self.parts.balance)

    def search(self, query: str = QUERY, *, k: int = 3, where: Metadata | None = None) -> Results:
        return self._hybrid.retrieve(query, k=k, where=where)

    def stored(self, query: str = QUERY, *, k: int = 3, where: Metadata | None = None) -> Stored:
        found = self.search(query, k=k, where=where)
        evidence = self.watch.evidence(found)
        assert evidence is not None
        entry = Entry(
            query=query,
            vector=self.embedder.embed_query(query),
            tokens=self.embedder.encode(query).ids,
            payload=b"",
            evidence=evidence,
            cost=Cost(),
            created=time.time(),
        )
        return Stored(number=1, entry=entry, valid_through=Moment(evidence.generation, evidence.committed))

    def judge(self, stored: Stored) -> Verdict:
        with self.parts.ledger.snapshot() as snapshot:
            return self.watch.freshness.judge(snapshot, stored)

    def close(self) -> None:
        self._threads.shutdown()
        self.parts.close()
        self.index.close()
