"""What an index finds out about its corpus: counts, questions, weights; and when it asks anew."""

from __future__ import annotations

import hashlib
import random
import re
import sqlite3
import subprocess
import sys
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conftest import FLAT
from ragweft import Chunk, Document, Index, Recipe
from ragweft.embedding.static import StaticEmbedder
from ragweft.errors import BudgetExceeded, ProviderError, RagweftError
from ragweft.ledger.followers import Slot
from ragweft.ledger.profile import Profile, change_profile
from ragweft.ledger.snapshot import StoredChunk
from ragweft.lexical import Analyzer
from ragweft.testing import HashEmbedder
from ragweft.tuning.pseudo_queries import PseudoQuery, pseudo_query, says
from ragweft.tuning.weight import GRID, Prior, estimate
from ragweft.types import Space, Tuning

if TYPE_CHECKING:
    from ragweft.types import Vector, Vectors

TERMS = Analyzer(language="english").terms
LETTERS = "bdfgklmnprtvz"


class Useless:
    """An embedder whose vectors say nothing: equal texts are equal, all others unrelated."""

    def __init__(self) -> None:
        self.space = Space(model="useless:digest", dims=32)

    def embed_documents(self, texts: Sequence[str]) -> Vectors:
        return np.array([self.embed_query(text) for text in texts], dtype=np.float32).reshape(-1, 32)

    def embed_query(self, text: str) -> Vector:
        seed = int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little")
        drawn = np.random.default_rng(seed).normal(size=32).astype(np.float32)
        return drawn / np.float32(np.linalg.norm(drawn))


class Oracle:
    """An embedder that knows which words mean the same: those that begin with the same six letters."""

    def __init__(self) -> None:
        self._by_stem = HashEmbedder(dims=512)
        self.space = Space(model="oracle:concepts", dims=512)

    def embed_documents(self, texts: Sequence[str]) -> Vectors:
        return self._by_stem.embed_documents([self._concepts(text) for text in texts])

    def embed_query(self, text: str) -> Vector:
        return self._by_stem.embed_query(self._concepts(text))

    def _concepts(self, text: str) -> str:
        return " ".join(word[:6] for word in re.findall(r"\w+", text.lower()) if word[6:] in ("ox", "ar"))


class Refusing(Useless):
    """An embedder that fails from the moment it is asked to embed a query."""

    def __init__(self, error: RagweftError) -> None:
        super().__init__()
        self.error: RagweftError | None = error

    def embed_query(self, text: str) -> Vector:
        if self.error is not None:
            raise self.error
        return super().embed_query(text)

    def embed_documents(self, texts: Sequence[str]) -> Vectors:
        return np.array([Useless.embed_query(self, text) for text in texts], dtype=np.float32).reshape(-1, 32)


def concept(number: int) -> str:
    """Six letters of its own for every concept."""
    drawn = random.Random(number)
    return "".join(drawn.choice(LETTERS) + drawn.choice("aeiou") for _ in range(3))


def corpus(count: int = 150, *, synonyms: bool = False, first: int = 0) -> list[Document]:
    """Short texts of their own concepts; a title names four of them, with *synonyms* in words the text lacks."""
    filler = [f"{concept(9_000 + n)}um" for n in range(12)]
    documents = []
    for number in range(first, first + count):
        drawn = random.Random(number)
        own = [concept(drawn.randrange(400)) for _ in range(6)]
        words = [f"{c}ox" for c in own] + drawn.sample(filler, 6)
        drawn.shuffle(words)
        title = [f"{c}{'ar' if synonyms else 'ox'}" for c in own[:4]] + drawn.sample(filler, 2)
        documents.append(Document(id=f"doc{number}", text=" ".join(words), title=" ".join(title)))
    return documents


def profile_of(index: Index) -> Profile:
    with index.ledger.snapshot() as snapshot:
        profile = snapshot.profile()
    assert profile is not None
    return profile


def recounted(index: Index) -> np.ndarray:
    vocabulary = StaticEmbedder()
    counts = np.zeros(len(vocabulary.token_vectors()), dtype=np.int32)
    with index.ledger.snapshot() as snapshot:
        stored = snapshot.hydrate(snapshot.born_after(0).tolist())
    for entry in stored.values():
        for token in set(vocabulary.encode(entry.chunk.indexed_text).ids.tolist()):
            counts[token] += 1
    return counts


def short(count: int, first: int = 0) -> list[Document]:
    return [Document(id=f"s{n}", text=f"alpha {concept(n)} beta {n}") for n in range(first, first + count)]


