"""What goes wrong while questions are remembered costs a call, never an answer."""

from __future__ import annotations

import os
import sqlite3
import stat
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from conftest import FLAT
from paid_questions import QUESTION, REMEMBERED, Priced, filled, note, rows
from provider_double.chat import wait_for
from ragweft import Index
from ragweft.assembly import build_parts
from ragweft.tuning.remembered import asked_vectors


def test_a_damaged_vector_is_asked_for_again_and_mended(tmp_path: Path) -> None:
    embedder = Priced()
    folder = filled(tmp_path / "kb", embedder)
    with Index.open(folder, embedder=embedder) as index:
        index.search(QUESTION)
    with closing(sqlite3.connect(folder / "vectors.db")) as file, file:
        file.execute("UPDATE query_vectors SET vector = ?", (np.full(32, np.nan, dtype="<f4").tobytes(),))
    notes = []
    for _ in range(2):
        with Index.open(folder, embedder=embedder) as index:
            notes.append(note(index.search(QUESTION)))
    assert [REMEMBERED in said for said in notes] == [False, True]
    assert embedder.asked == [QUESTION] * 2


def test_a_damaged_vector_of_the_corpus_own_question_is_mended(tmp_path: Path) -> None:
    embedder = Priced()
    with closing(
        build_parts(tmp_path, FLAT, embedder, chunker=None, contextualizer=None, read_only=False)
    ) as parts:
        first = asked_vectors(parts, [QUESTION])
        with closing(sqlite3.connect(tmp_path / "vectors.db")) as file, file:
            file.execute("UPDATE vectors SET vector = ?", (np.zeros(32, dtype="<f4").tobytes(),))
        for _ in range(2):
            np.testing.assert_array_equal(asked_vectors(parts, [QUESTION]), first)
    assert embedder.asked == [QUESTION] * 2


def test_a_table_that_cannot_be_read_costs_a_call_and_no_answer(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    embedder = Priced()
    folder = filled(tmp_path / "kb", embedder)
    with Index.open(folder, embedder=embedder) as index:
        with closing(sqlite3.connect(folder / "vectors.db")) as file, file:
            file.execute("DROP TABLE query_vectors")
            file.execute("CREATE TABLE query_vectors (other TEXT)")
        found = index.search(QUESTION)
    assert found
    assert not found.trace.degraded
    assert embedder.asked == [QUESTION]
    assert "could not be" in caplog.text


def test_an_index_from_before_gets_the_table_or_does_without(tmp_path: Path) -> None:
    embedder = Priced()
    folder = filled(tmp_path / "kb", embedder)
    with closing(sqlite3.connect(folder / "vectors.db")) as file, file:
        file.execute("DROP TABLE query_vectors")
    with Index.open(folder, embedder=embedder, read_only=True) as index:
        index.search(QUESTION)
        assert REMEMBERED in note(index.search(QUESTION)), "in this process"
    assert len(embedder.asked) == 1
    with Index.open(folder, embedder=embedder) as index:
        index.search(QUESTION)
    assert len(embedder.asked) == 2
    with Index.open(folder, embedder=embedder, read_only=True) as index:
        assert REMEMBERED in note(index.search(QUESTION)), "what somebody else has kept is read"
        index.search("another question")
    assert len(rows(folder)) == 1


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is read-only to root")
def test_a_folder_that_cannot_be_written_is_searched(tmp_path: Path) -> None:
    embedder = Priced()
    folder = filled(tmp_path / "kb", embedder)
    mode = folder.stat().st_mode
    folder.chmod(stat.S_IRUSR | stat.S_IXUSR)
    try:
        with Index.open(folder, embedder=embedder) as index:
            assert index.search(QUESTION)
            assert REMEMBERED in note(index.search(QUESTION))
    finally:
        folder.chmod(mode)


def test_while_another_process_writes_a_search_goes_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    embedder = Priced()
    folder = filled(tmp_path / "kb", embedder)
    index = Index.open(folder, embedder=embedder)
    with closing(sqlite3.connect(folder / "vectors.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        found = index.search(QUESTION)
        assert found
        assert not found.trace.degraded
        assert REMEMBERED in note(index.search(QUESTION))
        index.close()  # waits for the write that was begun, and not for a minute
        other.execute("ROLLBACK")
    assert rows(folder) == []
    assert "held by another process" in caplog.text
    with Index.open(folder, embedder=embedder) as index:
        index.search(QUESTION)
    assert len(rows(folder)) == 1


def test_a_full_disk_costs_a_call_and_no_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    embedder = Priced()
    folder = filled(tmp_path / "kb", embedder)
    with Index.open(folder, embedder=embedder) as index:
        database = index._serving.engine.parts.store.queries._database
        with database.write() as connection:
            # SQLite's own limit stands in for the disk's: every connection of the pool gets it.
            pages = connection.exec_driver_sql("PRAGMA page_count").scalar()
        real = sqlite3.connect

        def small(*given: Any, **named: Any) -> sqlite3.Connection:
            connection: sqlite3.Connection = real(*given, **named)
            connection.execute(f"PRAGMA max_page_count={pages}")
            return connection

        monkeypatch.setattr(sqlite3, "connect", small)
        database._engine.dispose()
        for number in range(30):
            assert index.search(f"{QUESTION} {number}")
    assert "disk is full" in caplog.text
    monkeypatch.undo()
    with Index.open(folder, embedder=embedder) as index:
        assert index.search(QUESTION)


def test_a_forked_child_remembers_for_itself(tmp_path: Path) -> None:
    embedder = Priced()
    with Index.open(filled(tmp_path / "kb", embedder), embedder=embedder) as index:
        index.search(QUESTION)
        # A thread that writes as the process forks leaves the child SQLite's locks, held by nobody: it pays again.
        wait_for(lambda: len(rows(tmp_path / "kb")) == 1)
        child = os.fork()
        if not child:
            known = REMEMBERED in note(index.search(QUESTION))
            index.search("a child's question")
            index.close()
            os._exit(0 if known else 1)
        _, status = os.waitpid(child, 0)
        assert os.waitstatus_to_exitcode(status) == 0
        assert REMEMBERED in note(index.search("a child's question"))
    assert len(rows(tmp_path / "kb")) == 2
