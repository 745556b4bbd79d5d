"""The command line run inside the test process, and in processes of its own."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from ragweft.cli import main

ROOT = Path(__file__).parents[1]
FLAT_TOML = '[dense]\nengine = "flat"\n'


@dataclass(frozen=True)
class Ran:
    code: int
    out: str
    err: str


class Cli:
    """`ragweft …` in this process, in the working directory of the test."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys

    def __call__(self, *arguments: str) -> Ran:
        self._capsys.readouterr()
        with pytest.raises(SystemExit) as left:
            main(arguments)
        out, err = self._capsys.readouterr()
        code = left.value.code
        assert code is None or isinstance(code, int)
        return Ran(code=code or 0, out=out, err=err)


def settled(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """Run in *folder*, on an index without Chroma, whatever the machine's environment says."""
    monkeypatch.chdir(folder)
    for name in ("RAGWEFT_INDEX", "FORCE_COLOR", "NO_COLOR", "COLUMNS"):
        monkeypatch.delenv(name, raising=False)
    write_recipe(folder / ".ragweft", FLAT_TOML)


def write_recipe(folder: Path, toml: str) -> None:
    folder.mkdir(exist_ok=True)
    (folder / "ragweft.toml").write_text(toml)


def command(*arguments: str, options: Sequence[str] = ()) -> list[str]:
    """The command line of a process of its own."""
    return [sys.executable, *options, "-m", "ragweft", *arguments]


def environment() -> dict[str, str]:
    """For a process that finds this checkout whether or not it is installed."""
    own = {name: value for name, value in os.environ.items() if name != "RAGWEFT_INDEX"}
    return own | {"PYTHONPATH": str(ROOT / "core")}
