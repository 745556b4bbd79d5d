"""From a recipe to working parts: the only place that knows which class stands behind which word.

Nothing here opens more than it must: the static table, tantivy and Chroma are loaded by their first use.
"""

from __future__ import annotations

import os
from concurrent.futures import Executor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ragweft.deferred import Once
from ragweft.embedding.static import StaticEmbedder
from ragweft.errors import IndexDamaged, RagweftError, RecipeError, SpaceMismatch
from ragweft.ledger.editions import named_for
from ragweft.ledger.followers import Feed, Slot
from ragweft.ledger.ledger import Ledger
from ragweft.ledger.scope import Scopes
from ragweft.ledger.sparse_follower import SparseFollower
from ragweft.ledger.vector_store import VectorStore
from ragweft.protocols import SparseEmbedder, TokenEmbedder
from ragweft.retrieval.asking import DEADLINE, vector_within
from ragweft.retrieval.balance import Balance
from ragweft.retrieval.hybrid import Hybrid
from ragweft.retrieval.legs import DenseLeg, LexicalLeg, SparseLeg
from ragweft.retrieval.planning import Planner
from ragweft.retrieval.query_vectors import remembering
from ragweft.retrieval.second_look import SecondLook

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ragweft.caching.cache import SemanticCache
    from ragweft.ingestion.pipeline import Pipeline
    from ragweft.protocols import Chunker, Contextualizer, Embedder, LexicalIndex, VectorIndex
    from ragweft.recipe import Recipe
    from ragweft.types import Chunk, Rows, Space, Vectors

