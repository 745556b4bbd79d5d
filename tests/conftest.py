from __future__ import annotations

import gc
import importlib
import os
import signal
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest

from cli_runner import Cli, settled
from provider_double import ProviderDouble
from ragweft import Index
from ragweft.embedding.static import StaticEmbedder
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
    """Set up the process, and those it starts.

    Ctrl-C ends what is tested also where a shell started the tests in the background, deaf to it. Where a test runs
    on every core, threads of numerical libraries only wait for each other.
    """
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> object:
    """Have a process that is done take tests from one that is not, where `-n` says no more than how many there are."""
    if config.getvalue("dist") != "load":
        return None
    return importlib.import_module("xdist.scheduler").WorkStealingScheduling(config, log)


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Spare the garbage collector what is imported and collected, a million objects that stay until the end.

    It would go through them again and again; what tests leave behind it finds as ever, and sooner.
    """
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()
        gc.collect()
        gc.freeze()


def pytest_unconfigure() -> None:
    """What was spared is taken apart with all the rest when the process ends."""
    gc.unfreeze()


@pytest.fixture(scope="session", autouse=True)
def static_vectors() -> StaticEmbedder:
    """As long as one is there, nobody reads the table and the tokenizer again."""
    return StaticEmbedder()


@pytest.fixture
def docs(tmp_path: Path) -> Path:
    """A small folder of three documents in three formats."""
    return small_docs(tmp_path)


def small_docs(parent: Path) -> Path:
    """The same in the folder *parent*."""
    folder = parent / "docs"
    (folder / "src").mkdir(parents=True)
    (folder / "guide.md").write_text(GUIDE)
    (folder / "src" / "server.py").write_text(SERVER)
    (folder / "pudding.rst").write_text(RECIPES)
    return folder


@pytest.fixture
def double() -> Iterator[ProviderDouble]:
    """Every embedding and reranking service, on this machine."""
    with ProviderDouble() as running:
        yield running


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
