from __future__ import annotations

import json
import os
import pty
import re
import select
import shutil
import sys
import time
from dataclasses import fields
from pathlib import Path

import pytest

from cli_runner import FLAT_TOML, Cli, write_recipe
from ragweft.cli.progress import Bar
from ragweft.cli.report import summary
from ragweft.reports import Failure, SyncReport
from ragweft.types import Tuning


def test_sync_reports_every_count(cli: Cli, docs: Path) -> None:
    (docs / "picture.png").write_bytes(b"\x89PNG")
    ran = cli("sync", "docs")
    assert ran.code == 0
    assert ran.err == ""
    counts = dict(line.split(maxsplit=1) for line in ran.out.splitlines())
    assert counts["added"] == "3"
    assert counts["skipped"] == "1  (unsupported type 1)"
    assert set(counts) == {
        "added",
        "updated",
        "removed",
        "unchanged",
        "failed",
        "skipped",
        "chunks",
        "seconds",
    }
    (docs / "guide.md").unlink()
    report = json.loads(cli("sync", "docs", "--json").out)
    assert (report["added"], report["removed"], report["unchanged"]) == (0, 1, 2)
    assert report["skipped"] == {"unsupported type": 1}
    assert report["generation"] == 2


def test_files_that_cannot_be_read_are_named_and_exit_with_three(cli: Cli, docs: Path) -> None:
    write_recipe(Path(".ragweft"), FLAT_TOML + "[loading]\nmax_bytes = 2000\n")
    for number in range(12):
        (docs / f"large{number:02d}.txt").write_text("words " * 500)
    ran = cli("sync", "docs")
    assert ran.code == 3
    lines = ran.err.splitlines()
    assert len(lines) == 11
    assert re.fullmatch(r"failed: .*large00\.txt: larger than 2,000 bytes; .*", lines[0])
    assert lines[-1] == "and 2 more; --json lists them all"
    as_json = cli("sync", "docs", "--json")
    assert as_json.code == 3
    assert len(json.loads(as_json.out)["failed"]) == 12
    assert as_json.err == ""
    searched = cli("search", "rotate signing key", "--in", "docs", "-k", "1")
    assert searched.code == 3
    assert searched.out.startswith("docs/guide.md:")
    assert searched.err.splitlines()[0] == "up to date: 3 files (12 failed)"


def test_a_preset_makes_a_new_index(cli: Cli) -> None:
    assert cli("sync", "docs", "--index", "kb", "--recipe", "nonsense").code == 1
    ran = cli("sync", "docs", "--index", "kb2", "--recipe", "contextual-retrieval", "--json")
    assert ran.code == 0
    assert 'strategy = "recursive"' in Path("kb2/ragweft.toml").read_text()


def test_watching_needs_its_extra_before_anything_is_done(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "watchfiles", None)
    ran = cli("sync", "docs", "--watch")
    assert (ran.code, ran.out) == (1, "")
    assert ran.err == "error: watchfiles is not installed: run  pip install 'ragweft[watch]'\n"
    assert not Path(".ragweft/ledger.db").exists()


@pytest.mark.parametrize(
    ("report", "told"),
    [
        (SyncReport(added=11, updated=1, chunks=87, seconds=0.93), "indexed 12 files, 87 chunks in 0.9 s"),
        (
            SyncReport(added=1, chunks=1, removed=2, unchanged=1_500, skipped={"hidden": 1, "ignored": 2}),
            "indexed 1 file, 1 chunk in 0.0 s (1,500 unchanged, 2 removed, 3 skipped)",
        ),
        (SyncReport(unchanged=12), "up to date: 12 files"),
        (SyncReport(removed=2, unchanged=3), "removed 2 files in 0.0 s (3 unchanged)"),
        (SyncReport(failed=(Failure(source="a", reason="b"),)), "up to date: 0 files (1 failed)"),
    ],
)
def test_a_sync_in_one_line(report: SyncReport, told: str) -> None:
    assert summary(report) == told


def test_status_for_people_and_programs(synced: Cli) -> None:
    out = synced("status").out
    assert re.search(r"^documents +3$", out, re.MULTILINE)
    assert re.search(r"^size +[\d.]+ (kB|MB)$", out, re.MULTILINE)
    assert re.search(r"^followers +flat +level  generation 1$", out, re.MULTILINE)
    assert re.search(r"^ +lexical  level  generation 1$", out, re.MULTILINE)
    assert re.search(r"^spent +nothing$", out, re.MULTILINE)
    assert re.search(r"^weights +meaning 0\.3, words 0\.7, closeness 0\.35, document 0\.3$", out, re.MULTILINE)
    assert re.search(r"^ +because meaning 0\.3 as for any corpus", out, re.MULTILINE)
    values = out.split("weights", 1)[1].split("followers", 1)[0].splitlines()
    assert all(len(line) <= 80 for line in values)
    payload = json.loads(synced("status", "--json").out)
    assert payload["documents"] == 3
    assert payload["tuning"]["origin"] == "default"
    assert set(payload["tuning"]) == {field.name for field in fields(Tuning)}
    assert payload["pipeline"].startswith("Hybrid(dense(static:")
    assert [state["name"] for state in payload["followers"]] == ["flat", "lexical"]


