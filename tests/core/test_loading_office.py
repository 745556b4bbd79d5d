from __future__ import annotations

import datetime as dt
import io
import zipfile
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from made_files import LINES, changed, docx, slides, workbook, zipped
from ragweft.errors import LoadError
from ragweft.loading.converters import CONVERTERS
from ragweft.loading.converters.writing import Converted, Limits
from ragweft.places import place_of

pytest.importorskip("docx")
pytest.importorskip("openpyxl")


def read(kind: str, data: bytes, **limits: Any) -> Converted:
    import importlib

    converter = CONVERTERS[kind]
    pytest.importorskip(converter.needs or "")
    module = importlib.import_module(f"ragweft.loading.converters.{converter.module}")
    found: Converted = module.read(data, Limits(**limits))
    return found


def test_a_word_document() -> None:
    data = docx(
        ("Title", "Key handling"),
        ("Heading 1", "Rotating"),
        ("", LINES[0]),
        ("", "# no heading"),
        ("List Bullet", "one"),
        ("List Bullet", "two"),
        ("Heading 2", "When"),
        ("", LINES[1]),
        table=[["Key", "Age"], ["a|b", "1\n2"], ["c", ""]],
    )
    found = read("docx", data)
    assert found.text == (
        f"# Key handling\n\n# Rotating\n\n{LINES[0]}\n\n\\# no heading\n\n- one\n- two\n\n"
        f"## When\n\n{LINES[1]}\n\n| Key | Age |\n| --- | --- |\n| a\\|b | 1 2 |\n| c |\n"
    )
    assert found.title == "Key handling"
    assert found.places == ()
    assert read("docx", data) == found


def test_the_title_of_the_properties_serves_where_there_is_no_heading() -> None:
    data = docx(("", LINES[0]), title="Keys")
    assert read("docx", data).title == "Keys"
    assert read("docx", changed(data, "docProps/core.xml", lambda xml: b"<broken")).title is None


def test_pictures_in_word_are_what_stands_for_them() -> None:
    from docx import Document

    pytest.importorskip("mammoth")
    document = Document()
    document.add_picture(_picture())
    made = io.BytesIO()
    document.save(made)
    data = changed(
        made.getvalue(),
        "word/document.xml",
        lambda xml: xml.replace(b"<wp:docPr ", b'<wp:docPr descr="A [red] key" '),
    )
    assert read("docx", data).text == "![A (red) key]\n"


def test_equations_in_word_are_not_lost() -> None:
    equation = (
        b'<m:oMathPara xmlns:m="http://schemas.openxmlformats.org/officeDocument/2006/math"><m:oMath>'
        b"<m:r><m:t>E=</m:t></m:r><m:sSup><m:e><m:r><m:t>mc</m:t></m:r></m:e>"
        b"<m:sup><m:r><m:t>2</m:t></m:r></m:sup></m:sSup></m:oMath></m:oMathPara>"
    )
    data = changed(
        docx(("", "Energy: EQUATION.")),
        "word/document.xml",
        lambda xml: xml.replace(b"EQUATION", b"</w:t></w:r>" + equation + b"<w:r><w:t>"),
    )
    assert read("docx", data).text == "Energy: E=mc2.\n"


def test_nothing_outside_a_word_document_is_opened(tmp_path: Any) -> None:
    secret = tmp_path / "secret.txt"
    secret.write_text("secret")
    from docx import Document

    document = Document()
    document.add_picture(_picture())
    made = io.BytesIO()
    document.save(made)
    data = changed(
        made.getvalue(),
        "word/_rels/document.xml.rels",
        lambda xml: xml.replace(
            b'Target="media/image1.png"', f'Target="{secret.as_uri()}" TargetMode="External"'.encode()
        ),
    )
    assert "secret" not in read("docx", data).text


def test_slides() -> None:
    data = slides("First", "Second", notes="Say this\n# not that")
    found = read("slides", data)
    assert found.text == (
        "## First\n\nabout First\n\nNotes: Say this\n\\# not that\n\n"
        "## Second\n\nabout Second\n\nNotes: Say this\n\\# not that\n"
    )
    assert (found.title, found.metadata) == ("First", {"slides": 2})
    second = found.text.index("## Second")
    assert place_of(found.places, second, second + 20) == "slide 2"
    assert place_of(found.places, 0, second + 1) == "slides 1-2"
    assert read("slides", data) == found


