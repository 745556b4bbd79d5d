"""A dry run leaves nothing behind that decides what comes after it, and says what would stand in the way."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from context_index import chat_double as chat_double
from context_index import filled_port as filled_port
from context_index import keyed_cli as keyed_cli
from context_index import spec
from ragweft import Index

if TYPE_CHECKING:
    from cli_runner import Cli
    from provider_double.chat import ChatDouble

LLM = "default,dense.engine=flat,context.kind=llm"


def test_of_a_new_index_nothing_is_kept(cli: Cli, double: ChatDouble, port: Path, tmp_path: Path) -> None:
    before = sorted(tmp_path.rglob("*"))
    ran = cli("sync", str(port), "--index", "kb", "--recipe", spec(double), "--dry-run", "--json")
    assert (ran.code, ran.err) == (0, "")
    assert json.loads(ran.out)["contexts"] > 0
    assert (
        cli("sync", str(port), "--index", "kb", "--recipe", "default,chunking.size=200", "--dry-run").code == 0
    )
    assert sorted(tmp_path.rglob("*")) == before
    # So the next sync goes by its own words.
    assert cli("sync", str(port), "--index", "kb").code == 0
    with Index.open("kb") as index:
        assert (index.recipe.context.kind, index.recipe.chunking.size) == ("outline", 480)
    assert double.billed == []


def test_the_recipe_of_a_folder_is_left_as_it_is(cli: Cli, double: ChatDouble, port: Path) -> None:
    Path("kb").mkdir()
    Path("kb/ragweft.toml").write_text('[dense]\nengine = "flat"\n[chunking]\nsize = 200\n')
    own = json.loads(cli("sync", str(port), "--index", "kb", "--dry-run", "--json").out)
    other = json.loads(
        cli("sync", str(port), "--index", "kb", "--recipe", spec(double), "--dry-run", "--json").out
    )
    assert own["chunks"] > other["chunks"] > 0, "each by its recipe"
    assert [file.name for file in Path("kb").iterdir()] == ["ragweft.toml"]
    assert "size = 200" in Path("kb/ragweft.toml").read_text()


def test_what_was_paid_before_anything_was_committed_is_not_priced_again(
    cli: Cli, double: ChatDouble, port: Path
) -> None:
    ran = cli("sync", str(port), "--index", "kb", "--recipe", spec(double), "--max-usd", "0.002")
    assert ran.code == 1
    told = Path("kb/ragweft.toml").read_text()
    paid = len(double.billed)
    assert paid > 0
    with Index.open("kb") as index:
        assert index.status().generation == 0
    planned = json.loads(
        cli("sync", str(port), "--index", "kb", "--recipe", spec(double), "--dry-run", "--json").out
    )
    other = "default,dense.engine=flat,chunking.size=200"
    assert cli("sync", str(port), "--index", "kb", "--recipe", other, "--dry-run").code == 0
    assert Path("kb/ragweft.toml").read_text() == told
    assert cli("sync", str(port), "--index", "kb").code == 0
    assert len(double.billed) == paid + planned["contexts"]


def test_an_index_that_is_there_gets_no_file_for_contexts(cli: Cli, double: ChatDouble, port: Path) -> None:
    assert cli("sync", str(port), "--index", "kb").code == 0
    change = ("context.kind=llm", "context.model=anthropic:claude-haiku-5-5")
    assert cli("reindex", *change, "--index", "kb", "--dry-run").code == 0
    assert not Path("kb/contexts.db").exists()


def test_a_missing_key_is_said_beside_the_price(cli: Cli, port: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ANTHROPIC_API_KEY")
    recipe = f"{LLM},context.model=anthropic:claude-haiku-5-5"
    ran = cli("sync", str(port), "--index", "kb", "--recipe", recipe, "--dry-run")
    assert ran.code == 0
    assert ran.err == "warning: anthropic needs a key: set ANTHROPIC_API_KEY in the environment\n"
    assert re.search(r"^cost +about \$", ran.out, re.MULTILINE)
    as_json = json.loads(cli("sync", str(port), "--index", "kb", "--recipe", recipe, "--dry-run", "--json").out)
    assert as_json["warnings"] == ["anthropic needs a key: set ANTHROPIC_API_KEY in the environment"]


def test_a_missing_package_is_said_beside_the_price(
    cli: Cli, double: ChatDouble, port: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "anthropic", None)
    ran = cli("sync", str(port), "--index", "kb", "--recipe", spec(double), "--dry-run")
    assert ran.code == 0
    assert ran.err == "warning: anthropic is not installed: run  pip install 'ragweft[anthropic]'\n"
    assert re.search(r"^cost +about \$", ran.out, re.MULTILINE)


def test_an_embedders_missing_key_too(cli: Cli, port: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CO_API_KEY")
    recipe = "default,dense.engine=flat,embedding.model=cohere:embed-v4.0"
    ran = cli("sync", str(port), "--index", "kb", "--recipe", recipe, "--dry-run")
    assert ran.code == 0
    assert re.fullmatch(
        r"warning: cohere needs a key: set CO_API_KEY or COHERE_API_KEY in the environment\n", ran.err
    ), ran.err


@pytest.mark.parametrize(
    ("model", "says"),
    [
        ("anthropic:claude-haiku-55", "did you mean anthropic:claude-haiku-5-5?"),
        ("google:flash", "known: google:gemini-3.5-flash-lite, "),
        ("mistral:mistral-tiny", "set [context] usd_input and usd_output"),
    ],
)
def test_a_name_nobody_knows_is_asked_about(
    cli: Cli, port: Path, model: str, says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("GEMINI_API_KEY", "MISTRAL_API_KEY"):
        monkeypatch.setenv(name, "sk-test-0123456789")
    ran = cli("sync", str(port), "--index", "kb", "--recipe", f"{LLM},context.model={model}", "--dry-run")
    assert ran.code == 0
    (told,) = [line for line in ran.err.splitlines() if "price" in line]
    assert told.startswith(f"warning: {model}: its price is not known")
    assert says in told


def test_a_file_that_cannot_be_read_shows_in_the_status_as_in_a_sync(cli: Cli, port: Path) -> None:
    (port / "broken.md").write_bytes(b"\xff\xfe\x00 no text \x80\x81" * 9)
    planned = cli("sync", str(port), "--index", "kb", "--dry-run")
    ran = cli("sync", str(port), "--index", "kb")
    assert planned.code == ran.code
    (port / "broken.md").unlink()
    (port / "gone.pdf").write_bytes(b"%PDF-1.7 and no more")
    planned, ran = cli("sync", str(port), "--index", "kb", "--dry-run"), cli("sync", str(port), "--index", "kb")
    assert planned.code == ran.code == 3
    assert "failed: " in planned.err


@pytest.mark.parametrize(
    "changes", ["context.model=anthropic:claude-haiku-5-5", "context.kind=none,context.batch=true"]
)
def test_settings_that_would_be_ignored_are_refused(cli: Cli, port: Path, changes: str) -> None:
    ran = cli("sync", str(port), "--index", "kb", "--recipe", f"default,{changes}")
    assert (ran.code, ran.err.count("\n")) == (1, 1)
    assert "add context.kind=llm" in ran.err
    assert not Path("kb").exists()
    assert cli("sync", str(port), "--index", "kb").code == 0
    ran = cli("reindex", *changes.split(","), "--index", "kb")
    assert (ran.code, ran.err.count("\n")) == (1, 1)
    assert "add context.kind=llm" in ran.err
