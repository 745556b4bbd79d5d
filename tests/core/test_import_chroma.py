"""A Chroma collection that is there already, taken over: nothing lost, nothing of it changed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import chromadb
import numpy as np
import pytest
from chromadb.config import Settings

from chroma_server import chroma_server
from cli_runner import Cli, settled
from conftest import FLAT
from ragweft import Chunk, Document, Index
from ragweft.errors import LoadError, ProviderError, RecipeError
from ragweft.testing import HashEmbedder
from ragweft.vectors.chroma_client import Backend
from ragweft.vectors.chroma_metadata import CLOUD

if TYPE_CHECKING:
    from chromadb.api import ClientAPI

TEXTS = [f"passage {n} about {'bees clocks rivers gardens'.split()[n % 4]} and word{n}" for n in range(700)]  # noqa: SIM905


def close(client: ClientAPI) -> None:
    Backend(client=client, place="test", limits=CLOUD, configuration={}).close()


def fill(client: ClientAPI, name: str, *, vectors: bool = True, **more: Any) -> None:
    collection = client.create_collection(name, embedding_function=None)
    embedder = HashEmbedder()
    for start in range(0, len(TEXTS), 500):
        some = TEXTS[start : start + 500]
        own = (
            embedder.embed_documents(some) if vectors else np.random.default_rng(1).normal(size=(len(some), 64))
        )
        collection.add(
            ids=[f"id{start + n}" for n in range(len(some))],
            documents=some,
            embeddings=own.astype(np.float32),
            metadatas=[
                {"source": f"file{(start + n) // 7}.md", "page": n % 5, **more} for n in range(len(some))
            ],
        )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    place = tmp_path / "theirs"
    client = chromadb.PersistentClient(place, settings=Settings(anonymized_telemetry=False))
    fill(client, "pages")
    close(client)
    return place


def digest(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_texts_metadata_and_vectors_come_over(tmp_path: Path, folder: Path) -> None:
    before = digest(folder)
    embedder = HashEmbedder()
    seen: list[tuple[str, int, int | None]] = []
    with Index.open(tmp_path / "kb", recipe=FLAT, embedder=embedder) as index:
        report = index.import_chroma(folder, "pages", progress=lambda *said: seen.append(said))
        assert (report.added, report.updated, report.chunks, report.failed) == (100, 0, 700, ())
        assert report.reused == 700
        assert embedder.calls <= 8 + 700 - report.reused + 320, "only a sample and questions are embedded"
        assert ("taking over", 700, 700) in seen
        hit = index.search("word123")[0]
        assert (hit.chunk.id, hit.chunk.text) == ("id123", TEXTS[123])
        assert hit.chunk.metadata == {"source": "file17.md", "page": 3}
        assert hit.chunk.document_id == "file17.md"
        assert len(index.document("file17.md")) == 7
        assert index.search("bees", where={"page": 2}, k=3)[0].chunk.metadata["page"] == 2
        assert index.verify().ok
        calls = embedder.calls
        again = index.import_chroma(folder, "pages")
        assert (again.added, again.chunks, again.reused) == (0, 0, 0)
        assert (again.updated, again.unchanged, again.generation) == (0, 100, report.generation)
        assert embedder.calls == calls, "not even a sample"
    assert digest(folder) == before, "theirs is not touched"


def test_vectors_of_another_model_are_embedded_anew(tmp_path: Path) -> None:
    client = chromadb.PersistentClient(tmp_path / "theirs", settings=Settings(anonymized_telemetry=False))
    fill(client, "pages", vectors=False)
    close(client)
    embedder = HashEmbedder()
    with Index.open(tmp_path / "kb", recipe=FLAT, embedder=embedder) as index:
        report = index.import_chroma(tmp_path / "theirs", "pages")
        assert (report.reused, report.chunks, report.embedded_anew) == (0, 700, 700)
        assert report.why_anew.startswith(f"theirs are not of {embedder.space.model}: cosine ")
        assert embedder.calls >= 700
    with Index.open(tmp_path / "static", recipe=FLAT) as index:
        report = index.import_chroma(tmp_path / "theirs", "pages")
        assert (report.reused, report.embedded_anew) == (0, 700)
        assert report.why_anew.startswith("theirs have 64 numbers, those of ")
        assert report.why_anew.endswith(" have 256")
        assert index.search("passage 12 word12")[0].chunk.id == "id12"


def test_never_means_never(tmp_path: Path, folder: Path) -> None:
    with Index.open(tmp_path / "kb", recipe=FLAT, embedder=HashEmbedder()) as index:
        report = index.import_chroma(folder, "pages", vectors="never")
        assert (report.reused, report.embedded_anew, report.why_anew) == (0, 700, "")


def test_what_has_changed_there_is_counted_by_document(tmp_path: Path, folder: Path) -> None:
    """700 records in three pages: documents that lie over two are one."""
    with Index.open(tmp_path / "kb", recipe=FLAT, embedder=HashEmbedder()) as index:
        first = index.import_chroma(folder, "pages")
        client = chromadb.PersistentClient(folder, settings=Settings(anonymized_telemetry=False))
        collection = client.get_collection("pages", embedding_function=None)
        vectors = HashEmbedder().embed_documents(["about bees", "about clocks"]).astype(np.float32)
        # The last of file42.md is on the second page, the rest of it on the first.
        collection.update(ids=["id300"], documents=["about bees"], embeddings=vectors[:1])
        collection.add(
            ids=["new"], documents=["about clocks"], embeddings=vectors[1:], metadatas=[{"source": "new.md"}]
        )
        close(client)
        report = index.import_chroma(folder, "pages")
        assert (report.added, report.updated, report.unchanged) == (1, 1, 99)
        assert (report.chunks, report.reused) == (2, 2)
        assert report.generation > first.generation
        assert index.search("about bees")[0].chunk.id == "id300"
        assert index.verify().ok


def test_chunks_added_again_are_unchanged(tmp_path: Path) -> None:
    chunks = [Chunk(id=f"c{n}", document_id=f"d{n // 2}", text=text) for n, text in enumerate(TEXTS[:6])]
    with Index.open(tmp_path / "kb", recipe=FLAT, embedder=HashEmbedder()) as index:
        first = index.add(chunks)
        again = index.add(chunks)
        assert (again.updated, again.unchanged, again.generation) == (0, 3, first.generation)
        some = index.add(chunks[2:3])
        assert (some.updated, some.unchanged, some.generation) == (0, 1, first.generation)
        changed = index.add([*chunks[:5], Chunk(id="c5", document_id="d2", text="bees")])
        assert (changed.updated, changed.unchanged, changed.chunks) == (1, 2, 1)
        assert len(index.document("d2")) == 2


def test_a_key_that_no_record_has_is_one_line(tmp_path: Path, folder: Path) -> None:
    with Index.open(tmp_path / "kb", recipe=FLAT, embedder=HashEmbedder()) as index:
        with pytest.raises(LoadError, match=r"^no record has 'nokey'; its keys are 'page', 'source'$"):
            index.import_chroma(folder, "pages", document_key="nokey")
        assert index.status().chunks == 0


def test_the_cloud_needs_a_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    settled(monkeypatch, tmp_path)
    monkeypatch.delenv("CHROMA_API_KEY", raising=False)
    done = Cli(capsys)("import-chroma", "cloud", "pages")
    assert done.code != 0
    assert "Chroma Cloud: no api_key was given; set CHROMA_API_KEY" in " ".join(done.err.split())


def test_an_address_where_nobody_answers_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    settled(monkeypatch, tmp_path)
    done = Cli(capsys)("import-chroma", "http://127.0.0.1:9", "pages")
    assert done.code != 0
    said = " ".join(done.err.split())
    assert "Chroma at 127.0.0.1:9: could not connect; check the address and that a server runs there" in said
    assert "ValueError" not in said


def test_what_cannot_be_taken_is_named(tmp_path: Path) -> None:
    client = chromadb.PersistentClient(tmp_path / "theirs", settings=Settings(anonymized_telemetry=False))
    collection = client.create_collection("odd", embedding_function=None)
    vectors = HashEmbedder().embed_documents(["one", "two", "three", "four"])
    collection.add(ids=["text"], documents=["bees make honey"], embeddings=vectors[:1])
    collection.add(ids=["bare"], embeddings=vectors[1:2], metadatas=[{"source": "x"}])
    collection.add(ids=["blank"], documents=["  "], embeddings=vectors[2:3], metadatas=[{"source": "x"}])
    collection.add(
        ids=["node"],
        documents=["clocks have hands"],
        embeddings=vectors[3:],
        metadatas=[{"_node_content": "{}", "_node_type": "TextNode", "ref_doc_id": "doc9", "year": 2020}],
    )
    close(client)
    with Index.open(tmp_path / "kb", recipe=FLAT, embedder=HashEmbedder()) as index:
        report = index.import_chroma(tmp_path / "theirs", "odd")
        assert (report.added, dict(report.skipped)) == (2, {"no text": 2})
        node = index.search("clocks")[0].chunk
        assert (node.document_id, dict(node.metadata)) == ("doc9", {"ref_doc_id": "doc9", "year": 2020})
        keyed = index.import_chroma(tmp_path / "theirs", "odd", document_key="year")
        assert [failure.source for failure in keyed.failed] == ["text"]
        assert "no 'year'" in keyed.failed[0].reason
        assert index.document("2020")


def test_a_document_given_whole_is_not_mixed_with_records(tmp_path: Path, folder: Path) -> None:
    with Index.open(tmp_path / "kb", recipe=FLAT, embedder=HashEmbedder()) as index:
        index.add([Document(id="file3.md", text="mine")])
        with pytest.raises(LoadError, match=r"file3.md.*given whole"):
            index.import_chroma(folder, "pages")


def test_an_embedder_that_fails_keeps_what_came_before(tmp_path: Path, folder: Path) -> None:
    class Failing(HashEmbedder):
        left = 350

        def embed_documents(self, texts: Sequence[str]) -> Any:
            self.left -= len(texts)
            if self.left < 0:
                raise ProviderError("down; try again", retryable=True)
            return super().embed_documents(texts)

    failing = Failing()
    with Index.open(tmp_path / "kb", recipe=FLAT, embedder=failing) as index:
        with pytest.raises(ProviderError, match="down"):
            index.import_chroma(folder, "pages", vectors="never")
        assert index.status().chunks == 300
        failing.left, failing.calls = 10_000, 0
        report = index.import_chroma(folder, "pages", vectors="never")
        assert report.chunks == 400
        assert failing.calls < 700


def test_a_contextual_embedder_refuses(tmp_path: Path, folder: Path) -> None:
    class Contextual(HashEmbedder):
        def stretches(self, texts: Sequence[str]) -> list[int]:
            return [len(texts)]

        def embed_groups(self, groups: Sequence[Sequence[str]]) -> Iterator[tuple[int, Any]]:
            for place, texts in enumerate(groups):
                yield place, self.embed_documents(texts)

    with Index.open(tmp_path / "kb", recipe=FLAT, embedder=Contextual()) as index:
        with pytest.raises(RecipeError, match="within their document"):
            index.import_chroma(folder, "pages")
        index.add([Chunk(id="c", document_id="d", text="bees")])


def test_a_place_without_chroma(tmp_path: Path, folder: Path) -> None:
    with Index.open(tmp_path / "kb", recipe=FLAT) as index:
        with pytest.raises(LoadError, match="holds no Chroma database"):
            index.import_chroma(tmp_path, "pages")
        with pytest.raises(LoadError, match=r"no collection 'nope'; there are 'pages'"):
            index.import_chroma(folder, "nope")
        with pytest.raises(LoadError, match="no address"):
            index.import_chroma("ftp://x", "pages")
        with pytest.raises(ProviderError, match="could not connect"):
            index.import_chroma("http://127.0.0.1:9", "pages")


def test_from_a_server_at_the_prompt(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    settled(monkeypatch, tmp_path)
    cli = Cli(capsys)
    with chroma_server(tmp_path / "server") as port:
        client = chromadb.HttpClient("127.0.0.1", port, settings=Settings(anonymized_telemetry=False))
        fill(client, "pages")
        close(client)
        done = cli("import-chroma", f"http://127.0.0.1:{port}", "pages")
        assert done.code == 0, done.err
        assert "chunks" in done.out
        assert "700 embedded anew: theirs have 64 numbers, those of" in done.out
        payload = json.loads(cli("import-chroma", f"http://127.0.0.1:{port}", "pages", "--json").out)
        assert (payload["added"], payload["chunks"], payload["reused"]) == (0, 0, 0)
        assert (payload["unchanged"], payload["embedded_anew"], payload["why_anew"]) == (100, 0, "")
        assert "known already" in cli("import-chroma", f"http://127.0.0.1:{port}", "pages").out
        wrong = cli("import-chroma", f"http://127.0.0.1:{port}", "nope")
        assert (wrong.code, "there are 'pages'" in wrong.err) == (1, True)
    found = json.loads(cli("search", "word321", "--json").out)
    assert found["hits"][0]["text"] == TEXTS[321]
