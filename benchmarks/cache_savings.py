"""What a cache saves in streams of more and of fewer repetitions and edits, and what it serves wrongly for it."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from cache_common import Banking, Section, load_banking, percent, table
from cache_questions import TARGET, labelled, told
from cache_stream import (
    ANSWER_MS,
    ANSWER_USD,
    PLAIN,
    TOKENS_IN,
    TOKENS_OUT,
    USD_PER_MILLION_IN,
    USD_PER_MILLION_OUT,
    Corpus,
    Traffic,
    run_stream,
)

from ragweft import Document
from ragweft.caching.calibrating import calibrate
from ragweft.caching.likeness import Likeness
from ragweft.embedding.static import StaticEmbedder
from ragweft.evaluation import load_dataset

if TYPE_CHECKING:
    from cache_stream import Tally

    from ragweft.caching.standard import Standard

__all__ = ["EDITS", "REPEATED", "REQUESTS", "stream"]

REQUESTS = 1_000
REPEATED = (0.18, 0.5, 0.9)
"""0.18: what an analysis of 100,000 requests of one service found to be exact duplicates ("Why your LLM bill is
exploding, and how semantic caching can cut it by 73 %", VentureBeat, 2026); the other two show what more make of it."""
EDITS = (0.0, 0.01, 0.1)
CLAIM = (0.86, 0.88)
"""Cost and latency: "Lower cost and latency for AI using Amazon ElastiCache as a semantic cache with Amazon Bedrock",
AWS Database Blog, 2025; 90.3 % of the requests were served, at a similarity of 0.75."""
OURS = ("ragweft, shipped default", "ragweft, calibrated")
_BESIDE = "cranfield"
_SAID = 4
"""One in so many cached questions goes into documents and calibrating; the others are asked."""


def stream(
    data: Path,
    *,
    requests: int = REQUESTS,
    repeated: Sequence[float] = REPEATED,
    edits: Sequence[float] = EDITS,
) -> Section:
    """Run them all."""
    embedder, asked = StaticEmbedder(), load_banking(data)
    said, texts = _halved(asked)
    beside = []
    if (data / _BESIDE).is_dir():
        items = load_dataset(data / _BESIDE).items
        beside = [Document(id=item.id, text=item.text) for item in items if item.text.strip()]
    standard = _standard(said, embedder)
    numbers: dict[str, Any] = {}
    for share in repeated:
        for rate in edits:
            traffic = Traffic(requests=requests, repeated=share, edits=rate)
            for name, chosen in zip(OURS, (None, standard), strict=True):
                with tempfile.TemporaryDirectory() as folder:
                    tallies = run_stream(
                        Path(folder),
                        Corpus(said, beside, seed=1),
                        texts,
                        traffic,
                        embedder=embedder,
                        standard=chosen,
                        beside=PLAIN if chosen is None else None,
                    )
                ours = {name: tallies.pop("ragweft")}
                row = numbers.setdefault(f"{share:g} repeated, {rate:g} edits", {})
                row |= {label: _told(tally) for label, tally in (ours | tallies).items()}
            print(f"stream: {share:g} repeated, {rate:g} edits", flush=True)
    text = _text(numbers, requests=requests, intents=len(said), others=len(beside), standard=standard)
    return Section(title="A stream with edits", text=text, numbers=numbers | {"standard": told(standard)})


def _halved(asked: Banking) -> tuple[list[tuple[str, list[str]]], list[list[str]]]:
    """Of every intent its name with what its documents may say, and what is asked."""
    said: dict[str, list[str]] = {}
    texts: dict[str, list[str]] = {}
    for number, (text, intent) in enumerate(zip(asked.cached, asked.cached_intents.tolist(), strict=True)):
        (said if number % _SAID == 0 else texts).setdefault(intent, []).append(text)
    for text, intent in zip(asked.sent, asked.sent_intents.tolist(), strict=True):
        texts.setdefault(intent, []).append(text)
    names = sorted(said.keys() & texts.keys())
    return [(name, said[name]) for name in names], [texts[name] for name in names]


def _standard(said: Sequence[tuple[str, Sequence[str]]], embedder: StaticEmbedder) -> Standard:
    """Calibrated on texts of the documents, none of which is asked."""
    known = Banking(
        cached=[text for _, texts in said for text in texts],
        cached_intents=np.array([name for name, texts in said for _ in texts]),
        sent=(),
        sent_intents=np.empty(0, np.str_),
    )
    pairs = labelled(known, embedder)
    return calibrate(pairs, embed=embedder.embed_query, likeness=Likeness(embedder), target=TARGET)


def _told(tally: Tally) -> dict[str, Any]:
    cost, latency = 1 - tally.usd / tally.plain_usd, 1 - tally.ms / tally.plain_ms
    return asdict(tally) | {"stale": tally.stale, "cost saved": cost, "latency saved": latency}


def _text(
    numbers: Mapping[str, Mapping[str, Any]], *, requests: int, intents: int, others: int, standard: Standard
) -> str:
    columns = [*OURS, *PLAIN]
    rows, drops, reached = [], Counter[str](), []
    stale = hits = 0
    for traffic, row in numbers.items():
        shipped = row[OURS[0]]
        saved = f"-{percent(shipped['cost saved'])}, -{percent(shipped['latency saved'])}"
        rows.append([traffic, saved, *(_cell(row[column]) for column in columns)])
        for name in OURS:
            stale, hits = stale + row[name]["stale"], hits + row[name]["exact"] + row[name]["semantic"]
            drops.update({what: n for what, n in row[name]["counted"].items() if what.startswith("dropped")})
        reached += [
            f"{traffic}: {column}, {row[column]['wrong']} wrong and {row[column]['stale']} stale"
            for column in columns
            if row[column]["cost saved"] >= CLAIM[0] and row[column]["latency saved"] >= CLAIM[1]
        ]
    dropped = "; ".join(f"{n:,} {what.removeprefix('dropped ')}" for what, n in drops.most_common())
    prices = f"${USD_PER_MILLION_IN:g} and ${USD_PER_MILLION_OUT:g} a million (${ANSWER_USD:g})"
    return f"""\
{requests:,} requests a row, one every 10 s: intents of banking77 by Zipf (s = 1). *repeated* is the share that repeats \
an earlier request word for word; the others are texts that were not asked yet. A real index of {intents} documents, \
one on each intent, and {others:,} others; *edits* for each request, half of them on a document of an intent, a \
quarter on another one, the rest adds and removes documents on intents. An answer takes {ANSWER_MS / 1000:g} s that \
are counted, not spent, and {TOKENS_IN:,} + {TOKENS_OUT} tokens at {prices}; lookups and searches count for what they \
take.

Cells: share served (same words + same meaning), wrong, stale. *Wrong*: the answer is to another intent. *Stale*: a \
document it was made from has changed or gone, or a search finds one now that was not there then; found out from the \
editor's books and by searching anew, not by the cache. Cost and latency are those of the shipped default.

{table(["traffic", "cost, latency", *columns], rows)}

Stale answers served by ragweft in all rows: {stale} of {hits:,}. What it dropped: {dropped or "nothing"}. Calibrated \
on the documents' texts, none of which is asked: {standard.measure} from {standard.threshold:.3f} (target \
{TARGET:.0%}). *The same questions*: the shipped threshold and gate with a time to live and no freshness. *Told what \
is stale*: what the shipped threshold could save at best, if it were told by the editor.

The well-known claim is -{CLAIM[0]:.0%} cost and -{CLAIM[1]:.0%} latency (AWS Database Blog, 2025: 90.3 % served at a \
similarity of 0.75). It is reached by:

{"".join(f"- {each}" + chr(10) for each in reached) or "- nobody" + chr(10)}
What is saved is the share that is served, so the claim is one on traffic: it holds where nine in ten requests repeat \
an earlier one and nothing is edited. With fewer repetitions a low threshold serves more, and wrongly; with edits \
whoever knows nothing of them goes on serving what is not so any more."""


def _cell(tally: Mapping[str, Any]) -> str:
    served = (tally["exact"] + tally["semantic"]) / tally["requests"]
    return f"{percent(served)} ({tally['exact']} + {tally['semantic']}), {tally['wrong']}, {tally['stale']}"
