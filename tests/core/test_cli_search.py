from __future__ import annotations

import json
import os
import re
import time
from pathlib import Path

import pytest
import typer

from cli_runner import FLAT_TOML, Cli, write_recipe
from ragweft.cli.options import Settings
from ragweft.cli.session import guarded
from ragweft.errors import LoadError


def test_a_fresh_folder_is_indexed_and_answers(cli: Cli, docs: Path) -> None:
    ran = cli("search", "how do I rotate a signing key?", "--in", "docs")
    assert ran.code == 0
    assert re.fullmatch(r"indexed 3 files, \d+ chunks in \d+\.\d s\n", ran.err)
    first = ran.out.splitlines()[0]
    assert re.match(r"docs/guide\.md:\d+: \[1\] score [\d.]+ · words #\d+ \(bm25 [\d.]+\)", first)
    assert first.endswith(" · Keys")

    again = cli("search", "how do I rotate a signing key?", "--in", "docs")
    assert again.err == "up to date: 3 files\n"
    assert again.out == ran.out

    (docs / "pudding.rst").write_text("Rice pudding\n============\n\nSimmer the rice in milk.\n")
    before = time.time_ns() - 10**10
    os.utime(docs / "pudding.rst", ns=(before, before))
    changed = cli("search", "simmer rice", "--in", "docs")
    assert re.fullmatch(r"indexed 1 file, 1 chunk in \d+\.\d s \(2 unchanged\)\n", changed.err)
    assert "Simmer the rice in milk." in changed.out


def test_only_the_named_path_is_searched(synced: Cli) -> None:
    assert "pudding.rst" in synced("search", "butter bread custard").out
    inside = synced("search", "butter bread custard", "--in", "docs/src")
    assert inside.code == 0
    assert "pudding.rst" not in inside.out
    both = synced("search", "butter bread custard", "--in", "docs/src", "--in", "docs/pudding.rst")
    assert both.out.startswith("docs/pudding.rst:")


def test_every_line_for_a_pipe_begins_with_its_place(synced: Cli) -> None:
    ran = synced("search", "split a header line at the colon", "-k", "2")
    text = Path("docs/src/server.py").read_text().splitlines()
    assert "\x1b" not in ran.out
    shown = 0
    for line in ran.out.splitlines():
        found = re.match(r"(docs/\S+):(\d+): (.*)", line)
        assert found or not line
        if found and found[1].endswith("server.py") and not found[3].startswith("["):
            assert found[3] == text[int(found[2]) - 1].rstrip()
            shown += 1
    assert shown > 3


def test_json_holds_what_is_printed(synced: Cli) -> None:
    arguments = ("search", "rotate signing key", "-k", "2")
    payload = json.loads(synced(*arguments, "--json").out)
    assert set(payload) == {"query", "hits", "trace", "usage"}
    assert payload["query"] == "rotate signing key"
    assert [hit["rank"] for hit in payload["hits"]] == [1, 2]
    hit = payload["hits"][0]
    assert set(hit) == {
        "rank",
        "id",
        "document",
        "text",
        "context",
        "citation",
        "metadata",
        "score",
        "origins",
        "passage",
    }
    assert set(hit["citation"]) == {"source", "uri", "lines", "place", "headings", "title"}
    assert hit["citation"]["source"] == "docs/guide.md"
    assert hit["document"] == hit["citation"]["uri"] == Path("docs/guide.md").absolute().as_uri()
    assert set(hit["origins"]) <= {"dense", "lexical", "late", "document"}
    assert set(hit["origins"]["lexical"]) == {"rank", "score", "normalised", "share"}
    assert hit["metadata"]["suffix"] == ".md"
    assert {stage["name"] for stage in payload["trace"]["stages"]} >= {"dense", "lexical", "fuse", "hydrate"}
    assert payload["usage"] == {"tokens": 0, "usd": 0.0, "calls": 0, "unpriced": 0, "unanswered": 0}
    plain = synced(*arguments).out
    for hit in payload["hits"]:
        place = f"{hit['citation']['source']}:{hit['passage']['lines'][0]}: [{hit['rank']}]"
        assert place in plain
        assert all(line in plain for line in hit["passage"]["text"].splitlines())


def test_json_with_a_sync_is_still_one_object(cli: Cli) -> None:
    ran = cli("search", "key", "--in", "docs", "--json")
    payload = json.loads(ran.out)
    assert payload["sync"]["added"] == 3
    assert payload["sync"]["failed"] == []


