"""Input nobody wishes for: each has a clear outcome, and the index goes on."""

from __future__ import annotations

from pathlib import Path

import pytest

from ragweft import Document, Index


def failures(index: Index, folder: Path) -> dict[str, str]:
    return {Path(failure.source).name: failure.reason for failure in index.sync(folder).failed}


def test_files_that_are_no_text_are_named_and_the_rest_is_found(index: Index, docs: Path) -> None:
    (docs / "nul.txt").write_bytes(b"some\x00thing with zeros")
    (docs / "image.md").write_bytes(bytes(range(256)) * 50)
    (docs / "photo.jpg").write_bytes(bytes(range(256)))
    (docs / "gone.md").symlink_to(docs / "nowhere.md")
    report = index.sync(docs)
    reasons = {Path(failure.source).name: failure.reason for failure in report.failed}
    assert {"nul.txt", "image.md"} <= set(reasons)
    assert report.added == 3
    assert report.skipped["unsupported type"] == 1
    assert index.search("vault rotate")[0].citation.title == "Keys"


def test_files_over_the_limit_are_named(tmp_path: Path, docs: Path) -> None:
    from ragweft.recipe import Dense, Loading, Recipe

    recipe = Recipe(dense=Dense(engine="flat"), loading=Loading(max_bytes=1000))
    (docs / "huge.txt").write_text("word " * 1000)
    with Index.open(tmp_path / "kb", recipe=recipe) as index:
        found = failures(index, docs)
        assert set(found) == {"huge.txt"}
        assert "1,000 bytes" in found["huge.txt"]


def test_old_encodings_are_read(index: Index, tmp_path: Path) -> None:
    folder = tmp_path / "old"
    folder.mkdir()
    (folder / "utf16.txt").write_text("Der Schlüssel wird gewechselt.", encoding="utf-16")
    (folder / "latin.txt").write_bytes(
        "Les clés sont renouvelées chaque année par le propriétaire. Déjà vérifié à l'été.".encode("latin-1")
    )
    assert index.sync(folder).failed == ()
    assert "Schlüssel" in index.search("Schlüssel gewechselt", k=1)[0].chunk.text
    assert "renouvelées" in index.search("renouvelées", k=1)[0].chunk.text


def test_one_line_of_200_000_characters(index: Index, tmp_path: Path) -> None:
    folder = tmp_path / "long"
    folder.mkdir()
    words = " ".join(f"w{i}" for i in range(30_000)) + " needle"
    (folder / "words.txt").write_text(words[-200_000:])
    (folder / "solid.txt").write_text("x" * 200_000)
    (folder / "han.txt").write_text("钥匙轮换。" * 40_000)
    report = index.sync(folder)
    assert (report.added, report.failed) == (3, ())
    assert "needle" in index.search("needle", k=1)[0].chunk.text
    assert "钥匙" in index.search("钥匙", k=1)[0].chunk.text


def test_the_same_text_many_times(index: Index) -> None:
    index.add([Document(id=f"d{i}", text="one and the same text") for i in range(200)])
    results = index.search("same text", k=50)
    assert len({hit.chunk.document_id for hit in results}) == 50
    assert len({hit.score for hit in results}) == 1


def test_a_document_of_white_space_and_one_of_symbols(index: Index) -> None:
    report = index.add([Document(id="blank", text=" \n\t \u2003 "), Document(id="symbols", text="!!! ??? ---")])
    assert report.added == 2
    assert all(hit.chunk.document_id == "symbols" for hit in index.search("??? anything"))


def tiny_files(tmp_path: Path, index: Index, count: int) -> None:
    folder = tmp_path / "tiny"
    for number in range(count):
        place = folder / f"{number // 1000:03}"
        if number % 1000 == 0:
            place.mkdir(parents=True)
        (place / f"n{number}.txt").write_text(f"note {number} says word{number}\n")
    report = index.sync(folder)
    assert (report.added, report.chunks, report.failed) == (count, count, ())
    for number in (0, count // 2, count - 1):
        assert index.search(f"word{number}", k=1)[0].citation.source.endswith(f"n{number}.txt")
    again = index.sync(folder)
    assert (again.unchanged, again.chunks) == (count, 0)


def test_many_tiny_files(tmp_path: Path, index: Index) -> None:
    tiny_files(tmp_path, index, 3_000)


@pytest.mark.slow
def test_a_hundred_thousand_tiny_files(tmp_path: Path, index: Index) -> None:
    tiny_files(tmp_path, index, 100_000)
