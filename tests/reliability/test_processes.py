"""Several processes on one index, and processes killed at any moment: nothing acknowledged is lost."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from conftest import FLAT
from ragweft import Document, Index
from ragweft.recipe import Recipe
from reliability.workers import make_corpus, marker

WORKERS = Path(__file__).with_name("workers.py")


def start(*words: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, str(WORKERS), *map(str, words)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(process: subprocess.Popen[str]) -> str:
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    assert "Traceback" not in err
    return out


def commits(out: str) -> list[dict[str, Any]]:
    return [line for line in map(json.loads, out.splitlines()[1:]) if "generation" in line]


def assert_whole(index: Index, folder: Path, numbers: range) -> None:
    """Each file of *folder* is found by its own marker word, with its first and last line, each chunk once."""
    for number in numbers:
        word = marker(folder.name, number)
        hits = index.search(word, k=20)
        mine = [hit for hit in hits if hit.citation.uri.endswith(f"/{folder.name}/f{number:04}.md")]
        assert mine, f"{word} is not found"
        assert hits[0].citation.uri == mine[0].citation.uri
        text = (folder / f"f{number:04}.md").read_text()
        chunks = index.document(mine[0].citation.uri)
        assert "".join(text.split()) == "".join(without_overlaps([h.chunk.span for h in chunks], text).split())


def without_overlaps(spans: list[object], text: str) -> str:
    out, reached = [], 0
    for span in spans:
        out.append(text[max(reached, span.start) : span.end])  # type: ignore[attr-defined]
        reached = max(reached, span.end)  # type: ignore[attr-defined]
    return "".join(out)


@pytest.mark.parametrize("engine", ["flat", "auto"])
def test_two_syncs_and_a_searcher_share_an_index(tmp_path: Path, engine: str) -> None:
    folders = [tmp_path / name for name in ("left", "right")]
    for folder in folders:
        make_corpus(folder, 60)
    recipe = FLAT if engine == "flat" else Recipe()
    Index.open(tmp_path / "kb", recipe=recipe).close()
    log = tmp_path / "searches.jsonl"
    searcher = start("search", tmp_path / "kb", log)
    assert searcher.stdout is not None
    assert searcher.stdout.readline() == "open\n"
    syncs = [start("sync", tmp_path / "kb", folder) for folder in folders]
    outs = [finish(process) for process in syncs]
    time.sleep(0.2)
    Path(f"{log}.stop").touch()
    finish(searcher)

    committed = sorted((c["at"], c["generation"]) for out in outs for c in commits(out))
    assert sorted(g for _, g in committed) == list(range(1, len(committed) + 1))
    searches = [json.loads(line) for line in log.read_text().splitlines()]
    assert len(searches) > 5
    for seen in searches:
        before = max((g for at, g in committed if at < seen["began"]), default=0)
        assert seen["generation"] >= before
        assert seen["degraded"] == []
    assert searches[-1]["generation"] == len(committed)
    with Index.open(tmp_path / "kb") as index:
        assert index.verify().ok
        assert index.status().documents == 120
        for folder in folders:
            assert_whole(index, folder, range(0, 60, 7))


def kill_at_random(tmp_path: Path, kills: int, files: int, seed: int) -> int:
    """Kill syncs at random moments; check the index after each. How many died before they were done."""
    rng = random.Random(seed)
    folder = tmp_path / "docs"
    make_corpus(folder, files)
    index_path = tmp_path / "kb"
    Index.open(index_path).close()
    acknowledged: set[str] = set()
    died = 0
    for turn in range(kills):
        if turn % 4 == 3:
            make_corpus(folder, files, salt=f"turn{turn}")  # every file changes: rows die and are born
        process = start("sync", index_path, folder)
        assert process.stdout is not None
        assert process.stdout.readline() == "open\n"
        time.sleep(rng.uniform(0.0, 1.6))
        process.send_signal(signal.SIGKILL)
        out, _ = process.communicate()
        died += process.returncode == -signal.SIGKILL
        for line in out.splitlines():
            if line.startswith("{") and line.endswith("}"):
                acknowledged.update(json.loads(line).get("files", ()))
        with Index.open(index_path) as index:
            for name in sorted(acknowledged):
                uri = (folder / name).as_uri()
                chunks = index.document(uri)
                assert chunks, f"{name} was acknowledged and is gone"
                text = index.text(uri)
                assert text is not None
                whole = without_overlaps([hit.chunk.span for hit in chunks], text)
                assert "".join(whole.split()) == "".join(text.split()), f"{name} is half there"
            for name in rng.sample(sorted(acknowledged), min(3, len(acknowledged))):
                number = int(name[1:5])
                best = index.search(marker("docs", number), k=1)[0]
                assert best.citation.uri.endswith(name)
                assert best.citation.uri == (folder / name).as_uri()
    with Index.open(index_path) as index:
        index.sync(folder)
        assert index.verify().ok
        assert index.status().documents == files
        assert_whole(index, folder, range(0, files, 9))
    return died


def test_kill_at_random_moments(tmp_path: Path) -> None:
    kill_at_random(tmp_path, kills=5, files=150, seed=1)


@pytest.mark.slow
def test_fifty_kills(tmp_path: Path) -> None:
    assert kill_at_random(tmp_path, kills=50, files=300, seed=2) >= 25


def test_a_forked_child_may_search_and_write(tmp_path: Path) -> None:
    with Index.open(tmp_path / "kb", recipe=FLAT) as index:
        index.add([Document(id="parent", text="alpha")])
        assert len(index.search("alpha")) == 1
        child = os.fork()
        if child == 0:
            code = 1
            try:
                index.add([Document(id="child", text="alpha beta")])
                code = 0 if len(index.search("alpha")) == 2 else 3
            finally:
                os._exit(code)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert {hit.chunk.document_id for hit in index.search("alpha")} == {"parent", "child"}
        index.add([Document(id="after", text="alpha")])
        assert len(index.search("alpha")) == 3
        assert index.verify().ok
