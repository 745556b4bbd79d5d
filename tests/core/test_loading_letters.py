"""Books, mail and notebooks: what is converted without any package."""

from __future__ import annotations

import importlib
import io
import json
import zipfile
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from made_files import LETTER, epub, notebook, zipped
from ragweft.errors import LoadError
from ragweft.loading.converters.mailbox import read as read_mailbox
from ragweft.loading.converters.writing import Converted, Limits
from ragweft.places import place_of


def read(kind: str, data: bytes, **limits: Any) -> Converted:
    found: Converted = importlib.import_module(f"ragweft.loading.converters.{kind}").read(
        data, Limits(**limits)
    )
    return found


def test_a_book() -> None:
    data = epub(
        "<h1>One</h1><p>First&nbsp;text &amp; more</p>",
        "<h1>Two</h1><ul><li>a</li></ul>",
        title="Keys &amp; locks",
    )
    found = read("epub", data)
    assert found.text == "# One\n\nFirst text & more\n\n# Two\n\n- a\n"
    assert found.title == "Keys & locks"
    assert found.metadata == {"author": "A. Writer, B. Writer", "language": "en"}
    two = found.text.index("# Two")
    assert place_of(found.places, 0, 5) == "section 1"
    assert place_of(found.places, two, two + 5) == "section 2"


def test_a_book_with_a_section_missing_says_which() -> None:
    data = epub("<p>one</p>", "<p>two</p>", "<p>three</p>")
    with zipfile.ZipFile(io.BytesIO(data)) as book:
        kept = {name: book.read(name) for name in book.namelist() if not name.endswith("s 1.xhtml")}
    found = read("epub", zipped(kept))
    assert found.text == "one\n\nthree\n"
    assert found.metadata["missing_sections"] == [2]
    assert place_of(found.places, 5, 10) == "section 3"


def test_a_book_that_is_locked_to_its_buyer() -> None:
    locked = (
        '<encryption xmlns="urn:oasis:names:tc:opendocument:xmlns:container" '
        'xmlns:enc="http://www.w3.org/2001/04/xmlenc#"><enc:EncryptedData><enc:CipherData>'
        '<enc:CipherReference URI="{}"/></enc:CipherData></enc:EncryptedData></encryption>'
    )
    part = "META-INF/encryption.xml"
    with pytest.raises(LoadError, match=r"is encrypted for its buyer \(DRM\)"):
        read("epub", epub("<p>x</p>", extra={part: locked.format("OEBPS/text/s%200.xhtml")}))
    assert read("epub", epub("<p>x</p>", extra={part: locked.format("OEBPS/font.otf")})).text == "x\n"


@pytest.mark.parametrize(
    ("entries", "reason"),
    [
        ({"a": "b"}, "is damaged: it has no META-INF/container.xml"),
        ({"META-INF/container.xml": "<container/>"}, "it does not say where its text is"),
        ({"META-INF/container.xml": "<container"}, r"META-INF/container.xml is no XML \(unclosed token"),
    ],
)
def test_what_is_no_book(entries: dict[str, str], reason: str) -> None:
    with pytest.raises(LoadError, match=reason):
        read("epub", zipped(entries))


def test_too_many_sections() -> None:
    with pytest.raises(LoadError, match="has 2 sections, more than 1"):
        read("epub", epub("<p>a</p>", "<p>b</p>"), max_pages=1)


def test_a_letter() -> None:
    found = read("mail", LETTER)
    assert found.text == (
        "# Schlüssel rotation\n\n"
        "From: Jörg <j@example.org>\nTo: team@example.org\nDate: Mon, 01 Jan 2024 10:00:00 +0100\n\n"
        "Rotate the key, grüße\n\\# no heading\n> quoted\n\nAttachments: plan.pdf\n"
    )
    assert found.title == "Schlüssel rotation"
    assert found.metadata == {
        "from": "Jörg <j@example.org>",
        "to": "team@example.org",
        "date": "2024-01-01T09:00:00+00:00",
        "attachments": ["plan.pdf"],
    }