# ---- the profile


def test_counts_are_those_of_a_recount(index: Index, docs: Path) -> None:
    index.sync(docs)
    index.add(short(7))
    profile = profile_of(index)
    with index.ledger.snapshot() as snapshot:
        assert profile.chunks == snapshot.count_live()
    assert profile.containing.max() >= 7
    assert np.array_equal(profile.containing, recounted(index))


def test_small_changes_leave_the_profile_and_large_ones_renew_it(index: Index) -> None:
    index.add(short(30))
    before = profile_of(index).generation
    index.add(short(3, first=30))
    assert profile_of(index).generation == before, "ten in a hundred more is not yet much"
    index.add(short(1, first=33))
    grown = profile_of(index)
    assert (grown.generation, grown.chunks) == (before + 2, 34)
    index.remove(ids=[f"s{n}" for n in range(3)])
    assert profile_of(index).generation == grown.generation
    index.remove(ids=[f"s{n}" for n in range(3, 10)])
    shrunk = profile_of(index)
    assert shrunk.chunks == 24
    assert np.array_equal(shrunk.containing, recounted(index))


def test_an_index_emptied_works_and_fills_again(index: Index) -> None:
    index.add(short(20))
    assert index.remove(ids=[f"s{n}" for n in range(20)]).removed == 20
    assert len(index.search("alpha")) == 0
    index.add(short(2, first=50))
    assert profile_of(index).chunks == 2
    assert len(index.search("alpha beta")) == 2


# ---- questions


def stored(text: str, *, context: str = "", title: str | None = None) -> StoredChunk:
    chunk = Chunk(id="c", document_id="d", text=text, context=context)
    return StoredChunk(row=1, chunk=chunk, source=None, title=title, digest=b"", tokens=None)


def question_of(text: str, *, context: str = "", title: str | None = None) -> PseudoQuery | None:
    return pseudo_query(stored(text, context=context, title=title), terms=TERMS, alone=True)


BODY = "ledger rows commit followers journal vectors lexical segments checkpoint generation snapshot"
PYTHON = f'''def rotate(key):
    """Replace a signing key before
    it expires.

    {BODY}
    """
    return rotate_now(key)
'''
SQL = f"""-- Accounts that have been silent for a year
SELECT id, name FROM accounts WHERE seen < :then AND closed IS NULL ORDER BY name, id;
-- {BODY}
"""
C = f"""/* Flush every dirty page
 * to disk.
 */
int flush(struct pool *pool, int limit) {{ return write_all(pool, limit); }}
/* {BODY} */
"""
COMMENTED = f"""# Wait until the peer answers.
{BODY.replace(" ", "_x = ")}_x = 1
"""
PROSE = f"Tides follow the moon and sun. They {BODY}. Harbours wait for them. Ships leave at night."
CHINESE = "潮汐跟随月亮和太阳的运动。港口等待着潮水的到来。船只在夜间离开港口前往大海。渔民清晨带着鱼回来出售。"
MARKDOWN = f"# Rotating a signing key\n\nRun the command. {BODY}\n"


@pytest.mark.parametrize(
    ("text", "context", "title", "question"),
    [
        (PYTHON, "", None, "Replace a signing key before it expires."),
        (SQL, "", None, "Accounts that have been silent for a year"),
        (C, "", None, "Flush every dirty page to disk."),
        (COMMENTED, "", None, "Wait until the peer answers."),
        (CHINESE, "潮汐与月亮的关系", None, "潮汐与月亮的关系"),
        (BODY, "Rotating a signing key", "Keys", "Rotating a signing key"),
        (BODY, "", "Rotating a signing key", "Rotating a signing key"),
        (MARKDOWN, "", None, "Rotating a signing key"),
    ],
    ids=["python", "sql", "c", "hash", "chinese", "context", "title", "heading"],
)
def test_questions_and_what_is_left(text: str, context: str, title: str | None, question: str) -> None:
    found = question_of(text, context=context, title=title)
    assert found is not None
    assert found.text == question
    assert not says(found.masked, question)
    assert len(TERMS(found.masked_text)) >= 8


def test_the_title_of_many_passages_asks_for_none_of_them() -> None:
    one_of_many = stored(BODY, context="Rotating a signing key", title="Rotating a signing key")
    assert pseudo_query(one_of_many, terms=TERMS, alone=False) is None
    assert pseudo_query(one_of_many, terms=TERMS, alone=True) is not None


