"""The flat index under fire: every step of a write is made to fail, and writers are killed for real."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from ragweft.types import Space
from ragweft.vectors.flat import FlatIndex

if TYPE_CHECKING:
    from ragweft.types import Rows, Vectors

DIMS = 8
SPACE = Space(model="test:crash", dims=DIMS)
NONE: Rows = np.empty(0, dtype=np.int64)
PER_GENERATION = 600


def vectors_of(rows: Rows) -> Vectors:
    """Unit vectors that follow from their rows alone."""
    angle = rows[:, None] * np.arange(1, DIMS + 1)
    vectors = np.sin(angle + 0.5)
    units: Vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    return units


def opened(folder: Path) -> FlatIndex:
    return FlatIndex(folder, space=SPACE, ledger="L", segment_rows=1_000)


def apply(index: FlatIndex, generation: int) -> None:
    """Generation g brings 600 rows and removes two thirds of those of g - 1, so that compaction comes often."""
    rows = np.arange(generation * PER_GENERATION, (generation + 1) * PER_GENERATION)
    removed = rows[rows % 3 > 0] - PER_GENERATION if generation > 1 else NONE
    index.apply(rows=rows, vectors=vectors_of(rows), removed=removed, generation=generation)


def check(folder: Path) -> int:
    """Open what is on disk and compare it, to the last row and number, with the generation it claims."""
    index = opened(folder)
    generation = index.applied_generation
    every = np.arange(PER_GENERATION, (generation + 1) * PER_GENERATION)
    live = every[(every >= generation * PER_GENERATION) | (every % 3 == 0)]
    assert len(index) == len(live)
    query = vectors_of(np.array([77]))[0]
    found = index.search(query, n=len(every))
    assert sorted(found.rows.tolist()) == live.tolist()
    exact = vectors_of(found.rows).astype(np.float64) @ query.astype(np.float64)
    np.testing.assert_allclose(found.scores, exact, atol=1e-6)
    index.close()
    return generation


class Killed(BaseException):
    """Stands for SIGKILL: nothing in the code may catch it."""


def test_a_write_that_stops_at_any_step_leaves_the_state_before_or_after(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each generation is stopped at its 1st, 2nd, 3rd … system call until one gets through."""
    countdown = 0
    real: dict[str, Any] = {
        "fsync": os.fsync,
        "replace": Path.replace,
        "open": Path.open,
        "unlink": Path.unlink,
    }

    def tick() -> None:
        nonlocal countdown
        countdown -= 1
        if countdown == 0:
            raise Killed

    def stopping(name: str) -> Any:
        def step(*args: Any, **kwargs: Any) -> Any:
            tick()
            return real[name](*args, **kwargs)

        return step

    stops = 0
    for generation in range(1, 8):
        stopped, step = True, 0
        while stopped:
            step += 1
            index = opened(tmp_path)
            countdown, stopped = step, False
            with monkeypatch.context() as patch:
                patch.setattr(os, "fsync", stopping("fsync"))
                for name in ("replace", "open", "unlink"):
                    patch.setattr(Path, name, stopping(name))
                try:
                    apply(index, generation)
                except Killed:
                    stopped = True
            stops += stopped
            assert check(tmp_path) in {generation - 1, generation}
        assert check(tmp_path) == generation
    assert stops > 50


WRITER = """
import sys
from pathlib import Path
sys.path.insert(0, {tests!r})
import test_flat_crash as t
index = t.opened(Path(sys.argv[1]))
while True:
    print("applied", index.applied_generation, flush=True)
    t.apply(index, index.applied_generation + 1)
"""


def kill_writers(folder: Path, times: int, seed: int) -> int:
    chance = random.Random(seed)
    generation = acknowledged = 0
    script = WRITER.format(tests=str(Path(__file__).parent))
    for _ in range(times):
        writer = subprocess.Popen([sys.executable, "-c", script, str(folder)], stdout=subprocess.PIPE)
        assert writer.stdout is not None
        try:
            for _ in range(chance.randint(1, 4)):
                acknowledged = int(writer.stdout.readline().split()[1])
            time.sleep(chance.uniform(0.0, 0.02))
        finally:
            writer.kill()
            writer.wait(timeout=30)
            writer.stdout.close()
        generation = check(folder)
        assert generation >= acknowledged
    return generation


def test_a_killed_writer_leaves_a_whole_index(tmp_path: Path) -> None:
    assert kill_writers(tmp_path, times=10, seed=1) > 3


@pytest.mark.slow
def test_many_killed_writers_leave_a_whole_index(tmp_path: Path) -> None:
    assert kill_writers(tmp_path, times=300, seed=2) > 100
