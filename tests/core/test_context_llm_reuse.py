"""Which contexts are used again after an edit, and which are paid for anew."""

from __future__ import annotations

import random
import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from context_made import contextualizer, cut, document, paragraph
from ragweft.context.identity import REACH, nearness, still_said, unsaid, words_in
from ragweft.context.memory import ContextMemory, Kept, PassingMemory
from ragweft.ledger.context_store import ContextStore
from ragweft.types import Chunk, Document

Prompts = list[str]


def noting(prompts: Prompts, *, quotes: str = "") -> object:
    """A model that says how often it was asked, and words of its own."""

    def say(prompt: str) -> str:
        prompts.append(prompt)
        return f"zznote{len(prompts)} zzsituates zzthis zzpart of the zzwhole {quotes}".strip()

    return say


def asked_for(prompts: Prompts) -> list[str]:
    """The chunks that were asked for."""
    return [prompt.rpartition("<chunk>\n")[2].partition("\n</chunk>")[0] for prompt in prompts]


@pytest.fixture(params=["sqlite", "process"])
def memory(request: pytest.FixtureRequest, tmp_path: Path) -> ContextMemory:
    return ContextStore(tmp_path / "contexts.db") if request.param == "sqlite" else PassingMemory()


def contexts(made: Document, prompts: Prompts, memory: ContextMemory, *, quotes: str = "") -> list[str]:
    writer = contextualizer(noting(prompts, quotes=quotes), memory)  # type: ignore[arg-type]  # either kind
    return [chunk.context for chunk in writer.contextualize(made, cut(made))]


def test_a_line_edited_in_three_hundred_chunks_pays_for_a_handful(memory: ContextMemory) -> None:
    texts = [paragraph(n, length=60) for n in range(300)]
    prompts: Prompts = []
    before = contexts(document(texts), prompts, memory)
    assert len(prompts) == 300
    prompts.clear()
    texts[150] = texts[150].replace("reports", "claims")
    after = contexts(document(texts), prompts, memory)
    assert texts[150] in asked_for(prompts)
    assert len(prompts) <= 5
    assert sum(one != other for one, other in zip(before, after, strict=True)) == len(prompts)
    prompts.clear()
    assert contexts(document(texts), prompts, memory) == after
    assert prompts == []


def test_what_was_added_far_away_changes_nothing(memory: ContextMemory) -> None:
    texts = [paragraph(n) for n in range(12)]
    prompts: Prompts = []
    before = contexts(document(texts), prompts, memory)
    prompts.clear()
    after = contexts(document([*texts, "A last word."]), prompts, memory)
    assert after[:-2] == before[:-1]
    assert asked_for(prompts) == [texts[-1], "A last word."]


def test_a_name_that_left_the_document_leaves_its_contexts(memory: ContextMemory) -> None:
    texts = ["ACME, second quarter 2023.", *(paragraph(n) for n in range(12))]
    prompts: Prompts = []
    contexts(document(texts), prompts, memory, quotes="by ACME, 2023")
    prompts.clear()
    # Far from the last chunks, and yet all of them speak of it.
    texts[0] = "ACME, second quarter 2024."
    contexts(document(texts), prompts, memory, quotes="by ACME, 2024")
    assert len(prompts) == 13
    prompts.clear()
    # Something no context speaks of.
    texts[0] = "ACME, third quarter 2024."
    contexts(document(texts), prompts, memory, quotes="by ACME, 2024")
    assert 0 < len(prompts) < 4


def test_another_title_or_heading_is_another_context(memory: ContextMemory) -> None:
    prompts: Prompts = []
    contexts(document(5), prompts, memory)
    contexts(document(5, title="Another log"), prompts, memory)
    assert len(prompts) == 10


def test_going_back_costs_nothing(memory: ContextMemory) -> None:
    texts = [paragraph(n) for n in range(6)]
    prompts: Prompts = []
    before = contexts(document(texts), prompts, memory)
    contexts(document([*texts[:3], "Something else.", *texts[4:]]), prompts, memory)
    prompts.clear()
    assert contexts(document(texts), prompts, memory) == before
    assert prompts == []


def test_a_moved_document_takes_its_contexts_along_and_may_then_be_edited(memory: ContextMemory) -> None:
    texts = [paragraph(n) for n in range(9)]
    prompts: Prompts = []
    before = contexts(document(texts, name="old"), prompts, memory)
    prompts.clear()
    assert contexts(document(texts, name="new"), prompts, memory) == before
    assert prompts == []
    contexts(document([*texts, "More."], name="new"), prompts, memory)
    assert len(prompts) == 2
    prompts.clear()
    # The one it came from is as it was.
    assert contexts(document(texts, name="old"), prompts, memory) == before
    assert prompts == []