def test_explain_shows_every_opinion_and_the_trace(synced: Cli) -> None:
    out = synced("search", "rotate signing key", "-k", "1", "--explain").out
    assert re.search(r"words     #1 +bm25 [\d.]+ +normalised 1\.00 +share 0\.\d+", out)
    assert re.search(r"chunk [0-9a-f]{32}", out)
    assert re.search(r"^generation 1 · [\d.]+ ms · cache off$", out, re.MULTILINE)
    assert re.search(r"^lexical +[\d.]+ +\d+  bm25$", out, re.MULTILINE)
    assert re.search(r"closeness #1 +maxsim [\d.]+ +normalised 1\.00 +share 0\.\d+", out)
    assert re.search(r"^weights: meaning 0\.3, words 0\.7, closeness 0\.35, document 0\.3$", out, re.MULTILINE)
    assert re.search(r"^because meaning 0\.3 as for any corpus: ", out, re.MULTILINE)
    Path("docs/long.md").write_text(
        "# Tides\n" + "".join(f"\n## Port {n}\n\n" + "The moon pulls. " * 90 for n in range(4))
    )
    lent = synced("search", "the moon pulls at port 2", "--in", "docs", "-k", "3", "--explain").out
    assert re.search(r"document  #1 +best [\d.]+ +normalised [\d.]+ +share 0\.\d+", lent)
    assert not re.search("· (document|closeness)", lent), "the line of reasons stays short"
    trace = json.loads(synced("search", "rotate", "--json").out)["trace"]
    assert (trace["tuning"]["dense_weight"], trace["tuning"]["origin"]) == (0.3, "default")


def test_explain_shows_what_stands_beside_a_chunk_and_what_was_found_only_there(synced: Cli) -> None:
    Path("docs/tides.md").write_text(
        "# Tides of Fundy\n\n" + "Much is to be said. " * 300 + "\n\n## Causes\n\nThe moon pulls.\n"
    )
    beside = r"docs/tides\.md:\d+: context   Tides of Fundy.*"
    out = synced("search", "moon over Fundy tides", "--in", "docs", "-k", "1", "--explain").out
    assert re.search(beside + r"  \(only here: Tides, Fundy\)$", out, re.MULTILINE), out
    own = synced("search", "moon pulls", "--in", "docs", "-k", "1", "--explain").out
    assert re.search(beside + "$", own, re.MULTILINE)
    assert "only here" not in own
    write_recipe(Path("none"), FLAT_TOML + '[context]\nkind = "none"\n')
    none = synced("search", "moon", "--in", "docs", "--index", "none", "-k", "1", "--explain")
    assert re.search(r": context   none$", none.out, re.MULTILINE)


@pytest.mark.parametrize(
    ("extra", "told"),
    [
        (("--min-score", "2"), "no hits: loosen --in, --where or --min-score, or try other words"),
        (("--where", '{"suffix": ".txt"}'), "no hits: loosen --in, --where or --min-score, or try other words"),
    ],
)
def test_no_hits_is_one_helpful_line(synced: Cli, extra: tuple[str, ...], told: str) -> None:
    ran = synced("search", "rotate", *extra)
    assert (ran.code, ran.out, ran.err) == (0, "", told + "\n")


def test_an_empty_index_says_how_to_fill_it(cli: Cli) -> None:
    Path("empty").mkdir()
    ran = cli("search", "rotate", "--in", "empty")
    assert (ran.code, ran.out) == (0, "")
    assert ran.err.splitlines() == [
        "up to date: 0 files",
        "no hits: the index is empty; fill it with  ragweft sync FOLDER",
    ]


def test_where_narrows(synced: Cli) -> None:
    out = synced("search", "rotate key header", "--where", '{"suffix": {"$in": [".py"]}}').out
    assert {line.split(":")[0] for line in out.splitlines() if line} == {"docs/src/server.py"}


@pytest.mark.parametrize(
    ("where", "told"),
    [
        ('{"a": 1 "b": 2}', "(column 9, at '"),
        ('{"a": ', "at its end"),
        ('{"a": 1,\n b: 2}', "line 2 column 2, at 'b: 2}'"),
        ("[1]", "expected a JSON object"),
        ("null", "got null"),
        ('{"a": {"$near": 1}}', "unknown operator '$near' on 'a'"),
        ("[" * 100_000, "not valid JSON"),
    ],
)
def test_a_wrong_filter_is_wrong_usage(cli: Cli, where: str, told: str) -> None:
    ran = cli("search", "x", "--in", "docs", "--where", where)
    assert ran.code == 2
    assert "--where" in ran.err
    assert told in ran.err
    assert not Path(".ragweft/ledger.db").exists(), "nothing was indexed first"


@pytest.mark.parametrize("arguments", [("search", "  "), ("search",), ("search", "x", "-k", "0"), ("look",)])
def test_wrong_usage_exits_with_two(cli: Cli, arguments: tuple[str, ...]) -> None:
    assert cli(*arguments).code == 2


