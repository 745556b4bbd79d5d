"""How long a look into a full cache takes, its question being embedded already."""

from __future__ import annotations

import sqlite3
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from cache_common import Section, load_banking, table

from ragweft import Document, Index
from ragweft.caching.cache import SemanticCache
from ragweft.caching.likeness import Likeness
from ragweft.caching.looking import unit
from ragweft.caching.standard import DEFAULT, Standard
from ragweft.caching.store import CacheStore, Limits
from ragweft.caching.values import normalised
from ragweft.embedding.static import StaticEmbedder
from ragweft.types import digest_of

if TYPE_CHECKING:
    from ragweft.caching.watching import Watch
    from ragweft.types import Vector

__all__ = ["ENTRIES", "speed"]

ENTRIES = 100_000
_LOOKS = 400
_WARM = 30
_STORED = 20
_MIXED = Standard(threshold=0.85, measure="mixed")


def speed(data: Path, *, entries: int = ENTRIES, looks: int = _LOOKS) -> Section:
    """Measure lookups by what came of them, and what storing and refilling takes."""
    asked = load_banking(data)
    known = questions(asked.cached, entries)
    chosen = np.random.default_rng(1).choice(len(known), size=min(looks, len(known)), replace=False).tolist()
    sent = {
        "the same words": [known[place] for place in chosen],
        "changed a little": [f"Please: {known[place]}" for place in chosen],
        "not asked before": [text for text in asked.sent if text not in set(known)][:looks],
    }
    embedder = StaticEmbedder()
    vectors = {text: embedder.embed_query(text) for texts in sent.values() for text in texts}
    rows, numbers = [], {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with Index.open(folder) as index:
            index.add([Document(id=f"d{n}", text=text) for n, text in enumerate(asked.cached[:500])])
            found = index.search(asked.cached[0])
            with index._serving.use() as engine:
                watch = engine.answering.cache.watch
                evidence = watch.evidence(found)
            embed = vectors.__getitem__
            cache = _cache(folder, watch, lambda text: vectors.get(text, embedder.embed_query(text)), embedder)
            cache.store(known[0], "an answer", evidence=evidence)
            cache.close()
            _copied(folder / "cache_speed.db", known, embedder)
            cache = _cache(folder, watch, embed, embedder)
            begun = time.perf_counter()
            cache.look(sent["not asked before"][0])
            first = (time.perf_counter() - begun) * 1000
            for standard in (DEFAULT, _MIXED):
                cache.keep_standard(standard)
                for label, texts in sent.items():
                    for level, ms in _looked(cache, texts).items():
                        many = np.array(ms)
                        p50, p90 = (float(np.percentile(many, share)) for share in (50, 90))
                        numbers[f"{standard.measure}, {label}, {level}"] = {
                            "looks": len(ms),
                            "p50": p50,
                            "p90": p90,
                        }
                        rows.append([standard.measure, label, level, str(len(ms)), f"{p50:.2f}", f"{p90:.2f}"])
            index.add(Document(id="new", text="The night train leaves platform nine before dawn."))
            again = _times(cache.look, sent["the same words"][_WARM:])
            numbers["the same words, after an edit"] = {"p50": float(np.median(again))}
            storing = _cache(folder, watch, embedder.embed_query, embedder)
            stored = _times(
                lambda text: storing.store(text, "an answer", evidence=evidence),
                [f"{text} Once more." for text in known[:_STORED]],
            )
            numbers["storing"] = {"p50": float(np.median(stored))}
            numbers["first look"] = {"ms": first}
            for each in (cache, storing):
                each.close()
    text = (
        f"{len(known):,} entries in one scope: banking77's questions, alone and two together; `SemanticCache.look`, "
        "the vector given, wall clock in milliseconds on shared cores. Asked: p50 of at most 1 ms.\n\n"
        + table(["measure", "question", "came of it", "looks", "p50 ms", "p90 ms"], rows)
        + f"\n\nAn exact hit after an edit elsewhere in the corpus: p50 {numbers['the same words, after an edit']['p50']:.2f}"
        f" ms. The first look of a process reads all entries: {first:,.0f} ms. Storing into the full cache: p50 "
        f"{numbers['storing']['p50']:.1f} ms."
    )
    return Section(title=f"Lookup among {len(known):,} entries", text=text, numbers=numbers)


def questions(texts: Sequence[str], count: int) -> list[str]:
    """*count* different questions: the *texts*, then two of them together."""
    rng, found = np.random.default_rng(0), dict.fromkeys(texts[:count])
    while len(found) < count:
        one, two = rng.integers(len(texts), size=2).tolist()
        found[f"{texts[one]} {texts[two]}"] = None
    return list({normalised(text): text for text in found}.values())


def _cache(
    folder: Path, watch: Watch, embed: Callable[[str], Vector], embedder: StaticEmbedder
) -> SemanticCache:
    store = CacheStore(folder / "cache_speed.db", limits=Limits(entries=2 * ENTRIES, bytes=2**31))
    return SemanticCache(store, watch, embed, Likeness(embedder), embedded="speed", within={})


def _copied(file: Path, known: Sequence[str], embedder: StaticEmbedder) -> None:
    """Copy the only entry for all other questions, in one go: one by one it would take an hour."""
    likeness = Likeness(embedder)
    with sqlite3.connect(file) as database:
        database.row_factory = sqlite3.Row
        own = dict(database.execute("SELECT * FROM entries").fetchone())
        del own["number"]
        names = ", ".join(own)
        places = ", ".join(f":{name}" for name in own)

        def row(text: str) -> dict[str, Any]:
            return own | {
                "key": digest_of(normalised(text)),
                "query": text.encode(),
                "vector": unit(embedder.embed_query(text)).astype("<f4").tobytes(),
                "spoken": likeness.spoken(text).tokens.astype("<i4").tobytes(),
            }

        database.executemany(f"INSERT INTO entries ({names}) VALUES ({places})", map(row, known[1:]))
    database.close()


def _looked(cache: SemanticCache, texts: Sequence[str]) -> dict[str, list[float]]:
    """Milliseconds of each look, by what came of it."""
    for text in texts[:_WARM]:
        cache.look(text)
    taken: dict[str, list[float]] = {}
    for text in texts:
        begun = time.perf_counter()
        looked = cache.look(text)
        ms = (time.perf_counter() - begun) * 1000
        taken.setdefault("miss" if looked.hit is None else looked.hit.level, []).append(ms)
    return taken


def _times(work: Callable[[str], object], texts: Sequence[str]) -> list[float]:
    taken = []
    for text in texts:
        begun = time.perf_counter()
        work(text)
        taken.append((time.perf_counter() - begun) * 1000)
    return taken
