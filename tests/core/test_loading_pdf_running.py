"""Headers, footers and page numbers of PDFs are found by where they stand; text of the pages never is one."""

from __future__ import annotations

import io
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from made_files import pdf, text_page
from ragweft.loading.converters.pdf_layout import Line, write_pages
from ragweft.loading.converters.pdf_running import find_running
from ragweft.loading.converters.writing import Converted, Limits, Writer

NAMES = "axle blade cooler drum engine fan gear hub injector jacket".split()  # noqa: SIM905


def read(data: bytes) -> Converted:
    pytest.importorskip("pypdfium2")
    from ragweft.loading.converters.pdf import read as read_pdf

    return read_pdf(data, Limits())


def manual(
    furniture: Callable[[Any, Any], None], *, chapters: int = 8, title: str | None = None, words: int = 260
) -> bytes:
    """Chapters drawn by reportlab, which writes *furniture* before the text of each page."""
    platypus = pytest.importorskip("reportlab.platypus")
    styles = pytest.importorskip("reportlab.lib.styles").getSampleStyleSheet()
    story = [platypus.Paragraph("Operating Manual of the T-400 Turbine", styles["Title"])]
    for number in range(1, chapters + 1):
        text = " ".join(f"{NAMES[(number * n) % 10]} {number * n}" for n in range(words))
        story.append(platypus.Paragraph(f"{number} Chapter about {NAMES[number]}", styles["Heading1"]))
        story.append(platypus.Paragraph(text, styles["BodyText"]))
        story.append(platypus.PageBreak())
    made = io.BytesIO()
    document = platypus.SimpleDocTemplate(made, invariant=1, title=title)
    document.build(story, onFirstPage=furniture, onLaterPages=furniture)
    return made.getvalue()


def drawn(canvas: Any, _document: Any) -> None:
    canvas.setFont("Helvetica", 8)
    canvas.drawString(72, 800, "ACME Turbines - Confidential")
    canvas.drawString(72, 790, "Revision 7 of the T-400")
    canvas.drawString(72, 30, f"Page {canvas.getPageNumber()} of 24")


def test_what_reportlab_draws_first_is_a_header_all_the_same() -> None:
    found = read(manual(drawn))
    assert found.text.startswith(
        "# Operating Manual of the T-400 Turbine\n\n# 1 Chapter about blade\n\naxle 0 "
    )
    assert found.text.count("ACME") == found.text.count("Revision 7") == 1
    assert "of 24" not in found.text
    assert found.text.index("ACME") < found.text.index("# 2 Chapter"), "it is said on its own page"
    assert found.title == "Operating Manual of the T-400 Turbine"


def test_three_pages_are_enough_and_two_are_not() -> None:
    assert "of 24" not in read(manual(drawn, chapters=3)).text
    assert read(manual(drawn, chapters=2)).text.count("of 24") == 2


def test_a_header_in_large_letters_is_no_heading_of_every_page() -> None:
    def large(canvas: Any, _document: Any) -> None:
        canvas.setFont("Helvetica-Bold", 30)
        canvas.drawString(72, 780, "ACME Turbines")

    found = read(manual(large))
    assert "# ACME" not in found.text
    assert found.text.count("ACME Turbines") == 1
    assert found.title == "Operating Manual of the T-400 Turbine"


def test_the_title_is_one_heading_and_not_all_of_the_page() -> None:
    data = pdf(
        text_page(
            (24, 740, "Keys and how"),
            (24, 712, "to rotate them"),
            (24, 640, "Part one"),
            (11, 600, "Text " * 99),
        )
    )
    assert read(data).title == "Keys and how to rotate them"


@pytest.mark.parametrize(
    ("properties", "wanted"),
    [
        ("T-400 manual", "T-400 manual"),
        ("Turbine T-400: Operating Manual, 3rd edition", "Turbine T-400: Operating Manual, 3rd edition"),
        ("Microsoft Word - T-400 manual.doc", "Operating Manual of the T-400 Turbine"),
        ("Microsoft PowerPoint - turbine", "Operating Manual of the T-400 Turbine"),
        ("untitled", "Operating Manual of the T-400 Turbine"),
        ("Untitled-1", "Operating Manual of the T-400 Turbine"),
        ("operating manual.indd", "Operating Manual of the T-400 Turbine"),
        ("Operating_Manual_T-400", "Operating Manual of the T-400 Turbine"),
        ("C:/manuals/turbine", "Operating Manual of the T-400 Turbine"),
        ("PowerPoint Presentation", "Operating Manual of the T-400 Turbine"),
        ("(anonymous)", "Operating Manual of the T-400 Turbine"),
        ("400", "Operating Manual of the T-400 Turbine"),
        ("Invoice for office chairs", "Operating Manual of the T-400 Turbine"),
    ],
)
def test_the_title_of_the_properties_counts_where_it_is_one(properties: str, wanted: str) -> None:
    body = "The drum turns the fan by way of a gear, and a hub holds the blades of both of them."
    lines = [(10.0, 700.0 - 12 * n, f"{body} {n}") for n in range(9)]
    data = pdf(text_page((24, 740, "Operating Manual of the T-400 Turbine"), *lines), title=properties)
    assert read(data).title == wanted
    # Nothing else is called anything: what may be true is better than no title.
    without = read(pdf(text_page(*lines), title=properties)).title
    assert without == (properties if wanted == properties or "chairs" in properties else None)


