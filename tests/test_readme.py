"""The README's code runs, its commands exist, and its test command is the one CI runs."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from conftest import small_docs

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, flags=re.DOTALL)


def test_python_blocks_run_in_order(tmp_path: Path, docs: Path) -> None:
    assert docs.parent == tmp_path
    code = "\n".join(blocks("python"))
    assert code
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_the_python_of_the_page_on_models_runs(tmp_path: Path, docs: Path) -> None:
    assert docs.parent == tmp_path
    page = (ROOT / "docs" / "providers.md").read_text()
    code = "\n".join(re.findall(r"```python\n(.*?)```", page, flags=re.DOTALL))
    assert code
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def commands() -> list[str]:
    found = re.findall(r"^\$ (ragweft .*)$", "\n".join(blocks("console")), flags=re.MULTILINE)
    return [command for command in found if "--watch" not in command]


@pytest.fixture(scope="module")
def synced_docs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `docs`, indexed."""
    folder = tmp_path_factory.mktemp("readme")
    small_docs(folder)
    sync = [sys.executable, "-m", "ragweft", "sync", "docs"]
    subprocess.run(sync, cwd=folder, capture_output=True, check=True)
    return folder


@pytest.mark.parametrize("command", commands())
def test_commands_work(tmp_path: Path, docs: Path, command: str, request: pytest.FixtureRequest) -> None:
    assert docs.parent == tmp_path
    folder = tmp_path if "--in" in command else request.getfixturevalue("synced_docs")
    line = command.replace("ragweft", f"{sys.executable} -m ragweft", 1)
    done = subprocess.run(line, shell=True, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout


def test_ci_runs_the_test_command_of_the_readme() -> None:
    (command,) = re.findall(r"^\$ (pip install -e .*)$", "\n".join(blocks("console")), flags=re.MULTILINE)
    assert command == "pip install -e '.[dev]' && pytest -n auto"
    assert "\npytest -n auto" in (ROOT / ".ci" / "run").read_text()


def test_the_numbers_shown_are_the_numbers_measured() -> None:
    table = README[README.index("<!-- foundation:begin -->") : README.index("<!-- foundation:end -->")]
    rows = [line for line in table.splitlines() if line.startswith("|")]
    assert len(rows) > 5
    assert "\n".join(rows) in (ROOT / "benchmarks" / "results" / "foundation.md").read_text()


def test_the_quality_shown_is_the_quality_measured() -> None:
    table = README[README.index("<!-- quality:begin -->") : README.index("<!-- quality:end -->")]
    rows = [line for line in table.splitlines() if line.startswith("|")]
    assert len(rows) >= 6
    measured = (ROOT / "benchmarks" / "results" / "quality.md").read_text().splitlines()
    assert [row for row in rows if row not in measured] == []
