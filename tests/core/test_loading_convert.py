"""Files that are converted, as the loader and the walk meet them: harmless ones, damaged ones, and traps."""

from __future__ import annotations

import importlib.util
import io
import random
import struct
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from made_files import (
    LETTER,
    LINES,
    changed,
    docx,
    endless_pdf,
    epub,
    notebook,
    pdf,
    slides,
    text_page,
    workbook,
)
from ragweft.errors import LoadError, MissingExtra
from ragweft.loading import FileLoader, Found, Limits, Skipped, discover, source_uri
from ragweft.loading.converters import CONVERTERS
from ragweft.loading.walk import NOT_INSTALLED
from ragweft.places import place_of

NEEDED = ("pypdfium2", "mammoth", "pptx", "python_calamine", "docx", "openpyxl")
INSTALLED = all(importlib.util.find_spec(name) for name in NEEDED)
MAILBOX = b"From a@b Mon Jan  1 10:00:00 2024\n" + LETTER.replace(b"\r\n", b"\n")

MAKERS: dict[str, Callable[[], bytes]] = {
    "a.epub": lambda: epub(f"<h1>Keys</h1><p>{LINES[0]}</p>"),
    "a.eml": lambda: LETTER,
    "a.mbox": lambda: MAILBOX,
    "a.ipynb": lambda: notebook({"cell_type": "markdown", "source": LINES[0]}),
} | (
    {
        "a.pdf": lambda: pdf(*(text_page((12, 700, line)) for line in LINES)),
        "a.docx": lambda: docx(("Heading 1", "Keys"), ("", LINES[0])),
        "a.pptx": lambda: slides("Keys", "Locks"),
        "a.xlsx": lambda: workbook({"Keys": [["key", "age"], ["a", 1]]}),
    }
    if INSTALLED
    else {}
)
needs_packages = pytest.mark.skipif(not INSTALLED, reason="needs the packages of ragweft[files] and [dev]")


@pytest.fixture(scope="module")
def loader() -> Iterator[FileLoader]:
    made = FileLoader(limits=Limits(max_seconds=20.0))
    yield made
    made.close()


@pytest.fixture(scope="module")
def other() -> Iterator[FileLoader]:
    made = FileLoader()
    yield made
    made.close()


@pytest.fixture(scope="module")
def files() -> dict[str, bytes]:
    return {name: make() for name, make in MAKERS.items()}


def put(folder: Path, name: str, data: bytes) -> Path:
    path = folder / name
    path.write_bytes(data)
    return path


def outcome(loader: FileLoader, path: Path) -> tuple[bool, str]:
    """Whether a file can be read, and its text or why not."""
    try:
        return True, loader.load(path).text
    except LoadError as error:
        return False, str(error)


def check(path: Path, read: bool, said: str) -> None:
    """A text that can be stored, or a reason of one line."""
    said.encode("utf-8")
    if read:
        assert "\0" not in said
    else:
        assert said.startswith(f"{path}: ")
        assert "; " in said
        assert said.isprintable()


@pytest.mark.parametrize("name", MAKERS)
def test_a_converted_file_is_a_document_with_places(
    name: str, loader: FileLoader, other: FileLoader, files: dict[str, bytes], tmp_path: Path
) -> None:
    path = put(tmp_path, name, files[name])
    document = loader.load(path)
    assert document.places is not None
    assert document.id == document.source == source_uri(path)
    assert document.format == "markdown"
    assert document.text.strip()
    assert (document.metadata["file_name"], document.metadata["suffix"]) == (name, path.suffix)
    starts = [place.start for place in document.places]
    assert starts == sorted(starts)
    assert all(start < len(document.text) for start in starts)
    assert other.load(path) == document


def test_each_kind_is_cited_as_its_readers_do(
    loader: FileLoader, files: dict[str, bytes], tmp_path: Path
) -> None:
    cited = {}
    for name in files:
        document = loader.load(put(tmp_path, name, files[name]))
        assert document.places is not None
        cited[name] = place_of(document.places, 0, len(document.text))
    expected = {
        "a.epub": "section 1",
        "a.eml": "",
        "a.mbox": "message 1",
        "a.ipynb": "cell 1",
        "a.pdf": "p.1-2",
        "a.docx": "",
        "a.pptx": "slides 1-2",
        "a.xlsx": "Keys rows 1-2",
    }
    assert cited == {name: expected[name] for name in files}


def test_an_empty_file_is_an_empty_document(loader: FileLoader, tmp_path: Path) -> None:
    for name in MAKERS:
        assert loader.load(put(tmp_path, name, b"")).text == ""


