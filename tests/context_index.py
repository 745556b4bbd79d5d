"""A folder, a recipe and looks at an index, for tests of contexts written through the command line."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from cli_runner import Cli, settled
from context_made import HAIKU, KEY, paragraph
from provider_double.chat import ChatDouble
from ragweft import Index, Recipe
from ragweft.context import LLMContextualizer
from ragweft.recipe import Context, Dense

if TYPE_CHECKING:
    from ragweft.types import Chunk


@pytest.fixture(name="cli")
def keyed_cli(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Cli:
    """`ragweft …` in an empty folder, with keys."""
    settled(monkeypatch, tmp_path)
    monkeypatch.setenv("ANTHROPIC_API_KEY", KEY)
    monkeypatch.setenv("CO_API_KEY", "sk-test-0123456789abcdefghij")
    return Cli(capsys)


@pytest.fixture(name="double")
def chat_double() -> Iterator[ChatDouble]:
    """The services that write."""
    with ChatDouble() as running:
        yield running


@pytest.fixture(name="port")
def filled_port(tmp_path: Path) -> Path:
    """What `port_folder` makes."""
    return port_folder(tmp_path)


def port_folder(tmp_path: Path) -> Path:
    """Two documents of several chunks, one of a single chunk, and an empty one."""
    folder = tmp_path / "port"
    folder.mkdir()
    (folder / "log.md").write_text("# Port log\n\n" + body(0, 6))
    (folder / "tides.txt").write_text(body(10, 5))
    (folder / "note.md").write_text("# Note\n\nThe lamp is out.\n")
    (folder / "empty.md").write_text("")
    return folder


def body(first: int, count: int, *, length: int = 280) -> str:
    return "\n\n".join(paragraph(n, length=length) for n in range(first, first + count)) + "\n"


def spec(double: ChatDouble, *changes: str, model: str = HAIKU) -> str:
    provider = model.partition(":")[0]
    own = (
        "dense.engine=flat",
        "context.kind=llm",
        f"context.model={model}",
        f"context.base_url={double.base(provider)}",
        *changes,
    )
    return ",".join(("default", *own))


def patient(monkeypatch: pytest.MonkeyPatch, *, wait: float) -> None:
    """Batches are looked at often and waited for so many seconds."""
    usual = LLMContextualizer.__init__.__kwdefaults__
    assert usual is not None
    monkeypatch.setitem(usual, "poll", 0.001)
    monkeypatch.setitem(usual, "wait", wait)


def asked(double: ChatDouble) -> int:
    return len(double.answered("anthropic"))


def written(chunks: Sequence[Chunk]) -> list[bool]:
    return [chunk.context.startswith("Situating note") for chunk in chunks]


def chunks_of(folder: Path | str, name: str) -> list[Chunk]:
    with Index.open(folder, create=False) as index:
        found = index.ledger.ids_under(Path(name).absolute().as_uri())
        return [hit.chunk for number in sorted(found) for hit in index.document(number)]


def made(double: ChatDouble, **settings: object) -> Recipe:
    context = Context(kind="llm", model=HAIKU, base_url=double.base("anthropic"), **settings)  # type: ignore[arg-type]
    return Recipe(context=context, dense=Dense(engine="flat"))
