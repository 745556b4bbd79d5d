"""The whole index over Chroma: embedded in several processes, and on a real server."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from chroma_server import chroma_server
from ragweft import Document, Index
from ragweft.errors import IndexLocked
from ragweft.recipe import Chroma, Dense, Recipe

DOCUMENTS = [Document(id=f"d{i}", text=f"alpha topic{i % 7} number {i}") for i in range(50)]


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    with chroma_server(tmp_path_factory.mktemp("server") / "data") as port:
        yield port


def on_server(port: int, collection: str) -> Recipe:
    return Recipe(chroma=Chroma(mode="http", host="127.0.0.1", port=port, collection=collection))


def notes(index: Index, query: str) -> set[str]:
    return {stage.note for stage in index.search(query).trace.stages}


def test_a_server_answers_for_every_process(tmp_path: Path, port: int) -> None:
    recipe = on_server(port, "shared")
    with Index.open(tmp_path / "kb", recipe=recipe) as index:
        index.add(DOCUMENTS)
        assert "Chroma" in notes(index, "topic3")
        expected = [(hit.chunk.id, hit.score) for hit in index.search("alpha topic3", k=10)]
        code = (
            "import sys\n"
            "from ragweft import Index\n"
            "with Index.open(sys.argv[1]) as index:\n"
            "    results = index.search('alpha topic3', k=10)\n"
            "    assert any(stage.note == 'Chroma' for stage in results.trace.stages)\n"
            "    print([(hit.chunk.id, hit.score) for hit in results])\n"
        )
        command = [sys.executable, "-c", code, str(tmp_path / "kb")]
        out = subprocess.run(command, capture_output=True, text=True, check=True)
        assert out.stdout.strip() == str(expected)
        index.remove(ids=["d3"])
        index.add([Document(id="new", text="alpha gamma")])
        assert index.search("gamma")[0].chunk.document_id == "new"
        assert "d3" not in {hit.chunk.document_id for hit in index.search("alpha topic3", k=60)}
        assert index.verify().ok


def test_two_indexes_cannot_share_a_collection(tmp_path: Path, port: int) -> None:
    recipe = on_server(port, "taken")
    with Index.open(tmp_path / "first", recipe=recipe) as first:
        first.add(DOCUMENTS[:5])
        with Index.open(tmp_path / "second", recipe=recipe) as second:
            report = second.add(DOCUMENTS[5:9])
            assert report.added == 4
            assert "Chroma stays behind" in report.warnings[0]
            assert second.search("topic5")[0].chunk.document_id == "d5"
        assert first.verify().ok


def test_without_its_server_the_matrix_answers(tmp_path: Path) -> None:
    with (
        chroma_server(tmp_path / "data") as port,
        Index.open(tmp_path / "kb", recipe=on_server(port, "kb")) as index,
    ):
        index.add(DOCUMENTS[:20])
        expected = [(hit.chunk.id, hit.score) for hit in index.search("alpha topic3")]
    with Index.open(tmp_path / "kb") as index:
        assert [(hit.chunk.id, hit.score) for hit in index.search("alpha topic3")] == expected
        assert any("Chroma does not answer" in note for note in notes(index, "topic3"))
        report = index.add(DOCUMENTS[20:25])
        assert report.added == 5
        assert report.warnings
        states = {state.name: state for state in index.verify().followers}
        assert not states["chroma"].level
        assert states["flat"].level


def test_embedded_chroma_belongs_to_one_process(tmp_path: Path) -> None:
    recipe = Recipe(dense=Dense(engine="chroma"))
    with Index.open(tmp_path / "kb", recipe=recipe) as index:
        index.add(DOCUMENTS)
        assert "Chroma" in notes(index, "topic3")
        expected = [(hit.chunk.id, hit.score) for hit in index.search("alpha topic3", k=10)]
        code = (
            "import sys\n"
            "from ragweft import Document, Index\n"
            "with Index.open(sys.argv[1]) as index:\n"
            "    results = index.search('alpha topic3', k=10)\n"
            "    print([(hit.chunk.id, hit.score) for hit in results])\n"
            "    print([stage.note for stage in results.trace.stages])\n"
            "    index.add([Document(id='other', text='omega')])\n"
        )
        command = [sys.executable, "-c", code, str(tmp_path / "kb")]
        out = subprocess.run(command, capture_output=True, text=True, check=True)
        hits, stages = out.stdout.splitlines()
        assert hits == str(expected)
        assert "Chroma is open in another process" in stages
        assert index.search("omega")[0].chunk.document_id == "other"
        index.catch_up()
        assert {state.name: state.rows for state in index.status().followers}["chroma"] == 51


def test_a_search_on_a_small_index_never_imports_chroma(tmp_path: Path) -> None:
    with Index.open(tmp_path / "kb") as index:
        index.add(DOCUMENTS[:5])
    code = (
        "import sys\n"
        "from ragweft import Index\n"
        "with Index.open(sys.argv[1]) as index:\n"
        "    assert len(index.search('alpha')) == 5\n"
        "    index.status()\n"
        "assert 'chromadb' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "kb")], check=True)


def test_a_cloud_without_a_key_is_a_warning_not_a_loss(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CHROMA_API_KEY", raising=False)
    with Index.open(tmp_path / "kb", recipe=Recipe(chroma=Chroma(mode="cloud"))) as index:
        report = index.add(DOCUMENTS[:3])
        assert report.added == 3
        assert "CHROMA_API_KEY" in report.warnings[0]
        assert len(index.search("alpha")) == 3


def test_a_folder_that_is_no_index_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(IndexLocked, match="cannot be made"):
        Index.open(tmp_path / "file" / "kb")


def test_auto_asks_chroma_above_the_size_the_matrix_is_faster_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ragweft.retrieval.planning._EXACT_BYTES", 30 * 4 * 256)
    with Index.open(tmp_path / "kb") as index:
        index.add(DOCUMENTS[:30])
        assert "exact" in notes(index, "topic3")
        index.add(DOCUMENTS[30:])
        assert "Chroma" in notes(index, "topic3")
        narrow = index.search("topic3", where={"missing": None}).trace.stages
        assert "exact" in {stage.note for stage in narrow}, "few rows are scanned, whatever the size"


def test_a_chroma_that_lags_far_behind_is_not_asked(
    tmp_path: Path, docs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ragweft.retrieval.planning._LAG_ROWS", 2)
    with Index.open(tmp_path / "kb", recipe=Recipe(dense=Dense(engine="chroma"))) as index:
        index.add(DOCUMENTS[:10])
        index.sync(docs / "pudding.rst", level=False)
        through = index.search("butter bread custard")
        assert through[0].citation.title == "Bread and butter pudding"
        assert any(stage.note.startswith("Chroma, 1 row") for stage in through.trace.stages)
        index.sync(docs, level=False)
        assert any("Chroma lacks" in note for note in notes(index, "rotate a key"))
        assert index.search("vault rotate")[0].citation.title == "Keys"
        index.catch_up()
        assert "Chroma" in notes(index, "rotate a key")
