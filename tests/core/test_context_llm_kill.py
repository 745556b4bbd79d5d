"""A process that is killed half-way has paid for what it kept, and the next one pays for the rest alone."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from context_made import KEY, contextualizer, cut, document, generator
from provider_double.chat import ChatDouble, wait_for
from ragweft.ledger.context_store import ContextStore

ROOT = Path(__file__).parents[2]
CHUNKS = 24
AT_ONCE = 4

CODE = textwrap.dedent(
    """
    import sys
    from context_made import contextualizer, cut, document
    from ragweft.generation import Generation, resolve_generator

    url, folder, count, batch = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4] == "batch"
    from pathlib import Path
    asked = resolve_generator(Generation(model="anthropic:claude-haiku-5-5", base_url=url))
    made = contextualizer(asked, Path(folder) / "contexts.db", batch=batch, poll=0.01)
    whole = document(count)
    made.contextualize(whole, cut(whole))
    print("done")
    """
)


def begun(double: ChatDouble, folder: Path, how: str) -> subprocess.Popen[bytes]:
    paths = os.pathsep.join(str(ROOT / part) for part in ("core", "tests"))
    return subprocess.Popen(
        [sys.executable, "-c", CODE, double.base("anthropic"), str(folder), str(CHUNKS), how],
        env={**os.environ, "PYTHONPATH": paths, "ANTHROPIC_API_KEY": KEY},
    )


def test_killed_half_way_only_the_rest_is_paid(tmp_path: Path) -> None:
    with ChatDouble(latency=0.02) as double:
        child = begun(double, tmp_path, "one by one")
        wait_for(lambda: len(double.answered("anthropic")) >= CHUNKS // 2, seconds=60)
        os.kill(child.pid, signal.SIGKILL)
        assert child.wait() == -signal.SIGKILL
        store = ContextStore(tmp_path / "contexts.db")
        kept = len(store)
        wait_for(lambda: all(request.status is not None for request in double.requests))
        paid = len(double.billed)
        assert 0 < kept <= paid < CHUNKS
        # What was under way when it was killed is all that may be lost.
        assert paid - kept <= AT_ONCE
        whole = document(CHUNKS)
        told = contextualizer(generator(double), store).estimate(whole, cut(whole))
        assert (told.known, told.calls) == (kept, CHUNKS - kept)
        double.forget()
        before = double.usd
        chunks = contextualizer(generator(double), store).contextualize(whole, cut(whole))
        assert len(double.billed) - paid == CHUNKS - kept
        assert told.usd == pytest.approx(double.usd - before, rel=0.05)
        assert all(chunk.context.startswith("Situating") for chunk in chunks)
        store.close()


@pytest.mark.parametrize("when", ["handed over", "under way"])
def test_killed_while_a_batch_is_under_way_it_is_taken_in_later(tmp_path: Path, when: str) -> None:
    with ChatDouble(polls=10**9) as double:
        if when == "handed over":
            # The answer that names the batch never comes.
            double.fail("anthropic", path="/batches", delay=60.0)
        child = begun(double, tmp_path, "batch")
        wait_for(lambda: bool(double.batches), seconds=60)
        if when == "under way":
            wait_for(lambda: any(request.method == "GET" for request in double.requests), seconds=60)
        os.kill(child.pid, signal.SIGKILL)
        assert child.wait() == -signal.SIGKILL
        double.polls = 1
        store = ContextStore(tmp_path / "contexts.db")
        (batch,) = store.open_batches("anthropic:claude-haiku-5-5")
        assert (batch.remote is None) == (when == "handed over")
        whole = document(CHUNKS)
        made = contextualizer(generator(double), store, batch=True, poll=0.01)
        chunks = made.contextualize(whole, cut(whole))
        assert all(chunk.context.startswith("Situating") for chunk in chunks)
        assert len(double.batches) == 2
        assert len(double.billed) == CHUNKS
        assert sum(one.written > 0 for one in double.billed) == 1
        store.close()
