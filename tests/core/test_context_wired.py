"""Contexts a language model writes, through the command line: what is asked, kept, paid, shown and searched."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from context_index import asked, body, chunks_of, made, spec, written
from context_index import chat_double as chat_double
from context_index import filled_port as filled_port
from context_index import keyed_cli as keyed_cli
from context_made import HAIKU, KEY
from provider_double import ProviderDouble
from ragweft import Index

if TYPE_CHECKING:
    from cli_runner import Cli
    from provider_double.chat import ChatDouble

MESSAGES = "/v1/messages"


def test_a_sync_asks_for_each_chunk_once(cli: Cli, double: ChatDouble, port: Path) -> None:
    planned = cli("sync", str(port), "--index", "kb", "--recipe", spec(double), "--dry-run", "--json")
    assert planned.code == 0, planned.err
    estimate = json.loads(planned.out)
    assert double.billed == []
    assert {request.path for request in double.requests} <= {"/v1/messages/count_tokens"}, "which is free"

    ran = cli("sync", str(port), "--index", "kb", "--recipe", spec(double), "--json")
    assert ran.code == 0, ran.err
    usage = json.loads(ran.out)["usage"]
    chunks = chunks_of("kb", "port")
    lone = [chunk for chunk in chunks if "lamp" in chunk.text]
    assert [chunk.context.startswith("Situating") for chunk in lone] == [False], "nothing is around it"
    assert asked(double) == len(chunks) - 1 == estimate["contexts"] == usage["calls"]
    assert sum(written(chunks)) == len(chunks) - 1
    assert usage["usd"] == pytest.approx(double.usd)
    assert estimate["usd"] == estimate["context_usd"] == pytest.approx(double.usd, rel=0.05)
    assert estimate["context_usd_at_most"] >= double.usd
    assert estimate["context_model"] == HAIKU

    wrote = json.loads(ran.out)["contexts"]
    assert (wrote["written"], wrote["failed"]) == (len(chunks) - 1, 0)
    for kind, own in {"fresh": "fresh", "stored": "written", "reread": "cached", "answered": "output"}.items():
        assert wrote[kind] == sum(getattr(one, own) for one in double.billed), kind
    assert wrote["reread"] > 2 * wrote["stored"] > 0, (
        "a document is kept once, and read back by its other chunks"
    )

    again = cli("sync", str(port), "--index", "kb", "--json")
    assert json.loads(again.out)["usage"]["calls"] == json.loads(again.out)["contexts"]["written"] == 0
    nothing = json.loads(cli("sync", str(port), "--index", "kb", "--dry-run", "--json").out)
    assert (nothing["documents"], nothing["contexts"], nothing["usd"]) == (0, 0, 0.0)
    assert asked(double) == len(chunks) - 1
    shown = cli("status", "--index", "kb").out
    assert re.search(rf"^spent +[\d,]+ tokens, \$\S+, {len(chunks) - 1} calls$", shown, re.MULTILINE)
    assert "incomplete" not in shown
    for file in Path("kb").rglob("*"):
        if file.is_file():
            assert KEY.encode() not in file.read_bytes(), f"the key is in {file}"


def test_words_of_a_context_are_found(cli: Cli, double: ChatDouble, port: Path) -> None:
    double.reply = lambda prompt: (
        "Zanzibar clove auction of 1887"
        if "Berth12 " in prompt.rpartition("<chunk>")[2]
        else "Of the port and its berths, in the year the quay was built"
    )
    assert cli("sync", str(port), "--index", "kb", "--recipe", spec(double)).code == 0
    found = json.loads(cli("search", "clove auction in Zanzibar", "--index", "kb", "-k", "1", "--json").out)
    (hit,) = found["hits"]
    assert hit["context"].startswith("Zanzibar")
    assert "Berth12 " in hit["text"]
    assert "lexical" in hit["origins"], "words know of it"


def test_an_edit_pays_for_what_it_touches_and_a_move_for_nothing(
    cli: Cli, double: ChatDouble, port: Path
) -> None:
    assert cli("sync", str(port), "--index", "kb", "--recipe", spec(double)).code == 0
    before = chunks_of("kb", "port")
    paid = asked(double)
    text = (port / "log.md").read_text()
    (port / "log.md").write_text(text.replace("Berth2 reports", "Pier 77 reports"))
    planned = json.loads(cli("sync", str(port), "--index", "kb", "--dry-run", "--json").out)
    ran = cli("sync", str(port), "--index", "kb")
    assert re.search(
        r"^contexts +\d written; tokens: .* [\d,]+ read back, [\d,]+ answered$", ran.out, re.MULTILINE
    )
    more = asked(double) - paid
    assert 0 < more == planned["contexts"] < len(before) // 2

    paid = asked(double)
    (port / "tides.txt").rename(port / "ebb.txt")
    (port / "old").mkdir()
    (port / "log.md").rename(port / "old" / "diary.md")
    ran = cli("sync", str(port), "--index", "kb", "--json")
    report = json.loads(ran.out)
    assert (report["added"], report["removed"], report["usage"]["calls"]) == (2, 2, 0)
    assert asked(double) == paid
    assert all("ebb" not in chunk.context for chunk in chunks_of("kb", "port/ebb.txt"))


def test_a_move_costs_no_embedding_either(cli: Cli, double: ChatDouble, port: Path) -> None:
    with ProviderDouble() as embedder:
        model = ("embedding.model=cohere:embed-v4.0", f"embedding.base_url={embedder.base('cohere')}")
        planned = cli(
            "sync", str(port), "--index", "kb", "--recipe", spec(double, *model), "--dry-run", "--json"
        )
        assert planned.code == 0, planned.err
        estimate = json.loads(planned.out)
        assert embedder.requests == []
        told = cli("sync", str(port), "--index", "kb", "--recipe", spec(double, *model), "--dry-run").out
        assert re.search(
            r"^contexts +\d+ to be written by anthropic:\S+, about [\d,]+ tokens \(", told, re.MULTILINE
        )
        money = r"\$[\d.e-]+"
        cost = rf"^cost +about {money}: {money} \(at most {money}\) for contexts, {money} for vectors$"
        assert re.search(cost, told, re.MULTILINE)
        ran = cli("sync", str(port), "--index", "kb", "--recipe", spec(double, *model), "--json")
        usage = json.loads(ran.out)["usage"]
        vectors = usage["usd"] - double.usd
        assert estimate["context_usd"] == pytest.approx(double.usd, rel=0.05)
        bound = estimate["usd"] - estimate["context_usd"]
        assert 0 < vectors <= bound < 2 * vectors, "contexts that are to come are counted with the texts"
        (port / "tides.txt").rename(port / "ebb.txt")
        moved = json.loads(cli("sync", str(port), "--index", "kb", "--json").out)
        assert (moved["added"], moved["usage"]["calls"]) == (1, 0)


def test_a_cap_stops_contexts_too(cli: Cli, double: ChatDouble, port: Path) -> None:
    (port / "long.txt").write_text(body(100, 24))
    planned = json.loads(
        cli("sync", str(port), "--index", "kb", "--recipe", spec(double), "--dry-run", "--json").out
    )
    cap = planned["usd"] * 0.6
    stopped = cli("sync", str(port), "--index", "kb", "--recipe", spec(double), "--max-usd", f"{cap:.6f}")
    assert stopped.code == 1
    assert "raise the cap to go on" in stopped.err
    assert 0 < double.usd <= cap
    paid = asked(double)
    assert cli("sync", str(port), "--index", "kb").code == 0
    assert asked(double) == planned["contexts"] > paid, "what was paid for was kept"
    with Index.open("kb") as index:
        assert index.status().spent.usd == pytest.approx(double.usd)


def test_what_failed_keeps_its_outline_is_told_and_asked_for_again(
    cli: Cli, double: ChatDouble, port: Path
) -> None:
    double.fail("anthropic", path=MESSAGES, after=3, refusal=True)
    ran = cli("sync", str(port), "--index", "kb", "--recipe", spec(double, "context.at_once=1"))
    assert ran.code == 0, ran.err
    assert re.search(r"warning: \S+: chunk \d kept the outline context: .* refused", ran.err)
    assert "the next sync asks again" in ran.err
    chunks = chunks_of("kb", "port")
    assert written(chunks).count(False) == 2, "the lone chunk, and the one that failed"
    assert all(chunk.context or "lamp" in chunk.text for chunk in chunks), "never bare"
    assert re.search(r"^incomplete +1 document", cli("status", "--index", "kb").out, re.MULTILINE)
    paid = asked(double)
    planned = json.loads(cli("sync", str(port), "--index", "kb", "--dry-run", "--json").out)
    assert (planned["documents"], planned["contexts"]) == (1, 1)
    again = cli("sync", str(port), "--index", "kb")
    assert "warning" not in again.err
    assert asked(double) == paid + 1
    assert written(chunks_of("kb", "port")).count(False) == 1
    assert "incomplete" not in cli("status", "--index", "kb").out
    assert json.loads(cli("sync", str(port), "--index", "kb", "--json").out)["unchanged"] == 4


def test_one_open_index_asks_again_at_its_next_sync(
    cli: Cli, double: ChatDouble, port: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As `sync --watch` does."""
    double.fail("anthropic", path=MESSAGES, after=3, refusal=True)
    with Index.open("kb", recipe=made(double, at_once=1)) as index:
        first = index.sync(port)
        assert any("kept the outline context" in warning for warning in first.warnings)
        paid = asked(double)
        second = index.sync(port)
        assert second.warnings == ()
        assert asked(double) == paid + 1
        # A job that breaks off leaves nothing behind that the next one would not ask for.
        double.fail("anthropic", path=MESSAGES, refusal=True)
        double.fail("anthropic", path=MESSAGES, after=1, bad_key=True)
        (port / "more.txt").write_text(body(40, 5))
        with pytest.raises(Exception, match="check the key"):
            index.sync(port)
        assert index.sync(port).warnings == ()
        assert all(written(chunks_of("kb", "port/more.txt")))


def test_what_is_always_refused_is_not_paid_for_ever(cli: Cli, double: ChatDouble, port: Path) -> None:
    usual, refused = double.reply, "Berth2 reports"

    def reply(prompt: str) -> str:
        chunk = prompt.rpartition("<chunk>")[2]
        return "I'm sorry, but I cannot help with that." if refused in chunk else usual(prompt)

    double.reply = reply
    with Index.open("kb", recipe=made(double)) as index:
        first = index.sync(port).contexts.failed
        assert first > 0
        paid = [asked(double)]
        for _ in range(5):
            report = index.sync(port)
            assert (report.contexts.failed > 0) == bool(report.warnings) is True
            paid.append(asked(double))
        assert [later - before for before, later in zip(paid, paid[1:], strict=False)] == [
            first,
            first,
            0,
            0,
            0,
        ]
        refused = "of no chunk"
        (port / "log.md").write_text((port / "log.md").read_text().replace("Berth2", "Berth two"))
        assert index.sync(port).warnings == (), "what was changed is asked for"
