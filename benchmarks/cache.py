"""How often the cache serves, how often wrongly, what it saves, and how long a look takes.

    python benchmarks/cache.py --data FOLDER                       # about 10 minutes; writes results/cache.md, .json
    python benchmarks/cache.py --data FOLDER --only paws,covid     # these sections anew, the others as they were
    python benchmarks/cache.py --data FOLDER --minilm              # banking with a neural embedder too: minilm.py

FOLDER holds cache_banking77, cache_paws and cache_covidfaq, and cranfield, whose texts the stream's corpus is mixed
with. Embedded defaults, no key.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cache_questions import banking, covid, paws, peers
from cache_savings import stream
from cache_speed import speed
from environment import RESULTS, heading
from minilm import MiniLm

from ragweft.embedding.static import StaticEmbedder

if TYPE_CHECKING:
    from cache_common import Section

    from ragweft.protocols import Embedder

SECTIONS = ("banking", "paws", "covid", "peers", "stream", "speed")


def main(given: Sequence[str] | None = None) -> None:
    """Measure, and write what was measured in the place of what was there."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--only", default=",".join(SECTIONS), help="sections, separated by commas")
    parser.add_argument("--minilm", action="store_true")
    parser.add_argument("--work", type=Path, default=Path(tempfile.gettempdir()) / "ragweft-quality")
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--requests", type=int, help="of each stream")
    parser.add_argument("--entries", type=int, help="among which is looked")
    chosen = parser.parse_args(given)
    wanted = chosen.only.split(",")
    if unknown := set(wanted) - set(SECTIONS):
        parser.error(f"no such section: {', '.join(sorted(unknown))}; there are {', '.join(SECTIONS)}")
    static = StaticEmbedder()
    embedders: dict[str, Embedder] = {"static": static}
    if chosen.minilm:
        embedders["MiniLM"] = MiniLm(chosen.work / "minilm")
    measure: Mapping[str, Callable[[], Section]] = {
        "banking": lambda: banking(chosen.data, embedders),
        "paws": lambda: paws(chosen.data, static),
        "covid": lambda: covid(chosen.data, static),
        "peers": lambda: peers(chosen.data, static),
        "stream": lambda: stream(chosen.data, **({"requests": chosen.requests} if chosen.requests else {})),
        "speed": lambda: speed(chosen.data, **({"entries": chosen.entries} if chosen.entries else {})),
    }
    file = chosen.results / "cache.json"
    known: dict[str, Any] = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    for name in SECTIONS:
        if name in wanted:
            section = measure[name]()
            run = heading("").strip("# \n")
            known[name] = {"title": section.title, "run": run, "text": section.text, "numbers": section.numbers}
            print(f"## {section.title}\n\n{section.text}\n", flush=True)
            # What took minutes is not lost to what fails after it.
            file.write_text(json.dumps(known, indent=1) + "\n", encoding="utf-8")
            (chosen.results / "cache.md").write_text(page(known), encoding="utf-8")


def page(known: Mapping[str, Any]) -> str:
    """The results in Markdown."""
    parts = ["# The semantic cache\n\nThe numbers are in cache.json, too.\n"]
    for name in SECTIONS:
        if name in known:
            section = known[name]
            parts.append(f"## {section['title']}\n\n{section['run']}\n\n{section['text']}\n")
    parts.append("Command: `python benchmarks/cache.py --data FOLDER --minilm`")
    return "\n".join(parts) + "\n"


if __name__ == "__main__":
    main()
