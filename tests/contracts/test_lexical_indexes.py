"""What every lexical index must keep."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ragweft.lexical import Analyzer, TantivyIndex
from ragweft.protocols import LexicalIndex

if TYPE_CHECKING:
    from ragweft.types import Ranking, Rows, Vector

Opens = Callable[[Path], LexicalIndex]

ANALYZER = Analyzer()
OPENERS: dict[str, Opens] = {
    "tantivy": lambda path: TantivyIndex(path, ledger="ledger-1", analyzer=ANALYZER, context_weight=0.25),
}
ANIMALS = ["a cat sat", "the dog ran after the cat", "birds sing", "a cat and another cat", "fish"]


def rows_of(*rows: int) -> Rows:
    return np.array(rows, dtype=np.int64)


def put(
    index: LexicalIndex,
    texts: Sequence[str],
    *,
    contexts: Sequence[str] = (),
    first: int = 0,
    removed: Sequence[int] = (),
    generation: int = 1,
) -> None:
    rows = np.arange(first, first + len(texts), dtype=np.int64)
    index.apply(
        rows=rows,
        texts=texts,
        contexts=contexts or [""] * len(texts),
        removed=rows_of(*removed),
        generation=generation,
    )


def scored(index: LexicalIndex, text: str, texts: Sequence[str], contexts: Sequence[str] = ()) -> Vector:
    return index.score(text, texts, contexts or [""] * len(texts))


def found(index: LexicalIndex, text: str, *, n: int = 100, among: Sequence[int] | None = None) -> list[int]:
    rows = index.search(text, n=n, among=None if among is None else rows_of(*among)).rows
    return [int(row) for row in rows]


@pytest.fixture(params=sorted(OPENERS))
def opens(request: pytest.FixtureRequest) -> Opens:
    return OPENERS[request.param]


@pytest.fixture
def index(opens: Opens, tmp_path: Path) -> Iterator[LexicalIndex]:
    opened = opens(tmp_path / "lexical")
    yield opened
    opened.close()


@pytest.fixture
def animals(index: LexicalIndex) -> LexicalIndex:
    put(index, ANIMALS)
    return index


def test_is_a_lexical_index(index: LexicalIndex) -> None:
    assert isinstance(index, LexicalIndex)


def test_a_new_index_is_empty(index: LexicalIndex) -> None:
    assert index.applied_generation == 0
    assert len(index) == 0
    ranking = index.search("cat", n=5)
    assert (ranking.rows.tolist(), ranking.generation, ranking.exhausted) == ([], 0, True)


def test_search_ranks_by_relevance(animals: LexicalIndex) -> None:
    ranking = animals.search("cats", n=10)
    assert ranking.rows.tolist()[0] == 3
    assert set(ranking.rows.tolist()) == {0, 1, 3}
    assert ranking.rows.dtype == np.int64
    assert ranking.scores.dtype == np.float32
    assert (np.diff(ranking.scores) <= 0).all()
    assert (ranking.scores > 0).all()
    assert ranking.generation == 1


def test_a_rarer_word_weighs_more(animals: LexicalIndex) -> None:
    assert found(animals, "cat dog")[0] == 1


def test_a_word_said_twice_weighs_more(index: LexicalIndex) -> None:
    put(index, ["red red blue", "blue blue red", "green"])
    assert found(index, "red red blue")[0] == 0
    assert found(index, "red blue blue")[0] == 1


def test_exhausted_when_fewer_came_back(animals: LexicalIndex) -> None:
    assert animals.search("cat", n=4).exhausted
    assert not animals.search("cat", n=3).exhausted
    assert not animals.search("cat", n=2).exhausted


@pytest.mark.parametrize("n", [0, -1])
def test_nothing_asked_nothing_returned(animals: LexicalIndex, n: int) -> None:
    ranking = animals.search("cat", n=n)
    assert len(ranking.rows) == len(ranking.scores) == 0
    assert ranking.generation == 1


@pytest.mark.parametrize("text", ["", "   ", "the", "what is it?", "🔑", "zebra", "!marker", "*", "\x00"])
def test_no_shared_word_no_rows(animals: LexicalIndex, text: str) -> None:
    ranking = animals.search(text, n=10)
    assert ranking.rows.tolist() == []
    assert ranking.exhausted
    assert scored(animals, text, ANIMALS).tolist() == [0.0] * len(ANIMALS)


@pytest.mark.parametrize(
    "text",
    [
        *("cat AND", "cat OR", "NOT cat", "body:cat", "a:cat", "-cat", "+cat", "cat*", "cat~2", "cat^9"),
        *('"cat', "[cat TO dog]", "[cat", "{cat", "(cat", "cat)", "\\cat", "/cat", "cat && dog", "what's cat?"),
        "🔑 cat 猫 \ud800",
    ],
)
def test_no_text_is_a_query_language(animals: LexicalIndex, text: str) -> None:
    assert set(found(animals, text)) == {0, 1, 3}


def test_a_very_long_query_is_answered(index: LexicalIndex) -> None:
    texts = [f"lead{number % 50} filler{number}" for number in range(300)]
    contexts = [f"lead{number % 50}" if number % 3 else "" for number in range(300)]
    put(index, [*texts, "needle rare"], contexts=[*contexts, ""])
    text = " ".join(
        ["needle", *(f"filler{number % 300} lead{number} unknown{number}" for number in range(3000))]
    )
    assert len(text) > 50_000
    ranking = index.search(text, n=1000)
    assert len(ranking.rows) > 0
    again = index.search(text, n=1000)
    assert again.rows.tolist() == ranking.rows.tolist()
    scores = scored(index, text, texts, contexts)
    held = dict(zip(ranking.rows.tolist(), ranking.scores.tolist(), strict=True))
    for row, score in enumerate(scores.tolist()):
        assert score == pytest.approx(held.get(row, 0.0), rel=1e-4)


def test_ties_rise_by_row_wherever_they_are_cut(index: LexicalIndex) -> None:
    for batch in (3, 0, 2, 1):
        put(index, ["same three words"] * 20, contexts=["three words"] * 20, first=20 * batch, generation=5)
    for n in (1, 5, 19, 20, 21, 50, 79, 80, 81):
        assert found(index, "same three words", n=n) == list(range(min(n, 80)))


def test_a_word_in_the_context_weighs_more(index: LexicalIndex) -> None:
    texts = ["keys and locks", "keys and locks", "keys keys and locks", "doors"]
    put(index, texts, contexts=["keys", "locks", "", "doors"])
    assert found(index, "keys") == [0, 2, 1]
    assert found(index, "locks") == [1, 0, 2]
    assert found(index, "keys locks doors", among=[0, 1, 3])[0] == 3


def test_a_replaced_context_counts_no_more(index: LexicalIndex) -> None:
    put(index, ["keys here", "keys there"], contexts=["", "keys"])
    assert found(index, "keys") == [1, 0]
    put(index, ["keys here", "keys there"], contexts=["keys", ""], generation=2)
    assert found(index, "keys") == [0, 1]


def test_as_many_contexts_as_texts(index: LexicalIndex) -> None:
    put(index, ["cat"])
    with pytest.raises(ValueError, match="shorter"):
        index.score("cat", ["a cat", "cats"], ["cat"])
    with pytest.raises(ValueError, match="shorter"):
        put(index, ["a cat", "cats"], contexts=["cat"], first=1, generation=2)
    assert index.applied_generation == 1


def test_removed_rows_are_gone(animals: LexicalIndex) -> None:
    put(animals, [], removed=[3, 1, 999], generation=2)
    assert found(animals, "cat") == [0]
    assert len(animals) == 3
    assert animals.applied_generation == 2


def test_a_row_given_again_is_replaced(animals: LexicalIndex) -> None:
    put(animals, ["a horse"], first=3, generation=2)
    assert len(animals) == len(ANIMALS)
    assert found(animals, "horse") == [3]
    assert 3 not in found(animals, "cat")


def test_applying_again_changes_nothing(animals: LexicalIndex) -> None:
    before = animals.search("cat dog", n=10)
    put(animals, ANIMALS)
    assert len(animals) == len(ANIMALS)
    assert found(animals, "cat dog") == before.rows.tolist()
    assert animals.applied_generation == 1


def test_a_row_added_and_removed_at_once_is_not_there(index: LexicalIndex) -> None:
    put(index, ["cat", "cat", "dog"], removed=[1])
    assert found(index, "cat") == [0]
    assert len(index) == 2


def test_a_row_given_twice_at_once_is_there_once(index: LexicalIndex) -> None:
    index.apply(rows=rows_of(7, 7), texts=["old", "new"], contexts=["", "new"], removed=rows_of(), generation=1)
    assert len(index) == 1
    assert found(index, "old new") == [7]
    assert found(index, "old") == []


def test_an_old_generation_is_harmless(animals: LexicalIndex) -> None:
    put(animals, ["cat"], first=5, removed=[3], generation=4)
    put(animals, ANIMALS)
    assert animals.applied_generation == 4
    assert found(animals, "cat", n=1) == [5]
    assert 3 not in found(animals, "cat")


def test_one_generation_may_come_in_several_calls(index: LexicalIndex) -> None:
    for first in (0, 2, 4):
        put(index, ANIMALS[first : first + 2], first=first, generation=0)
    assert len(index) == len(ANIMALS)
    put(index, [], generation=9)
    assert index.applied_generation == 9
    assert len(index) == len(ANIMALS)


def test_among_is_exact(animals: LexicalIndex) -> None:
    everything = animals.search("cat dog birds", n=10)
    for among in ([0], [3, 1], [4, 2, 0], [0, 1, 2, 3, 4], [99], [], [1, 1]):
        ranking = animals.search("cat dog birds", n=10, among=rows_of(*among))
        kept = np.isin(everything.rows, among)
        assert ranking.rows.tolist() == everything.rows[kept].tolist()
        assert ranking.scores == pytest.approx(everything.scores[kept], rel=1e-5)
        assert ranking.exhausted
    assert found(animals, "cat", n=1, among=[0, 1]) == [0]


@pytest.mark.parametrize("size", [3, 40, 400, 1500, 2500])
def test_among_many_rows_is_exact(many: LexicalIndex, size: int) -> None:
    chosen = np.random.default_rng(size).choice(2600, size, replace=False).astype(np.int64)
    everything = many.search("common word3 word5 word11", n=5000)
    kept = np.isin(everything.rows, chosen)
    for n in (1, 10, 100, 3000):
        ranking = many.search("common word3 word5 word11", n=n, among=chosen)
        assert ranking.rows.tolist() == everything.rows[kept].tolist()[:n]
        assert ranking.scores == pytest.approx(everything.scores[kept][:n], rel=1e-5)
        assert ranking.exhausted == (np.count_nonzero(kept) < n)


@pytest.fixture(scope="module", params=sorted(OPENERS))
def many(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LexicalIndex]:
    opened = OPENERS[request.param](tmp_path_factory.mktemp("many"))
    contexts = [f"word{row % 7}" if row % 4 else "" for row in range(2500)]
    bodies = [f"common word{row % 13} {'filler ' * (row % 5)}" for row in range(2500)]
    texts = [f"{context} {body}" for context, body in zip(contexts, bodies, strict=True)]
    put(opened, texts[:1500], contexts=contexts[:1500])
    put(opened, texts[1500:], contexts=contexts[1500:], first=1500, generation=2)
    yield opened
    opened.close()


def test_scores_are_on_the_scale_of_search(animals: LexicalIndex) -> None:
    ranking = animals.search("cat dog", n=10)
    scores = scored(animals, "cat dog", [ANIMALS[row] for row in ranking.rows.tolist()])
    assert scores.dtype == np.float32
    assert scores == pytest.approx(ranking.scores, rel=1e-4)


def test_a_word_new_to_the_index_scores_high(animals: LexicalIndex) -> None:
    new, known, none = scored(animals, "zebra cat", ["a zebra ran", "a cat ran", "a horse ran"]).tolist()
    assert new > known > none == 0.0
    assert (
        scored(animals, "zebra", ["a zebra ran"], ["zebra"])[0] > scored(animals, "zebra", ["a zebra ran"])[0]
    )


def test_texts_score_even_before_the_first_apply(index: LexicalIndex) -> None:
    cat, dog, fish = scored(index, "cat dog", ["cat", "dog dog and cat", "fish"]).tolist()
    assert dog > cat > fish == 0.0
    one, other = scored(index, "cat", ["cat", "cat"], ["", "cat"]).tolist()
    assert other > one > 0
    assert scored(index, "cat", []).shape == (0,)


def test_what_was_applied_outlives_the_object(opens: Opens, tmp_path: Path) -> None:
    first = opens(tmp_path / "lexical")
    put(first, ANIMALS, generation=7)
    first.close()
    first.close()
    second = opens(tmp_path / "lexical")
    assert second.applied_generation == 7
    assert len(second) == len(ANIMALS)
    assert set(found(second, "cat")) == {0, 1, 3}
    second.close()


def test_any_language_is_found(index: LexicalIndex) -> None:
    texts = [
        "我爱北京",
        "東京都です",
        "한국어를 배우다",
        "ฉันเรียนภาษาไทย",
        "किताबें पढ़ना",
        "كتاب جديد",
        "русский язык",
        "Αθήνα",
    ]
    put(index, texts)
    queries = ["北京", "東京", "한국", "ภาษา", "किताब", "الكتاب", "языки", "Αθήνας"]
    assert [found(index, query) for query in queries] == [[row] for row in range(len(texts))]


def test_apply_reads_texts_and_contexts_once_and_keeps_none(index: LexicalIndex) -> None:
    class Counting(Sequence[str]):
        def __init__(self) -> None:
            self.read: list[int] = []

        def __len__(self) -> int:
            return 1200

        def __getitem__(self, position: object) -> Any:
            assert isinstance(position, int)
            if position >= 1200:
                raise IndexError
            self.read.append(position)
            return f"text {position}"

    texts, contexts = Counting(), Counting()
    index.apply(rows=np.arange(1200), texts=texts, contexts=contexts, removed=rows_of(), generation=1)
    assert texts.read == contexts.read == list(range(1200))
    assert len(index) == 1200


WORDS = ["red", "green", "blue", "cat", "dog"]
Parts = tuple[list[str], list[str]]
"""The words of a context and of what follows it."""
Step = tuple[dict[int, Parts], list[int]]
SOME_WORDS = st.lists(st.sampled_from(WORDS), max_size=4)
STEPS = st.lists(
    st.tuples(
        st.dictionaries(st.integers(0, 12), st.tuples(SOME_WORDS, SOME_WORDS), max_size=5),
        st.lists(st.integers(0, 12), max_size=3),
    ),
    min_size=1,
    max_size=4,
)


@pytest.mark.parametrize("name", sorted(OPENERS))
def test_any_history_leaves_what_the_ledger_says(name: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    @settings(max_examples=15, deadline=None)
    @given(STEPS, SOME_WORDS)
    def check(steps: list[Step], several: list[str]) -> None:
        index = OPENERS[name](tmp_path_factory.mktemp("history"))
        held: dict[int, Parts] = {}
        for generation, (added, removed) in enumerate(steps, start=1):
            index.apply(
                rows=rows_of(*added),
                texts=[" ".join(context + words) for context, words in added.values()],
                contexts=[" ".join(context) for context, _ in added.values()],
                removed=rows_of(*removed),
                generation=generation,
            )
            held = {row: parts for row, parts in {**held, **added}.items() if row not in removed}
        assert len(index) == len(held)
        for asked in [*([word] for word in WORDS), several]:
            ranking: Ranking = index.search(" ".join(asked), n=50)
            assert sorted(ranking.rows.tolist()) == sorted(
                row for row, (context, words) in held.items() if {*context, *words} & {*asked}
            )
            assert ranking.generation == len(steps)
            parts = [held[row] for row in ranking.rows.tolist()]
            scores: Vector = index.score(
                " ".join(asked),
                [" ".join(context + words) for context, words in parts],
                [" ".join(context) for context, _ in parts],
            )
            assert scores == pytest.approx(ranking.scores, rel=1e-4)
        index.close()

    check()
