from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import os
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest

from conftest import FLAT, GUIDE
from ragweft import Chunk, Document, Index, Span
from ragweft.errors import (
    IndexLocked,
    InvalidFilter,
    LoadError,
    ProviderError,
    RagweftError,
    RecipeError,
    SpaceMismatch,
)
from ragweft.protocols import AsyncRetriever, Retriever
from ragweft.recipe import Chunking, Context, Dense, Recipe, Retrieval
from ragweft.testing import FixedReranker, HashEmbedder
from ragweft.types import Space


def sources(index: Index, query: str, **options: object) -> list[str]:
    return [Path(hit.citation.uri).name for hit in index.search(query, **options)]  # type: ignore[arg-type]


def test_from_a_folder_to_a_cited_hit(index: Index, docs: Path) -> None:
    report = index.sync(docs)
    assert (report.added, report.updated, report.removed, report.failed) == (3, 0, 0, ())
    results = index.search("how do I rotate a signing key?", k=2)
    best = results[0]
    assert "vault rotate" in best.chunk.text
    assert best.chunk.headings[-1] == "Rotating a key" or "Rotating a key" in best.chunk.text
    assert best.citation.source.endswith("guide.md")
    assert best.citation.title == "Keys"
    assert set(best.origins) == {"dense", "lexical", "late"}
    assert best.origins["lexical"].rank == 1
    assert [stage.name for stage in results.trace.stages] == ["dense", "lexical", "fuse", "late", "hydrate"]
    assert results.trace.generation == report.generation
    assert results.trace.degraded == ()


def test_citations_point_at_the_lines_of_the_file(index: Index, docs: Path) -> None:
    index.sync(docs)
    for name in ("guide.md", "src/server.py", "pudding.rst"):
        lines = (docs / name).read_text().splitlines()
        for hit in index.document((docs / name).as_uri()):
            assert hit.chunk.lines is not None
            first, last = hit.chunk.lines
            assert "\n".join(lines[first - 1 : last]).strip() == hit.chunk.text.strip()


def test_identifiers_are_found_by_their_parts(index: Index, docs: Path) -> None:
    index.sync(docs)
    assert sources(index, "handle timeout", k=1) == ["server.py"]
    assert sources(index, "parse_header", k=1) == ["server.py"]


def test_nothing_is_redone_for_an_unchanged_folder(index: Index, docs: Path) -> None:
    for path in docs.rglob("*"):
        os.utime(path, (1_600_000_000, 1_600_000_000))
    index.sync(docs)
    again = index.sync(docs)
    assert (again.added, again.updated, again.unchanged, again.chunks) == (0, 0, 3, 0)


def test_a_touched_file_is_read_but_not_indexed_again(index: Index, docs: Path) -> None:
    index.sync(docs)
    os.utime(docs / "guide.md", (1_600_000_000, 1_600_000_000))
    again = index.sync(docs)
    assert (again.updated, again.unchanged, again.chunks) == (0, 3, 0)


def test_edits_and_deletions_follow(index: Index, docs: Path) -> None:
    index.sync(docs)
    (docs / "guide.md").write_text(GUIDE.replace("vault rotate", "keyctl renew"))
    (docs / "pudding.rst").unlink()
    report = index.sync(docs)
    assert (report.updated, report.removed, report.unchanged) == (1, 1, 1)
    texts = [hit.chunk.text for hit in index.search("vault rotate keyctl pudding", k=20)]
    assert any("keyctl renew" in text for text in texts)
    assert not any("vault rotate" in text or "custard" in text for text in texts)


def test_an_edit_at_once_after_a_sync_is_seen(index: Index, docs: Path) -> None:
    """Same size, same time stamp: only the content differs."""
    file = docs / "guide.md"
    index.sync(docs)
    before = file.stat()
    file.write_text(GUIDE.replace("vault rotate", "vault change"))
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert index.sync(docs).updated == 1