def laid(*rows: tuple[float, str]) -> list[Line]:
    return [Line(text=text, size=10.0, top=top, bottom=top) for top, text in rows]


def text_of(pages: list[list[Line]]) -> str:
    writer = Writer()
    write_pages(pages, writer)
    return writer.converted().text


def test_names_of_columns_at_the_top_of_every_page_stay() -> None:
    pages = [
        laid((780, "ACME price list"), (740, "Part Price"), (728, f"{name} {n * n}"), (716, f"{name}s {n}"))
        for n, name in enumerate(NAMES)
    ]
    text = text_of(pages)
    assert text.count("ACME") == 1
    assert text.count("Part Price") == len(NAMES)


def test_what_repeats_at_other_heights_is_no_footer() -> None:
    """Every page of a form ends with an answer, each further down than the last."""
    pages = [
        laid(*((700 - 12 * row, f"{name} {row * n * n}") for row in range(n + 3)), (650 - 12 * n, "Yes"))
        for n, name in enumerate(NAMES)
    ]
    assert text_of(pages).count("Yes") == len(NAMES)


def test_beside_a_changing_name_of_the_chapter_the_number_of_the_page_is_left_out() -> None:
    pages = [
        laid((780, name.upper()), (780.5, f"Page {n} of 10"), (740, f"The {name} turns."), (728, f"So {name}."))
        for n, name in enumerate(NAMES, 1)
    ]
    text = text_of(pages)
    assert "Page" not in text
    assert all(name.upper() in text for name in NAMES)


@pytest.mark.parametrize(
    "said",
    ["Invoice {}", "Question {}", "Question {} of 10", "Total due: {} EUR", "Sum 5 {},50", "$ {}", "{}.50"],
)
@pytest.mark.parametrize("ahead", [0, 1000])
@pytest.mark.parametrize("top", [780, 30])
def test_what_only_counts_with_the_pages_stays(said: str, ahead: int, top: float) -> None:
    lines = [said.format(ahead + n) for n in range(1, 6)]
    pages = [
        laid((top, line), (700, f"The {name} turns."), (688, f"So {name}."))
        for line, name in zip(lines, NAMES, strict=False)
    ]
    text = text_of(pages).replace("\\", "")
    assert all(text.count(line) == 1 for line in lines)


@pytest.mark.parametrize(
    "said",
    ["{}", "- {} -", "2-{}", "{}/24", "Page {} of 24", "{} | P a g e", "Seite {}", "第{}页", "ACME, p. {}"],
)
def test_what_is_called_a_page_or_stands_alone_is_the_number_of_one(said: str) -> None:
    pages = [
        laid((780, said.format(n + 2)), (700, f"The {name} turns."), (688, f"So {name}."))
        for n, name in enumerate(NAMES)
    ]
    text = text_of(pages)
    assert text.count("ACME") == said.count("ACME")
    assert said.format(4) not in text


def test_beside_a_title_that_stands_elsewhere_the_number_of_the_page_is_left_out() -> None:
    pages = [
        laid((780, f"Annual report {n}"), (700, f"The {name} turns."), (688, f"So {name}."))
        for n, name in enumerate(NAMES, 2)
    ]
    cover = laid((500, "Annual report"), (400, "of ACME"))
    assert text_of([cover, *pages]).count("Annual report") == 2
    assert text_of([laid((500, "ACME"), (400, "2025")), *pages]).count("Annual report") == len(NAMES)


WORDS = st.lists(st.sampled_from(["yes", "no", "total 7", "same", "of"]), min_size=8, max_size=14)


@given(st.lists(WORDS, min_size=3, max_size=6), st.booleans(), st.randoms(use_true_random=False))
@settings(max_examples=60)
def test_whatever_repeats_between_the_edges_stays(bodies: list[list[str]], two_lines: bool, order: Any) -> None:
    """Under a header and above a footer nothing is left out, in whatever order the file has its lines."""
    pages: list[list[Line]] = []
    for number, body in enumerate(bodies, 1):
        edges = [(800.0, "acme"), (20.0, f"page {number} of {len(bodies)}")]
        edges += [(789.0, "manual")] if two_lines else []
        lines = laid(*edges, *((740.0 - 12 * row, text) for row, text in enumerate(body)))
        order.shuffle(lines)
        pages.append(lines)
    found = find_running(pages).found
    kept = [
        [line for place, line in enumerate(lines) if (number, place) not in found]
        for number, lines in enumerate(pages, 1)
    ]
    for lines, body in zip(kept, bodies, strict=True):
        lines.sort(key=lambda line: -line.top)
        assert [line.text for line in lines] == body
        assert all(above.top > below.top for above, below in pairwise(lines))
