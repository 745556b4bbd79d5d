"""PDF: the text of every page, read by pdfium.

Pictures of text have none: a file without a text layer is refused, not taken in empty.
"""

from __future__ import annotations

import ctypes
import math
from typing import TYPE_CHECKING, Any

from ragweft.errors import LoadError
from ragweft.loading.converters.pdf_layout import BREAK, Bookmark, Line, write_pages
from ragweft.loading.converters.writing import Converted, Limits, Writer
from ragweft.loading.markdown import cleaned

if TYPE_CHECKING:
    from ragweft.types import Json

__all__ = ["read"]

_HYPHENS = ("\x02", "\ufffe")
"""What pdfium puts in the place of a hyphen and the line end after it."""


def read(data: bytes, limits: Limits) -> Converted:
    """The pages of a PDF, as places `p.1`, `p.2` and so on.

    Raises:
        LoadError: it is protected by a password, damaged, without any text, or has too many pages.
    """
    from pypdfium2 import PdfDocument, PdfiumError  # type: ignore[import-untyped]

    try:
        document = PdfDocument(data)
    except PdfiumError as error:
        if "password" in str(error).lower():
            raise LoadError("is protected by a password; save it without one") from error
        raise LoadError("is damaged, or no PDF; save it anew") from error
    try:
        count = len(document)
        if count > limits.max_pages:
            raise LoadError(
                f"has {count:,} pages, more than {limits.max_pages:,}; split it, or raise max_pages under "
                "[loading] in ragweft.toml"
            )
        pages = [_lines(document, number) for number in range(count)]
        outline, title = _outline(document), _title(document)
    finally:
        document.close()
    writer = Writer()
    heading = write_pages(pages, writer, outline)
    metadata: dict[str, Json] = {"pages": count}
    converted = writer.converted(title=heading or title, metadata=metadata)
    if not converted.text:
        raise LoadError(
            "holds no text, only pictures of it; have a program for text recognition (OCR) add a text layer"
        )
    return converted


def _title(document: Any) -> str | None:
    """What the file's properties say, where that is more than what some program put there."""
    title = cleaned(document.get_metadata_value("Title")).strip()
    return None if not title or title.lower().startswith(("microsoft word -", "untitled")) else title


def _outline(document: Any) -> list[Bookmark]:
    found: list[Bookmark] = []
    for entry in document.get_toc():
        target = entry.get_dest()
        page = None if target is None else target.get_index()
        if page is not None:
            found.append(Bookmark(title=cleaned(entry.get_title()), page=page, depth=entry.level))
    return found


def _lines(document: Any, number: int) -> list[Line]:
    from pypdfium2 import PdfiumError

    try:
        page = document[number]
        try:
            text_page = page.get_textpage()
            try:
                return _text_lines(text_page)
            finally:
                text_page.close()
        finally:
            page.close()
    except PdfiumError as error:
        raise LoadError(f"is damaged: page {number + 1} cannot be read; save it anew") from error


def _text_lines(page: Any) -> list[Line]:
    # Lone surrogates are kept so that places in the text stay places in pdfium's list of UTF-16 units.
    text: str = page.get_text_range(errors="surrogatepass")
    lines: list[Line] = []
    unit = 0
    for raw in text.split("\r\n"):
        said = raw.strip()
        if said:
            begin = raw.index(said)
            top, middle, bottom = (
                _measured(page, unit + _units(raw[: begin + place]))
                for place in (0, len(said) // 2, len(said) - 1)
            )
            for mark in _HYPHENS:
                said = said.replace(mark, BREAK)
            shown = BREAK.join(map(cleaned, said.split(BREAK)))
            lines.append(Line(text=shown, size=middle[0], top=top[1], bottom=bottom[1]))
        unit += _units(raw) + 2
    return lines


def _units(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode("utf-16-le", "surrogatepass")) // 2


def _measured(page: Any, unit: int) -> tuple[float, float]:
    """Size and base line of a character, in points; zero if pdfium does not say."""
    import pypdfium2.raw as pdfium  # type: ignore[import-untyped]

    index = pdfium.FPDFText_GetCharIndexFromTextIndex(page, unit)
    matrix = pdfium.FS_MATRIX()
    x, y = ctypes.c_double(), ctypes.c_double()
    if index < 0 or not pdfium.FPDFText_GetMatrix(page, index, ctypes.byref(matrix)):
        return 0.0, 0.0
    pdfium.FPDFText_GetCharOrigin(page, index, ctypes.byref(x), ctypes.byref(y))
    # The font's own size means nothing without the matrix: many programs write size 1 and scale.
    size = pdfium.FPDFText_GetFontSize(page, index) * math.hypot(matrix.c, matrix.d)
    return (size, y.value) if math.isfinite(size) and math.isfinite(y.value) else (0.0, 0.0)
