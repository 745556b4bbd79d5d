"""The index an evaluation searches: filled once, recognised again, filled further after an interruption."""

from __future__ import annotations

import hashlib
import json
import os
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ragweft.errors import RagweftError
from ragweft.types import Chunk

if TYPE_CHECKING:
    from ragweft.evaluation.values import Dataset
    from ragweft.index import Index
    from ragweft.protocols import Progress

__all__ = ["Filling", "fill", "items_digest"]

_NOTE = "evaluation.json"
"""Lies in the index folder and says what the index was filled from."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Filling:
    """How an index was filled."""

    dataset: str
    digest: str
    complete: bool = False
    seconds: float = 0.0
    """Time it took, over all attempts."""


def items_digest(dataset: Dataset) -> str:
    """16 hex digits over everything that is indexed: equal digests make equal indexes of one recipe."""
    digest = hashlib.blake2b(digest_size=8)
    for item in dataset.items:
        values = asdict(item) | {"kind": type(item).__name__}
        digest.update(json.dumps(values, sort_keys=True, default=str).encode())
    return digest.hexdigest()


def fill(index: Index, dataset: Dataset, *, progress: Progress) -> Filling:
    """Add the dataset's items to *index*, unless they are in it already.

    Raises:
        RagweftError: the index holds something else.
        LoadError: an item cannot be stored.
    """
    note = index.path / _NOTE
    digest = items_digest(dataset)
    known = _read(note)
    if known is None:
        if index.status().documents:
            raise RagweftError(f"{index.path}: this index is not an evaluation's; name another folder")
        known = Filling(dataset=dataset.name, digest=digest)
    elif known.digest != digest:
        raise RagweftError(
            f"{index.path}: this index holds other texts (of {known.dataset!r}) than {dataset.name!r} has; "
            "name another folder, or delete this one"
        )
    if known.complete:
        return known
    total = len({item.document_id if isinstance(item, Chunk) else item.id for item in dataset.items})

    def report(stage: str, done: int, of: int | None, /) -> None:
        progress("indexing" if stage == "adding" else stage, done, total if stage == "adding" else of)

    complete = False
    started = time.perf_counter()
    _write(note, known)
    try:
        index.add(dataset.items, progress=report)
        complete = True
    finally:
        seconds = known.seconds + time.perf_counter() - started
        filled = Filling(dataset=dataset.name, digest=digest, complete=complete, seconds=seconds)
        _write(note, filled)
    return filled


def _read(note: Path) -> Filling | None:
    if not note.exists():
        return None
    try:
        return Filling(**json.loads(note.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise RagweftError(f"{note}: cannot be read ({error}); delete the folder it lies in") from None


def _write(note: Path, filling: Filling) -> None:
    fresh = note.with_name(f"{note.name}.{os.getpid()}")
    fresh.write_text(json.dumps(asdict(filling)), encoding="utf-8")
    fresh.replace(note)
