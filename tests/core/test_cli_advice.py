"""What the verbs say when something was meant otherwise, and how they are listed."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from cli_runner import FLAT_TOML, Cli, write_recipe
from ragweft import Document, Index
from ragweft.cli import build_app


@pytest.mark.parametrize("before", [False, True], ids=["no index", "an index"])
@pytest.mark.parametrize("verb", [("sync",), ("search", "words", "--in")])
def test_web_addresses_are_loaded_by_programs(cli: Cli, verb: tuple[str, ...], before: bool) -> None:
    if before:
        assert cli("sync", "docs").code == 0
    ran = cli(*verb, "https://docs.example.org/some//page?x=1")
    assert ran.code == 1
    assert ran.err.startswith("error: https://docs.example.org/some/page?x=1: web pages are not synced; ")
    assert "load_url" in ran.err


def test_only_what_is_known_can_be_forgotten(synced: Cli, docs: Path) -> None:
    unknown = synced("sync", "nothere")
    assert unknown.err.endswith("nothere: there is no such file or folder; check the name\n")
    (docs / "guide.md").unlink()
    known = synced("sync", "docs/guide.md")
    assert "check the name, or forget it with  ragweft remove " in known.err


def test_a_name_that_is_an_id_is_said_to_be_one(synced: Cli) -> None:
    with Index.open(".ragweft") as index:
        index.add([Document(id=name, text="Some words.") for name in ("faq-7", "faq 8")])
    ran = synced("remove", "faq-7", "faq 8", "--yes")
    hint = "documents of that id are removed with  ragweft remove --id 'faq 8' --id faq-7"
    assert ran.err == f"nothing removed: no document of the index matches; {hint}\n"
    assert synced("remove", "faq-9", "--yes").err == "nothing removed: no document of the index matches\n"
    assert synced("remove", "--id", "faq-7", "--yes").code == 0


def test_a_reason_does_not_name_the_file_again(cli: Cli, docs: Path) -> None:
    (docs / "broken.txt").write_bytes(b"text\0" * 9)
    (docs / "new\nline.txt").write_bytes(b"text\0" * 9)
    ran = cli("sync", "docs", "--json")
    failed = json.loads(ran.out)["failed"]
    assert len(failed) == 2
    for failure in failed:
        assert failure["source"].endswith(".txt")
        assert failure["reason"].startswith("looks binary"), failure
    said = cli("sync", "docs").err.splitlines()
    assert all(line.count("docs/") == 1 for line in said), said


def test_reindexing_says_what_changed(synced: Cli) -> None:
    done = synced("reindex", "context.kind=none", "chunking.size=300", "retrieval.k=7")
    assert done.code == 0, done.err
    changed = re.findall(r"^(?:changed)? +(\S+: .*→.*)$", done.out, re.MULTILINE)
    assert changed == ["chunking.size: 480 → 300", "context: outline → none", "retrieval.k: 5 → 7"]
    assert "static:" not in done.out
    assert "undo " in done.out
    nothing = synced("reindex")
    assert nothing.out == "nothing to do: what is stored is as the recipe says\n"
    search = synced("reindex", "retrieval.k=8", "retrieval.late_weight=0.25")
    assert search.out == (
        "ragweft.toml now says retrieval.late_weight: 0.5 → 0.25, retrieval.k: 7 → 8; "
        "nothing that is stored had to change\n"
    )
    toml = Path(".ragweft/ragweft.toml")
    toml.write_text(toml.read_text().replace("size = 300", "size = 320"))
    edited = synced("reindex")
    assert re.search(r"^changed +to what ragweft\.toml says$", edited.out, re.MULTILINE)
    assert "undo" not in edited.out, "nobody knows what it said before"


def test_a_broken_recipe_is_replaced_by_one_that_is_named(synced: Cli) -> None:
    Path(".ragweft/ragweft.toml").write_text("nonsense")
    assert synced("reindex").code == 1
    assert synced("reindex", "chunking.size=300").code == 1
    write_recipe(Path("other"), FLAT_TOML)
    assert synced("reindex", "--recipe", "other/ragweft.toml").code == 0
    assert synced("status").code == 0


def test_help_speaks_to_people(cli: Cli) -> None:
    listed = cli("--help").out
    assert "..." not in listed.partition("Commands:")[2], "every verb is told in a whole sentence"
    commands = re.findall(r"^  ([a-z-]+)  +", listed.partition("Commands:")[2], re.MULTILINE)
    assert len(commands) > 10
    for verb in (*([name] for name in commands), ["models", "check"]):
        said = cli(*verb, "--help").out
        arguments = said.partition("Arguments:")[2].partition("Options:")[0]
        assert "<" not in arguments, said
        assert "list[" not in said
    assert "check  Try a model and compare it with what the registry says." in cli("models", "--help").out
    assert "PATH  Files and folders." in cli("sync", "--help").out
    assert build_app().info.name == "ragweft"


@pytest.mark.parametrize(
    ("titled", "said"),
    [
        (0, "no title, docstring or comment of this one makes a question"),
        (1, "only 1 title, docstring or comment of this one makes a question"),
        (2, "only 2 titles, docstrings and comments of this one make a question"),
    ],
)
def test_status_counts_as_people_do(cli: Cli, titled: int, said: str) -> None:
    plain = [Document(id=f"p{n}", text=f"words{n} of plain{n} text{n} only{n}") for n in range(80)]
    sections = [
        Document(
            id=f"t{n}",
            text=f"# Turning wheel{n} around axle{n}\n\nA mill{n} grinds flour{n} by day{n} and by night{n}, always.\n",
            format="markdown",
        )
        for n in range(titled)
    ]
    with Index.open(".ragweft") as index:
        index.add([*plain, *sections])
    shown = " ".join(cli("status").out.split())
    assert re.search(rf"as for any corpus: {said}, \d+ are needed", shown), shown
