"""From which likeness on an answer is served: learnt from pairs, or from the corpus, or not at all."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ragweft import Document, Index
from ragweft.caching.calibrating import FEWEST, Pair, calibrate
from ragweft.caching.gate import doubts
from ragweft.caching.likeness import Likeness
from ragweft.caching.near_misses import Topic, altered, nearest
from ragweft.caching.parlance import Parlance, Spoken
from ragweft.caching.standard import DEFAULT, Standard, read_standard
from ragweft.caching.values import MEASURES, Measure
from ragweft.embedding.static import StaticEmbedder
from ragweft.errors import ProviderError, RagweftError

if TYPE_CHECKING:
    from ragweft.types import Vector

STATIC = StaticEmbedder()
LIKENESS = Likeness(STATIC)
THINGS = [
    "signing key",
    "bread pudding",
    "night train",
    "bee hive",
    "harbour light",
    "church bell",
    "garden gate",
    "water pump",
    "winter coat",
    "village school",
    "copper wire",
    "paper mill",
    "sheep dog",
    "river boat",
    "stone wall",
    "candle wax",
]
ASKED = (
    "how often is a {} repaired",
    "how much does a {} weigh",
    "who has invented the {}",
    "where is a {} sold",
)
SAID = (
    "how frequently does one repair a {}",
    "what is the weight of a {}",
    "who is the inventor of the {}",
    "where can one buy a {}",
)


def pairs(seed: int = 0) -> list[Pair]:
    """Questions beside another wording of the same, and beside another question about the same thing."""
    draw = random.Random(seed)
    found = []
    for thing in THINGS:
        for kind in range(len(ASKED)):
            found.append(Pair(asked=ASKED[kind].format(thing), other=SAID[kind].format(thing), same=True))
            other = draw.choice([n for n in range(len(ASKED)) if n != kind])
            found.append(Pair(asked=ASKED[kind].format(thing), other=SAID[other].format(thing), same=False))
    return found


def served(standard: Standard, among: list[Pair]) -> tuple[float, float]:
    """Shares of the pairs with the same answer, and with another one, that would be served."""
    spoken = {text: LIKENESS.spoken(text) for pair in among for text in (pair.asked, pair.other)}
    parlance = Parlance()
    parlance.add(list(spoken.values()))
    hits = []
    for pair in among:
        cosine = STATIC.embed_query(pair.asked) @ STATIC.embed_query(pair.other)
        alike = LIKENESS.of(
            spoken[pair.asked],
            [spoken[pair.other]],
            np.array([cosine], np.float32),
            parlance,
            measure=standard.measure,
        )
        against = doubts(pair.asked, pair.other, usual=parlance.usual)
        hits.append(bool(alike[0] >= standard.threshold) and not against)
    same = np.array([pair.same for pair in among])
    return float(np.array(hits)[same].mean()), float(np.array(hits)[~same].mean())


def test_what_is_calibrated_serves_paraphrases_and_keeps_wrong_answers_below_the_target() -> None:
    found = calibrate(pairs(), embed=STATIC.embed_query, likeness=LIKENESS, target=0.05)
    right, wrong = served(found, pairs())
    assert found.semantic
    assert (round(right * 64), round(wrong * 64)) == (found.served, found.wrong)
    assert right > 0.2
    assert wrong <= 0.05
    assert found.upper is not None
    assert found.upper > wrong
    assert (found.near_misses, found.paraphrases, found.target) == (64, 64, 0.05)
    right, wrong = served(DEFAULT, pairs())
    assert right < found.served / 64, "a calibrated cache serves more than the default"


def test_a_stricter_target_serves_no_more() -> None:
    served_at = [
        calibrate(pairs(), embed=STATIC.embed_query, likeness=LIKENESS, target=target).served
        for target in (0.2, 0.05, 0.01, 0.001)
    ]
    assert served_at == sorted(served_at, reverse=True)


def test_where_no_threshold_will_do_only_the_same_words_are_served() -> None:
    hard = [
        Pair(
            asked=f"where is the {one} of the old {two} kept",
            other=f"where is the {one} of the new {two} kept",
            same=False,
        )
        for one in ("key", "lamp", "bell", "map", "rope", "sail", "coat", "chart")
        for two in THINGS
    ]
    hard += [pair for pair in pairs() if pair.same]
    found = calibrate(hard, embed=STATIC.embed_query, likeness=LIKENESS)
    assert served(found, hard)[1] <= 0.01
    told = [Pair(asked=pair.asked, other=f"{pair.asked} ", same=pair.same) for pair in hard]
    refused = calibrate(told, embed=STATIC.embed_query, likeness=LIKENESS)
    assert (refused.semantic, refused.served, refused.wrong) == (False, 0, 0)


def test_near_misses_that_the_gate_holds_back_are_no_reason_to_serve_anything() -> None:
    held = [Pair(asked=f"is case {n} closed", other=f"is case {n + 1} closed", same=False) for n in range(90)]
    found = calibrate(held, embed=STATIC.embed_query, likeness=LIKENESS)
    assert found.wrong == 0
    assert not found.semantic, "a gate says nothing of near-misses that it was not shown"


def test_pairs_that_are_far_apart_are_told_from_near_misses() -> None:
    near = calibrate(pairs(), embed=STATIC.embed_query, likeness=LIKENESS)
    others = [pair.other for pair in pairs() if not pair.same]
    shuffled = iter(others[7:] + others[:7])
    far = [pair if pair.same else Pair(asked=pair.asked, other=next(shuffled), same=False) for pair in pairs()]
    apart = calibrate(far, embed=STATIC.embed_query, likeness=LIKENESS)
    assert near.nearer < 0.5 < 0.9 < apart.nearer
    assert read_standard(apart.to_json()).nearer == apart.nearer


def test_an_embedder_that_gives_no_numbers_is_told() -> None:
    def embed(text: str) -> Vector:
        return STATIC.embed_query(text) * (np.nan if "bee hive" in text else 1)

    with pytest.raises(ProviderError, match=r"gives no numbers for '.*bee hive"):
        calibrate(pairs(), embed=embed, likeness=LIKENESS)


def test_too_few_near_misses_conclude_nothing() -> None:
    few = [pair for pair in pairs() if pair.same] + [pair for pair in pairs() if not pair.same][: FEWEST - 1]
    with pytest.raises(
        RagweftError, match=f"{FEWEST - 1} pairs with different answers are too few.*give {FEWEST}"
    ):
        calibrate(few, embed=STATIC.embed_query, likeness=LIKENESS)
    with pytest.raises(RagweftError, match=r"target = 1\.5 is no share"):
        calibrate(pairs(), embed=STATIC.embed_query, likeness=LIKENESS, target=1.5)


def test_a_standard_is_kept_as_it_was_and_nonsense_is_none() -> None:
    found = Standard(threshold=0.7, measure="mixed", origin="pairs", near_misses=90)
    assert read_standard(found.to_json()) == found
    for said in (
        None,
        "",
        "{",
        "[]",
        '{"threshold": "x"}',
        '{"threshold": 0.1, "measure": "other"}',
        '{"a": 1}',
    ):
        assert read_standard(said) == DEFAULT


_TEXTS = st.text(alphabet="abc e not 12?ÄÖ漢", max_size=30)


@settings(max_examples=60, deadline=None)
@given(asked=_TEXTS, others=st.lists(_TEXTS, min_size=1, max_size=5), measure=st.sampled_from(MEASURES))
def test_a_likeness_does_not_depend_on_who_else_is_near(
    asked: str, others: list[str], measure: Measure
) -> None:
    parlance = Parlance()
    spoken = [LIKENESS.spoken(other) for other in others]
    parlance.add(spoken)
    cosines = np.linspace(-1, 1, len(others)).astype(np.float32)
    mine = LIKENESS.spoken(asked)
    together = LIKENESS.of(mine, spoken, cosines, parlance, measure=measure)
    alone = [
        LIKENESS.of(mine, [each], cosines[place : place + 1], parlance, measure=measure)[0]
        for place, each in enumerate(spoken)
    ]
    assert np.allclose(together, alone, atol=1e-5)
    assert np.all(together <= 1 + 1e-5)


@settings(max_examples=40, deadline=None)
@given(text=_TEXTS)
def test_the_same_words_are_as_alike_as_can_be(text: str) -> None:
    spoken, parlance = LIKENESS.spoken(text), Parlance()
    parlance.add([spoken])
    for measure in MEASURES:
        alike = LIKENESS.of(spoken, [spoken], np.ones(1, np.float32), parlance, measure=measure)
        assert alike[0] == pytest.approx(1.0, abs=1e-4) or not len(spoken.tokens)


def test_a_name_all_questions_have_tells_none_from_another() -> None:
    parlance = Parlance()
    parlance.add(
        [Spoken(text=f"how does Acme mend part {n}", tokens=np.array([n], np.int32)) for n in range(40)]
    )
    assert parlance.usual == {"acme"}
    assert parlance.weights(np.array([1, 999], np.int32))[0] < parlance.weights(np.array([999], np.int32))[0]


def test_near_misses_are_about_something_else() -> None:
    texts = [ASKED[kind].format(thing) for thing in THINGS[:4] for kind in range(4)]
    topics = [Topic(text=text, about=frozenset([str(place // 4)])) for place, text in enumerate(texts)]
    found = nearest(topics, STATIC.embed_documents(texts))
    about = {topic.text: topic.about for topic in topics}
    assert found
    assert all(about[pair.asked].isdisjoint(about[pair.other]) for pair in found)
    twice = [*topics, Topic(text=f" {texts[0].upper()} ", about=frozenset(["elsewhere"]))]
    again = nearest(twice, STATIC.embed_documents([topic.text for topic in twice]))
    assert all(pair.asked.casefold().strip() != pair.other.casefold().strip() for pair in again)


def test_questions_are_altered_in_what_the_gate_is_there_for() -> None:
    found = altered(
        [
            "Does the pump run 24 hours?",
            "How do I fly from Rome to Paris?",
            "Who is the keeper of Harbour House and of Mill Lane?",
            "rotate keys",
        ]
    )
    assert [pair.asked for pair in found] == [
        "Does the pump run 25 hours?",
        "Does not the pump run 24 hours?",
        "How do not I fly from Rome to Paris?",
        "How do I fly from Paris to Rome?",
        "How do I fly from Harbour to Paris?",
        "Who is not the keeper of Harbour House and of Mill Lane?",
        "Who is the keeper of Lane House and of Mill Lane?",
    ]
    assert all(doubts(pair.asked, pair.other) for pair in found)


@pytest.fixture
def index(tmp_path: Path) -> Iterator[Index]:
    with Index.open(tmp_path / "kb") as opened:
        opened.add(
            Document(
                id=f"{kind}-{thing}",
                title=f"{ASKED[kind].format(thing).capitalize()}?",
                text=f"Whoever asks about a {thing} finds in this note, number {kind}, what the council has written "
                "down over many years, with dates, names and sums, and whom to write to.",
            )
            for thing in THINGS
            for kind in range(len(ASKED))
        )
        yield opened


def test_the_corpus_and_what_was_asked_calibrate_too(index: Index) -> None:
    cache = index.cache()
    found = cache.calibrate(keep=False)
    assert found.near_misses >= FEWEST
    assert found.origin.startswith("64 questions of")
    assert cache.explain("nothing").hit is None
    cache.store("Is the moon far?", "yes", evidence=index.search("winter coat"))
    assert cache.calibrate(keep=False).origin.startswith("65 questions of")


def test_what_is_calibrated_is_gone_by_from_then_on_in_every_process(index: Index) -> None:
    cache = index.cache()
    question, other = ASKED[1].format("paper mill"), SAID[1].format("paper mill")
    cache.store(question, "four tons", evidence=index.search(question))
    assert cache.lookup(other) is None
    found = cache.calibrate(pairs(), target=0.1)
    assert found.semantic
    hit = cache.lookup(other)
    assert hit is not None
    assert hit.answer == "four tons"
    with Index.open(index.path) as again:
        assert again.cache().lookup(other) is not None


def test_an_empty_index_says_what_to_do(tmp_path: Path) -> None:
    with Index.open(tmp_path / "kb") as index, pytest.raises(RagweftError, match="give pairs of questions"):
        index.cache().calibrate()
