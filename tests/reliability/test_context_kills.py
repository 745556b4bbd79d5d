"""A sync that has contexts written, broken off again and again: nothing is paid twice, everything is counted."""

from __future__ import annotations

import random
import signal
from pathlib import Path

import pytest

from cli_runner import Cli
from context_made import HAIKU, KEY, paragraph
from provider_double.chat import ChatDouble, wait_for
from ragweft import Index
from ragweft.ledger.context_store import ContextStore
from ragweft.recipe import Context, Dense, Recipe
from reliability.broken_off import break_off

FILES, PARAGRAPHS, AT_ONCE = 3, 5, 3


def corpus(folder: Path) -> None:
    folder.mkdir()
    for number in range(FILES):
        texts = [paragraph(number * 100 + n, length=280) for n in range(PARAGRAPHS)]
        (folder / f"{number}.txt").write_text("\n\n".join(texts))


@pytest.mark.parametrize(
    ("how", "times"),
    [
        (signal.SIGINT, 1),
        (signal.SIGKILL, 2),
        pytest.param(signal.SIGINT, 20, marks=pytest.mark.slow),
        pytest.param(signal.SIGKILL, 20, marks=pytest.mark.slow),
    ],
)
def test_nothing_is_paid_twice_and_everything_is_counted(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    how: signal.Signals,
    times: int,
) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", KEY)
    kb, folder = tmp_path / "kb", tmp_path / "files"
    corpus(folder)
    chance = random.Random(times)
    with ChatDouble(latency=0.15) as double:
        context = Context(kind="llm", model=HAIKU, base_url=double.base("anthropic"), at_once=AT_ONCE)
        Index.open(kb, recipe=Recipe(context=context, dense=Dense(engine="flat"))).close()
        moments = [chance.uniform(0.0, 0.5) for _ in range(times)]
        break_off(kb, folder, how=how, moments=moments, requests=lambda: len(double.requests))
        wait_for(lambda: all(request.status is not None for request in double.requests))
        ran = Cli(capsys)("sync", str(folder), "--index", str(kb))
        assert ran.code == 0, ran.err
        paid = len(double.billed)
        with Index.open(kb) as index:
            status = index.status()
            assert (status.documents, status.incomplete) == (FILES, 0)
            assert index.sync(folder).usage.calls == 0
        store = ContextStore(kb / "contexts.db", read_only=True)
        kept = len(store)
        store.close()
        assert kept == status.chunks
        if how == signal.SIGINT:
            assert paid == kept, "what is under way when Ctrl-C is pressed is awaited and kept"
            assert status.spent.unanswered == 0
            assert status.spent.usd == pytest.approx(double.usd)
        else:
            # What was under way at a kill is all that may be lost, and stands written down at its estimate.
            assert kept <= paid <= kept + times * AT_ONCE
            assert paid <= status.spent.calls <= paid + times * AT_ONCE
            assert status.spent.unanswered <= times * AT_ONCE
            assert status.spent.usd >= double.usd * (1 - 1e-9)
