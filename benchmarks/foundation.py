"""Speed and memory of the foundation on the running Python's own standard library.

    python benchmarks/foundation.py            # measures and writes results/foundation.md
    python benchmarks/foundation.py --print    # measures only

Sync runs in a process of its own, so that its peak memory is its own. Times are wall clock; CPU seconds stand
beside them, because machines are shared.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import sysconfig
import tempfile
import time
from pathlib import Path

from environment import RESULTS, heading

QUERIES = [
    "how is a JSON string decoded",
    "parse command line arguments with subcommands",
    "raise an error when the socket times out",
    "copy a directory tree recursively",
    "base64 encode bytes",
    "asyncio run_in_executor",
    "HTTPServer request handler do_GET",
    "compute the median of data",
    "temporary file that is deleted on close",
    "what does functools.lru_cache do when maxsize is None",
    "zip archive extract member safely",
    "format a date as ISO 8601",
]


def standard_library(target: Path) -> int:
    """Copy Lib/**/*.py without tests; how many files."""
    source = Path(sysconfig.get_paths()["stdlib"])
    count = 0
    for path in sorted(source.rglob("*.py")):
        parts = path.relative_to(source).parts
        if {"test", "tests", "idle_test", "site-packages", "__pycache__"} & set(parts):
            continue
        copy = target.joinpath(*parts)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(path, copy)
        os.utime(copy, (1_600_000_000, 1_600_000_000))
        count += 1
    return count


def measure_sync(folder: str, index: str) -> dict[str, float]:
    """Sync a new index; runs in a subprocess."""
    import logging

    from ragweft import Index

    logging.disable(logging.WARNING)
    spent: dict[str, float] = {}
    _meter(spent)
    started, cpu = time.perf_counter(), time.process_time()
    with Index.open(index) as opened:
        report = opened.sync(folder)
        seconds = time.perf_counter() - started
        helper = resource.getrusage(resource.RUSAGE_CHILDREN)
        out: dict[str, float] = {
            "chunks": report.chunks,
            "seconds": seconds,
            "cpu": time.process_time() - cpu,
            "helper cpu": helper.ru_utime + helper.ru_stime,
            "rss": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
            "helper rss": helper.ru_maxrss / 1024,
            **{f"in {name}": value for name, value in spent.items()},
        }
        level = all(state.level for state in opened.verify(repair=False).followers)
        out["level"] = float(level)

        started = time.perf_counter()
        again = opened.sync(folder)
        out["unchanged"] = time.perf_counter() - started
        assert again.unchanged == report.added, again

        edited = Path(folder) / "argparse.py"
        times = []
        for turn in range(5):
            edited.write_text(f"# edit {turn}\n" + edited.read_text())
            started = time.perf_counter()
            once = opened.sync(folder)
            times.append(time.perf_counter() - started)
            assert once.updated == 1, once
        out["edited"] = statistics.median(times)

        for query in QUERIES:
            opened.search(query)
        walls, cpus = [], []
        for turn in range(25):
            for query in QUERIES:
                started, cpu = time.perf_counter(), time.process_time()
                opened.search(f"{query} {turn}")
                walls.append((time.perf_counter() - started) * 1000)
                cpus.append((time.process_time() - cpu) * 1000)
        out["p50"], out["p95"] = statistics.median(walls), statistics.quantiles(walls, n=20)[-1]
        out["search cpu"] = statistics.median(cpus)
    return out


def _meter(spent: dict[str, float]) -> None:
    """Add up the wall time of the stages, by wrapping them from outside."""
    from ragweft.chunking import StructureChunker
    from ragweft.embedding.static import StaticEmbedder
    from ragweft.ledger.followers import Slot
    from ragweft.ledger.ledger import Ledger
    from ragweft.ledger.vector_store import VectorStore
    from ragweft.loading import FileLoader

    def timed(owner: type, name: str, label: str) -> None:
        inner = getattr(owner, name)

        def outer(*args: object, **kwargs: object) -> object:
            key = label or f"{args[0].name} follower"  # type: ignore[attr-defined]
            started = time.perf_counter()
            try:
                return inner(*args, **kwargs)
            finally:
                spent[key] = spent.get(key, 0.0) + time.perf_counter() - started

        setattr(owner, name, outer)

    timed(FileLoader, "load", "reading files")
    timed(StructureChunker, "chunk", "chunking (with tokenising)")
    timed(StaticEmbedder, "embed_tokens", "embedding")
    timed(VectorStore, "put", "storing vectors")
    timed(Ledger, "commit", "committing")
    timed(Slot, "catch_up", "")


def measure_embedder(folder: Path) -> dict[str, float]:
    """Chunks of 400 tokens a second on one core, tokenised for the first time and embedded; cold and warm."""
    from ragweft.embedding import StaticEmbedder

    embedder = StaticEmbedder()
    words = " ".join(path.read_text(errors="replace") for path in sorted(folder.rglob("*.py"))).split()
    texts, start = [], 0
    while start < len(words):
        length = 400 * 150 // max(1, len(embedder.encode(" ".join(words[start : start + 150])).ids))
        texts.append(" ".join(words[start : start + length]))
        start += max(1, length)
    tokens = sum(len(embedder.encode(text).ids) for text in texts)
    out = {"tokens per text": tokens / len(texts)}
    for name in ("cold", "warm"):
        fresh = StaticEmbedder() if name == "cold" else embedder
        fresh.embed_query("load")
        cpu = time.process_time()
        fresh.embed_documents(texts)
        out[f"embed {name}"] = len(texts) / (time.process_time() - cpu)
    loads = []
    for _ in range(5):
        code = (
            "import time, numpy\n"
            "from ragweft.embedding import StaticEmbedder\n"
            "t = time.perf_counter()\n"
            "StaticEmbedder().embed_query('x')\n"
            "print(time.perf_counter() - t)\n"
        )
        done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
        loads.append(float(done.stdout))
    out["embed load"] = statistics.median(loads)
    return out


def measure_cli(folder: Path, index: Path) -> dict[str, float]:
    """The whole command in a fresh process, on an index that is up to date; modules are compiled already."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    command = [sys.executable, "-m", "ragweft", "search", QUERIES[0], "--index", str(index)]
    traced = [sys.executable, "-X", "importtime", *command[1:]]
    trace = subprocess.run(traced, check=True, capture_output=True, text=True, cwd=folder, env=environment)
    walls = []
    for _ in range(7):
        started = time.perf_counter()
        subprocess.run(command, check=True, capture_output=True, cwd=folder, env=environment)
        walls.append(time.perf_counter() - started)
    return {"command": statistics.median(walls), "imports chromadb": float("chromadb" in trace.stderr)}