def test_what_is_on_slides_besides_text() -> None:
    presentation: Any = pytest.importorskip("pptx").Presentation()
    inches = pytest.importorskip("pptx.util").Inches
    presentation.core_properties.title = "The deck"
    shapes = presentation.slides.add_slide(presentation.slide_layouts[6]).shapes
    picture = shapes.add_picture(_picture(), 0, inches(5))
    picture._element.nvPicPr.cNvPr.set("descr", "A red key")
    table = shapes.add_table(2, 2, 0, inches(1), inches(4), inches(1)).table
    for row, cells in enumerate((("Key", "Age"), ("a|b", "1"))):
        for column, text in enumerate(cells):
            table.cell(row, column).text = text
    data: Any = pytest.importorskip("pptx.chart.data").CategoryChartData()
    data.categories = ["x", "y"]
    data.add_series("S", (1.5, None))
    kind = pytest.importorskip("pptx.enum.chart").XL_CHART_TYPE.COLUMN_CLUSTERED
    chart = shapes.add_chart(kind, 0, inches(2), inches(3), inches(3), data).chart
    chart.has_title = True
    chart.chart_title.text_frame.text = "Keys by age"
    group = shapes.add_group_shape()
    group.top = inches(6)
    frame = group.shapes.add_textbox(0, inches(6), inches(1), inches(1)).text_frame
    frame.text = "one"
    frame.add_paragraph().text = "two"
    frame.paragraphs[1].level = 1
    made = io.BytesIO()
    presentation.save(made)
    found = read("slides", made.getvalue())
    assert found.text == (
        "| Key | Age |\n| --- | --- |\n| a\\|b | 1 |\n\nKeys by age\n\n"
        "|  | S |\n| --- | --- |\n| x | 1.5 |\n| y |\n\n![A red key]\n\n- one\n  - two\n"
    )
    assert found.title == "The deck"


def test_smart_art_is_read() -> None:
    """The texts of a diagram stand in a file of their own, which its frame only points to."""
    pytest.importorskip("pptx")
    frame = (
        b'<p:graphicFrame><p:nvGraphicFramePr><p:cNvPr id="9" name="d"/><p:cNvGraphicFramePr/><p:nvPr/>'
        b'</p:nvGraphicFramePr><p:xfrm><a:off x="0" y="0"/><a:ext cx="1" cy="1"/></p:xfrm><a:graphic><a:graphicData '
        b'uri="http://schemas.openxmlformats.org/drawingml/2006/diagram"><dgm:relIds '
        b'xmlns:dgm="http://schemas.openxmlformats.org/drawingml/2006/diagram" '
        b'xmlns:r="http://schemas.openxmlformats.org/officeDocument/2006/relationships" r:dm="rId77"/>'
        b"</a:graphicData></a:graphic></p:graphicFrame></p:spTree>"
    )
    diagram = (
        b'<dgm:dataModel xmlns:dgm="http://schemas.openxmlformats.org/drawingml/2006/diagram" '
        b'xmlns:a="http://schemas.openxmlformats.org/drawingml/2006/main"><a:p><a:r><a:t>Make a </a:t></a:r>'
        b"<a:r><a:t>key</a:t></a:r></a:p><a:p><a:r><a:t>Lose it</a:t></a:r></a:p></dgm:dataModel>"
    )
    data = changed(slides("Steps"), "ppt/slides/slide1.xml", lambda xml: xml.replace(b"</p:spTree>", frame))
    data = changed(
        data,
        "ppt/slides/_rels/slide1.xml.rels",
        lambda xml: xml.replace(
            b"</Relationships>",
            b'<Relationship Id="rId77" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/'
            b'diagramData" Target="../diagrams/data1.xml"/></Relationships>',
        ),
    )
    with zipfile.ZipFile(io.BytesIO(data)) as file:
        entries = {name: file.read(name) for name in file.namelist()}
    found = read("slides", zipped(entries | {"ppt/diagrams/data1.xml": diagram}))
    assert "- Make a key\n- Lose it\n" in found.text


def test_sheets_are_tables_of_rows() -> None:
    data = workbook(
        {
            "Keys": [["Prices of 2024"], [], ["name", "value|unit"], ["a\nb", 0.5], ["c", None], [], ["alone"]],
            "Ages 2 to 3": [["k", "v"], ["x", 1]],
            "Empty": [],
        }
    )
    found = read("sheets", data)
    assert found.text == (
        "## Keys\n\nPrices of 2024\n\n| name | value\\|unit |\n| --- | --- |\n| a b | 0.5 |\n| c |\n\nalone\n\n"
        "## Ages 2 to 3\n\n| k | v |\n| --- | --- |\n| x | 1 |\n"
    )
    assert found.metadata == {"sheets": ["Keys", "Ages 2 to 3", "Empty"]}

    def cited(first: str, last: str) -> str:
        return place_of(found.places, found.text.index(first), found.text.index(last) + len(last))

    assert cited("Prices", "2024") == "Keys row 1"
    assert cited("| name", "| c |") == "Keys rows 3-5"
    assert cited("| a b", "0.5") == "Keys row 4"
    assert cited("alone", "alone") == "Keys row 7"
    assert cited("alone", "| x | 1 |") == "Keys row 7 to Ages 2 to 3 row 2"
    assert cited("## Ages", "| x | 1 |") == "Ages 2 to 3 rows 1-2"
    assert read("sheets", data) == found


