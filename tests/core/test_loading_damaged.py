"""A part of a document that is not what it should be refuses the document: it is never taken for an empty one."""

from __future__ import annotations

import importlib
import io
import zipfile
from typing import Any

import pytest

from made_files import changed, docx, epub, slides, workbook, zipped
from ragweft.errors import LoadError
from ragweft.loading.converters.writing import Converted, Limits

SHEET = "xl/worksheets/sheet1.xml"
ENTITIES = b'<!DOCTYPE a [<!ENTITY a "lol"><!ENTITY b "&a;&a;&a;">]>'


def read(kind: str, data: bytes) -> Converted:
    found: Any = importlib.import_module(f"ragweft.loading.converters.{kind}")
    result: Converted = found.read(data, Limits())
    return result


def bomb(_part: bytes) -> bytes:
    """Entities declared, and one of them as all that is said."""
    return b'<?xml version="1.0"?>' + ENTITIES + b"<lolz>&b;</lolz>"


def two_sheets() -> bytes:
    pytest.importorskip("python_calamine")
    pytest.importorskip("openpyxl")
    return workbook({"A": [["a", "b"], ["1", "2"]], "B": [["c", "d"], ["3", "4"]]})


def open_document(table: str = "") -> bytes:
    name = "urn:oasis:names:tc:opendocument:xmlns:"
    content = (
        f'<?xml version="1.0"?><office:document-content xmlns:office="{name}office:1.0" '
        f'xmlns:table="{name}table:1.0" xmlns:text="{name}text:1.0"><office:body><office:spreadsheet>'
        f"{table}</office:spreadsheet></office:body></office:document-content>"
    )
    # As some versions of LibreOffice write them, with macros.
    script = '<!DOCTYPE library:library PUBLIC "-//OpenOffice.org//DTD" "library.dtd"><library:library/>'
    return zipped(
        {
            "mimetype": "application/vnd.oasis.opendocument.spreadsheet",
            "content.xml": content,
            "Basic/Standard/script-lb.xml": script,
            "META-INF/manifest.xml": f'<manifest:manifest xmlns:manifest="{name}manifest:1.0"/>',
        }
    )


@pytest.mark.parametrize(
    ("kind", "part"),
    [
        ("docx", "word/document.xml"),
        ("slides", "ppt/slides/slide1.xml"),
        ("sheets", SHEET),
        ("sheets", "xl/workbook.xml"),
    ],
)
def test_what_declares_entities_is_refused(kind: str, part: str) -> None:
    made = {"docx": lambda: docx(("", "hello")), "slides": lambda: slides("One"), "sheets": two_sheets}[kind]()
    with pytest.raises(LoadError, match=f"declares a document type in {part}, which documents never do"):
        read(kind, changed(made, part, bomb))


@pytest.mark.parametrize(
    ("part", "reason"),
    [
        (b"garbage", "is damaged"),
        (b"", "is damaged"),
        (b"<html><body>moved</body></html>", "sheet1.xml holds no worksheet"),
        (b'<?xml version="1.0"?><worksheet xmlns="http://schemas', "is damaged"),
        (b'<worksheet><sheetPr/><dimension ref="A1"/>', "sheet1.xml is no XML"),
    ],
)
def test_a_sheet_that_is_none_is_not_an_empty_sheet(part: bytes, reason: str) -> None:
    with pytest.raises(LoadError, match=reason):
        read("sheets", changed(two_sheets(), SHEET, lambda _: part))


def test_what_nobody_reads_of_a_workbook_may_be_anything() -> None:
    data = io.BytesIO(two_sheets())
    with zipfile.ZipFile(data, "a") as file:
        file.writestr("customXml/item1.xml", "<!DOCTYPE html><html/>")
        file.writestr("docProps/thumbnail.xml", b"\xff\xd8 no XML")
    assert read("sheets", data.getvalue()).text == read("sheets", two_sheets()).text


def test_sheets_that_are_empty_are() -> None:
    pytest.importorskip("python_calamine")
    pytest.importorskip("openpyxl")
    found = read("sheets", workbook({"None": [], "B": [["c", "d"], ["3", "4"]]}))
    assert found.text == "## B\n\n| c | d |\n| --- | --- |\n| 3 | 4 |\n"
    assert found.metadata == {"sheets": ["None", "B"]}


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"garbage", "content.xml is no XML"),
        (b"<html><body>moved</body></html>", "content.xml holds no document-content"),
        (bomb(b""), "declares a document type in content.xml"),
    ],
)
def test_the_same_of_open_document_sheets(content: bytes, reason: str) -> None:
    pytest.importorskip("python_calamine")
    table = (
        '<table:table table:name="Keys"><table:table-row><table:table-cell office:value-type="string">'
        "<text:p>key</text:p></table:table-cell></table:table-row></table:table>"
    )
    assert read("sheets", open_document(table)).text == "## Keys\n\nkey\n"
    with pytest.raises(LoadError, match=reason):
        read("sheets", changed(open_document(table), "content.xml", lambda _: content))


def test_a_book_without_any_of_its_sections_is_refused() -> None:
    book = epub("<p>one</p>", "<p>two</p>")
    found = read("epub", changed(book, "OEBPS/text/s 0.xhtml", lambda _: b" "))
    assert (found.text, found.metadata["missing_sections"]) == ("two\n", [1])
    with zipfile.ZipFile(io.BytesIO(book)) as file:
        entries = {name: file.read(name) for name in file.namelist() if not name.endswith(".xhtml")}
    with pytest.raises(LoadError, match="is damaged: none of its 2 sections is there"):
        read("epub", zipped(entries))
