from __future__ import annotations

import re

import pytest

from ragweft.loading import FILE_NAMES, SUFFIXES, FileFormat, file_format
from ragweft.loading.converters import CONVERTERS
from ragweft.loading.formats import file_suffix

FORMATS = {"markdown", "rst", "python", "code", "table", "text", "html", *CONVERTERS}


@pytest.mark.parametrize(
    ("name", "written", "language"),
    [
        ("guide.md", "markdown", None),
        ("GUIDE.MD", "markdown", None),
        ("page.mdx", "markdown", None),
        ("index.rst", "rst", None),
        ("index.html", "html", None),
        ("index.htm", "html", None),
        ("module.py", "python", "python"),
        ("module.pyi", "python", "python"),
        ("app.tsx", "code", "typescript"),
        ("types.d.ts", "code", "typescript"),
        ("Main.java", "code", "java"),
        ("lib.rs", "code", "rust"),
        ("a.h", "code", "c"),
        ("a.hpp", "code", "cpp"),
        ("analysis.R", "code", "r"),
        ("main.tf", "code", "hcl"),
        ("pyproject.toml", "code", "toml"),
        ("build.gradle", "code", "gradle"),
        ("data.json", "text", None),
        ("data.jsonl", "text", None),
        ("data.csv", "table", None),
        ("data.tsv", "table", None),
        ("notes.org", "text", None),
        ("paper.tex", "text", None),
        ("README", "text", None),
        ("readme", "text", None),
        ("LICENSE", "text", None),
        ("paper.PDF", "pdf", None),
        ("letter.docx", "docx", None),
        ("deck.pptx", "slides", None),
        ("book.xlsx", "sheets", None),
        ("old.xls", "sheets", None),
        ("book.ods", "sheets", None),
        ("novel.epub", "epub", None),
        ("note.eml", "mail", None),
        ("archive.mbox", "mailbox", None),
        ("trial.ipynb", "notebook", None),
        ("Makefile", "code", "make"),
        ("Dockerfile", "code", "dockerfile"),
        ("CMakeLists.txt", "code", "cmake"),
        ("requirements.txt", "text", None),
        ("with space.and.dots.txt", "text", None),
    ],
)
def test_supported(name: str, written: str, language: str | None) -> None:
    assert file_format(name) == FileFormat(format=written, language=language)


@pytest.mark.parametrize(
    "name",
    [
        "a.doc",
        "a.png",
        "a.msg",
        "a.so",
        "a",
        "README.bak",
        "yarn.lock",
        ".md",
        "md",
        "a.",
        "..",
        "",
        "a.md~",
        "a. md",
    ],
)
def test_unsupported(name: str) -> None:
    assert file_format(name) is None


def test_everything_that_can_be_converted_has_a_suffix() -> None:
    assert CONVERTERS.keys() <= {entry.format for entry in SUFFIXES.values()}


def test_every_entry_names_a_known_format_and_code_its_language() -> None:
    for table in (SUFFIXES, FILE_NAMES):
        for key, entry in table.items():
            assert entry.format in FORMATS, key
            assert (entry.language is not None) == (entry.format in ("code", "python")), key
            assert key == key.lower()
    assert all(re.fullmatch(r"\.[a-z0-9]+", suffix) for suffix in SUFFIXES)


@pytest.mark.parametrize(
    ("name", "suffix"),
    [
        ("a.tar.GZ", ".gz"),
        (".hidden", ""),
        (".hidden.md", ".md"),
        ("..md", ""),
        ("plain", ""),
        ("a.", "."),
        ("x\n.md", ".md"),
    ],
)
def test_suffix(name: str, suffix: str) -> None:
    assert file_suffix(name) == suffix