def test_passages_alone_in_their_document_are_known(index: Index) -> None:
    index.add([Chunk(id=f"c{n}", document_id="many", text=f"alpha {n}") for n in range(3)])
    index.add(Chunk(id="lone", document_id="one", text="beta"))
    with index.ledger.snapshot() as snapshot:
        every = snapshot.born_after(0).tolist()
        assert [e.chunk.id for e in snapshot.hydrate(list(snapshot.alone(every))).values()] == ["lone"]


def test_a_title_the_text_repeats_is_not_asked_for() -> None:
    assert question_of(MARKDOWN, context="Rotating a signing key") is None
    assert question_of(f"{PROSE} Rotating a Signing\nKey.", title="Rotating a signing key") is None


@pytest.mark.parametrize("text", [PROSE, CHINESE])
def test_prose_alone_asks_nothing(text: str) -> None:
    assert question_of(text) is None


pieces = st.sampled_from(
    [
        PYTHON,
        SQL,
        C,
        COMMENTED,
        PROSE,
        CHINESE,
        MARKDOWN,
        BODY,
        "Tides follow the moon and sun.",
        "\n\n",
        " ",
        "# ",
    ]
)


@settings(max_examples=150, deadline=None)
@given(
    st.lists(pieces, min_size=1, max_size=5).map("".join),
    st.sampled_from(["", "Tides follow the moon and sun.", "Rotating a signing key", "a\nb c d e f"]),
    st.sampled_from([None, "Flush every dirty page", "Keys"]),
)
def test_a_masked_passage_never_holds_its_question(text: str, context: str, title: str | None) -> None:
    found = question_of(text, context=context, title=title)
    if found is not None:
        assert " ".join(found.text.split()).casefold() not in " ".join(found.masked.split()).casefold()
        assert 3 <= len(set(TERMS(found.text))) <= 25


def test_names_and_treatises_are_no_questions() -> None:
    assert question_of(BODY, context="Signing keys") is None
    many = " ".join(concept(n) for n in range(26))
    assert question_of(BODY, context=many) is None
    assert question_of(BODY, context=many.rsplit(" ", 1)[0]) is not None
    assert question_of("one two three four five six seven", context="Rotating a signing key") is None


# ---- from utilities to a weight


@pytest.mark.parametrize("prior", [Prior(mean=0.3, deviation=0.1), Prior(mean=0.5, deviation=0.25)])
@pytest.mark.parametrize("value", [0.0, 0.5, 1.0])
def test_without_information_the_prior_stands(prior: Prior, value: float) -> None:
    found = estimate(np.full((200, len(GRID)), value), prior)
    assert found.weight == pytest.approx(prior.mean, abs=0.02)
    assert found.questions == 200


def peaked(at: float, questions: int) -> np.ndarray:
    noise = np.random.default_rng(5).normal(size=(questions, len(GRID))) * 0.2
    return np.clip(0.8 - np.abs(GRID - at) + noise, 0, 1)


@pytest.mark.parametrize("at", [0.0, 0.2, 0.6, 0.8, 1.0])
def test_a_clear_optimum_of_many_questions_is_found(at: float) -> None:
    found = estimate(peaked(at, 400), Prior(mean=0.5, deviation=0.25))
    assert found.best == at
    assert found.weight == pytest.approx(at, abs=0.06)


def test_fewer_questions_move_it_less() -> None:
    noise = np.random.default_rng(2).uniform(-0.3, 0.3, size=(4, len(GRID)))
    # Each question with its opposite: the means are those of the curve, whatever the noise.
    pattern = 0.6 - 0.4 * (GRID - 0.8) ** 2 + np.vstack([noise, -noise])
    prior = Prior(mean=0.3, deviation=0.1)
    weights = [estimate(np.tile(pattern, (times, 1)), prior).weight for times in (1, 4, 16, 64, 256, 1024)]
    assert weights == sorted(weights)
    assert len(set(weights)) >= 4
    assert weights[0] < 0.5
    assert weights[-1] == pytest.approx(0.8, abs=0.07)


def test_unanimous_questions_are_believed() -> None:
    utilities = np.tile(np.where(np.isclose(GRID, 0.1), 1.0, 0.5), (60, 1))
    assert estimate(utilities, Prior(mean=0.5, deviation=0.25)).weight == pytest.approx(0.1, abs=0.01)


def test_one_question_is_enough_not_to_fail() -> None:
    utilities = peaked(0.9, 1)
    first, second = (estimate(utilities, Prior(mean=0.3, deviation=0.1)) for _ in range(2))
    assert first.weight == second.weight
    assert first.weight < 0.5


