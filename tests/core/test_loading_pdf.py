from __future__ import annotations

import io
from itertools import chain, combinations
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from made_files import LINES, pdf, text_page
from ragweft.errors import LoadError
from ragweft.loading.converters.pdf_layout import BREAK, Bookmark, Line, write_pages
from ragweft.loading.converters.pdf_running import find_running
from ragweft.loading.converters.writing import Converted, Limits, Writer
from ragweft.places import place_of

BODY = "Every service holds a signing key of its own and knows where it came from."


def read(data: bytes, **limits: Any) -> Converted:
    pytest.importorskip("pypdfium2")
    from ragweft.loading.converters.pdf import read as read_pdf

    return read_pdf(data, Limits(**limits))


def page(*lines: tuple[float, str], top: float = 700.0, gap: float = 1.2) -> list[Line]:
    """Lines of these sizes one below the other; an empty text leaves a gap."""
    made = []
    for size, text in lines:
        if text:
            made.append(Line(text=text, size=size, top=top, bottom=top))
        top -= size * gap
    return made


def laid_out(*pages: list[Line], outline: tuple[Bookmark, ...] = ()) -> tuple[str, str | None]:
    writer = Writer()
    title = write_pages(pages, writer, outline)
    return writer.converted().text, title


def test_pages_are_places() -> None:
    found = read(pdf(*(text_page((12, 700, line), (12, 686, "and so on")) for line in (*LINES, BODY))))
    assert found.metadata == {"pages": 3}
    for number, line in enumerate((*LINES, BODY), 1):
        start = found.text.index(line)
        assert place_of(found.places, start, start + len(line)) == f"p.{number}"
    assert place_of(found.places, 0, len(found.text)) == "p.1-3"
    assert found.title is None


def test_headings_paragraphs_and_the_title() -> None:
    found = read(
        pdf(
            text_page(
                (24, 740, "Keys"),
                (16, 690, "Rotating"),
                *((11, 660 - 13 * n, f"{BODY} {n}") for n in range(4)),
                (11, 570, "A paragraph of its own."),
                (11, 557, "# no heading"),
            ),
            title="Microsoft Word - keys.doc",
        )
    )
    paragraph = "\n".join(f"{BODY} {n}" for n in range(4))
    assert found.text == (f"# Keys\n\n## Rotating\n\n{paragraph}\n\nA paragraph of its own.\n\\# no heading\n")
    assert found.title == "Keys"


def test_a_file_without_headings_has_the_title_of_its_properties() -> None:
    assert read(pdf(text_page((12, 700, BODY)), title="Key handling")).title == "Key handling"


def test_the_outline_tells_headings_that_look_like_text() -> None:
    pages = [text_page((11, 700, f"{n}. Chapter {n}"), (11, 680, f"{BODY} {'ab' * n}")) for n in range(1, 5)]
    assert "#" not in read(pdf(*pages)).text
    found = read(pdf(*pages, outline=[(f"Chapter {n}", n - 1) for n in range(1, 5)]))
    for n in range(1, 5):
        assert f"# {n}. Chapter {n}\n\n{BODY} {'ab' * n}\n" in found.text


def test_the_outline_is_levelled_and_may_run_over_lines() -> None:
    pages = [
        page(
            (11, f"Part {n}"), (11, "A title on two"), (11, f"lines {n}"), (11, ""), (11, f"{BODY} {'ab' * n}")
        )
        for n in range(3)
    ]
    outline = tuple(
        Bookmark(title=title, page=n, depth=depth)
        for n in range(3)
        for depth, title in enumerate((f"PART {n}", f"A title on two lines {n}"))
    )
    text, _ = laid_out(*pages, outline=outline)
    for n in range(3):
        assert f"# Part {n}\n\n## A title on two lines {n}\n\n{BODY} {'ab' * n}".rstrip() + "\n" in text


def test_words_are_put_together_again() -> None:
    text, _ = laid_out(
        page(
            (11, f"The imple{BREAK}mentation is a well{BREAK}known one of the long{BREAK}term kind."),
            (11, f"February{BREAK}March, x{BREAK}2, --help-dyn{BREAK}options, co{BREAK}operate."),
            (11, "It is well-known that implementation and --help-dyn-options last."),
        )
    )
    assert "The implementation is a well-known one of the longterm kind." in text
    assert "February-March, x-2, --help-dyn-options, cooperate." in text


def test_running_headers_and_page_numbers_are_said_once_or_never() -> None:
    pages = [
        page((9, f"Key handling, page {n}"), (11, f"{BODY} {n}"), (11, f"And {n} more."), (9, f"- {n} -"))
        for n in range(1, 6)
    ]
    text, _ = laid_out(*pages)
    assert text.count("Key handling") == 1
    assert all(f"{BODY} {n}\nAnd {n} more." in text for n in range(1, 6))
    assert "- 2 -" not in text


def test_numbers_that_count_something_else_stay() -> None:
    """Every page of a bill ends with a line like that of the page before."""
    totals = [120, 340, 85, 120, 77]
    pages = [page((11, f"{BODY} {n * n}"), (11, f"Total: {total}")) for n, total in enumerate(totals)]
    text, _ = laid_out(*pages)
    assert [line for line in text.split("\n") if "Total" in line] == [f"Total: {total}" for total in totals]


