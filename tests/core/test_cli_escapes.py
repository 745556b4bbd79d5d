"""Nothing that somebody else wrote commands a terminal: texts, names of files, titles, answers of services."""

from __future__ import annotations

import io
import json
import logging
import re
import time
from pathlib import Path

import pytest
import typer

from cli_runner import Cli
from conftest import FLAT
from ragweft import Index
from ragweft.cli.options import Settings
from ragweft.cli.progress import Bar
from ragweft.cli.session import guarded
from ragweft.cli.wording import harmless, printable
from ragweft.errors import ProviderError
from ragweft.recipe import Loading, Recipe
from small_dataset import write_paragraphs

EVIL = "\x1b[31m\x1b]0;owned\x07\x9b5m\x7f"
"""Turns a terminal red, names its window, and tries the one-byte form of an escape."""
RED = re.compile("\x1b\\[31m|\x1b\\]0|\x07|\x9b|\x7f|\x08")
COMMANDS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f]")
NAME = f"re{EVIL}d.md"
TEXT = f"# Title {EVIL}\n\nA river {EVIL} runs\rto the sea.\n\n## Part {EVIL}\n\n\tThe lake\x08 stands still.\n"


FOLDER = f"doc{EVIL}s"
FILE = f"{FOLDER}/{NAME}"
BROKEN = f"broken{EVIL}.pdf"


