"""`ragweft cache`, and what `search` and `status` tell of it."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from cli_runner import FLAT_TOML, ROOT, Cli, environment, write_recipe
from ragweft import Index
from ragweft.caching.standard import CONFIDENCE, TARGET
from ragweft.caching.values import Cost
from ragweft.cli.cache_pairs import read_pairs
from ragweft.cli.cache_stats import percent
from ragweft.errors import LoadError
from ragweft.recipe import Cache

if TYPE_CHECKING:
    from ragweft.types import Json

QUERY = "how do I rotate a signing key"
NEAR = "how do I rotate the signing key"
PAGE = (ROOT / "docs" / "caching.md").read_text()
COMMANDS = re.findall(r"^\$ ragweft (.*)$", PAGE, re.MULTILINE)
VERBS = ("stats", "explain", "calibrate", "clear")


@pytest.fixture
def kept(synced: Cli) -> Cli:
    """An index with two answers of tenant a, and one each of two others."""
    with Index.open(".ragweft") as index:
        cache = index.cache(scope={"model": "m"})
        found = index.search(QUERY)
        scopes: list[dict[str, Json]] = [{"tenant": "a"}, {"tenant": "5"}, {"tenant": 5}]
        for scope in scopes:
            assert cache.store(
                QUERY, "vault rotate", evidence=found, scope=scope, cost=Cost(ms=2_500, usd=0.01)
            )
        other = index.search("bread and butter pudding")
        assert cache.store("how long is the pudding baked", ["40 min"], evidence=other, scope={"tenant": "a"})
        assert cache.lookup(QUERY, scope={"tenant": "a"}) is not None
        assert cache.lookup("how is rice simmered", scope={"tenant": "a"}) is None
    return synced


def stats(cli: Cli) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(cli("cache", "stats", "--json").out)["cache"]
    return found


def pairs(count: int = 60, *, same: int = 20) -> list[dict[str, Any]]:
    """Near-misses that differ in one word, and questions put in two ways."""
    things = ["key", "token", "card", "mail", "file", "group", "role", "plan", "bill", "team"]
    verbs = ["rotate", "delete", "rename", "export", "share", "print", "merge"]
    asked = [f"how do I {verb} my {thing}" for verb in verbs for thing in things]
    rows: list[dict[str, Any]] = [{"a": asked[n], "b": asked[n + 1], "label": 0} for n in range(count)]
    return rows + [{"a": asked[n], "b": f"{asked[n].capitalize()}, please?", "label": 1} for n in range(same)]


def write_pairs(path: Path, rows: list[dict[str, Any]]) -> None:
    if path.suffix == ".jsonl":
        path.write_text("\n".join(map(json.dumps, rows)) + "\n")
        return
    comma = "\t" if path.suffix == ".tsv" else ","
    lines = [comma.join((f'"{row["a"]}"', f'"{row["b"]}"', str(row["label"]))) for row in rows]
    path.write_text("\n".join([comma.join(("a", "b", "label")), *lines]))


@pytest.mark.parametrize("verb", [("stats",), ("explain", "a key"), ("clear", "--yes")])
def test_an_index_without_a_cache_says_so_and_gets_none(synced: Cli, verb: tuple[str, ...]) -> None:
    ran = synced("cache", *verb)
    assert (ran.code, ran.out) == (0, "")
    assert ran.err.startswith(("nothing is kept here yet: a program stores answers", "nothing to forget"))
    assert not Path(".ragweft/cache.db").exists()
    assert synced("cache", *verb, "--json").code == 0
    assert not re.search("^cache", synced("status").out, re.MULTILINE)
    assert json.loads(synced("status", "--json").out)["cache"] is None
    assert json.loads(synced("cache", "stats", "--json").out) == {"cache": None}


def test_stats_for_people(kept: Cli) -> None:
    out = kept("cache", "stats").out
    assert re.search(r"^entries +4 of 100,000 at most$", out, re.MULTILINE)
    assert re.search(r"^size +\d+ kB of 537 MB at most$", out, re.MULTILINE)
    assert re.search(r"^lookups +2$", out, re.MULTILINE)
    assert re.search(r"^  exact +1 +50 %  the same words$", out, re.MULTILINE)
    assert re.search(r"^  missed +1 +50 %$", out, re.MULTILINE)
    assert re.search(r"^saved +2\.5 s, 0 tokens, \$0\.01$", out, re.MULTILINE)
    assert re.search(
        r"^served from +cosine of the vectors 0\.950 or more\n +by default; learn", out, re.MULTILINE
    )
    assert re.search(
        r"^wrong hits +not known; .*\n +or have it bounded by  ragweft cache calibrate$", out, re.MULTILINE
    )
    assert all(len(line) <= 80 for line in out.splitlines())
    assert re.search(r"^cache +4 entries, \d+ kB, 50 % of 2 lookups served$", kept("status").out, re.MULTILINE)


def test_stats_for_programs(kept: Cli) -> None:
    found = stats(kept)
    looks = found["answers"]
    assert (found["entries"], looks["exact"], looks["semantic"], looks["misses"]) == (4, 1, 0, 1)
    assert (looks["total"], looks["hit_rate"], found["searches"]["total"]) == (2, 0.5, 0)
    assert found["saved"] == {"ms": 2500.0, "tokens": 0, "usd": 0.01}
    assert found["standard"]["threshold"] == 0.95
    assert found["standard"]["semantic"] is True
    assert found["wrong_hits"] is None
    assert json.loads(kept("status", "--json").out)["cache"]["entries"] == 4


def test_what_went_and_what_people_said(kept: Cli, docs: Path) -> None:
    with Index.open(".ragweft") as index:
        cache = index.cache(scope={"model": "m"})
        for ok in (True, True, False):
            hit = cache.lookup(QUERY, scope={"tenant": "5"})
            assert hit is not None
            cache.feedback(hit, ok=ok)
        assert not cache.store("a question", "an answer", evidence=None)
        (docs / "guide.md").write_text("# Keys\n\nKeys are gone.\n")
        index.sync("docs")
        assert cache.lookup(QUERY, scope={"tenant": "a"}) is None
    found = stats(kept)
    assert found["dropped"] == {"feedback": 1, "stale, evidence": 1}
    assert found["refused"] == {"no evidence": 1}
    wrong = found["wrong_hits"]
    assert (wrong["basis"], wrong["wrong"], wrong["of"]) == ("feedback", 1, 3)
    assert wrong["low"] < 1 / 3 < wrong["high"]
    out = kept("cache", "stats").out
    assert re.search(
        r"^dropped +1  told to be wrong\n +1  a passage it rests on was changed", out, re.MULTILINE
    )
    assert re.search(r"^not kept +1  without the search results they rest on$", out, re.MULTILINE)
    assert re.search(
        r"^wrong hits +33 % of those judged, 1 of 3\n +0\.84 % to 91 % with 95 %", out, re.MULTILINE
    )


def test_explaining_goes_through_every_scope_and_names_it(kept: Cli) -> None:
    out = kept("cache", "explain", *QUERY.split()).out
    assert "answer, model=m, tenant=a  (2 entries)\n  hit, exact: the same words, " in out
    assert '\nanswer, model=m, tenant="5"  (1 entry)\n  hit, exact' in out
    assert "\nanswer, model=m, tenant=5  (1 entry)\n  hit, exact" in out
    assert "    served  vault rotate\n" in out
    assert all(len(line) <= 80 for line in out.splitlines())
    assert "\n\nServed from: cosine of the vectors 0.950 or more\n" in out
    assert out.endswith(" by default; learn your own with  ragweft cache calibrate\n")
    assert stats(kept)["answers"]["total"] == 2, "nothing is counted"


def test_explaining_says_what_is_near_and_why_it_is_passed_over(kept: Cli) -> None:
    ran = kept(
        "cache", "explain", "how do I not rotate a signing key", "--scope", "tenant=a", "--kind", "answer"
    )
    first, why, near, reason, *_ = ran.out.splitlines()
    assert first == "answer, model=m, tenant=a  (2 entries)"
    assert why == "  miss: nothing near enough that asks the same"
    assert re.fullmatch(rf"  0\.9\d\d  {QUERY}", near)
    assert "negation: denied against affirmed" in reason
    found = json.loads(kept("cache", "explain", NEAR, "--scope", "tenant=a", "--json").out)
    (scope,) = found["scopes"]
    assert (scope["kind"], scope["scope"], scope["entries"]) == ("answer", {"model": "m", "tenant": "a"}, 2)
    assert (scope["hit"]["level"], scope["hit"]["answer"]) == ("semantic", "vault rotate")
    assert (found["query"], found["not_looked_at"], found["former_entries"]) == (NEAR, 0, 0)
    assert f"    asked   {QUERY}\n" in kept("cache", "explain", NEAR, "--scope", "tenant=a").out
    nowhere = kept("cache", "explain", NEAR, "--scope", "tenant=z")
    assert (nowhere.code, nowhere.out) == (0, "")
    assert nowhere.err.startswith("nothing is kept there; there is something in: answer, model=m, tenant=a; ")


def test_entries_of_what_the_index_was_before_are_named_and_can_be_cleared(kept: Cli) -> None:
    write_recipe(Path(".ragweft"), FLAT_TOML + "[retrieval]\npool = 40\n")
    ran = kept("cache", "explain", QUERY)
    assert (ran.out, ran.code) == ("", 0)
    assert ran.err == "4 entries are of what the index was before; only  ragweft cache clear  still sees them\n"
    assert kept("cache", "clear", "--yes").out == "forgot 4 entries\n"


def test_clearing_by_scope(kept: Cli) -> None:
    assert json.loads(kept("cache", "clear", "--scope", 'tenant="5"', "--yes", "--json").out) == {"cleared": 1}
    assert kept("cache", "clear", "--scope", "tenant=a", "--kind", "results", "--yes").out == ""
    assert (
        kept("cache", "clear", "--scope", "tenant=a", "--scope", "model=m", "--yes").out == "forgot 2 entries\n"
    )
    assert kept("cache", "clear", "--scope", "tenant=5", "--yes").out == "forgot 1 entry\n"
    assert kept("cache", "clear", "--yes").err == "nothing to forget: the cache is empty\n"
    assert stats(kept)["dropped"] == {"cleared": 4}


def test_a_number_and_its_text_are_both_meant_unless_quoted(kept: Cli) -> None:
    assert kept("cache", "clear", "--scope", "tenant=5", "--yes").out == "forgot 2 entries\n"


def test_clearing_asks_first(kept: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    ran = kept("cache", "clear")
    assert ran.code == 2
    assert "add --yes" in ran.err
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    asked: list[str] = []

    def refuse(text: str, **_: object) -> bool:
        asked.append(text)
        return False

    monkeypatch.setattr("typer.confirm", refuse)
    ran = kept("cache", "clear")
    assert (ran.code, ran.out, ran.err) == (0, "", "nothing forgotten\n")
    assert asked == ["Forget 4 entries of 3 scopes?"]
    assert stats(kept)["entries"] == 4


def test_clearing_what_rests_on_a_file(kept: Cli) -> None:
    ran = kept("cache", "clear", "--source", "docs/pudding.rst", "--yes", "--json")
    assert ran.code == 0, ran.err
    assert json.loads(ran.out)["cleared"] >= 1
    left = kept("cache", "explain", "how long is the pudding baked", "--scope", "tenant=a").out
    assert "hit, exact" not in left
    assert kept("cache", "clear", "--source", "docs/nothere.md", "--yes").err.startswith("nothing to forget")
    assert kept("cache", "clear", "--source", "docs", "--scope", "tenant=a", "--yes").code == 2


@pytest.mark.parametrize("scope", ["tenant", "=a"])
def test_a_scope_is_a_name_and_a_value(kept: Cli, scope: str) -> None:
    ran = kept("cache", "clear", "--scope", scope, "--yes")
    assert ran.code == 2
    assert "write NAME=VALUE" in ran.err


@pytest.mark.parametrize("name", ["pairs.jsonl", "pairs.csv", "pairs.tsv"])
def test_pairs_are_read_from_lines_and_from_tables(tmp_path: Path, name: str) -> None:
    write_pairs(tmp_path / name, pairs())
    assert [(pair.asked, pair.other, pair.same) for pair in read_pairs(tmp_path / name)] == [
        (row["a"], row["b"], bool(row["label"])) for row in pairs()
    ]


def test_calibrating_by_labelled_pairs(synced: Cli) -> None:
    write_pairs(Path("pairs.csv"), pairs())
    ran = synced("cache", "calibrate", "--pairs", "pairs.csv", "--target", "0.05", "--json")
    assert ran.code == 0, ran.err
    found = json.loads(ran.out)
    assert (found["near_misses"], found["paraphrases"], found["target"]) == (60, 20, 0.05)
    assert found["kept"] is True
    assert stats(synced)["standard"]["threshold"] == found["threshold"]
    assert stats(synced)["wrong_hits"]["basis"] == "calibration"


def test_calibrating_for_people(synced: Cli) -> None:
    write_pairs(Path("pairs.jsonl"), pairs())
    ran = synced("cache", "calibrate", "--pairs", "pairs.jsonl", "--target", "0.1", "--dry-run")
    lines = dict(re.split(r"  +", line, maxsplit=1) for line in ran.out.splitlines())
    assert list(lines) == ["learnt from", "near-misses", "paraphrases", "served from", "kept"]
    assert re.match(r"60 looked at", lines["near-misses"])
    assert re.match(r"20 looked at, \d+ would be served \(\d+ %\)", lines["paraphrases"])
    assert lines["kept"] == "no: --dry-run"
    assert stats(synced)["standard"]["origin"] == "default"
    assert all(len(line) <= 80 for line in ran.out.splitlines())


def test_where_no_threshold_will_do_only_the_same_words_are_served(synced: Cli) -> None:
    same = [{"a": f"is case {n} closed", "b": f"case {n} is closed", "label": 0} for n in range(60)]
    write_pairs(Path("pairs.jsonl"), same)
    ran = synced("cache", "calibrate", "--pairs", "pairs.jsonl")
    assert ran.code == 0, ran.err
    assert "served from  the same words only: no threshold keeps wrong hits under 1 %" in ran.out
    assert "paraphrases  none to look at" in ran.out
    out = synced("cache", "stats").out
    assert re.search(r"^served from +the same words only: no threshold", out, re.MULTILINE)
    assert re.search(r"^wrong hits +by meaning none: only the same words are served$", out, re.MULTILINE)


def test_the_recipe_stands_and_that_is_said(synced: Cli) -> None:
    write_pairs(Path("pairs.jsonl"), pairs())
    for toml, said in (
        ("threshold = 0.9", "threshold = 0.9 stands"),
        ("semantic = false", "same words only are"),
    ):
        write_recipe(Path(".ragweft"), f"{FLAT_TOML}[cache]\n{toml}\n")
        ran = synced("cache", "calibrate", "--pairs", "pairs.jsonl", "--target", "0.1")
        assert said in ran.err
        served = r"^served from +(cosine of the vectors 0.900 or more|the same words)"
        assert re.search(served, synced("cache", "stats").out, re.MULTILINE)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a,b\nx,y\n", "first line lacks label"),
        ('{"a": "x", "b": "y", "label": 2}\n', "pairs.txt:1: label 2 is neither 1"),
        ('{"a": "x", "b": "y", "label": 1}\n{"a": "x"}\n', "pairs.txt:2: no pair; give lines like"),
        ('{"a": "x", "b": "y", "label": 1}\n{"a": \n', "pairs.txt:2: not JSON"),
        ("a,b,label\n", "there are no pairs in it"),
        ("", "first line lacks a, b, label"),
    ],
)
def test_a_file_that_holds_no_pairs_says_where(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "pairs.txt").write_text(text)
    with pytest.raises(LoadError, match=re.escape(said)) as raised:
        read_pairs(tmp_path / "pairs.txt")
    assert "\n" not in str(raised.value)


def test_a_corpus_with_few_questions_of_its_own_needs_pairs(synced: Cli) -> None:
    ran = synced("cache", "calibrate")
    assert (ran.code, ran.out) == (1, "")
    assert "--pairs" in ran.err
    write_pairs(Path("pairs.jsonl"), pairs(count=1))
    few = synced("cache", "calibrate", "--pairs", "pairs.jsonl")
    assert (few.code, few.out, few.err.count("\n")) == (1, "", 1)
    assert "too few" in few.err
    assert synced("cache", "calibrate", "--pairs", "nothere.jsonl").err.startswith(
        "error: nothere.jsonl: cannot"
    )


def test_a_search_says_where_its_results_came_from(cli: Cli) -> None:
    write_recipe(Path(".ragweft"), f'{FLAT_TOML}[cache]\nresults = "semantic"\nthreshold = 0.9\n')
    assert cli("sync", "docs").code == 0
    for query, where in ((QUERY, "miss"), (QUERY, "exact"), (NEAR, "semantic")):
        assert f" · cache {where}\n" in cli("search", query, "-k", "2", "--explain").out
    trace = json.loads(cli("search", QUERY, "-k", "2", "--json").out)["trace"]
    assert (trace["cache"], trace["stages"][0]["name"]) == ("exact", "cache")
    looks = stats(cli)["searches"]
    assert (looks["exact"], looks["semantic"], looks["misses"]) == (2, 1, 1)
    shown = cli("cache", "stats").out
    assert re.search(r"^searches +4$", shown, re.MULTILINE)
    assert not re.search(r"^lookups", shown, re.MULTILINE)
    told = cli("cache", "explain", NEAR)
    assert told.out.startswith("results, k=2  (1 entry)\n  hit, semantic: likeness 0.9")
    assert "    served  2 hits\n" in told.out
    write_recipe(Path(".ragweft"), f"{FLAT_TOML}[cache]\nthreshold = 0.9\n")
    assert "searches do not look here now: [cache] results is off" in cli("cache", "explain", NEAR).out
    assert " · cache off\n" in cli("search", QUERY, "-k", "2", "--explain").out


def test_help_tells_every_verb_in_a_whole_sentence(cli: Cli) -> None:
    listed = cli("cache", "--help").out.partition("Commands:")[2]
    assert "..." not in listed
    assert re.findall(r"^  ([a-z]+)  +", listed, re.MULTILINE) == list(VERBS)
    for verb in VERBS:
        said = cli("cache", verb, "--help").out
        assert "<" not in said.partition("Arguments:")[2].partition("Options:")[0]
        for option in ("--json", "--index", "--debug"):
            assert option in said
    said = cli("cache", "calibrate", "--help").out
    assert f"[default: {TARGET:g};" in " ".join(said.split())
    assert f"[default: {CONFIDENCE:g};" in " ".join(said.split())


@pytest.mark.parametrize(
    ("share", "said"), [(0.0, "0 %"), (0.0034, "0.34 %"), (0.05, "5 %"), (0.1234, "12 %"), (1.0, "100 %")]
)
def test_shares_are_told_in_as_many_digits_as_tell_something(share: float, said: str) -> None:
    assert percent(share) == said


def test_the_python_of_the_page_runs(docs: Path) -> None:
    code = "\n".join(re.findall(r"```python\n(.*?)```", PAGE, flags=re.DOTALL))
    Path(docs.parent / "page.py").write_text(code)
    done = subprocess.run(
        [sys.executable, "-W", "error", "page.py"],
        cwd=docs.parent,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    again, first, second = done.stdout.splitlines()
    assert again.startswith("semantic As it says in [1] ")
    assert first == second


def test_the_commands_of_the_page_run(kept: Cli) -> None:
    write_pairs(Path("pairs.jsonl"), pairs())
    for line in COMMANDS:
        ran = kept(*shlex.split(line))
        assert ran.code == 0, line
        assert ran.out or ran.err == "nothing to forget: the cache is empty\n", line


def test_the_page_tells_every_verb_and_every_setting() -> None:
    assert {line.split()[1] for line in COMMANDS} == set(VERBS)
    for setting in fields(Cache):
        assert f"`{setting.name}`" in PAGE.partition("## Settings")[2], setting.name