@pytest.mark.parametrize(
    "numbers", [["iv", "v", "vi", "vii"], ["xcix", "c", "ci", "cii"], ["7", "8", "9", "10"]]
)
def test_page_numbers_of_both_kinds_are_left_out(numbers: list[str]) -> None:
    text, _ = laid_out(
        *(page((11, f"Civic mix {'ab' * n}"), (9, number)) for n, number in enumerate(numbers, 1))
    )
    assert text == "\n\n".join(f"Civic mix {'ab' * n}" for n in range(1, 5)) + "\n"


def test_two_pages_that_begin_alike_are_no_running_header() -> None:
    text, _ = laid_out(page((11, "Results"), (11, "one")), page((11, "Results"), (11, "two")))
    assert text.count("Results") == 2


def test_a_table_of_contents_is_no_row_of_headings() -> None:
    lines = [(14.0, f"Chapter {n} . . . . . . . . . {n}") for n in range(1, 4)]
    text, _ = laid_out(page(*lines), page(*((11.0, f"{BODY} {n}") for n in range(30))))
    assert "Chapter 1 … 1" in text
    assert "#" not in text


def test_large_print_everywhere_means_nothing() -> None:
    text, title = laid_out(page((30, "Large words that fill a slide"), (12, "small ones")))
    assert (text, title) == ("Large words that fill a slide\nsmall ones\n", None)


def test_what_has_no_text_is_refused() -> None:
    with pytest.raises(LoadError, match="holds no text, only pictures of it"):
        read(pdf("", "0 0 100 100 re f"))


def test_too_many_pages_are_refused() -> None:
    data = pdf(*[text_page((12, 700, "x"))] * 4)
    assert read(data, max_pages=4).metadata == {"pages": 4}
    with pytest.raises(LoadError, match="has 4 pages, more than 3; split it, or raise max_pages"):
        read(data, max_pages=3)


def test_a_password_is_asked_for_and_not_given() -> None:
    canvas = pytest.importorskip("reportlab.pdfgen.canvas")
    made = io.BytesIO()
    drawn = canvas.Canvas(made, encrypt=pytest.importorskip("reportlab.lib.pdfencrypt").StandardEncryption("x"))
    drawn.drawString(72, 700, "secret")
    drawn.save()
    with pytest.raises(LoadError, match="is protected by a password; save it without one"):
        read(made.getvalue())


def test_what_reportlab_makes_is_read() -> None:
    platypus = pytest.importorskip("reportlab.platypus")
    styles = pytest.importorskip("reportlab.lib.styles").getSampleStyleSheet()
    made = io.BytesIO()
    story = [
        platypus.Paragraph("Ünïcode and keys", styles["Title"]),
        *(platypus.Paragraph(f"{BODY} Grüße {n}.", styles["BodyText"]) for n in range(5)),
        platypus.PageBreak(),
        platypus.Paragraph("Rotating", styles["Heading2"]),
        platypus.Paragraph(BODY, styles["BodyText"]),
    ]
    platypus.SimpleDocTemplate(made, invariant=1).build(story)
    found = read(made.getvalue())
    assert found.text.startswith("# Ünïcode and keys\n\nEvery service")
    assert "Grüße 4.\n" in found.text
    assert f"## Rotating\n\n{BODY}\n" in found.text
    rotating = found.text.index("Rotating")
    assert place_of(found.places, rotating, rotating + 1) == "p.2"
    assert found.title == "Ünïcode and keys"
    assert read(made.getvalue()) == found


SIZES = st.sampled_from([0.0, 9.0, 11.0, 11.2, 14.0, 30.0])
TEXT = st.text(st.sampled_from("ab#>.`- 1|\ufffe"), max_size=12)
LINES_OF_PAGES = st.lists(
    st.lists(
        st.builds(
            lambda text, size, top: Line(text=text, size=size, top=top, bottom=top),
            TEXT.filter(str.strip),
            SIZES,
            st.floats(-100, 900),
        ),
        max_size=6,
    ),
    max_size=6,
)
OUTLINES = st.lists(
    st.builds(lambda t, p, d: Bookmark(title=t, page=p, depth=d), TEXT, st.integers(-1, 7), st.integers(0, 9)),
    max_size=6,
)


def kept_in_order(said: list[str], lines: list[str]) -> bool:
    rest = iter("".join(lines))
    return all(char in rest for char in said)


@given(LINES_OF_PAGES, OUTLINES)
def test_no_letter_is_lost_or_invented(pages: list[list[Line]], outline: list[Bookmark]) -> None:
    writer = Writer()
    write_pages(pages, writer, outline)
    found = writer.converted()
    starts = [place.start for place in found.places]
    numbers = [place.number for place in found.places]
    assert starts == sorted(starts)
    assert numbers == sorted(set(numbers))
    assert BREAK not in found.text
    bounds = [*starts, len(found.text)]
    for place, begin, end in zip(found.places, bounds, bounds[1:], strict=False):
        said = [char for char in found.text[begin:end] if char in "ab"]
        lines = pages[place.number - 1]
        # Running headers are left out; nothing else is, and everything stays on its page and in order. What
        # stays of them stands behind the rest, unless the outline says that it is a heading.
        last = [each for page_number, each in find_running(pages).first if page_number == place.number]
        moves = chain.from_iterable(combinations(sorted(last), count) for count in range(len(last) + 1))
        orders = [[*(n for n in range(len(lines)) if n not in moved), *moved] for moved in moves]
        assert any(kept_in_order(said, [lines[n].text for n in order]) for order in orders)
    if len(pages) < 3:
        assert sum(found.text.count(c) for c in "ab") == sum(
            line.text.count(c) for lines in pages for line in lines for c in "ab"
        )
