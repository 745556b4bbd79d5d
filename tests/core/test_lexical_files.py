"""tantivy's files: read-only directories, damage, what belongs to somebody else."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from ragweft.errors import IndexDamaged, IndexLocked
from ragweft.lexical import Analyzer, TantivyIndex
from ragweft.lexical.tantivy_files import (
    BODY,
    CONTEXT,
    MARKER,
    MARKER_TERM,
    TemporaryCopy,
    open_for_writing,
    tantivy_errors,
)

ANALYZER = Analyzer()
PER_GENERATION = 20


def opened(directory: Path, *, read_only: bool = False) -> TantivyIndex:
    return TantivyIndex(
        directory, ledger="ledger-1", analyzer=ANALYZER, context_weight=0.25, read_only=read_only
    )


def grow(index: TantivyIndex, generation: int) -> None:
    rows = np.arange(PER_GENERATION * (generation - 1), PER_GENERATION * generation)
    texts = [f"cat number {row}" for row in rows]
    contexts = ["cat"] * PER_GENERATION
    index.apply(rows=rows, texts=texts, contexts=contexts, removed=np.empty(0, np.int64), generation=generation)


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "lexical"


@pytest.fixture
def index(directory: Path) -> Iterator[TantivyIndex]:
    fresh = opened(directory)
    yield fresh
    fresh.close()


def files_of(directory: Path) -> dict[str, tuple[int, int]]:
    return {file.name: (file.stat().st_mtime_ns, file.stat().st_size) for file in directory.iterdir()}


class TestReadOnly:
    @pytest.fixture(autouse=True)
    def temporary(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        folder = tmp_path / "temporary"
        folder.mkdir()
        monkeypatch.setattr(tempfile, "tempdir", str(folder))
        return folder

    @pytest.mark.parametrize("links", [True, False])
    def test_the_directory_is_left_untouched(
        self,
        index: TantivyIndex,
        directory: Path,
        temporary: Path,
        monkeypatch: pytest.MonkeyPatch,
        links: bool,
    ) -> None:
        grow(index, 1)
        (directory / ".tantivy-meta.lock").unlink()
        before = files_of(directory)
        if not links:

            def refuse(*_: object) -> None:
                raise OSError("no links here")

            monkeypatch.setattr(Path, "symlink_to", refuse)
        reader = opened(directory, read_only=True)
        assert len(reader.search("cat", n=100).rows) == PER_GENERATION
        with pytest.raises(IndexLocked, match="read-only"):
            grow(reader, 2)
        assert files_of(directory) == before
        assert len(list(temporary.iterdir())) == 1
        reader.close()
        reader.close()
        assert list(temporary.iterdir()) == []
        assert files_of(directory) == before

    def test_it_stays_as_it_was_when_opened(self, index: TantivyIndex, directory: Path) -> None:
        grow(index, 1)
        reader = opened(directory, read_only=True)
        for generation in range(2, 10):  # enough for a merge to take the first files away
            grow(index, generation)
        assert reader.search("cat", n=100).generation == 1
        assert len(reader) == PER_GENERATION
        reader.close()

    def test_a_missing_directory_is_empty_and_stays_missing(self, directory: Path) -> None:
        reader = opened(directory, read_only=True)
        assert (len(reader), reader.applied_generation) == (0, 0)
        assert reader.search("cat", n=3).exhausted
        reader.close()
        assert not directory.exists()

    def test_a_forgotten_copy_is_removed(self, index: TantivyIndex, directory: Path, temporary: Path) -> None:
        grow(index, 1)
        copy = TemporaryCopy(directory)
        assert list(temporary.iterdir()) == [copy.path]
        del copy
        assert list(temporary.iterdir()) == []

    def test_a_damaged_index_leaves_no_copy(
        self, index: TantivyIndex, directory: Path, temporary: Path
    ) -> None:
        grow(index, 1)
        (directory / "meta.json").write_text("{")
        with pytest.raises(IndexDamaged):
            opened(directory, read_only=True)
        assert list(temporary.iterdir()) == []


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def empty(path: Path) -> None:
    path.write_bytes(b"")


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 4] ^= 0xFF
    path.write_bytes(bytes(data))


def check_damaged(directory: Path, match: str | None = None) -> None:
    with pytest.raises(IndexDamaged, match=match) as caught:
        opened(directory)
    message = str(caught.value)
    assert "\n" not in message
    assert str(directory) in message
    assert "rebuilt" in message


class TestDamage:
    @pytest.mark.parametrize("suffix", ["idx", "term", "store", "fast", "fieldnorm", "del", "json"])
    @pytest.mark.parametrize("damage", [cut, empty, flip, Path.unlink])
    def test_a_damaged_file_is_noticed_when_opening(
        self, index: TantivyIndex, directory: Path, suffix: str, damage: Callable[[Path], None]
    ) -> None:
        grow(index, 1)
        index.apply(rows=np.arange(0), texts=[], contexts=[], removed=np.array([3]), generation=2)
        victim = max(directory.glob(f"[!.]*.{suffix}"), key=lambda file: file.stat().st_size)
        damage(victim)
        if victim.name == "meta.json" and damage is Path.unlink:
            assert opened(directory).applied_generation == 0
            return
        check_damaged(directory)

    def test_a_file_damaged_while_open_is_noticed_before_it_is_merged(
        self, index: TantivyIndex, directory: Path
    ) -> None:
        grow(index, 1)
        index.close()
        other = opened(directory)
        for generation in range(2, 8):
            grow(other, generation)
        flip(max(directory.glob("*.term"), key=lambda file: file.stat().st_mtime_ns))
        with pytest.raises(IndexDamaged, match="checksum"):
            grow(other, 8)

    def test_a_file_another_writer_is_at_is_no_damage(self, index: TantivyIndex, directory: Path) -> None:
        grow(index, 1)
        grow(index, 2)
        deletes = next(directory.glob("*.del"))
        segment = deletes.name.split(".")[0]
        (directory / f"{segment}.999999.del").write_bytes(b"half of")
        (directory / f"{'0' * 32}.idx").write_bytes(b"half of")
        assert opened(directory).applied_generation == 2

    def test_another_ledger(self, index: TantivyIndex, directory: Path) -> None:
        grow(index, 1)
        with pytest.raises(IndexDamaged, match="ledger is ledger-1, not ledger-2"):
            TantivyIndex(directory, ledger="ledger-2", analyzer=ANALYZER, context_weight=0.25)

    def test_another_analyzer(self, index: TantivyIndex, directory: Path) -> None:
        grow(index, 1)
        with pytest.raises(IndexDamaged, match=r"analyzer is .*english, not .*german"):
            TantivyIndex(
                directory, ledger="ledger-1", analyzer=Analyzer(language="german"), context_weight=0.25
            )

    def test_another_format(self, index: TantivyIndex, directory: Path) -> None:
        import tantivy

        grow(index, 1)
        written = {"format": 1, "ledger": "ledger-1", "analyzer": ANALYZER.fingerprint}
        document = tantivy.Document()
        for name in (BODY, CONTEXT):
            document.add_text(name, MARKER_TERM)
        document.add_bytes(MARKER, json.dumps(written | {"generation": 9, "highest_row": 9}).encode())
        writer = open_for_writing(directory).writer(15_000_000, 1)
        writer.delete_all_documents()
        writer.add_document(document)
        writer.commit()
        writer.wait_merging_threads()
        check_damaged(directory, match="format is 1, not 2")
        with pytest.raises(IndexDamaged, match="format is 1, not 2"):
            grow(index, 10)

    def test_somebody_elses_index(self, directory: Path) -> None:
        import tantivy

        directory.mkdir()
        foreign = tantivy.Index(tantivy.SchemaBuilder().add_text_field("title").build(), path=str(directory))
        assert foreign.searcher().num_docs == 0
        check_damaged(directory, match="schema")

    def test_an_index_without_a_marker(self, index: TantivyIndex, directory: Path) -> None:
        import tantivy

        grow(index, 1)
        writer = open_for_writing(directory).writer(15_000_000, 1)
        writer.delete_all_documents()
        document = tantivy.Document()
        document.add_text("body", "cat")
        writer.add_document(document)
        writer.commit()
        writer.wait_merging_threads()
        check_damaged(directory, match="marker")
        with pytest.raises(IndexDamaged, match="marker"):
            index.search("cat", n=1)

    def test_a_file_in_the_place_of_the_directory(self, directory: Path) -> None:
        directory.write_text("not a directory")
        with pytest.raises(IndexDamaged):
            grow(opened(directory), 1)

    def test_a_panic_is_damage_and_an_interrupt_is_not(self, index: TantivyIndex, directory: Path) -> None:
        import tantivy

        searcher = open_for_writing(directory).searcher()
        with pytest.raises(IndexDamaged, match=r"cannot search .*Limit"), tantivy_errors(directory, "search"):
            searcher.search(tantivy.Query.all_query(), 0)
        with pytest.raises(KeyboardInterrupt), tantivy_errors(directory, "search"):
            raise KeyboardInterrupt
