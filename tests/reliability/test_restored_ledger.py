"""A ledger that was restored from a backup gives numbers again: of commits, of rows. Nothing may be mistaken."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from ragweft import Document, Index, Recipe
from ragweft.errors import RagweftError
from ragweft.recipe import Dense

BEFORE = [
    Document(id="keys", text="API keys are rotated every ninety days."),
    Document(id="tides", text="The harbour gauge reads the tide twice a day."),
]
LOST = Document(id="bees", text="Honey frames are spun in the old dairy.")
INSTEAD = Document(id="trams", text="Trams to the depot leave from platform nine.")


@pytest.fixture(params=["flat", "chroma"])
def folder(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    """An index whose ledger lost its last commit and got another one of the same number."""
    folder = tmp_path / "kb"
    with _opened(folder, request.param) as index:
        index.add(BEFORE)
    backup = tmp_path / "backup.db"
    shutil.copy(folder / "ledger.db", backup)
    with _opened(folder, request.param) as index:
        index.add([LOST])
        found = index.search("where is honey spun", k=1)
        assert found[0].chunk.document_id == "bees"
        assert index.cache().store("where is honey spun", "in the dairy", evidence=found)
        generation = index.status().generation
    shutil.copy(backup, folder / "ledger.db")
    with _opened(folder, request.param) as index:
        index.add([INSTEAD])
        assert index.status().generation == generation
    return folder


def _opened(folder: Path, engine: str) -> Index:
    return Index.open(folder, recipe=Recipe(dense=Dense(engine=engine)))


def test_an_answer_from_what_was_lost_is_not_served(folder: Path) -> None:
    with Index.open(folder) as index:
        (passed,) = index.cache().explain("where is honey spun").passed
        assert passed.why == "stale, ledger"
        assert index.cache().lookup("where is honey spun") is None


def test_no_passage_is_found_by_what_another_said(folder: Path) -> None:
    with Index.open(folder) as index:
        found = index.search("trams to the depot", k=1)
        assert found[0].chunk.document_id == "trams"
        assert found[0].origins.keys() >= {"dense", "lexical"}
        honey = index.search("honey frames", k=3)
        assert all("lexical" not in hit.origins for hit in honey)
        assert index.verify(repair=False).ok


def test_who_may_only_read_says_so(folder: Path) -> None:
    """Before anybody who may write has opened it."""
    shutil.copy(folder.parent / "backup.db", folder / "ledger.db")
    with Index.open(folder, read_only=True) as index, pytest.raises(RagweftError, match="ragweft verify"):
        index.search("rotated keys", k=1)