def test_verify_finds_and_mends(synced: Cli) -> None:
    sound = synced("verify")
    assert sound.code == 0
    assert sound.out.endswith("ok: the ledger is sound and everything agrees with it\n")
    shutil.rmtree(".ragweft/flat")
    found = synced("verify", "--no-repair", "--json")
    assert found.code == 1
    payload = json.loads(found.out)
    assert payload["ok"] is False
    assert payload["mended"] == []
    assert payload["findings"][0].startswith("flat: ")
    assert "run  ragweft verify" in synced("verify", "--no-repair").out
    mended = synced("verify")
    assert mended.code == 0
    assert "mended: flat\n" in mended.out
    assert synced("verify", "--no-repair").code == 0


def test_show_finds_a_chunk_by_any_of_its_names(synced: Cli) -> None:
    hit = json.loads(synced("search", "split a header line", "-k", "1", "--json").out)["hits"][0]
    first, last = hit["citation"]["lines"]
    source = Path("docs/src/server.py").read_text().splitlines()
    for name in (hit["id"], f"docs/src/server.py:{last}"):
        payload = json.loads(synced("show", name, "--json").out)
        assert hit["id"] in [chunk["id"] for chunk in payload["chunks"]]
    out = synced("show", hit["id"]).out
    assert f"docs/src/server.py:{first}: {source[first - 1]}\n" in out
    assert f"docs/src/server.py:{last}: {source[last - 1]}\n" in out
    for name in ("docs/guide.md", hit["citation"]["uri"].replace("src/server.py", "guide.md")):
        payload = json.loads(synced("show", name, "--json").out)
        assert [chunk["citation"]["source"] for chunk in payload["chunks"]] == ["docs/guide.md"] * len(
            payload["chunks"]
        )
        assert "Run `vault rotate --now`" in synced("show", name).out


def test_show_on_a_terminal_has_line_numbers_and_context(synced: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    out = re.sub(r"\x1b\]8;.*?\x1b\\|\x1b\[[\d;]*m", "", synced("show", "docs/pudding.rst").out)
    assert re.search(r"^chunk [0-9a-f]{32}$", out, re.MULTILINE)
    assert re.search(r"^context: .*pudding", out, re.MULTILINE)
    assert re.search(r"^4  Butter the bread", out, re.MULTILINE)


@pytest.mark.parametrize("name", ["nothing", "docs/none.md", "docs/guide.md:9999"])
def test_show_says_what_is_not_there(synced: Cli, name: str) -> None:
    ran = synced("show", name)
    assert (ran.code, ran.out) == (1, "")
    assert ran.err.startswith(f"error: {name}: no chunk or document of that name in ")


def test_an_empty_document_has_no_chunks(cli: Cli, docs: Path) -> None:
    (docs / "nothing.md").write_text("")
    cli("sync", "docs")
    assert cli("show", "docs/nothing.md").out == "no chunks: the document is empty\n"


def test_remove_by_place_by_id_and_by_filter(synced: Cli) -> None:
    assert synced("remove", "docs/src").code == 2, "nobody to ask"
    gone = synced("remove", "docs/src", "--yes")
    assert (gone.code, gone.out.split(" in ")[0]) == (0, "removed 1 document")
    again = synced("remove", "docs/src", "--yes")
    assert (again.code, again.out) == (0, "")
    assert again.err == "nothing removed: no document of the index matches\n"
    uri = Path("docs/pudding.rst").absolute().as_uri()
    assert json.loads(synced("remove", "--id", uri, "--yes", "--json").out)["removed"] == 1
    assert json.loads(synced("remove", "--where", '{"suffix": ".md"}', "-y", "--json").out)["removed"] == 1
    assert json.loads(synced("status", "--json").out)["documents"] == 0


@pytest.mark.parametrize("arguments", [("remove", "--yes"), ("remove", "--where", "{}", "--yes")])
def test_remove_wants_something_named(synced: Cli, arguments: tuple[str, ...]) -> None:
    assert synced(*arguments).code == 2
    assert json.loads(synced("status", "--json").out)["documents"] == 3


@pytest.mark.skipif(sys.platform == "win32", reason="pseudo terminals are Unix's")
def test_the_bar_shows_how_far_long_work_is_and_clears_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    reader, writer = pty.openpty()
    monkeypatch.setenv("TERM", "xterm-256color")
    with os.fdopen(writer, "w") as terminal, monkeypatch.context() as patched:
        patched.setattr(sys, "stderr", terminal)
        with Bar() as bar:
            bar("indexing", 30, 120)
            time.sleep(1.0)
        terminal.flush()
        seen = ""
        while select.select([reader], [], [], 0.3)[0]:
            seen += os.read(reader, 100_000).decode()
    os.close(reader)
    assert "indexing" in seen
    assert "30/120" in seen
    assert seen.rstrip().endswith("\x1b[2K"), "the last thing written clears the line"


def test_there_is_no_bar_where_nobody_looks(capsys: pytest.CaptureFixture[str]) -> None:
    with Bar() as bar:
        bar("indexing", 1, 2)
        time.sleep(0.6)
    assert capsys.readouterr().err == ""
