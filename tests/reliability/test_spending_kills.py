"""A paid sync broken off again and again: what the ledger counts is what the service billed."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from provider_double import ProviderDouble
from ragweft import Index
from ragweft.recipe import Dense, Embedding, Recipe
from reliability.workers import make_corpus

KEY = "sk-test-0123456789abcdefghij"
FILES = 40
AT_ONCE = 2


def start(kb: Path, folder: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "ragweft", "sync", str(folder), "--index", str(kb)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "CO_API_KEY": KEY},
    )


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
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: signal.Signals, times: int
) -> None:
    monkeypatch.setenv("CO_API_KEY", KEY)
    kb, folder = tmp_path / "kb", tmp_path / "files"
    make_corpus(folder, FILES)
    chance = random.Random(times)
    with ProviderDouble(latency=0.15) as double:
        Index.open(kb, recipe=made(double)).close()
        for _ in range(times):
            before = len(double.requests)
            process = start(kb, folder)
            deadline = time.monotonic() + 30
            while len(double.requests) == before and process.poll() is None and time.monotonic() < deadline:
                time.sleep(0.02)
            time.sleep(chance.uniform(0.0, 0.4))
            process.send_signal(how)
            _, err = process.communicate(timeout=60)
            assert "Traceback" not in err
        process = start(kb, folder)
        _, err = process.communicate(timeout=120)
        assert process.returncode == 0, err
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