# ---- end to end


def test_meaning_that_knows_nothing_is_not_listened_to(tmp_path: Path) -> None:
    with Index.open(tmp_path / "kb", recipe=FLAT, embedder=Useless()) as index:
        index.add(corpus())
        tuning = index.status().tuning
        assert tuning.origin == "texts"
        assert tuning.dense_weight < 0.3
        assert tuning.queries >= 40
        assert tuning.chunks == 150
        assert index.search("anything").trace.tuning == tuning


def test_meaning_that_knows_synonyms_is(tmp_path: Path) -> None:
    with Index.open(tmp_path / "kb", recipe=FLAT, embedder=Oracle()) as index:
        index.add(corpus(synonyms=True))
        tuning = index.status().tuning
        assert tuning.origin == "texts"
        assert tuning.dense_weight > 0.6
        assert f"meaning {tuning.dense_weight:g}" in tuning.reason


def test_a_number_in_the_recipe_stands(tmp_path: Path) -> None:
    recipe = replace(FLAT, retrieval=replace(FLAT.retrieval, dense_weight=0.8))
    with Index.open(tmp_path / "kb", recipe=recipe, embedder=Useless()) as index:
        index.add(corpus())
        assert (index.status().tuning.dense_weight, index.status().tuning.origin) == (0.8, "recipe")
        assert profile_of(index).tuning is None, "nothing was asked"
    auto = replace(recipe, retrieval=replace(recipe.retrieval, dense_weight="auto"))
    with Index.open(tmp_path / "kb", recipe=auto, embedder=Useless()) as index:
        index.add(Document(id="one more", text="alpha"))
        assert index.status().tuning.origin == "texts", "asked as soon as the recipe asks for it"
    with Index.open(tmp_path / "kb", recipe=recipe, embedder=Useless()) as index:
        assert (index.status().tuning.dense_weight, index.status().tuning.origin) == (0.8, "recipe")


def test_too_few_questions_keep_the_default_and_say_so(tmp_path: Path) -> None:
    counting = HashEmbedder()
    with Index.open(tmp_path / "kb", recipe=FLAT, embedder=counting) as index:
        index.add([*corpus(30), *short(20)])
        tuning = index.status().tuning
        assert (tuning.dense_weight, tuning.origin) == (0.5, "default")
        assert tuning.reason.startswith("meaning 0.5")
        assert "30 titles, docstrings and comments" in tuning.reason
        generation = profile_of(index).generation
        index.add(short(1, first=90))
        assert profile_of(index).generation == generation, "it is not asked again at every change"
        index.add(corpus(30, first=200))
        assert index.status().tuning.origin == "texts"


@pytest.mark.parametrize(
    "error", [ProviderError("503 from the provider", retryable=True), BudgetExceeded("spent")]
)
def test_an_embedder_that_fails_while_weights_are_sought_loses_nothing(
    tmp_path: Path, error: RagweftError
) -> None:
    embedder = Refusing(error)
    with Index.open(tmp_path / "kb", recipe=FLAT, embedder=embedder) as index:
        report = index.add(corpus())
        assert report.added == 150
        (warning,) = report.warnings
        assert str(error) in warning
        assert index.status().documents == 150
        assert index.status().tuning.origin == "default"
        assert np.array_equal(profile_of(index).containing, recounted(index))
        embedder.error = None
        again = index.add(corpus()[:1])
        assert (again.unchanged, again.warnings) == (1, ()), "it is made up for though nothing has changed"
        assert index.status().tuning.origin == "texts"


def test_what_was_found_is_kept_and_the_same_everywhere(tmp_path: Path) -> None:
    twin = []
    for name in "ab":
        with Index.open(tmp_path / name, recipe=FLAT) as index:
            index.add(corpus(60))
            twin.append(index.status().tuning)
    assert twin[0].origin == "texts"
    assert twin[0] == twin[1], "the same corpus speaks for the same weights"
    with Index.open(tmp_path / "a", read_only=True) as index:
        assert index.status().tuning == twin[0]
    code = "import sys\nfrom ragweft import Index\nprint(Index.open(sys.argv[1]).status().tuning)"
    ran = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "a")], check=True, capture_output=True, text=True
    )
    assert ran.stdout.strip() == repr(twin[0])


