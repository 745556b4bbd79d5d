"""Faults an adversarial review found, each as the test that shows it."""

from __future__ import annotations

import asyncio
import os
import shutil
import sqlite3
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
from ragweft.ledger.locks import FolderLock
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
    parts = index._serving.engine.parts
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
        for slot in index._serving.engine.parts.followers.every:
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
        slot = index._serving.engine.parts.followers.flat
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
        planner: Any = type(index._serving.engine.parts.planner)
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


def test_a_document_given_whole_goes_whole(tmp_path: Path) -> None:
    from ragweft.types import chunk_id

    class Paged:
        fingerprint = "paged/1"

        def chunk(self, document: Document) -> list[Chunk]:
            out = []
            for page, start in enumerate(range(0, len(document.text), 10)):
                span = Span(start=start, end=min(start + 10, len(document.text)))
                text = document.text[span.start : span.end]
                name = chunk_id(document.id, span, text)
                out.append(
                    Chunk(
                        id=name,
                        document_id=document.id,
                        text=text,
                        ordinal=page,
                        span=span,
                        metadata={"page": page},
                    )
                )
            return out

    with Index.open(tmp_path / "kb", recipe=FLAT, chunker=Paged()) as index:
        index.add(Document(id="whole", text="alpha beta gamma delta epsilon"))
        index.add(Document(id="other", text="alpha"))
        assert index.remove(where={"page": 1}).removed == 1
        assert index.text("whole") is None
        assert {hit.chunk.document_id for hit in index.search("alpha", k=9)} == {"other"}


def test_an_empty_source_means_nothing_not_everything(index: Index) -> None:
    with pytest.raises(LoadError, match="empty"):
        index.remove(source="")
    with pytest.raises(LoadError, match="empty"):
        index.search("x", sources=[""])


def test_a_file_another_sync_has_met_again_is_not_removed(tmp_path: Path, docs: Path) -> None:
    class Gated(HashEmbedder):
        def embed_documents(self, texts: Any) -> Any:
            reading.set()
            assert going.wait(20)
            return super().embed_documents(texts)

    reading, going = threading.Event(), threading.Event()
    with (
        Index.open(tmp_path / "kb", recipe=FLAT, embedder=HashEmbedder()) as first,
        Index.open(tmp_path / "kb", embedder=Gated()) as second,
    ):
        first.sync(docs)
        (docs / "guide.md").rename(tmp_path / "guide.md")
        (docs / "new.md").write_text("gamma")
        syncing = threading.Thread(target=second.sync, args=(docs,))
        syncing.start()
        assert reading.wait(20)
        (docs / "guide.md").write_text("alpha again")
        assert first.sync(docs).updated == 1
        going.set()
        syncing.join()
        assert "alpha again" in [hit.chunk.text for hit in first.search("alpha again")]


def test_a_time_stamp_is_noted_only_for_the_content_it_belongs_to(index: Index, docs: Path) -> None:
    index.sync(docs)
    uri = (docs / "guide.md").as_uri()
    seen = index.ledger.states_of([uri])[uri]
    (docs / "guide.md").write_text("other content")
    index.sync(docs)
    index.ledger.touch([seen])
    assert index.ledger.states_of([uri])[uri].size != seen.size


def test_a_reader_of_a_folder_that_is_written_sees_every_commit(tmp_path: Path) -> None:
    with (
        Index.open(tmp_path / "kb", recipe=FLAT) as writer,
        Index.open(tmp_path / "kb", read_only=True) as reader,
    ):
        writer.add(Document(id="a", text="alpha"))
        assert len(reader.search("alpha")) == 1
        writer.add([Document(id="b", text="zebra"), Document(id="a", text="alpha changed")])
        assert reader.search("zebra")[0].chunk.document_id == "b"
        (hit,) = [hit for hit in reader.search("alpha") if hit.chunk.document_id == "a"]
        assert hit.chunk.text == "alpha changed"
        assert set(hit.origins) == {"dense", "lexical", "late"}


def test_a_missing_vector_costs_no_sound_follower(index: Index) -> None:
    import sqlite3

    from ragweft import RagweftError

    index.add([Document(id=str(n), text=f"alpha {n}") for n in range(50)])
    commit_only(index, Document(id="n", text="alpha beta"))
    connection = sqlite3.connect(index.path / "vectors.db")
    connection.execute("DELETE FROM vectors WHERE id = (SELECT max(id) FROM vectors)")
    connection.commit()
    connection.close()
    with pytest.raises(RagweftError, match="1 vectors are missing"):
        index.catch_up()
    assert len(index._serving.engine.parts.followers.flat.get()) == 50
    results = index.search("alpha")
    assert len(results) == 5
    assert "vectors are missing" in results.trace.degraded[0]


def test_what_stands_in_the_way_of_mending_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Index.open(tmp_path / "kb", recipe=FLAT) as index:
        index.add([Document(id="a", text="the tide turns")])
    shutil.rmtree(tmp_path / "kb" / "flat")
    monkeypatch.setattr("ragweft.ledger.followers._LOCK_SECONDS", 0.1)
    held = FolderLock(tmp_path / "kb" / "flat.lock")
    held.acquire(1.0)
    with Index.open(tmp_path / "kb") as index:
        try:
            found = index.verify()
        finally:
            held.release()
        assert not found.ok
        assert found.mended == ()
        behind, blocked = found.findings
        assert behind.startswith("flat: ")
        assert blocked.startswith("flat: could not be mended: ")
        assert "another process" in blocked
        assert index.verify().mended == ("flat",)