def test_syncing_a_folder_touches_only_that_folder(index: Index, docs: Path) -> None:
    index.sync(docs)
    (docs / "guide.md").unlink()
    (docs / "src" / "server.py").unlink()
    assert index.sync(docs / "src").removed == 1
    assert index.status().documents == 2
    assert index.sync(docs).removed == 1


def test_a_search_in_a_folder_stays_there(index: Index, docs: Path) -> None:
    index.sync(docs)
    assert set(sources(index, "key timeout bread", k=20, sources=[docs / "src"])) == {"server.py"}
    assert set(sources(index, "key timeout bread", k=20, sources=[docs / "guide.md"])) == {"guide.md"}
    assert sources(index, "key", k=20, sources=[]) == []
    assert sources(index, "key", sources=docs / "nowhere") == []


def test_the_index_folder_inside_the_documents_is_not_indexed(docs: Path) -> None:
    with Index.open(docs / "kb", recipe=FLAT) as index:
        assert index.sync(docs).added == 3


def test_a_path_that_does_not_exist_is_an_error_with_a_next_step(index: Index, tmp_path: Path) -> None:
    with pytest.raises(LoadError, match=r"nowhere: there is no such file or folder; check the name$"):
        index.sync(tmp_path / "nowhere")
    gone = tmp_path / "gone.txt"
    gone.write_text("Some words.")
    index.sync(gone)
    gone.unlink()
    with pytest.raises(LoadError, match="check the name, or forget it with  ragweft remove "):
        index.sync(gone)
    with pytest.raises(LoadError, match="at least one"):
        index.sync()


