"""The process that levels followers beside a long sync: used, killed, orphaned; nothing depends on it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from ragweft import Document, Index
from ragweft.errors import ProviderError
from ragweft.ingestion import leveller
from ragweft.testing import HashEmbedder
from reliability.workers import make_corpus

DOCUMENTS = [Document(id=f"d{i}", text=f"alpha topic{i % 7} number {i} " * 40) for i in range(400)]


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every job counts as a long one, and commits often."""
    monkeypatch.setattr(leveller, "_ALONE_SECONDS", -1.0)
    monkeypatch.setattr("ragweft.ingestion.pipeline._FIRST_BATCH", 60_000)
    monkeypatch.setattr("ragweft.ingestion.pipeline._BATCH_CHARACTERS", 60_000)


def followers_of(pid: int) -> list[psutil.Process]:
    # A process of another test that has ended, and that nobody has asked for yet, has no command line.
    living = [p for p in psutil.Process(pid).children() if p.status() != psutil.STATUS_ZOMBIE]
    return [p for p in living if "ragweft.follow" in " ".join(p.cmdline())]


def test_the_process_levels_everything_and_this_one_opens_no_chroma(tmp_path: Path) -> None:
    with Index.open(tmp_path / "kb", embedder=HashEmbedder()) as index:
        report = index.add(DOCUMENTS)
        assert report.warnings == ()
        states = {state.name: state for state in index.status().followers}
        assert states["chroma"].level
        assert states["chroma"].rows is None, "this process has not opened it"
        assert followers_of(os.getpid()) == []
        assert index.search("topic3", k=3)[0].origins
        assert index.verify(repair=False).ok


def test_a_killed_process_is_made_up_for(tmp_path: Path) -> None:
    killed = []

    def kill(stage: str, done: int, total: int | None) -> None:
        for process in followers_of(os.getpid()):
            process.kill()
            killed.append(process.pid)

    with Index.open(tmp_path / "kb", embedder=HashEmbedder()) as index:
        index.add(DOCUMENTS, progress=kill)
        assert killed
        assert index.verify().ok
        assert index.status().documents == len(DOCUMENTS)


def test_without_an_executable_the_sync_levels_by_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", "")
    with Index.open(tmp_path / "kb", embedder=HashEmbedder()) as index:
        index.add(DOCUMENTS[:40])
        assert index.verify(repair=False).ok


def test_a_failing_sync_leaves_no_process_behind(tmp_path: Path) -> None:
    class Tired(HashEmbedder):
        def embed_documents(self, texts: object) -> object:  # type: ignore[override]
            if self.calls > 100:
                raise ProviderError("enough", retryable=True)
            return super().embed_documents(texts)  # type: ignore[arg-type]

    with Index.open(tmp_path / "kb", embedder=Tired()) as index:
        with pytest.raises(ProviderError):
            index.add(DOCUMENTS)
        assert followers_of(os.getpid()) == []
        assert 0 < index.status().documents < len(DOCUMENTS)
        index.catch_up()
        assert index.verify(repair=False).ok


def test_an_orphan_ends_and_gives_its_locks_back(tmp_path: Path) -> None:
    make_corpus(tmp_path / "docs", 400)
    code = (
        "import sys\n"
        "from ragweft import Index\n"
        "from ragweft.ingestion import leveller, pipeline\n"
        "leveller._ALONE_SECONDS = -1.0\n"
        "pipeline._FIRST_BATCH = pipeline._BATCH_CHARACTERS = 60_000\n"
        "with Index.open(sys.argv[1]) as index:\n"
        "    index.sync(sys.argv[2])\n"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "kb"), str(tmp_path / "docs")]
    parent = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while not (children := followers_of(parent.pid)) and time.monotonic() < deadline:
        time.sleep(0.02)
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    assert children
    gone, alive = psutil.wait_procs(children, timeout=60)
    assert gone
    assert not alive
    with Index.open(tmp_path / "kb") as index:
        index.sync(tmp_path / "docs")
        assert index.verify().ok
        assert index.status().documents == 400