def test_searches_go_on_while_chroma_catches_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from ragweft.recipe import Dense, Recipe

    with Index.open(
        tmp_path / "kb", recipe=Recipe(dense=Dense(engine="chroma")), embedder=HashEmbedder()
    ) as index:
        index.add([Document(id=str(n), text=f"alpha {n}") for n in range(20)])
        slot = index._serving.engine.parts.followers.chroma
        assert slot is not None
        feed, feeding, going = slot._feed, threading.Event(), threading.Event()

        def slowly(*arguments: Any) -> None:
            feeding.set()
            assert going.wait(20)
            feed(*arguments)

        monkeypatch.setattr(slot, "_feed", slowly)
        adding = threading.Thread(target=index.add, args=(Document(id="new", text="alpha new"),))
        adding.start()
        assert feeding.wait(20)
        assert len(index.search("alpha", k=30)) == 21
        going.set()
        adding.join()


def test_a_chroma_that_cannot_be_opened_is_left_to_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ragweft.errors import ProviderError

    def broken(_path: Path) -> Any:
        raise ProviderError("chromadb is broken here", retryable=False)

    with Index.open(tmp_path / "kb", embedder=HashEmbedder()) as first:
        monkeypatch.setattr(first._serving.engine.parts.followers.chroma, "_opens", broken)
        assert "broken here" in first.add(Document(id="a", text="alpha")).warnings[0]
        with Index.open(tmp_path / "kb", embedder=HashEmbedder()) as second:
            assert second.add(Document(id="b", text="beta")).warnings == ()
            assert second.verify(repair=False).ok


def test_a_closed_index_stays_closed_under_a_search(tmp_path: Path) -> None:
    index = Index.open(tmp_path / "kb", recipe=FLAT, embedder=HashEmbedder())
    index.add(Document(id="a", text="alpha"))
    slots = index._serving.engine.parts.followers.every
    index.close()
    index.close()
    for slot in slots:
        with pytest.raises(Exception, match="open it again"):
            slot.get()
        slot.heal()
        assert slot._healing is None


def test_a_fork_in_the_middle_of_opening_leaves_the_child_free(tmp_path: Path) -> None:
    with Index.open(tmp_path / "kb", recipe=FLAT, embedder=HashEmbedder()) as index:
        index.add(Document(id="a", text="alpha"))
        slot = index._serving.engine.parts.followers.flat
        held, done = threading.Event(), threading.Event()

        def hold() -> None:
            with slot._guard:
                held.set()
                done.wait(30)

        holder = threading.Thread(target=hold)
        holder.start()
        assert held.wait(10)
        child = os.fork()
        if child == 0:
            import signal

            signal.alarm(15)
            os._exit(0 if len(index.search("alpha")) == 1 else 1)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        done.set()
        holder.join()
        assert status == 0


def test_what_is_added_may_be_made_by_code_that_writes(index: Index) -> None:
    index.add(Document(id="old", text="alpha"))

    def items() -> Any:
        index.remove(ids=["old"])
        yield Document(id="new", text="alpha")

    index.add(items())
    assert [hit.chunk.document_id for hit in index.search("alpha")] == ["new"]


def test_a_reranker_that_returns_no_number_is_said_to_have_failed(tmp_path: Path) -> None:
    class Nan:
        name = "nan"

        def rerank(self, query: str, hits: Any) -> list[float]:
            return [float("nan")] * len(hits)

    with Index.open(tmp_path / "kb", recipe=FLAT, reranker=Nan()) as index:
        index.add(Document(id="a", text="alpha"))
        results = index.search("alpha")
        assert "nan gave a score that is no number" in results.trace.degraded[0]


def test_documents_of_one_id_from_a_loader_are_named(tmp_path: Path, docs: Path) -> None:
    class Same:
        def load(self, path: Path) -> Document:
            return Document(id="same", text=path.read_text(), source=path.as_uri())

    with (
        Index.open(tmp_path / "kb", recipe=FLAT, loader=Same()) as index,
        pytest.raises(LoadError, match="'same' comes 3 times"),
    ):
        index.sync(docs)


def test_a_commit_that_is_interrupted_says_so(index: Index, monkeypatch: pytest.MonkeyPatch) -> None:
    from sqlalchemy import Connection

    execute = Connection.execute
    armed = [True]

    def interrupted(self: Connection, statement: Any, *rest: Any) -> Any:
        if str(statement).startswith("INSERT INTO journal") and armed and armed.pop():
            self.invalidate()  # what SQLAlchemy does when Ctrl-C lands inside the statement
            raise KeyboardInterrupt
        return execute(self, statement, *rest)

    monkeypatch.setattr(Connection, "execute", interrupted)
    with pytest.raises(KeyboardInterrupt):
        index.add(Document(id="a", text="alpha"))
    assert not armed
    index.add(Document(id="b", text="alpha"))
    assert [hit.chunk.document_id for hit in index.search("alpha")] == ["b"]


@pytest.mark.parametrize("done", [False, True])
def test_ctrl_c_around_the_end_of_a_transaction(
    index: Index, monkeypatch: pytest.MonkeyPatch, done: bool
) -> None:
    from ragweft.ledger import database

    armed = [True]

    class Interrupted:
        def __init__(self, driver: sqlite3.Connection) -> None:
            self.driver = driver

        def execute(self, statement: str, *rest: Any) -> Any:
            if statement == "COMMIT" and self.driver.total_changes and armed and armed.pop():
                if done:
                    self.driver.execute(statement)
                raise KeyboardInterrupt
            return self.driver.execute(statement, *rest)

    driver = database._driver
    monkeypatch.setattr(database, "_driver", lambda connection: Interrupted(driver(connection)))
    with pytest.raises(KeyboardInterrupt):
        index.add(Document(id="a", text="alpha"))
    assert not armed
    index.add(Document(id="b", text="alpha"))
    assert index.search("alpha")[0].chunk.document_id in ("a", "b")