@pytest.mark.parametrize("name", MAKERS)
def test_files_that_lie_about_what_they_are(
    name: str, loader: FileLoader, files: dict[str, bytes], tmp_path: Path
) -> None:
    """Every kind under every other's name, pictures and plain text included."""
    others = [*files.values(), b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", b"plain text\n" * 20, bytes(1_000)]
    for data in others:
        if data != files[name]:
            path = put(tmp_path, name, data)
            check(path, *outcome(loader, path))


MUTATIONS = st.lists(
    st.tuples(st.integers(0, 2**31), st.sampled_from(["flip", "cut", "end", "grow", "repeat", "zero"])),
    min_size=1,
    max_size=6,
)


def mutated(data: bytes, changes: list[tuple[int, str]]) -> bytes:
    made = bytearray(data)
    for where, how in changes:
        at = where % max(1, len(made))
        if how == "flip" and made:
            made[at] ^= 1 << (where % 8)
        elif how == "cut":
            del made[at : at + where % 97]
        elif how == "end":
            del made[at:]
        elif how == "grow":
            made[at:at] = random.Random(where).randbytes(where % 13)
        elif how == "repeat":
            made[at:at] = made[at : at + where % 211]
        else:
            made[at : at + where % 7] = bytes(where % 7)
    return bytes(made)


def mutated_inside(data: bytes, changes: list[tuple[int, str]]) -> bytes:
    """An archive that is sound, with an entry that is not."""
    with zipfile.ZipFile(io.BytesIO(data)) as file:
        names = file.namelist()
    return changed(data, names[changes[0][0] % len(names)], lambda content: mutated(content, changes))


@pytest.mark.parametrize("name", MAKERS)
@given(changes=MUTATIONS, inside=st.booleans())
@settings(max_examples=12, deadline=None)
def test_a_damaged_file_is_a_document_or_a_load_error(
    name: str,
    loader: FileLoader,
    files: dict[str, bytes],
    tmp_path_factory: Any,
    changes: list[tuple[int, str]],
    inside: bool,
) -> None:
    whole = files[name]
    data = mutated_inside(whole, changes) if inside and whole[:2] == b"PK" else mutated(whole, changes)
    path = put(tmp_path_factory.mktemp("damaged"), name, data)
    first = outcome(loader, path)
    check(path, *first)
    assert outcome(loader, path) == first


@needs_packages
@pytest.mark.parametrize(
    ("name", "part"),
    [
        ("a.docx", "word/document.xml"),
        ("a.docx", "word/styles.xml"),
        ("a.pptx", "ppt/slides/slide1.xml"),
        ("a.pptx", "ppt/_rels/presentation.xml.rels"),
        ("a.xlsx", "xl/worksheets/sheet1.xml"),
        ("a.epub", "OEBPS/text/s 0.xhtml"),
    ],
)
def test_a_part_that_cannot_be_unpacked_is_told(
    name: str, part: str, loader: FileLoader, tmp_path: Path
) -> None:
    data = bytearray(MAKERS[name]())
    with zipfile.ZipFile(io.BytesIO(data)) as file:
        entry = file.getinfo(part)
    names, extra = struct.unpack_from("<HH", data, entry.header_offset + 26)
    begin = entry.header_offset + 30 + names + extra
    # A block of a kind that there is not: nothing of it can be read.
    data[begin : begin + entry.compress_size] = b"\xff" * entry.compress_size
    with pytest.raises(LoadError, match="is damaged"):
        loader.load(put(tmp_path, name, bytes(data)))


@needs_packages
def test_a_pdf_that_never_ends(tmp_path: Path) -> None:
    loader = FileLoader(limits=Limits(max_seconds=1.0))
    path = put(tmp_path, "a.pdf", endless_pdf())
    with pytest.raises(LoadError, match=r"a\.pdf: takes longer than 1 seconds to be read") as caught:
        loader.load(path)
    assert isinstance(caught.value.__cause__, TimeoutError)
    assert loader.load(put(tmp_path, "b.pdf", pdf(text_page((12, 700, "fine"))))).text == "fine\n"
    loader.close()


@needs_packages
def test_a_pdf_that_wants_all_memory(tmp_path: Path) -> None:
    data = pdf("BT /F1 12 Tf 72 700 Td " + "(x) Tj " * 3_000_000 + "ET", compressed=True)
    loader = FileLoader(limits=Limits(max_memory=400 * 2**20, max_seconds=30.0))
    with pytest.raises(LoadError, match=r"400 MB of memory"):
        loader.load(put(tmp_path, "a.pdf", data))
    loader.close()


@needs_packages
@pytest.mark.parametrize("count", [b"2000000000", b"-1", b"99999999999999999999"])
def test_a_pdf_that_lies_about_its_pages(count: bytes, loader: FileLoader, tmp_path: Path) -> None:
    data = pdf(text_page((12, 700, "fine"))).replace(b"/Count 1", b"/Count " + count)
    path = put(tmp_path, "a.pdf", data)
    read, said = outcome(loader, path)
    check(path, read, said)
    assert said == "fine\n" if read else "pages" in said or "damaged" in said


def bomb(size: int, name: str = "OEBPS/text/s 0.xhtml") -> bytes:
    return changed(epub("<p>x</p>"), name, lambda _: bytes(size))


def test_a_zip_bomb_is_not_unpacked(tmp_path: Path) -> None:
    loader = FileLoader(limits=Limits(max_unpacked=10_000_000, max_memory=400 * 2**20))
    with pytest.raises(LoadError, match=r"would unpack to 20,00\d,\d{3} bytes, more than 10,000,000"):
        loader.load(put(tmp_path, "a.epub", bomb(20_000_000)))
    loader.close()


def test_an_archive_that_shrinks_too_well_is_no_document(loader: FileLoader, tmp_path: Path) -> None:
    with pytest.raises(LoadError, match=r"would unpack to [\d,]+ times its size; it is no document"):
        loader.load(put(tmp_path, "a.epub", bomb(60_000_000)))


def test_an_archive_that_lies_about_sizes(loader: FileLoader, tmp_path: Path) -> None:
    """The sizes in the table of contents are made small: nothing is unpacked beyond them."""
    data = bytearray(bomb(20_000_000))
    size = struct.pack("<I", 20_000_000)
    at = data.rindex(size)
    data[at : at + 4] = struct.pack("<I", 9)
    with pytest.raises(LoadError, match="cannot be unpacked"):
        loader.load(put(tmp_path, "a.epub", bytes(data)))


def test_an_archive_of_too_many_parts(loader: FileLoader, tmp_path: Path) -> None:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_STORED) as file:
        for number in range(65_537):
            file.writestr(zipfile.ZipInfo(str(number)), b"")
    with pytest.raises(LoadError, match="holds 65,537 parts, more than 65,536"):
        loader.load(put(tmp_path, "a.epub", made.getvalue()))