def test_a_letter_in_html_alone() -> None:
    letter = (
        b"Subject: x\nContent-Type: text/html; charset=utf-8\n\n"
        b"<div style='display:none'>preview</div><table><tr><td><table><tr><td><p>Hello</p></td></tr></table>"
        b"</td></tr></table><img src=x alt='Our logo'><nav>Unsubscribe</nav>"
    )
    assert read("mail", letter).text == "# x\n\nHello\n\n![Our logo]\n\nUnsubscribe\n"


def test_a_forwarded_letter() -> None:
    letter = (
        b"Subject: outer\nContent-Type: multipart/mixed; boundary=m\n\n--m\n\nsee below\n--m\n"
        b"Content-Type: message/rfc822\n\nSubject: inner\nFrom: a@b\n\ninner text\n--m--\n"
    )
    assert read("mail", letter).text == "# outer\n\nsee below\n\n# inner\n\nFrom: a@b\n\ninner text\n"


@pytest.mark.parametrize(
    ("head", "said"),
    [
        (b"Subject: =?nonsense?b?####?=\n", "# =?nonsense?b?####?="),
        (b"Subject: gr\xfc\xdfe\n", "# gr"),
        (b"Subject: a\n b\n", "# a b"),
        (b"Subject: x\nDate: the day before\n", "Date: the day before"),
        (b"Subject: x\nContent-Type: text/plain; charset=nonsense\n", "body"),
        (b"Subject: x\nContent-Type: text/plain\nContent-Transfer-Encoding: base64\n", "# x"),
        (b"Subject: x\nContent-Type: multipart/mixed\n", "# x"),
    ],
)
def test_letters_that_break_the_rules_are_read_as_far_as_they_can_be(head: bytes, said: str) -> None:
    assert said in read("mail", head + b"\nbody\n").text


def test_what_is_no_letter() -> None:
    for data in (b"just text\n", b"\0\1\2", b"X-Header: only\n\ntext"):
        with pytest.raises(LoadError, match="is no e-mail: it names neither sender nor subject"):
            read("mail", data)


MAILBOX = (
    b"From a@example.org Mon Jan  1 10:00:00 2024\nSubject: first\n\nhello\n>From me to you 2024\n\n"
    b"From here it is 2024 steps\n\nFrom b@example.org Tue Jan  2 10:00:00 2024 +0100\nSubject: second\n\nbye\n"
)


def test_a_mailbox() -> None:
    found = read_mailbox(MAILBOX, Limits())
    assert "# first\n\nhello\nFrom me to you 2024\n\nFrom here it is 2024 steps\n" in found.text
    assert found.metadata == {"messages": 2}
    second = found.text.index("# second")
    assert place_of(found.places, second, second + 1) == "message 2"
    assert place_of(found.places, 0, second + 1) == "messages 1-2"
    assert read_mailbox(MAILBOX.replace(b"\n", b"\r\n"), Limits()).metadata == {"messages": 2}


def test_a_message_of_a_mailbox_that_cannot_be_read_is_told() -> None:
    nested = b"Content-Type: text/plain\n\nthe end"
    for depth in range(40):
        mark = b"part%d" % depth
        nested = b'Content-Type: multipart/mixed; boundary="%s"\n\n--%s\n%s\n--%s--' % (
            mark,
            mark,
            nested,
            mark,
        )
    letter = b"Subject: nested\n" + nested + b"\n"
    with pytest.raises(LoadError, match="too many times over"):
        read("mail", letter)
    box = read_mailbox(MAILBOX + b"\nFrom c@example.org Wed Jan  3 10:00:00 2024\n" + letter, Limits())
    whole = read_mailbox(MAILBOX, Limits())
    assert box.text.startswith(whole.text.rstrip()), "the others are all there"
    assert "[left out: is a message within a message too many times over" in box.text
    assert box.metadata == {"messages": 3}
    assert [(place.label, place.number) for place in box.places][-1] == ("message", 3)


