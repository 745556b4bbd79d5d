"""Hits that are cut where their document cannot be asked: they know their own lines and what overlaps."""

from __future__ import annotations

import re
from dataclasses import replace

from ragweft.packing import pack
from ragweft.types import Chunk, Citation, Hit, Span


def words(text: str) -> int:
    return len(re.findall(r"\S+", text))


def test_without_the_document_the_lines_are_those_shown() -> None:
    text = "\n".join(f"row{n} is here" for n in range(30))
    chunk = Chunk(
        id="c", document_id="d", text=text, span=Span(start=500, end=500 + len(text)), lines=(101, 130)
    )
    start = text.index("row20")
    hit = Hit(
        chunk=chunk,
        score=1.0,
        origins={},
        citation=Citation(source="d", uri="d", lines=(101, 130)),
        highlights=(Span(start=start, end=start + 5),),
    )
    (passage,) = pack([hit], max_tokens=20, count=words).passages
    assert passage.text.startswith("[…] row20")
    assert passage.citation.lines == (121, 121 + passage.text.count("\n"))


def test_what_overlaps_and_is_cut_is_joined_and_says_where_it_is_cut() -> None:
    text = " ".join([f"a{n}" for n in range(40)] + [f"b{n}" for n in range(40)])
    spans = ((text.index("a30"), len(text)), (0, text.index("b0 ") + 2))
    hits = [
        Hit(
            chunk=Chunk(id=f"c{a}", document_id="d", text=text[a:b], span=Span(start=a, end=b), lines=(1, 1)),
            score=1.0,
            origins={},
            citation=Citation(source="d", uri="d", lines=(1, 1)),
        )
        for a, b in spans
    ]
    start = text.index("a25")
    hits[1] = replace(hits[1], highlights=(Span(start=start, end=start + 3),))
    packed = pack(hits, max_tokens=70, count=words, expand="none")
    (passage,) = packed.passages
    assert passage.text == "[…] " + text[text.index("a25") :], "the better one is whole"
    assert passage.cut
    assert len(passage.chunk_ids) == 2