def test_an_archive_with_a_password(loader: FileLoader, tmp_path: Path) -> None:
    data = bytearray(epub("<p>x</p>"))
    at = data.index(b"PK\x01\x02")
    data[at + 8] |= 1
    with pytest.raises(LoadError, match="is protected by a password"):
        loader.load(put(tmp_path, "a.epub", bytes(data)))


LAUGHS = (
    '<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "ha">'
    + "".join(f'<!ENTITY {chr(98 + n)} "{f"&{chr(97 + n)};" * 10}">' for n in range(12))
    + "]>"
)
OUTSIDE = '<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]>'


@pytest.mark.parametrize("declared", [LAUGHS, OUTSIDE])
def test_xml_bombs_in_books(declared: str, loader: FileLoader, tmp_path: Path) -> None:
    def change(xml: bytes) -> bytes:
        return xml.replace(b'<?xml version="1.0"?>', declared.encode()).replace(b"A book", b"A &m;&a;book")

    with pytest.raises(LoadError, match=r"declares entities in OEBPS/book\.opf"):
        loader.load(put(tmp_path, "a.epub", changed(epub("<p>x</p>"), "OEBPS/book.opf", change)))
    page = f"{declared}<html><body><p>fine &m;&a;</p></body></html>"
    text = loader.load(
        put(tmp_path, "b.epub", changed(epub("x"), "OEBPS/text/s 0.xhtml", lambda _: page.encode()))
    ).text
    assert text.startswith("fine")
    assert len(text) < 100
    assert "root:" not in text


@needs_packages
@pytest.mark.parametrize("declared", [LAUGHS, OUTSIDE])
@pytest.mark.parametrize(
    ("name", "part"),
    [
        ("a.docx", "word/document.xml"),
        ("a.pptx", "ppt/slides/slide1.xml"),
        ("a.xlsx", "xl/worksheets/sheet1.xml"),
    ],
)
def test_xml_bombs_in_office_files(
    name: str, part: str, declared: str, loader: FileLoader, files: dict[str, bytes], tmp_path: Path
) -> None:
    def change(xml: bytes) -> bytes:
        body = xml[xml.index(b"?>") + 2 :] if xml.startswith(b"<?xml") else xml
        return declared.encode() + body.replace(b"Keys", b"&m;&a;").replace(b"<v>1</v>", b"<v>&m;&a;</v>")

    path = put(tmp_path, name, changed(files[name], part, change))
    read, said = outcome(loader, path)
    check(path, read, said)
    assert "root:" not in said
    assert len(said) < 1_000
    # The reader of workbooks expands nothing; the others are not asked.
    assert name == "a.xlsx" or "declares a document type" in said


