"""A reindexing killed at any moment: the index is as it was or as it shall be, never something between."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ragweft import Index, reindex
from ragweft.recipe import Chunking, Dense, Recipe
from reliability.workers import make_corpus, marker

FILES = 60
CODE = """
import sys
from ragweft import reindex
from ragweft.recipe import Chunking, Dense, Recipe
print("begun", flush=True)
reindex(sys.argv[1], Recipe(dense=Dense(engine="flat"), chunking=Chunking(size=int(sys.argv[2]))))
"""


def made(size: int) -> Recipe:
    return Recipe(dense=Dense(engine="flat"), chunking=Chunking(size=size))


@pytest.mark.parametrize("kills", [4, pytest.param(40, marks=pytest.mark.slow)])
def test_killed_at_any_moment(tmp_path: Path, kills: int) -> None:
    kb, folder = tmp_path / "kb", tmp_path / "files"
    make_corpus(folder, FILES)
    counts = {}
    for size in (200, 300):
        with Index.open(tmp_path / f"plain{size}", recipe=made(size)) as index:
            index.sync(folder)
            counts[size] = index.status().chunks
    with Index.open(kb, recipe=made(200)) as index:
        index.sync(folder)
    chance = random.Random(kills)
    sizes = [300, 200]
    for turn in range(kills):
        wanted = sizes[turn % 2]
        process = subprocess.Popen(
            [sys.executable, "-c", CODE, str(kb), str(wanted)], stdout=subprocess.PIPE, text=True
        )
        assert process.stdout is not None
        assert process.stdout.readline() == "begun\n"
        time.sleep(chance.uniform(0.0, 0.8))
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        process.stdout.close()
        with Index.open(kb) as index:
            status = index.status()
            assert status.documents == FILES
            assert status.chunks == counts[index.recipe.chunking.size]
            for number in chance.sample(range(FILES), 5):
                hit = index.search(marker("files", number), k=1)[0]
                assert hit.citation.uri.endswith(f"f{number:04}.md")
            assert index.verify().ok
    reindex(kb, made(300))
    with Index.open(kb) as index:
        assert index.status().chunks == counts[300]
        assert index.sync(folder).unchanged == FILES
