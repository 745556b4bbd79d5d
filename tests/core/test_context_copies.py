"""Documents with the same text: their contexts are asked for once, and hold for every one of them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from cli_runner import Cli, settled
from context_index import body, chunks_of, made, patient, written
from context_made import KEY, cut, document, generator, outline, paragraph, words
from provider_double.chat import ChatDouble
from ragweft import Document, Index
from ragweft.context import LLMContextualizer
from ragweft.context.memory import ContextMemory, PassingMemory
from ragweft.ledger.context_store import ContextStore

NAMES = ("one", "two", "three")
SORRY = "I'm sorry, but I cannot help with that."


@pytest.fixture
def cli(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Cli:
    settled(monkeypatch, tmp_path)
    monkeypatch.setenv("ANTHROPIC_API_KEY", KEY)
    return Cli(capsys)


@pytest.fixture
def double() -> Iterator[ChatDouble]:
    with ChatDouble() as running:
        yield running


@pytest.fixture(params=["contexts.db", None], ids=["kept", "passing"])
def memory(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[ContextMemory]:
    if request.param is None:
        yield PassingMemory()
        return
    opened = ContextStore(tmp_path / request.param)
    yield opened
    opened.close()


def built(
    double: ChatDouble, memory: ContextMemory, *, batch: bool = False, wait: float = 10.0
) -> LLMContextualizer:
    return LLMContextualizer(
        generator(double),
        outline=outline(),
        tokenizer=words(),
        memory=memory,
        batch=batch,
        wait=wait,
        poll=0.001,
    )


def copies() -> list[Document]:
    return [document(6, name=name) for name in NAMES]


def refusing(double: ChatDouble, word: str) -> None:
    """The model answers for the chunk that holds *word* with an apology."""
    usual = double.reply
    double.reply = lambda prompt: SORRY if word in prompt.rpartition("<chunk>")[2] else usual(prompt)


@pytest.mark.parametrize("batch", [False, True])
def test_copies_are_asked_for_once_in_their_order(
    double: ChatDouble, memory: ContextMemory, batch: bool
) -> None:
    other = document([paragraph(n) for n in range(20, 24)], name="other")
    wholes = [copies()[0], other, *copies()[1:]]
    items = [(whole, cut(whole)) for whole in wholes]
    made = built(double, memory, batch=batch)
    assert made.estimate_all(items).calls == 10
    heard: list[tuple[str, int, int | None]] = []
    found = made.contextualize_all(items, progress=lambda *said: heard.append(said))
    assert len(double.billed) == made.stats.made == 10
    assert made.stats.kept == 12
    assert heard[-1] == ("contexts", 10, 10)
    for whole, bare, chunks in zip(wholes, map(cut, wholes), found, strict=True):
        assert [chunk.id for chunk in chunks] == [chunk.id for chunk in bare], whole.id
        assert all(written(chunks))
    first, _, *others = [[chunk.context for chunk in chunks] for chunks in found]
    assert others == [first, first]
    assert len(set(first)) == 6
    assert not made.take_failures()
    assert [made.contextualize(*item) for item in items] == found
    assert len(double.billed) == 10


def test_each_copy_keeps_its_own(double: ChatDouble, memory: ContextMemory) -> None:
    made = built(double, memory)
    made.contextualize_all([(whole, cut(whole)) for whole in copies()])
    # The last paragraph is another: whatever is far from it has what it had, under each name.
    for count, name in enumerate(NAMES, start=1):
        texts = [*(paragraph(n) for n in range(6)), f"Added to {name}."]
        edited = document(texts, name=name)
        made.contextualize(edited, cut(edited))
        assert len(double.billed) == 6 + 2 * count, "what was added, and its neighbour"


@pytest.mark.parametrize("batch", [False, True])
def test_what_is_refused_is_told_of_every_copy_and_asked_once(
    double: ChatDouble, memory: ContextMemory, batch: bool
) -> None:
    refusing(double, "Berth2 reports")
    items = [(whole, cut(whole)) for whole in copies()]
    made = built(double, memory, batch=batch)
    for times in range(1, 6):
        found = made.contextualize_all(items)
        # A job gets to some copies later than to others, and to some twice.
        made.contextualize(*items[2])
        late = document(6, name="late")
        made.contextualize(late, cut(late))
        assert [written(chunks) for chunks in found] == [[n != 2 for n in range(6)]] * 3
        assert all(made.unfinished(name) for name in (*NAMES, "late"))
        assert made.stats.failed == 4 * times, "each chunk is counted once"
        failures = made.take_failures()
        assert [failure.source for failure in failures] == [*NAMES, "late"]
        assert all("chunk 3 kept the outline context" in failure.reason for failure in failures)
        assert len(double.billed) == 5 + min(times, 3), "and left alone after three times"
        assert not made.unfinished("two")


def test_what_waits_in_a_batch_waits_for_every_copy(double: ChatDouble, memory: ContextMemory) -> None:
    double.polls = 10**9
    items = [(whole, cut(whole)) for whole in copies()]
    made = built(double, memory, batch=True, wait=0.02)
    made.contextualize_all(items)
    handed = len(double.batches)
    assert made.stats.failed == 18
    for name in NAMES:
        (failure,) = made.unfinished(name)
        assert "6 of 6 chunks" in failure.reason
        assert "under way" in failure.reason
    made.take_failures()
    # The document that was handed over is gone, a copy of it is not.
    double.polls = 0
    made = built(double, memory, batch=True)
    found = made.contextualize_all(items[1:])
    assert all(all(written(chunks)) for chunks in found)
    assert len(double.billed) == 6
    assert len(double.batches) == handed + 1, "the second round alone is new"


def test_a_text_it_had_before_does_not_hide_what_its_copy_has(
    double: ChatDouble, memory: ContextMemory
) -> None:
    double.reply = lambda prompt: (
        "Situating note, beside the zeppelin" if "zeppelin" in prompt else "Situating note"
    )
    before = document([*(paragraph(n) for n in range(6)), "A zeppelin."], name="two")
    after = [document([*(paragraph(n) for n in range(6)), "An airship."], name=name) for name in ("one", "two")]
    made = built(double, memory)
    made.contextualize(before, cut(before))
    made.contextualize(after[0], cut(after[0]))
    paid = len(double.billed)
    assert paid == 14
    (chunks,) = made.contextualize_all([(after[1], cut(after[1]))])
    assert not any("zeppelin" in chunk.context for chunk in chunks)
    assert len(double.billed) == paid


@pytest.mark.parametrize("batch", [False, True])
def test_a_sync_of_copies_pays_for_one(
    cli: Cli, double: ChatDouble, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, batch: bool
) -> None:
    patient(monkeypatch, wait=10)
    folder = tmp_path / "copies"
    folder.mkdir()
    for name in "abc":
        (folder / f"{name}.txt").write_text(body(0, 4))
    with Index.open("kb", recipe=made(double, batch=batch)) as index:
        estimate = index.estimate(folder)
        report = index.sync(folder)
        assert report.contexts.written == estimate.contexts == len(double.billed) == report.chunks / 3
        assert estimate.context_usd == pytest.approx(double.usd, rel=0.05)
    for name in "abc":
        assert all(written(chunks_of("kb", f"copies/{name}.txt")))


def test_copies_in_commits_of_their_own_are_counted_once_by_a_dry_run(
    cli: Cli, double: ChatDouble, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    patient(monkeypatch, wait=10)
    folder = tmp_path / "copies"
    folder.mkdir()
    filler = "".join(f"Entry {n} of the log.\n" for n in range(14_000))  # more than one commit's text
    with Index.open("kb", recipe=made(double)) as index:
        (folder / "a.txt").write_text(body(0, 4))
        alone = index.estimate(folder)
        (folder / "c.txt").write_text(body(0, 4))
        (folder / "b.txt").write_text(filler)
        apart = index.estimate(folder)
        (folder / "a.txt").unlink()
        (folder / "c.txt").unlink()
        between = index.estimate(folder)
    assert apart.contexts == alone.contexts + between.contexts
    assert not double.billed


@pytest.mark.parametrize("batch", [False, True])
def test_a_report_counts_a_refused_chunk_once(
    cli: Cli, double: ChatDouble, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, batch: bool
) -> None:
    patient(monkeypatch, wait=10)
    refusing(double, "Berth2 reports")
    folder = tmp_path / "port"
    folder.mkdir()
    # Short: of each paragraph one chunk.
    (folder / "log.txt").write_text(body(0, 5, length=280))
    with Index.open("kb", recipe=made(double, batch=batch)) as index:
        report = index.sync(folder)
        without = written(chunks_of("kb", "port/log.txt")).count(False)
        assert report.contexts.failed == without > 0
        assert index.sync(folder).contexts.failed == without, "told again by the next"


def test_a_report_counts_what_waits_once(
    cli: Cli, double: ChatDouble, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    patient(monkeypatch, wait=0.05)
    double.polls = 10**9
    folder = tmp_path / "port"
    folder.mkdir()
    for number in range(2):
        (folder / f"log{number}.txt").write_text(body(10 * number, 3))
    with Index.open("kb", recipe=made(double, batch=True)) as index:
        report = index.sync(folder)
        assert report.contexts.failed == report.chunks
