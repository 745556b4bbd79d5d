"""A process that applies generation after generation to an embedded Chroma until it is killed."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ragweft.types import Chunk, Space
from ragweft.vectors.chroma import ChromaIndex

if TYPE_CHECKING:
    from ragweft.types import Rows, Vectors

DIMS = 64
SPACE = Space(model="test:crash", dims=DIMS)
NONE: Rows = np.empty(0, dtype=np.int64)
PER_GENERATION = 120
"""More than the sync threshold below, so that every generation saves the graph."""


def describe(rows: Rows) -> Sequence[Chunk]:
    return [Chunk(id=f"c{row}", document_id="d", text="t") for row in rows.tolist()]


def vectors_of(rows: Rows) -> Vectors:
    vectors = np.stack([np.random.default_rng(row).standard_normal(DIMS) for row in rows.tolist()])
    units: Vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    return units


def opened(folder: Path) -> ChromaIndex:
    return ChromaIndex.embedded(folder, space=SPACE, ledger="L", describe=describe, sync_threshold=100)


def rows_of(generation: int) -> Rows:
    return np.arange(generation * PER_GENERATION, (generation + 1) * PER_GENERATION)


def removed_by(generation: int) -> Rows:
    """The first tenth of what the generation before brought."""
    return rows_of(generation - 1)[: PER_GENERATION // 10] if generation > 1 else NONE


def apply(index: ChromaIndex, generation: int) -> None:
    rows = rows_of(generation)
    index.apply(rows=rows, vectors=vectors_of(rows), removed=removed_by(generation), generation=generation)


def write_until_killed(folder: Path, said: Path) -> None:
    """Append a byte to *said* once the index is open, and a dot after each generation acknowledged."""
    index = opened(folder)
    handle = os.open(said, os.O_WRONLY | os.O_APPEND)
    os.write(handle, b"o")
    while True:
        apply(index, index.applied_generation + 1)
        os.write(handle, b".")
