"""An entry holds for exactly as long as a search would say the same."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from cache_made import QUERY, TOPICS, Opened, corpus
from ragweft import Document
from ragweft.ledger.snapshot import Moment


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Opened]:
    made = Opened(tmp_path / "kb")
    made.index.add(corpus())
    yield made
    made.close()


def test_nothing_happened(opened: Opened) -> None:
    stored = opened.stored()
    assert stored.entry.evidence is not None
    assert set(stored.entry.evidence.legs) == {"dense", "lexical"}
    assert stored.entry.evidence.floors
    assert opened.judge(stored).drop is None


def test_what_does_not_touch_it_lets_it_be(opened: Opened) -> None:
    stored = opened.stored()
    opened.index.add([Document(id="more", text="The orchestra tunes its violins before the overture.")])
    opened.index.remove(ids=["pudding1"])
    verdict = opened.judge(stored)
    assert verdict.drop is None, verdict
    assert verdict.through > stored.valid_through
    assert opened.judge(replace(stored, valid_through=verdict.through)).drop is None


def test_an_edit_of_its_evidence_drops_it(opened: Opened) -> None:
    stored = opened.stored()
    best = opened.search()[0].chunk.document_id
    changed = next(document for document in corpus() if document.id == best)
    opened.index.add([replace(changed, text=changed.text.replace("ninety", "thirty"))])
    assert opened.judge(stored).drop == "evidence"


def test_a_removal_of_its_evidence_drops_it(opened: Opened) -> None:
    stored = opened.stored()
    opened.index.remove(ids=[opened.search()[2].chunk.document_id])
    assert opened.judge(stored).drop == "evidence"


def test_something_new_that_is_near_drops_it(opened: Opened) -> None:
    stored = opened.stored()
    text = "Since March the signing key is rotated every thirty days, as often as the auditors ask."
    opened.index.add([Document(id="news", text=text)])
    verdict = opened.judge(stored)
    assert verdict.drop == "new"
    assert "comes to" in verdict.what


def test_something_near_in_another_scope_lets_it_be(opened: Opened) -> None:
    stored = opened.stored(where={"team": 0})
    near = "The signing key is rotated every thirty days."
    opened.index.add([Document(id="theirs", text=near, metadata={"team": 1})])
    assert opened.judge(stored).drop is None
    opened.index.add([Document(id="ours", text=near, metadata={"team": 0})])
    assert opened.judge(stored).drop == "new"


def test_a_leg_that_gave_everything_it_has_may_have_more_now(tmp_path: Path) -> None:
    opened = Opened(tmp_path / "kb", pool=100)
    opened.index.add(corpus())
    stored = opened.stored()
    assert stored.entry.evidence is not None
    assert "dense" not in stored.entry.evidence.floors
    opened.index.add([Document(id="more", text="The orchestra tunes its violins.")])
    verdict = opened.judge(stored)
    assert verdict.drop == "new"
    assert "took everything" in verdict.what
    opened.close()


def test_without_evidence_nothing_is_served(opened: Opened) -> None:
    stored = opened.stored()
    assert opened.judge(replace(stored, entry=replace(stored.entry, evidence=None))).drop == "no evidence"


def test_of_unknown_legs_anything_new_counts(opened: Opened) -> None:
    stored = opened.stored()
    assert stored.entry.evidence is not None
    blind = replace(stored, entry=replace(stored.entry, evidence=replace(stored.entry.evidence, legs=())))
    assert opened.judge(blind).drop is None
    opened.index.add([Document(id="more", text="The orchestra tunes its violins.")])
    assert opened.judge(blind).drop == "new"
    gone = replace(stored.entry.evidence, legs=("sparse",))
    assert opened.judge(replace(stored, entry=replace(stored.entry, evidence=gone))).drop == "new"


def test_too_much_that_changed_drops_it(opened: Opened) -> None:
    stored = opened.stored()
    for n in range(12):
        # In and out again: words are met as often as before, but that is not looked at one by one.
        opened.index.add([Document(id=f"passing{n}", text=f"Weather report number {n}: rain.")])
        opened.index.remove(ids=[f"passing{n}"])
    assert opened.judge(stored).drop == "drift"


def test_a_ledger_that_is_older_and_a_journal_that_is_shorter(opened: Opened) -> None:
    stored = opened.stored()
    assert (
        opened.judge(replace(stored, valid_through=Moment(stored.valid_through.generation + 1, 0.0))).drop
        == "ledger"
    )
    opened.index.add([Document(id="more", text="The orchestra tunes its violins.")])
    with opened.parts.ledger.reading() as connection:
        connection.exec_driver_sql("SELECT 1")
    opened.parts.ledger.change(
        lambda connection: connection.exec_driver_sql(  # type: ignore[arg-type]
            "UPDATE facts SET value = ? WHERE name = 'floor'", (str(stored.valid_through.generation + 1),)
        )
    )
    assert opened.judge(stored).drop == "journal"


def test_a_commit_of_the_same_number_is_another_one(opened: Opened) -> None:
    stored = opened.stored()
    through = stored.valid_through
    assert through.committed > 0
    other = replace(stored, valid_through=Moment(through.generation, through.committed - 1.0))
    assert opened.judge(other).drop == "ledger"
    opened.index.add([Document(id="more", text="The orchestra tunes its violins.")])
    assert opened.judge(other).drop == "ledger"
    assert opened.judge(stored).drop is None


def test_other_weights_are_another_ranking(opened: Opened) -> None:
    stored = opened.stored()
    assert stored.entry.evidence is not None
    other = replace(stored.entry.evidence, tuning="0.9 0 0")
    assert opened.judge(replace(stored, entry=replace(stored.entry, evidence=other))).drop == "tuning"


def test_of_a_search_that_had_failed_in_part_nothing_is_kept(opened: Opened) -> None:
    found = opened.search()
    broken = replace(found, trace=replace(found.trace, degraded=("dense search failed",)))
    assert opened.watch.evidence(broken) is None


@pytest.mark.parametrize("seed", range(6))
def test_whatever_is_done_what_holds_hides_nothing_new_and_nothing_dead(tmp_path: Path, seed: int) -> None:
    """Random edits; of an entry that is said to hold all hits live, and a search now would find nothing newer.

    Which of several old passages that say nearly the same comes last may change with how often words are met.
    """
    chance = random.Random(seed)
    opened = Opened(tmp_path / "kb")
    opened.index.add(corpus(120))
    queries = [*TOPICS.values(), QUERY, "custard", "honey frames", "platform nine", "low water at the pier"]
    stored = {query: opened.stored(query) for query in queries}
    held = dropped = 0
    for step in range(25):
        topic = chance.choice(list(TOPICS))
        match chance.randrange(4):
            case 0:
                opened.index.add([Document(id=f"new{step}", text=f"{TOPICS[topic]} Step {step}.")])
            case 1:
                words = " ".join(chance.sample(" ".join(TOPICS.values()).split(), 9))
                opened.index.add([Document(id=f"mixed{step}", text=words)])
            case 2:
                opened.index.remove(ids=[f"{topic}{chance.randrange(120)}"])
            case _:
                opened.index.add([Document(id=f"far{step}", text=f"Violins and cellos, movement {step}.")])
        for query, entry in list(stored.items()):
            verdict = opened.judge(entry)
            assert entry.entry.evidence is not None
            if verdict.drop is None:
                held += 1
                now = {hit.row for hit in opened.search(query) if hit.row is not None}
                assert not [row for row in now if row > entry.entry.evidence.born], (step, query)
                with opened.parts.ledger.snapshot() as snapshot:
                    alive = {row for row, _, _ in snapshot.live(entry.entry.evidence.rows)}
                assert alive == set(entry.entry.evidence.rows)
                stored[query] = replace(entry, valid_through=verdict.through)
            else:
                dropped += 1
                stored[query] = opened.stored(query)
    assert held > 20
    assert dropped > 5
    opened.close()