def main() -> None:
    """Measure and report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--print", action="store_true", help="do not write the results file")
    parser.add_argument("--child", nargs=2, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child:
        print(json.dumps(measure_sync(*args.child)))
        return
    with tempfile.TemporaryDirectory() as scratch:
        folder, index = Path(scratch) / "Lib", Path(scratch) / "index"
        files = standard_library(folder)
        child = [sys.executable, __file__, "--child", str(folder), str(index)]
        done = subprocess.run(child, check=True, stdout=subprocess.PIPE, text=True)
        got = json.loads(done.stdout.splitlines()[-1])
        got |= measure_cli(folder, index)
        got |= measure_embedder(folder)
    text = report(files, got)
    print(text)
    if not args.print:
        RESULTS.mkdir(exist_ok=True)
        (RESULTS / "foundation.md").write_text(text)
        into_readme(text)


def report(files: int, got: dict[str, float]) -> str:
    """The results as Markdown."""
    rate = got["chunks"] / got["seconds"]
    rows = [
        ("sync of a new index, until every follower has applied", "≥ 600 chunks/s", f"{rate:,.0f} chunks/s"),
        (
            "peak resident memory: the process, and the one it has level followers",
            "≤ 700 MB",
            f"{got['rss']:,.0f} + {got['helper rss']:,.0f} MB",
        ),
        ("unchanged re-sync, same process", "≤ 1.0 s", f"{got['unchanged']:.2f} s"),
        ("re-sync after editing one file", "≤ 0.4 s", f"{got['edited']:.2f} s"),
        ("search p50 (p95), embedding included", "≤ 6 ms", f"{got['p50']:.1f} ms ({got['p95']:.1f} ms)"),
        ("CPU of one search", "", f"{got['search cpu']:.1f} ms"),
        ("the command `ragweft search`, fresh process", "≤ 1.3 s", f"{got['command']:.2f} s"),
        ("that command imports chromadb", "no", "yes" if got["imports chromadb"] else "no"),
        ("every follower level after sync", "yes", "yes" if got["level"] else "no"),
        (
            f"static embedder, texts of {got['tokens per text']:.0f} tokens, one core, cold (warm)",
            "≥ 1,200 chunks/s",
            f"{got['embed cold']:,.0f} ({got['embed warm']:,.0f}) chunks/s",
        ),
        ("static embedder, loading until the first query is answered", "< 0.3 s", f"{got['embed load']:.2f} s"),
    ]
    lines = [
        heading("The foundation on the standard library"),
        f"{files} files, {got['chunks']:,.0f} chunks, {got['seconds']:.1f} s wall, {got['cpu']:.1f} s CPU and "
        f"{got['helper cpu']:.1f} s in the process that levels followers.\n",
        "| what | asked | measured |",
        "|---|---|---|",
        *(f"| {what} | {asked} | {measured} |" for what, asked, measured in rows),
        "\nWhere the time of the sync goes (wall seconds in the syncing process, by stage; the other process "
        "levels the followers meanwhile):\n",
        "| stage | seconds |",
        "|---|---|",
        *(
            f"| {name.removeprefix('in ')} | {value:.2f} |"
            for name, value in sorted(got.items(), key=lambda pair: -pair[1])
            if name.startswith("in ")
        ),
        "\nCommand: `python benchmarks/foundation.py`",
    ]
    return "\n".join(lines) + "\n"


def into_readme(text: str) -> None:
    """Show the table of what was asked and measured in the README, between its markers."""
    readme = RESULTS.parents[1] / "README.md"
    table = text[text.index("| what |") : text.index("\nWhere the time")].strip()
    before, _, rest = readme.read_text().partition("<!-- foundation:begin -->")
    _, _, after = rest.partition("<!-- foundation:end -->")
    marked = f"<!-- foundation:begin -->\n{table}\n<!-- foundation:end -->"
    readme.write_text(before + marked + after)


if __name__ == "__main__":
    main()
