"""What the processes of the reliability tests do; run as a script, so that each is a real process."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path


def make_corpus(folder: Path, files: int, *, salt: str = "") -> None:
    """Files of a few chunks each; every file holds a marker word of its own in its first and last line."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(files):
        word = marker(folder.name, number)
        body = "\n\n".join(
            f"## Part {part}\n\nThis paragraph {part} of {salt} talks about {word} and topic{(number * 7 + part) % 31}. "
            + "It goes on for a while with quite ordinary words. " * 12
            for part in range(4)
        )
        (folder / f"f{number:04}.md").write_text(
            f"# {word}\n\nOpening {word} line.\n\n{body}\n\nClosing {word} line.\n"
        )


def marker(folder: str, number: int) -> str:
    return f"mark{folder}{number:04}x"


def sync(index: str, folder: str) -> None:
    """Sync, announcing every commit on standard output: generation and time."""
    from ragweft import Index
    from ragweft.ledger.ledger import Ledger

    commit = Ledger.commit

    def announced(self: Ledger, *args: object, **kwargs: object) -> object:
        done = commit(self, *args, **kwargs)  # type: ignore[arg-type]
        names = [item.document.id.rpartition("/")[2] for item in args[0]]  # type: ignore[attr-defined]
        print(json.dumps({"generation": done.generation, "at": time.time(), "files": names}), flush=True)
        return done

    Ledger.commit = announced  # type: ignore[method-assign,assignment]
    with Index.open(index) as opened:
        print("open", flush=True)
        report = opened.sync(folder)
        print(json.dumps({"added": report.added, "failed": len(report.failed)}), flush=True)


def search(index: str, log: str) -> None:
    """Search until the file *log*.stop appears; write what each search saw and when it began."""
    from ragweft import Index

    stop = Path(f"{log}.stop")
    with Index.open(index) as opened, Path(log).open("w") as out:
        print("open", flush=True)
        while not stop.exists():
            began = time.time()
            results = opened.search("paragraph talks about topic3", k=50)
            for hit in results:
                assert hit.chunk.text
            line = {"began": began, "generation": results.trace.generation, "degraded": results.trace.degraded}
            out.write(json.dumps(line) + "\n")


if __name__ == "__main__":
    {"sync": sync, "search": search}[sys.argv[1]](*sys.argv[2:])
