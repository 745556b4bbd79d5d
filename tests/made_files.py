"""Files of every kind that is converted, made by the libraries people make them with, or by hand."""

from __future__ import annotations

import io
import json
import zipfile
import zlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

LINES = ("Rotate the key with vault rotate.", "The old key stays valid for one hour.")


def pdf(
    *pages: str,
    compressed: bool = False,
    outline: Sequence[tuple[str, int]] = (),
    title: str = "",
) -> bytes:
    """Content streams to a file with Helvetica as /F1; *outline* names pages from 0."""
    objects: list[bytes] = [b"", b"", b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>"]
    kids = []
    for page in pages:
        content = page.encode("latin-1")
        packed = zlib.compress(content) if compressed else content
        kind = b"/Filter/FlateDecode" if compressed else b""
        objects.append(b"<<%s/Length %d>>stream\n%s\nendstream" % (kind, len(packed), packed))
        objects.append(
            b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 612 792]/Resources<</Font<</F1 3 0 R>>>>/Contents %d 0 R>>"
            % len(objects)
        )
        kids.append(len(objects))
    objects[1] = b"<</Type/Pages/Count %d/Kids[%s]>>" % (
        len(kids),
        b" ".join(b"%d 0 R" % kid for kid in kids),
    )
    root = b"<</Type/Catalog/Pages 2 0 R"
    if outline:
        first = len(objects) + 2
        last = first + len(outline) - 1
        objects.append(b"<</Type/Outlines/First %d 0 R/Last %d 0 R/Count %d>>" % (first, last, len(outline)))
        root += b"/Outlines %d 0 R" % (first - 1)
        for number, (entry, page_number) in enumerate(outline, first):
            links = b"/Next %d 0 R" % (number + 1) if number < last else b""
            links += b"/Prev %d 0 R" % (number - 1) if number > first else b""
            objects.append(
                b"<</Title(%s)/Parent %d 0 R/Dest[%d 0 R/Fit]%s>>"
                % (entry.encode("latin-1"), first - 1, kids[page_number], links)
            )
    objects[0] = root + b">>"
    return _assembled(objects, title)


def _assembled(objects: list[bytes], title: str) -> bytes:
    trailer = b""
    if title:
        objects = [*objects, b"<</Title(%s)>>" % title.encode("latin-1")]
        trailer = b"/Info %d 0 R" % len(objects)
    made = bytearray(b"%PDF-1.7\n")
    offsets = []
    for number, content in enumerate(objects, 1):
        offsets.append(len(made))
        made += b"%d 0 obj\n%s\nendobj\n" % (number, content)
    start = len(made)
    made += b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1)
    made += b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    made += b"trailer<</Size %d/Root 1 0 R%s>>\nstartxref\n%d\n%%%%EOF\n" % (len(objects) + 1, trailer, start)
    return bytes(made)


def text_page(*lines: tuple[float, float, str]) -> str:
    """Size, height above the lower edge, and text of each line to the content of a page."""
    return "\n".join(
        f"BT /F1 {size} Tf 72 {top} Td ({text.replace('(', '[').replace(')', ']')}) Tj ET"
        for size, top, text in lines
    )


def endless_pdf() -> bytes:
    """1.6 KB that keep pdfium busy for minutes: a hundred thousand texts in one place."""
    return pdf("BT /F1 12 Tf 72 700 Td " + "(x) Tj " * 100_000 + "ET", compressed=True)


def zipped(entries: Mapping[str, str | bytes], *, method: int = zipfile.ZIP_DEFLATED) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", method) as file:
        for name, content in entries.items():
            file.writestr(name, content)
    return made.getvalue()


def changed(data: bytes, name: str, change: Callable[[bytes], bytes]) -> bytes:
    """An archive with one of its entries changed."""
    with zipfile.ZipFile(io.BytesIO(data)) as file:
        entries = {each: file.read(each) for each in file.namelist()}
    entries[name] = change(entries[name])
    return zipped(entries)


def docx(*paragraphs: tuple[str, str], table: Sequence[Sequence[str]] = (), title: str = "") -> bytes:
    """Style and text of each paragraph to a Word document."""
    from docx import Document

    document = Document()
    document.core_properties.title = title
    for style, text in paragraphs:
        document.add_paragraph(text, style=style or None)
    if table:
        made = document.add_table(rows=len(table), cols=len(table[0]))
        for row, cells in zip(made.rows, table, strict=True):
            for cell, text in zip(row.cells, cells, strict=True):
                cell.text = text
    return _saved(document)


