from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from cli_runner import Cli, settled
from ragweft import Index
from ragweft.recipe import Dense, Recipe

FLAT = Recipe(dense=Dense(engine="flat"))
"""Without Chroma: for tests that are about something else."""

GUIDE = """# Keys

Every service holds a signing key.

## Rotating a key

Run `vault rotate --now` to rotate a signing key. The old key stays valid for one hour.

## Losing a key

Revoke it with `vault revoke` and tell the owners.
"""
SERVER = '''"""A small HTTP server."""

import socket


class RequestHandler:
    """Answers requests."""

    def handleTimeout(self, seconds: float) -> None:
        """Close the connection when the peer is silent."""
        self.connection.settimeout(seconds)


def parse_header(line: str) -> tuple[str, str]:
    """Split a header line at the colon."""
    name, _, value = line.partition(":")
    return name.strip(), value.strip()
'''
RECIPES = """Bread and butter pudding
========================

Butter the bread. Pour custard over it. Bake for forty minutes.
"""


def pytest_configure() -> None:
    """Have Ctrl-C end what is tested also where a shell started the tests in the background, deaf to it."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def docs(tmp_path: Path) -> Path:
    """A small folder of three documents in three formats."""
    folder = tmp_path / "docs"
    (folder / "src").mkdir(parents=True)
    (folder / "guide.md").write_text(GUIDE)
    (folder / "src" / "server.py").write_text(SERVER)
    (folder / "pudding.rst").write_text(RECIPES)
    return folder


@pytest.fixture
def index(tmp_path: Path) -> Iterator[Index]:
    """An empty index without Chroma."""
    with Index.open(tmp_path / "kb", recipe=FLAT) as opened:
        yield opened


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, docs: Path) -> Cli:
    """`ragweft …` beside the folder `docs`, without Chroma."""
    settled(monkeypatch, docs.parent)
    return Cli(capsys)


@pytest.fixture
def synced(cli: Cli) -> Cli:
    """The same once `docs` is indexed."""
    assert cli("sync", "docs").code == 0
    return cli
