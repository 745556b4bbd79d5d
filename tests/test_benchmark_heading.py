"""A benchmark's heading says whether the code it measured is the commit it names."""

from __future__ import annotations

import importlib.util
import subprocess
from pathlib import Path
from types import ModuleType

import pytest


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> ModuleType:
    """`benchmarks/environment.py`, in a repository of its own."""
    file = Path(__file__).parents[1] / "benchmarks" / "environment.py"
    spec = importlib.util.spec_from_file_location("benchmark_environment", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    for name in ("core", "benchmarks"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.py").write_text("1\n")
    author = ("-c", "user.name=a", "-c", "user.email=a@example.org")
    for words in (("init", "-q"), ("add", "."), (*author, "commit", "-q", "-m", "first")):
        subprocess.run(["git", *words], cwd=tmp_path, check=True)
    monkeypatch.setattr(module, "RESULTS", tmp_path / "benchmarks" / "results")
    return module


def test_a_clean_checkout_is_its_commit(environment: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "benchmarks" / "a.py").write_text("2\n")
    said = environment.heading("Speed")
    assert said.startswith("# Speed\n")
    assert "with local changes" not in said


@pytest.mark.parametrize("name", ["a.py", "new.py"])
def test_changes_of_the_core_are_said(environment: ModuleType, tmp_path: Path, name: str) -> None:
    (tmp_path / "core" / name).write_text("2\n")
    assert " with local changes. " in environment.heading("Speed")
