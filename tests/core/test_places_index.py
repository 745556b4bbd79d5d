"""Pages, slides and rows through a whole index: cited as readers know them, kept by every rewrite."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from cli_runner import Cli, settled
from conftest import FLAT
from ragweft import Document, Index, reindex
from ragweft.errors import IndexLocked
from ragweft.places import Place
from ragweft.recipe import Chunking, Recipe

SMALL = Recipe(dense=FLAT.dense, chunking=Chunking(size=160))


def paged(pages: int = 6, *, first: int = 1) -> Document:
    text, places = "", list[Place]()
    for page in range(first, first + pages):
        places.append(Place(start=len(text), label="p.", number=page))
        text += (
            f"## Chapter {page}\n\n"
            + " ".join(f"Sentence {n} tells of word{page}x{n}." for n in range(40))
            + "\n\n"
        )
    return Document(id="book.pdf", text=text, format="markdown", title="Book", places=places)


def test_a_hit_cites_its_page(tmp_path: Path) -> None:
    with Index.open(tmp_path / "kb", recipe=SMALL) as index:
        index.add([paged()])
        hit = index.search("word4x7")[0]
        assert (hit.chunk.place, hit.chunk.lines) == (("p.4", "p.4"), None)
        assert (str(hit.citation), hit.citation.place) == ("book.pdf p.4", "p.4")
        assert {found.citation.place for found in index.document("book.pdf")} >= {f"p.{n}" for n in range(1, 7)}
        whole = index.search("word4x7", k=1).as_context(max_tokens=6_000, expand="document")
        assert str(whole.passages[0].citation) == "book.pdf p.1-6"
        section = index.search("word4x7", k=1).as_context(max_tokens=900)
        assert section.passages[0].citation.place == "p.4"


def test_moved_pages_are_a_change_and_equal_ones_none(tmp_path: Path) -> None:
    with Index.open(tmp_path / "kb", recipe=SMALL) as index:
        index.add([paged()])
        assert index.add([paged()]).unchanged == 1
        moved = paged()
        shifted = [replace(place, number=place.number + 10) for place in moved.places or ()]
        assert index.add([replace(moved, places=shifted)]).updated == 1
        assert index.search("word4x7")[0].citation.place == "p.14"
        assert index.add([replace(moved, places=None)]).updated == 1
        assert index.search("word4x7")[0].citation.place == ""
        assert index.search("word4x7")[0].chunk.lines is not None
        assert index.verify().ok


def test_a_reindexing_keeps_pages(tmp_path: Path) -> None:
    with Index.open(tmp_path / "kb", recipe=SMALL) as index:
        index.add([paged()])
    reindex(tmp_path / "kb", Recipe(dense=FLAT.dense, chunking=Chunking(size=300)))
    with Index.open(tmp_path / "kb") as index:
        assert index.search("word4x7")[0].citation.place.startswith("p.")
        assert index.add([paged()]).unchanged == 1


def test_a_file_without_parts_is_cited_by_its_name(tmp_path: Path) -> None:
    with Index.open(tmp_path / "kb", recipe=SMALL) as index:
        index.add([replace(paged(), id="letter.docx", places=())])
        hit = index.search("word4x7")[0]
        assert (hit.chunk.place, hit.chunk.lines, str(hit.citation)) == (None, None, "letter.docx")


def test_an_index_made_before_there_were_places_opens(tmp_path: Path) -> None:
    with Index.open(tmp_path / "kb", recipe=SMALL) as index:
        index.add([Document(id="d", text="bees make honey")])
    with closing(sqlite3.connect(tmp_path / "kb" / "ledger.db")) as ledger, ledger:
        ledger.execute("ALTER TABLE documents DROP COLUMN places")
        ledger.execute("ALTER TABLE chunks DROP COLUMN first_place")
        ledger.execute("ALTER TABLE chunks DROP COLUMN last_place")
    with Index.open(tmp_path / "kb") as index:
        assert index.search("bees")[0].chunk.lines == (1, 1)
        index.add([paged()])
        assert index.search("word4x7")[0].citation.place == "p.4"


def test_a_pdf_at_the_prompt(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("pypdfium2")
    canvas = pytest.importorskip("reportlab.pdfgen.canvas")
    settled(monkeypatch, tmp_path)
    (tmp_path / "docs").mkdir()
    sheet = canvas.Canvas(str(tmp_path / "docs" / "manual.pdf"))
    for page in (
        "The hive is where bees live.",
        "A pendulum swings in every old clock.",
        "Rivers reach the sea.",
    ):
        sheet.drawString(72, 700, page)
        sheet.showPage()
    sheet.save()
    cli = Cli(capsys)
    done = cli("sync", "docs")
    assert done.code == 0, done.err
    shown = cli("search", "pendulum clock", "-k", "1").out
    assert "docs/manual.pdf p." in shown
    hit = json.loads(cli("search", "pendulum clock", "-k", "1", "--json").out)["hits"][0]
    assert hit["citation"]["place"].startswith("p.")
    assert "2" in hit["citation"]["place"] or "1-3" in hit["citation"]["place"]
    again = json.loads(cli("sync", "docs", "--json").out)
    assert (again["unchanged"], again["added"]) == (1, 0)
    chunks = json.loads(cli("chunks", "docs/manual.pdf", "--json").out)["chunks"]
    assert chunks[0]["place"] == ["p.1", "p.3"]


def test_an_index_of_an_older_ragweft_that_can_only_be_read_says_what_to_do(tmp_path: Path) -> None:
    folder = tmp_path / "kb"
    with Index.open(folder, recipe=FLAT) as index:
        index.add(Document(id="a", text="alpha"))
    with closing(sqlite3.connect(folder / "ledger.db")) as ledger:
        ledger.execute("ALTER TABLE chunks DROP COLUMN context_last")
    with pytest.raises(IndexLocked, match=r"no chunks.context_last.*open it once where it can be written"):
        Index.open(folder, read_only=True)
    Index.open(folder).close()
    with Index.open(folder, read_only=True) as index:
        assert index.search("alpha")
