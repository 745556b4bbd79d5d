"""Runs and judgements as the files TREC tools read."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from ragweft.errors import RagweftError

if TYPE_CHECKING:
    from ragweft.evaluation.values import Dataset, Evaluation

__all__ = ["save_run"]

_KEPT = "".join(map(chr, range(0x21, 0x7F))).replace("%", "")


def save_run(evaluation: Evaluation, folder: str | os.PathLike[str], *, dataset: Dataset) -> Path:
    """Write `<label>.run` and, beside it, `<dataset>.qrels` into *folder*; the path of the run.

    trec_eval, ir_measures and the like compute from the two files the ranked measures of *evaluation*. Their
    columns are separated by white space, so white space, "%" and whatever is not ASCII are written as in a URL.

    Raises:
        RagweftError: the files cannot be written.
    """
    place = Path(folder).expanduser()
    tag = _written(evaluation.label)
    run = place / f"{_file_name(evaluation.label)}.run"
    try:
        place.mkdir(parents=True, exist_ok=True)
        _write(place / f"{_file_name(dataset.name)}.qrels", _judgements(dataset))
        _write(run, _ranking(evaluation, tag))
    except OSError as error:
        raise RagweftError(f"{place}: cannot be written ({error.strerror}); choose another folder") from None
    return run


def _judgements(dataset: Dataset) -> Iterable[str]:
    for query, row in dataset.qrels.items():
        for item, relevance in row.items():
            yield f"{_written(query)} 0 {_written(item)} {relevance}"


def _ranking(evaluation: Evaluation, tag: str) -> Iterable[str]:
    for query, row in evaluation.run.items():
        best_first = sorted(row.items(), key=lambda pair: -pair[1])
        for rank, (item, score) in enumerate(best_first, start=1):
            yield f"{_written(query)} Q0 {_written(item)} {rank} {score!r} {tag}"


def _write(path: Path, lines: Iterable[str]) -> None:
    path.write_text("".join(f"{line}\n" for line in lines), encoding="ascii", newline="\n")


def _written(name: str) -> str:
    return quote(name, safe=_KEPT)


def _file_name(name: str) -> str:
    return re.sub(r"[^\w.=+-]+", "_", name)