def test_documents_that_share_a_passage_share_no_context(memory: ContextMemory) -> None:
    shared = [paragraph(n) for n in range(5)]
    prompts: Prompts = []
    contexts(document(["Of Bravo.", *shared, "Ends."], name="bravo"), prompts, memory)
    contexts(document(["Of Alpha.", *shared, "Ends."], name="alpha"), prompts, memory)
    assert len(prompts) == 14


def test_another_model_or_length_asks_anew(memory: ContextMemory) -> None:
    whole = document(3)
    prompts: Prompts = []
    for settings_of in ({}, {"max_tokens": 50}, {"max_tokens": 100}):
        writer = contextualizer(noting(prompts), memory, **settings_of)  # type: ignore[arg-type]  # either kind
        writer.contextualize(whole, cut(whole))
    assert len(prompts) == 6


@settings(max_examples=30, deadline=None)
@given(data=st.data())
def test_no_context_ever_speaks_of_what_the_document_lacks(data: st.DataObject) -> None:
    """Whatever is edited, in whatever order: a context that is served says nothing that is not there (any more)."""
    vocabulary = ["anchor", "barge", "crane", "2023", "2024", "Σίγμα", "港口", "ſhip", "É"]
    line = st.lists(st.sampled_from(vocabulary), min_size=1, max_size=4).map(" ".join)
    texts = data.draw(st.lists(line, min_size=3, max_size=6))
    memory = PassingMemory()
    seed = data.draw(st.integers(0, 10**6))

    def say(prompt: str) -> str:
        said = sorted(words_in(prompt.partition("</document>")[0]) - {"document"})
        quoted = random.Random(f"{seed} {prompt}").choices(said, k=3)
        return "zznote zzon zzthe zzpart: " + " ".join(quoted)

    for _ in range(data.draw(st.integers(1, 4))):
        texts[data.draw(st.integers(0, len(texts) - 1))] = data.draw(line)
        whole = document([f"{text} {'x' * REACH} {n}" for n, text in enumerate(texts)], title=None)
        made = contextualizer(say, memory).contextualize(whole, cut(whole))  # type: ignore[arg-type]  # either kind
        said = words_in(whole.text)
        for chunk in made:
            assert {word for word in words_in(chunk.context) if not word.startswith("zz")} <= said


@given(before=st.text(max_size=700), text=st.text(min_size=1, max_size=50), after=st.text(max_size=700))
def test_only_what_is_near_counts_as_near(before: str, text: str, after: str) -> None:
    def digest(head: str, tail: str) -> bytes:
        whole = Document(id="d", text=f"{head}{text}{tail}", title="t")
        return nearness(whole, Chunk(id="c", document_id="d", text=text), len(head))

    far_before, far_after = f"far away {'-' * REACH}{before}", f"{after}{'-' * REACH} far away"
    assert digest(f"{'-' * REACH}{before}", f"{after}{'-' * REACH}") == digest(far_before, far_after)
    assert digest(f"{before}!", after) != digest(f"{before}?", after)
    assert digest(before, f"!{after}") != digest(before, f"?{after}")


@given(context=st.text(max_size=80), said=st.text(max_size=200), more=st.text(max_size=80))
def test_a_context_fits_the_text_it_was_made_from_and_any_longer_one(
    context: str, said: str, more: str
) -> None:
    words = words_in(said)
    own = unsaid(context, words)
    assert still_said(context, own, words)
    assert still_said(context, own, words | words_in(more))


@given(text=st.text())
def test_words_are_of_letters_and_digits(text: str) -> None:
    for word in words_in(text):
        assert word
        assert not re.search(r"[\s_]", word)


def test_scripts_without_blanks_are_read_sign_by_sign() -> None:
    assert words_in("港口の日誌 log") == {"港", "口", "の", "日", "誌", "log"}


def test_what_is_kept_of_another_text_fits_that_alone(memory: ContextMemory) -> None:
    """As of a batch that was asked for a text that has changed meanwhile."""
    whole = document(3)
    prompts: Prompts = []
    contexts(whole, prompts, memory)
    writer = contextualizer(noting(prompts), memory)  # type: ignore[arg-type]  # either kind
    maker = f"{noting.__module__}.noting.<locals>.say prompt/1 max_tokens=100"
    nears = [nearness(whole, chunk, chunk.span.start if chunk.span else 0) for chunk in cut(whole)]
    found = memory.find(maker, document_id="port", document=b"another", nears=nears)
    assert len(found) == 3
    memory.keep(
        maker,
        "port",
        [
            Kept(document_id="port", near=near, document=b"another", text="of before", own=None)
            for near in nears
        ],
    )
    prompts.clear()
    assert all("of before" not in chunk.context for chunk in writer.contextualize(whole, cut(whole)))
    assert len(prompts) == 3
