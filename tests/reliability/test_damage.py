"""Damaged followers are set aside and rebuilt from the ledger, without embedding anything again."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from conftest import FLAT
from ragweft import Document, Index
from ragweft.errors import IndexDamaged, IndexLocked
from ragweft.recipe import Recipe
from ragweft.testing import HashEmbedder

TEXTS = {f"d{i}": f"alpha{i} beta{i % 3} common words about keys and locks" for i in range(40)}


def filled(path: Path, embedder: HashEmbedder, recipe: Recipe = FLAT) -> list[tuple[str, float]]:
    with Index.open(path, recipe=recipe, embedder=embedder) as index:
        index.add([Document(id=name, text=text) for name, text in TEXTS.items()])
        return answer(index)


def answer(index: Index) -> list[tuple[str, float]]:
    return [(hit.chunk.document_id, hit.score) for hit in index.search("alpha7 beta1 keys", k=10)]


def garble(folder: Path) -> None:
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.stat().st_size:
            raw = bytearray(path.read_bytes())
            raw[: len(raw) // 2 + 1] = os.urandom(len(raw) // 2 + 1)
            path.write_bytes(bytes(raw))


def truncate(folder: Path) -> None:
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            os.truncate(path, path.stat().st_size // 2)


def delete(folder: Path) -> None:
    shutil.rmtree(folder)


@pytest.mark.parametrize("damage", [garble, truncate, delete])
@pytest.mark.parametrize("follower", ["flat", "lexical"])
def test_a_damaged_follower_is_rebuilt(tmp_path: Path, follower: str, damage: object) -> None:
    embedder = HashEmbedder()
    expected = filled(tmp_path / "kb", embedder)
    calls = embedder.calls
    damage(tmp_path / "kb" / follower)  # type: ignore[operator]
    with Index.open(tmp_path / "kb", embedder=embedder) as index:
        assert index.verify().ok
        assert answer(index) == expected
    assert embedder.calls == calls


@pytest.mark.parametrize("follower", ["flat", "lexical"])
def test_a_search_meets_the_damage_first(tmp_path: Path, follower: str) -> None:
    embedder = HashEmbedder()
    expected = filled(tmp_path / "kb", embedder)
    garble(tmp_path / "kb" / follower)
    with Index.open(tmp_path / "kb", embedder=embedder) as index:
        # Scored from the ledger or, once it is rebuilt, from the follower; never wrong, never empty.
        scored = answer(index)
        assert scored[0] == expected[0]
        assert {name for name, _ in scored} == {name for name, _ in expected}
        if follower == "flat":  # the scale of BM25 needs the whole collection, a cosine does not
            assert scored == expected
    with Index.open(tmp_path / "kb", embedder=embedder) as index:
        index.catch_up()
        assert answer(index) == expected


def test_a_word_index_of_an_earlier_format_is_rebuilt(tmp_path: Path) -> None:
    import tantivy

    embedder = HashEmbedder()
    expected = filled(tmp_path / "kb", embedder)
    calls = embedder.calls
    delete(tmp_path / "kb" / "lexical")
    (tmp_path / "kb" / "lexical").mkdir()
    schema = tantivy.SchemaBuilder().add_unsigned_field("row", fast=True, indexed=True)
    schema = schema.add_text_field("body", tokenizer_name="whitespace", index_option="freq")
    schema = schema.add_bytes_field("marker", stored=True)
    tantivy.Index(schema.build(), path=str(tmp_path / "kb" / "lexical"))
    with Index.open(tmp_path / "kb", embedder=embedder) as index:
        assert answer(index)[0][0] == "d7"
        assert index.verify().ok
        assert answer(index) == expected
    assert embedder.calls == calls
    assert (tmp_path / "kb" / "lexical.damaged").exists()


def test_damage_under_a_running_reader(tmp_path: Path) -> None:
    embedder = HashEmbedder()
    expected = filled(tmp_path / "kb", embedder)
    with Index.open(tmp_path / "kb", embedder=embedder) as index:
        assert answer(index) == expected
        delete(tmp_path / "kb" / "lexical")
        delete(tmp_path / "kb" / "flat")
        index.add([Document(id="new", text="gamma")])
        assert index.search("gamma")[0].chunk.document_id == "new"
    with Index.open(tmp_path / "kb", embedder=embedder) as index:
        assert index.verify().ok
        assert answer(index)[0] == expected[0]


def test_a_damaged_chroma_is_rebuilt(tmp_path: Path) -> None:
    embedder = HashEmbedder()
    filled(tmp_path / "kb", embedder, Recipe())
    calls = embedder.calls
    (tmp_path / "kb" / "chroma" / "chroma.sqlite3").write_bytes(b"not a database at all" * 50)
    with Index.open(tmp_path / "kb", embedder=embedder) as index:
        found = index.verify()
        assert found.ok, found
        assert {state.name: state.rows for state in found.followers}["chroma"] == 40
        assert index.verify(repair=False).findings == ()
    assert embedder.calls == calls
    assert (tmp_path / "kb" / "chroma.damaged").exists()


def test_what_is_not_ours_is_never_touched(tmp_path: Path) -> None:
    embedder = HashEmbedder()
    filled(tmp_path / "kb", embedder, Recipe())
    delete(tmp_path / "kb" / "chroma")
    (tmp_path / "kb" / "chroma").mkdir()
    stranger = tmp_path / "kb" / "chroma" / "chroma.sqlite3"
    stranger.write_bytes(b"somebody's data" * 50)
    with Index.open(tmp_path / "kb", embedder=embedder) as index:
        report = index.add([Document(id="new", text="gamma")])
        assert report.added == 1
        assert "not ragweft's" in report.warnings[0]
        assert index.search("gamma")[0].chunk.document_id == "new"
        assert not index.verify().ok
    assert stranger.read_bytes() == b"somebody's data" * 50


def test_verify_finds_what_is_missing(tmp_path: Path) -> None:
    embedder = HashEmbedder()
    filled(tmp_path / "kb", embedder)
    shutil.copytree(tmp_path / "kb" / "flat", tmp_path / "old")
    with Index.open(tmp_path / "kb", embedder=embedder) as index:
        index.add([Document(id="late", text="delta")])
    delete(tmp_path / "kb" / "flat")
    shutil.move(tmp_path / "old", tmp_path / "kb" / "flat")
    with Index.open(tmp_path / "kb", embedder=embedder) as index:
        # An old copy is behind, not wrong: searches score what it lacks from the ledger.
        assert index.search("delta")[0].origins["dense"].score == pytest.approx(1.0, abs=1e-5)
        found = index.verify(repair=False)
        assert not found.ok
        assert "flat: 1 changes behind" in found.findings[0]
        assert index.verify().mended == ("flat",)
        assert index.verify().ok


def test_a_damaged_ledger_is_named_and_left_alone(tmp_path: Path) -> None:
    filled(tmp_path / "kb", HashEmbedder())
    garble_file = tmp_path / "kb" / "ledger.db"
    garble_file.write_bytes(b"x" * 8192)
    with pytest.raises(IndexDamaged, match=r"ledger\.db"):
        Index.open(tmp_path / "kb", embedder=HashEmbedder())
    assert garble_file.read_bytes() == b"x" * 8192


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 24 MB."""
    mount = tmp_path / "disk"
    mount.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", str(mount)], capture_output=True, check=False
    )
    if done.returncode:
        pytest.skip("mounting a small file system needs root")
    yield mount
    subprocess.run(["umount", str(mount)], check=True)


def test_a_full_disk_loses_nothing_that_was_acknowledged(small_disk: Path) -> None:
    embedder = HashEmbedder()
    with Index.open(small_disk / "kb", recipe=FLAT, embedder=embedder) as index:
        index.add([Document(id="first", text="alpha keys")])
        ballast = small_disk / "ballast"
        free = shutil.disk_usage(small_disk).free
        ballast.write_bytes(b"\0" * (free - 600_000))
        with pytest.raises(IndexLocked, match="disk is full"):
            for i in range(200):
                index.add([Document(id=f"big{i}", text=f"word{i} " * 20_000)])
        assert index.search("alpha keys")[0].chunk.document_id == "first"
        before = index.status().documents
        ballast.unlink()
        index.add([Document(id="after", text="omega")])
        assert index.search("omega")[0].chunk.document_id == "after"
        assert index.status().documents == before + 1
        assert index.verify().ok
