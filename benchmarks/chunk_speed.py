"""Speed and memory of every chunker on mixed text.

    python benchmarks/chunk_speed.py            # 100 MB; measures and writes results/chunk_speed.md
    python benchmarks/chunk_speed.py --mb 10    # fewer
    python benchmarks/chunk_speed.py --print    # measures only

The text is what every Python brings along (its library, C headers, the descriptions of installed packages in
Markdown and reStructuredText) and made-up tables and prose in Chinese, Arabic and Thai, over and over again. Each
chunker runs in a process of its own, so that its peak memory is its own, on one core: times are CPU seconds.
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import subprocess
import sys
import sysconfig
import time
from collections.abc import Callable, Iterator
from importlib import metadata
from itertools import cycle
from pathlib import Path
from typing import TYPE_CHECKING

from environment import RESULTS, heading

from ragweft.chunking import (
    FixedChunker,
    Grammars,
    RecursiveChunker,
    SemanticChunker,
    SentenceChunker,
    StructureChunker,
)
from ragweft.context import OutlineContextualizer
from ragweft.embedding import StaticEmbedder
from ragweft.types import Document

if TYPE_CHECKING:
    from ragweft.chunking.sizes import Reserve
    from ragweft.protocols import Chunker
    from ragweft.types import Encoding

LEAST = {"semantic": 0.8, "semantic, by gradient": 0.8}
"""MB/s asked for; 1.5 for the others."""
SCRIPTS = {
    "Chinese": ("一丁七万丈三上下不与丐丑专且世丘丙业丛东丝丞两严丧", "", "。"),
    "Arabic": ("ابتثجحخدذرزسشصضطظعغفقكلمنهوي", " ", "؟ "),
    "Thai": ("กขคงจฉชซฌญฎฏฐฑฒณดตถทธนบปผฝพฟภมยรลวศษสหฬอฮ", "", " "),
}
CHUNKERS: dict[str, Callable[[StaticEmbedder, Reserve], Chunker]] = {
    "structure": lambda embedder, reserve: StructureChunker(tokenizer=embedder, reserve=reserve),
    "structure, code by indentation": lambda embedder, reserve: StructureChunker(
        tokenizer=embedder, reserve=reserve, grammars=Grammars(languages=())
    ),
    "recursive": lambda embedder, reserve: RecursiveChunker(tokenizer=embedder, reserve=reserve),
    "sentence": lambda embedder, reserve: SentenceChunker(tokenizer=embedder, reserve=reserve),
    "semantic": lambda embedder, reserve: SemanticChunker(
        tokenizer=embedder, embedder=embedder, reserve=reserve
    ),
    "semantic, by gradient": lambda embedder, reserve: SemanticChunker(
        tokenizer=embedder, embedder=embedder, reserve=reserve, method="gradient"
    ),
    "fixed": lambda embedder, reserve: FixedChunker(tokenizer=embedder, reserve=reserve),
}


class CountingEmbedder(StaticEmbedder):
    """Counts what it reads as a tokenizer."""

    read = 0

    def encode(self, text: str) -> Encoding:
        self.read += len(text)
        return super().encode(text)


def documents() -> list[Document]:
    """Some 20 MB, every kind of text beside every other; a twentieth of it in other scripts."""
    library, include = sysconfig.get_path("stdlib"), sysconfig.get_path("include")
    modules = sorted(Path(library).glob("*.py")) + sorted(Path(library).glob("[a-e]*/*.py"))
    found = [_document(path.name, path.read_text(errors="replace"), "python") for path in modules]
    headers = sorted(Path(include).rglob("*.h"))
    found += [_document(path.name, path.read_text(errors="replace"), "code", language="c") for path in headers]
    for package in metadata.distributions():
        said = package.metadata.json
        text, kind = str(said.get("description") or ""), str(said.get("description_content_type") or "")
        if len(text) > 2_000:
            found.append(_document(package.name, text, "markdown" if "markdown" in kind else "rst"))
    chance = random.Random(0)
    written = {script: _words(chance, letters) for script, (letters, _, _) in SCRIPTS.items()}
    for number in range(20):
        rows = [f"item {n},{chance.random():.4f},{chance.randrange(10**6)},some words" for n in range(1_000)]
        found.append(_document(f"table{number}", "name,share,count,remark\n" + "\n".join(rows), "table"))
        for script, (_, space, stop) in SCRIPTS.items():
            sentences = (_sentence(chance, written[script], space) + stop for _ in range(300))
            found.append(_document(f"{script}{number}", "".join(sentences), "text"))
    chance.shuffle(found)
    return found


def _words(chance: random.Random, letters: str) -> list[str]:
    return ["".join(chance.choices(letters, k=chance.randint(2, 7))) for _ in range(5_000)]


def _sentence(chance: random.Random, words: list[str], space: str) -> str:
    """Words as often as in a language: the n-th about 1/n as often as the first (Zipf)."""
    picked = (words[int(len(words) ** chance.random()) - 1] for _ in range(chance.randint(4, 14)))
    return space.join(picked)


def _document(name: str, text: str, format_: str, *, language: str | None = None) -> Document:
    return Document(
        id=name, text=text, format=format_, metadata={"code_language": language} if language else {}
    )


def _endlessly(pool: list[Document], size: float) -> Iterator[Document]:
    given = 0
    for document in cycle(pool):
        if given >= size:
            return
        given += len(document.text.encode("utf-8", "replace"))
        yield document


def measure(name: str, megabytes: float) -> dict[str, float]:
    """Cut *megabytes* of text with one chunker; runs in a subprocess."""
    pool = documents()
    embedder = CountingEmbedder()
    # As the default recipe cuts: beside what its contexts take, which is told document by document.
    chunker = CHUNKERS[name](embedder, OutlineContextualizer(tokenizer=embedder).room)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    chunks = size = characters = 0
    started = time.process_time()
    for document in _endlessly(pool, megabytes * 1e6):
        chunks += len(chunker.chunk(document))
        size += len(document.text.encode("utf-8", "replace"))
        characters += len(document.text)
    seconds = time.process_time() - started
    return {
        "chunks": chunks,
        "speed": size / 1e6 / seconds,
        "read": embedder.read / characters,
        "before": before,
        "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mb", type=float, default=100.0)
    parser.add_argument("--print", action="store_true", dest="only_print")
    parser.add_argument("--only", choices=CHUNKERS, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.only:
        print(json.dumps(measure(asked.only, asked.mb)))
        return
    lines = [
        heading("Speed of the chunkers"),
        f"{asked.mb:g} MB of mixed text, sizes in tokens of the static embedder, `python benchmarks/chunk_speed.py`. "
        "The tokenizer reads a text once; what it reads besides are titles and headings, which have to find room "
        "beside the text, and places where a cut falls inside a run of characters without white space. Peak memory is that of the whole process, in which the texts, Python "
        "and the static table take the first number.\n",
        "| chunker | asked, MB/s | MB/s on one core | read by the tokenizer | chunks | peak memory |",
        "|---|---|---|---|---|---|",
    ]
    for name in CHUNKERS:
        command = [sys.executable, __file__, "--mb", str(asked.mb), "--only", name]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        found = json.loads(done.stdout.splitlines()[-1])
        lines.append(
            f"| {name} | ≥ {LEAST.get(name, 1.5)} | {found['speed']:.1f} | {found['read']:.2f} times | "
            f"{found['chunks']:,.0f} | {found['before']:.0f} → {found['peak']:.0f} MB |"
        )
        print(lines[-1], flush=True)
    if not asked.only_print:
        (RESULTS / "chunk_speed.md").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
