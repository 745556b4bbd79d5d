"""A paid sync broken off again and again: what the ledger counts is what the service billed."""

from __future__ import annotations

import random
import signal
from pathlib import Path

import pytest

from cli_runner import Cli
from provider_double import ProviderDouble
from ragweft import Index
from ragweft.recipe import Dense, Embedding, Recipe
from reliability.broken_off import break_off
from reliability.workers import make_corpus

KEY = "sk-test-0123456789abcdefghij"
FILES = 40
AT_ONCE = 2


def made(double: ProviderDouble) -> Recipe:
    model = Embedding(model="cohere:embed-v4.0", base_url=double.base("cohere"), at_once=AT_ONCE)
    return Recipe(embedding=model, dense=Dense(engine="flat"))


def billed(double: ProviderDouble) -> list[int]:
    return [request.tokens for request in double.calls("cohere")]


@pytest.mark.parametrize(
    ("how", "times"),
    [
        (signal.SIGINT, 3),
        (signal.SIGKILL, 3),
        pytest.param(signal.SIGINT, 25, marks=pytest.mark.slow),
        pytest.param(signal.SIGKILL, 25, marks=pytest.mark.slow),
    ],
)
def test_what_is_counted_is_what_was_billed(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    how: signal.Signals,
    times: int,
) -> None:
    monkeypatch.setenv("CO_API_KEY", KEY)
    kb, folder = tmp_path / "kb", tmp_path / "files"
    make_corpus(folder, FILES)
    chance = random.Random(times)
    with ProviderDouble(latency=0.15) as double:
        Index.open(kb, recipe=made(double)).close()
        moments = [chance.uniform(0.0, 0.4) for _ in range(times)]
        break_off(kb, folder, how=how, moments=moments, requests=lambda: len(double.requests))
        ran = Cli(capsys)("sync", str(folder), "--index", str(kb))
        assert ran.code == 0, ran.err
        with Index.open(kb) as index:
            counted = sum(line.usage.tokens for line in index.status().spent_on)
            calls, unanswered = index.status().spent.calls, index.status().spent.unanswered
            assert index.sync(folder).usage.calls == 0
            assert index.status().documents == FILES
        total = sum(billed(double))
        if how == signal.SIGINT:
            assert unanswered == 0
            assert counted == total, "what is under way when Ctrl-C is pressed is awaited, kept and counted"
        else:
            # What was under way at a kill stands written down as unanswered, at its estimate.
            assert len(billed(double)) <= calls <= len(billed(double)) + times * AT_ONCE
            assert unanswered <= times * AT_ONCE
