"""Faults an adversarial review found, each as the test that shows it."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from conftest import FLAT
from ragweft import Chunk, Document, Index, Span
from ragweft.errors import InvalidFilter, LoadError
from ragweft.ingestion.pipeline import Loaded
from ragweft.testing import HashEmbedder


def test_chunks_added_to_one_document_by_two_processes_all_stay(tmp_path: Path) -> None:
    Index.open(tmp_path / "kb", recipe=FLAT).close()
    code = (
        "import sys, time\n"
        "from ragweft import Chunk, Index\n"
        "with Index.open(sys.argv[1]) as index:\n"
        "    index.search('warm')\n"
        "    time.sleep(max(0.0, float(sys.argv[3]) - time.time()))\n"
        "    for n in range(10):\n"
        "        index.add([Chunk(id=f'{sys.argv[2]}-{n}', document_id='doc', text=f'passage {sys.argv[2]} {n}')])\n"
    )
    start = str(time.time() + 3)
    command = [sys.executable, "-c", code, str(tmp_path / "kb")]
    both = [subprocess.Popen([*command, name, start]) for name in "AB"]
    assert [process.wait(60) for process in both] == [0, 0]
    with Index.open(tmp_path / "kb") as index:
        chunks = [hit.chunk for hit in index.document("doc")]
        assert len({chunk.id for chunk in chunks}) == 20
        assert [chunk.ordinal for chunk in chunks] == list(range(20))


def test_every_document_of_a_source_is_removed(index: Index) -> None:
    index.add([Document(id=name, text=f"secret {name}", source="s://x/1") for name in "ab"])
    assert index.remove(source="s://x/1").removed == 2
    assert len(index.search("secret")) == 0


def test_removal_forgets_exactly_what_a_search_with_the_filter_finds(index: Index, docs: Path) -> None:
    index.add([Chunk(id="en", document_id="d", text="alpha", metadata={"lang": "en"})])
    index.add([Chunk(id="de", document_id="d", text="alpha", metadata={"lang": "de"})])
    assert index.remove(where={"lang": {"$exists": False}}).removed == 0
    assert len(index.search("alpha")) == 2
    assert index.remove(where={"lang": {"$ne": "en"}}).removed == 0, "the document keeps its other chunk"
    assert [hit.chunk.id for hit in index.search("alpha")] == ["en"]
    assert index.remove(where={"lang": "en"}).removed == 1
    index.sync(docs)
    uri = (docs / "guide.md").as_uri()
    assert index.remove(where={"source": {"$ne": uri}}).removed == 2
    assert {hit.chunk.document_id for hit in index.search("key bread timeout", k=20)} == {uri}


def test_metadata_cannot_claim_another_source(index: Index) -> None:
    index.add([Document(id="a", text="secret", source="s://b/1", metadata={"source": "s://a/1"})])
    assert len(index.search("secret", sources=["s://a"])) == 0
    assert len(index.search("secret", sources=["s://b"])) == 1


@pytest.mark.parametrize("source", ["notes/a.md", "urn:isbn:1", "/abs/a.md"])
def test_sources_are_found_by_the_name_they_were_given(index: Index, source: str) -> None:
    index.add([Document(id="a", text="alpha", source=source), Document(id="b", text="alpha")])
    index.add([Document(id="c", text="alpha", metadata={"source": source})])
    assert {hit.chunk.document_id for hit in index.search("alpha", sources=[source])} == {"a", "c"}
    assert index.remove(source=source).removed == 2


def test_a_sync_leaves_documents_of_a_program_alone(index: Index, docs: Path) -> None:
    pdf = docs / "report.pdf"
    pdf.write_bytes(b"%PDF-1.4")
    index.add([Document(id="report", text="extracted text", source=pdf.as_uri())])
    assert index.sync(docs).removed == 0
    assert index.search("extracted text")[0].chunk.document_id == "report"


class Rising:
    name = "rising"

    def rerank(self, query: str, hits: Any) -> list[float]:
        return [0.01 * n for n in range(len(hits))]


def test_min_score_is_about_the_final_score(tmp_path: Path) -> None:
    with Index.open(tmp_path / "kb", recipe=FLAT, reranker=Rising()) as index:
        index.add([Document(id=str(n), text=f"alpha {n}") for n in range(5)])
        for results in (
            index.search("alpha", min_score=0.02),
            asyncio.run(index.asearch("alpha", min_score=0.02)),
        ):
            assert [hit.score for hit in results] == pytest.approx([0.04, 0.03, 0.02])
        assert len(index.search("alpha", min_score=0.5)) == 0


def test_a_chunk_given_again_with_another_span_has_that_span(index: Index) -> None:
    index.add([Chunk(id="c", document_id="d", text="hello", span=Span(start=0, end=5))])
    index.add([Chunk(id="c", document_id="d", text="hello", span=Span(start=10, end=15))])
    hit = index.chunk("c")
    assert hit is not None
    assert hit.chunk.span == Span(start=10, end=15)


def test_what_cannot_be_stored_or_tested_is_refused_in_one_line(index: Index) -> None:
    deep: dict[str, Any] = {}
    for _ in range(5000):
        deep = {"$not": deep}
    for document in (
        Document(id="a", text="x", metadata={"t": "\ud800"}),
        Document(id="\ud800", text="x"),
        Document(id="a", text="x", title="\ud800"),
        Document(id="a", text="x", metadata=deep),
    ):
        with pytest.raises(LoadError):
            index.add([document])
    with pytest.raises(InvalidFilter, match="nested"):
        index.search("x", where=deep)
    with pytest.raises(InvalidFilter, match="expected an object"):
        index.search("x", where=[])  # type: ignore[arg-type]
    with pytest.raises(InvalidFilter, match="unknown operator"):
        index.search("  ", where={"a": {"$near": 1}})
    assert len(index.search("\ud800 x", where={"a": "\ud800"})) == 0


def commit_only(index: Index, *documents: Document) -> None:
    """Commit as a process does that dies before it levels the followers."""
    parts = index._parts
    prepared = parts.pipeline.prepare([Loaded(document=document) for document in documents])
    parts.ledger.commit(prepared, kind="add")


def test_rows_of_an_apply_cut_short_die_with_their_documents(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ragweft.ledger.followers._BATCH", 4)

    class Stop(Exception):
        pass

    def stop(_done: int, _total: int) -> None:
        raise Stop

    with Index.open(tmp_path / "kb", recipe=FLAT, embedder=HashEmbedder()) as index:
        index.add([Document(id="base", text="base")])
        commit_only(index, *(Document(id=str(n), text=f"alpha {n}") for n in range(10)))
        for slot in index._parts.followers.every:
            with pytest.raises(Stop):
                slot.catch_up(progress=stop)
            assert slot.state().note == ""
        index.remove(ids=["0", "1"])
        assert index.verify(repair=False).findings == ()


@pytest.mark.parametrize("query", ["\U0001f600", "+++"])
def test_a_query_without_content_is_near_to_nothing(tmp_path: Path, query: str) -> None:
    with Index.open(tmp_path / "kb", recipe=FLAT, embedder=HashEmbedder()) as index:
        index.add([Document(id="base", text="c++ base")])
        commit_only(index, *(Document(id=str(n), text=f"alpha {n} word") for n in range(3)))
        assert list(index.search(query)) == []


def test_damage_met_by_a_search_and_a_writer_at_once_stops_neither(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ragweft.ledger.followers._LOCK_SECONDS", 20.0)
    with Index.open(tmp_path / "kb", recipe=FLAT) as index:
        index.add([Document(id=str(n), text=f"alpha {n}") for n in range(5)])
    vectors = next((tmp_path / "kb" / "flat").glob("segment*.vectors"))
    raw = bytearray(vectors.read_bytes())
    raw[10] ^= 255
    vectors.write_bytes(raw)
    with Index.open(tmp_path / "kb") as index:
        slot = index._parts.followers.flat
        opens = slot._opens
        opening = threading.Event()

        def slowly(path: Path) -> Any:
            opening.set()
            time.sleep(0.5)
            return opens(path)

        monkeypatch.setattr(slot, "_opens", slowly)
        errors: list[Exception] = []

        def run(call: Any) -> None:
            try:
                call()
            except Exception as error:  # noqa: BLE001
                errors.append(error)

        searching = threading.Thread(target=run, args=(lambda: index.search("alpha"),))
        searching.start()
        assert opening.wait(10)
        writing = threading.Thread(target=run, args=(index.catch_up,))
        writing.start()
        for thread in (searching, writing):
            thread.join(15)
            assert not thread.is_alive(), "the two wait for one another"
        assert errors == []
        assert index.verify().ok


def test_an_async_search_never_holds_up_the_loop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Native(HashEmbedder):
        async def aembed_query(self, text: str) -> Any:
            return self.embed_query(text)

    with Index.open(tmp_path / "kb", recipe=FLAT, embedder=Native()) as index:
        index.add([Document(id="a", text="alpha")])
        thread_of_loop = threading.get_ident()
        planner = type(index._hybrid._legs[0]._planner)  # type: ignore[attr-defined]
        search = planner.search
        threads: list[int] = []

        def noted(self: Any, *args: Any, **options: Any) -> Any:
            threads.append(threading.get_ident())
            return search(self, *args, **options)

        monkeypatch.setattr(planner, "search", noted)
        assert len(asyncio.run(index.asearch("alpha"))) == 1
        assert threads
        assert thread_of_loop not in threads


def test_the_levelling_process_trusts_no_module_of_the_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ragweft.ingestion.leveller._ALONE_SECONDS", -1.0)
    monkeypatch.chdir(tmp_path)
    mark = tmp_path / "ran"
    for name in ("signal.py", "json.py", "numpy.py", "ragweft.py"):
        (tmp_path / name).write_text(f"open({os.fspath(mark)!r}, 'w').close()\nraise SystemExit(1)\n")
    with Index.open(tmp_path / "kb", recipe=FLAT, embedder=HashEmbedder()) as index:
        index.add([Document(id="a", text="alpha")])
        assert index.verify(repair=False).ok
    assert not mark.exists()