@pytest.mark.parametrize("arguments", [("search", "x"), ("status",), ("show", "x"), ("remove", "x", "--yes")])
def test_a_missing_index_is_one_line_that_says_how_to_make_one(cli: Cli, arguments: tuple[str, ...]) -> None:
    ran = cli(*arguments)
    assert (ran.code, ran.out) == (1, "")
    assert re.fullmatch(
        r"error: .*: there is no index here; make one with +ragweft sync FOLDER --index \.ragweft\n", ran.err
    )


def test_a_mistyped_path_makes_no_index(cli: Cli) -> None:
    ran = cli("search", "x", "--in", "dosc", "--index", "other")
    assert ran.code == 1
    assert ran.err == "error: dosc: there is no such file or folder; check the name\n"
    assert not Path("other").exists()


def test_a_recipe_error_is_one_line(cli: Cli) -> None:
    write_recipe(Path("odd"), "[dense]\nengine = 'fast'\n")
    ran = cli("sync", "docs", "--index", "odd")
    assert ran.code == 1
    assert re.fullmatch(r"error: .*ragweft\.toml line 2: .*'fast'.*\n", ran.err)


def test_where_the_index_is(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("variable", "before", "after"):
        write_recipe(Path(name), '[dense]\nengine = "flat"\n')
    monkeypatch.setenv("RAGWEFT_INDEX", "variable")
    cli("sync", "docs/guide.md")
    cli("--index", "before", "sync", "docs/src")
    cli("--index", "before", "sync", "docs/pudding.rst", "--index", "after")

    def holds(*arguments: str) -> str:
        return str(json.loads(cli(*arguments, "status", "--json").out)["path"])

    assert Path(holds()).name == "variable"
    assert Path(holds("--index", "before")).name == "before"
    assert "server.py" in cli("--index", "before", "search", "timeout").out
    assert "pudding.rst" in cli("search", "butter", "--index", "after").out
    assert not Path(".ragweft/ledger.db").exists()


def test_a_terminal_gets_links_and_marks(synced: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "60")
    out = synced("search", "handle timeout", "-k", "1").out
    uri = re.escape(Path("docs/src/server.py").absolute().as_uri())
    assert re.search(rf"\x1b\]8;id=\d+;{uri}\x1b\\(\x1b\[35m)?docs/src/server\.py:\d+\x1b", out)
    assert re.search(r"\x1b\[1;31m(handleTimeout|settimeout)\x1b\[0m", out)
    bare = re.sub(r"\x1b\]8;.*?\x1b\\|\x1b\[[\d;]*m", "", out)
    assert all(len(line) <= 60 for line in bare.splitlines())
    assert re.search(r"^ +\d+      def handleTimeout\(self", bare, re.MULTILINE)

    monkeypatch.setenv("NO_COLOR", "1")
    plain = synced("search", "handle timeout", "-k", "1").out
    assert not re.search(r"\x1b\[[\d;]*3\dm", plain)
    assert bare == re.sub(r"\x1b\]8;.*?\x1b\\|\x1b\[[\d;]*m", "", plain)


def test_a_long_path_is_not_cut_and_headings_get_their_own_line(
    cli: Cli, docs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    deep = docs / ("deep" * 10) / ("deeper" * 8)
    deep.mkdir(parents=True)
    (deep / "notes.md").write_text("# Zeppelins\n\n## Mooring\n\nA zeppelin is moored to a mast.\n")
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "60")
    out = re.sub(r"\x1b\]8;.*?\x1b\\|\x1b\[[\d;]*m", "", cli("search", "zeppelin", "--in", "docs").out)
    first, second, *_ = out.splitlines()
    assert re.fullmatch(rf"1  docs/{'deep' * 10}/{'deeper' * 8}/notes\.md:\d", first)
    assert second in ("   Zeppelins › Mooring", "   Zeppelins")


def test_the_unexpected_is_one_line_and_a_traceback_only_on_request(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(typer.Exit) as left, guarded(Settings()):
        raise KeyError("lost\nand gone")
    assert left.value.exit_code == 1
    assert capsys.readouterr().err == "error: KeyError: 'lost\\nand gone'; run with --debug for the traceback\n"
    with pytest.raises(typer.Exit), guarded(Settings(debug=True)):
        raise LoadError("a.txt: is gone\nfor good")
    err = capsys.readouterr().err
    assert err.startswith("Traceback (most recent call last)")
    assert err.endswith("error: a.txt: is gone for good\n")


@pytest.mark.parametrize("arguments", [("--debug", "search", "x"), ("search", "x", "--debug")])
def test_debug_may_stand_before_or_after_the_verb(cli: Cli, arguments: tuple[str, ...]) -> None:
    ran = cli(*arguments)
    assert ran.code == 1
    assert "Traceback" in ran.err


def test_version(cli: Cli) -> None:
    assert re.fullmatch(r"ragweft \d+\.\d+\.\d+\n", cli("--version").out)
