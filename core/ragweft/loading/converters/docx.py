"""Word documents: headings, paragraphs, lists, tables and notes, by way of the HTML that mammoth makes of them.

They have no pages: where one ends depends on the program and the printer.
"""

from __future__ import annotations

import io
import re
import zipfile
from typing import Any

from ragweft.errors import LoadError
from ragweft.loading.converters.archive import Archive, open_archive
from ragweft.loading.converters.writing import Converted, Limits, Writer
from ragweft.loading.markup import read_markup

__all__ = ["read"]

_STYLES = "\n".join(
    (
        "p[style-name='Title'] => h1:fresh",
        "p[style-name='Subtitle'] => p:fresh",
        *(f"p[style-name='heading {level}'] => h6:fresh" for level in (7, 8, 9)),
    )
)
_EQUATION = re.compile(rb"<m:oMath(?:\s[^>]*)?>.*?</m:oMath>", re.DOTALL)
_EQUATION_FRAME = re.compile(
    rb"</?m:oMathPara(?:\s[^>]*)?>|<m:oMathParaPr(?:\s[^>]*)?>.*?</m:oMathParaPr>", re.DOTALL
)
_EQUATION_TEXT = re.compile(rb"<m:t(?:\s[^>]*)?>(.*?)</m:t>", re.DOTALL)
# Nine tenths of what Word writes about styles: how tables look, and how styles would look that are not used.
_LOOKS = re.compile(
    rb"<w:latentStyles[\s>].*?</w:latentStyles>|<w:tblStylePr[\s>].*?</w:tblStylePr>", re.DOTALL
)
_LEFT_OUT = ("customXml/", "docProps/", "word/media/", "word/theme/", "word/embeddings/", "word/fonts/")


def read(data: bytes, limits: Limits) -> Converted:
    """The text of a Word document as Markdown.

    Raises:
        LoadError: it is protected by a password, damaged, or no Word document.
    """
    archive = open_archive(data, limits)
    archive.forbid_declarations()
    markup = read_markup(_html(_slimmed(archive)))
    writer = Writer()
    for block in markup.blocks:
        writer.add(block)
    return writer.converted(title=markup.title or _title(archive))


def _html(data: bytes) -> str:
    import mammoth  # type: ignore[import-untyped]
    from mammoth.html import element  # type: ignore[import-untyped]

    def picture(image: Any) -> list[Any]:
        return [element("img", {"alt": image.alt_text or ""})]

    result: str = mammoth.convert_to_html(
        io.BytesIO(data), convert_image=picture, style_map=_STYLES, include_embedded_style_map=False
    ).value
    return result


def _title(archive: Archive) -> str | None:
    if "docProps/core.xml" not in archive.names:
        return None
    try:
        title = archive.xml("docProps/core.xml").first("title")
    except LoadError:
        # Nothing of the text depends on it.
        return None
    return title.text.strip() or None if title is not None else None


def _slimmed(archive: Archive) -> bytes:
    """The parts that mammoth needs, without what it would read in vain, and with equations as text."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as file:
        for name in sorted(archive.names):
            if name.endswith((".xml", ".rels")) and not name.startswith(_LEFT_OUT):
                file.writestr(name, _prepared(archive.read(name)))
    return made.getvalue()


def _prepared(part: bytes) -> bytes:
    if b"<w:latentStyles" in part or b"<w:tblStylePr" in part:
        part = _LOOKS.sub(b"", part)
    if b"<m:oMath" in part:
        part = _EQUATION.sub(_spelled, _EQUATION_FRAME.sub(b"", part))
    return part


def _spelled(equation: re.Match[bytes]) -> bytes:
    """The characters of an equation as ordinary text."""
    return b'<w:r><w:t xml:space="preserve">' + b"".join(_EQUATION_TEXT.findall(equation[0])) + b"</w:t></w:r>"