def test_labels_are_not_overruled_by_what_comes_later(tmp_path: Path) -> None:
    labelled = Tuning(dense_weight=0.42, late_weight=0.2, document_weight=0.1, origin="labels", reason="tuned")
    with Index.open(tmp_path / "kb", recipe=FLAT, embedder=Useless()) as index:
        index.add(corpus(60))
        index.keep_tuning(labelled)
        assert index.status().tuning == labelled
        index.add(corpus(90, first=60))
        assert profile_of(index).chunks == 150
        assert index.status().tuning == labelled
        assert index.search("anything").trace.tuning == labelled
    off: Recipe = replace(FLAT, retrieval=replace(FLAT.retrieval, late_weight=0.0))
    with Index.open(tmp_path / "kb", recipe=off, embedder=Useless()) as index:
        assert index.status().tuning == replace(labelled, late_weight=0.0), "what is switched off stays off"


def test_a_corpus_that_has_grown_by_half_is_asked_again(tmp_path: Path) -> None:
    with Index.open(tmp_path / "kb", recipe=FLAT, embedder=Useless()) as index:
        index.add(corpus(60))
        assert index.status().tuning.chunks == 60
        index.add(corpus(30, first=60))
        assert (profile_of(index).chunks, index.status().tuning.chunks) == (90, 60)
        index.add(corpus(1, first=90))
        assert index.status().tuning.chunks == 91


LABELLED = Tuning(dense_weight=0.42, late_weight=0.2, document_weight=0.1, origin="labels", reason="tuned")


class Interrupting(HashEmbedder):
    """An embedder during whose first question another process stores labels' weights."""

    index: Index | None = None

    def embed_query(self, text: str) -> Vector:
        index, self.index = self.index, None
        if index is not None:
            change_profile(index.ledger, lambda old: replace(old, tuning=LABELLED) if old else None)
        return super().embed_query(text)


def test_labels_stored_while_the_corpus_is_asked_stay(tmp_path: Path) -> None:
    embedder = Interrupting(dims=64)
    with Index.open(tmp_path / "kb", recipe=FLAT, embedder=embedder) as index:
        embedder.index = index
        index.add(corpus(60))
        assert index.status().tuning == LABELLED


def test_an_index_without_a_profile_takes_one_when_next_synced(tmp_path: Path) -> None:
    with Index.open(tmp_path / "kb", recipe=FLAT) as index:
        index.add(corpus(60))
        found = index.status().tuning
    with closing(sqlite3.connect(tmp_path / "kb" / "ledger.db")) as ledger, ledger:
        ledger.execute("DELETE FROM profiles")
    with Index.open(tmp_path / "kb", recipe=FLAT) as index:
        assert index.status().tuning.origin == "default"
        assert index.add(corpus(60)).unchanged == 60
        assert index.status().tuning == found


def test_weights_by_labels_stay_if_asking_the_corpus_fails(tmp_path: Path) -> None:
    embedder = Refusing(ProviderError("down", retryable=False))
    with Index.open(tmp_path / "kb", recipe=FLAT, embedder=embedder) as index:
        assert index.add(corpus(60)).warnings
        index.keep_tuning(LABELLED)
        with pytest.raises(ProviderError, match="down"):
            index.keep_tuning(None)
        assert index.status().tuning == LABELLED


def test_what_is_dead_but_still_in_the_indexes_is_no_rival(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rivals = [replace(document, id=f"rival {document.id}", title=None) for document in corpus(60)]
    said = [
        replace(rival, text=f"{document.title} {rival.text}")
        for rival, document in zip(rivals, corpus(60), strict=True)
    ]
    with Index.open(tmp_path / "kb", recipe=FLAT) as index:
        index.add([*corpus(60), *said])
        monkeypatch.setattr(Slot, "catch_up", lambda *_given, **_named: None)
        index.remove(ids=[rival.id for rival in said])
        index.keep_tuning(None)
        assert "reciprocal rank 1.00" in index.status().tuning.reason


def test_candidates_go_deeper_where_dead_rows_crowd_the_pool(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Index.open(tmp_path / "kb", recipe=FLAT) as index:
        index.add([Document(id=f"short {n}", text=f"alpha {n}") for n in range(150)])
        index.add([Document(id=f"long {n}", text=f"alpha {n} " + "beta gamma delta " * 5) for n in range(120)])
        monkeypatch.setattr(Slot, "catch_up", lambda *_given, **_named: None)
        index.remove(ids=[f"short {n}" for n in range(150)])
        (found,) = index.candidates(["alpha"])
        assert len(found.rankings["lexical"].rows) == 100