def test_an_empty_folder_an_empty_file(index: Index, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert index.sync(tmp_path / "empty").added == 0
    (tmp_path / "empty" / "a.txt").write_text("")
    (tmp_path / "empty" / "b.txt").write_text(" \n\t\n")
    report = index.sync(tmp_path / "empty")
    assert (report.added, report.chunks, report.failed) == (2, 0, ())
    assert len(index.search("anything")) == 0


def test_a_file_that_becomes_empty_loses_its_chunks(index: Index, docs: Path) -> None:
    index.sync(docs)
    (docs / "guide.md").write_text("")
    index.sync(docs)
    assert "guide.md" not in sources(index, "rotate a signing key", k=20)


def test_a_file_that_becomes_binary_loses_its_chunks_and_is_named(index: Index, docs: Path) -> None:
    index.sync(docs)
    (docs / "guide.md").write_bytes(bytes(range(256)) * 20)
    report = index.sync(docs)
    assert [Path(f.source).name for f in report.failed] == ["guide.md"]
    assert "guide.md" not in sources(index, "rotate a signing key", k=20)


def test_k_is_exact(index: Index) -> None:
    index.add([Document(id=f"d{i}", text=f"alpha beta number {i}") for i in range(40)])
    for k in (1, 3, 17, 40):
        assert len(index.search("alpha", k=k)) == k
    assert len(index.search("alpha", k=99)) == 40
    with pytest.raises(ValueError, match="at least 1"):
        index.search("alpha", k=0)


def test_min_score_drops_the_tail(index: Index) -> None:
    index.add([Document(id=f"d{i}", text=f"alpha {'beta ' * i}") for i in range(10)])
    every = index.search("alpha beta", k=10)
    floor = every[4].score
    kept = index.search("alpha beta", k=10, min_score=floor)
    assert [hit.chunk.id for hit in kept] == [hit.chunk.id for hit in every if hit.score >= floor]
    assert len(index.search("alpha beta", min_score=2.0)) == 0


@pytest.mark.parametrize(
    "query",
    [
        "",
        "  \n",
        "🔑",
        "the of and",
        "key " * 12_500,
        "foo AND",
        "a:b",
        "*",
        "-x",
        '"',
        "[",
        "\x00",
        "钥匙",
        "?" * 99,
    ],
)
def test_any_query_gets_an_answer(index: Index, docs: Path, query: str) -> None:
    index.sync(docs)
    results = index.search(query)
    assert len(results) <= 5
    assert results.query == query


def test_searching_an_empty_index(index: Index) -> None:
    assert list(index.search("anything")) == []


def test_documents_from_a_program(index: Index) -> None:
    first = index.add([Document(id="a", text="rotate keys", metadata={"lang": "en"})])
    assert (first.added, first.chunks) == (1, 1)
    again = index.add([Document(id="a", text="rotate keys", metadata={"lang": "en"})])
    assert (again.unchanged, again.chunks) == (1, 0)
    changed = index.add([Document(id="a", text="bake bread", metadata={"lang": "en"})])
    assert (changed.updated, changed.chunks) == (1, 1)
    assert [hit.chunk.text for hit in index.search("rotate keys bread")] == ["bake bread"]
    assert index.text("a") == "bake bread"


def test_metadata_alone_makes_a_new_version_without_embedding(tmp_path: Path) -> None:
    embedder = HashEmbedder()
    with Index.open(tmp_path / "kb", recipe=FLAT, embedder=embedder) as index:
        index.add([Document(id="a", text="rotate keys", metadata={"v": 1})])
        calls = embedder.calls
        index.add([Document(id="a", text="rotate keys", metadata={"v": 2})])
        assert embedder.calls == calls
        assert [hit.chunk.metadata["v"] for hit in index.search("rotate", where={"v": 2})] == [2]
        assert len(index.search("rotate", where={"v": 1})) == 0


def test_chunks_from_a_program_keep_their_ids(index: Index) -> None:
    chunks = [
        Chunk(id="c1", document_id="d", text="rotate keys", span=Span(start=3, end=14)),
        Chunk(id="c2", document_id="d", text="bake bread", context="cooking"),
    ]
    assert index.add(chunks).chunks == 2
    assert {hit.chunk.id for hit in index.search("rotate bread", k=5)} == {"c1", "c2"}
    index.add(
        [Chunk(id="c2", document_id="d", text="bake cake"), Chunk(id="c3", document_id="d", text="steal")]
    )
    assert [(h.chunk.id, h.chunk.text) for h in index.document("d")] == [
        ("c1", "rotate keys"),
        ("c2", "bake cake"),
        ("c3", "steal"),
    ]


def test_duplicate_ids_are_refused(index: Index) -> None:
    with pytest.raises(LoadError, match="'a' is given twice"):
        index.add([Document(id="a", text="x"), Document(id="a", text="y")])
    with pytest.raises(LoadError, match="'c' is given twice"):
        index.add([Chunk(id="c", document_id="d", text="x"), Chunk(id="c", document_id="d", text="y")])
    index.add([Document(id="whole", text="x")])
    with pytest.raises(LoadError, match="given whole before"):
        index.add([Chunk(id="c", document_id="whole", text="x")])
    with pytest.raises(LoadError, match="got str"):
        index.add(["text"])  # type: ignore[list-item]


def test_odd_metadata(index: Index) -> None:
    metadata = {
        "none": None,
        "nested": {"a": {"b": [1, 2]}},
        "when": dt.date(2024, 5, 1),
        "big": 2**70,
        "l": ["a"],
    }
    index.add([Document(id="a", text="alpha", metadata=metadata)])
    (hit,) = index.search("alpha", where={"nested.a.b": 2, "when": {"$gte": dt.date(2024, 1, 1)}, "none": None})
    assert hit.chunk.metadata == {**metadata, "when": "2024-05-01"}
    with pytest.raises(LoadError, match="'score' is nan"):
        index.add([Document(id="b", text="beta", metadata={"score": float("nan")})])
    with pytest.raises(LoadError, match="surrogate"):
        index.add([Document(id="b", text="\ud800")])
    with pytest.raises(LoadError, match="id must be text"):
        index.add([Document(id="", text="beta")])
    assert index.status().documents == 1


def test_removal_by_id_source_and_filter(index: Index, docs: Path) -> None:
    index.sync(docs)
    index.add([Document(id=f"d{i}", text="alpha", metadata={"group": i % 2}) for i in range(6)])
    assert index.remove(ids=["d0", "unknown"]).removed == 1
    assert index.remove(where={"group": 1}).removed == 3
    assert index.remove(source=docs / "src").removed == 1
    assert index.remove(source=docs / "src").removed == 0
    assert index.status().documents == 4
    with pytest.raises(InvalidFilter, match="everything"):
        index.remove(where={})
    with pytest.raises(LoadError, match="name ids"):
        index.remove()


def test_filters_narrow_both_legs(index: Index) -> None:
    index.add(
        [Document(id=f"d{i}", text="alpha beta", metadata={"n": i, "tags": [f"t{i % 3}"]}) for i in range(300)]
    )
    hits = index.search("alpha", k=300, where={"tags": "t1", "n": {"$lt": 100}})
    assert sorted(hit.chunk.metadata["n"] for hit in hits) == list(range(1, 100, 3))
    assert len(index.search("alpha", where={"n": 299})) == 1
    assert len(index.search("alpha", where={"n": 300})) == 0
    with pytest.raises(InvalidFilter, match="unknown operator"):
        index.search("alpha", where={"n": {"$near": 3}})


def test_a_broad_filter_goes_deeper_until_the_pool_is_full(
    index: Index, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ragweft.ledger.scope.NARROW", 10)
    index.add([Document(id=f"d{i}", text=f"alpha {'alpha ' * (i % 5)}", metadata={"n": i}) for i in range(600)])
    hits = index.search("alpha", k=20, where={"n": {"$gte": 560}})
    assert len(hits) == 20
    assert all(hit.chunk.metadata["n"] >= 560 for hit in hits)


def test_async_twins_agree(index: Index, docs: Path) -> None:
    async def main() -> None:
        await index.sync_async(docs)
        await index.aadd([Document(id="a", text="rotate alpha")])
        query = "rotate a signing key"
        asynchronous = await index.asearch(query, k=4)
        synchronous = index.search(query, k=4)
        assert [(h.chunk.id, h.score) for h in asynchronous] == [(h.chunk.id, h.score) for h in synchronous]
        many = await asyncio.gather(*(index.asearch(query, k=4) for _ in range(20)))
        assert all([h.chunk.id for h in r] == [h.chunk.id for h in synchronous] for r in many)
        assert (await index.aremove(ids=["a"])).removed == 1

    asyncio.run(main())


def test_many_queries_at_once(index: Index, docs: Path) -> None:
    index.sync(docs)
    queries = ["rotate a key", "bread", "timeout"] * 5
    together = index.search_many(queries, k=2)
    assert [r.query for r in together] == queries
    for query, results in zip(queries, together, strict=True):
        assert [h.chunk.id for h in results] == [h.chunk.id for h in index.search(query, k=2)]


def test_an_index_is_a_retriever(index: Index) -> None:
    assert isinstance(index, Retriever)
    assert isinstance(index, AsyncRetriever)
    assert "Hybrid(dense(static:wordllama-l2-supercat), lexical(bm25))" in repr(index)


def test_explain_says_where_a_chunk_stands(index: Index, docs: Path) -> None:
    index.sync(docs)
    (pudding,) = index.document((docs / "pudding.rst").as_uri())
    found = index.explain("rotate a signing key", pudding.chunk.id)
    assert found is None or found.origins["dense"].rank > 1
    best = index.search("butter the bread")[0]
    same = index.explain("butter the bread", best.chunk.id)
    assert same is not None
    assert same.origins["lexical"].rank == best.origins["lexical"].rank


def test_a_reranker_has_the_last_word(tmp_path: Path, docs: Path) -> None:
    reranker = FixedReranker({"custard": 9.0, "timeout": 5.0})
    with Index.open(tmp_path / "kb", recipe=FLAT, reranker=reranker) as index:
        index.sync(docs)
        results = index.search("how do I rotate a signing key?", k=2)
        assert "custard" in results[0].chunk.text
        assert results[0].origins["rerank"].score == 9.0
        assert results[0].origins["rerank"].share > 0
        assert len(results) == 2
        assert "Reranked(Hybrid(" in repr(index)


class BrokenReranker:
    name = "broken"

    def rerank(self, query: str, hits: object) -> list[float]:
        raise ProviderError("the service is down", retryable=True)


class ShortReranker:
    name = "short"

    def rerank(self, query: str, hits: object) -> list[float]:
        return [1.0]


@pytest.mark.parametrize("reranker", [BrokenReranker(), ShortReranker()])
def test_a_failing_reranker_leaves_the_fused_order(
    tmp_path: Path, docs: Path, reranker: BrokenReranker | ShortReranker
) -> None:
    with Index.open(tmp_path / "kb", recipe=FLAT) as plain:
        plain.sync(docs)
        expected = [hit.chunk.id for hit in plain.search("rotate a key")]
    with Index.open(tmp_path / "kb", reranker=reranker) as index:
        for results in (index.search("rotate a key"), asyncio.run(index.asearch("rotate a key"))):
            assert [hit.chunk.id for hit in results] == expected
            assert any(reranker.name in line for line in results.trace.degraded)


class Failing(HashEmbedder):
    broken = False

    def embed_query(self, text: str) -> np.ndarray:
        if self.broken:
            raise ProviderError("503 from the provider", retryable=True)
        return super().embed_query(text)

    def embed_documents(self, texts: object) -> np.ndarray:
        if self.broken:
            raise ProviderError("503 from the provider", retryable=True)
        return super().embed_documents(texts)  # type: ignore[arg-type]


def test_a_failing_leg_degrades_the_answer(tmp_path: Path, docs: Path) -> None:
    embedder = Failing()
    with Index.open(tmp_path / "kb", recipe=FLAT, embedder=embedder) as index:
        index.sync(docs)
        embedder.broken = True
        results = index.search("rotate a signing key")
        assert "vault rotate" in results[0].chunk.text
        assert results.trace.degraded == ("dense search failed: 503 from the provider",)
        assert set(results[0].origins) == {"lexical", "late"}


def test_a_failing_embedder_loses_nothing_that_was_committed(tmp_path: Path, docs: Path) -> None:
    embedder = Failing()
    with Index.open(tmp_path / "kb", recipe=FLAT, embedder=embedder) as index:
        index.sync(docs / "src")
        embedder.broken = True
        with pytest.raises(ProviderError, match="503"):
            index.sync(docs)
        assert index.status().documents == 1
        embedder.broken = False
        assert index.sync(docs).added == 2


@pytest.mark.parametrize("fault", ["count", "nan", "dims"])
def test_wrong_vectors_are_refused(tmp_path: Path, fault: str) -> None:
    class Wrong(HashEmbedder):
        def embed_documents(self, texts: object) -> np.ndarray:
            good = super().embed_documents(texts)  # type: ignore[arg-type]
            if fault == "count":
                return good[:-1]
            if fault == "dims":
                return good[:, :-1]
            good[0, 0] = np.nan
            return good

    with Index.open(tmp_path / "kb", recipe=FLAT, embedder=Wrong()) as index:
        with pytest.raises(ProviderError, match="nothing was stored"):
            index.add([Document(id="a", text="x"), Document(id="b", text="y")])
        assert index.status().documents == 0


def test_another_embedder_is_refused(tmp_path: Path) -> None:
    with Index.open(tmp_path / "kb", recipe=FLAT, embedder=HashEmbedder()) as empty:
        assert empty.status().space.startswith("hash:words")
    with Index.open(tmp_path / "kb") as index:
        assert "wordllama" in index.status().space, "an index nothing was put into takes another embedder"
        index.add(Document(id="a", text="alpha"))
    with pytest.raises(SpaceMismatch) as caught:
        Index.open(tmp_path / "kb", embedder=HashEmbedder())
    assert "wordllama" in str(caught.value)
    assert str(Space(model="hash:words", dims=64)) in str(caught.value)


def test_recipes(tmp_path: Path) -> None:
    with Index.open(tmp_path / "kb", recipe="contextual-retrieval") as made:
        assert made.recipe.retrieval.fusion == "rrf"
        made.add(Document(id="a", text="alpha"))
    with Index.open(tmp_path / "kb") as again:
        assert again.recipe == made.recipe
    searching = Recipe(
        chunking=made.recipe.chunking, context=made.recipe.context, retrieval=Retrieval(fusion="dbsf")
    )
    with Index.open(tmp_path / "kb", recipe=searching) as other:
        assert other.recipe.retrieval.fusion == "dbsf"
    with pytest.raises(RecipeError, match=r"chunking.size is 500 and not 200"):
        Index.open(tmp_path / "kb", recipe=Recipe(chunking=Chunking(size=200)))
    (tmp_path / "kb" / "ragweft.toml").write_text("[retrieval]\nk = 'five'\n")
    with pytest.raises(RecipeError, match="line 2"):
        Index.open(tmp_path / "kb")


@pytest.mark.parametrize("fusion", ["convex", "rrf", "dbsf", "zscore"])
def test_every_fusion_finds_the_passage(tmp_path: Path, docs: Path, fusion: str) -> None:
    recipe = Recipe(dense=Dense(engine="flat"), retrieval=Retrieval(fusion=fusion))
    with Index.open(tmp_path / "kb", recipe=recipe) as index:
        index.sync(docs)
        results = index.search("rotate a signing key")
        assert "vault rotate" in results[0].chunk.text
        assert {"dense", "lexical", "late"} <= set(results[0].origins)
        assert all(0.0 <= hit.score <= 1.0 + 1e-9 for hit in results), "whatever the fusion, one scale"
    plain = replace(recipe, retrieval=replace(recipe.retrieval, late_weight=0.0, document_weight=0.0))
    with Index.open(tmp_path / "kb", recipe=plain) as index:
        best = index.search("rotate a signing key")[0]
        assert set(best.origins) == {"dense", "lexical"}
        assert best.score == pytest.approx(sum(origin.share for origin in best.origins.values()), abs=1e-6)


def test_an_edited_recipe_rechunks_on_the_next_sync(tmp_path: Path, docs: Path) -> None:
    with Index.open(tmp_path / "kb", recipe=FLAT) as index:
        index.sync(docs)
    file = tmp_path / "kb" / "ragweft.toml"
    file.write_text(file.read_text().replace('kind = "outline"', 'kind = "none"'))
    with Index.open(tmp_path / "kb") as index:
        assert index.recipe.context == Context(kind="none")
        assert index.sync(docs).updated == 3
        assert all(hit.chunk.context == "" for hit in index.search("key", k=10))


def test_an_edited_language_rebuilds_only_the_word_index(tmp_path: Path) -> None:
    embedder = HashEmbedder()
    with Index.open(tmp_path / "kb", recipe=FLAT, embedder=embedder) as index:
        index.add([Document(id="a", text="die Häuser brennen")])
    calls = embedder.calls
    file = tmp_path / "kb" / "ragweft.toml"
    file.write_text(file.read_text().replace('language = "english"', 'language = "german"'))
    with Index.open(tmp_path / "kb", embedder=embedder) as index:
        (hit,) = index.search("Haus")
        assert "lexical" in hit.origins or index.verify().ok
        assert "lexical" in index.search("Haus")[0].origins
    assert embedder.calls == calls


def test_a_missing_index_is_not_made_by_a_reader(tmp_path: Path) -> None:
    with pytest.raises(IndexLocked, match="ragweft sync"):
        Index.open(tmp_path / "kb", create=False)
    assert not (tmp_path / "kb").exists()


def test_a_closed_index_says_so(tmp_path: Path) -> None:
    index = Index.open(tmp_path / "kb", recipe=FLAT)
    index.close()
    index.close()
    with pytest.raises(RagweftError, match="open it again"):
        index.search("x")


def test_reading_a_folder_that_cannot_be_written(tmp_path: Path, docs: Path) -> None:
    with Index.open(tmp_path / "kb", recipe=FLAT) as index:
        index.sync(docs)
        expected = [(hit.chunk.id, hit.score) for hit in index.search("rotate a key")]
    before = {p: p.stat().st_mtime_ns for p in sorted((tmp_path / "kb").rglob("*"))}
    with Index.open(tmp_path / "kb", read_only=True) as reader:
        assert [(hit.chunk.id, hit.score) for hit in reader.search("rotate a key")] == expected
        assert reader.status().documents == 3
        assert reader.verify(repair=False).ok
        with pytest.raises(IndexLocked, match="read-only"):
            reader.sync(docs)
        with pytest.raises(IndexLocked, match="read-only"):
            reader.add([])
        with pytest.raises(IndexLocked, match="read-only"):
            reader.remove(ids=["a"])
    assert {p: p.stat().st_mtime_ns for p in sorted((tmp_path / "kb").rglob("*"))} == before


def test_an_index_can_be_moved(tmp_path: Path, docs: Path) -> None:
    with Index.open(tmp_path / "kb", recipe=FLAT) as index:
        index.sync(docs)
        expected = [hit.chunk.id for hit in index.search("rotate a key")]
    shutil.move(tmp_path / "kb", tmp_path / "moved")
    with Index.open(tmp_path / "moved") as index:
        assert [hit.chunk.id for hit in index.search("rotate a key")] == expected


def test_chroma_follows_and_any_chroma_client_can_read_it(tmp_path: Path, docs: Path) -> None:
    import chromadb

    with Index.open(tmp_path / "kb") as index:
        report = index.sync(docs)
        index.add([Document(id="a", text="alpha", metadata={"lang": "en", "n": 3})])
        states = {state.name: state for state in index.status().followers}
        assert states["chroma"].level
        assert states["chroma"].rows == report.chunks + 1
    client = chromadb.PersistentClient(str(tmp_path / "kb" / "chroma"))
    with contextlib.closing(cast("Any", client)):
        got = client.get_collection("ragweft", embedding_function=None).get(where={"document_id": "a"})
        assert got["metadatas"] is not None
        assert {k: got["metadatas"][0][k] for k in ("document_id", "lang", "n")} == {
            "document_id": "a",
            "lang": "en",
            "n": 3,
        }


def test_the_chroma_engine_gives_the_exact_answer_on_a_small_index(tmp_path: Path, docs: Path) -> None:
    with Index.open(tmp_path / "kb", recipe=Recipe(dense=Dense(engine="chroma"))) as index:
        index.sync(docs)
        through = index.search("rotate a signing key")
        assert any(stage.note == "Chroma" for stage in through.trace.stages)
    with Index.open(tmp_path / "kb", recipe=FLAT) as index:
        exact = index.search("rotate a signing key")
    assert [(h.chunk.id, h.score) for h in through] == [(h.chunk.id, h.score) for h in exact]


def test_progress_is_heard(index: Index, docs: Path) -> None:
    heard: list[tuple[str, int, int | None]] = []
    index.sync(docs, progress=lambda stage, done, total: heard.append((stage, done, total)))
    assert heard[-1][1] == heard[-1][2]
    assert {stage for stage, _, _ in heard} >= {"indexing"}