@needs_packages
@pytest.mark.parametrize("name", ["a.docx", "a.pptx"])
@pytest.mark.parametrize("encoding", ["utf-32", "utf-32-le", "utf-32-be", "shift-jis", "cp037", "klingon"])
def test_a_declaration_in_an_encoding_that_hides_it(
    name: str, encoding: str, loader: FileLoader, files: dict[str, bytes], tmp_path: Path
) -> None:
    declared = f'<?xml version="1.0" encoding="{encoding}"?><!DOCTYPE a [<!ENTITY m "boom">]><a>&m;</a>'
    part = declared.encode("ascii" if encoding == "klingon" else encoding)
    path = put(tmp_path, name, changed(files[name], "docProps/app.xml", lambda _: part))
    with pytest.raises(LoadError, match=r"docProps/app\.xml is no XML|declares a document type in docProps"):
        loader.load(path)


@needs_packages
def test_a_sheet_that_reaches_into_the_last_corner(
    loader: FileLoader, files: dict[str, bytes], tmp_path: Path
) -> None:
    data = changed(
        files["a.xlsx"], "xl/worksheets/sheet1.xml", lambda xml: xml.replace(b'r="B2"', b'r="XFD1048576"')
    )
    with pytest.raises(LoadError, match=r"broke off|reaches over|is damaged"):
        loader.load(put(tmp_path, "a.xlsx", data))


def test_nested_without_end(loader: FileLoader, tmp_path: Path) -> None:
    for name, data in (
        ("a.ipynb", b'{"cells":' + b"[" * 200_000),
        ("a.epub", epub("<div>" * 50_000 + "x" + "<table><tr><td>" * 5_000 + "y" + "<ul><li>" * 5_000)),
        (
            "a.eml",
            b"Subject: x\nContent-Type: multipart/mixed; boundary=b\n\n"
            + b"--b\nContent-Type: message/rfc822\n\n" * 2_000,
        ),
    ):
        read, said = outcome(loader, put(tmp_path, name, data))
        assert said if read else "nested too deep" in said


def without(monkeypatch: pytest.MonkeyPatch, *modules: str) -> None:
    """As if these were not installed."""
    real = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, package=None: None if name in modules else real(name, package)
    )


NEEDY = {name: converter for name, converter in CONVERTERS.items() if converter.needs}


@pytest.mark.parametrize(
    ("name", "package"),
    [("a.pdf", "pypdfium2"), ("a.docx", "mammoth"), ("a.pptx", "python-pptx"), ("a.XLSX", "python-calamine")],
)
def test_without_its_package_a_file_is_left_out_with_the_command_that_helps(
    name: str, package: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    without(monkeypatch, *(converter.needs or "" for converter in NEEDY.values()))
    root = tmp_path.resolve()
    path = put(root, name, b"whatever")
    put(root, "b.md", b"text")
    put(root, "c.ipynb", notebook())
    found = {item.path.name: item for item in discover(root)}
    skipped = found[name]
    assert isinstance(skipped, Skipped)
    assert skipped.reason == NOT_INSTALLED == "needs  pip install 'ragweft[files]'"
    assert skipped.unread
    assert skipped.uri == source_uri(path)
    assert isinstance(found["b.md"], Found)
    assert isinstance(found["c.ipynb"], Found)
    assert isinstance(next(iter(discover(path))), Skipped)
    with pytest.raises(MissingExtra, match=rf"{package} is not installed: run  pip install 'ragweft\[files\]'"):
        FileLoader().load(path)


def test_what_is_left_out_by_rule_is_not_unread(tmp_path: Path) -> None:
    put(tmp_path.resolve(), "a.bin", b"")
    (only,) = discover(tmp_path)
    assert isinstance(only, Skipped)
    assert not only.unread


@needs_packages
def test_a_package_that_is_there_and_broken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mammoth.py").write_text("raise ImportError('its library is gone')")
    monkeypatch.syspath_prepend(str(tmp_path))
    loader = FileLoader()
    with pytest.raises(
        LoadError, match=r"mammoth cannot be imported \(its library is gone\); reinstall it with"
    ):
        loader.load(put(tmp_path, "a.docx", docx(("", "x"))))
    loader.close()


def test_limits_of_size_hold_before_anything_is_started(tmp_path: Path) -> None:
    with pytest.raises(LoadError, match=r"a\.epub: larger than 10 bytes"):
        FileLoader(max_bytes=10).load(put(tmp_path, "a.epub", epub("x")))