@pytest.fixture(scope="module")
def indexed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with documents of that kind, indexed."""
    parent = tmp_path_factory.mktemp("evil")
    folder = parent / FOLDER
    folder.mkdir()
    (folder / NAME).write_text(TEXT)
    (folder / f"long{EVIL}.txt").write_text("words " * 4000)
    (folder / ".gitignore").write_text(f"[{EVIL}\n[[:x:\n")
    (parent / BROKEN).write_bytes(b"%PDF nothing " + EVIL.encode())
    recipe = Recipe(dense=FLAT.dense, loading=Loading(max_bytes=9000))
    with Index.open(parent / ".ragweft", recipe=recipe) as index:
        assert index.sync(folder).added == 1
    return parent


@pytest.fixture
def cli(indexed: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Cli:
    monkeypatch.chdir(indexed)
    for name in ("RAGWEFT_INDEX", "FORCE_COLOR", "NO_COLOR", "COLUMNS", "OPENAI_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    return Cli(capsys)


VERBS = [
    ("sync", FOLDER),
    ("sync", FOLDER, "--json"),
    ("sync", FOLDER, "--dry-run"),
    ("sync", f"nothere{EVIL}"),
    ("sync", f"nothere{EVIL}", "--debug"),
    ("search", "river sea"),
    ("search", "river sea", "--explain"),
    ("search", "river sea", "--json"),
    ("search", "river sea", "--context", "500"),
    ("search", "river sea", "--context", "500", "--json"),
    ("search", "river sea", "--in", FOLDER),
    ("show", FILE),
    ("show", FILE, "--json"),
    ("show", f"nothere{EVIL}"),
    ("chunks", FILE),
    ("chunks", FILE, "--json"),
    ("chunks", FILE, "--html", f"out{EVIL}.html"),
    ("chunks", FOLDER),
    ("chunks", BROKEN),
    ("sync", BROKEN, "--index", "other"),
    ("status",),
    ("status", "--index", f"nothere{EVIL}"),
    ("verify",),
    ("remove", f"nothere{EVIL}", "--yes"),
    ("reindex", f"embedding.model={EVIL}"),
    ("reindex", "--dry-run"),
    ("reindex", f"context.model={EVIL}"),
    ("tune", f"labels{EVIL}"),
    ("models", "check", f"openai:{EVIL}"),
    ("models", "check", f"nobody{EVIL}:x"),
    ("import-chroma", f"nothere{EVIL}", "things"),
    ("cache", "explain", f"river{EVIL}"),
    ("cache", "stats", "--index", f"nothere{EVIL}"),
    ("cache", "clear", "--scope", f"tenant{EVIL}=a", "--yes"),
    ("cache", "clear", "--source", f"nothere{EVIL}", "--yes"),
    ("cache", "calibrate", "--pairs", f"nothere{EVIL}"),
]


@pytest.mark.parametrize("colour", [False, True], ids=["pipe", "terminal"])
@pytest.mark.parametrize("arguments", VERBS, ids=lambda verb: printable(" ".join(verb)).replace("\ufffd", ""))
def test_no_verb_hands_a_command_to_the_terminal(
    cli: Cli, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], colour: bool
) -> None:
    if colour:
        monkeypatch.setenv("FORCE_COLOR", "1")
    ran = cli(*arguments)
    assert ran.out or ran.err
    for said in (ran.out, ran.err):
        # A terminal is given colours by ragweft itself.
        assert not (RED if colour else COMMANDS).search(said), repr(said)


def test_what_was_written_is_still_there(cli: Cli) -> None:
    found = json.loads(cli("search", "river sea", "--json").out)["hits"][0]
    assert EVIL in found["text"]
    assert NAME in found["citation"]["source"], "JSON holds what there is, in escapes"
    shown = cli("chunks", FILE).out
    assert "A river \ufffd[31m\ufffd]0;owned\ufffd\ufffd5m\ufffd runs\ufffdto the sea." in shown
    assert "\tThe lake\ufffd stands still." in shown


def test_the_page_holds_no_commands_either(cli: Cli) -> None:
    assert cli("chunks", FILE, "--html", "out.html").code == 0
    page = Path("out.html").read_text()
    assert not COMMANDS.search(page)
    assert "A river \ufffd[31m" in page
    stray = f"{FOLDER}/stray\udcff.md"
    Path(stray).write_text("# A name of stray bytes\n")
    refused = cli("chunks", stray, "--html", "stray.html")
    assert (refused.code, "rename it" in refused.err) == (1, True)
    Path(stray).unlink()


def test_an_evaluation_of_such_a_dataset(cli: Cli, tmp_path: Path) -> None:
    pytest.importorskip("ir_measures")
    folder = tmp_path / f"data{EVIL}"
    write_paragraphs(folder)
    with (folder / "qrels" / "test.tsv").open("a") as file:
        file.write(f"q{EVIL}\td1\t1\n")
    ran = cli("eval", str(folder), "--recipe", f"my{EVIL}=default")
    assert ran.code == 0, ran.err
    assert not COMMANDS.search(ran.out + ran.err), repr(ran.err + ran.out)


def test_errors_of_services_and_what_is_logged(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(typer.Exit), guarded(Settings(debug=True)):
        logging.getLogger("ragweft.loading").warning("a name: %s", EVIL)
        raise ProviderError(f"the service said\n{EVIL}", retryable=False)
    said = capsys.readouterr().err
    assert said.startswith("warning: a name: \ufffd[31m")
    assert said.splitlines()[-1].startswith("error: the service said \ufffd[31m")
    assert "Traceback" in said
    assert not COMMANDS.search(said)


class Screen(io.StringIO):
    """A terminal that keeps what is written to it."""

    def isatty(self) -> bool:
        return True


def test_a_progress_bar_shows_stages_as_they_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = Screen()
    monkeypatch.setattr("sys.stderr", screen)
    monkeypatch.setattr("ragweft.cli.progress._PATIENCE", 0.0)
    monkeypatch.setenv("COLUMNS", "100")
    until = time.monotonic() + 10
    with Bar() as bar:
        bar(f"[/red] my{EVIL}: indexing", 1, 2)
        while "indexing" not in screen.getvalue() and time.monotonic() < until:
            time.sleep(0.01)
    assert "[/red] my\ufffd[31m" in screen.getvalue()
    assert not RED.search(screen.getvalue())


@pytest.mark.parametrize("text", ["two\r\nlines\r\n", "a\tb\n  c\n"])
def test_line_breaks_and_tabs_are_no_commands(text: str) -> None:
    assert harmless(text) == text.replace("\r", "")


def test_every_control_character_is_replaced() -> None:
    controls = "".join(map(chr, (*range(0x20), *range(0x7F, 0xA0))))
    assert set(harmless(f"{controls}.")) == {"\n", "\t", "\ufffd", "."}
    assert set(printable(f"{controls}.")) == {"\ufffd", " ", "."}