def test_what_is_no_mailbox() -> None:
    for data in (b"From me\n\ntext", b"", b"From a 10:00 2024\nno header here\n"):
        with pytest.raises(LoadError, match="is no mailbox: no message begins in it"):
            read_mailbox(data, Limits())
    with pytest.raises(LoadError, match="holds 2 messages, more than 1"):
        read_mailbox(MAILBOX, Limits(max_pages=1))


def test_a_notebook() -> None:
    data = notebook(
        {"cell_type": "markdown", "source": ["# Keys\n", "\n", "About *keys*."]},
        {
            "cell_type": "code",
            "source": "print(1)\n",
            "outputs": [
                {"output_type": "stream", "name": "stdout", "text": ["1\n", "\x1b[31mred\x1b[0m\n"]},
                {"output_type": "display_data", "data": {"image/png": "iVBOR", "text/plain": ["<Figure>"]}},
                {"output_type": "error", "ename": "KeyError", "evalue": "'x'", "traceback": ["\x1b[0m…"]},
                {"output_type": "display_data", "data": {"image/png": "iVBOR"}},
            ],
        },
        {"cell_type": "raw", "source": "``` raw"},
        {"cell_type": "code", "source": "", "outputs": []},
    )
    found = read("notebook", data)
    assert found.text == (
        "# Keys\n\nAbout *keys*.\n\n```python\nprint(1)\n```\n\n```\n1\nred\n```\n\n```\n<Figure>\n```\n\n"
        "```\nKeyError: 'x'\n```\n\n````\n``` raw\n````\n"
    )
    assert found.title == "Keys"
    assert found.metadata == {"cells": 4, "code_language": "python"}
    code = found.text.index("print")
    assert place_of(found.places, 0, 5) == "cell 1"
    assert place_of(found.places, code, len(found.text)) == "cells 2-3"


def test_a_notebook_of_version_3() -> None:
    data = (
        b'{"worksheets": [{"cells": [{"cell_type": "heading", "level": 2, "source": "Keys"}, '
        b'{"cell_type": "code", "input": "1", "outputs": [{"output_type": "pyout", "text": "2"}]}]}]}'
    )
    assert read("notebook", data).text == "## Keys\n\n```\n1\n```\n\n```\n2\n```\n"


def test_long_results_are_shortened() -> None:
    output = {"output_type": "stream", "text": "line\n" * 10_000}
    found = read("notebook", notebook({"cell_type": "code", "source": "x", "outputs": [output]}))
    assert found.text.endswith("line\n…\n```\n")
    assert len(found.text) < 11_000


@pytest.mark.parametrize(
    "data", [b"", b"[]", b"{}", b"1", b'{"cells": 1}', b'{"cells": [1]}', b'{"cells": {"a": 1}}', b'{"cells"']
)
def test_what_is_no_notebook(data: bytes) -> None:
    with pytest.raises(LoadError, match="is no notebook, or a damaged one"):
        read("notebook", data)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "cells",
                    "cell_type",
                    "source",
                    "outputs",
                    "data",
                    "text",
                    "text/plain",
                    "metadata",
                    "kernelspec",
                    "language",
                    "output_type",
                    "level",
                    "ename",
                    "worksheets",
                    "input",
                ]
            ),
            inner | st.sampled_from(["code", "markdown", "error", "stream", "heading"]),
            max_size=5,
        )
    ),
    max_leaves=25,
)


@given(
    st.lists(
        st.dictionaries(st.sampled_from(["cell_type", "source", "outputs", "metadata"]), JSON, max_size=4),
        max_size=3,
    )
)
def test_any_cells_are_read_or_refused(cells: list[dict[str, Any]]) -> None:
    found = read("notebook", notebook(*cells))
    found.text.encode("utf-8")
    assert len(found.places) <= len(cells)


@given(JSON)
def test_any_json_is_read_or_refused(value: Any) -> None:
    with suppress(LoadError):
        read("notebook", json.dumps(value).encode()).text.encode("utf-8")
