"""Presentations: every slide with its title, texts, tables, charts, picture descriptions and notes."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from ragweft.errors import LoadError
from ragweft.loading.converters.archive import open_archive, read_xml
from ragweft.loading.converters.writing import Converted, Limits, Writer
from ragweft.loading.markdown import escaped, on_one_line, table_lines

if TYPE_CHECKING:
    from pptx.slide import Slide

    from ragweft.types import Json

__all__ = ["read"]

_DIAGRAM = "http://schemas.openxmlformats.org/drawingml/2006/diagram"
_RELATIONS = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_DEEPEST_GROUP = 20
_MOST_POINTS = 1_000
"""Of a chart's data, the first: nobody reads more of them off it."""
_NO_TITLES = frozenset(("", "powerpoint presentation", "presentation", "untitled presentation"))


def read(data: bytes, limits: Limits) -> Converted:
    """The slides of a presentation, hidden ones too, as places `slide 1` and so on.

    Raises:
        LoadError: it is protected by a password, damaged, no presentation, or has too many slides.
    """
    archive = open_archive(data, limits)
    archive.forbid_declarations()
    from pptx import Presentation
    from pptx.exc import PythonPptxError

    try:
        presentation = Presentation(io.BytesIO(data))
        slides = list(presentation.slides)
    except (KeyError, ValueError, AttributeError, PythonPptxError) as error:
        raise LoadError("is damaged, or no presentation; save it anew") from error
    if len(slides) > limits.max_pages:
        raise LoadError(
            f"has {len(slides):,} slides, more than {limits.max_pages:,}; split it, or raise max_pages under "
            "[loading] in ragweft.toml"
        )
    writer = Writer()
    title = ""
    for number, slide in enumerate(slides, 1):
        label = "slide"
        heading = _heading(slide)
        title = title or heading
        for block in _blocks(slide, heading):
            if block.strip():
                writer.add(block, label=label, number=number)
                label = ""
    said = on_one_line(presentation.core_properties.title or "")
    metadata: dict[str, Json] = {"slides": len(slides)}
    return writer.converted(title=title if said.lower() in _NO_TITLES else said, metadata=metadata)


def _heading(slide: Slide) -> str:
    title = slide.shapes.title
    return on_one_line(title.text_frame.text) if title is not None else ""


def _blocks(slide: Slide, heading: str) -> Iterator[str]:
    if heading:
        yield f"## {heading}"
    title = slide.shapes.title
    used = None if title is None else title.shape_id
    for shape in _in_order(slide.shapes, 0):
        if used is None or shape.shape_id != used:
            yield from _said(shape)
    if slide.has_notes_slide:
        frame = slide.notes_slide.notes_text_frame
        notes = frame.text.strip() if frame is not None else ""
        if notes:
            yield f"Notes: {escaped(notes)}"


def _in_order(shapes: Iterable[Any], depth: int) -> Iterator[Any]:
    """Shapes from top to bottom, those of a group together."""
    for shape in sorted(shapes, key=lambda each: (each.top or 0, each.left or 0)):
        if hasattr(shape, "shapes"):
            if depth < _DEEPEST_GROUP:
                yield from _in_order(shape.shapes, depth + 1)
        else:
            yield shape


def _said(shape: Any) -> Iterator[str]:
    """What a shape says, as Markdown blocks."""
    if getattr(shape, "has_table", False):
        rows = [[cell.text for cell in row.cells] for row in shape.table.rows]
        yield "\n".join(table_lines(rows))
    elif getattr(shape, "has_chart", False):
        yield from _chart(shape.chart)
    elif shape.has_text_frame:
        yield _paragraphs(shape.text_frame)
    else:
        described = shape._element.xpath("./*/p:cNvPr/@descr")  # noqa: SLF001 (python-pptx has no other way)
        text = on_one_line(described[0]) if described else ""
        if text:
            yield f"![{text.replace('[', '(').replace(']', ')')}]"
        yield "\n".join(f"- {each}" for each in _diagram(shape))


def _paragraphs(frame: Any) -> str:
    """The paragraphs of a text frame; those that are indented, and several beside each other, as a list."""
    paragraphs = [(p.level, on_one_line(p.text)) for p in frame.paragraphs]
    paragraphs = [(level, text) for level, text in paragraphs if text]
    if len(paragraphs) < 2:
        return "\n".join(escaped(text) for _, text in paragraphs)
    return "\n".join(f"{'  ' * level}- {text}" for level, text in paragraphs)


def _chart(chart: Any) -> Iterator[str]:
    """The title of a chart and its data as a table."""
    if chart.has_title and chart.chart_title.has_text_frame:
        yield escaped(on_one_line(chart.chart_title.text_frame.text))
    try:
        categories = [str(category.label) for category in chart.plots[0].categories]
        series = [(str(each.name), list(each.values)) for each in chart.series]
        rows = [["", *(name for name, _ in series)], *_points(categories[:_MOST_POINTS], series)]
    except (AttributeError, IndexError, KeyError, TypeError, ValueError):
        # Not every kind of chart has categories; its title was said.
        return
    yield "\n".join(table_lines(rows))


def _points(categories: Sequence[str], series: Sequence[tuple[str, Sequence[Any]]]) -> Iterator[list[str]]:
    for place, category in enumerate(categories):
        values = [values[place] if place < len(values) else None for _, values in series]
        yield [category, *("" if value is None else f"{value:.15g}" for value in values)]


def _diagram(shape: Any) -> Iterator[str]:
    """The texts of a SmartArt diagram, which stand in a file of their own."""
    for relations in shape._element.iter(f"{{{_DIAGRAM}}}relIds"):  # noqa: SLF001
        name = relations.get(f"{{{_RELATIONS}}}dm")
        try:
            blob: bytes = shape.part.related_part(name).blob
        except (KeyError, AttributeError):
            continue
        for paragraph in read_xml(blob, "a diagram").all("p"):
            text = on_one_line("".join(run.text for run in paragraph.all("t")))
            if text:
                yield text
