"""What is under way when contexts are written: batches, money, and what Ctrl-C leaves."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest

from context_index import asked, body, chunks_of, made, patient, spec, written
from context_index import chat_double as chat_double
from context_index import filled_port as filled_port
from context_index import keyed_cli as keyed_cli
from ragweft import Index
from ragweft.cli.progress import Bar
from ragweft.context import batching
from ragweft.reports import BatchUnderWay

if TYPE_CHECKING:
    from collections.abc import Callable

    from cli_runner import Cli
    from provider_double.chat import ChatDouble
    from ragweft.types import Usage

BATCH = r"a batch of 2 \(msgbatch\S*, handed over at \d\d:\d\d\)"


class Watched:
    """A progress that notes what it hears, and may end it."""

    def __init__(self, stop: Callable[[str, int], bool] = lambda _stage, _done: False) -> None:
        self.stages: list[tuple[str, int, int | None]] = []
        self.bills: list[float] = []
        self._stop = stop
        self._spent: Callable[[], Usage] | None = None

    def priced(self, spent: Callable[[], Usage]) -> None:
        self._spent = spent

    def __call__(self, stage: str, done: int, total: int | None, /) -> None:
        self.stages.append((stage, done, total))
        if self._spent is not None:
            self.bills.append(self._spent().usd)
        if self._stop(stage, done):
            raise KeyboardInterrupt


@pytest.fixture(name="waiting")
def stopped_while_a_batch_is_under_way(
    cli: Cli, double: ChatDouble, port: Path, monkeypatch: pytest.MonkeyPatch
) -> str:
    """What Ctrl-C says while the first batch is waited for."""
    patient(monkeypatch, wait=60.0)
    double.polls = 10**9

    def pressed(_seconds: float) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        clock = SimpleNamespace(sleep=pressed, monotonic=time.monotonic, time=time.time)
        patch.setattr(batching, "time", clock)
        ran = cli("sync", str(port), "--index", "kb", "--recipe", spec(double, "context.batch=true"))
    assert ran.code == 130
    double.polls = 1
    return ran.err


def test_who_waits_is_told_for_what(
    double: ChatDouble, port: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    del cli  # for its keys
    patient(monkeypatch, wait=60.0)
    double.polls = 3
    heard = Watched()
    with Index.open("kb", recipe=made(double, batch=True)) as index:
        index.sync(port, progress=heard)
    said = [one for one in heard.stages if one[0].startswith("waiting")]
    assert re.fullmatch(rf"waiting for {BATCH}; you may stop and run the same command later", said[0][0]), said[
        0
    ]
    assert said[0][2] == 2, "the service says how many there are"
    assert len({stage for stage, _, _ in said}) == 2, "the first chunks, then the others"
    assert heard.bills[0] == 0
    assert heard.bills[-1] == pytest.approx(double.usd)


def test_a_batch_under_way_is_told_by_every_verb(
    cli: Cli, waiting: str, port: Path, double: ChatDouble
) -> None:
    first, second = waiting.splitlines()
    assert first.startswith("interrupted: ")
    assert re.fullmatch(rf"{BATCH} goes on at anthropic: the same command takes it in", second)
    shown = cli("status", "--index", "kb").out
    assert re.search(rf"^under way +{BATCH}; the next sync takes it in$", shown, re.MULTILINE)
    (batch,) = json.loads(cli("status", "--index", "kb", "--json").out)["under_way"]
    assert batch["contexts"] == 2
    assert batch["name"] == double.batches[0]
    assert abs(batch["since"] - time.time()) < 600

    planned = json.loads(cli("sync", str(port), "--index", "kb", "--dry-run", "--json").out)
    told = cli("sync", str(port), "--index", "kb", "--dry-run").out
    assert planned["contexts_under_way"] == 2
    assert re.search(r"; 2 in a batch under way, paid for already$", told, re.MULTILINE)
    assert cli("sync", str(port), "--index", "kb").code == 0
    chunks = chunks_of("kb", "port")
    assert written(chunks).count(False) == 1
    assert len(double.billed) == len(chunks) - 1 == planned["contexts"] + 2
    assert "under way" not in cli("status", "--index", "kb").out
    shares = [one.usd for one in double.billed]
    assert planned["context_usd"] < sum(shares)


def test_what_is_all_in_a_batch_is_not_priced(
    cli: Cli, double: ChatDouble, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    patient(monkeypatch, wait=0.05)
    double.polls = 10**9
    (tmp_path / "two.txt").write_text(body(0, 3))
    with Index.open("kb", recipe=made(double, batch=True, window=100_000)) as index:
        index.sync(tmp_path / "two.txt")
        first = index.estimate(tmp_path / "two.txt")
        assert first.contexts_under_way == 1, "the first chunk goes ahead"
        assert first.contexts > 0
        assert index.status().under_way[0].contexts == 1


@pytest.mark.parametrize("verb", ["sync", "reindex"])
def test_ctrl_c_says_what_is_kept(cli: Cli, double: ChatDouble, port: Path, verb: str) -> None:
    recipe = made(double, at_once=1)
    stop = Watched(lambda stage, done: stage == "contexts" and done == 3)
    with pytest.raises(KeyboardInterrupt) as stopped:
        if verb == "sync":
            with Index.open("kb", recipe=recipe) as index:
                index.sync(port, progress=stop)
        else:
            import ragweft

            assert cli("sync", str(port), "--index", "kb", "--recipe", "default,dense.engine=flat").code == 0
            ragweft.reindex("kb", recipe, progress=stop)
    paid = asked(double)
    assert stopped.value.__notes__ == [f"{paid} contexts that were paid for are kept, and not paid for again"]
    ran = cli(verb, *([str(port)] if verb == "sync" else []), "--index", "kb")
    if verb == "sync":
        assert ran.code == 0
        assert asked(double) == written(chunks_of("kb", "port")).count(True), "none twice"


def test_the_bar_shows_what_was_spent() -> None:
    from rich.console import Console

    from ragweft.types import Usage

    bar = Bar()
    console = Console(width=100, file=None)

    def shown() -> str:
        with console.capture() as caught:
            console.print(bar._draw())
        return caught.get()

    bar("contexts", 3, 90)
    bar.priced(Usage)
    assert "$" not in shown()
    bar.priced(lambda: Usage(tokens=10, usd=0.25, calls=1))
    assert "3/90" in shown()
    assert "$0.25" in shown()
    told = (
        "waiting for a batch of 14 (msgbatch_013Zva2CMHLNnXjNJJKqJ2EF, handed over at 22:37); stop if you like"
    )
    bar(told, 3, 14)
    text, row = shown().rstrip("\n").rsplit("\n", 1)
    assert " ".join(text.split()) == told
    assert "3/14" in row


def test_a_batch_of_another_day_says_which() -> None:
    since = time.mktime((2026, 1, 2, 22, 37, 0, 0, 0, -1))
    batch = BatchUnderWay(model="m", name="", contexts=1_400, since=since)
    assert str(batch) == "a batch of 1,400 (handed over at 2026-01-02 22:37)"


def test_a_damaged_file_of_contexts_does_not_hide_what_the_index_holds(cli: Cli, docs: Path) -> None:
    assert cli("sync", str(docs), "--index", "kb").code == 0
    Path("kb", "contexts.db").write_bytes(b"no database at all, and long enough to be looked at" * 100)
    ran = cli("status", "--index", "kb")
    assert ran.code == 0, ran.err
    assert "documents   3" in ran.out
    assert re.search(r"^unreadable  .*contexts\.db", ran.out, re.MULTILINE)
    (said,) = json.loads(cli("status", "--index", "kb", "--json").out)["unreadable"]
    assert "contexts.db" in said
