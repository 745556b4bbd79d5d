"""Embedded Chroma under fire: writers are killed at random, most often while the graph is being saved."""

from __future__ import annotations

import multiprocessing
import random
import shutil
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from chroma_writer import NONE, PER_GENERATION, opened, removed_by, rows_of, vectors_of, write_until_killed
from ragweft.errors import IndexDamaged

CLOSE = 3e-6


def check(folder: Path, at_least: int) -> int:
    """Everything acknowledged is there and is found; what was under way when the process died may be there."""
    index = opened(folder)
    generation = index.applied_generation
    assert generation >= at_least
    gone = set().union(*(removed_by(number).tolist() for number in range(1, generation + 1)))
    pending = set(removed_by(generation + 1).tolist()) if generation else set()
    every = np.concatenate([NONE, *(rows_of(number) for number in range(1, generation + 1))])
    certain = np.array([row for row in every.tolist() if row not in gone | pending], dtype=np.int64)
    query = vectors_of(np.array([1]))[0]
    found = index.search(query, n=len(every) + PER_GENERATION)
    assert set(certain.tolist()) <= set(found.rows.tolist())
    assert not gone & set(found.rows.tolist())
    assert len(found.rows) == len(index)
    if len(found.rows):
        np.testing.assert_allclose(found.scores, vectors_of(found.rows) @ query, atol=CLOSE)
    for row in certain[::40].tolist():
        assert index.search(vectors_of(np.array([row]))[0], n=1).rows.tolist() == [row]
    index.close()
    return generation


def kill_writers(tmp_path: Path, times: int, seed: int) -> tuple[int, int]:
    """Kill *times* writers one after the other; count the whole indexes and the ones that must be rebuilt."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["chroma_writer", "chromadb"])
    chance = random.Random(seed)
    folder, said = tmp_path / "index", tmp_path / "said"
    whole = damaged = generation = 0
    for _ in range(times):
        said.write_bytes(b"")
        writer = context.Process(target=write_until_killed, args=(folder, said))
        writer.start()
        first = chance.randint(1, 3)
        while said.stat().st_size < first and writer.is_alive():
            time.sleep(0.002)
        time.sleep(chance.uniform(0.0, 0.1))
        writer.kill()
        writer.join(timeout=30)
        acknowledged = said.read_bytes().count(b".")
        try:
            generation = check(folder, generation + acknowledged)
            whole += 1
        except IndexDamaged:
            # What the index's owner does: set it aside and start anew.
            damaged += 1
            shutil.rmtree(folder)
            generation = 0
    return whole, damaged


@pytest.mark.skipif(sys.platform == "win32", reason="no forkserver")
def test_a_killed_writer_leaves_a_whole_index_or_one_known_to_be_torn(tmp_path: Path) -> None:
    whole, damaged = kill_writers(tmp_path, times=10, seed=3)
    assert whole > 0
    assert whole + damaged == 10


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="no forkserver")
def test_many_killed_writers(tmp_path: Path) -> None:
    whole, damaged = kill_writers(tmp_path, times=200, seed=4)
    assert whole > 100
    assert damaged > 0, "no kill hit a save: the test aims badly"
