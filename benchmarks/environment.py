"""What a result must say to be worth keeping: when, where, which commit."""

from __future__ import annotations

import datetime as dt
import os
import platform
import subprocess
from pathlib import Path

RESULTS = Path(__file__).parent / "results"


def heading(title: str) -> str:
    """A Markdown heading with date, machine and commit."""
    commit = _git("rev-parse", "--short", "HEAD")
    dirty = " with local changes" if _git("status", "--porcelain", "--", ":/core") else ""
    cpu = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith("model name")
        ),
        platform.processor(),
    )
    cores, load = os.cpu_count(), os.getloadavg()[0]
    when = dt.datetime.now(dt.UTC).strftime("%Y-%m-%d %H:%M UTC")
    return (
        f"# {title}\n\n{when}, commit {commit}{dirty}. {cores} shared cores ({cpu}), load {load:.1f} at the "
        f"end, Python {platform.python_version()}, {platform.system()}.\n"
    )


def _git(*words: str) -> str:
    done = subprocess.run(["git", *words], capture_output=True, text=True, check=False, cwd=RESULTS.parent)
    return done.stdout.strip()