def test_values_look_as_they_do_in_the_sheet() -> None:
    row = [
        1,
        0.1 + 0.2,
        1e21,
        True,
        dt.datetime(2024, 1, 2, 3, 4, tzinfo=dt.UTC).replace(tzinfo=None),
        dt.date(2024, 1, 2),
        dt.time(3, 4),
        " x ",
    ]
    found = read("sheets", workbook({"S": [["h"] * 8, row]}))
    assert (
        found.text.split("\n")[-2]
        == "| 1 | 0.3 | 1e+21 | TRUE | 2024-01-02 03:04 | 2024-01-02 | 03:04:00 | x |"
    )


def test_open_document_sheets_are_read_too() -> None:
    content = (
        '<?xml version="1.0"?><office:document-content xmlns:office="urn:oasis:names:tc:opendocument:xmlns:office:1.0" '
        'xmlns:table="urn:oasis:names:tc:opendocument:xmlns:table:1.0" '
        'xmlns:text="urn:oasis:names:tc:opendocument:xmlns:text:1.0"><office:body><office:spreadsheet>'
        '<table:table table:name="Keys"><table:table-row><table:table-cell office:value-type="string">'
        '<text:p>a</text:p></table:table-cell><table:table-cell office:value-type="string"><text:p>b</text:p>'
        '</table:table-cell></table:table-row><table:table-row><table:table-cell office:value-type="float" '
        'office:value="2"/><table:table-cell office:value-type="float" office:value="3"/></table:table-row>'
        "</table:table></office:spreadsheet></office:body></office:document-content>"
    )
    data = zipped(
        {
            "mimetype": "application/vnd.oasis.opendocument.spreadsheet",
            "content.xml": content,
            "META-INF/manifest.xml": '<manifest:manifest xmlns:manifest="urn:oasis:names:tc:opendocument:xmlns:manifest:1.0"/>',
        },
    )
    assert read("sheets", data).text == "## Keys\n\n| a | b |\n| --- | --- |\n| 2 | 3 |\n"


@settings(max_examples=50)
@given(
    st.lists(
        st.lists(st.sampled_from(["", "a", "b|c", "# d", "| --- |", "e\nf", "\x07"]), max_size=4), max_size=8
    )
)
def test_every_row_is_where_its_place_says(rows: list[list[str]]) -> None:
    """Each cell holds its row's number, so that it can be found again."""
    marked = [
        [f"{cell} r{number}r" if cell.strip() else None for cell in row] for number, row in enumerate(rows, 1)
    ]
    found = read("sheets", _workbook_of(marked))
    for place in found.places:
        assert place.label == "S row"
    for number, row in enumerate(marked, 1):
        at = -1
        for _ in filter(None, row):
            at = found.text.index(f"r{number}r", at + 1)
            assert place_of(found.places, at, at + 1) == f"S row {number}"
        assert found.text.count(f"r{number}r") == sum(cell is not None for cell in row)


def _workbook_of(rows: list[list[str | None]]) -> bytes:
    return workbook(
        {"S": [[cell if cell is None else cell.replace("\x07", "") for cell in row] for row in rows]}
    )


def _picture() -> io.BytesIO:
    image = pytest.importorskip("PIL.Image")
    made = io.BytesIO()
    image.new("RGB", (2, 2)).save(made, "PNG")
    made.seek(0)
    return made


@pytest.mark.parametrize("kind", ["docx", "slides", "sheets"])
def test_files_with_passwords_and_of_old_formats(kind: str) -> None:
    old = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(504)
    with pytest.raises(LoadError, match="is protected by a password; save it without one"):
        read(kind, old + "EncryptedPackage".encode("utf-16-le") + bytes(512))
    with pytest.raises(LoadError, match="is damaged" if kind == "sheets" else "is in an older format"):
        read(kind, old)


def test_too_many_slides_are_refused() -> None:
    with pytest.raises(LoadError, match="has 2 slides, more than 1; split it, or raise max_pages"):
        read("slides", slides("a", "b"), max_pages=1)