def slides(*titles: str, notes: str = "") -> bytes:
    from pptx import Presentation

    presentation: Any = Presentation()
    for title in titles:
        slide = presentation.slides.add_slide(presentation.slide_layouts[1])
        if slide.shapes.title is not None:
            slide.shapes.title.text = title
        slide.placeholders[1].text_frame.text = f"about {title}"
        if notes:
            slide.notes_slide.notes_text_frame.text = notes
    return _saved(presentation)


def workbook(sheets: Mapping[str, Sequence[Sequence[Any]]]) -> bytes:
    """Rows by sheet to a workbook; an empty row is one."""
    from openpyxl import Workbook  # type: ignore[import-untyped]

    made = Workbook()
    del made["Sheet"]
    for name, rows in sheets.items():
        sheet = made.create_sheet(name)
        for row in rows:
            sheet.append(list(row))
    return _saved(made)


def _saved(document: Any) -> bytes:
    made = io.BytesIO()
    document.save(made)
    return made.getvalue()


def epub(*sections: str, title: str = "A book", extra: Mapping[str, str] | None = None) -> bytes:
    """Bodies of XHTML files to a book."""
    items = "".join(
        f'<item id="s{n}" href="text/s%20{n}.xhtml" media-type="application/xhtml+xml"/>'
        for n in range(len(sections))
    )
    spine = "".join(f'<itemref idref="s{n}"/>' for n in range(len(sections)))
    entries = {
        "mimetype": "application/epub+zip",
        "META-INF/container.xml": '<?xml version="1.0"?><container xmlns="urn:oasis:names:tc:opendocument:xmlns:container">'
        '<rootfiles><rootfile full-path="OEBPS/book.opf"/></rootfiles></container>',
        "OEBPS/book.opf": '<?xml version="1.0"?><package xmlns="http://www.idpf.org/2007/opf" '
        'xmlns:dc="http://purl.org/dc/elements/1.1/"><metadata>'
        f"<dc:title>{title}</dc:title><dc:creator>A. Writer</dc:creator><dc:creator>B. Writer</dc:creator>"
        "<dc:language>en</dc:language></metadata>"
        '<manifest><item id="nav" href="nav.xhtml" properties="nav" media-type="application/xhtml+xml"/>'
        f'{items}</manifest><spine><itemref idref="nav"/>{spine}</spine></package>',
        "OEBPS/nav.xhtml": "<html><body><nav><ol><li>Contents</li></ol></nav></body></html>",
    }
    for number, body in enumerate(sections):
        entries[f"OEBPS/text/s {number}.xhtml"] = (
            '<?xml version="1.0" encoding="utf-8"?><!DOCTYPE html>'
            f'<html xmlns="http://www.w3.org/1999/xhtml"><head><title>t</title></head><body>{body}</body></html>'
        )
    return zipped(entries | dict(extra or {}))


LETTER = b"""From: =?utf-8?q?J=C3=B6rg?= <j@example.org>\r
To: team@example.org\r
Subject: =?utf-8?b?U2NobMO8c3NlbA==?= rotation\r
Date: Mon, 01 Jan 2024 10:00:00 +0100\r
MIME-Version: 1.0\r
Content-Type: multipart/mixed; boundary="m"\r
\r
--m\r
Content-Type: multipart/alternative; boundary="a"\r
\r
--a\r
Content-Type: text/plain; charset=iso-8859-1\r
Content-Transfer-Encoding: quoted-printable\r
\r
Rotate the key, gr=FC=DFe\r
# no heading\r
> quoted\r
--a\r
Content-Type: text/html; charset=utf-8\r
\r
<p>Rotate the <b>key</b></p>\r
--a--\r
--m\r
Content-Type: application/pdf; name="plan.pdf"\r
Content-Disposition: attachment; filename="plan.pdf"\r
Content-Transfer-Encoding: base64\r
\r
JVBERi0=\r
--m--\r
"""


def notebook(*cells: Mapping[str, Any], language: str = "python") -> bytes:
    made = {
        "cells": cells,
        "metadata": {"kernelspec": {"language": language}},
        "nbformat": 4,
        "nbformat_minor": 5,
    }
    return json.dumps(made).encode()
