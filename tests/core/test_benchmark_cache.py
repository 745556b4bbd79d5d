"""The cache's benchmark runs, and its stream serves nothing stale; on a few made-up questions, nothing is timed."""

from __future__ import annotations

import importlib
import json
from itertools import product
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from ragweft import Document
from ragweft.embedding.static import StaticEmbedder

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
INTENTS = {
    "lost_card": ("card", ("lost", "mislaid", "misplaced", "left behind")),
    "exchange_rate": ("exchange rate", ("wrong", "too low", "not what I was told", "odd")),
    "top_up": ("top-up", ("pending", "refused", "reverted", "stuck")),
    "age_limit": ("son's account", ("possible", "allowed at twelve", "open to children", "free")),
}
FORMS = ("My {0} is {1}", "Why is my {0} {1}", "Help, the {0} seems {1}", "Tell me why the {0} was {1}")
ENDS = ("", ", what now?", " since Monday", " again", ", please explain", "!")


@pytest.fixture
def modules(monkeypatch: pytest.MonkeyPatch) -> dict[str, ModuleType]:
    """The benchmark's own modules, which lie beside the package."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    names = ("cache", "cache_questions", "cache_savings", "cache_speed", "cache_stream")
    return {name: importlib.import_module(name) for name in names}


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """The collections, in small."""
    folder = tmp_path / "data"
    rows: list[dict[str, Any]] = []
    for intent, (what, states) in INTENTS.items():
        for form, state, end in product(FORMS, states, ENDS):
            split = "test" if end == ENDS[-1] else "train"
            rows.append({"text": form.format(what, state) + end, "intent": intent, "split": split})
    _write(folder / "cache_banking77" / "items.jsonl", rows)
    some = rows[::3]
    pairs = [
        {"a": one["text"], "b": other["text"], "label": int(one["intent"] == other["intent"])}
        for place, one in enumerate(some)
        for other in (some[place + 1 : place + 2] + some[place + 32 :: 32])
    ]
    _write(folder / "cache_paws" / "pairs.dev.en.jsonl", pairs)
    _write(folder / "cache_covidfaq" / "pairs.test.jsonl", pairs)
    return folder


def _write(file: Path, rows: list[dict[str, Any]]) -> None:
    file.parent.mkdir(parents=True)
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))


def test_every_section_but_the_stream(
    modules: dict[str, ModuleType], data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    results = tmp_path / "results"
    results.mkdir()
    run = ["--data", str(data), "--results", str(results), "--entries", "100"]
    modules["cache"].main([*run, "--only", "paws,speed"])
    first = json.loads((results / "cache.json").read_text())
    modules["cache"].main([*run, "--only", "banking,peers"])
    known = json.loads((results / "cache.json").read_text())
    assert set(known) == {"banking", "paws", "peers", "speed"}
    assert (known["paws"], known["speed"]) == (first["paws"], first["speed"])  # what was not asked for stays
    page = (results / "cache.md").read_text()
    assert [known[name]["title"] in page for name in known] == [True] * 4
    rows = known["banking"]["numbers"]
    assert rows["static, cosine"]["at 95%"]["share"] >= rows["static, cosine"]["at 99%"]["share"] > 0
    peers = known["peers"]["numbers"]["covidfaq"]
    assert peers["GPTCache"]["hits"] > peers["redisvl"]["hits"] > peers["ragweft, shipped default"]["hits"]
    assert known["speed"]["numbers"]["cosine, the same words, exact"]["looks"] == 100
    with pytest.raises(SystemExit):
        modules["cache"].main([*run, "--only", "nothing"])
    assert "no such section: nothing" in capsys.readouterr().err


def test_calibrated_on_one_half_and_tested_on_the_other(modules: dict[str, ModuleType], data: Path) -> None:
    found = modules["cache_questions"].covid(data, StaticEmbedder(), halves=2).numbers
    assert len(found["standards"]["each"]) == 2
    assert len(found["calibrated"]["paraphrases"]["each"]) == 2


def test_ties_are_served_together(modules: dict[str, ModuleType]) -> None:
    import numpy as np

    most, found = (getattr(importlib.import_module("cache_common"), name) for name in ("most", "Found"))
    scores = np.array([0.9, 0.8, 0.8, 0.7, -9.0])
    right = np.array([True, True, False, True, True])
    asked = found(scores=scores, places=np.zeros(5, np.int64))
    assert most(asked, right, precision=0.7) == (0.8, 0.7)
    assert most(asked, right, precision=0.9) == (0.2, 0.9)
    assert most(asked, ~right, precision=0.9) == (0.0, float("inf"))


def test_nothing_stale_is_served(modules: dict[str, ModuleType], data: Path, tmp_path: Path) -> None:
    """The contrast shows that the stream has what would be stale, and that its judge sees it."""
    savings, stream = modules["cache_savings"], modules["cache_stream"]
    said, texts = savings._halved(modules["cache_questions"].load_banking(data))
    others = [Document(id=f"o{n}", text=f"Note {n} on the tides at pier {n % 7}.") for n in range(40)]
    tallies = stream.run_stream(
        tmp_path / "kb",
        stream.Corpus(said, others, seed=1),
        texts,
        stream.Traffic(requests=80, repeated=0.8, edits=0.1),
        embedder=StaticEmbedder(),
        beside=stream.PLAIN,
    )
    ours = tallies.pop("ragweft")
    assert (ours.changed, ours.new) == (0, 0)
    assert ours.exact > 0
    assert sum(ours.counted[what] for what in ours.counted if what.startswith("dropped stale")) > 0
    for name, tally in tallies.items():
        assert tally.requests == 80
        assert (tally.changed + tally.new > 0) == (name != "told what is stale")
    assert ours.hits <= tallies["the same questions, 24 h"].hits


def test_the_stream_tells_what_it_saw(modules: dict[str, ModuleType], data: Path) -> None:
    section = modules["cache_savings"].stream(data, requests=20, repeated=(0.9,), edits=(0.0,))
    assert "Stale answers served by ragweft in all rows: 0 of " in section.text
    shipped = section.numbers["0.9 repeated, 0 edits"]["ragweft, shipped default"]
    assert shipped["exact"] > 0
    assert shipped["cost saved"] == pytest.approx((shipped["exact"] + shipped["semantic"]) / 20)
