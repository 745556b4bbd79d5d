"""contexts.db, and the memory that lasts as long as its process: one contract."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ragweft.context.memory import ContextMemory, Kept, Measure, PassingMemory, Pending
from ragweft.errors import IndexDamaged, IndexLocked
from ragweft.ledger.context_store import ContextStore

MAKER = "model prompt/1 max_tokens=100"


def kept(near: bytes, text: str = "a context", *, owner: str = "d", document: bytes = b"text") -> Kept:
    return Kept(document_id=owner, near=near, document=document, text=text, own=frozenset({"own"}))


@pytest.fixture(params=["sqlite", "process"])
def memory(request: pytest.FixtureRequest, tmp_path: Path) -> ContextMemory:
    return ContextStore(tmp_path / "contexts.db") if request.param == "sqlite" else PassingMemory()


def pending(name: str, *, near: bytes = b"near") -> Pending:
    return Pending(name=name, maker=MAKER, document_id="d", document=b"text", near=near)


def test_what_is_kept_is_found_by_document_or_by_text(memory: ContextMemory) -> None:
    memory.keep(MAKER, "d", [kept(b"1"), kept(b"2")])
    find = memory.find
    assert find(MAKER, document_id="d", document=b"other", nears=[b"1", b"3"]) == {b"1": kept(b"1")}
    assert find(MAKER, document_id="moved", document=b"text", nears=[b"2"]) == {b"2": kept(b"2")}
    assert find(MAKER, document_id="moved", document=b"other", nears=[b"1"]) == {}
    assert find("another", document_id="d", document=b"text", nears=[b"1"]) == {}
    memory.keep(MAKER, "moved", [kept(b"2", "its own", owner="moved")])
    assert find(MAKER, document_id="moved", document=b"text", nears=[b"2"])[b"2"].text == "its own"
    memory.keep(MAKER, "d", [kept(b"1", "newer", document=b"newer")])
    assert find(MAKER, document_id="d", document=b"text", nears=[b"1"])[b"1"].text == "newer"


def test_own_words_may_be_unknown(memory: ContextMemory) -> None:
    unknown = Kept(document_id="d", near=b"1", document=b"text", text="of before", own=None)
    memory.keep(MAKER, "d", [unknown])
    assert memory.find(MAKER, document_id="d", document=b"", nears=[b"1"]) == {b"1": unknown}


def test_thousands_are_found_in_one_call(memory: ContextMemory) -> None:
    nears = [number.to_bytes(4, "little") for number in range(2_500)]
    memory.keep(MAKER, "d", [kept(near) for near in nears])
    assert set(memory.find(MAKER, document_id="d", document=b"", nears=[*nears, *nears])) == set(nears)


def test_what_is_missing_is_counted_and_replaced(memory: ContextMemory) -> None:
    memory.note_missing(MAKER, "d", {b"1": "refused", b"2": "empty"})
    memory.note_missing(MAKER, "d", {b"1": "refused again"})
    (one,) = memory.missing(MAKER)
    assert (one.document_id, one.near, one.reason, one.tries) == ("d", b"1", "refused again", 2)
    assert memory.missing("another") == []
    memory.note_missing(MAKER, "d", {})
    assert memory.missing(MAKER) == []


def test_a_batch_is_noted_named_taken_in_and_forgotten(memory: ContextMemory) -> None:
    memory.begin_batch("model", "mark", [pending("a", near=b"1"), pending("b", near=b"2")])
    (batch,) = memory.open_batches("model")
    assert (batch.mark, batch.remote, set(batch.pending)) == ("mark", None, {"a", "b"})
    assert memory.open_batches("another") == []
    assert memory.name_batch("mark", "remote")
    assert not memory.name_batch("unknown", "remote")
    memory.take_in("mark", "a", kept(b"1"))
    memory.take_in("mark", "b", None)
    (batch,) = memory.open_batches("model")
    assert batch.remote == "remote"
    assert all(one.done for one in batch.pending.values())
    assert set(memory.find(MAKER, document_id="d", document=b"", nears=[b"1", b"2"])) == {b"1"}
    memory.end_batch("mark")
    memory.end_batch("mark")
    assert memory.open_batches("model") == []


def test_measures_are_added(memory: ContextMemory) -> None:
    assert memory.measure("model") == Measure()
    for _ in range(3):
        memory.add_measure("model", Measure(quarters=1.5, prompt=2, output=3, replies=1))
    assert memory.measure("model") == Measure(quarters=4.5, prompt=6, output=9, replies=3)


@settings(max_examples=25, deadline=None)
@given(
    rows=st.lists(
        st.tuples(
            st.sampled_from(["d", "e"]),
            st.binary(min_size=1, max_size=2),
            st.binary(min_size=1, max_size=1),
            st.text(st.characters(exclude_categories=["Cs"])),
            st.one_of(st.none(), st.frozensets(st.text(st.characters(exclude_categories=["Cs"])), max_size=3)),
        ),
        max_size=12,
    )
)
def test_both_forms_are_one(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, bytes, bytes, str, frozenset[str] | None]]
) -> None:
    store, passing = ContextStore(tmp_path_factory.mktemp("store") / "contexts.db"), PassingMemory()
    for owner, near, text_of, text, own in rows:
        one = Kept(document_id=owner, near=near, document=text_of, text=text, own=own)
        for memory in (store, passing):
            memory.keep(MAKER, owner, [one])
    nears = [row[1] for row in rows]
    for owner in ("d", "e", "f"):
        # Of several other documents with the same text any one will do.
        mine = store.find(MAKER, document_id=owner, document=b"none", nears=nears)
        assert mine == passing.find(MAKER, document_id=owner, document=b"none", nears=nears)
        for document in {row[2] for row in rows}:
            found = store.find(MAKER, document_id=owner, document=document, nears=nears)
            assert set(found) == set(passing.find(MAKER, document_id=owner, document=document, nears=nears))
            assert {near: one for near, one in found.items() if near in mine} == mine
    store.close()


def test_it_lasts_and_may_be_opened_again(tmp_path: Path) -> None:
    path = tmp_path / "contexts.db"
    store = ContextStore(path)
    store.keep(MAKER, "d", [kept(b"1")])
    store.close()
    store.close()
    again = ContextStore(path)
    assert len(again) == 1
    assert again.find(MAKER, document_id="d", document=b"", nears=[b"1"]) == {b"1": kept(b"1")}
    again.close()


def test_a_file_that_may_only_be_read_is_read(tmp_path: Path) -> None:
    path = tmp_path / "contexts.db"
    nothing = ContextStore(path, read_only=True)
    assert nothing.find(MAKER, document_id="d", document=b"", nears=[b"1"]) == {}
    assert nothing.open_batches("model") == []
    assert len(nothing) == 0
    with pytest.raises(IndexLocked, match="read-only"):
        nothing.keep(MAKER, "d", [kept(b"1")])
    nothing.close()
    assert not path.exists()
    store = ContextStore(path)
    store.keep(MAKER, "d", [kept(b"1")])
    store.close()
    reading = ContextStore(path, read_only=True)
    assert len(reading) == 1
    with pytest.raises(IndexLocked, match="read-only"):
        reading.keep(MAKER, "d", [kept(b"2")])
    reading.close()


def test_what_is_no_database_is_named(tmp_path: Path) -> None:
    path = tmp_path / "contexts.db"
    path.write_bytes(b"no database at all, whatever its name says" * 50)
    with pytest.raises(IndexDamaged, match=r"contexts\.db"):
        ContextStore(path)


def test_many_threads_keep_side_by_side(tmp_path: Path) -> None:
    store = ContextStore(tmp_path / "contexts.db")

    def keep(number: int) -> None:
        for step in range(5):
            store.keep(MAKER, f"d{number}", [kept(bytes([step]), owner=f"d{number}")])

    threads = [threading.Thread(target=keep, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(store) == 30
    store.close()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_a_forked_child_writes_too(tmp_path: Path) -> None:
    store = ContextStore(tmp_path / "contexts.db")
    store.keep(MAKER, "d", [kept(b"1")])
    child = os.fork()
    if child == 0:
        try:
            store.keep(MAKER, "d", [kept(b"2")])
            os._exit(0)
        finally:
            os._exit(1)
    assert os.waitpid(child, 0)[1] == 0
    store.keep(MAKER, "d", [kept(b"3")])
    assert len(store) == 3
    store.close()
