from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from cli_runner import FLAT_TOML, command, environment, write_recipe

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals and pipes as Unix has them")


def ragweft(folder: Path, *arguments: str, options: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(*arguments, options=options),
        cwd=folder,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


@pytest.fixture
def folder(docs: Path) -> Path:
    write_recipe(docs.parent / ".ragweft", FLAT_TOML)
    return docs.parent


def modules(stderr: str) -> set[str]:
    """What `-X importtime` says was imported."""
    return {line.rpartition("|")[2].strip() for line in stderr.splitlines() if line.startswith("import time:")}


def test_help_loads_nothing_heavy(folder: Path) -> None:
    done = ragweft(folder, "search", "--help", options=("-X", "importtime"))
    assert done.returncode == 0
    loaded = modules(done.stderr)
    assert "ragweft.cli" in loaded
    assert not {"numpy", "sqlalchemy", "tantivy", "chromadb", "tokenizers", "rich"} & loaded


def test_chroma_is_filled_after_the_answer_and_not_loaded_for_an_unchanged_folder(docs: Path) -> None:
    first = ragweft(docs.parent, "search", "rotate a key", "--in", "docs")
    assert first.returncode == 0
    assert first.stdout.startswith("docs/guide.md:")
    verdict = ragweft(docs.parent, "verify", "--no-repair", "--json")
    assert verdict.returncode == 0, "the collection is level already"
    assert "chroma" in [state["name"] for state in json.loads(verdict.stdout)["followers"]]
    again = ragweft(docs.parent, "search", "rotate a key", "--in", "docs", options=("-X", "importtime"))
    assert again.stdout == first.stdout
    loaded = modules(again.stderr)
    assert "ragweft.index" in loaded
    assert "chromadb" not in loaded


@pytest.fixture
def running(folder: Path) -> Iterator[list[subprocess.Popen[str]]]:
    started: list[subprocess.Popen[str]] = []
    yield started
    for process in started:
        process.kill()
        process.communicate()


def start(running: list[subprocess.Popen[str]], folder: Path, *arguments: str) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        command(*arguments),
        cwd=folder,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    running.append(process)
    return process


def wait_for(path: Path) -> None:
    until = time.monotonic() + 60
    while not path.exists():
        assert time.monotonic() < until, f"{path} never came"
        time.sleep(0.02)


def test_ctrl_c_during_a_sync_keeps_what_was_committed(
    folder: Path, running: list[subprocess.Popen[str]]
) -> None:
    assert ragweft(folder, "sync", "docs").returncode == 0
    big = folder / "big"
    big.mkdir()
    for number in range(400):
        text = "\n\n".join(f"Paragraph {i} of part {number}: {'some words ' * 60}" for i in range(60))
        (big / f"part{number:03d}.md").write_text(text)
    (folder / ".ragweft" / "vectors.db-shm").unlink(missing_ok=True)
    process = start(running, folder, "sync", "big")
    wait_for(folder / ".ragweft" / "vectors.db-shm")
    time.sleep(0.5)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert out == ""
    assert err == "interrupted: what was committed is kept and searchable; run the same command to go on\n"
    for number in range(5, 400):
        (big / f"part{number:03d}.md").unlink()
    after = ragweft(folder, "search", "rotate a signing key", "--in", "big", "--in", "docs", "-k", "1")
    assert after.returncode == 0
    assert after.stdout.startswith("docs/guide.md:")


def test_a_reader_who_leaves_early_is_no_error(folder: Path, running: list[subprocess.Popen[str]]) -> None:
    process = start(running, folder, "search", "rotate a signing key", "--in", "docs")
    assert process.stdout is not None
    process.stdout.close()
    assert process.stderr is not None
    err = process.stderr.read()
    assert process.wait(timeout=60) == 0
    assert err.startswith("indexed 3 files")
    assert err.count("\n") == 1


def test_watching_follows_changes_until_ctrl_c(folder: Path, running: list[subprocess.Popen[str]]) -> None:
    pytest.importorskip("watchfiles")
    process = start(running, folder, "sync", "docs", "--watch", "--json")
    assert process.stdout is not None
    assert process.stderr is not None
    assert json.loads(process.stdout.readline())["added"] == 3
    assert process.stderr.readline() == "watching 1 path; press Ctrl-C to stop\n"
    (folder / "docs" / "new.md").write_text("# Barometers\n\nA barometer measures pressure.\n")
    assert json.loads(process.stdout.readline())["added"] == 1
    (folder / "docs" / "new.md").unlink()
    assert json.loads(process.stdout.readline())["removed"] == 1
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0
    assert out == ""
    assert err == "stopped watching; everything committed is kept\n"
