"""Pairs of questions from a file: JSON lines, or a table with a head."""

from __future__ import annotations

import csv
import json
from typing import TYPE_CHECKING, Any

from ragweft.errors import LoadError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ragweft.caching.calibrating import Pair

__all__ = ["read_pairs"]

_SAME = {"1": True, "1.0": True, "true": True, "0": False, "0.0": False, "false": False}
_FORM = 'lines like {"a": "…", "b": "…", "label": 1}, or CSV or TSV with the columns a, b, label'


def read_pairs(path: Path) -> list[Pair]:
    """Labelled pairs of questions: label 1 where the answer to one answers the other, else 0.

    Raises:
        LoadError: the file cannot be read, or a line of it says something else.
    """
    from ragweft.caching.calibrating import Pair

    try:
        text = path.expanduser().read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise LoadError(f"{path}: cannot be read: {error}; give {_FORM}") from None
    rows = _json_lines(path, text) if text.lstrip().startswith("{") else _table(path, text)
    pairs = []
    for number, row in rows:
        one, other, label = row.get("a"), row.get("b"), row.get("label")
        if not isinstance(one, str) or not isinstance(other, str) or label is None:
            raise LoadError(f"{path}:{number}: no pair; give {_FORM}")
        same = _SAME.get(str(label).strip().lower())
        if same is None:
            raise LoadError(
                f"{path}:{number}: label {label!r} is neither 1, for the same answer, nor 0, for another"
            )
        pairs.append(Pair(asked=one, other=other, same=same))
    if not pairs:
        raise LoadError(f"{path}: there are no pairs in it; give {_FORM}")
    return pairs


def _json_lines(path: Path, text: str) -> Iterator[tuple[int, dict[str, Any]]]:
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise LoadError(f"{path}:{number}: not JSON: {error}; give {_FORM}") from None
        yield number, row if isinstance(row, dict) else {}


def _table(path: Path, text: str) -> Iterator[tuple[int, dict[str, Any]]]:
    head = text.partition("\n")[0]
    reader = csv.DictReader(text.splitlines(keepends=True), delimiter="\t" if "\t" in head else ",")
    if missing := {"a", "b", "label"}.difference(reader.fieldnames or ()):
        raise LoadError(f"{path}: its first line lacks {', '.join(sorted(missing))}; give {_FORM}")
    try:
        for row in reader:
            yield reader.line_num, row
    except csv.Error as error:
        raise LoadError(f"{path}:{reader.line_num}: {error}; give {_FORM}") from None
