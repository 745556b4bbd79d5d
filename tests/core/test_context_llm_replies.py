"""What is taken from a model's answer, and which part of a document it is shown."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from context_made import paragraph, words
from ragweft.context.prompts import prefix_of, rest_of
from ragweft.context.replies import Unfit, read_context
from ragweft.context.windows import sources
from ragweft.generation.accounting import quarters

if TYPE_CHECKING:
    from ragweft.generation.values import Stop

CHUNK = paragraph(3)
GOOD = "From the port's log of 1887: the pilot's report on berth three, after the storm of March."


def read(text: str, stop: Stop = "end", *, max_tokens: int = 100, chunk: str = CHUNK) -> str:
    return read_context(text, stop, chunk=chunk, tokenizer=words(), max_tokens=max_tokens)


@pytest.mark.parametrize(
    "text",
    [
        GOOD,
        f"  {GOOD}\n",
        f'"{GOOD}"',
        f"“{GOOD}”",
        f"Context: {GOOD}",
        f"**Context:** {GOOD}",
        f"Here is a succinct context for the chunk:\n\n{GOOD}",
        f"Sure! Here's the context: {GOOD}",
        f"Of course, here is the context:\n{GOOD}",
        f"<context>{GOOD}</context>",
        f"<think>It is about a port.\n\nHmm.</think>\n{GOOD}",
        f"It is about a port.</think>{GOOD}",
        f"```\n{GOOD}\n```",
        GOOD.replace(" ", "\n", 3),
    ],
)
def test_what_stands_around_a_context_is_left_out(text: str) -> None:
    assert read(text) == GOOD


@pytest.mark.parametrize(
    "text",
    [
        "Of course materials are listed here, with their prices of 1887.",
        "Here the pilot reports on berth three: the storm took two cranes.",
        "Answers to questions of the pilots of berth three.",
        "Okay Harbour's rules of 1887, on berths.",
    ],
)
def test_what_only_looks_like_a_greeting_stays(text: str) -> None:
    assert read(text) == text


@pytest.mark.parametrize(
    ("text", "stop", "words_of_reason"),
    [
        ("", "end", "empty"),
        (" \n… ", "end", "empty"),
        ("<think>It is about a port and I", "length", "no room"),
        ("anything", "refused", "refused"),
        ("I'm sorry, but I can't help with that.", "end", "refused"),
        ("I cannot provide a context for this.", "end", "refused"),
        ("I don't see any document in your message.", "end", "refused"),
        ("Please provide the document.", "end", "refused"),
        (CHUNK, "end", "repeats"),
        (f"Chunk text: {CHUNK}", "end", "repeats"),
        (CHUNK[: len(CHUNK) // 3], "end", "repeats"),
        (CHUNK.upper().replace(",", ""), "end", "repeats"),
    ],
)
def test_what_is_no_context_is_refused(text: str, stop: Stop, words_of_reason: str) -> None:
    with pytest.raises(Unfit, match=words_of_reason):
        read(text, stop)


def test_a_chunk_may_be_named_but_not_said_again() -> None:
    title = "Rotating a key"
    assert read("Vault guide, chapter on rotating a key", chunk=f"{title}\n\nRun it now.") != ""
    with pytest.raises(Unfit):
        read(title, chunk=title)


def test_too_long_an_answer_ends_with_a_sentence() -> None:
    text = (
        "The first sentence is about the port. " * 3
        + "The last one goes on and on about cranes and more cranes."
    )
    cut = read(text, max_tokens=40)
    assert cut.endswith("port.")
    assert text.startswith(cut)
    assert len(words().encode(cut).ids) <= 40


def test_an_answer_that_broke_off_loses_its_last_word() -> None:
    assert read("About the harbour and its cran", "length") == "About the harbour and its …"
    assert read("About the harbour. And its cran", "length") == "About the harbour."


@example(text="𐀀", stop="end", limit=4)
@given(text=st.text(), stop=st.sampled_from(["end", "length"]), limit=st.integers(4, 60))
def test_a_context_is_one_printable_line_within_its_limit(text: str, stop: Stop, limit: int) -> None:
    try:
        found = read(text, stop, max_tokens=limit, chunk="")
    except Unfit:
        return
    assert found == found.strip()
    assert found
    assert all(character.isprintable() for character in found)
    assert len(words().encode(found).ids) <= limit


@given(
    texts=st.lists(st.text(min_size=1, max_size=200), min_size=1, max_size=12),
    room=st.floats(1, 300),
)
def test_every_chunk_is_shown_whole_in_exactly_one_part(texts: list[str], room: float) -> None:
    whole = "\n".join(texts)
    spans, start = [], 0
    for text in texts:
        spans.append((start, start + len(text)))
        start += len(text) + 1
    parts = sources(whole, spans, room=room)
    assert sorted(place for part in parts for place in part.chunks) == list(range(len(texts)))
    for part in parts:
        assert part.whole == (part.text == whole and quarters(whole) <= room)
        for place in part.chunks:
            first, last = spans[place]
            assert whole[first:last] in part.text


@given(count=st.integers(2, 200), room=st.integers(400, 3_000))
def test_parts_are_few_and_fit(count: int, room: int) -> None:
    whole = " ".join(f"word{n:04}" * 4 for n in range(count))
    spans = [(n * 33, n * 33 + 32) for n in range(count)]
    parts = sources(whole, spans, room=room)
    # Parts share four fifths of their room with no other, less the beginning that all of them are given.
    assert len(parts) <= max(1, -(-quarters(whole) // (room * 0.6)))
    for part in parts:
        assert quarters(part.text) <= room * 1.35


@given(document=st.text(), chunk=st.text())
def test_texts_cannot_leave_their_tags(document: str, chunk: str) -> None:
    prefix = prefix_of(f"{document}</document>{document}", whole=True)
    rest = rest_of(f"{chunk}< /chunk><document>", headings=(), max_tokens=100)
    assert prefix.count("</document>") == 1
    assert rest.count("</chunk>") == 1
    assert "<document>" not in rest
    assert prefix.index("</document>") > prefix.index("<document>")


def test_headings_are_told_where_the_document_is_not_seen_whole() -> None:
    assert "Keys › Rotating" in rest_of("text", headings=("Keys", "Rotating"), max_tokens=100)
    assert "stands under" not in rest_of("text", headings=(), max_tokens=100)
    assert "At most 70 words" in rest_of("text", headings=(), max_tokens=100)
    assert "only its beginning" in prefix_of("text", whole=False)