__all__ = [
    "Followers",
    "Parts",
    "build_cache",
    "build_hybrid",
    "build_parts",
    "check_abilities",
    "drop_former_collection",
    "weigher_of",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Followers:
    """The indexes of one ledger."""

    flat: Slot[VectorIndex]
    lexical: Slot[LexicalIndex]
    chroma: Slot[VectorIndex] | None

    @property
    def every(self) -> Sequence[Slot[VectorIndex] | Slot[LexicalIndex]]:
        """All of them, the cheap ones first."""
        return (self.flat, self.lexical) if self.chroma is None else (self.flat, self.lexical, self.chroma)


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """Everything an open index is made of."""

    folder: Path
    recipe: Recipe
    read_only: bool
    embedder: Embedder
    ledger: Ledger
    store: VectorStore
    way_in: Once[Pipeline]
    followers: Followers
    planner: Planner
    vocabulary: StaticEmbedder
    """The static table: tokens and their vectors, whatever embeds."""
    balance: Balance
    sparse: SparseLeg | None
    """None where the recipe does not ask for it."""
    chunker: Chunker | None
    """The caller's own; None: the recipe's."""
    contextualizer: Contextualizer | None
    """Likewise."""

    @property
    def pipeline(self) -> Pipeline:
        """What cuts, places and embeds, made by the first who writes: a search loads no chunker."""
        return self.way_in()

    def close(self) -> None:
        """Let go of every file and lock. Idempotent."""
        for slot in self.followers.every:
            slot.close()
        pipeline = self.way_in.end()
        if pipeline is not None:
            pipeline.close()
        self.store.close()
        self.ledger.close()


def build_parts(
    folder: Path,
    recipe: Recipe,
    embedder: Embedder,
    *,
    chunker: Chunker | None,
    contextualizer: Contextualizer | None,
    read_only: bool,
) -> Parts:
    """Open the ledger in *folder* and put the parts *recipe* names around it; given parts replace its own.

    Raises:
        SpaceMismatch: the index was filled by another embedder.
        IndexDamaged: the ledger cannot be read.
        IndexLocked: the folder cannot be written or shared.
    """
    ledger = Ledger(folder, space=str(embedder.space), read_only=read_only)
    try:
        if ledger.space != str(embedder.space) and not ledger.adopt(str(embedder.space)):
            raise SpaceMismatch(
                f"{folder}: filled by {ledger.space}, opened with {embedder.space}; open it with the embedder "
                "it was filled by, or make it over for this one with  ragweft reindex  (ragweft.reindex)"
            )
        store = VectorStore(folder / "vectors.db", embedder.space, read_only=read_only)
    except BaseException:
        ledger.close()
        raise
    vocabulary = embedder if isinstance(embedder, StaticEmbedder) else StaticEmbedder()
    weigher = weigher_of(embedder) if recipe.retrieval.sparse_weight else None
    followers = build_followers(folder, recipe, ledger, store, embedder.space, read_only=read_only)
    planner = Planner(
        followers.flat,
        followers.chroma,
        ledger,
        engine=recipe.dense.engine,
        remote=recipe.chroma.mode != "embedded",
        dims=embedder.space.dims,
    )

    def way_in() -> Pipeline:
        from ragweft.cutting import build_pipeline

        return build_pipeline(
            folder,
            recipe,
            embedder,
            store,
            vocabulary,
            chunker=chunker,
            contextualizer=contextualizer,
            weigher=weigher,
            read_only=read_only,
        )

    return Parts(
        folder=folder,
        recipe=recipe,
        read_only=read_only,
        embedder=embedder,
        ledger=ledger,
        store=store,
        way_in=Once(way_in),
        followers=followers,
        planner=planner,
        vocabulary=vocabulary,
        balance=Balance(recipe.retrieval, static=vocabulary is embedder),
        sparse=None
        if weigher is None
        else SparseLeg(weigher, SparseFollower(ledger, store), store, model=embedder.space.model),
        chunker=chunker,
        contextualizer=contextualizer,
    )


def check_abilities(recipe: Recipe, embedder: Embedder) -> None:
    """See that *embedder* can do what *recipe* asks of it.

    Raises:
        RecipeError: it cannot.
    """
    share = recipe.retrieval.sparse_weight
    if share and weigher_of(embedder) is None:
        raise RecipeError(
            f"[retrieval] sparse_weight = {share:g}: {embedder.space.model} gives no word weights; set it to "
            "0, or embed with BGE-M3 (bge-m3:FOLDER, with sparse_linear.pt in it)"
        )


def weigher_of(embedder: Embedder) -> SparseEmbedder | None:
    """*embedder* if it gives word weights; a BGE-M3 may be without the head for them."""
    if isinstance(embedder, SparseEmbedder) and getattr(embedder, "has_lexical_weights", True):
        return embedder
    return None


def build_followers(
    folder: Path, recipe: Recipe, ledger: Ledger, store: VectorStore, space: Space, *, read_only: bool
) -> Followers:
    """The slots of the followers *recipe* wants, none of them opened yet."""

    def flat(path: Path) -> VectorIndex:
        from ragweft.vectors.flat import FlatIndex

        return FlatIndex(path, space=space, ledger=ledger.uuid, read_only=read_only)

    def lexical(path: Path) -> LexicalIndex:
        from ragweft.lexical import Analyzer, TantivyIndex

        analyzer = Analyzer(language=recipe.lexical.language)
        return TantivyIndex(
            path,
            ledger=ledger.uuid,
            analyzer=analyzer,
            context_weight=recipe.lexical.context_weight,
            read_only=read_only,
        )

    def feed_vectors(index: VectorIndex, born: Rows, died: Rows, generation: int) -> None:
        with ledger.snapshot() as snapshot:
            inputs = snapshot.inputs(born.tolist())
        try:
            vectors: Vectors = store.get(inputs.digests)
        except IndexDamaged as error:
            raise RagweftError(str(error)) from error  # the follower is sound, its source is not
        index.apply(rows=inputs.rows, vectors=vectors, removed=died, generation=generation)

    def feed_texts(index: LexicalIndex, born: Rows, died: Rows, generation: int) -> None:
        with ledger.snapshot() as snapshot:
            inputs = snapshot.inputs(born.tolist())
        index.apply(
            rows=inputs.rows,
            texts=inputs.texts,
            contexts=inputs.contexts,
            removed=died,
            generation=generation,
        )

    chroma = None
    if recipe.dense.engine != "flat" and not read_only:
        chroma = _chroma_slot(folder, recipe, ledger, space, feed_vectors)
    place = named_for("flat", ledger.edition)
    return Followers(
        flat=Slot("flat", folder, ledger, opens=flat, feed=feed_vectors, read_only=read_only, place=place),
        lexical=Slot("lexical", folder, ledger, opens=lexical, feed=feed_texts, read_only=read_only),
        chroma=chroma,
    )


def drop_former_collection(parts: Parts) -> None:
    """Delete what the edition before has left on a Chroma server.

    Raises:
        ProviderError: the server cannot be reached, or refuses.
    """
    settings, edition, slot = parts.recipe.chroma, parts.ledger.edition, parts.followers.chroma
    if slot is None or settings.mode == "embedded" or not edition:
        return
    from ragweft.vectors.chroma import ChromaIndex

    index = slot.get()
    if isinstance(index, ChromaIndex):
        index.forget(named_for(settings.collection, edition - 1))


def build_hybrid(parts: Parts, threads: Executor) -> Hybrid:
    """The way out, as the recipe describes it."""
    recipe = parts.recipe
    # An embedder that works from its own token numbers sits in this process and answers in microseconds.
    waits = recipe.chroma.mode != "embedded" or not isinstance(parts.embedder, TokenEmbedder)
    remembered = remembering(parts.embedder, parts.store.queries, recipe, threads=threads)
    return Hybrid(
        (
            DenseLeg(parts.embedder, parts.planner, parts.store, waits=waits, remembered=remembered),
            LexicalLeg(parts.followers.lexical),
            *((parts.sparse,) if parts.sparse is not None else ()),
        ),
        parts.ledger,
        scopes=Scopes(),
        threads=threads,
        balance=parts.balance,
        second_look=SecondLook(parts.vocabulary, pool=recipe.retrieval.late_pool),
        method=recipe.retrieval.fusion,
        rrf_k=recipe.retrieval.rrf_k,
        pool=recipe.retrieval.pool,
        sparse_weight=recipe.retrieval.sparse_weight,
    )


def build_cache(parts: Parts, hybrid: Hybrid, threads: Executor) -> SemanticCache:
    """The cache beside the index: in memory where nothing can be written. A damaged file is set aside."""
    from ragweft.caching.cache import SemanticCache
    from ragweft.caching.likeness import Likeness
    from ragweft.caching.store import Limits, open_store
    from ragweft.caching.watching import Watch

    settings = parts.recipe.cache
    limits = Limits(
        entries=settings.entries,
        bytes=settings.bytes,
        largest=settings.largest,
        eviction="lru" if settings.eviction == "lru" else "cost",
    )
    dense = next(leg for leg in hybrid.legs if isinstance(leg, DenseLeg))
    space, embedding = str(parts.embedder.space), parts.recipe.embedding
    threshold = settings.threshold if isinstance(settings.threshold, float) else None
    return SemanticCache(
        open_store(None if parts.read_only else parts.folder / "cache.db", limits=limits),
        Watch(hybrid.legs, parts.ledger, parts.balance, search=hybrid.retrieve),
        lambda query: vector_within(DEADLINE, dense, query, threads),
        Likeness(parts.vocabulary),
        embedded=" ".join(filter(None, (space, embedding.query_model, embedding.query_prompt))),
        within={"index": parts.ledger.uuid, "recipe": parts.recipe.finding, "space": space},
        threshold=threshold if settings.semantic else 2.0,
        seconds=settings.seconds or None,
    )


def _chroma_slot(
    folder: Path, recipe: Recipe, ledger: Ledger, space: Space, feed: Feed[VectorIndex]
) -> Slot[VectorIndex]:
    settings = recipe.chroma
    embedded = settings.mode == "embedded"
    # Vectors of two editions never meet: not in a folder, not in a collection.
    collection = settings.collection if embedded else named_for(settings.collection, ledger.edition)
    place = named_for("chroma", ledger.edition)

    def describe(rows: Rows) -> Sequence[Chunk]:
        with ledger.snapshot() as snapshot:
            stored = snapshot.hydrate(rows.tolist())
        return [stored[row].chunk for row in rows.tolist()]

    def opens(path: Path) -> VectorIndex:
        from ragweft.vectors.chroma import ChromaIndex

        if embedded:
            return ChromaIndex.embedded(
                path,
                space=space,
                ledger=ledger.uuid,
                describe=describe,
                collection=collection,
                store_text=settings.store_text,
                ef_search=settings.ef_search,
            )
        key = os.environ.get("CHROMA_API_KEY", "")
        if settings.mode == "http":
            return ChromaIndex.http(
                host=settings.host,
                port=settings.port,
                ssl=settings.ssl,
                headers={"x-chroma-token": key} if key else {},
                space=space,
                ledger=ledger.uuid,
                describe=describe,
                collection=collection,
                store_text=settings.store_text,
                ef_search=settings.ef_search,
            )
        return ChromaIndex.cloud(
            tenant=settings.tenant,
            database=settings.database,
            api_key=key,
            space=space,
            ledger=ledger.uuid,
            describe=describe,
            collection=collection,
            store_text=settings.store_text,
        )

    def clear(index: VectorIndex) -> None:
        from ragweft.vectors.chroma import ChromaIndex

        if isinstance(index, ChromaIndex):
            index.clear()

    return Slot(
        "chroma",
        folder,
        ledger,
        opens=opens,
        feed=feed,
        sole=embedded,
        place=place,
        clear=None if embedded else clear,
    )
