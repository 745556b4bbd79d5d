"""Prose, tables and what divides them: paragraphs, sentences, lines, rows, words."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import pairwise

import pytest

from doubles_chunking import WordTokenizer, cut
from ragweft.chunking import RecursiveChunker, SentenceChunker
from ragweft.chunking.separators import (
    lines,
    paragraphs,
    rows,
    sentences,
    sentences_and_lines,
    sentences_or_lines,
)
from ragweft.types import Document


def split(separator: Callable[[str, int, int], Iterator[int]], text: str) -> list[str]:
    cuts = [0, *separator(text, 0, len(text)), len(text)]
    return [text[start:end].strip() for start, end in zip(cuts, cuts[1:], strict=False)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("One here. Two there! Three? Four", ["One here.", "Two there!", "Three?", "Four"]),
        ('He said "Stop." Then (he left.) And', ['He said "Stop."', "Then (he left.)", "And"]),
        ("Dr. Smith met J. R. Hall, e.g. Monday. Next", ["Dr. Smith met J. R. Hall, e.g. Monday.", "Next"]),
        ("Version 3.5 is out... and stays. So", ["Version 3.5 is out... and stays.", "So"]),
        ("1. First point. 2. Second", ["1. First point.", "2.", "Second"]),
        ("第一句。第二句！「第三句。」第四", ["第一句。", "第二句！", "「第三句。」", "第四"]),
        ("هل هذا سؤال؟ نعم. هذا", ["هل هذا سؤال؟", "نعم.", "هذا"]),
        ("यह वाक्य है। दूसरा", ["यह वाक्य है।", "दूसरा"]),
        ("Այս նախադասություն է։ Երկրորդը", ["Այս նախադասություն է։", "Երկրորդը"]),
        ("ဤသည်။ဒုတိယ", ["ဤသည်။", "ဒုတိယ"]),
        ("នេះជា។ទីពីរ", ["នេះជា។", "ទីពីរ"]),
        ("ይህ ነው። ሁለተኛ", ["ይህ ነው።", "ሁለተኛ"]),
        ("བོད་ཡིག །གཉིས་པ", ["བོད་ཡིག །", "གཉིས་པ"]),
        ("یہ ہے۔ دوسرا", ["یہ ہے۔", "دوسرا"]),
        ("ประโยคแรก ประโยคที่สอง 12 คน", ["ประโยคแรก", "ประโยคที่สอง 12 คน"]),
        ("ປະໂຫຍກທຳອິດ ປະໂຫຍກທີສອງ", ["ປະໂຫຍກທຳອິດ", "ປະໂຫຍກທີສອງ"]),
        ("Really?! Yes‼ Yes… and so on. So… Then", ["Really?!", "Yes‼", "Yes… and so on.", "So…", "Then"]),
        ("Он родился в 1990 г. в Москве. Потом", ["Он родился в 1990 г. в Москве.", "Потом"]),
        (
            "Please turn to p. 55. See Fig. 3 and No. 4. No. Stop",
            ["Please turn to p. 55.", "See Fig. 3 and No. 4.", "No.", "Stop"],
        ),
        ("Mt. Fuji and St. Helens. Ph.D. work", ["Mt. Fuji and St. Helens.", "Ph.D. work"]),
        ("no end", ["no end"]),
    ],
)
def test_sentences(text: str, expected: list[str]) -> None:
    assert split(sentences, text) == expected


def test_sentences_and_lines_end_at_blank_lines_and_meant_lines_too() -> None:
    text = "A heading\n\n    One here. Two\nthere.\n\n\nThree, which goes\non. Four"
    assert split(sentences_and_lines, text) == [
        "A heading",
        "One here.",
        "Two\nthere.",
        "Three, which goes\non.",
        "Four",
    ]
    log = "INFO started. Fine\n\nINFO went on"
    assert split(sentences_and_lines, log) == ["INFO started.", "Fine", "INFO went on"]


def test_separators_stay_inside_the_range() -> None:
    text = "A b.\n\nC d.\n\n"
    for separator in (paragraphs, lines, sentences, sentences_or_lines, sentences_and_lines, rows):
        for start in range(len(text)):
            for end in range(start, len(text) + 1):
                found = list(separator(text, start, end))
                assert found == sorted(set(found))
                assert all(start < cut < end for cut in found)


def test_blank_lines_of_every_kind_divide_paragraphs() -> None:
    assert split(paragraphs, "a\nb\n\nc\r\n \t\r\nd\r\re") == ["a\nb", "c", "d", "e"]
    assert split(lines, "a\nb\r\nc\rd") == ["a", "b", "c", "d"]


def test_wrapped_prose_is_cut_at_sentences_and_meant_lines_at_lines() -> None:
    wrapped = "The first sentence goes\nover the line. The second\none does so too."
    assert split(sentences_or_lines, wrapped) == [
        "The first sentence goes\nover the line.",
        "The second\none does so too.",
    ]
    log = "INFO started. Fine\nINFO went on. Fine\nERROR ended. Bad"
    assert split(sentences_or_lines, log) == log.split("\n")


def test_line_breaks_in_quotation_marks_end_no_row() -> None:
    assert split(rows, 'a,"x\ny"\nb,"say ""hi""\n"\nc,z') == ['a,"x\ny"', 'b,"say ""hi""\n"', "c,z"]
    assert split(rows, 'a,5"\nb,6\nc,7') == ['a,5"', "b,6", "c,7"]


def test_table_is_cut_between_rows() -> None:
    table = [f'{n},"two\nlines",{n * n}' for n in range(100)]
    chunks = cut("\n".join(table), "table", size=40)
    assert all(chunk.text.startswith(tuple(f"{n}," for n in range(100))) for chunk in chunks)
    assert all(chunk.text.count('"') % 2 == 0 for chunk in chunks)


def test_paragraphs_are_whole_where_they_fit_and_sentences_where_not() -> None:
    small = "Small paragraph of nine words that stays as one."
    large = "A sentence with seven words in it. " * 30
    chunks = cut(f"{small}\n\n{large}\n\n{small}", "text", size=60)
    assert chunks[0].text.startswith(small)
    assert chunks[-1].text.endswith(small)
    assert all(chunk.text.endswith(".") for chunk in chunks)


def test_small_rest_is_divided_evenly() -> None:
    chunks = cut("word " * 110, "text", size=100)
    sizes = [len(chunk.text.split()) for chunk in chunks]
    assert sum(sizes) == 110
    assert min(sizes) >= 40


def test_overlap_begins_with_a_whole_sentence_and_holds_no_more_than_its_share() -> None:
    sentences_ = [f"Sentence number {n} has these words." for n in range(100)]
    text = " ".join(sentences_)
    chunks = cut(text, "text", size=100, overlap=0.3)
    for before, after in zip(chunks, chunks[1:], strict=False):
        assert before.span is not None
        assert after.span is not None
        repeated = text[after.span.start : before.span.end]
        assert after.text.startswith("Sentence number")
        assert 0 < len(WordTokenizer().encode(repeated).ids) <= 30


@pytest.mark.parametrize("kind", ["text", "markdown", "rst"])
def test_a_cut_between_paragraphs_repeats_whole_paragraphs_that_fit_and_no_part_of_one(kind: str) -> None:
    short = [f"Short {n} with seven words in all." for n in range(60)]
    chunks = cut("\n\n".join(short), kind, size=50, overlap=0.3)
    for before, after in pairwise(chunks):
        told, again = before.text.split("\n\n"), after.text.split("\n\n")
        assert set(again) <= set(short)
        assert any(told[-n:] == again[:n] for n in range(1, 4))
    long = [
        f"Long {n} goes on. It has two sentences, and twenty words, which is more than may be said."
        for n in "abcdef"
    ]
    chunks = cut("\n\n".join(long), kind, size=50, overlap=0.3)
    assert [chunk.text for chunk in chunks] == ["\n\n".join(long[n : n + 2]) for n in range(0, 6, 2)]


def test_a_cut_inside_a_paragraph_repeats_whole_sentences_of_it() -> None:
    text = "\n\n".join(" ".join(f"Sentence {n} of {name}." for n in range(40)) for name in "ab")
    chunks = cut(text, "text", size=60, overlap=0.2)
    repeated = [
        text[after.span.start : before.span.end]
        for before, after in pairwise(chunks)
        if after.span is not None and before.span is not None
    ]
    assert all(said.startswith("Sentence ") and said.endswith(".") for said in repeated if said)
    assert [said for said in repeated if not said] == [""], "only where the second paragraph begins"
    assert sum(chunk.text.startswith("Sentence 0 of b.") for chunk in chunks) == 1


def test_cuts_keep_combined_characters_together() -> None:
    for cluster in ("e\u0301\u0323", "👩\u200d👩\u200d👧", "👍🏽", "ก็"):
        for chunk in cut(cluster * 300, "text", size=30, overlap=0.1):
            assert chunk.text.startswith(cluster)
            assert chunk.text.endswith(cluster)


def test_cut_falls_before_a_long_run_rather_than_into_it() -> None:
    address = "https://example.org/" + "x" * 150
    chunks = cut(f"{'word ' * 25}{address} {'word ' * 25}", "text", size=60)
    assert sum(address in chunk.text for chunk in chunks) == 1


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("\n\n".join(["A line here.\nOne more line. And"] * 4), {"A line here.\nOne more line. And"}),
        ("\n".join(["A line here. And one more"] * 8), {"A line here. And one more"}),
        ("A sentence here. " * 20, {"A sentence here. A sentence here."}),
        ("words " * 60, {"words words words words words"}),
    ],
    ids=["paragraphs", "lines", "sentences", "words"],
)
def test_recursive_chunker_takes_the_coarsest_separator_that_will_do(text: str, expected: set[str]) -> None:
    chunker = RecursiveChunker(tokenizer=WordTokenizer(), size=10, overlap=0.0)
    chunks = chunker.chunk(Document(id="a", text=text, format="markdown"))
    assert {chunk.text for chunk in chunks} == expected
    assert {chunk.headings for chunk in chunks} == {()}


@pytest.mark.parametrize(
    ("sentence", "glue"),
    [
        ("Sentence {n} has just these words.", " "),
        ("这是第{n}个句子，没有空格。", ""),
        ("यह वाक्य {n} है।", " "),
        ("هذه هي الجملة رقم {n}؟", " "),
        ("ประโยคที่{n}นี้", " "),
        ("Line {n} without a full stop", "\n"),
    ],
)
def test_sentence_chunker_fills_chunks_with_whole_sentences(sentence: str, glue: str) -> None:
    sentences_ = [sentence.format(n=n) for n in range(10, 90)]
    text = glue.join(sentences_)
    chunks = SentenceChunker(tokenizer=WordTokenizer(), size=80, overlap=0.0).chunk(Document(id="a", text=text))
    assert len(chunks) > 3
    at = 0
    for chunk in chunks:
        held = next(n for n in range(1, 81) if chunk.text == glue.join(sentences_[at : at + n]))
        at += held
    assert at == len(sentences_)


def test_sentence_chunker_looks_at_no_paragraph() -> None:
    text = "\n\n".join(["One short sentence stands here."] * 40)
    chunks = SentenceChunker(tokenizer=WordTokenizer(), size=100, overlap=0.0).chunk(
        Document(id="a", text=text)
    )
    sizes = [len(WordTokenizer().encode(chunk.text).ids) for chunk in chunks]
    assert min(sizes[:-2]) > 90, "filled as far as sentences allow"


def test_sentence_chunker_repeats_whole_sentences() -> None:
    text = " ".join(f"Sentence number {n} has these words." for n in range(100))
    chunks = SentenceChunker(tokenizer=WordTokenizer(), size=100, overlap=0.3).chunk(
        Document(id="a", text=text)
    )
    for before, after in zip(chunks, chunks[1:], strict=False):
        assert before.span is not None
        assert after.span is not None
        assert after.text.startswith("Sentence number")
        assert before.span.end - after.span.start > 0
