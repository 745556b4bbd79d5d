"""Processes that share an index and processes killed at random moments: what was tried, what was lost.

    python benchmarks/reliability.py           # about four minutes; writes results/reliability.md

Runs the long forms of the reliability tests, in which every assertion is a promise of docs/architecture.md, and
records which held.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from environment import RESULTS, heading

PROMISES = {
    "test_fifty_kills": "kill -9 at 50 random moments of a sync: the index opens, every acknowledged document is "
    "found and whole, the next sync completes it",
    "test_two_syncs_and_a_searcher_share_an_index[flat]": "two processes sync two folders while a third searches: "
    "nothing lost, no error, each search sees every commit made before it (flat)",
    "test_two_syncs_and_a_searcher_share_an_index[auto]": "the same with Chroma kept beside it",
    "test_a_forked_child_may_search_and_write": "a forked child searches and writes; its parent goes on",
    "test_a_hundred_thousand_tiny_files": "100,000 files of one line: all found, the second sync redoes nothing",
    "test_a_full_disk_loses_nothing_that_was_acknowledged": "the disk fills up in the middle of writing: one clear "
    "error, nothing acknowledged lost, goes on when there is space",
    "test_a_killed_process_is_made_up_for": "the process that levels followers is killed: the sync makes up for it",
}


def main() -> None:
    """Run and report."""
    command = [
        sys.executable,
        "-m",
        "pytest",
        "tests/reliability",
        "-m",
        "slow or not slow",
        "-v",
        "--durations=0",
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=RESULTS.parents[1])
    verdicts = dict(re.findall(r"::(\S+) (PASSED|FAILED|SKIPPED)", done.stdout))
    seconds = {name: float(took) for took, name in re.findall(r"([\d.]+)s call .*::(\S+)", done.stdout)}
    rows = [
        f"| {promise} | {verdicts.get(name, 'not run').lower()} | {seconds.get(name, 0.0):.0f} s |"
        for name, promise in PROMISES.items()
    ]
    text = "\n".join(
        [
            heading("What must never be lost"),
            done.stdout.strip().splitlines()[-1].strip("= ") + ".\n",
            "| promise | result | took |",
            "|---|---|---|",
            *rows,
            "\nCommand: `python benchmarks/reliability.py`",
        ]
    )
    print(text)
    Path(RESULTS / "reliability.md").write_text(text + "\n")
    if done.returncode:
        print(done.stdout[-4000:], file=sys.stderr)
        raise SystemExit(done.returncode)


if __name__ == "__main__":
    main()
